"""The buckets that calls take from: their names are made once for each group of calls."""

from collections.abc import Sequence

from .._contract import Call
from ..stores import Bucket
from ._rate_limit_rule import Demand, Group, Limit, Want, group_of

# Groups whose buckets' names are kept. What is forgotten is made again.
_MOST_KNOWN = 1024


class Buckets:
    """The buckets of several limits."""

    __slots__ = ("_by", "_known", "_limits")

    def __init__(self, limits: Sequence[Limit]) -> None:
        self._limits = tuple(limits)
        self._by = tuple(dict.fromkeys(limit.by for limit in limits))
        self._known: dict[tuple[Group, ...], tuple[tuple[str, ...], tuple[Bucket, ...]]] = {}

    def wanted(self, call: Call[object], demand: Demand) -> tuple[tuple[str, ...], list[Want]]:
        """Return the names of the buckets that a call takes from, and what it takes."""
        groups = tuple([group_of(call, by) for by in self._by])
        known = self._known.get(groups)
        if known is None:
            known = self._make(groups)
        names, buckets = known
        wanted: list[Want] = []
        for limit, bucket in zip(self._limits, buckets, strict=True):
            unit = limit.unit
            amount = demand.of(unit)
            took = Bucket(key=bucket.key, capacity=bucket.capacity, refill=bucket.refill, amount=amount)
            wanted.append(Want(limit, unit, took))
        return names, wanted

    def _make(self, groups: tuple[Group, ...]) -> tuple[tuple[str, ...], tuple[Bucket, ...]]:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        group = dict(zip(self._by, groups, strict=True))
        buckets = tuple([limit.bucket(group[limit.by], 0.0) for limit in self._limits])
        known = self._known[groups] = tuple([bucket.key for bucket in buckets]), buckets
        return known

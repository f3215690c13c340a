"""The buckets that calls take from: their names are made once for each group of calls."""

from collections.abc import Sequence

from .._contract import Call
from .._rate_headers import Unit
from ..stores import Bucket
from ._rate_limit_rule import Demand, Group, Limit, group_of

# Groups whose buckets' names are kept. What is forgotten is made again.
_MOST_KNOWN = 1024


# The names of buckets; and of each the unit, the name, what it holds, and what flows in.
_Known = tuple[tuple[str, ...], tuple[tuple[Unit, str, float, float], ...]]


class Buckets:
    """The buckets of several limits."""

    __slots__ = ("_by", "_known", "_limits")

    def __init__(self, limits: Sequence[Limit]) -> None:
        self._limits = tuple(limits)
        self._by = tuple(dict.fromkeys(limit.by for limit in limits))
        self._known: dict[tuple[Group, ...], _Known] = {}

    def of(self, call: Call[object], demand: Demand) -> tuple[tuple[str, ...], list[tuple[Unit, Bucket]]]:
        """Return the names of the buckets that a call takes from, and what it takes."""
        groups = tuple([group_of(call, by) for by in self._by])
        known = self._known.get(groups)
        if known is None:
            known = self._make(groups)
        names, kinds = known
        taken: list[tuple[Unit, Bucket]] = []
        for unit, key, capacity, refill in kinds:
            amount: float = getattr(demand, unit)
            taken.append((unit, Bucket(key=key, capacity=capacity, refill=refill, amount=amount)))
        return names, taken

    def _make(self, groups: tuple[Group, ...]) -> "_Known":
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        group = dict(zip(self._by, groups, strict=True))
        buckets: list[tuple[Unit, Bucket]] = [
            (limit.unit, limit.bucket(group[limit.by], 0.0)) for limit in self._limits
        ]
        known: _Known = (
            tuple([bucket.key for _, bucket in buckets]),
            tuple([(unit, bucket.key, bucket.capacity, bucket.refill) for unit, bucket in buckets]),
        )
        self._known[groups] = known
        return known

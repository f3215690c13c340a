"""The buckets that calls take from: their names are made once for each group of calls."""

from collections import OrderedDict
from collections.abc import Sequence

from msgspec.structs import replace

from .._contract import Call, Route
from .._rate_headers import Unit
from ..stores import Bucket
from ._rate_limit_rule import ROUTE_PARTS, Demand, Group, Limit, group_of

# Groups whose buckets' names are kept. What is forgotten is made again.
_MOST_KNOWN = 1024


# The names of buckets, their units, and both of each: its unit, and the bucket with nothing to take.
_Known = tuple[tuple[str, ...], tuple[Unit, ...], list[tuple[Unit, Bucket]]]


class Buckets:
    """The buckets of several limits."""

    __slots__ = ("_by", "_by_route", "_known", "_limits")

    def __init__(self, limits: Sequence[Limit]) -> None:
        # Two functions may have one name, as lambdas do, and give their groups the same ones.
        names = [limit.name for limit in limits]
        self._limits = [
            (limit, name if names.count(name) == 1 else f"{name}:{place}")
            for place, (limit, name) in enumerate(zip(limits, names, strict=True))
        ]
        self._by = tuple(dict.fromkeys(limit.by for limit in limits))
        self._known: dict[tuple[Group, ...], _Known] = {}
        # Where the route alone tells the group, and a client looks each route up once.
        self._by_route: OrderedDict[int, tuple[Route, _Known]] | None = None
        if all(not callable(by) and all(name in ROUTE_PARTS for name in by) for by in self._by):
            self._by_route = OrderedDict()

    def of(self, call: Call[object], demand: Demand) -> tuple[tuple[str, ...], tuple[Unit, ...], list[Bucket]]:
        """Return the names of the buckets that a call takes from, their units, and what it takes."""
        names, units, buckets = self._of(call)
        taken: list[Bucket] = []
        for unit, bucket in buckets:
            taken.append(replace(bucket, amount=getattr(demand, unit)))
        return names, units, taken

    def _of(self, call: Call[object]) -> "_Known":
        route, by_route = call.route, self._by_route
        if by_route is not None:
            found = by_route.get(id(route))
            if found is not None and found[0] is route:
                return found[1]
        groups = tuple([group_of(call, by) for by in self._by])
        known = self._known.get(groups)
        if known is None:
            known = self._make(groups)
        if by_route is not None:
            by_route[id(route)] = route, known
            if len(by_route) > _MOST_KNOWN:
                by_route.popitem(last=False)
        return known

    def _make(self, groups: tuple[Group, ...]) -> "_Known":
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        group = dict(zip(self._by, groups, strict=True))
        buckets: list[tuple[Unit, Bucket]] = [
            (limit.unit, limit.bucket(group[limit.by], name)) for limit, name in self._limits
        ]
        known: _Known = (
            tuple([bucket.key for _, bucket in buckets]),
            tuple([unit for unit, _ in buckets]),
            buckets,
        )
        self._known[groups] = known
        return known

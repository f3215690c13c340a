"""How long calls of each kind take: a running percentile."""

import math
from bisect import bisect_left, insort
from collections import OrderedDict, deque
from collections.abc import Hashable

_QUANTILE = 0.95

# The fewest among which the 95th percentile is not simply the largest.
_FEWEST = 20

# Fifty of them lie above the 95th percentile. With ten it jumps about where one call in twenty is slow, see
# benchmarks/hedge.py.
_WINDOW = 1000

# An application uses a few models, in a few ways each.
_KINDS = 256


class Latencies:
    """The 95th percentile (nearest rank) of the last 1000 latencies of each kind, once 20 of them are known.

    At most 256 kinds are kept, those that were added to last. For one thread at a time: who has it, has a lock.
    """

    __slots__ = ("_kinds",)

    def __init__(self) -> None:
        self._kinds: OrderedDict[Hashable, _Window] = OrderedDict()

    def add(self, kind: Hashable, seconds: float) -> None:
        window = self._kinds.get(kind)
        if window is None:
            window = self._kinds[kind] = _Window()
            if len(self._kinds) > _KINDS:
                self._kinds.popitem(last=False)
        self._kinds.move_to_end(kind)
        window.add(seconds)

    def percentile(self, kind: Hashable) -> float:
        """Return the seconds; infinity while too few are known."""
        window = self._kinds.get(kind)
        return math.inf if window is None else window.percentile()


class _Window:
    """The same numbers twice: in the order they came, and in order of size."""

    __slots__ = ("_ordered", "_recent")

    def __init__(self) -> None:
        self._recent: deque[float] = deque()
        self._ordered: list[float] = []

    def add(self, seconds: float) -> None:
        if len(self._recent) == _WINDOW:
            del self._ordered[bisect_left(self._ordered, self._recent.popleft())]
        self._recent.append(seconds)
        insort(self._ordered, seconds)

    def percentile(self) -> float:
        known = len(self._ordered)
        return math.inf if known < _FEWEST else self._ordered[math.ceil(_QUANTILE * known) - 1]

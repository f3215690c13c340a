"""A limit that finds itself: additive increase, multiplicative decrease."""

import math
import threading

# The beta of CUBIC (RFC 9438): it loses half as much room to a false alarm as the 0.5 of TCP Reno.
_DECREASE = 0.7


class AdaptiveLimit:
    """Additive increase, multiplicative decrease (AIMD), as TCP (RFC 5681) and Netflix's concurrency-limits do::

        an answer in time       limit = min(max_limit, limit + 1 / limit)   if at least half of it was in use
        overload                limit = max(min_limit, limit * 0.7)         once for all calls then under way

    so that it grows by 1 in the time in which each call under way is answered once. An answer of a call that was let
    through before the last decrease changes nothing: it tells of a load that is no more. With half of it unused the
    limit is not what holds calls back, and an answer in time says nothing about more of them.

    Safe from any thread.
    """

    __slots__ = ("_exact", "_lock", "generation", "max_limit", "min_limit")

    def __init__(self, limit: int, min_limit: int, max_limit: int) -> None:
        self.min_limit = min_limit
        self.max_limit = max_limit
        self.generation = 0
        self._exact = float(limit)
        self._lock = threading.Lock()

    @property
    def limit(self) -> int:
        """The limit at present."""
        # A sum of thirds is a little less than 1.
        return math.floor(self._exact + 1e-9)

    def grow(self, generation: int, in_use: int) -> int:
        """Count an answer in time, of a call let through in ``generation``. Returns by how much the limit changes."""
        with self._lock:
            if generation != self.generation or 2 * in_use < self.limit:
                return 0
            return self._change(min(float(self.max_limit), self._exact + 1.0 / self._exact))

    def shrink(self, generation: int) -> int:
        """Count an overload, of a call let through in ``generation``. Returns by how much the limit changes."""
        with self._lock:
            if generation != self.generation:
                return 0
            self.generation += 1
            return self._change(max(float(self.min_limit), self._exact * _DECREASE))

    def _change(self, exact: float) -> int:
        before, self._exact = self.limit, exact
        return self.limit - before

"""How many retries there may be, for all calls together."""

import math
import threading

from .._loop import EventLoop
from .._number import is_number

# The window moves in steps of a tenth of it, as in tower.
_SLOTS = 10


class RetryBudget:
    """Keep retries to a share of the calls, so that they never multiply an outage.

    Give the same budget to the ``Retry`` of every client of a process. At any time, of the last ``window`` seconds ::

        retries <= ratio * calls + min_per_second * window

    When a provider fails every call, three retries each are four times the load on it; with this budget they are
    ``1 + ratio`` times. ``min_per_second`` lets a process with few calls retry at all.

    This is the budget of tower (Rust), and the "per-client retry budget" of "Handling Overload" (Site Reliability
    Engineering, 2016), which gives 10 % as an example. The window ends with the current tenth of it, so it may be up to
    a tenth shorter. One object serves all event loops and threads of the process, and keeps ten pairs of numbers.

    :param ratio: retries per call
    :param min_per_second: retries per second that are allowed beside
    :param window: seconds
    :raises ValueError: a number out of range
    """

    __slots__ = ("__weakref__", "_calls", "_lock", "_retries", "_slot", "min_per_second", "ratio", "window")

    def __init__(self, ratio: float = 0.2, *, min_per_second: float = 1.0, window: float = 10.0) -> None:
        if not is_number(ratio) or not 0 <= ratio < math.inf:
            raise ValueError(f"ratio must be 0 or more retries per call, as 0.2, not {ratio!r}")
        if not is_number(min_per_second) or not 0 <= min_per_second < math.inf:
            raise ValueError(f"min_per_second must be 0 or more retries, not {min_per_second!r}")
        if not (ratio or min_per_second):
            raise ValueError("ratio and min_per_second are both 0: for no retries at all, use Retry(max_retries=0)")
        if not is_number(window) or not 0 < window < math.inf:
            raise ValueError(f"window must be above 0 seconds, not {window!r}")
        self.ratio: float = ratio
        self.min_per_second: float = min_per_second
        self.window: float = window
        self._lock = threading.Lock()
        self._slot = 0
        self._calls = [0] * _SLOTS
        self._retries = [0] * _SLOTS

    @property
    def calls(self) -> int:
        """Calls in the window, as of the last one counted."""
        return sum(self._calls)

    @property
    def retries(self) -> int:
        """Retries in the window, as of the last one counted."""
        return sum(self._retries)

    def deposit(self) -> None:
        """Count a call: its first attempt."""
        slot = self._now()
        with self._lock:
            self._move_to(slot)
            self._calls[self._slot % _SLOTS] += 1

    def withdraw(self) -> bool:
        """Count a retry, if the budget allows one. Returns whether it does."""
        slot = self._now()
        with self._lock:
            self._move_to(slot)
            if self.retries + 1 > self.ratio * self.calls + self.min_per_second * self.window:
                return False
            self._retries[self._slot % _SLOTS] += 1
            return True

    def _now(self) -> int:
        # Loops count time from where they like; with the epoch it is one time for all of them.
        return math.floor(EventLoop.current().now() / self.window * _SLOTS)

    def _move_to(self, slot: int) -> None:
        # At most once around: all that is older is over. A thread that comes late finds nothing to do.
        for passed in range(max(self._slot + 1, slot - _SLOTS + 1), slot + 1):
            self._calls[passed % _SLOTS] = self._retries[passed % _SLOTS] = 0
        self._slot = max(self._slot, slot)

    def __repr__(self) -> str:
        return (
            f"RetryBudget({self.ratio:g}, min_per_second={self.min_per_second:g}, window={self.window:g}, "
            f"calls={self.calls}, retries={self.retries})"
        )

"""Time of one call: durations by the event loop's clock, and where they lie in the world's time."""

import time

import anyio


class Clock:
    """Begins now. All times are of the event loop's clock, in seconds.

    The world's clock is read once: it may be set while the call runs, and durations must not notice.

    :ivar began: when it was made
    """

    __slots__ = ("_epoch", "began")

    def __init__(self) -> None:
        self._epoch = time.time_ns()
        self.began = anyio.current_time()

    def now(self) -> float:
        """Return the time; without a loop, as in a finalizer after its end, by the world's clock."""
        try:
            return anyio.current_time()
        except RuntimeError:
            return self.began + (time.time_ns() - self._epoch) / 1e9

    def nanoseconds(self, at: float) -> int:
        """Return a time as nanoseconds since 1970."""
        return self._epoch + round((at - self.began) * 1e9)

"""A store that has failed is left alone for a while: else each call would try its patience."""

import math

from ._store import StoreError

_SECONDS = 1.0


class Rest:
    """What is known of a store's failure, and for how long it is left alone. Who has it, tells it the time.

    :ivar failure: what it failed with last; ``None`` when it has answered since
    """

    __slots__ = ("_until", "failure")

    def __init__(self) -> None:
        self.failure: StoreError | None = None
        self._until = -math.inf

    def lasts(self, now: float) -> bool:
        """Whether it is left alone."""
        return now < self._until

    def check(self, now: float) -> None:
        """:raises StoreError: it is left alone; this is what it failed with"""
        if self.failure is not None and now < self._until:
            # Without the traceback of the call before: it may be raised for many.
            raise self.failure.with_traceback(None)

    def failed(self, error: StoreError, now: float) -> bool:
        """Note a failure; what :meth:`check` raised is none. Returns whether it had answered before."""
        if error is self.failure:
            return False
        answered = self.failure is None
        self.failure, self._until = error, now + _SECONDS
        return answered

    def answered(self) -> bool:
        """Note an answer. Returns whether it had failed before."""
        if self.failure is None:
            return False
        self.failure = None
        return True

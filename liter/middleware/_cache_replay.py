"""A recorded stream, played again."""

from collections.abc import Sequence
from typing import Generic, TypeVar

import anyio

from .._contract import Call

R = TypeVar("R")


class Replay(Generic[R]):
    """A source of events that were recorded.

    :param times: seconds after ``began`` at which each event comes, or none: then all come at once. A time that the
        limits of the call do not allow is brought forward: what is here already is never late
    :param began: event-loop time
    """

    __slots__ = ("_began", "_call", "_cancelled", "_events", "_given", "_pending", "_times")

    def __init__(self, events: Sequence[R], times: Sequence[float], began: float, call: Call[R]) -> None:
        self._events = events
        self._times = times
        self._began = began
        self._call = call
        self._given = 0
        self._cancelled = False
        self._pending: anyio.CancelScope | None = None

    async def open(self) -> None:
        """Wait for the first event's time."""
        if self._times:
            await anyio.sleep_until(min(self._began + self._times[0], self._call.enter_by))

    def next_nowait(self) -> R | None:
        """Return the next event, if there is one and its time does not matter."""
        given = self._given
        if self._times or given == len(self._events):
            return None
        self._given = given + 1
        return self._events[given]

    async def __anext__(self) -> R:
        given = self._given
        if given == len(self._events):
            raise StopAsyncIteration
        if self._times and given:
            await self._wait_until(self._began + self._times[given])
            if self._cancelled:
                raise StopAsyncIteration
        self._given = given + 1
        return self._events[given]

    async def _wait_until(self, time: float) -> None:
        now, between = anyio.current_time(), self._call.timeouts.between_events
        time = min(time, self._call.deadline)
        if between is not None:
            time = min(time, now + between)
        if time <= now:
            return
        with anyio.CancelScope() as self._pending:
            await anyio.sleep_until(time)
        self._pending = None

    def cancel(self) -> None:
        """End it where it is; a pending wait ends at once."""
        self._cancelled = True
        if self._pending is not None:
            self._pending.cancel()

    async def aclose(self) -> None:
        """Give up what is left."""
        self._given = len(self._events)

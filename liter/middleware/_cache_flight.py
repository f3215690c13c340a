"""Single flight: of identical calls at one time one is made, and the others wait for what it brings."""

from collections import OrderedDict

import anyio

from .._errors import LlmTimeoutError
from .._loop import EventLoop


class Flights:
    """The calls of a cache that are under way, by key. Each event loop has its own: they do not wait for each other.

    There are no more of them than calls that are being entered.
    """

    __slots__ = ("_flights",)

    def __init__(self) -> None:
        self._flights: dict[tuple[EventLoop, str], Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def board(self, key: str, loop: EventLoop) -> tuple["Flight", bool]:
        """Return the flight of a key, and whether the caller leads it: it then must call :meth:`Flight.leave`."""
        place = loop, key
        flight = self._flights.get(place)
        if flight is not None:
            return flight, False
        flight = self._flights[place] = Flight(self._flights, place)
        return flight, True


class Flight:
    """One leader, and those who wait in line behind it, first come first served.

    :ivar data: what the leader brought: a record; ``None`` when it cannot be shared, and each must go alone
    :ivar similarity: of the question that ``data`` answers; ``None`` when it is the same
    """

    __slots__ = ("_flights", "_landed", "_line", "_place", "data", "similarity")

    def __init__(self, flights: "dict[tuple[EventLoop, str], Flight]", place: tuple[EventLoop, str]) -> None:
        self._flights = flights
        self._place = place
        # Most calls are alone: there is a line where somebody waits.
        self._line: OrderedDict[_Waiter, None] | None = None
        self._landed = False
        self.data: bytes | None = None
        self.similarity: float | None = None

    async def wait(self, enter_by: float) -> bool:
        """Wait for what the leader brings. Returns whether the caller leads now, as those before it gave up.

        :raises LlmTimeoutError: the event loop's time is ``enter_by``, and neither has come
        """
        if self._landed:
            return False
        waiter = _Waiter()
        if self._line is None:
            self._line = OrderedDict()
        line = self._line
        line[waiter] = None
        began = anyio.current_time()
        try:
            with anyio.CancelScope(deadline=enter_by):
                await waiter.woken.wait()
        except BaseException:
            line.pop(waiter, None)
            if waiter.leads:
                self.leave()
            raise
        if not waiter.woken.is_set():
            del line[waiter]
            seconds = anyio.current_time() - began
            raise LlmTimeoutError(
                f"waited {seconds:.3g} s for an identical call that is under way", limit="cache", seconds=seconds
            )
        return waiter.leads

    def land(self, data: bytes | None, similarity: float | None = None) -> None:
        """Give all who wait, and all who come before :meth:`leave`, what the leader brought."""
        self.data = data
        self.similarity = similarity
        self._landed = True
        if self._line:
            for waiter in self._line:
                waiter.woken.set()
            self._line.clear()

    def leave(self) -> None:
        """The leader is done. If it brought nothing, the next in line leads."""
        if self._line:
            waiter, _ = self._line.popitem(last=False)
            waiter.leads = True
            waiter.woken.set()
        else:
            del self._flights[self._place]


class _Waiter:
    __slots__ = ("leads", "woken")

    def __init__(self) -> None:
        self.woken = anyio.Event()
        self.leads = False

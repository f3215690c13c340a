"""The connections of one event loop: idle ones in a LIFO stack per origin, permits for all, a fair queue.

Everything but dialling and waiting is synchronous and O(1), so there is nothing to lock. A permit stands
for one connection, from before it is dialled until it is closed. Whoever waits is served in order of
arrival: with a connection when one to its origin comes free, else with the permit of one that is closed
for it. A waiter that is cancelled is out of the queue before its cancellation goes on, and hands back what
it may have been given in the same moment.
"""

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable

import anyio
import httpcore

from .._http import Origin
from ._connection import Connection

Dial = Callable[[Origin, float | None, Callable[[Connection], None]], Awaitable[Connection]]


class _Waiter:
    __slots__ = ("connection", "event", "origin")

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.event = anyio.Event()
        self.connection: Connection | None = None  # with the event set and no connection: a permit


class Pool:
    """Hands out connections and takes them back.

    :param dial: opens a connection to an origin within a limit of seconds; the third argument is what the
        connection calls on release
    :param max_connections: how many may be open at once
    :param keepalive_expiry: seconds after which an idle connection is not used again
    :param single_dial: open one connection to an origin and see whether it can be shared, before a second
    :param on_close: called when the pool is closed
    """

    def __init__(
        self,
        dial: Dial,
        *,
        max_connections: int,
        keepalive_expiry: float,
        single_dial: bool = False,
        on_close: Callable[[], object] = lambda: None,
    ) -> None:
        self._dial = dial
        self._on_close = on_close
        self._max_connections = max_connections
        self._keepalive_expiry = keepalive_expiry
        self._single_dial = single_dial
        self._idle: dict[Origin, deque[Connection]] = {}
        self._shared: dict[Origin, list[Connection]] = {}
        self._dialling: dict[Origin, anyio.Event] = {}
        self._waiters: OrderedDict[_Waiter, None] = OrderedDict()
        self._connections: set[Connection] = set()
        self._permits = max_connections
        self._closed = False

    async def checkout(
        self, origin: Origin, connect: float | None, deadline: float, *, fresh: bool = False
    ) -> Connection:
        """Return a connection that takes a request to ``origin`` now.

        :param connect: limit for opening one, in seconds
        :param deadline: event-loop time until which to wait for a free one
        :param fresh: do not take an idle one
        :raises httpcore.PoolTimeout: none came free until then
        """
        while True:
            if not fresh and (connection := self._reuse(origin)) is not None:
                return connection
            if (dialling := self._dialling.get(origin)) is not None:
                # Whoever is first finds out whether this origin speaks HTTP/2; then one connection is enough.
                await dialling.wait()
                fresh = False
                continue
            if self._permits:
                self._permits -= 1
            elif not self._evict():
                connection = await self._wait(origin, deadline)
                if connection is not None:
                    if connection.available():
                        return connection
                    continue  # a shared one, whose last stream somebody was quicker to take
            if origin in self._dialling:
                self._give_permit()
                continue
            return await self._open(origin, connect)

    def _reuse(self, origin: Origin) -> Connection | None:
        shared = self._shared.get(origin)
        if shared:
            for connection in tuple(shared):
                if connection.active:
                    if connection.available():
                        return connection
                elif self._fit(connection):
                    return connection
                else:
                    self._discard(connection)
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if self._fit(connection):
                return connection
            self._discard(connection)
        return None

    def _fit(self, connection: Connection) -> bool:
        """Whether an idle connection can be used again."""
        idle_for = anyio.current_time() - connection.idle_since
        return idle_for <= self._keepalive_expiry and connection.available() and not connection.stale()

    async def _open(self, origin: Origin, connect: float | None) -> Connection:
        """Dial with a permit already taken."""
        if self._single_dial:
            self._dialling[origin] = anyio.Event()
        try:
            connection = await self._dial(origin, connect, self.release)
        except BaseException:
            self._give_permit()
            raise
        finally:
            if self._single_dial:
                self._dialling.pop(origin).set()
        self._connections.add(connection)
        if self._closed:
            self._discard(connection)
            raise httpcore.ConnectError("the client was closed")
        if connection.multiplexed:
            self._shared.setdefault(origin, []).append(connection)
        return connection

    async def _wait(self, origin: Origin, deadline: float) -> Connection | None:
        """Wait in the queue for a connection, or for a permit (``None``)."""
        waiter = _Waiter(origin)
        self._waiters[waiter] = None
        try:
            with anyio.CancelScope(deadline=deadline):
                await waiter.event.wait()
        except BaseException:
            self._leave(waiter)
            raise
        if not waiter.event.is_set():
            self._leave(waiter)
            raise httpcore.PoolTimeout(f"no connection came free: all {self._max_connections} are in use")
        return waiter.connection

    def _leave(self, waiter: _Waiter) -> None:
        if not waiter.event.is_set():
            del self._waiters[waiter]
        # It was served and cancelled in the same moment: pass on what it got.
        elif waiter.connection is not None:
            self.release(waiter.connection)
        else:
            self._give_permit()

    def release(self, connection: Connection) -> None:
        """Take a connection back: one of its requests is over."""
        if connection.closed or self._closed:
            self._discard(connection)
            return
        connection.idle_since = anyio.current_time()
        waiter = next(iter(self._waiters), None)
        if waiter is not None and waiter.origin == connection.origin and connection.available():
            self._serve(waiter, connection)
        elif connection.multiplexed:
            # One that takes no more requests, or whose place another origin waits for, goes with its last one.
            if not connection.active and (waiter is not None or not connection.available()):
                self._discard(connection)
        elif waiter is not None:
            self._discard(connection)
        else:
            self._idle.setdefault(connection.origin, deque()).append(connection)

    def _serve(self, waiter: _Waiter, connection: Connection | None) -> None:
        del self._waiters[waiter]
        waiter.connection = connection
        waiter.event.set()

    def _give_permit(self) -> None:
        if self._waiters:
            self._serve(next(iter(self._waiters)), None)
        else:
            self._permits += 1

    def _evict(self) -> bool:
        """Close the connection that is idle for the longest time, of any origin, and take its permit."""
        oldest = [idle[0] for idle in self._idle.values() if idle]
        oldest += [connection for shared in self._shared.values() for connection in shared if not connection.active]
        if not oldest:
            return False
        connection = min(oldest, key=lambda connection: connection.idle_since)
        if connection.multiplexed:
            self._shared[connection.origin].remove(connection)
        else:
            self._idle[connection.origin].popleft()
        self._connections.remove(connection)
        connection.close_nowait()
        return True

    def _discard(self, connection: Connection) -> None:
        connection.close_nowait()
        if connection in self._connections:
            self._connections.remove(connection)
            if connection.multiplexed:
                self._shared[connection.origin].remove(connection)
            self._give_permit()

    def close_nowait(self) -> None:
        """Close all connections, also those in use. Requests that wait or dial fail."""
        self._closed = True
        self._on_close()
        self._idle.clear()
        for connection in list(self._connections):
            self._discard(connection)

    @property
    def open_connections(self) -> int:
        """How many connections are open or being opened."""
        return self._max_connections - self._permits

    @property
    def exhausted(self) -> bool:
        """Whether all connections are in use."""
        return not self._permits and not self.idle_connections

    @property
    def idle_connections(self) -> int:
        """How many of them wait to be used."""
        shared = sum(not connection.active for shared in self._shared.values() for connection in shared)
        return shared + sum(len(idle) for idle in self._idle.values())

    def __repr__(self) -> str:
        return (
            f"<Pool {self.open_connections} of {self._max_connections} connections, "
            f"{self.idle_connections} idle, {len(self._waiters)} waiting>"
        )

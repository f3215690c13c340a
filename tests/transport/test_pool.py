"""The pool: LIFO reuse, permits, a fair queue, and nothing lost to cancellation."""

from collections.abc import Callable

import anyio
import anyio.lowlevel
import httpcore
import pytest

from liter._http import HttpRequest, Origin
from liter.transport import Connection, Response
from liter.transport._pool import Pool

pytestmark = pytest.mark.anyio

A = Origin("https", "a.example", 443)
B = Origin("https", "b.example", 443)
NEVER = float("inf")


class FakeConnection:
    """A connection without a wire: the test says when its requests are over."""

    http_version = "HTTP/1.1"

    def __init__(self, origin: Origin, release: Callable[[Connection], None], streams: int = 1) -> None:
        self.origin = origin
        self.multiplexed = streams > 1
        self.streams = streams
        self.active = 0
        self.requests = 0
        self.closed = False
        self.gone = False
        self.idle_since = 0.0
        self._release = release

    def available(self) -> bool:
        return not self.closed and self.active < self.streams

    def stale(self) -> bool:
        return self.gone

    async def send(self, request: HttpRequest) -> Response:
        raise NotImplementedError

    def begin(self) -> None:
        self.active += 1
        self.requests += 1

    def finish(self) -> None:
        self.active -= 1
        self._release(self)

    def close_nowait(self) -> None:
        self.closed = True


class Network:
    """Dials fake connections and counts them."""

    def __init__(self, *, streams: int = 1, seconds: float = 0.0) -> None:
        self.dialled: list[FakeConnection] = []
        self.streams = streams
        self.seconds = seconds
        self.fail: Exception | None = None

    async def dial(
        self, origin: Origin, connect: float | None, release: Callable[[Connection], None]
    ) -> FakeConnection:
        await anyio.sleep(self.seconds)
        await anyio.lowlevel.checkpoint()
        if self.fail is not None:
            raise self.fail
        connection = FakeConnection(origin, release, self.streams)
        self.dialled.append(connection)
        return connection


def make_pool(network: Network, *, most: int = 10, expiry: float = 60.0, single_dial: bool = False) -> Pool:
    return Pool(network.dial, max_connections=most, keepalive_expiry=expiry, single_dial=single_dial)


async def take(pool: Pool, origin: Origin = A, deadline: float = NEVER, *, fresh: bool = False) -> FakeConnection:
    connection = await pool.checkout(origin, None, deadline, fresh=fresh)
    assert isinstance(connection, FakeConnection)
    assert connection.available()
    connection.begin()
    return connection


async def test_the_last_released_is_the_first_reused() -> None:
    """Idle connections form a stack, so that those not needed grow old."""
    pool = make_pool(Network())
    first, second = await take(pool), await take(pool)
    first.finish()
    second.finish()
    assert pool.idle_connections == 2
    assert await take(pool) is second
    assert await take(pool) is first


async def test_origins_do_not_share() -> None:
    """A connection serves the origin it was opened to."""
    pool = make_pool(Network())
    (await take(pool, A)).finish()
    assert (await take(pool, B)).origin == B


async def test_fresh_passes_idle_ones_by() -> None:
    """After a connection turned out to be dead, the next is a new one."""
    pool = make_pool(network := Network())
    (await take(pool)).finish()
    await take(pool, fresh=True)
    assert len(network.dialled) == 2


async def test_stale_and_expired_connections_are_closed_and_passed_over() -> None:
    """What the peer has closed, or what has been idle for too long, is not handed out."""
    pool = make_pool(Network(), expiry=5)
    one, two = await take(pool), await take(pool)
    one.finish()
    two.finish()
    two.gone = True
    assert await take(pool) is one
    assert two.closed
    one.finish()
    await anyio.sleep(5.1)
    assert await take(pool) is not one
    assert one.closed
    assert pool.open_connections == 1


async def test_the_limit_holds_and_waiters_are_served_in_order() -> None:
    """At the limit callers wait in a queue, first come first served."""
    pool = make_pool(Network(), most=2)
    held = [await take(pool), await take(pool)]
    served: list[int] = []

    async def call(number: int) -> None:
        connection = await take(pool)
        served.append(number)
        await anyio.sleep(1)
        connection.finish()

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(call, number)
            await anyio.wait_all_tasks_blocked()
        assert served == []
        held[0].finish()
        await anyio.sleep(0.5)
        held[1].finish()
    assert served == [0, 1, 2, 3, 4]
    assert pool.open_connections == 2


async def test_a_waiter_for_another_origin_gets_the_place_of_a_closed_connection() -> None:
    """A released connection to the wrong origin is closed for the first in the queue."""
    pool = make_pool(Network(), most=1)
    held = await take(pool, A)
    got: list[FakeConnection] = []

    async def call() -> None:
        got.append(await take(pool, B))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        held.finish()
    assert held.closed
    assert got[0].origin == B
    assert pool.open_connections == 1


async def test_an_idle_connection_makes_way() -> None:
    """At the limit, the connection that is idle for the longest time is closed for a new one."""
    pool = make_pool(Network(), most=2)
    old, young = await take(pool, A), await take(pool, A)
    old.finish()
    await anyio.sleep(1)
    young.finish()
    await take(pool, B)
    assert old.closed
    assert not young.closed


async def test_a_shared_connection_makes_way_when_nobody_uses_it() -> None:
    """HTTP/2 connections are kept, too: at the limit, one without requests must not keep another origin waiting."""
    pool = make_pool(Network(streams=3), most=2)
    used, idle = await take(pool, A), await take(pool, B)
    idle.finish()
    assert not pool.exhausted
    other = await take(pool, Origin("https", "c.example", 443))
    assert (used.closed, idle.closed, other.closed) == (False, True, False)
    assert pool.exhausted
    with pytest.raises(httpcore.PoolTimeout):
        await pool.checkout(B, None, anyio.current_time() + 1)
    used.finish()
    assert (await take(pool, B)).origin == B
    assert pool.open_connections == 2


async def test_waiting_ends_at_the_deadline() -> None:
    """A caller that gets no connection in time is told so, and leaves no trace."""
    pool = make_pool(Network(), most=1)
    held = await take(pool)
    with pytest.raises(httpcore.PoolTimeout, match="all 1 are in use"):
        await take(pool, deadline=anyio.current_time() + 3)
    held.finish()
    assert await take(pool) is held


async def test_a_failed_or_cancelled_dial_gives_its_permit_back() -> None:
    """No place is lost to a connection that was never made."""
    network = Network(seconds=1)
    pool = make_pool(network, most=1)
    network.fail = httpcore.ConnectError("no")
    with pytest.raises(httpcore.ConnectError):
        await take(pool)
    network.fail = None
    with anyio.move_on_after(0.5):
        await take(pool)
    assert pool.open_connections == 0
    await take(pool)


@pytest.mark.parametrize("origin", [A, B])
async def test_served_and_cancelled_in_the_same_moment(origin: Origin) -> None:
    """What a cancelled waiter was given goes to the next one."""
    pool = make_pool(Network(), most=1)
    held = await take(pool, A)
    got: list[FakeConnection] = []

    async def call() -> None:
        got.append(await take(pool, origin))

    async with anyio.create_task_group() as tasks:
        scope = anyio.CancelScope()

        async def cancelled() -> None:
            with scope:
                await call()

        tasks.start_soon(cancelled)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        held.finish()
        scope.cancel()
        await anyio.sleep(1)
        for connection in got:
            connection.finish()
    for connection in got:
        if connection.active:
            connection.finish()
    # On one backend the cancellation wins, on another the hand-over; either way nothing is lost.
    assert len(got) in (1, 2)
    assert pool.open_connections == 1
    await take(pool, A, deadline=anyio.current_time() + 1)


async def test_shared_connections_are_dialled_once_and_filled() -> None:
    """With HTTP/2 the first caller dials, the others wait for what it finds, and share it."""
    network = Network(streams=3, seconds=1)
    pool = make_pool(network, single_dial=True)
    taken: list[FakeConnection] = []

    async def call() -> None:
        taken.append(await take(pool))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(call)
    assert len(network.dialled) == 2
    assert [connection.active for connection in network.dialled] == [3, 2]
    for connection in taken:
        connection.finish()
    assert pool.open_connections == 2
    await anyio.sleep(61)
    await take(pool)
    assert [connection.closed for connection in network.dialled] == [True, True, False]


async def test_a_retired_shared_connection_goes_with_its_last_request() -> None:
    """One that takes no more requests is closed when the last of them is over."""
    network = Network(streams=3)
    pool = make_pool(network)
    connection = await take(pool)
    assert await take(pool) is connection
    connection.streams = 0
    connection.finish()
    assert not connection.closed
    connection.finish()
    assert connection.closed
    assert pool.open_connections == 0


async def test_closing_closes_everything() -> None:
    """Idle or in use: all connections are closed, and none is taken back."""
    pool = make_pool(Network())
    busy, idle = await take(pool), await take(pool)
    idle.finish()
    pool.close_nowait()
    assert busy.closed
    assert idle.closed
    busy.finish()
    assert pool.open_connections == 0


async def test_churn_under_cancellation_leaks_no_place() -> None:
    """Hundreds of callers, cancelled at all kinds of moments, leave every permit free."""
    network = Network(seconds=0.3)
    pool = make_pool(network, most=4)

    async def call(number: int) -> None:
        with anyio.move_on_after((number % 17) * 0.1):
            connection = await take(pool, (A, B)[number % 2])
            try:
                await anyio.sleep((number % 5) * 0.2)
            finally:
                if number % 3 == 0:
                    connection.close_nowait()
                connection.finish()

    async with anyio.create_task_group() as tasks:
        for number in range(300):
            tasks.start_soon(call, number)
            await anyio.sleep(0.01)
    assert pool.open_connections == pool.idle_connections <= 4
    assert sum(not connection.closed for connection in network.dialled) == pool.idle_connections
    taken = [await take(pool, A, anyio.current_time() + 1) for _ in range(4)]
    assert len(set(map(id, taken))) == 4

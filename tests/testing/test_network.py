"""The network in memory behaves as TCP does, where that matters."""

import ssl

import anyio
import httpcore
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from liter.testing import MemoryNetwork, MemoryStream, Simulator, memory_stream_pair


async def read_all(stream: MemoryStream, size: int = 65536) -> bytes:
    data = b""
    while True:
        try:
            data += await stream.receive(size)
        except anyio.EndOfStream:
            return data


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(
    pieces=st.lists(st.binary(max_size=50), max_size=10),
    buffer_size=st.integers(1, 40),
    read_size=st.integers(1, 40),
)
def test_bytes_arrive_in_order(backend: str, pieces: list[bytes], buffer_size: int, read_size: int) -> None:
    """What is sent arrives, whole and in order, whatever the sizes of writes, reads and buffer."""

    async def main() -> bytes:
        here, there = memory_stream_pair(buffer_size=buffer_size)

        async def send() -> None:
            async with here:
                for piece in pieces:
                    await here.send(piece)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            received = await read_all(there, read_size)
        assert here.bytes_sent == there.bytes_received == len(received)
        return received

    assert anyio.run(main, backend=backend) == b"".join(pieces)


@pytest.mark.anyio
async def test_receive_takes_at_most_max_bytes() -> None:
    """``receive`` returns what there is, up to ``max_bytes``, and keeps the rest."""
    here, there = memory_stream_pair()
    await here.send(b"abcdef")
    assert await there.receive(4) == b"abcd"
    assert await there.receive(4) == b"ef"


@pytest.mark.anyio
async def test_a_full_buffer_makes_send_wait() -> None:
    """``send`` waits while the peer's buffer is full and goes on when the peer reads."""
    here, there = memory_stream_pair(buffer_size=4)
    with anyio.move_on_after(10) as waited:
        await here.send(b"abcdef")
    assert waited.cancelled_caught
    assert await there.receive() == b"abcd"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(here.send, b"ghijkl")
        await anyio.wait_all_tasks_blocked()
        assert await there.receive() == b"ghij"
        assert await there.receive() == b"kl"


@pytest.mark.anyio
async def test_a_closed_end_is_an_end_of_stream_for_its_peer() -> None:
    """Data sent before closing is read first, then the stream ends; writing back fails at once."""
    here, there = memory_stream_pair()
    await here.send(b"last")
    await here.aclose()
    assert await there.receive() == b"last"
    for _ in range(2):
        with pytest.raises(anyio.EndOfStream):
            await there.receive()
    with pytest.raises(anyio.BrokenResourceError):
        await there.send(b"x")


@pytest.mark.anyio
async def test_one_direction_can_end() -> None:
    """``send_eof`` ends one direction and leaves the other one open."""
    here, there = memory_stream_pair()
    await here.send_eof()
    with pytest.raises(anyio.EndOfStream):
        await there.receive()
    await there.send(b"still here")
    assert await here.receive() == b"still here"
    with pytest.raises(anyio.ClosedResourceError):
        await here.send(b"x")


@pytest.mark.anyio
async def test_a_reset_breaks_both_directions() -> None:
    """After a reset the peer reads what was sent before it, then gets ``BrokenResourceError`` from both calls."""
    here, there = memory_stream_pair()
    await here.send(b"before")
    here.reset()
    assert await there.receive() == b"before"
    with pytest.raises(anyio.BrokenResourceError):
        await there.receive()
    with pytest.raises(anyio.BrokenResourceError):
        await there.send(b"x")
    with pytest.raises(anyio.ClosedResourceError):
        await here.receive()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("peer closes", anyio.EndOfStream),
        ("peer resets", anyio.BrokenResourceError),
        ("we close", anyio.ClosedResourceError),
    ],
)
async def test_a_blocked_receive_wakes(end: str, expected: type[Exception]) -> None:
    """A receive that waits ends when either end closes from another task."""
    here, there = memory_stream_pair()
    async with anyio.create_task_group() as tasks:

        async def receive() -> None:
            with pytest.raises(expected):
                await here.receive()

        tasks.start_soon(receive)
        await anyio.wait_all_tasks_blocked()
        {"peer closes": there.close, "peer resets": there.reset, "we close": here.close}[end]()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("peer closes", anyio.BrokenResourceError),
        ("peer resets", anyio.BrokenResourceError),
        ("we close", anyio.ClosedResourceError),
    ],
)
async def test_a_blocked_send_wakes(end: str, expected: type[Exception]) -> None:
    """A send that waits for room ends when either end closes from another task."""
    here, there = memory_stream_pair(buffer_size=1)
    async with anyio.create_task_group() as tasks:

        async def send() -> None:
            with pytest.raises(expected):
                await here.send(b"too much")

        tasks.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        {"peer closes": there.close, "peer resets": there.reset, "we close": here.close}[end]()


@pytest.mark.anyio
async def test_closing_happens_before_the_first_checkpoint() -> None:
    """``aclose`` has closed the stream by its first suspension, so a finalizer can drive it with one ``send``."""
    here, there = memory_stream_pair()
    closing = here.aclose()
    closing.send(None)
    closing.close()
    with pytest.raises(anyio.EndOfStream):
        await there.receive()


@pytest.mark.anyio
async def test_a_cancelled_receive_loses_nothing() -> None:
    """A receive that is cancelled while it waits leaves what comes later to the next one."""
    here, there = memory_stream_pair()
    with anyio.move_on_after(1):
        await there.receive()
    await here.send(b"abc")
    assert await there.receive() == b"abc"


@pytest.mark.anyio
async def test_every_call_is_a_checkpoint() -> None:
    """``receive`` and ``send`` notice a cancellation even where they need not wait."""
    here, there = memory_stream_pair()
    await here.send(b"abc")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await there.receive()
    assert scope.cancelled_caught
    with anyio.CancelScope() as scope:
        scope.cancel()
        await there.send(b"x")
    assert scope.cancelled_caught
    assert not here.readable
    assert await there.receive() == b"abc"


@pytest.mark.anyio
async def test_two_readers_are_a_mistake() -> None:
    """A second task that receives from the same stream is told so, as with a socket."""
    here, _ = memory_stream_pair()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(here.receive)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError):
            await here.receive()
        tasks.cancel_scope.cancel()


def test_the_buffer_holds_a_byte_at_least() -> None:
    """A buffer of no bytes would block for ever, and is refused."""
    with pytest.raises(ValueError, match="buffer_size"):
        memory_stream_pair(buffer_size=0)


async def echo(stream: MemoryStream) -> None:
    async with stream:
        await stream.send(await stream.receive())


@pytest.mark.anyio
async def test_a_client_reaches_the_most_exact_listener() -> None:
    """A connection goes to the listener of its host and port, else of its host, its port, or to that of any."""
    network = MemoryNetwork()
    reached: list[str] = []

    async with anyio.create_task_group() as tasks:
        for name, host, port in [("exact", "a", 1), ("host", "a", None), ("port", None, 1), ("any", None, None)]:

            async def handler(stream: MemoryStream, name: str = name) -> None:
                reached.append(name)
                await stream.aclose()

            tasks.start_soon(network.listen(host, port).serve, handler)
        for host, port in [("a", 1), ("a", 2), ("b", 1), ("b", 2)]:
            stream = await network.connect_tcp(host, port)
            assert await stream.read(1) == b""
            await stream.aclose()
        tasks.cancel_scope.cancel()
    assert reached == ["exact", "host", "port", "any"]


@pytest.mark.anyio
async def test_nobody_listens() -> None:
    """Connecting where nobody listens, or no longer, raises httpcore's ``ConnectError``."""
    network = MemoryNetwork()
    async with network.listen("a"):
        with pytest.raises(httpcore.ConnectError, match="b:80"):
            await network.connect_tcp("b", 80)
    with pytest.raises(httpcore.ConnectError, match="a:80"):
        await network.connect_tcp("a", 80)
    with pytest.raises(httpcore.ConnectError):
        await network.connect_unix_socket("/run/server")


@pytest.mark.anyio
async def test_an_address_has_one_listener() -> None:
    """A second listener at the same address is refused, until the first one closes."""
    network = MemoryNetwork()
    first = network.listen("a", 1)
    with pytest.raises(OSError, match="a:1"):
        network.listen("a", 1)
    await first.aclose()
    await network.listen("a", 1).aclose()


@pytest.mark.anyio
async def test_closing_a_listener_resets_who_waits() -> None:
    """Connections that no handler has taken are reset when the listener closes."""
    network = MemoryNetwork()
    async with network.listen():
        stream = await network.connect_tcp("a", 1)
    with pytest.raises(httpcore.ReadError):
        await stream.read(1)
    await stream.aclose()


@pytest.mark.anyio
async def test_time_limits() -> None:
    """``timeout`` of a read and of a write is in seconds of the event loop, and raises httpcore's own errors."""
    network = MemoryNetwork(buffer_size=4)
    async with network.listen():
        stream = await network.connect_tcp("a", 1)
        started = anyio.current_time()
        with pytest.raises(httpcore.ReadTimeout):
            await stream.read(1, timeout=2)
        assert anyio.current_time() - started == pytest.approx(2)
        with pytest.raises(httpcore.WriteTimeout):
            await stream.write(b"too much", timeout=3)
        assert anyio.current_time() - started == pytest.approx(5)
        await stream.aclose()


@pytest.mark.anyio
async def test_errors_are_those_of_httpcore() -> None:
    """What a stream raises is what httpcore's other backends raise; an end of stream reads as no bytes."""
    network = MemoryNetwork()
    async with anyio.create_task_group() as tasks:
        ends: list[MemoryStream] = []

        async def keep(stream: MemoryStream) -> None:
            ends.append(stream)

        tasks.start_soon(network.listen().serve, keep)
        stream = await network.connect_tcp("a", 1)
        await anyio.wait_all_tasks_blocked()
        assert not stream.get_extra_info("is_readable")
        ends[0].close()
        assert stream.get_extra_info("is_readable")
        assert await stream.read(1) == b""
        with pytest.raises(httpcore.WriteError):
            await stream.write(b"x")
        await stream.aclose()
        with pytest.raises(httpcore.ReadError):
            await stream.read(1)
        with pytest.raises(httpcore.WriteError):
            await stream.write(b"x")
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("http2", "offered", "chosen"),
    [
        (True, ["h2", "http/1.1"], "h2"),
        (True, ["http/1.1"], "http/1.1"),
        (True, [], None),
        (False, ["h2", "http/1.1"], "http/1.1"),
        (False, ["h2"], None),
    ],
)
async def test_protocol_negotiation(http2: bool, offered: list[str], chosen: str | None) -> None:
    """TLS is pretended, but negotiates: HTTP/2 where the network has it and the client's context offers it."""
    context = ssl.create_default_context()
    if offered:
        context.set_alpn_protocols(offered)
    network = MemoryNetwork(http2=http2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(network.listen().serve, echo)
        stream = await network.connect_tcp("a", 443)
        assert stream.get_extra_info("ssl_object") is None
        stream = await stream.start_tls(context, server_hostname="a")
        assert stream.get_extra_info("ssl_object").selected_alpn_protocol() == chosen
        await stream.write(b"through")
        assert await stream.read(10) == b"through"
        assert stream.get_extra_info("server_addr") == ("a", 443)
        await stream.aclose()
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_counts() -> None:
    """A network counts connections, open and in all, and bytes each way, of closed connections too."""
    network = MemoryNetwork()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(network.listen().serve, echo)
        first, second = [await network.connect_tcp("a", 1) for _ in range(2)]
        await first.write(b"1234")
        assert await first.read(10) == b"1234"
        assert (network.open_connections, network.total_connections) == (2, 2)
        await first.aclose()
        await first.aclose()
        await second.write(b"56")
        assert (network.open_connections, network.total_connections) == (1, 2)
        assert (network.bytes_sent, network.bytes_received) == (6, 4)
        await second.aclose()
        tasks.cancel_scope.cancel()
    await checkpoint()
    assert repr(network) == "<MemoryNetwork 0 connections open, 2 in all>"


@pytest.mark.realtime
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_client_in_another_event_loop_is_told(backend: str) -> None:
    """Its bytes would wake nobody: it would wait for ever."""
    told: list[str] = []

    def elsewhere(network: MemoryNetwork) -> None:
        try:
            anyio.run(network.connect_tcp, "a.example", 80, backend=backend)
        except RuntimeError as error:
            told.append(str(error))

    async def main() -> None:
        async with Simulator().serve_memory() as network:
            await anyio.wait_all_tasks_blocked()
            await anyio.to_thread.run_sync(elsewhere, network)
            assert (network.open_connections, network.total_connections) == (0, 0)

    anyio.run(main, backend=backend)
    (message,) = told
    assert message.startswith("a network in memory is for the event loop that serves it: for clients in other threads")

"""The HTTP/2 connection, against a server over h2 on streams in memory."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import anyio
import anyio.abc
import anyio.lowlevel
import h2.errors
import h2.settings
import httpcore
import pytest
import trustme
from anyio.streams.tls import TLSListener
from hypothesis import given
from hypothesis import strategies as st

from liter._errors import InvalidHeaderError
from liter._http import HttpRequest, Origin
from liter.transport._connection import Connection, ConnectionRetired, Response
from liter.transport._dial import dial
from liter.transport._http2 import HTTP2Connection
from liter.transport._http2_goaway import GoAway, GoAwayFilter
from liter.transport._http2_session import CONNECTION_WINDOW, MAX_STREAMS, STREAM_WINDOW

from ._h2_server import H2Server, Request, echo
from ._pipe import make_pipe

pytestmark = pytest.mark.anyio

ORIGIN = Origin("https", "api.example.com", 443)
Respond = Callable[[H2Server, Request], Awaitable[None]]


class Peers:
    """A client's connection and the server at its other end."""

    def __init__(self, respond: Respond, *, capacity: int = 1 << 20, **options: bool | int | dict[int, int]) -> None:
        self.stream, self.server_stream = make_pipe(capacity)
        self.server = H2Server(self.server_stream, respond, **options)
        self.released = 0
        self.client = HTTP2Connection(self.stream, ORIGIN, on_release=self.on_release)

    def on_release(self, connection: Connection) -> None:
        assert connection is self.client
        self.released += 1


@asynccontextmanager
async def connected(
    respond: Respond, *, capacity: int = 1 << 20, **options: bool | int | dict[int, int]
) -> AsyncIterator[Peers]:
    peers = Peers(respond, capacity=capacity, **options)
    async with anyio.create_task_group() as group:
        group.start_soon(peers.server.run)
        try:
            yield peers
        finally:
            peers.client.close_nowait()
            group.cancel_scope.cancel()


def make_request(
    path: str = "/", body: bytes = b"", method: str = "POST", headers: tuple[tuple[bytes, bytes], ...] = ()
) -> HttpRequest:
    return HttpRequest(method=method, base_url="https://api.example.com", path=path, body=body, headers=headers)


async def read_all(response: Response) -> bytes:
    body = b""
    while chunk := await response.read_chunk():
        body += chunk
    await response.aclose()
    return body


async def exchange(client: HTTP2Connection, request: HttpRequest) -> bytes:
    return await read_all(await client.send(request))


async def settled() -> None:
    """Wait until all that is under way in memory has come to rest."""
    await anyio.sleep(0.01)


async def test_one_request() -> None:
    """A request reaches the server in HTTP/2's form, its answer comes back, and its place is free."""
    async with connected(echo) as peers:
        headers = ((b"authorization", b"Bearer k"), (b"x-a", b"1"), (b"connection", b"close"), (b"host", b"x"))
        response = await peers.client.send(make_request("/v1/chat?a=1", b"hello", headers=headers))
        assert (response.status, response.headers["x-stream"], response.http_version) == (200, "1", "HTTP/2")
        assert not response.complete
        assert peers.client.active == 1
        assert await response.read_chunk() == b"hello"
        assert await response.read_chunk() == b""
        assert response.complete
        assert (peers.released, peers.client.active) == (1, 0)
        await response.aclose()
        assert peers.released == 1
        sent = peers.server.requests[1]
        assert [pair for pair in sent.headers if pair[0] != "user-agent"] == [
            (":method", "POST"),
            (":authority", "api.example.com"),
            (":scheme", "https"),
            (":path", "/v1/chat?a=1"),
            ("accept-encoding", "identity"),
            ("authorization", "Bearer k"),
            ("x-a", "1"),
            ("content-length", "5"),
        ]
        assert sent.reset is None


@pytest.mark.parametrize("header", [(b"x-a", b"1\r\nx-b: 2"), (b"X-A", b"1"), (b"x a", b"1"), (b"x-a", b"\0")])
async def test_illegal_header(header: tuple[bytes, bytes]) -> None:
    """A header that HTTP/2 does not allow is refused before any of the request is sent, and the connection goes on."""
    async with connected(echo) as peers:
        with pytest.raises(InvalidHeaderError):
            await peers.client.send(make_request(headers=(header,)))
        assert (peers.released, peers.client.active) == (1, 0)
        await settled()
        assert peers.server.requests == {}
        assert await exchange(peers.client, make_request(body=b"a")) == b"a"


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 3_000_000])
@pytest.mark.parametrize("capacity", [1000, 1 << 20])
async def test_bodies_of_any_size(size: int, capacity: int) -> None:
    """Bodies far beyond the flow-control windows and the socket's buffers go both ways whole."""
    body = bytes(range(256)) * (size // 256) + b"z" * (size % 256)
    async with connected(echo, capacity=capacity) as peers:
        assert await exchange(peers.client, make_request(body=body)) == body
        assert peers.released == 1


@pytest.mark.parametrize(("count", "capacity"), [(20, 5000), (2, 300)])
async def test_many_at_once(count: int, capacity: int) -> None:
    """Requests share the connection; each gets its own answer, whole, and each place is freed once.

    The server takes nothing while nobody takes what it says.
    """
    answers: dict[int, bytes] = {}
    async with connected(echo, capacity=capacity) as peers:

        async def one(number: int) -> None:
            answers[number] = await exchange(peers.client, make_request(body=b"%d" % number * 40_000))

        async with anyio.create_task_group() as group:
            for number in range(count):
                group.start_soon(one, number)
        assert answers == {number: b"%d" % number * 40_000 for number in range(count)}
        assert peers.released == count
        assert peers.client.active == 0


async def test_no_window_at_first() -> None:
    """A server that gives a stream room only once it saw the headers gets these before any body."""

    async def respond(server: H2Server, request: Request) -> None:
        if request[":method"] == "POST":
            server.h2.increment_flow_control_window(5, request.stream_id)
            await server.flush()
            while len(request.body) < 5:
                await server.changed.wait()
        await server.head(request, 200, end=True)

    settings = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0}
    async with connected(respond, early=True, settings=settings) as peers:
        await exchange(peers.client, make_request(method="GET"))
        with anyio.fail_after(5):
            await exchange(peers.client, make_request(body=b"hello"))
        assert peers.server.requests[3].body == b"hello"


async def test_window_of_the_connection() -> None:
    """Who waits for room in the connection's window goes on when there is some, though another task reads."""
    go = anyio.Event()

    async def respond(server: H2Server, request: Request) -> None:
        if request.stream_id == 1:
            await go.wait()
        await echo(server, request)

    async with connected(respond, settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1 << 24}) as peers:

        async def lead() -> None:
            await exchange(peers.client, make_request())

        async with anyio.create_task_group() as group:
            group.start_soon(lead)
            await settled()
            assert len(await exchange(peers.client, make_request(body=b"x" * 400_000))) == 400_000
            go.set()


async def test_slow_reader_holds_back_its_own_stream_only() -> None:
    """The server may not send more than a window to one who does not read; others go on; nothing is lost."""
    async with connected(echo) as peers:
        slow = await peers.client.send(make_request(f"/{4 * STREAM_WINDOW}"))
        for _ in range(3):
            assert len(await exchange(peers.client, make_request(f"/{2 * STREAM_WINDOW}"))) == 2 * STREAM_WINDOW
        assert peers.server.h2.local_flow_control_window(1) == 0
        assert len(await read_all(slow)) == 4 * STREAM_WINDOW


async def test_left_early() -> None:
    """A response that is closed before its end resets its stream, once, and gives the window back."""
    async with connected(echo) as peers:
        for number in range(CONNECTION_WINDOW // STREAM_WINDOW + 5):
            response = await peers.client.send(make_request(f"/{2 * STREAM_WINDOW}"))
            await settled()
            assert await exchange(peers.client, make_request(body=b"reads for all")) == b"reads for all"
            if number % 2:
                assert len(await response.read_chunk()) == STREAM_WINDOW
            await response.aclose()
            await response.aclose()
            with pytest.raises(httpcore.ReadError):
                await response.read_chunk()
        await settled()
        requests = peers.server.requests.values()
        assert [r.reset for r in requests] == [None if r.body else h2.errors.ErrorCodes.CANCEL for r in requests]
        assert peers.released == len(requests)
        assert peers.client.available()
        assert peers.server.h2.outbound_flow_control_window > CONNECTION_WINDOW // 2


async def test_limit_of_streams() -> None:
    """The server's limit of streams is ours, and a place that comes free counts."""
    settings = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 2}
    async with connected(echo, settings=settings) as peers:
        assert await exchange(peers.client, make_request()) == b""
        first = await peers.client.send(make_request("/1000000"))
        assert peers.client.available()
        await peers.client.send(make_request("/1000000"))
        assert not peers.client.available()
        with pytest.raises(ConnectionRetired):
            await peers.client.send(make_request())
        await first.aclose()
        assert peers.client.available()


async def test_limit_of_streams_when_the_server_has_none() -> None:
    """Without a limit of the server's, ours keeps the windows of all streams within the connection's."""
    async with connected(echo) as peers:
        for _ in range(MAX_STREAMS):
            assert peers.client.available()
            await peers.client.send(make_request("/1000000"))
        assert not peers.client.available()


async def test_informational_responses_and_trailers_are_skipped() -> None:
    """103 before the answer and trailers after it are not the answer."""

    async def respond(server: H2Server, request: Request) -> None:
        await server.head(request, 103, ("link", "x"))
        await server.head(request, 201)
        await server.data(request, b"body")
        server.h2.send_headers(request.stream_id, [("x-sum", "1")], end_stream=True)
        await server.flush()

    async with connected(respond) as peers:
        response = await peers.client.send(make_request())
        assert response.status == 201
        assert await read_all(response) == b"body"


async def test_answer_without_body_is_complete_at_once() -> None:
    """An answer that ends with its head needs no reading to free its place."""

    async def respond(server: H2Server, request: Request) -> None:
        await server.head(request, 204, end=True)

    async with connected(respond) as peers:
        response = await peers.client.send(make_request(method="GET"))
        assert response.complete
        assert peers.released == 1
        assert await read_all(response) == b""


async def test_pings_are_answered() -> None:
    """A ping is answered by whoever waits, and one that came to an idle connection by the next request."""

    async def respond(server: H2Server, request: Request) -> None:
        server.h2.ping(b"12345678")
        await echo(server, request)
        server.h2.ping(b"12345678")
        await server.flush()

    async with connected(respond) as peers:
        for _ in range(3):
            assert await exchange(peers.client, make_request(body=b"a")) == b"a"
            await settled()
            assert not peers.client.stale()
        assert peers.server.pongs >= 5


@pytest.mark.parametrize(("capacity", "window"), [(20_000, 65535), (1 << 20, 10_000_000)])
async def test_early_answer(capacity: int, window: int) -> None:
    """An answer that comes before all of the body was sent stops the sending, and is given to the caller."""

    async def respond(server: H2Server, request: Request) -> None:
        await server.head(request, 413)
        await server.data(request, b"too large", end=True)
        server.h2.reset_stream(request.stream_id, h2.errors.ErrorCodes.NO_ERROR)
        await server.flush()

    settings = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window}
    async with connected(respond, capacity=capacity, early=True, settings=settings, window=window) as peers:
        response = await peers.client.send(make_request(body=b"x" * 5_000_000))
        assert response.status == 413
        assert await read_all(response) == b"too large"
        assert peers.stream.written < 2_000_000
        peers.server.respond, peers.server.early = echo, False
        assert await exchange(peers.client, make_request(body=b"next")) == b"next"


async def test_early_answer_without_reset() -> None:
    """Where the server ended its answer and waits for no more of the body, the rest is called off by us."""

    async def respond(server: H2Server, request: Request) -> None:
        await server.head(request, 401, end=True)

    async with connected(respond, early=True, deaf=True) as peers:
        response = await peers.client.send(make_request(body=b"x" * 200_000))
        assert response.status == 401
        await response.aclose()
        await settled()
        assert peers.server.requests[1].reset == h2.errors.ErrorCodes.CANCEL


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (h2.errors.ErrorCodes.REFUSED_STREAM, ConnectionRetired),
        (h2.errors.ErrorCodes.INTERNAL_ERROR, httpcore.RemoteProtocolError),
        (0x1234, httpcore.RemoteProtocolError),
    ],
)
async def test_reset_by_the_server(code: int, kind: type[Exception]) -> None:
    """A stream that the server resets fails, only a refused one may be sent again; the connection goes on."""

    async def respond(server: H2Server, request: Request) -> None:
        server.h2.reset_stream(request.stream_id, code)
        await server.flush()

    async with connected(respond) as peers:
        with pytest.raises(httpcore.RemoteProtocolError) as caught:
            await peers.client.send(make_request())
        assert type(caught.value) is kind
        peers.server.respond = echo
        assert await exchange(peers.client, make_request(body=b"a")) == b"a"
        assert peers.released == 2


async def test_reset_after_some_of_the_body() -> None:
    """What came before a reset is given out first, then the error, which names the server's reason."""

    async def respond(server: H2Server, request: Request) -> None:
        await server.head(request)
        await server.data(request, b"some")
        server.h2.reset_stream(request.stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
        await server.flush()

    async with connected(respond) as peers:
        response = await peers.client.send(make_request())
        await settled()
        assert await response.read_chunk() == b"some"
        with pytest.raises(httpcore.RemoteProtocolError, match="INTERNAL_ERROR"):
            await response.read_chunk()
        await response.aclose()
        assert peers.released == 1


async def test_goaway_under_load() -> None:
    """After GOAWAY older streams go on to their end, later ones may be sent again, and no new one is begun."""
    later = anyio.Event()
    refused = anyio.Event()

    async def respond(server: H2Server, request: Request) -> None:
        if request.stream_id == 1:
            await server.head(request)
            await server.data(request, b"first,")
            await later.wait()
            await server.goaway(1, 0, b"restart")
            await refused.wait()
            await server.data(request, b"last", end=True)
        else:
            later.set()

    async with connected(respond) as peers:
        response = await peers.client.send(make_request())
        assert await response.read_chunk() == b"first,"

        async def older() -> None:
            assert await read_all(response) == b"last"

        async with anyio.create_task_group() as group:
            group.start_soon(older)
            await settled()
            with pytest.raises(ConnectionRetired, match="NO_ERROR restart"):
                await peers.client.send(make_request())
            refused.set()
        assert not peers.client.available()
        assert not peers.client.closed
        assert peers.released == 2


async def test_goaway_while_idle() -> None:
    """A connection that the server gave up while it was idle refuses a request before sending any of it."""
    async with connected(echo) as peers:
        assert await exchange(peers.client, make_request(body=b"a")) == b"a"
        await peers.server.goaway(1)
        written = peers.stream.written
        with pytest.raises(ConnectionRetired):
            await peers.client.send(make_request(body=b"b"))
        assert len(peers.server.requests) == 1
        assert peers.stream.written - written < 50
        assert peers.released == 2


@pytest.mark.parametrize("used", [False, True])
async def test_closed_by_the_server(used: bool) -> None:
    """A request that meets a closing may be sent again if the connection had worked before."""
    async with connected(echo) as peers:
        if used:
            await exchange(peers.client, make_request())
        await peers.server.stream.aclose()
        with pytest.raises((httpcore.RemoteProtocolError, httpcore.ReadError)) as caught:
            await peers.client.send(make_request())
        assert isinstance(caught.value, ConnectionRetired) is used
        assert peers.client.closed
        assert peers.client.stale()
        assert not peers.client.available()


async def test_closed_in_the_middle() -> None:
    """When the connection breaks, every request on it fails after what had come, and each place is freed once."""

    async def respond(server: H2Server, request: Request) -> None:
        await server.head(request)
        await server.data(request, b"some")
        if request.stream_id == 3:
            await server.stream.aclose()

    async with connected(respond) as peers:
        responses = [await peers.client.send(make_request()) for _ in range(2)]
        for response in responses:
            assert await response.read_chunk() == b"some"
            with pytest.raises(httpcore.RemoteProtocolError, match="closed the connection"):
                await response.read_chunk()
            await response.aclose()
        assert peers.released == 2


async def test_answer_before_a_broken_write() -> None:
    """An answer that is whole is given out though the server closed without waiting for our part."""

    async def respond(server: H2Server, request: Request) -> None:
        server.h2.ping(b"12345678")
        server.h2.send_headers(request.stream_id, [(":status", "200")])
        server.h2.send_data(request.stream_id, b"all", end_stream=True)
        await server.flush()

    async with connected(respond) as peers:
        await exchange(peers.client, make_request())
        writes = 0

        def on_io(what: str) -> None:
            nonlocal writes
            writes += what == "write"
            if writes == 2:  # the answer to the ping
                peers.server_stream.close_nowait()

        peers.stream.on_io = on_io
        assert await exchange(peers.client, make_request()) == b"all"
        assert not peers.client.available()


async def test_broken_http2() -> None:
    """A peer that breaks HTTP/2 is an error of its own, and the connection is closed."""
    async with connected(echo, greet=False) as peers:
        await peers.server_stream.write(bytes(9))  # DATA on stream 0
        with pytest.raises(httpcore.RemoteProtocolError, match="HTTP/2"):
            await peers.client.send(make_request())
        assert peers.client.closed


async def test_headers_too_large() -> None:
    """A response whose headers have no end is refused."""

    async def respond(server: H2Server, request: Request) -> None:
        await server.head(request, 200, *[(f"x-{number}", "y" * 1000) for number in range(100)])

    async with connected(respond) as peers:
        with pytest.raises(httpcore.RemoteProtocolError):
            await peers.client.send(make_request())


async def test_close_nowait() -> None:
    """Closing here ends all that wait, with an error, and is done at once."""
    async with connected(echo) as peers:
        response = await peers.client.send(make_request("/10000000"))

        async def read() -> None:
            with pytest.raises(httpcore.ReadError):
                await read_all(response)
            await response.aclose()

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await anyio.lowlevel.checkpoint()
            peers.client.close_nowait()
            peers.client.close_nowait()
            assert peers.stream.closed
        assert peers.released == 1


async def scenario(peers: Peers, cancel_at: int) -> bool:
    """Two streams that get in each other's way; the first one is cancelled at the k-th checkpoint of the network.

    Returns whether it came so far.
    """
    count = 0
    scope = anyio.CancelScope()

    def on_io(_: str) -> None:
        nonlocal count
        count += 1
        if count == cancel_at:
            scope.cancel()

    peers.stream.on_io = on_io
    body = b"b" * 70_000

    async def victim() -> None:
        with scope:
            response = await peers.client.send(make_request(body=b"a" * 100_000))
            try:
                await response.read_chunk()
                await response.read_chunk()
            finally:
                await response.aclose()

    answers: list[bytes] = []

    async def bystander() -> None:
        answers.append(await exchange(peers.client, make_request(body=body)))

    async with anyio.create_task_group() as group:
        group.start_soon(victim)
        group.start_soon(bystander)
    assert answers == [body]
    assert (peers.released, peers.client.active) == (2, 0)
    assert peers.client.available()
    assert await exchange(peers.client, make_request(body=b"after")) == b"after"
    await settled()
    for request in peers.server.requests.values():
        assert (
            request.reset is not None
            or request.stream_id not in peers.server.h2.streams
            or (peers.server.h2.streams[request.stream_id].closed)
        )
    return count >= cancel_at


@pytest.mark.parametrize("capacity", [3000, 1 << 20])
async def test_cancelled_at_every_checkpoint(capacity: int) -> None:
    """Wherever a request is cancelled, it leaves nothing: others go on, and the connection takes more."""
    for cancel_at in range(1, 2000):
        async with connected(echo, capacity=capacity) as peers:
            with anyio.fail_after(60):
                if not await scenario(peers, cancel_at):
                    break
    else:
        pytest.fail("the scenario has no end")
    assert cancel_at > 10


async def test_cancelled_in_a_write_that_never_ends() -> None:
    """A write that cannot be finished within the grace closes the connection: the peer has a torn frame."""
    peers = Peers(echo, capacity=100)  # and nobody reads at the other end
    start = anyio.current_time()
    with anyio.move_on_after(5):
        await peers.client.send(make_request(body=b"x" * 1000))
    assert 5 < anyio.current_time() - start < 6.5
    assert peers.client.closed
    assert peers.released == 1


async def test_follower_takes_the_lead() -> None:
    """When the task that reads for all is cancelled, another one reads on."""
    go = anyio.Event()

    async def respond(server: H2Server, request: Request) -> None:
        if request.stream_id != 1:
            await go.wait()
            await echo(server, request)

    async with connected(respond) as peers:
        leader = anyio.CancelScope()

        async def lead() -> None:
            with leader:
                await peers.client.send(make_request())

        async def follow() -> None:
            assert await exchange(peers.client, make_request(body=b"a")) == b"a"

        async with anyio.create_task_group() as group:
            group.start_soon(lead)
            await settled()
            for _ in range(3):
                group.start_soon(follow)
            await settled()
            leader.cancel()
            await settled()
            go.set()
        assert peers.server.requests[1].reset == h2.errors.ErrorCodes.CANCEL


@given(st.data())
def test_goaway_filter(data: st.DataObject) -> None:
    """Frames pass unchanged and in order, GOAWAY is taken out, at any cuts."""
    kinds = st.sampled_from([0, 1, 4, 6, 7, 7, 8])
    frames = data.draw(st.lists(st.tuples(kinds, st.binary(min_size=8, max_size=40)), max_size=8))
    wire, expected = b"", b""
    goaways: list[tuple[int, GoAway]] = []
    for kind, payload in frames:
        frame = len(payload).to_bytes(3, "big") + bytes([kind]) + bytes(5) + payload
        wire += frame
        if kind == 7:
            last = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
            goaways.append((len(expected), GoAway(last, int.from_bytes(payload[4:8], "big"), payload[8:])))
        else:
            expected += frame
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=12)))
    edges = [0, *cuts, len(wire)]
    goaway_filter = GoAwayFilter()
    passed, found = b"", []
    for start, end in pairwise(edges):
        for part in goaway_filter.split(wire[start:end]):
            if isinstance(part, GoAway):
                found.append((len(passed), part))
            else:
                passed += part
    assert passed == expected
    assert found == goaways


@pytest.mark.realtime
async def test_over_tls() -> None:
    """Over a real socket with TLS, ALPN chooses HTTP/2 and requests are answered."""
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server_context)
    server_context.set_alpn_protocols(["h2"])
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    client_context.set_alpn_protocols(["h2", "http/1.1"])

    async def handle(stream: anyio.abc.ByteStream) -> None:
        await H2Server(httpcore_stream(stream), echo).run()

    sockets = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = sockets.extra(anyio.abc.SocketAttribute.local_port)
    listener = TLSListener(sockets, server_context, standard_compatible=False)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, handle)
        origin = Origin("https", "localhost", port)
        dialled = await dial(origin, backend=httpcore.AnyIOBackend(), ssl_context=client_context, timeout=10)
        assert dialled.protocol == "h2"
        client = HTTP2Connection(dialled.stream, origin, on_release=lambda _: None)
        for body in (b"a", b"b" * 300_000):
            request = HttpRequest(method="POST", base_url=str(origin), path="/", body=body)
            assert await exchange(client, request) == body
        client.close_nowait()
        group.cancel_scope.cancel()


def httpcore_stream(stream: anyio.abc.ByteStream) -> httpcore.AsyncNetworkStream:
    from httpcore._backends.anyio import AnyIOStream

    return AnyIOStream(stream)

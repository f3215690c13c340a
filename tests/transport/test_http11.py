"""The HTTP/1.1 connection over a scripted stream: what it writes, when it may be used again."""

import anyio
import anyio.lowlevel
import httpcore
import pytest

from liter._errors import InvalidHeaderError
from liter._http import HttpRequest, Origin
from liter._version import __version__
from liter.transport import ConnectionRetired
from liter.transport._http11 import HTTP11Connection

pytestmark = pytest.mark.anyio

ORIGIN = Origin("http", "host", 8000)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
REQUEST = HttpRequest(
    method="POST", base_url="http://host:8000/v1", path="/chat", headers=((b"x-a", b"1"),), body=b"{}"
)


class ScriptedStream(httpcore.AsyncNetworkStream):
    """Gives out what the script says: bytes, an error to raise, or ``None`` to wait for ever."""

    def __init__(self, *reads: bytes | Exception | None, write_error: Exception | None = None) -> None:
        self.reads = list(reads)
        self.write_error = write_error
        self.written = b""
        self.closed = False
        self.readable = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        await anyio.lowlevel.checkpoint()
        if not self.reads:
            return b""
        read = self.reads.pop(0)
        if read is None:
            await anyio.sleep_forever()
        if isinstance(read, Exception):
            raise read
        assert read is not None
        return read

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await anyio.lowlevel.checkpoint()
        if self.write_error is not None:
            raise self.write_error
        self.written += buffer

    async def aclose(self) -> None:
        self.closed = True
        await anyio.lowlevel.checkpoint()

    def get_extra_info(self, info: str) -> object:
        return self.readable if info == "is_readable" else None


class Releases:
    """Counts how often a connection said that it is free."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, connection: HTTP11Connection) -> None:
        self.count += 1


def connect(stream: ScriptedStream, **options: object) -> tuple[HTTP11Connection, Releases]:
    releases = Releases()
    return HTTP11Connection(stream, ORIGIN, on_release=releases, **options), releases


async def test_a_request_on_the_wire() -> None:
    """Head and body go out as one write, framed by us."""
    connection, _ = connect(stream := ScriptedStream(OK))
    await connection.send(REQUEST)
    assert stream.written == (
        b"POST /v1/chat HTTP/1.1\r\nhost: host:8000\r\nuser-agent: liter/%s\r\naccept-encoding: identity\r\n"
        b"x-a: 1\r\ncontent-length: 2\r\n\r\n{}" % __version__.encode()
    )


async def test_a_get_has_no_length_and_a_plain_proxy_gets_the_absolute_form() -> None:
    """Through an HTTP proxy, the target is the whole URL, and the proxy's headers come along."""
    connection, _ = connect(stream := ScriptedStream(OK), proxy_headers=((b"proxy-authorization", b"Basic eA=="),))
    await connection.send(HttpRequest(method="GET", base_url="http://host:8000", path="/models"))
    assert stream.written.startswith(b"GET http://host:8000/models HTTP/1.1\r\nhost: host:8000\r\n")
    assert b"proxy-authorization: Basic eA==\r\n" in stream.written
    assert b"content-length" not in stream.written


@pytest.mark.parametrize("header", [(b"x-a", b"1\r\nx-b: 2"), (b"x a", b"1"), (b"x-a", b"\x00"), (b"", b"1")])
async def test_no_header_can_break_the_message(header: tuple[bytes, bytes]) -> None:
    """What slipped past all other checks is stopped before a byte is written."""
    connection, releases = connect(stream := ScriptedStream(OK))
    with pytest.raises(InvalidHeaderError):
        await connection.send(HttpRequest(method="POST", base_url="http://host", path="/", headers=(header,)))
    assert (stream.written, releases.count, connection.closed) == (b"", 1, True)


async def test_a_complete_body_frees_the_connection_at_once() -> None:
    """The connection is free as soon as the last byte is in, and only once, and takes another request."""
    connection, releases = connect(ScriptedStream(OK, OK))
    first = await connection.send(REQUEST)
    assert not connection.available()
    assert await first.read_chunk() == b"hello"
    assert (releases.count, connection.available()) == (1, True)
    second = await connection.send(REQUEST)
    await first.aclose()
    assert not connection.available()
    assert await second.read_chunk() == b"hello"
    assert await second.read_chunk() == b""
    await second.aclose()
    assert (releases.count, connection.requests, connection.closed) == (2, 2, False)


async def test_leaving_early_closes() -> None:
    """A body that is not read to its end is cut off by closing: nothing is drained."""
    connection, releases = connect(stream := ScriptedStream(OK[:-2], None))
    response = await connection.send(REQUEST)
    assert await response.read_chunk() == b"hel"
    await response.aclose()
    assert (stream.closed, connection.closed, releases.count) == (True, True, 1)
    with pytest.raises(httpcore.ReadError):
        await response.read_chunk()


@pytest.mark.parametrize("tail", [b"x", b"HTTP/1.1 200 OK\r\n"])
async def test_bytes_after_the_response_make_the_connection_unfit(tail: bytes) -> None:
    """A server that says more than it was asked is not asked again."""
    connection, _ = connect(ScriptedStream(OK + tail))
    response = await connection.send(REQUEST)
    assert await response.read_chunk() == b"hello"
    assert connection.closed


async def test_readable_while_idle_is_stale() -> None:
    """An idle connection with something to be read was closed by its peer."""
    connection, _ = connect(stream := ScriptedStream(OK))
    assert not connection.stale()
    stream.readable = True
    assert connection.stale()


@pytest.mark.parametrize("failure", [b"", httpcore.ReadError("reset")])
async def test_a_reused_connection_that_died_before_a_byte_is_retired(failure: bytes | Exception) -> None:
    """On a reused connection, a failure before any byte of the answer may be repeated; on a new one not."""
    connection, _ = connect(ScriptedStream(OK, failure))
    await (await connection.send(REQUEST)).read_chunk()
    with pytest.raises(ConnectionRetired):
        await connection.send(REQUEST)
    assert connection.closed
    fresh, releases = connect(ScriptedStream(failure))
    with pytest.raises((httpcore.ReadError, httpcore.RemoteProtocolError)) as caught:
        await fresh.send(REQUEST)
    assert not isinstance(caught.value, ConnectionRetired)
    assert (fresh.closed, releases.count) == (True, 1)


async def test_a_failure_after_the_first_byte_is_final() -> None:
    """Once the server has begun to answer, the request is not sent again."""
    connection, _ = connect(ScriptedStream(OK, b"HTTP/1.1 2", b""))
    await (await connection.send(REQUEST)).read_chunk()
    with pytest.raises(httpcore.RemoteProtocolError) as caught:
        await connection.send(REQUEST)
    assert not isinstance(caught.value, ConnectionRetired)


async def test_an_early_answer_to_a_large_body_is_read() -> None:
    """A server may refuse a large body and close before it has read it all; its answer counts."""
    answer = b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno"
    connection, _ = connect(ScriptedStream(answer, write_error=httpcore.WriteError("broken pipe")))
    request = HttpRequest(method="POST", base_url="http://host", path="/", body=b"x" * 200_000)
    response = await connection.send(request)
    assert (response.status, await response.read_chunk(), connection.closed) == (413, b"no", True)


async def test_cancellation_at_each_checkpoint_closes_and_releases() -> None:
    """Cancelled while writing, waiting for the head, or reading the body: closed, and released once."""
    for steps in range(1, 6):
        connection, releases = connect(stream := ScriptedStream(OK[:20], OK[20:-3], OK[-3:]))
        done = False
        async with anyio.create_task_group() as tasks:

            async def call() -> None:
                nonlocal done
                response = await connection.send(REQUEST)  # noqa: B023 # it is over before the next turn
                try:
                    while await response.read_chunk():
                        pass
                    done = True
                finally:
                    await response.aclose()

            tasks.start_soon(call)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        assert releases.count == 1 or stream.written == b""
        assert connection.closed or done or connection.requests == 0

"""An HTTP/1.1 connection over a network stream of httpcore's backends."""

import re
import select
import sys
from collections.abc import Callable

import httpcore

from .._errors import InvalidHeaderError
from .._http import Headers, HttpRequest, Origin, RawHeaders
from .._version import __version__
from ._close import close_nowait
from ._connection import ConnectionRetired
from ._http11_parser import ResponseParser

# The size of anyio's and asyncio's own reads; a larger one gains nothing measurable on loopback.
READ_SIZE = 64 * 1024
# Below this, copying head and body together costs less than a second write.
JOIN_BELOW = 128 * 1024

_HEADER_BLOCK = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t -~\x80-\xff]*\r\n)*")
_COMMON = f"user-agent: liter/{__version__}\r\naccept-encoding: identity\r\n".encode()


class HTTP11Connection:
    """One request at a time over one stream. When a request is over it calls ``on_release(self)``, once.

    :param proxy_headers: for a plain-http proxy: the target is sent in absolute form, with these headers
    """

    http_version = "HTTP/1.1"
    multiplexed = False

    __slots__ = (
        "__weakref__",
        "_busy",
        "_on_release",
        "_poll",
        "_proxy_headers",
        "_stream",
        "closed",
        "idle_since",
        "origin",
        "requests",
    )

    def __init__(
        self,
        stream: httpcore.AsyncNetworkStream,
        origin: Origin,
        *,
        on_release: Callable[["HTTP11Connection"], None],
        proxy_headers: RawHeaders | None = None,
    ) -> None:
        self._stream = stream
        self._on_release = on_release
        self._proxy_headers = proxy_headers
        self._busy = False
        self._poll = _poll(stream)
        self.origin = origin
        self.requests = 0
        self.closed = False
        self.idle_since = 0.0

    @property
    def active(self) -> int:
        return int(self._busy)

    def available(self) -> bool:
        return not self._busy and not self.closed

    def stale(self) -> bool:
        # While it is idle the peer has nothing to say, so anything to be read is an end of stream, or wrong.
        if self._poll is not None:
            return bool(self._poll.poll(0))
        return bool(self._stream.get_extra_info("is_readable"))

    async def send(self, request: HttpRequest) -> "HTTP11Response":
        reused = self.requests > 0
        self._busy = True
        self.requests += 1
        parser = ResponseParser(request.method)
        answered = False
        try:
            head, body = self._serialize(request), request.content
            try:
                if not isinstance(body, bytes):
                    await self._stream.write(head)
                    while piece := await body.read():
                        await self._stream.write(piece)
                elif len(body) < JOIN_BELOW:
                    await self._stream.write(head + body)
                else:
                    await self._stream.write(head)
                    await self._stream.write(body)
            except httpcore.WriteError:
                # The server may have answered and closed without reading all of the body (413, 401).
                if len(body) < JOIN_BELOW:
                    raise
            while (response := parser.take_head()) is None:
                data = await self.read()
                if not data:
                    parser.end()
                answered = True
                parser.feed(data)
        except (httpcore.NetworkError, httpcore.RemoteProtocolError) as error:
            self.release(reusable=False)
            if reused and not answered:
                raise ConnectionRetired(str(error) or "the connection broke while it was idle") from error
            raise
        except BaseException:
            self.release(reusable=False)
            raise
        return HTTP11Response(self, parser, response.status, response.headers, response.keep_alive)

    def _serialize(self, request: HttpRequest) -> bytes:
        target = request.target
        headers = request.headers
        if self._proxy_headers is not None:
            target = str(self.origin).encode("ascii") + target
            headers = self._proxy_headers + headers
        host = str(self.origin).partition("://")[2]
        lines = [name + b": " + value + b"\r\n" for name, value in headers]
        block = b"".join(lines)
        if _HEADER_BLOCK.fullmatch(block) is None or block.count(b"\n") != len(headers):
            raise InvalidHeaderError("a header has a line break or a control character in it")
        size = len(request.content)
        length = b"content-length: %d\r\n" % size if size or request.method != "GET" else b""
        return b"%s %s HTTP/1.1\r\nhost: %s\r\n%s%s%s\r\n" % (
            request.method.encode("ascii"),
            target,
            host.encode("ascii"),
            _COMMON,
            block,
            length,
        )

    async def read(self) -> bytes:
        """Read some bytes of the response; ``b""`` when the peer has closed. For the response only."""
        return await self._stream.read(READ_SIZE)

    def release(self, *, reusable: bool) -> None:
        """The request is over. For the response only."""
        if self._busy:
            self._busy = False
            if not reusable:
                self.close_nowait()
            self._on_release(self)

    def close_nowait(self) -> None:
        if not self.closed:
            self.closed = True
            close_nowait(self._stream)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "busy" if self._busy else "idle"
        return f"<HTTP11Connection {self.origin} {state}, {self.requests} requests>"


if sys.platform != "win32":

    def _poll(stream: httpcore.AsyncNetworkStream) -> "select.poll | None":
        """Watch a stream's socket, if it has one: asking the stream each time costs 20 us under anyio."""
        raw = stream.get_extra_info("socket")
        if raw is None:
            return None
        poll = select.poll()
        poll.register(raw.fileno(), select.POLLIN)
        return poll

else:

    def _poll(stream: httpcore.AsyncNetworkStream) -> None:
        return None


class HTTP11Response:
    """A response whose head is in."""

    http_version = "HTTP/1.1"

    __slots__ = ("_connection", "_keep_alive", "_parser", "headers", "status")

    def __init__(
        self, connection: HTTP11Connection, parser: ResponseParser, status: int, headers: Headers, keep_alive: bool
    ) -> None:
        self._connection: HTTP11Connection | None = connection
        self._parser = parser
        self._keep_alive = keep_alive
        self.status = status
        self.headers = headers
        if parser.complete:
            self._let_go()

    @property
    def complete(self) -> bool:
        return self._parser.complete

    async def read_chunk(self) -> bytes:
        parser, connection = self._parser, self._connection
        while True:
            body = parser.take_body()
            if parser.complete:
                # At once and not at aclose: the caller may take its time, others wait for a connection.
                self._let_go()
                return body
            if body:
                return body
            if connection is None:
                raise httpcore.ReadError("the response was closed")
            data = await connection.read()
            if data:
                parser.feed(data)
            else:
                parser.end()

    async def aclose(self) -> None:
        self._let_go()

    def _let_go(self) -> None:
        parser, connection = self._parser, self._connection
        if connection is not None:
            self._connection = None
            connection.release(reusable=parser.complete and self._keep_alive and not parser.surplus)

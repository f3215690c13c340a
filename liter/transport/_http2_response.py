"""One request on an HTTP/2 connection, and its response."""

from collections import deque
from typing import TYPE_CHECKING

import httpcore

from .._http import Headers

if TYPE_CHECKING:
    from ._http2 import HTTP2Connection


class Http2Stream:
    """One request and its response."""

    __slots__ = ("done", "ended", "error", "head", "heard", "held", "id", "inbox", "sent", "taken")

    def __init__(self, stream_id: int, heard: int) -> None:
        self.id = stream_id
        self.heard = heard  # how often the connection had heard of the peer when the request was made
        self.head: tuple[int, Headers] | None = None
        self.inbox: deque[bytes] = deque()
        self.held = 0  # flow-controlled bytes in the inbox
        self.taken = 0  # and of what its reader took, not yet given back to the peer's window
        self.sent = False  # the whole request
        self.ended = False  # the whole response was received
        self.error: httpcore.RemoteProtocolError | None = None
        self.done = False


class HTTP2Response:
    """A response whose head is in."""

    http_version = "HTTP/2"

    __slots__ = ("_connection", "_stream", "headers", "status")

    def __init__(self, connection: "HTTP2Connection", stream: Http2Stream, status: int, headers: Headers) -> None:
        self._connection = connection
        self._stream = stream
        self.status = status
        self.headers = headers

    @property
    def complete(self) -> bool:
        return self._stream.ended and not self._stream.inbox

    async def read_chunk(self) -> bytes:
        if self._stream.done and not self.complete:
            raise httpcore.ReadError("the response was closed")
        return await self._connection.read(self._stream)

    async def aclose(self) -> None:
        await self._connection.finish(self._stream)

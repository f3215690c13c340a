"""What the pool and the exchange know of a connection, whatever HTTP version it speaks."""

from typing import Protocol

import httpcore

from .._http import Headers, HttpRequest, Origin


class ConnectionRetired(httpcore.RemoteProtocolError):
    """The peer gave the connection up before it did anything with this request: it may be sent again."""


class Response(Protocol):
    """A response whose head is in. Whoever got it closes it."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def http_version(self) -> str: ...
    @property
    def complete(self) -> bool:
        """Whether all of the body has been received."""
        ...

    async def read_chunk(self) -> bytes:
        """Return the next piece of the body, or ``b""`` at its end.

        :raises httpcore.RemoteProtocolError: the body ends early or breaks its framing
        :raises httpcore.ReadError: the connection broke
        """
        ...

    async def aclose(self) -> None:
        """Let go of the connection: back to the pool when the body is complete, else closed (HTTP/1.1)
        or its stream reset (HTTP/2). Never drains. Idempotent; bounded; not stopped by cancellation.
        """
        ...


class Connection(Protocol):
    """One connection to an origin. It tells its pool by ``on_release(connection)`` each time a request is over."""

    @property
    def origin(self) -> Origin: ...
    @property
    def http_version(self) -> str: ...
    @property
    def multiplexed(self) -> bool:
        """Whether it takes several requests at once."""
        ...

    @property
    def requests(self) -> int:
        """How many requests were sent over it."""
        ...

    @property
    def active(self) -> int:
        """How many requests are under way on it."""
        ...

    idle_since: float  # event-loop time of its last release; the pool sets it

    @property
    def closed(self) -> bool: ...

    def available(self) -> bool:
        """Whether it takes one more request now."""
        ...

    def stale(self) -> bool:
        """Whether the peer closed it, or spoke out of turn, while it was idle."""
        ...

    async def send(self, request: HttpRequest) -> Response:
        """Send a request and return at the response's head.

        :raises ConnectionRetired: the peer closed before any byte of an answer, on a reused connection
        :raises httpcore.NetworkError, httpcore.ProtocolError: the connection broke
        """
        ...

    def close_nowait(self) -> None:
        """Close at once, without waiting for anything. Idempotent."""
        ...

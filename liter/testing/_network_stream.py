"""A connection in memory: two byte streams between tasks of one event loop.

They behave as TCP does where it matters to a client or a server: bounded buffers, an end of stream in each
direction, resets, and a peer that leaves while we wait for it. They differ in two points, to be exact where TCP is a
race: writing to a peer that has closed fails at once, and closing with unread data ends the stream for the peer, it
does not reset it.
"""

from collections.abc import Callable

import anyio
from anyio.abc import ByteStream
from anyio.lowlevel import checkpoint

# What Linux gives a loopback socket, in order of magnitude.
BUFFER_SIZE = 64 * 1024


class _Pipe:
    """One direction of a connection."""

    __slots__ = ("_changed", "abandoned", "broken", "data", "ended", "limit", "total")

    def __init__(self, limit: int) -> None:
        self.data: bytearray = bytearray()
        self.limit: int = limit
        self.total: int = 0
        self.ended: bool = False
        self.abandoned: bool = False
        self.broken: bool = False
        self._changed: anyio.Event | None = None

    def change(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()

    async def wait_change(self) -> None:
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()


class MemoryStream(ByteStream):
    """One end of a connection; :func:`memory_stream_pair` makes both.

    :param on_close: called with this end, once, when it closes
    """

    def __init__(
        self, incoming: _Pipe, outgoing: _Pipe, on_close: Callable[["MemoryStream"], None] | None = None
    ) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._on_close = on_close
        self._closed = False
        self._receiving = anyio.ResourceGuard("receiving from")
        self._sending = anyio.ResourceGuard("sending to")

    @property
    def readable(self) -> bool:
        """Whether ``receive`` would return, or raise, at once."""
        pipe = self._incoming
        return bool(pipe.data) or pipe.ended or pipe.broken or self._closed

    @property
    def bytes_received(self) -> int:
        """Bytes that the peer has sent, read here or not."""
        return self._incoming.total

    @property
    def bytes_sent(self) -> int:
        """Bytes sent from here, read by the peer or not."""
        return self._outgoing.total

    async def receive(self, max_bytes: int = BUFFER_SIZE) -> bytes:
        """Wait for data and return what there is, at most ``max_bytes``. A reset comes after the data sent before it.

        :raises anyio.EndOfStream: the peer closed, or ended its direction
        :raises anyio.BrokenResourceError: the connection was reset
        :raises anyio.ClosedResourceError: this end is closed, before or during the wait
        """
        with self._receiving:
            await checkpoint()
            pipe = self._incoming
            while True:
                if self._closed:
                    raise anyio.ClosedResourceError
                if pipe.data:
                    data = bytes(pipe.data[:max_bytes])
                    del pipe.data[:max_bytes]
                    pipe.change()
                    return data
                if pipe.broken:
                    raise anyio.BrokenResourceError
                if pipe.ended:
                    raise anyio.EndOfStream
                await pipe.wait_change()

    async def send(self, item: bytes) -> None:
        """Send all of it, waiting while the peer's buffer is full. When cancelled, a part may have been sent.

        :raises anyio.BrokenResourceError: the peer closed, or the connection was reset
        :raises anyio.ClosedResourceError: this end, or this direction, is closed
        """
        with self._sending:
            await checkpoint()
            pipe = self._outgoing
            left = memoryview(item)
            while True:
                if self._closed or pipe.ended:
                    raise anyio.ClosedResourceError
                if pipe.broken or pipe.abandoned:
                    raise anyio.BrokenResourceError
                room = pipe.limit - len(pipe.data)
                if room > 0:
                    pipe.data += left[:room]
                    pipe.total += len(left[:room])
                    left = left[room:]
                    pipe.change()
                if not left:
                    return
                await pipe.wait_change()

    async def send_eof(self) -> None:
        """End this direction; the other one stays open."""
        self._outgoing.ended = True
        self._outgoing.change()
        await checkpoint()

    async def aclose(self) -> None:
        """Close this end: done before the first checkpoint, so it holds however the call is driven."""
        self.close()
        await checkpoint()

    def close(self) -> None:
        """Close this end. Whoever waits at either end wakes up."""
        if self._closed:
            return
        self._closed = True
        self._outgoing.ended = True
        self._incoming.abandoned = True
        self._incoming.data.clear()
        self._outgoing.change()
        self._incoming.change()
        if self._on_close is not None:
            self._on_close(self)

    def reset(self) -> None:
        """Break the connection, as a TCP reset does, and close this end."""
        self._outgoing.broken = True
        self._incoming.broken = True
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "reset" if self._incoming.broken else "open"
        return f"<MemoryStream {state}, {self.bytes_sent} bytes sent, {self.bytes_received} received>"


def memory_stream_pair(
    *, buffer_size: int = BUFFER_SIZE, on_close: Callable[[MemoryStream], None] | None = None
) -> tuple[MemoryStream, MemoryStream]:
    """Make the two ends of a connection.

    :param buffer_size: bytes on their way in each direction, above which sending waits
    :param on_close: called with the first end, once, when it closes
    """
    if buffer_size < 1:
        raise ValueError(f"buffer_size must be 1 or more bytes, not {buffer_size}")
    there, back = _Pipe(buffer_size), _Pipe(buffer_size)
    return MemoryStream(back, there, on_close), MemoryStream(there, back)

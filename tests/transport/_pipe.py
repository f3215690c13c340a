"""A network in memory: two byte streams tied together, with httpcore's interface on both ends."""

import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import anyio
import anyio.abc
import anyio.lowlevel
import httpcore


class _Direction:
    """What one end writes and the other one reads."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.buffer = bytearray()
        self.ended = False  # nothing more is written
        self.broken = False  # nothing more is read
        self._changed = anyio.Event()

    def notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def wait(self) -> None:
        await self._changed.wait()


@dataclass
class FakeSSLObject:
    alpn: str | None

    def selected_alpn_protocol(self) -> str | None:
        return self.alpn


class PipeStream(httpcore.AsyncNetworkStream):
    """One end. ``on_io`` is called before each checkpoint, with what is done there."""

    def __init__(self, incoming: _Direction, outgoing: _Direction) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self.closed = False
        self.written = 0
        self.on_io: Callable[[str], None] = lambda _: None
        self.on_start_tls: Callable[[str | None], str | None] = lambda _: None
        self.tls: list[tuple[ssl.SSLContext, str | None]] = []
        self.ssl_object: FakeSSLObject | None = None

    async def _checkpoint(self, what: str) -> None:
        self.on_io(what)
        await anyio.lowlevel.checkpoint()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        await self._checkpoint("read")
        while not self._incoming.buffer:
            if self.closed:
                raise httpcore.ReadError("closed here")
            if self._incoming.ended:
                return b""
            await self._incoming.wait()
        data = bytes(self._incoming.buffer[:max_bytes])
        del self._incoming.buffer[:max_bytes]
        self._incoming.notify()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._checkpoint("write")
        data = memoryview(buffer)
        while data:
            if self.closed or self._outgoing.broken:
                raise httpcore.WriteError("closed")
            room = self._outgoing.capacity - len(self._outgoing.buffer)
            if room <= 0:
                await self._outgoing.wait()
                continue
            self._outgoing.buffer += data[:room]
            self.written += len(data[:room])
            data = data[room:]
            self._outgoing.notify()
        await self._checkpoint("written")

    def close_nowait(self) -> None:
        self.closed = True
        self._outgoing.ended = True
        self._incoming.broken = True
        self._outgoing.notify()
        self._incoming.notify()

    async def aclose(self) -> None:
        self.close_nowait()
        await anyio.lowlevel.checkpoint()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Only pretends: notes what was asked for."""
        await self._checkpoint("tls")
        secured = PipeStream(self._incoming, self._outgoing)
        secured.on_io, secured.on_start_tls, secured.tls = self.on_io, self.on_start_tls, self.tls
        secured.ssl_object = FakeSSLObject(self.on_start_tls(server_hostname))
        self.tls.append((ssl_context, server_hostname))
        return secured

    def get_extra_info(self, info: str) -> object:
        if info == "is_readable":
            return bool(self._incoming.buffer) or self._incoming.ended or self.closed
        if info == "ssl_object":
            return self.ssl_object
        return None


def make_pipe(capacity: int = 1 << 20) -> tuple[PipeStream, PipeStream]:
    """Two ends; each direction takes ``capacity`` bytes before a write waits."""
    there, back = _Direction(capacity), _Direction(capacity)
    return PipeStream(back, there), PipeStream(there, back)


@dataclass
class PipeBackend(httpcore.AsyncNetworkBackend):
    """Connects to servers that run in ``group``: ``serve`` gets the server's end."""

    group: anyio.abc.TaskGroup
    serve: Callable[[PipeStream], Awaitable[object]]
    on_io: Callable[[str], None] = lambda _: None
    on_start_tls: Callable[[str | None], str | None] = lambda _: None
    connected: list[tuple[str, int]] = field(default_factory=list)
    streams: list[PipeStream] = field(default_factory=list)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.on_io("connect")
        await anyio.lowlevel.checkpoint()
        client, server = make_pipe()
        client.on_io, client.on_start_tls = self.on_io, self.on_start_tls
        self.connected.append((host, port))
        self.streams.append(client)
        self.group.start_soon(self.serve, server)
        return client

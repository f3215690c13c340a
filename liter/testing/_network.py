"""A network in memory: connections between tasks of one event loop, with no socket and no thread.

Works in virtual time, on Trio and asyncio alike.
"""

import ssl
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, suppress

import anyio
import httpcore
from anyio.abc import Listener, TaskGroup
from anyio.lowlevel import checkpoint

from .._loop import EventLoop
from ._network_stream import BUFFER_SIZE, MemoryStream, memory_stream_pair


class MemoryListener(Listener[MemoryStream]):
    """Takes the connections to one address of a :class:`MemoryNetwork`, which makes it."""

    def __init__(self, on_close: Callable[["MemoryListener"], None]) -> None:
        self._on_close = on_close
        self._arrived = deque[MemoryStream]()
        self._arrival = anyio.Event()
        self._closed = False
        self._loop: EventLoop | None = None

    def connect(self, stream: MemoryStream) -> None:
        """Have a server's end of a connection wait to be taken.

        :raises RuntimeError: in an event loop other than the one that serves
        """
        if self._loop is not None and self._loop is not EventLoop.current():
            raise RuntimeError(
                "a network in memory is for the event loop that serves it: for clients in other threads, serve at a "
                "socket, as by Simulator().serve()"
            )
        self._arrived.append(stream)
        self._arrival.set()

    async def serve(
        self, handler: Callable[[MemoryStream], Coroutine[object, object, object]], task_group: TaskGroup | None = None
    ) -> None:
        """Run ``handler`` for each connection, in a task of its own, until the listener closes.

        The handler closes the stream.
        """
        self._loop = EventLoop.current()
        async with AsyncExitStack() as stack:
            tasks = task_group
            if tasks is None:
                tasks = await stack.enter_async_context(anyio.create_task_group())
            while not self._closed:
                while self._arrived:
                    tasks.start_soon(handler, self._arrived.popleft())
                self._arrival = anyio.Event()
                await self._arrival.wait()

    async def aclose(self) -> None:
        """Take no more connections; those that no handler has taken yet are reset."""
        self._on_close(self)
        self._closed = True
        self._arrival.set()
        while self._arrived:
            self._arrived.popleft().reset()
        await checkpoint()


class MemoryNetwork(httpcore.AsyncNetworkBackend):
    """A network backend for httpcore whose servers are tasks of the same event loop.

    TLS is pretended: ``start_tls`` lets the bytes pass as they are, and negotiates only the protocol.

    :param http2: choose HTTP/2 where a client's TLS context offers it
    :param buffer_size: bytes on their way in each direction of a connection, above which sending waits
    """

    def __init__(self, *, http2: bool = False, buffer_size: int = BUFFER_SIZE) -> None:
        self._http2 = http2
        self._buffer_size = buffer_size
        self._listeners: dict[tuple[str | None, int | None], MemoryListener] = {}
        self._open: set[MemoryStream] = set()
        self._closed_sent = 0
        self._closed_received = 0
        self.total_connections: int = 0

    @property
    def open_connections(self) -> int:
        """Connections that the client has not closed."""
        return len(self._open)

    @property
    def bytes_sent(self) -> int:
        """Bytes from clients to servers, so far."""
        return self._closed_sent + sum(stream.bytes_sent for stream in self._open)

    @property
    def bytes_received(self) -> int:
        """Bytes from servers to clients, so far."""
        return self._closed_received + sum(stream.bytes_received for stream in self._open)

    def listen(self, host: str | None = None, port: int | None = None) -> MemoryListener:
        """Take the connections to an address; ``None`` is any host, or any port. The most exact listener wins.

        :raises OSError: the address is taken
        """
        address = host, port
        if address in self._listeners:
            raise OSError(f"somebody listens at {host or '*'}:{port or '*'} already")

        def forget(listener: MemoryListener) -> None:
            if self._listeners.get(address) is listener:
                del self._listeners[address]

        listener = self._listeners[address] = MemoryListener(forget)
        return listener

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to whoever listens there.

        :raises httpcore.ConnectError: nobody does
        :raises RuntimeError: they do in another event loop
        """
        await checkpoint()
        for address in ((host, port), (host, None), (None, port), (None, None)):
            listener = self._listeners.get(address)
            if listener is not None:
                client, server = memory_stream_pair(buffer_size=self._buffer_size, on_close=self._leave)
                listener.connect(server)
                self._open.add(client)
                self.total_connections += 1
                return _BackendStream(client, (host, port), "h2" if self._http2 else "http/1.1")
        raise httpcore.ConnectError(f"nobody listens at {host}:{port}")

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """There are none here.

        :raises httpcore.ConnectError: always
        """
        await checkpoint()
        raise httpcore.ConnectError(f"nobody listens at {path}: the network in memory has hosts and ports only")

    async def sleep(self, seconds: float) -> None:
        """Sleep, by the event loop's clock."""
        await anyio.sleep(seconds)

    def _leave(self, client: MemoryStream) -> None:
        self._open.discard(client)
        self._closed_sent += client.bytes_sent
        self._closed_received += client.bytes_received

    def __repr__(self) -> str:
        return f"<MemoryNetwork {self.open_connections} connections open, {self.total_connections} in all>"


class _Tls:
    """Stands for an ``ssl.SSLObject``, as far as a client asks one."""

    def __init__(self, protocol: str | None) -> None:
        self._protocol = protocol

    def selected_alpn_protocol(self) -> str | None:
        return self._protocol

    def version(self) -> str:
        return "TLSv1.3"


class _BackendStream(httpcore.AsyncNetworkStream):
    """The client's end, as httpcore wants it."""

    def __init__(self, stream: MemoryStream, address: tuple[str, int], protocol: str, tls: _Tls | None = None) -> None:
        self._stream = stream
        self._protocol = protocol
        self._address = address
        self._tls = tls

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            with anyio.fail_after(timeout):
                return await self._stream.receive(max_bytes)
        except anyio.EndOfStream:
            return b""
        except TimeoutError as error:
            raise httpcore.ReadTimeout(f"nothing to read within {timeout} s") from error
        except anyio.BrokenResourceError as error:
            raise httpcore.ReadError("the connection was reset") from error
        except anyio.ClosedResourceError as error:
            raise httpcore.ReadError("the connection is closed") from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            with anyio.fail_after(timeout):
                await self._stream.send(buffer)
        except TimeoutError as error:
            raise httpcore.WriteTimeout(f"not written within {timeout} s") from error
        except anyio.BrokenResourceError as error:
            raise httpcore.WriteError("the server closed the connection") from error
        except anyio.ClosedResourceError as error:
            raise httpcore.WriteError("the connection is closed") from error

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        await checkpoint()
        offered = _offered_protocols(ssl_context)
        protocol = self._protocol if self._protocol in offered else "http/1.1" if "http/1.1" in offered else None
        return _BackendStream(self._stream, self._address, self._protocol, _Tls(protocol))

    def get_extra_info(self, info: str) -> object:
        match info:
            case "is_readable":
                return self._stream.readable
            case "ssl_object":
                return self._tls
            case "server_addr":
                return self._address
            case _:
                return None


def _offered_protocols(context: ssl.SSLContext) -> list[str]:
    """Return what a client's context offers in ALPN. It cannot be asked, so it is made to say hello."""
    hello = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="server.invalid").do_handshake()
    # RFC 8446, 4.1.2: after 43 bytes of headers, version and random come three fields of variable length, then the
    # extensions. RFC 7301: the one with the number 16 holds the protocols, each after its length.
    data = memoryview(hello.read())
    position = 43
    for size in (1, 2, 1):
        position += size + int.from_bytes(data[position : position + size], "big")
    position += 2
    while position < len(data):
        number = int.from_bytes(data[position : position + 2], "big")
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        position += 4
        if number == 16:
            names, protocols = bytes(data[position + 2 : position + length]), list[str]()
            while names:
                protocols.append(names[1 : 1 + names[0]].decode("ascii"))
                names = names[1 + names[0] :]
            return protocols
        position += length
    return []

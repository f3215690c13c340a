"""A small HTTP/2 server over h2, for tests of the client."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import anyio
import anyio.abc
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import httpcore


@dataclass
class Request:
    stream_id: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    reset: int | None = None

    def __getitem__(self, name: str) -> str:
        return dict(self.headers)[name]


@dataclass
class H2Server:
    """Serves one stream.

    :param respond: runs for each request once it is whole, or (``early``) once its headers are in
    :param deaf: gives no window back for what it receives
    :param greet: begins as HTTP/2 demands, with its settings
    :param window: how much it takes on the whole connection
    """

    stream: httpcore.AsyncNetworkStream
    respond: Callable[["H2Server", Request], Awaitable[None]]
    settings: dict[int, int] = field(default_factory=dict)
    early: bool = False
    requests: dict[int, Request] = field(default_factory=dict)
    pongs: int = 0
    deaf: bool = False
    greet: bool = True
    window: int = 65535

    def __post_init__(self) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.h2.local_settings = h2.settings.Settings(
            client=False, initial_values={**self.h2.local_settings, **self.settings}
        )
        self.changed = anyio.Event()
        self.lock = anyio.Lock()

    async def run(self) -> None:
        """Serve until one of the two closes."""
        try:
            async with anyio.create_task_group() as group:
                # The group would wrap it into another one.
                with suppress(httpcore.NetworkError):
                    await self._serve(group)
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self.stream.aclose()

    async def _serve(self, group: anyio.abc.TaskGroup) -> None:
        if self.greet:
            self.h2.initiate_connection()
            if self.window > 65535:
                self.h2.increment_flow_control_window(self.window - 65535)
            await self.flush()
        while data := await self.stream.read(65536):
            for event in self.h2.receive_data(data):
                self._handle(event, group)
            await self.flush()
            self._notify()

    def _notify(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()

    def _handle(self, event: h2.events.Event, group: anyio.abc.TaskGroup) -> None:
        match event:
            case h2.events.RequestReceived():
                self.requests[event.stream_id] = Request(event.stream_id, [(str(n), str(v)) for n, v in event.headers])
                if self.early:
                    group.start_soon(self._respond, self.requests[event.stream_id])
            case h2.events.DataReceived():
                self.requests[event.stream_id].body += event.data
                if not self.deaf:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded() if not self.early:
                group.start_soon(self._respond, self.requests[event.stream_id])
            case h2.events.StreamReset():
                self.requests[event.stream_id].reset = int(event.error_code)
            case h2.events.PingAckReceived():
                self.pongs += 1
            case _:
                pass

    async def _respond(self, request: Request) -> None:
        with suppress(h2.exceptions.ProtocolError, httpcore.WriteError):  # the client has left
            await self.respond(self, request)

    async def flush(self) -> None:
        async with self.lock:
            await self.stream.write(self.h2.data_to_send())

    async def head(self, request: Request, status: int = 200, *headers: tuple[str, str], end: bool = False) -> None:
        self.h2.send_headers(request.stream_id, [(":status", str(status)), *headers], end_stream=end)
        await self.flush()

    async def data(self, request: Request, data: bytes, *, end: bool = False) -> None:
        """Send data as the windows allow."""
        while True:
            window = self.h2.local_flow_control_window(request.stream_id)
            size = min(window, self.h2.max_outbound_frame_size, len(data))
            if size or not data:
                piece, data = data[:size], data[size:]
                self.h2.send_data(request.stream_id, piece, end_stream=end and not data)
                await self.flush()
                if not data:
                    return
            else:
                await self.changed.wait()

    async def goaway(self, last_stream_id: int, error: int = 0, debug: bytes = b"") -> None:
        """Announce the end as RFC 9113 means it: h2's own close_connection would end all at once."""
        payload = last_stream_id.to_bytes(4, "big") + error.to_bytes(4, "big") + debug
        await self.flush()
        async with self.lock:
            await self.stream.write(len(payload).to_bytes(3, "big") + b"\x07\x00" + bytes(4) + payload)


async def echo(server: H2Server, request: Request) -> None:
    """Answer with the request's body; for ``/<number>`` with so many bytes."""
    path = request[":path"].lstrip("/")
    await server.head(request, 200, ("x-stream", str(request.stream_id)))
    await server.data(request, b"x" * int(path) if path.isdigit() else request.body, end=True)

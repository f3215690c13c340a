"""The simulator's HTTP/2 side: requests in, steps out, by h2.

Three kinds of task share a connection. The reader feeds the protocol and starts an answer for each complete request;
answers put frames into the protocol, as far as flow control lets them; the writer sends what the protocol has. Answers
never write, so a client that resets its stream cancels its answer and leaves no half frame behind.
"""

import anyio
import anyio.lowlevel
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
from anyio.abc import ByteStream, TaskGroup

from ._simulator_body import Body
from ._simulator_exchange import Accept, Exchange, Incoming, wait
from ._simulator_http11 import GONE
from ._simulator_steps import Close, Data, End, Head, PartialHead, Reset, Step, Wait

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class _Request:
    """A request that is coming in, then the answer to it."""

    def __init__(self, headers: dict[str, str], body: Body) -> None:
        self.headers = headers
        self.body = body
        self.exchange: Exchange | None = None
        self.scope = anyio.CancelScope()

    def leave(self) -> None:
        if self.exchange is not None:
            self.exchange.leave()
        self.scope.cancel()


class _Connection:
    def __init__(self, stream: ByteStream, accept: Accept, *, keep_bodies: bool) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self._protocol = h2.connection.H2Connection(config)
        self._stream = stream
        self._accept = accept
        self._keep_bodies = keep_bodies
        self._requests: dict[int, _Request] = {}
        self._to_write = anyio.Event()
        self._may_send = anyio.Event()
        self._ending = False
        self._written = anyio.Event()

    async def serve(self, received: bytes) -> None:
        self._protocol.initiate_connection()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._write)
            await self._read(received, tasks)
            tasks.cancel_scope.cancel()

    async def _read(self, received: bytes, tasks: TaskGroup) -> None:
        try:
            while True:
                for event in self._protocol.receive_data(received):
                    self._handle(event, tasks)
                self._wake_writer()
                received = await self._stream.receive()
        except h2.exceptions.ProtocolError:
            # The protocol has a last word on it, which is the writer's to send.
            self._leave_all()
            self._ending = True
            self._wake_writer()
            await self._written.wait()
        except GONE:
            self._leave_all()

    async def _write(self) -> None:
        try:
            while True:
                data = self._protocol.data_to_send()
                if data:
                    await self._stream.send(data)
                elif self._ending:
                    break
                else:
                    self._to_write = anyio.Event()
                    await self._to_write.wait()
        except GONE:
            # The reader finds out, too, and ends the connection.
            pass
        self._written.set()

    def _leave_all(self) -> None:
        for request in self._requests.values():
            request.leave()

    def _wake_writer(self) -> None:
        self._to_write.set()

    def _wake_answers(self) -> None:
        self._may_send.set()
        self._may_send = anyio.Event()

    def _handle(self, event: h2.events.Event, tasks: TaskGroup) -> None:
        match event:
            case h2.events.RequestReceived():
                headers: dict[str, str] = {}
                for name, value in event.headers:
                    key, text = _text(name), _text(value)
                    headers[key] = f"{headers[key]}, {text}" if key in headers else text
                self._requests[event.stream_id] = _Request(headers, Body(keep=self._keep_bodies))
            case h2.events.DataReceived():
                self._requests[event.stream_id].body.add(event.data)
                self._protocol.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                tasks.start_soon(self._answer, event.stream_id, self._requests[event.stream_id])
            case h2.events.StreamReset():
                request = self._requests.pop(event.stream_id, None)
                if request is not None:
                    request.leave()
                self._wake_answers()
            case h2.events.ConnectionTerminated():
                # It may still read, says the RFC, but h2 lets nothing more be sent, and clients close next.
                self._leave_all()
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                self._wake_answers()
            case _:
                pass

    async def _answer(self, stream_id: int, request: _Request) -> None:
        headers = dict(request.headers)
        incoming = Incoming(
            method=headers.pop(":method"),
            path=headers.pop(":path"),
            headers={
                "host": headers.pop(":authority", ""),
                **{name: value for name, value in headers.items() if not name.startswith(":")},
            },
            body=request.body,
            http_version="2",
        )
        with self._accept(incoming) as exchange, request.scope:
            request.exchange = exchange
            for step in exchange:
                await self._do(stream_id, step, exchange)
        self._requests.pop(stream_id, None)

    async def _do(self, stream_id: int, step: Step, exchange: Exchange) -> None:
        match step:
            case Wait():
                await wait(step.seconds)
            case Head():
                length = [] if step.length is None else [("content-length", str(step.length))]
                self._protocol.send_headers(stream_id, [(":status", str(step.status)), *step.headers, *length])
            case Data():
                await self._send_data(stream_id, step.data, exchange)
            case End():
                self._protocol.end_stream(stream_id)
            case Close() | Reset():
                self._protocol.reset_stream(stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
            case PartialHead():
                pass
        self._wake_writer()
        # Lets the writer have each step for itself: what is an event here is a packet there.
        await anyio.lowlevel.checkpoint()

    async def _send_data(self, stream_id: int, data: bytes, exchange: Exchange) -> None:
        left = memoryview(data)
        # A stream that its client has reset is gone for the protocol, and the cancellation may come a moment later.
        while left and not exchange.client_left:
            size = min(self._protocol.local_flow_control_window(stream_id), self._protocol.max_outbound_frame_size)
            if size <= 0:
                await self._may_send.wait()
            else:
                self._protocol.send_data(stream_id, bytes(left[:size]))
                left = left[size:]
                self._wake_writer()


async def serve_http2(stream: ByteStream, received: bytes, accept: Accept, *, keep_bodies: bool = True) -> None:
    """Answer the requests of one connection, as many at once as come, until the client ends it.

    :param received: what has been read of it already, the preface at least
    :param keep_bodies: whether the whole of a large body is kept
    """
    await _Connection(stream, accept, keep_bodies=keep_bodies).serve(received)


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8")

"""An HTTP/2 connection over a network stream of httpcore's backends, with the h2 library as its codec.

Theory of operation. There is no background task, so nothing can outlive a request. Of the tasks that wait for
something from the peer, one *leads*: it reads, feeds h2, and hands what came to the streams, waking those
that wait. Who leaves while the lead is free wakes one waiter to take it; so, whenever somebody
waits, somebody reads or is about to.

What h2 wants sent stays in h2 until a task holds the write lock, and that task sends until h2 has no more.
So a task that is cancelled before loses nothing; its bytes, and its reset, go with the next write. A write that
has begun is finished under a shield for a short grace; if even that is too short, nobody knows what the peer
got, and the connection is closed.

Every stream's receive window is given back when its reader comes for more. The connection's window is as large as
those of all streams together, so a slow reader never stops another one.
"""

from collections.abc import Callable
from contextlib import suppress

import anyio
import anyio.lowlevel
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import httpcore

from .._http import Headers, HttpRequest, Origin, StreamedBody
from ._close import close_nowait
from ._connection import ConnectionRetired
from ._http2_goaway import GoAway, GoAwayFilter
from ._http2_headers import encode_head
from ._http2_response import HTTP2Response, Http2Stream

READ_SIZE = 64 * 1024
# So much of a body is written at a time, that others get their turn.
WRITE_SIZE = 64 * 1024
# 50 Mbit/s at a round trip of 80 ms.
STREAM_WINDOW = 512 * 1024
# RFC 9113, 6.5.2, recommends that peers allow 100 or more.
MAX_STREAMS = 100
CONNECTION_WINDOW = MAX_STREAMS * STREAM_WINDOW
# How long a cancelled task goes on with a write, or tells the peer that it is gone; in seconds.
GRACE = 0.5
# A write that takes longer is blocked; in seconds.
PATIENCE = 0.01


class HTTP2Connection:
    """Many requests at once over one stream. Each time one is over it calls ``on_release(self)``, once."""

    http_version = "HTTP/2"
    multiplexed = True

    __slots__ = (
        "__weakref__",
        "_error",
        "_goaway",
        "_goaway_filter",
        "_h2",
        "_heard",
        "_on_release",
        "_reading",
        "_stream",
        "_streams",
        "_unwritable",
        "_waiting",
        "_write_lock",
        "active",
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
        on_release: Callable[["HTTP2Connection"], None],
    ) -> None:
        self._stream = stream
        self._on_release = on_release
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        self._goaway_filter = GoAwayFilter()
        self._goaway: GoAway | None = None
        self._streams: dict[int, Http2Stream] = {}
        self._waiting: dict[Http2Stream, anyio.Event] = {}
        self._write_lock = anyio.Lock(fast_acquire=True)
        self._reading = False
        self._heard = 0
        self._unwritable = False
        self._error: httpcore.NetworkError | httpcore.ProtocolError | None = None  # why it is closed
        self.origin = origin
        self.requests = 0
        self.active = 0
        self.idle_since = 0.0
        self.closed = False
        self._greet()

    def _greet(self) -> None:
        """Queue the preface and our settings: they go out with the first request, for no extra round trip."""
        codes = h2.settings.SettingCodes
        self._h2.local_settings = h2.settings.Settings(
            client=True,
            initial_values={
                codes.ENABLE_PUSH: 0,
                codes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
                codes.MAX_HEADER_LIST_SIZE: self._h2.DEFAULT_MAX_HEADER_LIST_SIZE,
            },
        )
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(CONNECTION_WINDOW - self._h2.inbound_flow_control_window)

    def available(self) -> bool:
        limit = min(self._h2.remote_settings.max_concurrent_streams, MAX_STREAMS)
        return not self.closed and not self._unwritable and self._goaway is None and self.active < limit

    def stale(self) -> bool:
        # A peer may well speak on an idle connection, PING above all: ``send`` listens before it sends anything.
        return self.closed

    async def send(self, request: HttpRequest) -> HTTP2Response:
        self.active += 1
        self.requests += 1
        stream = None
        try:
            headers = encode_head(request)
            if self.active == 1 and self.requests > 1:
                await self._listen()
            body = request.content
            stream = self._open(headers, end=not len(body))
            if isinstance(body, bytes):
                await self._send_body(stream, body)
            else:
                await self._send_pieces(stream, body)
            await self._wait(stream, lambda: stream.head is not None)
            assert stream.head is not None  # noqa: S101 # for type checkers
        except BaseException:
            await self.finish(stream)
            raise
        if stream.ended and not stream.inbox:
            self._finish_nowait(stream)
        return HTTP2Response(self, stream, *stream.head)

    def _open(self, headers: list[tuple[bytes, bytes]], *, end: bool) -> Http2Stream:
        """Open a stream and queue the request's headers."""
        if self.closed or self._unwritable or self._goaway is not None:
            raise ConnectionRetired("the peer gave up the connection while it was idle")
        try:
            stream_id = self._h2.get_next_available_stream_id()
            self._h2.send_headers(stream_id, headers, end_stream=end)
        except (h2.exceptions.TooManyStreamsError, h2.exceptions.NoAvailableStreamIDError) as error:
            raise ConnectionRetired(f"the connection takes no more streams: {error}") from error
        except h2.exceptions.H2Error as error:
            raise httpcore.LocalProtocolError(str(error)) from error
        stream = self._streams[stream_id] = Http2Stream(stream_id, self._heard)
        stream.sent = end
        return stream

    async def _send_pieces(self, stream: Http2Stream, body: StreamedBody) -> None:
        """Send the queued headers and a body that is read meanwhile. It may end in any piece but its last."""
        left = len(body)
        while piece := await body.read():
            left -= len(piece)
            await self._send_body(stream, piece, last=not left)
            if stream.ended or stream.error is not None or self.closed or self._unwritable:
                return
        if not len(body):
            await self._flush()

    async def _send_body(self, stream: Http2Stream, body: bytes, *, last: bool = True) -> None:
        """Send the queued headers and the body, or a part of it, as fast as the peer's windows allow."""

        def may_go_on() -> bool:
            over = stream.ended or stream.error is not None or self.closed or self._unwritable
            return over or self._h2.local_flow_control_window(stream.id) > 0

        position = 0
        while position < len(body):
            if not may_go_on():
                # The peer may give room to a stream only once it knows of it.
                await self._flush()
                await self._wait(stream, may_go_on)
            if stream.ended or stream.error is not None or self.closed or self._unwritable:
                return  # there is an answer or an error, or soon will be, without all of the body
            window = self._h2.local_flow_control_window(stream.id)
            end = min(position + window, position + WRITE_SIZE, len(body))
            while position < end:
                size = min(end - position, self._h2.max_outbound_frame_size)
                piece = body[position : position + size]
                position += size
                self._h2.send_data(stream.id, piece, end_stream=last and position == len(body))
            stream.sent = last and position == len(body)
            await self._flush()
            if not stream.sent:
                # The peer may have refused what is still to come.
                await self._listen()
        if not body:
            await self._flush()

    async def read(self, stream: Http2Stream) -> bytes:
        """Return what has come of a response's body, ``b""`` at its end. For the response only."""
        if stream.taken:
            taken, stream.taken = stream.taken, 0
            self._acknowledge(stream, taken)
        # Also where nothing was added: the last try may have been cancelled.
        await self._answer()
        await self._wait(stream, lambda: bool(stream.inbox) or stream.ended)
        # From here on nothing awaits: what is taken out must reach the reader.
        data = b"".join(stream.inbox)
        stream.inbox.clear()
        stream.taken += stream.held
        stream.held = 0
        if stream.ended and not stream.done:
            self._finish_nowait(stream)
        return data

    async def finish(self, stream: Http2Stream | None) -> None:
        """A request is over, one way or the other: free its place, and tell the peer. For the response only."""
        if stream is None:
            self.active -= 1
            self._on_release(self)
        elif not stream.done:
            self._finish_nowait(stream)
        with anyio.move_on_after(GRACE, shield=True):
            await self._answer()

    def _finish_nowait(self, stream: Http2Stream) -> None:
        stream.done = True
        del self._streams[stream.id]
        if not self.closed:
            self._acknowledge(stream, stream.taken + stream.held)
            stream.taken = stream.held = 0
            if stream.error is None and not (stream.ended and stream.sent):
                # Else the peer would go on to send, and bill, what nobody reads.
                with suppress(h2.exceptions.H2Error):  # h2 may know of its end before its event is here
                    self._h2.reset_stream(stream.id, h2.errors.ErrorCodes.CANCEL)
        self.active -= 1
        self._on_release(self)

    def _acknowledge(self, stream: Http2Stream, size: int) -> None:
        if size and not self.closed:
            self._h2.acknowledge_received_data(size, stream.id)

    async def _listen(self) -> None:
        """Take in what the peer said while nobody waited for it: pings, settings, goodbyes."""
        try:
            while not self.closed and not self._reading and self._stream.get_extra_info("is_readable"):
                await self._read_once()
        finally:
            self._pass_lead()

    async def _wait(self, stream: Http2Stream, ready: Callable[[], bool]) -> None:
        """Return once ``ready()``, leading or following until then."""
        try:
            while not ready():
                if stream.error is not None:
                    raise stream.error
                if self._error is not None:
                    raise self._broken(stream, self._error)
                if self._reading:
                    event = self._waiting[stream] = anyio.Event()
                    try:
                        await event.wait()
                    finally:
                        self._waiting.pop(stream, None)
                else:
                    await self._read_once()
        finally:
            self._pass_lead()

    def _broken(self, stream: Http2Stream, error: httpcore.NetworkError | httpcore.ProtocolError) -> Exception:
        # As with HTTP/1.1: on a connection that was in use before, a request to which the peer did not say
        # one word ran into its closing.
        if stream.id > 1 and stream.heard == self._heard:
            return ConnectionRetired(str(error))
        return type(error)(str(error))

    def _pass_lead(self) -> None:
        if self._waiting and not self._reading:
            self._wake(next(iter(self._waiting)))

    def _wake(self, stream: Http2Stream) -> None:
        event = self._waiting.pop(stream, None)
        if event is not None:
            event.set()

    def _wake_all(self) -> None:
        for stream in list(self._waiting):
            self._wake(stream)

    async def _read_once(self) -> None:
        """Lead for one read: hand out what comes, and send the answers that h2 has to it."""
        self._reading = True
        try:
            data = await self._stream.read(READ_SIZE)
        except (httpcore.NetworkError, httpcore.TimeoutException) as error:
            self._break(httpcore.ReadError(str(error) or type(error).__name__))
            return
        finally:
            self._reading = False
        if not data:
            reason = "" if self._goaway is None else f": {_describe(self._goaway)}"
            self._break(httpcore.RemoteProtocolError(f"the peer closed the connection{reason}"))
            return
        self._heard += 1
        self._receive(data)
        await self._answer()

    def _receive(self, data: bytes) -> None:
        try:
            for part in self._goaway_filter.split(data):
                if isinstance(part, GoAway):
                    self._receive_goaway(part)
                    continue
                for event in self._h2.receive_data(part):
                    self._handle(event)
        except h2.exceptions.H2Error as error:
            self._break(httpcore.RemoteProtocolError(f"the peer broke HTTP/2: {error}"))

    def _handle(self, event: h2.events.Event) -> None:
        stream_id: int = getattr(event, "stream_id", None) or 0
        stream = self._streams.get(stream_id)
        if stream is None:
            if stream_id == 0:  # settings, or the connection's window: whoever sends may go on
                self._wake_all()
            return
        match event:
            case h2.events.ResponseReceived():
                # h2 has checked that :status is there, and comes first.
                (_, status), *headers = event.headers
                stream.head = int(status), Headers((bytes(name), bytes(value)) for name, value in headers)
            case h2.events.DataReceived():
                stream.held += event.flow_controlled_length or 0
                if event.data:
                    stream.inbox.append(event.data)
            case h2.events.StreamEnded():
                stream.ended = True
            case h2.events.StreamReset():
                self._receive_reset(stream, event.error_code)
            case h2.events.WindowUpdated():
                pass
            case _:
                return  # informational responses, trailers
        self._wake(stream)

    def _receive_reset(self, stream: Http2Stream, code: h2.errors.ErrorCodes | int) -> None:
        # After a whole response it only says that the rest of the request is not wanted: RFC 9113, 8.1.
        if stream.ended:
            return
        if code == h2.errors.ErrorCodes.REFUSED_STREAM and stream.head is None:
            stream.error = ConnectionRetired("the peer refused the stream")
        else:
            stream.error = httpcore.RemoteProtocolError(f"the stream was reset: {_error_name(code)}")

    def _receive_goaway(self, goaway: GoAway) -> None:
        self._goaway = goaway
        for stream in self._streams.values():
            if stream.id > goaway.last_stream_id and stream.head is None:
                stream.error = ConnectionRetired(_describe(goaway))
                self._wake(stream)

    async def _answer(self) -> None:
        """Send what h2 has to say, unless somebody is at it: he will send this, too."""
        if not self._write_lock.locked():
            await self._flush()

    async def _flush(self) -> None:
        async with self._write_lock:
            while not (self.closed or self._unwritable) and (data := self._h2.data_to_send()):
                await self._write(data)

    async def _write(self, data: bytes) -> None:
        """Write all of it, even when cancelled meanwhile; where that fails, close."""
        whole = over = False
        writing, reading = anyio.CancelScope(shield=True), anyio.CancelScope(shield=True)

        async def meanwhile() -> None:
            # The peer may take no more before somebody takes what it has to say.
            try:
                await anyio.sleep(PATIENCE)
                await self._wait(Http2Stream(0, 0), lambda: self.closed)
            finally:
                if not over:
                    writing.deadline = reading.deadline = anyio.current_time() + GRACE
                    with reading:
                        await self._wait(Http2Stream(0, 0), lambda: self.closed)

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(meanwhile)
                with writing:
                    try:
                        await self._stream.write(data)
                    except (httpcore.NetworkError, httpcore.TimeoutException):
                        # The peer may have said why before it closed, and that can still be read.
                        self._unwritable = True
                    whole = True
                over = True
                reading.cancel()
                group.cancel_scope.cancel()
        finally:
            if not whole:
                self._break(httpcore.WriteError("a write was cut off"))
        await anyio.lowlevel.checkpoint_if_cancelled()

    def _break(self, error: httpcore.NetworkError | httpcore.ProtocolError) -> None:
        if self._error is None:
            self._error = error
        self.close_nowait()

    def close_nowait(self) -> None:
        if not self.closed:
            self.closed = True
            if self._error is None:
                self._error = httpcore.ReadError("the connection was closed")
            close_nowait(self._stream)
            self._wake_all()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "retired" if self._goaway is not None else "open"
        return f"<HTTP2Connection {self.origin} {state}, {self.active} active, {self.requests} requests>"


def _error_name(code: h2.errors.ErrorCodes | int) -> str:
    return code.name if isinstance(code, h2.errors.ErrorCodes) else str(code)


def _describe(goaway: GoAway) -> str:
    try:
        name = h2.errors.ErrorCodes(goaway.error_code).name
    except ValueError:
        name = str(goaway.error_code)
    debug = goaway.debug[:200].decode("utf-8", "replace")
    return f"the peer goes away: {name}{' ' if debug else ''}{debug}"

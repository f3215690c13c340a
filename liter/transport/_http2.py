"""An HTTP/2 connection over a network stream of httpcore's backends. What is said over it is the session's.

Theory of operation. There is no background task, so nothing can outlive a request. Of the tasks that wait for
something from the peer, one *leads*: it reads, feeds the session, and wakes those for whom something came. Who leaves
while the lead is free wakes one waiter to take it; so, whenever somebody waits, somebody reads or is about to.

What is to be sent stays in the session until a task holds the write lock, and that task sends until there is no more.
So a task that is cancelled before loses nothing; its bytes, and its reset, go with the next write. A write that
has begun is finished under a shield for a short grace; if even that is too short, nobody knows what the peer
got, and the connection is closed.
"""

from collections.abc import Callable

import anyio
import anyio.lowlevel
import httpcore

from .._http import HttpRequest, Origin, StreamedBody
from ._close import close_nowait
from ._connection import ConnectionRetired
from ._http2_headers import encode_head
from ._http2_response import HTTP2Response, Http2Stream
from ._http2_session import HTTP2Session

READ_SIZE = 64 * 1024
# So much of a body is written at a time, that others get their turn.
WRITE_SIZE = 64 * 1024
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
        "_on_release",
        "_reading",
        "_session",
        "_stream",
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
        self._session = HTTP2Session()
        self._waiting: dict[Http2Stream, anyio.Event] = {}
        self._write_lock = anyio.Lock(fast_acquire=True)
        self._reading = False
        self._unwritable = False
        self._error: httpcore.NetworkError | httpcore.ProtocolError | None = None  # why it is closed
        self.origin = origin
        self.requests = 0
        self.active = 0
        self.idle_since = 0.0
        self.closed = False

    def available(self) -> bool:
        return self._usable() and self.active < self._session.max_streams

    def _usable(self) -> bool:
        return not self.closed and not self._unwritable and self._session.farewell is None

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
            if not self._usable():
                raise ConnectionRetired("the peer gave up the connection while it was idle")
            stream = self._session.open(headers, end=not len(body))
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
            return over or self._session.window(stream) > 0

        position = 0
        while position < len(body):
            if not may_go_on():
                # The peer may give room to a stream only once it knows of it.
                await self._flush()
                await self._wait(stream, may_go_on)
            if stream.ended or stream.error is not None or self.closed or self._unwritable:
                return  # there is an answer or an error, or soon will be, without all of the body
            start, position = position, min(position + min(self._session.window(stream), WRITE_SIZE), len(body))
            self._session.send(stream, body, start, position, end=last and position == len(body))
            await self._flush()
            if not stream.sent:
                # The peer may have refused what is still to come.
                await self._listen()
        if not body:
            await self._flush()

    async def read(self, stream: Http2Stream) -> bytes:
        """Return what has come of a response's body, ``b""`` at its end. For the response only."""
        if not self.closed:
            self._session.give_back(stream)
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
        self._session.forget(stream)
        if not self.closed:
            self._session.close(stream)
        self.active -= 1
        self._on_release(self)

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
                    raise self._session.broken(stream, self._error)
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
        """Lead for one read: hand out what comes, and send the answers that the session has to it."""
        self._reading = True
        try:
            data = await self._stream.read(READ_SIZE)
        except (httpcore.NetworkError, httpcore.TimeoutException) as error:
            self._break(httpcore.ReadError(str(error) or type(error).__name__))
            return
        finally:
            self._reading = False
        if not data:
            farewell = self._session.farewell
            reason = "" if farewell is None else f": {farewell}"
            self._break(httpcore.RemoteProtocolError(f"the peer closed the connection{reason}"))
            return
        try:
            changed = self._session.receive(data)
        except httpcore.RemoteProtocolError as error:
            self._break(httpcore.RemoteProtocolError(str(error)))
            return
        for stream in changed:
            self._wake(stream)
        await self._answer()

    async def _answer(self) -> None:
        """Send what there is to say, unless somebody is at it: he will send this, too."""
        if not self._write_lock.locked():
            await self._flush()

    async def _flush(self) -> None:
        async with self._write_lock:
            while not (self.closed or self._unwritable) and (data := self._session.data_to_send()):
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
        state = "closed" if self.closed else "retired" if self._session.farewell is not None else "open"
        return f"<HTTP2Connection {self.origin} {state}, {self.active} active, {self.requests} requests>"

"""The events of one streamed response, from the wire: read, framed and decoded as they are asked for."""

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

import anyio

from ._contract import Timeouts
from ._errors import LlmError, LlmTimeoutError, StreamingError
from ._reply import Reply
from .providers import StreamDecoder
from .transport import TRANSPORT_ERRORS, Response, framer

R = TypeVar("R")

# How long to wait for a body's end after the stream's terminal event, in seconds. It normally comes in the
# same packet, and then the connection can be used again; some servers hold it back.
LINGER = 0.25


class WireEvents(Generic[R]):
    """A source of events. Nothing is read before it is asked for, so a slow consumer slows the provider down.

    An error comes in its place: after the events that arrived before it.

    :param deadline: event-loop time by which the stream must have ended
    :param begun: what was read of the body already
    """

    __slots__ = (
        "_begun",
        "_cancelled",
        "_deadline",
        "_decoder",
        "_ended",
        "_failure",
        "_feed",
        "_framer",
        "_ready",
        "_response",
        "_scope",
        "_timeouts",
        "reply",
    )

    def __init__(
        self,
        response: Response,
        decoder: StreamDecoder[R],
        timeouts: Timeouts,
        deadline: float,
        max_event_bytes: int,
        begun: bytes = b"",
    ) -> None:
        self._begun = begun
        self._response = response
        self._decoder = decoder
        self._framer = framer(decoder.framing, max_event_bytes)
        # Framer and decoder go by the same word, so each frame is of the kind that the decoder takes.
        self._feed = cast("Callable[[object], Sequence[R]]", decoder.feed)
        self._timeouts = timeouts
        self._deadline = deadline
        self._ready: deque[R] = deque()
        self._failure: Exception | None = None
        self._ended = False
        self._cancelled = False
        self._scope: anyio.CancelScope | None = None
        self.reply: Reply[R] | None = None  # told about usage

    async def open(self) -> None:
        """Read up to the first meaningful event; bookkeeping before it stays in the queue.

        The caller's limits hold, and what the transport raises goes out as it is.
        """
        while not self._ended and all(map(self._decoder.opening, self._ready)):
            if self._failure is not None:
                raise self._failure
            await self._read()
        if self._failure is not None and all(map(self._decoder.opening, self._ready)):
            raise self._failure

    def take_whole(self, body: bytes) -> None:
        """Take a plain body in place of a stream."""
        self._ready.extend(self._decoder.whole(body))
        self._ended = True

    def next_nowait(self) -> R | None:
        """Return the next event, if it has been read already."""
        return self._ready.popleft() if self._ready else None

    async def __anext__(self) -> R:
        while not self._ready:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                raise StopAsyncIteration
            await self._read_in_time()
        return self._ready.popleft()

    async def _read_in_time(self) -> None:
        gap, total = self._timeouts.between_events, self._deadline
        until = math.inf if gap is None else anyio.current_time() + gap
        self._scope = scope = anyio.CancelScope(deadline=min(until, total))
        try:
            with scope:
                if self._decoder.done:
                    await self._linger()
                else:
                    await self._read()
        except TRANSPORT_ERRORS as error:
            self._failure = StreamingError(f"the stream broke off: {str(error) or type(error).__name__}")
            self._failure.__cause__ = error
        finally:
            self._scope = None
        if scope.cancelled_caught:
            self._ended = True
            if self._cancelled:
                return
            if until < total:
                self._failure = LlmTimeoutError(f"no event for {gap:g} s", limit="between events", seconds=gap)
            else:
                seconds = self._timeouts.total
                self._failure = LlmTimeoutError(f"not done after {seconds:g} s", limit="total", seconds=seconds)

    async def _read(self) -> None:
        """Read until at least one event is in, or the end. Slow bytes are no events: the limits see through them."""
        framed = False
        decoder = self._decoder
        try:
            while not framed:
                piece, self._begun = self._begun or await self._response.read_chunk(), b""
                if not piece:
                    self._ended = True
                    for frame in self._framer.end():
                        self._ready.extend(self._feed(frame))
                    self._ready.extend(decoder.end())
                    break
                for frame in self._framer.feed(piece):
                    framed = True
                    self._ready.extend(self._feed(frame))
        except LlmError as error:
            self._failure = error
        if decoder.done and self._response.complete:
            self._ended = True
        if self.reply is not None:
            self.reply.usage = decoder.usage

    async def _linger(self) -> None:
        """After the terminal event: read to the body's end if it is near, so that the connection lives on."""
        self._ended = True
        try:
            with anyio.move_on_after(LINGER):
                while await self._response.read_chunk():
                    pass
        except TRANSPORT_ERRORS:
            pass  # nothing is missing

    def cancel(self) -> None:
        """Stop a pending read, from any task of the same event loop."""
        self._cancelled = True
        if self._scope is not None:
            self._scope.cancel()

    async def aclose(self) -> None:
        """Let go of the response; one that is not complete is cut off."""
        await self._response.aclose()

"""What the streaming methods return: an iterator over events that owns the call's scope."""

import warnings
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, Self, TypeVar

from ._contract import Call
from ._errors import LlmError
from ._http import Headers
from ._loop import EventLoop
from ._reply import Reply
from .money import Cost
from .types import ChatCompletionChunk, ChatCompletionResponse, Usage, accumulate

R = TypeVar("R")


class EventStream(Generic[R]):
    """The events of one streamed reply. The request has gone out, and the first event is in.

    Iterate over it. It closes itself at its end, on an error, and on cancellation; to leave it early, use
    ``async with stream``, ``await stream.aclose()`` or ``stream.cancel()``. Leaving early closes the
    connection, which stops the provider's generation; nothing is drained. A stream that is dropped open is
    closed all the same, with a ``ResourceWarning``.

    Any task of the same event loop may iterate over it or close it, one at a time. Iterating over one that was left
    early raises ``RuntimeError``; after its end, or ``cancel()``, there is nothing more.
    """

    def __init__(self, call: Call[R], scope: AbstractAsyncContextManager[Reply[R]], reply: Reply[R]) -> None:
        self._call = call
        self._scope: AbstractAsyncContextManager[Reply[R]] | None = scope
        self._reply = reply
        self._count = 0
        self._loop = EventLoop.current()
        self._reading = False
        self._cancelled = False

    def _take(self, event: R) -> None:
        """Note an event that is handed out."""
        self._count += 1

    def _partial(self) -> object | None:
        """What has come so far, for the error that breaks the stream."""
        return None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> R:
        if self._scope is None:
            if self._reply.finished or self._cancelled:
                raise StopAsyncIteration
            raise RuntimeError("this stream is closed: iterate over it inside its block, and before aclose()")
        if self._reading:
            # The other one goes on: to close the stream here would take it away from under it.
            raise RuntimeError("another task is waiting for this stream's next event: iterate in one at a time")
        try:
            event = self._reply.next_nowait()
            if event is None:
                self._reading = True
                try:
                    event = await self._reply.__anext__()
                finally:
                    self._reading = False
        except StopAsyncIteration:
            await self._close(None)
            raise
        except LlmError as error:
            error.partial = self._partial()
            try:
                await self._close(error)
            finally:
                # After closing, as the attempt's outcome is known then.
                self._call.complete(error)
            raise
        except BaseException as error:
            await self._close(error)
            raise
        self._take(event)
        return event

    async def _close(self, error: BaseException | None) -> None:
        scope, self._scope = self._scope, None
        if scope is not None:
            # Layers see the error on its way out, and must let the same object pass; what they raise instead, wins.
            try:
                if error is None:
                    await scope.__aexit__(None, None, None)
                else:
                    await scope.__aexit__(type(error), error, error.__traceback__)
            except BaseException as raised:
                if raised is not error:
                    raise

    async def aclose(self) -> None:
        """Leave the stream. Idempotent; what was read before stays."""
        await self._close(None)

    def cancel(self) -> None:
        """Leave the stream without waiting, from any task of its event loop; a pending read ends, and with it the loop.

        From another thread, go through the loop: ``anyio.from_thread.run_sync(stream.cancel)``.
        """
        self._cancelled = True
        self._reply.cancel()
        if not self._reading and self._scope is not None:
            self._loop.spawn(self.aclose)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._close(error)

    @property
    def finished(self) -> bool:
        """Whether all chunks were handed out."""
        return self._reply.finished

    @property
    def closed(self) -> bool:
        """Whether the connection is released and all layers are done."""
        return self._scope is None

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request."""
        return self._reply.request_id

    @property
    def status(self) -> int:
        return self._reply.status

    @property
    def headers(self) -> Headers:
        """The reply's headers; names ignore case."""
        return self._reply.headers

    @property
    def usage(self) -> Usage | None:
        """Token counts reported so far; ``None`` is unknown."""
        return self._reply.usage

    @property
    def cost(self) -> Cost | None:
        """What the call cost, all its attempts together, once it is closed; ``None`` is unknown."""
        return self._reply.cost

    @property
    def saved(self) -> Cost | None:
        """Out of a cache, what the answer cost when it was made, and now did not; ``None`` is unknown, or no hit."""
        return self._reply.saved

    def __repr__(self) -> str:
        state = "finished" if self.finished else "closed" if self.closed else "open"
        what = f"{self._call.route.provider}/{self._call.route.model}"
        return f"<{type(self).__name__} {what} {state}, {self._count} events>"

    def __del__(self) -> None:
        # An instance whose __init__ failed has no scope.
        scope = getattr(self, "_scope", None)
        if scope is not None:
            self._reply.dropped = True
            self._loop.spawn(lambda: scope.__aexit__(None, None, None))
            warnings.warn(
                f"{self!r} was dropped before its end: iterate to the end, or use 'async with' or aclose()",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )


class ChatStream(EventStream[ChatCompletionChunk]):
    """The chunks of one streamed chat completion; see :class:`EventStream`."""

    def __init__(
        self,
        call: Call[ChatCompletionChunk],
        scope: AbstractAsyncContextManager[Reply[ChatCompletionChunk]],
        reply: Reply[ChatCompletionChunk],
    ) -> None:
        super().__init__(call, scope, reply)
        self._chunks: list[ChatCompletionChunk] = []

    def _take(self, event: ChatCompletionChunk) -> None:
        self._count += 1
        self._chunks.append(event)

    def _partial(self) -> ChatCompletionResponse:
        return self.response()

    def response(self) -> ChatCompletionResponse:
        """Put together what has come so far: content, tool calls with their arguments joined, usage.

        After the end this is the whole reply; ``finished`` tells.
        """
        return accumulate(self._chunks).attach(
            request_id=self.request_id,
            headers=self.headers,
            raw=b"",
            attempts=tuple(self._call.attempts),
            request=self._call.request,
            origin=self._reply.origin,
            cost=self._reply.cost,
            saved=self._reply.saved,
        )

"""Answers of the test's own, in the place of a provider's."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, TypeVar, cast

import anyio.lowlevel
import msgspec

from .._contract import Call, Handler
from .._reply import Reply
from ..types import ChatCompletionChunk, ChatCompletionResponse, Usage, accumulate
from ._mock_chunks import chunks_of_reply, reply_of_text

R = TypeVar("R")

MockResponse = str | Exception | msgspec.Struct | Sequence[object]


class Mock(msgspec.Struct, frozen=True):
    """Answer calls without any provider, to test an application with.

    ``response`` is one of

    - a text: what the model says, in 0 tokens. A stream has a chunk for each word
    - a response struct, as ``ChatCompletionResponse``. A stream of a chat has its text in a chunk for each word
    - a list or tuple of events: a stream. For a unary chat its chunks are joined. An exception in it is raised in its
      place, and breaks the stream there
    - an exception: raised on entering, as a refusal is
    - a function of the call, sync or async, that gives one of these, or ``None`` to let the call through

    Nothing that is further in sees the call: no attempt is recorded, and ``origin`` of the reply is ``"mock"``. It
    takes no time. To test with delays, faults and the wire, use :class:`liter.testing.Simulator`.

    :raises ValueError: ``response`` is none of these; when called, it is nothing that this operation can give
    """

    response: MockResponse | Callable[[Call[object]], MockResponse | Awaitable[MockResponse | None] | None]

    def __post_init__(self) -> None:
        if isinstance(self.response, type) or not callable(self.response):
            _check(self.response)

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        return _Mocked(self, call, call_next)

    def __repr__(self) -> str:
        return f"Mock({getattr(self.response, '__name__', None) or repr(self.response)})"


class _Mocked(Generic[R]):
    __slots__ = ("_call", "_call_next", "_events", "_mock", "_scope")

    def __init__(self, mock: Mock, call: Call[R], call_next: Handler) -> None:
        self._mock = mock
        self._call = call
        self._call_next = call_next
        self._events: _MockEvents[R] | None = None
        self._scope: AbstractAsyncContextManager[Reply[R]] | None = None

    async def __aenter__(self) -> Reply[R]:
        await anyio.lowlevel.checkpoint()
        call = self._call
        response = self._mock.response
        if callable(response):
            given = response(call)
            given = await given if inspect.isawaitable(given) else given
            if given is None:
                self._scope = self._call_next(call)
                return await self._scope.__aenter__()
            response = given
            _check(response)
        if isinstance(response, Exception):
            raise response
        if isinstance(response, str):
            if call.operation != "chat":
                raise ValueError(f"a text mocks a chat only: to mock {call.operation}, give Mock its response struct")
            response = reply_of_text(response, call.route.model)
        if not call.stream:
            return self._whole(response)
        self._events = events = _MockEvents[R](_events(response))
        events.reply = reply = Reply(events=events, origin="mock")
        return reply

    def _whole(self, response: msgspec.Struct | Sequence[object]) -> Reply[R]:
        if not isinstance(response, msgspec.Struct):
            chunks: list[ChatCompletionChunk] = []
            for event in response:
                if isinstance(event, Exception):
                    raise event
                if not isinstance(event, ChatCompletionChunk):
                    raise ValueError(f"a list of events mocks a unary chat when all are chunks, not {event!r}")
                chunks.append(event)
            response = accumulate(chunks)
        usage = getattr(response, "usage", None)
        return Reply(value=cast("R", response), usage=usage if isinstance(usage, Usage) else None, origin="mock")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if self._scope is not None:
            return await self._scope.__aexit__(kind, error, traceback)
        if self._events is not None:
            await self._events.aclose()
        return None


class _MockEvents(Generic[R]):
    __slots__ = ("_events", "reply")

    def __init__(self, events: Sequence[object]) -> None:
        # Backwards, as the next one is popped off the end.
        self._events = list(reversed(events))
        self.reply: Reply[R] | None = None  # told about usage

    async def __anext__(self) -> R:
        await anyio.lowlevel.checkpoint()
        if not self._events:
            raise StopAsyncIteration
        event = self._events.pop()
        if isinstance(event, Exception):
            self._events.clear()
            raise event
        usage = getattr(event, "usage", None)
        if self.reply is not None and isinstance(usage, Usage):
            self.reply.usage = usage
        return cast("R", event)

    async def aclose(self) -> None:
        self._events.clear()


def _events(response: msgspec.Struct | Sequence[object]) -> Sequence[object]:
    if isinstance(response, ChatCompletionResponse):
        return chunks_of_reply(response)
    if isinstance(response, msgspec.Struct):
        raise ValueError(f"a {type(response).__name__} mocks no stream: give Mock a list of its events")
    return response


def _check(response: object) -> None:
    if isinstance(response, type) or not isinstance(response, str | Exception | msgspec.Struct | list | tuple):
        raise ValueError(
            "response must be a text, an exception, a response struct, a list of events, or a function of the call "
            f"that gives one of these, not {response!r}"
        )

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
from ..types import BinaryContent, Usage
from ._mock_forms import FORMS

R = TypeVar("R")

MockResponse = str | Exception | msgspec.Struct | BinaryContent | Sequence[object]


class Mock(msgspec.Struct, frozen=True):
    """Answer calls without any provider, to test an application with.

    ``response`` is one of

    - a text: what the model says or hears, in 0 tokens: of a chat, a response, a text completion, a transcription, a
      translation. A stream has an event for each word
    - what the method returns: a struct, as ``ChatCompletionResponse``, or ``BinaryContent``. A stream of the operations
      above has its text word by word
    - a list or tuple of events: a stream. For a unary call of these they are joined. An exception in it is raised in
      its place, and breaks the stream there
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
            # Without the traceback of the call before: it may be raised for each.
            raise response.with_traceback(None)
        if not call.stream:
            value = _whole(call, response)
            usage = getattr(value, "usage", None)
            return Reply(value=cast("R", value), usage=usage if isinstance(usage, Usage) else None, origin="mock")
        self._events = events = _MockEvents[R](_events(call, response))
        events.reply = reply = Reply(events=events, origin="mock")
        return reply

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
            raise event.with_traceback(None)
        usage = getattr(event, "usage", None) or getattr(getattr(event, "response", None), "usage", None)
        if self.reply is not None and isinstance(usage, Usage):
            self.reply.usage = usage
        return cast("R", event)

    async def aclose(self) -> None:
        self._events.clear()


def _whole(call: Call[object], response: object) -> object:
    form = FORMS.get(call.operation)
    if isinstance(response, str):
        return _said(call, response)
    if not isinstance(response, list | tuple):
        if form is not None and not isinstance(response, form.whole):
            raise ValueError(f"give Mock a {form.whole.__name__} for {call.operation}, not a {type(response).__name__}")
        return response
    events = cast("Sequence[object]", response)
    for event in events:
        if isinstance(event, Exception):
            raise event.with_traceback(None)
    if form is None:
        raise ValueError(f"a list of events mocks no whole {call.operation}: give Mock what the method returns")
    whole = form.join(events) if all(isinstance(event, form.event) for event in events) else None
    if whole is None:
        raise ValueError(f"a list of events mocks a whole {call.operation} when {form.needs}, not {response!r}")
    return whole


def _events(call: Call[object], response: object) -> Sequence[object]:
    if isinstance(response, list | tuple):
        return cast("Sequence[object]", response)
    form = FORMS.get(call.operation)
    whole = _said(call, response) if isinstance(response, str) else response
    if form is None or not isinstance(whole, form.whole):
        raise ValueError(
            f"a {type(whole).__name__} mocks no stream of {call.operation}: give Mock a list of its events"
        )
    return form.events(whole)


def _said(call: Call[object], text: str) -> object:
    form = FORMS.get(call.operation)
    if form is None or form.reply is None:
        able = ", ".join(name for name, other in FORMS.items() if other.reply is not None)
        raise ValueError(f"a text mocks {able}: to mock {call.operation}, give Mock what the method returns")
    return form.reply(text, call.route.model)


def _check(response: object) -> None:
    if isinstance(response, type) or not isinstance(
        response, str | Exception | msgspec.Struct | BinaryContent | list | tuple
    ):
        raise ValueError(
            "response must be a text, an exception, a response struct, a list of events, or a function of the call "
            f"that gives one of these, not {response!r}"
        )

"""A stream that broke after its first event, continued by another model.

What the consumer has seen goes to the other model as the beginning of its answer, in a last message of the assistant's
with ``prefix``. Some models answer with what comes next, some with the prefix once more, so a target says which: to
find out from the text is not possible, as a text may well begin again as it did before.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, Literal, TypeVar, cast

import anyio
from msgspec.structs import replace

from .._contract import Call, Handler
from .._errors import LlmError, StreamingError
from .._reply import Reply
from ..types import AssistantMessage, ChatCompletionChunk, ChatCompletionRequest, Delta

R = TypeVar("R")

PrefixReply = Literal["continued", "repeated"]

# Tells where to go on, and has told the listeners; ``None`` is nowhere.
Follow = Callable[[Call[R], LlmError, LlmError], Awaitable[tuple[Call[R], PrefixReply] | None]]

_TEXT_ONLY = {"role", "content", "reasoning", "reasoning_content"}
_OTHER_FIELDS = tuple(name for name in Delta.__struct_fields__ if name not in _TEXT_ONLY)


def can_continue(call: Call[R]) -> bool:
    """Tell whether the answer to a call is one text, of which a beginning can be put after its messages."""
    request = call.request
    return (
        call.stream
        and isinstance(request, ChatCompletionRequest)
        and not isinstance(request.conversation[-1], AssistantMessage)
    )


class ContinuedEvents(Generic[R]):
    """The events of one stream, and of those that continue it. ``reply`` is what to hand out."""

    __slots__ = (
        "_call",
        "_call_next",
        "_cancelled",
        "_continued",
        "_entering",
        "_follow",
        "_repeated",
        "_scope",
        "_source",
        "_text",
        "_whole",
        "reply",
    )

    def __init__(
        self,
        call: Call[R],
        scope: AbstractAsyncContextManager[Reply[R]],
        source: Reply[R],
        call_next: Handler,
        follow: Follow[R],
    ) -> None:
        self._call = call
        self._call_next = call_next
        self._follow = follow
        self._scope: AbstractAsyncContextManager[Reply[R]] | None = scope
        self._source = source
        self._text: list[str] = []
        self._whole = False  # whether there is more than a text's beginning, which no model can continue
        self._repeated = _Repeated("", "")
        self._continued = False
        self._cancelled = False
        self._entering: anyio.CancelScope | None = None
        self.reply: Reply[R] = Reply(
            events=self,
            status=source.status,
            headers=source.headers,
            request_id=source.request_id,
            usage=source.usage,
            cancel=self._cancel,
            origin=source.origin,
        )

    async def __anext__(self) -> R:
        while True:
            try:
                event = await self._source.__anext__()
            except StopAsyncIteration:
                if not self._continued:
                    self.reply.usage = self._source.usage
                elif not self._cancelled:
                    self._repeated.end()
                raise
            except LlmError as error:
                if not await self._continue(error):
                    raise
                if self._cancelled:
                    raise StopAsyncIteration from None
            else:
                return self._given(event)

    async def aclose(self) -> None:
        """Nothing of its own is open: the scope is left with the layer's."""

    async def leave(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Leave the scope of the stream that is open now, if one is."""
        scope, self._scope = self._scope, None
        return None if scope is None else await scope.__aexit__(kind, error, traceback)

    def _cancel(self) -> None:
        self._cancelled = True
        self._source.cancel()
        if self._entering is not None:
            self._entering.cancel()

    def _given(self, event: R) -> R:
        if not self._continued:
            self.reply.usage = self._source.usage
        if not isinstance(event, ChatCompletionChunk):
            self._whole = True
            return event
        chunk = self._cut(event) if self._continued else event
        for choice in chunk.choices:
            delta = choice.delta
            if choice.index or choice.finish_reason or any(getattr(delta, name) for name in _OTHER_FIELDS):
                self._whole = True
            elif delta.content:
                self._text.append(delta.content)
        return cast("R", chunk)

    def _cut(self, chunk: ChatCompletionChunk) -> ChatCompletionChunk:
        """Take out what the consumer has seen, and the usage: it would be that of a part."""
        choices = [
            replace(choice, delta=replace(choice.delta, content=self._repeated.cut(choice.delta.content)))
            if choice.delta.content and not choice.index
            else choice
            for choice in chunk.choices
        ]
        return replace(chunk, choices=choices, usage=None)

    async def _continue(self, error: LlmError) -> bool:
        """Open another stream in the place of the one that ``error`` broke."""
        seen = "".join(self._text)
        # A prefix that ends in blanks is refused by some (Anthropic), and makes others go on badly.
        text = seen.rstrip()
        if self._whole or not text:
            return False
        latest = error
        while (following := await self._follow(self._call, error, latest)) is not None:
            call, answers = following
            await self._leave_broken(error)
            if self._cancelled:
                return True
            call = _with_prefix(call, text)
            scope = self._call_next(call)
            try:
                with anyio.CancelScope() as self._entering:
                    source = await scope.__aenter__()
                    self._scope, self._source = scope, source
            except LlmError as refusal:
                error.add_note(f"not continued: {type(refusal).__name__}: {refusal}")
                latest = refusal
                continue
            finally:
                self._entering = None
            self._call, self._continued = call, True
            self._repeated = _Repeated(text if answers == "repeated" else "", seen[len(text) :])
            self.reply.usage = None  # of the part that broke it was not told
            return True
        return False

    async def _leave_broken(self, error: LlmError) -> None:
        try:
            await self.leave(type(error), error, error.__traceback__)
        except LlmError as raised:
            if raised is not error:
                raise


class _Repeated:
    """What a continuation may begin with that was seen before: all of ``text``, and as much as it has of ``blanks``."""

    __slots__ = ("_blanks", "_text")

    def __init__(self, text: str, blanks: str) -> None:
        self._text = text
        self._blanks = blanks

    def cut(self, piece: str) -> str:
        """Return what is new in the next piece of text."""
        same = _same(piece, self._text)
        if same < min(len(piece), len(self._text)):
            self.end()
        self._text, piece = self._text[same:], piece[same:]
        if not piece:
            return piece
        same = _same(piece, self._blanks)
        self._blanks = "" if same < len(piece) else self._blanks[same:]
        return piece[same:]

    def end(self) -> None:
        """Check that all of the text was there: or else what came does not fit on what was seen."""
        if self._text:
            raise StreamingError("cannot be continued: the target is to repeat the prefix, and answers otherwise")


def _same(one: str, other: str) -> int:
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return length


def _with_prefix(call: Call[R], text: str) -> Call[R]:
    request = cast("ChatCompletionRequest", call.request)
    messages = [*request.conversation, AssistantMessage(content=text, prefix=True)]
    # For the consumer, what follows is the next event: the limit is that of a gap.
    gap = call.timeouts.between_events
    first_event = None if gap is None else anyio.current_time() - call.started + gap
    return replace(
        call,
        request=replace(request, messages=messages),
        timeouts=replace(call.timeouts, first_event=first_event),
    )

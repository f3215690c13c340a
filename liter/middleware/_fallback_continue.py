"""A stream that broke after its first event, continued by another model.

What the consumer has seen goes to the other model as the beginning of its answer, in a last message of the assistant's
with ``prefix``. Some models answer with what comes next, some with the prefix once more, so a target says which: to
find out from the text is not possible, as a text may well begin again as it did before.
"""

from contextlib import AbstractAsyncContextManager
from typing import TypeVar, cast

from msgspec.structs import replace

from .._contract import Call, Handler
from .._errors import StreamingError
from .._reply import Reply
from ..types import AssistantMessage, ChatCompletionChunk, ChatCompletionRequest, Delta
from ._fallback_stream import Follow, FollowedEvents
from ._fallback_target import Target

R = TypeVar("R")

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


class ContinuedEvents(FollowedEvents[R]):
    """The events of one stream, and of those that continue it."""

    __slots__ = ("_repeated", "_text", "_whole")

    def __init__(
        self,
        call: Call[R],
        scope: AbstractAsyncContextManager[Reply[R]],
        source: Reply[R],
        call_next: Handler,
        follow: Follow[R],
    ) -> None:
        super().__init__(call, scope, source, call_next, follow)
        self._text: list[str] = []
        self._whole = False  # whether there is more than a text's beginning, which no model can continue
        self._repeated = _Repeated("", "")

    def _may_follow(self) -> bool:
        return not self._whole and bool(self._prefix())

    def _prefix(self) -> str:
        # A prefix that ends in blanks is refused by some (Anthropic), and makes others go on badly.
        return "".join(self._text).rstrip()

    def _made(self, call: Call[R], target: Target) -> Call[R]:
        request = cast("ChatCompletionRequest", call.request)
        messages = [*request.conversation, AssistantMessage(content=self._prefix(), prefix=True)]
        return replace(call, request=replace(request, messages=messages))

    def _opened(self, target: Target) -> None:
        text = self._prefix()
        blanks = "".join(self._text)[len(text) :]
        self._repeated = _Repeated(text if target.prefix == "repeated" else "", blanks)
        self.reply.usage = None  # of the part that broke it was not told

    def _ended(self) -> None:
        if self._followed:
            self._repeated.end()
        else:
            self.reply.usage = self._source.usage

    def _given(self, event: R) -> R:
        if not self._followed:
            self.reply.usage = self._source.usage
        if not isinstance(event, ChatCompletionChunk):
            self._whole = True
            return event
        chunk = self._cut(event) if self._followed else event
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

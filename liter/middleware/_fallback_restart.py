"""A stream that broke after its first event, begun anew by another model.

The first chunk of the new one says ``restarted``: whatever came before it is void. ``accumulate``, and so
``ChatStream.response()``, forgets it; who shows text to people takes back what was shown.
"""

from contextlib import AbstractAsyncContextManager
from typing import TypeVar, cast

from msgspec.structs import replace

from .._contract import Call, Handler
from .._reply import Reply
from ..types import ChatCompletionChunk, ChatCompletionRequest
from ._fallback_stream import Follow, FollowedEvents
from ._fallback_target import Target

R = TypeVar("R")


def can_restart(call: Call[R]) -> bool:
    """Tell whether the events of a call can say that they begin anew: those of a chat can."""
    return call.stream and isinstance(call.request, ChatCompletionRequest)


class RestartedEvents(FollowedEvents[R]):
    """The events of one stream, and of those that begin anew in its place."""

    __slots__ = ("_finished", "_given_any", "_marks", "_wanted")

    def __init__(
        self,
        call: Call[R],
        scope: AbstractAsyncContextManager[Reply[R]],
        source: Reply[R],
        call_next: Handler,
        follow: Follow[R],
    ) -> None:
        super().__init__(call, scope, source, call_next, follow)
        self._wanted = cast("ChatCompletionRequest", call.request).n or 1
        self._finished: set[int] = set()
        self._given_any = False
        self._marks = False

    def _may_follow(self) -> bool:
        # An answer that is all there is not taken back for the usage that is missing.
        return len(self._finished) < self._wanted

    def _made(self, call: Call[R], target: Target) -> Call[R]:
        return call

    def _opened(self, target: Target) -> None:
        self._finished.clear()
        self._marks = self._given_any
        self.reply.usage = self._source.usage

    def _ended(self) -> None:
        self.reply.usage = self._source.usage

    def _given(self, event: R) -> R:
        self.reply.usage = self._source.usage
        self._given_any = True
        if not isinstance(event, ChatCompletionChunk):
            return event
        self._finished.update(choice.index for choice in event.choices if choice.finish_reason)
        if not self._marks:
            return event
        self._marks = False
        return cast("R", replace(event, restarted=True).attach(raw=event.raw))

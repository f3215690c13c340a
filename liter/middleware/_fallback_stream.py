"""A stream that broke after its first event, and another one in its place."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, TypeVar

import anyio
from msgspec.structs import replace

from .._contract import Call, Handler
from .._errors import LlmError
from .._reply import Reply
from ._fallback_target import Target, cannot_be_asked

R = TypeVar("R")

# Tells where to go on after a call that was tried, the error that broke the stream, and the latest one. It has told
# the listeners; ``None`` is nowhere.
Follow = Callable[[Call[R], LlmError, LlmError], Awaitable[tuple[Call[R], Target] | None]]


class FollowedEvents(Generic[R]):
    """The events of one stream, and of those that follow when it breaks. ``reply`` is what to hand out.

    What follows, and what is handed out of it, is said by who inherits.
    """

    __slots__ = (
        "_broken",
        "_call",
        "_call_next",
        "_cancelled",
        "_entering",
        "_follow",
        "_followed",
        "_scope",
        "_source",
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
        self._followed = False
        self._cancelled = False
        self._entering: anyio.CancelScope | None = None
        self._broken: LlmError | None = None
        self.reply: Reply[R] = Reply(
            events=self,
            status=source.status,
            headers=source.headers,
            request_id=source.request_id,
            usage=source.usage,
            cancel=self._cancel,
            origin=source.origin,
        )
        self.reply.cost, self.reply.saved = source.cost, source.saved

    async def __anext__(self) -> R:
        while True:
            try:
                if self._broken is not None:
                    broken, self._broken = self._broken, None
                    raise broken
                event = await self._source.__anext__()
            except StopAsyncIteration:
                if not self._cancelled:
                    self._ended()
                raise
            except LlmError as error:
                if not (self._may_follow() and await self._open_next(error)):
                    raise
                if self._cancelled:
                    raise StopAsyncIteration from None
            else:
                return self._given(event)

    def next_nowait(self) -> R | None:
        """Return the next event if it is here already."""
        if self._broken is not None:
            return None
        try:
            event = self._source.next_nowait()
        except LlmError as error:
            # To go on elsewhere takes awaiting.
            self._broken = error
            return None
        return None if event is None else self._given(event)

    async def aclose(self) -> None:
        """Nothing of its own is open: the scope is left with the layer's."""

    async def leave(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Leave the scope of the stream that is open now, if one is."""
        scope, self._scope = self._scope, None
        return None if scope is None else await scope.__aexit__(kind, error, traceback)

    def _may_follow(self) -> bool:
        """Whether another stream can take the place of the one that has broken."""
        raise NotImplementedError

    def _made(self, call: Call[R], target: Target) -> Call[R]:
        """Make of a call to a target what is to be asked there."""
        raise NotImplementedError

    def _opened(self, target: Target) -> None:
        """Take note that another stream is open now."""
        raise NotImplementedError

    def _given(self, event: R) -> R:
        """Return what to hand out for an event."""
        raise NotImplementedError

    def _ended(self) -> None:
        """Take note that the stream has ended well."""
        raise NotImplementedError

    def _cancel(self) -> None:
        self._cancelled = True
        self._source.cancel()
        if self._entering is not None:
            self._entering.cancel()

    async def _open_next(self, error: LlmError) -> bool:
        """Open another stream in the place of the one that ``error`` broke."""
        latest = error
        while (following := await self._follow(self._call, error, latest)) is not None:
            call, target = following
            await self._leave_broken(error)
            if self._cancelled:
                return True
            call = _begun_in_a_gap(self._made(call, target))
            before = len(call.attempts)
            scope = self._call_next(call)
            try:
                with anyio.CancelScope() as self._entering:
                    source = await scope.__aenter__()
                    self._scope, self._source = scope, source
            except LlmError as refusal:
                error.add_note(f"not followed: {type(refusal).__name__}: {refusal}")
                if not cannot_be_asked(refusal, call, before):
                    latest = refusal
                continue
            finally:
                self._entering = None
            self._call, self._followed = call, True
            self._opened(target)
            return True
        return False

    async def _leave_broken(self, error: LlmError) -> None:
        try:
            await self.leave(type(error), error, error.__traceback__)
        except LlmError as raised:
            if raised is not error:
                raise


def _begun_in_a_gap(call: Call[R]) -> Call[R]:
    # For the consumer, what follows is the next event: the limit is that of a gap.
    gap = call.timeouts.between_events
    first_event = None if gap is None else anyio.current_time() - call.started + gap
    return replace(call, timeouts=replace(call.timeouts, first_event=first_event))

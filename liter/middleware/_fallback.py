"""Other models to go to when one cannot answer."""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, Literal, TypeVar, cast

import anyio
import msgspec

from .._contract import Call, Handler, Route
from .._errors import EndpointNotSupportedError, LlmError, LlmTimeoutError
from .._http import RawHeaders
from .._kept import names_what_is_kept
from .._loop import EventLoop
from .._reply import Reply
from ._fallback_continue import ContinuedEvents, can_continue
from ._fallback_restart import RestartedEvents, can_restart
from ._fallback_stream import FollowedEvents
from ._fallback_target import (
    Condition,
    Target,
    cannot_be_asked,
    check_condition,
    check_field,
    check_share,
    may_work_elsewhere,
)

R = TypeVar("R")

_IDEMPOTENCY_KEY = b"idempotency-key"

# What a try may come to end with, to ask beforehand where that leads to.
_SHARE_IS_OVER = LlmTimeoutError("the share of this try is over", limit="first event")


class FallingBack(msgspec.Struct, frozen=True, kw_only=True):
    """A model could not answer, and another one is asked.

    :param call: what failed
    :param error: what it failed with
    :param target: where it goes now
    """

    call: Call[object]
    error: LlmError
    target: Target


class Fallback(msgspec.Struct, frozen=True):
    """Go to other models, in order, when one cannot answer.

    A call goes where it was meant to first. When that raises an :class:`LlmError` on entering, it goes to the first
    target not tried yet whose condition the error meets, and from there on in the same way, to each target at most
    once. Address and key are those of the target. A target without ``changes`` that is where the call was meant to go
    is left out, as is one whose ``changes`` are fields of another operation's requests, one whose provider does not
    offer the operation, or does not take one of the parameters, and another provider's for a call that names what the
    first one keeps (a conversation, a response). Calls that are to no model (``list_models``) go through as they are.

    A stream that breaks after its first event is the consumer's, with ``mid_stream="fail"``. Otherwise a chat goes on
    at the next target whose condition the error meets, which has the time of a gap between events to begin:

    - ``"restart"`` begins the answer anew there. The first chunk of the new one has ``restarted=True``: forget what
      came before it, as ``ChatStream.response()`` does. ``usage`` is that of the last run alone; what the others took
      is on their attempts. An answer that had finished is not begun anew.
    - ``"continue"`` goes on at a target with a ``prefix``, be it the same model: what the consumer has seen is sent
      along, and the stream gives what comes after it, each text once. ``usage`` of such a stream is unknown, and limits
      on tokens and ``stop`` hold for each part. Not continued is what is more than the beginning of one text: several
      choices, tool calls, an answer that had finished.

    ::

        Fallback([
            "anthropic/claude-sonnet-4-5",
            Target("openai/gpt-4.1", when=ContextWindowExceededError),
            Target("openai/gpt-5-mini", changes={"reasoning_effort": "low"}),
        ])

    A try gets ``share * left`` seconds of those that are left until ``call.enter_by``, when there is a target for its
    timeout to lead to, and else all of them. The clock never restarts.

    When nothing is left to try, the last error is raised, with a note on each one before. The listeners of the
    call are told :class:`FallingBack` before each move. Each target gets an ``idempotency-key`` of its own, made of
    the call's, and headers that log in at one provider do not go to another.

    Place it outside ``Retry``, so that each model has its retries.

    :param models: where to go, in order: names, or :class:`Target` for what differs there
    :param when: an error class, several, or a function of the error; by default :func:`may_work_elsewhere`. Context
        windows and content policies lead only to targets that ask for them
    :param share: of the time left, for each try, above 0 and up to 1
    :param mid_stream: what a stream does that breaks after its first event: ``"fail"``, ``"restart"`` or ``"continue"``
    :raises ValueError: no models, one twice, or a value that makes no sense; when called, a target changes a field
        that no request has
    """

    models: Sequence[str | Target]
    when: Condition = may_work_elsewhere
    share: float = 0.5
    mid_stream: Literal["fail", "restart", "continue"] = "fail"

    def __post_init__(self) -> None:
        if isinstance(self.models, str | Mapping) or not self.models:
            raise ValueError(f"models must be a list of one or more models to go to, not {self.models!r}")
        targets: list[Target] = []
        for model in self.models:
            target = model if isinstance(model, Target) else Target(model)
            if target in targets:
                raise ValueError(f"models has {target.model!r} twice: each is tried once")
            targets.append(target)
        check_condition(self.when)
        check_share(self.share)
        if self.mid_stream not in ("fail", "restart", "continue"):
            raise ValueError(f"mid_stream must be 'fail', 'restart' or 'continue', not {self.mid_stream!r}")
        if (self.mid_stream == "continue") is not any(target.prefix for target in targets):
            raise ValueError(
                "mid_stream='continue' and models that are a Target(prefix=...) come together, or not at all"
            )
        msgspec.structs.force_setattr(self, "models", tuple(targets))

    @property
    def targets(self) -> tuple[Target, ...]:
        """``models``, each as a :class:`Target`."""
        return cast("tuple[Target, ...]", self.models)

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        return _Tries(self, call, call_next) if call.route.model else call_next(call)

    def accepts(self, target: Target, error: LlmError) -> bool:
        """Tell whether ``error`` leads to ``target``."""
        when = target.when or self.when
        if isinstance(when, (type, tuple)):
            return isinstance(error, when)
        return when(error)

    def __repr__(self) -> str:
        told = [target.told() for target in self.targets]
        if self.share != 0.5:
            told.append(f"share={self.share:g}")
        if self.mid_stream != "fail":
            told.append(f"mid_stream={self.mid_stream!r}")
        return f"Fallback({', '.join(told)})"


class _Tries(Generic[R]):
    """The scope of the try that was entered."""

    __slots__ = ("_call", "_call_next", "_events", "_fallback", "_notes", "_scope", "_untried")

    def __init__(self, fallback: Fallback, call: Call[R], call_next: Handler) -> None:
        self._fallback = fallback
        self._call = call
        self._call_next = call_next
        self._events: FollowedEvents[R] | None = None
        self._notes: list[str] = []
        self._untried = list(fallback.targets)

    async def __aenter__(self) -> Reply[R]:
        self._check_changes()
        call, share = self._call, self._fallback.share
        failure: LlmError | None = None
        try:
            while True:
                call = self._narrowed(call, share)
                before = len(call.attempts)
                scope = self._call_next(call)
                try:
                    reply = await scope.__aenter__()
                except LlmError as error:
                    error.provider = error.provider or call.route.provider
                    error.model = error.model or call.route.model
                    if failure is None or not cannot_be_asked(error, call, before):
                        failure = error
                    else:
                        self._notes.append(f"left out: {error}")
                    following = self._following(call, failure, self._call.enter_by)
                    if following is None:
                        for note in self._notes:
                            failure.add_note(note)
                        if failure is error:
                            raise
                        raise failure from None
                    if failure is error:
                        self._notes.append(f"before it: {type(error).__name__}: {error}")
                    target, moved = following
                    event = FallingBack(call=call, error=error, target=target)
                else:
                    self._scope = scope
                    mid_stream = self._fallback.mid_stream
                    if mid_stream == "continue" and can_continue(call):
                        self._events = ContinuedEvents(call, scope, reply, self._call_next, self._follow)
                    elif mid_stream == "restart" and can_restart(call):
                        self._events = RestartedEvents(call, scope, reply, self._call_next, self._follow)
                    return reply if self._events is None else self._events.reply
                await call.notify(event)
                # Its error's traceback holds this frame: a cycle, if it were kept.
                del event
                call, share = moved, target.share or self._fallback.share
        finally:
            failure = None  # likewise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if self._events is not None:
            return await self._events.leave(kind, error, traceback)
        return await self._scope.__aexit__(kind, error, traceback)

    async def _follow(self, tried: Call[R], broken: LlmError, latest: LlmError) -> tuple[Call[R], Target] | None:
        """Find where a stream that has broken goes on."""
        continues = self._fallback.mid_stream == "continue"
        if continues:
            self._untried = [target for target in self._untried if target.prefix is not None]
        following = self._following(tried, latest, self._call.deadline, elsewhere=not continues)
        if following is None:
            return None
        target, moved = following
        await tried.notify(FallingBack(call=tried, error=broken, target=target))
        return moved, target

    def _check_changes(self) -> None:
        """Before the first try: a mistake must not wait for an outage to show."""
        request = self._call.request
        for target in self._fallback.targets:
            for name in target.changes:
                if name not in request.__struct_fields__:
                    kind = type(request).__name__
                    check_field(target, name, kind)
                    self._untried.remove(target)
                    self._notes.append(f"left out: {target.model}, as its changes have {name!r}, and {kind} has not")
                    break

    def _narrowed(self, call: Call[R], share: float) -> Call[R]:
        """Give a try its share of the time, if a timeout leads on from it."""
        enter_by = self._call.enter_by
        if share == 1.0 or enter_by == math.inf or not self._leads_on():
            return call
        now, timeouts = (call.loop or EventLoop.current()).time(), call.timeouts
        # Rounding must not make it longer.
        first_event = min(now + share * (enter_by - now), enter_by) - call.started
        if timeouts.first_event and timeouts.first_event < first_event:
            return call
        return msgspec.structs.replace(call, timeouts=msgspec.structs.replace(timeouts, first_event=first_event))

    def _leads_on(self) -> bool:
        for target in self._untried:
            if self._fallback.accepts(target, _SHARE_IS_OVER) and self._route_to(target) is not None:
                return True
        return False

    def _following(
        self, tried: Call[R], error: LlmError, until: float, *, elsewhere: bool = True
    ) -> tuple[Target, Call[R]] | None:
        """Find where ``error`` leads to: the target, and the call to make there."""
        for target in tuple(self._untried):
            if not self._fallback.accepts(target, error):
                continue
            moved = self._moved(target, elsewhere=elsewhere)
            if moved is None:
                self._untried.remove(target)
                continue
            if anyio.current_time() >= until:
                error.add_note(f"no time was left to ask {target.model}")
                return None
            self._untried.remove(target)
            request = msgspec.structs.replace(moved.request, **target.changes) if target.changes else moved.request
            attempt = max(tried.attempt, len(tried.attempts)) + 1
            return target, msgspec.structs.replace(
                moved, request=request, headers=self._headers(target, moved.headers), attempt=attempt, waited=0.0
            )
        return None

    def _moved(self, target: Target, *, elsewhere: bool = True) -> Call[R] | None:
        """Address the call to ``target``; ``None`` where that makes no sense."""
        route = self._route_to(target, elsewhere=elsewhere)
        return None if route is None else self._call.at(route)

    def _route_to(self, target: Target, *, elsewhere: bool = True) -> Route | None:
        call, here = self._call, self._call.route
        try:
            route = call.route_to(target.model)
        except EndpointNotSupportedError as error:
            note = f"left out: {error}"
            if note not in self._notes:
                self._notes.append(note)
            return None
        if route.provider == here.provider and route.base_url == here.base_url:
            if elsewhere and not target.changes and route.model == here.model:
                return None
        elif names_what_is_kept(cast("Call[object]", call)):
            note = f"left out: {target.model}, as the call names what {here.provider} keeps"
            if note not in self._notes:
                self._notes.append(note)
            return None
        return route

    def _headers(self, target: Target, headers: RawHeaders) -> RawHeaders:
        # The same key for another request is refused, or answered with the first one's reply. It is made of the place
        # in the list, so that a Retry further out sends the same one again.
        place = b"-%d" % (self._fallback.targets.index(target) + 1)
        return tuple((name, value + place if name == _IDEMPOTENCY_KEY else value) for name, value in headers)

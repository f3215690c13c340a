"""An innermost handler without a wire: it does what a script says, and counts what is open."""

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import anyio
import msgspec

from .._contract import Attempt, Call
from .._errors import LlmTimeoutError
from .._http import Headers, HttpRequest
from .._reply import Reply

if TYPE_CHECKING:
    from ..types import Usage

R = TypeVar("R")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one entering of a :class:`ScriptedHandler` comes to. All times are seconds of the event loop's clock.

    :param value: a whole reply
    :param events: a stream of these, in this order
    :param error: raised in place of a value, or after the events; without events, raised on entering
    :param stalls: never comes to an end: on entering, or after the events
    :param delay: passes before it is entered, or refused
    :param interval: passes before each event but the first
    :param closing: passes while its scope closes, shielded from cancellation
    :param usage: what the reply reports: at once with a value, at its end with events
    :raises TypeError: there is nothing to do, or both a value and something else
    """

    value: object | None = None
    events: Sequence[object] | None = None
    error: BaseException | None = None
    stalls: bool = False
    delay: float = 0.0
    interval: float = 0.0
    closing: float = 0.0
    status: int = 200
    headers: Headers = Headers()
    usage: "Usage | None" = None

    def __post_init__(self) -> None:
        instead = self.events is not None or self.error is not None or self.stalls
        if (self.value is not None) == instead:
            raise TypeError("an Outcome takes a value, or else events, an error or stalls=True")

    @property
    def refuses(self) -> bool:
        """Whether it never gives a reply."""
        return self.value is None and not self.events and (self.error is not None or self.stalls)


class ScriptedHandler:
    """An innermost handler that follows a script, to test layers and stacks with, without any provider.

    The outcomes are used in the order in which scopes are entered, and the last one again for all that
    follow. A plain value stands for ``Outcome(value=...)``, a list or tuple for a stream of its items, an
    exception for a refusal::

        handler = ScriptedHandler(RateLimitedError("slow down", retry_after=2.0), ["a", "b"])
        async with Stack([Retry()], handler)(call) as reply:
            assert [event async for event in reply] == ["a", "b"]
        assert handler.entered == 1 and handler.open == 0

    Like the real exchange it keeps to ``call.enter_by`` while entering and to ``call.deadline`` and
    ``timeouts.between_events`` in a stream, asks ``call.gates``, appends to ``call.attempts``, tells ``call.watchers``
    (of a request whose body is the call's own as JSON), and takes one connection for each
    scope: given back when all of it was read or the provider refused, closed when it was left before.

    :ivar calls: the calls whose scopes were begun to enter, in order
    :ivar refusals: the exceptions of the script that were raised on entering, in order
    :ivar entered: scopes that were entered, and ``left``, those of them that have closed
    :ivar leased: connections in use now; ``returned`` and ``closed`` count what became of the others
    """

    def __init__(self, *outcomes: object) -> None:
        if not outcomes:
            raise TypeError("a ScriptedHandler needs at least one outcome")
        self._outcomes = [_outcome(outcome) for outcome in outcomes]
        self.calls: list[Call[object]] = []
        self.refusals: list[BaseException] = []
        self.entered = 0
        self.left = 0
        self.leased = 0
        self.returned = 0
        self.closed = 0

    @property
    def open(self) -> int:
        """Scopes that are entered and not yet left."""
        return self.entered - self.left

    def __call__(self, call: Call[R], /) -> "_Scope[R]":
        return _Scope(self, self._outcomes, call)

    def __repr__(self) -> str:
        return f"<ScriptedHandler calls={len(self.calls)} open={self.open} leased={self.leased}>"


def _as_json(request: object) -> bytes:
    # What JSON has no form for may have any.
    return msgspec.json.encode(request, enc_hook=str)


def _outcome(outcome: object) -> Outcome:
    if isinstance(outcome, Outcome):
        return outcome
    if isinstance(outcome, BaseException):
        return Outcome(error=outcome)
    if isinstance(outcome, list | tuple):
        return Outcome(events=cast("Sequence[object]", outcome))
    return Outcome(value=outcome)


class _Scope(Generic[R]):
    def __init__(self, handler: ScriptedHandler, outcomes: Sequence[Outcome], call: Call[R]) -> None:
        self._handler = handler
        self._outcomes = outcomes
        self._call = call
        self._begun = False
        self._closed = False
        self._reply: Reply[R] | None = None
        self._events: _ScriptedEvents[R] | None = None

    async def __aenter__(self) -> Reply[R]:
        if self._begun:
            raise RuntimeError("a scope is entered once: call the handler again for another attempt")
        self._begun = True
        call, handler = self._call, self._handler
        self._outcome = outcome = self._outcomes[min(len(handler.calls), len(self._outcomes) - 1)]
        handler.calls.append(cast("Call[object]", call))
        handler.leased += 1
        try:
            await self._begin()
        except BaseException:
            self._give_back(reusable=True)
            raise
        try:
            await self._wait_until_entered()
        except BaseException as error:
            self._attempt.status = getattr(error, "status", None)
            self._give_back(reusable=error is outcome.error)
            self._end(_named(error), error)
            raise
        handler.entered += 1
        self._attempt.status = outcome.status
        if outcome.value is not None:
            value = cast("R", outcome.value)
            reply = Reply(value=value, status=outcome.status, headers=outcome.headers, usage=outcome.usage)
        else:
            self._events = events = _ScriptedEvents(outcome, call)
            reply = Reply(events=events, status=outcome.status, headers=outcome.headers, cancel=events.cancel)
            events.reply = reply
        self._reply = reply
        for watcher in call.watchers:
            watcher.entered(self._attempt, cast("Reply[object]", reply))
        return reply

    async def _begin(self) -> None:
        call = cast("Call[object]", self._call)
        self._attempt = attempt = Attempt(
            number=0,
            provider=call.route.provider,
            model=call.route.model,
            started=anyio.current_time(),
            operation=call.operation,
            base_url=call.route.base_url,
            waited=call.waited,
        )
        body = _as_json(call.request) if call.gates or call.watchers else b""
        request = HttpRequest(method="POST", base_url=call.route.base_url, path="", body=body)
        if call.gates:
            with anyio.CancelScope(deadline=call.enter_by) as scope:
                for gate in call.gates:
                    await gate.admit(call, attempt, request)
            if scope.cancelled_caught:
                raise self._too_late()
            attempt.started = anyio.current_time()
        attempt.number = call.attempt
        call.attempts.append(attempt)
        for watcher in call.watchers:
            watcher.begin(call, attempt, request)

    def _end(self, outcome: str, error: BaseException | None) -> None:
        attempt = self._attempt
        attempt.outcome = outcome
        attempt.seconds = anyio.current_time() - attempt.started
        attempt.usage = None if self._reply is None else self._reply.usage
        for watcher in self._call.watchers:
            watcher.ended(attempt, error)

    async def _wait_until_entered(self) -> None:
        call, outcome = self._call, self._outcome
        with anyio.CancelScope(deadline=call.enter_by) as scope:
            await anyio.sleep(outcome.delay)
            if outcome.refuses and outcome.stalls:
                await anyio.sleep_forever()
        if scope.cancelled_caught:
            raise self._too_late()
        if outcome.refuses and outcome.error is not None:
            self._handler.refusals.append(outcome.error)
            raise outcome.error

    def _too_late(self) -> LlmTimeoutError:
        call = self._call
        limit = "total" if call.enter_by == call.deadline else "first event"
        seconds = call.enter_by - call.started
        return LlmTimeoutError(f"nothing within {seconds:g} s", limit=limit, seconds=seconds)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._closed:
            raise RuntimeError("a scope is left once")
        self._closed = True
        events = self._events
        if events is not None:
            await events.aclose()
        self._end(
            "ok" if events is None else (events.ended or "abandoned"),
            None if self._reply is None else self._reply.error,
        )
        try:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(self._outcome.closing)
        finally:
            self._handler.left += 1
            self._give_back(reusable=events is None or events.ended == "ok")

    def _give_back(self, *, reusable: bool) -> None:
        self._handler.leased -= 1
        if reusable:
            self._handler.returned += 1
        else:
            self._handler.closed += 1


class _ScriptedEvents(Generic[R]):
    """The source of a scripted stream. ``ended`` is how: as the outcome of an ``Attempt``."""

    def __init__(self, outcome: Outcome, call: Call[R]) -> None:
        self._outcome = outcome
        self._events = cast("Sequence[R]", outcome.events or ())
        self._timeouts = call.timeouts
        self._deadline = call.deadline
        self._given = 0
        self._closed = False
        self._pending: anyio.CancelScope | None = None
        self.ended: str | None = None
        self.reply: Reply[R] | None = None

    async def __anext__(self) -> R:
        if self._closed:
            raise anyio.ClosedResourceError
        if self.ended is not None:
            raise StopAsyncIteration
        try:
            await self._wait_for_next()
        except StopAsyncIteration:
            self.ended = self.ended or "ok"
            raise
        except BaseException as error:
            self.ended = _named(error)
            raise
        self._given += 1
        return self._events[self._given - 1]

    async def _wait_for_next(self) -> None:
        outcome, more = self._outcome, self._given < len(self._events)
        between = self._timeouts.between_events
        now = anyio.current_time()
        by = self._deadline if between is None else min(self._deadline, now + between)
        with anyio.CancelScope(deadline=by) as self._pending:
            await anyio.sleep(outcome.interval if more and self._given else 0.0)
            if not more and outcome.stalls:
                await anyio.sleep_forever()
        pending, self._pending = self._pending, None
        if pending.cancelled_caught and anyio.current_time() >= by:
            limit = "total" if by == self._deadline else "between events"
            raise LlmTimeoutError(f"no event within {by - now:g} s", limit=limit, seconds=by - now)
        if pending.cancelled_caught:
            self.ended = "abandoned"
            raise StopAsyncIteration
        if not more:
            if outcome.error is not None:
                raise outcome.error
            if self.reply is not None:
                self.reply.usage = outcome.usage
            raise StopAsyncIteration

    def cancel(self) -> None:
        """Make a pending read end the stream."""
        if self._pending is not None:
            self._pending.cancel()

    async def aclose(self) -> None:
        self._closed = True


def _named(error: BaseException) -> str:
    return type(error).__name__ if isinstance(error, Exception) else "cancelled"

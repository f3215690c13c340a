"""One layer under one scenario: makes its calls, and watches what it does to them."""

import types
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import Context, copy_context
from types import TracebackType
from typing import TypeVar, cast

import anyio
import msgspec

from .._contract import Call, Layer, Route, Timeouts
from .._errors import LlmError
from .._reply import Reply
from ._scripted import Outcome, ScriptedHandler

T = TypeVar("T")

RULES = (
    "a layer is an async context manager around one reply: calling it opens nothing, entering it does",
    "entering means there is something to show; what entering raises may be retried, nothing after it may",
    "`except` only around the entering, after the `yield` only `finally`",
    "no task group, cancel scope or context variable token is held across the `yield`",
    "state shared by calls in fields, state of one call in locals",
    "cleanup is synchronous, or shielded with a bound",
    "a stream is a class with `__anext__` and `aclose`; events are watched with a tap",
    "position is meaning: one call of a layer is one of the next, unless it is there to make several",
)


class LayerConformanceError(AssertionError):
    """A layer breaks the contract.

    :ivar rule: number of the rule in the contract; 0 is the sentence from which the others follow
    :ivar scenario: what was done, to a unary call or to a stream
    :ivar backend: ``"asyncio"`` or ``"trio"``
    :ivar expected: what the rule asks for, and ``seen``, what happened instead
    """

    def __init__(self, rule: int, scenario: str, backend: str, expected: str, seen: str) -> None:
        super().__init__(rule, scenario, backend, expected, seen)
        self.rule = rule
        self.scenario = scenario
        self.backend = backend
        self.expected = expected
        self.seen = seen

    def __str__(self) -> str:
        return (
            f"rule {self.rule} of the layer contract is broken: {RULES[self.rule]}\n"
            f"  scenario: {self.scenario}, on {self.backend}\n"
            f"  expected: {self.expected}\n"
            f"  seen:     {self.seen}"
        )


class OwnRefusalError(Exception):
    """The layer refused a call with an error of its own, as it may."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the user of the kit says about the layer: the parameters of ``check_layer``."""

    call: Call[object] | None
    value: object
    events: Sequence[object]
    may_repeat: bool
    may_answer: bool
    may_refuse: bool


class _Question(msgspec.Struct, frozen=True):
    text: str = "?"


_CALL: Call[object] = Call(
    operation="chat",
    request=_Question(),
    route=Route(provider="scripted", model="scripted", base_url="https://scripted.invalid"),
)

# Beyond all scenarios; they are there so that a layer that puts them off shows.
_TIMEOUTS = Timeouts(first_event=1e9, total=1e9)


class Trial:
    """A layer, the mode it is called in, and the words to complain with."""

    def __init__(
        self,
        layer: Layer,
        options: Options,
        in_use: Callable[[], int] | None,
        *,
        streamed: bool,
        scenario: str,
        backend: str,
    ) -> None:
        self.layer = layer
        self.options = options
        self.in_use = in_use
        self.streamed = streamed
        self.scenario = f"{scenario} ({'stream' if streamed else 'unary'})"
        self.backend = backend

    def fault(self, rule: int, expected: str, seen: str) -> LayerConformanceError:
        return LayerConformanceError(rule, self.scenario, self.backend, expected, seen)

    def outcome(self, *, stalls: bool = False, error: BaseException | None = None) -> Outcome:
        """The whole reply, or the events with a second before each; a stream may break after its first event."""
        if not self.streamed:
            return Outcome(value=self.options.value, delay=1.0, closing=1.0)
        events = self.options.events[:1] if stalls or error is not None else self.options.events
        return Outcome(events=events, stalls=stalls, error=error, delay=1.0, interval=1.0, closing=1.0)

    def open(self, handler: ScriptedHandler) -> "Opened":
        """Call the layer, and enter nothing yet."""
        template = self.options.call or _CALL
        call = msgspec.structs.replace(
            template, stream=self.streamed, started=anyio.current_time(), timeouts=_TIMEOUTS, attempts=[]
        )
        manager = cast("object", self.layer(call, handler))
        if not isinstance(manager, AbstractAsyncContextManager):
            if isinstance(manager, Coroutine):
                manager.close()
            raise self.fault(0, "calling a layer gives an async context manager", f"{manager!r}")
        if handler.calls:
            raise self.fault(0, "calling a layer opens nothing", "the next handler was entered")
        return Opened(self, handler, call, cast("AbstractAsyncContextManager[Reply[object], bool | None]", manager))

    async def read(self, reply: Reply[object]) -> None:
        """Read all of a reply, and compare it with what was sent."""
        if not self.streamed:
            if reply.value != self.options.value:
                raise self.fault(6, f"the value {self.options.value!r}", f"{reply.value!r}")
            return
        seen = [event async for event in reply]
        if seen != list(self.options.events):
            raise self.fault(6, f"the events {list(self.options.events)!r}", f"{seen!r}")

    async def use(self, handler: ScriptedHandler) -> None:
        """Make a call, and read it to the end."""
        async with self.open(handler) as reply:
            await self.read(reply)

    def check_settled(self, handler: ScriptedHandler, rule: int) -> None:
        """After a call: nothing of it may be open."""
        if handler.open:
            raise self.fault(rule, "the next handler's scope is left with the layer's own", "it is still open")
        if handler.leased:
            raise self.fault(rule, "the connection is closed or back in the pool", "it is still leased")

    def check_free(self, rule: int) -> None:
        """With no call under way nothing may be in use."""
        if self.in_use is not None and self.in_use() != 0:
            raise self.fault(rule, "nothing is in use after the last call", f"in_use gives {self.in_use()}")


class Opened:
    """The layer's scope around one call, watched on its way in and out."""

    def __init__(
        self,
        trial: Trial,
        handler: ScriptedHandler,
        call: Call[object],
        manager: AbstractAsyncContextManager[Reply[object], bool | None],
    ) -> None:
        self._trial = trial
        self._handler = handler
        self._call = call
        self._manager = manager
        self._attempts = 0

    async def __aenter__(self) -> Reply[object]:
        trial, handler = self._trial, self._handler
        before = copy_context()
        try:
            entered = cast("object", await self._manager.__aenter__())
        except Exception as error:
            self._check_calls()
            self._check_error(error)
            raise
        self._check_calls()
        self._check_context(before)
        self._attempts = len(handler.calls)
        reply = self._reply(entered)
        if not trial.options.may_answer:
            if not handler.entered:
                raise trial.fault(
                    1, "the next handler is entered when the layer is", "it is not, and so may still refuse"
                )
            if not handler.open:
                raise trial.fault(
                    0, "the next handler's scope stays open as long as the layer's", "it was left at once"
                )
        if handler.open > 1:
            raise trial.fault(1, "one reply is handed out, all others are closed", f"{handler.open} are open")
        if trial.in_use is not None and handler.open and trial.in_use() < 1:
            raise trial.fault(0, "what a call holds is held as long as its reply", "in_use gives 0 with a reply open")
        return reply

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        trial = self._trial
        if isinstance(error, LayerConformanceError):
            raise error
        before = copy_context()
        if self._handler.open and trial.in_use is not None and trial.in_use() < 1:
            raise trial.fault(0, "what a call holds is held as long as its reply", "in_use gives 0 with a reply open")
        try:
            swallowed = await self._manager.__aexit__(kind, error, traceback)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseExceptionGroup as raised:
            raise trial.fault(3, f"{error!r} comes out of the block as it is", f"{raised!r}") from raised
        except BaseException as raised:
            if raised is not error and error is not None:
                raise trial.fault(2, f"{error!r} comes out of the block as it is", f"{raised!r}") from raised
            self._check_attempts()
            raise
        if swallowed and error is not None:
            raise trial.fault(2, f"{error!r} comes out of the block", "the layer swallowed it")
        self._check_attempts()
        self._check_context(before)

    def _reply(self, entered: object) -> Reply[object]:
        streamed, seen = self._trial.streamed, repr(entered)
        if not isinstance(entered, Reply) or entered.streamed is not streamed:
            raise self._trial.fault(0, f"a Reply, {'a stream' if streamed else 'with a value'}", seen)
        return cast("Reply[object]", entered)

    def _check_error(self, error: Exception) -> None:
        trial, refusals = self._trial, self._handler.refusals
        if any(error is refusal for refusal in refusals):
            return
        if isinstance(error, BaseExceptionGroup):
            raise trial.fault(3, "an exception comes out as it is, not in a group", repr(error)) from error
        if trial.options.may_refuse and isinstance(error, LlmError):
            raise OwnRefusalError from error
        if refusals:
            raise trial.fault(
                2, f"the very object that the next handler raised: {refusals[-1]!r}", repr(error)
            ) from error

    def _check_calls(self) -> None:
        trial, calls = self._trial, self._handler.calls
        for seen in calls:
            if seen.attempts is not self._call.attempts:
                raise trial.fault(4, "the next handler is given the call that was made", "it was given another one")
            if seen.deadline > self._call.deadline or seen.enter_by > self._call.enter_by:
                raise trial.fault(3, "the call's deadline is passed on", "it was put off")
        if len(calls) > 1 and not trial.options.may_repeat:
            raise trial.fault(7, "the next handler is entered once", f"it was entered {len(calls)} times")

    def _check_attempts(self) -> None:
        again = len(self._handler.calls) - self._attempts
        if again:
            raise self._trial.fault(1, "nothing is tried again once the reply is entered", f"{again} more attempts")

    def _check_context(self, before: Context) -> None:
        after = copy_context()
        changed = [
            variable.name
            for variable in {*before, *after}
            if before.get(variable, _ABSENT) is not after.get(variable, _ABSENT)
        ]
        if changed:
            raise self._trial.fault(3, "the consumer's context variables are as they were", f"changed: {changed}")


_ABSENT = object()


@types.coroutine
def watch_suspensions(
    coroutine: Coroutine[object, object, T], suspended: Callable[[], None]
) -> Generator[object, object, T]:
    """Await ``coroutine``, calling ``suspended()`` each time before it lets other tasks run: at each checkpoint."""
    send: object = None
    throw: BaseException | None = None
    while True:
        try:
            waits_for = coroutine.send(send) if throw is None else coroutine.throw(throw)
        except StopIteration as stop:
            value: T = stop.value
            return value
        suspended()
        send, throw = None, None
        try:
            send = yield waits_for
        except BaseException as error:  # noqa: BLE001 # passed on
            throw = error

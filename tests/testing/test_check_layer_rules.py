"""The conformance kit accepts right layers, and names the rule that a wrong one breaks."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import TypeVar

import anyio
import anyio.lowlevel
import msgspec
import pytest

from liter._contract import Call, Handler, Layer
from liter._errors import LlmError, ServerError
from liter._reply import Reply
from liter.testing import LayerConformanceError, check_layer

from ._layers import Limits, Remembers, swallows

R = TypeVar("R")

_label: ContextVar[str] = ContextVar("label", default="")


class Slots:
    """A right concurrency limit in its plainest form; the wrong ones below are made from it."""

    def __init__(self) -> None:
        self.free = 2
        self.line: deque[anyio.Event] = deque()

    @property
    def in_use(self) -> int:
        return 2 - self.free

    async def take(self) -> None:
        while not self.free:
            event = anyio.Event()
            self.line.append(event)
            await event.wait()
        self.free -= 1

    def put(self) -> None:
        self.free += 1
        for event in self.line:
            event.set()
        self.line.clear()

    @asynccontextmanager
    async def __call__(self, call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
        await self.take()
        try:
            async with call_next(call) as reply:
                yield reply
        finally:
            self.put()


# Right layers.


@asynccontextmanager
async def passes_on(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    async with call_next(call) as reply:
        yield reply


def calls_next(call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
    return call_next(call)


class Derived:
    """Hands out a derived stream, from a class, and closes it."""

    def __init__(self, reply: Reply[R]) -> None:
        self.reply = reply

    async def __anext__(self) -> R:
        return await self.reply.__anext__()

    async def aclose(self) -> None:
        pass


@asynccontextmanager
async def derives(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    async with call_next(call) as reply:
        yield reply.derive(events=Derived(reply)) if reply.streamed else reply


@asynccontextmanager
async def tries_twice(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    scope = call_next(call)
    try:
        reply = await scope.__aenter__()
    except ServerError:
        scope = call_next(call)
        reply = await scope.__aenter__()
    async with _entered(scope):
        yield reply


class _entered:  # noqa: N801 # reads as a verb
    def __init__(self, scope: AbstractAsyncContextManager[object]) -> None:
        self.scope = scope

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *error: object) -> bool | None:
        return await self.scope.__aexit__(*error)


# Wrong layers, by the rule they break.


async def is_a_coroutine(call: Call[R], call_next: Handler) -> object:
    return call_next(call)


class TakesWhenCalled(Slots):
    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        self.free -= 1
        return self._scope(call, call_next)

    @asynccontextmanager
    async def _scope(self, call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
        while self.free < 0:
            await anyio.sleep(60)
        try:
            async with call_next(call) as reply:
                yield reply
        finally:
            self.put()


class ReleasesTooEarly(Slots):
    @asynccontextmanager
    async def __call__(self, call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
        scope = call_next(call)
        await self.take()
        try:
            reply = await scope.__aenter__()
        finally:
            self.put()
        async with _entered(scope):
            yield reply


@asynccontextmanager
async def closes_too_early(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    async with call_next(call) as reply:
        pass
    yield reply


@asynccontextmanager
async def never_closes(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    yield await call_next(call).__aenter__()


class KeepsItsPermitWhenRefused(Slots):
    @asynccontextmanager
    async def __call__(self, call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
        await self.take()
        async with call_next(call) as reply:
            try:
                yield reply
            finally:
                self.put()


_tasks: set["asyncio.Task[None]"] = set()


@asynccontextmanager
async def leaves_a_task(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    async with call_next(call) as reply:
        _tasks.add(asyncio.get_running_loop().create_task(asyncio.sleep(1e9)))
        yield reply


class Late:
    """Enters only when it is read."""

    def __init__(self, call: Call[R], call_next: Handler) -> None:
        self.scope = call_next(call)
        self.reply: Reply[R] | None = None

    async def __anext__(self) -> R:
        if self.reply is None:
            self.reply = await self.scope.__aenter__()
        return await self.reply.__anext__()

    async def aclose(self) -> None:
        if self.reply is not None:
            await self.scope.__aexit__(None, None, None)


@asynccontextmanager
async def enters_when_it_is_read(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    if not call.stream:
        async with call_next(call) as reply:
            yield reply
        return
    late = Late(call, call_next)
    try:
        yield Reply(events=late)
    finally:
        await late.aclose()


class Restarts:
    """Begins again when its stream breaks."""

    def __init__(self, call: Call[R], call_next: Handler, reply: Reply[R]) -> None:
        self.call = call
        self.call_next = call_next
        self.reply = reply

    async def __anext__(self) -> R:
        try:
            return await self.reply.__anext__()
        except LlmError:
            async with self.call_next(self.call) as reply:
                return await reply.__anext__()

    async def aclose(self) -> None:
        pass


@asynccontextmanager
async def restarts_a_broken_stream(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    async with call_next(call) as reply:
        yield reply.derive(events=Restarts(call, call_next, reply)) if reply.streamed else reply


@asynccontextmanager
async def retries_around_the_yield(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    for _ in range(4):
        try:
            async with call_next(call) as reply:
                yield reply
        except LlmError:
            continue
        return


@asynccontextmanager
async def wraps_what_is_thrown_in(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    async with call_next(call) as reply:
        try:
            yield reply
        except Exception as error:
            raise RuntimeError("failed") from error


@asynccontextmanager
async def wraps_refusals(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    try:
        scope = call_next(call)
        reply = await scope.__aenter__()
    except ServerError as error:
        raise ServerError("failed") from error
    async with _entered(scope):
        yield reply


@asynccontextmanager
async def closes_without_finally(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    scope = call_next(call)
    yield await scope.__aenter__()
    await scope.__aexit__(None, None, None)


@asynccontextmanager
async def swallows_the_cancellation(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    async with call_next(call) as reply:
        try:
            yield reply
        except anyio.get_cancelled_exc_class():
            pass


@asynccontextmanager
async def holds_a_task_group(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    async with anyio.create_task_group(), call_next(call) as reply:
        yield reply


@asynccontextmanager
async def holds_a_cancel_scope(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    with anyio.fail_after(1e9):
        async with call_next(call) as reply:
            yield reply


@asynccontextmanager
async def holds_a_token(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    token = _label.set("in a call")
    try:
        async with call_next(call) as reply:
            yield reply
    finally:
        _label.reset(token)


@asynccontextmanager
async def leaves_a_context_variable(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    async with call_next(call) as reply:
        yield reply
    _label.set(f"{call.operation} is over")


@asynccontextmanager
async def puts_the_deadline_off(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    timeouts = msgspec.structs.replace(call.timeouts, total=None)
    async with call_next(msgspec.structs.replace(call, timeouts=timeouts)) as reply:
        yield reply


class KeepsTheScope:
    """The scope of the last call, for all calls."""

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        layer = self

        class Entered:
            async def __aenter__(self) -> Reply[R]:
                layer.scope = call_next(call)
                return await layer.scope.__aenter__()

            async def __aexit__(
                self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
            ) -> bool | None:
                return await layer.scope.__aexit__(kind, error, traceback)

        return Entered()


class KeepsTheCall:
    """A layer that is its own scope."""

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        self.scope = call_next(call)
        return self

    async def __aenter__(self) -> Reply[object]:
        return await self.scope.__aenter__()

    async def __aexit__(self, *error: object) -> bool | None:
        return await self.scope.__aexit__(*error)


class SendsTheFirstCall:
    """Sends the first call it was given again and again."""

    def __init__(self) -> None:
        self.call: Call[object] | None = None

    @asynccontextmanager
    async def __call__(self, call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
        self.call = self.call or call
        async with call_next(self.call) as reply:
            yield reply


class ReleasesAfterAwaiting(Slots):
    @asynccontextmanager
    async def __call__(self, call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
        await self.take()
        try:
            async with call_next(call) as reply:
                yield reply
        finally:
            await anyio.lowlevel.checkpoint()
            self.put()


class ClosesAfterAwaiting(Slots):
    @asynccontextmanager
    async def __call__(self, call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
        scope = call_next(call)
        reply = await scope.__aenter__()
        try:
            yield reply
        finally:
            await anyio.lowlevel.checkpoint()
            await scope.__aexit__(None, None, None)


class LeaksWhenCancelledOnEntering(Slots):
    @asynccontextmanager
    async def __call__(self, call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
        await self.take()
        scope = call_next(call)
        try:
            reply = await scope.__aenter__()
        except Exception:
            self.put()
            raise
        try:
            async with _entered(scope):
                yield reply
        finally:
            self.put()


class LosesHandedOverPermits:
    """Gives the permit to the first in line, even if that one has just been cancelled."""

    def __init__(self) -> None:
        self.free = 2
        self.line: deque[anyio.Event] = deque()

    @asynccontextmanager
    async def __call__(self, call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
        if self.free:
            self.free -= 1
        else:
            event = anyio.Event()
            self.line.append(event)
            await event.wait()
        try:
            async with call_next(call) as reply:
                yield reply
        finally:
            if self.line:
                self.line.popleft().set()
            else:
                self.free += 1


@asynccontextmanager
async def cleans_up_for_an_hour(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    try:
        async with call_next(call) as reply:
            yield reply
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(3600)


async def _events(reply: Reply[R]) -> AsyncGenerator[R, None]:
    async for event in reply:
        yield event


@asynccontextmanager
async def gives_a_bare_generator(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    async with call_next(call) as reply:
        yield reply.derive(events=_events(reply)) if reply.streamed else reply


class OneLess:
    def __init__(self, reply: Reply[R]) -> None:
        self.reply = reply
        self.skipped = False

    async def __anext__(self) -> R:
        if not self.skipped:
            self.skipped = True
            await self.reply.__anext__()
        return await self.reply.__anext__()

    async def aclose(self) -> None:
        pass


@asynccontextmanager
async def loses_an_event(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    async with call_next(call) as reply:
        yield reply.derive(events=OneLess(reply)) if reply.streamed else reply


@asynccontextmanager
async def enters_twice(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    async with call_next(call):
        pass
    async with call_next(call) as reply:
        yield reply


RIGHT: list[tuple[Callable[[], Layer], dict[str, object]]] = [
    (lambda: passes_on, {}),
    (lambda: calls_next, {}),
    (lambda: derives, {}),
    (Slots, {"in_use": lambda layer: layer.in_use}),
    (Remembers, {"may_answer": True}),
    (lambda: Limits(3), {"may_refuse": True}),
    (lambda: tries_twice, {"may_repeat": True}),
]

WRONG: list[tuple[int, str, Callable[[], Layer], dict[str, object]]] = [
    (0, "read to the end", lambda: is_a_coroutine, {}),
    (0, "called but not entered", TakesWhenCalled, {}),
    (0, "read to the end", ReleasesTooEarly, {"in_use": lambda layer: layer.in_use}),
    (0, "read to the end", lambda: closes_too_early, {}),
    (0, "read to the end", lambda: never_closes, {}),
    (0, "refused for good", KeepsItsPermitWhenRefused, {}),
    (0, "read to the end", lambda: leaves_a_task, {}),
    (1, "read to the end", lambda: enters_when_it_is_read, {}),
    (1, "fails after the first event", lambda: restarts_a_broken_stream, {}),
    (2, "the consumer raises", lambda: swallows, {}),
    (2, "the consumer raises", lambda: wraps_what_is_thrown_in, {}),
    (2, "the consumer raises", lambda: closes_without_finally, {}),
    (2, "the consumer raises an LlmError", lambda: retries_around_the_yield, {"may_repeat": True}),
    (2, "refused for good", lambda: wraps_refusals, {}),
    (2, "cancelled in the stream", lambda: swallows_the_cancellation, {}),
    (3, "closed in another task", lambda: holds_a_task_group, {}),
    (3, "closed in another task", lambda: holds_a_cancel_scope, {}),
    (3, "read to the end", lambda: holds_a_token, {}),
    (3, "read to the end", lambda: leaves_a_context_variable, {}),
    (3, "read to the end", lambda: puts_the_deadline_off, {}),
    (4, "two calls ended out of order", KeepsTheScope, {}),
    (4, "two calls ended out of order", KeepsTheCall, {}),
    (4, "read to the end", SendsTheFirstCall, {}),
    (5, "cancelled while entering", ReleasesAfterAwaiting, {}),
    (5, "cancelled in the stream", ClosesAfterAwaiting, {}),
    (5, "cancelled while entering", LeaksWhenCancelledOnEntering, {}),
    (5, "a crowd of calls", LosesHandedOverPermits, {}),
    (5, "cancelled", lambda: cleans_up_for_an_hour, {}),
    (6, "left early", lambda: gives_a_bare_generator, {}),
    (6, "read to the end", lambda: loses_an_event, {}),
    (7, "refused for good", lambda: tries_twice, {}),
    (7, "read to the end", lambda: enters_twice, {}),
]


def _name(make_layer: Callable[[], Layer]) -> str:
    layer = make_layer()
    return getattr(layer, "__name__", type(layer).__name__)


@pytest.mark.parametrize(("make_layer", "options"), [pytest.param(*case, id=_name(case[0])) for case in RIGHT])
def test_right_layers_pass(make_layer: Callable[[], Layer], options: dict[str, object]) -> None:
    """A layer that keeps the contract is accepted, with the options that describe it."""
    check_layer(make_layer, **options)


@pytest.mark.parametrize(
    ("rule", "scenario", "make_layer", "options"),
    [pytest.param(*case, id=f"{case[0]}-{_name(case[2])}") for case in WRONG],
)
def test_wrong_layers_are_named(
    rule: int, scenario: str, make_layer: Callable[[], Layer], options: dict[str, object]
) -> None:
    """A layer that breaks the contract is rejected: the error names the rule and the scenario."""
    with pytest.raises(LayerConformanceError) as caught:
        check_layer(make_layer, **options)
    assert (caught.value.rule, caught.value.scenario.startswith(scenario)) == (rule, True), str(caught.value)

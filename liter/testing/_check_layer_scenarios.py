"""What the conformance kit does to a layer: one function for each thing that may happen to a call."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import count
from math import inf
from typing import NamedTuple, TypeVar

import anyio

from .._errors import ServerError, ServiceUnavailableError, StreamingError
from .._reply import Reply
from ._check_layer_trial import LayerConformanceError, Opened, OwnRefusalError, Trial, watch_suspensions
from ._scripted import Outcome, ScriptedHandler

T = TypeVar("T")

# Seconds of virtual time. A scenario by itself takes less than a minute; the rest is for the layer's waits.
_ENDLESS = 1e5
_GRACE = 60.0

# More than two, the room that limits should have: what leaks one permit a call shows by then.
_TIMES = 4
_CROWD = 12


class Scenario(NamedTuple):
    """What is done, and the rule to blame for what is left, hangs or is raised."""

    title: str
    rule: int
    once: Callable[[Trial], Awaitable[None]]
    stream_only: bool = False


async def play(trial: Trial, scenario: Scenario) -> None:
    """Play a scenario several times with the same layer, then see whether a plain call still goes through."""
    for _ in range(_TIMES):
        await _bounded(trial, scenario, scenario.once(trial), "the call comes to an end")
        trial.check_free(scenario.rule)
    handler = ScriptedHandler(trial.outcome())
    await _bounded(trial, scenario, trial.use(handler), "calls after these go through: nothing is used up")


async def _bounded(trial: Trial, scenario: Scenario, played: Awaitable[None], expected: str) -> None:
    with anyio.move_on_after(_ENDLESS) as scope, suppress(OwnRefusalError):
        await played
    if scope.cancelled_caught:
        raise trial.fault(scenario.rule, expected, "it waits for ever")


async def _read_to_the_end(trial: Trial) -> None:
    handler = ScriptedHandler(trial.outcome())
    await trial.use(handler)
    trial.check_settled(handler, 0)


async def _called_but_not_entered(trial: Trial) -> None:
    handler = ScriptedHandler(trial.outcome())
    trial.open(handler)
    trial.check_settled(handler, 0)


async def _closed_in_another_task(trial: Trial) -> None:
    handler = ScriptedHandler(trial.outcome())
    opened = trial.open(handler)
    reply = await _in_another_task(opened.__aenter__)
    await _in_another_task(lambda: trial.read(reply))
    await _in_another_task(lambda: opened.__aexit__(None, None, None))
    trial.check_settled(handler, 3)


async def _used_after_the_cancel_scope(trial: Trial) -> None:
    handler = ScriptedHandler(trial.outcome())
    opened = trial.open(handler)
    with anyio.fail_after(_ENDLESS / 4):
        reply = await opened.__aenter__()
    await anyio.sleep(_ENDLESS / 2)
    await trial.read(reply)
    await opened.__aexit__(None, None, None)
    trial.check_settled(handler, 3)


async def _ended_out_of_order(trial: Trial) -> None:
    for order in (0, 1), (1, 0):
        handlers = ScriptedHandler(trial.outcome()), ScriptedHandler(trial.outcome())
        scopes = [trial.open(handler) for handler in handlers]
        replies = await _enter_both(trial, scopes, handlers)
        expected = [handler.open for handler in handlers]
        for index in order:
            expected[index] = 0
            try:
                await trial.read(replies[index])
                await scopes[index].__aexit__(None, None, None)
            finally:
                if [handler.open for handler in handlers] != expected:
                    raise trial.fault(4, "leaving the scope of one call closes that call", "it closed another one")


async def _enter_both(
    trial: Trial, scopes: Sequence[Opened], handlers: Sequence[ScriptedHandler]
) -> list[Reply[object]]:
    replies: list[Reply[object]] = []
    try:
        for scope in scopes:
            replies.append(await scope.__aenter__())  # noqa: PERF401 # those before are needed when one refuses
    except OwnRefusalError:
        for scope in scopes[: len(replies)]:
            await scope.__aexit__(None, None, None)
        raise
    except LayerConformanceError as error:
        if not handlers[len(replies)].calls and len(handlers[1 - len(replies)].calls) > len(replies):
            raise trial.fault(4, "each of two calls at once leads to its own", "two calls were mixed up") from error
        raise
    return replies


async def _left_early(trial: Trial) -> None:
    handler = ScriptedHandler(trial.outcome())
    async with trial.open(handler) as reply:
        await reply.__anext__()
    trial.check_settled(handler, 0)


async def _consumer_raises(trial: Trial) -> None:
    await _raised_in_the_block(trial, ValueError("the consumer's own"))


async def _consumer_raises_an_llm_error(trial: Trial) -> None:
    await _raised_in_the_block(trial, ServiceUnavailableError("the consumer's own", status=503))


async def _raised_in_the_block(trial: Trial, error: Exception) -> None:
    handler = ScriptedHandler(trial.outcome())
    with suppress(type(error)):
        async with trial.open(handler) as reply:
            if trial.streamed:
                await reply.__anext__()
            raise error
    trial.check_settled(handler, 2)


async def _refused(trial: Trial) -> None:
    handler = ScriptedHandler(Outcome(error=ServerError("scripted", status=500), delay=1.0))
    with suppress(ServerError):
        async with trial.open(handler):
            if not trial.options.may_answer:
                raise trial.fault(1, "a refusal is raised on entering", "the layer was entered")
    trial.check_settled(handler, 0)


async def _refused_twice(trial: Trial) -> None:
    refusals = [Outcome(error=ServerError(text, status=500), delay=1.0) for text in ("the first", "the second")]
    handler = ScriptedHandler(*refusals, trial.outcome())
    with suppress(ServerError):
        await trial.use(handler)
    trial.check_settled(handler, 0)


async def _fails_after_the_first_event(trial: Trial) -> None:
    error = StreamingError("scripted")
    handler = ScriptedHandler(trial.outcome(error=error), trial.outcome())
    with suppress(StreamingError):
        async with trial.open(handler) as reply:
            calls = len(handler.calls)
            try:
                seen = [event async for event in reply]
            except StreamingError as raised:
                if raised is not error:
                    raise trial.fault(2, f"the very object that broke the stream: {error!r}", repr(raised)) from raised
                raise
            finally:
                if len(handler.calls) > calls:
                    raise trial.fault(1, "nothing is tried again once the reply is entered", "it was tried again")
            if handler.calls:
                raise trial.fault(2, f"the stream fails with {error!r}", f"it ends after {seen!r}")
    trial.check_settled(handler, 2)


async def _cancelled_while_entering(trial: Trial) -> None:
    handler = ScriptedHandler(Outcome(stalls=True))
    await _cancelled_when_it_stalls(trial, handler)


async def _cancelled_in_the_stream(trial: Trial) -> None:
    handler = ScriptedHandler(trial.outcome(stalls=True))
    await _cancelled_when_it_stalls(trial, handler)


async def _cancelled_when_it_stalls(trial: Trial, handler: ScriptedHandler) -> None:
    with anyio.move_on_after(_GRACE) as scope:
        await trial.use(handler)
    if not scope.cancelled_caught:
        raise trial.fault(2, "a cancellation comes out", "the layer swallowed it")
    _check_cancelled(trial, handler, scope.deadline)


async def _cancelled_while_closing(trial: Trial) -> None:
    handler = ScriptedHandler(trial.outcome())
    with anyio.CancelScope() as scope:
        async with trial.open(handler) as reply:
            await trial.read(reply)
            scope.deadline = anyio.current_time() + 0.5
    _check_cancelled(trial, handler, scope.deadline)


async def _cancelled_at_every_checkpoint(trial: Trial) -> None:
    refused = Outcome(error=ServerError("scripted", status=500), delay=1.0)
    for refusals in ((), (refused, refused)) if trial.options.may_repeat else ((),):
        for checkpoint in count(1):
            handler = ScriptedHandler(*refusals, trial.outcome())
            if not await _cancelled_at(trial, handler, checkpoint):
                break
            trial.check_free(5)


async def _cancelled_at(trial: Trial, handler: ScriptedHandler, checkpoint: int) -> bool:
    """Make a call, and cancel it at a checkpoint, from 1. Returns whether it has that many."""
    passed, cancelled = 0, inf

    def suspended() -> None:
        nonlocal passed, cancelled
        passed += 1
        if passed == checkpoint:
            cancelled = anyio.current_time()
            scope.cancel()

    with anyio.CancelScope() as scope, suppress(ServerError, OwnRefusalError):
        await watch_suspensions(trial.use(handler), suspended)
    _check_cancelled(trial, handler, cancelled)
    return passed >= checkpoint


def _check_cancelled(trial: Trial, handler: ScriptedHandler, cancelled: float) -> None:
    trial.check_settled(handler, 5)
    seconds = anyio.current_time() - cancelled
    if seconds > _GRACE:
        raise trial.fault(5, f"a cancelled call ends within {_GRACE:g} s", f"its cleanup took {seconds:g} s")


async def _crowd(trial: Trial) -> None:
    faults: list[Exception] = []

    async def one(number: int) -> None:
        try:
            await _one_of_a_crowd(trial, number)
        except OwnRefusalError:
            pass
        except Exception as fault:  # noqa: BLE001 # raised below, out of the group
            faults.append(fault)

    async with anyio.create_task_group() as tasks:
        for number in range(_CROWD):
            tasks.start_soon(one, number)
    if faults:
        raise faults[0]


async def _one_of_a_crowd(trial: Trial, number: int) -> None:
    await anyio.sleep(0.25 * number)
    if number % 4 == 0:
        await _read_to_the_end(trial)
    elif number % 4 == 1:
        await _refused(trial)
    elif number % 4 == 2:
        await _consumer_raises(trial)
    else:
        await _cancelled_at(trial, ScriptedHandler(trial.outcome()), 1 + number // 4)


async def _in_another_task(function: Callable[[], Awaitable[T]]) -> T:
    results: list[T] = []
    errors: list[Exception] = []

    async def run() -> None:
        try:
            results.append(await function())
        except Exception as error:  # noqa: BLE001 # raised below, out of the group
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
    if errors:
        raise errors[0]
    return results[0]


# What breaks several rules is named by the first: the ones that explain most come first.
SCENARIOS = (
    Scenario("read to the end", 0, _read_to_the_end),
    Scenario("called but not entered", 0, _called_but_not_entered),
    Scenario("closed in another task", 3, _closed_in_another_task),
    Scenario("used after the caller's cancel scope", 3, _used_after_the_cancel_scope),
    Scenario("two calls ended out of order", 3, _ended_out_of_order),
    Scenario("left early", 0, _left_early, stream_only=True),
    Scenario("the consumer raises", 2, _consumer_raises),
    Scenario("the consumer raises an LlmError", 2, _consumer_raises_an_llm_error),
    Scenario("refused for good", 0, _refused),
    Scenario("refused twice, then fine", 0, _refused_twice),
    Scenario("fails after the first event", 2, _fails_after_the_first_event, stream_only=True),
    Scenario("cancelled while entering", 5, _cancelled_while_entering),
    Scenario("cancelled in the stream", 5, _cancelled_in_the_stream, stream_only=True),
    Scenario("cancelled while closing", 5, _cancelled_while_closing),
    Scenario("cancelled at every checkpoint", 5, _cancelled_at_every_checkpoint),
    Scenario("a crowd of calls", 5, _crowd),
)

"""``Concurrency``: who is let through, in which order, and that no permit is ever lost."""

import asyncio
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from random import Random

import anyio
import anyio.lowlevel
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from liter._contract import Call, Route, Stack, Timeouts
from liter._errors import (
    BadRequestError,
    LlmError,
    LlmTimeoutError,
    RateLimitedError,
    ServerError,
    ServiceUnavailableError,
)
from liter.middleware import Concurrency, Limit, Mock, RateLimit, Retry
from liter.middleware._adaptive_limit import AdaptiveLimit
from liter.testing import Outcome, ScriptedHandler, VirtualTimeLoop, check_layer

MakeCall = Callable[..., Call[object]]


ADAPTIVE = {"adaptive": True, "min_limit": 2, "max_limit": 5}


@pytest.mark.parametrize(
    "options", [{"max_waiting": 0}, {"max_waiting": 2}, {"max_wait": 1.0}, ADAPTIVE, {**ADAPTIVE, "max_latency": 0.5}]
)
def test_keeps_the_contract_with(options: dict[str, int]) -> None:
    """It does so with a bounded line, a bounded wait, and a limit that moves."""
    check_layer(lambda: Concurrency(3, **options), in_use=lambda layer: layer.in_use, may_refuse=True)


@pytest.mark.parametrize("limit", [2, 3, 100])
def test_keeps_the_contract(limit: int) -> None:
    """A concurrency limit keeps the layer contract, and holds its permits exactly as long as replies."""
    check_layer(lambda: Concurrency(limit), in_use=lambda layer: layer.in_use)


@pytest.mark.anyio
@pytest.mark.parametrize("limit", [1, 3])
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
async def test_limits_calls_under_way(make_call: MakeCall, limit: int, streamed: bool) -> None:
    """At most ``limit`` replies are open at once, a stream until its scope closes."""
    layer = Concurrency(limit)
    outcome = Outcome(events=["one", "two"], delay=1, interval=1) if streamed else Outcome(value="whole", delay=2)
    handler = ScriptedHandler(outcome)
    most = 0

    async def use() -> None:
        nonlocal most
        async with layer(make_call(stream=streamed), handler) as reply:
            most = max(most, handler.leased)
            if streamed:
                assert [event async for event in reply] == ["one", "two"]
            assert layer.in_use >= handler.open

    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for _ in range(7):
            tasks.start_soon(use)
    assert most == limit
    assert anyio.current_time() - began == 2 * -(-7 // limit)
    assert (layer.in_use, layer.waiting) == (0, 0)


@pytest.mark.anyio
async def test_first_come_first_served(make_call: MakeCall) -> None:
    """Calls go through in the order in which they came, and a newcomer does not pass those in line."""
    layer = Concurrency(1)
    order: list[int] = []

    async def use(number: int) -> None:
        async with layer(make_call(), ScriptedHandler(Outcome(value=number, delay=1))):
            order.append(number)

    async def come_again() -> None:
        await use(0)
        await use(99)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(come_again)
        for number in range(1, 6):
            await anyio.sleep(0.01)
            tasks.start_soon(use, number)
    assert order == [0, 1, 2, 3, 4, 5, 99]


@pytest.mark.anyio
@pytest.mark.parametrize("timeouts", [Timeouts(total=3.0), Timeouts(first_event=3.0)], ids=["total", "first event"])
async def test_the_wait_spends_the_calls_time(make_call: MakeCall, timeouts: Timeouts) -> None:
    """The wait ends when the call's time does, with an error that tells how long it was."""
    layer = Concurrency(1)
    handler = ScriptedHandler("whole")
    async with layer(make_call(), handler):
        call = make_call(timeouts=timeouts)
        await anyio.sleep(1)
        with pytest.raises(LlmTimeoutError) as caught:
            async with layer(call, handler):
                pass
        assert anyio.current_time() - call.started == 3.0
        assert (layer.in_use, layer.waiting) == (1, 0)
    assert caught.value.limit == "concurrency"
    assert caught.value.seconds == 2.0
    assert not caught.value.retryable
    assert "waited 2 s for one of 1 permits" in str(caught.value)
    assert len(handler.calls) == 1
    assert layer.in_use == 0


@pytest.mark.anyio
async def test_a_free_permit_costs_no_wait(make_call: MakeCall) -> None:
    """A call whose time is over still takes a free permit: the time limit belongs to what is further in."""
    layer = Concurrency(1)
    call = make_call(timeouts=Timeouts(total=1.0))
    await anyio.sleep(2)
    with pytest.raises(LlmTimeoutError) as caught:
        async with layer(call, ScriptedHandler(Outcome(value="late", delay=1))):
            pass
    assert caught.value.limit == "total"
    assert layer.in_use == 0


@pytest.mark.anyio
async def test_a_refusal_frees_the_permit(make_call: MakeCall) -> None:
    """A refused call gives its permit back, and its error comes out as it is."""
    layer = Concurrency(1)
    error = ServerError("no")
    with pytest.raises(ServerError) as caught:
        async with layer(make_call(), ScriptedHandler(error)):
            pass
    assert caught.value is error
    assert layer.in_use == 0


@pytest.mark.anyio
async def test_a_cancelled_waiter_leaves_no_trace(make_call: MakeCall) -> None:
    """A waiter that is cancelled is out of line, and those behind it move up."""
    layer = Concurrency(1)
    handler = ScriptedHandler("whole")
    passed: list[str] = []

    async def use(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            async with layer(make_call(), handler):
                passed.append(name)

    scopes = [anyio.CancelScope() for _ in range(3)]
    async with anyio.create_task_group() as tasks, layer(make_call(), handler):
        for name, scope in zip("abc", scopes, strict=True):
            tasks.start_soon(use, name, scope)
            await anyio.sleep(0.1)
        assert layer.waiting == 3
        scopes[1].cancel()
        await anyio.sleep(0.1)
        assert layer.waiting == 2
    assert passed == ["a", "c"]
    assert (layer.in_use, layer.waiting) == (0, 0)


@pytest.mark.anyio
@pytest.mark.parametrize("steps", [("cancel", "hand over"), ("hand over", "cancel")], ids=" then ".join)
async def test_the_permit_of_a_cancelled_waiter_goes_to_the_next(make_call: MakeCall, steps: tuple[str, ...]) -> None:
    """A waiter cancelled in the very moment it is handed a permit passes it on."""
    layer = Concurrency(1)
    handler = ScriptedHandler("whole")
    passed: list[str] = []
    first = anyio.CancelScope()

    async def use(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            async with layer(make_call(), handler):
                passed.append(name)

    async with anyio.create_task_group() as tasks, layer(make_call(), handler):
        tasks.start_soon(use, "first", first)
        await anyio.sleep(0.1)
        tasks.start_soon(use, "second", anyio.CancelScope())
        await anyio.sleep(0.1)
        # Nothing runs between these two: the waiter is cancelled, and handed the permit.
        for step in steps:
            layer.release() if step == "hand over" else first.cancel()
        await anyio.sleep(0.1)
        await layer.acquire(float("inf"))
    assert passed == ["second"]
    assert (layer.in_use, layer.waiting) == (0, 0)


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(5))
async def test_churn_loses_nothing(make_call: MakeCall, seed: int) -> None:
    """Two hundred calls that end in all ways, half of them cancelled anywhere, leave all permits free."""
    random = Random(seed)
    layer = Concurrency(3)
    handlers: list[ScriptedHandler] = []

    async def use() -> None:
        await anyio.sleep(random.uniform(0, 20))
        outcome = Outcome(error=ServerError("no"), delay=0.3) if random.random() < 0.2 else Outcome(value=1, delay=0.3)
        handlers.append(ScriptedHandler(outcome))
        timeouts = Timeouts(total=random.choice([None, 2.0]))
        with anyio.move_on_after(random.choice([100.0, random.uniform(0, 2)])):
            try:
                async with layer(make_call(timeouts=timeouts), handlers[-1]):
                    assert layer.in_use <= 3
                    await anyio.sleep(random.uniform(0, 0.2))
            except (ServerError, LlmTimeoutError):
                pass

    async with anyio.create_task_group() as tasks:
        for _ in range(200):
            tasks.start_soon(use)
    assert (layer.in_use, layer.waiting) == (0, 0)
    assert not any(handler.open or handler.leased for handler in handlers)
    assert sum(handler.entered for handler in handlers) > 50


ROUTE = Route(provider="scripted", model="scripted", base_url="https://scripted.invalid")


def _in_a_loop(backend: str, function: Callable[[], object]) -> None:
    if backend == "trio":
        trio.run(function)
    else:
        asyncio.run(function())


@pytest.mark.parametrize("backends", [("asyncio", "asyncio"), ("trio", "trio"), ("asyncio", "trio")], ids="-".join)
def test_one_limit_for_several_loops(backends: tuple[str, str]) -> None:
    """Loops in several threads share the permits: they never pass the limit, and wake each other's waiters."""
    layer = Concurrency(2)
    lock = threading.Lock()
    under_way = most = done = 0

    async def use() -> None:
        nonlocal under_way, most, done
        handler = ScriptedHandler(Outcome(value=1, delay=0.0002))
        call: Call[object] = Call(operation="chat", request=ROUTE, route=ROUTE, attempts=[])
        async with layer(call, handler):
            with lock:
                under_way += 1
                most = max(most, under_way)
            await anyio.lowlevel.checkpoint()
            with lock:
                under_way -= 1
                done += 1

    async def main() -> None:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for _ in range(100):
                    tasks.start_soon(use)

    threads = [threading.Thread(target=_in_a_loop, args=(backend, main)) for backend in backends * 2]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert (most, done) == (2, 400)
    assert (layer.in_use, layer.waiting) == (0, 0)


def test_one_limit_for_loops_one_after_the_other() -> None:
    """A layer that has served one event loop serves the next."""
    layer = Concurrency(1)

    async def main() -> None:
        for _ in range(2):
            call: Call[object] = Call(operation="chat", request=ROUTE, route=ROUTE, attempts=[])
            async with layer(call, ScriptedHandler("whole")) as reply:
                assert reply.value == "whole"

    for backend in ("asyncio", "trio", "asyncio"):
        _in_a_loop(backend, main)
    assert layer.in_use == 0


def test_a_loop_given_up_keeps_no_permit() -> None:
    """A waiter whose loop was closed under it is passed over, and its permit counted once."""
    layer = Concurrency(1)
    loop = VirtualTimeLoop()

    async def wait() -> None:
        await layer.acquire(float("inf"))

    async def take_and_wait() -> None:
        await layer.acquire(float("inf"))
        waiters.append(asyncio.ensure_future(wait()))
        await asyncio.sleep(0)

    waiters: list[asyncio.Task[None]] = []
    loop.run_until_complete(take_and_wait())
    # Nobody should do this; a program that dies does.
    loop.close()
    assert (layer.in_use, layer.waiting) == (1, 1)
    layer.release()
    assert (layer.in_use, layer.waiting) == (0, 0)
    # When its frame ends at last, it must not give back what it never got.
    waiters[0]._log_destroy_pending = False  # asyncio's own warning is not the point
    with suppress(RuntimeError):  # from anyio's cancel scope, as no loop runs
        waiters[0].get_coro().close()
    assert (layer.in_use, layer.waiting) == (0, 0)


class ReleasedMeanwhile(Concurrency):
    """A limit whose only permit comes free, in another thread, between the look for it and getting in line."""

    __slots__ = ("armed",)

    def acquire_nowait(self) -> bool:
        taken = super().acquire_nowait()
        if not taken and self.armed:
            self.armed = False
            self.release()
        return taken


@pytest.mark.anyio
async def test_a_permit_that_comes_free_meanwhile_is_not_missed() -> None:
    """A call that gets in line just after the last permit came free takes it, though nobody will release another."""
    layer = ReleasedMeanwhile(1)
    layer.armed = False
    await layer.acquire(0.0)
    layer.armed = True
    with anyio.fail_after(10):
        await layer.acquire(float("inf"))
    assert (layer.in_use, layer.waiting) == (1, 0)


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_below_one_is_refused(limit: int) -> None:
    """A limit that lets nothing through is refused, and the error says what would be right."""
    with pytest.raises(ValueError, match=f"limit must be 1 or more calls at once, not {limit}"):
        Concurrency(limit)


@pytest.mark.anyio
async def test_the_repr_tells_its_state(make_call: MakeCall) -> None:
    """The repr shows the limit, what is in use and who waits, in a stack too."""
    layer = Concurrency(1)
    handler = ScriptedHandler("whole")

    async def use() -> None:
        async with layer(make_call(), handler):
            pass

    async with anyio.create_task_group() as tasks, layer(make_call(), handler):
        tasks.start_soon(use)
        await anyio.sleep(1)
        assert repr(layer) == "Concurrency(1, in_use=1, waiting=1)"
    assert repr(Stack([layer], handler)).startswith("Concurrency(1, in_use=0, waiting=0) > ")


async def _use(layer: Concurrency, call: Call[object], handler: ScriptedHandler, seconds: float = 0.0) -> None:
    """Make a call, keep its reply for some time, and forget what it raises."""
    with suppress(LlmError):
        async with layer(call, handler):
            await anyio.sleep(seconds)


@pytest.mark.anyio
@pytest.mark.parametrize("max_waiting", [0, 1, 3])
async def test_the_line_is_bounded(make_call: MakeCall, max_waiting: int) -> None:
    """When max_waiting calls wait, the next is refused at once, and told how many wait; later ones may wait again."""
    layer = Concurrency(1, max_waiting=max_waiting)
    handler = ScriptedHandler("whole")
    async with anyio.create_task_group() as tasks:
        async with layer(make_call(), handler):
            for _ in range(max_waiting):
                tasks.start_soon(_use, layer, make_call(), handler)
                await anyio.sleep(1)
            began = anyio.current_time()
            with pytest.raises(RateLimitedError) as caught:
                async with layer(make_call(), handler):
                    pass
            assert anyio.current_time() == began
            assert (layer.in_use, layer.waiting) == (1, max_waiting)
        assert caught.value.code == "local_concurrency"
        assert caught.value.retryable
        assert f"all 1 permits are in use, and {max_waiting} waiting (max_waiting={max_waiting})" in str(caught.value)
    async with layer(make_call(), handler):
        assert len(handler.calls) == max_waiting + 2
    assert (layer.in_use, layer.waiting) == (0, 0)


@pytest.mark.anyio
async def test_a_full_line_may_be_tried_again(make_call: MakeCall) -> None:
    """A refusal for a full line is one that a Retry outside waits out."""
    layer = Concurrency(1, max_waiting=0)
    handler = ScriptedHandler("whole")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_use, layer, make_call(), handler, 3.0)
        await anyio.sleep(1)
        async with Stack([Retry(max_retries=50), layer], handler)(make_call()) as reply:
            assert reply.value == "whole"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("total", "seconds", "retryable"), [(None, 2.0, True), (9.0, 2.0, True), (1.0, 1.0, False), (2.0, 2.0, False)]
)
async def test_max_wait_ends_the_wait(
    make_call: MakeCall, total: float | None, seconds: float, retryable: bool
) -> None:
    """A call waits max_wait seconds at most, and its own time; where it has time left, it may try again."""
    layer = Concurrency(1, max_wait=2.0)
    handler = ScriptedHandler("whole")
    async with layer(make_call(), handler):
        began = anyio.current_time()
        with pytest.raises(LlmTimeoutError) as caught:
            async with layer(make_call(timeouts=Timeouts(total=total)), handler):
                pass
        assert anyio.current_time() - began == seconds
    assert (caught.value.limit, caught.value.seconds) == ("concurrency", seconds)
    assert caught.value.retryable is retryable
    assert (layer.in_use, layer.waiting) == (0, 0)


@pytest.mark.anyio
async def test_answers_in_time_raise_the_limit(make_call: MakeCall) -> None:
    """With adaptive=True, a round of answers under full load adds about one to the limit, up to max_limit."""
    layer = Concurrency(4, adaptive=True, max_limit=7)
    handler = ScriptedHandler(Outcome(value="whole", delay=1.0))
    async with anyio.create_task_group() as tasks:
        for _ in range(200):
            tasks.start_soon(_use, layer, make_call(), handler)
        limits: list[int] = []
        for _ in range(8):
            await anyio.sleep(1.0 if limits else 0.5)
            limits.append(layer.in_use)
    assert limits[:3] == [4, 4, 5]
    assert limits[-1] == layer.limit == 7
    assert (layer.in_use, layer.waiting) == (0, 0)


@pytest.mark.anyio
async def test_a_limit_that_is_not_reached_does_not_grow(make_call: MakeCall) -> None:
    """Answers tell nothing while less than half of the limit is in use."""
    layer = Concurrency(4, adaptive=True, max_limit=7)
    for _ in range(50):
        await _use(layer, make_call(), ScriptedHandler("whole"))
    assert layer.limit == 4


OVERLOADS = [
    RateLimitedError("no"),
    ServiceUnavailableError("no"),
    LlmTimeoutError("the provider's own", status=504),
]
OTHERS = [
    RateLimitedError("no", quota_exhausted=True),
    BadRequestError("no"),
    ServerError("no"),
    LlmTimeoutError("the call's own", limit="total"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "limit"),
    [*((error, 7) for error in OVERLOADS), *((error, 10) for error in OTHERS)],
    ids=lambda value: f"{type(value).__name__} {value}",
)
async def test_an_overload_lowers_the_limit(make_call: MakeCall, error: LlmError, limit: int) -> None:
    """Refusals that tell of overload multiply the limit by 0.7, other errors leave it; without adaptive, all do."""
    layer, fixed = Concurrency(10, adaptive=True), Concurrency(10)
    for each in (layer, fixed):
        with pytest.raises(type(error)) as caught:
            async with each(make_call(), ScriptedHandler(error)):
                pass
        assert caught.value is error
    assert (layer.limit, layer.in_use) == (limit, 0)
    assert (fixed.limit, fixed.in_use) == (10, 0)


@pytest.mark.anyio
@pytest.mark.parametrize(("max_latency", "limit"), [(None, 10), (2.0, 10), (1.9, 7)])
@pytest.mark.parametrize("outcome", [Outcome(value=1, delay=2.0), Outcome(error=ServerError("no"), delay=2.0)])
async def test_slow_answers_are_an_overload(
    make_call: MakeCall, outcome: Outcome, max_latency: float | None, limit: int
) -> None:
    """What takes longer than max_latency to enter lowers the limit, whatever comes; the consumer's time does not."""
    layer = Concurrency(10, adaptive=True, max_latency=max_latency)
    await _use(layer, make_call(), ScriptedHandler(outcome), 100.0)
    assert (layer.limit, layer.in_use) == (limit, 0)


@pytest.mark.anyio
async def test_what_layers_further_in_do_tells_nothing(make_call: MakeCall) -> None:
    """What a limit further in refuses, and what a mock answers, neither lowers the limit nor raises it."""
    layer = Concurrency(10, adaptive=True, max_limit=20, max_latency=1.0)
    refusing = RateLimit(Limit(1, "requests"), on_limit="refuse")
    handler = Stack([layer, refusing], ScriptedHandler("whole"))
    async with handler(make_call()):
        pass
    for _ in range(3):
        with pytest.raises(RateLimitedError, match="local_rate_limit"):
            async with handler(make_call()):
                pass
    full = Concurrency(1, adaptive=True, max_limit=20)
    for _ in range(3):
        async with Stack([full, Mock("mocked")], ScriptedHandler("unused"))(make_call()):
            pass
    assert (layer.limit, full.limit) == (10, 1)


@pytest.mark.anyio
async def test_a_wave_of_overloads_lowers_the_limit_once(make_call: MakeCall) -> None:
    """All calls under way when the limit falls count as one overload; those let through after it as another."""
    layer = Concurrency(100, adaptive=True, min_limit=40)
    handler = ScriptedHandler(Outcome(error=ServiceUnavailableError("no"), delay=1.0))
    limits: list[int] = []
    for _ in range(4):
        async with anyio.create_task_group() as tasks:
            for _ in range(layer.limit):
                tasks.start_soon(_use, layer, make_call(), handler)
        limits.append(layer.limit)
    assert limits == [70, 49, 40, 40]


@pytest.mark.anyio
async def test_calls_under_way_keep_their_permits(make_call: MakeCall) -> None:
    """A limit that shrinks below what is in use lets nobody through until enough of them are done."""
    layer = Concurrency(10, adaptive=True)
    handler = ScriptedHandler("whole")
    async with anyio.create_task_group() as tasks:
        for seconds in range(1, 10):
            tasks.start_soon(_use, layer, make_call(), handler, float(seconds))
        await anyio.sleep(0.25)
        await _use(layer, make_call(), ScriptedHandler(ServiceUnavailableError("no")))
        assert (layer.limit, layer.in_use) == (7, 9)
        call = make_call()
        async with layer(call, handler):
            assert anyio.current_time() - call.started == 2.75
            assert (layer.limit, layer.in_use) == (7, 7)
    assert layer.in_use == 0


@pytest.mark.anyio
async def test_it_finds_what_the_provider_bears(make_call: MakeCall) -> None:
    """Against a provider that refuses more than 20 at once, few are refused, and most of it is used."""
    under_way = 0
    refused, answered = 0, 0
    layer = Concurrency(64, adaptive=True)

    async def use() -> None:
        nonlocal under_way, refused, answered
        while anyio.current_time() < began + 300:
            await layer.acquire(float("inf"))
            admitted = layer.admit()
            error: LlmError | None = None
            under_way += 1
            if under_way > 20:
                error = RateLimitedError("no")
                refused += 1
                await anyio.sleep(0.1)
            else:
                answered += 1
                await anyio.sleep(1.0)
            under_way -= 1
            layer.learn(admitted, 1.0, error)
            layer.release()

    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for _ in range(64):
            tasks.start_soon(use)
    assert answered > 0.75 * 20 * 300
    assert refused < 0.05 * answered
    assert layer.in_use == 0


@given(
    st.integers(1, 50), st.integers(0, 50), st.integers(0, 50), st.lists(st.tuples(st.booleans(), st.integers(0, 60)))
)
def test_the_limit_stays_between_its_bounds(least: int, room: int, more: int, steps: list[tuple[bool, int]]) -> None:
    """Whatever is told, the limit keeps its bounds, and its changes add up to it; what is stale changes nothing."""
    limit = least + room
    adaptive = AdaptiveLimit(limit, least, limit + more)
    for overload, in_use in steps:
        stale = adaptive.generation - 1
        assert adaptive.shrink(stale) == adaptive.grow(stale, 1000) == 0
        change = adaptive.shrink(adaptive.generation) if overload else adaptive.grow(adaptive.generation, in_use)
        assert change <= 0 if overload else change in (0, 1)
        limit += change
        assert least <= limit <= least + room + more
    for _ in range(60):
        limit += adaptive.shrink(adaptive.generation)
    assert limit == least
    for _ in range(12_000):
        limit += adaptive.grow(adaptive.generation, limit)
    assert limit == least + room + more


def test_a_limit_that_moves_under_several_loops() -> None:
    """Loops in several threads move one limit up and down, and no permit is lost or made."""
    layer = Concurrency(4, adaptive=True, min_limit=2, max_limit=8)
    overload = ServiceUnavailableError("no")

    async def use(number: int) -> None:
        handler = ScriptedHandler(overload if number % 7 == 0 else Outcome(value=1, delay=0.0001))
        call: Call[object] = Call(operation="chat", request=ROUTE, route=ROUTE, attempts=[])
        await _use(layer, call, handler)

    async def main() -> None:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for number in range(150):
                    tasks.start_soon(use, number)

    threads = [threading.Thread(target=_in_a_loop, args=(backend, main)) for backend in ("asyncio", "trio") * 2]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert (layer.in_use, layer.waiting) == (0, 0)
    assert 2 <= layer.limit <= 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_waiting": -1}, "max_waiting must be 0 or more calls in line, or None for any number, not -1"),
        ({"max_wait": 0.0}, "max_wait must be above 0 seconds, not 0.0: to let none wait, use max_waiting=0"),
        ({"min_limit": 2}, "min_limit is for a limit that moves: give adaptive=True with it"),
        ({"max_limit": 9}, "max_limit is for a limit that moves"),
        ({"max_latency": 9.0}, "max_latency is for a limit that moves"),
        ({"adaptive": True, "min_limit": 0}, r"min_limit must be 1 or more, and at most limit \(5\), not 0"),
        ({"adaptive": True, "min_limit": 6}, r"min_limit must be 1 or more, and at most limit \(5\), not 6"),
        ({"adaptive": True, "max_limit": 4}, r"max_limit must be limit \(5\) or more, not 4"),
        ({"adaptive": True, "max_latency": 0.0}, "max_latency must be above 0 seconds, not 0.0"),
    ],
)
def test_bad_options_are_refused(options: dict[str, int], message: str) -> None:
    """An option out of range, or without effect, is refused, and the error says what would be right."""
    with pytest.raises(ValueError, match=message):
        Concurrency(5, **options)


def test_the_repr_tells_the_options() -> None:
    """The repr shows the options that were given, and the bounds of a limit that moves."""
    assert repr(Concurrency(3, max_waiting=0, max_wait=2.5)) == (
        "Concurrency(3, max_waiting=0, max_wait=2.5, in_use=0, waiting=0)"
    )
    assert repr(Concurrency(3, adaptive=True, max_limit=9, max_latency=4.0)) == (
        "Concurrency(3, min_limit=1, max_limit=9, max_latency=4.0, in_use=0, waiting=0)"
    )

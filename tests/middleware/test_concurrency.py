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

from liter._contract import Call, Route, Stack, Timeouts
from liter._errors import LlmTimeoutError, ServerError
from liter.middleware import Concurrency
from liter.testing import Outcome, ScriptedHandler, VirtualTimeLoop, check_layer

MakeCall = Callable[..., Call[object]]


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
    waiters[0]._log_destroy_pending = False  # type: ignore[attr-defined] # asyncio's own warning is not the point
    with suppress(RuntimeError):  # from anyio's cancel scope, as no loop runs
        waiters[0].get_coro().close()
    assert (layer.in_use, layer.waiting) == (0, 0)


class ReleasedMeanwhile(Concurrency):
    """A limit whose only permit comes free, in another thread, between the look for it and getting in line."""

    __slots__ = ("armed",)

    def _take(self) -> bool:
        taken = super()._take()
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

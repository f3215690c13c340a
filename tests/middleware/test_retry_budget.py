"""``RetryBudget``: how many retries all calls together may have, over which time, for all loops and threads."""

import asyncio
import math
import threading
from collections.abc import Callable
from itertools import count

import anyio
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from liter._contract import Call
from liter._errors import ServerError
from liter.middleware import Retry, RetryBudget
from liter.testing import ScriptedHandler, VirtualTimeLoop, check_layer

MakeCall = Callable[..., Call[object]]


def test_a_retry_with_a_budget_keeps_the_contract() -> None:
    """Retry keeps the layer contract with a budget that allows retries, and with one that is soon spent."""
    check_layer(lambda: Retry(budget=RetryBudget()), may_repeat=True)
    check_layer(lambda: Retry(budget=RetryBudget(min_per_second=0.1)), may_repeat=True)


async def _outage(make_call: MakeCall, retry: Retry, calls: int) -> int:
    """Make calls that all fail, one every tenth of a second, and return how many requests they came to."""
    handler = ScriptedHandler(ServerError("no"))

    async def one() -> None:
        with pytest.raises(ServerError):
            async with retry(make_call(), handler):
                pass

    async with anyio.create_task_group() as tasks:
        for _ in range(calls):
            tasks.start_soon(one)
            await anyio.sleep(0.1)
    return len(handler.calls)


@pytest.mark.anyio
async def test_an_outage_is_not_multiplied(make_call: MakeCall) -> None:
    """Where every call fails, three retries each are four times the load; with a budget it is the ratio more."""
    assert await _outage(make_call, Retry(), 1000) == 4000
    budget = RetryBudget(0.2, min_per_second=0.0)
    assert 1150 < await _outage(make_call, Retry(budget=budget), 1000) <= 1200


@pytest.mark.anyio
async def test_few_calls_may_be_retried(make_call: MakeCall) -> None:
    """min_per_second allows retries where there are hardly any calls."""
    retry = Retry(max_retries=2, initial=0.0, cap=0.0, budget=RetryBudget(0.0, min_per_second=0.5))
    assert await _outage(make_call, retry, 1) == 3
    assert await _outage(make_call, retry, 5) == 5 + 3


@pytest.mark.anyio
async def test_a_spent_budget_raises_the_error_as_it_is(make_call: MakeCall) -> None:
    """The very error comes out at once, with a note that tells why it was not tried again."""
    budget = RetryBudget(0.5, min_per_second=0.0)
    error = ServerError("no", retry_after=3.0)
    handler = ScriptedHandler(error, "never")
    call = make_call()
    with pytest.raises(ServerError) as caught:
        async with Retry(budget=budget)(call, handler):
            pass
    assert caught.value is error
    assert anyio.current_time() == call.started
    assert error.retry_after == 3.0
    assert error.__notes__ == [
        "not tried again: RetryBudget(0.5, min_per_second=0, window=10, calls=1, retries=0) is spent"
    ]


@pytest.mark.anyio
async def test_several_layers_share_one(make_call: MakeCall) -> None:
    """Calls of one layer pay for retries of another; retries of one are taken from the other."""
    budget = RetryBudget(0.25, min_per_second=0.0)
    first, second = Retry(budget=budget), Retry(budget=budget, initial=0.0, cap=0.0)
    for _ in range(7):
        async with first(make_call(), ScriptedHandler("whole")):
            pass
    assert await _outage(make_call, second, 1) == 3
    assert await _outage(make_call, second, 1) == 1
    assert (budget.calls, budget.retries) == (9, 2)


@pytest.mark.anyio
async def test_the_window_moves_on() -> None:
    """Calls and retries count for the last ten tenths of a window, and no longer."""
    budget = RetryBudget(1.0, min_per_second=0.0, window=5.0)
    budget.deposit()
    assert budget.withdraw()
    assert not budget.withdraw()
    await anyio.sleep(4.4)
    budget.deposit()
    assert (budget.calls, budget.retries) == (2, 1)
    assert budget.withdraw()
    await anyio.sleep(1.0)
    assert not budget.withdraw()
    assert (budget.calls, budget.retries) == (1, 1)
    await anyio.sleep(1e4)
    assert not budget.withdraw()
    assert (budget.calls, budget.retries) == (0, 0)


@pytest.mark.anyio
async def test_steady_calls_do_not_add_up() -> None:
    """With one call a second, the window has ten of them, or nine, and never the eleventh."""
    budget = RetryBudget()
    for _ in range(100):
        await anyio.sleep(1.0)
        budget.deposit()
        assert budget.calls <= 10
    assert budget.calls >= 9


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(
    steps=st.lists(st.tuples(st.floats(0.0, 4.0), st.booleans()), max_size=60),
    ratio=st.floats(0.0, 1.0),
    minimum=st.floats(0.1, 2.0),
)
def test_no_window_has_more_retries_than_its_share(
    backend: str, steps: list[tuple[float, bool]], ratio: float, minimum: float
) -> None:
    """Whatever comes when: the last nine tenths of a window never have more retries than the formula allows."""
    budget = RetryBudget(ratio, min_per_second=minimum)

    async def run() -> None:
        calls: list[float] = []
        retries: list[float] = []
        for pause, is_call in steps:
            await anyio.sleep(pause)
            now = anyio.current_time()
            if is_call:
                budget.deposit()
                calls.append(now)
            elif budget.withdraw():
                retries.append(now)
                recent = sum(now - at < 9.0 for at in retries)
                assert recent <= ratio * sum(now - at <= 10.0 for at in calls) + minimum * 10 + 1e-9

    _run(backend, run)


def _run(backend: str, function: Callable[[], object]) -> None:
    if backend == "trio":
        trio.run(function, clock=trio.testing.MockClock(autojump_threshold=0))
    else:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(function())


def test_one_budget_for_several_loops() -> None:
    """Loops in threads, whose clocks differ, share one budget, and no retry is allowed twice."""
    budget = RetryBudget(0.5, min_per_second=0.0, window=1000.0)
    allowed = count()

    async def main() -> None:
        for _ in range(500):
            budget.deposit()
            if budget.withdraw():
                next(allowed)

    threads = [threading.Thread(target=run, args=(main,)) for run in (trio.run, lambda f: asyncio.run(f())) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget.calls == 2000
    assert budget.retries == next(allowed)
    assert 990 <= budget.retries <= 1000


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ratio": -0.1}, "ratio must be 0 or more retries per call, as 0.2, not -0.1"),
        ({"ratio": math.nan}, "ratio must be 0 or more"),
        ({"min_per_second": -1.0}, "min_per_second must be 0 or more retries, not -1.0"),
        ({"window": 0.0}, "window must be above 0 seconds, not 0.0"),
        ({"ratio": 0.0, "min_per_second": 0.0}, r"both 0: for no retries at all, use Retry\(max_retries=0\)"),
    ],
)
def test_bad_numbers_are_refused(fields: dict[str, float], message: str) -> None:
    """A number out of range is refused, and the error says what would be right."""
    with pytest.raises(ValueError, match=message):
        RetryBudget(**fields)

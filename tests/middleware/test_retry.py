"""``Retry``: what is tried again, when, how often, and what the caller is told."""

import asyncio
import math
import pickle
from collections.abc import Callable
from random import Random

import anyio
import anyio.lowlevel
import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from liter._contract import Call, Route, Stack, Timeouts
from liter._errors import (
    BadRequestError,
    LlmError,
    LlmTimeoutError,
    NetworkError,
    RateLimitedError,
    ServerError,
    StreamingError,
)
from liter.middleware import Retry, RetryBudget, Retrying
from liter.testing import Outcome, ScriptedHandler, VirtualTimeLoop, check_layer

MakeCall = Callable[..., Call[object]]

KEY = b"idempotency-key"
ROUTE = Route(provider="scripted", model="scripted", base_url="https://scripted.invalid")


class Nothing(msgspec.Struct, frozen=True):
    """A request that nobody reads."""


@pytest.mark.parametrize(
    "retry",
    [Retry(), Retry(max_retries=1), Retry(max_retries=5, initial=0.0, cap=0.0), Retry(initial=100.0, cap=1e4)],
    ids=repr,
)
def test_keeps_the_contract(retry: Retry) -> None:
    """Retry keeps the layer contract, however often and long it waits."""
    check_layer(lambda: retry, may_repeat=True)


def test_no_retries_keep_the_contract() -> None:
    """With max_retries=0 it enters the next handler once."""
    check_layer(lambda: Retry(max_retries=0))


@pytest.mark.anyio
@pytest.mark.parametrize("outcome", ["whole", ["one", "two"]], ids=["unary", "stream"])
async def test_a_refusal_is_tried_again(make_call: MakeCall, outcome: object) -> None:
    """A retryable refusal leads to another attempt, for unary calls and streams alike."""
    handler = ScriptedHandler(ServerError("no"), NetworkError("no"), outcome)
    async with Retry()(make_call(stream=isinstance(outcome, list)), handler) as reply:
        got = [event async for event in reply] if reply.streamed else reply.value
    assert got == outcome
    assert len(handler.calls) == 3
    assert (handler.entered, handler.open, handler.leased) == (1, 0, 0)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "error",
    [
        BadRequestError("no"),
        RateLimitedError("no quota", quota_exhausted=True),
        LlmTimeoutError("late", limit="total"),
        ValueError("a bug"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_is_not_retryable_is_raised_at_once(make_call: MakeCall, error: Exception) -> None:
    """An error that another attempt cannot mend is raised as it is: an exhausted quota is one."""
    handler = ScriptedHandler(error, "never")
    with pytest.raises(type(error)) as caught:
        async with Retry()(make_call(), handler):
            pass
    assert caught.value is error
    assert len(handler.calls) == 1
    assert anyio.current_time() == handler.calls[0].started


@pytest.mark.anyio
@pytest.mark.parametrize("max_retries", [0, 1, 3])
async def test_max_retries_bounds_the_attempts(make_call: MakeCall, max_retries: int) -> None:
    """There are max_retries attempts after the first, and then the last error is raised."""
    errors = [ServerError(str(number)) for number in range(9)]
    handler = ScriptedHandler(*errors)
    with pytest.raises(ServerError) as caught:
        async with Retry(max_retries=max_retries)(make_call(), handler):
            pass
    assert caught.value is errors[max_retries]
    assert len(handler.calls) == 1 + max_retries
    assert errors[0].retry_after is None


@pytest.mark.anyio
async def test_the_latest_error_decides(make_call: MakeCall) -> None:
    """Each wait follows the error before it: a refusal that asks for 2 seconds is not delayed by one of 60."""
    retry = Retry(initial=0.0, cap=0.0)
    handler = ScriptedHandler(
        RateLimitedError("no", retry_after=60.0), RateLimitedError("no", retry_after=2.0), ServerError("no"), "whole"
    )
    async with retry(make_call(), handler):
        pass
    assert [call.waited for call in handler.calls] == [0.0, 60.0, 2.0, 0.0]


@pytest.mark.anyio
async def test_an_error_that_turns_final_stops_it(make_call: MakeCall) -> None:
    """A second error that is not retryable is raised, though the first one was."""
    final = BadRequestError("no")
    handler = ScriptedHandler(ServerError("no"), final, "never")
    with pytest.raises(BadRequestError) as caught:
        async with Retry()(make_call(), handler):
            pass
    assert caught.value is final
    assert caught.value.__context__ is None


@pytest.mark.anyio
@pytest.mark.parametrize("seconds", [0.25, 2.5, 3600.0])
async def test_retry_after_is_obeyed(make_call: MakeCall, seconds: float) -> None:
    """What the provider asks for is waited for exactly when it is more than the backoff: fractions and hours too."""
    handler = ScriptedHandler(RateLimitedError("no", retry_after=seconds), "whole")
    call = make_call()
    async with Retry(initial=0.0, cap=0.0)(call, handler):
        assert anyio.current_time() - call.started == seconds


@pytest.mark.anyio
async def test_a_short_retry_after_does_not_shorten_the_backoff(make_call: MakeCall) -> None:
    """``Retry-After: 0`` from an overloaded provider leaves the backoff as it is."""
    handler = ScriptedHandler(RateLimitedError("no", retry_after=0.0), "whole")
    async with Retry(random=Random(1))(make_call(), handler):
        pass
    assert handler.calls[1].waited == Random(1).uniform(0.0, 0.5)


@pytest.mark.anyio
@pytest.mark.parametrize("limits", [Timeouts(total=10.0), Timeouts(first_event=10.0)], ids=["total", "first event"])
async def test_a_wait_that_does_not_fit_fails_now(make_call: MakeCall, limits: Timeouts) -> None:
    """A wait beyond the call's time is not begun: the same error tells how long it would have been."""
    error = RateLimitedError("no", retry_after=30.0)
    handler = ScriptedHandler(Outcome(error=error, delay=4.0), "never")
    call = make_call(timeouts=limits)
    with pytest.raises(RateLimitedError) as caught:
        async with Retry()(call, handler):
            pass
    assert caught.value is error
    assert error.retry_after == 30.0
    assert error.__notes__ == ["not tried again: the next try would be in 30 s, and the call has 6 s left"]
    assert anyio.current_time() - call.started == 4.0
    assert len(handler.calls) == 1


@pytest.mark.anyio
async def test_a_backoff_that_does_not_fit_is_told_too(make_call: MakeCall) -> None:
    """An error without a wait of its own carries the wait it would have been."""
    error = ServerError("no")
    handler = ScriptedHandler(Outcome(error=error, delay=1.0), "never")
    with pytest.raises(ServerError):
        async with Retry(random=Random(1), initial=8.0)(make_call(timeouts=Timeouts(total=1.001)), handler):
            pass
    assert error.retry_after == Random(1).uniform(0.0, 8.0)
    assert pickle.loads(pickle.dumps(error)).retry_after == error.retry_after


@pytest.mark.anyio
async def test_attempts_are_numbered(make_call: MakeCall) -> None:
    """Each attempt carries its number and the seconds slept before it, and shares the call's record."""
    handler = ScriptedHandler(ServerError("no"), RateLimitedError("no", retry_after=9.0), "whole")
    call = make_call()
    async with Retry(random=Random(7))(call, handler):
        pass
    first = Random(7).uniform(0.0, 0.5)
    assert [(attempt.attempt, attempt.waited) for attempt in handler.calls] == [(1, 0.0), (2, first), (3, 9.0)]
    assert [(attempt.number, attempt.waited, attempt.outcome) for attempt in call.attempts] == [
        (1, 0.0, "ServerError"),
        (2, first, "RateLimitedError"),
        (3, 9.0, "ok"),
    ]


@pytest.mark.anyio
async def test_all_attempts_share_one_idempotency_key(make_call: MakeCall) -> None:
    """Attempts of one call carry the same key, beside the caller's headers; calls differ."""
    handler = ScriptedHandler(ServerError("no"), "whole")
    keys = set[bytes]()
    for _ in range(2):
        async with Retry()(make_call(headers=((b"x-team", b"blue"),)), handler):
            pass
    for call in handler.calls:
        assert call.headers[0] == (b"x-team", b"blue")
        assert call.headers[1][0] == KEY
        keys.add(call.headers[1][1])
    assert len(handler.calls) == 3
    assert len(keys) == 2
    assert handler.calls[0].headers == handler.calls[1].headers


@pytest.mark.anyio
async def test_a_seed_does_not_fix_the_key(make_call: MakeCall) -> None:
    """Two layers with the same seed, as in forked processes, make different keys."""
    handler = ScriptedHandler("whole")
    for _ in range(2):
        async with Retry(random=Random(1))(make_call(), handler):
            pass
    assert handler.calls[0].headers != handler.calls[1].headers


@pytest.mark.anyio
async def test_the_callers_own_key_stays(make_call: MakeCall) -> None:
    """A key that the caller gave is the only one."""
    handler = ScriptedHandler(ServerError("no"), "whole")
    async with Retry()(make_call(headers=((KEY, b"mine"),)), handler):
        pass
    assert [call.headers for call in handler.calls] == [((KEY, b"mine"),)] * 2


@pytest.mark.anyio
async def test_no_retries_send_no_key(make_call: MakeCall) -> None:
    """With max_retries=0 the call passes as it is."""
    handler = ScriptedHandler("whole")
    call = make_call()
    async with Retry(max_retries=0)(call, handler):
        pass
    assert handler.calls == [call]


@pytest.mark.anyio
async def test_listeners_are_told_before_each_wait(make_call: MakeCall) -> None:
    """Sync and async listeners hear of each retry before its wait; nobody hears of the last refusal."""
    told: list[tuple[str, float, object]] = []

    async def listen(event: object) -> None:
        await anyio.lowlevel.checkpoint()
        told.append(("async", anyio.current_time(), event))

    errors = [RateLimitedError("no", retry_after=5.0), RateLimitedError("no", retry_after=6.0), ServerError("no")]
    handler = ScriptedHandler(*errors)
    call = make_call(listeners=(lambda event: told.append(("sync", anyio.current_time(), event)), listen))
    with pytest.raises(ServerError):
        async with Retry(max_retries=2)(call, handler):
            pass
    events = [event for _, _, event in told if isinstance(event, Retrying)]
    assert [(kind, at - call.started) for kind, at, _ in told] == [
        ("sync", 0.0),
        ("async", 0.0),
        ("sync", 5.0),
        ("async", 5.0),
    ]
    assert [(event.attempt, event.wait) for event in events[::2]] == [(1, 5.0), (2, 6.0)]
    assert [event.error for event in events[::2]] == errors[:2]
    assert [event.call for event in events[::2]] == handler.calls[:2]


@pytest.mark.anyio
async def test_a_listener_that_raises_fails_the_call(make_call: MakeCall) -> None:
    """What a listener raises comes out as it is, and no attempt follows."""
    fault = ValueError("listener")

    def listen(event: object) -> None:
        raise fault

    handler = ScriptedHandler(ServerError("no"), "never")
    with pytest.raises(ValueError, match="listener") as caught:
        async with Retry()(make_call(listeners=(listen,)), handler):
            pass
    assert caught.value is fault
    assert len(handler.calls) == 1


@pytest.mark.anyio
async def test_a_stream_that_breaks_is_not_tried_again(make_call: MakeCall) -> None:
    """After the first event an error is the consumer's, retryable or not."""
    error = StreamingError("broke")
    handler = ScriptedHandler(Outcome(events=["one"], error=error), ["never"])
    async with Retry()(make_call(stream=True), handler) as reply:
        assert await reply.__anext__() == "one"
        with pytest.raises(StreamingError) as caught:
            await reply.__anext__()
    assert caught.value is error
    assert len(handler.calls) == 1


@pytest.mark.anyio
async def test_a_cancelled_wait_ends_at_once(make_call: MakeCall) -> None:
    """Cancelled in a backoff, the call ends there and nothing is open."""
    handler = ScriptedHandler(RateLimitedError("no", retry_after=50.0), "never")
    call = make_call()
    with anyio.move_on_after(10) as scope:
        async with Retry()(call, handler):
            pass
    assert scope.cancelled_caught
    assert anyio.current_time() - call.started == 10.0
    assert (len(handler.calls), handler.leased) == (1, 0)


@pytest.mark.anyio
async def test_a_seed_repeats_the_waits(make_call: MakeCall) -> None:
    """The jitter comes from the given Random: the same seed gives the same waits, another one others."""

    async def waits(seed: int) -> list[float]:
        handler = ScriptedHandler(ServerError("a"), ServerError("b"), ServerError("c"), "whole")
        async with Retry(random=Random(seed))(make_call(), handler):
            return [call.waited for call in handler.calls]

    assert await waits(3) == await waits(3) != await waits(4)


def test_the_repr_shows_the_budget() -> None:
    """A policy that takes its retries from a budget says so."""
    assert repr(Retry(budget=RetryBudget())).endswith(
        "cap=8.0, budget=RetryBudget(0.2, min_per_second=1, window=10, calls=0, retries=0))"
    )


def test_a_budget_is_a_budget() -> None:
    """Something else where the budget should be is refused."""
    with pytest.raises(ValueError, match="budget must be a RetryBudget, shared by clients, or None, not 3"):
        Retry(budget=3)


@pytest.mark.anyio
async def test_a_wait_that_does_not_fit_spends_no_budget(make_call: MakeCall) -> None:
    """A retry that has no time is not taken from the budget, and one that has is."""
    budget = RetryBudget()
    handler = ScriptedHandler(RateLimitedError("no", retry_after=30.0))
    with pytest.raises(RateLimitedError):
        async with Retry(budget=budget, max_retries=1)(make_call(timeouts=Timeouts(total=10.0)), handler):
            pass
    assert (budget.calls, budget.retries) == (1, 0)
    with pytest.raises(RateLimitedError):
        async with Retry(budget=budget, max_retries=1)(make_call(), handler):
            pass
    assert budget.retries == 1


@pytest.mark.anyio
async def test_in_a_stack(make_call: MakeCall) -> None:
    """The repr of a stack shows the policy, and not its random state."""
    stack = Stack([Retry(max_retries=2, cap=4.0)], ScriptedHandler("whole"))
    assert repr(stack).startswith("Retry(max_retries=2, initial=0.5, cap=4.0) > ")
    async with stack(make_call()) as reply:
        assert reply.value == "whole"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_retries": -1}, "max_retries must be 0 or more"),
        ({"initial": -0.5}, "initial must be 0 or more seconds"),
        ({"initial": math.nan}, "initial must be 0 or more seconds"),
        ({"initial": 4.0, "cap": 2.0}, r"cap must be initial \(4.0\) or more seconds, not 2.0"),
        ({"cap": math.inf}, "cap must be initial"),
    ],
)
def test_bad_numbers_are_refused(fields: dict[str, float], message: str) -> None:
    """A number out of range is refused, and the error says what would be right."""
    with pytest.raises(ValueError, match=message):
        Retry(**fields)


seconds = st.floats(min_value=0.0, max_value=1e6)


@given(
    seed=st.integers(),
    retry=st.integers(1, 5000),
    initial=seconds,
    more=seconds,
    asked=st.none() | st.floats(-10.0, 1e9),
)
def test_each_wait_is_within_its_bounds(
    seed: int, retry: int, initial: float, more: float, asked: float | None
) -> None:
    """A wait is never below what was asked for, nor above that and the bound of the formula."""
    policy = Retry(initial=initial, cap=initial + more, random=Random(seed))
    wait = policy.wait(LlmError("no", retry_after=asked), retry)
    bound = policy.cap if retry > 64 and initial >= 1e-9 else min(policy.cap, initial * 2.0 ** min(retry - 1, 1000))
    assert max(asked or 0.0, 0.0) <= wait <= max(asked or 0.0, bound)


@given(retry=st.integers(1, 12), seed=st.integers())
def test_the_jitter_is_full(retry: int, seed: int) -> None:
    """The backoff spreads over all of the interval from 0 to its bound."""
    policy = Retry(initial=1.0, cap=100.0, random=Random(seed))
    waits = [policy.wait(ServerError("no"), retry) for _ in range(400)]
    bound = min(100.0, 2.0 ** (retry - 1))
    assert min(waits) < bound * 0.1
    assert bound * 0.9 < max(waits) <= bound


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(
    asked=st.lists(st.none() | st.floats(0.0, 20.0), max_size=8),
    delay=st.floats(0.0, 5.0),
    limit=st.floats(0.1, 60.0),
    seed=st.integers(),
)
def test_no_attempt_begins_beyond_the_calls_time(
    backend: str, asked: list[float | None], delay: float, limit: float, seed: int
) -> None:
    """No attempt begins sooner than asked, nor after the call's time is over, and no wait passes that time."""

    async def run() -> None:
        refusals = [Outcome(error=RateLimitedError("no", retry_after=wait), delay=delay) for wait in asked]
        handler = ScriptedHandler(*refusals, "whole")
        call: Call[object] = Call(
            operation="chat", request=Nothing(), route=ROUTE, started=0.0, attempts=[], timeouts=Timeouts(total=limit)
        )
        outcome: LlmError | None = None
        try:
            async with Retry(max_retries=len(asked), random=Random(seed))(call, handler):
                pass
        except LlmError as error:
            outcome = error
        now = anyio.current_time()
        assert now <= limit
        assert all(attempt.started < limit for attempt in call.attempts)
        for before, after, wait in zip(call.attempts, call.attempts[1:], asked, strict=False):
            assert after.started == before.started + before.seconds + after.waited
            assert after.waited >= (wait or 0.0)
        if outcome is None:
            assert len(call.attempts) == len(asked) + 1
        elif isinstance(outcome, RateLimitedError):
            assert outcome.retry_after >= limit - now
        else:
            assert now == limit

    if backend == "trio":
        trio.run(run, clock=MockClock(autojump_threshold=0))
    else:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(run())

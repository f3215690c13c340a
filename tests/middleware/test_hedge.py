"""``Hedge``: when a second attempt begins, which one wins, what becomes of the other, and what it may cost."""

import math
from collections.abc import Callable
from random import Random

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liter._contract import Call, Route, Stack, Timeouts
from liter._errors import BadRequestError, LlmError, LlmTimeoutError, RateLimitedError, ServerError, StreamingError
from liter._reply import Reply
from liter.middleware import Hedge, Hedging, Retry
from liter.middleware._hedge import kind_of
from liter.middleware._latencies import Latencies
from liter.testing import Outcome, ScriptedHandler, Simulator, StallBeforeHead, check_layer

from .._serving import serving

MakeCall = Callable[..., Call[object]]

_KIND = ("scripted", "scripted", "chat", False)


def always(delay: float | None = None, max_attempts: int = 2) -> Hedge:
    """A hedge that the allowance does not hold back."""
    return Hedge(delay, max_attempts=max_attempts, max_extra=max_attempts - 1)


@pytest.mark.parametrize(
    "make",
    [Hedge, lambda: always(0.5), lambda: always(1.0), lambda: always(0.4, 3), lambda: Hedge(100.0, max_extra=0.01)],
    ids=["p95", "before", "at once with", "three", "never"],
)
def test_keeps_the_contract(make: Callable[[], Hedge]) -> None:
    """Hedge keeps the layer contract, whether its second attempt begins before, with or after the first's end."""
    check_layer(make, may_repeat=True)


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
async def test_the_second_attempt_wins(make_call: MakeCall, streamed: bool) -> None:
    """A first attempt that is late is raced by a second, whose reply is handed out, of either kind."""
    fast = Outcome(events=["one", "two"], delay=1.0) if streamed else Outcome(value="whole", delay=1.0)
    handler = ScriptedHandler(Outcome(stalls=True), fast)
    call = make_call(stream=streamed)
    async with always(2.0)(call, handler) as reply:
        assert anyio.current_time() - call.started == 3.0
        got = [event async for event in reply] if streamed else reply.value
        assert (handler.open, handler.leased) == (1, 1)
    assert got == (["one", "two"] if streamed else "whole")
    assert [(attempt.number, attempt.waited, attempt.outcome) for attempt in call.attempts] == [
        (1, 0.0, "cancelled"),
        (2, 2.0, "ok"),
    ]
    assert (handler.open, handler.leased) == (0, 0)


@pytest.mark.anyio
async def test_the_first_attempt_may_still_win(make_call: MakeCall) -> None:
    """A first attempt that is late, but sooner than the second, wins; the second is cancelled."""
    handler = ScriptedHandler(Outcome(value="first", delay=3.0), Outcome(value="second", delay=3.0))
    call = make_call()
    async with always(2.0)(call, handler) as reply:
        assert reply.value == "first"
        assert anyio.current_time() - call.started == 3.0
    assert [attempt.outcome for attempt in call.attempts] == ["ok", "cancelled"]


@pytest.mark.anyio
async def test_an_attempt_in_time_is_the_only_one(make_call: MakeCall) -> None:
    """No second attempt begins before the delay is over."""
    handler = ScriptedHandler(Outcome(value="whole", delay=1.9))
    async with always(2.0)(make_call(), handler):
        await anyio.sleep(10)
    assert len(handler.calls) == 1


@pytest.mark.anyio
async def test_losers_are_closed_before_the_winner_is_handed_out(make_call: MakeCall) -> None:
    """A loser's cleanup, shielded and slow, is over when the winner comes."""
    closed: list[float] = []

    class Slow:
        """The first attempt stalls, and takes 3 seconds to close."""

        def __init__(self, call: Call[object]) -> None:
            self.call = call

        async def __aenter__(self) -> Reply[object]:
            if self.call.attempt == 2:
                return Reply(value="second")
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(3)
                closed.append(anyio.current_time())
            raise AssertionError

        async def __aexit__(self, *_: object) -> None:
            assert closed

    call = make_call()
    async with always(1.0)(call, Slow) as reply:
        assert reply.value == "second"
        assert closed == [call.started + 4.0]


@pytest.mark.anyio
@pytest.mark.parametrize("delay", [None, 30.0], ids=["p95 unknown", "fixed"])
async def test_a_failed_attempt_brings_the_second_forward(make_call: MakeCall, delay: float | None) -> None:
    """When the first fails, the second begins at once."""
    handler = ScriptedHandler(Outcome(error=ServerError("no"), delay=0.5), Outcome(value="whole", delay=1.0))
    call = make_call()
    async with always(delay)(call, handler) as reply:
        assert reply.value == "whole"
        assert anyio.current_time() - call.started == 1.5
    assert [attempt.outcome for attempt in call.attempts] == ["ServerError", "ok"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "error",
    [
        BadRequestError("no"),
        RateLimitedError("no quota", quota_exhausted=True),
        RateLimitedError("later", retry_after=5.0),
        ValueError("a bug"),
    ],
    ids=lambda error: f"{type(error).__name__} {error}",
)
async def test_what_a_second_attempt_cannot_mend_is_raised_at_once(make_call: MakeCall, error: Exception) -> None:
    """An error that is final, or that says when to come again, is raised bare and at once, with no second attempt."""
    handler = ScriptedHandler(error, "never")
    call = make_call()
    with pytest.raises(type(error)) as caught:
        async with always(1.0)(call, handler):
            pass
    assert caught.value is error
    assert len(handler.calls) == 1
    assert anyio.current_time() == call.started


@pytest.mark.anyio
async def test_a_final_error_ends_the_race(make_call: MakeCall) -> None:
    """When one attempt fails for good, so would the other: it is cancelled."""
    error = BadRequestError("no")
    handler = ScriptedHandler(Outcome(value="late", delay=50.0), Outcome(error=error, delay=1.0))
    call = make_call()
    with pytest.raises(BadRequestError) as caught:
        async with always(2.0)(call, handler):
            pass
    assert caught.value is error
    assert anyio.current_time() - call.started == 3.0
    assert [attempt.outcome for attempt in call.attempts] == ["cancelled", "BadRequestError"]


@pytest.mark.anyio
@pytest.mark.parametrize("retry_after", [None, 9.0])
async def test_an_attempt_that_fails_leaves_the_other_its_chance(
    make_call: MakeCall, retry_after: float | None
) -> None:
    """A failure that may pass does not end an attempt that is under way."""
    refused = RateLimitedError("no", retry_after=retry_after)
    handler = ScriptedHandler(Outcome(value="first", delay=5.0), Outcome(error=refused, delay=1.0))
    async with always(2.0)(make_call(), handler) as reply:
        assert reply.value == "first"
    assert len(handler.calls) == 2


@pytest.mark.anyio
async def test_when_all_fail_the_last_error_is_raised(make_call: MakeCall) -> None:
    """Of two failures the later one comes out, as the object it is, with nothing around it."""
    errors = [ServerError("first"), ServerError("second")]
    handler = ScriptedHandler(Outcome(error=errors[0], delay=5.0), Outcome(error=errors[1], delay=1.0))
    with pytest.raises(ServerError) as caught:
        async with always(2.0)(make_call(), handler):
            pass
    assert caught.value is errors[0]
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert handler.leased == 0


@pytest.mark.anyio
async def test_max_attempts_are_begun_one_delay_apart(make_call: MakeCall) -> None:
    """With max_attempts=4, the others follow one delay apart, numbered on from the call's own attempt."""
    handler = ScriptedHandler(Outcome(value="whole", delay=10.0))
    call = make_call(attempt=3)
    hedge = Hedge(1.0, max_attempts=4, max_extra=3.0)
    for _ in range(4):
        hedge.begin(_KIND)
    async with hedge(call, handler):
        pass
    assert [(each.attempt, each.waited) for each in handler.calls] == [(3, 0.0), (4, 1.0), (5, 2.0), (6, 3.0)]
    assert [attempt.outcome for attempt in call.attempts] == ["ok", "cancelled", "cancelled", "cancelled"]


@pytest.mark.anyio
async def test_each_failure_brings_one_attempt_forward(make_call: MakeCall) -> None:
    """With three attempts the second failure begins the third."""
    handler = ScriptedHandler(ServerError("a"), Outcome(error=ServerError("b"), delay=1.0), "whole")
    call = make_call()
    hedge = Hedge(30.0, max_attempts=3, max_extra=2.0)
    async with hedge(call, handler) as reply:
        assert reply.value == "whole"
    assert anyio.current_time() - call.started == 1.0


@pytest.mark.anyio
async def test_no_attempt_begins_when_the_calls_time_is_over(make_call: MakeCall) -> None:
    """A delay beyond the call's time begins nothing, and its own timeout comes out."""
    handler = ScriptedHandler(Outcome(stalls=True))
    with pytest.raises(LlmTimeoutError) as caught:
        async with always(3.0)(make_call(timeouts=Timeouts(total=3.0)), handler):
            pass
    assert caught.value.limit == "total"
    assert len(handler.calls) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("after", [1.0, 3.0], ids=["first", "both"])
async def test_the_callers_cancellation_cancels_all(make_call: MakeCall, after: float) -> None:
    """A caller that gives up ends every attempt at once."""
    handler = ScriptedHandler(Outcome(stalls=True))
    call = make_call()
    with anyio.move_on_after(after) as scope:
        async with always(2.0)(call, handler):
            pass
    assert scope.cancelled_caught
    assert anyio.current_time() - call.started == after
    assert [attempt.outcome for attempt in call.attempts] == ["cancelled"] * (1 if after < 2 else 2)
    assert handler.leased == 0


@pytest.mark.anyio
async def test_cancelled_while_losers_close_the_winner_is_closed(make_call: MakeCall) -> None:
    """A caller that gives up between the race and the handing out leaves nothing open."""
    left: list[int] = []

    class Scope:
        def __init__(self, call: Call[object]) -> None:
            self.number = call.attempt

        async def __aenter__(self) -> Reply[object]:
            if self.number == 2:
                return Reply(value="second")
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(3)
            raise AssertionError

        async def __aexit__(self, *_: object) -> None:
            left.append(self.number)

    with anyio.move_on_after(2.0):
        async with always(1.0)(make_call(), Scope):
            await anyio.lowlevel.checkpoint()
            raise AssertionError("it was handed out, and went on")
    assert left == [2]


@pytest.mark.anyio
async def test_two_that_come_at_once_leave_one(make_call: MakeCall) -> None:
    """Of two attempts entered in the same moment one is handed out, and the other closed."""
    handler = ScriptedHandler(Outcome(value="first", delay=3.0), Outcome(value="second", delay=1.0))
    async with always(2.0)(make_call(), handler) as reply:
        assert reply.value in ("first", "second")
        assert handler.open == 1
    assert handler.leased == 0


@pytest.mark.anyio
async def test_nothing_is_tried_again_in_a_stream(make_call: MakeCall) -> None:
    """A stream that breaks after its first event breaks for the consumer."""
    error = StreamingError("broke")
    handler = ScriptedHandler(Outcome(events=["one"], error=error), ["never"])
    async with always(1.0)(make_call(stream=True), handler) as reply:
        await reply.__anext__()
        await anyio.sleep(5)
        with pytest.raises(StreamingError) as caught:
            await reply.__anext__()
    assert caught.value is error
    assert len(handler.calls) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("max_extra", [0.05, 0.25, 1.0])
async def test_the_allowance_bounds_the_extra_attempts(make_call: MakeCall, max_extra: float) -> None:
    """In an outage, one call and a share of all calls get a second attempt, and no more."""
    hedge = Hedge(1.0, max_extra=max_extra)
    handler = ScriptedHandler(ServerError("no"))
    for _ in range(100):
        with pytest.raises(ServerError):
            async with hedge(make_call(), handler):
                pass
    assert len(handler.calls) == 100 + min(100, 1 + round(100 * max_extra))


@pytest.mark.anyio
async def test_the_allowance_is_asked_when_an_attempt_is_due(make_call: MakeCall) -> None:
    """An allowance that was spent when a call began, and is not when it is late, pays for its second attempt."""
    hedge = Hedge(2.0, max_extra=0.5)
    handler = ScriptedHandler(Outcome(stalls=True), "whole")
    while hedge.withdraw():
        pass

    async def others() -> None:
        await anyio.sleep(1.0)
        for _ in range(2):
            hedge.begin(_KIND)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(others)
        async with hedge(make_call(), handler) as reply:
            assert reply.value == "whole"
    assert len(handler.calls) == 2


def test_quiet_times_save_up_ten_attempts() -> None:
    """However many calls were in time, no more than ten that are late at once get a second attempt."""
    hedge = Hedge(1.0)
    for _ in range(1000):
        hedge.begin(_KIND)
    assert [hedge.withdraw() for _ in range(12)] == [True] * 10 + [False] * 2


@given(st.lists(st.booleans(), max_size=400), st.floats(0.01, 1.0))
def test_no_more_than_the_share_is_ever_withdrawn(steps: list[bool], max_extra: float) -> None:
    """Whatever the order of calls and late attempts, 1 + max_extra * calls is kept."""
    hedge = Hedge(1.0, max_extra=max_extra)
    calls = extra = 0
    for is_call in steps:
        if is_call:
            hedge.begin(_KIND)
            calls += 1
        elif hedge.withdraw():
            extra += 1
        assert extra <= 1 + max_extra * calls + 1e-6


@pytest.mark.anyio
async def test_the_running_percentile_is_the_delay(make_call: MakeCall) -> None:
    """Without a delay, the second attempt begins at the 95th percentile of earlier calls of the same kind."""
    hedge = always()
    call = make_call()
    for number in range(19):
        async with hedge(make_call(), ScriptedHandler(Outcome(value="whole", delay=1.0 + number))):
            await anyio.sleep(100)  # the consumer's own time does not count
        assert hedge.delay_for(kind_of(call)) == math.inf
    async with hedge(make_call(), ScriptedHandler(Outcome(value="whole", delay=0.5))):
        pass
    assert hedge.delay_for(kind_of(call)) == 18.0
    handler = ScriptedHandler(Outcome(value="late", delay=50.0), "whole")
    async with hedge(make_call(), handler) as reply:
        assert reply.value == "whole"
    assert handler.calls[1].waited == 18.0


@pytest.mark.anyio
async def test_failures_do_not_count_as_fast(make_call: MakeCall) -> None:
    """Calls that fail at once leave the percentile as it was, and so do extra attempts and cancellations."""
    hedge = always()
    call = make_call()
    for _ in range(40):
        with pytest.raises(LlmError):
            async with hedge(make_call(), ScriptedHandler(ServerError("no"))):
                pass
        async with hedge(make_call(), ScriptedHandler(ServerError("no"), "whole")):
            pass
        with anyio.move_on_after(1):
            async with hedge(make_call(), ScriptedHandler(Outcome(stalls=True))):
                pass
    assert hedge.delay_for(kind_of(call)) == math.inf


@pytest.mark.anyio
async def test_a_first_attempt_that_lost_counts(make_call: MakeCall) -> None:
    """What lost is known to be slow: where many are, the percentile follows, and does not forget them."""
    hedge = always()
    for _ in range(19):
        hedge.record(kind_of(make_call()), 1.0)
    hedge.record(kind_of(make_call()), 2.0)
    for _ in range(20):
        async with hedge(make_call(), ScriptedHandler(Outcome(value="late", delay=50.0), Outcome(value=1, delay=1.0))):
            pass
    assert hedge.delay_for(kind_of(make_call())) > 2.0


@pytest.mark.anyio
@pytest.mark.parametrize(
    "fields",
    [
        {"route": Route(provider="scripted", model="other", base_url="")},
        {"route": Route(provider="other", model="scripted", base_url="")},
        {"operation": "embed"},
        {"stream": True},
    ],
    ids=["model", "provider", "operation", "stream"],
)
async def test_kinds_are_kept_apart(make_call: MakeCall, fields: dict[str, object]) -> None:
    """Calls to another model or provider, of another operation, or streamed, have a percentile of their own."""
    hedge = Hedge()
    for _ in range(20):
        hedge.record(kind_of(make_call()), 1.0)
    assert hedge.delay_for(kind_of(make_call())) == 1.0
    assert hedge.delay_for(kind_of(make_call(**fields))) == math.inf


def test_kinds_are_bounded() -> None:
    """The kinds that were not seen for longest are forgotten."""
    latencies = Latencies()
    for kind in range(300):
        for _ in range(20):
            latencies.add(kind, 1.0)
            latencies.add("often", 2.0)
    known = [kind for kind in range(300) if latencies.percentile(kind) < math.inf]
    assert known == list(range(300 - 255, 300))
    assert latencies.percentile("often") == 2.0


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1e6), min_size=20, max_size=300), st.integers(0, 4))
def test_the_percentile_is_the_nearest_rank_of_the_window(seconds: list[float], times: int) -> None:
    """It is the value that 95 % of the last thousand do not exceed, whatever came in which order."""
    latencies = Latencies()
    given_all = seconds * (1 + 2 * times)
    for each in given_all:
        latencies.add("kind", each)
    window = sorted(given_all[-1000:])
    assert latencies.percentile("kind") == window[math.ceil(0.95 * len(window)) - 1]


@pytest.mark.anyio
async def test_listeners_are_told(make_call: MakeCall) -> None:
    """Before each extra attempt listeners hear which it is, how late it is, and what failed, if anything did."""
    told: list[object] = []
    error = ServerError("no")
    handler = ScriptedHandler(Outcome(stalls=True), Outcome(error=error, delay=1.0), "whole")
    hedge = Hedge(2.0, max_attempts=3, max_extra=2.0)
    call = make_call(listeners=(told.append,))
    async with hedge(call, handler):
        pass
    events = [event for event in told if isinstance(event, Hedging)]
    assert [(event.attempt, event.waited, event.error) for event in events] == [(2, 2.0, None), (3, 3.0, error)]
    assert [event.call for event in events] == handler.calls[1:]


@pytest.mark.anyio
async def test_a_listener_that_raises_fails_the_call(make_call: MakeCall) -> None:
    """What a listener raises comes out bare, and the attempt under way is cancelled."""
    fault = ValueError("listener")

    async def listen(event: object) -> None:
        await anyio.lowlevel.checkpoint()
        raise fault

    handler = ScriptedHandler(Outcome(stalls=True))
    with pytest.raises(ValueError, match="listener") as caught:
        async with always(2.0)(make_call(listeners=(listen,)), handler):
            pass
    assert caught.value is fault
    assert (len(handler.calls), handler.leased) == (1, 0)


@pytest.mark.anyio
async def test_a_listener_that_takes_long_does_not_hold_up_the_winner(make_call: MakeCall) -> None:
    """While a listener is told of the second attempt, the first may come: then there is no second."""
    handler = ScriptedHandler(Outcome(value="first", delay=3.0), "never")
    call = make_call(listeners=(lambda event: anyio.sleep(60),))
    async with always(2.0)(call, handler) as reply:
        assert reply.value == "first"
    assert anyio.current_time() - call.started == 3.0
    assert len(handler.calls) == 1


@pytest.mark.anyio
async def test_extra_attempts_have_a_key_of_their_own(make_call: MakeCall) -> None:
    """An idempotency key is changed for extra attempts, the same way each time; other headers stay."""
    headers = ((b"x-team", b"blue"), (b"idempotency-key", b"mine"))
    handler = ScriptedHandler(ServerError("a"), ServerError("b"), ServerError("c"), "whole")
    async with Stack([Retry(initial=0.0, cap=0.0), always(1.0)], handler)(make_call(headers=headers)):
        pass
    changed = ((b"x-team", b"blue"), (b"idempotency-key", b"mine-hedge-1"))
    assert [call.headers for call in handler.calls] == [headers, changed] * 2
    handler = ScriptedHandler(ServerError("a"), "whole")
    async with always(1.0)(make_call(), handler):
        pass
    assert [call.headers for call in handler.calls] == [(), ()]


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
async def test_over_a_wire(streamed: bool) -> None:
    """A client whose first request stalls has its answer from the second, and the provider sees the first end."""
    provider = Simulator(reply="In the hills.", latency=1.0, faults=[StallBeforeHead()])
    question = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Where?"}]}
    async with serving(provider, middleware=[Retry(), always(2.0)]) as client:
        if streamed:
            stream = await client.chat_stream(**question)
            async for _ in stream:
                pass
            response = stream.response()
        else:
            response = await client.chat(**question)
        assert anyio.current_time() == pytest.approx(3.0)
        await anyio.sleep(0.1)
        assert provider.in_flight == 0
    assert response.choices[0].message.content == "In the hills."
    assert len(provider.requests) == 2


@pytest.mark.anyio
async def test_one_in_twenty_slow_hardly_shows(make_call: MakeCall) -> None:
    """With 5 % of attempts 20 times slower, p99 falls at least 5 times, for at most 6 % more requests."""
    random = Random(2)
    delays = [random.lognormvariate(0, 0.25) * (20 if random.random() < 0.05 else 1) for _ in range(9000)]

    async def p99(stack: Stack) -> float:
        seconds: list[float] = []

        async def one() -> None:
            began = anyio.current_time()
            async with stack(make_call()):
                seconds.append(anyio.current_time() - began)

        async with anyio.create_task_group() as tasks:
            for _ in range(4000):
                await anyio.sleep(0.1)
                tasks.start_soon(one)
        return sorted(seconds)[3959]

    outcomes = [Outcome(value="whole", delay=delay) for delay in delays]
    handler = ScriptedHandler(*outcomes)
    before = await p99(Stack([], ScriptedHandler(*outcomes)))
    after = await p99(Stack([Hedge()], handler))
    assert after <= before / 5
    assert len(handler.calls) <= 4000 * 1.06


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(5))
async def test_churn_leaves_nothing(make_call: MakeCall, seed: int) -> None:
    """Two hundred calls of all outcomes, half of them cancelled anywhere, leave nothing open, and each has one end."""
    random = Random(seed)
    hedge = Hedge(0.5, max_attempts=3, max_extra=1.0)
    handlers: list[ScriptedHandler] = []

    def outcome() -> Outcome:
        delay = random.choice([0.0, 0.5, 1.0, random.uniform(0, 2)])
        if random.random() < 0.3:
            return Outcome(error=random.choice([ServerError, BadRequestError])("no"), delay=delay)
        return Outcome(value=1, delay=delay, closing=random.choice([0.0, 0.5]))

    async def use() -> None:
        await anyio.sleep(random.uniform(0, 20))
        handler = ScriptedHandler(outcome(), outcome(), outcome())
        handlers.append(handler)
        call = make_call(timeouts=Timeouts(total=random.choice([None, 1.0])))
        with anyio.move_on_after(random.choice([100.0, random.choice([0.5, 1.0, random.uniform(0, 2)])])):
            try:
                async with hedge(call, handler):
                    assert handler.open == 1
            except LlmError as error:
                assert error in handler.refusals or isinstance(error, LlmTimeoutError)  # noqa: PT017 # either is right
        assert all(attempt.outcome != "open" for attempt in call.attempts)

    async with anyio.create_task_group() as tasks:
        for _ in range(200):
            tasks.start_soon(use)
    assert not any(handler.open or handler.leased for handler in handlers)
    assert sum(len(handler.calls) for handler in handlers) > 250


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"delay": -1.0}, "delay must be 0 or more seconds, or None for the running 95th percentile, not -1.0"),
        ({"delay": math.inf}, "delay must be 0 or more seconds"),
        ({"max_attempts": 1}, "max_attempts must be 2 or more, the first included, not 1"),
        ({"max_extra": 0.0}, "max_extra must be above 0 and at most 1 extra attempts per call, not 0.0"),
        ({"max_extra": 1.5}, "max_extra must be above 0 and at most 1"),
        ({"max_extra": math.nan}, "max_extra must be above 0"),
    ],
)
def test_bad_numbers_are_refused(fields: dict[str, float], message: str) -> None:
    """A number out of range is refused, and the error says what would be right."""
    with pytest.raises(ValueError, match=message):
        Hedge(**fields)


def test_the_repr_tells_the_policy() -> None:
    """The repr shows what the second attempt waits for, and its bounds."""
    assert repr(Hedge()) == "Hedge(p95, max_attempts=2, max_extra=0.06)"
    assert repr(Hedge(1.5, max_attempts=3)) == "Hedge(1.5, max_attempts=3, max_extra=0.06)"

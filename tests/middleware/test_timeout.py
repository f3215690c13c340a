"""``Timeout``: which limits hold inside it, and what is raised when they pass."""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from liter import Call, Handler, LlmTimeoutError, RateLimitedError, Reply, Route, Stack, Timeouts
from liter._http import Headers
from liter.middleware import Concurrency, Retry, Timeout
from liter.testing import Outcome, ScriptedHandler, Simulator, check_layer
from liter.types import ListModelsRequest

from .._serving import serving

MakeCall = Callable[..., Call[object]]

NO_LIMITS = Timeouts(connect=None)
ROUTE = Route(provider="scripted", model="scripted", base_url="https://scripted.invalid")
QUESTION = {"model": "gpt-4o", "messages": [{"role": "user", "content": "?"}]}


@pytest.mark.parametrize(
    "timeout", [Timeout(100), Timeout(Timeouts(first_event=5.0)), Timeout(Timeouts(total=1e6, connect=1.0))], ids=repr
)
def test_keeps_the_contract(timeout: Timeout) -> None:
    """Timeout keeps the layer contract, whether its limits pass or not."""
    check_layer(lambda: timeout, may_refuse=True)


@pytest.mark.parametrize(
    "timeout", [0, -1.0, math.nan, math.inf, True, "5", Timeouts(total=0.0), Timeouts(connect=None)], ids=repr
)
def test_bad_limits_are_refused(timeout: object) -> None:
    """A limit that is not positive, or none at all, is a ValueError that names the field."""
    with pytest.raises(ValueError, match=r"^timeout"):
        Timeout(timeout)  # what is tested


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_the_entering_is_bounded(make_call: MakeCall, stream: bool) -> None:
    """What is not entered in time fails with a timeout of this layer, and nothing is left open."""
    handler = ScriptedHandler(Outcome(stalls=True))
    call = make_call(stream=stream, timeouts=NO_LIMITS)
    await anyio.sleep(3.0)
    with pytest.raises(LlmTimeoutError) as caught:
        async with Timeout(5)(call, handler):
            pass
    error = caught.value
    assert (error.limit, error.seconds, error.retryable) == ("timeout", 5.0, True)
    assert isinstance(error.__cause__, LlmTimeoutError)
    assert anyio.current_time() == call.started + 8.0
    assert (handler.open, handler.leased) == (0, 0)


@pytest.mark.anyio
async def test_inside_retry_it_bounds_each_attempt(make_call: MakeCall) -> None:
    """An attempt that takes too long is given up, and Retry makes another one with limits of its own."""
    handler = ScriptedHandler(Outcome(stalls=True), Outcome(stalls=True), Outcome(value="whole", delay=4.0))
    call = make_call(timeouts=Timeouts(total=60.0))
    async with Stack([Retry(initial=0.0, cap=0.0), Timeout(5)], handler)(call) as reply:
        assert reply.value == "whole"
    assert anyio.current_time() == call.started + 14.0
    assert [attempt.seconds for attempt in call.attempts] == [5.0, 5.0, 4.0]


@pytest.mark.anyio
async def test_outside_retry_it_bounds_all_attempts(make_call: MakeCall) -> None:
    """Outside Retry its time is that of all attempts: a wait that does not fit in is not begun."""
    refusal = RateLimitedError("no", retry_after=6.0)
    handler = ScriptedHandler(refusal)
    call = make_call(timeouts=Timeouts(total=60.0))
    with pytest.raises(RateLimitedError) as caught:
        async with Stack([Timeout(5), Retry(initial=0.0, cap=0.0)], handler)(call):
            pass
    assert caught.value is refusal
    assert anyio.current_time() == call.started


@pytest.mark.anyio
async def test_the_call_s_own_limit_stays_its_own(make_call: MakeCall) -> None:
    """When the call's own limit passes first, that error comes out as it is: no Retry can mend it."""
    handler = ScriptedHandler(Outcome(stalls=True))
    call = make_call(timeouts=Timeouts(total=3.0))
    with pytest.raises(LlmTimeoutError) as caught:
        async with Stack([Retry(), Timeout(5)], handler)(call):
            pass
    assert (caught.value.limit, caught.value.retryable) == ("total", False)
    assert len(handler.calls) == 1
    assert anyio.current_time() == call.started + 3.0


@pytest.mark.anyio
@pytest.mark.parametrize(
    "error",
    [LlmTimeoutError("no", limit="connect"), LlmTimeoutError("no", limit="a layer"), LlmTimeoutError("504")],
    ids=lambda error: str(error.limit),
)
async def test_other_timeouts_pass(make_call: MakeCall, error: LlmTimeoutError) -> None:
    """A timeout that comes before this layer's time is over is somebody else's, and comes out as it is."""
    handler = ScriptedHandler(Outcome(error=error, delay=1.0))
    with pytest.raises(LlmTimeoutError) as caught:
        async with Timeout(5)(make_call(), handler):
            pass
    assert caught.value is error


@pytest.mark.anyio
async def test_a_late_timeout_that_may_be_tried_again_passes(make_call: MakeCall) -> None:
    """A timeout that may be tried again anyway comes out as it is, even when this layer's time is over, too."""
    error = LlmTimeoutError("no connection", limit="connect")

    @asynccontextmanager
    async def late(call: Call[object], call_next: Handler) -> AsyncIterator[Reply[object]]:
        await anyio.sleep(6.0)
        async with call_next(call) as reply:
            yield reply

    handler = ScriptedHandler(error)

    def refuse(call: Call[object]) -> AbstractAsyncContextManager[Reply[object]]:
        return late(call, lambda call: handler(msgspec.structs.replace(call, timeouts=NO_LIMITS)))

    with pytest.raises(LlmTimeoutError) as caught:
        async with Timeout(5)(make_call(timeouts=Timeouts(total=60.0)), refuse):
            pass
    assert caught.value is error


@pytest.mark.anyio
async def test_a_wait_in_line_is_bounded_too(make_call: MakeCall) -> None:
    """A layer that waits further in plans against the shorter time, and its timeout may be tried again."""
    limit = Concurrency(1)
    handler = ScriptedHandler("whole")
    async with limit(make_call(), handler):
        with pytest.raises(LlmTimeoutError) as caught:
            async with Stack([Timeout(2), limit], handler)(make_call(timeouts=Timeouts(total=60.0))):
                pass
    assert (caught.value.limit, caught.value.retryable) == ("timeout", True)
    assert "permits" in str(caught.value)
    assert limit.in_use == 0


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("timeout", "limit", "seconds"),
    [(Timeout(5), "between events", 5.0), (Timeout(Timeouts(total=7.0)), "total", 7.0)],
    ids=repr,
)
async def test_the_limits_go_on_to_hold_in_a_stream(
    make_call: MakeCall, timeout: Timeout, limit: str, seconds: float
) -> None:
    """A stream that stalls after its first event breaks at the gap, or the total, that this layer set."""
    handler = ScriptedHandler(Outcome(events=["one"], stalls=True))
    call = make_call(stream=True, timeouts=NO_LIMITS)
    with pytest.raises(LlmTimeoutError) as caught:
        async with timeout(call, handler) as reply:
            assert [event async for event in reply] == ["one"]
    assert (caught.value.limit, anyio.current_time() - call.started) == (limit, seconds)


@pytest.mark.anyio
async def test_a_number_does_not_bound_a_stream_as_a_whole(make_call: MakeCall) -> None:
    """With a number, a stream may go on for as long as its events come in time."""
    handler = ScriptedHandler(Outcome(events=["one", "two", "three"], interval=4.0))
    call = make_call(stream=True, timeouts=NO_LIMITS)
    async with Timeout(5)(call, handler) as reply:
        assert len([event async for event in reply]) == 3
    assert anyio.current_time() == call.started + 8.0


@pytest.mark.anyio
async def test_it_can_be_opened_and_read_outside_of_its_time(make_call: MakeCall) -> None:
    """Between calling and entering no time counts: the limits begin with the entering."""
    handler = ScriptedHandler(Outcome(value="whole", delay=4.0))
    scope = Timeout(5)(make_call(timeouts=NO_LIMITS), handler)
    await anyio.sleep(100.0)
    async with scope as reply:
        assert reply.value == "whole"


@pytest.mark.anyio
async def test_cancellation_comes_out(make_call: MakeCall) -> None:
    """A cancellation while entering is no timeout of this layer, and leaves nothing open."""
    handler = ScriptedHandler(Outcome(stalls=True))
    with anyio.move_on_after(2.0) as scope:
        async with Timeout(5)(make_call(), handler):
            pass
    assert scope.cancelled_caught
    assert (handler.open, handler.leased) == (0, 0)


@pytest.mark.anyio
async def test_a_layer_of_one_s_own_sees_the_shorter_time(make_call: MakeCall) -> None:
    """The limits are data on the call, for all that is further in."""
    seen: list[float] = []

    @asynccontextmanager
    async def look(call: Call[object], call_next: Handler) -> AsyncIterator[Reply[object]]:
        seen.append(call.enter_by - anyio.current_time())
        async with call_next(call) as reply:
            yield reply

    async with Stack([Timeout(30), look, Timeout(5), look, Timeout(10), look], ScriptedHandler("whole"))(make_call()):
        pass
    assert seen == [30.0, 5.0, 5.0]


@pytest.mark.anyio
async def test_its_error_keeps_what_was_known(make_call: MakeCall) -> None:
    """What the timeout further in told of its provider is told by this layer's, too."""
    facts = {
        "status": 408,
        "provider": "p",
        "model": "m",
        "request_id": "r",
        "retry_after": 2.0,
        "code": "c",
        "body": b"b",
    }
    headers = Headers([(b"a", b"b")])
    error = LlmTimeoutError("no", limit="total", headers=headers, **facts)  # type: ignore[arg-type] # of one kind each

    @asynccontextmanager
    async def late(call: Call[object]) -> AsyncIterator[Reply[object]]:
        await anyio.sleep_until(call.enter_by)
        raise error
        yield  # a generator

    with pytest.raises(LlmTimeoutError) as caught:
        async with Stack([Timeout(5)], late)(make_call()):  # type: ignore[arg-type] # of one kind of reply
            pass
    assert (caught.value.limit, caught.value.retryable, caught.value.headers) == ("timeout", True, headers)
    assert {name: getattr(caught.value, name) for name in facts} == facts


@pytest.mark.anyio
async def test_each_limit_is_the_shorter_one(make_call: MakeCall) -> None:
    """Also where only some are set, on either side; none is one that is not set on both."""
    script = ScriptedHandler("whole")
    given = Timeouts(connect=5.0, between_events=1.0, total=60.0)
    async with Timeout(Timeouts(connect=2.0, first_event=3.0, between_events=4.0))(make_call(timeouts=given), script):
        pass
    assert script.calls[0].timeouts == Timeouts(connect=2.0, first_event=3.0, between_events=1.0, total=60.0)
    async with Timeout(Timeouts(connect=None, total=30.0))(make_call(timeouts=given), script):
        pass
    assert script.calls[1].timeouts == Timeouts(connect=5.0, between_events=1.0, total=30.0)


@pytest.mark.anyio
async def test_against_a_wire() -> None:
    """Over a wire, a provider that hangs costs an attempt the time of this layer, and no more."""
    provider = Simulator(reply="Up in the hills.", latency=7.0)
    async with serving(provider, middleware=[Retry(max_retries=1, initial=0.0), Timeout(5)]) as client:
        began = anyio.current_time()
        with pytest.raises(LlmTimeoutError) as caught:
            await client.chat(**QUESTION)
    assert (caught.value.limit, len(caught.value.attempts)) == ("timeout", 2)
    assert caught.value.provider == "openai"
    assert 10.0 <= anyio.current_time() - began < 19.0


limits = st.none() | st.floats(1e-3, 1e6)


@given(
    given=st.builds(Timeouts, connect=limits, first_event=limits, between_events=limits, total=limits),
    timeout=st.floats(1e-3, 1e6)
    | st.builds(Timeouts, connect=st.floats(1e-3, 1e6), first_event=limits, between_events=limits, total=limits),
    age=st.floats(0.0, 1e6),
    stream=st.booleans(),
)
@example(given=Timeouts(first_event=1.0), timeout=5.0, age=3.0, stream=True)
def test_no_limit_is_ever_extended(given: Timeouts, timeout: float | Timeouts, age: float, stream: bool) -> None:
    """Whatever the limits and the age of the call, each one inside is the shorter of the two."""
    call: Call[object] = Call(
        operation="chat", request=ListModelsRequest(), route=ROUTE, started=50.0, timeouts=given, stream=stream
    )
    inside = Timeout(timeout).narrow(call, 50.0 + age)
    for name in Timeouts.__struct_fields__:
        before, after = getattr(given, name), getattr(inside.timeouts, name)
        if before is not None:
            assert after is not None
            assert after <= before
    assert inside.started == call.started
    if not isinstance(timeout, Timeouts):
        assert inside.enter_by <= 50.0 + age + timeout + 1e-6
        assert (inside.timeouts.between_events == given.between_events) or stream

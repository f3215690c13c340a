"""The circuit breaker as a layer."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

import anyio
import pytest

from liter._circuit import CircuitPolicy
from liter._contract import Call, Route, Stack
from liter._errors import (
    AuthenticationError,
    BadRequestError,
    ContentPolicyError,
    LlmError,
    LlmTimeoutError,
    NetworkError,
    NotFoundError,
    RateLimitedError,
    SerializationError,
    ServerError,
    ServiceUnavailableError,
    StreamingError,
)
from liter._reply import Reply
from liter._secret import Secret
from liter.middleware import CircuitBreaker, CircuitClosed, CircuitOpened, CoolingDown, Retry
from liter.stores import MemoryStore
from liter.testing import Outcome, ScriptedHandler, check_layer

from ._entering import enter

R = TypeVar("R")
MakeCall = Callable[..., Call[object]]

POLICY = CircuitPolicy(min_calls=2, open_seconds=10.0, probes=1)
FAULTS = [
    ServerError("no"),
    ServiceUnavailableError("no"),
    RateLimitedError("no"),
    LlmTimeoutError("late", limit="first event"),
    NetworkError("no"),
    StreamingError("no"),
    SerializationError("no"),
]


async def refused(breaker: CircuitBreaker, call: Call[object]) -> bool:
    """Whether it is refused now, before it is sent."""
    handler = ScriptedHandler("whole")
    return await enter(breaker, call, handler) is not None and not handler.calls


@pytest.mark.parametrize(
    "policy",
    [
        CircuitPolicy(),
        CircuitPolicy(min_calls=1, probes=1, open_seconds=0.1),
        CircuitPolicy(min_calls=1, probes=2, open_seconds=0.1),
        CircuitPolicy(min_calls=2, error_rate=0.1, window=0.5, open_seconds=1000.0, max_open_seconds=1000.0),
    ],
    ids=["default", "one probe", "two probes", "long"],
)
def test_keeps_the_contract(policy: CircuitPolicy) -> None:
    """It keeps the layer contract, whether it trips at the first failure or hardly ever."""
    check_layer(lambda: CircuitBreaker(policy), may_refuse=True)


@pytest.mark.anyio
@pytest.mark.parametrize("outcome", ["whole", ["one", "two"]], ids=["unary", "stream"])
async def test_it_opens_and_says_for_how_long(make_call: MakeCall, outcome: object) -> None:
    """After enough failures calls are refused without being sent, with the exact wait; then they go again."""
    breaker = CircuitBreaker(POLICY)
    stream = isinstance(outcome, list)
    handler = ScriptedHandler(ServerError("no"), ServerError("no"), outcome)
    for _ in range(2):
        assert await enter(breaker, make_call(stream=stream), handler)
    await anyio.sleep(4.0)
    error = await enter(breaker, make_call(stream=stream), handler)
    assert isinstance(error, ServiceUnavailableError)
    assert error.retry_after == pytest.approx(6.0)
    assert error.retryable
    assert (error.provider, error.model, error.code) == ("scripted", "scripted", "circuit_open")
    assert len(handler.calls) == 2
    await anyio.sleep(error.retry_after)
    assert await enter(breaker, make_call(stream=stream), handler) is None
    assert await enter(breaker, make_call(stream=stream), handler) is None


@pytest.mark.anyio
@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
async def test_what_is_the_providers_fault_counts(make_call: MakeCall, error: LlmError) -> None:
    """Errors of the provider's side, and of the way to it, open the circuit."""
    breaker, handler = CircuitBreaker(POLICY), ScriptedHandler(error)
    for _ in range(2):
        assert await enter(breaker, make_call(), handler) is error
    assert await refused(breaker, make_call())


@pytest.mark.anyio
@pytest.mark.parametrize(
    "error",
    [AuthenticationError("no"), BadRequestError("no"), ContentPolicyError("no"), NotFoundError("no")],
    ids=lambda error: type(error).__name__,
)
async def test_what_is_the_callers_fault_does_not(make_call: MakeCall, error: LlmError) -> None:
    """A caller that sends nonsense, or a wrong key, does not take the model away from all others."""
    breaker, handler = CircuitBreaker(POLICY), ScriptedHandler(error)
    for _ in range(20):
        assert await enter(breaker, make_call(), handler) is error
    assert not await refused(breaker, make_call())


@pytest.mark.anyio
async def test_cancellations_do_not_count(make_call: MakeCall) -> None:
    """Callers that lose patience say nothing about the provider."""
    breaker, handler = CircuitBreaker(POLICY), ScriptedHandler(Outcome(stalls=True))
    for _ in range(20):
        with anyio.move_on_after(1.0):
            await enter(breaker, make_call(), handler)
    assert not await refused(breaker, make_call())


@pytest.mark.anyio
async def test_a_cancelled_probe_gives_its_place_back(make_call: MakeCall) -> None:
    """A probe that is cancelled decides nothing; the next call is a probe in its place."""
    breaker = CircuitBreaker(POLICY)
    for _ in range(2):
        await enter(breaker, make_call(), ScriptedHandler(ServerError("no")))
    await anyio.sleep(10.0)
    with anyio.move_on_after(1.0):
        await enter(breaker, make_call(), ScriptedHandler(Outcome(stalls=True)))
    assert await enter(breaker, make_call(), ScriptedHandler("whole")) is None


@pytest.mark.anyio
async def test_refusals_further_in_do_not_count(make_call: MakeCall) -> None:
    """What a layer further in refuses was never sent, and says nothing about the provider."""

    class Refusing:
        async def __aenter__(self) -> Reply[object]:
            raise RateLimitedError("of our own", retry_after=1e6)

        async def __aexit__(self, *_: object) -> None: ...

    breaker = CircuitBreaker(POLICY)
    for _ in range(20):
        assert await enter(breaker, make_call(), lambda call: Refusing())
    assert not await refused(breaker, make_call())


@pytest.mark.anyio
async def test_answers_from_elsewhere_do_not_count(make_call: MakeCall) -> None:
    """A reply that a layer further in made is no success of the provider's."""

    class Answering:
        async def __aenter__(self) -> Reply[object]:
            return Reply(value="kept", origin="cache")

        async def __aexit__(self, *_: object) -> None: ...

    breaker = CircuitBreaker(POLICY)
    for _ in range(100):
        assert await enter(breaker, make_call(), lambda call: Answering()) is None
    for _ in range(2):
        await enter(breaker, make_call(), ScriptedHandler(ServerError("no")))
    assert await refused(breaker, make_call())


@pytest.mark.anyio
async def test_streams_that_break_count(make_call: MakeCall) -> None:
    """A provider whose streams all begin well and break later is not a working one."""
    breaker = CircuitBreaker(CircuitPolicy(min_calls=4, error_rate=1.0))
    handler = ScriptedHandler(Outcome(events=["one"], error=StreamingError("cut")))
    told: list[object] = []
    for _ in range(4):
        assert not await refused(breaker, make_call(route=Route(provider="p", model="other", base_url="")))
        assert await enter(breaker, make_call(stream=True, listeners=(told.append,)), handler)
    assert await refused(breaker, make_call())
    assert [type(event) for event in told] == [CircuitOpened]


@pytest.mark.anyio
async def test_consumers_that_raise_or_leave_do_not_count(make_call: MakeCall) -> None:
    """What the consumer raises in the block is its own, an LlmError too."""
    breaker, handler = CircuitBreaker(POLICY), ScriptedHandler(["one", "two"])
    for _ in range(20):
        with pytest.raises(ServerError):
            async with breaker(make_call(stream=True), handler) as reply:
                await reply.__anext__()
                raise ServerError("the consumer's own")
    assert not await refused(breaker, make_call())


@pytest.mark.anyio
async def test_a_rate_limit_cools_down_exactly_as_long_as_asked(make_call: MakeCall) -> None:
    """One Retry-After is enough, nothing is sent before, and the first call after it goes: it is no failure."""
    breaker = CircuitBreaker(POLICY)
    told: list[object] = []
    limited = RateLimitedError("slow down", retry_after=7.5)
    await enter(breaker, make_call(listeners=(told.append,)), ScriptedHandler(limited))
    await anyio.sleep(7.0)
    error = await enter(breaker, make_call(), ScriptedHandler("whole"))
    assert error is not None
    assert error.retry_after == pytest.approx(0.5)
    await anyio.sleep(0.5)
    assert not await refused(breaker, make_call())
    [event] = told
    assert isinstance(event, CoolingDown)
    assert (event.error, event.seconds, event.call.route.model) == (limited, 7.5, "scripted")


@pytest.mark.anyio
async def test_listeners_are_told(make_call: MakeCall) -> None:
    """A trip and a recovery are told once each, with where and why."""
    breaker, told = CircuitBreaker(POLICY), list[object]()
    error = ServerError("no")
    handler = ScriptedHandler(error, error, "whole")
    for wait in (0.0, 0.0, 10.0, 0.0):
        await anyio.sleep(wait)
        await enter(breaker, make_call(listeners=(told.append,)), handler)
    opened, closed = told
    assert isinstance(opened, CircuitOpened)
    assert isinstance(closed, CircuitClosed)
    assert (opened.error, opened.seconds, opened.call.route.provider) == (error, 10.0, "scripted")
    assert closed.call.route.provider == "scripted"


@pytest.mark.anyio
async def test_listeners_are_told_though_the_consumer_is_cancelled(make_call: MakeCall) -> None:
    """A stream breaks, and its consumer is cancelled as it leaves: who listens has some seconds all the same."""
    told: list[object] = []

    async def listen(event: object) -> None:
        await anyio.sleep(1.0)
        told.append(event)

    layer = CircuitBreaker(CircuitPolicy(min_calls=1))
    handler = ScriptedHandler(Outcome(events=["one"], error=StreamingError("broke")))
    with anyio.CancelScope() as scope, contextlib.suppress(StreamingError):
        async with layer(make_call(stream=True, listeners=(listen,)), handler) as reply:
            try:
                async for _ in reply:
                    pass
            finally:
                scope.cancel()
    assert [type(event) for event in told] == [CircuitOpened]


@pytest.mark.anyio
async def test_a_listener_that_raises_leaves_nothing_open(make_call: MakeCall) -> None:
    """What a listener raises when the circuit closes fails that call, closes its reply, and no other call."""
    breaker = CircuitBreaker(POLICY)
    for _ in range(2):
        await enter(breaker, make_call(), ScriptedHandler(ServerError("no")))
    await anyio.sleep(10.0)

    def fail(event: object) -> None:
        raise ValueError("the listener's own")

    handler = ScriptedHandler("whole")
    with pytest.raises(ValueError, match="the listener's own"):
        await enter(breaker, make_call(listeners=(fail,)), handler)
    assert (handler.open, handler.leased) == (0, 0)
    assert await enter(breaker, make_call(), handler) is None


@pytest.mark.anyio
@pytest.mark.parametrize("error", [ServerError("no"), RateLimitedError("spent", retry_after=60.0)])
@pytest.mark.parametrize("store", [None, MemoryStore])
async def test_each_place_has_a_circuit(
    make_call: MakeCall, error: LlmError, store: Callable[[], MemoryStore] | None
) -> None:
    """What is down, or used up, leaves alone other models, providers, addresses, and keys."""
    breaker = CircuitBreaker(POLICY, store=store and store())
    places = ("a", "a", "x", "sk-1"), ("a", "b", "x", "sk-1"), ("b", "a", "x", "sk-1"), ("a", "a", "y", "sk-1")
    routes = [
        Route(provider=provider, model=model, base_url=f"https://{host}.invalid", api_key=Secret(key))
        for provider, model, host, key in (*places, ("a", "a", "x", "sk-2"))
    ]
    for _ in range(2):
        await enter(breaker, make_call(route=routes[0]), ScriptedHandler(error))
    assert [await refused(breaker, make_call(route=route)) for route in routes] == [True, False, False, False, False]
    if isinstance(error, RateLimitedError):
        return
    assert repr(breaker) == "CircuitBreaker(error_rate=0.5, min_calls=2, a/a open)"


@pytest.mark.anyio
async def test_retry_waits_for_it(make_call: MakeCall) -> None:
    """Under Retry a call comes through as soon as the circuit lets it."""
    stack = Stack(
        [Retry(initial=0.0, cap=0.0), CircuitBreaker(POLICY)],
        ScriptedHandler(ServerError("no"), ServerError("no"), "whole"),
    )
    call = make_call()
    async with stack(call) as reply:
        assert reply.value == "whole"
    assert anyio.current_time() - call.started == pytest.approx(10.0)


@pytest.mark.anyio
async def test_memory_is_bounded(make_call: MakeCall) -> None:
    """Beyond max_circuits the least recently used are forgotten, however many models callers make up."""
    breaker = CircuitBreaker(POLICY, max_circuits=2)

    def call(model: str) -> Call[object]:
        return make_call(route=Route(provider="p", model=model, base_url="https://x.invalid"))

    for model in ("kept", "kept", "dropped", "dropped"):
        await enter(breaker, call(model), ScriptedHandler(ServerError("no")))
    assert await refused(breaker, call("kept"))
    assert not await refused(breaker, call("third"))
    assert await refused(breaker, call("kept"))
    assert not await refused(breaker, call("dropped"))


def test_bad_input() -> None:
    """A limit on circuits that allows none is refused, by name."""
    with pytest.raises(ValueError, match="max_circuits must be 1 or more, not 0"):
        CircuitBreaker(max_circuits=0)


def test_event_loops_share_what_is_known() -> None:
    """A trip in one event loop holds in the next one, though each has a clock of its own."""
    trio = pytest.importorskip("trio")
    breaker = CircuitBreaker(CircuitPolicy(min_calls=1, open_seconds=1000.0, max_open_seconds=1000.0))
    call: Call[object] = Call(
        operation="chat",
        request=Route(provider="", model="", base_url=""),
        route=Route(provider="p", model="m", base_url=""),
        attempts=[],
    )

    async def fail() -> None:
        await enter(breaker, call, ScriptedHandler(ServerError("no")))

    async def ask() -> LlmError | None:
        return await enter(breaker, call, ScriptedHandler("whole"))

    trio.run(fail)
    for error in (trio.run(ask), asyncio.run(ask())):
        assert error is not None
        assert error.retry_after == pytest.approx(1000.0, abs=30.0)

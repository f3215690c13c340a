"""Circuits of several processes that share a store: here, several layers on one."""

from collections.abc import Callable, Sequence

import anyio
import pytest

from liter._contract import Call, Route, Timeouts
from liter._errors import LlmError, RateLimitedError, ServerError, ServiceUnavailableError
from liter.middleware import (
    CircuitBreaker,
    CircuitOpened,
    CircuitPolicy,
    CircuitStoreFailed,
    Deployment,
    Router,
)
from liter.stores import Bucket, MemoryStore, StoreError, Taken
from liter.testing import Outcome, ScriptedHandler, check_layer

MakeCall = Callable[..., Call[object]]

POLICY = CircuitPolicy(min_calls=2, open_seconds=10.0, max_open_seconds=10.0, probes=1)
NO = ServerError("no")


def breaker(store: MemoryStore, **options: str) -> CircuitBreaker:
    return CircuitBreaker(POLICY, store=store, **options)


async def enter(layer: CircuitBreaker | Router, call: Call[object], *outcomes: object) -> tuple[Exception | None, int]:
    """Make a call. Returns what it raised, and how many requests were made."""
    handler = ScriptedHandler(*(outcomes or ("whole",)))
    try:
        async with layer(call, handler):
            pass
    except (LlmError, StoreError) as error:
        return error, len(handler.calls)
    return None, len(handler.calls)


async def wait_of(layer: CircuitBreaker, call: Call[object]) -> float:
    """Return for how long it is refused before it is sent; 0.0 if it was let through."""
    error, sent = await enter(layer, call)
    assert (error is None) is (sent == 1)
    return 0.0 if error is None else error.retry_after or 0.0


class FailingStore(MemoryStore):
    """A store that cannot be reached, while it is told so."""

    failing = False
    asked = 0

    async def get(self, key: str) -> bytes | None:
        self._fail()
        return await super().get(key)

    async def take(self, buckets: Sequence[Bucket]) -> Taken:
        self._fail()
        return await super().take(buckets)

    async def adjust(self, buckets: Sequence[Bucket]) -> None:
        self._fail()
        await super().adjust(buckets)

    def _fail(self) -> None:
        self.asked += 1
        if self.failing:
            raise StoreError("no route to the store")


def test_keeps_the_contract() -> None:
    """A circuit breaker and a router that share keep the layer contract."""
    policy = CircuitPolicy(min_calls=1, probes=1, open_seconds=0.1)
    check_layer(lambda: CircuitBreaker(policy, store=MemoryStore()), may_refuse=True)
    check_layer(lambda: Router({"scripted": [Deployment("a/b"), Deployment("c")]}, store=MemoryStore()))


@pytest.mark.anyio
async def test_what_one_opens_is_open_for_all(make_call: MakeCall) -> None:
    """Within a second all who share the store refuse calls, until the same time; other models go on."""
    store = MemoryStore()
    one, other = breaker(store), breaker(store)
    assert await wait_of(other, make_call()) == 0.0
    await enter(one, make_call(), NO)
    await enter(one, make_call(), NO)
    assert await wait_of(one, make_call()) == pytest.approx(10.0)
    assert await wait_of(other, make_call()) == 0.0  # its last look was just now
    await anyio.sleep(1.0)
    assert await wait_of(other, make_call()) == pytest.approx(9.0)
    elsewhere = Route(provider="scripted", model="another", base_url="https://scripted.invalid")
    assert await wait_of(other, make_call(route=elsewhere)) == 0.0
    assert await wait_of(breaker(store), make_call()) == pytest.approx(9.0)


@pytest.mark.anyio
async def test_what_one_closes_is_closed_for_all(make_call: MakeCall) -> None:
    """When the probes of one succeed, the others let calls through, too, and begin to count anew."""
    store = MemoryStore()
    one, other = breaker(store), breaker(store)
    for _ in range(2):
        await enter(one, make_call(), NO)
    await anyio.sleep(5.0)
    assert await wait_of(other, make_call()) == pytest.approx(5.0)
    await anyio.sleep(5.0)
    assert await wait_of(one, make_call()) == 0.0
    assert "closed" in repr(one)
    assert await wait_of(other, make_call()) == 0.0
    assert "1 closed" in repr(other)


@pytest.mark.anyio
async def test_a_failed_probe_opens_it_for_all(make_call: MakeCall) -> None:
    """Who finds that it does not work yet opens it anew for the others, too."""
    store = MemoryStore()
    one, other = breaker(store), breaker(store)
    for _ in range(2):
        await enter(one, make_call(), NO)
    await anyio.sleep(1.0)
    assert await wait_of(other, make_call()) == pytest.approx(9.0)
    await anyio.sleep(9.0)
    await enter(one, make_call(), NO)
    assert await wait_of(other, make_call()) == pytest.approx(10.0)


@pytest.mark.anyio
async def test_the_first_decision_counts(make_call: MakeCall) -> None:
    """What comes of an older state than the one that is written is not taken over: here, a late failure."""
    store = MemoryStore()
    one, other = breaker(store), breaker(store)
    for _ in range(2):
        await enter(one, make_call(), NO)
    await anyio.sleep(1.0)
    await wait_of(other, make_call())
    await anyio.sleep(9.0)
    async with anyio.create_task_group() as tasks:
        # Both probe: one succeeds after 1 s, the other fails after 3 s.
        tasks.start_soon(enter, one, make_call(), Outcome(value="whole", delay=1.0))
        tasks.start_soon(enter, other, make_call(), Outcome(error=NO, delay=3.0))
    assert await wait_of(one, make_call()) == 0.0
    assert await wait_of(other, make_call()) == 0.0
    await anyio.sleep(1.0)
    assert await wait_of(one, make_call()) == 0.0


@pytest.mark.anyio
async def test_cooling_down_is_shared(make_call: MakeCall) -> None:
    """A provider that says how long to stay away is left alone for that long by all."""
    store = MemoryStore()
    one, other = breaker(store), breaker(store)
    await enter(one, make_call(), RateLimitedError("no", retry_after=30.0))
    assert await wait_of(other, make_call()) == pytest.approx(30.0)
    await anyio.sleep(30.0)
    assert await wait_of(other, make_call()) == 0.0


@pytest.mark.anyio
async def test_what_is_old_is_forgotten(make_call: MakeCall) -> None:
    """A record that is no longer kept is written anew."""
    store = MemoryStore()
    one, other = breaker(store), breaker(store)
    for _ in range(2):
        await enter(one, make_call(), NO)
    await anyio.sleep(4000.0)
    await enter(one, make_call(), NO)
    assert await wait_of(other, make_call()) == pytest.approx(10.0)


@pytest.mark.anyio
async def test_it_looks_once_a_second(make_call: MakeCall) -> None:
    """The store is asked for the first of a second's calls, not for each."""
    store = FailingStore()
    layer = breaker(store)
    for _ in range(10):
        await enter(layer, make_call())
    assert store.asked == 1
    await anyio.sleep(1.0)
    await enter(layer, make_call())
    assert store.asked == 2


@pytest.mark.anyio
async def test_a_router_shares(make_call: MakeCall) -> None:
    """A deployment that one router has found to be down gets no calls of the others."""
    store = MemoryStore()
    pool = {"pool": [Deployment("a/x", api_key="sk-canary"), Deployment("b/y")]}
    one, other = (Router(pool, circuit=POLICY, store=store, strategy="round_robin") for _ in range(2))
    route = Route(provider="scripted", model="pool", base_url="https://scripted.invalid")
    for outcome in (NO, "whole", NO, "whole"):
        await enter(one, make_call(route=route), outcome)
    handler = ScriptedHandler(*["whole"] * 4)
    for _ in range(4):
        async with other(make_call(route=route), handler):
            pass
    assert {call.route.provider for call in handler.calls} == {"b"}
    assert not any("canary" in key for key in [*store._full_at, *store._values])


@pytest.mark.anyio
@pytest.mark.parametrize("on_store_error", ["open", "closed"])
async def test_a_store_that_fails(make_call: MakeCall, on_store_error: str) -> None:
    """By on_store_error calls go on by what the process knows, or are refused; listeners are told."""
    store = FailingStore()
    layer = breaker(store, on_store_error=on_store_error)
    store.failing = True
    heard: list[object] = []
    error, sent = await enter(layer, make_call(listeners=(heard.append,)))
    (event,) = heard
    assert isinstance(event, CircuitStoreFailed)
    assert (event.doing, event.goes_on) == ("look", on_store_error == "open")
    assert (type(error), sent) == ((type(None), 1) if on_store_error == "open" else (StoreError, 0))
    store.failing = False
    await anyio.sleep(10.0)
    other = breaker(store)
    for _ in range(2):
        await enter(other, make_call(), NO)
    assert await wait_of(layer, make_call()) == pytest.approx(10.0)


@pytest.mark.anyio
@pytest.mark.parametrize("on_store_error", ["open", "closed"])
async def test_others_that_cannot_be_told(make_call: MakeCall, on_store_error: str) -> None:
    """A circuit opens for its own process, where the store fails as it is to tell the others."""
    store = FailingStore()
    layer = breaker(store, on_store_error=on_store_error)
    await enter(layer, make_call(), NO)
    store.failing = True
    heard: list[object] = []
    error, _ = await enter(layer, make_call(listeners=(heard.append,)), NO)
    assert error is NO
    assert [type(event) for event in heard] == [CircuitStoreFailed, CircuitOpened]
    error, sent = await enter(layer, make_call())
    assert (type(error), sent) == (ServiceUnavailableError, 0)


class HangingStore(MemoryStore):
    """Answers when it is let, and not before."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs: set[str] = set()
        self.lag = 0.0

    async def adjust(self, buckets: Sequence[Bucket]) -> None:
        await anyio.sleep(self.lag)
        await super().adjust(buckets)

    async def get(self, key: str) -> bytes | None:
        await self._wait("get")
        return await super().get(key)

    async def take(self, buckets: Sequence[Bucket]) -> Taken:
        await self._wait("take")
        return await super().take(buckets)

    async def _wait(self, step: str) -> None:
        if step in self.hangs:
            await anyio.sleep_forever()
        if step == "take":
            await anyio.sleep(self.lag)


@pytest.mark.anyio
@pytest.mark.parametrize("pool", [False, True], ids=["breaker", "router"])
async def test_a_store_that_hangs_takes_no_more_than_the_call_has(make_call: MakeCall, pool: bool) -> None:
    """A call waits for the store as long as it has time, and two seconds at most, for a whole pool, too."""
    store = HangingStore()
    store.hangs = {"get"}
    layer = Router({"p": [Deployment(f"a/{name}") for name in "xyz"]}, store=store) if pool else breaker(store)
    route = Route(provider="scripted", model="p", base_url="https://scripted.invalid")
    for timeouts, lasted in (Timeouts(total=0.5), 0.5), (Timeouts(first_event=0.7), 0.7), (Timeouts(), 2.0):
        call = make_call(route=route, timeouts=timeouts)
        await enter(layer, call)
        assert anyio.current_time() - call.started == pytest.approx(lasted)
        # And then nobody waits for a while.
        call = make_call(route=route)
        await enter(layer, call)
        await anyio.sleep(7.0)
        await enter(layer, make_call(route=route))
        assert anyio.current_time() - call.started == pytest.approx(7.0)
        await anyio.sleep(4.0)


@pytest.mark.anyio
@pytest.mark.parametrize("step", ["get", "take"])
async def test_a_look_that_is_given_up_has_seen_nothing(make_call: MakeCall, step: str) -> None:
    """A caller is cancelled in the middle of a look, at once; the next call looks, and finds out."""
    store = HangingStore()
    one, other = breaker(store), breaker(store)
    for _ in range(2):
        await enter(one, make_call(), NO)
    store.hangs = {step}
    call = make_call()
    with anyio.move_on_after(0.1):
        await enter(other, call)
    assert anyio.current_time() - call.started == pytest.approx(0.1)
    store.hangs = set()
    assert await wait_of(other, make_call()) == pytest.approx(9.9)


@pytest.mark.anyio
async def test_what_is_found_out_is_told_though_the_call_is_given_up(make_call: MakeCall) -> None:
    """A caller is cancelled while others are told that its circuit has opened: they know."""
    store = HangingStore()
    one, other = breaker(store), breaker(store)
    await enter(one, make_call(), NO)
    store.lag = 1.0
    with anyio.move_on_after(0.5):
        await enter(one, make_call(), NO)
    store.lag = 0.0
    assert await wait_of(other, make_call()) == pytest.approx(10.0)


@pytest.mark.anyio
async def test_a_slow_look_takes_nothing_back(make_call: MakeCall) -> None:
    """What a look has read is old, when the circuit has been opened and closed before it is over."""
    store = HangingStore()
    policy = CircuitPolicy(min_calls=2, open_seconds=0.5, max_open_seconds=0.5, probes=1)
    one, other = (CircuitBreaker(policy, store=store) for _ in range(2))
    for _ in range(2):
        await enter(one, make_call(), NO)
    heard: list[object] = []
    async with anyio.create_task_group() as tasks:
        store.lag = 1.0
        tasks.start_soon(enter, other, make_call(listeners=(heard.append,)))
        await anyio.sleep(0.01)
        store.lag = 0.0
        for _ in range(2):
            await enter(other, make_call(), NO)
        await anyio.sleep(0.6)
        assert await wait_of(other, make_call()) == 0.0
    # It has not opened it again, or its own call would have been the probe that closes it.
    assert heard == []


def test_bad_input() -> None:
    """A word that means nothing is refused."""
    for make in (
        lambda: CircuitBreaker(on_store_error="perhaps"),  # on purpose
        lambda: Router({"a": [Deployment("b")]}, on_store_error="perhaps"),  # on purpose
    ):
        with pytest.raises(ValueError, match="on_store_error must be 'open' or 'closed'"):
            make()

"""``Cache``: of identical calls at one time one is made, and what becomes of the others when it fails."""

import threading
from collections.abc import Callable
from contextlib import suppress

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from liter._contract import Call, Timeouts
from liter._errors import LlmTimeoutError, ServerError
from liter._loop import EventLoop
from liter.middleware import Cache, CacheHit
from liter.middleware._cache_flight import Flights
from liter.stores import MemoryStore
from liter.testing import Outcome, ScriptedHandler, Simulator, VirtualTimeLoop
from liter.types import Usage

from .._serving import serving
from ._cache_events import but_misses

MakeCall = Callable[..., Call[object]]

BACKENDS = ("asyncio", "trio")

USAGE = Usage(prompt_tokens=5, completion_tokens=4, total_tokens=9)


class SlowStore(MemoryStore):
    """Takes a second for all that it does."""

    def __init__(self) -> None:
        super().__init__()
        self.gets = 0

    async def get(self, key: str) -> bytes | None:
        self.gets += 1
        await anyio.sleep(1)
        return await super().get(key)

    async def put(self, key: str, value: bytes, *, ttl: float) -> None:
        await anyio.sleep(1)
        await super().put(key, value, ttl=ttl)


class Crowd:
    """Identical calls, begun a hundredth of a second apart, and how each ended: what it got, or its error, and when."""

    def __init__(self, layer: Cache, handler: ScriptedHandler, make_call: MakeCall) -> None:
        self.layer = layer
        self.handler = handler
        self.make_call = make_call
        self.ends: dict[int, tuple[object, str, float]] = {}
        self.scopes: dict[int, anyio.CancelScope] = {}

    async def one(self, number: int, **fields: object) -> None:
        value: object = "cancelled"
        origin = "-"
        with anyio.CancelScope() as self.scopes[number]:
            try:
                async with self.layer(self.make_call(**fields), self.handler) as reply:
                    value, origin = reply.value, reply.origin
            except (ServerError, LlmTimeoutError) as error:
                value = error
        self.ends[number] = value, origin, round(anyio.current_time(), 6)


@pytest.mark.anyio
async def test_one_request_for_all(make_call: MakeCall) -> None:
    """Of calls at one time the first is made, and all others are given its answer when it comes, each told so."""
    layer = Cache()
    handler = ScriptedHandler(Outcome(value="whole", delay=5, usage=USAGE))
    crowd = Crowd(layer, handler, make_call)
    told: list[object] = []
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(lambda number=number: crowd.one(number, listeners=(but_misses(told),)))
        await anyio.sleep(1)
        assert layer.under_way == 1
    assert len(handler.calls) == 1
    assert sorted(origin for _, origin, _ in crowd.ends.values()) == ["cache"] * 19 + ["provider"]
    assert {value for value, _, _ in crowd.ends.values()} == {"whole"}
    assert {time - began for _, _, time in crowd.ends.values()} == {5.0}
    assert len(told) == 19
    assert all(isinstance(hit, CacheHit) and hit.shared and hit.saved == USAGE for hit in told)
    assert layer.under_way == 0


@pytest.mark.anyio
async def test_different_calls_do_not_wait_for_each_other(make_call: MakeCall) -> None:
    """Tenants, refreshing calls and streams go their own way."""
    layer = Cache()
    handler = ScriptedHandler(Outcome(value="whole", delay=5))
    crowd = Crowd(layer, handler, make_call)
    async with anyio.create_task_group() as tasks:
        for number, (tenant, mode) in enumerate((("a", "use"), ("b", "use"), ("a", "refresh"), ("a", "off"))):
            tasks.start_soon(
                lambda number=number, tenant=tenant, mode=mode: crowd.one(number, tags={"tenant": tenant}, cache=mode)
            )
    assert [origin for _, origin, _ in crowd.ends.values()] == ["provider"] * 4
    assert len({time for _, _, time in crowd.ends.values()}) == 1


@pytest.mark.anyio
async def test_one_look_up_and_no_gap(make_call: MakeCall) -> None:
    """The store is asked once for all, and a call that comes while the answer is being kept has it at once."""
    store = SlowStore()
    layer = Cache(store=store)
    handler = ScriptedHandler(Outcome(value="whole", delay=5))
    crowd = Crowd(layer, handler, make_call)
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for number, begins in enumerate((0, 0.5, 3, 6.5)):

            async def come(number: int = number, begins: float = begins) -> None:
                await anyio.sleep(begins)
                await crowd.one(number)

            tasks.start_soon(come)
    assert {number: time - began for number, (_, _, time) in crowd.ends.items()} == {0: 7.0, 1: 6.0, 2: 6.0, 3: 6.5}
    assert (len(handler.calls), store.gets) == (1, 1)


@pytest.mark.anyio
async def test_a_hit_is_shared(make_call: MakeCall) -> None:
    """Calls that wait for a look-up are given what it finds."""
    store = SlowStore()
    layer = Cache(store=store)
    handler = ScriptedHandler("whole")
    crowd = Crowd(layer, handler, make_call)
    await crowd.one(0)
    async with anyio.create_task_group() as tasks:
        for number in range(1, 4):
            tasks.start_soon(crowd.one, number)
    assert [origin for _, origin, _ in crowd.ends.values()] == ["provider", "cache", "cache", "cache"]
    assert (len(handler.calls), store.gets) == (1, 2)


@pytest.mark.anyio
async def test_a_cancelled_leader_hands_over(make_call: MakeCall) -> None:
    """When the call that is made is cancelled, the next in line makes its own, and the others go on waiting."""
    layer = Cache()
    handler = ScriptedHandler(Outcome(value="whole", delay=5))
    crowd = Crowd(layer, handler, make_call)
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(crowd.one, number)
            await anyio.sleep(0.25)
        crowd.scopes[2].cancel()
        await anyio.sleep(1)
        crowd.scopes[0].cancel()
    ends = {number: (value, origin, time - began) for number, (value, origin, time) in crowd.ends.items()}
    assert ends == {
        0: ("cancelled", "-", 2.0),
        2: ("cancelled", "-", 1.0),
        1: ("whole", "provider", 7.0),
        3: ("whole", "cache", 7.0),
    }
    assert len(handler.calls) == 2
    assert (handler.open, handler.leased, layer.under_way) == (0, 0, 0)


@pytest.mark.anyio
async def test_a_failure_is_the_leaders_own(make_call: MakeCall) -> None:
    """Each that fails gets its own error; those in line try in the order in which they came."""
    layer = Cache()
    errors = [ServerError("first"), ServerError("second")]
    handler = ScriptedHandler(*(Outcome(error=error, delay=1) for error in errors), Outcome(value="whole", delay=1))
    crowd = Crowd(layer, handler, make_call)
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(crowd.one, number)
            await anyio.sleep(0.125)
    assert [crowd.ends[number][0] for number in range(5)] == [*errors, "whole", "whole", "whole"]
    assert [crowd.ends[number][2] - began for number in range(5)] == [1, 2, 3, 3, 3]
    assert [crowd.ends[number][1] for number in range(5)] == ["-", "-", "provider", "cache", "cache"]


@pytest.mark.anyio
@pytest.mark.parametrize("timeouts", [Timeouts(total=3.0), Timeouts(first_event=3.0)], ids=["total", "first event"])
async def test_the_wait_spends_the_calls_time(make_call: MakeCall, timeouts: Timeouts) -> None:
    """One that waits does so for as long as its own time allows, and leaves the others as they are."""
    layer = Cache()
    handler = ScriptedHandler(Outcome(value="whole", delay=5))
    crowd = Crowd(layer, handler, make_call)
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(crowd.one, 0)
        await anyio.sleep(1)
        tasks.start_soon(lambda: crowd.one(1, timeouts=timeouts))
        tasks.start_soon(crowd.one, 2)
    error = crowd.ends[1][0]
    assert isinstance(error, LlmTimeoutError)
    assert (error.limit, error.seconds, error.retryable) == ("cache", 3.0, False)
    assert "waited 3 s for an identical call" in str(error)
    assert crowd.ends[1][2] - began == 4.0
    assert [crowd.ends[number][:2] for number in (0, 2)] == [("whole", "provider"), ("whole", "cache")]


@pytest.mark.anyio
async def test_one_whose_time_ends_as_it_is_to_lead(make_call: MakeCall) -> None:
    """At the moment when the leader fails, those whose time is over go, and the next one makes the call."""
    layer = Cache()
    handler = ScriptedHandler(Outcome(error=ServerError("no"), delay=3), Outcome(value="whole", delay=1))
    crowd = Crowd(layer, handler, make_call)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(crowd.one, 0)
        await anyio.sleep(1)
        for number in (1, 2):
            tasks.start_soon(lambda number=number: crowd.one(number, timeouts=Timeouts(total=2.0)))
        await anyio.sleep(1)
        tasks.start_soon(crowd.one, 3)
    assert isinstance(crowd.ends[0][0], ServerError)
    assert all(isinstance(crowd.ends[number][0], LlmTimeoutError) for number in (1, 2))
    assert crowd.ends[3][0] == "whole"
    assert layer.under_way == 0


@pytest.mark.anyio
async def test_one_that_is_cancelled_as_it_is_to_lead_hands_over() -> None:
    """One that was told to lead, but is cancelled before it knows, hands over to the next in line."""
    flights = Flights()
    flight, leads = flights.board("key", EventLoop.current())
    assert leads
    led: list[int] = []
    scopes: dict[int, anyio.CancelScope] = {}

    async def follow(number: int) -> None:
        with anyio.CancelScope() as scopes[number]:
            assert flights.board("key", EventLoop.current()) == (flight, False)
            assert await flight.wait(anyio.current_time() + 10)
            led.append(number)
            flight.leave()

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(follow, number)
            await anyio.sleep(1)
        scopes[0].cancel()
        flight.leave()
    assert led == [1, 2]
    assert len(flights) == 0


@pytest.mark.anyio
async def test_what_cannot_be_shared_holds_nobody_up(make_call: MakeCall) -> None:
    """When the answer is of a type that cannot be shared, all who waited make their calls at once."""
    layer = Cache()
    handler = ScriptedHandler(Outcome(value=1.5, delay=1))
    crowd = Crowd(layer, handler, make_call)
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(crowd.one, number)
    assert len(handler.calls) == 5
    assert sorted(time - began for _, _, time in crowd.ends.values()) == [1, 2, 2, 2, 2]


@pytest.mark.anyio
async def test_what_is_too_large_to_keep_is_shared(make_call: MakeCall) -> None:
    """An answer beyond ``max_bytes`` is given to those who wait for it, and then forgotten."""
    layer = Cache(max_bytes=1)
    handler = ScriptedHandler(Outcome(value="whole", delay=1))
    crowd = Crowd(layer, handler, make_call)
    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(crowd.one, number)
    assert len(handler.calls) == 1
    await crowd.one(5)
    assert len(handler.calls) == 2


@pytest.mark.anyio
async def test_streams_do_not_wait_for_each_other(make_call: MakeCall) -> None:
    """Of streams at one time each is made: none is held to the pace of another's consumer."""
    layer = Cache()
    handler = ScriptedHandler(Outcome(events=["one", "two"], delay=1))
    async with layer(make_call(stream=True), handler) as slow:
        async with layer(make_call(stream=True), handler) as quick:
            assert [event async for event in quick] == ["one", "two"]
        assert [event async for event in slow] == ["one", "two"]
    assert len(handler.calls) == 2


@pytest.mark.anyio
async def test_each_gets_a_reply_of_its_own() -> None:
    """Through a client: one request, equal replies, and none that another could change."""
    provider = Simulator(reply="In the hills, mostly.", latency=2.0)
    replies: list[object] = []
    async with serving(provider, middleware=[Cache()]) as client:

        async def ask() -> None:
            response = await client.chat(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])
            assert response.text == "In the hills, mostly."
            replies.append(response)
            response.choices.clear()

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask)
    assert len(provider.requests) == 1
    assert len({id(reply) for reply in replies}) == 5


@pytest.mark.realtime
def test_event_loops_do_not_wait_for_each_other(make_call: MakeCall) -> None:
    """One cache in two event loops at once, in threads: each makes its own call, and none hangs."""
    both = threading.Barrier(2, timeout=10)

    class Together(MemoryStore):
        async def get(self, key: str) -> bytes | None:
            both.wait()  # both are under way now
            return None

    layer = Cache(store=Together())
    handler = ScriptedHandler("whole")
    replies: list[object] = []

    async def main() -> None:
        async with layer(make_call(), handler) as reply:
            replies.append(reply.value)

    threads = [threading.Thread(target=anyio.run, args=(main,), kwargs={"backend": name}) for name in BACKENDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert replies == ["whole", "whole"]
    assert len(handler.calls) == 2
    assert layer.under_way == 0


_crowds = st.lists(
    st.tuples(
        st.integers(0, 8),  # begins, in quarters of a second
        st.none() | st.integers(1, 12),  # is cancelled after
        st.none() | st.integers(1, 12),  # has a time limit of
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(crowd=_crowds, fails=st.lists(st.booleans(), max_size=4), delay=st.integers(0, 6))
def test_whatever_happens_all_come_to_an_end(
    backend: str,
    make_call: MakeCall,
    crowd: list[tuple[int, int | None, int | None]],
    fails: list[bool],
    delay: int,
) -> None:
    """Random crowds: each call gets the answer or an error of its own, one at a time is made, nothing is left."""
    good = Outcome(value="whole", delay=delay / 4)
    handler = ScriptedHandler(
        *(Outcome(error=ServerError(""), delay=delay / 4) if fail else good for fail in fails), good
    )
    layer = Cache(ttl=0.3)
    errors: list[ServerError] = []
    answers = 0
    most = 0

    async def one(begins: int, cancelled: int | None, limit: int | None) -> None:
        nonlocal answers, most
        await anyio.sleep(begins / 4)
        call = make_call(timeouts=Timeouts(total=None if limit is None else limit / 4 + 0.1))
        with anyio.move_on_after(None if cancelled is None else cancelled / 4 + 0.05), suppress(LlmTimeoutError):
            try:
                async with layer(call, handler) as reply:
                    most = max(most, handler.leased)
                    assert reply.value == "whole"
                    answers += 1
            except ServerError as error:
                errors.append(error)

    async def main() -> None:
        with anyio.fail_after(1000):
            async with anyio.create_task_group() as tasks:
                for begins, cancelled, limit in crowd:
                    tasks.start_soon(one, begins, cancelled, limit)

    options = {"loop_factory": VirtualTimeLoop} if backend == "asyncio" else {"clock": MockClock(autojump_threshold=0)}
    anyio.run(main, backend=backend, backend_options=options)
    assert len({id(error) for error in errors}) == len(errors)
    assert most <= 1
    if all(cancelled is None and limit is None for _, cancelled, limit in crowd):
        assert answers + len(errors) == len(crowd)
    assert (handler.open, handler.leased, layer.under_way) == (0, 0, 0)

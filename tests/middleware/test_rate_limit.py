"""``RateLimit``: what is let through, when, in which order, what is given back, and how it follows a provider."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Generic, TypeVar, cast

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter._contract import Attempt, Call, Handler, Route, Stack, Timeouts
from liter._errors import LlmError, NetworkError, RateLimitedError, ServerError
from liter._http import Headers
from liter._rate_headers import Unit
from liter._reply import Reply
from liter._secret import Secret
from liter.middleware import Concurrency, Hedge, Limit, RateLimit, RateLimitStoreFailed, RateLimitWaiting, Retry
from liter.middleware._rate_limit_rule import estimate_tokens, group_of
from liter.stores import Bucket, MemoryStore, StoreError, Taken
from liter.testing import Outcome, ScriptedHandler, VirtualTimeLoop, check_layer
from liter.types import (
    ChatCompletionRequest,
    CompletionRequest,
    CreateResponseRequest,
    EmbeddingRequest,
    SpeechRequest,
    TranscriptionRequest,
    Usage,
    UserMessage,
)

R = TypeVar("R")
MakeCall = Callable[..., Call[object]]


def tokens(prompt: int, completion: int) -> Usage:
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)


def estimate(prompt: float, completion: float) -> Callable[[Call[object]], tuple[float, float]]:
    return lambda call: (prompt, completion)


def handler(*outcomes: object) -> ScriptedHandler:
    return ScriptedHandler(*(outcomes or ("whole",)))


async def send(layer: RateLimit, call: Call[object], inner: Handler | None = None) -> float:
    """Send one call to its end; return the event-loop time at which it was entered."""
    async with layer(call, inner or handler()) as reply:
        entered = anyio.current_time()
        if reply.streamed:
            async for _ in reply:
                pass
    return entered


async def wait_for_next(layer: RateLimit, call: Call[object]) -> float:
    """Return the exact wait of a call that has no time to wait; 0.0 if it was let through."""
    try:
        await send(layer, msgspec.structs.replace(call, timeouts=Timeouts(first_event=1e-6)))
    except RateLimitedError as error:
        return math.nan if error.retry_after is None else error.retry_after
    return 0.0


class FailingStore(MemoryStore):
    """A store that cannot be reached, or never answers, while it is told so."""

    failing = False
    silent = False
    asked = 0

    async def take(self, buckets: Sequence[Bucket]) -> Taken:
        await self._fail()
        return await super().take(buckets)

    async def adjust(self, buckets: Sequence[Bucket]) -> None:
        await self._fail()
        await super().adjust(buckets)

    async def _fail(self) -> None:
        self.asked += 1
        if self.silent:
            await anyio.sleep_forever()
        if self.failing:
            raise StoreError("no route to the store")


# The contract


@pytest.mark.parametrize(
    "make",
    [
        lambda: RateLimit(Limit(1, "requests", per="second")),
        lambda: RateLimit(Limit(50, "tokens", per="second"), Limit(2, "requests", by=("tag:tenant",), burst=1)),
        lambda: RateLimit(Limit(2, "requests"), on_limit="refuse"),
        lambda: RateLimit(adaptive=True),
        lambda: RateLimit(Limit(3, "output_tokens", per="hour"), adaptive=True, estimate=estimate(0, 1)),
    ],
    ids=["requests", "two limits", "refuse", "adaptive", "both"],
)
def test_keeps_the_contract(make: Callable[[], RateLimit]) -> None:
    """RateLimit keeps the layer contract, waiting, refusing and pacing."""
    check_layer(make, may_refuse=True)


# Limits


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("per", "seconds"), [("second", 1.0), ("minute", 60.0), ("hour", 3600.0), ("day", 86400.0)]
)  # fmt: skip
async def test_requests(make_call: MakeCall, per: str, seconds: float) -> None:
    """A whole amount goes through at once, and then one each time as much has flowed in."""
    layer = RateLimit(Limit(4, "requests", per=per))
    began = anyio.current_time()
    entered = [await send(layer, make_call()) - began for _ in range(7)]
    assert entered == pytest.approx([0.0] * 4 + [seconds / 4, seconds / 2, seconds * 3 / 4])


@pytest.mark.anyio
async def test_burst(make_call: MakeCall) -> None:
    """The burst bounds what goes through at once after a quiet time."""
    layer = RateLimit(Limit(60, "requests", burst=2))
    await anyio.sleep(600.0)
    began = anyio.current_time()
    entered = [await send(layer, make_call()) - began for _ in range(5)]
    assert entered == pytest.approx([0.0, 0.0, 1.0, 2.0, 3.0])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("unit", "wait"), [("tokens", 30.0), ("input_tokens", 0.0), ("output_tokens", 20.0)]
)  # fmt: skip
async def test_tokens(make_call: MakeCall, unit: Unit, wait: float) -> None:
    """Input and output tokens are limited together, or each for itself."""
    layer = RateLimit(Limit(120, unit), estimate=estimate(10, 80))
    await send(layer, make_call())
    assert await wait_for_next(layer, make_call()) == pytest.approx(wait)


@pytest.mark.anyio
async def test_more_than_a_limit_goes_alone(make_call: MakeCall) -> None:
    """A call that wants more than a limit ever holds goes when it is full, and is paid off afterwards."""
    layer = RateLimit(Limit(60, "tokens"), estimate=estimate(100, 50))
    assert await send(layer, make_call()) == make_call().started
    assert await wait_for_next(layer, make_call()) == pytest.approx(150.0)


@pytest.mark.anyio
async def test_all_or_none(make_call: MakeCall) -> None:
    """A call that one limit refuses has taken nothing from the others."""
    layer = RateLimit(
        Limit(2, "requests", per="hour", by=("model",)),
        Limit(1, "requests", per="hour", by=("tag:user",)),
        on_limit="refuse",
    )
    await send(layer, make_call(tags={"user": "ann"}))
    for _ in range(5):
        with pytest.raises(RateLimitedError) as caught:
            await send(layer, make_call(tags={"user": "ann"}))
        assert caught.value.retry_after == pytest.approx(3600.0)
    await send(layer, make_call(tags={"user": "bob"}))
    with pytest.raises(RateLimitedError):
        await send(layer, make_call(tags={"user": "eve"}))


def route(**fields: object) -> Route:
    base = Route(provider="one", model="m", base_url="https://one.invalid", api_key=Secret("sk-1"))
    return msgspec.structs.replace(base, **fields)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("by", "change"),
    [
        (("provider",), {"route": route(provider="two")}),
        (("provider",), {"route": route(base_url="https://two.invalid")}),
        (("model",), {"route": route(model="n")}),
        (("key",), {"route": route(api_key=Secret("sk-2"))}),
        (("key",), {"route": route(api_key=None)}),
        (("tag:tenant",), {"tags": {"tenant": "b"}}),
        (("tag:tenant",), {"tags": {}}),
        (lambda call: call.operation, {"operation": "embeddings"}),
    ],
    ids=["provider", "address", "model", "key", "no key", "tag", "no tag", "function"],
)
async def test_by(
    make_call: MakeCall, by: tuple[str, ...] | Callable[[Call[object]], str], change: dict[str, object]
) -> None:
    """Calls that differ in what a limit is kept by have each their own; all others share it."""
    base: dict[str, object] = {"route": route(), "tags": {"tenant": "a"}}
    layer = RateLimit(Limit(1, "requests", by=by), on_limit="refuse")
    everyone = RateLimit(Limit(1, "requests", by=()), on_limit="refuse")
    for own in (layer, everyone):
        await send(own, make_call(**base))
        with pytest.raises(RateLimitedError):
            await send(own, make_call(**base))
    await send(layer, make_call(**(base | change)))
    with pytest.raises(RateLimitedError):
        await send(everyone, make_call(**(base | change)))


@pytest.mark.anyio
async def test_limits_by_several_functions(make_call: MakeCall) -> None:
    """Each has groups of its own, also where they are called the same; one limit is the same in every layer."""
    limits = [Limit(2, "requests", by=lambda call: call.tags["user"]), Limit(2, "requests", by=lambda call: "1")]
    store = MemoryStore()
    for layer in (RateLimit(*limits, store=store, on_limit="refuse"), RateLimit(*limits, store=store)):
        call = make_call(tags={"user": "1"})
        assert await send(layer, call) == call.started
    with pytest.raises(RateLimitedError):
        await send(layer, make_call(tags={"user": "2"}, timeouts=Timeouts(total=1.0)))


@pytest.mark.anyio
@pytest.mark.parametrize("name", [5, ["a"]])
async def test_a_function_that_gives_no_name(make_call: MakeCall, name: object) -> None:
    """It is a ValueError that says which, and None is the name of calls without one."""

    def by_user(call: Call[object]) -> str | None:
        return call.tags.get("user", name)  # wrong on purpose

    layer = RateLimit(Limit(1, "requests", by=by_user), on_limit="refuse")
    with pytest.raises(ValueError, match="by: by_user must return a name as a str, not"):
        await send(layer, make_call())
    nameless = RateLimit(Limit(1, "requests", by=lambda call: call.tags.get("user")), on_limit="refuse")
    await send(nameless, make_call(tags={"user": "ann"}))
    await send(nameless, make_call())
    with pytest.raises(RateLimitedError):
        await send(nameless, make_call())


@pytest.mark.anyio
async def test_the_key_is_nowhere(make_call: MakeCall) -> None:
    """The store never sees an API key, only a hash of it."""
    seen: list[str] = []

    class Spy(MemoryStore):
        async def take(self, buckets: Sequence[Bucket]) -> Taken:
            seen.extend(bucket.key for bucket in buckets)
            return await super().take(buckets)

    spy = Spy()
    layer = RateLimit(Limit(1, "requests"), adaptive=True, store=spy)
    await send(layer, make_call(route=route(api_key=Secret("sk-very-secret"))))
    assert seen
    assert "secret" not in repr(seen)
    assert "secret" not in repr(spy._values) + repr(layer)


@pytest.mark.anyio
async def test_a_shared_store_is_one_limit(make_call: MakeCall) -> None:
    """Two layers with one store keep one limit together; with a store each, each its own."""
    store = MemoryStore()
    one, two = (RateLimit(Limit(1, "requests"), store=store, on_limit="refuse") for _ in range(2))
    await send(one, make_call())
    with pytest.raises(RateLimitedError):
        await send(two, make_call())
    await send(RateLimit(Limit(1, "requests"), on_limit="refuse"), make_call())


# Waiting and refusing


@pytest.mark.anyio
@pytest.mark.parametrize("on_limit", ["wait", "refuse"])
async def test_a_refusal_carries_the_exact_wait(make_call: MakeCall, on_limit: str) -> None:
    """A refused call is told the wait to the second, and is let through after just that."""
    layer = RateLimit(Limit(60, "requests", burst=1), on_limit=on_limit)
    await send(layer, make_call())
    await anyio.sleep(0.25)
    call = make_call(timeouts=Timeouts(total=0.5))
    with pytest.raises(RateLimitedError) as caught:
        await send(layer, call)
    error = caught.value
    assert (error.code, error.provider, error.model) == ("local_rate_limit", "scripted", "scripted")
    assert error.retry_after == pytest.approx(0.75)
    assert error.retryable
    assert anyio.current_time() == call.started
    await anyio.sleep(error.retry_after or 0.0)
    call = make_call()
    assert await send(layer, call) == call.started


@pytest.mark.anyio
async def test_refuse_does_not_wait(make_call: MakeCall) -> None:
    """With on_limit="refuse" nobody waits, whatever time there is; Retry outside waits as told."""
    layer = RateLimit(Limit(60, "requests", burst=1), on_limit="refuse")
    await send(layer, make_call())
    call = make_call()
    with pytest.raises(RateLimitedError):
        await send(layer, call)
    assert anyio.current_time() == call.started
    async with Stack([Retry(initial=0.0, cap=0.0), layer], handler())(make_call()):
        assert anyio.current_time() == pytest.approx(call.started + 1.0)


@pytest.mark.anyio
async def test_first_come_first_served(make_call: MakeCall) -> None:
    """Calls are let through in the order they came in, also large ones before small ones."""
    wants = [30.0, 1.0, 45.0, 2.0, 1.0]
    layer = RateLimit(
        Limit(60, "tokens", burst=30), estimate=lambda call: (float(call.tags["want"]), 0.0), on_limit="wait"
    )
    order: list[float] = []

    async def caller(want: float) -> None:
        await send(layer, make_call(tags={"want": str(want)}))
        order.append(want)

    async with anyio.create_task_group() as group:
        for want in wants:
            group.start_soon(caller, want)
            await anyio.sleep(0.01)
        assert layer.waiting == 4
    assert order == wants
    assert layer.waiting == 0


@pytest.mark.anyio
async def test_the_line_counts_in_a_refusal(make_call: MakeCall) -> None:
    """A call that would not come up in time is refused at once, with the wait of all before it in the line."""
    layer = RateLimit(Limit(60, "requests", burst=1))
    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(send, layer, make_call())
        await anyio.sleep(0.5)
        call = make_call(timeouts=Timeouts(first_event=5.0))
        with pytest.raises(RateLimitedError) as caught:
            await send(layer, call)
        # One has gone, five are in line: they go at 1 s, 2 s, ... 5 s; this one would at 6 s.
        assert caught.value.retry_after == pytest.approx(5.5)
        assert anyio.current_time() == call.started
        fits = make_call(timeouts=Timeouts(first_event=6.0))
        assert await send(layer, fits) == pytest.approx(call.started + 5.5)


@pytest.mark.anyio
async def test_time_passes_in_line(make_call: MakeCall) -> None:
    """A call whose time is over before its turn, as others took of the limit, is told the wait that is left."""
    store = MemoryStore()
    limit = Limit(60, "requests", burst=1)
    layer = RateLimit(limit, store=store)
    await send(layer, make_call())
    errors: list[RateLimitedError] = []

    async def late() -> None:
        try:
            await send(layer, make_call(timeouts=Timeouts(total=3.5)))
        except RateLimitedError as error:
            errors.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(send, layer, make_call())
        await anyio.sleep(0.5)
        group.start_soon(late)
        call = make_call()
        await store.adjust([bucket_of(limit, call, -10.0)])
    (error,) = errors
    # At 4.0 s: what is left of the 11 s of the one before it, and 1 s of its own.
    assert error.retry_after == pytest.approx(8.0)
    assert error.code == "local_rate_limit"


def bucket_of(limit: Limit, call: Call[object], amount: float) -> Bucket:
    return msgspec.structs.replace(limit.bucket(group_of(call, limit.by), limit.name), amount=amount)


@pytest.mark.anyio
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_cancelled_wait_leaves_the_line(make_call: MakeCall, place: int) -> None:
    """Who is cancelled in line, at its head or behind, costs nobody anything."""
    layer = RateLimit(Limit(60, "requests", burst=1))
    await send(layer, make_call())
    began = anyio.current_time()
    scopes = [anyio.CancelScope() for _ in range(3)]
    entered: list[float] = []

    async def caller(scope: anyio.CancelScope) -> None:
        with scope:
            entered.append(await send(layer, make_call()) - began)

    async with anyio.create_task_group() as group:
        for scope in scopes:
            group.start_soon(caller, scope)
        await anyio.sleep(0.5)
        scopes[place].cancel()
    assert entered == pytest.approx([1.0, 2.0])
    assert layer.waiting == 0


@pytest.mark.anyio
@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves"])
async def test_calls_of_other_lines_do_not_go_first(make_call: MakeCall, leaves: bool) -> None:
    """Calls that share one limit and not all are served in the order they came, too, a large one before small ones."""
    layer = RateLimit(
        Limit(60, "tokens", by=()),
        Limit(600, "requests", by=("tag:tenant",)),
        estimate=lambda call: (float(call.tags["tokens"]), 0.0),
    )
    entered: dict[str, float] = {}

    async def one(tenant: str, tokens: int) -> None:
        entered[tenant] = await send(layer, make_call(tags={"tenant": tenant, "tokens": str(tokens)}))

    began = anyio.current_time()
    await one("first", 60)
    async with anyio.create_task_group() as tasks, anyio.create_task_group() as leaving:
        for tenant, tokens, group in (("large", 30, leaving), ("small", 5, tasks), ("other", 5, tasks)):
            group.start_soon(one, tenant, tokens)
            await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
        await anyio.sleep_until(began + 10.0)
        asked = make_call(tags={"tenant": "asking", "tokens": "5"}, timeouts=Timeouts(total=1.0))
        with pytest.raises(RateLimitedError) as caught:
            await send(layer, asked)
        # The three, and its own.
        assert caught.value.retry_after == pytest.approx(30 + 5 + 5 + 5 - 10)
        if leaves:
            leaving.cancel_scope.cancel()
    times = {tenant: round(time - began, 6) for tenant, time in entered.items()}
    if leaves:
        # What it waited for is there for the others as soon as they look again.
        assert times.keys() == {"first", "small", "other"}
        assert 10.0 <= times["small"] <= times["other"] <= 10.0 + 3.5 + 1.0
    else:
        assert times == {"first": 0.0, "large": 30.0, "small": 35.0, "other": 40.0}
    assert (layer.waiting, *(len(gate._claims) for gate in layer._gates.values())) == (0, 0)


@pytest.mark.anyio
async def test_lines_do_not_wait_for_each_other(make_call: MakeCall) -> None:
    """A model that has used up its limit does not hold up another one."""
    layer = RateLimit(Limit(1, "requests", per="hour", by=("model",)))
    await send(layer, make_call())
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(send, layer, make_call())
            await anyio.sleep(1.0)
            call = make_call(route=route(model="other"))
            assert await send(layer, call) == call.started
            scope.cancel()


@pytest.mark.anyio
async def test_listeners_are_told_of_a_wait(make_call: MakeCall) -> None:
    """Before it waits at the head of its line, a call's listeners are told for what, and how long; and only once."""
    layer = RateLimit(Limit(10, "requests", burst=1))
    await send(layer, make_call())
    told: list[object] = []
    await send(layer, make_call(listeners=(told.append,)))
    (event,) = told
    assert isinstance(event, RateLimitWaiting)
    assert (event.limit, event.wait) == ("10 requests per minute", pytest.approx(6.0))


# Estimates and corrections


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("used", [(0, 0), (10, 10), (60, 60), (80, 100)])
async def test_the_estimate_is_corrected(make_call: MakeCall, used: tuple[int, int], streamed: bool) -> None:
    """When the scope closes, the usage takes the place of the estimate: less is given back, more is taken."""
    layer = RateLimit(Limit(60, "tokens"), estimate=estimate(30, 30))
    outcome = Outcome(events=["a", "b"], usage=tokens(*used)) if streamed else Outcome(value="a", usage=tokens(*used))
    async with layer(make_call(stream=streamed), handler(outcome)) as reply:
        assert await wait_for_next(layer, make_call()) == pytest.approx(60.0)
        if reply.streamed:
            assert [event async for event in reply] == ["a", "b"]
    assert await wait_for_next(layer, make_call()) == pytest.approx(float(sum(used)))


@pytest.mark.anyio
async def test_a_stream_left_early_keeps_the_estimate(make_call: MakeCall) -> None:
    """Without reported usage nobody knows, and the estimate stands."""
    layer = RateLimit(Limit(60, "tokens"), estimate=estimate(30, 30))
    async with layer(make_call(stream=True), handler(Outcome(events=["a", "b"], usage=tokens(1, 1)))) as reply:
        async for _ in reply:
            break
    assert await wait_for_next(layer, make_call()) == pytest.approx(60.0)


@pytest.mark.anyio
@pytest.mark.parametrize(("told", "left"), [(tokens(10, 1), 40.0), (tokens(10, 45), 55.0)])
async def test_the_output_of_a_cut_stream_is_not_known(make_call: MakeCall, told: Usage, left: float) -> None:
    """Its input is, where a provider told it at the start; of its output no less is counted than was estimated."""
    layer = RateLimit(Limit(60, "tokens"), estimate=estimate(30, 30))
    async with layer(make_call(stream=True), handler(Outcome(events=["a", "b"]))) as reply:
        async for _ in reply:
            reply.usage = told
            break
    assert await wait_for_next(layer, make_call()) == pytest.approx(left)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "requests", "wait"),
    [
        (ServerError("no", status=500), 1, 0.0),
        (RateLimitedError("no", status=429, retry_after=9.0), 1, 0.0),
        (NetworkError("gone"), 1, 60.0),
    ],
    ids=["refused", "rate limited", "cut off"],
)
async def test_what_a_failure_costs(make_call: MakeCall, error: LlmError, requests: int, wait: float) -> None:
    """A refused request made no tokens, but was a request; one that was cut off may have made all of them."""
    store = MemoryStore()
    by_tokens, by_requests = (
        RateLimit(limit, store=store, estimate=estimate(30, 30))
        for limit in (Limit(60, "tokens"), Limit(1, "requests"))
    )
    for layer in (by_tokens, by_requests):
        with pytest.raises(type(error)):
            await send(layer, make_call(), handler(error))
    assert await wait_for_next(by_tokens, make_call()) == pytest.approx(wait)
    assert await wait_for_next(by_requests, make_call()) == pytest.approx(60.0 * requests)


@pytest.mark.anyio
@pytest.mark.parametrize("adaptive", [False, True])
async def test_what_was_not_sent_costs_nothing(make_call: MakeCall, adaptive: bool) -> None:
    """A call that is cancelled or refused further in, before it is sent, gives back all it took."""
    limits = RateLimit(
        Limit(1, "requests"), Limit(60, "tokens"), estimate=estimate(30, 30), adaptive=adaptive, on_limit="refuse"
    )
    concurrency = Concurrency(1, max_waiting=1)
    stack = Stack([limits, concurrency], handler())
    await concurrency.acquire(anyio.current_time())
    with anyio.move_on_after(1.0) as scope:
        async with stack(make_call()):
            pass
    assert scope.cancelled_caught
    concurrency.max_waiting = 0
    for _ in range(3):
        with pytest.raises(RateLimitedError) as caught:
            async with stack(make_call()):
                pass
        assert caught.value.code == "local_concurrency"
    concurrency.release()
    call = make_call()
    async with stack(call):
        assert anyio.current_time() == call.started


@pytest.mark.anyio
async def test_who_lost_a_race_before_it_was_sent(make_call: MakeCall) -> None:
    """That another of the raced attempts was sent meanwhile does not count for it: it gives back all."""
    layer = RateLimit(Limit(2, "requests"), on_limit="refuse")
    permits = Concurrency(1)
    script = ScriptedHandler(Outcome(value="first", delay=1.0))
    raced = Stack([Hedge(1.0), layer, permits], script)
    async with anyio.create_task_group() as tasks:
        await permits.acquire(math.inf)

        async def race() -> None:
            async with raced(make_call()):
                pass

        tasks.start_soon(race)
        await anyio.sleep(3.0)
        # Both have a ticket, and wait for a permit.
        assert permits.waiting == 2
        permits.release()
    assert len(script.calls) == 1
    await send(layer, make_call())


@pytest.mark.anyio
async def test_an_answer_from_further_in_costs_nothing(make_call: MakeCall) -> None:
    """What a layer further in answered never reached the provider, and is given back."""

    class Answer:
        async def __aenter__(self) -> Reply[object]:
            return Reply(value="kept", origin="cache", usage=tokens(30, 30))

        async def __aexit__(self, *_: object) -> None:
            pass

    layer = RateLimit(Limit(1, "requests"), Limit(60, "tokens"), estimate=estimate(30, 30), on_limit="refuse")
    for _ in range(3):
        async with layer(make_call(), cast("Handler", lambda call: Answer())):
            pass


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({}, 1000),
        ({"max_tokens": 50}, 50),
        ({"max_completion_tokens": 70, "max_tokens": 50}, 70),
        ({"max_tokens": 50, "n": 3}, 150),
    ],
)
async def test_the_default_estimate(make_call: MakeCall, fields: dict[str, int], output: int) -> None:
    """By default it is a quarter of the request's bytes, and the output limit of each choice; 1000 without one."""
    request = ChatCompletionRequest(model="m", messages=[UserMessage(content="é" * 500)], **fields)
    size = len(msgspec.json.encode(request)) / 4
    for unit, used in (("input_tokens", size), ("output_tokens", output)):
        layer = RateLimit(Limit(used, cast("Unit", unit)))
        await send(layer, make_call(request=request))
        assert await wait_for_next(layer, make_call(request=request)) == pytest.approx(60.0)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("request_", "output"),
    [
        (CreateResponseRequest(model="m", input="Hi", max_output_tokens=70), 70),
        (CreateResponseRequest(model="m", input="Hi"), 1000),
        (CompletionRequest(model="m", prompt="Hi", max_tokens=30, n=2), 60),
        (EmbeddingRequest(model="m", input="Hi"), 0),
        (SpeechRequest(model="m", input="Hi", voice="v"), 0),
        (TranscriptionRequest(model="m", file=b"sound" * 10_000), 0),
    ],
)
async def test_the_default_estimate_of_other_operations(
    make_call: MakeCall, request_: msgspec.Struct, output: int
) -> None:
    """Each by the limit that it sets, under its own name; what has none to set makes no output. Files are no text."""
    sent, made = estimate_tokens(make_call(request=request_))
    assert made == output
    assert 0 < sent < 100


@pytest.mark.anyio
async def test_requests_alone_are_not_estimated(make_call: MakeCall) -> None:
    """Where no limit is of tokens, nothing is estimated."""

    def never(call: Call[object]) -> tuple[float, float]:
        raise AssertionError

    await send(RateLimit(Limit(1, "requests"), estimate=never), make_call())


@pytest.mark.anyio
async def test_a_raising_estimate_fails_its_call_alone(make_call: MakeCall) -> None:
    """What an estimate raises is the caller's own; the next call is not touched."""

    def judge(call: Call[object]) -> tuple[float, float]:
        if call.tags:
            raise KeyError("mine")
        return 1.0, 1.0

    layer = RateLimit(Limit(2, "tokens"), estimate=judge, on_limit="refuse")
    with pytest.raises(KeyError, match="mine"):
        await send(layer, make_call(tags={"bad": "yes"}))
    await send(layer, make_call())


@pytest.mark.anyio
@pytest.mark.parametrize(
    "wrong", [(-1.0, 0.0), (0.0, float("nan")), (float("inf"), 0.0), 5.0, None, (1.0,), (1.0, 2.0, 3.0), ("1", 2.0)]
)
async def test_an_estimate_that_is_no_number(make_call: MakeCall, wrong: object) -> None:
    """An estimate below zero, or that is no pair of numbers, is a ValueError that names it."""
    layer = RateLimit(Limit(2, "tokens"), estimate=lambda call: wrong)  # wrong
    with pytest.raises(ValueError, match="estimate must return"):
        await send(layer, make_call())


# A store that fails


class SlowStore(MemoryStore):
    """Waits before and after each step on buckets, as one that is asked over a network."""

    async def take(self, buckets: Sequence[Bucket]) -> Taken:
        await anyio.sleep(0.01)
        taken = await super().take(buckets)
        await anyio.sleep(0.01)
        return taken

    async def adjust(self, buckets: Sequence[Bucket]) -> None:
        await anyio.sleep(0.01)
        await super().adjust(buckets)
        await anyio.sleep(0.01)


@pytest.mark.anyio
@pytest.mark.parametrize("after", [0.005, 0.015, 0.025, 0.2])
async def test_a_call_cancelled_at_its_store(make_call: MakeCall, after: float) -> None:
    """Whenever that is, what it took is given back: a step of the store is known, or was not made."""
    store = SlowStore()
    layer = RateLimit(Limit(1, "requests"), store=store, on_limit="refuse")
    inner = ScriptedHandler(Outcome(value="never", delay=0.1))

    @asynccontextmanager
    async def waits(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
        await anyio.sleep(0.1 if after < 0.1 else 1.0)
        async with call_next(call) as reply:
            yield reply

    with anyio.move_on_after(after) as scope:
        async with Stack([layer, waits], inner)(make_call()):
            pass
    assert scope.cancelled_caught
    assert inner.calls == []
    await send(layer, make_call())


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["failing", "silent"])
async def test_open(make_call: MakeCall, how: str, caplog: pytest.LogCaptureFixture) -> None:
    """With on_store_error="open" calls go through without limits, and listeners and the log are told."""
    store = FailingStore()
    setattr(store, how, True)
    layer = RateLimit(Limit(1, "requests"), store=store)
    told: list[object] = []
    with caplog.at_level(logging.WARNING, "liter.rate_limit"):
        for _ in range(3):
            await send(layer, make_call(listeners=(told.append,)))
    assert [(event.doing, event.goes_on) for event in told if isinstance(event, RateLimitStoreFailed)] == [
        ("take", True)
    ] * 3
    assert len(caplog.records) == 1
    assert "without limits" in caplog.text
    assert store.asked == 1
    setattr(store, how, False)
    await anyio.sleep(1.0)
    await send(layer, make_call())
    assert await wait_for_next(layer, make_call()) == pytest.approx(60.0)
    assert "answers again" in caplog.text


@pytest.mark.anyio
async def test_closed(make_call: MakeCall, caplog: pytest.LogCaptureFixture) -> None:
    """With on_store_error="closed" calls are refused with the store's error, and nothing is sent."""
    store = FailingStore()
    store.failing = True
    layer = RateLimit(Limit(1, "requests"), store=store, on_store_error="closed")
    told: list[object] = []
    inner = handler()
    with caplog.at_level(logging.WARNING, "liter.rate_limit"), pytest.raises(StoreError, match="no route"):
        await send(layer, make_call(listeners=(told.append,)), inner)
    assert inner.calls == []
    (event,) = told
    assert isinstance(event, RateLimitStoreFailed)
    assert not event.goes_on
    assert "are refused" in caplog.text


@pytest.mark.anyio
@pytest.mark.parametrize("on_store_error", ["open", "closed"])
async def test_a_failed_correction_fails_no_call(make_call: MakeCall, on_store_error: str) -> None:
    """A store that fails while the estimate is corrected fails no call; its listeners are told."""
    store = FailingStore()
    layer = RateLimit(Limit(60, "tokens"), store=store, estimate=estimate(1, 1), on_store_error=on_store_error)
    told: list[object] = []
    async with layer(make_call(listeners=(told.append,)), handler(Outcome(value="x", usage=tokens(5, 5)))) as reply:
        store.failing = True
        assert reply.value == "x"
    (event,) = told
    assert isinstance(event, RateLimitStoreFailed)
    assert (event.doing, event.goes_on) == ("settle", True)


# Adaptive


class Provider:
    """Enforces a limit of its own, on requests or tokens, and tells of it in headers, as OpenAI does.

    :param windows: fixed windows of a minute; by default a token bucket
    """

    def __init__(self, limit: float, *, unit: str = "requests", latency: float = 1.0, windows: bool = False) -> None:
        self.limit = limit
        self.unit = unit
        self.latency = latency
        self.windows = windows
        self.cost = 1.0
        self.left = limit
        self.at = anyio.current_time()
        self.served = 0
        self.refused = 0

    def __call__(self, call: Call[R], /) -> "_Served[R]":
        return _Served(self, call)

    def take(self) -> Headers:
        now = anyio.current_time()
        if self.windows:
            if now >= self.at + 60.0:
                self.at += (now - self.at) // 60.0 * 60.0
                self.left = self.limit
            reset = self.at + 60.0 - now
        else:
            self.left = min(self.limit, self.left + (now - self.at) * self.limit / 60.0)
            self.at = now
        if self.left < self.cost:
            self.refused += 1
            wait = reset if self.windows else (self.cost - self.left) * 60.0 / self.limit
            raise RateLimitedError("too fast", status=429, retry_after=wait)
        self.left -= self.cost
        self.served += 1
        if not self.windows:
            reset = (self.limit - self.left) * 60.0 / self.limit
        told = {"limit": f"{self.limit:g}", "remaining": f"{self.left:.0f}", "reset": f"{reset:.3f}s"}
        return Headers((f"x-ratelimit-{name}-{self.unit}".encode(), text.encode()) for name, text in told.items())


class _Served(Generic[R]):
    def __init__(self, provider: Provider, call: Call[R]) -> None:
        self.provider = provider
        self.call = call

    async def __aenter__(self) -> Reply[R]:
        provider = self.provider
        self.call.attempts.append(Attempt(number=1, provider="p", model="m", started=anyio.current_time()))
        await anyio.sleep(0.05)
        headers = provider.take()
        await anyio.sleep(provider.latency)
        return Reply(value=cast("R", "whole"), headers=headers)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass


async def crowd(stack: Handler, make_call: MakeCall, callers: int, seconds: float) -> list[int]:
    """Let callers send one call after the other; return how many each got through."""
    counts = [0] * callers
    end = anyio.current_time() + seconds

    async def caller(number: int) -> None:
        while anyio.current_time() < end:
            async with stack(make_call()):
                pass
            if anyio.current_time() <= end:
                counts[number] += 1

    async with anyio.create_task_group() as group:
        for number in range(callers):
            group.start_soon(caller, number)
    return counts


@pytest.mark.anyio
async def test_two_thousand_callers_for_an_hour(make_call: MakeCall) -> None:
    """Paced by headers, 2,000 callers get 97 % of what the provider allows, evenly, and no refusal."""
    provider = Provider(200.0)
    counts = await crowd(Stack([RateLimit(adaptive=True)], provider), make_call, 2000, 3600.0)
    allowed = 200.0 * 60 + 200.0
    assert provider.refused == 0
    assert sum(counts) >= 0.97 * allowed
    assert sum(counts) ** 2 / (len(counts) * sum(count**2 for count in counts)) > 0.99


@pytest.mark.anyio
@pytest.mark.parametrize("latency", [0.0, 10.0])
async def test_fixed_windows(make_call: MakeCall, latency: float) -> None:
    """A provider with fixed windows is not refused either, and used to nine tenths."""
    provider = Provider(600.0, latency=latency, windows=True)
    await crowd(Stack([RateLimit(adaptive=True)], provider), make_call, 200, 900.0)
    assert provider.refused == 0
    assert provider.served >= 0.9 * 600 * 15


@pytest.mark.anyio
async def test_tokens_are_paced(make_call: MakeCall) -> None:
    """A limit of tokens is paced to by the estimate, even where it is a quarter too low."""
    provider = Provider(60_000.0, unit="tokens")
    provider.cost = 125.0
    layer = RateLimit(adaptive=True, estimate=estimate(50, 50))
    await crowd(Stack([layer], provider), make_call, 100, 900.0)
    assert provider.refused == 0
    assert provider.served >= 0.97 * 480 * 15


@pytest.mark.anyio
@pytest.mark.parametrize("shared", [True, False], ids=["one store", "a store each"])
async def test_two_clients_with_one_key(make_call: MakeCall, shared: bool) -> None:
    """Two layers that share a store, or do not know of each other, are together as fast as the provider allows."""
    provider = Provider(600.0)
    store = MemoryStore()
    one, two = (RateLimit(adaptive=True, store=store if shared else None) for _ in range(2))
    async with anyio.create_task_group() as group:
        for layer in (one, two):
            group.start_soon(crowd, Stack([layer], provider), make_call, 100, 900.0)
    assert provider.refused == 0
    assert provider.served >= 0.97 * 600 * 15


@pytest.mark.anyio
async def test_until_the_first_answer_one_goes_each_second(make_call: MakeCall) -> None:
    """As long as the limits are not known, one request a second goes through; an answer without limits ends that."""
    layer = RateLimit(adaptive=True)
    began = anyio.current_time()
    inner = handler(Outcome(value="whole", delay=2.5))
    async with anyio.create_task_group() as group:
        for _ in range(20):
            # There is time for all of them, if not at one a second.
            group.start_soon(send, layer, make_call(timeouts=Timeouts(first_event=8.0)), inner)
        await anyio.sleep(2.4)
        assert len(inner.calls) == 3
    assert len(inner.calls) == 20
    assert anyio.current_time() - began == pytest.approx(5.5)


@pytest.mark.anyio
async def test_not_adaptive_ignores_headers(make_call: MakeCall) -> None:
    """Without adaptive=True, what the provider tells changes nothing."""
    headers = Headers([(b"x-ratelimit-limit-requests", b"1"), (b"x-ratelimit-remaining-requests", b"0")])
    layer = RateLimit(Limit(100, "requests"))
    call = make_call()
    for _ in range(5):
        assert await send(layer, make_call(), handler(Outcome(value="x", headers=headers))) == call.started


@pytest.mark.anyio
@pytest.mark.parametrize("known", [False, True])
async def test_a_refusal_pauses_all(make_call: MakeCall, known: bool) -> None:
    """When the provider refuses, nobody who shares the store sends until its retry_after is over."""
    store = MemoryStore()
    one, two = (RateLimit(adaptive=True, store=store) for _ in range(2))
    if known:
        await send(one, make_call(), Provider(600.0))
    else:
        await send(one, make_call())
    began = anyio.current_time()
    with pytest.raises(RateLimitedError):
        await send(one, make_call(), handler(RateLimitedError("no", status=429, retry_after=30.0)))
    assert await wait_for_next(two, make_call()) == pytest.approx(30.0)
    other = make_call(route=route())
    assert await send(two, other) == other.started
    assert await send(two, make_call()) == pytest.approx(began + 30.0)


@pytest.mark.anyio
async def test_a_refusal_tells_of_the_limits(make_call: MakeCall) -> None:
    """What a 429 says of limits is learned, though it is the first answer: after its pause calls keep to them."""
    headers = Headers(
        [
            (b"x-ratelimit-limit-requests", b"60"),
            (b"x-ratelimit-remaining-requests", b"0"),
            (b"x-ratelimit-reset-requests", b"60s"),
        ]
    )
    layer = RateLimit(adaptive=True)
    refusal = RateLimitedError("no", status=429, retry_after=5.0, headers=headers)
    with pytest.raises(RateLimitedError):
        await send(layer, make_call(), handler(refusal))
    began = anyio.current_time()
    entered = [await send(layer, make_call()) - began for _ in range(4)]
    assert entered[0] >= 5.0
    assert entered == pytest.approx([entered[0] + number for number in range(4)], abs=0.01)


@pytest.mark.anyio
async def test_an_error_tells_of_the_limits(make_call: MakeCall) -> None:
    """An error that is no rate limit tells of them, too."""
    layer = RateLimit(adaptive=True)
    headers = Headers([(b"x-ratelimit-limit-requests", b"6"), (b"x-ratelimit-remaining-requests", b"0")])
    with pytest.raises(ServerError):
        await send(layer, make_call(), handler(ServerError("no", status=500, headers=headers)))
    assert await wait_for_next(layer, make_call()) > 5.0


@pytest.mark.anyio
async def test_a_line_goes_on_fast_after_a_pause(make_call: MakeCall) -> None:
    """Who waits behind others during a pause is not refused for it, as the limit refills faster than that."""
    provider = Provider(600.0, latency=0.0)
    layer = RateLimit(adaptive=True)
    await send(layer, make_call(), provider)
    with pytest.raises(RateLimitedError):
        await send(layer, make_call(), handler(RateLimitedError("no", status=429, retry_after=30.0)))
    began = anyio.current_time()
    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(send, layer, make_call(timeouts=Timeouts(total=36.0)), provider)
    assert anyio.current_time() - began == pytest.approx(30.0 + 4.9 + 0.05, abs=0.2)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "error",
    [
        RateLimitedError("no money", status=429, retry_after=30.0, quota_exhausted=True),
        ServerError("no", status=500, retry_after=30.0),
        RateLimitedError("full", code="local_concurrency", retry_after=30.0),
    ],
    ids=["quota", "another error", "another layer's"],
)
async def test_other_refusals_do_not_pause(make_call: MakeCall, error: LlmError) -> None:
    """An exhausted quota, which no wait brings back, what is no rate limit, and another layer's pause nobody."""
    layer = RateLimit(adaptive=True)
    await send(layer, make_call())
    with pytest.raises(type(error)):
        await send(layer, make_call(), handler(error))
    call = make_call()
    assert await send(layer, call) == call.started


@pytest.mark.anyio
async def test_what_was_not_sent_is_not_taken_off_what_is_left(make_call: MakeCall) -> None:
    """What the provider had left when it answered is less what was sent since, and not what was taken back unsent."""
    headers = Headers([(b"x-ratelimit-limit-requests", b"20"), (b"x-ratelimit-remaining-requests", b"6")])
    layer = RateLimit(adaptive=True, on_limit="refuse")
    # No answer yet, and one request a second.
    slow = handler(Outcome(value="x", headers=headers, delay=3.0))

    @asynccontextmanager
    async def refuses(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
        raise ServerError("not sent")
        yield  # pragma: no cover # a generator

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send, layer, make_call(), slow)
        for _ in range(2):
            await anyio.sleep(1.0)
            with pytest.raises(ServerError):
                async with Stack([layer, refuses], slow)(make_call()):
                    pass
    # 6 were left, and a twentieth of 20 is not touched. What flowed in within 3 s is 1.
    passed = 0
    with pytest.raises(RateLimitedError):
        while True:
            await send(layer, make_call(), handler(Outcome(value="x")))
            passed += 1
    assert passed == 6


@pytest.mark.anyio
async def test_few_paces_are_kept_in_mind(make_call: MakeCall) -> None:
    """However many accounts there are, a gate remembers some, and the store the others."""
    layer = RateLimit(adaptive=True, on_limit="refuse")
    for number in range(1030):
        await send(layer, make_call(route=route(model=str(number))))
    (gate,) = layer._gates.values()
    assert len(gate._pacers) == 1024


@pytest.mark.anyio
async def test_a_day_is_not_paced(make_call: MakeCall) -> None:
    """A limit per day is not spread over the day."""
    headers = Headers(
        [
            (b"x-ratelimit-limit-requests-day", b"14400"),
            (b"x-ratelimit-remaining-requests-day", b"101"),
        ]
    )
    layer = RateLimit(adaptive=True)
    inner = handler(Outcome(value="x", headers=headers))
    await send(layer, make_call(), inner)
    call = make_call()
    for _ in range(100):
        await send(layer, make_call(), inner)
    assert anyio.current_time() == call.started


@pytest.mark.anyio
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["slow first", "slow last"])
async def test_of_several_limits_the_slowest_is_paced_to(make_call: MakeCall, order: tuple[int, int]) -> None:
    """Where a provider tells two windows of one unit, its list in either order."""
    told = (("20", "10", "20;w=60"), ("100", "100", "100;w=1"))
    limit, remaining, policy = (", ".join(texts) for texts in zip(*(told[place] for place in order), strict=True))
    headers = Headers(
        [
            (b"x-ratelimit-limit", limit.encode()),
            (b"x-ratelimit-remaining", remaining.encode()),
            (b"x-ratelimit-policy", policy.encode()),
        ]
    )
    layer = RateLimit(adaptive=True, on_limit="refuse")
    await send(layer, make_call(), handler(Outcome(value="x", headers=headers)))
    with pytest.raises(RateLimitedError, match="20 requests per 60 s, as the provider says"):
        for _ in range(11):
            await send(layer, make_call())


@pytest.mark.anyio
async def test_a_pace_in_use_is_not_forgotten(make_call: MakeCall) -> None:
    """Its record is written anew before it expires, though nothing changes: who has used it all day does not begin."""
    layer = RateLimit(adaptive=True, on_limit="refuse")
    for wait in (1200.0, 1200.0, 1300.0):
        await send(layer, make_call())
        await anyio.sleep(wait)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(send, layer, make_call(), handler(Outcome(value="x", delay=1.0)))


class BusyStore(MemoryStore):
    """Others are faster at each record, ``times`` times."""

    times = 0

    async def swap(self, key: str, expected: bytes | None, value: bytes | None, *, ttl: float) -> bool:
        if self.times:
            self.times -= 1
            return False
        return await super().swap(key, expected, value, ttl=ttl)


@pytest.mark.anyio
async def test_a_pause_is_written_though_others_write(make_call: MakeCall) -> None:
    """It is tried again; and where no limits are known, calls begin slowly after it."""
    store = BusyStore()
    layer, other = (RateLimit(adaptive=True, store=store, on_limit="refuse") for _ in range(2))
    await send(layer, make_call())
    store.times = 2
    with pytest.raises(RateLimitedError):
        await send(layer, make_call(), handler(RateLimitedError("no", status=429, retry_after=5.0)))
    with pytest.raises(RateLimitedError, match="the pause that the provider asked for"):
        await send(other, make_call())
    await anyio.sleep(6.0)
    waits = handler(Outcome(value="x", delay=0.5))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send, other, make_call(), waits)
        await anyio.sleep(0.1)
        with pytest.raises(RateLimitedError, match="1 request per second, until"):
            await send(layer, make_call())


def test_what_makes_a_limit_another() -> None:
    """Each of its fields: in a store that is shared, one that was changed has a bucket of its own."""
    limit = Limit(10, "requests")
    others = [
        {"amount": 11},
        {"unit": "tokens"},
        {"per": "hour"},
        {"burst": 5},
        {"by": ("model",)},
        {"by": lambda call: call.operation},
    ]
    names = {limit.name, *(msgspec.structs.replace(limit, **change).name for change in others)}
    assert len(names) == len(others) + 1


@pytest.mark.anyio
async def test_few_groups_are_kept_in_mind(make_call: MakeCall) -> None:
    """However many tenants there are, a gate remembers the names of some buckets, and the store bounds the rest."""
    layer = RateLimit(Limit(1, "requests", by=("tag:tenant",)))
    for number in range(1030):
        await send(layer, make_call(tags={"tenant": str(number)}))
    (gate,) = layer._gates.values()
    assert len(gate._buckets._known) <= 1024


@pytest.mark.anyio
async def test_an_own_limit_holds_beside_the_providers(make_call: MakeCall) -> None:
    """With adaptive=True the limits given still hold: the slower of both decides."""
    provider = Provider(600.0, latency=0.0)
    stack = Stack([RateLimit(Limit(60, "requests", burst=1), adaptive=True)], provider)
    await crowd(stack, make_call, 10, 60.0)
    assert 60 <= provider.served <= 71


# Arithmetic


@given(
    amount=st.integers(1, 50),
    burst=st.integers(1, 80),
    arrivals=st.lists(st.tuples(st.floats(0.0, 30.0), st.integers(0, 60)), min_size=1, max_size=12),
)
def test_never_more_than_the_formula(amount: int, burst: int, arrivals: list[tuple[float, int]]) -> None:
    """In every stretch of t seconds no more goes through than burst + t * amount / per, in the order of arrival."""

    arrived: list[float] = []

    async def main() -> list[tuple[float, float]]:
        layer = RateLimit(
            Limit(float(amount), "tokens", burst=float(burst)), estimate=lambda call: (float(call.tags["n"]), 0.0)
        )
        entered: list[tuple[float, float]] = []

        async def caller(pause: float, wanted: int) -> None:
            await anyio.sleep(pause)
            arrived.append(wanted)
            call: Call[object] = Call(
                operation="chat",
                request=Nothing(),
                route=route(),
                started=anyio.current_time(),
                tags={"n": str(wanted)},
                attempts=[],
            )
            entered.append((await send(layer, call), wanted))

        async with anyio.create_task_group() as group:
            for pause, wanted in arrivals:
                group.start_soon(caller, pause, wanted)
        return entered

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        entered = runner.run(main())
    assert len(entered) == len(arrivals)
    assert [wanted for _, wanted in entered] == arrived
    for first in range(len(entered)):
        before = 0.0
        for time, wanted in entered[first:]:
            # One that wants more than the burst goes at a full bucket, and is paid off after.
            assert before + min(wanted, burst) <= burst + (time - entered[first][0]) * amount / 60.0 + 1e-3
            before += wanted


class Nothing(msgspec.Struct, frozen=True):
    """A request that nobody reads."""


# Bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Limit(0, "requests"), "amount must be a number of requests above 0"),
        (lambda: Limit(-5, "tokens"), "amount must be"),
        (lambda: Limit(float("inf"), "tokens"), "amount must be"),
        (lambda: Limit(5, "tokens", burst=0), "burst must be"),
        (lambda: Limit(5, "words"), "unit must be one of requests, tokens"),
        (lambda: Limit(5, "tokens", per="fortnight"), "per must be one of second, minute"),
        (lambda: Limit(5, "tokens", by=("tenant",)), "by: 'tenant' must be one of .* or a tag such as 'tag:tenant'"),
        (lambda: Limit(5, "tokens", by=("tag:",)), "by: 'tag:'"),
        (lambda: Limit(5, "tokens", by="model"), "by must be a tuple of names"),
        (lambda: RateLimit(), "no limits"),
        (lambda: RateLimit(500), "limits must be made as Limit"),
        (lambda: RateLimit(Limit(5, "tokens"), Limit(5, "tokens")), "limits has 5 tokens per minute twice"),
        (lambda: RateLimit(adaptive=True, on_limit="drop"), "on_limit must be 'wait' or 'refuse'"),
        (lambda: RateLimit(adaptive=True, estimate=5), "estimate must be a function"),
        (lambda: RateLimit(adaptive=True, on_store_error="ajar"), "on_store_error must be 'open' or 'closed'"),
    ],
)
def test_bad_input(make: Callable[[], object], message: str) -> None:
    """What makes no sense is a ValueError that names the field and the remedy."""
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.anyio
async def test_repr(make_call: MakeCall) -> None:
    """Its repr tells what it keeps to, and how many wait."""
    layer = RateLimit(Limit(5, "requests"), adaptive=True, on_limit="refuse", on_store_error="closed")
    await send(layer, make_call())
    text = repr(layer)
    assert text.startswith("RateLimit(5 requests per minute, adaptive=True, on_limit='refuse', on_store_error='closed'")
    assert "waiting=0" in text

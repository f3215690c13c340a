"""A pool of deployments behind one model's name."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from decimal import Decimal, Inexact, localcontext
from random import Random
from typing import TypeVar

import anyio
import anyio.lowlevel
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter._circuit import Circuit
from liter._contract import Call, Route, Stack
from liter._errors import (
    AuthenticationError,
    BadRequestError,
    EndpointNotSupportedError,
    LlmError,
    RateLimitedError,
    ServerError,
    ServiceUnavailableError,
    StreamingError,
)
from liter._reply import Reply
from liter._secret import Secret
from liter.middleware import (
    CircuitClosed,
    CircuitOpened,
    CircuitPolicy,
    CoolingDown,
    Deployment,
    Mock,
    Picked,
    Retry,
    Retrying,
    Router,
)
from liter.middleware._balance import Strategy, stick
from liter.middleware._deployment import Estimate, Health, Member
from liter.money import Price, PriceBook
from liter.testing import Outcome, ScriptedHandler, Simulator, check_layer
from liter.types import (
    ChatCompletionRequest,
    CompletionRequest,
    CreateResponseRequest,
    EmbeddingRequest,
    ListModelsRequest,
    SpeechRequest,
)

from .._serving import serving
from ._by_model import ByModel
from ._entering import enter

R = TypeVar("R")
MakeCall = Callable[..., Call[object]]

POOL = Route(provider="openai", model="fast", base_url="https://openai.invalid")
POLICY = CircuitPolicy(min_calls=2, open_seconds=10.0, probes=1)
STRATEGIES: list[Strategy] = ["weighted", "round_robin", "least_in_flight", "latency", "cheapest"]
PRICE = Price(input=0.15, output=0.60)


def pool(*models: str, **options: object) -> Router:
    """A router with one pool, "fast"."""
    options = {"random": Random(1), "circuit": POLICY, **options}
    return Router({"fast": [Deployment(f"p/{model}", price=PRICE) for model in models]}, **options)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("sticky", [None, "user"])
def test_keeps_the_contract(strategy: Strategy, sticky: str | None) -> None:
    """It keeps the layer contract by every strategy, and holds nothing after a call."""
    deployments = [Deployment("p/a", weight=2.0, price=PRICE), Deployment("p/b", price=PRICE)]
    check_layer(
        lambda: Router({"scripted": deployments}, strategy=strategy, sticky=sticky, random=Random(1)),
        in_use=lambda router: router.in_flight,
    )


def test_keeps_the_contract_when_it_trips() -> None:
    """It keeps the contract when each failure takes a deployment out."""
    policy = CircuitPolicy(min_calls=1, open_seconds=0.5, probes=1)
    check_layer(
        lambda: Router({"scripted": [Deployment("a"), Deployment("b")]}, circuit=policy),
        may_refuse=True,
        in_use=lambda router: router.in_flight,
    )


def test_keeps_the_contract_for_other_calls() -> None:
    """A call to no pool passes through as it is."""
    check_layer(lambda: pool("a"))


@pytest.mark.anyio
@pytest.mark.parametrize("outcome", ["whole", ["one", "two"]], ids=["unary", "stream"])
async def test_a_pools_name_leads_to_a_deployment(make_call: MakeCall, outcome: object) -> None:
    """A call to the pool's name goes to the deployment's provider and model; the request stays as it was."""
    handler = ScriptedHandler(outcome)
    call = make_call(route=POOL, stream=isinstance(outcome, list))
    assert await enter(pool("a"), call, handler) is None
    [sent] = handler.calls
    assert (sent.route.provider, sent.route.model) == ("p", "a")
    assert sent.request is call.request


@pytest.mark.anyio
async def test_other_models_pass_through(make_call: MakeCall) -> None:
    """A call to a model that no pool is named after is not touched."""
    handler, call = ScriptedHandler("whole"), make_call()
    assert await enter(pool("a"), call, handler) is None
    assert handler.calls == [call]


@pytest.mark.anyio
async def test_a_pool_may_be_named_after_a_model(make_call: MakeCall) -> None:
    """A pool named provider/model takes the calls to that model of that provider, and of no other."""
    router = Router({"openai/gpt": [Deployment("openai/gpt-1")]})
    handler = ScriptedHandler("whole")
    for provider in ("openai", "other"):
        await enter(router, make_call(route=Route(provider=provider, model="gpt", base_url="")), handler)
    assert [call.route.model for call in handler.calls] == ["gpt-1", "gpt"]


@pytest.mark.anyio
async def test_a_deployment_has_a_key_and_an_address_of_its_own(make_call: MakeCall) -> None:
    """They take the place of the client's on the route, and the key shows nowhere."""
    deployment = Deployment("p/a", api_key="sk-own-secret", base_url="https://own.invalid/v1")
    handler = ScriptedHandler("whole")
    await enter(Router({"fast": [deployment]}), make_call(route=POOL), handler)
    [sent] = handler.calls
    assert sent.route == Route(
        provider="p", model="a", base_url="https://own.invalid/v1", api_key=Secret("sk-own-secret")
    )
    assert "sk-own-secret" not in repr(deployment)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("address", "sent_there"), [("https://home.invalid/eu/v1", True), ("https://other.invalid/v1", False)]
)
async def test_a_key_goes_to_no_other_server(make_call: MakeCall, address: str, sent_there: bool) -> None:
    """A deployment with an address but no key gets the client's key only if it is the same server."""
    key = Secret("sk-client")

    def resolve(model: str) -> Route:
        return Route(provider="p", model=model, base_url="https://home.invalid/v1", api_key=key)

    handler = ScriptedHandler("whole")
    router = Router({"fast": [Deployment("a", base_url=address)]})
    await enter(router, make_call(route=POOL, resolve=resolve), handler)
    assert handler.calls[0].route.api_key == (key if sent_there else None)
    assert handler.calls[0].route.base_url == address


@pytest.mark.anyio
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_weights_are_kept(make_call: MakeCall, strategy: Strategy) -> None:
    """With weights 3 and 1, one deployment gets three quarters of the calls, by every strategy that has a choice."""
    deployments = [Deployment("a", weight=3, price=PRICE), Deployment("b", price=PRICE)]
    router = Router({"fast": deployments}, strategy=strategy, random=Random(1))
    handler = ByModel(a="whole", b="whole")
    for _ in range(400):
        await enter(router, make_call(route=POOL), handler)
    if strategy == "latency":  # both take no time at all: the first of two wins
        assert handler.sent["a"] > 200
    else:
        assert handler.sent["a"] == pytest.approx(300, abs=0 if strategy == "round_robin" else 30)


@pytest.mark.anyio
async def test_round_robin_takes_turns(make_call: MakeCall) -> None:
    """The turns of a heavier deployment are spread among those of the others."""
    router = Router(
        {"fast": [Deployment("p/a", weight=2), Deployment("p/b"), Deployment("p/c")]}, strategy="round_robin"
    )
    handler = ScriptedHandler("whole")
    for _ in range(8):
        await enter(router, make_call(route=POOL), handler)
    assert "".join(call.route.model for call in handler.calls) == "abcaabca"


@pytest.mark.anyio
async def test_least_in_flight_counts_the_life_of_the_reply(make_call: MakeCall) -> None:
    """A stream counts until its scope closes, not only until its first event."""
    router, handler = pool("a", "b", strategy="least_in_flight"), ScriptedHandler(["one", "two"])
    call = make_call(route=POOL, stream=True)
    async with router(call, handler), router(call, handler):
        first, second = (sent.route.model for sent in handler.calls)
        assert first != second
        assert router.in_flight == 2
        async with router(call, handler), router(call, handler):
            assert sorted(sent.route.model for sent in handler.calls[2:]) == ["a", "b"]
    assert router.in_flight == 0


@pytest.mark.anyio
async def test_least_in_flight_goes_by_weight(make_call: MakeCall) -> None:
    """A deployment of weight 3 holds three calls for each one of weight 1."""
    router = Router({"fast": [Deployment("a", weight=3), Deployment("b")]}, strategy="least_in_flight")
    handler = ByModel(a=Outcome(value="whole", delay=1.0), b=Outcome(value="whole", delay=1.0))
    async with anyio.create_task_group() as tasks:
        for _ in range(40):
            tasks.start_soon(enter, router, make_call(route=POOL), handler)
    assert handler.sent == {"a": 30, "b": 10}


@pytest.mark.anyio
async def test_latency_prefers_the_fast(make_call: MakeCall) -> None:
    """After one try of each, all but a few calls in a thousand go to the faster one."""
    router = pool("slow", "quick", strategy="latency")
    handler = ByModel(slow=Outcome(value="whole", delay=2.0), quick=Outcome(value="whole", delay=1.0))
    for _ in range(1000):
        await enter(router, make_call(route=POOL), handler)
    assert 2 <= handler.sent["slow"] <= 8


@pytest.mark.anyio
async def test_latency_notices_a_change(make_call: MakeCall) -> None:
    """Calls move when the fast one turns slow, and come back when it is fast again: each is tried now and then."""
    router = pool("a", "b", strategy="latency")
    fast, slow = Outcome(value="whole", delay=1.0), Outcome(value="whole", delay=5.0)
    for expected, handler in (
        ("a", ByModel(a=fast, b=slow)),
        ("b", ByModel(a=slow, b=fast)),
        ("a", ByModel(a=fast, b=slow)),
    ):
        for _ in range(3000):
            await enter(router, make_call(route=POOL), handler)
        before = handler.sent[expected]
        for _ in range(100):
            await enter(router, make_call(route=POOL), handler)
        assert handler.sent[expected] - before >= 95


@pytest.mark.anyio
async def test_a_fast_failure_is_not_fast(make_call: MakeCall) -> None:
    """A deployment that fails at once draws no calls away from one that works slowly."""
    router = pool("broken", "slow", strategy="latency", circuit=CircuitPolicy(min_calls=10**6))
    handler = ByModel(broken=ServerError("no"), slow=Outcome(value="whole", delay=30.0))
    errors = [await enter(router, make_call(route=POOL), handler) for _ in range(1000)]
    assert sum(error is not None for error in errors) <= 8


@pytest.mark.anyio
async def test_what_fails_makes_the_slow_look_no_better(make_call: MakeCall) -> None:
    """Of two taken by chance, one is never the broken deployment: else the slow one would win against it."""
    router = pool("quick", "slow", "broken", strategy="latency", circuit=CircuitPolicy(min_calls=10**6))
    quick, slow = Outcome(value="whole", delay=1.0), Outcome(value="whole", delay=9.0)
    handler = ByModel(quick=quick, slow=slow, broken=ServerError("no"))
    for _ in range(1000):
        await enter(router, make_call(route=POOL), handler)
    assert handler.sent["slow"] <= 8


@pytest.mark.anyio
async def test_the_untried_are_tried_one_call_at_a_time(make_call: MakeCall) -> None:
    """A new deployment gets one call, and no crowd, before it is known to be good; nor is it never tried."""
    router = pool("known", "new", strategy="latency")
    handler = ByModel(known=Outcome(value="whole", delay=1.0), new=Outcome(value="whole", delay=60.0))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enter, router, make_call(route=POOL), handler)
        tasks.start_soon(enter, router, make_call(route=POOL), handler)
        await anyio.sleep(2.0)
        for _ in range(50):
            tasks.start_soon(enter, router, make_call(route=POOL), handler)
        await anyio.sleep(2.0)
        assert handler.sent == {"known": 51, "new": 1}


@pytest.mark.anyio
async def test_the_time_of_a_cancelled_call_counts(make_call: MakeCall) -> None:
    """A deployment whose calls are given up, as by a hedge, is not taken for as fast as it once was."""
    router = pool("a", "b", strategy="latency")
    for model, delay in (("a", 1.0), ("b", 2.0)):
        estimate = next(m.health for m in router._pools["fast"] if m.label == f"p/{model}").unary
        estimate.succeeded(delay)
    handler = ByModel(a=Outcome(stalls=True), b=Outcome(value="whole", delay=2.0))
    for _ in range(20):
        with anyio.move_on_after(5.0):
            await enter(router, make_call(route=POOL), handler)
    assert handler.sent["a"] <= 2


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_after_a_recovery_it_is_as_new(make_call: MakeCall, stream: bool) -> None:
    """A deployment whose circuit closes again is judged by what it does from then on: it is back at once."""
    router = pool("fast", "slow", strategy="latency", circuit=POLICY)
    kind: dict[str, object] = {"events": ["w"]} if stream else {"value": "w"}
    slow = Outcome(delay=5.0, **kind)
    failing, mended = ByModel(fast=ServerError("no"), slow=slow), ByModel(fast=Outcome(delay=1.0, **kind), slow=slow)
    estimate = router._pools["fast"][0].health.estimate(stream=stream)
    for _ in range(20):
        estimate.succeeded(1.0)
    while router._pools["fast"][0].health.circuit.state == "closed":
        await enter(router, make_call(route=POOL, stream=stream), failing)
    for _ in range(10):
        estimate.failed(0.0)
    await anyio.sleep(10.0)
    for _ in range(50):
        await enter(router, make_call(route=POOL, stream=stream), mended)
    assert mended.sent["fast"] >= 48


def priced(**prices: Price) -> Router:
    """A router with one pool, "fast", that takes the cheapest."""
    deployments = [Deployment(f"p/{model}", price=price) for model, price in prices.items()]
    return Router({"fast": deployments}, strategy="cheapest", circuit=POLICY, random=Random(1))


def question(content: str = "Where do rivers begin?", **fields: object) -> ChatCompletionRequest:
    return ChatCompletionRequest(model="fast", messages=[{"role": "user", "content": content}], **fields)


async def cheapest(router: Router, call: Call[object]) -> str:
    """The model that gets a call."""
    handler = ScriptedHandler(["one"] if call.stream else "whole")
    assert await enter(router, call, handler) is None
    return handler.calls[0].route.model


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_cheapest_compares_for_the_call_at_hand(make_call: MakeCall, stream: bool) -> None:
    """A long question goes where input is cheap, a long answer where output is: it depends on the call."""
    router = priced(reader=Price(input=1, output=9), writer=Price(input=3, output=5))
    for request, expected in (
        (question("x" * 10_000, max_tokens=100), "reader"),
        (question("x", max_tokens=10_000), "writer"),
    ):
        for _ in range(5):
            assert await cheapest(router, make_call(route=POOL, request=request, stream=stream)) == expected


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({}, 1000),
        ({"max_tokens": 70}, 70),
        ({"max_completion_tokens": 50, "max_tokens": 9000}, 50),
        ({"max_completion_tokens": 50, "n": 4}, 200),
        ({"n": 4}, 4000),
    ],
)
async def test_cheapest_takes_the_output_limit(make_call: MakeCall, fields: dict[str, object], tokens: int) -> None:
    """Its output tokens are its limit for each choice, 1000 where it has none: to the token."""
    request = question("x" * 9999, **fields)
    input_tokens = Decimal(math.ceil(len(msgspec.json.encode(request.messages)) / 4))
    # One charges for output only, and by that a little less, or more, than the other does for input.
    for difference, expected in ((Decimal("-0.001"), "by_output"), (Decimal("0.001"), "by_input")):
        router = priced(
            by_output=Price(input=0, output=(input_tokens + difference) / tokens), by_input=Price(input=1, output=0)
        )
        assert await cheapest(router, make_call(route=POOL, request=request)) == expected


@pytest.mark.anyio
async def test_cheapest_without_tokens(make_call: MakeCall) -> None:
    """What no provider charges for costs nothing anywhere, and goes by weight."""
    router = priced(a=Price(input=1, output=1), b=Price(input=99, output=99))
    call = make_call(route=POOL, operation="list_models", request=ListModelsRequest())
    assert {await cheapest(router, call) for _ in range(40)} == {"a", "b"}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("embed", EmbeddingRequest(model="m", input="x" * 4000)),
        ("create_response", CreateResponseRequest(model="m", input="x" * 4000, max_output_tokens=1)),
        ("completions", CompletionRequest(model="m", prompt="x" * 4000, max_tokens=1)),
        ("speech", SpeechRequest(model="m", input="x" * 4000, voice="v")),
    ],
)
async def test_cheapest_of_every_operation(make_call: MakeCall, operation: str, request_: msgspec.Struct) -> None:
    """Whatever the request is made of: a long text is cheapest where a text costs least."""
    router = priced(reader=Price(input=1, output=100, characters=1), writer=Price(input=10, output=0, characters=10))
    call = make_call(route=POOL, operation=operation, request=request_)
    assert {await cheapest(router, call) for _ in range(5)} == {"reader"}


@pytest.mark.anyio
async def test_cheapest_is_exact(make_call: MakeCall) -> None:
    """The same price in another form is the same, zero is a price, and the caller's decimal context is no matter."""
    same = priced(a=Price(input=0.1, output="0.2"), b=Price(input="0.10", output=Decimal("0.2")))
    close = priced(a=Price(input="1.00000000000001", output=1), b=Price(input=1, output=1), c=Price(input=1, output=2))
    free = priced(a=Price(input="0.0000001", output=0), b=Price(input=0, output=0))
    with localcontext() as context:
        context.prec = 2
        context.traps[Inexact] = True
        call = make_call(route=POOL, request=question())
        assert {await cheapest(same, call) for _ in range(40)} == {"a", "b"}
        assert {await cheapest(close, call) for _ in range(40)} == {"b"}
        assert {await cheapest(free, call) for _ in range(40)} == {"b"}


@pytest.mark.anyio
@pytest.mark.parametrize(("dear", "expected"), [("b/dear", "cheap"), ("b/unknown", "cheap")])
async def test_cheapest_goes_by_the_price_book(make_call: MakeCall, dear: str, expected: str) -> None:
    """Deployments that state no price are compared by the price book; one that is not in it is the dearest."""
    book = PriceBook().with_({"a/cheap": Price(input=1, output=2), "b/dear": Price(input=9, output=9)})
    pool = {"fast": [Deployment("a/cheap"), Deployment(dear.partition("/")[2], base_url="https://b.invalid")]}
    router = Router(pool, strategy="cheapest", prices=book)
    for _ in range(5):
        assert await cheapest(router, make_call(route=POOL, request=question())) == expected


@pytest.mark.anyio
async def test_a_stated_price_wins(make_call: MakeCall) -> None:
    """What a deployment states is what it costs, whatever the book says."""
    book = PriceBook().with_({"a/x": Price(input=1, output=1), "a/y": Price(input=5, output=5)})
    pool = {"fast": [Deployment("a/x"), Deployment("a/y", price=Price(input="0.5", output="0.5"))]}
    router = Router(pool, strategy="cheapest", prices=book)
    assert await cheapest(router, make_call(route=POOL, request=question())) == "y"


@pytest.mark.anyio
async def test_cheapest_by_the_book_that_comes_along(make_call: MakeCall) -> None:
    """Without a book of one's own it is liter's: there, gpt-4o-mini costs less than gpt-4o."""
    pool = {"fast": [Deployment("openai/gpt-4o"), Deployment("openai/gpt-4o-mini")]}
    router = Router(pool, strategy="cheapest")
    assert await cheapest(router, make_call(route=POOL, request=question())) == "gpt-4o-mini"


@pytest.mark.anyio
async def test_cheapest_of_those_that_are_up(make_call: MakeCall) -> None:
    """The next call goes to the second cheapest while the cheapest is out, as does an attempt that failed there."""
    router = priced(cheap=Price(input=1, output=1), dear=Price(input=9, output=9), middle=Price(input=2, output=2))
    handler = ByModel(cheap=(RateLimitedError("no", retry_after=5.0), "whole"), dear="whole", middle="whole")
    stack = Stack([Retry(initial=0.0, cap=0.0), router], handler)
    for _ in range(3):
        assert await enter(stack, make_call(route=POOL, request=question())) is None
    assert handler.sent == {"cheap": 1, "dear": 0, "middle": 3}
    await anyio.sleep(5.0)
    assert await enter(stack, make_call(route=POOL, request=question())) is None
    assert handler.sent == {"cheap": 2, "dear": 0, "middle": 3}
    broken = ByModel(cheap=ServerError("no"), dear="whole", middle="whole")
    router = priced(cheap=Price(input=1, output=1), dear=Price(input=9, output=9), middle=Price(input=2, output=2))
    stack = Stack([Retry(initial=0.0, cap=0.0), router], broken)
    assert await enter(stack, make_call(route=POOL, request=question())) is None
    assert broken.sent == {"cheap": 1, "dear": 0, "middle": 1}


@pytest.mark.anyio
async def test_streams_and_whole_replies_are_measured_apart(make_call: MakeCall) -> None:
    """The one that is first with a first event need not be first with a whole reply."""
    router = pool("a", "b", strategy="latency")
    quick, slow = 1.0, 9.0
    for _ in range(200):
        whole = ByModel(a=Outcome(value="w", delay=quick), b=Outcome(value="w", delay=slow))
        events = ByModel(a=Outcome(events=["e"], delay=slow), b=Outcome(events=["e"], delay=quick))
        await enter(router, make_call(route=POOL), whole)
        await enter(router, make_call(route=POOL, stream=True), events)
    whole = ByModel(a=Outcome(value="w", delay=quick), b=Outcome(value="w", delay=slow))
    events = ByModel(a=Outcome(events=["e"], delay=slow), b=Outcome(events=["e"], delay=quick))
    for _ in range(50):
        await enter(router, make_call(route=POOL), whole)
        await enter(router, make_call(route=POOL, stream=True), events)
    assert whole.sent["a"] >= 48
    assert events.sent["b"] >= 48


@pytest.mark.anyio
async def test_sticky_by_tag(make_call: MakeCall) -> None:
    """Calls of one tag value go to one deployment, those of many to all; without the tag the strategy decides."""
    router, handler = pool("a", "b", "c", sticky="user", strategy="round_robin"), ScriptedHandler("whole")
    homes: dict[str, set[str]] = {}
    # Not a multiple of three, or turns would look the same.
    for number in range(300):
        user = f"user {number % 50}"
        await enter(router, make_call(route=POOL, tags={"user": user}), handler)
        homes.setdefault(user, set()).add(handler.calls[-1].route.model)
    assert all(len(home) == 1 for home in homes.values())
    assert set().union(*homes.values()) == {"a", "b", "c"}
    for _ in range(3):
        await enter(router, make_call(route=POOL, tags={"other": "x"}), handler)
    assert {call.route.model for call in handler.calls[-3:]} == {"a", "b", "c"}


def members(weights: Mapping[str, float]) -> list[Member]:
    """Members of a pool, by label."""
    return [
        Member(Deployment(label, weight), Health(Circuit(CircuitPolicy())), label) for label, weight in weights.items()
    ]


@given(value=st.text(), gone=st.sampled_from("abcd"))
def test_only_the_calls_of_a_missing_member_move(value: str, gone: str) -> None:
    """When a sticky deployment is out, no value moves whose deployment is still there."""
    every = members({"a": 1.0, "b": 2.0, "c": 0.5, "d": 1.0})
    home = stick(every, value)
    left = stick([member for member in every if member.label != gone], value)
    assert left is home or home.label == gone


def test_sticky_goes_by_weight() -> None:
    """Tag values are spread in proportion to the weights."""
    every = members({"a": 3.0, "b": 1.0})
    counted = Counter(stick(every, f"user {number}").label for number in range(4000))
    assert counted["a"] == pytest.approx(3000, abs=120)


@given(samples=st.lists(st.tuples(st.booleans(), st.floats(0, 1e6))))
def test_failures_never_lower_an_estimate(samples: list[tuple[bool, float]]) -> None:
    """Whatever came before, a failure makes a deployment look no better, and a mean stays within its samples."""
    estimate = Estimate()
    for good, seconds in samples:
        before = estimate.cost
        if good:
            estimate.succeeded(seconds)
        else:
            estimate.failed(seconds)
            assert estimate.cost >= before
    if estimate.seconds is not None:
        assert estimate.seconds <= max(seconds for _, seconds in samples) * (1 + 1e-9)
    assert estimate.success is None or 0.0 <= estimate.success <= 1.0


def test_an_estimate_by_hand() -> None:
    """Means weigh the latest sample with 0.3, and what fails every second time takes twice as long."""
    estimate = Estimate()
    estimate.succeeded(1.0)
    estimate.succeeded(2.0)
    assert estimate.seconds == pytest.approx(1.3)
    estimate.failed(0.5)
    assert (estimate.seconds, estimate.success) == (pytest.approx(1.3), pytest.approx(0.7))
    assert estimate.cost == pytest.approx(1.3 / 0.7)
    estimate.failed(2.3)
    assert estimate.seconds == pytest.approx(1.6)


@pytest.mark.anyio
async def test_of_two_that_are_as_fast_the_idle_one_is_taken(make_call: MakeCall) -> None:
    """By latency, the calls under way decide between equals: a crowd is spread evenly."""
    router = pool("a", "b", strategy="latency")
    handler = ByModel(a=Outcome(value="w", delay=1.0), b=Outcome(value="w", delay=1.0))
    for _ in range(20):
        await enter(router, make_call(route=POOL), handler)
    one, other = (member.health for member in router._pools["fast"])
    async with anyio.create_task_group() as tasks:
        for _ in range(40):
            tasks.start_soon(enter, router, make_call(route=POOL), handler)
            await anyio.lowlevel.checkpoint()
            assert abs(one.in_flight - other.in_flight) <= 1


@pytest.mark.anyio
async def test_who_was_not_asked_is_no_faster_for_it(make_call: MakeCall) -> None:
    """An answer that a layer further in made itself says nothing about how fast a deployment is."""
    router = pool("a", strategy="latency")
    async with Stack([router, Mock("hi")], ScriptedHandler("whole"))(
        make_call(route=POOL, request=question())
    ) as reply:
        assert reply.origin == "mock"
    assert router._pools["fast"][0].health.unary.success is None


@pytest.mark.anyio
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("sticky", [None, "user"])
async def test_the_next_attempt_goes_elsewhere(make_call: MakeCall, strategy: Strategy, sticky: str | None) -> None:
    """A deployment that failed a call is not tried again for it while another one is left."""
    for seed in range(10):
        router = pool("a", "b", "c", strategy=strategy, sticky=sticky, random=Random(seed))
        handler = ByModel(a=ServerError("no"), b=ServerError("no"), c="whole")
        call = make_call(route=POOL, tags={"user": str(seed)})
        assert await enter(Stack([Retry(), router], handler), call) is None
        assert all(sent <= 1 for sent in handler.sent.values())


@pytest.mark.anyio
async def test_deployments_of_one_model_are_told_apart(make_call: MakeCall) -> None:
    """Two keys for the same model are two deployments: the second is tried after the first failed."""
    deployments = [Deployment("p/a", api_key="sk-one"), Deployment("p/a", api_key="sk-two")]
    for seed in range(10):
        handler = ScriptedHandler(ServerError("no"), "whole")
        router = Router({"fast": deployments}, random=Random(seed))
        assert await enter(Stack([Retry(), router], handler), make_call(route=POOL)) is None
        assert handler.calls[0].route.api_key != handler.calls[1].route.api_key


@pytest.mark.anyio
async def test_the_only_one_is_tried_again(make_call: MakeCall) -> None:
    """When all have failed the call, those that are up are tried again."""
    handler = ScriptedHandler(ServerError("no"), "whole")
    assert await enter(Stack([Retry(), pool("a")], handler), make_call(route=POOL)) is None
    assert len(handler.calls) == 2


@pytest.mark.anyio
async def test_one_deployment_for_each_attempt(make_call: MakeCall) -> None:
    """By itself the router tries one, and raises what that one raised."""
    error = ServerError("no")
    handler = ScriptedHandler(error)
    assert await enter(pool("a", "b"), make_call(route=POOL), handler) is error
    assert len(handler.calls) == 1


@pytest.mark.anyio
async def test_a_wait_for_one_is_no_wait_for_the_pool(make_call: MakeCall) -> None:
    """A Retry-After of one deployment does not delay the call while another is up, and is kept to at that one."""
    limited = RateLimitedError("slow down", retry_after=60.0)
    handler = ByModel(a=limited, b="whole")
    router = pool("a", "b", strategy="round_robin")
    stack = Stack([Retry(initial=0.0, cap=0.0), router], handler)
    call = make_call(route=POOL)
    assert await enter(stack, call) is None
    assert anyio.current_time() == call.started
    assert limited.__notes__ == ["it asked for 60 s, but pool 'fast' has another deployment"]
    for _ in range(59):
        await anyio.sleep(1.0)
        await enter(stack, make_call(route=POOL))
    assert handler.sent == {"a": 1, "b": 60}
    await anyio.sleep(1.0)
    await enter(router, make_call(route=POOL), handler)
    await enter(router, make_call(route=POOL), handler)
    assert handler.sent["a"] == 2


@pytest.mark.anyio
async def test_the_wait_of_a_pool_is_the_shortest(make_call: MakeCall) -> None:
    """When every deployment asks for a wait, the call waits for the first that is back, and goes there."""
    for first, second in ((60.0, 7.0), (7.0, 60.0)):
        handler = ByModel(
            a=(RateLimitedError("a", retry_after=first), "whole"),
            b=(RateLimitedError("b", retry_after=second), "whole"),
        )
        call = make_call(route=POOL)
        stack = Stack([Retry(initial=0.0, cap=0.0), pool("a", "b", strategy="round_robin")], handler)
        assert await enter(stack, call) is None
        assert anyio.current_time() - call.started == pytest.approx(7.0)
        assert handler.sent == ({"a": 1, "b": 2} if second == 7.0 else {"a": 2, "b": 1})


@pytest.mark.anyio
@pytest.mark.parametrize(
    "error",
    [RateLimitedError("no credit", quota_exhausted=True), AuthenticationError("revoked")],
    ids=lambda error: type(error).__name__,
)
async def test_a_used_up_or_revoked_key_moves_the_call_on(make_call: MakeCall, error: LlmError) -> None:
    """What no wait mends at one deployment can be retried at another; it is raised for good when there is none."""
    deployments = [Deployment("a", api_key="sk-one"), Deployment("b", api_key="sk-two")]
    router = Router({"fast": deployments}, strategy="round_robin")
    handler = ByModel(a=error, b=(error, "whole"))
    call = make_call(route=POOL)
    raised = await enter(Stack([Retry(max_retries=1), router], handler), call)
    assert raised is error
    assert handler.sent == {"a": 1, "b": 1}


@pytest.mark.anyio
async def test_a_callers_wrong_key_takes_nothing_out(make_call: MakeCall) -> None:
    """Without a key of the deployment's own the refused one is the caller's: it is raised, and counts for nothing."""
    router, told = pool("a", "b"), list[object]()
    for error in (AuthenticationError("no"), BadRequestError("no")):
        for _ in range(20):
            handler = ScriptedHandler(error)
            assert await enter(Stack([Retry(), router], handler), make_call(route=POOL, listeners=(told.append,)))
            assert len(handler.calls) == 1
    assert {type(event) for event in told} == {Picked}


@pytest.mark.anyio
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_what_fails_is_taken_out_and_comes_back(make_call: MakeCall, strategy: Strategy) -> None:
    """A deployment that fails gets no calls while its circuit is open, is probed then, and is back when it works."""
    router, told = pool("a", "b", strategy=strategy, circuit=POLICY), list[object]()
    broken = ByModel(a=ServerError("no"), b=ServerError("no"))

    def listener(event: object) -> None:
        if not isinstance(event, Picked | Retrying):
            told.append(event)

    while len(told) < 2:
        await enter(Stack([Retry(max_retries=1), router], broken), make_call(route=POOL, listeners=(listener,)))
    error = await enter(router, make_call(route=POOL), broken)
    assert isinstance(error, ServiceUnavailableError)
    assert error.code == "no_deployment"
    assert repr(router) == f"Router({{'fast': [p/a (open), p/b (open)]}}, strategy={strategy!r})"
    await anyio.sleep(error.retry_after or 0.0)
    await anyio.sleep(10.0)
    mended = ByModel(a="whole", b="whole")
    for _ in range(40):
        assert await enter(router, make_call(route=POOL, listeners=(listener,)), mended) is None
    assert min(mended.sent.values()) >= 1
    assert [type(event) for event in told] == [CircuitOpened] * 2 + [CircuitClosed] * 2
    assert repr(router) == f"Router({{'fast': [p/a, p/b]}}, strategy={strategy!r})"


@pytest.mark.anyio
async def test_when_all_are_out_it_says_until_when(make_call: MakeCall) -> None:
    """The refusal carries the wait for the first one that is back, whatever took each of them out."""
    router = pool("a", "b", strategy="round_robin")
    handler = ByModel(a=RateLimitedError("no", retry_after=30.0), b=RateLimitedError("no", quota_exhausted=True))
    for _ in range(2):
        await enter(router, make_call(route=POOL), handler)
    await anyio.sleep(4.0)
    error = await enter(router, make_call(route=POOL), handler)
    assert isinstance(error, ServiceUnavailableError)
    assert error.retry_after == pytest.approx(6.0)
    assert error.retryable
    assert "'fast'" in str(error)
    assert "p/a for 26 s, p/b for 6 s" in str(error)
    assert handler.sent == {"a": 1, "b": 1}


@pytest.mark.anyio
async def test_broken_streams_take_a_deployment_out(make_call: MakeCall) -> None:
    """Streams that break after their first event count, too."""
    router = pool("a", "b", strategy="round_robin", circuit=CircuitPolicy(min_calls=2, open_seconds=50.0))
    broken = Outcome(events=["one"], error=StreamingError("cut"))
    handler = ByModel(a=broken, b=["one", "two"])
    for _ in range(40):
        await enter(router, make_call(route=POOL, stream=True), handler)
    assert handler.sent == {"a": 2, "b": 38}


@pytest.mark.anyio
async def test_a_deployment_is_one_in_all_pools(make_call: MakeCall) -> None:
    """What takes it out of one pool takes it out of the others."""
    shared = Deployment("p/a")
    router = Router({"fast": [shared], "cheap": [shared, Deployment("p/b")]}, circuit=POLICY)
    await enter(router, make_call(route=POOL), ScriptedHandler(RateLimitedError("no", retry_after=60.0)))
    handler = ByModel(a="whole", b="whole")
    for _ in range(20):
        await enter(router, make_call(route=Route(provider="p", model="cheap", base_url="")), handler)
    assert handler.sent == {"a": 0, "b": 20}


@pytest.mark.anyio
async def test_providers_without_the_operation_are_passed_over(make_call: MakeCall) -> None:
    """A deployment whose provider does not offer the operation gets no such call; if none does, that is said."""

    def resolve(model: str) -> Route:
        if model in unable:
            raise EndpointNotSupportedError(f"{model} does not")
        return Route(provider="p", model=model, base_url="https://p.invalid")

    router = Router({"fast": [Deployment("a"), Deployment("b")]}, strategy="round_robin")
    unable, handler = {"a"}, ByModel(a="whole", b="whole")
    for _ in range(4):
        assert await enter(router, make_call(route=POOL, resolve=resolve), handler) is None
    assert handler.sent == {"a": 0, "b": 4}
    unable = {"a", "b"}
    assert isinstance(await enter(router, make_call(route=POOL, resolve=resolve), handler), EndpointNotSupportedError)


@pytest.mark.anyio
async def test_listeners_are_told(make_call: MakeCall) -> None:
    """Each pick is told before the request goes out, and a cool-down with its length."""
    told: list[object] = []
    handler = ScriptedHandler(RateLimitedError("no", retry_after=3.0))
    await enter(pool("a"), make_call(route=POOL, listeners=(told.append,)), handler)
    picked, cooling = told
    assert isinstance(picked, Picked)
    assert (picked.pool, picked.deployment.model, picked.call.route.model) == ("fast", "p/a", "a")
    assert isinstance(cooling, CoolingDown)
    assert cooling.seconds == 3.0


@pytest.mark.anyio
async def test_a_listener_that_raises_releases_all(make_call: MakeCall) -> None:
    """What a listener raises fails that call, whose place as a probe and in flight is free again."""
    router = pool("a", circuit=CircuitPolicy(min_calls=1, open_seconds=1.0, probes=1))
    await enter(router, make_call(route=POOL), ScriptedHandler(ServerError("no")))
    await anyio.sleep(1.0)

    def fail(event: object) -> None:
        raise ValueError("the listener's own")

    handler = ScriptedHandler("whole")
    with pytest.raises(ValueError, match="the listener's own"):
        await enter(router, make_call(route=POOL, listeners=(fail,)), handler)
    assert router.in_flight == 0
    assert not handler.calls
    assert await enter(router, make_call(route=POOL), handler) is None


@pytest.mark.anyio
async def test_memory_is_bounded(make_call: MakeCall) -> None:
    """However many calls fail, what is remembered of them is bounded."""
    router, handler = pool("a", circuit=CircuitPolicy(min_calls=10**6)), ScriptedHandler(ServerError("no"))
    for _ in range(1500):
        await enter(router, make_call(route=POOL), handler)
    assert len(router.avoidance.calls) == 1024


@pytest.mark.anyio
async def test_the_same_seed_picks_the_same(make_call: MakeCall) -> None:
    """With a seeded random the choices are the same again."""
    picked: list[list[str]] = []
    for seed in (7, 7, 8):
        router, handler = pool("a", "b", random=Random(seed)), ScriptedHandler("whole")
        for _ in range(40):
            await enter(router, make_call(route=POOL), handler)
        picked.append([call.route.model for call in handler.calls])
    assert picked[0] == picked[1] != picked[2]


@pytest.mark.anyio
async def test_one_slow_and_one_dead_of_three(make_call: MakeCall) -> None:
    """With one slow and one dead deployment of three, under Retry, at least 99.9 % of calls succeed, and the
    99th percentile of their times is within 1.2 times that of the healthy one alone.
    """
    random = Random(3)
    router = pool("healthy", "slow", "dead", strategy="latency", circuit=CircuitPolicy())
    stack = Stack([Retry(random=Random(4)), router], _Fleet(random))
    times, failures = await _load(stack, lambda: make_call(route=POOL))
    alone, _ = await _load(Stack([Retry()], _Fleet(random)), lambda: make_call(route=_route("healthy")))
    assert failures <= len(times) / 1000
    assert _p99(times) <= 1.2 * _p99(alone)


class _Fleet:
    """A healthy deployment that takes 0.8 to 1.2 seconds, one that takes ten times that, and one that is dead."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def __call__(self, call: Call[R], /) -> AbstractAsyncContextManager[Reply[R]]:
        seconds = self.random.uniform(0.8, 1.2)
        outcomes = {
            "healthy": Outcome(value="whole", delay=seconds),
            "slow": Outcome(value="whole", delay=10 * seconds),
            "dead": Outcome(error=ServerError("dead"), delay=0.01),
        }
        return ScriptedHandler(outcomes[call.route.model])(call)


def _route(model: str) -> Route:
    return Route(provider="p", model=model, base_url="https://p.invalid")


async def _load(stack: Stack, make: Callable[[], Call[object]]) -> tuple[list[float], int]:
    """Three thousand calls, ten a second."""
    times: list[float] = []
    failures = 0

    async def one() -> None:
        nonlocal failures
        call = make()
        if await enter(stack, call) is not None:
            failures += 1
        times.append(anyio.current_time() - call.started)

    async with anyio.create_task_group() as tasks:
        for _ in range(3000):
            tasks.start_soon(one)
            await anyio.sleep(0.1)
    return times, failures


def _p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]


@pytest.mark.anyio
async def test_with_a_client_over_a_wire() -> None:
    """A client's call to the pool's name goes to a deployment's own address with its own key, unary and streamed."""
    provider = Simulator(reply="In the hills, mostly.")
    router = Router({"fast": [Deployment("openai/gpt-4o", api_key="sk-own")]})
    async with serving(provider, api_key="sk-client", middleware=[Retry(), router]) as client:
        question = [{"role": "user", "content": "Where do rivers begin?"}]
        await client.chat(model="fast", messages=question)
        async for _ in await client.chat_stream(model="fast", messages=question):
            pass
    assert [request.headers["authorization"] for request in provider.requests] == ["Bearer sk-own"] * 2
    assert b'"gpt-4o"' in provider.requests[0].body


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Router({}), "pools must hold at least one pool"),
        (lambda: Router({"fast": []}), r"pools\['fast'\] must hold at least one Deployment"),
        (lambda: Router({"": [Deployment("a")]}), "a pool's name is what calls give as their model"),
        (lambda: Router({"fast": ["a"]}), r"pools\['fast'\] must hold Deployments, not 'a'"),
        (
            lambda: Router({"fast": [Deployment("a"), Deployment("a", 2)]}),
            "holds 'a' twice: give it once, with a weight",
        ),
        (lambda: Router({"fast": [Deployment("slow")], "slow": [Deployment("a")]}), "pools do not nest"),
        (lambda: Router({"fast": [Deployment("a")]}, strategy="best"), "strategy must be one of weighted,"),
        (
            lambda: Router(
                {"fast": [Deployment("a", price=PRICE), Deployment("x/b")]}, strategy="cheapest", prices=PriceBook()
            ),
            r"pools\['fast'\]: 'x/b' has no price in the price book",
        ),
        (lambda: Deployment("a", price=0.15), "price must be a Price, as Price"),
        (lambda: Router({"fast": [Deployment("a")]}, sticky=""), "sticky must be the name of a tag"),
        (lambda: Deployment(""), "model must be a model's name"),
        (lambda: Deployment("openai/"), "model must be a model's name"),
        (lambda: Deployment("a", weight=0), "weight must be above 0"),
        (lambda: Deployment("a", weight=float("inf")), "weight must be above 0"),
        (lambda: Deployment("a", api_key=""), "api_key is empty"),
        (lambda: Deployment("a", base_url="own.invalid"), "base_url must look like"),
    ],
)
def test_bad_input(make: Callable[[], object], message: str) -> None:
    """A pool that makes no sense is refused when it is made, with the field and what would be right."""
    with pytest.raises(ValueError, match=message):
        make()

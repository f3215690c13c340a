"""Where a call of a pool goes after a deployment has failed it, has refused it, or lets it wait."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from random import Random
from typing import TypeVar

import anyio
import pytest

from liter._client import LlmClient
from liter._contract import Call, Handler, Route, Stack
from liter._errors import (
    AuthenticationError,
    BadRequestError,
    LlmError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    StreamingError,
)
from liter._reply import Reply
from liter._secret import Secret
from liter.middleware import (
    CircuitBreaker,
    CircuitPolicy,
    Deployment,
    Fallback,
    Hedge,
    Hedging,
    Limit,
    Picked,
    RateLimit,
    Retry,
    Router,
    Target,
)
from liter.middleware._balance import Strategy
from liter.money import Price
from liter.testing import Outcome, ScriptedHandler, Simulator
from liter.types import ChatCompletionChunk, ChatCompletionRequest, CreateResponseRequest

from ._by_model import ByModel
from ._entering import enter

R = TypeVar("R")
MakeCall = Callable[..., Call[object]]

pytestmark = pytest.mark.anyio

POOL = Route(provider="openai", model="fast", base_url="https://openai.invalid", api_key=Secret("sk-of-the-call"))
STRATEGIES: list[Strategy] = ["weighted", "round_robin", "least_in_flight", "latency", "cheapest"]


def pool(*models: str, **options: object) -> Router:
    """A router with one pool, "fast"."""
    price = Price(input=1, output=1)
    return Router(
        {"fast": [Deployment(f"p/{model}", price=price) for model in models]}, **{"random": Random(1), **options}
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("sticky", [None, "user"])
@pytest.mark.parametrize("keyed", [False, True])
async def test_a_raced_attempt_goes_elsewhere(
    make_call: MakeCall, strategy: Strategy, sticky: str | None, keyed: bool
) -> None:
    """A hedge is no second request to the deployment that lets the first one wait, whatever chooses among others."""
    for seed in range(10):
        names = ("a", "a", "a") if keyed else ("a", "b", "c")
        router = Router(
            {
                "fast": [
                    Deployment(f"p/{name}", api_key=f"sk-{number}" if keyed else None, price=Price(input=1, output=1))
                    for number, name in enumerate(names)
                ]
            },
            strategy=strategy,
            sticky=sticky,
            random=Random(seed),
        )
        handler = ScriptedHandler(Outcome(value="late", delay=20.0))
        call = make_call(route=POOL, tags={"user": str(seed)})
        stack = Stack([Hedge(2.0, max_attempts=3, max_extra=2.0), router], handler)
        assert await enter(stack, call) is None
        places = {(sent.route.model, sent.route.api_key) for sent in handler.calls}
        assert len(places) == len(handler.calls) == 3
    assert router.in_flight == 0


async def test_a_raced_attempt_may_go_where_the_first_one_waits(make_call: MakeCall) -> None:
    """When there is no other deployment, or the others have failed the call, it goes to the same one."""
    handler = ScriptedHandler(Outcome(value="late", delay=20.0))
    assert await enter(Stack([Hedge(2.0), pool("a")], handler), make_call(route=POOL)) is None
    assert len(handler.calls) == 2
    failing = ByModel(a=Outcome(value="late", delay=20.0), b=ServerError("no"))
    router = pool("a", "b", strategy="round_robin")
    stack = Stack([Hedge(2.0, max_attempts=3, max_extra=2.0), router], failing)
    assert await enter(stack, make_call(route=POOL)) is None
    assert failing.sent == {"a": 2, "b": 1}


@pytest.mark.parametrize("sticky", [None, "user"])
async def test_what_follows_a_broken_stream_goes_elsewhere(make_call: MakeCall, sticky: str | None) -> None:
    """A stream that begins anew in the same pool does so at another deployment."""
    request = ChatCompletionRequest(model="fast", messages=[{"role": "user", "content": "hi"}])
    chunk = ChatCompletionChunk(id="1", model="m", choices=[])
    for seed in range(10):
        handler = ScriptedHandler(Outcome(events=[chunk], error=StreamingError("broke")), [chunk])
        router = pool("a", "b", sticky=sticky, random=Random(seed))
        layers = [Fallback([Target("openai/fast", changes={"seed": 1})], mid_stream="restart"), router]
        call = make_call(route=POOL, request=request, stream=True, tags={"user": str(seed)})
        assert await enter(Stack(layers, handler), call) is None
        assert {sent.route.model for sent in handler.calls} == {"a", "b"}


async def test_a_deployment_whose_streams_break_is_no_good_one(make_call: MakeCall) -> None:
    """By latency, a stream that breaks counts as a failure, however fast it began."""
    policy = CircuitPolicy(min_calls=1000)
    router = pool("a", "b", strategy="latency", circuit=policy)
    good = Outcome(events=["1", "2"], delay=5.0)
    handler = ByModel(a=Outcome(events=["1"], error=StreamingError("broke"), delay=0.1), b=good)
    for _ in range(100):
        await enter(router, make_call(route=POOL, stream=True), handler)
    assert handler.sent["a"] < 10


async def test_what_is_refused_before_it_is_sent_goes_elsewhere_at_once(make_call: MakeCall) -> None:
    """A limit of one deployment leads to the next, without an attempt; when all are used up, the wait is the first."""
    for seed in range(5):
        limits = RateLimit(Limit(2, "requests"), on_limit="refuse")
        handler, router = ByModel(a="whole", b="whole"), pool("a", "b", random=Random(seed))
        began = anyio.current_time()
        for _ in range(4):
            call = make_call(route=POOL)
            assert await enter(Stack([router, limits], handler), call) is None
            assert (len(call.attempts), anyio.current_time()) == (1, began)
        assert handler.sent == {"a": 2, "b": 2}
        await anyio.sleep(10.0)
        error = await enter(Stack([router, limits], handler), make_call(route=POOL))
        assert isinstance(error, RateLimitedError)
        assert error.retry_after == pytest.approx(20.0)
        assert await enter(Stack([Retry(), router, limits], handler), make_call(route=POOL)) is None
        assert anyio.current_time() == pytest.approx(began + 30.0)
        assert router.in_flight == 0


async def test_the_wait_for_a_refusal_is_not_the_next_ones(make_call: MakeCall) -> None:
    """What a deployment's own limit let a call wait before it refused does not make the next one slow."""

    @asynccontextmanager
    async def queue(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
        if call.route.model == "a":
            await anyio.sleep(5.0)
            raise RateLimitedError("full", retry_after=60.0)
        async with call_next(call) as reply:
            yield reply

    router = pool("a", "b", strategy="round_robin")
    stack = Stack([router, queue], ScriptedHandler(Outcome(value="whole", delay=1.0)))
    assert await enter(stack, make_call(route=POOL)) is None
    assert [member.health.unary.seconds for member in router._pools["fast"]] == [None, pytest.approx(1.0)]


async def test_a_refusal_that_all_have_is_raised(make_call: MakeCall) -> None:
    """What refuses the call wherever it goes refuses it once for each deployment, and no more."""
    asked: list[str] = []

    def refuse(call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        asked.append(call.route.model)
        raise RateLimitedError("for nobody", retry_after=0.0)

    error = await enter(Stack([pool("a", "b", "c"), refuse], ScriptedHandler("whole")), make_call(route=POOL))
    assert isinstance(error, RateLimitedError)
    assert sorted(asked) == ["a", "b", "c"]


async def test_what_refuses_for_good_is_not_asked_elsewhere(make_call: MakeCall) -> None:
    """A layer's refusal that no wait mends, as a used-up budget, is raised at once."""
    asked: list[str] = []

    def refuse(call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        asked.append(call.route.model)
        raise LlmError("spent")

    assert await enter(Stack([pool("a", "b"), refuse], ScriptedHandler("whole")), make_call(route=POOL))
    assert len(asked) == 1


async def test_a_breaker_further_in_leads_elsewhere(make_call: MakeCall) -> None:
    """A circuit that others have opened for one model is no reason to fail a call that another one can take."""
    breaker = CircuitBreaker(CircuitPolicy(min_calls=1))
    handler = ByModel(a=ServerError("no"), b="whole")
    assert await enter(Stack([pool("a"), breaker], handler), make_call(route=POOL))
    for _ in range(10):
        assert await enter(Stack([pool("a", "b"), breaker], handler), make_call(route=POOL)) is None
    assert handler.sent == {"a": 1, "b": 10}


class LetsIn(ScriptedHandler):
    """Lets the first call through after 3 seconds, and refuses the second after 5."""

    @asynccontextmanager
    async def __call__(self, call: Call[R], /) -> AsyncIterator[Reply[R]]:
        if call.attempt > 1:
            await anyio.sleep(5.0)
            raise RateLimitedError("not sent", retry_after=60.0)
        await anyio.sleep(3.0)
        async with super().__call__(call) as reply:
            yield reply


async def test_a_race_blames_nobody_for_what_was_not_sent(make_call: MakeCall) -> None:
    """A refusal of a layer further in is no failure of a deployment, even if the raced attempt is sent meanwhile."""
    told: list[object] = []
    call = make_call(route=POOL, listeners=(told.append,))
    stack = Stack([Hedge(1.0, max_extra=1.0), pool("a", "b")], LetsIn(Outcome(value="late", delay=20.0)))
    assert await enter(stack, call) is None
    assert {type(event) for event in told} == {Picked, Hedging}


@pytest.mark.parametrize("own", [False, True])
async def test_a_model_that_is_not_there_takes_its_deployment_out(make_call: MakeCall, own: bool) -> None:
    """A deployment that was deleted moves the call on, and is out after a while, with a key of its own or without."""
    deployments = [Deployment("p/a", api_key="sk-1" if own else None), Deployment("p/b")]
    router = Router({"fast": deployments}, strategy="round_robin", circuit=CircuitPolicy(min_calls=3))
    handler = ByModel(a=NotFoundError("no such deployment"), b="whole")
    for _ in range(20):
        assert await enter(Stack([Retry(initial=0.0, cap=0.0), router], handler), make_call(route=POOL)) is None
    assert handler.sent["a"] == 3


@pytest.mark.parametrize(
    ("operation", "fields"),
    [("retrieve_response", {}), ("create_response", {"previous_response_id": "resp_1"})],
)
async def test_what_others_have_made_may_be_missing(
    make_call: MakeCall, operation: str, fields: dict[str, object]
) -> None:
    """That a response is not there which the call names is no fault of a deployment's."""
    request = CreateResponseRequest(model="fast", input="hi", **fields)
    handler, router = (
        ScriptedHandler(NotFoundError("no such response")),
        pool("a", "b", circuit=CircuitPolicy(min_calls=1)),
    )
    for _ in range(10):
        call = make_call(route=POOL, operation=operation, request=request)
        assert isinstance(await enter(Stack([Retry(), router], handler), call), NotFoundError)
    assert len(handler.calls) == 10


async def test_a_refused_key_leads_to_who_logs_in_otherwise(make_call: MakeCall) -> None:
    """A refused key of the client's leads to a deployment with another one, and never to one with the same."""
    handler = ByModel(a=AuthenticationError("revoked"), b=AuthenticationError("revoked"), c="whole")
    router = Router(
        {
            "fast": [Deployment("p/a"), Deployment("p/b"), Deployment("q/c")],
            "same": [Deployment("p/a"), Deployment("p/b")],
        },
        strategy="round_robin",
    )
    stack = Stack([Retry(initial=0.0, cap=0.0), router], handler)
    for _ in range(6):
        call = make_call(route=POOL)
        assert await enter(stack, call) is None
        assert len(call.attempts) <= 2
    handler = ByModel(a=AuthenticationError("revoked"), b=AuthenticationError("revoked"))
    same = Route(provider="openai", model="same", base_url="https://openai.invalid")
    assert isinstance(await enter(Stack([Retry(), router], handler), make_call(route=same)), AuthenticationError)
    assert sum(handler.sent.values()) == 1


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_what_a_provider_cannot_be_asked_is_asked_of_another(strategy: Strategy) -> None:
    """A provider of a pool that does not take a parameter is passed over; when there is no other, the call fails."""
    price = Price(input=1, output=1)
    names = ("anthropic/claude-sonnet-4-5", "openai/gpt-4o")
    for asked in (names, names[:1]):
        provider = Simulator()
        router = Router(
            {"fast": [Deployment(name, price=price) for name in asked]}, strategy=strategy, random=Random(3)
        )
        async with (
            provider.serve_memory() as network,
            LlmClient(
                api_keys={"openai": "sk-1", "anthropic": "sk-2"}, network_backend=network, middleware=[router]
            ) as client,
        ):
            ask = partial(client.chat, model="fast", messages=[{"role": "user", "content": "hi"}], logit_bias={"1": 1})
            if len(asked) == 1:
                with pytest.raises(BadRequestError, match="anthropic does not take 'logit_bias'"):
                    await ask()
                continue
            for _ in range(5):
                assert [attempt.model for attempt in (await ask()).attempts] == ["gpt-4o"]

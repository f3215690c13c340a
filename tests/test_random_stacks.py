"""Random stacks, random faults, random cancellations: whatever happens, nothing is left and every count is right."""

import asyncio
import gc
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.trace import StatusCode
from trio.testing import MockClock

from liter import Attempt, LlmClient, LlmError
from liter._contract import Layer
from liter._plan import check_order
from liter.middleware import (
    Budget,
    Cache,
    CircuitBreaker,
    Concurrency,
    CostTracking,
    Deployment,
    Fallback,
    Guardrails,
    Hedge,
    Hooks,
    Limit,
    RateLimit,
    Retry,
    Router,
    Rule,
    SpendLimit,
    Target,
    Timeout,
    Tracing,
)
from liter.money import Cost, Price, PriceBook
from liter.stores import MemoryStore
from liter.testing import (
    FAULTS,
    ErrorEvent,
    Fault,
    Refuse,
    Simulator,
    StallAfterEvents,
    StallBeforeHead,
    VirtualTimeLoop,
)

HI = [{"role": "user", "content": "hi"}]


@dataclass(frozen=True)
class Plan:
    """What one caller does: how much of a reply it takes, and when it is cancelled."""

    stream: bool
    takes: int | None  # events, then it leaves; None is all
    patience: float  # seconds until it is cancelled
    starts: float


class Books:
    """Counts what hooks are told, to compare with what happened."""

    def __init__(self) -> None:
        self.responses = 0
        self.ends = 0

    def hooks(self) -> Hooks:
        return Hooks(on_response=self._respond, on_end=self._end)

    def _respond(self, call: object, reply: object) -> None:
        self.responses += 1

    def _end(self, call: object, reply: object) -> None:
        self.ends += 1


class Spans(SpanProcessor):
    """Counts how often each span begins and ends."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.consistent = True
        self.tracer_provider = TracerProvider(shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(self)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.begun.append(span.context.span_id)

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span.context.span_id)
        # Not asserted here: what a processor raises reaches nobody.
        failed = span.status.status_code is StatusCode.ERROR
        self.consistent = self.consistent and failed is ("error.type" in (span.attributes or {}))


plans = st.builds(
    Plan,
    stream=st.booleans(),
    takes=st.none() | st.integers(0, 6),
    patience=st.floats(0.0, 30.0) | st.just(1000.0),
    starts=st.floats(0.0, 2.0),
)
stalls: list[Fault] = [StallBeforeHead(), StallAfterEvents(2), ErrorEvent(events=1), Refuse(429, retry_after=3.0)]
faults = st.lists(st.none() | st.sampled_from([*FAULTS, *stalls]), max_size=12)
POOL = {"gpt-simulated": [Deployment("openai/gpt-a"), Deployment("openai/gpt-b")]}
KINDS: dict[str, Callable[[], Layer]] = {
    "breaker": CircuitBreaker,
    "breaker, shared": lambda: CircuitBreaker(store=MemoryStore()),
    "cache": lambda: Cache(ttl=5.0),
    "cost": lambda: CostTracking(prices=PRICES),
    "fallback": lambda: Fallback(["openai/gpt-other"]),
    "fallback, continue": lambda: Fallback([Target("openai/gpt-other", prefix="continued")], mid_stream="continue"),
    "fallback, restart": lambda: Fallback(["openai/gpt-other"], mid_stream="restart"),
    "guard": lambda: Guardrails([Rule("th..e", action="redact", on="output")], window=8),
    "hedge": lambda: Hedge(1.0, max_extra=1.0),
    "pass": lambda: lambda call, call_next: call_next(call),
    "rate": lambda: RateLimit(Limit(120, "requests")),
    "retry": lambda: Retry(max_retries=2),
    "router": lambda: Router(POOL),
    "router, latency": lambda: Router(POOL, strategy="latency"),
    "router, sticky": lambda: Router(POOL, sticky="user", store=MemoryStore()),
    "timeout": lambda: Timeout(7.0),
}
PRICES = PriceBook(version="test").with_(
    {f"openai/{model}": Price(input=1, output=1) for model in ("gpt-simulated", "gpt-other", "gpt-a", "gpt-b")}
)


def valid(names: list[str]) -> list[str]:
    """Leave out what has no place where it stands, and what is beyond the eighth."""
    ours: dict[str, Callable[[], Layer]] = {
        "budget": lambda: Budget(SpendLimit(1)),
        "concurrency": lambda: Concurrency(2),
        "hooks": Hooks,
    }
    taken: list[str] = []
    for name in names:
        try:
            check_order([(KINDS | ours)[each]() for each in [*taken, name]])
        except ValueError:
            continue
        taken.append(name)
    return taken[:8]


stacks = st.lists(st.sampled_from([*KINDS, "budget", "concurrency", "hooks"]), max_size=16).map(valid)


async def act(client: LlmClient, plan: Plan) -> None:
    """Make one call as planned. Only the library's own errors may come out."""
    await anyio.sleep(plan.starts)
    with anyio.move_on_after(plan.patience):
        try:
            if not plan.stream:
                response = await client.chat(model="gpt-simulated", messages=HI, timeout=20, tags={"user": "u"})
                audit(client, response.attempts, response.cost)
                return
            async with await client.chat_stream(
                model="gpt-simulated", messages=HI, timeout=20, tags={"user": "u"}
            ) as stream:
                taken = 0
                async for _ in stream:
                    taken += 1
                    if plan.takes is not None and taken > plan.takes:
                        break
            audit(client, stream.response().attempts, stream.cost)
        except LlmError as error:
            audit(client, error.attempts)


def audit(client: LlmClient, attempts: tuple[Attempt, ...], cost: Cost | None = None) -> None:
    """Where costs are tracked, every attempt that has ended has one, and a reply's is their sum."""
    if any(isinstance(layer, CostTracking) for layer in client._stack.layers):
        costs = [attempt.cost for attempt in attempts]
        assert None not in costs
        assert all(attempt.seconds is not None for attempt in attempts)
        assert cost is None or cost == Cost.sum(costs)


async def story(names: list[str], script: list[Fault | None], callers: list[Plan], http2: bool, traced: bool) -> None:
    """Run all callers at once on one client, then look at what is left."""
    spans = Spans()
    books = [Books() for _ in names]
    limits = [Concurrency(2) for _ in names]
    budgets = [Budget(SpendLimit(1000), prices=PRICES, output_tokens=100) for _ in names]

    def make(position: int, name: str) -> Layer:
        mine: dict[str, Layer] = {"budget": budgets[position], "concurrency": limits[position]}
        return books[position].hooks() if name == "hooks" else mine[name] if name in mine else KINDS[name]()

    layers = [make(position, name) for position, name in enumerate(names)]
    if traced:
        layers.insert(0, Tracing(tracer_provider=spans.tracer_provider, capture_content=True))
    simulator = Simulator(reply="one two three four five", faults=script, latency=0.1, event_latency=0.1)
    base = "https://simulator/v1" if http2 else "http://simulator/v1"
    async with (
        simulator.serve_memory(http2=http2) as network,
        LlmClient(
            network_backend=network,
            base_url=base,
            api_key="sk",
            http2=http2,
            max_connections=3,
            max_response_bytes=100_000,
            max_event_bytes=100_000,
            middleware=layers,
        ) as client,
    ):
        async with anyio.create_task_group() as tasks:
            for plan in callers:
                tasks.start_soon(act, client, plan)
        await anyio.wait_all_tasks_blocked()
        pool = client._transport.pool()
        assert simulator.in_flight == 0
        assert all(limit.in_use == limit.waiting == 0 for limit in limits)
        assert all(book.responses == book.ends for book in books)
        assert sorted(spans.begun) == sorted(spans.ended)
        assert trace.get_current_span() is trace.INVALID_SPAN
        for budget in budgets:
            assert (await budget.status())[0].reserved == 0
        # And the client is as good as new: the script is at its end, or comes to it.
        for _ in range(len(script) + 1):
            # Longer than any circuit stays open, and any limit takes to refill.
            await anyio.sleep(300)
            await act(client, Plan(stream=False, takes=None, patience=1000.0, starts=0.0))
        await anyio.sleep(300)
        answer = await client.chat(model="gpt-simulated", messages=HI)
        assert answer.text == ("one two [redacted] four five" if "guard" in names else "one two three four five")
        assert sorted(spans.begun) == sorted(spans.ended)
        assert spans.consistent
        assert bool(spans.begun) is traced
        assert http2 or pool.open_connections == pool.idle_connections <= 3
    await anyio.wait_all_tasks_blocked()
    assert simulator.connections.open == 0
    assert network.open_connections == 0


def run(main: Callable[[], Awaitable[None]], backend: str) -> None:
    if backend == "trio":
        trio.run(main, clock=MockClock(autojump_threshold=0))
    else:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(main())


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(
    names=stacks,
    script=faults,
    callers=st.lists(plans, min_size=1, max_size=8),
    http2=st.booleans(),
    traced=st.booleans(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_is_left_whatever_happens(
    backend: str, names: list[str], script: list[Fault | None], callers: list[Plan], http2: bool, traced: bool
) -> None:
    """No connection, permit, request or warning remains, and every reply and every span that began has ended once."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(lambda: story(names, script, callers, http2, traced), backend)
    gc.collect()

"""``Budget``: what is reserved, what is settled, what is refused, and that nothing is lost."""

import pickle
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter import BudgetExceededError, LlmClient, LlmError, ServerError
from liter._contract import Call, Handler, Route, Timeouts
from liter._secret import Secret
from liter.middleware import (
    Budget,
    BudgetSettled,
    BudgetStatus,
    BudgetStoreFailed,
    BudgetThreshold,
    Cache,
    CostTracking,
    Fallback,
    Hedge,
    Retry,
    SpendLimit,
)
from liter.middleware._budget_limit import dollars
from liter.money import Cost, Price, PriceBook
from liter.stores import Account, Balance, MemoryStore, Reserved, StoreError
from liter.testing import (
    CloseAfterEvents,
    Outcome,
    Refuse,
    ScriptedHandler,
    Simulator,
    StallAfterEvents,
    StallBeforeHead,
    check_layer,
)
from liter.types import ChatCompletionRequest, Usage, UserMessage

from .._serving import serving

MakeCall = Callable[..., Call[object]]

# A dollar for a million tokens of either kind: a token is a millionth of a dollar.
PRICES = PriceBook(version="test").with_(
    {
        "scripted/scripted": Price(input=1, output=1),
        "scripted/dear": Price(input=10, output=10),
        "openai/gpt": Price(input=1, output=1),
        "openai/small": Price(input="0.1", output="0.1"),
        "openai/per-call": Price(requests="0.01"),
    }
)
HI = [{"role": "user", "content": "hi"}]
MICRO = Decimal("0.000001")
REQUEST = ChatCompletionRequest(model="scripted", messages=[UserMessage(content="hi")], max_tokens=100)

# Bytes of the request as JSON, the allowance for hidden prompts, and the output.
BODY = len(msgspec.json.encode(REQUEST))
BOUND = (BODY + 256 + 100) * MICRO


def usage(prompt: int, completion: int) -> Usage:
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)


def budget(*limits: SpendLimit | float, **options: object) -> Budget:
    made = [limit if isinstance(limit, SpendLimit) else SpendLimit(limit) for limit in limits]
    return Budget(*made, **{"prices": PRICES, **options})


def handler(*outcomes: object) -> ScriptedHandler:
    return ScriptedHandler(*(outcomes or (Outcome(value="whole", usage=usage(10, 5)),)))


async def send(layer: Budget, call: Call[object], inner: Handler | None = None) -> None:
    """Send one call to its end."""
    async with layer(call, inner or handler()) as reply:
        if reply.streamed:
            async for _ in reply:
                pass


async def status(layer: Budget) -> BudgetStatus:
    """The first limit's."""
    return (await layer.status())[0]


@pytest.fixture
def ask(make_call: MakeCall) -> MakeCall:
    """Makes a call of a chat."""

    def make(**fields: object) -> Call[object]:
        return make_call(**{"request": REQUEST, **fields})

    return make


class Slow(MemoryStore):
    """A store whose steps can be cancelled before and after they are done."""

    async def reserve(self, name: str, accounts: Sequence[Account], *, lease: float) -> Reserved:
        await anyio.sleep(0.01)
        answer = await super().reserve(name, accounts, lease=lease)
        await anyio.sleep(0.01)
        return answer

    async def settle(self, name: str, keys: Sequence[str], amount: int) -> list[Balance] | None:
        await anyio.sleep(0.01)
        balances = await super().settle(name, keys, amount)
        await anyio.sleep(0.01)
        return balances


def test_it_keeps_the_layer_contract() -> None:
    """The conformance kit finds nothing wrong: a reservation is held as long as the reply is, and free right after."""
    call: Call[object] = Call(
        operation="chat",
        request=REQUEST,
        route=Route(provider="scripted", model="scripted", base_url="https://scripted.invalid"),
    )

    def in_use(layer: Budget) -> int:
        accounts = layer._till.store._accounts
        return sum(len(kept.holds) for kept in accounts._accounts.values())

    check_layer(lambda: budget(1000), call=call, may_refuse=True, in_use=in_use)
    # With a store whose steps take time, before and after they are done, and can be cancelled there.
    check_layer(lambda: budget(1000, store=Slow()), call=call, may_refuse=True, in_use=in_use)


@pytest.mark.anyio
async def test_it_reserves_the_bound_and_settles_the_cost(ask: MakeCall) -> None:
    """While the call runs the bound is held; afterwards only what it cost is spent."""
    layer = budget(1)
    async with layer(ask(), handler()):
        held = await status(layer)
        assert (held.spent, held.reserved, held.left) == (0, BOUND, 1 - BOUND)
    settled = await status(layer)
    assert (settled.spent, settled.reserved, settled.left) == (15 * MICRO, 0, 1 - 15 * MICRO)
    assert settled.resets_at is None


@pytest.mark.anyio
async def test_what_does_not_fit_is_refused_before_it_is_sent(ask: MakeCall) -> None:
    """The error has all figures as fields, in US dollars, and pickles with them."""
    layer, inner = budget(SpendLimit(BOUND * 2, "day"), clock=lambda: 1e9), handler()
    async with layer(ask(), inner), layer(ask(), inner):
        with pytest.raises(BudgetExceededError, match="per day leaves too little") as caught:
            await send(layer, ask(), inner)
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.limit, error.spent, error.reserved, error.asked) == (BOUND * 2, 0, BOUND * 2, BOUND)
    assert error.resets_at == datetime(2001, 9, 10, tzinfo=UTC)
    assert error.retry_after == error.resets_at.timestamp() - 1e9
    assert not error.retryable
    assert error.attempts == ()
    assert len(inner.calls) == 3
    assert inner.entered == 2
    await send(layer, ask(), inner)


@pytest.mark.anyio
async def test_calls_at_once_do_not_overspend(ask: MakeCall) -> None:
    """Ten calls that each fit, and of which only three do together: three go through."""
    layer, passed = budget(BOUND * 3), 0

    async def run() -> None:
        nonlocal passed
        try:
            await send(layer, ask(), handler(Outcome(value="whole", delay=1, usage=usage(1, 1))))
            passed += 1
        except BudgetExceededError:
            pass

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(run)
    assert passed == 3
    assert (await status(layer)).spent == 6 * MICRO


@pytest.mark.anyio
async def test_limits_are_taken_together_or_not_at_all(ask: MakeCall) -> None:
    """A call that one tenant's limit refuses holds nothing of the others'."""
    layer = budget(1, SpendLimit(BOUND, by=("tag:tenant",)), SpendLimit(BOUND, only={"tag:tenant": "acme"}))
    async with layer(ask(tags={"tenant": "acme"}), handler()):
        for tenant in ("acme", "acme"):
            with pytest.raises(BudgetExceededError, match="tag:tenant=acme"):
                await send(layer, ask(tags={"tenant": tenant}))
        assert (await status(layer)).reserved == BOUND
        await send(layer, ask(tags={"tenant": "other"}))
        await send(layer, ask())
        with pytest.raises(BudgetExceededError):
            await send(layer, ask())
    assert [told.group for told in await layer.status(tags={"tenant": "acme"})] == [{}, {"tag:tenant": "acme"}, {}]
    assert [told.spent for told in await layer.status(tags={"tenant": "acme"})] == [45 * MICRO, 15 * MICRO, 15 * MICRO]
    assert [told.spent for told in await layer.status(tags={"tenant": "other"})] == [45 * MICRO, 15 * MICRO]


@pytest.mark.anyio
async def test_groups_are_by_provider_model_key_and_tag(ask: MakeCall) -> None:
    """Each has its own money, and a function says how much."""
    plans = {"free": 0, "acme": 1}
    layer = budget(
        SpendLimit(1, by=("provider",)),
        SpendLimit(1, by=("model",)),
        SpendLimit(1, by=("key",)),
        SpendLimit(lambda group: plans.get(group["tag:tenant"]), by=("tag:tenant",)),
    )
    key = Secret("sk-of-somebody")
    route = Route(provider="scripted", model="scripted", base_url="https://scripted.invalid", api_key=key)
    await send(layer, ask(route=route, tags={"tenant": "acme"}))
    for facts, spent in (
        ({"provider": "scripted"}, 15),
        ({"provider": "other"}, 0),
        ({"model": "scripted"}, 15),
        ({"key": "sk-of-somebody"}, 15),
        ({"key": "sk-other"}, 0),
        ({"tags": {"tenant": "acme"}}, 15),
    ):
        assert [told.spent for told in await layer.status(**facts)] == [spent * MICRO]
    with pytest.raises(BudgetExceededError, match="leaves too little"):
        await send(layer, ask(tags={"tenant": "free"}))
    await send(layer, ask(tags={"tenant": "unlimited"}))
    assert await layer.status(tags={"tenant": "unlimited"}) == []
    assert "sk-of-somebody" not in f"{await layer.status(key='sk-of-somebody')}"


@pytest.mark.anyio
async def test_a_window_turns_and_what_was_reserved_in_it_settles_in_it(ask: MakeCall) -> None:
    """At midnight the limit begins anew, though a call of yesterday is still running."""
    now = datetime(2026, 3, 31, 23, 59, 59, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    layer = budget(
        SpendLimit(BOUND, "day", time_zone="Europe/Berlin"),
        SpendLimit(BOUND * 10, "month", time_zone="Europe/Berlin"),
        clock=lambda: now,
    )
    async with layer(ask(), handler()):
        with pytest.raises(BudgetExceededError):
            await send(layer, ask())
        now += 1
        await send(layer, ask())
    assert [told.spent for told in await layer.status()] == [15 * MICRO, 15 * MICRO]
    now -= 1
    assert [told.spent for told in await layer.status()] == [15 * MICRO, 15 * MICRO]
    assert (await status(layer)).resets_at == datetime(2026, 3, 31, 22, tzinfo=UTC)


@pytest.mark.anyio
async def test_a_limit_that_is_changed_goes_on_from_what_was_spent(ask: MakeCall) -> None:
    """The state outlives the settings: another budget with another amount on the same store."""
    store = MemoryStore()
    await send(budget(1, store=store), ask())
    raised = budget(2, store=store)
    assert (await status(raised)).spent == 15 * MICRO
    assert (await status(budget(2, store=store, name="another"))).spent == 0
    await raised.reset()
    assert (await status(raised)).spent == 0


@pytest.mark.anyio
async def test_retries_reserve_what_they_need_and_no_more(ask: MakeCall) -> None:
    """A refused attempt cost nothing: the next one goes on with what it held, so one reservation is enough for all."""
    layer = budget(BOUND)
    inner = handler(*[ServerError("no", status=500)] * 3, Outcome(value="whole", usage=usage(10, 5)))
    call = ask()
    async with layer(call, lambda inside: Retry(max_retries=3)(inside, inner)):
        assert (await status(layer)).reserved == BOUND
    assert len(call.attempts) == 4
    assert (await status(layer)).spent == 15 * MICRO


@pytest.mark.anyio
async def test_an_attempt_that_cost_something_is_paid_before_the_next() -> None:
    """A hard limit holds for the attempts of one call, too: the second one no longer fits."""
    simulator = Simulator(faults=[StallBeforeHead(), None])
    prices = PRICES
    limits = [SpendLimit("0.0006")]
    layers = [Budget(*limits, prices=prices), Hedge(1.0)]
    async with serving(simulator, middleware=layers, timeout=10) as client:
        with pytest.raises(Exception, match=r"leaves too little|within 10 s"):
            await client.chat(model="gpt", messages=HI, max_tokens=100)
    assert len(simulator.requests) == 1
    assert (await layers[0].status())[0].reserved == 0


@pytest.mark.anyio
async def test_hedges_and_fallbacks_are_asked_for_each_with_its_own_model() -> None:
    """A fallback to a cheaper model fits where the dear one does not; what is spent is the sum of the attempts."""
    simulator = Simulator(faults=[Refuse(500)])
    layer = budget(SpendLimit(1), SpendLimit(1, by=("model",)))
    layers = [layer, Fallback(["openai/small"]), Retry(max_retries=0)]
    async with serving(simulator, middleware=layers) as client:
        response = await client.chat(model="gpt", messages=HI, max_tokens=100)
    assert [attempt.model for attempt in response.attempts] == ["gpt", "small"]
    spent = [(await layer.status(model=model))[1].spent for model in ("gpt", "small")]
    assert spent[0] == 0
    assert spent[1] == (response.usage.total_tokens * MICRO / 10)
    assert (await status(layer)).spent == sum(spent)


@pytest.mark.anyio
async def test_a_fallback_may_go_on_where_a_models_own_limit_is_reached() -> None:
    """Asked for, it goes to a model that has money left; otherwise the refusal is the caller's."""
    simulator = Simulator()
    layer = budget(SpendLimit(0, only={"model": "gpt"}), SpendLimit(1, by=("model",)))
    for when, model in ((BudgetExceededError, "small"), (ServerError, None)):
        layers = [layer, Fallback(["openai/small"], when=when)]
        async with serving(simulator, middleware=layers) as client:
            if model is None:
                with pytest.raises(BudgetExceededError, match="model=gpt"):
                    await client.chat(model="gpt", messages=HI, max_tokens=100)
            else:
                response = await client.chat(model="gpt", messages=HI, max_tokens=100)
                assert [attempt.model for attempt in response.attempts] == [model]


@pytest.mark.anyio
@pytest.mark.parametrize("inside", [True, False])
async def test_what_is_spent_is_what_replies_and_errors_say(inside: bool) -> None:
    """With ``CostTracking`` inside or outside: retries, races, cut and cancelled streams add up to the last digit."""
    faults = [Refuse(503), None, CloseAfterEvents(3), StallBeforeHead(), None, None, StallAfterEvents(2)]
    simulator = Simulator(reply="one two three four five six", faults=faults)
    layer, tracking = budget(1), CostTracking(prices=PRICES)
    layers = [*([layer, tracking] if inside else [tracking, layer]), Retry(max_retries=1, initial=0.1)]
    bills: list[Cost | None] = []
    async with serving(simulator, middleware=layers, timeout=5) as client:
        chat = {"model": "gpt", "messages": HI, "max_tokens": 100}
        bills.append((await client.chat(**chat)).cost)
        for leave in (None, None, 2, None):
            stream = None
            try:
                stream = await client.chat_stream(**chat)
                seen = 0
                async with stream:
                    async for _ in stream:
                        seen += 1
                        if seen == leave:
                            break
                bills.append(stream.cost)
            except LlmError as error:
                bills.append(Cost.sum(attempt.cost for attempt in error.attempts))
    assert len(bills) == 5
    assert any(bill is not None and bill.estimated for bill in bills)
    told = await status(layer)
    assert told.reserved == 0
    assert told.spent == sum((bill.total for bill in bills if bill is not None), Decimal(0)) > 0


@pytest.mark.anyio
async def test_a_cache_hit_costs_nothing() -> None:
    """Five calls of which one is sent: one is paid, and none of the others is refused."""
    simulator = Simulator()
    layer = budget(1)
    async with serving(simulator, middleware=[layer, Cache(ttl=60)]) as client:
        replies = [await client.chat(model="gpt", messages=HI, max_tokens=100) for _ in range(5)]
    assert len(simulator.requests) == 1
    assert (await status(layer)).spent == replies[0].usage.total_tokens * MICRO


@pytest.mark.parametrize("how", ["raise", "cancel", "leave"])
@pytest.mark.anyio
async def test_however_a_call_ends_nothing_stays_reserved(ask: MakeCall, how: str) -> None:
    """A consumer that raises, one that is cancelled, and one that leaves a stream early."""
    layer = budget(1)
    inner = handler(Outcome(events=["one", "two"], interval=5, usage=usage(10, 5)))
    try:
        with anyio.move_on_after(1):
            async with layer(ask(stream=True), inner) as reply:
                await reply.__anext__()
                if how == "raise":
                    raise RuntimeError("mine")
                if how == "cancel":
                    await reply.__anext__()
    except RuntimeError:
        assert how == "raise"
    told = await status(layer)
    assert told.reserved == 0
    # What it cost is not known: no usage came, and no layer estimated it. It counts as it was reserved.
    assert told.spent == BOUND


@pytest.mark.anyio
async def test_a_call_that_is_cancelled_while_it_waits_for_nothing_is_free(ask: MakeCall) -> None:
    """A reservation for what was never sent is given back whole."""
    for seconds in (0.005, 0.015):
        layer = budget(1, store=Slow())
        with anyio.move_on_after(seconds) as scope:
            await send(layer, ask())
        assert scope.cancelled_caught
        told = await status(layer)
        assert (told.spent, told.reserved) == (0, 0)


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        ({"max_tokens": None}, "sets no limit of its output"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.invalid/a"}}]}
                ]
            },
            "ImagePart",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}, "FilePart"),
        ({"extra_body": {"plugins": []}}, "extra_body may change"),
        ({"web_search_options": {}}, "a web search"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search_20250305"),
    ],
)
@pytest.mark.anyio
async def test_what_has_no_bound_is_refused_by_a_hard_budget(
    ask: MakeCall, request_: dict[str, object], problem: str
) -> None:
    """The error says why, and what would give it one; an estimate, or a bound of one's own, lets it through."""
    fields = {"model": "scripted", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10, **request_}
    call = ask(request=ChatCompletionRequest(**fields))
    with pytest.raises(BudgetExceededError, match=problem) as caught:
        await send(budget(1), call)
    assert caught.value.limit is None
    await send(budget(1, mode="estimate"), call)
    layer = budget(1, bound=lambda call: "0.5")
    async with layer(call, handler()):
        assert (await status(layer)).reserved == Decimal("0.5")


@pytest.mark.anyio
async def test_what_one_states_gives_a_bound(ask: MakeCall) -> None:
    """Tokens of an image, and of an answer without a limit; an image's own bytes are not counted as text."""
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    message = {"role": "user", "content": [part]}
    call = ask(request=ChatCompletionRequest(model="scripted", messages=[message], n=3))
    layer = budget(1, image_tokens=1000, output_tokens=2000)
    async with layer(call, handler()):
        assert 7000 * MICRO < (await status(layer)).reserved < 8000 * MICRO


@pytest.mark.anyio
async def test_an_answer_without_a_limit_is_bounded_by_the_models_context(ask: MakeCall) -> None:
    """As far as the price book knows it: 128,000 tokens of GPT-4o mini's, at the dearest of its rates."""
    route = Route(provider="openai", model="gpt-4o-mini", base_url="https://scripted.invalid")
    call = ask(route=route, request=ChatCompletionRequest(model="gpt-4o-mini", messages=HI))
    layer = budget(1, prices=PriceBook.default())
    async with layer(call, handler()):
        assert 128_000 * MICRO * Decimal("0.6") < (await status(layer)).reserved < Decimal("0.3")
    small = budget("0.01", prices=PriceBook.default())
    with pytest.raises(BudgetExceededError):
        await send(small, call)


@pytest.mark.anyio
async def test_a_model_without_a_price_is_refused_allowed_or_priced(ask: MakeCall) -> None:
    """Unknown is never zero, unless one says so."""
    call = ask(route=Route(provider="scripted", model="new", base_url="https://scripted.invalid"))
    with pytest.raises(BudgetExceededError, match="scripted/new has no price"):
        await send(budget(1), call)
    allowed = budget(1, unknown="allow")
    await send(allowed, call)
    assert (await status(allowed)).spent == 0
    priced = budget(1, unknown=Price(input=2, output=2))
    await send(priced, call)
    assert (await status(priced)).spent == 30 * MICRO


@pytest.mark.anyio
async def test_what_names_no_model_is_not_counted(make_call: MakeCall) -> None:
    """A list of models is free, even when all is spent."""
    layer = budget(SpendLimit(0, only={"provider": "scripted"}))
    route = Route(provider="scripted", model="", base_url="https://scripted.invalid")
    await send(layer, make_call(operation="list_models", route=route))


@pytest.mark.anyio
async def test_thresholds_are_told_once(ask: MakeCall) -> None:
    """At a half, at four fifths, and when there is nothing left; once for all who share the store."""
    told: list[BudgetThreshold] = []
    store = MemoryStore()
    limit = BOUND + 60 * MICRO
    layers = [
        budget(SpendLimit(limit), store=store, on_threshold=told.append, thresholds=(0.1, 0.12, 1)) for _ in range(2)
    ]
    for _ in range(2):
        for layer in layers:
            await send(layer, ask())
    assert [event.threshold for event in told] == [0.1, 0.12]
    assert [event.status.spent for event in told] == [60 * MICRO, 60 * MICRO] or told[0].status.spent < told[
        1
    ].status.spent
    for layer in layers:
        await send(layer, ask()) if layer is layers[0] else None
        with pytest.raises(BudgetExceededError):
            await send(layer, ask())
    assert [event.threshold for event in told] == [0.1, 0.12, 1]


@pytest.mark.anyio
async def test_a_hook_that_fails_fails_no_call(ask: MakeCall, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged. It may be async, and runs though the call is cancelled."""
    ran = []

    async def slow(event: BudgetThreshold) -> None:
        await anyio.sleep(1)
        ran.append(event.threshold)
        raise RuntimeError("mine")

    layer = budget(15 * MICRO + BOUND, thresholds=[0.03], on_threshold=slow)
    inner = handler(Outcome(value="whole", usage=usage(10, 5)))
    with anyio.CancelScope() as scope:
        async with layer(ask(), inner):
            scope.cancel()
    assert ran == [0.03]
    assert "on_threshold failed" in caplog.text


@pytest.mark.anyio
async def test_listeners_are_told_what_was_counted(ask: MakeCall) -> None:
    """With what is left of each limit."""
    events: list[object] = []
    await send(budget(1), ask(listeners=(events.append,)))
    [event] = events
    assert isinstance(event, BudgetSettled)
    assert event.cost == 15 * MICRO
    assert [told.left for told in event.statuses] == [1 - 15 * MICRO]


class FailingStore(MemoryStore):
    """A store that cannot be reached, or never answers, while it is told so."""

    failing: frozenset[str] = frozenset()
    silent = False
    lost_answers = False

    async def _fail(self, step: str) -> None:
        if step in self.failing:
            if self.silent:
                await anyio.sleep_forever()
            raise StoreError("out of order")

    async def reserve(self, name: str, accounts: Sequence[Account], *, lease: float) -> Reserved:
        if not self.lost_answers:
            await self._fail("reserve")
        answer = await super().reserve(name, accounts, lease=lease)
        await self._fail("reserve")
        return answer

    async def settle(self, name: str, keys: Sequence[str], amount: int) -> list[Balance] | None:
        if not self.lost_answers:
            await self._fail("settle")
        balances = await super().settle(name, keys, amount)
        await self._fail("settle")
        return balances


@pytest.mark.parametrize("lost_answers", [False, True])
@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.anyio
async def test_what_the_store_could_not_be_told_is_told_with_a_later_call(
    ask: MakeCall, silent: bool, lost_answers: bool
) -> None:
    """Nothing that was spent is lost, or counted twice, though nobody knows whether the step was done."""
    store, events = FailingStore(), []
    layer = budget(1, store=store)
    store.failing, store.silent, store.lost_answers = frozenset({"settle"}), silent, lost_answers
    for _ in range(2):
        with anyio.fail_after(20):
            await send(layer, ask(listeners=(events.append,)))
    assert layer.unsettled == 2
    assert [type(event) for event in events] == [BudgetStoreFailed] * 2
    store.failing = frozenset()
    await anyio.sleep(1)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(send, layer, ask())
    told = await status(layer)
    assert (told.spent, told.reserved, layer.unsettled) == (75 * MICRO, 0, 0)


@pytest.mark.anyio
async def test_a_store_that_was_closed_fails_no_call_that_is_under_way(
    ask: MakeCall, caplog: pytest.LogCaptureFixture
) -> None:
    """Its cost stays untold, and the log says so."""
    store = MemoryStore()
    layer = budget(1, store=store)
    async with layer(ask(), handler()):
        await store.aclose()
    assert layer.unsettled == 1
    assert "the store is closed" in caplog.text


@pytest.mark.parametrize("lost_answers", [False, True])
@pytest.mark.anyio
async def test_a_store_that_fails_closes_the_budget_or_opens_it(ask: MakeCall, lost_answers: bool) -> None:
    """Closed raises the store's error; open lets calls through, and counts them when the store is back."""
    store, events = FailingStore(), []
    store.failing, store.lost_answers = frozenset({"reserve"}), lost_answers
    with pytest.raises(StoreError):
        await send(budget(1, store=store), ask())
    layer = budget(1, store=store, on_store_error="open")
    await send(layer, ask(listeners=(events.append,)))
    assert isinstance(events[0], BudgetStoreFailed)
    assert (events[0].doing, events[0].goes_on) == ("reserve", True)
    store.failing = frozenset()
    await anyio.sleep(1)
    await send(layer, ask())
    told = await status(layer)
    assert (told.spent, told.reserved, layer.unsettled) == (30 * MICRO, 0, 0)


@pytest.mark.anyio
async def test_a_store_that_is_back_is_asked_again_however_often_calls_come(ask: MakeCall) -> None:
    """It is left alone for a second after it failed, and not for one more with each call of that second."""
    store = FailingStore()
    layer = budget(1, store=store, on_store_error="open")
    store.failing = frozenset({"reserve"})
    failures: list[int] = []
    for number in range(4):
        events: list[object] = []
        await send(layer, ask(listeners=(events.append,)))
        if any(isinstance(event, BudgetStoreFailed) for event in events):
            failures.append(number)
        store.failing = frozenset()
        await anyio.sleep(0.5)
    assert failures == [0, 1]


@pytest.mark.anyio
async def test_a_stream_without_a_deadline_renews_what_it_holds(ask: MakeCall) -> None:
    """For as long as it is read: an hour, with a lease of a minute."""
    layer = budget(1, lease=60)
    inner = handler(Outcome(events=["one"] * 100, interval=40, usage=usage(10, 5)))
    async with layer(ask(stream=True), inner) as reply:
        async for _ in reply:
            assert (await status(layer)).reserved == BOUND
    assert reply.finished
    assert (await status(layer)).spent == 15 * MICRO


@pytest.mark.anyio
async def test_a_call_with_a_deadline_is_held_to_it_and_not_for_long_after(ask: MakeCall) -> None:
    """A process that died leaves nothing reserved a minute after its calls would have been over."""
    store = MemoryStore()
    scope = budget(1, store=store)(ask(timeouts=Timeouts(total=30)), handler())
    await scope.__aenter__()
    await anyio.sleep(80)
    assert (await status(budget(1, store=store))).reserved == BOUND
    await anyio.sleep(11)
    assert (await status(budget(1, store=store))).reserved == 0
    await scope.__aexit__(None, None, None)
    assert (await status(budget(1, store=store))).spent == 15 * MICRO


@pytest.mark.anyio
async def test_an_estimate_learns_what_calls_cost(ask: MakeCall) -> None:
    """After some calls most of the limit is usable at once, where the bound would leave room for a fraction."""
    layer = budget(1, mode="estimate")
    inner = handler(Outcome(value="whole", usage=usage(40, 20)))
    for _ in range(50):
        await send(layer, ask(), inner)
    async with layer(ask(), inner):
        assert (await status(layer)).reserved == pytest.approx(60 * MICRO, rel=Decimal("0.05"))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("ask_for", "first"),
    [
        (lambda client: client.speech(model="voice", input="Hello there.", voice="v"), 12),
        (lambda client: client.image_generate(model="painter", prompt="A river.", n=2), 80_000),
        (lambda client: client.transcribe(model="ear", file=("a.wav", b"sound" * 100)), 0),
        (lambda client: client.embed(model="gpt", input="Hello there."), 15),
        (lambda client: client.create_response(model="gpt", input="Hello there.", max_output_tokens=100), 100),
    ],
    ids=["speech", "image", "transcribe", "embed", "response"],
)
async def test_an_estimate_of_every_operation(ask_for: Callable[[LlmClient], Awaitable[object]], first: int) -> None:
    """It is made of what the request tells, at the least; and soon of what such calls have cost."""
    prices = PRICES.with_(
        {
            "openai/voice": Price(characters=1),
            "openai/painter": Price(images="0.04"),
            "openai/ear": Price(audio="0.36", input=1, output=1),
        }
    )
    layer = Budget(SpendLimit(10), mode="estimate")
    async with serving(Simulator(latency=1.0), prices=prices, middleware=[layer, CostTracking()]) as client:
        reserved: list[Decimal] = []
        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask_for, client)
                await anyio.sleep(0.5)
                reserved.append((await status(layer)).reserved)
    cost = (await status(layer)).spent / 2
    assert cost > 0
    assert reserved[0] >= first * MICRO
    assert reserved[1] == pytest.approx(cost, rel=Decimal("0.05"))


@given(
    now=st.integers(631152000, 2208988800),
    zone=st.sampled_from(
        ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe", "Asia/Beirut"]
    ),
    per=st.sampled_from(["hour", "day", "month"]),
)
def test_windows_follow_each_other_without_gaps(now: int, zone: str, per: str) -> None:
    """A time lies before its window's end, and at that end another one begins, in every time zone."""
    limit = SpendLimit(1, per, time_zone=zone)
    stretch = limit.stretch(now)
    assert now < stretch.ends <= now + 32 * 86400
    assert limit.stretch(stretch.ends - 0.001).name == stretch.name or per == "hour"
    assert limit.stretch(stretch.ends).name != stretch.name


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Budget(), "no limits"),
        (lambda: Budget(5), "limits must be made as SpendLimit"),
        (lambda: Budget(SpendLimit(1), SpendLimit(2)), "two of one account"),
        (lambda: budget(1, mode="soft"), "mode must be 'hard' or 'estimate'"),
        (lambda: budget(1, unknown="free"), "unknown must be"),
        (lambda: budget(1, image_tokens=-1), "image_tokens must be"),
        (lambda: budget(1, output_tokens=True), "output_tokens must be"),
        (lambda: budget(1, name="a:b"), "name must be"),
        (lambda: budget(1, on_store_error="ignore"), "on_store_error must be"),
        (lambda: budget(1, lease=1), "lease must be"),
        (lambda: budget(1, thresholds=[50]), "thresholds must be"),
        (lambda: SpendLimit(-1), "amount must be US dollars"),
        (lambda: SpendLimit("many"), "amount must be US dollars"),
        (lambda: SpendLimit(10**7), "amount must be US dollars from 0 to 9000000"),
        (lambda: SpendLimit(1, "week"), "per must be one of hour, day, month, lifetime"),
        (lambda: SpendLimit(1, by=("tenant",)), "by: 'tenant' must be one of"),
        (lambda: SpendLimit(1, only={"tag:": "x"}), "only: 'tag:' must be one of"),
        (lambda: SpendLimit(1, time_zone="Mars"), "time_zone must be a name"),
    ],
)
def test_wrong_options_are_refused_at_once(make: Callable[[], object], problem: str) -> None:
    """Each error names the field and what would be right."""
    with pytest.raises(ValueError, match=problem):
        make()


def test_the_repr_tells_limits_and_store() -> None:
    """For the print-out of a stack."""
    layer = budget(SpendLimit(100, "month", by=("tag:tenant",)))
    assert repr(layer).startswith("Budget(100 USD per month by tag:tenant, mode='hard', store=MemoryStore(")
    assert dollars(1) == Decimal("1e-12")

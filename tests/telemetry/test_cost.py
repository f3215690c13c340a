"""Cost on spans and in the metric: whose, under which names, and that all of it sums up."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TypeVar

import msgspec
import pytest

from liter import Attempt, AttemptWatcher, Call, Handler, LlmError, Reply
from liter._http import HttpRequest, RawHeaders
from liter.middleware import Cache, Fallback, Hedge, Retry
from liter.money import Cost
from liter.testing import CloseAfterEvents, Refuse, Simulator, StallBeforeHead

from ._recorded import CLAUDE, GPT, HI, Recorded, attributes, serving

R = TypeVar("R")

pytestmark = pytest.mark.anyio


class Priced:
    """Prices each attempt by a function of it, as a layer that knows prices does."""

    def __init__(self, price: Callable[[Attempt], Cost | None]) -> None:
        self.price = price
        self.attempts: list[Attempt] = []

    def begin(self, call: Call[object], attempt: Attempt, request: HttpRequest, /) -> RawHeaders:
        self.attempts.append(attempt)
        return ()

    def entered(self, attempt: Attempt, reply: Reply[object], /) -> None:
        """Nothing is known yet."""

    def ended(self, attempt: Attempt, error: BaseException | None, /) -> None:
        attempt.cost = self.price(attempt)

    def layer(self) -> Callable[..., object]:
        @asynccontextmanager
        async def priced(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
            watchers: tuple[AttemptWatcher, ...] = (*call.watchers, self)
            async with call_next(msgspec.structs.replace(call, watchers=watchers)) as reply:
                yield reply

        return priced

    @property
    def total(self) -> Decimal:
        return sum((attempt.cost.total for attempt in self.attempts if attempt.cost is not None), Decimal(0))


def flat(attempt: Attempt) -> Cost:
    return Cost(total=Decimal("0.000123"), classes={"text_input": Decimal("0.000123")}, price_version="v7")


def costs(recorded: Recorded) -> list[object]:
    return [attributes(span).get("gen_ai.usage.cost") for span in recorded.calls]


async def test_a_call_has_its_cost_under_both_names(recorded: Recorded) -> None:
    """The same double is under both names, of the call's span alone, with what it is made of beside it."""
    prices = Priced(flat)
    async with serving(Simulator(), recorded.tracing(), prices.layer()) as client:
        await client.chat(model=GPT, messages=HI)
    told = attributes(recorded.call)
    assert told["gen_ai.usage.cost"] == told["operation.cost"] == 0.000123
    assert type(told["gen_ai.usage.cost"]) is float
    assert {name: value for name, value in told.items() if name.startswith("liter.cost")} == {
        "liter.cost.source": "computed",
        "liter.cost.currency": "USD",
        "liter.cost.text_input": 0.000123,
        "liter.cost.price_version": "v7",
    }
    assert [name for name in told if "cost" in name and "gen_ai" in name] == ["gen_ai.usage.cost"]
    assert not any("cost" in name for attempt in recorded.attempts for name in attributes(attempt))
    (point,) = recorded.points("operation.cost")
    assert recorded.metrics["operation.cost"].unit == "{USD}"
    assert point.sum == 0.000123
    assert attributes(point)["gen_ai.request.model"] == "gpt-simulated"


async def test_unknown_is_absent_and_free_is_zero(recorded: Recorded) -> None:
    """A price that is not known leaves no trace; one of nothing is 0.0."""
    made = iter([None, Cost(total=Decimal(0))])
    prices = Priced(lambda attempt: next(made))
    async with serving(Simulator(), recorded.tracing(), prices.layer()) as client:
        await client.chat(model=GPT, messages=HI)
        await client.chat(model=GPT, messages=HI)
    assert costs(recorded) == [None, 0.0]
    assert not any("cost" in name for name in attributes(recorded.calls[0]))
    (point,) = recorded.points("operation.cost")
    assert point.count == 1


async def test_where_a_cost_is_from_is_told(recorded: Recorded) -> None:
    """What the provider reported, an estimate, and a lower bound say so."""
    made = iter(
        [
            Cost(total=Decimal("0.5"), source="provider", reported=Decimal("0.5")),
            Cost(total=Decimal("0.1"), estimated=True),
            Cost(total=Decimal("0.1"), unpriced=("audio_input",)),
        ]
    )
    prices = Priced(lambda attempt: next(made))
    async with serving(Simulator(), recorded.tracing(), prices.layer()) as client:
        for _ in range(3):
            await client.chat(model=GPT, messages=HI)
    first, second, third = map(attributes, recorded.calls)
    assert (first["liter.cost.source"], first["gen_ai.usage.cost"]) == ("provider", 0.5)
    assert second["liter.cost.estimated"] is True
    assert third["liter.cost.unpriced"] == ("audio_input",)


async def test_names_of_the_cost_can_be_chosen(recorded: Recorded) -> None:
    """Each convention has its own, and none of the others."""
    prices = Priced(flat)
    tracing = recorded.tracing(cost_conventions=("openinference",))
    async with serving(Simulator(), tracing, prices.layer()) as client:
        await client.chat(model=GPT, messages=HI)
    told = attributes(recorded.call)
    assert told["llm.cost.total"] == 0.000123
    assert "gen_ai.usage.cost" not in told
    assert "operation.cost" not in told


@pytest.mark.parametrize("outside", [False, True], ids=["prices inside", "prices outside"])
async def test_the_bill_is_on_the_spans_to_the_last_attempt(recorded: Recorded, *, outside: bool) -> None:
    """Retries, moves to other models, losers of hedges, cut and left streams and failures: spans and metric have them.

    Cached answers cost nothing, and no span says that they did.
    """
    prices = Priced(lambda attempt: Cost(total=Decimal(attempt.number) / 1024))
    around = [recorded.tracing(), prices.layer()]
    faults = [
        Refuse(503),
        None,  # a call with a retry
        Refuse(401),
        None,  # moves to the other model
        CloseAfterEvents(3),  # a stream that is cut
        None,  # one that is left
        Refuse(400),
        Refuse(400),  # both fail
        StallBeforeHead(),
        None,  # a hedge and its loser
    ]
    layers = [
        *(around[::-1] if outside else around),
        Cache(),
        Fallback([CLAUDE], when=LlmError),
        Retry(max_retries=1),
        Hedge(2.0, max_extra=1.0),
    ]
    async with serving(Simulator(faults=faults), *layers, timeout=60) as client:
        for text in ("one", "one", "two"):
            await client.chat(model=GPT, messages=[{"role": "user", "content": text}], max_tokens=9)
        with pytest.raises(LlmError):
            async for _ in await client.chat_stream(model=GPT, messages=HI, max_tokens=9):
                pass
        async with await client.chat_stream(model=GPT, messages=HI, max_tokens=9) as stream:
            await stream.__anext__()
        with pytest.raises(LlmError):
            await client.chat(model=GPT, messages=HI, max_tokens=9)
        await client.chat(model=GPT, messages=[{"role": "user", "content": "three"}], max_tokens=9)
    assert len(prices.attempts) == len(recorded.attempts) == 10
    told = costs(recorded)
    assert told[1] is None
    assert "liter.cache.hit" in attributes(recorded.calls[1])
    on_spans = sum(cost for cost in told if isinstance(cost, float))
    in_metric = sum(getattr(point, "sum", 0.0) for point in recorded.points("operation.cost"))
    assert on_spans == in_metric == float(prices.total)

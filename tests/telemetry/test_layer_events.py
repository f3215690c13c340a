"""What layers tell, as events of the call's span."""

from collections.abc import Callable, Mapping
from decimal import Decimal

import msgspec
import pytest

from liter import BudgetExceededError, Call, Handler, RateLimitedError, Stack
from liter.middleware import Budget, CacheHit, Hedging, RateLimitWaiting, SpendLimit
from liter.telemetry._layer_events import event_attributes, event_name
from liter.testing import ScriptedHandler, Simulator

from ._recorded import HI, Recorded, attributes, serving

MakeCall = Callable[..., Call[object]]

pytestmark = pytest.mark.anyio


class Translated(msgspec.Struct, frozen=True):
    """An event of a layer of the application's own."""

    language: str
    words: int
    rate: Decimal
    error: Exception
    call: object = None


async def test_numbers_and_errors_are_told_and_foreign_text_is_not(recorded: Recorded, make_call: MakeCall) -> None:
    """Of an application's own events the numbers are told; text may be content."""

    class Telling:
        def __call__(self, call: Call[object], call_next: Handler) -> object:
            from contextlib import asynccontextmanager

            @asynccontextmanager
            async def scope() -> object:
                await call.notify(Translated(language="canary", words=3, rate=Decimal("0.5"), error=KeyError("canary")))
                await call.notify("no struct at all")
                async with call_next(call) as reply:
                    yield reply

            return scope()

    async with Stack([recorded.tracing(), Telling()], ScriptedHandler("x"))(make_call()):
        pass
    first, second = recorded.call.events
    assert first.name == "liter.translated"
    assert attributes(first) == {
        "liter.translated.words": 3,
        "liter.translated.rate": 0.5,
        "liter.translated.error": "KeyError",
    }
    assert second.name == "liter.str"
    assert "canary" not in recorded.everything()


async def test_what_our_events_tell(make_call: MakeCall) -> None:
    """Each of liter's own has its facts, and never its call."""
    call = make_call()
    rows: list[tuple[object, str, Mapping[str, object]]] = [
        (RateLimitWaiting(call=call, limit="60 requests per minute", wait=1.5), "rate_limit_waiting",
         {"limit": "60 requests per minute", "wait": 1.5}),
        (CacheHit(call=call, saved=None, shared=True, similarity=0.9), "cache_hit",
         {"shared": True, "similarity": 0.9}),
        (Hedging(call=call, attempt=2, waited=0.5, error=RateLimitedError("no")), "hedging",
         {"attempt": 2, "waited": 0.5, "error": "liter.RateLimitedError"}),
    ]  # fmt: skip
    for event, name, told in rows:
        assert event_name(event) == name
        assert event_attributes(name, event) == {f"liter.{name}.{field}": value for field, value in told.items()}


async def test_a_budget_tells_what_is_left(recorded: Recorded) -> None:
    """What is left of the limit that is nearest to its end is on the call's span; a refusal is the call's error."""
    limit = Decimal("0.3")
    budget = Budget(SpendLimit(1, "lifetime"), SpendLimit(limit, "day"), bound=lambda call: limit)
    async with serving(Simulator(), recorded.tracing(), budget) as client:
        await client.chat(model="openai/gpt-4o-mini", messages=HI)
        with pytest.raises(BudgetExceededError):
            await client.chat(model="openai/gpt-4o-mini", messages=HI)
    served, refused = recorded.calls
    (settled,) = (attributes(event) for event in served.events if event.name == "liter.budget_settled")
    cost = settled["liter.budget_settled.cost"]
    assert isinstance(cost, float)
    assert cost > 0
    assert settled["liter.budget_settled.left"] == pytest.approx(0.3 - cost)
    assert attributes(refused)["error.type"] == "liter.BudgetExceededError"
    assert attributes(refused)["liter.attempts"] == 0

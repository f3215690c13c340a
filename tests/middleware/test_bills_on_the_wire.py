"""Bills and budgets over the simulator's wire: what is on the bill is what the usage that was sent comes to."""

import sqlite3
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random

import anyio
import pytest

from liter import LlmClient, LlmError
from liter.middleware import Budget, CostTracking, Hedge, Ledger, Retry, SpendLimit
from liter.money import Price, PriceBook
from liter.testing import ModelReply, Refuse, ResetAfterEvents, Simulator
from liter.types import Usage

from .. import _serving

HI = [{"role": "user", "content": "Where do rivers begin?"}]
SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"
# One model of each protocol that the simulator speaks.
MODELS = (
    "openai/gpt-simulated",
    "anthropic/claude-simulated",
    "gemini/gemini-simulated",
    "cohere/command-simulated",
    "mistral/mistral-simulated",
    "azure/gpt-simulated",
    "vertex/gemini-simulated",
    "vertex/claude-simulated",
    f"bedrock/{SONNET}",
    f"bedrock/invoke/{SONNET}",
)
KEYS = {model.partition("/")[0]: "key-of-the-test" for model in MODELS}
SETTINGS = {
    "azure": {"resource": "mine"},
    "vertex": {"project": "p", "location": "global"},
    "bedrock": {"region": "us-east-1"},
}
PRICES = PriceBook(version="test").with_({model: Price(input=7, output=11, reasoning=13) for model in MODELS})
CENT = Decimal("0.01")


serving = partial(
    _serving.serving, api_key=None, api_keys=KEYS, provider_settings=SETTINGS, prices=PRICES, middleware=None
)


def by_hand(usage: Usage | None) -> Decimal:
    """What a usage comes to. Cohere bills other tokens than it counts, and all output alike."""
    assert usage is not None
    if usage.billed_units is not None:
        billed = usage.billed_units
        return (7 * Decimal(billed["input_tokens"]) + 11 * Decimal(billed["output_tokens"])) / 1_000_000
    details = usage.completion_tokens_details
    reasoning = (details and details.reasoning_tokens) or 0
    texts = usage.completion_tokens - reasoning
    return Decimal(7 * usage.prompt_tokens + 11 * texts + 13 * reasoning) / 1_000_000


@pytest.mark.anyio
@pytest.mark.parametrize("thinking", [None, "They begin somewhere high."])
@pytest.mark.parametrize("model", MODELS)
async def test_each_protocol_bills_what_it_used(model: str, thinking: str | None) -> None:
    """A chat and a stream of it cost the same, and what their usage comes to by hand."""
    asked = {"model": model, "messages": HI, "max_tokens": 4000}
    if thinking is not None:
        asked["reasoning_effort"] = "low"
    async with serving(Simulator(reply=ModelReply(text="In the hills, mostly.", thinking=thinking))) as client:
        whole = await client.chat(**asked)
        stream = await client.chat_stream(**asked)
        async for _ in stream:
            pass
        response = stream.response()
    assert whole.cost is not None
    assert whole.usage is not None
    assert whole.usage.prompt_tokens > 0
    assert whole.usage.completion_tokens > 0
    assert whole.cost.total == by_hand(whole.usage) > 0
    assert (whole.cost.estimated, whole.cost.unpriced, whole.cost.source) == (False, (), "computed")
    assert (response.usage, stream.cost) == (whole.usage, whole.cost)


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["hard", "estimate"])
async def test_a_cent_is_a_cent(mode: str, tmp_path: Path) -> None:
    """Under 200 streams at a time, that fail, are raced, and are cut anywhere: the budget and the ledger agree."""
    random = Random(7)
    simulator = Simulator(
        reply="In the hills, mostly, and in the mountains, where the snow is.",
        latency=0.05,
        event_latency=0.02,
        fault_rate=0.3,
        fault_kinds=[Refuse(503), ResetAfterEvents(3), Refuse(429, retry_after=0.1)],
        seed=7,
    )
    budget = Budget(SpendLimit(CENT), mode=mode)
    path = tmp_path / "spend.db"
    ledger = Ledger(str(path), wait=False)
    layers = [ledger, budget, CostTracking(), Retry(initial=0.01, cap=0.05), Hedge(0.1, max_extra=0.5)]
    ended: list[str] = []

    async def run(client: LlmClient, number: int) -> None:
        await anyio.sleep(random.uniform(0.0, 5.0))
        model = MODELS[number % 2]
        with anyio.move_on_after(random.uniform(0.0, 0.6)) as scope:
            try:
                async with await client.chat_stream(model=model, messages=HI, max_tokens=20) as stream:
                    left = random.randrange(20)
                    async for _ in stream:
                        left -= 1
                        if left < 0:
                            break
                ended.append("read")
            except LlmError as error:
                ended.append(type(error).__name__)
        if scope.cancelled_caught:
            ended.append("cancelled")
        [status] = await budget.status()
        if mode == "hard":
            assert status.spent + status.reserved <= CENT

    async with serving(simulator, middleware=layers) as client:
        for _ in range(3):
            async with anyio.create_task_group() as tasks:
                for number in range(200):
                    tasks.start_soon(run, client, number)
    [status] = await budget.status()
    await ledger.store.aclose()
    connection = sqlite3.connect(path)
    [[total]] = connection.execute("SELECT sum(cost) FROM attempts")
    connection.close()
    spent = Decimal(total).scaleb(-12)
    assert {"read", "cancelled", "BudgetExceededError"} <= set(ended)
    assert (status.reserved, budget.unsettled) == (0, 0)
    assert status.spent == spent
    assert spent > CENT * Decimal("0.5")

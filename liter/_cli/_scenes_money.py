"""Scenes of money: what calls cost, and a limit that concurrent calls cannot pass."""

from decimal import Decimal

import anyio

from .._errors import BudgetExceededError
from ..middleware import Budget, CostTracking, SpendLimit
from ..money import Cost
from ..types import UserMessage
from ._stage import Stage
from ._terminal import Column, Span

QUESTION = UserMessage(content="What does it cost?")
ANSWER = "Each token has its price, and every attempt that was answered is on the bill, also of a stream that was cut."

# One that has a price.
PRICED = "openai/gpt-4o-mini"
LIMIT = Decimal("0.0005")
MOST_TOKENS = 40
CALLERS = 12
ROUNDS = 3


async def bill(stage: Stage) -> None:
    """What it cost, and a limit that holds."""
    terminal = stage.terminal
    terminal.say(
        "Every reply has its exact cost, by a price book of today. What was cut off is estimated, and says so:"
    )
    async with stage.open(reply=ANSWER, layers=[CostTracking(), stage.retry()]) as scene:
        whole = await scene.client.chat(model=PRICED, messages=[QUESTION])
        async with await scene.client.chat_stream(model=PRICED, messages=[QUESTION]) as stream:
            async for chunk in stream:
                if "price" in chunk.text:
                    break
    terminal.table(
        [Column("call"), Column("US dollars", right=True), Column("known how")],
        [
            ["a whole reply", _amount(whole.cost), _known(whole.cost)],
            ["a stream, left after four words", _amount(stream.cost), _known(stream.cost)],
        ],
    )
    terminal.say(
        "A hard budget reserves the most that a call can cost before it is sent, and settles what it did cost. "
        f"Here it is {LIMIT:f} dollars, for {CALLERS} callers at once, {ROUNDS} times over:"
    )
    budget = Budget(SpendLimit(LIMIT))
    answered = 0
    refused: list[BudgetExceededError] = []
    most = Decimal(0)

    async with stage.open(reply=ANSWER, layers=[budget, CostTracking(), stage.retry()]) as scene:
        client = scene.client

        async def ask() -> None:
            nonlocal answered, most
            try:
                await client.chat(model=PRICED, messages=[QUESTION], max_completion_tokens=MOST_TOKENS)
                answered += 1
            except BudgetExceededError as error:
                refused.append(error)
            (status,) = await budget.status()
            most = max(most, status.spent + status.reserved)

        for _ in range(ROUNDS):
            async with anyio.create_task_group() as tasks:
                for _ in range(CALLERS):
                    tasks.start_soon(ask)
        requests = len(scene.simulator.requests)
    (status,) = await budget.status()
    terminal.table(
        [
            Column(title, right=True)
            for title in ("calls", "answered", "refused before they were sent", "spent", "most at any moment")
        ],
        [[str(CALLERS * ROUNDS), str(answered), str(len(refused)), f"{status.spent:f}", f"{most:f}"]],
    )
    stage.check("spent and reserved together never passed the limit", most <= LIMIT)
    stage.check(
        "what was refused was never sent, and nothing is reserved any more",
        requests == answered and not status.reserved,
    )


def _amount(cost: Cost | None) -> str:
    return "unknown" if cost is None else f"{cost.total:f}"


def _known(cost: Cost | None) -> list[Span]:
    return [
        Span("unknown" if cost is None else "estimated from what had come" if cost.estimated else "exactly", "accent")
    ]

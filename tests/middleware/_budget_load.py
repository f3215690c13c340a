"""Many calls at once on one budget: of random sizes, with random faults, retries, hedges, streams and cancellations.

Run as a program it is one of several processes; it prints what it saw as JSON.
"""

import pickle
import random
import sys
from collections.abc import Callable
from decimal import Decimal

import anyio
import msgspec
from msgspec.structs import replace

from liter import BudgetExceededError, LlmError, NetworkError, ServerError
from liter._contract import Call, Handler, Route, Timeouts
from liter.middleware import Budget, BudgetSettled, Hedge, Ledger, Retry, SpendLimit
from liter.money import Price, PriceBook
from liter.stores import LedgerStore, Store
from liter.testing import Outcome, ScriptedHandler
from liter.types import ChatCompletionRequest, Usage, UserMessage

PRICES = PriceBook(version="test").with_({"scripted/scripted": Price(input="0.3", output="1.7")})
TENANTS = ("acme", "globex", "initech")


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What is done.

    :param limit: US dollars, in all; each tenant has half of it
    :param at_once: calls that are under way at a time; ``None`` is all of them
    """

    calls: int
    limit: Decimal
    seed: int
    mode: str = "hard"
    at_once: int | None = None
    faults: bool = True


class Seen(msgspec.Struct):
    """What came of it.

    :param overspent: how often spent and reserved were seen above a limit
    """

    served: int = 0
    refused: int = 0
    failed: int = 0
    cancelled: int = 0
    overspent: int = 0
    samples: int = 0


def limits(limit: Decimal) -> list[SpendLimit]:
    """Everybody's together, and each tenant's."""
    return [SpendLimit(limit), SpendLimit(limit / 2, "day", by=("tag:tenant",))]


async def run_load(load: Load, store: Store, ledger: LedgerStore) -> Seen:
    """Make the calls, and look at the accounts all the while."""
    budget = Budget(*limits(load.limit), prices=PRICES, store=store, mode=load.mode)
    stack: list[object] = [Ledger(ledger), budget]
    seen, dice = Seen(), random.Random(load.seed)
    slots = anyio.CapacityLimiter(load.at_once or load.calls)
    done = anyio.Event()

    async def one(number: int) -> None:
        async with slots:
            await _call(stack, seen, random.Random(f"{load.seed} {number}"), faults=load.faults)

    async def watch() -> None:
        while not done.is_set():
            for tenant in TENANTS:
                for status in await budget.status(tags={"tenant": tenant}):
                    seen.samples += 1
                    seen.overspent += status.left < 0
            with anyio.move_on_after(0.005):
                await done.wait()

    async with anyio.create_task_group() as watching:
        watching.start_soon(watch)
        async with anyio.create_task_group() as tasks:
            for number in dice.sample(range(load.calls), load.calls):
                tasks.start_soon(one, number)
        done.set()
    while budget.unsettled:
        await budget.status()
        await anyio.sleep(0.05)
    return seen


async def _call(stack: list[object], seen: Seen, dice: random.Random, *, faults: bool) -> None:
    handler: Handler = ScriptedHandler(*_outcomes(dice, faults=faults))
    inner: list[object] = [Retry(max_retries=2, initial=0.01, cap=0.02)]
    if faults and dice.random() < 0.1:
        inner = [Hedge(0.001, max_extra=1.0)]
    for layer in reversed([*stack, *inner]):
        handler = _linked(layer, handler)
    call: Call[object] = Call(
        operation="chat",
        request=ChatCompletionRequest(
            model="scripted", messages=[UserMessage(content="x" * dice.randrange(2000))], max_tokens=1000
        ),
        route=Route(provider="scripted", model="scripted", base_url="https://scripted.invalid"),
        stream=dice.random() < 0.3,
        started=anyio.current_time(),
        timeouts=Timeouts(total=60),
        tags={"tenant": dice.choice(TENANTS)},
        attempts=[],
    )

    def look(event: object) -> None:
        # What the store says right after a step of its own.
        if isinstance(event, BudgetSettled):
            seen.samples += len(event.statuses)
            seen.overspent += sum(status.left < 0 for status in event.statuses)

    call = replace(call, listeners=(look,))
    patience = dice.random() * 0.02 if faults and dice.random() < 0.3 else 300
    with anyio.move_on_after(patience) as scope:
        try:
            async with handler(call) as reply:
                if reply.streamed and dice.random() < 0.7:
                    async for _ in reply:
                        pass
            seen.served += 1
        except BudgetExceededError:
            seen.refused += 1
        except LlmError:
            seen.failed += 1
    seen.cancelled += scope.cancelled_caught


def _outcomes(dice: random.Random, *, faults: bool) -> list[object]:
    outcomes: list[object] = []
    while faults and len(outcomes) < 3 and dice.random() < 0.3:
        status = dice.choice([500, 503, None])
        error = NetworkError("broke") if status is None else ServerError("no", status=status)
        outcomes.append(Outcome(error=error, delay=dice.random() * 0.002))
    # Bytes of the text are above, so that these are what they can come to.
    prompt, completion = dice.randrange(200), dice.randrange(1001)
    usage = Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)
    delay = dice.random() * 0.004
    if dice.random() < 0.3:
        broken = NetworkError("broke") if faults and dice.random() < 0.3 else None
        outcomes.append(Outcome(events=["one", "two", "three"], usage=usage, interval=delay, error=broken))
    else:
        outcomes.append(Outcome(value="whole", usage=usage, delay=delay))
    return outcomes


def _linked(layer: object, call_next: Handler) -> Handler:
    return lambda call: layer(call, call_next)


def main() -> None:
    """Run as one of several processes; the arguments come in two lines from the one that started it."""
    load = msgspec.json.decode(sys.stdin.readline(), type=Load)
    make_store, make_ledger = pickle.loads(bytes.fromhex(sys.stdin.readline()))

    async def run(make_store: Callable[[], Store], make_ledger: Callable[[], LedgerStore]) -> Seen:
        store, ledger = make_store(), make_ledger()
        try:
            return await run_load(load, store, ledger)
        finally:
            await store.aclose()
            await ledger.aclose()

    seen = anyio.run(run, make_store, make_ledger, backend=sys.argv[1])
    sys.stdout.write(msgspec.json.encode(seen).decode() + "\n")


if __name__ == "__main__":
    main()

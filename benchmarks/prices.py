"""What prices cost: reading the book, a price from it, and the layer that prices each attempt.

    python benchmarks/prices.py                   about ten seconds
    python benchmarks/prices.py --repeats 3       quicker, and less certain

CPU time. Reading is measured in a fresh interpreter for each repeat, from a warm file cache. The layer's share is the
difference between a call through it and the same call without, to a handler that answers at once.
"""

import argparse
import asyncio
import subprocess
import sys
import timeit
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from time import process_time

from _tables import Table, show

from liter import Attempt, Call, ChatCompletionRequest, ChatCompletionResponse, Reply, Route, Stack
from liter._http import HttpRequest
from liter.middleware import CostTracking
from liter.money import PriceBook
from liter.types import CompletionTokensDetails, PromptTokensDetails, Usage

VALUE = ChatCompletionResponse(model="gpt-5")
SENT = HttpRequest(method="POST", base_url="https://api.openai.com/v1", path="/chat/completions")
PLAIN = Usage(prompt_tokens=1000, completion_tokens=500, total_tokens=1500)
DETAILED = Usage(
    prompt_tokens=10_000,
    completion_tokens=500,
    total_tokens=10_500,
    prompt_tokens_details=PromptTokensDetails(cached_tokens=8000, audio_tokens=0),
    completion_tokens_details=CompletionTokensDetails(reasoning_tokens=400, audio_tokens=0),
    service_tier="default",
)

READING = """
from time import process_time
from liter.money import PriceBook
from liter.types import Usage
start = process_time()
book = PriceBook.default()
book.price("openai", "gpt-4o", Usage(prompt_tokens=1))
first = process_time() - start
for provider in book._providers:
    book._prices(provider)
print(first * 1e3, (process_time() - start) * 1e3)
"""


def read() -> tuple[float, float]:
    """Give the milliseconds to the first price, and to every provider's prices."""
    done = subprocess.run([sys.executable, "-c", READING], capture_output=True, text=True, check=True)
    first, everything = map(float, done.stdout.split())
    return first, everything


def microseconds(act: Callable[[], object], repeats: int) -> str:
    """Give the time of one run, of the best repeat."""
    return f"{min(timeit.repeat(act, timer=process_time, number=5000, repeat=repeats)) / 5000 * 1e6:.1f}"


class Wire:
    """An innermost scope that keeps its record as the exchange does, and answers at once."""

    def __init__(self, call: Call[object]) -> None:
        self.call = call

    async def __aenter__(self) -> Reply[object]:
        call, route = self.call, self.call.route
        self.attempt = attempt = Attempt(
            number=1, provider=route.provider, model=route.model, started=0.0, operation="chat", base_url=route.base_url
        )
        call.attempts.append(attempt)
        for watcher in call.watchers:
            watcher.begin(call, attempt, SENT)
        attempt.status = 200
        reply: Reply[object] = Reply(value=VALUE, usage=DETAILED)
        for watcher in call.watchers:
            watcher.entered(attempt, reply)
        return reply

    async def __aexit__(self, *raised: object) -> None:
        self.attempt.outcome, self.attempt.usage = "ok", DETAILED
        for watcher in self.call.watchers:
            watcher.ended(self.attempt, None)


def layer(repeats: int) -> str:
    """Give the microseconds that the layer adds to a call."""
    route = Route(provider="openai", model="gpt-5", base_url="https://api.openai.com/v1")
    request = ChatCompletionRequest(model="gpt-5", messages=[{"role": "user", "content": "hi"}])

    async def calls(stack: Stack) -> float:
        start = process_time()
        for _ in range(2000):
            async with stack(Call(operation="chat", request=request, route=route, attempts=[])):
                pass
        return (process_time() - start) / 2000 * 1e6

    async def measure() -> float:
        bare, tracked = Stack([], Wire), Stack([CostTracking()], Wire)
        pairs = [(await calls(bare), await calls(tracked)) for _ in range(repeats)]
        return min(after for _, after in pairs) - min(before for before, _ in pairs)

    return f"{asyncio.run(measure()):.1f}"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    firsts, everything = zip(*(read() for _ in range(repeats)), strict=True)
    book = PriceBook.default()
    cost = book.price("openai", "gpt-4o", PLAIN)
    assert cost is not None
    assert cost.total == Decimal("0.0075")
    price = partial(microseconds, repeats=repeats)
    rows = (
        ("the first price, reading the book, ms", f"{min(firsts):.1f}"),
        ("every provider's prices, ms", f"{min(everything):.1f}"),
        ("a price of plain input and output, us", price(lambda: book.price("openai", "gpt-4o", PLAIN))),
        ("with cached input and reasoning, us", price(lambda: book.price("openai", "gpt-5", DETAILED))),
        ("with hours, us", price(lambda: book.price("deepseek", "deepseek-v4-pro", DETAILED))),
        ("CostTracking, for a whole reply, us", layer(repeats)),
    )
    show([Table(f"Prices, best of {repeats}", ("what", "time"), rows)])


if __name__ == "__main__":
    main()

"""What the layers cost: CPU per call and per chunk, beyond a client whose innermost handler answers at once.

    python benchmarks/stack.py                    both loops, about a minute
    python benchmarks/stack.py --repeats 3        quicker, and less certain
    python benchmarks/stack.py --loops trio --markdown FILE

There is no wire: replies and chunks are prepared. One call is made after another, each with a request of its own, so
that no cache has its answer. Each layer is measured alone, then all of them in one stack; stores are memory stores.
The layers of money and telemetry are measured by themselves, without a telemetry provider. They do their work for each
request on the wire, of which there is none here: this is what they cost beside it.
"""

import argparse
import asyncio
import gc
import os
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Generic, Literal, TypeVar, cast

import trio
from _tables import Table, show

from liter import Call, ChatCompletionRequest, Handler, Layer, LlmClient, Reply
from liter.middleware import (
    Budget,
    Cache,
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
    Timeout,
    Tracing,
)
from liter.types import AssistantMessage, ChatCompletionChunk, ChatCompletionResponse, Choice, ChunkChoice, Delta, Usage

R = TypeVar("R")

LOOPS = ("asyncio", "trio")
CHUNKS = 200
WARM_UP = 50
POOL = "fast"
BAR_CALL, BAR_CHUNK = 60.0, 1.0
FULL = "full stack"
BOOKS = "Tracing, CostTracking, Budget"

USAGE = Usage(prompt_tokens=24, completion_tokens=CHUNKS, total_tokens=24 + CHUNKS)
VALUE = ChatCompletionResponse(
    id="chatcmpl-1",
    created=1,
    model="gpt-4o-mini",
    choices=[Choice(index=0, message=AssistantMessage(content="word " * CHUNKS), finish_reason="stop")],
    usage=USAGE,
)
PREPARED = [
    ChatCompletionChunk(
        id="chatcmpl-1",
        created=1,
        model="gpt-4o-mini",
        choices=[ChunkChoice(index=0, delta=Delta(content=f"word{number} "))],
    )
    for number in range(CHUNKS)
]

Mode = Literal["unary", "stream"]
MakeLayer = Callable[[], Layer]


class Bare:
    """Answers in the exchange's place, at once: a whole reply, or as many of the prepared chunks as it is told.

    :ivar entered: how often it was entered
    """

    def __init__(self, chunks: int) -> None:
        self._chunks = PREPARED[:chunks]
        self.entered = 0

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        return _Answer(self, self._chunks, call)


class _Answer(Generic[R]):
    __slots__ = ("_bare", "_call", "_chunks")

    def __init__(self, bare: Bare, chunks: Sequence[ChatCompletionChunk], call: Call[R]) -> None:
        self._bare = bare
        self._chunks = chunks
        self._call = call

    async def __aenter__(self) -> Reply[R]:
        self._bare.entered += 1
        if self._call.stream:
            return Reply(events=_Chunks(cast("Sequence[R]", self._chunks)))
        return Reply(value=cast("R", VALUE), usage=USAGE)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return None


class _Chunks(Generic[R]):
    __slots__ = ("_chunks",)

    def __init__(self, chunks: Sequence[R]) -> None:
        self._chunks = iter(chunks)

    def next_nowait(self) -> R | None:
        return next(self._chunks, None)

    async def __anext__(self) -> R:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Nothing is open."""


def _see(*_: object) -> None:
    """Stand in for a function of the application's own."""


# Outermost first, in the order of a stack that holds them all. What has no default gets the least that makes it work.
LAYERS: dict[str, MakeLayer] = {
    "Hooks, all but on_retry": lambda: Hooks(
        on_request=_see, on_response=_see, on_chunk=_see, on_error=_see, on_end=_see
    ),
    "Guardrails, 1 rule": lambda: Guardrails([Rule(r"sk-[A-Za-z0-9]{20,}", action="redact")]),
    "Cache, a miss": Cache,
    "Fallback, 1 model": lambda: Fallback(["openai/gpt-4.1-mini"]),
    "Retry": Retry,
    "Hedge": Hedge,
    "Router, 2 deployments": lambda: Router({POOL: [Deployment("openai/gpt-4o-mini"), Deployment("openai/gpt-4.1")]}),
    "RateLimit, 2 limits": lambda: RateLimit(Limit(1e9, "requests"), Limit(1e12, "tokens")),
    "Concurrency": lambda: Concurrency(64),
    "Timeout": lambda: Timeout(30.0),
}


_BOOKS: tuple[MakeLayer, ...] = (
    Tracing,
    CostTracking,
    lambda: Budget(SpendLimit(1_000_000, "month")),
)


@dataclass(frozen=True)
class Case:
    """What is measured: so many ``chunks`` in a stream, none in a whole reply."""

    name: str
    makers: tuple[MakeLayer, ...]
    mode: Mode
    chunks: int


@dataclass(frozen=True)
class Cost:
    """CPU seconds per call, and how often the innermost handler was entered for one."""

    cpu: float
    entered: float


def cases() -> list[Case]:
    """List the cases, all layers for one kind of call side by side."""
    stacks: dict[str, tuple[MakeLayer, ...]] = {
        "bare": (),
        **{name: (maker,) for name, maker in LAYERS.items()},
        FULL: tuple(LAYERS.values()),
        BOOKS: _BOOKS,
    }
    kinds: tuple[tuple[Mode, int], ...] = (("unary", 0), ("stream", 1), ("stream", CHUNKS))
    return [Case(name, makers, mode, chunks) for mode, chunks in kinds for name, makers in stacks.items()]


async def measure(case: Case, calls: int, numbers: "count[int]") -> Cost:
    """Make that many calls, one after another, by a client of their own."""
    bare = Bare(case.chunks)
    layers = [*(make() for make in case.makers), bare]
    async with LlmClient(api_key="sk-benchmark", trust_environment=False, middleware=layers) as client:
        make_calls = _unary if case.mode == "unary" else _stream
        await make_calls(client, _requests(WARM_UP, numbers))
        requests = _requests(calls, numbers)
        gc.collect()
        entered = bare.entered
        began = time.process_time()
        await make_calls(client, requests)
        return Cost((time.process_time() - began) / calls, (bare.entered - entered) / calls)


def _requests(how_many: int, numbers: "count[int]") -> list[ChatCompletionRequest]:
    return [
        ChatCompletionRequest(
            model=POOL,
            messages=[
                {"role": "system", "content": "You are brief."},
                {"role": "user", "content": f"What is special about the number {next(numbers)}?"},
            ],
        )
        for _ in range(how_many)
    ]


async def _unary(client: LlmClient, requests: Sequence[ChatCompletionRequest]) -> None:
    for request in requests:
        await client.chat(request)


async def _stream(client: LlmClient, requests: Sequence[ChatCompletionRequest]) -> None:
    for request in requests:
        async for _ in await client.chat_stream(request):
            pass


def measure_all(loop: str, repeats: int, calls: int) -> dict[Case, Cost]:
    """Give the repeat with the least CPU time of each case, all of them run once before any of them again."""
    best: dict[Case, Cost] = {}
    numbers = count()
    for _ in range(repeats):
        for case in cases():
            how_many = max(1, calls // 20) if case.chunks == CHUNKS else calls
            run = partial(measure, case, how_many, numbers)
            cost = trio.run(run) if loop == "trio" else asyncio.run(run())
            if case not in best or cost.cpu < best[case].cpu:
                best[case] = cost
    return best


def table(loop: str, costs: dict[Case, Cost]) -> Table:
    """Show what each stack costs beyond the bare client, which is the first row, in full."""
    found = {(case.name, case.mode, case.chunks): cost.cpu * 1e6 for case, cost in costs.items()}

    def parts(name: str) -> tuple[float, float, float]:
        one, many = found[name, "stream", 1], found[name, "stream", CHUNKS]
        return found[name, "unary", 0], one, (many - one) / (CHUNKS - 1)

    bare = parts("bare")
    beyond = {
        name: tuple(cost - base for cost, base in zip(parts(name), bare, strict=True))
        for name in (*LAYERS, FULL, BOOKS)
    }
    alone = tuple(sum(beyond[name][column] for name in LAYERS) for column in range(3))
    rows = [
        ("bare client, in full", bare),
        *((name, beyond[name]) for name in LAYERS),
        ("sum of each alone", alone),
        (FULL, beyond[FULL]),
        (BOOKS, beyond[BOOKS]),
    ]
    extra = {case.mode: cost.entered - 1 for case, cost in costs.items() if case.name == FULL and case.chunks < CHUNKS}
    call, _, chunk = beyond[FULL]
    return Table(
        f"{loop}: CPU beyond the bare client, in us",
        ("layers", "whole reply", "stream of 1", "each further chunk"),
        tuple(
            (name, *(f"{round(cost, 2) + 0.0:.2f}" if i == 2 else f"{cost:.1f}" for i, cost in enumerate(row)))
            for name, row in rows
        ),
        (
            f"a whole reply: {call:.1f} us, the bar is {BAR_CALL:g}: {_verdict(call, BAR_CALL)}",
            f"a chunk: {chunk:.2f} us, the bar is {BAR_CHUNK:g}: {_verdict(chunk, BAR_CHUNK)}",
            f"in the full stack, hedging sent {extra['unary']:.1%} more requests, {extra['stream']:.1%} with streams",
        ),
    )


def _verdict(cost: float, bar: float) -> str:
    return "kept" if cost <= bar else f"missed, by a factor of {cost / bar:.1f}"


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loops", nargs="+", choices=LOOPS, default=LOOPS, help="event loops")
    parser.add_argument("--repeats", type=int, default=7, help="repeats of each measurement; the best one counts")
    parser.add_argument("--calls", type=int, default=1000, help="calls in each; a twentieth of it for long streams")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there")
    return parser.parse_args()


def main() -> None:
    """Measure, report."""
    arguments = parse_arguments()
    tables = [table(loop, measure_all(loop, arguments.repeats, arguments.calls)) for loop in arguments.loops]
    show(tables)
    if arguments.markdown:
        facts = (
            f"- system: {platform.system()} {platform.release()}, {os.cpu_count()} logical CPUs\n"
            f"- Python: {platform.python_version()}, anyio {version('anyio')}, trio {version('trio')}\n"
            f"- counted: the repeat with the least CPU time of {arguments.repeats}, {arguments.calls:,} calls each"
        )
        shown = "\n\n".join(table.markdown() for table in tables)
        arguments.markdown.write_text(f"Measured by `benchmarks/stack.py`.\n\n{facts}\n\n{shown}\n")


if __name__ == "__main__":
    main()

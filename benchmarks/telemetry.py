"""What ``Tracing`` costs: CPU per call and per chunk, beyond an innermost handler that answers at once.

    python benchmarks/telemetry.py                both loops, some seconds
    python benchmarks/telemetry.py --repeats 3    quicker, and less certain

Without providers a call passes through. With them, spans go to a processor that forgets them, and metrics to a reader
that is never read: this is the cost of making them, not of sending them. It begins with what importing costs.
"""

import argparse
import asyncio
import gc
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from types import TracebackType
from typing import Generic, TypeVar, cast

import anyio
import trio
from _tables import Table, show
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler

from liter import Call, ChatCompletionRequest, Layer, Reply, Route, Stack
from liter.middleware import Tracing
from liter.types import AssistantMessage, ChatCompletionChunk, ChatCompletionResponse, Choice, ChunkChoice, Delta, Usage

R = TypeVar("R")

BAR = 6.0
CHUNKS = 200
USAGE = Usage(prompt_tokens=24, completion_tokens=CHUNKS, total_tokens=24 + CHUNKS)
VALUE = ChatCompletionResponse(
    id="chatcmpl-1",
    model="gpt-4o",
    choices=[Choice(message=AssistantMessage(content="In the hills."), finish_reason="stop")],
    usage=USAGE,
)
CHUNK = ChatCompletionChunk(id="chatcmpl-1", model="gpt-4o", choices=[ChunkChoice(delta=Delta(content="In"))])
REQUEST = ChatCompletionRequest(model="gpt-4o", messages=[{"role": "user", "content": "Where do rivers begin?"}])
ROUTE = Route(provider="openai", model="gpt-4o", base_url="https://api.openai.com/v1")


class Chunks(Generic[R]):
    """A stream that is ready."""

    def __init__(self) -> None:
        self.left = CHUNKS

    async def __anext__(self) -> R:
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return cast("R", CHUNK)

    async def aclose(self) -> None:
        """Nothing is open."""


class Ready(Generic[R]):
    """The scope of a reply that is ready."""

    def __init__(self, call: Call[R]) -> None:
        self.call = call

    async def __aenter__(self) -> Reply[R]:
        if self.call.stream:
            return Reply(events=Chunks(), usage=USAGE)
        return Reply(value=cast("R", VALUE), usage=USAGE)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing is open."""


class Forget(SpanProcessor):
    """Keeps nothing."""

    def on_end(self, span: ReadableSpan) -> None:
        """Forget it."""


def sdk(sampler: Sampler) -> Tracing:
    """Make a layer that records."""
    tracer_provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    tracer_provider.add_span_processor(Forget())
    meter_provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    return Tracing(tracer_provider=tracer_provider, meter_provider=meter_provider)


async def calls(layers: list[Layer], count: int, *, stream: bool) -> float:
    """Return CPU seconds for so many calls."""
    stack = Stack(layers, Ready)
    gc.collect()
    began = time.process_time()
    for _ in range(count):
        call: Call[object] = Call(
            operation="chat", request=REQUEST, route=ROUTE, stream=stream, started=anyio.current_time(), attempts=[]
        )
        async with stack(call) as reply:
            if stream:
                async for _ in reply:
                    pass
    return time.process_time() - began


def run(loop: str, work: Callable[[], object]) -> float:
    """Run on an event loop."""
    return cast("float", (trio.run if loop == "trio" else lambda w: asyncio.run(w()))(work))


def microseconds(loop: str, layers: list[Layer], repeats: int, *, stream: bool) -> float:
    """CPU per call in microseconds: the median of the repeats."""
    count = 40 if stream else 4000
    work = partial(calls, layers, count, stream=stream)
    run(loop, work)
    return median(run(loop, work) for _ in range(repeats)) / count * 1e6


def import_seconds(code: str, repeats: int) -> float:
    """Wall-clock seconds of an interpreter that runs the code: the least of the repeats."""

    def once() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - began

    return min(once() for _ in range(repeats))


def main() -> None:
    """Measure, print, and say whether the bar is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="of which the median counts")
    repeats = parser.parse_args().repeats
    cases: list[tuple[str, list[Layer]]] = [
        ("no providers", [Tracing()]),
        ("SDK, not sampled", [sdk(ALWAYS_OFF)]),
        ("SDK, sampled", [sdk(ALWAYS_ON)]),
    ]
    rows: list[tuple[str, ...]] = []
    worst = 0.0
    for loop in ("asyncio", "trio"):
        bare = {stream: microseconds(loop, [], repeats, stream=stream) for stream in (False, True)}
        for name, layers in cases:
            call = microseconds(loop, layers, repeats, stream=False) - bare[False]
            chunk = (microseconds(loop, layers, repeats, stream=True) - bare[True] - call) / CHUNKS
            rows.append((f"{loop}, {name}", f"{call:.1f}", f"{max(0.0, chunk):.2f}"))
            if name == "no providers":
                worst = max(worst, call)
    bare_import = import_seconds("import liter", repeats)
    traced_import = import_seconds("from liter.middleware import Tracing; Tracing()", repeats)
    notes = (
        f"without providers: {worst:.1f} us a call, the bar is {BAR:g} us: {'met' if worst <= BAR else 'MISSED'}",
        f"import liter: {bare_import * 1e3:.0f} ms with the interpreter; and a Tracing: {traced_import * 1e3:.0f} ms",
    )
    show([Table("What Tracing costs, in microseconds of CPU", ("case", "a call", "a chunk"), tuple(rows), notes)])
    sys.exit(worst > BAR)


if __name__ == "__main__":
    main()

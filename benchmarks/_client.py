"""One measurement in a process of its own: ``python _client.py ADAPTER LOOP MODE IN_FLIGHT SECONDS EVENTS URL``.

As many tasks as calls are to be in flight make one call after the other until the time is up. Prints what it took as
JSON.
"""

import argparse
import gc
import json
import os
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import anyio
from _adapters import OPENERS
from _canned import UNARY_TEXT, words
from _memory import peak_memory

_BACKENDS: dict[str, tuple[str, dict[str, object]]] = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}


class Snapshot(NamedTuple):
    """Where the process stands: calls made, seconds of CPU and of wall-clock time."""

    calls: int
    cpu: float
    wall: float


async def load(
    call: Callable[[], Awaitable[int]], expected: int, in_flight: int, seconds: float
) -> tuple[Snapshot, Snapshot]:
    """Keep calls in flight without a pause; give where the measured part of them began and ended.

    It begins warm, after a quarter of ``seconds``, and lasts ``seconds``: a start in step, with all connections idle at
    once, costs some pools a multiple. Both bounds are at a whole number of calls for each task: tasks that run in
    step have no call half done there, whose cost would count while the call does not.

    :raises ValueError: a call delivered another text than the server sent
    """
    made = 0
    start: Snapshot | None = None
    end: Snapshot | None = None
    begun = time.perf_counter()

    async def work() -> None:
        nonlocal made, start, end
        while end is None:
            received = await call()
            if received != expected:
                raise ValueError(f"received {received} characters, the server sent {expected}")
            made += 1
            if made % in_flight:
                continue
            now = Snapshot(made, time.process_time(), time.perf_counter())
            if start is None:
                if now.wall >= begun + seconds / 4:
                    start = now
            elif end is None and now.wall >= start.wall + seconds:
                end = now

    async with anyio.create_task_group() as tasks:
        for _ in range(in_flight):
            tasks.start_soon(work)
    assert start is not None
    assert end is not None
    return start, end


async def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """Measure the CPU time of the whole process, threads of native cores included."""
    async with OPENERS[arguments.adapter](arguments.url, arguments.events) as calls:
        if arguments.mode == "unary":
            call, expected = calls.unary, len(UNARY_TEXT)
        else:
            call, expected = calls.stream, sum(map(len, words(arguments.events)))
        await call()
        first = time.process_time()
        gc.collect()
        start, end = await load(call, expected, arguments.in_flight, arguments.seconds)
    made = end.calls - start.calls
    return {
        "calls": made,
        "cpu": (end.cpu - start.cpu) / made,
        "wall": (end.wall - start.wall) / made,
        "first": first,
        "memory": peak_memory(),
    }


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("adapter", choices=OPENERS)
    parser.add_argument("loop", choices=_BACKENDS)
    parser.add_argument("mode", choices=("unary", "stream"))
    parser.add_argument("in_flight", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("events", type=int)
    parser.add_argument("url")
    arguments = parser.parse_args()
    backend, options = _BACKENDS[arguments.loop]
    print(json.dumps(anyio.run(measure, arguments, backend=backend, backend_options=options)), flush=True)
    os._exit(0)  # the interpreter's own exit is not measured, and liter-llm 2.4.0 aborts in it now and then


if __name__ == "__main__":
    main()

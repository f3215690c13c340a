"""One measurement in a process of its own: ``python _client.py ADAPTER LOOP MODE IN_FLIGHT SECONDS EVENTS URL``.

As many tasks as calls are to be in flight call one after the other until the time is up; the calls under way are
finished. Prints what it took as JSON.
"""

import argparse
import gc
import json
import os
import time
from collections.abc import Awaitable, Callable

import anyio
from _adapters import OPENERS
from _canned import UNARY_TEXT, words
from _memory import peak_memory

_BACKENDS: dict[str, tuple[str, dict[str, object]]] = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}


async def load(call: Callable[[], Awaitable[int]], expected: int, in_flight: int, seconds: float) -> int:
    """Keep calls in flight for ``seconds``; give how many were made.

    :raises ValueError: a call delivered another text than the server sent
    """
    made = 0
    end = time.perf_counter() + seconds

    async def work() -> None:
        nonlocal made
        while True:
            received = await call()
            if received != expected:
                raise ValueError(f"received {received} characters, the server sent {expected}")
            made += 1
            if time.perf_counter() >= end:
                return

    async with anyio.create_task_group() as tasks:
        for _ in range(in_flight):
            tasks.start_soon(work)
    return made


async def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """Warm up, then measure the CPU time of the whole process, threads of native cores included."""
    async with OPENERS[arguments.adapter](arguments.url, arguments.events) as calls:
        if arguments.mode == "unary":
            call, expected = calls.unary, len(UNARY_TEXT)
        else:
            call, expected = calls.stream, sum(map(len, words(arguments.events)))
        await load(call, expected, 1, 0)
        first = time.process_time()
        await load(call, expected, arguments.in_flight, arguments.seconds / 4)
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        made = await load(call, expected, arguments.in_flight, arguments.seconds)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"calls": made, "cpu": cpu / made, "wall": wall / made, "first": first, "memory": peak_memory()}


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

"""What hedging does to the slowest calls, and what it costs: both latency curves, and a picture of them.

    python benchmarks/hedge.py                         prints the table, writes docs/hedge.svg
    python benchmarks/hedge.py --calls 2000 --svg ""   quicker, and no picture

Simulated: calls come at random, 10 per second, in virtual time. An attempt takes about 1 second (log-normal, sigma
0.25), and one in twenty takes 20 times that. The same seed gives the same numbers, whatever the machine.
"""

import argparse
import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from random import Random

import anyio
from _tables import Table, show

from liter import Call, ChatCompletionRequest, Route, Stack
from liter.middleware import Hedge
from liter.testing import Outcome, ScriptedHandler, VirtualTimeLoop

SLOW_SHARE, SLOW_FACTOR, SIGMA, PER_SECOND = 0.05, 20.0, 0.25, 10.0
SHOWN = (50.0, 90.0, 95.0, 99.0, 99.9)
REQUEST = ChatCompletionRequest(model="simulated", messages=[{"role": "user", "content": "Hi"}])
ROUTE = Route(provider="simulated", model="simulated", base_url="https://simulated.invalid")

INK, GRID, BEFORE, AFTER = "#52606d", "#e4e7eb", "#c2410c", "#0f766e"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 420, 64, 132, 72, 56


async def latencies(stack: Stack, calls: int, seed: int) -> list[float]:
    """Make that many calls, and return the seconds until each was entered, in order of size."""
    random = Random(seed)
    seconds: list[float] = []

    async def one() -> None:
        began = anyio.current_time()
        call: Call[object] = Call(operation="chat", request=REQUEST, route=ROUTE, started=began, attempts=[])
        async with stack(call):
            seconds.append(anyio.current_time() - began)

    async with anyio.create_task_group() as tasks:
        for _ in range(calls):
            await anyio.sleep(random.expovariate(PER_SECOND))
            tasks.start_soon(one)
    return sorted(seconds)


def handler(calls: int, seed: int) -> ScriptedHandler:
    """Script attempts for that many calls, and some more."""
    random = Random(seed)
    delays = [
        random.lognormvariate(0.0, SIGMA) * (SLOW_FACTOR if random.random() < SLOW_SHARE else 1.0)
        for _ in range(2 * calls)
    ]
    return ScriptedHandler(*(Outcome(value="whole", delay=delay) for delay in delays))


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the nearest rank."""
    return ordered[math.ceil(percent / 100 * len(ordered)) - 1]


def picture(before: Sequence[float], after: Sequence[float], extra: float) -> str:
    """Draw latency over percentile: the nines on the x axis, both scales logarithmic."""
    nines, low, high = 3.0, 0.5, 50.0

    def x(percent: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * -math.log10(1 - percent / 100) / nines

    def y(seconds: float) -> float:
        # The few that are faster than the axis begins at are drawn where it does.
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - math.log(max(seconds, low) / low) / math.log(high / low))

    def text(at_x: float, at_y: float, words: str, *, anchor: str = "start", fill: str = INK, size: int = 13) -> str:
        place = f'x="{at_x:.1f}" y="{at_y:.1f}" text-anchor="{anchor}"'
        return f'<text {place} fill="{fill}" font-size="{size}">{words}</text>'

    def line(x1: float, y1: float, x2: float, y2: float, rest: str) -> str:
        return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {rest}/>'

    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    drawn = [
        text(LEFT, 28, "Latency of calls, one in twenty 20 times slower", fill="#1f2933", size=17),
        text(LEFT, 48, f"{len(before):,} simulated calls; hedging sent {extra:.1%} more requests"),
    ]
    for seconds in (0.5, 1, 2, 5, 10, 20, 50):
        drawn.append(line(LEFT, y(seconds), right, y(seconds), f'stroke="{GRID}"'))
        drawn.append(text(LEFT - 8, y(seconds) + 4, f"{seconds:g} s", anchor="end"))
    for percent in (0.0, 50.0, 90.0, 95.0, 99.0, 99.9):
        drawn.append(line(x(percent), TOP, x(percent), bottom, f'stroke="{GRID}"'))
        drawn.append(text(x(percent), bottom + 20, f"{percent:g}", anchor="middle"))
    drawn.append(text((LEFT + right) / 2, bottom + 42, "percentile", anchor="middle"))
    for ordered, colour, name in ((before, BEFORE, "no hedging"), (after, AFTER, "Hedge()")):
        steps = [100 * (1 - 10 ** (-nines * step / 300)) for step in range(301)]
        points = [
            (x(percent), y(ordered[min(int(percent / 100 * len(ordered)), len(ordered) - 1)])) for percent in steps
        ]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        drawn.append(text(right + 10, points[-1][1] + 4, name, fill=colour, size=14))
        worst = percentile(ordered, 99)
        drawn.append(f'<circle cx="{x(99):.1f}" cy="{y(worst):.1f}" r="4.5" fill="{colour}"/>')
        drawn.append(text(x(99) - 8, y(worst) - 9, f"p99 {worst:.1f} s", anchor="end", fill=colour, size=14))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
            *drawn,
            "</svg>\n",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--svg", default=str(Path(__file__).parents[1] / "docs" / "hedge.svg"), help="where, or nothing"
    )
    options = parser.parse_args()
    curves: dict[str, list[float]] = {}
    requests: dict[str, float] = {}
    for name, layers in {"no hedging": [], "Hedge()": [Hedge()], "Hedge(2.0)": [Hedge(2.0)]}.items():
        scripted = handler(options.calls, options.seed)
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            curves[name] = runner.run(latencies(Stack(layers, scripted), options.calls, options.seed))
        requests[name] = len(scripted.calls) / options.calls
    rows = [
        (name, *(f"{percentile(curve, shown):.2f}" for shown in SHOWN), f"{requests[name]:.3f}")
        for name, curve in curves.items()
    ]
    better = percentile(curves["no hedging"], 99) / percentile(curves["Hedge()"], 99)
    note = f"p99 is {better:.1f} times lower with Hedge(), for {requests['Hedge()'] - 1:.1%} more requests"
    columns = ("seconds", *(f"p{shown:g}" for shown in SHOWN), "requests per call")
    show([Table(f"{options.calls:,} calls, 5 % of attempts 20 times slower", columns, tuple(rows), (note,))])
    if options.svg:
        Path(options.svg).write_text(picture(curves["no hedging"], curves["Hedge()"], requests["Hedge()"] - 1))


if __name__ == "__main__":
    main()

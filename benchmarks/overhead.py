"""What a client costs beside the wire: liter, what it stands on, and its peers, in one run on one machine.

    python benchmarks/overhead.py                      everything, about half an hour
    python benchmarks/overhead.py --quick              one short run of each, about 3 minutes
    python benchmarks/overhead.py --only raw,liter --loops trio

A loopback server in its own process answers with canned bytes, much faster than any client can ask. Each measurement
is a fresh client process: it warms up, keeps 1, 16 or 256 calls in flight, and counts its own CPU time, user and
system, all threads (``time.process_time``). Repeats are interleaved, so that a noisy minute falls on all clients alike;
of each case the repeat with the least CPU time counts. Peers live in a virtual environment of their own.
An import may put off work, liter's and openai's do; the CPU time until the first reply has all of it.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import _peers
from _adapters import NOT_ON_TRIO
from _measure import Case, Cost, FailedError, ImportCost, run, run_import, serving
from _report import CROWDED, USUAL, bars_table, import_table, loop_tables
from _tables import Table, show


@dataclass(frozen=True)
class Client:
    """A client under test: where it comes from, and the statement that imports what a user needs of it."""

    distribution: str
    statement: str
    peer: bool = True


CLIENTS = {
    "raw": Client("anyio", "import anyio", peer=False),
    "httpcore": Client("httpcore", "import httpcore", peer=False),
    "liter": Client("liter-sdk", "from liter import LlmClient", peer=False),
    "openai": Client("openai", "from openai import AsyncOpenAI"),
    "litellm": Client("litellm", "from litellm import acompletion"),
    "any-llm": Client("any-llm-sdk", "from any_llm import AnyLLM"),
    "liter-llm": Client("liter-llm", "from liter_llm import create_client"),
}
LOOPS = ("asyncio", "uvloop", "trio")

# Those that need no half minute for 256 calls.
SWIFT = frozenset({"raw", "liter", "liter-llm"})

# In this many seconds noise has averaged out: such a run is not repeated.
LONG = 5.0


@dataclass
class Measurements:
    """What came of each case: the costs of its repeats, or why it failed."""

    repeats: dict[Case, list[Cost]] = field(default_factory=dict)
    failures: dict[Case, str] = field(default_factory=dict)

    def best(self) -> dict[Case, Cost]:
        """Give the repeat with the least CPU time of each case: noise only ever adds."""
        return {case: min(costs, key=lambda cost: cost.cpu) for case, costs in self.repeats.items()}


def parse_arguments() -> argparse.Namespace:
    """Read the command line; unknown clients and loops are refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="one repeat of 0.5 s, 256 in flight for the swift ones only"
    )
    parser.add_argument("--only", type=_names(tuple(CLIENTS)), default=tuple(CLIENTS), help="clients, comma-separated")
    parser.add_argument("--loops", type=_names(LOOPS), default=LOOPS, help="event loops, comma-separated")
    parser.add_argument("--repeats", type=int, help="repeats of each measurement (3)")
    parser.add_argument("--seconds", type=float, help="length of each measurement (1.0)")
    parser.add_argument("--events", type=int, default=200, help="content events of a stream")
    parser.add_argument("--burst", type=int, default=8, help="events that the server sends in one write")
    parser.add_argument(
        "--venv", type=Path, default=Path(__file__).with_name(".venv-peers"), help="where the peers live"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all measurements there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there")
    arguments = parser.parse_args()
    arguments.repeats = arguments.repeats or (1 if arguments.quick else 3)
    arguments.seconds = arguments.seconds or (0.5 if arguments.quick else 1.0)
    return arguments


def _names(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        chosen = text.split(",")
        unknown = sorted(set(chosen) - set(known))
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(known)}")
        return tuple(name for name in known if name in chosen)

    return parse


def plan(clients: Iterable[str], loops: Iterable[str], *, quick: bool) -> list[Case]:
    """List the cases, clients varying fastest, so that those to be compared run side by side."""
    return [
        Case(client, loop, mode, level)
        for loop in loops
        for mode in ("unary", "stream")
        for level in ((USUAL, CROWDED) if quick else (1, USUAL, CROWDED))
        for client in clients
        if (loop != "trio" or client not in NOT_ON_TRIO) and (not quick or level != CROWDED or client in SWIFT)
    ]


def measure_all(arguments: argparse.Namespace, cases: list[Case], pythons: Mapping[str, Path]) -> Measurements:
    """Run all cases, all of them once before any of them again."""
    measurements = Measurements()
    done: set[Case] = set()
    with serving(arguments.events, arguments.burst) as url:
        for repeat in range(arguments.repeats):
            for number, case in enumerate(cases, 1):
                if case in done:
                    continue
                _progress(f"repeat {repeat + 1}/{arguments.repeats}, {number}/{len(cases)}: {case.describe()}")
                try:
                    cost = run(pythons[case.client], case, seconds=arguments.seconds, events=arguments.events, url=url)
                except FailedError as error:
                    measurements.failures[case] = str(error)
                    done.add(case)
                else:
                    measurements.repeats.setdefault(case, []).append(cost)
                    if cost.wall * cost.calls > LONG:
                        done.add(case)
    _progress("")
    return measurements


def import_all(pythons: Mapping[str, Path], *, repeats: int) -> dict[str, ImportCost]:
    """Measure every client's import statement; one that fails is left out, as its calls say why."""
    imports: dict[str, ImportCost] = {}
    for client, python in pythons.items():
        _progress(f"import: {client}")
        with contextlib.suppress(FailedError):
            statement = CLIENTS[client].statement
            imports[statement] = run_import(python, statement, repeats=repeats)
    return imports


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr)


def machine_facts(arguments: argparse.Namespace, pythons: Mapping[str, Path]) -> dict[str, str]:
    """Tell what the numbers depend on."""
    information = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.+)", information.read_text()) if information.exists() else None
    versions = {client: _peers.version(python, CLIENTS[client].distribution) for client, python in pythons.items()}
    first = next(iter(pythons.values()))
    return {
        "CPU": f"{model[1] if model else platform.machine()}, {os.cpu_count()} logical",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "loops": ", ".join(f"{name} {_peers.version(first, name)}" for name in ("anyio", "uvloop", "trio")),
        "clients": ", ".join(f"{CLIENTS[client].distribution} {version}" for client, version in versions.items()),
        "server": f"streams of {arguments.events} content events, {arguments.burst} in one write",
        "counted": f"the repeat with the least CPU time of {arguments.repeats}, {arguments.seconds:g} s each",
    }


def write_markdown(file: Path, facts: Mapping[str, str], tables: list[Table]) -> None:
    """Write facts and tables, for the documentation to show."""
    listed = "\n".join(f"- {name}: {fact}" for name, fact in facts.items())
    shown = "\n\n".join(table.markdown() for table in tables)
    file.write_text(f"Measured by `benchmarks/overhead.py`.\n\n{listed}\n\n{shown}\n")


def write_json(
    file: Path, facts: Mapping[str, str], measurements: Measurements, imports: Mapping[str, ImportCost]
) -> None:
    """Write every repeat of every case; times in seconds, memory in bytes."""
    written = {
        "facts": facts,
        "cases": [
            {**asdict(case), "repeats": [asdict(cost) for cost in costs]}
            for case, costs in measurements.repeats.items()
        ],
        "failures": [{**asdict(case), "reason": reason} for case, reason in measurements.failures.items()],
        "imports": {statement: asdict(cost) for statement, cost in imports.items()},
    }
    file.write_text(json.dumps(written, indent=1) + "\n")


def main() -> None:
    """Prepare, measure, report."""
    arguments = parse_arguments()
    peers = [client for client in arguments.only if CLIENTS[client].peer]
    peer_python = _peers.prepare(arguments.venv) if peers else Path()
    pythons = {client: peer_python if client in peers else Path(sys.executable) for client in arguments.only}

    imports = import_all(pythons, repeats=3 if arguments.quick else 9)
    measurements = measure_all(arguments, plan(arguments.only, arguments.loops, quick=arguments.quick), pythons)

    costs = measurements.best()
    tables = [
        table for loop in arguments.loops for table in loop_tables(loop, costs, measurements.failures, arguments.events)
    ]
    tables.append(import_table(imports))
    if "liter" in arguments.only:
        tables.extend(bars_table(loop, costs) for loop in arguments.loops)
    facts = machine_facts(arguments, pythons)

    show(tables)
    for name, fact in facts.items():
        print(f"{name}: {fact}")
    if arguments.markdown:
        write_markdown(arguments.markdown, facts, tables)
    if arguments.json:
        write_json(arguments.json, facts, measurements, imports)


if __name__ == "__main__":
    main()

"""Runs the server and the clients as processes and collects what they cost."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

_HERE = Path(__file__).parent

# A client that is this slow is broken.
_PATIENCE = 180.0

_IMPORT = (
    "{}\nimport json, time\nfrom _memory import peak_memory\nprint(json.dumps([time.process_time(), peak_memory()]))"
)

Mode = Literal["unary", "stream"]


@dataclass(frozen=True)
class Case:
    """What is measured: ``in_flight`` calls at a time by one client on one event loop."""

    client: str
    loop: str
    mode: Mode
    in_flight: int

    def describe(self) -> str:
        """Say it in a line."""
        return f"{self.client} on {self.loop}, {self.mode}, {self.in_flight} in flight"


@dataclass(frozen=True)
class Cost:
    """What a call costs: CPU and wall-clock seconds per call over ``calls``, and what it cost to get there.

    :param first: CPU seconds from the process's start to its first reply, the interpreter and all imports included
    :param memory: the process's peak memory, in bytes
    """

    calls: int
    cpu: float
    wall: float
    first: float
    memory: int


@dataclass(frozen=True)
class ImportCost:
    """What an import costs: CPU and wall-clock seconds above the bare interpreter, and peak memory in bytes."""

    cpu: float
    wall: float
    memory: int


class FailedError(Exception):
    """A client process ended badly; the message is the last line it wrote."""


@contextmanager
def serving(events: int, burst: int) -> Iterator[str]:
    """Run the server; give its base URL."""
    command = [sys.executable, _HERE / "_server.py", "--events", str(events), "--burst", str(burst)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        port = int(server.stdout.readline())
        yield f"http://127.0.0.1:{port}/v1"
        server.communicate()  # closes its standard input, at which it ends


def run(python: Path, case: Case, *, seconds: float, events: int, url: str) -> Cost:
    """Measure one case once, in a fresh process.

    :raises FailedError: the client failed, or delivered something else than the server sent
    """
    arguments = [case.client, case.loop, case.mode, str(case.in_flight), str(seconds), str(events), url]
    return Cost(**json.loads(_output([python, _HERE / "_client.py", *arguments])))


def run_import(python: Path, statement: str, *, repeats: int) -> ImportCost:
    """Measure an import: medians of fresh processes with it, minus medians of those without.

    :raises FailedError: it cannot be imported
    """
    bare_cpu, bare_wall, _ = _median_start(python, "", repeats)
    cpu, wall, memory = _median_start(python, statement, repeats)
    return ImportCost(cpu=cpu - bare_cpu, wall=wall - bare_wall, memory=memory)


def _median_start(python: Path, statement: str, repeats: int) -> tuple[float, float, int]:
    command: list[str | Path] = [python, "-c", _IMPORT.format(statement)]
    _output(command)  # compiles the modules, and fills the file cache
    cpus: list[float] = []
    walls: list[float] = []
    memories: list[int] = []
    for _ in range(repeats):
        began = time.perf_counter()
        cpu, memory = json.loads(_output(command))
        walls.append(time.perf_counter() - began)
        cpus.append(cpu)
        memories.append(memory)
    return median(cpus), median(walls), int(median(memories))


def _output(command: list[str | Path]) -> str:
    try:
        finished = subprocess.run(
            command, cwd=_HERE, env=_environment(), capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise FailedError(f"no result after {_PATIENCE:g} s") from None
    if finished.returncode:
        raise FailedError(f"exit status {finished.returncode}: {_last_words(finished.stderr)}")
    return finished.stdout.splitlines()[-1]


def _environment() -> dict[str, str]:
    """No proxy stands between a client and the loopback, and LiteLLM fetches no price list when it is imported."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**kept, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONDONTWRITEBYTECODE": ""}


def _last_words(stderr: str) -> str:
    """Find the line of a traceback, nested in an exception group or not, that says what happened."""
    lines = [line.strip(" |+-") for line in stderr.splitlines()]
    errors = [line for line in lines if "Error: " in line or "Exception: " in line]
    return (errors or lines or ["no output"])[-1][:200]

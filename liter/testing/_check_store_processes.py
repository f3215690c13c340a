"""Two processes on one store: together they pass no limit, and one that is killed leaves whole steps."""

import asyncio
import os
import pickle
import subprocess
import sys

import anyio
import anyio.to_thread

from ..stores import Bucket, Store
from ._check_store_scenarios import DRIP, expect_same
from ._check_store_trial import StoreTrial

_PROGRAM = "from liter.testing._check_store_processes import main; main()"


async def check_processes(trial: StoreTrial, make_store: bytes) -> None:
    """Race two processes for one bucket, then kill one that takes from two.

    :param make_store: pickled
    """
    rivals = [_Rival(make_store, trial.key("a"), trial.key("a"), 40) for _ in range(2)]
    try:
        for rival in rivals:
            await rival.read_line()
        for rival in rivals:
            rival.go()
        granted = [int(await rival.read_line()) for rival in rivals]
    finally:
        for rival in rivals:
            await rival.kill()
    # Each takes from its bucket twice in a step.
    trial.expect(sum(granted) == 50, "50 grants of 2 from a bucket of 100, to processes that race", granted)

    killed = _Rival(make_store, trial.key("b"), trial.key("c"), 90)
    try:
        await killed.read_line()
        killed.go()
        # Its steps take a millisecond or less each; so it is in the middle of them.
        await anyio.sleep(0.01)
    finally:
        await killed.kill()
    await expect_same(trial, trial.key("b"), trial.key("c"))


class _Rival:
    """A process that takes 1 each from two buckets of 100, some times, and prints how often it was granted."""

    def __init__(self, make_store: bytes, one: str, other: str, times: int) -> None:
        self._process = subprocess.Popen(  # noqa: S603 # this interpreter and a program of ours
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self._write(pickle.dumps((make_store, one, other, times)).hex())

    def _write(self, line: str) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    def go(self) -> None:
        self._write("go")

    async def read_line(self) -> str:
        stdout = self._process.stdout
        return "" if stdout is None else (await anyio.to_thread.run_sync(stdout.readline)).decode()

    async def kill(self) -> None:
        self._process.kill()
        await anyio.to_thread.run_sync(self._process.communicate)


def main() -> None:
    """Run as a rival: the arguments come as a line of hexadecimal digits, from the process that started this one."""
    make_store, one, other, times = pickle.loads(bytes.fromhex(sys.stdin.readline()))  # noqa: S301 # our parent's
    store: Store = pickle.loads(make_store)()  # noqa: S301
    asyncio.run(_take(store, one, other, times))


async def _take(store: Store, one: str, other: str, times: int) -> None:
    await store.get(one)
    _print("ready")
    await anyio.to_thread.run_sync(sys.stdin.readline)
    granted = 0
    for _ in range(times):
        taken = await store.take([Bucket(key=key, capacity=100, refill=DRIP, amount=1) for key in (one, other)])
        granted += taken.granted
    await store.aclose()
    _print(str(granted))


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()

"""Two processes on one store: together they pass no limit, and one that is killed leaves whole steps."""

import asyncio
import os
import pickle
import subprocess
import sys

import anyio
import anyio.to_thread

from ..stores import Account, Bucket, Store
from ._check_store_accounts import expect_same_balances
from ._check_store_scenarios import DRIP, expect_same
from ._check_store_trial import StoreTrial

_PROGRAM = "from liter.testing._check_store_processes import main; main()"


async def check_processes(trial: StoreTrial, make_store: bytes) -> None:
    """Race two processes for one bucket and for one account, then kill one that takes from two.

    :param make_store: pickled
    """
    granted = await _race(trial, make_store, "a", "a", "take", times=40)
    # Each takes from its bucket twice in a step.
    trial.expect(sum(granted) == 50, "50 grants of 2 from a bucket of 100, to processes that race", granted)
    await _kill(trial, make_store, "b", "c", "take")
    await expect_same(trial, trial.key("b"), trial.key("c"))

    granted = await _race(trial, make_store, "d", "e", "spend", times=80)
    both = [trial.key("d"), trial.key("e")]
    trial.expect(sum(granted) == 100, "100 reservations of 1 of a limit of 100, to processes that race", granted)
    spent = (await trial.store.balances(both))[0]
    trial.expect((spent.spent, spent.reserved) == (100, 0), "100 spent, and nothing reserved", spent)
    await expect_same_balances(trial, both, "the same spent on both accounts")
    await _kill(trial, make_store, "f", "g", "spend")
    await expect_same_balances(trial, [trial.key("f"), trial.key("g")], "a whole step or none")


async def _race(trial: StoreTrial, make_store: bytes, one: str, other: str, what: str, times: int) -> list[int]:
    rivals = [_Rival(make_store, trial.key(one), trial.key(other), what, times) for _ in range(2)]
    try:
        for rival in rivals:
            await rival.read_line()
        for rival in rivals:
            rival.go()
        return [int(await rival.read_line()) for rival in rivals]
    finally:
        for rival in rivals:
            await rival.kill()


async def _kill(trial: StoreTrial, make_store: bytes, one: str, other: str, what: str) -> None:
    killed = _Rival(make_store, trial.key(one), trial.key(other), what, 90)
    try:
        await killed.read_line()
        killed.go()
        # Its steps take a millisecond or less each; so it is in the middle of them.
        await anyio.sleep(0.01)
    finally:
        await killed.kill()


class _Rival:
    """A process that takes (or spends) 1 each from two buckets (or accounts) of 100, and prints how often it could."""

    def __init__(self, make_store: bytes, one: str, other: str, what: str, times: int) -> None:
        self._process = subprocess.Popen(  # noqa: S603 # this interpreter and a program of ours
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self._write(pickle.dumps((make_store, one, other, what, times)).hex())

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
    make_store, one, other, what, times = pickle.loads(bytes.fromhex(sys.stdin.readline()))  # noqa: S301 # our parent's
    store: Store = pickle.loads(make_store)()  # noqa: S301 # as above
    asyncio.run(_work(store, one, other, what, times))


async def _work(store: Store, one: str, other: str, what: str, times: int) -> None:
    await store.get(one)
    _print("ready")
    await anyio.to_thread.run_sync(sys.stdin.readline)
    granted = 0
    step = _take if what == "take" else _spend
    for number in range(times):
        granted += await step(store, one, other, number)
    await store.aclose()
    _print(str(granted))


async def _take(store: Store, one: str, other: str, number: int) -> bool:
    buckets = [Bucket(key=key, capacity=100, refill=DRIP, amount=1) for key in (one, other)]
    return (await store.take(buckets)).granted


async def _spend(store: Store, one: str, other: str, number: int) -> bool:
    name = f"{one} {os.getpid()} {number}"
    accounts = [Account(key=key, limit=100, amount=1, ttl=60) for key in (one, other)]
    reserved = await store.reserve(name, accounts, lease=60)
    return reserved.granted and await store.settle(name, [one, other], 1) is not None


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()

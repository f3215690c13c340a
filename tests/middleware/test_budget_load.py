"""A budget under load: nothing is overspent at any moment, and at the end not a picodollar is missing."""

import os
import pickle
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
import pytest

from liter.middleware import Budget
from liter.stores import (
    Account,
    Balance,
    LedgerRow,
    MemoryStore,
    RedisStore,
    Reserved,
    SqliteLedger,
    SqliteStore,
    Store,
)

from .._free_port import free_port
from ._budget_load import PRICES, TENANTS, Load, Seen, limits, run_load

# Four processes, asyncio and Trio mixed.
BACKENDS = ("asyncio", "trio", "asyncio", "trio")


class Rows:
    """A ledger in memory."""

    def __init__(self) -> None:
        self.rows: list[LedgerRow] = []

    async def append(self, rows: list[LedgerRow], *, wait: bool = True) -> None:
        self.rows += rows

    async def flush(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


class Watched(MemoryStore):
    """Looks at the invariant after each step: no account above its limit."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: dict[str, int] = {}
        self.steps = 0

    async def reserve(self, name: str, accounts: list[Account], *, lease: float) -> Reserved:
        self.limits.update({account.key: account.limit for account in accounts})
        answer = await super().reserve(name, accounts, lease=lease)
        self.check()
        return answer

    async def settle(self, name: str, keys: list[str], amount: int) -> list[Balance] | None:
        balances = await super().settle(name, keys, amount)
        self.check()
        return balances

    def check(self) -> None:
        self.steps += 1
        for key, kept in self._accounts._accounts.items():
            assert kept.spent + kept.reserved <= self.limits[key]
            assert kept.reserved >= 0


async def check_end(load: Load, store: Store, rows: list[LedgerRow]) -> None:
    """Nothing is reserved, and what is spent is the sum of the ledger, for each account."""
    budget = Budget(*limits(load.limit), prices=PRICES, store=store)
    for tenant in TENANTS:
        everybody, mine = await budget.status(tags={"tenant": tenant})
        assert (everybody.reserved, mine.reserved) == (0, 0)
        for status, chosen in ((everybody, rows), (mine, [row for row in rows if row.tags["tenant"] == tenant])):
            total = sum(row.cost for row in chosen)
            assert int(status.spent.scaleb(12)) == total
            assert status.spent <= status.amount or load.mode == "estimate"


@pytest.mark.anyio
@pytest.mark.parametrize(("mode", "calls"), [("hard", 10_000), ("estimate", 1000)])
async def test_ten_thousand_calls_at_once_in_memory(mode: str, calls: int) -> None:
    """All at one moment, with faults, retries, hedges, streams and cancellations."""
    load = Load(calls=calls, limit=calls * Decimal("0.0006"), seed=1, mode=mode)
    store = Watched() if mode == "hard" else MemoryStore()
    ledger = Rows()
    seen = await run_load(load, store, ledger)
    await check_end(load, store, ledger.rows)
    assert seen.served + seen.refused + seen.failed + seen.cancelled == load.calls
    assert min(seen.served, seen.refused, seen.failed, seen.cancelled) > 10
    assert mode == "estimate" or seen.overspent == 0
    assert len({row.outcome for row in ledger.rows}) >= 5


@pytest.mark.anyio
async def test_an_estimate_leaves_no_more_than_a_twentieth_unused() -> None:
    """With a limit that is far too small for what is asked, at least 95 % of it are spent, and it is not passed."""
    load = Load(calls=2000, limit=Decimal("0.4"), seed=2, mode="estimate", at_once=20, faults=False)
    store, ledger = MemoryStore(), Rows()
    seen = await run_load(load, store, ledger)
    await check_end(load, store, ledger.rows)
    [everybody] = await Budget(*limits(load.limit), prices=PRICES, store=store).status()
    assert seen.refused > 300
    assert Decimal("0.95") * load.limit <= everybody.spent <= Decimal("1.05") * load.limit


def run_processes(load: Load, make_store: Callable[[], Store], path: Path) -> list[Seen]:
    """Run the load in four processes at once, with one store and one ledger."""
    started = []
    for number, backend in enumerate(BACKENDS):
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("_budget_load.py")), backend],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        mine = msgspec.structs.replace(load, calls=load.calls // 4, seed=load.seed + number, at_once=100)
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(mine).decode() + "\n")
        process.stdin.write(pickle.dumps((make_store, partial(SqliteLedger, path, timeout=60))).hex() + "\n")
        process.stdin.flush()
        started.append(process)
    return [msgspec.json.decode(process.communicate(timeout=600)[0], type=Seen) for process in started]


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A server of the test's own."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.01)
        yield f"redis://127.0.0.1:{port}/0"
        process.kill()


@pytest.fixture(params=["sqlite", "redis"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Makes a store that processes can share."""
    if request.param == "sqlite":
        return partial(SqliteStore, tmp_path / "store.db", timeout=60)
    return partial(RedisStore, request.getfixturevalue("redis_url"), timeout=30)


@pytest.mark.realtime
@pytest.mark.parametrize("calls", [200, pytest.param(10_000, marks=[pytest.mark.load, pytest.mark.timeout(900)])])
def test_four_processes_do_not_overspend_together(make_store: Callable[[], Store], calls: int, tmp_path: Path) -> None:
    """Neither at any moment that somebody looks, nor after any step, nor at the end."""
    load = Load(calls=calls, limit=calls * Decimal("0.0005"), seed=3)
    path = tmp_path / "store.db"
    if make_store.func is SqliteStore:
        _watch_file(make_store, path, load.limit)
    seen = run_processes(load, make_store, tmp_path / "ledger.db")
    assert sum(each.served + each.refused + each.failed + each.cancelled for each in seen) == calls
    assert sum(each.refused for each in seen) > calls / 20
    assert sum(each.served for each in seen) > calls / 20
    assert sum(each.samples for each in seen) > calls / 5
    assert sum(each.overspent for each in seen) == 0
    rows = list(SqliteLedger(tmp_path / "ledger.db").read())

    async def check() -> None:
        store = make_store()
        await check_end(load, store, rows)
        await store.aclose()

    anyio.run(check)
    if make_store.func is SqliteStore:
        connection = sqlite3.connect(path)
        assert connection.execute("SELECT count(*) FROM overspent").fetchone() == (0,)
        connection.close()


def _watch_file(make_store: Callable[[], Store], path: Path, limit: Decimal) -> None:
    """Have the file itself write down when a limit is passed."""

    async def make() -> None:
        store = make_store()
        await store.balances(["any"])
        await store.aclose()

    anyio.run(make)
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE overspent (key TEXT, spent INTEGER, reserved INTEGER);"
        "CREATE TABLE most (amount INTEGER);"
        "CREATE TRIGGER watch AFTER UPDATE ON accounts WHEN new.reserved < 0 OR new.spent + new.reserved > "
        "(SELECT amount FROM most) / CASE WHEN new.key LIKE '%:lifetime:%' THEN 1 ELSE 2 END "
        "BEGIN INSERT INTO overspent VALUES (new.key, new.spent, new.reserved); END;"
    )
    connection.execute("INSERT INTO most VALUES (?)", (int(limit.scaleb(12)),))
    connection.commit()
    connection.close()

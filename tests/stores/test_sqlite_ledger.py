"""The ledger in a file: nothing that was acknowledged is lost, and many calls share one wait for the disk."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from liter.stores import LedgerRow, SqliteLedger, StoreError

pytestmark = [pytest.mark.realtime, pytest.mark.anyio]


def row(call: str = "a", time: float = 1e9, **fields: object) -> LedgerRow:
    told = {"attempt": 1, "operation": "chat", "provider": "openai", "model": "gpt", **fields}
    return LedgerRow(time=time, call=call, **told)


class Counted(SqliteLedger):
    """Counts its transactions, and may fail."""

    writes = 0
    failing = False

    def write(self, rows: list[LedgerRow]) -> None:
        if self.failing:
            raise StoreError("out of order")
        self.writes += 1
        super().write(rows)


async def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    """In the order of their time, within a stretch of it."""
    ledger = SqliteLedger(tmp_path / "ledger.db")
    rows = [
        row("b", 3e9, tags={"tenant": "ü"}, tokens={"text_input": 5}, cost=2**62, estimated=True, usage="{}"),
        row("a", 1e9, outcome="cancelled", seconds=0.5),
        row("c", 2e9, status=500, request_id="r", source="computed", price_version="v"),
    ]
    await ledger.append(rows)
    assert list(ledger.read()) == sorted(rows, key=lambda one: one.time)
    assert [one.call for one in ledger.read(since=2e9, until=3e9)] == ["c"]
    await ledger.aclose()
    assert len(list(SqliteLedger(tmp_path / "ledger.db").read())) == 3


async def test_calls_at_once_share_transactions(tmp_path: Path) -> None:
    """A thousand calls wait for a few writes, and each row is there once."""
    ledger = Counted(tmp_path / "ledger.db")
    async with anyio.create_task_group() as tasks:
        for number in range(1000):
            tasks.start_soon(ledger.append, [row(str(number))])
    assert ledger.writes <= 3
    assert sorted(int(one.call) for one in ledger.read()) == list(range(1000))
    await ledger.aclose()


async def test_who_does_not_wait_is_written_with_others(tmp_path: Path) -> None:
    """Nothing is written for it alone, until there is enough, it is old, or one asks for it."""
    ledger = Counted(tmp_path / "ledger.db")
    await ledger.append([row("first")], wait=False)
    await ledger.append([row("second")], wait=False)
    assert ledger.writes == 0
    await ledger.append([row("third")])
    assert [one.call for one in ledger.read()] == ["first", "second", "third"]
    await ledger.append([row(str(number)) for number in range(1000)], wait=False)
    assert ledger.writes == 2
    await ledger.append([row("late")], wait=False)
    await anyio.sleep(1.1)
    await ledger.append([row("later")], wait=False)
    assert ledger.writes == 3
    await ledger.append([row("last")], wait=False)
    await ledger.aclose()
    assert len(list(ledger.read())) == 1006
    with pytest.raises(StoreError, match="closed"):
        await ledger.append([row()])


async def test_cancelled_callers_leave_their_rows_and_the_line_goes_on(tmp_path: Path) -> None:
    """Whoever leaves while it waits, or in the moment it is its turn, holds nobody up."""
    ledger = SqliteLedger(tmp_path / "ledger.db")

    async def leave(number: int) -> None:
        with anyio.move_on_after(0.0005 * (number % 5)):
            await ledger.append([row(str(number))])

    with anyio.fail_after(20):
        for _ in range(5):
            async with anyio.create_task_group() as tasks:
                for number in range(50):
                    tasks.start_soon(leave, number)
                for number in range(50, 60):
                    tasks.start_soon(ledger.append, [row(str(number))])
        await ledger.aclose()
    written = [int(one.call) for one in ledger.read()]
    assert all(written.count(number) <= 5 for number in range(60))
    assert all(written.count(number) == 5 for number in range(50, 60))


async def test_rows_that_cannot_be_written_are_written_with_the_next(tmp_path: Path) -> None:
    """Those who waited are told, and nothing is lost or doubled."""
    ledger = Counted(tmp_path / "ledger.db")
    ledger.failing = True
    for call in ("a", "b"):
        with pytest.raises(StoreError, match="out of order"):
            await ledger.append([row(call)])
    ledger.failing = False
    await ledger.append([row("c")])
    assert [one.call for one in ledger.read()] == ["a", "b", "c"]
    await ledger.aclose()


async def test_loops_and_threads_share_a_ledger(tmp_path: Path) -> None:
    """Each has its own line, and all rows are there."""
    ledger = SqliteLedger(tmp_path / "ledger.db")

    async def work() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(ledger.append, [row()])

    threads = [threading.Thread(target=asyncio.run, args=(work(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    await work()
    for thread in threads:
        await anyio.to_thread.run_sync(thread.join)
    await ledger.aclose()
    assert len(list(ledger.read())) == 200


PROGRAM = """
import sys, anyio
from liter.stores import LedgerRow, SqliteLedger

async def main():
    ledger = SqliteLedger(sys.argv[1])
    async def work(worker):
        for number in range(10_000):
            call = f"{worker} {number}"
            row = LedgerRow(time=1e9, call=call, attempt=1, operation="chat", provider="p", model="m")
            await ledger.append([row])
            sys.stdout.write(call + "\\n")
            sys.stdout.flush()
    async with anyio.create_task_group() as tasks:
        for worker in range(20):
            tasks.start_soon(work, worker)

anyio.run(main)
"""


def test_a_process_that_is_killed_has_lost_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Each row that a call had returned for is there after kill -9, whole."""
    path = tmp_path / "ledger.db"
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(300)]
    process.kill()
    told += [line.strip() for line in process.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]
    written = {one.call for one in SqliteLedger(path).read()}
    assert set(told) <= written
    assert len(written) <= len(told) + 20


async def test_rows_cannot_be_changed(tmp_path: Path) -> None:
    """The file itself refuses; rows of the past can be deleted."""
    ledger = SqliteLedger(tmp_path / "ledger.db")
    await ledger.append([row()])
    await ledger.aclose()
    connection = sqlite3.connect(tmp_path / "ledger.db")
    with pytest.raises(sqlite3.IntegrityError, match="only added to"):
        connection.execute("UPDATE attempts SET cost = 0")
    assert connection.execute("DELETE FROM attempts").rowcount == 1
    connection.close()


async def test_other_files_are_left_alone(tmp_path: Path) -> None:
    """A database of something else is not written to, nor read."""
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE mine (x)")
    connection.commit()
    connection.close()
    ledger = SqliteLedger(tmp_path / "other.db")
    with pytest.raises(StoreError, match="is no ledger"):
        await ledger.append([row()])
    with pytest.raises(StoreError, match="is no ledger"):
        list(ledger.read())
    with pytest.raises(StoreError, match="unable to open"):
        list(SqliteLedger(tmp_path / "none.db").read())
    with pytest.raises(ValueError, match="path must be a file"):
        SqliteLedger(tmp_path)
    with pytest.raises(ValueError, match="timeout must be"):
        SqliteLedger(tmp_path / "a.db", timeout=0)

"""The store of one machine: a SQLite file, which any number of processes may have open."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import anyio
import anyio.to_thread

from .._loop import EventLoop
from .._number import is_number
from . import _gcra, _sqlite_accounts
from ._account import Account, Balance, Reserved, check_accounts, check_keys, check_lease, check_settled
from ._memory import ENTRY_OVERHEAD, MEBIBYTE
from ._store import Bucket, StoreError, Taken

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")

# Told from other applications' files by it: "litr".
_APPLICATION_ID = 0x6C697472

# What is kept is counted by triggers, so that no statement can forget to.
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS buckets (key TEXT PRIMARY KEY, full_at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS buckets_by_full_at ON buckets (full_at);
CREATE TABLE IF NOT EXISTS kept (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, expires REAL NOT NULL, used INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS kept_by_expires ON kept (expires);
CREATE INDEX IF NOT EXISTS kept_by_used ON kept (used);
CREATE TABLE IF NOT EXISTS size (id INTEGER PRIMARY KEY CHECK (id = 1), bytes INTEGER NOT NULL);
INSERT OR IGNORE INTO size VALUES (1, 0);
CREATE TRIGGER IF NOT EXISTS bucket_added AFTER INSERT ON buckets BEGIN
    UPDATE size SET bytes = bytes + {ENTRY_OVERHEAD} + length(new.key);
END;
CREATE TRIGGER IF NOT EXISTS bucket_gone AFTER DELETE ON buckets BEGIN
    UPDATE size SET bytes = bytes - {ENTRY_OVERHEAD} - length(old.key);
END;
CREATE TRIGGER IF NOT EXISTS kept_added AFTER INSERT ON kept BEGIN
    UPDATE size SET bytes = bytes + {ENTRY_OVERHEAD} + length(new.key) + length(new.value);
END;
CREATE TRIGGER IF NOT EXISTS kept_gone AFTER DELETE ON kept BEGIN
    UPDATE size SET bytes = bytes - {ENTRY_OVERHEAD} - length(old.key) - length(old.value);
END;
{_sqlite_accounts.schema(ENTRY_OVERHEAD)}
PRAGMA application_id = {_APPLICATION_ID};
"""  # noqa: S608 # constants of ours

# Each step that adds an entry deletes up to this many that are over, so they are never more than
# those that are not, for long.
_SWEPT = 4


class SqliteStore:
    """Keeps everything in a file: for the processes of one machine, and across their restarts.

    Each step is one transaction, in a worker thread. A process that is killed, or a caller that is cancelled,
    leaves a whole step or none. After a loss of power the last steps may be missing (WAL, ``synchronous=NORMAL``).
    Time is the machine's wall clock, so it is not for tests in virtual time; use ``MemoryStore`` there. Not for
    files on a network share, whose locks are not to be trusted; use ``RedisStore`` for several machines.

    The size of what is kept is bounded as in ``MemoryStore``. Room in the file is used again, not given back.

    :param path: the file, made when it is missing, with two more beside it (``-wal`` and ``-shm``)
    :param max_bytes: the most to keep, in bytes; 256 MiB by default
    :param timeout: seconds to wait for the other processes' steps; 5 by default. Then it is a ``StoreError``
    """

    def __init__(self, path: str | os.PathLike[str], *, max_bytes: int = 256 * MEBIBYTE, timeout: float = 5.0) -> None:
        if not isinstance(cast("object", path), str | os.PathLike):
            raise ValueError(f"path must be that of a file, as 'state.db', not {path!r}")
        self._path = Path(path).absolute()
        if str(path) == ":memory:" or str(path).startswith("file:"):
            raise ValueError(f"path must be that of a file, not {str(path)!r}; for memory use MemoryStore")
        if self._path.is_dir() or not self._path.parent.is_dir():
            raise ValueError(f"path must be a file in a directory that exists, not {str(path)!r}")
        if not (is_number(max_bytes) and max_bytes >= ENTRY_OVERHEAD):
            raise ValueError(f"max_bytes must have room for one entry of {ENTRY_OVERHEAD} bytes, not {max_bytes!r}")
        if not (is_number(timeout) and 0 < timeout <= 3600):
            raise ValueError(f"timeout must be above 0 and at most 3600 seconds, not {timeout!r}")
        self._max_bytes = max_bytes
        self._timeout = timeout
        # SQLite writes one transaction at a time anyway. The lock is for other loops' threads; one loop's
        # callers queue at the limiter, where they hold no thread.
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._limiters: weakref.WeakKeyDictionary[EventLoop, anyio.CapacityLimiter] = weakref.WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._path)!r}{', closed' if self._closed else ''})"

    async def take(self, buckets: Sequence[Bucket]) -> Taken:
        """Take from all buckets, or from none: see :meth:`Store.take`."""
        _gcra.check_buckets(buckets, taken=True)

        def step(connection: sqlite3.Connection) -> Taken:
            now = time.time()
            taken, changed = _gcra.take(buckets, _full_at(connection, buckets), now)
            self._keep_buckets(connection, changed, now)
            return taken

        return await self._run(step)

    async def adjust(self, buckets: Sequence[Bucket]) -> None:
        """Give back, or take into debt: see :meth:`Store.adjust`."""
        _gcra.check_buckets(buckets, taken=False)

        def step(connection: sqlite3.Connection) -> None:
            now = time.time()
            self._keep_buckets(connection, _gcra.adjust(buckets, _full_at(connection, buckets), now), now)

        await self._run(step)

    async def get(self, key: str) -> bytes | None:
        """Return what is kept under ``key``, or ``None``."""
        return await self._run(lambda connection: _get(connection, key, time.time()))

    async def put(self, key: str, value: bytes, *, ttl: float) -> None:
        """Keep ``value`` for ``ttl`` seconds. One that alone is more than ``max_bytes`` is not kept."""
        _gcra.check_ttl(ttl)
        await self._run(lambda connection: self._put(connection, key, value, ttl, time.time()))

    async def swap(self, key: str, expected: bytes | None, value: bytes | None, *, ttl: float) -> bool:
        """Replace ``expected`` by ``value``, if it is what is kept now: see :meth:`Store.swap`."""
        _gcra.check_ttl(ttl)

        def step(connection: sqlite3.Connection) -> bool:
            now = time.time()
            if _get(connection, key, now) != expected:
                return False
            if value is None:
                connection.execute("DELETE FROM kept WHERE key = ?", (key,))
            else:
                self._put(connection, key, value, ttl, now)
            return True

        return await self._run(step)

    async def delete(self, key: str) -> None:
        """Forget ``key``."""
        await self._run(lambda connection: connection.execute("DELETE FROM kept WHERE key = ?", (key,)).rowcount)

    async def reserve(self, name: str, accounts: Sequence[Account], *, lease: float) -> Reserved:
        """Reserve on all accounts, or on none: see :meth:`Store.reserve`."""
        check_accounts(accounts, lease)

        def step(connection: sqlite3.Connection) -> Reserved:
            now = time.time()
            answer = _sqlite_accounts.reserve(connection, name, accounts, lease, now)
            if answer.granted:
                self._make_room(connection, now)
                if self._is_too_much(connection):
                    raise StoreError(f"no room for more accounts within max_bytes={self._max_bytes}")
            return answer

        return await self._run(step)

    async def settle(self, name: str, keys: Sequence[str], amount: int) -> list[Balance] | None:
        """Turn what was reserved into what was spent: see :meth:`Store.settle`."""
        check_keys(keys)
        check_settled(amount)
        return await self._run(lambda connection: _sqlite_accounts.settle(connection, name, keys, amount, time.time()))

    async def renew(self, name: str, keys: Sequence[str], *, lease: float) -> bool:
        """Hold a reservation for longer: see :meth:`Store.renew`."""
        check_keys(keys)
        check_lease(lease)
        return await self._run(lambda connection: _sqlite_accounts.renew(connection, name, keys, lease, time.time()))

    async def balances(self, keys: Sequence[str]) -> list[Balance]:
        """Return what is on accounts: see :meth:`Store.balances`."""
        return await self._run(lambda connection: _sqlite_accounts.balances(connection, keys, time.time()))

    async def reset(self, keys: Sequence[str]) -> None:
        """Forget what was spent: see :meth:`Store.reset`."""
        await self._run(lambda connection: _sqlite_accounts.reset(connection, keys, time.time()))

    async def aclose(self) -> None:
        """Close the file. Other methods then raise ``StoreError``."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._close)

    def _close(self) -> None:
        with self._lock:
            self._closed = True
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    async def _run(self, step: Callable[[sqlite3.Connection], T]) -> T:
        loop = EventLoop.current()
        limiter = self._limiters.get(loop)
        if limiter is None:
            limiter = self._limiters[loop] = anyio.CapacityLimiter(1)
        # A cancelled caller does not wait for the thread, whose transaction is then finished all the same.
        return await anyio.to_thread.run_sync(self._run_in_thread, step, abandon_on_cancel=True, limiter=limiter)

    def _run_in_thread(self, step: Callable[[sqlite3.Connection], T]) -> T:
        import sqlite3  # not before it is used: most have no such store

        with self._lock:
            if self._closed:
                raise StoreError("the store is closed")
            try:
                if self._connection is None:
                    self._connection = self._open()
                with _transaction(self._connection):
                    return step(self._connection)
            except (sqlite3.Error, OverflowError) as error:
                raise StoreError(f"{self._path}: {error}") from error

    def _open(self) -> sqlite3.Connection:
        import sqlite3

        connection = sqlite3.connect(self._path, timeout=self._timeout, isolation_level=None, check_same_thread=False)
        try:
            # Both at one moment: another process may be making the file.
            connection.execute("BEGIN")
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            connection.execute("COMMIT")
            if application != _APPLICATION_ID and tables:
                raise StoreError(f"{self._path} is a database of another application")
            self._use_wal(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        except BaseException:
            connection.close()
            raise
        return connection

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        import sqlite3

        # SQLite does not wait for the lock that this takes when two processes make a file at once.
        until = time.monotonic() + self._timeout
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)
            else:
                return

    def _put(self, connection: sqlite3.Connection, key: str, value: bytes, ttl: float, now: float) -> None:
        connection.execute("DELETE FROM kept WHERE key = ?", (key,))
        connection.execute(
            "INSERT INTO kept SELECT ?, ?, ?, coalesce(max(used), 0) + 1 FROM kept", (key, value, now + ttl)
        )
        self._make_room(connection, now)

    def _keep_buckets(self, connection: sqlite3.Connection, changed: dict[str, float], now: float) -> None:
        for key, full_at in changed.items():
            connection.execute(
                "INSERT INTO buckets VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET full_at = excluded.full_at",
                (key, full_at),
            )
        if changed:
            self._make_room(connection, now)

    def _make_room(self, connection: sqlite3.Connection, now: float) -> None:
        connection.execute(
            "DELETE FROM kept WHERE key IN (SELECT key FROM kept WHERE expires <= ? ORDER BY expires LIMIT ?)",
            (now, _SWEPT),
        )
        connection.execute(
            "DELETE FROM buckets WHERE key IN (SELECT key FROM buckets WHERE full_at <= ? ORDER BY full_at LIMIT ?)",
            (now, _SWEPT),
        )
        _sqlite_accounts.forget(connection, now, _SWEPT)
        while self._is_too_much(connection):
            if connection.execute("DELETE FROM kept WHERE key = (SELECT key FROM kept ORDER BY used LIMIT 1)").rowcount:
                continue
            oldest = "DELETE FROM buckets WHERE key = (SELECT key FROM buckets ORDER BY full_at LIMIT 1)"
            if not connection.execute(oldest).rowcount:
                return  # the rest are accounts

    def _is_too_much(self, connection: sqlite3.Connection) -> bool:
        size: int = connection.execute("SELECT bytes FROM size").fetchone()[0]
        return size > self._max_bytes


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None]:
    # IMMEDIATE: a transaction that first reads and then wants to write may be refused, however long it waits.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _full_at(connection: sqlite3.Connection, buckets: Sequence[Bucket]) -> dict[str, float]:
    found: dict[str, float] = {}
    for bucket in buckets:
        row: tuple[float] | None = connection.execute(
            "SELECT full_at FROM buckets WHERE key = ?", (bucket.key,)
        ).fetchone()
        if row is not None:
            found[bucket.key] = row[0]
    return found


def _get(connection: sqlite3.Connection, key: str, now: float) -> bytes | None:
    row: tuple[bytes] | None = connection.execute(
        "SELECT value FROM kept WHERE key = ? AND expires > ?", (key, now)
    ).fetchone()
    if row is None:
        return None
    connection.execute("UPDATE kept SET used = (SELECT max(used) + 1 FROM kept) WHERE key = ?", (key,))
    return row[0]

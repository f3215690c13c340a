"""The ledger in a file: many calls share one transaction, and one wait for the disk.

There is no task of its own. A call that finds nobody writing writes what is in line, its own rows included, in a
worker thread; calls that come meanwhile stand in line, and when it is done, the first of them writes the next lot. So
each waits for two writes at most, however many calls there are.
"""

import logging
import os
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import msgspec

from .._loop import EventLoop
from ._ledger import LedgerRow
from ._store import StoreError

if TYPE_CHECKING:
    import sqlite3

_log = logging.getLogger("liter.ledger")

# Told from other applications' files by it: "litl".
_APPLICATION_ID = 0x6C69746C

_COLUMNS = LedgerRow.__struct_fields__

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS attempts (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, call TEXT NOT NULL, attempt INTEGER NOT NULL, operation TEXT NOT NULL,
    provider TEXT NOT NULL, model TEXT NOT NULL, tags TEXT NOT NULL, outcome TEXT NOT NULL, status INTEGER,
    request_id TEXT, seconds REAL, waited REAL NOT NULL, cost INTEGER, estimated INTEGER NOT NULL, source TEXT,
    price_version TEXT, prompt_tokens INTEGER, completion_tokens INTEGER, tokens TEXT NOT NULL, usage TEXT
);
CREATE INDEX IF NOT EXISTS attempts_by_time ON attempts (time);
CREATE TRIGGER IF NOT EXISTS attempts_stay BEFORE UPDATE ON attempts BEGIN
    SELECT raise(ABORT, 'a ledger is only added to');
END;
PRAGMA application_id = {_APPLICATION_ID};
"""

_INSERT = f"INSERT INTO attempts ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608 # our fields
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM attempts WHERE time >= ? AND time < ? ORDER BY time, id"  # noqa: S608 # our fields

# Rows that were not waited for are written when there are this many of them, or the first is this old (seconds).
_LOT = 1000
_AGE = 1.0

# Rows that may be in line; who adds more without waiting, waits. Of what cannot be written, so many are kept.
_MOST_IN_LINE = 10_000


class SqliteLedger:
    """Keeps the ledger in a file: for the processes of one machine. Nothing but SQL is needed to read it.

    ``append`` returns when its rows are on the disk (WAL, ``synchronous=FULL``), so that neither a crash of the process
    nor a loss of power loses what a call that has returned cost. Calls at the same time share one transaction. With
    ``wait=False`` it returns at once: the rows are written with those of a later call, 1000 rows or a second later, or
    by ``flush`` and ``aclose``; a crash loses them. Rows that cannot be written are tried again with the next ones, up
    to 10,000; those who waited for them get a ``StoreError`` now.

    The table is ``attempts``, a row for each attempt, with the fields of :class:`LedgerRow`; ``tags`` and ``tokens``
    are JSON. Rows cannot be changed; delete those of the past as you like.

    :param path: the file, made when it is missing, with two more beside it (``-wal`` and ``-shm``)
    :param timeout: seconds to wait for the other processes' writes; 5 by default. Then it is a ``StoreError``
    """

    def __init__(self, path: str | os.PathLike[str], *, timeout: float = 5.0) -> None:
        self._path = Path(path).absolute()
        if self._path.is_dir() or not self._path.parent.is_dir():
            raise ValueError(f"path must be a file in a directory that exists, not {str(path)!r}")
        if not 0 < timeout <= 3600:
            raise ValueError(f"timeout must be above 0 and at most 3600 seconds, not {timeout}")
        self._timeout = timeout
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._lines: weakref.WeakKeyDictionary[EventLoop, _Line] = weakref.WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._path)!r}{', closed' if self._closed else ''})"

    async def append(self, rows: Sequence[LedgerRow], *, wait: bool = True) -> None:
        """Add rows. Returns when they would survive a crash; with ``wait=False`` when they will be written soon."""
        if self._closed:
            raise StoreError("the ledger is closed")
        await self._line().add(list(rows), wait=wait)

    async def flush(self) -> None:
        """Write what was not waited for, in this event loop."""
        await self._line().add([], wait=True)

    async def aclose(self) -> None:
        """Flush, and close the file. Other methods then raise ``StoreError``."""
        try:
            if not self._closed:
                await self.flush()
        finally:
            self._closed = True
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._close)

    def read(self, *, since: float | None = None, until: float | None = None) -> Iterator[LedgerRow]:
        """Read rows in the order of their time, from ``since`` up to ``until`` (seconds since 1970). It blocks.

        :raises StoreError: the file is missing, or is no ledger
        """
        import sqlite3

        try:
            connection = sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, timeout=self._timeout)
            try:
                _check_application(connection, self._path, may_be_new=False)
                span = (-1e300 if since is None else since, 1e300 if until is None else until)
                for values in connection.execute(_SELECT, span):
                    yield _row(values)
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error

    def _line(self) -> "_Line":
        loop = EventLoop.current()
        line = self._lines.get(loop)
        if line is None:
            line = self._lines[loop] = _Line(self)
        return line

    def write(self, rows: list[LedgerRow]) -> None:
        """Write rows in one transaction. It blocks: call it in a worker thread.

        :raises StoreError: none of them is written
        """
        import sqlite3

        with self._lock:
            if self._closed:
                raise StoreError("the ledger is closed")
            try:
                if self._connection is None:
                    self._connection = self._open()
                with self._connection as connection:
                    connection.execute("BEGIN IMMEDIATE")
                    connection.executemany(_INSERT, map(_values, rows))
            except (sqlite3.Error, OverflowError) as error:
                raise StoreError(f"{self._path}: {error}") from error

    def _open(self) -> "sqlite3.Connection":
        import sqlite3

        connection = sqlite3.connect(self._path, timeout=self._timeout, isolation_level=None, check_same_thread=False)
        try:
            _check_application(connection, self._path, may_be_new=True)
            until = time.monotonic() + self._timeout
            # SQLite does not wait for the lock that this takes when two processes make a file at once.
            while True:
                try:
                    connection.execute("PRAGMA journal_mode = WAL")
                    break
                except sqlite3.OperationalError:
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.01)
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        except BaseException:
            connection.close()
            raise
        return connection

    def _close(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()


class _Place:
    """Rows in line, and who waits for them."""

    __slots__ = ("error", "left", "rows", "turn", "written")

    def __init__(self, rows: list[LedgerRow], *, waits: bool) -> None:
        self.rows = rows
        # Set when they are written, when that failed, or when it is this one's turn to write.
        self.turn = anyio.Event()
        self.written = False
        self.error: StoreError | None = None
        self.left = not waits


class _Line:
    """The line of one event loop."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger = ledger
        self._places: list[_Place] = []
        self._writing = False
        self._since = 0.0
        self._rows = 0

    async def add(self, rows: list[LedgerRow], *, wait: bool) -> None:
        now = anyio.current_time()
        if not self._places:
            self._since = now
        waits = wait or self._rows >= _MOST_IN_LINE
        place = _Place(rows, waits=waits)
        self._places.append(place)
        self._rows += len(rows)
        if self._writing:
            if waits:
                await self._wait(place)
        elif wait or self._rows >= _LOT or now - self._since >= _AGE:
            await self._write()
        if place.error is not None and waits:
            raise place.error

    async def _wait(self, place: _Place) -> None:
        try:
            await place.turn.wait()
        except BaseException:
            place.left = True  # the rows stay in line
            if place.turn.is_set() and not place.written and place.error is None:
                self._next()
            raise
        if not place.written and place.error is None:
            await self._write()

    async def _write(self) -> None:
        """Write all that is in line, then let the next one write what came meanwhile."""
        self._writing = True
        lot, self._places, self._rows = self._places, [], 0
        rows = [row for place in lot for row in place.rows]
        try:
            # Not given up in the middle: others wait for it, too. It is bounded by the ledger's timeout.
            with anyio.CancelScope(shield=True):
                if rows:
                    await anyio.to_thread.run_sync(self._ledger.write, rows)
            for place in lot:
                place.written = True
        except StoreError as error:
            self._keep(rows)
            for place in lot:
                place.error = error
                if place.left and place.rows:
                    _log.warning("%d rows are not written yet: %s", len(place.rows), error)
        finally:
            self._next()
            for place in lot:
                place.turn.set()

    def _keep(self, rows: list[LedgerRow]) -> None:
        kept = rows[-max(0, _MOST_IN_LINE - self._rows) :] if self._rows < _MOST_IN_LINE else []
        if len(kept) < len(rows):
            _log.error("%d rows of the ledger are lost: it cannot be written", len(rows) - len(kept))
        if kept:
            self._places.insert(0, _Place(kept, waits=False))
            self._rows += len(kept)

    def _next(self) -> None:
        following = next((place for place in self._places if not place.left), None)
        self._writing = following is not None
        self._since = anyio.current_time()
        if following is not None:
            following.turn.set()


def _check_application(connection: "sqlite3.Connection", path: Path, *, may_be_new: bool) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != _APPLICATION_ID and (tables or not may_be_new):
        raise StoreError(f"{path} is no ledger")


def _values(row: LedgerRow) -> list[object]:
    values: list[object] = [getattr(row, name) for name in _COLUMNS]
    for name in ("tags", "tokens"):
        values[_COLUMNS.index(name)] = msgspec.json.encode(getattr(row, name)).decode()
    return values


def _row(values: Sequence[object]) -> LedgerRow:
    fields = dict(zip(_COLUMNS, values, strict=True))
    fields["tags"] = msgspec.json.decode(str(fields["tags"]))
    fields["tokens"] = msgspec.json.decode(str(fields["tokens"]))
    fields["estimated"] = bool(fields["estimated"])
    return msgspec.convert(fields, LedgerRow)

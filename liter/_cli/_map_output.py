"""The output of ``liter map``: results in the form of OpenAI's batch files; and what a later run goes on from.

Each result is one line, written whole as soon as it is there: what a process has written stays when it is killed, and
a line that was cut off is known by its missing end. ``fsync`` follows within a second, against a loss of power. A later
run keeps the lines of requests that were answered, and drops those of requests that failed: they are made again.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import anyio
import msgspec
from anyio.to_thread import run_sync

from .._errors import LlmError
from .._many import MapResult
from ..types import ApiResponse
from ..types._vector import plain
from ._run import CommandError

# Seconds between two syncs: what a loss of power may cost, against what a disk can do.
SYNC_INTERVAL = 1.0

_ENCODER = msgspec.json.Encoder(enc_hook=plain)


class _Response(msgspec.Struct):
    status_code: int
    request_id: str | None
    body: msgspec.Raw


class _Error(msgspec.Struct):
    code: str
    message: str


class _Result(msgspec.Struct):
    id: str
    custom_id: str
    response: _Response | None
    error: _Error | None

    @property
    def answered(self) -> bool:
        return self.error is None and self.response is not None and self.response.status_code < 400


class _Named(msgspec.Struct):
    custom_id: str


_RESULT = msgspec.json.Decoder(_Result)
_NAMED = msgspec.json.Decoder(_Named)


class BatchOutput:
    """A file of results, open for more. Nobody else writes to it as long.

    :param ids: what the result of each request is called, by ``custom_id``
    :ivar done: the ``custom_id`` of each request that was answered before
    :ivar kept: whether it is a file, and neither a pipe nor a terminal
    :raises CommandError: the file holds something else, or another process writes to it
    :raises OSError: it cannot be read or written
    """

    def __init__(self, path: Path, ids: Mapping[str, str], *, overwrite: bool) -> None:
        self._path = path
        self._ids = ids
        self._synced = 0.0
        self._file = _locked(path)
        try:
            self.kept = stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)
            if self.kept:
                if overwrite:
                    self._file.truncate(0)
                self.done = self._resume()
            else:
                self.done = frozenset[str]()  # a pipe, or a terminal: there is nothing to go on from
        except BaseException:
            self._file.close()
            raise

    def _resume(self) -> frozenset[str]:
        """Keep what was answered, and nothing else."""
        done: set[str] = set()
        kept: list[tuple[int, int]] = []
        start = 0
        self._file.seek(0)
        for number, text in enumerate(self._file, 1):
            if text.endswith(b"\n"):  # or else it was cut off by the end of the process
                result = self._read(number, text)
                if result.answered and result.custom_id not in done:
                    done.add(result.custom_id)
                    if kept and kept[-1][1] == start:
                        kept[-1] = (kept[-1][0], start + len(text))
                    else:
                        kept.append((start, start + len(text)))
            start += len(text)
        if not kept or kept == [(0, kept[0][1])]:
            # All that is kept stands at the beginning.
            self._file.truncate(kept[0][1] if kept else 0)
        else:
            self._rewrite(kept)
        return frozenset(done)

    def _read(self, number: int, text: bytes) -> _Result:
        where = f"{self._path}, line {number}"
        try:
            result = _RESULT.decode(text)
        except msgspec.DecodeError as error:
            raise CommandError(f"{where}: not a result ({error}): give another --output, or --overwrite") from error
        if self._ids.get(result.custom_id) != result.id:
            what = "was another request then" if result.custom_id in self._ids else "is not in the input"
            raise CommandError(f"{where}: {result.custom_id!r} {what}: give another --output, or --overwrite")
        return result

    def _rewrite(self, kept: list[tuple[int, int]]) -> None:
        """Put a file with these ranges in its place. Whoever is killed in the middle leaves the old one."""
        beside = self._path.with_name(self._path.name + ".part")
        new = _locked(beside)
        try:
            new.truncate(0)
            for start, end in kept:
                self._file.seek(start)
                _copy(self._file, new, end - start)
            os.fsync(new.fileno())
            beside.replace(self._path)
        except BaseException:
            new.close()
            raise
        self._file.close()
        self._file = new

    def order(self) -> None:
        """Put the results in the order of the requests, in one step: whoever is killed in the middle leaves them as
        they were. What is in memory are places, and no results.

        :raises OSError: it cannot be written
        """
        places: dict[str, tuple[int, int]] = {}
        start = 0
        self._file.seek(0)
        for text in self._file:
            places[_NAMED.decode(text).custom_id] = (start, start + len(text))
            start += len(text)
        ordered = [places[custom_id] for custom_id in self._ids if custom_id in places]
        if ordered != sorted(ordered):
            self._rewrite(ordered)

    async def add(self, result: MapResult[ApiResponse]) -> None:
        """Write a result. It is in the file when this returns.

        :raises OSError: it cannot be written
        """
        custom_id = result.custom_id or ""
        response, error = _said(result)
        line = _ENCODER.encode(_Result(self._ids[custom_id], custom_id, response, error)) + b"\n"
        self._file.write(line)
        self._file.flush()
        now = anyio.current_time()
        if now - self._synced >= SYNC_INTERVAL:
            self._synced = now
            await run_sync(self._sync)

    def _sync(self) -> None:
        try:
            os.fsync(self._file.fileno())
        except OSError:
            if self.kept:
                raise

    def close(self) -> None:
        """Bring all of it to the disk, and close it. Idempotent."""
        if self._file.closed:
            return
        try:
            self._sync()
        finally:
            self._file.close()


def _said(result: MapResult[ApiResponse]) -> tuple[_Response | None, _Error | None]:
    error = result.error
    if error is None:
        answer = result.value
        status = next((attempt.status for attempt in reversed(answer.attempts) if attempt.status), 200)
        return _Response(status, answer.request_id, msgspec.Raw(_ENCODER.encode(answer))), None
    if isinstance(error, LlmError) and error.status is not None and error.status >= 400:
        return _Response(error.status, error.request_id, msgspec.Raw(_body(error))), None
    return None, _Error(type(error).__name__, str(error))


def _body(error: LlmError) -> bytes:
    """The provider's own words, where they are JSON and not cut; or else in OpenAI's form."""
    try:
        return _ENCODER.encode(msgspec.json.decode(error.body, type=dict[str, object]))
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = {"message": error.message, "type": type(error).__name__, "code": error.code}
        return _ENCODER.encode({"error": told})


def _copy(source: BinaryIO, target: BinaryIO, size: int) -> None:
    while size:
        piece = source.read(min(1 << 20, size))
        target.write(piece)
        size -= len(piece)


def _locked(path: Path) -> BinaryIO:
    """Open a file to read it and add to it; until it is closed, nobody else can.

    :raises CommandError: somebody else has it
    """
    while True:
        file = path.open("a+b") if not path.exists() or path.is_file() else path.open("wb")
        try:
            if not _lock(file):
                raise CommandError(f"{path}: another process is writing to it")
            # It may have been replaced by whom we waited for: then the lock is on a file without a name.
            if not path.is_file() or path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _lock(file: BinaryIO) -> bool:
    try:
        import fcntl
    except ImportError:  # there is none on Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

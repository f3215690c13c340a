"""What a map has done, on disk: a killed run goes on where it was.

A file of JSON lines, one for each result, in the order they came. A result counts as done when its line is on the
disk; it is handed out after that. Several results share one ``fsync``. A last line that was cut off is dropped.
"""

import hashlib
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, cast

import anyio
import msgspec
from anyio.to_thread import run_sync

from .. import types
from ..types import BinaryContent
from ..types._answer import Answer
from ..types._vector import plain, unpacked
from ._request import Task, fingerprint


class _Line(msgspec.Struct, omit_defaults=True):
    index: int
    digest: str
    kind: str
    value: msgspec.Raw
    custom_id: str | None = None


_LINE = msgspec.json.Decoder(_Line)
_ENCODER = msgspec.json.Encoder(enc_hook=plain)


class Checkpoint:
    """The results that are on disk. Made by :func:`open_checkpoint`."""

    def __init__(self, path: Path, file: BinaryIO, done: Mapping[int, _Line]) -> None:
        self._path = path
        self._file = file
        self._done = done
        self._pending: list[bytes] = []
        self._added = 0
        self._written = 0
        self._lock = anyio.Lock()

    def get(self, task: Task) -> Answer | None:
        """The result of a task, if it is done.

        :raises ValueError: another request stood at its place then
        """
        line = self._done.get(task.index)
        if line is None:
            return None
        if line.digest != _digest(task) or line.custom_id != task.custom_id:
            raise ValueError(
                f"checkpoint {self._path}: requests[{task.index}] is not what it was: "
                "give the same requests in the same order, or another file"
            )
        return _decoded(line)

    async def add(self, task: Task, value: object) -> None:
        """Write a result down. Returns when it is on the disk.

        :raises OSError: it cannot be written
        """
        raw = msgspec.Raw(_ENCODER.encode(bytes(value) if isinstance(value, BinaryContent) else value))
        line = _Line(task.index, _digest(task), type(value).__name__, raw, task.custom_id)
        self._pending.append(_ENCODER.encode(line))
        self._added += 1
        ticket = self._added
        # What was paid for is not lost to a cancellation.
        with anyio.CancelScope(shield=True):
            async with self._lock:
                if self._written < ticket:
                    lines, self._pending = self._pending, []
                    await run_sync(self._write, lines)
                    self._written += len(lines)

    def _write(self, lines: list[bytes]) -> None:
        self._file.write(b"".join(line + b"\n" for line in lines))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


async def open_checkpoint(path: Path) -> Checkpoint:
    """Open a checkpoint, a new one where there is none.

    :raises ValueError: it is no checkpoint
    :raises OSError: it cannot be read or written
    """
    return await run_sync(_open, path)


def _open(path: Path) -> Checkpoint:
    done: dict[int, _Line] = {}
    file = open(path, "a+b")  # noqa: SIM115, PTH123 # the checkpoint closes it
    try:
        file.seek(0)
        whole = 0
        for number, text in enumerate(file, 1):
            if not text.endswith(b"\n"):
                break  # cut off by the end of the process
            try:
                line = _LINE.decode(text)
            except msgspec.DecodeError as error:
                raise ValueError(f"checkpoint {path}: line {number} is none of a checkpoint: {error}") from error
            done[line.index] = line
            whole += len(text)
        file.truncate(whole)
        file.seek(0, os.SEEK_END)
    except BaseException:
        file.close()
        raise
    return Checkpoint(path, file, done)


def _digest(task: Task) -> str:
    text = fingerprint(task)
    return "" if text is None else hashlib.blake2b(text, digest_size=12).hexdigest()


def _decoded(line: _Line) -> Answer:
    if line.kind == BinaryContent.__name__:
        return BinaryContent(msgspec.json.decode(line.value, type=bytes))
    return cast("Answer", _decoder(line.kind).decode(line.value))


@lru_cache(maxsize=64)
def _decoder(name: str) -> "msgspec.json.Decoder[object]":
    kind: object = getattr(types, name, None)
    if not isinstance(kind, type) or not issubclass(kind, msgspec.Struct):
        raise ValueError(f"a checkpoint names a result of an unknown kind, {name!r}")
    return msgspec.json.Decoder(kind, dec_hook=unpacked)

"""Bodies that are read while they are sent, in worker threads, so that files larger than memory work."""

import io
import os
import shutil
import tempfile
from collections.abc import Sequence
from typing import BinaryIO, cast

import anyio
from anyio.lowlevel import checkpoint_if_cancelled
from anyio.to_thread import run_sync

from ._errors import BadRequestError
from ._form import Form, Progress
from .types._file import File

# A thread's work should be worth the way there and back.
PIECE_SIZE = 256 * 1024
# What cannot tell its size is kept in memory up to here, and on disk beyond.
SPOOL_SIZE = 8 * 1024 * 1024


class Upload:
    """An open body: its size is known, and it is read piece by piece. Made by :func:`open_upload`."""

    def __init__(
        self,
        parts: Sequence[bytes | BinaryIO],
        size: int,
        owned: Sequence[BinaryIO],
        progress: Progress | None,
        *,
        rewindable: bool,
    ) -> None:
        self._parts = list(reversed(parts))
        self._size = size
        self._owned = owned
        self._progress = progress
        self._sent = 0
        #: whether all of it can be sent again
        self.rewindable = rewindable

    def __len__(self) -> int:
        return self._size

    async def read(self) -> bytes:
        """Return the next piece, ``b""`` at the end.

        :raises OSError: a file cannot be read
        :raises BadRequestError: a file has become shorter or longer while it was sent
        """
        while self._parts:
            part = self._parts[-1]
            if isinstance(part, bytes):
                self._parts.pop()
                piece = part
            else:
                piece = part.read(PIECE_SIZE) if _in_memory(part) else await run_sync(part.read, PIECE_SIZE)
                if not piece:
                    self._parts.pop()
            if piece:
                self._sent += len(piece)
                if self._sent > self._size:
                    break
                if self._progress is not None:
                    self._progress(self._sent, self._size)
                return piece
        if self._sent != self._size:
            raise BadRequestError("a file changed its size while it was sent")
        return b""

    def close(self) -> None:
        """Close what was opened for it."""
        for file in self._owned:
            file.close()


async def open_upload(body: Form | File) -> Upload:
    """Open all files of a body.

    :raises ValueError: one is missing, or was sent before and cannot be rewound
    """
    owned: list[BinaryIO] = []
    parts: list[bytes | BinaryIO] = []
    size = 0
    try:
        for part in body.parts() if isinstance(body, Form) else (body,):
            if isinstance(part, bytes):
                parts.append(part)
                size += len(part)
            elif _in_memory(part.content):
                opened = _open(part, owned)
                parts.append(opened[0])
                size += opened[1]
            else:
                # It is not left alone in its thread: what it opened has to be closed.
                with anyio.CancelScope(shield=True):
                    opened = await run_sync(_open, part, owned)
                    parts.append(opened[0])
                    size += opened[1]
        await checkpoint_if_cancelled()
    except BaseException as error:
        for file in owned:
            file.close()
        if isinstance(error, OSError):
            raise ValueError(f"the file cannot be read: {error}") from error
        raise
    files = [value for _, value in body.fields if isinstance(value, File)] if isinstance(body, Form) else [body]
    progress = body.progress if isinstance(body, Form) else None
    return Upload(parts, size, owned, progress, rewindable=all(file.rewindable for file in files))


def _in_memory(content: object) -> bool:
    # A thread has nothing to wait for there.
    return isinstance(content, bytes | io.BytesIO)


def _open(file: File, owned: list[BinaryIO]) -> tuple[BinaryIO, int]:
    """Open a file, and find out how much of it there is."""
    opened = file.open()
    if not file.borrowed:
        owned.append(opened)
    if isinstance(file.content, bytes):
        return opened, len(file.content)
    if isinstance(file.content, os.PathLike):
        return opened, os.fstat(opened.fileno()).st_size
    if file.rewindable:
        start = opened.tell()
        end = opened.seek(0, os.SEEK_END)
        opened.seek(start)
        return opened, end - start
    spool = cast("BinaryIO", tempfile.SpooledTemporaryFile(SPOOL_SIZE))  # noqa: SIM115 # closed with the others
    owned.append(spool)
    shutil.copyfileobj(opened, spool)
    size = spool.tell()
    spool.seek(0)
    return spool, size

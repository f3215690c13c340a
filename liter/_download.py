"""A file's content, from a provider to the disk; what was there already is not fetched again."""

import hashlib
import os
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from anyio.to_thread import run_sync

from ._errors import LlmError

if TYPE_CHECKING:
    from ._client import LlmClient

# How often a download that breaks off goes on from there, as long as each time brings something.
MAX_RESUMES = 5


async def download(
    client: "LlmClient",
    file_id: str,
    path: Path,
    *,
    provider: str | None,
    timeout: float | None,
    progress: Callable[[int], None] | None,
) -> Path:
    """Fetch a file into ``path``. Until it is whole it has another name, see :func:`part_of`."""
    part = part_of(path, file_id, provider or client.home)
    for resumed in range(MAX_RESUMES + 1):
        start = await run_sync(_size, part)
        try:
            await _fetch(client, file_id, part, start, provider=provider, timeout=timeout, progress=progress)
            break
        except LlmError as error:
            if error.status == 416 and start:
                break  # there is nothing after what we have
            if not error.retryable or resumed == MAX_RESUMES or await run_sync(_size, part) <= start:
                raise
    await run_sync(os.replace, part, path)
    return path


def part_of(path: Path, file_id: str, provider: str) -> Path:
    """Where a file is until it is whole: by its id, as what came of another one must not be gone on with."""
    digest = hashlib.blake2b(f"{provider} {file_id}".encode(), digest_size=4).hexdigest()
    return path.with_name(f"{path.name}.{digest}.part")


async def _fetch(
    client: "LlmClient",
    file_id: str,
    part: Path,
    start: int,
    *,
    provider: str | None,
    timeout: float | None,
    progress: Callable[[int], None] | None,
) -> None:
    stream = await client.file_content_stream(file_id=file_id, start=start, provider=provider, timeout=timeout)
    async with stream:
        # A server that does not know parts sends all of it.
        done = start if stream.status == 206 else 0
        # Unbuffered: what was received is on the disk when the next piece is asked for.
        file = await run_sync(FileIO, part, "ab" if done else "wb")
        try:
            async for piece in stream:
                await run_sync(file.write, piece)
                done += len(piece)
                if progress is not None:
                    progress(done)
        finally:
            file.close()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0

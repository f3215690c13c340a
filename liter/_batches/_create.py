"""A batch from requests: written down, uploaded where the provider wants a file, and created.

What can go wrong in between leaves something behind, and is told: a file without a batch is deleted again when the
provider refused the batch; where nobody knows whether there is one, the file stays, and the error names it.
"""

import logging
from collections.abc import Awaitable, Generator
from contextlib import contextmanager
from typing import Protocol

import anyio
from msgspec.structs import replace

from .._errors import LlmError
from .._kept import may_be_done
from .._options import CallOptions
from ..types import BatchInput, BatchObject, CreateBatchRequest, CreateFileRequest, DeleteFileRequest, FileObject
from ._caller import Caller
from ._write import BatchWriter

_LOGGER = logging.getLogger("liter")

# Seconds that cleaning up after a failure may take.
CLEANUP = 10.0


class Sender(Protocol):
    """Sends the requests that a batch is made with; ``model`` as callers write it, of files the provider alone."""

    def create_file(self, model: str, request: CreateFileRequest, options: CallOptions) -> Awaitable[FileObject]: ...
    def delete_file(self, model: str, request: DeleteFileRequest, options: CallOptions) -> Awaitable[object]: ...
    def create_batch(self, model: str, request: CreateBatchRequest, options: CallOptions) -> Awaitable[BatchObject]: ...


async def create_batch(
    caller: Caller, sender: Sender, request: CreateBatchRequest, options: CallOptions
) -> BatchObject:
    """Create a batch."""
    requests = request.requests
    if requests is None or isinstance(requests, BatchInput):
        return await sender.create_batch(_whose(caller, request), request, options)
    provider = None if request.provider is None else caller.routes.split(f"{request.provider}/")[0]
    writer = BatchWriter(caller, provider, options)
    try:
        written = await writer.write(requests)
        model = f"{writer.provider}/{writer.model}"
        if writer.inline:
            with _telling(f"there may be a batch at {writer.provider}: list_batches tells"):
                return await sender.create_batch(model, replace(request, requests=written), options)
        made = replace(
            request,
            requests=None,
            progress=None,
            input_file_id="unknown yet",
            endpoint=writer.endpoint,
            model=writer.model or None,
        )
        # What the provider does not take is told before the file is sent.
        await caller.encoded("create_batch", model, made, options)
        whose = f"{writer.provider}/"
        with _telling(f"a file of the requests may be left at {writer.provider}: list_files tells"):
            upload = CreateFileRequest(file=written.file, purpose="batch", progress=request.progress)
            file = await sender.create_file(whose, upload, options)
        try:
            left = (
                f"the file {file.id} is left at {writer.provider}, and there may be a batch of it: list_batches tells"
            )
            with _telling(left):
                return await sender.create_batch(model, replace(made, input_file_id=file.id), options)
        except LlmError as error:
            if not may_be_done(error):
                await _delete(sender, whose, file.id, error, options)
            raise
    finally:
        writer.close()


@contextmanager
def _telling(left: str) -> Generator[None, None, None]:
    """Tell on an error what may be left behind, where nobody knows; of a cancellation, in the log."""
    try:
        yield
    except LlmError as error:
        if may_be_done(error):
            error.add_note(left)
        raise
    except Exception:
        raise
    except BaseException:
        # Nobody reads the notes of a cancellation.
        _LOGGER.warning("create_batch was cancelled: %s", left)
        raise


def _whose(caller: Caller, request: CreateBatchRequest) -> str:
    """Whom a batch of a file that is there is for, and the model where one is told."""
    model = request.model or ""
    if request.provider is None:
        return model or f"{caller.routes.home}/"
    if not model:
        return f"{request.provider}/"
    wanted = caller.routes.split(f"{request.provider}/")[0]
    name, bare = caller.routes.split(model)
    if name != wanted and bare != model:
        raise ValueError(f"model {model!r} is one of {name}, and provider is {request.provider!r}: give one of the two")
    return f"{wanted}/{bare}"


async def _delete(sender: Sender, whose: str, file_id: str, error: LlmError, options: CallOptions) -> None:
    """After a batch was refused, delete the file that was uploaded for it, as nobody else uses it."""
    gone = False
    with anyio.move_on_after(CLEANUP, shield=True):
        try:
            await sender.delete_file(whose, DeleteFileRequest(file_id=file_id), options)
            gone = True
        except LlmError:
            pass
    if not gone:
        error.add_note(f"the file {file_id}, uploaded for it, could not be deleted and is left at {whose[:-1]}")

"""A batch from requests: written down, uploaded where the provider wants a file, and created.

What can go wrong in between leaves something behind, and is told: a file without a batch is deleted again when the
provider refused the batch; where nobody knows whether there is one, the file stays, and the error names it.
"""

import logging
from collections.abc import Awaitable
from typing import Protocol

import anyio
from msgspec.structs import replace

from .._errors import LlmError, NetworkError
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
        ready = replace(request, requests=written)
        if writer.inline:
            return await sender.create_batch(model, ready, options)
        upload = CreateFileRequest(file=written.file, purpose="batch", progress=request.progress)
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
        file = await sender.create_file(f"{writer.provider}/", upload, options)
        try:
            return await sender.create_batch(model, replace(made, input_file_id=file.id), options)
        except BaseException as error:
            await _clean_up(sender, f"{writer.provider}/", file.id, error, options)
            raise
    finally:
        writer.close()


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


async def _clean_up(sender: Sender, whose: str, file_id: str, error: BaseException, options: CallOptions) -> None:
    """After a batch was not created, delete the file that was uploaded for it, if certainly nobody uses it."""
    # Refused, or never sent. Without an answer, or after one that cannot be read, there may be a batch.
    unsent = isinstance(error, LlmError) and (
        not error.attempts or (isinstance(error, NetworkError) and not error.connected)
    )
    refused = isinstance(error, LlmError) and error.status is not None and 400 <= error.status < 500
    if not (unsent or refused):
        left = f"the file {file_id} is left at {whose[:-1]}, and there may be a batch of it: list_batches tells"
        error.add_note(left)
        if not isinstance(error, Exception):
            # Nobody reads the notes of a cancellation.
            _LOGGER.warning("create_batch was cancelled: %s", left)
        return
    gone = False
    with anyio.move_on_after(CLEANUP, shield=True):
        try:
            await sender.delete_file(whose, DeleteFileRequest(file_id=file_id), options)
            gone = True
        except LlmError:
            pass
    if not gone:
        error.add_note(f"the file {file_id}, uploaded for it, could not be deleted and is left at {whose[:-1]}")

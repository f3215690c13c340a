"""The requests of a batch, each encoded by its provider's codec, in a file that is on the disk if it is large."""

import re
import shutil
from collections.abc import AsyncIterable, Iterable
from io import BytesIO
from tempfile import TemporaryFile
from typing import BinaryIO

import anyio
from anyio.lowlevel import checkpoint
from anyio.to_thread import run_sync

from .._errors import BadRequestError, EndpointNotSupportedError
from .._many import Task, task_of
from .._options import CallOptions
from ..providers import BatchForm, BatchItem, WireProvider
from ..types import BatchInput, File
from ._caller import Caller
from ._custom_id import custom_id_of

# Requests are kept in memory up to here, and on the disk beyond.
SPOOL_SIZE = 8 * 1024 * 1024
# Written at a time: a thread's work should be worth the way there and back.
_PIECE_SIZE = 256 * 1024


class BatchWriter:
    """Writes requests into a file, and finds out on the way whom they are for. Close it when they are sent.

    :param provider: who gets them; ``None``: whoever the first is for
    """

    def __init__(self, caller: Caller, provider: str | None, options: CallOptions) -> None:
        self._caller = caller
        self._options = options
        self._custom_ids: set[str] = set()
        self._file: BinaryIO = BytesIO()
        self._on_disk = False
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._size = 0
        self._form: BatchForm | None = None
        self._method = ""
        #: whom they are for, known after the first one
        self.provider = provider
        self.model = ""
        self.endpoint = ""
        self.inline = False

    async def write(self, requests: Iterable[object] | AsyncIterable[object]) -> BatchInput:
        """Write all requests.

        :raises ValueError: one is no request, its ``custom_id`` is taken or not allowed, or there are none
        :raises LlmError: one cannot be sent, or not in a batch with those before it
        """
        if isinstance(requests, AsyncIterable):
            async for given in requests:
                await self._add(given)
        else:
            for given in requests:
                await self._add(given)
        if not self._custom_ids:
            raise ValueError("requests must not be empty")
        await self._flush()
        self._file.seek(0)
        form = self._form
        name = "requests.json" if form is not None and form.inline else "requests.jsonl"
        return BatchInput(file=File(self._file, name=name), count=len(self._custom_ids), bytes=self._size)

    async def _add(self, given: object) -> None:
        index = len(self._custom_ids)
        task = task_of(index, given)
        try:
            name, model = self._route(task)
            form = self._checked(name, task, model)
            custom_id = self._named(task, form)
            body = await self._caller.encoded(task.method, f"{name}/{model}", task.request, self._options)
        except (BadRequestError, EndpointNotSupportedError) as error:
            error.add_note(f"it is requests[{index}]")
            raise
        if body is None:
            raise ValueError(f"requests[{index}] has a file to send: that cannot be in a batch")
        between = b"," if form.inline and index else b""
        piece = between + form.item(BatchItem(custom_id, self.endpoint, body))
        self._pending.append(piece)
        self._pending_size += len(piece)
        self._size += len(piece)
        if self._pending_size >= _PIECE_SIZE:
            await self._flush()
        elif not index % 100:
            await checkpoint()

    def _route(self, task: Task) -> tuple[str, str]:
        """Whom a request is for, and the model as that provider names it."""
        asked: str | None = getattr(task.request, "model", None)
        wanted = self.provider
        if asked is None:
            return wanted or self._caller.routes.home, ""
        name, model = self._caller.routes.split(asked, self._options)
        if wanted is None or name == wanted:
            return name, model
        if model == asked:
            return wanted, model  # a bare name, that of whoever gets the batch
        raise ValueError(f"requests[{task.index}] is for {name}, and the batch for {wanted}: make one batch for each")

    def _checked(self, name: str, task: Task, model: str) -> BatchForm:
        form = self._form
        if form is None:
            # Says who does, where it does not.
            self._caller.routes.route(f"{name}/", "create_batch", self._options)
            provider = self._caller.routes.provider(name)
            form = provider.batch_form if isinstance(provider, WireProvider) else None
            if form is None:
                raise EndpointNotSupportedError(f"{name} does not offer create_batch", provider=name)
            self._form, self._method = form, task.method
            self.provider, self.model, self.inline = name, model, form.inline
            if task.method not in form.endpoints:
                raise EndpointNotSupportedError(
                    f"{name} does not take {task.method} in batches; it takes {', '.join(form.endpoints)}",
                    provider=name,
                )
            self.endpoint = form.endpoints[task.method]
        if task.method != self._method:
            raise ValueError(
                f"requests[{task.index}] is for {task.method}, and those before it for {self._method}: "
                "make one batch for each"
            )
        if form.one_model and model != self.model:
            raise ValueError(
                f"requests[{task.index}] is for the model {model!r}, and those before it for {self.model!r}: "
                f"a batch of {name} is for one"
            )
        return form

    def _named(self, task: Task, form: BatchForm) -> str:
        custom_id = custom_id_of(task)
        if custom_id in self._custom_ids:
            raise ValueError(f"requests[{task.index}]: the custom_id {custom_id!r} is that of another one, too")
        if form.custom_id and not re.fullmatch(form.custom_id, custom_id):
            raise ValueError(f"requests[{task.index}]: the custom_id {custom_id!r} must be like {form.custom_id}")
        self._custom_ids.add(custom_id)
        return custom_id

    async def _flush(self) -> None:
        data, self._pending, self._pending_size = b"".join(self._pending), [], 0
        if self._size <= SPOOL_SIZE:
            self._file.write(data)
            return
        # The file is closed by who is waiting here, so the thread must not be left alone with it.
        with anyio.CancelScope(shield=True):
            await run_sync(self._spill, data)

    def _spill(self, data: bytes) -> None:
        if not self._on_disk:
            memory, self._file = self._file, TemporaryFile()  # noqa: SIM115 # close() does
            self._on_disk = True
            memory.seek(0)
            shutil.copyfileobj(memory, self._file)
        self._file.write(data)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

"""Batches: many requests that a provider works through in its own time, for less."""

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import Literal

import msgspec

from ._checks import check_count, check_text
from ._file import File
from ._response import ApiResponse, JsonObject
from ._usage import Usage

BatchStatus = Literal[
    "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"
]

# States that no batch leaves.
FINISHED = frozenset({"failed", "completed", "expired", "cancelled"})


class BatchInput(msgspec.Struct, frozen=True, kw_only=True):
    """Requests as they go to a provider: written down, each as the provider's codec made it.

    :param file: lines of a file that is uploaded, or the items of a list in the body
    :param count: how many
    :param bytes: their size
    """

    file: File
    count: int
    bytes: int


class CreateBatchRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for many requests to be worked through. Give ``requests``, or an ``input_file_id``.

    :param requests: what ``client.map`` takes: request structs, mappings with the keywords of a chat, or lines of a
        batch file (``custom_id``, ``url``, ``body``); all for one provider and one operation. They are read once, one
        by one, and need not fit in memory. One without a ``custom_id`` is called ``request-`` and its number, from 0
    :param input_file_id: a file that is there already, in the provider's own form
    :param endpoint: what the requests of ``input_file_id`` are for: ``"/v1/chat/completions"``, ``"/v1/embeddings"``,
        ... By default chats. Requests tell that themselves
    :param completion_window: by when it should be done
    :param model: the model of ``input_file_id``, for providers that want to know: Mistral, Gemini
    :param metadata: the caller's own labels
    :param output_expires_after: ``{"anchor": "created_at", "seconds": 86400}``
    :param progress: called while ``requests`` are sent, with the bytes sent so far, and with all that there are
    :param provider: who works through it; by default whose model the first request names
    :param extra_body: more fields of the body that creates the batch
    """

    requests: Iterable[object] | AsyncIterable[object] | BatchInput | None = None
    input_file_id: str | None = None
    endpoint: str | None = None
    completion_window: Literal["24h"] | str = "24h"
    model: str | None = None
    metadata: Mapping[str, str] | None = None
    output_expires_after: Mapping[str, object] | None = None
    progress: Callable[[int, int], None] | None = None
    provider: str | None = None
    extra_body: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        check_text(self.completion_window, "completion_window")
        if self.input_file_id is not None:
            check_text(self.input_file_id, "input_file_id")
        if (self.requests is None) == (self.input_file_id is None):
            raise ValueError("give requests, or the input_file_id of a file that has them: one of the two")
        if self.requests is None:
            if self.progress is not None:
                raise ValueError("progress is told while requests are sent, and input_file_id is there already")
            return
        given: object = self.requests
        if isinstance(given, str | bytes | dict) or not isinstance(given, Iterable | AsyncIterable | BatchInput):
            raise ValueError(f"requests must be a list, or something to iterate over, not {given!r}")
        if not isinstance(self.requests, BatchInput):
            for name in ("endpoint", "model"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} is told by the requests: give it with input_file_id only")


class RetrieveBatchRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks how far a batch is."""

    batch_id: str
    provider: str | None = None

    def __post_init__(self) -> None:
        check_text(self.batch_id, "batch_id")


class CancelBatchRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for a batch to be stopped."""

    batch_id: str
    provider: str | None = None

    def __post_init__(self) -> None:
        check_text(self.batch_id, "batch_id")


class ListBatchesRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for the batches there are, a page at a time.

    :param limit: how many on a page
    :param after: what a page's ``next_after`` said
    """

    limit: int | None = None
    after: str | None = None
    provider: str | None = None

    def __post_init__(self) -> None:
        check_count(self.limit, "limit")


class BatchCounts(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """How many requests there are, have a good answer, and have none and will not get one."""

    total: int = 0
    completed: int = 0
    failed: int = 0


class BatchError(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """What is wrong with a batch as a whole.

    :param line: of the input file, from 1
    """

    message: str = ""
    code: str | None = None
    param: str | None = None
    line: int | None = None


class BatchObject(ApiResponse, repr_omit_defaults=True, frozen=True, kw_only=True):
    """A batch, in OpenAI's form. Times are Unix times, in seconds.

    :param status: ``"validating"``, ``"in_progress"``, ``"finalizing"``, ``"cancelling"``; and at its end
        ``"completed"``, ``"failed"`` (nothing was done, ``errors`` say why), ``"expired"`` or ``"cancelled"`` (what was
        done until then has results)
    :param errors: what is wrong with it as a whole; a request that failed is among the results
    :param output_file_id: the file of good answers, and ``error_file_id`` that of others, where there are files
    :param usage: of all its requests together
    :param provider: who works through it
    :param native: what else the provider tells of it, its own word for the state among that
    """

    id: str = ""
    object: str = "batch"
    endpoint: str = ""
    model: str | None = None
    status: BatchStatus | str = "validating"
    errors: list[BatchError] = msgspec.field(default_factory=list[BatchError])
    input_file_id: str | None = None
    completion_window: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    created_at: int = 0
    in_progress_at: int | None = None
    expires_at: int | None = None
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    request_counts: BatchCounts = BatchCounts()
    usage: Usage | None = None
    metadata: dict[str, str] | None = None
    provider: str = ""
    native: JsonObject | None = None

    @property
    def finished(self) -> bool:
        """Whether it has come to its end, good or bad."""
        return self.status in FINISHED


class BatchesPage(ApiResponse, repr_omit_defaults=True, frozen=True, kw_only=True):
    """A page of the batches there are.

    :param next_after: what ``after`` must be for the page that follows; ``None`` on the last one
    """

    object: str = "list"
    data: list[BatchObject] = msgspec.field(default_factory=list[BatchObject])
    has_more: bool = False
    next_after: str | None = None


class BatchResultsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for the results of a batch, one part of them.

    :param part: ``"output"``, the good answers, and all where they are in one place; or ``"errors"``
    :param after: where they go on, of a provider that gives them in pages
    """

    batch: BatchObject
    part: Literal["output", "errors"] = "output"
    after: str | None = None

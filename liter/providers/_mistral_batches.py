"""Mistral's batch jobs: OpenAI's lines in files, with words of its own around them."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

import msgspec

from .._contract import Call
from .._http import Headers, HttpRequest
from ..types import (
    BatchCounts,
    BatchError,
    BatchesPage,
    BatchObject,
    CreateBatchRequest,
    ListBatchesRequest,
)
from ._batch import BatchForm
from ._bytes_stream import read_bytes
from ._json_body import body_of
from ._openai_batches import batch_path, batches_request, encode_results, file_line, open_lines
from ._parameters import refuse, refuse_given
from ._read import read_json
from ._wire import OperationWire

if TYPE_CHECKING:
    from ._mistral import Mistral

FORM = BatchForm(
    inline=False,
    item=file_line,
    endpoints={
        "chat": "/v1/chat/completions",
        "completions": "/v1/fim/completions",
        "embed": "/v1/embeddings",
        "moderate": "/v1/moderations",
        "ocr": "/v1/ocr",
    },
    one_model=True,
)

_STATUS: Mapping[str, str] = {
    "QUEUED": "validating",
    "RUNNING": "in_progress",
    "SUCCESS": "completed",
    "FAILED": "failed",
    "TIMEOUT_EXCEEDED": "expired",
    "CANCELLATION_REQUESTED": "cancelling",
    "CANCELLED": "cancelled",
}
# When a job ended is one fact, whatever the end.
_ENDED: Mapping[str, str] = {
    "SUCCESS": "completed_at",
    "FAILED": "failed_at",
    "TIMEOUT_EXCEEDED": "expired_at",
    "CANCELLED": "cancelled_at",
}
_HOURS = re.compile(r"(\d+)h")
# The largest page it gives.
_PAGE_SIZE = 100


class _Error(msgspec.Struct):
    message: str = ""
    count: int | None = None


class _Job(msgspec.Struct):
    id: str
    status: str
    input_files: list[str] = []
    endpoint: str = ""
    model: str | None = None
    metadata: dict[str, str] | None = None
    output_file: str | None = None
    error_file: str | None = None
    errors: list[_Error] | None = None
    created_at: int = 0
    started_at: int | None = None
    completed_at: int | None = None
    total_requests: int = 0
    succeeded_requests: int = 0
    failed_requests: int = 0


class _Page(msgspec.Struct):
    data: list[_Job] | None = None
    total: int = 0


_JOB = msgspec.json.Decoder(_Job)
_JOBS = msgspec.json.Decoder(_Page)


def _encode_create(provider: "Mistral", call: Call[object]) -> HttpRequest:
    asked = cast("CreateBatchRequest", call.request)
    refuse_given(call, "output_expires_after")
    hours = _HOURS.fullmatch(asked.completion_window)
    if hours is None:
        refuse(call, f"the completion_window {asked.completion_window!r}", "give hours, as '24h'")
    fields: dict[str, object] = {
        "input_files": [asked.input_file_id],
        "endpoint": asked.endpoint or FORM.endpoints["chat"],
        "model": call.route.model or None,
        "metadata": asked.metadata,
        "timeout_hours": None if hours is None else int(hours.group(1)),
    }
    return batches_request(provider, call, "POST", body=body_of(fields, asked.extra_body))


def _encode_list(provider: "Mistral", call: Call[object]) -> HttpRequest:
    asked = cast("ListBatchesRequest", call.request)
    query = {"page": asked.after or "0", "page_size": asked.limit or _PAGE_SIZE}
    return batches_request(provider, call, "GET", "?" + urlencode(query))


def _batch(job: _Job, provider: str) -> BatchObject:
    ended = {_ENDED[job.status]: job.completed_at} if job.status in _ENDED else {}
    return BatchObject(
        id=job.id,
        endpoint=job.endpoint,
        model=job.model,
        status=_STATUS.get(job.status, "in_progress"),
        errors=[BatchError(message=error.message) for error in job.errors or ()],
        input_file_id=job.input_files[0] if job.input_files else None,
        output_file_id=job.output_file,
        error_file_id=job.error_file,
        created_at=job.created_at,
        in_progress_at=job.started_at,
        request_counts=BatchCounts(
            total=job.total_requests, completed=job.succeeded_requests, failed=job.failed_requests
        ),
        metadata=job.metadata,
        provider=provider,
        native={"status": job.status},
        **ended,  # type: ignore[arg-type] # each is a time
    )


def _decode_batch(provider: "Mistral", call: Call[object], body: bytes, headers: Headers) -> BatchObject:
    return _batch(read_json(call, body, _JOB, "a batch job"), provider.name)


def _decode_page(provider: "Mistral", call: Call[object], body: bytes, headers: Headers) -> BatchesPage:
    asked = cast("ListBatchesRequest", call.request)
    told = read_json(call, body, _JOBS, "a list of batch jobs")
    page, size = int(asked.after or "0"), asked.limit or _PAGE_SIZE
    more = bool(told.data) and (page + 1) * size < told.total
    return BatchesPage(
        data=[_batch(job, provider.name) for job in told.data or ()],
        has_more=more,
        next_after=str(page + 1) if more else None,
    )


BATCHES: Mapping[str, OperationWire[Any, Any]] = {
    "create_batch": OperationWire(encode=_encode_create, decode=_decode_batch),
    "retrieve_batch": OperationWire(
        encode=lambda provider, call: batches_request(provider, call, "GET", batch_path(call)), decode=_decode_batch
    ),
    "cancel_batch": OperationWire(
        encode=lambda provider, call: batches_request(provider, call, "POST", batch_path(call) + "/cancel", b"{}"),
        decode=_decode_batch,
    ),
    "list_batches": OperationWire(encode=_encode_list, decode=_decode_page),
    "batch_results": OperationWire(encode=encode_results, decode=read_bytes, open_stream=open_lines),
}

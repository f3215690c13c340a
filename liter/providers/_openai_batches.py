"""Batches on OpenAI's wire: files of requests in, files of results out."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import msgspec

from .._contract import Call
from .._http import Headers, HttpRequest
from ..types import (
    BatchCounts,
    BatchError,
    BatchesPage,
    BatchObject,
    BatchResultsRequest,
    CreateBatchRequest,
    RetrieveBatchRequest,
    Usage,
)
from ._batch import UNREADABLE, BatchForm, BatchItem, BatchLine, ResultLines, ResultReader
from ._bytes_stream import read_bytes
from ._headers import GET, JSON, content_from
from ._input_output_usage import InputOutputUsage
from ._json_body import body_of
from ._paging import Page, page_query
from ._read import read_json
from ._wire import OperationWire

if TYPE_CHECKING:
    from ._openai import OpenAI

_ENCODER = msgspec.json.Encoder()


class _Errors(msgspec.Struct):
    data: list[BatchError] | None = None


class _Batch(msgspec.Struct):
    id: str
    object: str = "batch"
    endpoint: str = ""
    model: str | None = None
    status: str = "validating"
    errors: _Errors | None = None
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
    request_counts: BatchCounts | None = None
    usage: InputOutputUsage | None = None
    metadata: dict[str, str] | None = None


class _Response(msgspec.Struct):
    body: msgspec.Raw = msgspec.Raw(b"null")
    status_code: int = 200
    request_id: str | None = None


class _Error(msgspec.Struct):
    code: str | int | None = None
    message: str | None = None


class _Line(msgspec.Struct):
    custom_id: str
    response: _Response | None = None
    error: _Error | None = None


_BATCH = msgspec.json.Decoder(_Batch)
_PAGE = msgspec.json.Decoder(Page[_Batch])
_LINE = msgspec.json.Decoder(_Line)


def file_line(item: BatchItem) -> bytes:
    """Write a line of an input file."""
    head = _ENCODER.encode({"custom_id": item.custom_id, "method": "POST", "url": item.endpoint})
    return head[:-1] + b',"body":' + item.body + b"}\n"


_OPERATIONS = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "create_response": "/responses",
    "embed": "/embeddings",
    "image_generate": "/images/generations",
    "moderate": "/moderations",
}

FORM = BatchForm(
    inline=False,
    item=file_line,
    endpoints={operation: f"/v1{path}" for operation, path in _OPERATIONS.items()},
)

# Azure's names have no version.
AZURE_FORM = msgspec.structs.replace(FORM, endpoints={"chat": "/chat/completions", "embed": "/embeddings"})


def endpoint_of_chats(provider: "OpenAI") -> str:
    """What chats are called in batches, which an input file is for where nothing else is told."""
    form = provider.batch_form
    return FORM.endpoints["chat"] if form is None else form.endpoints["chat"]


def batch_path(call: Call[object]) -> str:
    """What a batch's id makes of a path."""
    return "/" + quote(cast("RetrieveBatchRequest", call.request).batch_id, safe="")


def batches_request(
    provider: "OpenAI", call: Call[object], method: str, rest: str = "", body: bytes = b""
) -> HttpRequest:
    """Make a request to what is under batches, wherever the provider has them."""
    base_url, path = provider.locate(call, "/batches" + rest)
    if "batches" in provider.paths:
        path += rest
    return provider.request(call, method, base_url, path, JSON if body else GET, body=body)


def _encode_create(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    asked = cast("CreateBatchRequest", call.request)
    fields: dict[str, object] = {
        "input_file_id": asked.input_file_id,
        "endpoint": asked.endpoint or endpoint_of_chats(provider),
        "completion_window": asked.completion_window,
        "metadata": asked.metadata,
        "output_expires_after": asked.output_expires_after,
    }
    return batches_request(provider, call, "POST", body=body_of(fields, asked.extra_body))


def encode_results(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    """Ask for the file that has the wanted part of a batch's results."""
    asked = cast("BatchResultsRequest", call.request)
    file_id = asked.batch.output_file_id if asked.part == "output" else asked.batch.error_file_id
    # They are files, wherever the provider has its batches.
    files = msgspec.structs.replace(call, operation="file_content")
    return provider.request(
        call, "GET", *provider.locate(files, f"/files/{quote(file_id or '', safe='')}/content"), content_from(0)
    )


def _batch(told: _Batch, provider: str) -> BatchObject:
    usage: Usage | None = None
    # Until it is known, all of it is zero.
    if told.usage is not None and told.usage.total_tokens:
        usage = told.usage.normal()
    return BatchObject(
        id=told.id,
        object=told.object,
        endpoint=told.endpoint,
        model=told.model,
        status=told.status,
        errors=[] if told.errors is None else told.errors.data or [],
        input_file_id=told.input_file_id,
        completion_window=told.completion_window,
        output_file_id=told.output_file_id,
        error_file_id=told.error_file_id,
        created_at=told.created_at,
        in_progress_at=told.in_progress_at,
        expires_at=told.expires_at,
        finalizing_at=told.finalizing_at,
        completed_at=told.completed_at,
        failed_at=told.failed_at,
        expired_at=told.expired_at,
        cancelling_at=told.cancelling_at,
        cancelled_at=told.cancelled_at,
        request_counts=told.request_counts or BatchCounts(),
        usage=usage,
        metadata=told.metadata,
        provider=provider,
    )


def _decode_batch(provider: "OpenAI", call: Call[object], body: bytes, headers: Headers) -> BatchObject:
    return _batch(read_json(call, body, _BATCH, "a batch"), provider.name)


def _decode_page(provider: "OpenAI", call: Call[object], body: bytes, headers: Headers) -> BatchesPage:
    told = read_json(call, body, _PAGE, "a list of batches")
    data = [_batch(one, provider.name) for one in told.data]
    return BatchesPage(data=data, has_more=told.has_more, next_after=told.next_after)


def open_lines(provider: "OpenAI", call: Call[object]) -> ResultLines:
    """Make the decoder of a file of results."""
    reader = ResultReader(provider, call)
    return ResultLines(lambda line: _read_line(reader, line))


def _read_line(reader: ResultReader, line: bytes) -> BatchLine:
    try:
        told = _LINE.decode(line)
    except UNREADABLE as error:
        raise reader.broken(error, line) from error
    response = told.response
    if response is not None:
        body = bytes(response.body)
        if 200 <= response.status_code < 300:
            return reader.reply(told.custom_id, body, request_id=response.request_id)
        return reader.refusal(told.custom_id, response.status_code, body, request_id=response.request_id)
    failure = told.error or _Error()
    for why in ("expired", "cancelled"):
        if failure.code == f"batch_{why}":
            return reader.unserved(told.custom_id, why, failure.message or "")
    return reader.refusal(told.custom_id, None, _ENCODER.encode({"error": failure}))


BATCHES: Mapping[str, OperationWire[Any, Any]] = {
    "create_batch": OperationWire(encode=_encode_create, decode=_decode_batch),
    "retrieve_batch": OperationWire(
        encode=lambda provider, call: batches_request(provider, call, "GET", batch_path(call)), decode=_decode_batch
    ),
    "cancel_batch": OperationWire(
        encode=lambda provider, call: batches_request(provider, call, "POST", batch_path(call) + "/cancel", b"{}"),
        decode=_decode_batch,
    ),
    "list_batches": OperationWire(
        encode=lambda provider, call: batches_request(
            provider, call, "GET", page_query(call, limit="limit", most=100, after="after")
        ),
        decode=_decode_page,
    ),
    "batch_results": OperationWire(encode=encode_results, decode=read_bytes, open_stream=open_lines),
}

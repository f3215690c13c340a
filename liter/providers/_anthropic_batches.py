"""Anthropic's message batches: a list of requests in the body, results as lines."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import msgspec

from .._contract import Call
from .._errors import BadRequestError
from .._form import Enclosed
from .._http import Headers, HttpRequest
from ..types import (
    BatchCounts,
    BatchesPage,
    BatchInput,
    BatchObject,
    BatchResultsRequest,
    CreateBatchRequest,
)
from ._batch import UNREADABLE, BatchForm, BatchItem, BatchLine, ResultLines, ResultReader, refuse_terms
from ._bytes_stream import read_bytes
from ._headers import GET, JSON
from ._openai_batches import batch_path
from ._paging import Page, page_query
from ._read import read_json
from ._unix_time import unix_time_of
from ._wire import OperationWire

if TYPE_CHECKING:
    from ._anthropic import Anthropic

_PATH = "/messages/batches"
_ENDPOINT = "/v1/messages"
# The status that each kind of error would have come with, had the request been sent by itself.
_STATUSES: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
# What is told in fields of ours.
_FIELDS = frozenset({"id", "created_at", "expires_at", "ended_at", "cancel_initiated_at"})

_ENCODER = msgspec.json.Encoder()


class _Counts(msgspec.Struct):
    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0


class _Batch(msgspec.Struct):
    id: str
    processing_status: str
    request_counts: _Counts
    created_at: str | None = None
    expires_at: str | None = None
    ended_at: str | None = None
    archived_at: str | None = None
    cancel_initiated_at: str | None = None
    results_url: str | None = None


class _Fault(msgspec.Struct):
    type: str = ""


class _Told(msgspec.Struct):
    error: _Fault | None = None


class _Result(msgspec.Struct):
    type: str
    message: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


class _Line(msgspec.Struct):
    custom_id: str
    result: _Result


_BATCH = msgspec.json.Decoder(_Batch)
_PAGE = msgspec.json.Decoder(Page[_Batch])
_LINE = msgspec.json.Decoder(_Line)
_TOLD = msgspec.json.Decoder(_Told)


def _item(item: BatchItem) -> bytes:
    return b'{"custom_id":' + _ENCODER.encode(item.custom_id) + b',"params":' + item.body + b"}"


FORM = BatchForm(inline=True, by_id=True, item=_item, endpoints={"chat": _ENDPOINT}, custom_id="[A-Za-z0-9_-]{1,64}")


def _request(provider: "Anthropic", call: Call[object], method: str, rest: str) -> HttpRequest:
    body = b"{}" if method == "POST" else b""
    return provider.request(call, method, call.route.base_url, _PATH + rest, JSON if body else GET, body=body)


def _encode_create(provider: "Anthropic", call: Call[object]) -> HttpRequest:
    asked = cast("CreateBatchRequest", call.request)
    requests = asked.requests
    if not isinstance(requests, BatchInput):
        raise BadRequestError("input_file_id: Anthropic takes the requests themselves: give requests")
    refuse_terms(call)
    extra = _ENCODER.encode(asked.extra_body or {})[1:-1]
    after = b"]" + (b"," + extra if extra else b"") + b"}"
    form = Enclosed(b'{"requests":[', requests.file, after, progress=asked.progress)
    own = ((b"content-type", form.content_type), *GET)
    return provider.request(call, "POST", call.route.base_url, _PATH, own, upload=form)


def _status(told: _Batch) -> str:
    if told.processing_status == "canceling":
        return "cancelling"
    if told.processing_status != "ended":
        return "in_progress"
    # Its one end is OpenAI's three: what became of the requests tells which.
    if told.request_counts.canceled:
        return "cancelled"
    return "expired" if told.request_counts.expired else "completed"


def _batch(told: _Batch, provider: str) -> BatchObject:
    counts, status, ended = told.request_counts, _status(told), unix_time_of(told.ended_at)
    failed = counts.errored + counts.canceled + counts.expired
    native = {name: value for name, value in msgspec.to_builtins(told).items() if name not in _FIELDS}
    return BatchObject(
        id=told.id,
        endpoint=_ENDPOINT,
        status=status,
        completion_window="24h",
        created_at=unix_time_of(told.created_at) or 0,
        in_progress_at=unix_time_of(told.created_at),
        expires_at=unix_time_of(told.expires_at),
        completed_at=ended if status == "completed" else None,
        expired_at=ended if status == "expired" else None,
        cancelled_at=ended if status == "cancelled" else None,
        cancelling_at=unix_time_of(told.cancel_initiated_at),
        request_counts=BatchCounts(
            total=counts.processing + counts.succeeded + failed, completed=counts.succeeded, failed=failed
        ),
        provider=provider,
        native=native,
    )


def _decode_batch(provider: "Anthropic", call: Call[object], body: bytes, headers: Headers) -> BatchObject:
    return _batch(read_json(call, body, _BATCH, "a batch of messages"), provider.name)


def _decode_page(provider: "Anthropic", call: Call[object], body: bytes, headers: Headers) -> BatchesPage:
    told = read_json(call, body, _PAGE, "a list of batches")
    data = [_batch(one, provider.name) for one in told.data]
    return BatchesPage(data=data, has_more=told.has_more, next_after=told.next_after)


def _encode_results(provider: "Anthropic", call: Call[object]) -> HttpRequest:
    batch = cast("BatchResultsRequest", call.request).batch
    # By its id, not by the URL that the batch tells: a key goes nowhere else.
    path = f"{_PATH}/{quote(batch.id, safe='')}/results"
    return provider.request(call, "GET", call.route.base_url, path, ((b"accept", b"application/x-jsonl"),))


def _open_lines(provider: "Anthropic", call: Call[object]) -> ResultLines:
    reader = ResultReader(provider, call)
    return ResultLines(lambda line: _read_line(reader, line))


def _read_line(reader: ResultReader, line: bytes) -> BatchLine:
    try:
        told = _LINE.decode(line)
        fault = _TOLD.decode(told.result.error) if told.result.type == "errored" else _Told()
    except UNREADABLE as error:
        raise reader.broken(error, line) from error
    result = told.result
    match result.type:
        case "succeeded":
            return reader.reply(told.custom_id, bytes(result.message))
        case "errored":
            kind = "" if fault.error is None else fault.error.type
            return reader.refusal(told.custom_id, _STATUSES.get(kind), bytes(result.error))
        case "canceled":
            return reader.unserved(told.custom_id, "cancelled")
        case _:
            return reader.unserved(told.custom_id, "expired")


BATCHES: Mapping[str, OperationWire[Any, Any]] = {
    "create_batch": OperationWire(encode=_encode_create, decode=_decode_batch),
    "retrieve_batch": OperationWire(
        encode=lambda provider, call: _request(provider, call, "GET", batch_path(call)), decode=_decode_batch
    ),
    "cancel_batch": OperationWire(
        encode=lambda provider, call: _request(provider, call, "POST", batch_path(call) + "/cancel"),
        decode=_decode_batch,
    ),
    "list_batches": OperationWire(
        encode=lambda provider, call: _request(
            provider, call, "GET", page_query(call, limit="limit", most=1000, after="after_id")
        ),
        decode=_decode_page,
    ),
    "batch_results": OperationWire(encode=_encode_results, decode=read_bytes, open_stream=_open_lines),
}

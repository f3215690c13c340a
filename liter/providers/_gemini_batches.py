"""The Gemini API's batches: long-running operations over chats with one model."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import msgspec

from .._contract import Call
from .._errors import BadRequestError
from .._form import Enclosed
from .._http import Headers, HttpRequest
from ..types import (
    BatchCounts,
    BatchError,
    BatchesPage,
    BatchInput,
    BatchObject,
    BatchResultsRequest,
    CancelBatchRequest,
    CreateBatchRequest,
    RetrieveBatchRequest,
)
from ._batch import BatchForm, BatchItem, BatchLine, ResultDocument, ResultLines, ResultReader, refuse_terms
from ._bytes_stream import read_bytes
from ._gemini_files import version_of
from ._gemini_json import (
    JsonObject,
    count_of,
    decode_json,
    fields_of,
    objects_of,
    read_fields,
    text_of,
    unix_time_of,
    word_of,
)
from ._gemini_request import model_path
from ._google_status import HTTP_STATUS
from ._headers import GET, JSON
from ._paging import page_query
from ._parameters import refuse
from ._read import unreadable
from ._wire import OperationWire

if TYPE_CHECKING:
    from ._gemini import Gemini

_ENDPOINT = "/v1/chat/completions"

# BATCH_STATE_ or JOB_STATE_ stands before them.
_STATUS: Mapping[str, str] = {
    "QUEUED": "validating",
    "PENDING": "validating",
    "RUNNING": "in_progress",
    "SUCCEEDED": "completed",
    "FAILED": "failed",
    "CANCELLING": "cancelling",
    "CANCELLED": "cancelled",
    "EXPIRED": "expired",
}

_ENCODER = msgspec.json.Encoder()


def _item(item: BatchItem) -> bytes:
    return b'{"request":' + item.body + b',"metadata":{"key":' + _ENCODER.encode(item.custom_id) + b"}}"


FORM = BatchForm(inline=True, by_id=True, item=_item, endpoints={"chat": _ENDPOINT}, one_model=True)


def _request(provider: "Gemini", call: Call[object], method: str, path: str) -> HttpRequest:
    body = b"{}" if method == "POST" else b""
    return provider.request(call, method, call.route.base_url, path, JSON if body else GET, body=body)


def _path(batch_id: str) -> str:
    return f"/batches/{quote(batch_id.removeprefix('batches/'), safe='')}"


def _id(call: Call[object]) -> str:
    return cast("RetrieveBatchRequest | CancelBatchRequest", call.request).batch_id


def _encode_create(provider: "Gemini", call: Call[object]) -> HttpRequest:
    asked = cast("CreateBatchRequest", call.request)
    refuse_terms(call)
    if asked.endpoint not in (None, _ENDPOINT):
        refuse(call, f"the endpoint {asked.endpoint!r}", f"give {_ENDPOINT!r}")
    if not call.route.model:
        raise BadRequestError("model: a batch is for one model here, and with input_file_id it has to be given")
    # Its name is required, and liter has no word for it: extra_body may give another.
    facts = {"displayName": "liter", **(asked.extra_body or {})}
    path = f"{model_path(call.route.model)}:batchGenerateContent"
    made = provider.request(call, "POST", call.route.base_url, path, JSON)
    if not isinstance(asked.requests, BatchInput):
        name = asked.input_file_id or ""
        given = name if name.startswith("files/") else f"files/{name}"
        body = _ENCODER.encode({"batch": {**facts, "inputConfig": {"fileName": given}}})
        return msgspec.structs.replace(made, body=body)
    before = b'{"batch":' + _ENCODER.encode(facts)[:-1] + b',"inputConfig":{"requests":{"requests":['
    form = Enclosed(before, asked.requests.file, b"]}}}}", progress=asked.progress)
    return msgspec.structs.replace(made, upload=form)


def _output(told: JsonObject) -> JsonObject:
    """Where the results are: in the operation's response, or in what is told of it."""
    return fields_of(told.get("response")) or fields_of(fields_of(told.get("metadata")).get("output"))


def _batch(told: JsonObject, provider: str) -> BatchObject:
    facts = fields_of(told.get("metadata")) or told
    state = word_of(facts.get("state")) or ""
    stats = fields_of(facts.get("batchStats"))
    status = _STATUS.get(state.rpartition("STATE_")[2], "in_progress")
    ended = unix_time_of(facts.get("endTime"))
    failure = fields_of(told.get("error"))
    code = failure.get("code")
    return BatchObject(
        id=text_of(told.get("name")) or "",
        endpoint=_ENDPOINT,
        model=(text_of(facts.get("model")) or "").removeprefix("models/") or None,
        status=status,
        errors=[BatchError(message=text_of(failure.get("message")) or "", code=None if code is None else str(code))]
        if failure
        else [],
        input_file_id=text_of(fields_of(facts.get("inputConfig")).get("fileName")),
        output_file_id=text_of(_output(told).get("responsesFile")),
        created_at=unix_time_of(facts.get("createTime")) or 0,
        completed_at=ended if status == "completed" else None,
        failed_at=ended if status == "failed" else None,
        expired_at=ended if status == "expired" else None,
        cancelled_at=ended if status == "cancelled" else None,
        request_counts=BatchCounts(
            total=count_of(stats.get("requestCount")) or 0,
            completed=count_of(stats.get("successfulRequestCount")) or 0,
            failed=count_of(stats.get("failedRequestCount")) or 0,
        ),
        provider=provider,
        # Results may be in it, too, which are not for here.
        native={name: value for name, value in facts.items() if name not in ("output", "response")},
    )


def _decode_batch(provider: "Gemini", call: Call[object], body: bytes, headers: Headers) -> BatchObject:
    told = read_fields(call, body, "a batch")
    if "name" not in told:
        raise unreadable(body, "a batch", "it has no name", provider=provider.name)
    return _batch(told, provider.name)


def _decode_cancel(provider: "Gemini", call: Call[object], body: bytes, headers: Headers) -> BatchObject:
    # It answers with an empty object.
    return BatchObject(id=_id(call), endpoint=_ENDPOINT, status="cancelling", provider=provider.name)


def _decode_page(provider: "Gemini", call: Call[object], body: bytes, headers: Headers) -> BatchesPage:
    told = read_fields(call, body, "a list of batches")
    following = text_of(told.get("nextPageToken")) or None
    data = [_batch(one, provider.name) for one in objects_of(told.get("operations"))]
    return BatchesPage(data=data, has_more=following is not None, next_after=following)


def _encode_results(provider: "Gemini", call: Call[object]) -> HttpRequest:
    batch = cast("BatchResultsRequest", call.request).batch
    if batch.output_file_id is None:
        return _request(provider, call, "GET", _path(batch.id))
    name = quote(batch.output_file_id.removeprefix("files/"), safe="")
    made = _request(provider, call, "GET", f"/files/{name}:download?alt=media")
    # Downloads have a root of their own before the version.
    return msgspec.structs.replace(made, base_url=version_of(call.route.base_url, "/download"))


def _open_results(provider: "Gemini", call: Call[object]) -> ResultLines | ResultDocument:
    reader = ResultReader(provider, call)
    if cast("BatchResultsRequest", call.request).batch.output_file_id is not None:
        return ResultLines(lambda line: _read_line(reader, line))
    return ResultDocument(lambda body: _read_document(reader, body))


def _read_line(reader: ResultReader, line: bytes) -> BatchLine:
    try:
        told = fields_of(decode_json(line))
    except ValueError as error:
        raise reader.broken(error, line) from error
    return _result(reader, told)


def _read_document(reader: ResultReader, body: bytes) -> Sequence[BatchLine]:
    try:
        told = _output(fields_of(decode_json(body)))
    except ValueError as error:
        raise reader.broken(error, body) from error
    return [_result(reader, one) for one in objects_of(fields_of(told.get("inlinedResponses")).get("inlinedResponses"))]


def _result(reader: ResultReader, told: JsonObject) -> BatchLine:
    custom_id = text_of(told.get("key")) or text_of(fields_of(told.get("metadata")).get("key")) or ""
    if "response" in told:
        return reader.reply(custom_id, _ENCODER.encode(told["response"]))
    failure = fields_of(told.get("error")) or {
        name: value for name, value in told.items() if name in ("code", "message")
    }
    code = count_of(failure.get("code"))
    status = None if code is None else code if code >= 400 else HTTP_STATUS.get(code)
    return reader.refusal(custom_id, status, _ENCODER.encode({"error": failure}))


BATCHES: Mapping[str, OperationWire[Any, Any]] = {
    "create_batch": OperationWire(encode=_encode_create, decode=_decode_batch),
    "retrieve_batch": OperationWire(
        encode=lambda provider, call: _request(provider, call, "GET", _path(_id(call))), decode=_decode_batch
    ),
    "cancel_batch": OperationWire(
        encode=lambda provider, call: _request(provider, call, "POST", _path(_id(call)) + ":cancel"),
        decode=_decode_cancel,
    ),
    "list_batches": OperationWire(
        encode=lambda provider, call: _request(
            provider, call, "GET", "/batches" + page_query(call, limit="pageSize", most=100, after="pageToken")
        ),
        decode=_decode_page,
    ),
    "batch_results": OperationWire(encode=_encode_results, decode=read_bytes, open_stream=_open_results),
}

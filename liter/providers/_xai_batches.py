"""xAI's batches: OpenAI's files of requests in, pages of results out, and no word for how far they are but counts."""

from collections.abc import Mapping, Sequence
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
)
from ._batch import UNREADABLE, BatchForm, BatchLine, ResultDocument, ResultReader, refuse_terms
from ._bytes_stream import read_bytes
from ._google_status import HTTP_STATUS
from ._openai_batches import batch_path, batches_request, file_line
from ._paging import page_query
from ._parameters import refuse
from ._read import read_json
from ._unix_time import unix_time_of
from ._wire import OperationWire

if TYPE_CHECKING:
    from ._openai import OpenAI

_ENDPOINT = "/v1/chat/completions"
# The largest page it gives, of batches and of results.
_PAGE_SIZE = 100

FORM = BatchForm(inline=False, by_id=True, item=file_line, endpoints={"chat": _ENDPOINT})

_ENCODER = msgspec.json.Encoder()


class _State(msgspec.Struct):
    num_requests: int = 0
    num_pending: int = 0
    num_success: int = 0
    num_error: int = 0
    num_cancelled: int = 0


class _Batch(msgspec.Struct):
    batch_id: str
    name: str | None = None
    create_time: str | None = None
    expire_time: str | None = None
    cancel_time: str | None = None
    cancel_by_xai_message: str | None = None
    state: _State | None = None


class _Page(msgspec.Struct):
    batches: list[_Batch] | None = None
    pagination_token: str | None = None


class _Failure(msgspec.Struct):
    code: int | None = None
    message: str | None = None


class _Outcome(msgspec.Struct):
    response: dict[str, msgspec.Raw] | None = None
    error: _Failure | str | None = None


class _Result(msgspec.Struct):
    batch_request_id: str
    batch_result: _Outcome | None = None
    error_message: str | None = None


class _Results(msgspec.Struct):
    results: list[_Result] | None = None
    pagination_token: str | None = None


_BATCH = msgspec.json.Decoder(_Batch)
_PAGE = msgspec.json.Decoder(_Page)
_RESULTS = msgspec.json.Decoder(_Results)


def _encode_create(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    asked = cast("CreateBatchRequest", call.request)
    refuse_terms(call)
    if asked.endpoint not in (None, _ENDPOINT):
        refuse(call, f"the endpoint {asked.endpoint!r}", f"give {_ENDPOINT!r}")
    # Its name is required, and liter has no word for it: extra_body may give another.
    body = {"name": "liter", "input_file_id": asked.input_file_id, **(asked.extra_body or {})}
    return batches_request(provider, call, "POST", body=_ENCODER.encode(body))


def _status(told: _Batch, state: _State) -> str:
    cancelled = told.cancel_time is not None or told.cancel_by_xai_message is not None
    if state.num_pending:
        return "cancelling" if cancelled else "in_progress"
    if cancelled or state.num_cancelled:
        return "failed" if told.cancel_by_xai_message and not state.num_success else "cancelled"
    # Until it has looked into the file, all counts are zero.
    return "completed" if state.num_requests else "validating"


def _batch(told: _Batch, provider: str) -> BatchObject:
    state = told.state or _State()
    status = _status(told, state)
    message = told.cancel_by_xai_message
    native: dict[str, object] = {"state": msgspec.to_builtins(state), "name": told.name}
    return BatchObject(
        id=told.batch_id,
        endpoint=_ENDPOINT,
        status=status,
        errors=[BatchError(message=message)] if message else [],
        created_at=unix_time_of(told.create_time) or 0,
        expires_at=unix_time_of(told.expire_time),
        cancelling_at=unix_time_of(told.cancel_time),
        request_counts=BatchCounts(
            total=state.num_requests, completed=state.num_success, failed=state.num_error + state.num_cancelled
        ),
        provider=provider,
        native=native,
    )


def _decode_batch(provider: "OpenAI", call: Call[object], body: bytes, headers: Headers) -> BatchObject:
    return _batch(read_json(call, body, _BATCH, "a batch"), provider.name)


def _decode_page(provider: "OpenAI", call: Call[object], body: bytes, headers: Headers) -> BatchesPage:
    told = read_json(call, body, _PAGE, "a list of batches")
    following = told.pagination_token or None
    data = [_batch(one, provider.name) for one in told.batches or ()]
    return BatchesPage(data=data, has_more=following is not None, next_after=following)


def _page_query(call: Call[object]) -> str:
    return page_query(call, limit="limit", most=_PAGE_SIZE, after="pagination_token")


def _encode_results(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    batch = cast("BatchResultsRequest", call.request).batch
    return batches_request(provider, call, "GET", f"/{quote(batch.id, safe='')}/results{_page_query(call)}")


def _open_results(provider: "OpenAI", call: Call[object]) -> ResultDocument:
    reader = ResultReader(provider, call)
    return ResultDocument(lambda body: _read_page(reader, body))


def _read_page(reader: ResultReader, body: bytes) -> Sequence[BatchLine]:
    try:
        told = _RESULTS.decode(body)
    except UNREADABLE as error:
        raise reader.broken(error, body) from error
    lines = [_result(reader, one) for one in told.results or ()]
    if told.pagination_token and lines:
        lines.append(BatchLine(custom_id="", next_page=told.pagination_token))
    return lines


def _result(reader: ResultReader, one: _Result) -> BatchLine:
    outcome = one.batch_result or _Outcome()
    if outcome.response:
        # Whatever was asked, it is answered as a chat.
        return reader.reply(one.batch_request_id, bytes(next(iter(outcome.response.values()))))
    failure = outcome.error
    if isinstance(failure, str) or failure is None:
        failure = _Failure(message=failure or one.error_message)
    status = HTTP_STATUS.get(failure.code, failure.code) if failure.code is not None else None
    if status is not None and not 400 <= status < 600:
        status = None
    error = {"message": failure.message or "the provider does not say why", "code": failure.code}
    return reader.refusal(one.batch_request_id, status, _ENCODER.encode({"error": error}))


BATCHES: Mapping[str, OperationWire[Any, Any]] = {
    "create_batch": OperationWire(encode=_encode_create, decode=_decode_batch),
    "retrieve_batch": OperationWire(
        encode=lambda provider, call: batches_request(provider, call, "GET", batch_path(call)), decode=_decode_batch
    ),
    "cancel_batch": OperationWire(
        encode=lambda provider, call: batches_request(provider, call, "POST", batch_path(call) + ":cancel", b"{}"),
        decode=_decode_batch,
    ),
    "list_batches": OperationWire(
        encode=lambda provider, call: batches_request(provider, call, "GET", _page_query(call)),
        decode=_decode_page,
    ),
    "batch_results": OperationWire(encode=_encode_results, decode=read_bytes, open_stream=_open_results),
}

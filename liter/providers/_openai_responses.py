"""OpenAI's Responses API: made, fetched, given up, forgotten; what they were made of."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode

import msgspec

from .._contract import Call
from .._http import Headers, HttpRequest
from ..types import (
    CreateResponseRequest,
    InputItemList,
    ListInputItemsRequest,
    ResponseDeleted,
    ResponseObject,
    RetrieveResponseRequest,
)
from ._headers import GET, JSON, STREAM
from ._json_body import json_body
from ._openai_responses_reply import read_response
from ._openai_responses_stream import ResponseStreamDecoder
from ._read import read_json
from ._wire import OperationWire

if TYPE_CHECKING:
    from ._openai import OpenAI

_DELETED = msgspec.json.Decoder(ResponseDeleted)
_ITEMS = msgspec.json.Decoder(InputItemList)


def _request(
    provider: "OpenAI", call: Call[object], method: str, path: str = "", *, query: str = "", body: bytes = b""
) -> HttpRequest:
    base_url, root = provider.locate(call, "/responses")
    headers = STREAM if call.stream else JSON if body else GET
    return provider.request(call, method, base_url, root + path + (f"?{query}" if query else ""), headers, body=body)


def _id_of(call: Call[object]) -> str:
    return "/" + quote(cast("RetrieveResponseRequest", call.request).response_id, safe="")


def _encode_create(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    body = json_body(cast("CreateResponseRequest", call.request), model=call.route.model or None)
    return _request(provider, call, "POST", body=b'{"stream":true,' + body[1:] if call.stream else body)


def _decode_created(provider: "OpenAI", call: Call[object], body: bytes, headers: Headers) -> ResponseObject:
    return read_response(call, body, failed_raises=True)


def _decode_response(provider: "OpenAI", call: Call[object], body: bytes, headers: Headers) -> ResponseObject:
    # Who looks after it is told how it stands: that it failed is no failure of this call.
    return read_response(call, body, failed_raises=False)


def _encode_retrieve(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    request = cast("RetrieveResponseRequest", call.request)
    query: list[tuple[str, object]] = [("include[]", name) for name in request.include or ()]
    if call.stream:
        query.append(("stream", "true"))
        if request.starting_after is not None:
            query.append(("starting_after", request.starting_after))
    return _request(provider, call, "GET", _id_of(call), query=urlencode(query))


def _encode_cancel(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    return _request(provider, call, "POST", _id_of(call) + "/cancel")


def _encode_delete(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    return _request(provider, call, "DELETE", _id_of(call))


def _encode_list_items(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    request = cast("ListInputItemsRequest", call.request)
    query: list[tuple[str, object]] = [
        (name, value) for name in ("limit", "order", "after") if (value := getattr(request, name)) is not None
    ]
    query += [("include[]", name) for name in request.include or ()]
    return _request(provider, call, "GET", _id_of(call) + "/input_items", query=urlencode(query))


RESPONSES: Mapping[str, OperationWire[Any, Any]] = {
    "create_response": OperationWire(
        encode=_encode_create,
        decode=_decode_created,
        open_stream=lambda provider, call: ResponseStreamDecoder(call),
    ),
    "retrieve_response": OperationWire(
        encode=_encode_retrieve,
        decode=_decode_response,
        open_stream=lambda provider, call: ResponseStreamDecoder(call),
        usage=lambda call, value: None,  # it was billed when it was made
    ),
    "cancel_response": OperationWire(encode=_encode_cancel, decode=_decode_response, usage=lambda call, value: None),
    "delete_response": OperationWire(
        encode=_encode_delete,
        decode=lambda provider, call, body, headers: read_json(call, body, _DELETED, "what a deletion tells"),
    ),
    "list_input_items": OperationWire(
        encode=_encode_list_items,
        decode=lambda provider, call, body, headers: read_json(call, body, _ITEMS, "a list of items"),
    ),
}

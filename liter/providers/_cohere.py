"""Cohere's API, in its second version."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from .._contract import Call
from .._http import Headers, HttpRequest
from ..types import ChatCompletionRequest, ChatCompletionResponse, ModelsListResponse
from ._cohere_models import read_models
from ._cohere_operations import OPERATIONS, first_version
from ._cohere_reply import read_reply
from ._cohere_request import PARAMETERS, encode_chat
from ._cohere_stream import ChatStreamDecoder
from ._headers import GET, JSON, STREAM
from ._inline import remote_urls
from ._paging import page_query
from ._wire import OperationWire, WireProvider


class Cohere(WireProvider, frozen=True, kw_only=True):
    """A provider that speaks Cohere's API."""

    name: str = "cohere"
    base_url: str = "https://api.cohere.com/v2"
    key_variables: tuple[str, ...] = ("COHERE_API_KEY", "CO_API_KEY")

    request_ids: ClassVar[tuple[str, ...]] = ("x-debug-trace-id", "x-request-id")

    def needs_inline(self, call: Call[object]) -> tuple[str, ...]:
        """Documents: Cohere takes them as data."""
        return remote_urls(call.request, images=False)

    @property
    def wires(self) -> Mapping[str, OperationWire[Any, Any]]:
        """The operations of the protocol, by name."""
        return _WIRES


def _encode_chat(provider: Cohere, call: Call[object]) -> HttpRequest:
    body = encode_chat(cast("ChatCompletionRequest", call.request), call)
    return provider.request(call, "POST", call.route.base_url, "/chat", STREAM if call.stream else JSON, body=body)


def _decode_chat(provider: Cohere, call: Call[object], body: bytes, headers: Headers) -> ChatCompletionResponse:
    return read_reply(body, provider=provider.name, model=call.route.model)


def _open_chat_stream(provider: Cohere, call: Call[object]) -> ChatStreamDecoder:
    return ChatStreamDecoder(provider.name, call.route.model)


def _encode_list_models(provider: Cohere, call: Call[object]) -> HttpRequest:
    path = "/models" + page_query(call, limit="page_size", most=1000, after="page_token")
    return provider.request(call, "GET", first_version(call.route.base_url), path, GET)


def _decode_models(provider: Cohere, call: Call[object], body: bytes, headers: Headers) -> ModelsListResponse:
    return read_models(call, body)


_WIRES: Mapping[str, OperationWire[Any, Any]] = {
    "chat": OperationWire(
        encode=_encode_chat, decode=_decode_chat, open_stream=_open_chat_stream, parameters=PARAMETERS
    ),
    **OPERATIONS,
    "list_models": OperationWire(encode=_encode_list_models, decode=_decode_models),
}

"""Anthropic's Messages API."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import msgspec

from .._contract import Call
from .._http import Headers, HttpRequest, RawHeaders
from ..types import (
    ChatCompletionRequest,
    ChatCompletionResponse,
    CountTokensRequest,
    ModelsListResponse,
    TokenCount,
)
from ._anthropic_batches import BATCHES
from ._anthropic_batches import FORM as BATCH_FORM
from ._anthropic_files import FILES
from ._anthropic_listing import read_models
from ._anthropic_reply import read_reply
from ._anthropic_request import PARAMETERS, encode_chat, encode_count
from ._anthropic_stream import MessageStreamDecoder
from ._auth import Auth
from ._batch import BatchForm
from ._headers import GET, JSON, STREAM, bearer
from ._paging import page_query
from ._read import read_json
from ._wire import OperationWire, WireProvider

_VERSION: RawHeaders = ((b"anthropic-version", b"2023-06-01"),)

# Tokens of a login, unlike keys, go into the authorization header.
_LOGIN_TOKEN = "sk-ant-oat"  # noqa: S105 # the beginning of every one, no token


class _Count(msgspec.Struct, frozen=True):
    input_tokens: int


_COUNT = msgspec.json.Decoder(_Count)


class Anthropic(WireProvider, frozen=True, kw_only=True):
    """A provider that speaks Anthropic's Messages API."""

    name: str = "anthropic"
    base_url: str = "https://api.anthropic.com/v1"
    key_variables: tuple[str, ...] = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
    auth: Auth = Auth(kind="header", header="x-api-key")

    request_ids: ClassVar[tuple[str, ...]] = ("request-id", "x-request-id")
    token_variables: ClassVar[frozenset[str]] = frozenset({"ANTHROPIC_AUTH_TOKEN"})

    @property
    def wires(self) -> Mapping[str, OperationWire[Any, Any]]:
        """The operations of the protocol, by name."""
        return _WIRES

    @property
    def batch_form(self) -> BatchForm | None:
        """A list in the body."""
        return BATCH_FORM

    def key_headers(self, call: Call[object]) -> RawHeaders:
        """The headers that tell who asks, and the version of the API."""
        key = call.route.api_key
        login = key and key.reveal().startswith(_LOGIN_TOKEN)
        return _VERSION + (bearer(key) if login else self.auth.headers(key))


def _encode_chat(provider: Anthropic, call: Call[object]) -> HttpRequest:
    body = encode_chat(cast("ChatCompletionRequest", call.request), call, provider=provider.name)
    return provider.request(call, "POST", call.route.base_url, "/messages", STREAM if call.stream else JSON, body=body)


def _decode_chat(provider: Anthropic, call: Call[object], body: bytes, headers: Headers) -> ChatCompletionResponse:
    return read_reply(body, provider=provider.name, model=call.route.model)


def _open_chat_stream(provider: Anthropic, call: Call[object]) -> MessageStreamDecoder:
    return MessageStreamDecoder(provider.name, call.route.model)


def _encode_count(provider: Anthropic, call: Call[object]) -> HttpRequest:
    body = encode_count(cast("CountTokensRequest", call.request), call, provider=provider.name)
    return provider.request(call, "POST", call.route.base_url, "/messages/count_tokens", JSON, body=body)


def _decode_count(provider: Anthropic, call: Call[object], body: bytes, headers: Headers) -> TokenCount:
    told = read_json(call, body, _COUNT, "a number of tokens")
    return TokenCount(input_tokens=told.input_tokens, model=call.route.model)


def _encode_list_models(provider: Anthropic, call: Call[object]) -> HttpRequest:
    path = "/models" + page_query(call, limit="limit", most=1000, after="after_id")
    return provider.request(call, "GET", call.route.base_url, path, GET)


def _decode_models(provider: Anthropic, call: Call[object], body: bytes, headers: Headers) -> ModelsListResponse:
    return read_models(call, body)


_WIRES: Mapping[str, OperationWire[Any, Any]] = {
    "chat": OperationWire(
        encode=_encode_chat, decode=_decode_chat, open_stream=_open_chat_stream, parameters=PARAMETERS
    ),
    "count_tokens": OperationWire(encode=_encode_count, decode=_decode_count),
    "list_models": OperationWire(encode=_encode_list_models, decode=_decode_models),
    **BATCHES,
    **FILES,
}

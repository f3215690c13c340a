"""Ollama's own API: it says more than its imitation of OpenAI's, and takes models' options."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from .._contract import Call
from .._http import Headers, HttpRequest
from ..types import (
    ChatCompletionRequest,
    ChatCompletionResponse,
    Embedding,
    EmbeddingRequest,
    EmbeddingResponse,
    Model,
    ModelsListResponse,
    Usage,
    Vector,
)
from ._headers import GET, JSON
from ._json_body import json_body
from ._ollama_reply import ChatStreamDecoder, read_chat
from ._ollama_request import PARAMETERS, encode_chat
from ._parameters import Mapped, Rule, Sent, Unsupported, supported
from ._read import read_json
from ._wire import OperationWire, WireProvider

EMBEDDING_PARAMETERS: Mapping[str, Rule] = {
    "model": Sent(),
    "input": Sent(),
    "encoding_format": Unsupported("vectors come as numbers", neutral=("float",)),
    "dimensions": Sent(),
    "user": Unsupported(),
    "input_type": Unsupported(),
    "extra_body": Mapped("its fields, such as `truncate`; they win"),
}


class _Model(msgspec.Struct, frozen=True):
    name: str


class _Models(msgspec.Struct, frozen=True):
    models: list[_Model]


class _Embeddings(msgspec.Struct, frozen=True):
    embeddings: list[list[float]]
    model: str = ""
    prompt_eval_count: int | None = None


_MODELS = msgspec.json.Decoder(_Models)
_EMBEDDINGS = msgspec.json.Decoder(_Embeddings)


class Ollama(WireProvider, frozen=True, kw_only=True):
    """A server that speaks Ollama's own API."""

    name: str = "ollama-native"
    base_url: str = "http://localhost:11434"
    key_variables: tuple[str, ...] = ("OLLAMA_API_KEY",)
    key_optional: bool = True

    @property
    def wires(self) -> Mapping[str, OperationWire[Any, Any]]:
        """The operations of the protocol, by name."""
        return _WIRES


def _post(provider: Ollama, call: Call[object], path: str, body: bytes) -> HttpRequest:
    return provider.request(call, "POST", call.route.base_url, path, JSON, body=body)


def _encode_chat(provider: Ollama, call: Call[object]) -> HttpRequest:
    return _post(provider, call, "/api/chat", encode_chat(cast("ChatCompletionRequest", call.request), call))


def _decode_chat(provider: Ollama, call: Call[object], body: bytes, headers: Headers) -> ChatCompletionResponse:
    return read_chat(body, provider=provider.name, model=call.route.model)


def _open_chat_stream(provider: Ollama, call: Call[object]) -> ChatStreamDecoder:
    return ChatStreamDecoder(provider.name, call.route.model)


def _encode_list_models(provider: Ollama, call: Call[object]) -> HttpRequest:
    return provider.request(call, "GET", call.route.base_url, "/api/tags", GET)


def _decode_models(provider: Ollama, call: Call[object], body: bytes, headers: Headers) -> ModelsListResponse:
    told = read_json(call, body, _MODELS, "a list of models")
    return ModelsListResponse(data=[Model(id=model.name, owned_by=provider.name) for model in told.models])


def _encode_embed(provider: Ollama, call: Call[object]) -> HttpRequest:
    request = supported(EMBEDDING_PARAMETERS, cast("EmbeddingRequest", call.request), call)
    return _post(provider, call, "/api/embed", json_body(request, model=call.route.model))


def _decode_embeddings(provider: Ollama, call: Call[object], body: bytes, headers: Headers) -> EmbeddingResponse:
    told = read_json(call, body, _EMBEDDINGS, "a list of embeddings")
    count = told.prompt_eval_count
    return EmbeddingResponse(
        data=[Embedding(index=index, embedding=Vector.of(one)) for index, one in enumerate(told.embeddings)],
        model=told.model,
        usage=None if count is None else Usage(prompt_tokens=count, total_tokens=count),
    )


_WIRES: Mapping[str, OperationWire[Any, Any]] = {
    "chat": OperationWire(
        encode=_encode_chat, decode=_decode_chat, open_stream=_open_chat_stream, parameters=PARAMETERS
    ),
    "list_models": OperationWire(encode=_encode_list_models, decode=_decode_models),
    "embed": OperationWire(encode=_encode_embed, decode=_decode_embeddings, parameters=EMBEDDING_PARAMETERS),
}

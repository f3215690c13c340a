"""Embeddings on Google's wire, from the server's side, in its three forms."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from ._simulator_exchange import ReceivedRequest
from ._simulator_model import Model
from ._simulator_text import count_tokens, text_of
from ._wire_protocol import Refusal

Asked = TypeVar("Asked", bound=Struct)

_DIMENSIONS = 8


class _Content(Struct):
    parts: Annotated[list[dict[str, object]], Meta(min_length=1)]


class _One(Struct, rename="camel"):
    content: _Content
    output_dimensionality: Annotated[int, Meta(ge=1)] = _DIMENSIONS


class _Batch(Struct):
    requests: Annotated[list[_One], Meta(min_length=1, max_length=100)]


class _Instance(Struct):
    content: str


class _Parameters(Struct, rename="camel"):
    output_dimensionality: Annotated[int, Meta(ge=1)] = _DIMENSIONS


class _Predict(Struct):
    instances: Annotated[list[_Instance], Meta(min_length=1, max_length=250)]
    parameters: _Parameters = msgspec.field(default_factory=_Parameters)


def _batch(request: ReceivedRequest, model: Model) -> dict[str, object]:
    asked = _decoded(request, _Batch)
    texts = [text_of(one.content.parts) for one in asked.requests]
    return {
        "embeddings": [
            {"values": _values(model, text, one.output_dimensionality)}
            for text, one in zip(texts, asked.requests, strict=True)
        ],
        "usageMetadata": _usage(texts),
    }


def _single(request: ReceivedRequest, model: Model) -> dict[str, object]:
    asked = _decoded(request, _One)
    text = text_of(asked.content.parts)
    return {"embedding": {"values": _values(model, text, asked.output_dimensionality)}, "usageMetadata": _usage([text])}


def _predict(request: ReceivedRequest, model: Model) -> dict[str, object]:
    asked = _decoded(request, _Predict)
    return {
        "predictions": [
            {
                "embeddings": {
                    "values": _values(model, one.content, asked.parameters.output_dimensionality),
                    "statistics": {"token_count": _tokens(one.content), "truncated": False},
                }
            }
            for one in asked.instances
        ]
    }


def _values(model: Model, text: str, count: int) -> Sequence[float]:
    rng = model.random(f"embedding of {text}")
    return [round(rng.gauss(0, 1), 6) for _ in range(count)]


def _tokens(text: str) -> int:
    return max(1, count_tokens(text))


def _usage(texts: Sequence[str]) -> dict[str, object]:
    return {"promptTokenCount": sum(map(_tokens, texts))}


def _decoded(request: ReceivedRequest, kind: type[Asked]) -> Asked:
    try:
        return msgspec.json.decode(request.body, type=kind)
    except msgspec.DecodeError as error:
        raise Refusal(400, f"Invalid JSON payload received. {error}") from error


# By the method that is called on a model.
EMBEDDINGS: Mapping[str, Callable[[ReceivedRequest, Model], dict[str, object]]] = {
    "batchEmbedContents": _batch,
    "embedContent": _single,
    "predict": _predict,
}

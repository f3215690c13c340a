"""Embeddings by InvokeModel: Amazon's Titan and Nova, and Cohere's."""

from binascii import a2b_base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec

from .._contract import Call
from .._errors import BadRequestError
from .._http import Headers, HttpRequest
from ..types import Embedding, EmbeddingRequest, EmbeddingResponse, Vector
from ._bedrock_invoke import invoke, picture, usage_of
from ._bedrock_models import name_of
from ._parameters import Mapped, Rule, Unsupported, refuse, supported
from ._read import read_json, unreadable
from ._wire import OperationWire

if TYPE_CHECKING:
    from ._bedrock import Bedrock

EMBEDDING_PARAMETERS: Mapping[str, Rule] = {
    "model": Mapped("in the path"),
    "input": Mapped(
        "inputText and inputImage (Titan), singleEmbeddingParams (Nova): one in a request; texts, images or inputs"
        " (Cohere)"
    ),
    "encoding_format": Mapped("embedding_types (Cohere); nothing else but 'float' for Amazon's"),
    "dimensions": Mapped(
        "dimensions (Titan text 2), embeddingConfig.outputEmbeddingLength (Titan multimodal),"
        " embeddingDimension (Nova), output_dimension (Cohere)"
    ),
    "user": Unsupported(),
    "input_type": Mapped("embeddingPurpose (Nova), input_type (Cohere); nothing for Titan, which has but one"),
    "extra_body": Mapped("its fields, such as normalize or truncate; they win"),
}

_Item = str | Sequence[int] | Mapping[str, object]

_PURPOSES = {"query": "GENERIC_RETRIEVAL", "document": "GENERIC_INDEX"}
_COHERE_TYPES = {"query": "search_query", "document": "search_document"}


class _Row(msgspec.Struct):
    embedding: list[float] | str = []


class _Reply(msgspec.Struct, rename="camel"):
    # Titan's; Cohere's and Nova's; OpenAI's form, which some of the newer models have.
    embedding: list[float] | None = None
    embeddings: dict[str, list[list[float] | str]] | list[list[float] | _Row] | None = None
    data: list[_Row] | None = None
    input_text_token_count: int | None = None


_REPLY = msgspec.json.Decoder(_Reply)


def _encode(provider: "Bedrock", call: Call[object]) -> HttpRequest:
    request = supported(EMBEDDING_PARAMETERS, cast("EmbeddingRequest", call.request), call)
    name = name_of(call.route.model)
    if name.vendor == "cohere":
        body = _cohere(request)
    elif name.vendor == "amazon" and name.name.startswith("nova"):
        body = _nova(request, call)
    elif name.vendor == "amazon" and name.name.startswith("titan-embed"):
        body = _titan(request, call, name.name)
    else:
        raise BadRequestError(
            f"model: {call.route.model} is none of the embedding models that are known on Bedrock: Titan's, Nova's and"
            " Cohere's"
        )
    return invoke(provider, call, body, request.extra_body)


def _cohere(request: EmbeddingRequest) -> dict[str, object]:
    kind = request.input_type or "document"
    body: dict[str, object] = {"input_type": _COHERE_TYPES.get(kind, kind)}
    items = request.items
    if all(isinstance(item, str) for item in items):
        body["texts"] = items
    else:
        body["inputs"] = [{"content": [_cohere_part(item, index)]} for index, item in enumerate(items)]
    if request.encoding_format is not None:
        body["embedding_types"] = [request.encoding_format]
    if request.dimensions is not None:
        body["output_dimension"] = request.dimensions
    return body


def _cohere_part(item: _Item, index: int) -> Mapping[str, object]:
    if isinstance(item, str):
        return {"type": "text", "text": item}
    return _part(item, index)


def _part(item: _Item, index: int) -> Mapping[str, object]:
    if not isinstance(item, Mapping):
        raise BadRequestError(f"input[{index}]: Bedrock takes texts and pictures, not token ids")
    return item


def _one(request: EmbeddingRequest, call: Call[object]) -> str | Mapping[str, object]:
    """The only input: Amazon's models take one in a request."""
    if request.encoding_format not in (None, "float"):
        refuse(call, f"encoding_format={request.encoding_format!r} for {call.route.model!r}", "leave it out")
    [item, *more] = request.items
    if more:
        raise BadRequestError(
            f"input: {call.route.model} takes one text in a request, not {len(request.items)}: send them one by one"
        )
    return item if isinstance(item, str) else _part(item, 0)


def _titan(request: EmbeddingRequest, call: Call[object], name: str) -> dict[str, object]:
    item = _one(request, call)
    size = request.dimensions
    if name.startswith("titan-embed-image"):
        body: dict[str, object] = {} if size is None else {"embeddingConfig": {"outputEmbeddingLength": size}}
        if isinstance(item, str):
            return {"inputText": item, **body}
        return {"inputImage": picture(item, "input[0]")[1], **body}
    if not isinstance(item, str):
        raise BadRequestError(f"input[0]: {call.route.model} takes texts alone")
    if size is not None and not name.startswith("titan-embed-text-v2"):
        refuse(call, f"dimensions for {call.route.model!r}", "take amazon.titan-embed-text-v2:0")
        size = None
    return {"inputText": item} if size is None else {"inputText": item, "dimensions": size}


def _nova(request: EmbeddingRequest, call: Call[object]) -> dict[str, object]:
    item = _one(request, call)
    kind = request.input_type or "document"
    single: dict[str, object] = {"embeddingPurpose": _PURPOSES.get(kind, kind)}
    if request.dimensions is not None:
        single["embeddingDimension"] = request.dimensions
    if isinstance(item, str):
        # What is too long is refused rather than cut.
        single["text"] = {"value": item, "truncationMode": "NONE"}
    else:
        media_type, data = picture(item, "input[0]")
        single["image"] = {"format": media_type.removeprefix("image/"), "source": {"bytes": data}}
    return {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": single}


def _decode(provider: "Bedrock", call: Call[object], body: bytes, headers: Headers) -> EmbeddingResponse:
    told = read_json(call, body, _REPLY, "a list of embeddings")
    try:
        data = [Embedding(index=index, embedding=_vector(one)) for index, one in enumerate(_vectors(told))]
    except ValueError as error:
        raise unreadable(body, "a list of embeddings", error, provider=provider.name, model=call.route.model) from error
    return EmbeddingResponse(data=data, model=call.route.model, usage=usage_of(headers, told.input_text_token_count))


def _vectors(told: _Reply) -> Sequence[list[float] | str | _Row]:
    if told.embedding is not None:
        return [told.embedding]
    if isinstance(told.embeddings, dict):
        # Where several types were asked for, the plain numbers; the others are in the reply's ``raw``.
        return told.embeddings.get("float") or next((some for some in told.embeddings.values() if some), ())
    vectors = told.data if told.embeddings is None else told.embeddings
    if vectors is None:
        raise ValueError("it has none")
    return vectors


def _vector(told: list[float] | str | _Row) -> Vector:
    numbers = told.embedding if isinstance(told, _Row) else told
    return Vector.of_bytes(a2b_base64(numbers, strict_mode=True)) if isinstance(numbers, str) else Vector.of(numbers)


EMBED: OperationWire[Any, Any] = OperationWire(encode=_encode, decode=_decode, parameters=EMBEDDING_PARAMETERS)

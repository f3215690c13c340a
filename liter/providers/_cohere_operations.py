"""Cohere's embeddings, reranking, transcriptions and token counts."""

from binascii import a2b_base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec

from .._contract import Call
from .._errors import BadRequestError
from .._http import Headers, HttpRequest
from ..types import (
    CountTokensRequest,
    Embedding,
    EmbeddingRequest,
    EmbeddingResponse,
    RerankRequest,
    RerankResponse,
    TokenCount,
    TranscriptionRequest,
    Usage,
    Vector,
)
from ._cohere_reply import Block, WireUsage, normal_usage
from ._form_body import form_body
from ._headers import JSON
from ._json_body import body_of
from ._openai_transcriptions import read_transcription
from ._parameters import Mapped, Renamed, Rule, Sent, Unsupported, supported
from ._ranking import ranked, text_of
from ._read import read_json, unreadable
from ._wire import OperationWire

if TYPE_CHECKING:
    from ._cohere import Cohere

EMBEDDING_PARAMETERS: Mapping[str, Rule] = {
    "model": Sent(),
    "input": Mapped("`texts`, or `inputs` where it has content parts; no token ids"),
    "encoding_format": Mapped("`embedding_types`: `float`, or the one that is given"),
    "dimensions": Renamed("output_dimension"),
    "user": Unsupported(),
    "input_type": Mapped("`search_query`, `search_document` (where none is given, too), or as it is"),
    "extra_body": Mapped("its fields, such as `truncate`; they win"),
}
RERANK_PARAMETERS: Mapping[str, Rule] = {
    "model": Sent(),
    "query": Sent(),
    "documents": Mapped("texts; an object is sent as its text, or else as JSON"),
    "top_n": Sent(),
    "return_documents": Mapped("nothing: the documents of the request come with the results"),
    "max_tokens_per_doc": Sent(),
    "user": Unsupported(),
    "extra_body": Mapped("its fields; they win"),
}

TRANSCRIPTION_PARAMETERS: Mapping[str, Rule] = {
    "model": Sent(),
    "file": Sent(),
    "language": Sent(),
    "prompt": Unsupported(),
    "response_format": Unsupported("the text comes as JSON", neutral=("json",)),
    "temperature": Sent(),
    "timestamp_granularities": Unsupported(),
    "include": Unsupported(),
    "chunking_strategy": Unsupported(neutral=("auto",)),
    "extra_body": Mapped("its fields; they win"),
}

_INPUT_TYPES = {"query": "search_query", "document": "search_document"}


class _Meta(msgspec.Struct, frozen=True):
    billed_units: Block | None = None
    tokens: Block | None = None
    cached_tokens: float | None = None


class _Embeddings(msgspec.Struct, frozen=True):
    # By type; the first version, and some clouds, have a bare list.
    embeddings: dict[str, list[list[float] | str]] | list[list[float] | str]
    meta: _Meta | None = None


class _Ranked(msgspec.Struct, frozen=True):
    index: int
    relevance_score: float


class _Ranking(msgspec.Struct, frozen=True):
    results: list[_Ranked]
    id: str = ""
    meta: Block | None = None


class _Tokens(msgspec.Struct, frozen=True):
    tokens: list[int]


_EMBEDDINGS = msgspec.json.Decoder(_Embeddings)
_RANKING = msgspec.json.Decoder(_Ranking)
_TOKENS = msgspec.json.Decoder(_Tokens)


def first_version(base_url: str) -> str:
    """The address of the first version, which has what the second lacks."""
    root = base_url.rstrip("/")
    return f"{root.removesuffix('/v2')}/v1" if root.endswith("/v2") else root


def _encode_embed(provider: "Cohere", call: Call[object]) -> HttpRequest:
    request = supported(EMBEDDING_PARAMETERS, cast("EmbeddingRequest", call.request), call)
    items = request.items
    kind = request.input_type or "document"
    body: dict[str, object] = {
        "model": call.route.model,
        "input_type": _INPUT_TYPES.get(kind, kind),
        "embedding_types": [request.encoding_format or "float"],
    }
    if all(isinstance(item, str) for item in items):
        body["texts"] = items
    else:
        body["inputs"] = [{"content": [_part(item, index)]} for index, item in enumerate(items)]
    if request.dimensions is not None:
        body["output_dimension"] = request.dimensions
    return provider.request(call, "POST", call.route.base_url, "/embed", JSON, body=body_of(body, request.extra_body))


def _part(item: str | Sequence[int] | Mapping[str, object], index: int) -> Mapping[str, object]:
    if isinstance(item, str):
        return {"type": "text", "text": item}
    if isinstance(item, Mapping):
        return item
    raise BadRequestError(f"input[{index}]: Cohere takes texts and content parts, not token ids")


def _decode_embeddings(provider: "Cohere", call: Call[object], body: bytes, headers: Headers) -> EmbeddingResponse:
    told = read_json(call, body, _EMBEDDINGS, "a list of embeddings")
    vectors: Sequence[list[float] | str] | dict[str, list[list[float] | str]] = told.embeddings
    if isinstance(vectors, dict):
        # Where several types were asked for, the plain numbers; the others are in the reply's ``raw``.
        vectors = vectors.get("float") or next((some for some in vectors.values() if some), ())
    try:
        data = [
            Embedding(
                index=index,
                embedding=Vector.of_bytes(a2b_base64(vector)) if isinstance(vector, str) else Vector.of(vector),
            )
            for index, vector in enumerate(vectors)
        ]
    except ValueError as error:
        raise unreadable(body, "a list of embeddings", error, provider=provider.name, model=call.route.model) from error
    return EmbeddingResponse(data=data, model=call.route.model, usage=_usage(told.meta))


def _usage(meta: _Meta | None) -> Usage | None:
    if meta is None:
        return None
    return normal_usage(WireUsage(meta.billed_units, meta.tokens, meta.cached_tokens))


def _encode_rerank(provider: "Cohere", call: Call[object]) -> HttpRequest:
    request = supported(RERANK_PARAMETERS, cast("RerankRequest", call.request), call)
    told = {
        "model": call.route.model,
        "query": request.query,
        "documents": [text_of(document) for document in request.documents],
        "top_n": request.top_n,
        "max_tokens_per_doc": request.max_tokens_per_doc,
    }
    return provider.request(call, "POST", call.route.base_url, "/rerank", JSON, body=body_of(told, request.extra_body))


def _decode_ranking(provider: "Cohere", call: Call[object], body: bytes, headers: Headers) -> RerankResponse:
    request = cast("RerankRequest", call.request)
    told = read_json(call, body, _RANKING, "a list of ranked documents")
    results = ranked(request, ((one.index, one.relevance_score) for one in told.results))
    units = (told.meta or {}).get("billed_units")
    searches = cast("Mapping[str, object]", units).get("search_units") if isinstance(units, Mapping) else None
    return RerankResponse(
        id=told.id,
        model=call.route.model,
        results=results,
        usage=Usage(search_units=int(searches)) if isinstance(searches, int | float) else None,
        meta=told.meta,
    )


def _encode_transcribe(provider: "Cohere", call: Call[object]) -> HttpRequest:
    request = supported(TRANSCRIPTION_PARAMETERS, cast("TranscriptionRequest", call.request), call)
    form = form_body(request, model=call.route.model)
    own = ((b"content-type", form.content_type), (b"accept", b"application/json"))
    return provider.request(call, "POST", call.route.base_url, "/audio/transcriptions", own, upload=form)


def _encode_count(provider: "Cohere", call: Call[object]) -> HttpRequest:
    request = cast("CountTokensRequest", call.request)
    if request.text is None or request.tools:
        raise BadRequestError("Cohere counts the tokens of a text, not those of messages and tools: give a text")
    body = body_of({"text": request.text, "model": call.route.model}, request.extra_body)
    return provider.request(call, "POST", first_version(call.route.base_url), "/tokenize", JSON, body=body)


def _decode_count(provider: "Cohere", call: Call[object], body: bytes, headers: Headers) -> TokenCount:
    told = read_json(call, body, _TOKENS, "a list of tokens")
    return TokenCount(input_tokens=len(told.tokens), model=call.route.model)


OPERATIONS: Mapping[str, OperationWire[Any, Any]] = {
    "embed": OperationWire(encode=_encode_embed, decode=_decode_embeddings, parameters=EMBEDDING_PARAMETERS),
    "rerank": OperationWire(encode=_encode_rerank, decode=_decode_ranking, parameters=RERANK_PARAMETERS),
    "transcribe": OperationWire(
        encode=_encode_transcribe,
        decode=lambda provider, call, body, headers: read_transcription(call, body, headers),
        parameters=TRANSCRIPTION_PARAMETERS,
    ),
    "count_tokens": OperationWire(encode=_encode_count, decode=_decode_count),
}

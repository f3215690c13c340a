"""Reranking in the form that Jina and Cohere began and most imitators have."""

from typing import cast

import msgspec

from .._contract import Call
from .._http import Headers
from ..types import RerankRequest, RerankResponse, RerankResult, Usage
from ._openai_embeddings import input_usage
from ._read import read_json

JsonObject = dict[str, object]


class _Result(msgspec.Struct):
    index: int
    relevance_score: float | None = None
    score: float | None = None
    document: JsonObject | str | None = None


class _Reply(msgspec.Struct):
    results: list[_Result] | None = None
    data: list[_Result] | None = None
    id: str = ""
    model: str = ""
    usage: Usage | None = None
    meta: JsonObject | None = None


_REPLY = msgspec.json.Decoder(_Reply)


def read_rerank(call: Call[object], body: bytes, headers: Headers) -> RerankResponse:
    """Decode ranked documents, best first.

    :raises SerializationError: it cannot be read
    """
    if body.lstrip()[:1] == b"[":
        body = b'{"results":' + body + b"}"
    told = read_json(call, body, _REPLY, "a list of ranked documents")
    results = [
        RerankResult(
            index=one.index,
            relevance_score=one.relevance_score if one.relevance_score is not None else one.score or 0.0,
            document={"text": one.document} if isinstance(one.document, str) else one.document,
        )
        for one in told.results or told.data or ()
    ]
    results.sort(key=lambda one: one.relevance_score, reverse=True)
    top = cast("RerankRequest", call.request).top_n
    return RerankResponse(
        id=told.id,
        model=told.model,
        # Some servers rank all documents whatever was asked.
        results=results if top is None else results[:top],
        usage=input_usage(told.usage, body),
        meta=told.meta,
    )

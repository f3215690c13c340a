"""Reranking, token counts and the list of models on Bedrock."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec.structs import replace

from .._contract import Call
from .._errors import BadRequestError
from .._http import Headers, HttpRequest
from ..types import (
    ChatCompletionRequest,
    CountTokensRequest,
    Model,
    ModelsListResponse,
    RerankRequest,
    RerankResponse,
    TokenCount,
)
from ._bedrock_hosts import host_of, partition_of, region_of
from ._bedrock_invoke import post
from ._bedrock_models import model_path
from ._bedrock_request import encode_converse
from ._headers import GET
from ._parameters import Mapped, Rule, Unsupported, supported
from ._ranking import ranked
from ._read import read_json
from ._wire import OperationWire

if TYPE_CHECKING:
    from ._bedrock import Bedrock

RERANK_PARAMETERS: Mapping[str, Rule] = {
    "model": Mapped("modelConfiguration.modelArn, made of the region where it is no ARN"),
    "query": Mapped("queries"),
    "documents": Mapped("sources: texts as textDocument, objects as jsonDocument"),
    "top_n": Mapped("bedrockRerankingConfiguration.numberOfResults"),
    "return_documents": Mapped("nothing: the documents of the request come with the results"),
    "max_tokens_per_doc": Mapped("modelConfiguration.additionalModelRequestFields.max_tokens_per_doc"),
    "user": Unsupported(),
    "extra_body": Mapped("its fields; they win"),
}


class _Ranked(msgspec.Struct, rename="camel"):
    index: int
    relevance_score: float


class _Ranking(msgspec.Struct, rename="camel"):
    results: list[_Ranked]
    next_token: str | None = None


class _Count(msgspec.Struct, rename="camel"):
    input_tokens: int


class _Summary(msgspec.Struct, rename="camel"):
    model_id: str
    model_name: str | None = None
    provider_name: str | None = None


class _Summaries(msgspec.Struct, rename="camel"):
    model_summaries: list[_Summary]


_RANKING = msgspec.json.Decoder(_Ranking)
_COUNT = msgspec.json.Decoder(_Count)
_SUMMARIES = msgspec.json.Decoder(_Summaries)


def _encode_rerank(provider: "Bedrock", call: Call[object]) -> HttpRequest:
    request = supported(RERANK_PARAMETERS, cast("RerankRequest", call.request), call)
    model: dict[str, object] = {"modelArn": _arn(call)}
    if request.max_tokens_per_doc is not None:
        model["additionalModelRequestFields"] = {"max_tokens_per_doc": request.max_tokens_per_doc}
    config: dict[str, object] = {"modelConfiguration": model}
    if request.top_n is not None:
        config["numberOfResults"] = request.top_n
    body: dict[str, object] = {
        "queries": [{"type": "TEXT", "textQuery": {"text": request.query}}],
        "sources": [{"type": "INLINE", "inlineDocumentSource": _source(document)} for document in request.documents],
        "rerankingConfiguration": {"type": "BEDROCK_RERANKING_MODEL", "bedrockRerankingConfiguration": config},
    }
    return post(provider, call, "/rerank", {**body, **(request.extra_body or {})}, "bedrock-agent-runtime")


def _source(document: str | Mapping[str, object]) -> dict[str, object]:
    if isinstance(document, str):
        return {"type": "TEXT", "textDocument": {"text": document}}
    return {"type": "JSON", "jsonDocument": document}


def _arn(call: Call[object]) -> str:
    model = call.route.model
    if model.startswith("arn:"):
        return model
    region = region_of(call.route.base_url) or call.route.settings.get("region")
    if region is None:
        raise BadRequestError(f"model: the region of {model!r} is not known: give its ARN, or set AWS_REGION")
    return f"arn:{partition_of(region).name}:bedrock:{region}::foundation-model/{model}"


def _decode_ranking(provider: "Bedrock", call: Call[object], body: bytes, headers: Headers) -> RerankResponse:
    request = cast("RerankRequest", call.request)
    told = read_json(call, body, _RANKING, "a list of ranked documents")
    results = ranked(request, ((one.index, one.relevance_score) for one in told.results))
    meta: dict[str, object] | None = None if told.next_token is None else {"nextToken": told.next_token}
    return RerankResponse(id=provider.request_id(headers) or "", model=call.route.model, results=results, meta=meta)


def _encode_count(provider: "Bedrock", call: Call[object]) -> HttpRequest:
    request = cast("CountTokensRequest", call.request)
    chat = ChatCompletionRequest(
        model=request.model, messages=request.conversation, tools=request.tools, extra_body=request.extra_body
    )
    converse = msgspec.Raw(encode_converse(replace(call, request=chat), schema_tool=False))
    body = {"input": {"converse": converse}}
    return post(provider, call, model_path(call.route.model, "count-tokens"), body)


def _decode_count(provider: "Bedrock", call: Call[object], body: bytes, headers: Headers) -> TokenCount:
    told = read_json(call, body, _COUNT, "a number of tokens")
    return TokenCount(input_tokens=told.input_tokens, model=call.route.model)


def _encode_list_models(provider: "Bedrock", call: Call[object]) -> HttpRequest:
    route = call.route
    return provider.request(call, "GET", host_of(route.base_url, "bedrock"), "/foundation-models", GET)


def _decode_models(provider: "Bedrock", call: Call[object], body: bytes, headers: Headers) -> ModelsListResponse:
    told = read_json(call, body, _SUMMARIES, "a list of models")
    models = [
        Model(id=one.model_id, owned_by=one.provider_name or "", display_name=one.model_name)
        for one in told.model_summaries
    ]
    return ModelsListResponse(data=models)


OPERATIONS: Mapping[str, OperationWire[Any, Any]] = {
    "rerank": OperationWire(encode=_encode_rerank, decode=_decode_ranking, parameters=RERANK_PARAMETERS),
    "count_tokens": OperationWire(encode=_encode_count, decode=_decode_count),
    "list_models": OperationWire(encode=_encode_list_models, decode=_decode_models),
}

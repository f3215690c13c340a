"""Rerankings whose bodies have a form of their own, at providers that speak OpenAI's wire otherwise."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from .._contract import Call
from .._http import HttpRequest
from ..types import RerankRequest, RerankResponse, Usage
from ._headers import JSON
from ._json_body import body_of
from ._parameters import Mapped, Rule, Sent, Unsupported, supported
from ._ranking import ranked, text_of
from ._read import read_json

if TYPE_CHECKING:
    from ._openai import OpenAI


class _Ranked(msgspec.Struct):
    index: int
    logit: float | None = None
    score: float | None = None


class _InferenceStatus(msgspec.Struct):
    cost: Decimal | None = None


class _Reply(msgspec.Struct):
    rankings: list[_Ranked] | None = None
    scores: list[float] | None = None
    input_tokens: int | None = None
    inference_status: _InferenceStatus | None = None


_REPLY = msgspec.json.Decoder(_Reply)


class RerankForm(msgspec.Struct, frozen=True, kw_only=True):
    """How a reranking is asked for.

    :param path: where, at another address than the provider's own
    :param body: makes the body of a query, documents and the model's name
    :param name: the model's name as a part of an address
    :param model: what becomes of the model's name
    """

    path: str
    body: Callable[[str, Sequence[str], str], Mapping[str, object]]
    name: Callable[[str], str] = str
    model: Rule = Mapped("in the address")

    @property
    def parameters(self) -> Mapping[str, Rule]:
        """What becomes of each parameter."""
        return {
            "model": self.model,
            "query": Sent(),
            "documents": Mapped("texts; an object is sent as its text, or else as JSON"),
            "top_n": Mapped("the best of what comes"),
            "return_documents": Mapped("nothing: the documents of the request come with the results"),
            "max_tokens_per_doc": Unsupported(),
            "user": Unsupported(),
            "extra_body": Mapped("its fields; they win"),
        }


FORMS: Mapping[str, RerankForm] = {
    "deepinfra": RerankForm(
        path="/rerank", body=lambda query, documents, model: {"queries": [query], "documents": documents}
    ),
    "nvidia": RerankForm(
        path="/ranking",
        body=lambda query, documents, model: {
            "model": model,
            "query": {"text": query},
            "passages": [{"text": document} for document in documents],
        },
        # Dots are no part of its addresses.
        name=lambda model: model.replace(".", "_"),
        model=Mapped("in the body, and in the address"),
    ),
    "tei": RerankForm(
        path="/rerank",
        body=lambda query, documents, model: {"query": query, "texts": documents},
        model=Mapped("nothing: an endpoint has one"),
    ),
}


def encode_form(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    """Make the request of a reranking in the provider's own form."""
    form = FORMS[provider.rerank_form]
    request = supported(form.parameters, cast("RerankRequest", call.request), call)
    model = call.route.model
    fields = form.body(request.query, [text_of(document) for document in request.documents], model)
    body = body_of(fields, request.extra_body)
    made = provider.request(call, "POST", *provider.locate(call, form.path), JSON, body=body)
    # A name with a slash is two steps of the path.
    told = quote(model, safe="")
    return replace(made, base_url=made.base_url.replace(told, quote(form.name(model), safe="/"))) if told else made


def read_form(call: Call[object], body: bytes) -> RerankResponse:
    """Decode ranked documents, best first, with those of the request where they were asked for.

    :raises SerializationError: it cannot be read
    """
    request = cast("RerankRequest", call.request)
    if body.lstrip()[:1] == b"[":
        body = b'{"rankings":' + body + b"}"
    told = read_json(call, body, _REPLY, "a list of ranked documents")
    scores = [(one.index, one.logit if one.logit is not None else one.score or 0.0) for one in told.rankings or ()]
    scores += enumerate(told.scores or ())
    scores.sort(key=lambda one: one[1], reverse=True)
    tokens = told.input_tokens
    return RerankResponse(
        model=call.route.model,
        results=ranked(request, scores[: request.top_n]),
        usage=None
        if tokens is None
        else Usage(
            prompt_tokens=tokens,
            total_tokens=tokens,
            reported_cost=None if told.inference_status is None else told.inference_status.cost,
        ),
    )

"""Reranking: documents in the order in which they answer a query."""

from collections.abc import Mapping, Sequence

import msgspec

from ._checks import check_count, check_items, check_model, check_text
from ._response import ApiResponse, JsonObject
from ._usage import Usage


class RerankRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks how well each document answers a query. ``None`` is not sent.

    :param model: ``"provider/model"``, or a name that the client routes
    :param documents: texts, or objects where the provider takes them
    :param top_n: how many of the best to return; by default all
    :param return_documents: whether results bring their document's text along
    :param max_tokens_per_doc: where documents are cut
    :param extra_body: more fields of the provider's body; merged last, so they win
    :raises ValueError: what cannot be right, with what would be
    """

    model: str
    query: str
    documents: Sequence[str | Mapping[str, object]]
    top_n: int | None = None
    return_documents: bool | None = None
    max_tokens_per_doc: int | None = None
    user: str | None = None
    extra_body: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        check_model(self.model, "cohere/rerank-v3.5")
        check_text(self.query, "query")
        check_items(self.documents, "documents")
        check_count(self.top_n, "top_n")
        check_count(self.max_tokens_per_doc, "max_tokens_per_doc")


class RerankResult(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """One document's place.

    :param index: which of the request's documents, from 0
    :param relevance_score: how well it answers, higher is better; the scale is the model's own
    :param document: the document, where it was asked for: ``{"text": ...}``
    """

    index: int = 0
    relevance_score: float = 0.0
    document: JsonObject | None = None


class RerankResponse(ApiResponse, repr_omit_defaults=True, frozen=True, kw_only=True):
    """Documents, best first.

    :param usage: token counts; ``None`` is unknown, never zero
    :param meta: what else the provider tells: billed units, warnings
    """

    id: str = ""
    model: str = ""
    results: list[RerankResult] = msgspec.field(default_factory=list[RerankResult])
    usage: Usage | None = None
    meta: JsonObject | None = None

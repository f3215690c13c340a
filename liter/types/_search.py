"""Web search."""

from collections.abc import Mapping, Sequence

import msgspec

from ._checks import check_count, check_model, check_text
from ._response import ApiResponse, JsonObject
from ._usage import Usage


class SearchRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks a search engine. ``None`` is not sent.

    :param model: the engine, and its kind of search: ``"brave/web-search"``, ``"tavily/search"``
    :param max_results: how many results at most
    :param search_domain_filter: only from these domains; one that begins with ``-`` is left out
    :param country: two letters, ISO 3166: where to search from
    :param extra_body: more fields of the provider's request; merged last, so they win
    :raises ValueError: what cannot be right, with what would be
    """

    model: str
    query: str
    max_results: int | None = None
    search_domain_filter: Sequence[str] | None = None
    country: str | None = None
    extra_body: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        check_model(self.model, "tavily/search")
        check_text(self.query, "query")
        check_count(self.max_results, "max_results")
        if self.country is not None and not (len(self.country) == 2 and self.country.isalpha()):
            raise ValueError(f"country must be two letters, such as 'DE', not {self.country!r}")


class SearchResult(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """A page that was found.

    :param snippet: what of it answers the query, as the engine tells it
    :param date: when it was published or last changed, as the engine writes it
    :param score: how well it fits, higher is better; the scale is the engine's own
    :param content: its text, where the engine sends it along
    :param native: what else the engine tells of it
    """

    title: str = ""
    url: str = ""
    snippet: str = ""
    date: str | None = None
    score: float | None = None
    content: str | None = None
    native: JsonObject | None = None


class SearchResponse(ApiResponse, repr_omit_defaults=True, frozen=True, kw_only=True):
    """Pages that were found, best first.

    :param answer: an answer that the engine wrote itself, where it does
    :param native: what else the engine tells
    """

    object: str = "search"
    id: str = ""
    model: str = ""
    results: list[SearchResult] = msgspec.field(default_factory=list[SearchResult])
    answer: str | None = None
    usage: Usage | None = None
    native: JsonObject | None = None

"""Search engines from the server's side, as a table: where each is asked, with which fields, and what it answers.

Replies and errors are as the examples in liter's tests of search engines have them. Results are made up; what an engine
tells beside them is there as far as clients read it.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import Struct

JsonObject = dict[str, object]


class Found(Struct, frozen=True):
    """A page that is found."""

    title: str
    url: str
    snippet: str
    score: float


class Search(Struct, frozen=True):
    """What is answered: the query, an id for the answer, and the pages."""

    query: str
    id: str
    found: Sequence[Found]


class Form(Struct, frozen=True, kw_only=True):
    """One engine.

    :param name: as a prefix has it: ``/tavily/search``
    :param host: its own, or a part of it
    :param paths: what its path ends with; an empty one is any path
    :param key: the header with the key; ``authorization`` has a scheme before it, and an empty one is no key
    :param count: the field with the number of results, with dots; empty: it has none
    :param usual: how many results it gives unasked, and ``most`` at most
    :param error: makes the body of a refusal, of its status, message and request id
    """

    name: str
    host: str
    answer: Callable[[Search], JsonObject]
    paths: tuple[str, ...] = ("/search",)
    method: Literal["GET", "POST"] = "POST"
    key: str = "authorization"
    query: str = "query"
    count: str = ""
    usual: int = 10
    most: int = 100
    error: Callable[[int, str, str], JsonObject] = lambda status, message, request_id: {"error": message}


def _pages(search: Search, **names: str) -> list[JsonObject]:
    """The pages under an engine's own names: ``title``, ``url`` and ``snippet`` unless told otherwise."""
    title, url, snippet = (names.get(name, name) for name in ("title", "url", "snippet"))
    return [{title: one.title, url: one.url, snippet: one.snippet} for one in search.found]


def _numbered(pages: Sequence[JsonObject]) -> list[JsonObject]:
    return [{"position": number, **page} for number, page in enumerate(pages, 1)]


def _perplexity(search: Search) -> JsonObject:
    return {"id": search.id, "results": [{**page, "date": "2026-01-01"} for page in _pages(search)]}


def _brave(search: Search) -> JsonObject:
    results = [{"type": "search_result", **page} for page in _pages(search, snippet="description")]
    return {"type": "search", "query": {"original": search.query}, "web": {"type": "search", "results": results}}


def _tavily(search: Search) -> JsonObject:
    results = [
        {"title": one.title, "url": one.url, "content": one.snippet, "score": one.score, "raw_content": None}
        for one in search.found
    ]
    beside: JsonObject = {"answer": None, "images": [], "follow_up_questions": None, "response_time": 0.5}
    return {"query": search.query, **beside, "results": results, "request_id": search.id}


def _exa(search: Search) -> JsonObject:
    results = [{"id": one.url, "title": one.title, "url": one.url, "highlights": [one.snippet]} for one in search.found]
    cost = {"total": 0.007, "search": {"neural": 0.007}}
    return {"requestId": search.id, "resolvedSearchType": "neural", "results": results, "costDollars": cost}


def _serper(search: Search) -> JsonObject:
    parameters = {"q": search.query, "type": "search", "engine": "google"}
    credits_used = 1 if len(search.found) <= 10 else 2
    organic = _numbered(_pages(search, url="link"))
    return {"searchParameters": parameters, "organic": organic, "credits": credits_used}


def _linkup(search: Search) -> JsonObject:
    return {"results": [{"type": "text", **page} for page in _pages(search, title="name", snippet="content")]}


def _searxng(search: Search) -> JsonObject:
    results = [
        {"title": one.title, "url": one.url, "content": one.snippet, "engine": "simulated", "score": one.score}
        for one in search.found
    ]
    return {"query": search.query, "number_of_results": 0, "results": results, "answers": [], "suggestions": []}


def _google(search: Search) -> JsonObject:
    items = [{"kind": "customsearch#result", **page} for page in _pages(search, url="link")]
    information = {"searchTime": 0.5, "totalResults": str(len(items))}
    # Where nothing is found there is no list.
    return {"kind": "customsearch#search", "searchInformation": information, **({"items": items} if items else {})}


def _parallel(search: Search) -> JsonObject:
    results = [{"url": one.url, "title": one.title, "publish_date": None, "excerpts": [one.snippet]}
               for one in search.found]  # fmt: skip
    return {"search_id": search.id, "results": results, "usage": [{"name": "sku_search", "count": 1}]}


def _firecrawl(search: Search) -> JsonObject:
    return {"success": True, "data": {"web": _pages(search, snippet="description")}, "id": search.id, "creditsUsed": 2}


def _fastcrw(search: Search) -> JsonObject:
    return {"success": True, "data": _pages(search, snippet="description")}


def _dataforseo(search: Search) -> JsonObject:
    items = [
        {"type": "organic", "rank_absolute": number, **page}
        for number, page in enumerate(_pages(search, snippet="description"), 1)
    ]
    good = {"status_code": 20000, "status_message": "Ok.", "cost": 0.002}
    result = {"keyword": search.query, "items_count": len(items), "items": items}
    return {**good, "tasks_count": 1, "tasks_error": 0, "tasks": [{"id": search.id, **good, "result": [result]}]}


def _you(search: Search) -> JsonObject:
    web = [{"title": one.title, "url": one.url, "snippets": [one.snippet]} for one in search.found]
    metadata = {"search_uuid": search.id, "query": search.query, "latency": 0.5}
    return {"results": {"web": web}, "metadata": metadata}


def _searchapi(search: Search) -> JsonObject:
    metadata = {"id": search.id, "status": "Success"}
    return {"search_metadata": metadata, "organic_results": _numbered(_pages(search, url="link"))}


def _duckduckgo(search: Search) -> JsonObject:
    topics = [{"Text": f"{one.title} - {one.snippet}", "FirstURL": one.url} for one in search.found]
    return {"Heading": search.query, "AbstractText": "", "AbstractURL": "", "RelatedTopics": topics, "Results": []}


def _jina(search: Search) -> JsonObject:
    data = _pages(search, snippet="description")
    return {"code": 200, "status": 20000, "data": data, "meta": {"usage": {"tokens": 10000}}}


def _failure(status: int, message: str, request_id: str) -> JsonObject:
    """A number of five digits with the status in it, as DataForSEO has for 401: 40100."""
    return {"status_code": status * 100, "status_message": message, "tasks": None}


FORMS: Sequence[Form] = (
    Form(
        name="perplexity", host="api.perplexity.ai", answer=_perplexity, count="max_results", most=20,
        error=lambda status, message, _: {"error": {"message": message, "type": "error", "code": status}},
    ),
    Form(
        name="brave", host="api.search.brave.com", answer=_brave, paths=("/web/search",), method="GET",
        key="x-subscription-token", query="q", count="count", usual=20, most=20,
        error=lambda status, message, request_id: {
            "type": "ErrorResponse", "error": {"id": request_id, "status": status, "detail": message},
        },
    ),
    Form(
        name="tavily", host="api.tavily.com", answer=_tavily, count="max_results", usual=5, most=20,
        error=lambda _, message, __: {"detail": {"error": message}},
    ),
    Form(
        name="exa", host="api.exa.ai", answer=_exa, key="x-api-key", count="numResults",
        error=lambda _, message, request_id: {"requestId": request_id, "error": message},
    ),
    Form(
        name="serper", host="google.serper.dev", answer=_serper, key="x-api-key", query="q", count="num",
        error=lambda status, message, _: {"message": message, "statusCode": status},
    ),
    Form(
        name="linkup", host="api.linkup.so", answer=_linkup, query="q", count="maxResults",
        error=lambda status, message, _: {"statusCode": status, "error": {"message": message, "details": []}},
    ),
    Form(name="searxng", host="searx", answer=_searxng, method="GET", key="", query="q"),
    Form(
        name="google-pse", host="customsearch.googleapis.com", answer=_google, paths=("",), method="GET",
        key="x-goog-api-key", query="q", count="num", most=10,
        error=lambda status, message, _: {"error": {"code": status, "message": message}},
    ),
    Form(
        name="parallel", host="api.parallel.ai", answer=_parallel, paths=("/v1/search",), key="x-api-key",
        query="objective", count="advanced_settings.max_results",
        error=lambda _, message, request_id: {"type": "error", "error": {"ref_id": request_id, "message": message}},
    ),
    Form(
        name="firecrawl", host="api.firecrawl.dev", answer=_firecrawl, count="limit",
        error=lambda _, message, __: {"success": False, "error": message},
    ),
    Form(
        name="fastcrw", host="fastcrw.com", answer=_fastcrw, count="limit",
        error=lambda _, message, __: {"success": False, "error": message},
    ),
    Form(
        name="dataforseo", host="api.dataforseo.com", answer=_dataforseo,
        paths=("/serp/google/organic/live/advanced",), query="keyword", count="depth", most=700, error=_failure,
    ),
    Form(
        name="you", host="ydc-index.io", answer=_you, paths=("/v1/search",), key="x-api-key", count="count",
        error=lambda _, message, __: {"detail": message},
    ),
    Form(name="searchapi", host="www.searchapi.io", answer=_searchapi, method="GET", query="q", count="num"),
    Form(name="duckduckgo", host="api.duckduckgo.com", answer=_duckduckgo, paths=("",), method="GET", key="",
         query="q"),
    Form(
        name="jina", host="s.jina.ai", answer=_jina, paths=("/search", "s.jina.ai/"), query="q", count="num",
        error=lambda status, message, _: {"code": status, "status": status * 100, "message": message},
    ),
)  # fmt: skip

"""The search engines that liter knows, each with its own fields."""

from collections.abc import Mapping
from typing import Literal

from ._country_codes import COUNTRY_NAMES, COUNTRY_NUMBERS
from ._parameters import Mapped, Renamed, Sent, Unsupported
from ._search_engine import USUAL, Asked, Engine
from ._search_reply import Shape

_FIRST = Mapped("the first of what comes")
_OPERATORS = Mapped("operators in the query: `site:` and `-site:`")
_LOWER = Mapped("`gl`, in small letters")
# 2000 and the number of ISO 3166-1 is Google's criteria id of a country.
_CRITERIA = 2000


def _lists(included: str, excluded: str) -> Mapped:
    return Mapped(f"`{included}`, and `{excluded}` for those with `-`")


def _lower(asked: Asked) -> str | None:
    return asked.country and asked.country.lower()


def _perplexity(asked: Asked) -> Mapping[str, object]:
    return {
        "query": asked.query,
        "max_results": asked.max_results,
        "search_domain_filter": [*asked.included, *(f"-{domain}" for domain in asked.excluded)],
        "country": asked.country,
    }


def _brave(asked: Asked) -> Mapping[str, object]:
    return {"q": asked.operators, "count": asked.max_results, "country": asked.country}


def _tavily(asked: Asked) -> Mapping[str, object]:
    return {
        "query": asked.query,
        "max_results": asked.max_results,
        "include_domains": asked.included,
        "exclude_domains": asked.excluded,
        "country": asked.country and COUNTRY_NAMES[asked.country],
    }


def _exa(asked: Asked) -> Mapping[str, object]:
    return {
        "query": asked.query,
        "numResults": asked.max_results,
        "includeDomains": asked.included,
        "excludeDomains": asked.excluded,
        "userLocation": asked.country,
    }


def _serper(asked: Asked) -> Mapping[str, object]:
    return {"q": asked.operators, "num": asked.max_results, "gl": _lower(asked)}


def _linkup(asked: Asked) -> Mapping[str, object]:
    return {
        "q": asked.query,
        "depth": "standard",
        "outputType": "searchResults",
        "includeDomains": asked.included,
        "excludeDomains": asked.excluded,
        "maxResults": asked.max_results,
    }


def _searxng(asked: Asked) -> Mapping[str, object]:
    return {"q": asked.query, "format": "json"}


def _google(asked: Asked) -> Mapping[str, object]:
    domains = [*asked.included, *asked.excluded]
    alone = domains[0] if len(domains) == 1 else None
    return {
        "cx": asked.settings.get("engine_id"),
        "q": asked.query if alone else asked.operators,
        "num": asked.max_results,
        "gl": _lower(asked),
        "siteSearch": alone,
        "siteSearchFilter": alone and ("i" if asked.included else "e"),
    }


# A keyword query of Parallel's has at most 200 characters; the objective has room for all of it.
_LONGEST_KEYWORDS = 200


def _parallel(asked: Asked) -> Mapping[str, object]:
    policy = {"include_domains": asked.included, "exclude_domains": asked.excluded}
    told = {name: domains for name, domains in policy.items() if domains}
    settings = {"max_results": asked.max_results, "location": _lower(asked), "source_policy": told or None}
    return {
        "objective": asked.query,
        "search_queries": [asked.query[:_LONGEST_KEYWORDS]],
        "advanced_settings": {name: value for name, value in settings.items() if value is not None} or None,
    }


def _firecrawl(asked: Asked) -> Mapping[str, object]:
    return {"query": asked.operators, "limit": asked.max_results, "country": asked.country}


def _dataforseo(asked: Asked) -> Mapping[str, object]:
    return {
        "keyword": asked.operators,
        "location_code": _CRITERIA + COUNTRY_NUMBERS[asked.country or "US"],
        "language_code": "en",
        "depth": asked.max_results,
    }


def _you(asked: Asked) -> Mapping[str, object]:
    return {
        "query": asked.query,
        "count": asked.max_results,
        "country": asked.country,
        "include_domains": asked.included,
        "exclude_domains": asked.excluded,
    }


def _searchapi(asked: Asked) -> Mapping[str, object]:
    engine = "google" if asked.model in USUAL else asked.model
    return {"engine": engine, "q": asked.operators, "num": asked.max_results, "gl": _lower(asked)}


def _duckduckgo(asked: Asked) -> Mapping[str, object]:
    return {"q": asked.query, "format": "json", "no_html": 1, "no_redirect": 1}


def _jina(asked: Asked) -> Mapping[str, object]:
    return {"q": asked.operators, "num": asked.max_results, "gl": asked.country}


def _kinds(field: str, names: str) -> Mapping[str, Mapping[str, object]]:
    return {name: {field: name} for name in names.split()}


_GET: Literal["GET"] = "GET"

PERPLEXITY = Engine(
    path="/search",
    fields=_perplexity,
    most=20,
    count=Sent(),
    domains=Sent(),
    country=Sent(),
    shape=Shape(items=("results",), date=("date", "last_updated"), id="id"),
)

ENGINES: Mapping[str, Engine] = {
    "brave": Engine(
        method=_GET,
        path="/web/search",
        fields=_brave,
        most=20,
        count=Renamed("count"),
        domains=_OPERATORS,
        country=Sent(),
        shape=Shape(items=("web.results",), snippet=("description", "extra_snippets"), date=("page_age", "age")),
    ),
    "tavily": Engine(
        path="/search",
        fields=_tavily,
        most=20,
        count=Sent(),
        domains=_lists("include_domains", "exclude_domains"),
        country=Mapped("its name in English, as Tavily lists it"),
        country_of=COUNTRY_NAMES.get,
        kinds={
            **_kinds("topic", "general news finance"),
            **_kinds("search_depth", "basic advanced fast ultra-fast"),
        },
        shape=Shape(
            items=("results",),
            snippet=("content",),
            date=("published_date",),
            content=("raw_content",),
            id="request_id",
            answer="answer",
        ),
    ),
    "exa": Engine(
        path="/search",
        fields=_exa,
        most=100,
        count=Renamed("numResults"),
        domains=_lists("includeDomains", "excludeDomains"),
        country=Renamed("userLocation"),
        kinds=_kinds("type", "auto neural fast instant deep deep-reasoning"),
        shape=Shape(
            items=("results",),
            snippet=("highlights", "summary"),
            date=("publishedDate",),
            content=("text",),
            id="requestId",
            cost="costDollars.total",
        ),
    ),
    "serper": Engine(
        path="/search",
        fields=_serper,
        most=100,
        count=Renamed("num"),
        domains=_OPERATORS,
        country=_LOWER,
        shape=Shape(items=("organic",), url=("link",)),
    ),
    "linkup": Engine(
        path="/search",
        fields=_linkup,
        count=Renamed("maxResults"),
        domains=_lists("includeDomains", "excludeDomains"),
        country=Unsupported(),
        kinds=_kinds("depth", "standard deep fast"),
        shape=Shape(items=("results", "sources"), title=("name",), snippet=("content", "snippet"), answer="answer"),
    ),
    "searxng": Engine(
        method=_GET,
        path="/search",
        fields=_searxng,
        count=_FIRST,
        domains=Unsupported("write operators into the query, if the engines behind the instance have them"),
        country=Unsupported("name a language, as in extra_body={'language': 'de'}"),
        kinds=_kinds("categories", "general news science it"),
        shape=Shape(items=("results",), snippet=("content",), date=("publishedDate",)),
    ),
    "google-pse": Engine(
        method=_GET,
        path="",
        fields=_google,
        most=10,
        count=Renamed("num"),
        required={"cx": "engine_id"},
        domains=Mapped("`siteSearch` and `siteSearchFilter` for one, operators in the query for several"),
        country=_LOWER,
        shape=Shape(items=("items",), url=("link",)),
    ),
    "parallel": Engine(
        path="/v1/search",
        fields=_parallel,
        count=Mapped("`max_results` of `advanced_settings`"),
        domains=Mapped("`include_domains` and `exclude_domains` of `advanced_settings.source_policy`"),
        country=Mapped("`location` of `advanced_settings`, in small letters"),
        kinds=_kinds("mode", "turbo basic advanced"),
        shape=Shape(items=("results",), snippet=("excerpts",), date=("publish_date",), id="search_id"),
    ),
    "firecrawl": Engine(
        path="/search",
        fields=_firecrawl,
        most=100,
        count=Renamed("limit"),
        domains=_OPERATORS,
        country=Sent(),
        # The first version has one list.
        shape=Shape(
            items=("data.web", "data.news", "data"), snippet=("description", "snippet"), content=("markdown",), id="id"
        ),
    ),
    "dataforseo": Engine(
        path="/serp/google/organic/live/advanced",
        fields=_dataforseo,
        listed=True,
        most=700,
        count=Renamed("depth"),
        domains=_OPERATORS,
        country=Mapped("`location_code`; by default the United States"),
        country_of=COUNTRY_NUMBERS.get,
        shape=Shape(
            items=("tasks.result.items",),
            kinds=("organic",),
            snippet=("description",),
            date=("timestamp",),
            id="tasks.id",
            cost="cost",
            # 40102: nothing was found.
            status=("status_code", "tasks.status_code"),
            good=(20000, 40102),
        ),
    ),
    "you": Engine(
        path="/v1/search",
        fields=_you,
        most=100,
        count=Renamed("count"),
        domains=_lists("include_domains", "exclude_domains"),
        country=Sent(),
        shape=Shape(
            items=("results.web", "results.news"),
            snippet=("snippets", "description"),
            date=("page_age",),
            id="metadata.search_uuid",
        ),
    ),
    "searchapi": Engine(
        method=_GET,
        path="/search",
        fields=_searchapi,
        most=100,
        count=Renamed("num"),
        domains=_OPERATORS,
        country=_LOWER,
        kinds=None,
        shape=Shape(items=("organic_results",), url=("link",), id="search_metadata.id"),
    ),
    "duckduckgo": Engine(
        method=_GET,
        path="/",
        fields=_duckduckgo,
        count=_FIRST,
        domains=Unsupported("it answers at once, and searches no pages"),
        country=Unsupported(),
        shape=Shape(
            items=("Results", "RelatedTopics"),
            title=("Text",),
            url=("FirstURL",),
            snippet=("Text",),
            answer="AbstractText",
        ),
    ),
}

# Its other operations are in another table.
JINA = Engine(
    path="/search",
    fields=_jina,
    count=Renamed("num"),
    domains=_OPERATORS,
    country=Renamed("gl"),
    # Reading the pages as well is billed by their tokens.
    headers=((b"x-respond-with", b"no-content"),),
    shape=Shape(items=("data",), snippet=("description",), content=("content",)),
)

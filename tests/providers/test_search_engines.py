"""Search engines: each is asked in its own form, and answers in ours."""

import json
from decimal import Decimal

import pytest
from msgspec.structs import replace

from liter import LlmClient
from liter._errors import (
    AuthenticationError,
    BadRequestError,
    LlmError,
    RateLimitedError,
    SerializationError,
    ServerError,
)
from liter._http import Headers, parse_base_url
from liter._secret import Secret
from liter.providers import CustomProviderConfig, Mapped, Renamed, Sent, Unsupported, known_providers
from liter.types import SearchRequest, SearchResult

from ._answering import answering, said

KNOWN = known_providers()
ENGINES = sorted(name for name, provider in KNOWN.items() if "search" in provider.operations)
SETTINGS = {"google-pse": {"engine_id": "my-engine"}, "dataforseo": {"login": "me"}}


@pytest.fixture
def make(call_of):
    """Make a call of a search."""

    def made(engine, model="search", unsupported="raise", **given):
        request = SearchRequest(model=f"{engine}/{model}", query=given.pop("query", "rivers"), **given)
        call = call_of(
            request,
            operation="search",
            provider=engine,
            model=model,
            base_url=KNOWN[engine].base_url or "http://searx.example",
            settings=SETTINGS.get(engine, {}),
        )
        return replace(call, unsupported=unsupported)

    return made


def asked(call):
    """The method, the whole address, and what is in the body."""
    request = KNOWN[call.route.provider].encode(call)
    url = request.base_url + request.path
    return request.method, url, json.loads(request.body) if request.body else None


# All parameters: three results, two domains and one to leave out, from Germany.
FULL = {"max_results": 3, "search_domain_filter": ["a.org", "b.org", "-c.org"], "country": "de"}
SITES = "rivers (site:a.org OR site:b.org) -site:c.org"
QUERY = "rivers%20%28site%3Aa.org%20OR%20site%3Ab.org%29%20-site%3Ac.org"
LISTS = {"include_domains": ["a.org", "b.org"], "exclude_domains": ["c.org"]}

GOLDEN = {
    "perplexity": (
        "POST",
        "https://api.perplexity.ai/search",
        {"query": "rivers", "max_results": 3, "search_domain_filter": ["a.org", "b.org", "-c.org"], "country": "DE"},
    ),
    "brave": ("GET", f"https://api.search.brave.com/res/v1/web/search?q={QUERY}&count=3&country=DE", None),
    "tavily": (
        "POST",
        "https://api.tavily.com/search",
        {"query": "rivers", "max_results": 3, **LISTS, "country": "germany"},
    ),
    "exa": (
        "POST",
        "https://api.exa.ai/search",
        {
            "query": "rivers",
            "numResults": 3,
            "includeDomains": ["a.org", "b.org"],
            "excludeDomains": ["c.org"],
            "userLocation": "DE",
        },
    ),
    "serper": ("POST", "https://google.serper.dev/search", {"q": SITES, "num": 3, "gl": "de"}),
    "google-pse": (
        "GET",
        f"https://customsearch.googleapis.com/customsearch/v1?cx=my-engine&q={QUERY}&num=3&gl=de",
        None,
    ),
    "parallel": (
        "POST",
        "https://api.parallel.ai/v1/search",
        {
            "objective": "rivers",
            "search_queries": ["rivers"],
            "advanced_settings": {"max_results": 3, "location": "de", "source_policy": LISTS},
        },
    ),
    "firecrawl": ("POST", "https://api.firecrawl.dev/v2/search", {"query": SITES, "limit": 3, "country": "DE"}),
    "fastcrw": ("POST", "https://fastcrw.com/api/v1/search", {"query": SITES, "limit": 3, "country": "DE"}),
    "dataforseo": (
        "POST",
        "https://api.dataforseo.com/v3/serp/google/organic/live/advanced",
        [{"keyword": SITES, "location_code": 2276, "language_code": "en", "depth": 3}],
    ),
    "you": ("POST", "https://ydc-index.io/v1/search", {"query": "rivers", "count": 3, "country": "DE", **LISTS}),
    "jina": ("POST", "https://s.jina.ai/", {"q": SITES, "num": 3, "gl": "DE"}),
    "searchapi": ("GET", f"https://www.searchapi.io/api/v1/search?engine=google&q={QUERY}&num=3&gl=de", None),
}
# Those that lack a parameter or two.
FEWER = {
    "linkup": (
        {**FULL, "country": None},
        "POST",
        "https://api.linkup.so/v1/search",
        {
            "q": "rivers",
            "depth": "standard",
            "outputType": "searchResults",
            "includeDomains": ["a.org", "b.org"],
            "excludeDomains": ["c.org"],
            "maxResults": 3,
        },
    ),
    "searxng": ({"max_results": 3}, "GET", "http://searx.example/search?q=rivers&format=json", None),
    "duckduckgo": (
        {"max_results": 3},
        "GET",
        "https://api.duckduckgo.com/?q=rivers&format=json&no_html=1&no_redirect=1",
        None,
    ),
}


def test_every_engine_is_here():
    """One more in the registry is one more to be asked here."""
    assert {*GOLDEN, *FEWER} == {*ENGINES}
    assert len(ENGINES) >= 12


@pytest.mark.parametrize("engine", GOLDEN)
def test_a_search_with_all_parameters(make, engine):
    """Method, address, query and body, to the letter."""
    assert asked(make(engine, **FULL)) == GOLDEN[engine]


@pytest.mark.parametrize("engine", FEWER)
def test_a_search_with_all_that_an_engine_has(make, engine):
    """Where it has not every parameter."""
    given, *wanted = FEWER[engine]
    assert [*asked(make(engine, **given))] == wanted


@pytest.mark.parametrize(
    ("engine", "header", "value"),
    [
        ("perplexity", b"authorization", b"Bearer sk-test"),
        ("brave", b"x-subscription-token", b"sk-test"),
        ("tavily", b"authorization", b"Bearer sk-test"),
        ("exa", b"x-api-key", b"sk-test"),
        ("serper", b"x-api-key", b"sk-test"),
        ("google-pse", b"x-goog-api-key", b"sk-test"),
        ("parallel", b"x-api-key", b"sk-test"),
        ("firecrawl", b"authorization", b"Bearer sk-test"),
        ("linkup", b"authorization", b"Bearer sk-test"),
        ("you", b"x-api-key", b"sk-test"),
        ("searchapi", b"authorization", b"Bearer sk-test"),
        ("dataforseo", b"authorization", b"Basic bWU6c2stdGVzdA=="),
    ],
)
def test_the_key_goes_into_the_engines_own_header(make, engine, header, value):
    """And nowhere else: no address has it."""
    request = KNOWN[engine].encode(make(engine))
    assert dict(request.headers)[header] == value
    assert "sk-test" not in request.path
    assert b"sk-test" not in request.body
    assert (b"accept", b"application/json") in request.headers


def test_a_login_may_be_in_the_key(call_of):
    """Both halves, or the password alone where the name is a setting; else it is said how."""
    provider = KNOWN["dataforseo"]

    def login(key, settings):
        request = SearchRequest(model="dataforseo/search", query="q")
        call = call_of(
            request,
            operation="search",
            provider="dataforseo",
            model="search",
            base_url=provider.base_url,
            api_key=Secret(key),
            settings=settings,
        )
        return dict(provider.encode(call).headers)[b"authorization"]

    assert login("me:pw", {}) == login("pw", {"login": "me"}) == b"Basic bWU6cHc="
    with pytest.raises(AuthenticationError, match="login:password"):
        login("pw", {})


@pytest.mark.parametrize("engine", ENGINES)
def test_each_parameter_is_as_the_table_says(make, engine, caplog):
    """Sent, renamed and mapped ones change the request or the results; others are refused, or dropped with a word."""
    rules = KNOWN[engine].parameters("search")
    assert rules.keys() == {*SearchRequest.__struct_fields__}
    plain = asked(make(engine))
    values = {"max_results": 3, "search_domain_filter": ["a.org"], "country": "de", "extra_body": {"own": 1}}
    for name, value in values.items():
        rule = rules[name]
        if isinstance(rule, Unsupported):
            with pytest.raises(BadRequestError, match=repr(name)):
                asked(make(engine, **{name: value}))
            assert asked(make(engine, unsupported="drop", **{name: value})) == plain
            assert repr(name) in caplog.text
            continue
        changed = asked(make(engine, **{name: value}))
        body = changed[2][0] if isinstance(changed[2], list) else changed[2]
        match rule:
            case Renamed(to):
                assert f"{to}=" in changed[1] if body is None else to in body
            case Sent():
                assert f"{name}=" in changed[1] if body is None else name in body
            case Mapped(how):
                assert (changed == plain) == (how == "the first of what comes")


def test_more_results_than_an_engine_gives_are_refused(make):
    """Or, where that is wished, as many as it gives."""
    with pytest.raises(BadRequestError, match="ask for 20 at most"):
        asked(make("brave", max_results=21))
    assert asked(make("brave", max_results=21, unsupported="drop"))[1].endswith("count=20")


def test_a_country_that_an_engine_has_no_name_for_is_refused(make):
    """Before anything is sent."""
    with pytest.raises(BadRequestError, match="country='AQ'"):
        asked(make("tavily", country="AQ"))
    assert "country" not in asked(make("tavily", country="AQ", unsupported="drop"))[2]
    assert asked(make("tavily", country="gb"))[2]["country"] == "united kingdom"


def test_a_model_names_a_kind_of_search(make):
    """Where an engine has several; another name is refused, with those that there are."""
    assert asked(make("tavily", "news"))[2] == {"query": "rivers", "topic": "news"}
    assert asked(make("linkup", "deep"))[2]["depth"] == "deep"
    assert asked(make("exa", "neural"))[2]["type"] == "neural"
    assert "engine=bing&" in asked(make("searchapi", "bing"))[1]
    assert asked(make("brave", "web-search")) == asked(make("brave"))
    with pytest.raises(BadRequestError, match="'tavily/search', 'tavily/general', 'tavily/news'"):
        asked(make("tavily", "nonsense"))


def test_one_domain_is_a_filter_of_googles(make):
    """Of which it has room for one."""
    assert asked(make("google-pse", search_domain_filter=["a.org"]))[1].endswith(
        "q=rivers&siteSearch=a.org&siteSearchFilter=i"
    )
    assert asked(make("google-pse", search_domain_filter=["-a.org"]))[1].endswith("siteSearchFilter=e")


def test_googles_engine_must_be_known(call_of):
    """It is a setting, or a field of the caller's own."""
    provider = KNOWN["google-pse"]

    def call(**given):
        request = SearchRequest(model="google-pse/search", query="q", **given)
        return call_of(request, operation="search", provider="google-pse", model="search", base_url=provider.base_url)

    with pytest.raises(BadRequestError, match=r"provider_settings=\{'google-pse': \{'engine_id': \.\.\.\}\}"):
        provider.encode(call())
    assert "cx=mine" in provider.encode(call(extra_body={"cx": "mine"})).path


def test_parallels_keywords_are_short(make):
    """All of a long query goes into the objective."""
    body = asked(make("parallel", query="river " * 100))[2]
    assert len(body["objective"]) == 600
    assert len(body["search_queries"][0]) == 200


def test_fields_of_the_callers_own_win(make):
    """In queries truth is as in JSON, and lists have commas."""
    assert asked(make("tavily", extra_body={"include_answer": True, "query": "lakes"}))[2] == {
        "query": "lakes",
        "include_answer": True,
    }
    url = asked(make("brave", extra_body={"extra_snippets": True, "result_filter": ["web", "news"]}))[1]
    assert url.endswith("?q=rivers&extra_snippets=true&result_filter=web%2Cnews")


# What each engine answers, and what is made of it: results, id, answer, cost.
A = SearchResult(title="A", url="https://a.org", snippet="Rivers begin.")
ANSWERS = {
    "jina": (
        {
            "code": 200,
            "status": 20000,
            "data": [{"title": "A", "url": "https://a.org", "description": "Rivers begin.", "date": "Jan 2, 2025"}],
            "meta": {"usage": {"tokens": 10000}},
        },
        [replace(A, date="Jan 2, 2025")],
        {"native": {"code": 200, "status": 20000, "meta": {"usage": {"tokens": 10000}}}},
    ),
    "perplexity": (
        {
            "id": "i",
            "results": [{"title": "A", "url": "https://a.org", "snippet": "Rivers begin.", "date": "2025-01-02"}],
        },
        [replace(A, date="2025-01-02")],
        {"id": "i"},
    ),
    "brave": (
        {
            "type": "search",
            "query": {"original": "rivers"},
            "web": {
                "results": [
                    {
                        "title": "A",
                        "url": "https://a.org",
                        "description": "Rivers begin.",
                        "page_age": "2025-01-02T00:00:00",
                        "age": "2 days ago",
                        "extra_snippets": ["x"],
                        "language": "en",
                    }
                ]
            },
        },
        [replace(A, date="2025-01-02T00:00:00", native={"language": "en"})],
        {"native": {"type": "search", "query": {"original": "rivers"}}},
    ),
    "tavily": (
        {
            "query": "rivers",
            "answer": "In hills.",
            "results": [
                {
                    "title": "A",
                    "url": "https://a.org",
                    "content": "Rivers begin.",
                    "score": 0.5,
                    "raw_content": "Rivers begin in hills.",
                }
            ],
            "images": [],
            "response_time": 1.5,
            "request_id": "r",
        },
        [replace(A, score=0.5, content="Rivers begin in hills.")],
        {"id": "r", "answer": "In hills.", "native": {"query": "rivers", "response_time": 1.5}},
    ),
    "exa": (
        {
            "requestId": "r",
            "resolvedSearchType": "neural",
            "results": [
                {
                    "title": "A",
                    "url": "https://a.org",
                    "publishedDate": "2025-01-02",
                    "author": None,
                    "id": "https://a.org",
                    "highlights": ["Rivers", "begin."],
                    "text": "All of it.",
                }
            ],
            "costDollars": {"total": 0.015},
        },
        [
            replace(
                A,
                snippet="Rivers\nbegin.",
                date="2025-01-02",
                content="All of it.",
                native={"id": "https://a.org"},
            )
        ],
        {"id": "r", "cost": "0.015"},
    ),
    "serper": (
        {
            "organic": [{"title": "A", "link": "https://a.org", "snippet": "Rivers begin.", "position": 1}],
            "answerBox": {"answer": "hills"},
            "credits": 1,
        },
        [replace(A, native={"position": 1})],
        {"native": {"answerBox": {"answer": "hills"}, "credits": 1}},
    ),
    "linkup": (
        {"results": [{"type": "text", "name": "A", "url": "https://a.org", "content": "Rivers begin."}]},
        [replace(A, native={"type": "text"})],
        {},
    ),
    "searxng": (
        {
            "results": [
                {"title": "A", "url": "https://a.org", "content": "Rivers begin.", "engine": "b", "score": 2},
                {"title": "B", "url": "https://b.org", "content": ""},
            ],
            "answers": [],
            "unresponsive_engines": [["x", "timeout"]],
        },
        [replace(A, score=2.0, native={"engine": "b"}), SearchResult(title="B", url="https://b.org")],
        {"native": {"unresponsive_engines": [["x", "timeout"]]}},
    ),
    "google-pse": (
        {"kind": "customsearch#search", "items": [{"title": "A", "link": "https://a.org", "snippet": "Rivers begin."}]},
        [A],
        {},
    ),
    "parallel": (
        {
            "search_id": "s",
            "results": [{"url": "https://a.org", "title": "A", "publish_date": None, "excerpts": ["Rivers", "begin."]}],
        },
        [replace(A, snippet="Rivers\nbegin.")],
        {"id": "s"},
    ),
    "firecrawl": (
        {
            "success": True,
            "data": {
                "web": [{"title": "A", "url": "https://a.org", "description": "Rivers begin.", "markdown": "# A"}],
                "news": [{"title": "B", "url": "https://b.org", "snippet": "News.", "date": "today"}],
            },
            "creditsUsed": 2,
        },
        [
            replace(A, content="# A"),
            SearchResult(title="B", url="https://b.org", snippet="News.", date="today"),
        ],
        {},
    ),
    "fastcrw": (
        {"success": True, "data": [{"title": "A", "url": "https://a.org", "description": "Rivers begin."}]},
        [A],
        {},
    ),
    "dataforseo": (
        {
            "status_code": 20000,
            "cost": 0.002,
            "tasks": [
                {
                    "id": "t",
                    "status_code": 20000,
                    "result": [
                        {
                            "items": [
                                {"type": "people_also_ask", "title": "no"},
                                {
                                    "type": "organic",
                                    "title": "A",
                                    "url": "https://a.org",
                                    "description": "Rivers begin.",
                                    "timestamp": None,
                                },
                            ]
                        }
                    ],
                }
            ],
        },
        [A],
        {"id": "t", "cost": "0.002"},
    ),
    "you": (
        {
            "results": {
                "web": [
                    {
                        "title": "A",
                        "url": "https://a.org",
                        "description": "D",
                        "snippets": ["Rivers begin."],
                        "page_age": "2025-01-02",
                    }
                ]
            },
            "metadata": {"search_uuid": "u", "latency": 0.1},
        },
        [replace(A, date="2025-01-02", native={"description": "D"})],
        {"id": "u"},
    ),
    "searchapi": (
        {
            "search_metadata": {"id": "m"},
            "organic_results": [{"position": 1, "title": "A", "link": "https://a.org", "snippet": "Rivers begin."}],
        },
        [replace(A, native={"position": 1})],
        {"id": "m"},
    ),
    "duckduckgo": (
        {
            "AbstractText": "A river is water.",
            "AbstractURL": "https://w.org",
            "RelatedTopics": [
                {"Text": "Rivers begin.", "FirstURL": "https://a.org"},
                {"Name": "More", "Topics": [{"Text": "x", "FirstURL": "https://x.org"}]},
            ],
        },
        [replace(A, title="Rivers begin.")],
        {"answer": "A river is water."},
    ),
}


@pytest.mark.parametrize("engine", ENGINES)
def test_an_answer_is_read(make, engine):
    """Title, address, snippet and the rest of each result, and what is told beside them; one search is billed."""
    told, results, facts = ANSWERS[engine]
    call = make(engine)
    response = KNOWN[engine].decode(call, json.dumps(told).encode(), Headers())
    # Of duplicates under two names, one is ours and the other stays out.
    assert [replace(one, native=None) for one in response.results] == [replace(one, native=None) for one in results]
    for one, wanted in zip(response.results, results, strict=True):
        if wanted.native is not None:
            assert one.native is None or wanted.native.items() >= one.native.items()
    assert response.id == facts.get("id", "")
    assert response.answer == facts.get("answer")
    assert response.model == "search"
    usage = KNOWN[engine].usage(call, response)
    assert usage.searches == 1
    assert usage.reported_cost == (Decimal(facts["cost"]) if "cost" in facts else None)
    if "native" in facts:
        assert response.native == facts["native"]
    fewer = KNOWN[engine].decode(make(engine, max_results=1), json.dumps(told).encode(), Headers())
    assert fewer.results == response.results[:1]


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        ("google-pse", {"searchInformation": {"totalResults": "0"}}),
        ("searchapi", {"error": "Google didn't return any results."}),
        ("dataforseo", {"status_code": 20000, "tasks": [{"status_code": 40102, "result": None}]}),
        ("serper", {"organic": []}),
    ],
)
def test_nothing_found_is_no_failure(make, engine, told):
    """An empty list, however the engine says it."""
    assert KNOWN[engine].decode(make(engine), json.dumps(told).encode(), Headers()).results == []


def test_results_of_several_queries_are_one_list(make):
    """Perplexity answers several at once with a list for each."""
    body = {"results": [[{"title": "A", "url": "u"}], [{"title": "B", "url": "v"}]]}
    response = KNOWN["perplexity"].decode(make("perplexity"), json.dumps(body).encode(), Headers())
    assert [one.title for one in response.results] == ["A", "B"]


@pytest.mark.parametrize(
    ("engine", "status", "body", "kind", "told"),
    [
        ("tavily", 401, {"detail": {"error": "Unauthorized: missing or invalid API key."}}, AuthenticationError, "inv"),
        ("tavily", 432, {"detail": {"error": "This request exceeds your plan's set usage limit."}}, "quota", "plan"),
        ("tavily", 433, {"detail": {"error": "Pay-as-you-go limit."}}, "quota", "Pay"),
        ("exa", 402, {"requestId": "r", "error": "No credits left.", "tag": "NO_MORE_CREDITS"}, "quota", "No"),
        ("exa", 422, {"requestId": "r", "error": "numResults is too big"}, BadRequestError, "numResults"),
        (
            "brave",
            422,
            {
                "type": "ErrorResponse",
                "error": {"id": "1", "status": 422, "code": "SUBSCRIPTION_TOKEN_INVALID", "detail": "The token."},
            },
            AuthenticationError,
            "The token.",
        ),
        ("brave", 429, {"error": {"status": 429, "code": "RATE_LIMITED", "detail": "Slow."}}, RateLimitedError, "Slow"),
        ("brave", 429, {"error": {"status": 429, "code": "QUOTA_LIMITED", "detail": "All."}}, "quota", "All"),
        ("serper", 400, {"message": "Not enough credits", "statusCode": 400}, "quota", "Not enough"),
        (
            "linkup",
            429,
            {"statusCode": 429, "error": {"code": "INSUFFICIENT_FUNDS_CREDITS", "message": "No funds."}},
            "quota",
            "No funds",
        ),
        ("linkup", 429, {"error": {"code": "TOO_MANY_REQUESTS", "message": "Slow."}}, RateLimitedError, "Slow"),
        ("firecrawl", 402, {"success": False, "error": "Payment required"}, "quota", "Payment"),
        ("firecrawl", 200, {"success": False, "error": "Something broke"}, ServerError, "Something broke"),
        ("parallel", 422, {"type": "error", "error": {"ref_id": "r", "message": "No query."}}, BadRequestError, "No"),
        (
            "google-pse",
            429,
            {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Q"}},
            RateLimitedError,
            "Q",
        ),
        ("you", 403, {"detail": "Missing key"}, AuthenticationError, "Missing key"),
        ("perplexity", 401, {"error": {"message": "No key.", "code": 401}}, AuthenticationError, "No key."),
        ("searchapi", 200, {"error": "Invalid api key"}, AuthenticationError, "Invalid api key"),
        ("searxng", 403, "<title>403 Forbidden</title>", AuthenticationError, "search.formats"),
        ("dataforseo", 200, {"status_code": 40100, "status_message": "Not Authorized."}, AuthenticationError, "Not"),
        (
            "dataforseo",
            200,
            {"status_code": 20000, "tasks": [{"status_code": 40200, "status_message": "Payment Required."}]},
            "quota",
            "Payment",
        ),
        ("dataforseo", 200, {"status_code": 40202, "status_message": "Too fast."}, RateLimitedError, "Too fast"),
        ("tavily", 200, [], SerializationError, "what a search found"),
    ],
)
def test_a_failure_is_told_by_its_kind(make, engine, status, body, kind, told):
    """By the engine's own codes, under whatever status they come."""
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    provider = KNOWN[engine]
    if status == 200:
        with pytest.raises(LlmError) as raised:
            provider.decode(make(engine), data, Headers())
        error = raised.value
    else:
        error = provider.error(make(engine), status, Headers(), data)
    if kind == "quota":
        assert isinstance(error, RateLimitedError)
        assert error.quota_exhausted
        assert not error.retryable
    else:
        assert type(error) is kind
        assert not getattr(error, "quota_exhausted", False)
    assert told in error.message
    assert error.provider == engine


@pytest.mark.parametrize("engine", ["tavily", "exa"])
def test_every_recorded_search(recordings, make, engine):
    """What was asked can be asked, and everything that came is there."""
    count = 0
    for record in recordings(engine, "search"):
        count += 1
        own = {name: value for name, value in record["request_body"].items() if name not in ("query", "api_key")}
        call = make(engine, query=record["request_body"]["query"], extra_body=own)
        request = KNOWN[engine].encode(call)
        host = parse_base_url(request.base_url).origin.host
        assert (request.method, host, request.path) == (record["method"], record["host"], record["path"])
        assert json.loads(request.body) == {"query": call.request.query, **own}
        response = KNOWN[engine].decode(call, record["response_body"].encode(), Headers())
        raw = json.loads(record["response_body"])
        assert len(response.results) == len(raw["results"]) > 0
        for one, wanted in zip(response.results, raw["results"], strict=True):
            assert (one.title, one.url) == (wanted["title"], wanted["url"])
            assert one.snippet == wanted.get("content", "")
            assert one.content == (wanted.get("raw_content") or wanted.get("text"))
            assert one.date == wanted.get("publishedDate")
        cost = raw.get("costDollars", {}).get("total")
        assert response.usage.reported_cost == (None if cost is None else Decimal(str(cost)))
    assert count == {"tavily": 6, "exa": 1}[engine]


@pytest.mark.anyio
@pytest.mark.parametrize("engine", ["brave", "tavily", "dataforseo", "google-pse", "exa"])
async def test_a_search_through_the_client(engine):
    """From the method to the wire and back, with its price: the provider's own where it tells one."""
    received = []
    body = ANSWERS[engine][0]
    async with (
        answering(lambda request: said(body), received) as network,
        LlmClient(
            network_backend=network,
            api_keys={engine: "me:sk" if engine == "dataforseo" else "sk"},
            provider_settings={engine: {"engine_id": "e"}} if engine == "google-pse" else {},
        ) as client,
    ):
        response = await client.search(model=f"{engine}/search", query="rivers")
    assert response.results[0].url == "https://a.org"
    assert response["results"][0]["title"] == "A"
    assert received[0].method == GOLDEN[engine][0]
    prices = {"tavily": "0.008", "exa": "0.015", "dataforseo": "0.002", "google-pse": "0.005", "brave": None}
    wanted = prices[engine]
    assert response.cost is None if wanted is None else response.cost.total == Decimal(wanted)


@pytest.mark.anyio
async def test_a_custom_engine_may_speak_a_known_ones_protocol():
    """At its own address."""
    received = []
    config = CustomProviderConfig(name="house", base_url="https://searx.house.example", protocol="searxng")
    async with (
        answering(lambda request: said(ANSWERS["searxng"][0]), received) as network,
        LlmClient(network_backend=network, providers=[config]) as client,
    ):
        response = await client.search(model="house/search", query="rivers", max_results=1)
    assert [one.title for one in response.results] == ["A"]
    assert received[0].target == "/search?q=rivers&format=json"
    assert received[0].headers["host"] == "searx.house.example"

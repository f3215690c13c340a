"""Search engines as data: where one is asked, with which fields, and where its answers have theirs."""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, cast
from urllib.parse import quote, urlencode

import msgspec

from .._contract import Call
from .._errors import AuthenticationError, BadRequestError
from .._http import HttpRequest, RawHeaders
from ..types import SearchRequest, SearchResponse
from ._headers import GET, JSON, credential, merged
from ._json_body import json_text
from ._parameters import Mapped, Rule, Sent, refuse, supported
from ._search_reply import Shape, read_search
from ._wire import OperationWire, WireProvider

_ENCODER = msgspec.json.Encoder()

# Names that stand for an engine's only kind of search, or its usual one.
USUAL = ("", "search", "web-search")

# What a status means at one engine, where the body does not say it: by protocol and status.
ENGINE_HINTS: Mapping[tuple[str, int], str] = {
    ("searxng", 403): "an instance answers so where 'json' is not among search.formats in its settings",
}


class Asked(msgspec.Struct, frozen=True):
    """What is asked, taken apart.

    :param included: domains to search only, and ``excluded`` those to leave out
    :param country: two capital letters
    :param settings: of the provider, as the route has them
    """

    query: str
    model: str
    max_results: int | None
    included: Sequence[str]
    excluded: Sequence[str]
    country: str | None
    settings: Mapping[str, str]

    @property
    def operators(self) -> str:
        """The query with its domains as operators, as Google and Brave have them."""
        sites = " OR ".join(f"site:{domain}" for domain in self.included)
        if len(self.included) > 1:
            sites = f"({sites})"
        return " ".join(filter(None, [self.query, sites, *(f"-site:{domain}" for domain in self.excluded)]))


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """One search engine.

    :param path: where it is asked, unless the registry says otherwise
    :param fields: makes the fields of a request; ``None`` and empty ones are left out
    :param shape: where its answers have what
    :param method: ``GET``: the fields are the query
    :param domains: what becomes of domains; likewise ``country`` and ``count``
    :param most: how many results it gives at most; asking for more is refused
    :param kinds: the kinds of search that the model's name may tell, and their fields; ``None``: any name
    :param country_of: a country as it is sent; ``None``: this one cannot be sent
    :param listed: the body is a list with the fields as its only item
    :param required: fields that must be there, and the settings that fill them
    :param headers: what is sent beside the key
    """

    path: str
    fields: Callable[[Asked], Mapping[str, object]]
    shape: Shape
    domains: Rule
    country: Rule
    count: Rule
    method: Literal["GET", "POST"] = "POST"
    most: int | None = None
    kinds: Mapping[str, Mapping[str, object]] | None = {}
    country_of: Callable[[str], object] = str.upper
    listed: bool = False
    required: Mapping[str, str] = {}
    headers: RawHeaders = ()

    @property
    def parameters(self) -> Mapping[str, Rule]:
        """What becomes of each parameter of a search."""
        named = "any name" if self.kinds is None else ", ".join(f"`{kind}`" for kind in self.kinds)
        return {
            "model": Mapped(f"the kind of search: {named}" if named else "nothing: there is one kind of search"),
            "query": Sent(),
            "max_results": self.count,
            "search_domain_filter": self.domains,
            "country": self.country,
            "extra_body": Mapped("its fields; they win"),
        }


def search_wire(engine: Engine) -> OperationWire[WireProvider, SearchResponse]:
    """Make the operation that asks an engine."""
    parameters = engine.parameters
    return OperationWire(
        encode=lambda provider, call: _encode(engine, parameters, provider, call),
        decode=lambda provider, call, body, headers: read_search(engine.shape, call, body),
        parameters=parameters,
    )


def _encode(engine: Engine, parameters: Mapping[str, Rule], provider: WireProvider, call: Call[object]) -> HttpRequest:
    request = supported(parameters, cast("SearchRequest", call.request), call)
    filters = request.search_domain_filter or ()
    asked = Asked(
        query=request.query,
        model=call.route.model,
        max_results=_count(engine, request, call),
        included=[domain for domain in filters if not domain.startswith("-")],
        excluded=[domain[1:] for domain in filters if domain.startswith("-")],
        country=_country(engine, request, call),
        settings=call.route.settings,
    )
    told = {**engine.fields(asked), **_kind(engine, call)}
    fields = {name: value for name, value in told.items() if value is not None and value != []}
    fields.update(request.extra_body or {})
    for name, setting in engine.required.items():
        if name not in fields:
            raise BadRequestError(
                f"{name!r} is not known: pass provider_settings={{{provider.name!r}: {{{setting!r}: ...}}}}, "
                f"or extra_body={{{name!r}: ...}}"
            )
    base_url, path = provider.locate(call, engine.path)
    headers = engine.headers + _login(provider, call)
    if engine.method == "GET":
        query = urlencode([(name, _text(value)) for name, value in fields.items()], quote_via=quote)
        return HttpRequest(
            method="GET", base_url=base_url, path=f"{path}?{query}", headers=merged(GET + headers, call.headers)
        )
    return HttpRequest(
        method="POST",
        base_url=base_url,
        path=path,
        headers=merged(JSON + headers, call.headers),
        body=_ENCODER.encode([fields] if engine.listed else fields),
    )


def _count(engine: Engine, request: SearchRequest, call: Call[object]) -> int | None:
    count, most = request.max_results, engine.most
    if count is None or most is None or count <= most:
        return count
    refuse(call, f"max_results={count}", f"ask for {most} at most")
    return most


def _country(engine: Engine, request: SearchRequest, call: Call[object]) -> str | None:
    if request.country is None:
        return None
    country = request.country.upper()
    if engine.country_of(country) is not None:
        return country
    refuse(call, f"country={request.country!r}", "leave it out")
    return None


def _kind(engine: Engine, call: Call[object]) -> Mapping[str, object]:
    model, kinds = call.route.model, engine.kinds
    if kinds is None or model in USUAL:
        return {}
    fields = kinds.get(model)
    if fields is None:
        name = call.route.provider
        known = ", ".join(repr(f"{name}/{kind}") for kind in ("search", *kinds))
        raise BadRequestError(f"{name} has no search of the kind {model!r}: the model is {known}")
    return fields


def _login(provider: WireProvider, call: Call[object]) -> RawHeaders:
    key = call.route.api_key
    if provider.auth.kind != "basic" or not key:
        return provider.auth.headers(key)
    login, text = call.route.settings.get("login"), credential(key).decode()
    if ":" not in text and not login:
        raise AuthenticationError(
            f"{provider.name} is logged in to by name and password: give the key as 'login:password', "
            f"or pass provider_settings={{{provider.name!r}: {{'login': ...}}}}",
            provider=provider.name,
        )
    pair = text if ":" in text else f"{login}:{text}"
    return ((b"authorization", b"Basic " + b64encode(pair.encode())),)


def _text(value: object) -> str:
    """A value as these queries have it: lists with commas."""
    if isinstance(value, list | tuple):
        return ",".join(_text(item) for item in cast("Sequence[object]", value))
    return json_text(value)

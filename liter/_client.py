"""The client: methods in the shape of OpenAI's API, each a call through the stack."""

import os
import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from ._capabilities import Capabilities, capabilities_of
from ._contract import Layer, Stack, Timeouts
from ._key import ApiKey
from ._methods_batches import BatchesMethods
from ._methods_chat import ChatMethods
from ._methods_files import FilesMethods
from ._methods_many import ManyMethods
from ._methods_media import MediaMethods
from ._methods_responses import ResponsesMethods
from ._methods_text import TextMethods
from ._options import DEFAULTS, check_kind, check_timeout, check_unsupported, resolve_timeout
from ._routing import RouteTable
from .middleware import CostTracking, Retry
from .money import Cost, PriceBook
from .providers import Catalog, CustomProviderConfig, Provider
from .types import Usage
from .types._checks import check_count

if TYPE_CHECKING:
    import httpcore

DEFAULT_MAX_RETRIES = 3


class LlmClient(ChatMethods, ResponsesMethods, TextMethods, MediaMethods, FilesMethods, BatchesMethods, ManyMethods):
    """One async client for every LLM provider, on Trio and asyncio.

    Immutable, and safe to share between tasks, event loops and threads. Use it as ``async with LlmClient() as
    client``, or without and call ``await client.aclose()`` at the end; one that is dropped closes itself.

    :param api_key: key for the client's own provider (see ``model_hint``), never sent to another: a text; a function,
        async or not, that gives it; one of ``liter.credentials``; or several of these, of which the next is used when
        the provider refuses one. By default from the provider's environment variable, and only to the provider's own
        address
    :param base_url: address of the client's own provider; any that speaks its protocol
    :param model_hint: the client's own provider, for models without a known ``provider/`` prefix: a provider's
        name, or a model of its. By default ``"openai"``; only then, and without ``base_url``, names such as
        ``"claude-sonnet-4-5"`` go to the provider that names its models so
    :param api_keys: keys for other providers, by name
    :param provider_settings: what the addresses of providers leave open, by provider and setting, as
        ``{"databricks": {"workspace_host": "..."}}``. By default from environment variables; ``liter providers NAME``
        tells which
    :param providers: providers of one's own, see ``CustomProviderConfig``; also ``register_custom_provider``
    :param max_retries: how often the default stack tries again
    :param timeout: seconds, or ``Timeouts``. A number bounds a unary call as a whole, retries and waits included;
        of a stream, it bounds the time to the first event and each gap between events
    :param middleware: layers, outermost first, in place of the default stack (``CostTracking``, ``Retry``); ``[]`` is
        none
    :param prices: the price book that ``reply.cost``, ``price`` and every layer that has none of its own go by; by
        default ``PriceBook.default()``
    :param unsupported: what becomes of a parameter that the provider does not take: an error before any I/O
        (``"raise"``), or it is left out, with a warning in the log of ``liter`` (``"drop"``)
    :param fetch_urls: whether images and documents that a request names by URL are fetched for providers that take
        content in the request only. Off by default, and then such a request is refused; with ``"public"``, from public
        addresses alone, without credentials or proxy, and up to 20 MB each. What providers fetch themselves stays a URL
    :param http2: offer HTTP/2. Off by default: in Python it costs several times the CPU of HTTP/1.1
    :param ssl_context: for TLS; by default with the system's certificates. For HTTP/2 it must offer ``"h2"`` itself,
        by ``set_alpn_protocols``: it is not changed
    :param proxy: URL of an HTTP or SOCKS proxy; by default from ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and
        ``NO_PROXY``
    :param trust_environment: whether these variables are looked at
    :param max_connections: open connections at once, for each event loop
    :param keepalive_expiry: seconds after which an idle connection is not used again
    :param max_response_bytes: a larger unary body is refused
    :param max_event_bytes: a larger event of a stream is refused
    :param network_backend: one of httpcore's, or ``liter.testing.MemoryNetwork``
    :raises ValueError: an argument that makes no sense; it names it, and what would be right
    """

    def __init__(
        self,
        *,
        api_key: ApiKey | None = None,
        base_url: str | None = None,
        model_hint: str | None = None,
        max_retries: int = DEFAULT_MAX_RETRIES,
        timeout: float | Timeouts = 60,
        middleware: Sequence[Layer] | None = None,
        api_keys: Mapping[str, ApiKey] | None = None,
        provider_settings: Mapping[str, Mapping[str, str]] | None = None,
        providers: Sequence[CustomProviderConfig | Provider] = (),
        prices: PriceBook | None = None,
        unsupported: Literal["raise", "drop"] = "raise",
        fetch_urls: Literal["public"] | bool = False,
        http2: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        trust_environment: bool = True,
        max_connections: int = 1000,
        keepalive_expiry: float = 60.0,
        max_response_bytes: int = 64 * 1024 * 1024,
        max_event_bytes: int = 16 * 1024 * 1024,
        network_backend: "httpcore.AsyncNetworkBackend | None" = None,
    ) -> None:
        # httpcore is the largest import of all: who only needs types, layers or errors does without.
        from ._exchange import Exchange
        from ._fetch import Fetcher
        from .transport import Transport

        check_count(max_connections, "max_connections")
        check_count(max_response_bytes, "max_response_bytes")
        check_count(max_event_bytes, "max_event_bytes")
        # A text such as "no" would be true.
        check_kind(http2, "http2", bool, "True or False")
        check_kind(trust_environment, "trust_environment", bool, "True or False")
        check_kind(keepalive_expiry, "keepalive_expiry", (int, float), "0 or more seconds")
        check_kind(base_url, "base_url", str, "a text", optional=True)
        check_kind(proxy, "proxy", str, "a text", optional=True)
        check_kind(ssl_context, "ssl_context", ssl.SSLContext, "an ssl.SSLContext", optional=True)
        if api_keys is not None and not isinstance(api_keys, Mapping):
            # Not shown, as it may be a key.
            raise ValueError(f"api_keys must be keys by the names of their providers, not {type(api_keys).__name__}")
        check_kind(provider_settings, "provider_settings", Mapping, "settings by the name of a provider", optional=True)
        check_kind(providers, "providers", (list, tuple), "a list of CustomProviderConfig(...)")
        check_timeout(timeout)
        check_unsupported(unsupported)
        self._unsupported = unsupported
        self._timeouts = {stream: resolve_timeout(timeout, stream=stream) for stream in (False, True)}
        self._routes = RouteTable(
            Catalog(providers),
            model_hint,
            api_key=api_key,
            base_url=base_url,
            api_keys=api_keys,
            settings=provider_settings,
        )
        if network_backend is not None and not hasattr(network_backend, "connect_tcp"):
            raise ValueError(f"network_backend must be one of httpcore's, or a MemoryNetwork, not {network_backend!r}")
        self._transport = Transport(
            http2=http2,
            ssl_context=ssl_context,
            proxy=proxy,
            trust_environment=trust_environment,
            max_connections=max_connections,
            keepalive_expiry=keepalive_expiry,
            network_backend=network_backend,
        )
        if fetch_urls not in (False, True, "public"):
            raise ValueError(f"fetch_urls must be 'public' or False, not {fetch_urls!r}")
        self._fetcher = Fetcher(network_backend) if fetch_urls else None
        exchange = Exchange(
            self._routes,
            self._transport,
            fetcher=self._fetcher,
            max_response_bytes=max_response_bytes,
            max_event_bytes=max_event_bytes,
        )
        if prices is not None and not isinstance(prices, PriceBook):
            raise ValueError(f"prices must be a PriceBook, as PriceBook.default().with_(...), not {prices!r}")
        self._prices = prices
        layers = _layers(middleware, max_retries)
        if middleware is not None:
            from ._plan import check_models

            check_models(layers, lambda model: self._routes.route(model, "chat", DEFAULTS), prices)
        self._stack = Stack(layers, exchange)

    @classmethod
    def from_config(cls, path: "str | os.PathLike[str] | None" = None, **options: object) -> Self:
        """Make a client of a file: providers, keys by variable name, layers with their settings, prices, stores.

        ``liter config check`` says what a file means. See docs/configuration.md.

        :param path: the file; by default ``liter.toml`` in the current folder, or in the nearest one above it
        :param options: arguments of the client that win over the file's
        :raises FileNotFoundError: there is no such file
        :raises ValueError: something in it makes no sense, or is a key that nobody reads; says where
        """
        from ._config import find_config, read_config
        from ._config._build import build

        where = find_config() if path is None else Path(path)
        built = build(read_config(where), where=str(where), folder=where.parent)
        return cls(**{**built.options, **options})  # type: ignore[arg-type] # each is checked by __init__

    def price(
        self,
        *,
        model: str,
        usage: Usage,
        when: datetime | None = None,
        terms: Mapping[str, str] | None = None,
    ) -> Cost | None:
        """Price a usage, as of a ledger of the past, by the client's price book. Nothing is sent.

        :param model: as for a call: ``"provider/model"``, or one of the client's own provider
        :param when: when the call was made; without a time zone in UTC. By default now
        :param terms: on which terms, beside those that the usage tells: ``{"processing": "batch"}``
        :return: ``None`` where there is no price
        :raises ValueError: the usage contradicts itself
        """
        provider, name = self._routes.split(model)
        return self.prices.price(provider, name, usage, when=when, terms=terms)

    def explain(self) -> str:
        """Describe the stack, outermost first: each layer, whether it sees calls or attempts, and its settings.

        ``print(client.explain())`` shows the plan that every call follows.
        """
        from ._plan import explain

        return explain(self._stack.layers, self._stack.innermost)

    async def aclose(self) -> None:
        """Close all connections. Calls that are under way fail; later ones raise ``RuntimeError``."""
        await self._transport.aclose()
        if self._fetcher is not None:
            await self._fetcher.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def prices(self) -> PriceBook:
        """The client's price book."""
        return self._prices or PriceBook.default()

    @property
    def home(self) -> str:
        """The client's own provider, for models without a prefix that is known."""
        return self._routes.home

    @property
    def providers(self) -> Mapping[str, Provider]:
        """The providers this client reaches, by name."""
        return self._routes.providers

    def capabilities(self, model: str) -> Capabilities:
        """What can be done with a model: operations, streams, and what becomes of each parameter. Asks nobody.

        :raises NotFoundError: the model's prefix is nearly that of a provider
        """
        name, model = self._routes.split(model)
        return capabilities_of(self._routes.provider(name), model)

    def __repr__(self) -> str:
        routes = self._routes
        where = routes.base_url or routes.providers[routes.home].base_url
        return f"<LlmClient {routes.home} at {where}: {self._stack!r}>"


def _layers(middleware: Sequence[Layer] | None, max_retries: int) -> Sequence[Layer]:
    check_count(max_retries, "max_retries", low=0)
    if middleware is None:
        return CostTracking(), Retry(max_retries=max_retries)
    if max_retries != DEFAULT_MAX_RETRIES:
        raise ValueError("max_retries is for the default stack; with middleware=, give a Retry(max_retries=...) in it")
    if not isinstance(middleware, Sequence):
        raise ValueError(f"middleware must be a list of layers, outermost first, not {middleware!r}")
    for layer in middleware:
        if isinstance(layer, type):
            raise ValueError(f"middleware: {layer.__name__} is a class; give an instance, {layer.__name__}(...)")
        if not callable(layer):
            raise ValueError(f"middleware: {layer!r} is not a layer: it must be callable as layer(call, call_next)")
    from ._plan import check_order

    check_order(middleware)
    return tuple(middleware)

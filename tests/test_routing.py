"""Where calls go, and that no key goes along to somebody else."""

import pytest
from msgspec.structs import replace

from liter import AuthenticationError, BadRequestError, EndpointNotSupportedError, LlmClient, NotFoundError, Secret
from liter._contract import Call
from liter._options import CallOptions
from liter._routing import RouteTable
from liter.credentials import CopilotCredentials, GoogleCredentials
from liter.providers import Auth, Catalog, CustomProviderConfig, OpenAI, known_providers
from liter.types import ChatCompletionRequest

HERE = CallOptions()


def router(
    home: str | None = "openai", *own: object, environ: dict[str, str] | None = None, **options: object
) -> RouteTable:
    return RouteTable(Catalog(own), home, environ=environ or {}, **options)


@pytest.mark.parametrize(
    ("home", "model", "provider", "sent"),
    [
        ("openai", "gpt-4o", "openai", "gpt-4o"),
        ("openai", "openai/gpt-4o", "openai", "gpt-4o"),
        ("openai", "anthropic/claude-x", "anthropic", "claude-x"),
        ("openai", "openrouter/meta/llama", "openrouter", "meta/llama"),
        ("openai", "together_ai/meta/llama", "together", "meta/llama"),
        ("openai", "claude-x", "openai", "claude-x"),
        ("openai", "meta-llama/Llama-3", "openai", "meta-llama/Llama-3"),
        ("anthropic", "claude-x", "anthropic", "claude-x"),
        ("ollama", "qwen3:8b", "ollama", "qwen3:8b"),
    ],
)
def test_models_route_by_prefix_or_home(home: str, model: str, provider: str, sent: str) -> None:
    """A known prefix names the provider and is taken off; anything else goes home as it is."""
    keys = {"anthropic": "k-a", "openrouter": "k-r", "openai": "k-o"}
    route = router(home, api_keys=keys).route(model, "chat", HERE)
    assert (route.provider, route.model) == (provider, sent)
    assert route.base_url == known_providers()[provider].base_url
    assert route.api_key == (Secret(keys[provider]) if provider in keys else None)


def test_who_has_no_key_for_azure_is_told_of_both_ways() -> None:
    """A key, or Entra ID, where what logs in there is not installed."""
    routes = router(settings={"azure": {"resource": "acme"}})
    route = replace(routes.route("azure/gpt-4o", "chat", HERE), credentials=None)
    with pytest.raises(
        AuthenticationError, match=r"set .*AZURE_API_KEY.*; to log in with Entra ID, pip install 'liter-sdk\[az"
    ):
        routes.check(route)


def test_a_calls_own_key_and_address_are_its_own() -> None:
    """Though a call before it, or after it, to the same model has the client's."""
    routes = router(api_key="sk-home")
    own = CallOptions(api_key="sk-own", base_url="http://own.example/v1")
    for options, key, host in ((HERE, "sk-home", "api.openai.com"), (own, "sk-own", "own.example")) * 2:
        route = routes.route("gpt-4o", "chat", options)
        assert route.api_key == Secret(key)
        assert f"//{host}/" in route.base_url


def test_what_is_remembered_of_names_is_bounded() -> None:
    """They come from callers. A name that was forgotten is found again."""
    routes = router(api_key="sk-home")
    for number in (*range(1500), 0):
        assert routes.route(f"m{number}", "chat", HERE).model == f"m{number}"
        assert len(routes._routes) <= 1024
        assert len(routes._splits) <= 1024
    assert len(routes._routes) == len(routes._splits) == 1500 - 1024 + 1


def test_the_clients_key_stays_at_home() -> None:
    """api_key is for the client's own provider; another one needs its own, and the error says so."""
    routes = router(api_key="sk-home")
    assert routes.route("gpt-4o", "chat", HERE).api_key == Secret("sk-home")
    with pytest.raises(AuthenticationError, match="ANTHROPIC_API_KEY") as caught:
        routes.check(routes.route("anthropic/claude-x", "chat", HERE))
    assert "api_key= is for 'openai'" in str(caught.value)
    assert "sk-home" not in repr(caught.value)


@pytest.mark.parametrize(
    ("variable", "name", "value"),
    [
        ("ANTHROPIC_API_KEY", b"x-api-key", b"k-1"),
        ("ANTHROPIC_AUTH_TOKEN", b"authorization", b"Bearer k-1"),
    ],
)
def test_a_token_goes_into_the_authorization_header(variable: str, name: bytes, value: bytes) -> None:
    """Whatever it looks like: the variable says what it is."""
    routes = router(environ={variable: "k-1"})
    route = routes.route("anthropic/claude-x", "chat", HERE)
    request = ChatCompletionRequest(model="claude-x", messages=[{"role": "user", "content": "Hi"}])
    made = routes.provider("anthropic").encode(Call(operation="chat", request=request, route=route))
    assert [pair for pair in made.headers if b"k-1" in pair[1]] == [(name, value)]


def test_keys_from_the_environment_go_to_the_providers_own_address_only() -> None:
    """A key found in the environment was not meant for an address that somebody put in."""
    environ = {"OPENAI_API_KEY": "sk-env"}
    routes = router(environ=environ)
    assert routes.route("gpt-4o", "chat", HERE).api_key == Secret("sk-env")
    elsewhere = router(base_url="http://localhost:8000/v1", environ=environ)
    assert elsewhere.route("gpt-4o", "chat", HERE).api_key is None
    assert routes.route("gpt-4o", "chat", CallOptions(base_url="http://evil.example/v1")).api_key is None
    same = router(base_url="https://api.openai.com/v2", environ=environ)
    assert same.route("gpt-4o", "chat", HERE).api_key == Secret("sk-env")


def test_base_url_belongs_to_the_home_provider() -> None:
    """The client's address does not redirect calls to other providers."""
    routes = router(base_url="http://gateway/v1", api_keys={"anthropic": "k"})
    assert routes.route("gpt-4o", "chat", HERE).base_url == "http://gateway/v1"
    assert routes.route("anthropic/c", "chat", HERE).base_url == known_providers()["anthropic"].base_url


def test_a_call_may_bring_its_own_key_and_address() -> None:
    """Options of a call come before the client's."""
    options = CallOptions(api_key="sk-call", base_url="http://other/v1")
    route = router(api_key="sk-home").route("anthropic/c", "chat", options)
    assert (route.base_url, route.api_key) == ("http://other/v1", Secret("sk-call"))


@pytest.mark.parametrize("key", ["", "sk-1\n", "sk 1", "sk-é", "sk-\r\nx: y"])
def test_keys_that_would_break_a_header_are_refused(key: str) -> None:
    """A key with blanks, line breaks or non-ASCII in it is refused wherever it comes from, and not shown."""
    with pytest.raises(ValueError, match="api_key") as caught:
        router(api_key=key)
    assert not key or key not in str(caught.value)
    with pytest.raises(ValueError, match="api_keys"):
        router(api_keys={"groq": key})
    with pytest.raises(ValueError, match="api_key"):
        router().route("gpt-4o", "chat", CallOptions(api_key=key))
    if key:
        with pytest.raises(ValueError, match="OPENAI_API_KEY"):
            router(environ={"OPENAI_API_KEY": key}).route("gpt-4o", "chat", HERE)


def test_unknown_names_are_refused_with_the_nearest() -> None:
    """A provider that does not exist is named, with what was probably meant."""
    with pytest.raises(ValueError, match=r"model_hint: unknown provider 'antropic': did you mean 'anthropic'\?"):
        router("antropic")
    with pytest.raises(ValueError, match=r"api_keys: unknown provider 'grok'"):
        router(api_keys={"grok": "k"})
    with pytest.raises(ValueError, match=r"provider_settings: unknown provider 'azur': did you mean 'azure'\?"):
        router(settings={"azur": {}})
    with pytest.raises(ValueError, match="both given"):
        router(api_key="a", api_keys={"openai": "b"})
    with pytest.raises(ValueError, match="base_url"):
        router(base_url="localhost:8000")
    with pytest.raises(ValueError, match="base_url"):
        router(api_key="k").route("gpt-4o", "chat", CallOptions(base_url="localhost"))


def test_an_operation_that_is_not_offered() -> None:
    """What a provider does not do is refused, with a list of those who do."""
    with pytest.raises(EndpointNotSupportedError, match="openai does not offer dance; these do: none"):
        router(api_key="k").route("gpt-4o", "dance", HERE)
    with pytest.raises(EndpointNotSupportedError, match=r"arcee does not offer fly; these do: bird$"):
        router("openai", Bird(name="bird", base_url="https://b.example")).route("arcee/x", "fly", HERE)
    with pytest.raises(EndpointNotSupportedError, match=r"these do: 302ai, .* and \d+ more$"):
        router("openai", Bird(name="bird", base_url="https://b.example")).route("bird/x", "chat", HERE)


def test_a_protocol_that_is_not_spoken() -> None:
    """A provider whose protocol has no codec is known, and its calls say so."""
    with pytest.raises(EndpointNotSupportedError, match=r"does not speak the protocol of nvidia-riva \(grpc\) yet"):
        router().route("nvidia-riva/x", "chat", HERE)


def test_a_calls_own_key_does_not_follow_it_to_another_provider() -> None:
    """A call that a layer sends elsewhere leaves the key and the address that it was given behind."""
    routes = router(api_key="sk-home", api_keys={"anthropic": "sk-other"})
    options = CallOptions(api_key="sk-call", base_url="http://mine/v1")
    resolve = routes.resolver(routes.route("gpt-4o", "chat", options), "chat", options)

    def reroute(model: str) -> tuple[str, str, Secret | None]:
        route = resolve(model)
        return route.provider, route.base_url, route.api_key

    assert reroute("gpt-4o-mini") == ("openai", "http://mine/v1", Secret("sk-call"))
    assert reroute("anthropic/c") == ("anthropic", known_providers()["anthropic"].base_url, Secret("sk-other"))
    assert reroute("groq/x") == ("groq", known_providers()["groq"].base_url, None)


class Bird(OpenAI, frozen=True, kw_only=True):
    """A codec of a user's own."""

    @property
    def operations(self) -> frozenset[str]:
        return frozenset({"fly"})


ACME = CustomProviderConfig(
    name="acme", base_url="https://acme.example/v1", model_prefixes=["acme-", "acme-x-", "internal/"]
)


@pytest.mark.parametrize(
    ("model", "provider", "sent"),
    [
        ("claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5"),
        ("gpt-4o", "openai", "gpt-4o"),
        ("deepseek-chat", "deepseek", "deepseek-chat"),
        ("unheard-of", "openai", "unheard-of"),
        ("openai/claude-x", "openai", "claude-x"),
        ("completely-else/x", "openai", "completely-else/x"),
    ],
)
def test_bare_names_go_where_models_are_named_so(model: str, provider: str, sent: str) -> None:
    """Of a client that names no provider and no address, a bare name goes to the provider it tells."""
    route = router(None).route(model, "chat", HERE)
    assert (route.provider, route.model) == (provider, sent)


def test_who_names_a_provider_or_an_address_gets_it() -> None:
    """A gateway serves models of many names: with an address or a provider given, bare names go there."""
    assert router("groq").route("gpt-oss", "chat", HERE).provider == "groq"
    assert router(None, base_url="http://gateway/v1").route("claude-x", "chat", HERE).provider == "openai"
    options = CallOptions(base_url="http://gateway/v1")
    assert router(None).route("claude-x", "chat", options).base_url == "http://gateway/v1"


def test_home_may_be_told_by_a_model() -> None:
    """``model_hint`` is a provider's name or alias, or a model of its, with or without prefix."""
    hints = ("together_ai", "together/meta/llama", "claude-x", "acme-1", "acme")
    assert [router(hint, ACME).home for hint in hints] == ["together", "together", "anthropic", "acme", "acme"]
    with pytest.raises(ValueError, match="model_hint: unknown provider 'qqq'"):
        router("qqq")


def test_a_prefix_that_is_nearly_right() -> None:
    """A slip in a prefix is told before anything is sent, and how to mean what was said."""
    with pytest.raises(NotFoundError, match="did you mean 'anthropic/claude-x'") as caught:
        router(None).route("antropic/claude-x", "chat", HERE)
    assert "'openai/antropic/claude-x'" in str(caught.value)
    assert router("together").route("antropic/claude-x", "chat", HERE).model == "antropic/claude-x"
    with pytest.raises(NotFoundError, match="unknown provider 'antropic'"):
        router("together").route("antropic/", "list_models", HERE)


@pytest.mark.parametrize(
    ("model", "sent"),
    [("acme/m", "m"), ("internal/m", "m"), ("acme-small", "acme-small"), ("acme-x-large", "acme-x-large")],
)
def test_custom_providers_come_first(model: str, sent: str) -> None:
    """Their names, prefixes and beginnings route to them, whatever the client's own provider is."""
    for home in (None, "groq"):
        route = router(home, ACME).route(model, "chat", HERE)
        assert (route.provider, route.model, route.base_url) == ("acme", sent, "https://acme.example/v1")


def test_the_longest_beginning_decides() -> None:
    """Of two custom providers the one whose beginning says more is meant."""
    other = CustomProviderConfig(name="other", base_url="https://o.example", model_prefixes=["acme-x"])
    routes = router(None, ACME, other)
    assert [routes.route(model, "chat", HERE).provider for model in ("acme-xy", "acme-x-1", "acme-1")] == [
        "other",
        "acme",
        "acme",
    ]


def test_a_custom_provider_gets_no_keys_of_others() -> None:
    """Neither the environment's nor the client's keys go to it, even under the name of a known one."""
    fake = CustomProviderConfig(name="openai", base_url="https://fake.example/v1")
    environ = {"OPENAI_API_KEY": "sk-env"}
    route = router(None, fake, environ=environ, api_keys={"anthropic": "k"}).route("openai/gpt-4o", "chat", HERE)
    assert (route.base_url, route.api_key) == ("https://fake.example/v1", None)


def test_settings_fill_the_address() -> None:
    """They come from the client, or from the environment; what is missing is told right before the request."""
    model = "cloudflare-gateway/openai/gpt-4o"
    environ = {"CLOUDFLARE_ACCOUNT_ID": "acc", "CLOUDFLARE_API_TOKEN": "key"}
    given = {"cloudflare-gateway": {"gateway_id": "gate"}}
    route = router(environ=environ, settings=given).route(model, "chat", HERE)
    assert route.base_url == "https://gateway.ai.cloudflare.com/v1/acc/gate/compat"
    assert (route.api_key, route.settings) == (Secret("key"), {"account_id": "acc", "gateway_id": "gate"})
    routes = router(environ=environ)
    with pytest.raises(BadRequestError, match="CLOUDFLARE_GATEWAY_ID") as caught:
        routes.check(routes.route(model, "chat", HERE))
    assert "provider_settings={'cloudflare-gateway': {'gateway_id': ...}}" in str(caught.value)
    routes.check(routes.route(model, "chat", CallOptions(base_url="https://mine.example")))
    with pytest.raises(ValueError, match="unknown setting 'gate'; it has account_id, gateway_id"):
        router(settings={"cloudflare-gateway": {"gate": "x"}})
    with pytest.raises(ValueError, match="must be a text"):
        router(settings={"cloudflare-gateway": {"gateway_id": ""}})


def test_an_address_from_the_environment() -> None:
    """A variable's address is the provider's own: its key goes there, and the path that others leave out is added."""
    environ = {"ANTHROPIC_BASE_URL": "https://proxy.example/", "ANTHROPIC_API_KEY": "sk-ant"}
    routes = router(environ=environ)
    route = routes.route("anthropic/c", "chat", HERE)
    assert (route.base_url, route.api_key) == ("https://proxy.example/v1", Secret("sk-ant"))
    environ["ANTHROPIC_BASE_URL"] = "https://other.example/v1"
    assert routes.route("anthropic/c", "chat", HERE) == route, "looked up once"
    assert router(environ=environ).route("anthropic/c", "chat", HERE).base_url == "https://other.example/v1"
    environ["ANTHROPIC_BASE_URL"] = "proxy.example"
    with pytest.raises(ValueError, match="variable ANTHROPIC_BASE_URL"):
        router(environ=environ).route("anthropic/c", "chat", HERE)


def test_a_provider_without_an_address() -> None:
    """One that is always self-hosted says what tells its address."""
    routes = router()
    with pytest.raises(BadRequestError, match="LITELLM_PROXY_API_BASE to the whole address; or pass base_url"):
        routes.check(routes.route("litellm-proxy/x", "chat", HERE))


def test_a_provider_whose_key_has_no_variable() -> None:
    """The error says how to give it."""
    routes = router()
    with pytest.raises(AuthenticationError, match=r"no key for arcee: pass api_keys=\{'arcee': \.\.\.\}"):
        routes.check(routes.route("arcee/x", "chat", HERE))


def test_a_login_that_is_more_than_a_key() -> None:
    """Where a key is exchanged for a token, one source does it for all calls, until the key is another."""
    environ = {"CAMP_KEY": "ghp-1"}
    camp = OpenAI(name="camp", base_url="https://camp.example", key_variables=("CAMP_KEY",), auth=Auth(kind="copilot"))
    routes = router("openai", camp, environ=environ)
    first = routes.route("camp/m", "chat", HERE)
    assert isinstance(first.credentials, CopilotCredentials)
    assert first.api_key is None
    assert routes.route("camp/other", "chat", HERE).credentials is first.credentials
    environ["CAMP_KEY"] = "ghp-2"
    assert routes.route("camp/m", "chat", HERE).credentials is not first.credentials
    own = routes.route("camp/m", "chat", CallOptions(api_key="ghp-3")).credentials
    assert isinstance(own, CopilotCredentials)
    elsewhere = routes.route("camp/m", "chat", CallOptions(base_url="https://evil.example"))
    assert elsewhere.credentials is elsewhere.api_key is None
    environ.clear()
    with pytest.raises(AuthenticationError, match="CAMP_KEY"):
        routes.check(routes.route("camp/m", "chat", HERE))


def test_google_clouds_own_credentials_are_used_where_none_are_given() -> None:
    """They are made once for all calls of a client; a key that is given comes first; other providers get none."""
    pytest.importorskip("google.auth")
    settings = {"project": "p", "location": "global"}
    table = router("vertex", settings={"vertex": settings})
    route = table.route("gemini-3-pro", "chat", HERE)
    assert route.base_url == "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google"
    assert isinstance(route.credentials, GoogleCredentials)
    assert table.route("claude-x", "chat", HERE).credentials is route.credentials
    assert table.route("claude-x", "chat", CallOptions(base_url="https://other.example")).credentials is None
    given = router("vertex", api_key="ya29.x", settings={"vertex": settings}).route("gemini-3-pro", "chat", HERE)
    assert (given.api_key, given.credentials) == (Secret("ya29.x"), None)
    assert router().route("gpt-4o", "chat", HERE).credentials is None


def test_capabilities_read_well() -> None:
    """What is offered, what of it is streamed, and what chats do not take."""
    shown = repr(LlmClient(api_key="sk").capabilities("groq/llama"))
    assert shown.startswith("<Capabilities of groq/llama: ")
    assert "chat (also streamed)" in shown
    assert shown.endswith("; chats take no n, logit_bias, logprobs, top_logprobs>")

"""Where calls go, and that no key goes along to somebody else."""

import pytest

from liter import AuthenticationError, EndpointNotSupportedError, Secret
from liter._options import CallOptions
from liter._routing import RouteTable
from liter.providers import known_providers

HERE = CallOptions()


def router(home: str = "openai", *, environ: dict[str, str] | None = None, **options: object) -> RouteTable:
    return RouteTable(known_providers(), home, environ=environ or {}, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("home", "model", "provider", "sent"),
    [
        ("openai", "gpt-4o", "openai", "gpt-4o"),
        ("openai", "openai/gpt-4o", "openai", "gpt-4o"),
        ("openai", "anthropic/claude-x", "anthropic", "claude-x"),
        ("openai", "openrouter/meta/llama", "openrouter", "meta/llama"),
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


def test_the_clients_key_stays_at_home() -> None:
    """api_key is for the client's own provider; another one needs its own, and the error says so."""
    routes = router(api_key="sk-home")
    assert routes.route("gpt-4o", "chat", HERE).api_key == Secret("sk-home")
    with pytest.raises(AuthenticationError, match="ANTHROPIC_API_KEY") as caught:
        routes.check(routes.route("anthropic/claude-x", "chat", HERE))
    assert "api_key= is for 'openai'" in str(caught.value)
    assert "sk-home" not in repr(caught.value)


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
    with pytest.raises(ValueError, match="both given"):
        router(api_key="a", api_keys={"openai": "b"})
    with pytest.raises(ValueError, match="base_url"):
        router(base_url="localhost:8000")
    with pytest.raises(ValueError, match="base_url"):
        router(api_key="k").route("gpt-4o", "chat", CallOptions(base_url="localhost"))


def test_an_operation_that_is_not_offered() -> None:
    """What a provider does not do is refused, with a list of those who do."""
    with pytest.raises(EndpointNotSupportedError, match="openai does not offer rerank"):
        router(api_key="k").route("gpt-4o", "rerank", HERE)


def test_a_calls_own_key_does_not_follow_it_to_another_provider() -> None:
    """A call that a layer sends elsewhere leaves the key and the address that it was given behind."""
    routes = router(api_key="sk-home", api_keys={"anthropic": "sk-other"})
    options = CallOptions(api_key="sk-call", base_url="http://mine/v1")

    def reroute(model: str) -> tuple[str, str, Secret | None]:
        route = routes.reroute(model, first="openai", operation="chat", options=options)
        return route.provider, route.base_url, route.api_key

    assert reroute("gpt-4o-mini") == ("openai", "http://mine/v1", Secret("sk-call"))
    assert reroute("anthropic/c") == ("anthropic", known_providers()["anthropic"].base_url, Secret("sk-other"))
    assert reroute("groq/x") == ("groq", known_providers()["groq"].base_url, None)

"""The providers that are known by name."""

import pytest

from liter._http import parse_base_url
from liter.providers import Provider, known_providers
from liter.types import ChatCompletionRequest


def test_names_are_keys_and_cannot_be_changed():
    """Each provider is under its own name, and the mapping is read-only."""
    providers = known_providers()
    assert all(provider.name == name for name, provider in providers.items())
    assert {"openai", "anthropic", "groq", "openrouter", "ollama"} <= providers.keys()
    with pytest.raises(TypeError):
        providers["x"] = providers["openai"]


@pytest.mark.parametrize("provider", known_providers().values(), ids=lambda provider: provider.name)
def test_every_provider_can_make_a_chat_request(provider: Provider, call_of):
    """Over TLS, or on this machine; with a key from a variable, or on this machine."""
    call = call_of(
        ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "Hi"}]),
        provider=provider.name,
        base_url=provider.base_url,
    )
    origin = provider.encode(call).origin
    assert origin == parse_base_url(provider.base_url).origin
    assert (origin.scheme == "https" and provider.key_variables) or origin.host == "localhost"
    assert provider.operations == {"chat", "list_models"}

"""What a client tells of a model without asking anybody."""

import pytest

from liter import LlmClient, NotFoundError
from liter.providers import Mapped, Renamed, Sent, Unsupported


def test_what_a_model_can_do():
    """Operations, streams, and what becomes of each parameter on the provider's wire."""
    client = LlmClient()
    groq = client.capabilities("groq/llama-3.3-70b")
    assert (groq.provider, groq.model) == ("groq", "llama-3.3-70b")
    assert {"chat", "list_models"} <= groq.operations
    assert "chat" in groq.streamed
    assert "list_models" not in groq.streamed
    assert isinstance(groq.parameters["chat"]["logit_bias"], Unsupported)
    assert groq.parameters["chat"]["temperature"] == Sent()
    assert not groq.takes("logit_bias")
    assert groq.takes("temperature")
    assert not groq.takes("no_such_parameter")
    assert not groq.takes("temperature", "dance")


def test_differences_of_imitators():
    """A provider's own table: renamed, sent in another form, refused."""
    client = LlmClient()
    deepseek = client.capabilities("deepseek-chat").parameters["chat"]
    assert deepseek["max_completion_tokens"] == Renamed("max_tokens")
    assert isinstance(deepseek["reasoning_effort"], Mapped)
    assert '"type":"disabled"' in deepseek["reasoning_effort"].how
    assert client.capabilities("gpt-4o").takes("logit_bias")


def test_a_provider_that_offers_nothing():
    """One whose protocol is not spoken has no operations, and takes nothing."""
    riva = LlmClient().capabilities("nvidia-riva/x")
    assert not riva.operations
    assert not riva.takes("temperature")


def test_a_slip_in_the_prefix():
    """Told as for a call."""
    with pytest.raises(NotFoundError, match="did you mean 'groq/x'"):
        LlmClient().capabilities("groqq/x")

"""Those who speak Anthropic's API beside Anthropic: each row of the registry works as Anthropic's own does."""

import json
from random import Random

import pytest
from msgspec.structs import replace

from liter._errors import RateLimitedError
from liter._http import Headers
from liter.providers import Anthropic, known_providers
from liter.types import accumulate

from ._replay import events_at_random_cuts
from .test_streams_say_all import anthropic, call_of, written

IMITATORS = [name for name, provider in known_providers().items() if type(provider) is Anthropic]
CALLS = [("f", "call_0", '{"a": 1}')]


def called(name: str, *, stream: bool):
    """A call that goes to the provider's own address."""
    provider = known_providers()[name]
    base_url = provider.address({"resource": "x"})
    call = call_of(name)
    return replace(call, stream=stream, route=replace(call.route, base_url=base_url))


def test_there_are_some():
    """Beside Anthropic's own."""
    assert {"anthropic", "azure-anthropic", "kimi-coding", "minimax-coding-plan"} <= set(IMITATORS)


@pytest.mark.parametrize("name", IMITATORS)
def test_chats(name):
    """The request goes to its messages, with the key and the version; replies say all, whole and streamed."""
    provider, call = known_providers()[name], called(name, stream=False)
    made = provider.encode(call)
    headers = dict(made.headers)
    assert made.target.endswith(b"/v1/messages")
    assert headers[b"anthropic-version"] == b"2023-06-01"
    assert sum(value in (b"sk", b"Bearer sk") for value in headers.values()) == 1
    assert json.loads(made.body)["messages"]
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "hi"},
        {"type": "tool_use", "id": "call_0", "name": "f", "input": {"a": 1}},
    ]
    body = {"id": "i", "model": "m", "content": blocks, "stop_reason": "tool_use", "usage": {"input_tokens": 1}}
    whole = provider.decode(call, json.dumps(body).encode())
    call = called(name, stream=True)
    stream = written(anthropic(("hi", "hm", CALLS), Random(1)), "sse", Random(1))
    streamed = accumulate(events_at_random_cuts(provider.open_stream(call), stream, Random(1)))
    for reply in (whole, streamed):
        message = reply.choices[0].message
        assert (message.text, message.reasoning_content) == ("hi", "hm")
        assert [(one.id, one.function.name, json.loads(one.function.arguments)) for one in message.tool_calls] == [
            ("call_0", "f", {"a": 1})
        ]
        assert reply.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("name", IMITATORS)
def test_errors(name):
    """Told in Anthropic's form or in OpenAI's."""
    provider, call = known_providers()[name], called(name, stream=False)
    for told in ({"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}, {"error": "slow"}):
        error = provider.error(call, 429, Headers([(b"retry-after", b"3")]), json.dumps(told).encode())
        assert isinstance(error, RateLimitedError)
        assert (error.provider, error.message, error.retry_after) == (name, "slow", 3.0)

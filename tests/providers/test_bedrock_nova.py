"""Nova by InvokeModel: Converse's forms in another envelope."""

import base64
import json

import pytest

from liter._errors import BadRequestError, RateLimitedError, StreamingError
from liter._http import EventHeader, EventMessage
from liter.providers import Bedrock
from liter.types import ChatCompletionRequest, accumulate

MODEL = "invoke/us.amazon.nova-lite-v1:0"
USAGE = {"inputTokens": 6, "outputTokens": 2, "cacheReadInputTokenCount": 14, "cacheWriteInputTokenCount": 0}
EVENTS = [
    {"messageStart": {"role": "assistant"}, "p": "abcdef"},
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "He"}}},
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "llo"}}},
    {"contentBlockStop": {"contentBlockIndex": 0}},
    {"messageStop": {"stopReason": "end_turn"}},
    {"metadata": {"usage": USAGE}, "amazon-bedrock-invocationMetrics": {"inputTokenCount": 6}},
]


@pytest.fixture
def call(call_of):
    """A call of Nova."""
    request = ChatCompletionRequest(model=MODEL, messages=[{"role": "user", "content": "Hi"}], max_tokens=7)
    return lambda **more: call_of(request, provider="bedrock", base_url="https://b.example", **more)


def message(payload: bytes, kind: str = "event", name: str = "chunk") -> EventMessage:
    """One of AWS's messages."""
    kinds = ((":message-type", kind), (f":{kind}-type", name))
    return EventMessage(tuple(EventHeader(one, "string", value) for one, value in kinds), payload)


def chunk(event: object) -> EventMessage:
    """One of InvokeModel's chunks."""
    return message(json.dumps({"bytes": base64.b64encode(json.dumps(event).encode()).decode()}).encode())


@pytest.mark.parametrize(("stream", "action"), [(False, "invoke"), (True, "invoke-with-response-stream")])
def test_requests(stream, action, call):
    """Converse's body with a version, at InvokeModel's path."""
    made = Bedrock().encode(call(stream=stream))
    assert made.path == f"/model/us.amazon.nova-lite-v1%3A0/{action}"
    assert json.loads(made.body) == {
        "schemaVersion": "messages-v1",
        "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
        "inferenceConfig": {"maxTokens": 7},
    }


def test_whole_and_streamed_replies_say_the_same(call):
    """Text, reason and counts, those of the cache by the names that they have here."""
    body = {"output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}}, "stopReason": "end_turn"}
    whole = Bedrock().decode(call(), json.dumps({**body, "usage": USAGE}).encode())
    decoder = Bedrock().open_stream(call(stream=True))
    streamed = accumulate([*(one for event in EVENTS for one in decoder.feed(chunk(event))), *decoder.end()])
    for reply in (whole, streamed):
        assert (reply.text, reply.choices[0].finish_reason, reply.model) == (
            "Hello",
            "stop",
            "us.amazon.nova-lite-v1:0",
        )
        assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (20, 2)
        assert reply.usage.prompt_tokens_details.cached_tokens == 14


def test_errors_in_streams(call):
    """Exceptions of AWS's, and chunks that cannot be read."""
    with pytest.raises(RateLimitedError):
        Bedrock().open_stream(call(stream=True)).feed(
            message(b'{"message":"slow"}', "exception", "throttlingException")
        )
    for payload in (b'{"bytes":"%"}', b"[]", b'{"bytes":"W10="}'):
        with pytest.raises(StreamingError):
            Bedrock().open_stream(call(stream=True)).feed(message(payload))


def test_models_of_others_are_refused(call_of):
    """They have forms of their own by InvokeModel; Converse speaks to all."""
    request = ChatCompletionRequest(model="invoke/meta.llama3", messages=[{"role": "user", "content": "Hi"}])
    with pytest.raises(BadRequestError, match="neither Anthropic's nor Nova"):
        Bedrock().encode(call_of(request, provider="bedrock", base_url="https://b.example"))

"""Claude by InvokeModel, in Anthropic's own form."""

import base64
import json

import pytest

from liter._errors import BadRequestError, LlmError, RateLimitedError, ServiceUnavailableError, StreamingError
from liter._http import EventHeader, EventMessage, Headers
from liter.providers import Bedrock
from liter.types import ChatCompletionRequest, accumulate

PROVIDER = Bedrock()
SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
USER = {"role": "user", "content": "Hi"}
START = {
    "type": "message_start",
    "message": {"id": "msg", "model": "claude", "content": [], "usage": {"input_tokens": 9}},
}
EVENTS = [
    START,
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 'a "message_start"'}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
    {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 9}},
]


@pytest.fixture
def make(call_of):
    """Make a call by InvokeModel."""

    def made(model=f"invoke/{SONNET}", stream=False, headers=(), **fields):
        request = ChatCompletionRequest(**{"model": model, "messages": [USER], **fields})
        base_url = "https://bedrock-runtime.us-east-1.amazonaws.com"
        return call_of(request, provider="bedrock", stream=stream, headers=headers, base_url=base_url)

    return made


def chunk(event):
    """An event of Anthropic's in a message of AWS's."""
    text = event if isinstance(event, str) else base64.b64encode(json.dumps(event).encode()).decode()
    return message("event", "chunk", bytes=text)


def message(kind, name, **payload):
    """A message of an event stream."""
    headers = (EventHeader(f":{kind}-type", "string", name), EventHeader(":message-type", "string", kind))
    return EventMessage(headers, json.dumps(payload).encode())


def test_what_is_sent(make):
    """Anthropic's body without model and stream, with the names of betas in it; thinking by the model's own facts."""
    headers = ((b"anthropic-beta", b"a-1, b-2"), (b"x-mine", b"1"))
    sent = PROVIDER.encode(make(headers=headers, reasoning_effort="low", max_tokens=4096))
    assert sent.path == f"/model/{SONNET.replace(':', '%3A')}/invoke"
    assert sent.base_url == "https://bedrock-runtime.us-east-1.amazonaws.com"
    told = dict(sent.headers)
    assert (told[b"authorization"], told[b"x-mine"]) == (b"Bearer sk-test", b"1")
    assert b"anthropic-beta" not in told
    assert json.loads(sent.body) == {
        "anthropic_version": "bedrock-2023-05-31",
        "anthropic_beta": ["a-1", "b-2"],
        "messages": [USER],
        "max_tokens": 4096,
        "thinking": {"type": "enabled", "budget_tokens": 2048},
    }
    streamed = PROVIDER.encode(make(stream=True))
    assert streamed.path.endswith("/invoke-with-response-stream")
    assert "stream" not in json.loads(streamed.body)


def test_who_can_be_spoken_to_so(make):
    """Anthropic's models, and profiles of the account's own, whose model nobody knows."""
    arn = "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc"
    assert PROVIDER.encode(make(f"invoke/{arn}")).path.startswith("/model/arn%3Aaws")
    with pytest.raises(BadRequestError, match="is neither Anthropic's nor Nova: leave out 'invoke/'"):
        PROVIDER.encode(make("invoke/meta.llama3-70b-instruct-v1:0"))


def test_converse_by_name(make):
    """It is what is spoken anyway."""
    call = make(f"converse/{SONNET}")
    assert PROVIDER.encode(call).path == f"/model/{SONNET.replace(':', '%3A')}/converse"
    body = {"output": {"message": {"content": [{"text": "x"}]}}, "stopReason": "end_turn"}
    assert PROVIDER.decode(call, json.dumps(body).encode()).model == SONNET


def test_a_stream(make):
    """Its first event gets Bedrock's name of the model, wherever else these words stand."""
    decoder = PROVIDER.open_stream(make(stream=True))
    chunks = [one for event in EVENTS for one in decoder.feed(chunk(event))]
    assert not decoder.feed(message("event", "novelty"))
    chunks += decoder.end()
    reply = accumulate(chunks)
    assert (reply.text, reply.model, reply.id) == ('a "message_start"', SONNET, "msg")
    assert (decoder.done, decoder.usage.prompt_tokens, decoder.usage.completion_tokens) == (True, 9, 3)
    assert (decoder.opening(chunks[0]), decoder.opening(chunks[1])) == (True, False)


def test_content_of_its_own_form_goes_back_to_it_and_not_to_converse(make):
    """Anthropic's blocks are not Converse's."""
    found = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    body = {"id": "m", "model": "c", "content": [found, {"type": "text", "text": "So."}], "stop_reason": "end_turn"}
    said = PROVIDER.decode(make(), json.dumps(body).encode()).choices[0].message
    messages = [USER, said, USER]
    again = json.loads(PROVIDER.encode(make(messages=messages)).body)
    assert again["messages"][1]["content"] == body["content"]
    converse = json.loads(PROVIDER.encode(make(SONNET, messages=messages)).body)
    assert converse["messages"][1]["content"] == [{"text": "So."}]


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (message("exception", "throttlingException", message="slow"), RateLimitedError),
        (chunk({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}), ServiceUnavailableError),
        (chunk("*"), StreamingError),
        (chunk(START), StreamingError),
        (EventMessage(message("event", "chunk").headers, b"nonsense"), StreamingError),
        (EventMessage(message("event", "chunk").headers, b'{"bytes": 5}'), LlmError),
    ],
)
def test_what_ends_a_stream(make, sent, kind):
    """Exceptions of AWS's, errors of Anthropic's, and what cannot be read: each names the provider."""
    decoder = PROVIDER.open_stream(make(stream=True))
    decoder.feed(chunk(START))
    with pytest.raises(kind) as caught:
        decoder.feed(sent)
    assert caught.value.provider == "bedrock"


def test_a_stream_that_ends_too_early(make):
    """It is an error, and names the provider."""
    decoder = PROVIDER.open_stream(make(stream=True))
    decoder.feed(chunk(START))
    with pytest.raises(StreamingError) as caught:
        decoder.end()
    assert caught.value.provider == "bedrock"


def test_a_whole_body_in_place_of_a_stream(make):
    """It is one chunk."""
    decoder = PROVIDER.open_stream(make(stream=True))
    body = {"id": "m", "model": "c", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"}
    assert accumulate(decoder.whole(json.dumps(body).encode())).text == "Hi"
    assert decoder.done


def test_errors(make):
    """They are AWS's."""
    headers = Headers([(b"x-amzn-errortype", b"ThrottlingException")])
    error = PROVIDER.error(make(), 429, headers, b'{"message": "slow"}')
    assert (type(error), error.code) == (RateLimitedError, "ThrottlingException")
    with pytest.raises(LlmError) as caught:
        PROVIDER.decode(make(), b"nonsense")
    assert caught.value.provider == "bedrock"

"""Replies of imitators and gateways that are a little off: nothing of what they say is lost, and errors are told."""

import json
from random import Random

import pytest

from liter._errors import LlmError, RateLimitedError, ServerError, ServiceUnavailableError, StreamingError
from liter.providers import known_providers
from liter.types import accumulate

from ._replay import events_at_random_cuts
from .test_streams_say_all import call_of, written

KNOWN = known_providers()
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def streamed(name: str, events: list[dict[str, object]], operation: str = "chat"):
    """The events of a stream, decoded."""
    decoder = KNOWN[name].open_stream(call_of(name, operation))
    return events_at_random_cuts(decoder, written(events, decoder.framing, Random(1)), Random(2))


def whole(name: str, body: object, operation: str = "chat"):
    """A whole reply, decoded."""
    return KNOWN[name].decode(call_of(name, operation), json.dumps(body).encode())


def chunk(delta: object, **more: object) -> dict[str, object]:
    """A chunk in OpenAI's form."""
    return {"choices": [{"index": 0, "delta": delta, **more}]}


STOP = chunk({}, finish_reason="stop")


@pytest.mark.parametrize(
    "events",
    [
        [{"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}],
        [chunk({"content": {"type": "text", "text": "hi"}}), STOP],
        [chunk({"content": [{"type": "novel", "x": 1}, {"type": "text", "text": "hi"}]}), STOP],
        [chunk({"content": "hi", "annotations": ["odd"]}), STOP],
        [{**chunk({"content": "hi"}), "citations": [{"url": "https://a.example"}]}, STOP],
        [chunk(None), chunk({"content": "hi", "role": "model"}), chunk(None, finish_reason="STOP")],
        [{"choices": None, "usage": None}, chunk({"content": "hi"}), STOP, {"usage": USAGE}],
        [chunk({"content": "hi"}, finish_reason=""), {"choices": [], "usage": USAGE}, STOP],
        [{"event": "novel"}, chunk({"content": "hi"}, logprobs={"tokens": ["hi"]}), STOP],
    ],
)
def test_streams_in_openais_form(events):
    """Messages in place of deltas, parts, nulls, novel events, usage anywhere."""
    reply = accumulate(streamed("openai", events))
    assert (reply.text, reply.choices[0].finish_reason) == ("hi", "stop")
    if any("usage" in event and event["usage"] for event in events):
        assert reply.usage.total_tokens == 5
    if "citations" in events[0]:
        assert reply.citations == ["https://a.example"]


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        ({"error": {"message": "boom", "code": 529}}, ServiceUnavailableError),
        ({"error": "boom"}, ServerError),
        ({**chunk({"content": ""}), "error": {"message": "boom", "code": 502}}, ServerError),
        (chunk({"content": ""}, finish_reason="error", error={"message": "boom", "code": 502}), ServerError),
        ({"object": "error", "message": "boom", "code": 500}, ServerError),
    ],
)
def test_errors_in_streams_in_openais_form(last, kind):
    """Wherever it stands in the event."""
    with pytest.raises(kind, match="boom"):
        streamed("openai", [chunk({"content": "hi"}), last])


def test_a_refusal_among_parts():
    """Is the refusal of the message."""
    parts = [{"type": "refusal", "refusal": "no"}, {"type": "text", "text": "hi"}]
    message = (
        whole("openai", {"choices": [{"message": {"content": parts}, "finish_reason": "stop"}]}).choices[0].message
    )
    assert (message.content, message.refusal) == ("hi", "no")


START = {"type": "message_start", "message": {"id": "i", "content": [], "usage": {"input_tokens": 3}}}
TEXT = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}}
END = [
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2, "input_tokens": 0}}
]
END.append({"type": "message_stop"})


@pytest.mark.parametrize("events", [[START, TEXT, *END], [START, TEXT, {"type": "novel"}, END[0]]])
def test_streams_in_anthropics_form(events):
    """Blocks that are not announced, nor ended; counts that are told once and then as 0."""
    reply = accumulate(streamed("kimi-coding", events))
    assert (reply.text, reply.choices[0].finish_reason) == ("hi", "stop")
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (3, 2)


def test_thoughts_in_anthropics_form_that_are_not_ended():
    """Go back as they came all the same."""
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
    ]
    message = accumulate(streamed("anthropic", [START, start, *deltas, *END])).choices[0].message
    assert message.thinking_blocks == [{"type": "thinking", "thinking": "hm", "signature": "s"}]


def test_errors_in_streams_in_anthropics_form():
    """Though no type says so."""
    with pytest.raises(ServiceUnavailableError, match="Overloaded"):
        streamed("anthropic", [START, TEXT, {"error": {"type": "overloaded_error", "message": "Overloaded"}}])


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("anthropic", {"content": "hi", "stop_reason": "END_TURN"}),
        ("anthropic", {"content": [{"type": "text", "text": None}, {"type": "text", "text": "hi"}]}),
        ("gemini", {"candidates": [{"content": "hi", "finishReason": "STOP"}]}),
        ("gemini", {"candidates": [{"content": {"parts": {"text": "hi"}}, "finishReason": "STOP"}]}),
        ("cohere", {"message": {"content": "hi"}, "finish_reason": "COMPLETE"}),
        ("bedrock", {"output": {"message": {"content": [None, {"text": None}, {"novel": {}}, {"text": "hi"}]}}}),
    ],
)
def test_whole_replies(name, body):
    """A text in place of blocks, nulls and novel blocks among them."""
    assert whole(name, body).text == "hi"


CALL = '{"a":1}'


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("anthropic", {"content": [{"type": "tool_use", "id": "i", "name": "f", "input": CALL}]}),
        ("gemini", {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": CALL}}]}}]}),
        ("bedrock", {"output": {"message": {"content": [{"toolUse": {"name": "f", "input": CALL}}]}}}),
        ("cohere", {"message": {"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}}),
        ("openai", {"choices": [{"message": {"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}}]}),
        ("ollama-native", {"message": {"tool_calls": [{"function": {"name": "f", "arguments": CALL}}]}}),
    ],
)
def test_arguments_of_the_other_kind(name, body):
    """Text where an object should be, or an object where text should be."""
    [call] = whole(name, body).choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("f", {"a": 1})


RESPONSE = {"id": "r", "object": "response", "status": "completed"}


@pytest.mark.parametrize(
    "output",
    [
        [{"type": "message", "content": "hi"}],
        [None, {"type": "novel"}, {"type": "message", "content": [None, {"type": "novel"}, {"text": "hi"}]}],
    ],
)
def test_whole_responses(output):
    """A text in place of parts, nulls and novel items among them; odd details do not make the counts unknown."""
    usage = {"input_tokens": 3, "output_tokens": 2, "input_tokens_details": [], "novel": {"x": 1}}
    reply = whole("openai", {**RESPONSE, "output": output, "usage": usage}, "create_response")
    assert (reply.output_text, reply.usage.total_tokens) == ("hi", 5)


def test_calls_of_responses():
    """Arguments that are an object."""
    item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": {"a": 1}}
    [call] = whole("openai", {**RESPONSE, "output": [item]}, "create_response").function_calls
    assert json.loads(call.arguments) == {"a": 1}


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        ({"error": {"code": "rate_limit_exceeded", "message": "slow"}}, RateLimitedError),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "slow"}, RateLimitedError),
        (
            {"type": "response.failed", "response": {**RESPONSE, "status": "failed", "error": {"message": "slow"}}},
            LlmError,
        ),
        ({"type": "response.novel"}, StreamingError),
    ],
)
def test_errors_in_streams_of_responses(last, kind):
    """With a type or without one; a stream that just ends is broken."""
    with pytest.raises(kind):
        streamed("openai", [{"type": "response.created", "response": RESPONSE}, last], "create_response")


def test_counts_of_blocks_on_bedrock():
    """Their numbers as text."""
    events = [
        {"type": "contentBlockDelta", "contentBlockIndex": str(index), "delta": {"text": text}}
        for index, text in enumerate(("h", "i"))
    ]
    assert accumulate(streamed("bedrock", [*events, {"type": "messageStop", "stopReason": "end_turn"}])).text == "hi"

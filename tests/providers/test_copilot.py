"""GitHub Copilot's replies: pieces of one in several choices, and thoughts under a name of their own."""

import json

import pytest
from msgspec.structs import replace

from liter._http import Headers, ServerSentEvent
from liter.providers import known_providers
from liter.types import ChatCompletionRequest, accumulate

PROVIDER = known_providers()["github-copilot"]
CHAT = ChatCompletionRequest(model="claude-sonnet-4.5", messages=[{"role": "user", "content": "x"}])


@pytest.fixture
def call(call_of):
    """A call of a chat."""
    return call_of(CHAT, provider="github-copilot", base_url=PROVIDER.base_url)


def tool(call_id):
    """A call of a tool."""
    return {"id": call_id, "type": "function", "function": {"name": "f", "arguments": "{}"}}


PIECES = {
    "id": "i",
    "choices": [
        {"index": 0, "message": {"content": "Let me look.", "reasoning_text": "Hm."}, "finish_reason": "tool_calls"},
        {"index": 0, "message": {"content": None, "tool_calls": [tool("a")]}, "finish_reason": "tool_calls"},
        {"index": 0, "message": {"tool_calls": [tool("b")]}, "finish_reason": "tool_calls"},
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
}


def test_what_it_offers(call):
    """Where chats go, and what else there is."""
    assert PROVIDER.operations == {"chat", "list_models", "embed"}
    sent = PROVIDER.encode(call)
    assert str(sent.origin) + sent.target.decode() == "https://api.githubcopilot.com/chat/completions"


def test_pieces_of_one_reply_are_joined(call):
    """Text, thoughts and all calls."""
    body = json.dumps(PIECES, separators=(",", ":")).encode()
    [choice] = PROVIDER.decode(call, body, Headers()).choices
    assert (choice.message.content, choice.message.reasoning_content) == ("Let me look.", "Hm.")
    assert [one.id for one in choice.message.tool_calls] == ["a", "b"]
    assert choice.finish_reason == "tool_calls"
    [chunk] = PROVIDER.open_stream(call).whole(body)
    assert [one.id for one in chunk.choices[0].delta.tool_calls] == ["a", "b"]
    assert chunk.raw == body


def test_several_replies_stay_apart(call):
    """Where they were asked for."""
    choices = [{"index": number, "message": {"content": str(number)}, "finish_reason": "stop"} for number in (0, 1)]
    asked = replace(call, request=replace(CHAT, n=2))
    reply = PROVIDER.decode(asked, json.dumps({"choices": choices}).encode(), Headers())
    assert [choice.message.content for choice in reply.choices] == ["0", "1"]


def test_thoughts_in_a_stream(call):
    """Have their usual name here; the chunk's raw data stays as it came. A text that looks like the name stays, too."""
    decoder = PROVIDER.open_stream(call)
    told = [
        {"reasoning_text": "H", "content": None},
        {"reasoning_text": "m.", "content": ""},
        {"content": '"reasoning_text":'},
    ]
    events = [json.dumps({"id": "i", "choices": [{"index": 0, "delta": one}]}, separators=(",", ":")) for one in told]
    events.append('{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}')
    chunks = [chunk for event in events for chunk in decoder.feed(ServerSentEvent(data=event.encode()))]
    assert [chunk.raw.decode() for chunk in chunks] == events
    message = accumulate([*chunks, *decoder.end()]).choices[0].message
    assert (message.reasoning_content, message.content) == ("Hm.", '"reasoning_text":')

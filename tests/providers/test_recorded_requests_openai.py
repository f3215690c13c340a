"""Recorded requests of OpenAI's chats can be made of ours: read back, they encode to a body that means the same."""

import json
from collections.abc import Mapping

from liter.providers import known_providers
from liter.types import ChatCompletionRequest

from ._replay import differences, replay

# By id, with the reason.
EXCEPTIONS: Mapping[str, str] = {
    "c9ba0f833256d8d2e131": "it names no model, and OpenAI refused it",
    "013616e1494b6f9ad031": "its function has a field that OpenAI does not know, which may be a slip of the pen",
}


def read_back(body: Mapping[str, object]) -> tuple[ChatCompletionRequest, bool]:
    """Make our request of a recorded body: its fields are ours, and others are extra."""
    ours = set(ChatCompletionRequest.__struct_fields__)
    fields = {name: value for name, value in body.items() if name != "stream" and value is not None}
    given = {name: value for name, value in fields.items() if name in ours}
    extra = {name: value for name, value in fields.items() if name not in ours}
    return ChatCompletionRequest(**given, extra_body=extra or None), bool(body.get("stream"))


def meaning(body: Mapping[str, object]) -> dict[str, object]:
    """A body without what makes no difference."""
    meant = {name: value for name, value in body.items() if value not in (None, False)}
    meant["messages"] = [meant_message(message) for message in body["messages"]]
    meant["tools"] = [without_nulls(tool) for tool in body.get("tools") or ()]
    return meant


def meant_part(part: Mapping[str, object]) -> object:
    """A part without what makes no difference."""
    if isinstance(part.get("image_url"), str):
        return {**part, "image_url": {"url": part["image_url"]}}
    return part


def without_nulls(tree: object) -> object:
    """JSON without fields that are null."""
    if isinstance(tree, dict):
        return {name: without_nulls(value) for name, value in tree.items() if value is not None}
    return [without_nulls(item) for item in tree] if isinstance(tree, list) else tree


def meant_message(message: Mapping[str, object]) -> object:
    """A message without nulls, and an assistant's without what OpenAI does not read."""
    meant = without_nulls(message)
    if isinstance(meant.get("content"), list):
        meant["content"] = [meant_part(part) for part in meant["content"]]
    if meant["role"] == "assistant":
        for name in ("annotations", "parsed", "reasoning", "reasoning_content"):
            meant.pop(name, None)
        for call in meant.get("tool_calls", ()):
            call.pop("index", None)
            call.setdefault("type", "function")
    return meant


def test_every_recorded_request_can_be_made(recordings, call_of):
    """The body that is sent means the same."""
    codec = known_providers()["openai"]

    def check(record):
        told = record["request_body"]
        request, stream = read_back(told)
        sent = codec.encode(call_of(request, stream=stream, provider="openai", base_url=codec.base_url))
        body = json.loads(sent.body)
        if not told.get("stream_options"):
            body.pop("stream_options", None)
        return differences(meaning(told), meaning(body))

    requests = (
        record
        for record in recordings("openai", "chat")
        if isinstance(record["request_body"], dict) and "messages" in record["request_body"]
    )
    count, wrong = replay(requests, check, EXCEPTIONS)
    assert not wrong
    assert count > 1000
    # At least 99 of 100.
    assert len(EXCEPTIONS) < 0.01 * count

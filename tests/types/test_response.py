"""What replies carry beside their fields."""

import msgspec

from liter._http import Headers
from liter.types import (
    AssistantMessage,
    ChatCompletionChunk,
    ChatCompletionResponse,
    ModelsListResponse,
    RefusalPart,
    TextPart,
)


def test_facts_travel_beside_the_fields():
    """They are attached, not encoded, and do not matter to equality."""
    headers = Headers([(b"x-a", b"1")])
    reply = ModelsListResponse()
    assert (reply.request_id, dict(reply.headers), reply.raw, reply.attempts) == (None, {}, b"", ())
    assert reply.attach(request_id="r", headers=headers, raw=b"{}") is reply
    assert (reply.request_id, reply.headers, reply.raw) == ("r", headers, b"{}")
    assert reply == ModelsListResponse()
    assert msgspec.json.encode(reply) == msgspec.json.encode(ModelsListResponse())


def test_a_chunk_keeps_its_bytes():
    """Beside its fields as well."""
    chunk = ChatCompletionChunk()
    assert (chunk.raw, chunk.text) == (b"", "")
    assert chunk.attach(raw=b"x") is chunk
    assert chunk.raw == b"x"
    assert chunk == ChatCompletionChunk()


def test_the_text_of_a_message_is_that_of_its_parts():
    """Refusals and absent content are no text."""
    assert AssistantMessage(content="a").text == "a"
    assert AssistantMessage(content=[TextPart(text="a"), RefusalPart(refusal="r"), TextPart(text="b")]).text == "ab"
    assert AssistantMessage().text == ""
    assert ChatCompletionResponse().text == ""

"""What is encoded of replies and chunks, for who hands them on as JSON."""

import msgspec
import pytest

from liter.types import ChatCompletionChunk, ChatCompletionResponse, Choice, ChunkChoice, Delta, Usage

USAGE = {"prompt_tokens": 0, "completion_tokens": 2, "total_tokens": 2}


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (
            ChatCompletionChunk(),
            {"id": "", "object": "chat.completion.chunk", "created": 0, "model": "", "choices": []},
        ),
        (ChunkChoice(), {"index": 0, "delta": {}, "finish_reason": None}),
        (ChunkChoice(delta=Delta(content="")), {"index": 0, "delta": {"content": ""}, "finish_reason": None}),
        (
            ChatCompletionResponse(usage=Usage(completion_tokens=2, total_tokens=2)),
            {"id": "", "object": "chat.completion", "created": 0, "model": "", "choices": [], "usage": USAGE},
        ),
        (
            Choice(),
            {"index": 0, "message": {"role": "assistant"}, "finish_reason": None, "logprobs": None},
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, msgspec.Struct) else "",
)
def test_what_openais_clients_ask_for_is_always_there(value: msgspec.Struct, encoded: object) -> None:
    """Required fields are encoded with their defaults, too; others only when they say something, and all come back."""
    text = msgspec.json.encode(value)
    assert msgspec.json.decode(text) == encoded
    assert msgspec.json.decode(text, type=type(value)) == value

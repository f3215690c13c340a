"""What the benchmark's server answers and its clients ask: OpenAI chat completions of realistic size."""

import json
import random
import struct
from base64 import b64encode

MODEL = "gpt-4o"
EMBEDDING_MODEL = "text-embedding-3-small"
MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant. Answer in plain words."},
    {"role": "user", "content": "How does a heap differ from a binary search tree, and when would I choose one?"},
]

# A token of English is about four characters, a blank included.
_WORDS = (" heap", " tree", " keeps", " the", " least", " item", " on", " top", " and")

_STREAM_FACTS = {
    "id": "chatcmpl-C8x2aQ7mVn4kLr0sTzYb1Ed6Hf3Gj",
    "object": "chat.completion.chunk",
    "created": 1760000000,
    "model": "gpt-4o-2024-08-06",
    "system_fingerprint": "fp_cbf1785567",
}

USAGE = {
    "prompt_tokens": 38,
    "completion_tokens": 132,
    "total_tokens": 170,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}

UNARY_TEXT = "".join(_WORDS[i % len(_WORDS)] for i in range(72))


def words(count: int) -> list[str]:
    """Give the texts of a stream's ``count`` content events."""
    return [_WORDS[i % len(_WORDS)] for i in range(count)]


def request_body(*, stream: bool) -> bytes:
    """Give the body of the request, for clients that write HTTP themselves."""
    return _compact({"model": MODEL, "messages": MESSAGES, **({"stream": True} if stream else {})})


def unary_body() -> bytes:
    """Give a whole chat completion, about 1 kB."""
    return _compact(
        {
            "id": "chatcmpl-C8x2aQ7mVn4kLr0sTzYb1Ed6Hf3Gj",
            "object": "chat.completion",
            "created": 1760000000,
            "model": "gpt-4o-2024-08-06",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": UNARY_TEXT, "refusal": None, "annotations": []},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": USAGE,
            "service_tier": "default",
            "system_fingerprint": "fp_cbf1785567",
        }
    )


def stream_events(count: int, *, usage: bool) -> list[bytes]:
    """Give ``count`` content events of a streamed chat completion, with those that open and close it."""
    deltas: list[tuple[dict[str, str], str | None]] = [
        ({"role": "assistant", "content": ""}, None),
        *(({"content": word}, None) for word in words(count)),
        ({}, "stop"),
    ]
    events = [
        {
            **_STREAM_FACTS,
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}],
        }
        for delta, finish_reason in deltas
    ]
    if usage:
        events.append({**_STREAM_FACTS, "choices": [], "usage": USAGE})
    return [*(b"data: " + _compact(event) + b"\n\n" for event in events), b"data: [DONE]\n\n"]


def embeddings_body(vectors: int, dimensions: int) -> bytes:
    """Give a list of embeddings as base64: random numbers, the same each time."""
    numbers = random.Random(7)
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": b64encode(struct.pack(f"<{dimensions}f", *_unit(numbers, dimensions))).decode(),
        }
        for index in range(vectors)
    ]
    usage = {"prompt_tokens": 8 * vectors, "total_tokens": 8 * vectors}
    return _compact({"object": "list", "data": data, "model": EMBEDDING_MODEL, "usage": usage})


def _unit(numbers: random.Random, dimensions: int) -> list[float]:
    return [numbers.gauss(0, dimensions**-0.5) for _ in range(dimensions)]


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()

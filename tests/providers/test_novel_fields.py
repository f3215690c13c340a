"""Replies with less than the reference promises, and with more: each decodes, and what was sent can still be read."""

import base64
import json
import struct

import pytest

from liter._http import Headers
from liter.providers import OpenAI
from liter.types import (
    CompletionRequest,
    CreateResponseRequest,
    DeleteFileRequest,
    EmbeddingRequest,
    ImageGenerationRequest,
    ListFilesRequest,
    ListInputItemsRequest,
    ListModelsRequest,
    ModerationRequest,
    RerankRequest,
    RetrieveFileRequest,
    TranscriptionRequest,
)

VECTOR = [0.5, -1.0]
PACKED = base64.b64encode(struct.pack("<2f", *VECTOR)).decode()

# By operation: a request; the least that is told; where to look, and what must be there.
LEAST = {
    "list_models": (ListModelsRequest(), {"data": [{"id": "m"}]}, lambda reply: reply.data[0].id, "m"),
    "embed": (
        EmbeddingRequest(model="m", input="a"), {"data": [{"embedding": PACKED}]},
        lambda reply: list(reply.data[0].embedding), VECTOR,
    ),
    "completions": (
        CompletionRequest(model="m", prompt="a"), {"choices": [{"text": "b"}]}, lambda reply: reply.choices[0].text, "b"
    ),
    "image_generate": (
        ImageGenerationRequest(prompt="a"), {"data": [{"url": "https://example.org/a.png"}]},
        lambda reply: reply.data[0].url, "https://example.org/a.png",
    ),
    "moderate": (
        ModerationRequest(input="a"), {"results": [{"flagged": True, "categories": {"novel/kind": True}}]},
        lambda reply: reply.results[0].categories, {"novel/kind": True},
    ),
    "rerank": (
        RerankRequest(model="m", query="q", documents=["a"]), {"results": [{"index": 0, "relevance_score": 0.5}]},
        lambda reply: reply.results[0].relevance_score, 0.5,
    ),
    "transcribe": (TranscriptionRequest(model="m", file=b""), {"text": "b"}, lambda reply: reply.text, "b"),
    "create_response": (
        CreateResponseRequest(model="m", input="a"),
        {"id": "r", "output": [{"type": "message", "content": [{"type": "output_text", "text": "b"}]}]},
        lambda reply: reply.output_text, "b",
    ),
    "list_input_items": (
        ListInputItemsRequest(response_id="r"), {"data": [{"type": "novel"}]},
        lambda reply: reply.data, [{"type": "novel"}],
    ),
    "retrieve_file": (RetrieveFileRequest(file_id="f"), {"id": "f"}, lambda reply: reply.id, "f"),
    "list_files": (ListFilesRequest(), {"data": [{"id": "f"}]}, lambda reply: reply.data[0].id, "f"),
    "delete_file": (DeleteFileRequest(file_id="f"), {"id": "f"}, lambda reply: reply.id, "f"),
}  # fmt: skip

NOVEL = {"novel": {"deep": [1, None, "x"]}, "another": None}


def with_novelties(tree: object) -> object:
    """Fields that nobody knows, in every object but those that are told as they came."""
    if isinstance(tree, list):
        return [with_novelties(item) for item in tree]
    if isinstance(tree, dict):
        kept = {name: value if name == "categories" else with_novelties(value) for name, value in tree.items()}
        return kept if tree.get("type") == "novel" else {**kept, **NOVEL}
    return tree


@pytest.mark.parametrize("operation", LEAST)
@pytest.mark.parametrize("more", [False, True], ids=["less", "more"])
def test_less_and_more_than_is_promised(call_of, operation: str, more: bool) -> None:
    """Usage, times, owners and kinds may be missing, and novel fields may be anywhere."""
    request, told, look, wanted = LEAST[operation]
    body = json.dumps(with_novelties(told) if more else told).encode()
    assert look(OpenAI().decode(call_of(request, operation=operation), body, Headers())) == wanted


@pytest.mark.parametrize("vector", [PACKED, VECTOR], ids=["base64", "numbers"])
def test_vectors_come_in_either_form(call_of, vector: object) -> None:
    """Whichever was asked for: some send the other."""
    body = json.dumps({"data": [{"embedding": vector, "index": 0}], "model": "m"}).encode()
    for encoding in ("base64", "float"):
        request = EmbeddingRequest(model="m", input="a", encoding_format=encoding)
        reply = OpenAI().decode(call_of(request, operation="embed"), body, Headers())
        assert list(reply.data[0].embedding) == VECTOR
        assert reply.usage is None

"""Every recorded exchange of OpenAI's wire beyond chat decodes without loss."""

import base64
import json
import struct
from collections.abc import Callable, Iterable, Mapping

import pytest

from liter._errors import LlmError
from liter._http import Headers
from liter.providers import OpenAI
from liter.types import (
    CompletionRequest,
    EmbeddingRequest,
    ImageGenerationRequest,
    ModerationRequest,
    RerankRequest,
    SpeechRequest,
    TranscriptionRequest,
)

EMBEDDING = (
    "azure", "doubleword", "llamacpp", "mistral", "ollama", "openai", "openrouter", "sambanova", "venice", "voyage",
)  # fmt: skip
COMPLETION = ("azure", "huggingface", "openai", "together", "vllm", "writer")
RERANK = ("llamacpp", "openrouter", "voyage")


def numbers(told: object) -> list[float]:
    """The numbers of a raw vector."""
    if isinstance(told, str):
        raw = base64.b64decode(told)
        return list(struct.unpack(f"<{len(raw) // 4}f", raw))
    return told


def body_of(record: Mapping[str, object]) -> bytes:
    """The raw body."""
    text = record["response_body"] or ""
    return base64.b64decode(text) if record["response_body_encoding"] == "base64" else text.encode()


def replayed(records: Iterable[Mapping[str, object]], call_of: Callable, request: object, operation: str, path: str):
    """The raw and the decoded reply of each good exchange; errors must classify."""
    for record in records:
        if path not in record["path"] or record["streaming"] or record["method"] != "POST":
            continue
        provider = OpenAI(name=record["provider"])
        call = call_of(request, operation=operation, provider=record["provider"], model="m")
        body = body_of(record)
        if record["status"] != 200:
            assert isinstance(provider.error(call, record["status"], Headers(), body), LlmError)
            continue
        reply = provider.decode(call, body, Headers())
        yield json.loads(body), reply, provider.usage(call, reply)


@pytest.mark.parametrize("provider", EMBEDDING)
def test_embeddings(recordings, call_of, provider: str) -> None:
    """Every number, the index of each vector, the model, and the tokens."""
    request = EmbeddingRequest(model="m", input="a")
    count = 0
    for raw, reply, usage in replayed(recordings(provider, "embeddings"), call_of, request, "embed", "/embeddings"):
        count += 1
        assert [(one.index, list(one.embedding)) for one in reply.data] == [
            (one.get("index", 0), numbers(one["embedding"])) for one in raw["data"]
        ]
        assert reply.model == raw.get("model", "")
        told = raw.get("usage") or {}
        assert usage is None or usage.prompt_tokens == (told.get("prompt_tokens") or told.get("total_tokens", 0))
    assert count


@pytest.mark.parametrize("provider", COMPLETION)
def test_completions(recordings, call_of, events_of, provider: str) -> None:
    """Text, reason and tokens of each choice, whole and streamed."""
    request = CompletionRequest(model="m", prompt="a")
    count = 0
    for raw, reply, usage in replayed(
        recordings(provider, "completion"), call_of, request, "completions", "/completions"
    ):
        count += 1
        assert [(one.text, one.finish_reason) for one in reply.choices] == [
            (one["text"], one.get("finish_reason")) for one in raw["choices"]
        ]
        assert (usage is None) == (raw.get("usage") is None)
        assert usage is None or usage.total_tokens == raw["usage"]["total_tokens"]
    for record in recordings(provider, "completion"):
        if not record["streaming"] or "/completions" not in record["path"] or record["status"] != 200:
            continue
        count += 1
        decoder = OpenAI().open_stream(call_of(request, operation="completions", stream=True))
        pieces = [piece for event in events_of(record["response_body"]) for piece in decoder.feed(event)]
        pieces += decoder.end()
        raw_pieces = [
            json.loads(event.data) for event in events_of(record["response_body"]) if event.data.strip() != b"[DONE]"
        ]
        raw_text = "".join(choice.get("text") or "" for piece in raw_pieces for choice in piece.get("choices") or [])
        assert "".join(piece.text for piece in pieces) == raw_text
    assert count


@pytest.mark.parametrize("provider", RERANK)
def test_rerank(recordings, call_of, provider: str) -> None:
    """Each document's place and score."""
    request = RerankRequest(model="m", query="q", documents=["a"])
    count = 0
    for raw, reply, usage in replayed(recordings(provider, "rerank"), call_of, request, "rerank", "/rerank"):
        count += 1
        assert [(one.index, one.relevance_score) for one in reply.results] == [
            (one["index"], one["relevance_score"]) for one in raw.get("results") or raw["data"]
        ]
        assert usage is not None
    assert count


@pytest.mark.parametrize("provider", ["openai", "mistral"])
def test_moderations(recordings, call_of, provider: str) -> None:
    """All categories, those that only one provider has too."""
    count = 0
    request = ModerationRequest(input="a")
    for raw, reply, _ in replayed(recordings(provider, "moderation"), call_of, request, "moderate", "/moderations"):
        count += 1
        assert [(one.flagged, one.categories, one.category_scores) for one in reply.results] == [
            (one.get("flagged", False), one["categories"], one["category_scores"]) for one in raw["results"]
        ]
    assert count


@pytest.mark.parametrize("provider", ["openai", "together", "xai"])
def test_images(recordings, call_of, provider: str) -> None:
    """Each image or its address, and the tokens."""
    count = 0
    request = ImageGenerationRequest(prompt="a")
    for raw, reply, usage in replayed(recordings(provider, "images"), call_of, request, "image_generate", "/images/"):
        count += 1
        assert [(one.url, one.b64_json) for one in reply.data] == [
            (one.get("url"), one.get("b64_json")) for one in raw.get("data") or raw.get("images") or []
        ]
        told = raw.get("usage")
        assert usage.completion_tokens == (told or {}).get("output_tokens", 0)
        assert usage.images == (None if told else len(reply.data))
    assert count


@pytest.mark.parametrize("provider", ["openai", "openrouter", "venice"])
def test_speech(recordings, call_of, provider: str) -> None:
    """Every byte."""
    count = 0
    call = call_of(SpeechRequest(model="m", input="a", voice="v"), operation="speech")
    for record in recordings(provider, "speech"):
        if record["status"] == 200:
            count += 1
            assert OpenAI().decode(call, body_of(record), Headers()) == body_of(record)
    assert count


@pytest.mark.parametrize("provider", ["openai", "mistral"])
def test_transcriptions(recordings, call_of, provider: str) -> None:
    """The text, its segments and words, and the tokens or the seconds."""
    count = 0
    request = TranscriptionRequest(model="m", file=b"")
    told = replayed(recordings(provider, "transcription"), call_of, request, "transcribe", "/audio/transcriptions")
    for raw, reply, usage in told:
        count += 1
        assert reply.text == raw["text"]
        assert [(one.text, one.start, one.end) for one in reply.segments or ()] == [
            (one["text"], one["start"], one["end"]) for one in raw.get("segments") or ()
        ]
        assert [one.word for one in reply.words or ()] == [one["word"] for one in raw.get("words") or ()]
        told_usage = raw["usage"]
        assert usage.prompt_tokens == told_usage.get("input_tokens", told_usage.get("prompt_tokens", 0))
        assert usage.completion_tokens == told_usage.get("output_tokens", told_usage.get("completion_tokens", 0))
        assert usage.audio_seconds == told_usage.get("seconds", told_usage.get("prompt_audio_seconds"))
    assert count

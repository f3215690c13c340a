"""Mistral's embeddings, moderation and filling in."""

import json
import random

import pytest
from msgspec.structs import replace

from liter._errors import BadRequestError, StreamingError
from liter._http import Headers
from liter.providers import known_providers
from liter.transport import framer
from liter.types import (
    CompletionRequest,
    EmbeddingRequest,
    ModerationRequest,
    OcrRequest,
    TranscriptionRequest,
)

from ._replay import cut

PROVIDER = known_providers()["mistral"]


@pytest.fixture
def make(call_of):
    """Make a call of an operation."""

    def made(operation, request, *, unsupported="raise", stream=False):
        call = call_of(request, operation=operation, provider="mistral", stream=stream)
        return replace(call, unsupported=unsupported)

    return made


def body(call):
    """The body that is sent."""
    return json.loads(PROVIDER.encode(call).body)


def test_what_it_offers():
    """Nothing that OpenAI has and it has not."""
    files = {"create_file", "retrieve_file", "delete_file", "list_files", "file_content"}
    texts = {"chat", "list_models", "embed", "moderate", "completions", "ocr", "transcribe"}
    batches = {"create_batch", "retrieve_batch", "list_batches", "cancel_batch", "batch_results"}
    assert PROVIDER.operations == texts | files | batches


def test_every_recorded_embedding_can_be_asked_for(recordings, make):
    """Read back into our request, it encodes to a body that means the same."""
    for record in recordings("mistral", "embeddings"):
        told = record["request_body"]
        dimensions = {"dimensions": told["output_dimension"]} if "output_dimension" in told else {}
        fields = {name: value for name, value in told.items() if name != "output_dimension"}
        call = make("embed", EmbeddingRequest(**fields, **dimensions))
        assert body(call) == told
        assert PROVIDER.encode(call).path == "/embeddings"


@pytest.mark.parametrize("field", ["user", "input_type"])
def test_what_embeddings_cannot_say(make, field):
    """Who is asking, and what for: refused, or dropped."""
    request = EmbeddingRequest(model="mistral-embed", input="a", **{field: "query"})
    with pytest.raises(BadRequestError, match=repr(field)):
        body(make("embed", request))
    assert body(make("embed", request, unsupported="drop")) == {"model": "mistral-embed", "input": "a"}


def test_moderation(recordings, make):
    """An input is flagged when one category is; Mistral does not say so."""
    call = make("moderate", ModerationRequest(input=["a", "b"]))
    assert PROVIDER.encode(call).path == "/moderations"
    assert body(replace(call, route=replace(call.route, model=""))) == {
        "input": ["a", "b"],
        "model": "mistral-moderation-latest",
    }
    for record in recordings("mistral", "moderation"):
        told = json.loads(record["response_body"])
        told["results"].append({"categories": {"pii": True, "law": False}, "category_scores": {"pii": 0.9}})
        reply = PROVIDER.decode(call, json.dumps(told).encode(), Headers())
        assert [one.categories for one in reply.results] == [one["categories"] for one in told["results"]]
        assert [one.flagged for one in reply.results] == [False, True]
        assert reply.usage.prompt_tokens == told["usage"]["prompt_tokens"]
    with pytest.raises(BadRequestError, match="not content parts"):
        body(make("moderate", ModerationRequest(input=[{"type": "text", "text": "a"}])))


def test_every_recorded_completion(recordings, events_of, make):
    """Text, reason and tokens, whole and streamed; and the request that was made."""
    rng, count = random.Random(1), 0
    for record in recordings("mistral", "completion"):
        count += 1
        told, raw = record["request_body"], record["response_body"]
        fields = {name: value for name, value in told.items() if name != "stream"}
        call = make("completions", CompletionRequest(**fields), stream=bool(told.get("stream")))
        assert PROVIDER.encode(call).path == "/fim/completions"
        assert {"stream": False, **body(call)} == {"stream": False, **told}
        if not record["streaming"]:
            reply, body_told = PROVIDER.decode(call, raw.encode(), Headers()), json.loads(raw)
            assert reply.text == body_told["choices"][0]["message"]["content"]
            assert reply.choices[0].finish_reason == body_told["choices"][0]["finish_reason"]
            assert reply.usage.prompt_tokens == body_told["usage"]["prompt_tokens"]
            continue
        decoder, frames, pieces = PROVIDER.open_stream(call), framer("sse", 1 << 20), []
        for data in cut(raw.encode(), rng):
            pieces += [piece for event in frames.feed(data) for piece in decoder.feed(event)]
        pieces += decoder.end()
        events = [json.loads(event.data) for event in events_of(raw) if event.data != b"[DONE]"]
        texts = [event["choices"][0]["delta"].get("content") or "" for event in events]
        assert "".join(piece.text for piece in pieces) == "".join(texts)
        assert decoder.usage.completion_tokens == events[-1]["usage"]["completion_tokens"]
        assert decoder.done
    assert count


def test_what_completions_cannot_say(make):
    """Several prompts, and OpenAI's own parameters."""
    with pytest.raises(BadRequestError, match="one text"):
        body(make("completions", CompletionRequest(model="codestral", prompt=["a", "b"])))
    request = CompletionRequest(model="codestral", prompt="a", seed=5, n=1)
    assert body(make("completions", request)) == {"model": "codestral", "prompt": "a", "random_seed": 5}
    for name, value in {"n": 2, "best_of": 2, "logprobs": 1, "user": "u", "echo": True}.items():
        with pytest.raises(BadRequestError, match=repr(name)):
            body(make("completions", CompletionRequest(model="codestral", prompt="a", **{name: value})))


def test_a_stream_that_is_cut_or_no_stream(make):
    """The one is an error, the other a whole reply."""
    call = make("completions", CompletionRequest(model="codestral", prompt="a"), stream=True)
    with pytest.raises(StreamingError):
        PROVIDER.open_stream(call).end()
    decoder = PROVIDER.open_stream(call)
    whole = {"choices": [{"message": {"content": "b"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}
    [piece] = decoder.whole(json.dumps(whole).encode())
    assert (piece.text, decoder.done, decoder.end()) == ("b", True, ())
    assert not decoder.opening(piece)


def test_every_recorded_document(recordings, make):
    """Its pages and what is billed; and the request that was made."""
    count = 0
    for record in recordings("mistral", "ocr"):
        told = json.loads(record["response_body"])
        call = make("ocr", OcrRequest(**record["request_body"]))
        assert PROVIDER.encode(call).path == "/ocr"
        assert body(call) == record["request_body"]
        reply = PROVIDER.decode(call, record["response_body"].encode(), Headers())
        assert [(page.index, page.markdown) for page in reply.pages] == [
            (page["index"], page["markdown"]) for page in told["pages"]
        ]
        assert (reply.usage.pages, reply.usage.annotated_pages) == (told["usage_info"]["pages_processed"], None)
        annotated = replace(call.request, extra_body={"document_annotation_format": {"type": "json_schema"}})
        reply = PROVIDER.decode(make("ocr", annotated), record["response_body"].encode(), Headers())
        assert reply.usage.annotated_pages == reply.usage.pages
        count += 1
    assert count
    call = make("ocr", OcrRequest(model="m", document={"type": "document_url", "document_url": "https://d"}))
    assert PROVIDER.decode(call, b'{"pages": []}', Headers()).usage is None


def test_every_recorded_transcription(recordings, make):
    """Text and the seconds that are billed."""
    for record in recordings("mistral", "transcription"):
        told = json.loads(record["response_body"])
        request = TranscriptionRequest(model="voxtral-mini-latest", file=b"RIFF")
        reply = PROVIDER.decode(make("transcribe", request), record["response_body"].encode(), Headers())
        assert reply.text == told["text"]
        assert reply.usage.audio_seconds == told["usage"]["prompt_audio_seconds"]

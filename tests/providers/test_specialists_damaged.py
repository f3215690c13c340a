"""Damaged answers of those with wires of their own: an error of ours, or what could be read, and nothing else."""

import json
import random

import pytest
from msgspec.structs import replace

from liter._errors import LlmError
from liter._http import Headers
from liter.providers import known_providers
from liter.types import (
    EmbeddingRequest,
    ImageGenerationRequest,
    OcrRequest,
    RerankRequest,
    SearchRequest,
    TranscriptionRequest,
)

from ._replay import damaged

KNOWN = known_providers()
ROUNDS = 60

PDF = {"type": "document_url", "document_url": "data:application/pdf;base64,AAAA"}
REQUESTS = {
    "search": SearchRequest(model="m", query="q"),
    "ocr": OcrRequest(model="mistral-ocr", document=PDF),
    "transcribe": TranscriptionRequest(model="m", file=b"sound"),
    "image_generate": ImageGenerationRequest(model="m", prompt="p"),
    "rerank": RerankRequest(model="m", query="q", documents=["a", "b"], return_documents=True),
    "embed": EmbeddingRequest(model="m", input="a"),
}
PAGE = {"title": "A", "url": "https://a.org", "link": "https://a.org", "snippet": "s", "content": "c", "score": 0.5}
WORD = {"word": "a", "text": "a", "start": 0, "end": 1, "speaker": 0, "type": "word"}
ANSWERS = {
    ("tavily", "search"): {"answer": "a", "results": [PAGE], "request_id": "r"},
    ("brave", "search"): {"web": {"results": [PAGE]}},
    ("exa", "search"): {"requestId": "r", "results": [PAGE], "costDollars": {"total": 0.005}},
    ("dataforseo", "search"): {
        "status_code": 20000,
        "cost": 0.002,
        "tasks": [{"id": "t", "status_code": 20000, "result": [{"items": [{"type": "organic", **PAGE}]}]}],
    },
    ("firecrawl", "search"): {"success": True, "data": {"web": [PAGE], "news": [PAGE]}},
    ("perplexity", "search"): {"id": "i", "results": [[PAGE], [PAGE]]},
    ("azure-document-intelligence", "ocr"): {
        "status": "succeeded",
        "analyzeResult": {
            "content": "a b",
            "pages": [{"pageNumber": 1, "width": 1.5, "spans": [{"offset": 0, "length": 3}]}],
            "tables": [{"boundingRegions": [{"pageNumber": 1}]}],
        },
    },
    ("vertex", "ocr"): {"pages": [{"index": 0, "markdown": "m", "images": []}], "usage_info": {"pages_processed": 1}},
    ("deepgram", "transcribe"): {
        "metadata": {"duration": 2.5},
        "results": {
            "channels": [{"detected_language": "en", "alternatives": [{"transcript": "a", "words": [WORD]}]}],
            "utterances": [{"id": "u", "start": 0.0, "end": 1.0, "transcript": "a", "speaker": 0}],
        },
    },
    ("elevenlabs", "transcribe"): {"text": "a", "language_code": "en", "words": [WORD], "audio_duration_secs": 1.5},
    ("assemblyai", "transcribe"): {
        "id": "j",
        "status": "completed",
        "text": "a",
        "audio_duration": 2,
        "words": [{"text": "a", "start": 0, "end": 10, "speaker": "A"}],
        "utterances": None,
    },
    ("black-forest-labs", "image_generate"): {
        "id": "1",
        "status": "Ready",
        "result": {"sample": "https://x", "seed": 1},
    },
    ("fal", "image_generate"): {"images": [{"url": "data:image/png;base64,AAAA"}], "seed": 1},
    ("replicate", "image_generate"): {
        "id": "p",
        "status": "succeeded",
        "output": ["https://x"],
        "urls": {"get": "https://api.replicate.com/v1/predictions/p"},
    },
    ("stability", "image_generate"): {"image": "AAAA", "finish_reason": "SUCCESS", "seed": 1},
    ("hyperbolic", "image_generate"): {"images": [{"image": "AAAA"}]},
    ("deepinfra", "rerank"): {"scores": [0.1, 0.9], "input_tokens": 3, "inference_status": {"cost": 0.001}},
    ("nvidia", "rerank"): {"rankings": [{"index": 1, "logit": 0.9}, {"index": 0, "logit": 0.1}]},
    ("voyage", "rerank"): {"data": [{"index": 1, "relevance_score": 0.9}], "usage": {"total_tokens": 3}},
    ("voyage", "embed"): {"data": [{"index": 0, "embedding": [0.5]}], "usage": {"total_tokens": 3}},
}


@pytest.mark.parametrize(("provider", "operation"), ANSWERS, ids=lambda value: value)
def test_a_damaged_answer_is_an_error_or_is_read(call_of, provider: str, operation: str) -> None:
    """Bytes that are off, bodies that are cut, values of another kind; so is what must follow an answer."""
    rng = random.Random(f"{provider} {operation}")
    codec = KNOWN[provider]
    base_url = codec.base_url if "{" not in codec.base_url else "https://service.example/v1/projects/p/locations/eu"
    model = "search" if operation == "search" else "mistral-ocr"
    call = call_of(
        REQUESTS[operation],
        operation=operation,
        provider=provider,
        model=model,
        base_url=base_url,
        settings={"login": "me"},
    )
    asked = codec.encode(call)
    text = json.dumps(ANSWERS[provider, operation])
    codec.decode(call, text.encode(), Headers())
    refused: list[LlmError] = []
    for _ in range(ROUNDS):
        body = damaged(text, rng)
        for request in (asked, replace(asked, method="GET")):
            try:
                codec.follow(call, request, Headers(), body)
            except LlmError as error:
                refused.append(error)
        try:
            codec.usage(call, codec.decode(call, body, Headers()))
        except LlmError as error:
            refused.append(error)
        assert isinstance(codec.error(call, 500, Headers(), body), LlmError)
    assert refused
    assert {error.provider for error in refused} == {provider}

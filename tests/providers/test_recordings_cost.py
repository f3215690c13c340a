"""Every recorded usage has classes that sum to its totals, and a cost where its model has a price."""

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import unquote

import msgspec
import pytest

from liter._errors import LlmError
from liter._http import Headers
from liter.money import PriceBook, TokenClasses
from liter.providers import OpenAI, Provider, known_providers
from liter.transport import framer
from liter.types import (
    ChatCompletionRequest,
    CompletionRequest,
    CreateResponseRequest,
    EmbeddingRequest,
    ImageGenerationRequest,
    RerankRequest,
)

# Reports that contradict themselves: how many are recorded, and what is odd about them.
CONTRADICTIONS: Mapping[str, tuple[int, str]] = {
    "azure": (13, "Grok counts the cache of a hidden prompt, and not the prompt"),
    "doubleword": (5, "reasoning is counted with another tokenizer than the completion"),
    "mistral": (1, "the cache is counted in blocks of 64"),
    "openai": (1, "a response that is under way counts less than no tokens"),
    "openrouter": (26, "reasoning is counted with another tokenizer than the completion"),
    "together": (1, "reasoning is counted with another tokenizer than the completion"),
    "vercel": (10, "reasoning is not in the completion, nor in the total"),
    "xiaomi": (6, "how much of an image was cached is not told"),
}

# How many costs there are at least, and how many of them that the provider reported are just what we compute: the
# others are of another day, or rounded. Of the providers that are not here, the book has no prices of those models.
PRICED: Mapping[str, tuple[int, int]] = {
    "anthropic": (1008, 0),
    "azure": (171, 0),
    "baseten": (31, 0),
    "bedrock": (235, 0),
    "cerebras": (47, 0),
    "cloudflare": (3, 0),
    "cohere": (113, 0),
    "deepseek": (171, 0),
    "doubleword": (26, 0),
    "gemini": (890, 0),
    "groq": (187, 0),
    "huggingface": (2, 0),
    "llamacpp": (110, 0),
    "mistral": (330, 0),
    "moonshot": (1, 0),
    "novita": (1, 0),
    "ollama": (64, 0),
    "openai": (1974, 0),
    "openrouter": (831, 346),
    "perplexity": (81, 22),
    "together": (23, 0),
    "vercel": (25, 0),
    "vertex": (155, 0),
    "xai": (278, 80),
    "zai": (91, 0),
}

OPERATIONS = (
    "chat", "messages", "generate_content", "converse", "responses", "embeddings", "completion", "rerank", "images",
)  # fmt: skip
NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)


def codec_of(name: str) -> Provider:
    """The codec of a recording's provider; OpenAI's for its imitators."""
    known = known_providers()
    return known[name] if name in known else OpenAI(name=name)


def called(record: Mapping[str, object]) -> str:
    """The model that a recorded request names, in its body or in its path."""
    body = record["request_body"] if isinstance(record["request_body"], dict) else {}
    path = unquote(str(record["path"]))
    named = re.search(r"/model/(.+?)/(?:converse|invoke)", path) or re.search(r"/models/([^:]+):", path)
    return str(body.get("model") or (named.group(1) if named else "m"))


def asked(operation: str, model: str) -> tuple[str, msgspec.Struct]:
    """The operation of ours that a recorded one is, and a request for it."""
    match operation:
        case "responses":
            return "create_response", CreateResponseRequest(model=model, input="x")
        case "embeddings":
            return "embed", EmbeddingRequest(model=model, input="x")
        case "completion":
            return "completions", CompletionRequest(model=model, prompt="x")
        case "rerank":
            return "rerank", RerankRequest(model=model, query="x", documents=["x"])
        case "images":
            return "image_generate", ImageGenerationRequest(model=model, prompt="x")
        case _:
            return "chat", ChatCompletionRequest(model=model, messages=[{"role": "user", "content": "x"}])


def usages(name: str, recordings, call_of):
    """Each recorded usage, with the models that were asked for and that answered."""
    codec = codec_of(name)
    for record in recordings(name, *OPERATIONS):
        if record["status"] != 200 or not record["response_body"]:
            continue
        model = called(record)
        operation, request = asked(record["operation"], model)
        call = call_of(request, operation=operation, provider=name, stream=record["streaming"])
        encoded = record["response_body_encoding"] == "base64"
        body = base64.b64decode(record["response_body"]) if encoded else record["response_body"].encode()
        try:
            if record["streaming"]:
                decoder = codec.open_stream(call)
                frames = framer(decoder.framing, 1 << 24)
                events = [event for frame in [*frames.feed(body), *frames.end()] for event in decoder.feed(frame)]
                usage = decoder.usage
                answered = next((told for event in events if (told := getattr(event, "model", ""))), "")
            else:
                reply = codec.decode(call, body, Headers())
                usage, answered = codec.usage(call, reply), getattr(reply, "model", None) or ""
        except LlmError:
            continue
        if usage is not None:
            yield usage, model, answered


NAMES = (
    "ai21", "alibaba", "anthropic", "azure", "baseten", "bedrock", "cerebras", "cloudflare", "cohere",
    "databricks", "deepseek", "doubleword", "fireworks", "gemini", "gpustack", "groq", "heroku",
    "huggingface", "hyperbolic", "llamacpp", "local", "mistral", "mistralrs", "moonshot", "nebius", "novita",
    "ollama", "openai", "openrouter", "perplexity", "pollinations", "portkey", "sambanova", "snowflake",
    "together", "venice", "vercel", "vertex", "writer", "xai", "xiaomi", "zai",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_usage_has_a_cost(name: str, recordings, call_of) -> None:
    """Classes sum to the totals; a model with a price has a cost; what the provider reports is the total."""
    book, contradictions, priced, equal = PriceBook.default(), 0, 0, 0
    for usage, model, answered in usages(name, recordings, call_of):
        which = answered if book.find(name, answered) else model
        try:
            classes = TokenClasses.of(usage)
        except ValueError:
            contradictions += 1
        else:
            assert (classes.prompt_tokens, classes.completion_tokens) == (usage.prompt_tokens, usage.completion_tokens)
            cost = book.price(name, which, usage, when=NOW)
            found = book.find(name, which)
            assert (cost is not None) == bool(
                usage.reported_cost is not None or (found and (not found.row.prices or found.row.prices[0].rates))
            )
            if cost is None:
                continue
            priced += 1
            assert cost.total == (cost.computed if usage.reported_cost is None else usage.reported_cost)
            equal += cost.computed == cost.reported
    assert contradictions == CONTRADICTIONS.get(name, (0, ""))[0]
    least = PRICED.get(name, (0, 0))
    assert (priced >= least[0], equal >= least[1]) == (True, True)

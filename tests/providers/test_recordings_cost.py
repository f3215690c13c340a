"""Every recorded usage has classes that sum to its totals, and a cost where its model has a price."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from liter._errors import LlmError
from liter._http import Headers
from liter.money import PriceBook, TokenClasses
from liter.providers import OpenAI, Provider, known_providers
from liter.types import ChatCompletionRequest

# Reports that contradict themselves: how many are recorded, and what is odd about them.
CONTRADICTIONS: Mapping[str, tuple[int, str]] = {
    "azure": (13, "Grok counts the cache of a hidden prompt, and not the prompt"),
    "doubleword": (5, "reasoning is counted with another tokenizer than the completion"),
    "mistral": (1, "the cache is counted in blocks of 64"),
    "openrouter": (26, "reasoning is counted with another tokenizer than the completion"),
    "together": (1, "reasoning is counted with another tokenizer than the completion"),
    "vercel": (10, "reasoning is not in the completion, nor in the total"),
    "xiaomi": (6, "how much of an image was cached is not told"),
}

# How many costs there are at least, and how many of them that the provider reported are just what we compute: the
# others are of another day, or rounded. Of the providers that are not here, the book has no prices of those models.
PRICED: Mapping[str, tuple[int, int]] = {
    "anthropic": (1008, 0),
    "azure": (131, 0),
    "baseten": (31, 0),
    "cerebras": (47, 0),
    "cloudflare": (3, 0),
    "cohere": (103, 0),
    "deepseek": (165, 0),
    "doubleword": (15, 0),
    "gemini": (881, 0),
    "groq": (187, 0),
    "huggingface": (2, 0),
    "llamacpp": (105, 0),
    "mistral": (316, 0),
    "moonshot": (1, 0),
    "novita": (1, 0),
    "ollama": (61, 0),
    "openai": (916, 0),
    "openrouter": (809, 332),
    "perplexity": (81, 22),
    "together": (18, 0),
    "vercel": (25, 0),
    "vertex": (154, 0),
    "xai": (198, 20),
    "zai": (91, 0),
}

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC)


def codec_of(name: str) -> Provider:
    """The codec of a recording's provider; OpenAI's for its imitators."""
    known = known_providers()
    return known[name] if name in known else OpenAI(name=name)


def usages(name: str, recordings, events_of, call_of):
    """Each recorded usage of a chat, with the model that answered."""
    codec = codec_of(name)
    for record in recordings(name, "chat", "messages", "generate_content"):
        if record["status"] != 200 or not record["response_body"] or record["response_body_encoding"] != "text":
            continue
        request = record["request_body"] if isinstance(record["request_body"], dict) else {}
        model = str(request.get("model") or record["path"].rpartition("/models/")[2].partition(":")[0] or "m")
        made = ChatCompletionRequest(model=model, messages=[{"role": "user", "content": "x"}])
        call = call_of(made, provider=name, stream=record["streaming"])
        body = record["response_body"]
        try:
            if record["streaming"]:
                decoder = codec.open_stream(call)
                chunks = [chunk for event in events_of(body) for chunk in decoder.feed(event)]
                usage, answered = decoder.usage, next((chunk.model for chunk in chunks if chunk.model), "")
            else:
                reply = codec.decode(call, body.encode(), Headers())
                usage, answered = reply.usage, reply.model
        except LlmError:
            continue
        if usage is not None:
            yield usage, model, answered


NAMES = (
    "ai21", "alibaba", "anthropic", "azure", "baseten", "cerebras", "cloudflare", "cohere", "databricks", "deepseek",
    "doubleword", "fireworks", "gemini", "gpustack", "groq", "heroku", "huggingface", "hyperbolic", "llamacpp", "local",
    "mistral", "mistralrs", "moonshot", "nebius", "novita", "ollama", "openai", "openrouter", "perplexity",
    "pollinations", "portkey", "sambanova", "snowflake", "together", "venice", "vercel", "vertex", "writer", "xai",
    "xiaomi", "zai",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_usage_has_a_cost(name: str, recordings, events_of, call_of) -> None:
    """Classes sum to the totals; a model with a price has a cost; what the provider reports is the total."""
    book, contradictions, priced, equal = PriceBook.default(), 0, 0, 0
    for usage, model, answered in usages(name, recordings, events_of, call_of):
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

"""Whole bills, worked out by hand or taken from a provider's own price of a call."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from liter.money import Price, PriceBook
from liter.types import CompletionTokensDetails, PromptTokensDetails, Usage

BOOK = PriceBook.default()
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday
BATCH = {"processing": "batch"}


def tokens(prompt: int, completion: int = 0, *, reasoning: int = 0, **details: int) -> Usage:
    """A usage with details of its prompt."""
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=PromptTokensDetails(**details) if details else None,
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=reasoning) if reasoning else None,
    )


def uses(**fields: object) -> Usage:
    """A usage of other things than tokens."""
    return Usage(**fields)


def searched(usage: Usage, searches: int) -> Usage:
    """A usage with web searches."""
    return Usage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        server_tool_use={"web_search_requests": searches},
    )


def on_tier(usage: Usage, tier: str) -> Usage:
    """A usage that the provider says was served on a tier."""
    return Usage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        prompt_tokens_details=usage.prompt_tokens_details,
        service_tier=tier,
    )


LAUNCH = datetime(2026, 8, 1, tzinfo=UTC)
EIGHT_OF_TEN = tokens(10_000, 1000, cached_tokens=8000)
SONNET = "anthropic/claude-sonnet-4-5"


@pytest.mark.parametrize(
    ("model", "usage", "when", "terms", "amount"),
    [
        ("openai/gpt-5.6-sol", tokens(4020, 5, cache_write_tokens=4012), LAUNCH, {}, "0.025265"),
        ("openai/gpt-5.6-sol", tokens(4020, 5, cached_tokens=4012), LAUNCH, {}, "0.002196"),
        ("openai/gpt-5.6-sol", tokens(4020, 5, cache_write_tokens=4012), NOW, {}, "0.020192"),
        (SONNET, tokens(100_000, 2000, cached_tokens=60_000, cache_write_tokens=30_000), NOW, {}, "0.1905"),
        (
            SONNET,
            tokens(100_000, 2000, cached_tokens=60_000, cache_write_tokens=30_000, cache_write_1h_tokens=10_000),
            NOW,
            {},
            "0.213",
        ),
        ("anthropic/claude-opus-4-5", searched(tokens(1000, 1000), 3), NOW, {}, "0.060"),
        ("anthropic/claude-opus-4-5", tokens(1000, 1000), NOW, BATCH, "0.0150"),
        ("openrouter/anthropic/claude-sonnet-4.5", tokens(550, 12), NOW, {}, "0.00183"),
        ("bedrock/global.anthropic.claude-sonnet-4-5-20250929-v1:0", tokens(1000, 1000), NOW, {}, "0.018"),
        ("bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", tokens(1000, 1000), NOW, {}, "0.0198"),
        ("gemini/gemini-2.5-pro", tokens(200_000, 1000), NOW, {}, "0.260"),
        ("gemini/gemini-2.5-pro", tokens(200_001, 1000), NOW, {}, "0.5150025"),
        ("gemini/gemini-2.5-flash", tokens(10_000, 500, audio_tokens=4000, cached_tokens=1000), NOW, {}, "0.00678"),
        ("gemini/gemini-2.5-flash", tokens(10_000, 500), NOW, BATCH, "0.002125"),
        ("gemini/gemini-3-flash-preview", tokens(1_000_000, cached_tokens=500_000), NOW, BATCH, "0.150"),
        ("openai/gpt-5.4", tokens(272_000, 1000), NOW, {}, "0.695"),
        ("openai/gpt-5.4", tokens(272_001, 1000), NOW, {}, "1.382505"),
        ("openai/gpt-4.1", EIGHT_OF_TEN, NOW, {}, "0.016"),
        ("openai/gpt-4.1", on_tier(EIGHT_OF_TEN, "default"), NOW, {}, "0.016"),
        ("openai/gpt-4.1", on_tier(EIGHT_OF_TEN, "priority"), NOW, {}, "0.028"),
        ("openai/gpt-5", on_tier(EIGHT_OF_TEN, "flex"), NOW, {}, "0.00675"),
        ("openai/gpt-5", EIGHT_OF_TEN, NOW, BATCH, "0.00675"),
        ("openai/gpt-4o-transcribe", tokens(1100, 200, audio_tokens=1000), NOW, {}, "0.00825"),
        ("openai/gpt-image-1", tokens(350, 4160, image_tokens=323), NOW, {}, "0.169765"),
        ("openai/whisper-1", uses(audio_seconds=Decimal(90)), NOW, {}, "0.009"),
        ("openai/tts-1", uses(characters=4000), NOW, {}, "0.06"),
        ("groq/whisper-large-v3", uses(audio_seconds=Decimal(3)), NOW, {}, "0.0003083333333333333333333333333"),
        ("deepseek/deepseek-v4-pro", tokens(1_000_000, 100_000), NOW.replace(hour=2), {}, "1.716"),
        ("deepseek/deepseek-v4-pro", tokens(1_000_000, 100_000), NOW, {}, "0.858"),
        # Saturday, and a day before there were peak hours.
        ("deepseek/deepseek-v4-pro", tokens(1_000_000, 100_000), NOW.replace(day=21, hour=2), {}, "0.858"),
        ("deepseek/deepseek-v4-pro", tokens(1_000_000, 100_000), datetime(2026, 8, 14, 2, tzinfo=UTC), {}, "0.522"),
        ("xai/grok-3-mini", tokens(12, 291, cached_tokens=11, reasoning=290), NOW, {}, "0.000146625"),
        ("mistral/mistral-ocr-4-0", uses(pages=7), NOW, {}, "0.028"),
        ("mistral/mistral-ocr-4-0", uses(pages=7, annotated_pages=3), NOW, {}, "0.031"),
        ("voyage/voyage-3.5", tokens(1_000_000), NOW, {}, "0.06"),
        ("perplexity/sonar", tokens(1000, 500), NOW, {}, "0.0135"),
        ("perplexity/sonar", tokens(1000, 500), NOW, {"search_context_size": "low"}, "0.0065"),
        ("openai/dall-e-3", uses(images=2), NOW, {"quality": "hd", "size": "1792x1024"}, "0.24"),
        ("openai/dall-e-3", uses(images=2), NOW, {"quality": "hd", "size": "1024x1024"}, "0.16"),
        ("openai/dall-e-3", uses(images=2), NOW, {}, "0.08"),
        ("cohere/rerank-v3.5", uses(search_units=3), NOW, {}, "0.006"),
        ("cohere/rerank-v3.5", uses(billed_units={"search_units": 3.0}), NOW, {}, "0.006"),
        ("tavily/anything", uses(searches=1), NOW, {"search_depth": "advanced"}, "0.016"),
        ("openai/gpt-5.4", tokens(1000, 1000), NOW, {"geography": "eu"}, "0.01925"),
        ("openai/gpt-4o", tokens(1000, 1000), NOW, {"geography": "eu"}, "0.0125"),
        ("vertex/claude-sonnet-4-5", tokens(1000, 1000), NOW, {"geography": "europe-west1"}, "0.0198"),
        ("vertex/claude-sonnet-4-5", tokens(1000, 1000), NOW, {"geography": "global"}, "0.018"),
        ("ollama/whatever", tokens(1000, 1000), NOW, {}, "0"),
    ],
)  # fmt: skip
def test_bill(model: str, usage: Usage, when: datetime, terms: dict[str, str], amount: str) -> None:
    """A usage, at a time and on terms, comes to this amount, to the last digit."""
    provider, _, name = model.partition("/")
    cost = BOOK.price(provider, name, usage, when=when, terms=terms)
    assert cost is not None
    assert cost.total == Decimal(amount)
    assert cost.complete
    assert sum(cost.classes.values()) == cost.total or provider == "ollama"


def test_a_step_may_include_its_bound() -> None:
    """At xAI, a prompt of just as many tokens as the step is above it."""
    name = "grok-4.20"
    below = BOOK.price("xai", name, tokens(199_999), when=NOW)
    at = BOOK.price("xai", name, tokens(200_000), when=NOW)
    assert below is not None
    assert at is not None
    assert at.total > below.total * Decimal("1.9")


def test_geography_is_on_tokens_only() -> None:
    """A surcharge of a region does not touch the fee for searches."""
    usage = Usage(prompt_tokens=1_000_000, server_tool_use={"web_search_requests": 1}, inference_geo="us")
    cost = BOOK.price("anthropic", "claude-opus-4-6", usage, when=NOW)
    assert cost is not None
    assert cost.classes == {"text_input": Decimal("5.5"), "web_searches": Decimal("0.01")}


def test_the_units_that_are_billed_come_before_the_tokens_that_were_used() -> None:
    """Cohere bills fewer tokens than it used, and tells both."""
    billed = {"input_tokens": 2406.0, "output_tokens": 10.0}
    usage = Usage(prompt_tokens=2935, completion_tokens=10, billed_units=billed)
    book = PriceBook().with_({"cohere/command-x": Price(input=1, output=10)})
    cost = book.price("cohere", "command-x", usage)
    assert cost is not None
    assert cost.total == Decimal("0.002506")


def test_other_models_behind_a_reply_are_billed_at_their_own_prices() -> None:
    """An advisor's tokens are on the bill, at the advisor's price."""
    usage = Usage(
        prompt_tokens=1_000_000, others={"claude-opus-4-5": Usage(prompt_tokens=1_000_000, completion_tokens=1_000_000)}
    )
    cost = BOOK.price("anthropic", "claude-sonnet-4-6", usage, when=NOW)
    assert cost is not None
    assert cost.total == 3 + 5 + 25

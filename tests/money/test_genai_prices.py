"""Our amounts are those of genai-prices, for every model it knows."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, localcontext

import pytest
from genai_prices import types
from genai_prices.data import providers as genai_providers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liter.money import PriceBook
from liter.money._genai_prices import PROVIDERS
from liter.types import CompletionTokensDetails, PromptTokensDetails, Usage

BOOK = PriceBook.default()
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
OTHERS = ("audio_seconds", "characters", "pages", "annotated", "web_searches", "file_searches")

# Where we mean to say something else, and why. Everything else must be equal to the last digit.
DIFFERENT: Mapping[tuple[str, str], str] = {
    ("cohere", "embed-v4.0"): "images cost 0.47 and not what text costs; they have no price for images",
    ("deepseek", "deepseek-flash"): "peak hours are of weekdays; they have no weekdays",
    ("deepseek", "deepseek-v4-flash"): "peak hours are of weekdays, and began on 2026-08-17; they have neither",
    ("deepseek", "deepseek-v4-pro"): "peak hours are of weekdays, and began on 2026-08-17; they have neither",
    ("perplexity", "sonar"): "searches are in the fee for the request; they would not be counted",
    ("perplexity", "sonar-pro"): "searches are in the fee for the request; they would not be counted",
}

# Which of our counts is which of theirs: those that are counted in pieces are the leaves that make up theirs.
INPUT = {
    "text_input": (),
    "cache_read": ("cache_read_tokens",),
    "cache_read_audio": ("cache_read_tokens", "input_audio_tokens", "cache_audio_read_tokens"),
    "cache_read_image": ("cache_read_tokens", "input_image_tokens", "cache_image_read_tokens"),
    "cache_read_video": ("cache_read_tokens", "input_video_tokens", "cache_video_read_tokens"),
    "cache_write_5m": ("cache_write_tokens",),
    "cache_write_1h": ("cache_write_tokens", "cache_write_1h_tokens"),
    "audio_input": ("input_audio_tokens",),
    "image_input": ("input_image_tokens",),
    "video_input": ("input_video_tokens",),
}
OUTPUT = {
    "text_output": (),
    "reasoning": ("output_reasoning_tokens",),
    "citation": ("output_citation_tokens",),
    "audio_output": ("output_audio_tokens",),
    "image_output": ("output_image_tokens",),
    "video_output": ("output_video_tokens",),
}
JOINS = ("cache_audio_write_tokens", "cache_image_write_tokens", "cache_video_write_tokens")

counts = st.one_of(st.just(0), st.integers(0, 400_000))
usages = st.fixed_dictionaries(
    {
        **dict.fromkeys((*INPUT, *OUTPUT), counts),
        "audio_seconds": st.one_of(st.just(0), st.integers(1, 20), st.integers(0, 100_000)),
        "characters": counts,
        "pages": counts,
        "annotated": st.integers(0, 100),
        "web_searches": st.integers(0, 50),
        "file_searches": st.integers(0, 50),
    }
)
moments = st.datetimes(datetime(2024, 1, 1), datetime(2027, 6, 1)).map(lambda when: when.replace(tzinfo=UTC))  # noqa: DTZ001 # hypothesis wants them so
terms = st.sampled_from(
    [
        {},
        {"processing": "batch"},
        {"service_tier": "flex"},
        {"service_tier": "priority"},
        {"service_tier": "fast"},
        {"speed": "fast"},
    ]
)


def theirs_of(drawn: Mapping[str, int]) -> types.Usage:
    """The usage in their form: totals, with overlapping parts."""
    told = dict.fromkeys(JOINS, 0)
    for leaves in (INPUT, OUTPUT):
        for parts in leaves.values():
            told |= dict.fromkeys(parts, 0)
    for leaves, total in ((INPUT, "input_tokens"), (OUTPUT, "output_tokens")):
        told[total] = sum(drawn[name] for name in leaves)
        for name, parts in leaves.items():
            for part in parts:
                told[part] += drawn[name]
    pages = drawn["pages"] + drawn["annotated"]
    return types.Usage(
        **told,
        audio_seconds=drawn["audio_seconds"],
        input_audio_seconds=drawn["audio_seconds"],
        input_characters=drawn["characters"],
        input_document_pages=pages,
        input_annotated_document_pages=drawn["annotated"],
        web_searches=drawn["web_searches"],
        storage_searches=drawn["file_searches"],
    )


def ours_of(drawn: Mapping[str, int]) -> Usage:
    """The usage in our form."""
    cached = {kind: drawn[f"cache_read_{kind}"] for kind in ("audio", "image", "video")}
    prompt, completion = sum(drawn[name] for name in INPUT), sum(drawn[name] for name in OUTPUT)
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=drawn["cache_read"] + sum(cached.values()),
            cached_audio_tokens=cached["audio"],
            cached_image_tokens=cached["image"],
            cached_video_tokens=cached["video"],
            cache_write_tokens=drawn["cache_write_5m"] + drawn["cache_write_1h"],
            cache_write_1h_tokens=drawn["cache_write_1h"],
            audio_tokens=drawn["audio_input"] + cached["audio"],
            image_tokens=drawn["image_input"] + cached["image"],
            video_tokens=drawn["video_input"] + cached["video"],
        ),
        completion_tokens_details=CompletionTokensDetails(
            reasoning_tokens=drawn["reasoning"],
            citation_tokens=drawn["citation"],
            audio_tokens=drawn["audio_output"],
            image_tokens=drawn["image_output"],
            video_tokens=drawn["video_output"],
        ),
        server_tool_use={
            "web_search_requests": drawn["web_searches"],
            "file_search_requests": drawn["file_searches"],
        },
        audio_seconds=Decimal(drawn["audio_seconds"]),
        characters=drawn["characters"],
        pages=drawn["pages"] + drawn["annotated"],
        annotated_pages=drawn["annotated"],
    )


def names_in(clause: object) -> Iterator[str]:
    """Names that may satisfy a clause."""
    for part in getattr(clause, "or_", None) or getattr(clause, "and_", None) or ():
        yield from names_in(part)
    for field in ("equals", "starts_with", "ends_with", "contains"):
        if isinstance(name := getattr(clause, field, None), str):
            yield name


def examples() -> Iterator[tuple[types.Provider, types.ModelInfo, str, str, str]]:
    """Each of their models, with a name that they find it by, and where we have it."""
    for provider in genai_providers:
        for model in provider.models:
            names = (model.id, *names_in(model.match))
            name = next((name for name in names if provider.find_model(name) is model), None)
            if name is None:
                continue
            ours, suffix = PROVIDERS.get(provider.id, provider.id), ""
            if ours.startswith("huggingface_"):
                ours, suffix = "huggingface", ":" + ours.removeprefix("huggingface_")
            yield provider, model, name, ours, name + suffix


EXAMPLES = list(examples())


def test_every_model_is_found_in_the_same_row() -> None:
    """Each name finds the row that genai-prices finds, whatever the pattern; few of its rows can never be found."""
    assert sum(len(provider.models) for provider in genai_providers) - len(EXAMPLES) <= 30
    for _, model, _, provider, name in EXAMPLES:
        found = BOOK.find(provider, name)
        assert found is not None, (provider, name)
        assert found.row.id.partition(":" if provider == "huggingface" else "\0")[0] == (
            model.id.partition(":")[0] if provider == "huggingface" else model.id
        )
        if name.lower() == model.id.lower():
            assert found.match == "exact", (provider, name, found.row.match)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(usages, moments, terms)
def test_amounts_are_equal(drawn: dict[str, int], when: datetime, context: dict[str, str]) -> None:
    """For every model, at any time and on any terms, our amount is theirs, as a decimal.

    Seconds of an hourly rate are fractions without end, which they round to 28 digits, and so do we.
    """
    theirs, ours = theirs_of(drawn), ours_of(drawn)
    for provider, model, name, our_provider, our_name in EXAMPLES:
        if (our_provider, model.id) in DIFFERENT:
            continue
        want = model.calc_price(theirs, provider, genai_request_timestamp=when, price_context=context)
        made = BOOK.price(our_provider, our_name, ours, when=when, terms=context)
        if not vars(want.model_price) and our_name != "moderation":
            assert made is None  # they have the model and no price for it, which is unknown, and not 0
            continue
        assert made is not None, (our_provider, our_name)
        with localcontext(prec=28):
            assert +made.total == want.total_price, (our_provider, name, made, want.model_price)


@pytest.mark.parametrize("place", DIFFERENT, ids="/".join)
def test_differences_are_real(place: tuple[str, str]) -> None:
    """Each difference that is listed is one: otherwise its line would hide a mistake."""
    drawn = dict.fromkeys((*INPUT, *OUTPUT), 1000) | {
        "audio_seconds": 0, "characters": 0, "pages": 0, "annotated": 0, "web_searches": 2, "file_searches": 0,
    }  # fmt: skip
    saturday = datetime(2026, 11, 21, 2, tzinfo=UTC)
    provider, model = next((p, m) for p, m, _, ours, _ in EXAMPLES if (ours, m.id) == place)
    want = model.calc_price(theirs_of(drawn), provider, genai_request_timestamp=saturday)
    made = BOOK.price(*place, ours_of(drawn), when=saturday)
    assert made is not None
    assert made.total != want.total_price or made.unpriced != () or "web_searches" in made.classes


def test_steps_are_at_the_same_size() -> None:
    """At each step of each model, just below it, on it and just above it, our amount is theirs."""
    steps = 0
    empty = dict.fromkeys((*INPUT, *OUTPUT, *OTHERS), 0)
    for provider, model, name, our_provider, our_name in EXAMPLES:
        if (our_provider, model.id) in DIFFERENT:
            continue
        rates = vars(model.get_prices(NOW)).values()
        for start in {tier.start for rate in rates if isinstance(rate, types.TieredPrices) for tier in rate.tiers}:
            steps += 1
            for size in (start - 1, start, start + 1):
                drawn = {**empty, "text_input": size - 1000, "cache_read": 1000, "text_output": 10}
                want = model.calc_price(theirs_of(drawn), provider, genai_request_timestamp=NOW)
                made = BOOK.price(our_provider, our_name, ours_of(drawn), when=NOW)
                assert made is not None
                assert made.total == want.total_price, (our_provider, name, size)
    assert steps > 100

"""The bound of a hard budget: whatever is used within it, on whatever terms, no price of the book is above it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter._contract import Call, Route
from liter._http import HttpRequest
from liter.middleware._budget_bound import Ceiling, UnboundedError, Use, has_price, most_used
from liter.money import PriceBook
from liter.types import (
    ChatCompletionRequest,
    CompletionRequest,
    CompletionTokensDetails,
    CreateResponseRequest,
    EmbeddingRequest,
    ImageGenerationRequest,
    ModerationRequest,
    PromptTokensDetails,
    RerankRequest,
    SearchRequest,
    SpeechRequest,
    Usage,
)

BOOK = PriceBook.default()
NOW = datetime(2026, 11, 25, 14, tzinfo=UTC)
MOMENTS = (NOW, NOW + timedelta(minutes=1))
ROUTE = Route(provider="openai", model="gpt", base_url="https://x.invalid")


def priced_models() -> Iterator[tuple[str, str]]:
    """Each model of the book that a name leads to."""
    for provider in sorted(BOOK._providers):
        prices = BOOK._prices(provider)
        for row in () if prices is None else prices.rows.models:
            found = BOOK.find(provider, row.id)
            if found is not None and found.row is row and has_price(found, NOW):
                yield provider, row.id


MODELS = list(priced_models())

terms = st.fixed_dictionaries(
    {},
    optional={
        "service_tier": st.sampled_from(["flex", "priority", "scale", "fast"]),
        "processing": st.just("batch"),
        "speed": st.just("fast"),
        "geography": st.sampled_from(["us", "eu", "regional"]),
    },
)


@st.composite
def used(draw: st.DrawFn) -> tuple[Use, Usage]:
    """A bound, and a usage within it, of every class that text can be."""
    prompt = draw(st.sampled_from([10, 1000, 100_001, 128_001, 200_001, 272_001, 10**6]) | st.integers(0, 10**6))
    completion = draw(st.integers(0, 10**5))
    cached = draw(st.integers(0, prompt))
    written = draw(st.integers(0, prompt - cached))
    usage = Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=cached, cache_write_tokens=written, cache_write_1h_tokens=draw(st.integers(0, written))
        ),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=draw(st.integers(0, completion))),
    )
    spare = draw(st.integers(0, 1000))
    return Use(prompt + spare, completion + spare), usage


@given(model=st.sampled_from(MODELS), within=used(), on=terms)
def test_no_price_is_above_the_bound(model: tuple[str, str], within: tuple[Use, Usage], on: dict[str, str]) -> None:
    """For the models of the book, at any size of prompt, cached or not, thought or not, fast, flexible or far away."""
    found = BOOK.find(*model)
    assert found is not None
    use, usage = within
    try:
        most = Ceiling(found, MOMENTS).most(use)
    except UnboundedError:
        return
    cost = BOOK.price(*model, usage, when=NOW, terms=on)
    assert cost is not None
    assert cost.total <= most


def test_most_models_that_chat_have_a_bound() -> None:
    """Nearly all in the book; and for most of them the bound is of the price's own size."""
    ratios: list[Decimal] = []
    for model in MODELS:
        found = BOOK.find(*model)
        assert found is not None
        try:
            most = Ceiling(found, MOMENTS).most(Use(1000, 1000))
        except UnboundedError:
            continue
        cost = BOOK.price(*model, Usage(prompt_tokens=1000, completion_tokens=1000), when=NOW)
        assert cost is not None
        ratios.append(most / cost.total if cost.total else Decimal(1))
    assert len(ratios) > 0.9 * len(MODELS)
    assert sorted(ratios)[int(0.8 * len(ratios))] < 2


def request_of(operation: str, request: object, body: bytes = b"{}") -> Use:
    """Bound a request whose body is this."""
    call: Call[object] = Call(operation=operation, request=request, route=ROUTE)
    return most_used(call, HttpRequest(method="POST", base_url="https://x.invalid", path="/", body=body))


CHAT = ChatCompletionRequest(model="gpt", messages=[{"role": "user", "content": "hi"}])


@pytest.mark.parametrize(
    ("body", "completion"),
    [
        (b'{"max_tokens":10}', 10),
        (b'{"max_tokens":10,"max_completion_tokens":20}', 20),
        (b'{"max_output_tokens":30}', 30),
        (b'{"max_tokens":10,"n":3}', 30),
        (b'{"max_tokens":10,"n":2,"best_of":5}', 50),
        (b'{"generationConfig":{"maxOutputTokens":7,"candidateCount":2}}', 14),
        (b'{"inferenceConfig":{"maxTokens":9}}', 9),
    ],
)
def test_the_limit_of_the_output_is_the_bodys(body: bytes, completion: int) -> None:
    """As it is sent, in each protocol's own words, defaults of the codec included."""
    assert request_of("chat", CHAT, body) == Use(len(body) + 256, completion)


def test_text_is_bounded_in_every_operation() -> None:
    """By its bytes, and by the limit of what comes back where something does."""
    body = b'{"max_output_tokens":30}'
    size = len(body) + 256
    tools = [{"type": "function", "name": "f", "parameters": {}}]
    items = [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}, {"type": "reasoning"}]
    assert request_of("create_response", CreateResponseRequest(model="m", input="hi"), body) == Use(size, 30)
    assert request_of("create_response", CreateResponseRequest(model="m", input=items), body) == Use(size, 30)
    with_tools = CreateResponseRequest(model="m", input="hi", tools=tools)
    assert request_of("create_response", with_tools, body) == Use(len(body) + 1280, 30)
    assert request_of("completions", CompletionRequest(model="m", prompt="hi"), b'{"max_tokens":5}').completion == 5
    assert request_of("embed", EmbeddingRequest(model="m", input=["hi", "ho"]), body) == Use(size)
    assert request_of("moderate", ModerationRequest(input="hi"), body) == Use(size)
    speech = SpeechRequest(model="m", input="hello", voice="alloy", instructions="low")
    assert request_of("speech", speech).counts == {"characters": 8}
    assert request_of("image_generate", ImageGenerationRequest(prompt="hi", n=3)).counts == {"images": 3}
    assert request_of("search", SearchRequest(model="m", query="hi")).counts == {"searches": 1}


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (CHAT, "sets no limit of its output"),
        (CreateResponseRequest(model="m", input="hi", previous_response_id="r"), "with previous_response_id"),
        (CreateResponseRequest(model="m", input="hi", tools=[{"type": "web_search"}]), "a tool of 'web_search'"),
        (
            CreateResponseRequest(model="m", input=[{"type": "item_reference", "id": "i"}]),
            "an item of 'item_reference'",
        ),
        (
            CreateResponseRequest(model="m", input=[{"role": "user", "content": [{"type": "input_image"}]}]),
            "a part of 'input_image'",
        ),
        (EmbeddingRequest(model="m", input=[{"type": "image_url"}]), "with anything but text"),
        (RerankRequest(model="m", query="q", documents=["d"]), "nothing bounds"),
        (EmbeddingRequest(model="m", input="hi", extra_body={"mode": "x"}), "extra_body may change"),
    ],
)
def test_what_has_no_bound_says_why(request_: object, problem: str) -> None:
    """And what would give it one."""
    with pytest.raises(UnboundedError, match=problem):
        request_of("operation", request_)


def test_other_units_are_counted_where_the_model_is_billed_by_them() -> None:
    """Characters spoken and images made; a model that bills by something else has no bound."""
    speech = BOOK.find("openai", "tts-1")
    images = BOOK.find("openai", "dall-e-3")
    chat = BOOK.find("openai", "gpt-4o")
    assert speech is not None
    assert images is not None
    assert chat is not None
    assert Ceiling(speech, MOMENTS).most(Use(counts={"characters": 1_000_000})) == Decimal(15)
    # The dearest of its sizes, in high definition.
    assert Ceiling(images, MOMENTS).most(Use(counts={"images": 2})) == Decimal("0.24")
    for found, use in ((speech, Use(10, 10)), (chat, Use(counts={"characters": 5}))):
        with pytest.raises(UnboundedError, match="billed by characters"):
            Ceiling(found, MOMENTS).most(use)


def test_a_model_that_is_only_named_has_no_price() -> None:
    """Free is one thing, and unknown is another."""
    named = BOOK.find("vertex", "gemma-3")
    local = BOOK.find("ollama", "llama")
    assert named is not None
    assert not has_price(named, NOW)
    assert local is not None
    assert has_price(local, NOW)
    assert Ceiling(local, MOMENTS).most(Use(1000, 1000)) == 0

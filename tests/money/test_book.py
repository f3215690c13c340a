"""Price books: look-ups say how they matched, additions make another book, what is unknown stays unknown."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from liter.money import Price, PriceBook, completion_cost
from liter.types import CompletionTokensDetails, PromptTokensDetails, Usage

from .._script import load

ROOT = Path(__file__).parents[2]
THOUSAND = Usage(prompt_tokens=1000, completion_tokens=1000, total_tokens=2000)


def total(book: PriceBook, model: str, usage: Usage = THOUSAND, **options: object) -> Decimal | None:
    """The total of a price, by ``provider/model``."""
    provider, _, name = model.partition("/")
    cost = book.price(provider, name, usage, **options)
    return None if cost is None else cost.total


@pytest.mark.parametrize(
    ("provider", "model", "row", "how"),
    [
        ("openai", "gpt-4o", "gpt-4o", "exact"),
        ("openai", "GPT-4o", "gpt-4o", "exact"),
        ("openai", "gpt-4o-2024-08-06", "gpt-4o", "alias"),
        ("openai", "gpt-4o-20240806", "gpt-4o", "alias"),
        ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5", "pattern"),
        ("azure", "gpt-4.1", "gpt-4.1", "exact"),
        ("vertex", "claude-sonnet-4-5", "claude-sonnet-4-5", "exact"),
        ("codestral", "mistral-ocr-2505", "mistral-ocr-2505", "exact"),
        ("openrouter", "anthropic/claude-sonnet-4.5", "anthropic/claude-sonnet-4.5", "exact"),
    ],
)
def test_a_look_up_says_how_it_matched(provider: str, model: str, row: str, how: str) -> None:
    """By the very name, by another that is listed for the model, or by a pattern."""
    found = PriceBook.default().find(provider, model)
    assert found is not None
    assert (found.row.id, found.match) == (row, how)


@pytest.mark.parametrize(
    "model",
    ["openai/gpt-4o-of-mine", "openai/gpt", "openai/", "nobody/gpt-4o", "openai/openai/gpt-4o", "groq/gpt-4o", "/"],
)
def test_nothing_is_cut_until_it_fits(model: str) -> None:
    """A name that no row is for has no price, however much of it looks like another."""
    assert total(PriceBook.default(), model) is None


def test_what_is_reported_is_a_price_for_an_unknown_model() -> None:
    """The provider's own price needs no row."""
    cost = PriceBook.default().price("openrouter", "new/model", Usage(reported_cost=Decimal("0.25")))
    assert cost is not None
    assert (cost.total, cost.source, cost.computed, cost.match) == (Decimal("0.25"), "provider", None, None)


def test_both_figures_are_kept_and_the_providers_wins() -> None:
    """The computed price stands beside the reported one, which is the total."""
    usage = Usage(prompt_tokens=1000, completion_tokens=1000, reported_cost=Decimal("0.02"))
    cost = PriceBook.default().price("openai", "gpt-4o", usage)
    assert cost is not None
    assert (cost.total, cost.source, cost.reported) == (Decimal("0.02"), "provider", Decimal("0.02"))
    assert cost.computed == Decimal("0.0125") == sum(cost.classes.values())


def test_zero_is_a_price_and_a_count() -> None:
    """A usage of zero tokens costs zero, and a reported cost of zero is one."""
    assert total(PriceBook.default(), "openai/gpt-4o", Usage()) == 0
    assert total(PriceBook.default(), "openai/gpt-4o", Usage(prompt_tokens=9, reported_cost=Decimal(0))) == 0


def test_what_has_no_price_is_named() -> None:
    """A quantity without a rate makes the total a lower bound, and says so."""
    usage = Usage(prompt_tokens=1000, server_tool_use={"web_search_requests": 2, "mcp_requests": 1, "none": 0})
    cost = PriceBook().with_({"a/b": Price(input=1)}).price("a", "b", usage)
    assert cost is not None
    assert (cost.total, cost.unpriced, cost.complete) == (Decimal("0.001"), ("web_searches", "mcp_requests"), False)


def test_an_unknown_total_is_named() -> None:
    """Where the provider did not tell the prompt, what is told has a price, and the rest is named."""
    cost = PriceBook.default().price("openai", "gpt-4o", Usage(completion_tokens=1000, unreported=("prompt_tokens",)))
    assert cost is not None
    assert (cost.total, cost.unpriced) == (Decimal("0.01"), ("prompt_tokens",))


def test_work_that_is_counted_twice_is_billed_once() -> None:
    """Seconds beside tokens cost nothing where tokens are billed, nor tokens beside seconds."""
    usage = Usage(prompt_tokens=1000, completion_tokens=1000, audio_seconds=Decimal(3600))
    by_token = PriceBook().with_({"a/b": Price(input=1, output=1)}).price("a", "b", usage)
    by_hour = PriceBook().with_({"a/b": Price(audio="0.3")}).price("a", "b", usage)
    assert by_token is not None
    assert by_hour is not None
    assert (by_token.total, by_token.unpriced) == (Decimal("0.002"), ())
    assert (by_hour.total, by_hour.unpriced) == (Decimal("0.3"), ())
    neither = PriceBook().with_({"a/b": Price(images=1)}).price("a", "b", usage)
    assert neither is not None
    assert neither.unpriced == ("text_input", "text_output", "audio")


def test_terms_without_a_price_are_told() -> None:
    """A tier that the book does not know is priced as standard, and says so."""
    usage = Usage(prompt_tokens=1000, completion_tokens=1000, service_tier="scale")
    cost = PriceBook.default().price("openai", "gpt-4o", usage)
    assert cost is not None
    assert cost.total == Decimal("0.0125")
    assert cost.assumed == ("service_tier 'scale' at the standard price",)


def test_a_book_is_not_changed_by_another() -> None:
    """Prices are added to a new book, with a version of its own; the old one stays."""
    base = PriceBook.default()
    before = total(base, "openai/gpt-4o")
    mine = base.with_({"openai/gpt-4o": Price(input=1, output=2), "acme/x": Price(input=0.1, output=0)})
    assert (total(mine, "openai/gpt-4o"), total(mine, "acme/x")) == (Decimal("0.003"), Decimal("0.0001"))
    assert (total(base, "openai/gpt-4o"), total(base, "acme/x")) == (before, None)
    assert mine.version.startswith(f"{base.version}+")
    assert base.with_({"openai/gpt-4o": Price(input=1, output=2)}).version != mine.version
    assert base.with_({}, version="named").version == "named"


@pytest.mark.parametrize("name", ["google", "gemini"])
def test_a_provider_may_go_by_another_name(name: str) -> None:
    """Prices are found under the name that calls have, whichever was written; those of a provider of one's own, too."""
    book = PriceBook.default().with_({f"{name}/gemini-2.5-flash": Price(input=1)})
    for asked in (name, "gemini"):
        cost = book.price(asked, "gemini-2.5-flash", Usage(prompt_tokens=1_000_000))
        assert cost is not None
        assert cost.total == 1
    for model in ("vertex_ai/gemini-2.5-flash", "vertex/gemini-2.5-flash"):
        assert completion_cost(model=model, usage=Usage(prompt_tokens=1)) is not None


@pytest.mark.parametrize(
    ("prices", "told"),
    [
        ({"gpt-4o": Price(input=1)}, 'by "provider/model", as "openai/gpt-4o", not \'gpt-4o\''),
        ({3: Price(input=1)}, 'by "provider/model", as "openai/gpt-4o", not 3'),
        ({"openai/x": 2.5}, r"openai/x: a price is a Price\(...\), or a list of them, not 2.5"),
        ({"openai/x": {"input": 2.5}}, r"openai/x: a price is a Price\(...\), or a list of them, not \{"),
        ({"openai/x": []}, "a price without when= is needed"),
        ("prices.toml", "prices must be a PriceBook, or prices by"),
    ],
)
def test_what_is_no_price_is_told(prices: object, told: str) -> None:
    """With its name, and what would be right."""
    with pytest.raises(ValueError, match=told):
        PriceBook.default().with_(prices)


def test_the_last_addition_counts() -> None:
    """Of two prices for a model, the one added later is used; others stay."""
    book = PriceBook().with_({"a/x": Price(input=1), "a/y": Price(input=1)}).with_({"a/x": Price(input=2)})
    million = Usage(prompt_tokens=1_000_000)
    assert (total(book, "a/x", million), total(book, "a/y", million)) == (2, 1)


TOML = """
version = "acme-7"

[prices."acme/small"]
input = 0.1
output = 0.4
match = ["=small", "^small-"]
above = { 200_000 = { input = 0.2 } }

[[prices."acme/large"]]
input = 3

[[prices."acme/large"]]
since = 2026-09-01
input = 2

[[prices."acme/large"]]
when = { service_tier = "flex" }
input = 1
"""


def test_prices_from_a_file(tmp_path: Path) -> None:
    """TOML and JSON say the same, and no amount passes through a binary float."""
    toml, as_json = tmp_path / "prices.toml", tmp_path / "prices.json"
    toml.write_text(TOML, encoding="utf-8")
    large = [{"input": 3}, {"since": "2026-09-01", "input": 2}, {"when": {"service_tier": "flex"}, "input": 1}]
    small = {"input": 0.1, "output": 0.4, "match": ["=small", "^small-"], "above": {"200000": {"input": 0.2}}}
    as_json.write_text(json.dumps({"version": "acme-7", "prices": {"acme/small": small, "acme/large": large}}))
    for path in (toml, as_json):
        book = PriceBook.from_file(path)
        million = Usage(prompt_tokens=1_000_000)
        assert book.version == "acme-7"
        assert total(book, "acme/small-2", Usage(prompt_tokens=3)) == Decimal("3e-7")
        assert total(book, "acme/small", million) == Decimal("0.2")
        assert total(book, "acme/large", million, when=datetime(2026, 8, 31, tzinfo=UTC)) == 3
        assert total(book, "acme/large", million, when=datetime(2026, 9, 1, tzinfo=UTC)) == 2
        assert total(book, "acme/large", million, terms={"service_tier": "flex"}) == 1
        both = PriceBook.default().with_(book)
        assert total(both, "acme/large", million, when=datetime(2026, 9, 1, tzinfo=UTC)) == 2
        assert total(both, "openai/gpt-4o") == Decimal("0.0125")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[prices."acme/x"]\ninptu = 1', "no field 'inptu'"),
        ('[prices."acme/x"]\ninput = -1', "input must be an amount"),
        ('[prices."acme/x"]\ninput = "much"', "input must be an amount"),
        ("[prices.acme]\ninput = 1", "provider/model"),
        ('[prices]\n"acme/x" = 3', "must be a table"),
        ('price = "1"', "price"),
        ("prices = ", "Invalid value"),
        ('[prices."a/b"]\nabove = { 5 = { input = 1 } }', "above has a price for input"),
        ('[prices."a/b"]\nwhen = { speed = "fast" }\ninput = 1', "without when="),
        ('[prices."a/b"]\ninput = 1\nhours = ["25:00", "26:00"]', "hours must be"),
        ('[prices."a/b"]\ninput = 1\ndays = ["monday"]', "days must be of mon"),
        ('[prices."a/b"]\ninput = 1\nmatch = ["b*"]', "no pattern"),
    ],
)
def test_a_mistake_in_a_file_is_told(tmp_path: Path, text: str, told: str) -> None:
    """The file and the place are named, and what would be right."""
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"mine\.toml: ") as raised:
        PriceBook.from_file(path)
    assert told in str(raised.value)


def test_hours_and_days() -> None:
    """Hours may go over midnight, and days of the week narrow them down."""
    book = PriceBook().with_(
        {
            "a/b": [
                Price(input=10),
                Price(input=5, hours=("16:30", "00:30")),
                Price(input=1, hours=[("01:00", "02:00"), ("03:00", "04:00")], days=("mon",)),
            ]
        }
    )
    million, monday = Usage(prompt_tokens=1_000_000), datetime(2026, 11, 23, tzinfo=UTC)
    at = {"00:00": 5, "00:29": 5, "00:30": 10, "01:00": 1, "02:00": 10, "03:59": 1, "16:29": 10, "16:30": 5}
    for clock, amount in at.items():
        hour, minute = map(int, clock.split(":"))
        assert total(book, "a/b", million, when=monday.replace(hour=hour, minute=minute)) == amount, clock
    assert total(book, "a/b", million, when=monday + timedelta(days=1, hours=1)) == 10
    # A time of another zone is the same moment.
    assert total(book, "a/b", million, when=datetime.fromisoformat("2026-11-23T02:15:00+01:00")) == 1


def test_a_price_that_has_ended_is_no_price() -> None:
    """Before its first day and from its last on, nothing is known."""
    book = PriceBook().with_({"a/b": Price(input=1, since=date(2026, 1, 1), until=date(2026, 2, 1))})
    days = {"2025-12-31": None, "2026-01-01": 1, "2026-01-31": 1, "2026-02-01": None}
    for day, amount in days.items():
        when = datetime.fromisoformat(day)
        assert total(book, "a/b", Usage(prompt_tokens=1_000_000), when=when) == amount


@given(st.integers(0, 2000))
def test_steps_of_size(count: int) -> None:
    """A step moves the whole request, a marginal one only what is above; a bound is below unless inclusive."""
    whole = {100: Price(input=2, output=3), 1000: Price(input=4)}
    usage = Usage(prompt_tokens=count, completion_tokens=10)

    def micro(**options: object) -> Decimal | None:
        book = PriceBook().with_({"a/b": Price(input=1, output=1, above=whole, **options)})
        amount = total(book, "a/b", usage)
        return None if amount is None else amount.scaleb(6)

    rate = 4 if count > 1000 else 2 if count > 100 else 1
    assert micro() == count * rate + 10 * (3 if count > 100 else 1)
    rate = 4 if count >= 1000 else 2 if count >= 100 else 1
    assert micro(inclusive=True) == count * rate + 10 * (3 if count >= 100 else 1)
    below, between, above = min(count, 100), max(min(count, 1000) - 100, 0), max(count - 1000, 0)
    assert micro(marginal=True) == below + 2 * between + 4 * above + 10


def test_a_price_is_what_it_says() -> None:
    """Amounts are decimals, so that 0.15 and "0.15" are the same price; what is no amount is refused by name."""
    assert Price(input=0.15) == Price(input="0.15")
    for wrong in (-1, "a dime", float("inf"), Decimal("nan"), True):
        with pytest.raises(ValueError, match="output must be an amount of US dollars, 0 or more"):
            Price(input=0, output=wrong)


CACHED = Usage(prompt_tokens=100, prompt_tokens_details=PromptTokensDetails(cached_tokens=101))
THOUGHT = Usage(completion_tokens=100, completion_tokens_details=CompletionTokensDetails(reasoning_tokens=101))


def test_a_contradiction_has_no_price() -> None:
    """A usage whose parts exceed the whole is refused, not priced, unless the provider tells its price."""
    for usage in (CACHED, Usage(prompt_tokens=5, completion_tokens=-1)):
        with pytest.raises(ValueError, match="contradicts itself"):
            total(PriceBook.default(), "openai/gpt-4o", usage)
    assert total(PriceBook.default(), "openai/gpt-4o", replace(CACHED, reported_cost=Decimal(3))) == 3


def test_a_contradiction_that_changes_no_price_is_told() -> None:
    """Reasoning that is more than the completion, at the same price, is priced by the completion."""
    cost = PriceBook.default().price("openai", "gpt-5", THOUGHT)
    assert cost is not None
    assert (cost.total, cost.classes) == (Decimal("0.001"), {"text_output": Decimal("0.001")})
    assert cost.assumed == ("the parts that are told contradict the total, which was priced (text_output)",)
    apart = PriceBook().with_({"a/b": Price(output=1, reasoning=2)})
    with pytest.raises(ValueError, match="contradicts itself"):
        total(apart, "a/b", THOUGHT)


def test_live_prices_are_those_of_the_installed_package() -> None:
    """The live book has the package's prices, and ours for what it does not have."""
    live = PriceBook.live()
    assert version("genai-prices") in live.version
    assert total(live, "openai/gpt-4o") == Decimal("0.0125")
    assert total(live, "openai/dall-e-3", Usage(images=1)) == Decimal("0.04")
    assert total(live, "cohere/rerank-v3.5", Usage(search_units=1)) == Decimal("0.002")
    assert total(live, "vertex/gemini-2.5-pro") == total(PriceBook.default(), "vertex/gemini-2.5-pro")
    assert total(live, "ollama/x") == 0


def test_the_snapshot_is_what_the_script_builds() -> None:
    """The file in the package is what the script makes of the same sources, for the day that it names."""
    script = load("scripts/build_prices.py")
    book = PriceBook.default()
    if f"genai-prices {version('genai-prices')}," not in book.source:
        pytest.skip(f"the snapshot is of another release: {book.source}")
    assert (ROOT / "liter/money/prices.json").read_bytes() == script.snapshot(book.version)


def test_names_that_nobody_knows_do_not_pile_up() -> None:
    """Models are named by callers and replies: what a book remembers of them is bounded, and still right."""
    book = PriceBook.default().with_({"a/b": Price(input=1)})
    for number in range(10_000):
        assert book.find("openai", f"gpt-{number}-unknown") is None
    assert len(book._found) <= 4096
    assert total(book, "a/b", Usage(prompt_tokens=1_000_000)) == 1


def test_prices_are_not_read_at_import() -> None:
    """Importing and making a client read no prices; the first price reads them, and of one provider only."""
    program = (
        "import liter\n"
        "from liter.money import _book\n"
        "client = liter.LlmClient(api_key='sk')\n"
        "assert _book._default.cache_info().currsize == 0\n"
        "assert client.price(model='gpt-4o', usage=liter.Usage()).total == 0\n"
        "assert _book._default.cache_info().currsize == 1\n"
        "assert list(client.prices._decoded) == ['openai']\n"
    )
    command = [sys.executable, "-W", "error", "-c", program]
    subprocess.run(command, check=True, cwd=ROOT, timeout=60)

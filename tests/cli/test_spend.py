"""``liter spend``: what a ledger comes to, as a table, CSV, JSON and a page."""

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter._cli import main
from liter._cli._plot import Mark, Series, heat_map, histogram, sparkline, stacked_bars
from liter._cli._spend import bar_of, compact, money
from liter._cli._spend_page import spend_page
from liter._cli._spend_sums import Calls, summed
from liter._cli._spend_time import Timeline
from liter.stores import LedgerRow, SqliteLedger

DAY = datetime(2026, 11, 1, tzinfo=UTC)


def row(cost: float | None = 1.0, *, hours: float = 0, call: str = "a", **fields: object) -> LedgerRow:
    """An attempt that cost so many dollars, so many hours after the first of November."""
    told = {
        "attempt": 1,
        "operation": "chat",
        "provider": "openai",
        "model": "gpt",
        "prompt_tokens": 1000,
        "completion_tokens": 10,
        "tokens": {"text_input": 1000, "text_output": 10},
        **fields,
    }
    picodollars = None if cost is None else round(cost * 10**12)
    return LedgerRow(time=(DAY + timedelta(hours=hours)).timestamp(), call=call, cost=picodollars, **told)


ROWS = [
    row(0.25, call="a", tags={"tenant": "acme"}),
    row(0.0, call="b", hours=1, outcome="RateLimitedError", status=429, tags={"tenant": "acme"}),
    row(0.5, call="b", attempt=2, hours=1, tags={"tenant": "acme"}),
    row(
        0.125,
        call="c",
        hours=30,
        model="mini",
        outcome="StreamingError",
        estimated=True,
        tags={"tenant": "ev<i>l & co"},
    ),
    row(None, call="d", hours=50, provider="custom", model="new"),
]


@pytest.fixture
def ledger(tmp_path: Path) -> Callable[..., str]:
    """Writes rows to a file, and returns its path."""

    def write(*rows: LedgerRow) -> str:
        async def append() -> None:
            store = SqliteLedger(tmp_path / "ledger.db")
            await store.append(rows)
            await store.aclose()

        anyio.run(append)
        return str(tmp_path / "ledger.db")

    return write


def test_a_table_with_bars(ledger: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    """The dearest first, with shares, and what the sums do not say."""
    assert main(["spend", ledger(*ROWS)]) == 0
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines() if "/" in line or "total" in line]
    assert [line[0] for line in lines] == ["openai/gpt", "openai/mini", "custom/new", "total"]
    assert lines[0][1:8] == ["3", "1", "3.00k", "30", "$0.75", "85.7", "%"]
    assert "$0.88" in lines[-1]
    assert "█" in shown or "#" in shown
    assert "$0.12 of it went into attempts that failed" in shown
    assert "cost of 1 attempts is not known" in shown
    assert "cost of 1 attempts is an estimate" in shown


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("provider", [("openai", "0.875"), ("custom", "0")]),
        ("tag:tenant", [("acme", "0.75"), ("ev<i>l & co", "0.125"), ("(none)", "0")]),
        ("day", [("2026-11-01", "0.75"), ("2026-11-02", "0.125"), ("2026-11-03", "0")]),
        ("outcome", [("ok", "0.75"), ("StreamingError", "0.125"), ("RateLimitedError", "0")]),
        ("operation", [("chat", "0.875")]),
    ],
)
def test_csv_and_json_have_amounts_in_full(
    ledger: Callable[..., str], by: str, expected: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """By whatever is asked for: the same in both."""
    path = ledger(*ROWS)
    assert main(["spend", path, "--by", by, "--csv"]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(line["name"], line["cost_usd"]) for line in table] == expected
    assert main(["spend", path, "--by", by, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(group["name"], group["cost_usd"]) for group in told["groups"]] == expected
    assert told["total"] == {
        "attempts": 5,
        "failed": 2,
        "prompt_tokens": 5000,
        "completion_tokens": 50,
        "cost_usd": "0.875",
        "failed_cost_usd": "0.125",
        "estimated": 1,
        "unknown": 1,
    }


@pytest.mark.parametrize(
    ("options", "attempts"),
    [
        (["--since", "2026-11-02"], 2),
        (["--until", "2026-11-02"], 3),
        (["--since", "2026-11-01T00:30", "--until", "2026-11-03"], 3),
        (["--since", "2026-11-02", "--time-zone", "Asia/Tokyo"], 2),
        (["--until", "2026-11-02", "--time-zone", "America/New_York"], 3),
        (["--since", "2026-11-02T07:00", "--time-zone", "America/New_York"], 1),
        (["--since", "2027-01-01"], 0),
    ],
)
def test_since_and_until(
    ledger: Callable[..., str], options: list[str], attempts: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Days and times are those of the time zone; the end is left out."""
    path = ledger(*ROWS)
    assert main(["spend", path, "--json", *options]) == 0
    assert json.loads(capsys.readouterr().out)["total"]["attempts"] == attempts
    assert main(["spend", path, *options]) == 0
    assert ("There is nothing in the ledger" in capsys.readouterr().out) is (attempts == 0)


def test_days_are_those_of_the_time_zone() -> None:
    """Half past eleven in the evening is tomorrow further east."""
    late = [row(hours=23.5)]
    assert [group.name for group in summed(late, "day", UTC)[1]] == ["2026-11-01"]
    assert [group.name for group in summed(late, "day", ZoneInfo("Europe/Berlin"))[1]] == ["2026-11-02"]


class Checked(HTMLParser):
    """Whether all that is opened is closed, and what it would load."""

    VOID = frozenset({"meta", "line", "br", "link", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(page: str) -> Checked:
    """Read a page; its numbers must all be numbers."""
    checked = Checked()
    checked.feed(page)
    assert checked.open == []
    drawn = "".join(re.findall(r"<svg.*?</svg>", page))
    assert not re.search(r"[\"' MLVhq-](nan|inf)", drawn)
    return checked


def test_the_page_is_one_file_that_loads_nothing(
    ledger: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Well-formed, without scripts or addresses, with names that cannot be taken for markup."""
    target = tmp_path / "spend.html"
    assert main(["spend", ledger(*ROWS), "--html", str(target), "--title", "Ours & theirs"]) == 0
    assert "is written" in capsys.readouterr().err
    page = target.read_text(encoding="utf-8")
    checked = parsed(page)
    assert checked.addresses == []
    assert "script" not in checked.seen
    assert not re.search(r"url\(|@import|https?://", page)
    assert "default-src 'none'" in page
    assert "ev<i>l" not in page
    for shown in ("Ours & theirs", "$0.88", "By tenant", "ev<i>l & co", "openai/mini", "StreamingError", "median"):
        assert shown in checked.text
    assert checked.seen.count("svg") == 4
    assert "prefers-color-scheme: dark" in page


@pytest.mark.parametrize("rows", [[], [row(0.0)], [row(None)], [row(1e-12)], [row(5000.0, tokens={})]])
def test_the_page_of_little(rows: list[LedgerRow]) -> None:
    """Nothing, one attempt, one that cost nothing, the smallest amount there is."""
    parsed(spend_page(rows, zone=UTC, title="Spend"))


@given(
    st.lists(
        st.builds(
            row,
            st.none() | st.floats(0, 10**6),
            hours=st.floats(0, 24 * 4000),
            call=st.sampled_from("abc"),
            model=st.text(max_size=5),
            outcome=st.sampled_from(["ok", "cancelled", "X<y>"]),
            tags=st.dictionaries(st.sampled_from(["a", "b&"]), st.text(max_size=3), max_size=2),
        ),
        max_size=30,
    )
)
def test_the_page_of_anything(rows: list[LedgerRow]) -> None:
    """Whatever is in a ledger, the page is well-formed."""
    parsed(spend_page(sorted(rows, key=lambda each: each.time), zone=UTC, title="Spend"))


def test_time_widens_and_loses_nothing() -> None:
    """Minutes become weeks as the ledger grows, and the sum stays."""
    timeline = Timeline(UTC)
    for number in range(5000):
        timeline.add(DAY.timestamp() + 3600 * number, "m", 1)
    bars = timeline.bars()
    assert 20 <= len(bars) <= 62
    assert sum(costs.get("m", 0) for _, costs in bars) == 5000
    assert timeline.width_in_words == "week"
    assert all(begins.weekday() == 0 for begins, _ in bars)


def test_calls_are_the_sums_of_their_attempts() -> None:
    """Also where attempts of several calls come in between."""
    calls = Calls()
    for number in range(1000):
        calls.add(row(1, hours=number, call=f"{number}"))
        calls.add(row(2, hours=number + 0.01, call=f"{number}", attempt=2))
    calls.end()
    assert calls.number == 1000
    assert calls.costs == [3 * 10**12] * 1000
    assert calls.quantile(0.5) == 3 * 10**12
    many = Calls()
    for number in range(50_000):
        many.add(row(number + 1, hours=2 * number, call=f"{number}"))
    many.end()
    assert many.number == 50_000
    assert len(many.costs) <= 20_000
    assert many.quantile(0.5) == pytest.approx(25_000 * 10**12, rel=0.05)


def test_plots_of_nothing() -> None:
    """An axis, and no error."""
    for plot in (
        stacked_bars([], [], [], unit=str),
        stacked_bars([""], ["a"], [Series("a", "s0", [0.0])], unit=str),
        histogram([1, 10], [0], [Mark("median", 5)], unit=str),
        heat_map(["a"], ["b"], [[0.0]], unit=str),
        sparkline([]),
    ):
        parsed(plot)


def test_what_is_not_known_is_not_nothing(ledger: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    """A cost that is unknown is never written as 0, in the table and on the page."""
    path = ledger(row(0.25, model="mini"), row(None, model="mini"), row(None, model="new"), row(0.0, model="free"))
    assert main(["spend", path, "--html", f"{path}.html"]) == 0
    capsys.readouterr()
    assert main(["spend", path]) == 0
    told = capsys.readouterr().out
    page = Path(f"{path}.html").read_text()
    for name, cost in (("openai/mini", "$0.25 + ?"), ("openai/new", "unknown"), ("openai/free", "$0")):
        assert re.search(rf"{name} .* {re.escape(cost)}( |$)", told, re.MULTILINE)
        assert re.search(rf"{name}</span><span class=\"amount\">{re.escape(cost)}<", page)


def test_labels_that_would_lie_over_each_other() -> None:
    """They are moved apart, and none goes beyond the end of the plot."""
    marks = [Mark("median", 9.0), Mark("p95", 9.5), Mark("p99", 9.9)]
    plot = histogram([1, 10], [5], marks, unit=lambda value: f"${value:.4f}")
    labels = re.findall(r'<text class="strong" x="([\d.]+)"[^>]*>(\w+ \$[\d.]+)</text>', plot)
    places = [(float(x), float(x) + 7 * len(label)) for x, label in labels if label.startswith(("median", "p9"))]
    assert len(places) == 3
    assert all(left[1] <= right[0] for left, right in pairwise(places))
    assert places[-1][1] <= 960


def test_amounts_and_counts_are_short_and_true() -> None:
    """No amount that is above 0 is written as 0."""
    assert [money(Decimal(text)) for text in ("0", "1234.567", "0.996", "0.5", "0.042", "0.00042", "1e-12")] == [
        *("$0", "$1,234.57", "$1.00", "$0.50", "$0.042", "$0.00042", "$0.0000000000010"),
    ]
    assert [compact(count) for count in (0, 999, 1234, 12_345, 4_560_000, 7 * 10**10)] == [
        *("0", "999", "1.23k", "12.3k", "4.56M", "70.0G"),
    ]
    assert [bar_of(part, 4, unicode=True) for part in (0, 0.03, 0.5, 1)] == ["", "▏", "██", "████"]
    assert bar_of(0.5, 4, unicode=False) == "##"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--by", "colour"], "'colour' is none of model"),
        (["--since", "yesterday"], "'yesterday' is not a date"),
        (["--time-zone", "Mars/Base"], "'Mars/Base' is not a time zone"),
        (["--csv", "--json"], "not allowed with"),
    ],
)
def test_mistakes(options: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong argument ends with 2, and standard error says which one and why."""
    assert main(["spend", "ledger.db", *options]) == 2
    assert told in capsys.readouterr().err


def test_what_cannot_be_read_or_written(
    ledger: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends with 1, and says what."""
    assert main(["spend", str(tmp_path / "none.db")]) == 1
    assert "there is no file" in capsys.readouterr().err
    assert main(["spend", str(tmp_path / "none.db"), "--html", str(tmp_path / "a.html")]) == 1
    assert main(["spend", ledger(*ROWS), "--html", str(tmp_path / "none" / "a.html")]) == 1
    assert "a.html" in capsys.readouterr().err

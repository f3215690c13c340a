"""What the demonstration is written with."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter import Attempt
from liter._cli._terminal import Column, Flow, PlainTerminal, Span, Terminal, open_terminal, text_of
from liter._cli._terminal_rich import RichTerminal
from liter._cli._timeline import attempt_columns, attempt_rows, level_line


class Screen(io.StringIO):
    """Says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture(params=[PlainTerminal, RichTerminal])
def terminal(request: pytest.FixtureRequest) -> tuple[Terminal, io.StringIO]:
    """Each kind of terminal, 40 columns wide, and what it writes to."""
    shown = io.StringIO()
    return request.param(shown, 40), shown


def test_choice() -> None:
    """A screen gets rich, anything else plain text; so does a screen if plain text is asked for."""
    assert isinstance(open_terminal(Screen()), RichTerminal)
    assert isinstance(open_terminal(Screen(), plain=True), PlainTerminal)
    assert isinstance(open_terminal(io.StringIO()), PlainTerminal)


def test_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours are for screens, and not where NO_COLOR is set."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured, bare = Screen(), Screen()
    RichTerminal(coloured, 40).say([Span("fine", "good")])
    monkeypatch.setenv("NO_COLOR", "1")
    RichTerminal(bare, 40).say([Span("fine", "good")])
    assert "\x1b[32mfine" in coloured.getvalue()
    assert "\x1b[32m" not in bare.getvalue()


def test_paragraph(terminal: tuple[Terminal, io.StringIO]) -> None:
    """A paragraph is indented and wrapped to the width; what looks like markup is not touched."""
    writer, shown = terminal
    writer.say("one two three four five six [red] seven eight nine")
    assert shown.getvalue().splitlines() == ["  one two three four five six [red]", "  seven eight nine"]


def test_flow(terminal: tuple[Terminal, io.StringIO]) -> None:
    """Text in pieces goes on in one line, wraps before a word, and ends before what comes next."""
    writer, shown = terminal
    for piece in ("Twenty", " letters", " and", " twenty", " more", " make", " forty"):
        writer.flow(piece)
    writer.say("next")
    assert shown.getvalue().splitlines() == ["  Twenty letters and twenty more make", "  forty", "  next"]


def test_table(terminal: tuple[Terminal, io.StringIO]) -> None:
    """A table's columns are aligned as asked for."""
    writer, shown = terminal
    writer.table([Column("name"), Column("count", right=True)], [["a", "1"], [[Span("long", "dim")], "1000"]])
    blank, head, rule, first, second, *_ = shown.getvalue().splitlines()
    assert blank.strip() == ""
    assert head.split() == ["name", "count"]
    assert set(rule.replace(" ", "")) <= set("-─")
    assert first.rstrip().endswith("    1")
    assert len(first.rstrip()) == len(second.rstrip()) == len(head.rstrip())


def test_headless_table(terminal: tuple[Terminal, io.StringIO]) -> None:
    """A table without titles has no head."""
    writer, shown = terminal
    writer.table([Column(""), Column("")], [["a", "b"]])
    assert shown.getvalue().split() == ["a", "b"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_encoding(encoding: str) -> None:
    """Nothing is written that the stream cannot encode."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    writer = PlainTerminal(stream, 40)
    writer.rule("Title")
    writer.table([Column("a")], [[level_line([1, 2], unicode=writer.unicode)]])
    stream.flush()
    assert ("─" in raw.getvalue().decode(encoding)) is (encoding == "utf-8")


@given(st.lists(st.text("abcé", min_size=1, max_size=8), max_size=30), st.integers(12, 40))
def test_flow_keeps_text(words: list[str], width: int) -> None:
    """Wrapped text is the same words, and no line is longer than the width."""
    flow = Flow(width)
    shown = "".join(flow.add(f" {word}" if index else word) for index, word in enumerate(words))
    assert shown.split() == words
    assert all(len(line) <= width for line in shown.splitlines())


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=5),
    st.integers(5, 40),
    st.booleans(),
)
def test_timeline(times: list[tuple[float, float]], width: int, unicode: bool) -> None:
    """Each attempt has a bar, however short it was, and no bar goes beyond the width."""
    attempts: list[Attempt] = []
    now = 7.0
    for number, (waited, seconds) in enumerate(times, 1):
        now += waited
        attempts.append(
            Attempt(number=number, provider="p", model="m", started=now, waited=waited, seconds=seconds, outcome="ok")
        )
        now += seconds
    rows = attempt_rows(attempts, width, unicode=unicode)
    assert len(rows) == len(attempts)
    assert all(len(row) == len(attempt_columns(attempts)) for row in rows)
    bars = [text_of(row[-1]) for row in rows]
    assert all(bar.rstrip("█#") != bar and len(bar) <= width for bar in bars)


def test_levels() -> None:
    """The largest number has the tallest bar, nothing has none, and what is more than nothing shows."""
    assert level_line([0, 1, 100], unicode=True) == " ▁█"
    assert level_line([0, 1, 100], unicode=False) == "019"
    assert level_line([0, 0], unicode=True) == "  "
    assert level_line([], unicode=True) == ""

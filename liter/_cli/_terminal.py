"""What the demonstration is written with: rules, paragraphs, tables, and text as it arrives.

Plain text needs nothing; with rich (the extra ``cli``) the same comes with colours and drawn tables.
"""

import io
import os
import shutil
import textwrap
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, TextIO

Style = Literal["", "dim", "bold", "good", "bad", "accent"]

# Beyond this, lines are hard to read, and below it tables do not fit.
WIDEST, NARROWEST = 100, 60

INDENT = 2


class Span(NamedTuple):
    """A piece of text in one style."""

    text: str
    style: Style = ""


Line = str | Sequence[Span]


class Column(NamedTuple):
    """A column of a table."""

    title: str
    right: bool = False


class Terminal(Protocol):
    """Where a demonstration is written."""

    width: int
    unicode: bool

    def rule(self, title: str) -> None:
        """Begin a part, under a title."""
        ...

    def say(self, line: Line = "") -> None:
        """Write a paragraph, wrapped to the width."""
        ...

    def code(self, source: str) -> None:
        """Write lines as they are, between blank lines."""
        ...

    def flow(self, text: str) -> None:
        """Write text at once and go on in the same line; wrapped before a word that would not fit."""
        ...

    def end_flow(self) -> None:
        """End the line that ``flow`` writes to, if there is one."""
        ...

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Line]]) -> None:
        """Write a table between blank lines; without a head, where no column has a title."""
        ...


def open_terminal(stream: TextIO, *, plain: bool = False) -> Terminal:
    """Make the best terminal there is: by rich, if the stream is a terminal and rich is installed."""
    if stream.isatty() and not plain:
        try:
            from ._terminal_rich import RichTerminal
        except ModuleNotFoundError:
            pass
        else:
            return RichTerminal(stream, _width())
    return PlainTerminal(stream, _width())


def text_of(line: Line) -> str:
    """Return a line's text without its styles."""
    return line if isinstance(line, str) else "".join(span.text for span in line)


def colourful(stream: TextIO) -> bool:
    """Whether to write escape sequences to a stream: it is a terminal, and ``NO_COLOR`` is not set (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def encodes_bars(stream: TextIO) -> bool:
    """Whether a stream's encoding has the characters that bars are drawn with."""
    try:
        "█░▁─".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


class Flow:
    """Wraps text that comes in pieces, by the column that the line has come to."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._column = 0

    @property
    def begun(self) -> bool:
        return self._column > 0

    def add(self, text: str) -> str:
        """Return what to write for the next piece."""
        if self._column == 0:
            text = " " * INDENT + text.lstrip()
        elif self._column + len(text.rstrip()) > self._width:
            self._column = 0
            text = "\n" + " " * INDENT + text.lstrip()
        self._column += len(text.lstrip("\n"))
        return text

    def end(self) -> str:
        ending = "\n" if self.begun else ""
        self._column = 0
        return ending


class PlainTerminal:
    """Text and nothing else, for files, pipes and where rich is not installed."""

    def __init__(self, stream: TextIO, width: int) -> None:
        self.width = width
        self.unicode = encodes_bars(stream)
        self._stream = stream
        self._flow = Flow(width)

    def rule(self, title: str) -> None:
        dash = "─" if self.unicode else "-"
        self._print(f"\n{dash * 2} {title} ".ljust(self.width, dash))

    def say(self, line: Line = "") -> None:
        self.end_flow()
        blank = " " * INDENT
        self._print(textwrap.fill(text_of(line), self.width, initial_indent=blank, subsequent_indent=blank))

    def code(self, source: str) -> None:
        self._print("\n" + textwrap.indent(source, " " * INDENT) + "\n")

    def flow(self, text: str) -> None:
        self._stream.write(self._flow.add(text))
        self._stream.flush()

    def end_flow(self) -> None:
        self._stream.write(self._flow.end())

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Line]]) -> None:
        cells = [[text_of(cell) for cell in row] for row in rows]
        titles = [column.title for column in columns]
        widths = [max(len(row[index]) for row in (titles, *cells)) for index in range(len(columns))]
        if any(titles):
            dash = "─" if self.unicode else "-"
            cells = [titles, [dash * width for width in widths], *cells]
        self._print("")
        for row in cells:
            padded = (
                cell.rjust(width) if column.right else cell.ljust(width)
                for cell, width, column in zip(row, widths, columns, strict=True)
            )
            self._print(" " * INDENT + "  ".join(padded).rstrip())
        self._print("")

    def _print(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


def _width() -> int:
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size((80, 24)).columns))


def make_printable(stream: TextIO) -> None:
    """Let a stream put a question mark for what its encoding lacks, in place of failing."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")

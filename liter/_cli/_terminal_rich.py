"""The terminal that rich draws."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from ._terminal import INDENT, Column, Flow, Line, Style, encodes_bars

# By the terminal's own palette, so that it is right on light and dark grounds.
_STYLES: Mapping[Style, str] = {"dim": "dim", "bold": "bold", "good": "green", "bad": "red", "accent": "cyan"}


class RichTerminal:
    """Colours where the stream is a terminal and ``NO_COLOR`` is not set, which rich looks after."""

    def __init__(self, stream: TextIO, width: int) -> None:
        self.width = width
        self.unicode = encodes_bars(stream)
        self._console = Console(file=stream, width=width, highlight=False, emoji=False, markup=False)
        self._flow = Flow(width)

    def rule(self, title: str) -> None:
        self._console.print()
        self._console.print(Rule(Text(f"{title}", "bold"), align="left", style="dim"))

    def say(self, line: Line = "") -> None:
        self.end_flow()
        self._lines(_text(line).wrap(self._console, self.width - INDENT), INDENT)

    def code(self, source: str) -> None:
        self._console.print()
        self._lines(Text(source).split(allow_blank=True), INDENT)
        self._console.print()

    def flow(self, text: str) -> None:
        self._console.print(Text(self._flow.add(text), "cyan"), end="", soft_wrap=True)

    def end_flow(self) -> None:
        self._console.print(self._flow.end(), end="")

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Line]]) -> None:
        table = Table(
            box=SIMPLE_HEAD,
            show_header=any(column.title for column in columns),
            header_style="dim",
            border_style="dim",
            pad_edge=False,
            show_edge=False,
        )
        for column in columns:
            table.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
        for row in rows:
            table.add_row(*map(_text, row))
        self._console.print(Padding(table, (1, 0, 1, INDENT), expand=False))

    def _lines(self, lines: Iterable[Text], indent: int) -> None:
        for line in lines:
            line.rstrip()
            self._console.print(Text(" " * indent), line, sep="", soft_wrap=True)


def _text(line: Line) -> Text:
    if isinstance(line, str):
        return Text(line)
    text = Text()
    for span in line:
        text.append(span.text, _STYLES.get(span.style, ""))
    return text

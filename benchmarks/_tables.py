"""Tables: aligned Markdown, or rich's where rich is installed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A title, the names of the columns, the rows, and notes below. The first column is text, the others numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """Write it as Markdown that reads well as plain text, too."""
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]

        def line(cells: tuple[str, ...]) -> str:
            first, *others = [(cell, width) for cell, width in zip(cells, widths, strict=True)]
            return " | ".join(["| " + first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]) + " |"

        rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
        body = [f"**{self.title}**", "", line(self.columns), rule, *map(line, self.rows)]
        return "\n".join([*body, *([""] if self.notes else []), *(f"- {note}" for note in self.notes)])


def show(tables: list[Table]) -> None:
    """Print tables to the terminal."""
    try:
        from rich import box, console
        from rich.table import Table as RichTable
    except ImportError:
        print("\n\n".join(table.markdown() for table in tables))
        return
    terminal = console.Console(width=None if console.Console().is_terminal else 120, highlight=False)
    for table in tables:
        drawn = RichTable(title=table.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        for i, column in enumerate(table.columns):
            drawn.add_column(column, justify="right" if i else "left", no_wrap=not i)
        for row in table.rows:
            drawn.add_row(*row, style="bold" if row[0] == "liter" else None)
        terminal.print(drawn)
        for note in table.notes:
            terminal.print(f"  {note}", markup=False)
        if table.notes:
            terminal.print()

"""Time drawn as bars: a call's attempts and the waits before them, and a number that changes."""

from collections.abc import Sequence

from .._contract import Attempt
from ._terminal import Column, Line, Span, Style

_BARS, _DIGITS = " ▁▂▃▄▅▆▇█", "0123456789"


def attempt_columns(attempts: Sequence[Attempt]) -> list[Column]:
    """The columns of a table of attempts; the last one is the time line, titled with its length."""
    return [
        Column("attempt", right=True),
        Column("waited", right=True),
        Column("took", right=True),
        Column("status", right=True),
        Column("outcome"),
        Column(f"0 to {_end(attempts) - _begin(attempts):.2f} s"),
    ]


def attempt_rows(attempts: Sequence[Attempt], width: int, *, unicode: bool) -> list[Sequence[Line]]:
    """The rows of that table, with time lines of at most ``width`` characters."""
    wait_bar, work_bar = ("░", "█") if unicode else (".", "#")
    begin = _begin(attempts)
    scale = width / max(_end(attempts) - begin, 1e-9)
    rows: list[Sequence[Line]] = []
    for attempt in attempts:
        style: Style = "good" if attempt.outcome == "ok" else "bad"
        seconds = attempt.seconds or 0.0
        worked_from = min(round((attempt.started - begin) * scale), width - 1)
        worked_to = max(worked_from + 1, round((attempt.started + seconds - begin) * scale))
        waited_from = min(worked_from, round((attempt.started - attempt.waited - begin) * scale))
        bars = [
            Span(" " * waited_from),
            Span(wait_bar * (worked_from - waited_from), "dim"),
            Span(work_bar * (worked_to - worked_from), style),
        ]
        rows.append(
            [
                str(attempt.number),
                f"{attempt.waited:.2f} s" if attempt.waited else "",
                f"{seconds:.2f} s",
                str(attempt.status or ""),
                [Span(attempt.outcome, style)],
                bars,
            ]
        )
    return rows


def level_line(levels: Sequence[int], *, unicode: bool) -> str:
    """Draw a number over time: a bar for each of ``levels``, the tallest for the largest; without bars, digits."""
    highest = max(levels, default=0) or 1
    marks = _BARS if unicode else _DIGITS
    return "".join(marks[-(-(len(marks) - 1) * level // highest)] for level in levels)


def _begin(attempts: Sequence[Attempt]) -> float:
    return min(attempt.started - attempt.waited for attempt in attempts)


def _end(attempts: Sequence[Attempt]) -> float:
    return max(attempt.started + (attempt.seconds or 0.0) for attempt in attempts)

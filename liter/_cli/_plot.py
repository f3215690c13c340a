"""Plots as SVG, drawn by hand: bars stacked over time, a histogram with marks, a heat map, a sparkline.

Colours are classes (``s0`` to ``s7``, and ``rest``), which the page's style sheet fills in for light and dark.
"""

import math
from collections.abc import Callable, Sequence
from html import escape

import msgspec

_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 8, 14, 30

# Of the room that a bar has, how much it takes; and the most, in units of the drawing.
_FILLED, _WIDEST = 0.78, 46

_ROUND = 3.0

# Of a heat map: a little below 1, so that small values can be told from none.
_GAMMA = 0.85


class Series(msgspec.Struct, frozen=True):
    """Values of one colour, one for each bar. ``style`` is the class of the colour."""

    name: str
    style: str
    values: Sequence[float]


class Mark(msgspec.Struct, frozen=True):
    """A line across a histogram."""

    label: str
    value: float


def stacked_bars(
    labels: Sequence[str],
    titles: Sequence[str],
    series: Sequence[Series],
    *,
    unit: Callable[[float], str],
    width: int = 960,
    height: int = 300,
) -> str:
    """Draw bars, each of pieces on top of each other.

    :param labels: below the bars; empty ones are left out
    :param titles: what each bar is, in full, for its tooltip
    :param unit: writes a value
    """
    totals = [sum(each.values[index] for each in series) for index in range(len(labels))]
    top, ticks = _scale(max(totals, default=0.0))
    plot = _Plot(width, height)
    body = [plot.grid(top, ticks, unit)]
    slot = plot.width / max(1, len(labels))
    thick = min(_WIDEST, slot * _FILLED)
    for index, label in enumerate(labels):
        x = _LEFT + slot * index + (slot - thick) / 2
        pieces = [(each, each.values[index]) for each in series if each.values[index] > 0]
        lines = [f"{titles[index]}: {unit(totals[index])}", *(f"{each.name}: {unit(value)}" for each, value in pieces)]
        hit = f'<rect class="hit" x="{_LEFT + slot * index:.1f}" y="{_TOP}" width="{slot:.1f}" height="{plot.height}"/>'
        drawn = [_tooltip(lines), hit]
        below = 0.0
        for number, (each, value) in enumerate(pieces):
            y, tall = plot.y(below + value, top), plot.height * value / top
            last = number == len(pieces) - 1
            drawn.append(_bar(x, y, thick, tall, each.style, rounded=last, gap=0 if number == 0 else 1))
            below += value
        body.append(f'<g class="column">{"".join(drawn)}</g>')
        if label:
            body.append(_text(x + thick / 2, height - 9, label, "middle"))
    return plot.svg("".join(body), "bars over time")


def histogram(
    edges: Sequence[float],
    counts: Sequence[int],
    marks: Sequence[Mark],
    *,
    unit: Callable[[float], str],
    width: int = 960,
    height: int = 260,
) -> str:
    """Draw how often values come, on a logarithmic axis.

    :param edges: of the bars, ascending, one more than there are bars; each is a power of the same number
    """
    low, high = math.log10(edges[0]), math.log10(edges[-1])
    plot = _Plot(width, height, top=34)
    top, ticks = _scale(float(max(counts, default=0)))

    def across(value: float) -> float:
        part = (math.log10(value) - low) / (high - low or 1.0)
        return _LEFT + plot.width * min(1.0, max(0.0, part))

    body = [plot.grid(top, ticks, lambda value: f"{value:,.0f}")]
    for index, count in enumerate(counts):
        if not count:
            continue
        left, right = across(edges[index]), across(edges[index + 1])
        told = f"{unit(edges[index])} to {unit(edges[index + 1])}: {count:,} calls"
        bar = _bar(left + 0.5, plot.y(count, top), right - left - 1, plot.height * count / top, "s0", rounded=True)
        body.append(f'<g class="column">{_tooltip([told])}{bar}</g>')
    powers = [10.0**power for power in range(math.ceil(low), math.floor(high) + 1)]
    body += [_text(across(power), height - 9, unit(power), "middle") for power in powers]
    labels = [f"{mark.label} {unit(mark.value)}" for mark in marks]
    places = [across(mark.value) for mark in marks]
    for x, start, label in zip(places, _side_by_side(places, labels, _LEFT + plot.width), labels, strict=True):
        body += [
            f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="20" y2="{plot.bottom:.1f}"/>',
            # From the line to the nearest end of its label.
            f'<path class="mark" d="M{x:.1f} 20L{min(max(x, start), start + 7 * len(label)):.1f} 17" fill="none"/>',
            _text(start + 4, 14, label, "start", "strong"),
        ]
    return plot.svg("".join(body), "how much calls cost")


def _side_by_side(places: Sequence[float], labels: Sequence[str], end: float) -> list[float]:
    """Where labels begin that would lie over each other, or beyond the end, at their places."""
    # A label takes some 7 units for each character.
    sizes = [7 * len(label) + 14 for label in labels]
    starts, taken = list(places), -math.inf
    for index, size in enumerate(sizes):
        starts[index] = max(starts[index], taken)
        taken = starts[index] + size
    for index in reversed(range(len(starts))):
        starts[index] = min(starts[index], end - sizes[index])
        end = starts[index]
    return starts


def heat_map(
    rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float]], *, unit: Callable[[float], str]
) -> str:
    """Draw values as the strength of a colour."""
    width, cell, gap, left = 960, 26, 3, 44
    wide = (width - left - gap) / len(columns)
    most = max((value for row in values for value in row), default=0.0) or 1.0
    body: list[str] = []
    for number, row in enumerate(rows):
        y = number * (cell + gap)
        body.append(_text(left - 10, y + cell / 2 + 4, row, "end"))
        for place, column in enumerate(columns):
            value = values[number][place]
            strength = (value / most) ** _GAMMA if value else 0.0
            where = f'x="{left + place * wide:.1f}" y="{y}" width="{wide - gap:.1f}" height="{cell}" rx="4"'
            told = _tooltip([f"{row} {column}: {unit(value)}"])
            body.append(f'<rect class="cell" {where}/><rect class="s0" {where} opacity="{strength:.3f}">{told}</rect>')
    tall = len(rows) * (cell + gap)
    for place, column in enumerate(columns):
        if place % 3 == 0:
            body.append(_text(left + place * wide + (wide - gap) / 2, tall + 14, column, "middle"))
    return _svg(width, tall + 20, "".join(body), "when it is spent")


def sparkline(values: Sequence[float]) -> str:
    """Draw a small curve, filled below."""
    width, height, edge = 220, 44, 3.0
    top = max(values, default=0.0) or 1.0
    step = (width - 2 * edge) / max(1, len(values) - 1)
    points = [
        (edge + step * index, height - edge - (height - 2 * edge) * value / top) for index, value in enumerate(values)
    ]
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    end = points[-1] if points else (edge, height - edge)
    area = f"M{edge} {height}L{line}L{end[0]:.1f} {height}Z"
    drawn = f'<path class="area" d="{area}"/><path class="curve" d="M{line}"/>'
    dot = f'<circle class="s0" cx="{end[0]:.1f}" cy="{end[1]:.1f}" r="3"/>'
    return _svg(width, height, drawn + dot, "the sum over time")


class _Plot:
    """The room between the axes."""

    def __init__(self, width: int, height: int, top: int = _TOP) -> None:
        self._size = width, height
        self._top = top
        self.width = width - _LEFT - _RIGHT
        self.height = height - top - _BOTTOM
        self.bottom = height - _BOTTOM

    def y(self, value: float, top: float) -> float:
        return self.bottom - self.height * value / top

    def grid(self, top: float, ticks: Sequence[float], unit: Callable[[float], str]) -> str:
        right = self._size[0] - _RIGHT
        lines = [
            f'<line class="{"axis" if tick == 0 else "grid"}" x1="{_LEFT}" x2="{right}" y1="{self.y(tick, top):.1f}" '
            f'y2="{self.y(tick, top):.1f}"/>{_text(_LEFT - 10, self.y(tick, top) + 4, unit(tick), "end")}'
            for tick in ticks
        ]
        return "".join(lines)

    def svg(self, body: str, label: str) -> str:
        return _svg(*self._size, body, label)


def _scale(most: float) -> tuple[float, list[float]]:
    """The top of an axis, and round numbers along it."""
    if most <= 0:
        return 1.0, [0.0]
    rough = most / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    count = math.ceil(most / step - 1e-9)
    return count * step, [step * number for number in range(count + 1)]


def _bar(x: float, y: float, wide: float, tall: float, style: str, *, rounded: bool, gap: float = 0) -> str:
    # Thin pieces would be all gap.
    tall = max(0.0, tall - min(gap, tall / 4))
    radius = min(_ROUND, wide / 2, tall) if rounded else 0.0
    if radius < 0.5:
        return f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall:.2f}"/>'
    return (
        f'<path class="{style}" d="M{x:.1f} {y + tall:.2f}V{y + radius:.2f}q0 {-radius:.1f} {radius:.1f} {-radius:.1f}'
        f'h{wide - 2 * radius:.1f}q{radius:.1f} 0 {radius:.1f} {radius:.1f}V{y + tall:.2f}Z"/>'
    )


def _text(x: float, y: float, text: str, anchor: str, style: str = "") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _tooltip(lines: Sequence[str]) -> str:
    return f"<title>{escape(chr(10).join(lines))}</title>"


def _svg(width: float, height: float, body: str, label: str) -> str:
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">{body}</svg>'

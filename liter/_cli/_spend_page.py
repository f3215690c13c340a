"""The page of ``liter spend --html``: one file that loads nothing."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from html import escape
from itertools import accumulate, pairwise

from ..stores import LedgerRow
from ._plot import Mark, Series, heat_map, histogram, sparkline, stacked_bars
from ._spend import amount, compact, money
from ._spend_style import STYLE
from ._spend_sums import Calls, Sum, Sums, group_of
from ._spend_time import Timeline

# Groups with a colour of their own; the others are one.
_COLOURS = 7

# Bars in a list, tags that have one, and values of a tag that are told apart.
_LISTED, _TAGS, _VALUES = 8, 4, 5000

# Bars of the distribution for each power of ten.
_PER_DECADE = 8

_QUANTILES = (("median", 0.5), ("p95", 0.95), ("p99", 0.99))
_COLUMNS = ("Model", "Attempts", "Failed", "Tokens in", "Tokens out", "Cost", "Share")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

_OUTCOMES = {"abandoned": "left early by the consumer", "ConnectionRetired": "sent again on a new connection"}

_CLASSES = {
    "text_input": "text in",
    "cache_read": "read from cache",
    "cache_write_5m": "written to cache",
    "cache_write_1h": "written to cache, 1 h",
    "text_output": "text out",
    "reasoning": "reasoning",
    "audio_input": "audio in",
    "audio_output": "audio out",
    "image_input": "images in",
    "image_output": "images out",
}


def spend_page(rows: Iterable[LedgerRow], *, zone: tzinfo, title: str) -> str:
    """Read a ledger once, and make the page."""
    page = _Page(zone, title)
    for row in rows:
        page.add(row)
    return page.html()


class _Page:
    def __init__(self, zone: tzinfo, title: str) -> None:
        self._zone = zone
        self._title = title
        self._total = Sum(name="total")
        self._models, self._outcomes = Sums(), Sums()
        self._tags: dict[str, Sums] = {}
        self._tokens: Counter[str] = Counter()
        self._calls = Calls()
        self._time = Timeline(zone)
        self._first, self._last = math.inf, -math.inf

    def add(self, row: LedgerRow) -> None:
        """Count an attempt."""
        model = group_of(row, "model", self._zone)
        self._total.add(row)
        self._models.add(model, row)
        self._outcomes.add(row.outcome, row)
        self._calls.add(row)
        self._time.add(row.time, model, row.cost or 0)
        self._tokens.update(row.tokens)
        self._first, self._last = min(self._first, row.time), max(self._last, row.time)
        for name, value in row.tags.items():
            values = self._tags.setdefault(name, Sums())
            values.add(value if len(values) < _VALUES else "(others)", row)

    def html(self) -> str:
        """The whole page."""
        self._calls.end()
        if not self._total.attempts:
            parts = [_section("Nothing here", "There is nothing in the ledger for that time.", "")]
        else:
            parts = [
                self._tiles(),
                self._over_time(),
                f'<div class="pair">{self._by_model()}{self._failures()}</div>',
                self._tagged(),
                self._distribution(),
                self._week(),
                self._token_strip(),
                self._table(),
            ]
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            # Nothing is loaded, whatever a name in the ledger may try.
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
            f"<title>{escape(self._title)}</title><style>{STYLE}</style></head><body><main>"
            f"<header><h1>{escape(self._title)}</h1><p>{escape(self._when())}</p></header>{''.join(parts)}"
            f"<footer>{escape(self._notes())}</footer></main></body></html>\n"
        )

    def _when(self) -> str:
        if not self._total.attempts:
            return ""
        first, last = (datetime.fromtimestamp(time, self._zone) for time in (self._first, self._last))
        until = f"{last:%H:%M}" if first.date() == last.date() else f"{last:%d %B %Y, %H:%M}"
        return f"{first:%d %B %Y, %H:%M} to {until} ({self._zone})"

    def _notes(self) -> str:
        total = self._total
        notes = ["Amounts are US dollars."]
        if total.estimated:
            notes.append(f"{total.estimated:,} attempts have an estimated cost, as of streams that were cut.")
        if total.unknown:
            notes.append(f"The cost of {total.unknown:,} attempts is not known, and is not in the sums.")
        return " ".join(notes)

    def _tiles(self) -> str:
        total, calls = self._total, self._calls
        curve = list(accumulate(float(sum(costs.values())) for _, costs in self._time.bars()))
        failed = total.failed_cost / total.cost if total.cost else 0.0
        tiles = [
            _tile("Spent", money(total.dollars), f"{compact(total.attempts)} attempts", curve),
            _tile("Calls", compact(calls.number), f"{_share(total.failed, total.attempts)} of attempts failed"),
            _tile("Median call", _money(calls.quantile(0.5)), f"95 % cost up to {_money(calls.quantile(0.95))}"),
            _tile(
                "Tokens",
                compact(total.prompt_tokens + total.completion_tokens),
                f"{compact(total.prompt_tokens)} in, {compact(total.completion_tokens)} out",
            ),
            _tile("Spent on failures", _money(total.failed_cost), f"{100 * failed:.1f} % of all"),
        ]
        return f'<div class="tiles">{"".join(tiles)}</div>'

    def _colours(self) -> list[tuple[str, str, set[str]]]:
        """Name, class and models of each colour."""
        models = [group.name for group in self._models if group.cost]
        chosen = [(name, f"s{number}", {name}) for number, name in enumerate(models[:_COLOURS])]
        rest = set(models[_COLOURS:])
        return [*chosen, (f"{len(rest)} others", "rest", rest)] if rest else chosen

    def _over_time(self) -> str:
        bars = self._time.bars()
        begins = [moment for moment, _ in bars]
        series = [
            Series(name, style, [float(sum(costs.get(model, 0) for model in models)) for _, costs in bars])
            for name, style, models in self._colours()
        ]
        plot = stacked_bars(
            self._time.labels(begins), [self._time.title(moment) for moment in begins], series, unit=_money
        )
        legend = _legend([(each.name, each.style, _money(sum(each.values))) for each in series])
        return _section(
            "Spend over time", f"Each bar is one {self._time.width_in_words}, by model", legend + _scrolled(plot)
        )

    def _by_model(self) -> str:
        colours = {model: style for _, style, models in self._colours() for model in models}
        return _section("By model", "Where the money goes", _rows(self._models, self._total.cost, colours))

    def _failures(self) -> str:
        rest = [group for group in self._outcomes if group.name != "ok"]
        shown = "".join(
            f"<tr><td>{escape(_OUTCOMES.get(group.name, group.name))}</td><td>{group.attempts:,}</td>"
            f"<td>{_share(group.attempts, self._total.attempts)}</td><td>{amount(group)}</td></tr>"
            for group in sorted(rest, key=lambda each: -each.attempts)[:_LISTED]
        )
        head = "<tr><th>How it ended</th><th>Attempts</th><th>Share</th><th>Cost</th></tr>"
        table = f"<table>{head}{shown}</table>" if shown else "<p>Every attempt ended well.</p>"
        left = sum(group.cost for group in rest) - self._total.failed_cost
        told = f"Failed attempts cost {_money(self._total.failed_cost)}"
        told += f", and streams that were left early {_money(left)}" if left else ""
        return _section("Failures and what they cost", told, table)

    def _tagged(self) -> str:
        dearest = sorted(self._tags.items(), key=lambda tag: -sum(group.attempts for group in tag[1]))[:_TAGS]
        sections = [
            _section(
                f"By {name}",
                f"{len(sums):,} {'value' if len(sums) == 1 else 'values'} of this tag",
                _rows(sums, self._total.cost, {}),
            )
            for name, sums in dearest
        ]
        pairs = ["".join(sections[start : start + 2]) for start in range(0, len(sections), 2)]
        return "".join(f'<div class="pair">{pair}</div>' for pair in pairs)

    def _distribution(self) -> str:
        costs = self._calls.costs
        if not costs:
            return ""
        low = math.floor(math.log10(costs[0]) * _PER_DECADE)
        high = max(low + 1, math.floor(math.log10(costs[-1]) * _PER_DECADE) + 1)
        edges = [10 ** (power / _PER_DECADE) for power in range(low, high + 1)]
        counts = [self._calls.between(edge, following) for edge, following in pairwise(edges)]
        marks = [Mark(label, self._calls.quantile(part)) for label, part in _QUANTILES]
        plot = histogram(edges, counts, marks, unit=_money)
        return _section("Cost per call", "How many calls cost how much, on a logarithmic axis", _scrolled(plot))

    def _week(self) -> str:
        if self._last - self._first < 2 * 86400:
            return ""
        hours = [f"{hour:02}:00" for hour in range(24)]
        plot = heat_map(_DAYS, hours, self._time.weeks, unit=_money)
        return _section("When it is spent", f"By hour and day of the week ({self._zone})", _scrolled(plot))

    def _token_strip(self) -> str:
        total = sum(self._tokens.values())
        if not total:
            return ""
        chosen = [(_CLASSES.get(name, name), count) for name, count in self._tokens.most_common(_COLOURS)]
        strip = "".join(
            f'<i class="s{number}" style="flex:{count / total:.5f}" title="{escape(name)}: {count:,}"></i>'
            for number, (name, count) in enumerate(chosen)
        )
        legend = _legend([(name, f"s{number}", compact(count)) for number, (name, count) in enumerate(chosen)])
        return _section("Tokens", "Each in one class, as they are billed", f'<div class="strip">{strip}</div>{legend}')

    def _table(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
        body = "".join(
            f"<tr><td>{escape(group.name)}</td><td>{group.attempts:,}</td>"
            f'<td class="{"bad" if group.failed else ""}">{group.failed or ""}</td>'
            f"<td>{compact(group.prompt_tokens)}</td><td>{compact(group.completion_tokens)}</td>"
            f"<td>{amount(group)}</td><td>{_part(group, self._total.cost)}</td></tr>"
            for group in self._models
        )
        return _section("All models", "", f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>')


def _tile(name: str, value: str, note: str, curve: Sequence[float] = ()) -> str:
    first = " first" if curve else ""
    drawn = sparkline(curve) if len(curve) > 1 else ""
    return (
        f'<div class="card tile{first}"><span class="name">{escape(name)}</span>'
        f'<span class="value">{escape(value)}</span><span class="note">{escape(note)}</span>{drawn}</div>'
    )


def _section(title: str, told: str, body: str) -> str:
    return f'<section class="card"><h2>{escape(title)}</h2><p>{escape(told)}</p>{body}</section>'


def _scrolled(plot: str) -> str:
    """A plot that is scrolled, and not made small, where there is little room."""
    return f'<div class="scroll plot">{plot}</div>'


def _legend(entries: Iterable[tuple[str, str, str]]) -> str:
    items = "".join(
        f'<li><span class="dot {style}"></span>{escape(name)} <b>{escape(amount)}</b></li>'
        for name, style, amount in entries
    )
    return f'<ul class="legend">{items}</ul>'


def _rows(sums: Sums, total: int, colours: dict[str, str]) -> str:
    groups = list(sums)
    shown = groups[:_LISTED]
    if len(groups) > _LISTED:
        rest = Sum(name=f"{len(groups) - _LISTED + 1:,} others")
        for group in groups[_LISTED - 1 :]:
            rest.attempts += group.attempts
            rest.cost += group.cost
            rest.unknown += group.unknown
        shown = [*groups[: _LISTED - 1], rest]
    most = max((group.cost for group in shown), default=0) or 1
    drawn = "".join(
        f'<div class="row"><span class="who">{escape(group.name)}</span>'
        f'<span class="amount">{amount(group)}<small>{_part(group, total)}</small></span>'
        f'<div class="track"><i class="{colours.get(group.name, "rest" if group not in groups else "s0")}" '
        f'style="width:{100 * group.cost / most:.2f}%"></i></div></div>'
        for group in shown
    )
    return f'<div class="rows">{drawn}</div>'


def _money(picodollars: float) -> str:
    return money(Decimal(round(picodollars)).scaleb(-12))


def _part(group: Sum, whole: float) -> str:
    """A group's share of the cost; nothing where it is not known."""
    return _share(group.cost, whole) if group.cost or not group.unknown else ""


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""

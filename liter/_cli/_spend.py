"""``liter spend``: what is in a ledger, as a table with bars, CSV, JSON, or a page with plots."""

import csv
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from ..stores import LedgerRow, SqliteLedger, StoreError
from ._spend_sums import Sum, summed
from ._terminal import Column, Line, Span, Style, Terminal, make_printable, open_terminal

# Bars are at least this long, in characters, and at most that long.
_SHORTEST, _LONGEST = 8, 32

_EIGHTHS = " ▏▎▍▌▋▊▉"


class SpendOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: see the help of the command."""

    ledger: str
    by: str = "model"
    since: str | None = None
    until: str | None = None
    time_zone: str = "UTC"
    csv: bool = False
    json: bool = False
    html: str | None = None
    title: str = "Spend"
    plain: bool = False


def spend(options: SpendOptions) -> int:
    """Run the command."""
    if not Path(options.ledger).exists():
        print(f"liter spend: there is no file {options.ledger}", file=sys.stderr)
        return 1
    zone = UTC if options.time_zone == "UTC" else ZoneInfo(options.time_zone)
    try:
        rows = SqliteLedger(options.ledger).read(
            since=None if options.since is None else _moment(options.since, zone),
            until=None if options.until is None else _moment(options.until, zone),
        )
        if options.html is not None:
            return _write_page(options, rows, zone)
        total, groups = summed(rows, options.by, zone)
    except (StoreError, ValueError) as error:
        print(f"liter spend: {error}", file=sys.stderr)
        return 1
    if options.csv:
        _write_csv(groups)
    elif options.json:
        _write_json(options, total, groups)
    else:
        make_printable(sys.stdout)
        _show(open_terminal(sys.stdout, plain=options.plain), options, total, groups)
    return 0


def _moment(text: str, zone: tzinfo) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).timestamp()


def _write_page(options: SpendOptions, rows: Iterator[LedgerRow], zone: tzinfo) -> int:
    from ._spend_page import spend_page

    target = Path(options.html or "")
    try:
        target.write_text(spend_page(rows, zone=zone, title=options.title), encoding="utf-8")
    except OSError as error:
        print(f"liter spend: {error}", file=sys.stderr)
        return 1
    print(f"{target} is written", file=sys.stderr)
    return 0


_FIELDS = ("attempts", "failed", "prompt_tokens", "completion_tokens", "cost_usd", "failed_cost_usd")
_COUNTS = ("estimated", "unknown")


def _fields(group: Sum) -> dict[str, object]:
    return {
        "attempts": group.attempts,
        "failed": group.failed,
        "prompt_tokens": group.prompt_tokens,
        "completion_tokens": group.completion_tokens,
        "cost_usd": f"{group.dollars.normalize():f}",
        "failed_cost_usd": f"{Decimal(group.failed_cost).scaleb(-12).normalize():f}",
        "estimated": group.estimated,
        "unknown": group.unknown,
    }


def _write_csv(groups: Sequence[Sum]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["name", *_FIELDS, *_COUNTS])
    writer.writerows([group.name, *_fields(group).values()] for group in groups)


def _write_json(options: SpendOptions, total: Sum, groups: Sequence[Sum]) -> None:
    told = {
        "by": options.by,
        "total": _fields(total),
        "groups": [{"name": group.name, **_fields(group)} for group in groups],
    }
    print(msgspec.json.format(msgspec.json.encode(told)).decode())


def _show(terminal: Terminal, options: SpendOptions, total: Sum, groups: Sequence[Sum]) -> None:
    terminal.rule(f"{options.title} by {options.by}")
    if not groups:
        terminal.say("There is nothing in the ledger for that time.")
        return
    names = max(len(group.name) for group in groups)
    length = max(_SHORTEST, min(_LONGEST, terminal.width - names - 60))
    dearest = max(group.cost for group in groups) or 1
    rows: list[list[Line]] = []
    for group in (*groups, total):
        share = f"{100 * group.cost / total.cost:.1f} %" if total.cost and (group.cost or not group.unknown) else ""
        style: Style = "bold" if group is total else ""
        bar: Line = (
            "" if group is total else [Span(bar_of(group.cost / dearest, length, unicode=terminal.unicode), "accent")]
        )
        rows.append(
            [
                [Span(group.name, style)],
                f"{group.attempts:,}",
                [Span(f"{group.failed:,}" if group.failed else "", "bad")],
                compact(group.prompt_tokens),
                compact(group.completion_tokens),
                [Span(amount(group), style)],
                [Span(share, "dim")],
                bar,
            ]
        )
    columns = [Column(options.by.removeprefix("tag:"))]
    columns += [Column(title, right=True) for title in ("attempts", "failed", "in", "out", "cost", "share")]
    terminal.table([*columns, Column("")], rows)
    if total.failed_cost:
        terminal.say(f"{money(Decimal(total.failed_cost).scaleb(-12))} of it went into attempts that failed.")
    if total.unknown:
        terminal.say(f"The cost of {total.unknown:,} attempts is not known, and is not in these sums.")
    if total.estimated:
        terminal.say(f"The cost of {total.estimated:,} attempts is an estimate, as for streams that were cut.")


def bar_of(part: float, length: int, *, unicode: bool) -> str:
    """Draw a bar: a part of ``length`` characters, to an eighth of one."""
    if not unicode:
        return "#" * round(part * length)
    eighths = round(part * length * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def amount(group: Sum) -> str:
    """Write what a group cost, as far as it is known: never 0 where it is not."""
    if not group.unknown:
        return money(group.dollars)
    return f"{money(group.dollars)} + ?" if group.cost else "unknown"


def money(dollars: Decimal) -> str:
    """Write an amount: cents, or two digits that are not 0 where it is less than that."""
    if not dollars:
        return "$0"
    if dollars >= Decimal("0.995"):
        return f"${dollars:,.2f}"
    # The position of its first digit, and one more.
    return f"${dollars:.{max(2, 1 - dollars.adjusted())}f}"


def compact(count: int) -> str:
    """Write a count of tokens: 950, 12.3k, 4.56M."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.{1 if count >= 10 * size else 2}f}{unit}"
    return str(count)

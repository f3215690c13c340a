"""What a ledger comes to: sums by whatever one asks for, in one pass over its rows."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo
from decimal import Decimal

import msgspec

from ..stores import LedgerRow

# Outcomes that are no failure: the consumer has left, or the request was sent again at once.
_NO_FAILURE = ("ok", "abandoned", "ConnectionRetired")

# Attempts of one call begin within this time of each other, in seconds: a call is summed up when it is over.
_CALL_LASTS = 3600.0

# Costs of calls that are kept for their distribution; beyond that, every second one, then every fourth, ...
_SAMPLED = 20_000


class Sum(msgspec.Struct, kw_only=True):
    """What a group of attempts comes to.

    :param name: of the group
    :param failed: attempts that ended with an error, or were cancelled
    :param prompt_tokens: as far as they were reported
    :param cost: in 1e-12 US dollars, as far as it is known
    :param failed_cost: the part of it that failed attempts cost
    :param estimated: attempts whose cost is an estimate
    :param unknown: attempts whose cost is not known
    """

    name: str
    attempts: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: int = 0
    failed_cost: int = 0
    estimated: int = 0
    unknown: int = 0

    def add(self, row: LedgerRow) -> None:
        """Count an attempt."""
        failed = row.outcome not in _NO_FAILURE
        self.attempts += 1
        self.failed += failed
        self.prompt_tokens += row.prompt_tokens or 0
        self.completion_tokens += row.completion_tokens or 0
        self.cost += row.cost or 0
        self.failed_cost += (row.cost or 0) if failed else 0
        self.estimated += row.estimated
        self.unknown += row.cost is None

    @property
    def dollars(self) -> Decimal:
        """The cost in US dollars."""
        return Decimal(self.cost).scaleb(-12)


class Sums:
    """Sums by group, the dearest first."""

    def __init__(self) -> None:
        self._groups: dict[str, Sum] = {}

    def add(self, name: str, row: LedgerRow) -> None:
        """Count an attempt in a group."""
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Sum(name=name)
        group.add(row)

    def __iter__(self) -> Iterator[Sum]:
        return iter(sorted(self._groups.values(), key=lambda each: (-each.cost, -each.attempts, each.name)))

    def __len__(self) -> int:
        return len(self._groups)

    def by_name(self) -> list[Sum]:
        """The same in the order of their names, as for days."""
        return sorted(self._groups.values(), key=lambda each: each.name)


class Calls:
    """What whole calls cost: the distribution of it."""

    def __init__(self) -> None:
        self.number = 0
        self._open: dict[str, tuple[float, int]] = {}
        self._costs: list[int] = []
        self._every = 1

    def add(self, row: LedgerRow) -> None:
        """Count an attempt; rows come in the order of their time."""
        since, cost = self._open.pop(row.call, (row.time, 0))
        self._open[row.call] = since, cost + (row.cost or 0)
        while self._open:
            call, (began, total) = next(iter(self._open.items()))
            if began >= row.time - _CALL_LASTS:
                return
            del self._open[call]
            self._close(total)

    def _close(self, cost: int) -> None:
        self.number += 1
        if cost and self.number % self._every == 0:
            insort(self._costs, cost)
            if len(self._costs) > _SAMPLED:
                self._costs, self._every = self._costs[::2], self._every * 2

    def end(self) -> None:
        """There are no more."""
        for _, cost in self._open.values():
            self._close(cost)
        self._open.clear()

    @property
    def costs(self) -> list[int]:
        """What calls cost that cost something, ascending; a sample of them where they are many."""
        return self._costs

    def quantile(self, part: float) -> int:
        """The cost that this part of calls does not pass; 0 of none."""
        costs = self._costs
        return costs[min(len(costs) - 1, int(part * len(costs)))] if costs else 0

    def between(self, low: float, high: float) -> int:
        """How many of the costs are in a stretch, its lower end included."""
        return bisect_left(self._costs, high) - bisect_left(self._costs, low)


def group_of(row: LedgerRow, by: str, zone: tzinfo) -> str:
    """The name of a row's group. :param by: ``"model"``, ``"provider"``, ``"day"``, ..., or ``"tag:<name>"``"""
    match by:
        case "model":
            return f"{row.provider}/{row.model}" if row.model else row.provider
        case "day":
            return f"{datetime.fromtimestamp(row.time, zone):%Y-%m-%d}"
        case "hour":
            return f"{datetime.fromtimestamp(row.time, zone):%Y-%m-%d %H:00}"
        case "provider" | "operation" | "outcome":
            return str(getattr(row, by))
        case _:
            return row.tags.get(by.removeprefix("tag:"), "(none)")


def summed(rows: Iterable[LedgerRow], by: str, zone: tzinfo) -> tuple[Sum, list[Sum]]:
    """The sum of all, and of each group: the dearest first, or the earliest, by time."""
    total, groups = Sum(name="total"), Sums()
    for row in rows:
        total.add(row)
        groups.add(group_of(row, by, zone), row)
    return total, groups.by_name() if by in ("day", "hour") else list(groups)

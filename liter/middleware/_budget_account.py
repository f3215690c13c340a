"""The accounts of a budget: what calls reserve on, and what is told of them."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from .._contract import Call
from ..stores import Account, Balance
from ._budget_limit import Group, SpendLimit, Stretch, dollars, picodollars


class BudgetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What one limit of a budget comes to, in US dollars.

    :param limit: the limit
    :param group: whose: the names of ``by`` with their values
    :param amount: the limit in this window
    :param spent: what was settled in it
    :param reserved: what calls that are under way hold of it
    :param resets_at: when the window ends; ``None``: never
    """

    limit: SpendLimit
    group: Group
    amount: Decimal
    spent: Decimal
    reserved: Decimal
    resets_at: datetime | None

    @property
    def left(self) -> Decimal:
        """What can still be reserved; below 0 where the limit was passed."""
        return self.amount - self.spent - self.reserved


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """An account that a call is counted on."""

    limit: SpendLimit
    group: Group
    stretch: Stretch
    key: str
    most: int

    def account(self, amount: int, now: float) -> Account:
        """Ask for an amount of it."""
        return Account(key=self.key, limit=self.most, amount=amount, ttl=max(1.0, self.stretch.ends - now))

    def status(self, balance: Balance) -> BudgetStatus:
        """What is on it, in US dollars."""
        return BudgetStatus(
            limit=self.limit,
            group=self.group,
            amount=dollars(self.most),
            spent=dollars(balance.spent),
            reserved=dollars(balance.reserved),
            resets_at=self.stretch.resets_at,
        )


class Accounts:
    """Finds the accounts of calls.

    :param name: what tells this budget from others in the same store
    :param clock: seconds since 1970
    """

    def __init__(self, name: str, limits: Sequence[SpendLimit], clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self.limits = tuple(limits)
        self.clock = clock
        # The window of each limit, and since when it is known to be that: the calendar is not asked for every call.
        self._stretches: list[tuple[float, Stretch]] = [(0.0, Stretch("", 0.0))] * len(self.limits)

    def of(self, facts: Group, *, partial: bool = False) -> list[Place]:
        """The accounts of what these facts are true of.

        :param partial: they are not all there is: limits that ask for others are left out
        """
        now = self.clock()
        places: list[Place] = []
        for number, limit in enumerate(self.limits):
            if partial and not all(name in facts for name in (*limit.by, *limit.only)):
                continue
            group = limit.group(facts)
            amount = None if group is None else limit.most(group)
            if group is None or amount is None:
                continue
            stretch = self._stretch(number, limit, now)
            key = limit.key(self.name, group, stretch)
            places.append(Place(limit=limit, group=group, stretch=stretch, key=key, most=picodollars(amount)))
        return places

    def _stretch(self, number: int, limit: SpendLimit, now: float) -> Stretch:
        since, stretch = self._stretches[number]
        if not since <= now < stretch.ends:
            stretch = limit.stretch(now)
            self._stretches[number] = (now, stretch)
        return stretch


class BudgetThreshold(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a limit is spent. Told once in a window, by the process that was first to see it.

    :param threshold: the part, as 0.8
    :param status: what is on the account
    """

    threshold: float
    status: BudgetStatus


class BudgetStoreFailed(msgspec.Struct, frozen=True, kw_only=True):
    """The store of a budget failed.

    :param call: the call that it failed for
    :param error: what happened
    :param doing: ``"reserve"``: the limits are not known; ``"renew"``: a stream's reservation may lapse before it
        ends; ``"settle"``: what was spent is kept in this process, and settled with a later call
    :param goes_on: whether the call goes on: false for a ``"reserve"`` with ``on_store_error="closed"``
    """

    call: Call[object]
    error: Exception
    doing: str
    goes_on: bool


class BudgetSettled(msgspec.Struct, frozen=True, kw_only=True):
    """What attempts of a call cost is counted.

    :param call: the call
    :param cost: US dollars
    :param statuses: what is on each of its accounts now
    """

    call: Call[object]
    cost: Decimal
    statuses: tuple[BudgetStatus, ...]


def facts_from(
    provider: str | None, model: str | None, key: str | None, tags: Mapping[str, str] | None
) -> dict[str, str | None]:
    """What is known of calls that somebody asks for."""
    facts: dict[str, str | None] = {f"tag:{name}": value for name, value in (tags or {}).items()}
    facts |= {name: value for name, value in (("provider", provider), ("model", model), ("key", key)) if value}
    return facts

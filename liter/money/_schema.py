"""The form in which prices are kept."""

from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec

from ._rates import Rate


class Period(msgspec.Struct, omit_defaults=True, frozen=True, kw_only=True):
    """Rates, and when they hold: always, where nothing is said.

    :param since: the first day, in UTC
    :param until: the day on which they hold no more
    :param hours: minutes of the day in UTC, from the first up to the second; over midnight where that is less
    :param days: days of the week, Monday is 0; a stretch over midnight counts to the day that it is in
    """

    rates: dict[str, Rate]
    since: date | None = None
    until: date | None = None
    hours: tuple[tuple[int, int], ...] = ()
    days: tuple[int, ...] = ()

    def holds(self, when: datetime) -> bool:
        """Whether it holds at a time in UTC."""
        day = when.date()
        if (self.since is not None and day < self.since) or (self.until is not None and day >= self.until):
            return False
        if self.days and when.weekday() not in self.days:
            return False
        if not self.hours:
            return True
        minute = when.hour * 60 + when.minute
        return any(
            start <= minute < end if start <= end else minute >= start or minute < end for start, end in self.hours
        )


class Variant(msgspec.Struct, omit_defaults=True, frozen=True, kw_only=True):
    """Rates that replace those of the same name on certain terms: ``{"service_tier": "flex"}``."""

    when: dict[str, str]
    rates: dict[str, Rate]
    since: date | None = None
    until: date | None = None

    def holds(self, when: datetime) -> bool:
        """Whether it holds at a time in UTC."""
        day = when.date()
        return not ((self.since is not None and day < self.since) or (self.until is not None and day >= self.until))


class Row(msgspec.Struct, omit_defaults=True, frozen=True, kw_only=True):
    """The prices of one model.

    :param id: its name
    :param match: the names that it is for, see ``matcher``; only its own where empty
    :param prices: the last one that holds counts; none at all where the model is free
    :param variants: the first one that holds and has a rate counts, rate by rate
    :param minimum_seconds: seconds of audio that are billed at least
    :param context: tokens of prompt and reply together, where known
    :param own: whether it is entered by hand, and not from genai-prices
    """

    id: str
    prices: tuple[Period, ...]
    match: tuple[object, ...] = ()
    variants: tuple[Variant, ...] = ()
    minimum_seconds: int = 0
    context: int | None = None
    own: bool = False


class Factor(msgspec.Struct, omit_defaults=True, frozen=True, kw_only=True):
    """What the geography multiplies the price of tokens by.

    :param match: the models, see ``matcher``
    :param where: the geographies; all but the global one where empty
    """

    factor: Decimal
    match: tuple[object, ...]
    where: tuple[str, ...] = ()


class ProviderRows(msgspec.Struct, omit_defaults=True, frozen=True, kw_only=True):
    """The prices of one provider.

    :param models: its rows; the first one that matches counts
    :param fallback: providers whose models it serves at their prices
    :param fees: rates that all its models have
    :param factors: what geographies change
    :param free: whether it charges for nothing: a server of one's own
    """

    models: tuple[Row, ...] = ()
    fallback: tuple[str, ...] = ()
    fees: dict[str, Rate] = {}
    factors: tuple[Factor, ...] = ()
    free: bool = False


class Snapshot(msgspec.Struct, omit_defaults=True, frozen=True, kw_only=True):
    """Everything. Each provider is decoded when it is first asked for.

    :param version: the day of the data
    :param source: where it is from
    :param same: providers that have the prices of another, by name
    """

    version: str
    source: str
    same: dict[str, str]
    providers: dict[str, msgspec.Raw]


def in_utc(when: datetime | None) -> datetime:
    """The time in UTC; now where none is given. One without a time zone is taken to be in UTC."""
    if when is None:
        return datetime.now(UTC)
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)

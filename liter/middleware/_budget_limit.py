"""What is limited: how much money in which time, for whom; and the windows of the calendar."""

import hashlib
import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import ROUND_FLOOR, Decimal, InvalidOperation
from typing import Literal, NamedTuple, get_args

import msgspec

from .._contract import Call

Amount = Decimal | int | float | str
Window = Literal["hour", "day", "month", "lifetime"]
Group = Mapping[str, str | None]

_PARTS = ("provider", "model", "key")
_HOUR = timedelta(hours=1)

# Amounts are counted in 1e-12 US dollars, in 64 bits: see liter.stores.Account.
MOST = Decimal(9_000_000)


class Stretch(NamedTuple):
    """One window: its name, and the seconds since 1970 at which it ends; infinity for a lifetime."""

    name: str
    ends: float

    @property
    def resets_at(self) -> datetime | None:
        """When it ends, in UTC; ``None``: never."""
        return None if math.isinf(self.ends) else datetime.fromtimestamp(self.ends, UTC)


class SpendLimit(msgspec.Struct, frozen=True):
    """Spend at most ``amount`` US dollars in each ``per``, for each group of calls that ``by`` makes.

    Windows are those of the calendar: an hour begins at its minute 0, a day at midnight, a month on its first day, in
    the time zone. What is reserved in one window and settled in the next counts in the one it was reserved in.

    What was spent is kept under the window, ``by`` and ``only``, and not under the amount: a limit that is raised or
    lowered goes on from what was spent.

    :param amount: US dollars, up to 9 million; or a function of the group, as ``{"tag:tenant": "acme"}``, that returns
        them, and ``None`` for no limit
    :param per: ``"hour"``, ``"day"``, ``"month"`` or ``"lifetime"``
    :param by: whose calls share it: names out of ``"provider"``, ``"model"``, ``"key"`` (a hash of the API key) and
        ``"tag:<name>"``; ``()`` is all calls. Calls without the tag are a group of their own
    :param only: the calls that it is for, by the same names: ``{"model": "gpt-5"}``, ``{"tag:tenant": "acme"}``
    :param time_zone: where the calendar hangs, as ``"Europe/Berlin"``
    :raises ValueError: an amount, a name or a time zone that means nothing
    """

    amount: Amount | Callable[[Group], Amount | None]
    per: Window = "lifetime"
    by: tuple[str, ...] = ()
    only: Mapping[str, str] = {}
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        if not callable(self.amount) and not _dollars(self.amount) and not self.only:
            raise ValueError(
                "amount must be above 0 US dollars, as 0 lets no call through: name by only= what gets none"
            )
        if self.per not in get_args(Window):
            raise ValueError(f"per must be one of {', '.join(get_args(Window))}, not {self.per!r}")
        if not isinstance(self.by, tuple):
            raise ValueError(f"by must be a tuple of names, such as ('provider', 'model'), not {self.by!r}")
        for field, names in (("by", self.by), ("only", tuple(self.only))):
            for name in names:
                if name not in _PARTS and not (isinstance(name, str) and name.startswith("tag:") and name != "tag:"):
                    raise ValueError(
                        f"{field}: {name!r} must be one of {', '.join(_PARTS)}, or a tag such as 'tag:tenant'"
                    )
        _zone(self.time_zone)

    def group(self, facts: Group) -> Group | None:
        """Which group a call belongs to, by what is known of it; ``None``: it is not limited by this."""
        if any(facts.get(name) != value for name, value in self.only.items()):
            return None
        return {name: facts.get(name) for name in self.by}

    def most(self, group: Group) -> Decimal | None:
        """The limit of a group in US dollars; ``None``: it has none."""
        amount = self.amount(group) if callable(self.amount) else self.amount
        return None if amount is None else _dollars(amount)

    def key(self, budget: str, group: Group, stretch: Stretch) -> str:
        """The account of a group in a window."""
        named = msgspec.json.encode([self.by, sorted(self.only.items()), [group[name] for name in self.by]])
        digest = hashlib.blake2b(named, digest_size=16).hexdigest()
        return f"liter:budget:{budget}:{self.per}:{self.time_zone}:{digest}:{stretch.name}"

    def stretch(self, now: float) -> Stretch:
        """The window that a time is in. :param now: seconds since 1970"""
        if self.per == "lifetime":
            return Stretch("always", math.inf)
        zone = _zone(self.time_zone)
        local = datetime.fromtimestamp(now, zone)
        if self.per == "hour":
            # By the time in UTC at which it began, as a local hour comes twice where clocks are put back.
            began = local.astimezone(UTC) - timedelta(
                minutes=local.minute, seconds=local.second, microseconds=local.microsecond
            )
            return Stretch(f"{began:%Y-%m-%dT%H:%M}Z", (began + _HOUR).timestamp())
        today = local.date()
        if self.per == "day":
            return Stretch(f"{today:%Y-%m-%d}", _midnight(today + timedelta(days=1), zone))
        following = date(today.year + today.month // 12, today.month % 12 + 1, 1)
        return Stretch(f"{today:%Y-%m}", _midnight(following, zone))

    def __str__(self) -> str:
        amount = "?" if callable(self.amount) else f"{_dollars(self.amount):f}"
        parts = [f"{amount} USD {'in all' if self.per == 'lifetime' else 'per ' + self.per}"]
        parts += [f"by {', '.join(self.by)}"] if self.by else []
        parts += [f"for {', '.join(f'{name}={value}' for name, value in self.only.items())}"] if self.only else []
        return " ".join(parts)


def facts_of(call: Call[object]) -> Group:
    """What limits ask of a call."""
    route, key = call.route, call.route.api_key
    facts: dict[str, str | None] = {f"tag:{name}": value for name, value in call.tags.items()}
    facts["provider"], facts["model"] = route.provider, route.model
    facts["key"] = None if key is None else key_name(key.reveal())
    return facts


def key_name(key: str) -> str:
    """Name an API key in a form that tells nobody the key."""
    return hashlib.sha256(b"liter api key:" + key.encode()).hexdigest()


def picodollars(amount: Decimal) -> int:
    """A limit in the unit of accounts, rounded down."""
    return int(amount.scaleb(12).to_integral_value(ROUND_FLOOR))


def dollars(amount: int) -> Decimal:
    """US dollars of an amount in the unit of accounts, without digits that say nothing."""
    exact = Decimal(amount).scaleb(-12).normalize()
    # 100 would be 1E+2.
    return exact if exact == 0 or exact.adjusted() < 0 or exact % 1 else exact.quantize(Decimal(1))


def _midnight(day: date, zone: tzinfo) -> float:
    # Where clocks are put forward at midnight, it is the moment they are.
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # not before it is used: most stay with UTC

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"time_zone must be a name of the time zone database, as 'Europe/Berlin', not {name!r}"
        ) from None


def _dollars(amount: Amount) -> Decimal:
    try:
        exact = Decimal(repr(amount)) if isinstance(amount, float) else Decimal(amount)
    except (InvalidOperation, TypeError, ValueError):
        exact = Decimal("nan")
    if isinstance(amount, bool) or not exact.is_finite() or not 0 <= exact <= MOST:
        raise ValueError(f"amount must be US dollars from 0 to {MOST}, not {amount!r}")
    return exact

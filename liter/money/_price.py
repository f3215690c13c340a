"""A price as one writes it down."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import cast

import msgspec
from msgspec.structs import force_setattr

from ._match import matcher
from ._rates import OTHER_RATES, TOKEN_RATES, Rate, Tiered
from ._schema import Period, Row, Variant

Amount = Decimal | int | float | str

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Price(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """What a model costs, in US dollars: per million tokens, and in other units where a field says so.

    Amounts are ``Decimal``, ``int``, text, or ``float`` (of which the digits are taken that Python prints for it).
    A class of tokens without a price of its own is priced as what it is a part of: ``reasoning`` as ``output``,
    ``audio_input`` as ``input``.

    :param input: text of the prompt
    :param output: text of the completion
    :param cache_read: read from the prompt cache; ``cache_read_audio`` and so on where they differ
    :param cache_write: written to it; ``cache_write_1h`` for an hour
    :param citation: sources that are billed as output
    :param characters: text turned into speech, per million characters
    :param audio: audio taken in, per hour
    :param video: video made, per second
    :param images: each image made
    :param pages: each page read; ``annotated_pages``: each with annotations
    :param requests: each request
    :param searches: each query of a search
    :param search_units: each search unit of a rerank
    :param web_searches: each search that the model makes; likewise ``web_fetches``, ``file_searches``,
        ``code_executions``
    :param above: prices of requests with more tokens in the prompt than the key, for all of their tokens:
        ``{200_000: Price(input=6, output=22.5)}``. What the inner price does not name stays
    :param inclusive: whether requests of exactly that size belong to ``above``
    :param marginal: whether ``above`` is for the tokens above the key only, counted within their class
    :param when: the terms on which it replaces the standard price, in what it names: ``{"service_tier": "flex"}``,
        ``{"processing": "batch"}``, ``{"speed": "fast"}``, ``{"size": "1024x1024"}``
    :param since: the first day on which it holds, in UTC; ``until``: the day on which it holds no more
    :param hours: the hours in UTC in which it holds, as ``("16:30", "00:30")`` or several of those
    :param days: the days of the week on which it holds, as ``("mon", "tue")``
    :param match: the names that it is for, instead of the model's own: ``"=name"``, ``"^start"``, ``"$end"``,
        ``"~part"``, ``"/regexp"``
    :param minimum_seconds: seconds of audio that are billed at least
    :raises ValueError: an amount is no number, is negative, or a field makes no sense; it names it
    """

    input: Amount | None = None
    output: Amount | None = None
    cache_read: Amount | None = None
    cache_read_audio: Amount | None = None
    cache_read_image: Amount | None = None
    cache_read_video: Amount | None = None
    cache_write: Amount | None = None
    cache_write_1h: Amount | None = None
    audio_input: Amount | None = None
    audio_output: Amount | None = None
    image_input: Amount | None = None
    image_output: Amount | None = None
    video_input: Amount | None = None
    video_output: Amount | None = None
    reasoning: Amount | None = None
    citation: Amount | None = None
    characters: Amount | None = None
    audio: Amount | None = None
    video: Amount | None = None
    images: Amount | None = None
    pages: Amount | None = None
    annotated_pages: Amount | None = None
    requests: Amount | None = None
    searches: Amount | None = None
    search_units: Amount | None = None
    web_searches: Amount | None = None
    web_fetches: Amount | None = None
    file_searches: Amount | None = None
    code_executions: Amount | None = None
    above: "Mapping[int, Price]" = {}
    inclusive: bool = False
    marginal: bool = False
    when: Mapping[str, str] = {}
    since: date | None = None
    until: date | None = None
    hours: Sequence[object] = ()
    days: Sequence[str] = ()
    match: Sequence[str] = ()
    minimum_seconds: int = 0

    def __post_init__(self) -> None:
        for name in _RATES:
            # As decimals, so that prices are equal that say the same.
            if (amount := _decimal(name, getattr(self, name))) is not None:
                force_setattr(self, name, amount)
        self.period()
        matcher("", self.match)

    def rates(self) -> dict[str, Rate]:
        """Its rates, by name."""
        rates: dict[str, Rate] = {}
        for name in _RATES:
            base = _decimal(name, getattr(self, name))
            steps = [
                (int(size) - self.inclusive, step)
                for size, price in sorted(self.above.items())
                if (step := _decimal(f"above[{size}].{name}", getattr(price, name))) is not None
            ]
            if steps and base is None:
                raise ValueError(f"above has a price for {name}, and the price itself has none: name it there, too")
            if base is not None:
                rates[name] = Tiered(base, tuple(steps), self.marginal) if steps else base
        return rates

    def period(self) -> Period:
        """Its rates with the time in which they hold."""
        unknown = [day for day in self.days if day not in _DAYS]
        if unknown:
            raise ValueError(f"days must be of {', '.join(_DAYS)}, not {unknown[0]!r}")
        hours = (self.hours,) if self.hours and isinstance(self.hours[0], str) else self.hours
        return Period(
            rates=self.rates(),
            since=self.since,
            until=self.until,
            hours=tuple(_stretch(stretch) for stretch in hours),
            days=tuple(_DAYS.index(day) for day in self.days),
        )


_RATES = tuple(sorted(TOKEN_RATES | OTHER_RATES))


def read_price(told: object) -> Price:
    """Make a price of an entry of a file.

    :raises ValueError: it is no table, or has a field that a price does not have
    """
    if not isinstance(told, Mapping):
        raise ValueError(f"a price must be a table of amounts, not {told!r}")
    fields = dict(cast("Mapping[str, object]", told))
    unknown = fields.keys() - set(Price.__struct_fields__)
    if unknown:
        raise ValueError(f"a price has no field {min(unknown)!r}; it has {', '.join(Price.__struct_fields__)}")
    for name in ("since", "until"):
        if isinstance(day := fields.get(name), str):
            fields[name] = date.fromisoformat(day)
    above = fields.get("above")
    if isinstance(above, Mapping):
        # Keys of a file are text, and may be written as 200_000.
        steps = cast("Mapping[str, object]", above)
        fields["above"] = {int(size): read_price(step) for size, step in steps.items()}
    return Price(**cast("dict[str, Amount]", fields))  # type: ignore[arg-type] # checked by Price itself


def row_of(model: str, prices: "Price | Sequence[Price]", *, own: bool = False) -> Row:
    """Make the row of a model.

    :raises ValueError: it has no standard price, or a variant is bound to hours
    """
    several = (prices,) if isinstance(prices, Price) else tuple(prices)
    standard = [price for price in several if not price.when]
    if not standard:
        raise ValueError(f"{model}: a price without when= is needed, for calls on the standard terms")
    variants: list[Variant] = []
    for price in several:
        if price.when:
            if price.hours or price.days:
                raise ValueError(f"{model}: a price with when= holds on all days and at all hours: leave them out")
            variants.append(Variant(when=dict(price.when), rates=price.rates(), since=price.since, until=price.until))
    match = next((price.match for price in several if price.match), ())
    return Row(
        id=model,
        match=tuple(match),
        prices=tuple(price.period() for price in standard),
        variants=tuple(variants),
        minimum_seconds=max(price.minimum_seconds for price in several),
        own=own,
    )


def _decimal(name: str, amount: Amount | None) -> Decimal | None:
    if amount is None:
        return None
    try:
        # Of a float, the digits that were written: 0.1, and not the binary number next to it.
        exact = Decimal(repr(amount)) if isinstance(amount, float) else Decimal(amount)
    except (InvalidOperation, TypeError):
        exact = Decimal("nan")
    if isinstance(amount, bool) or not exact.is_finite() or exact < 0:
        raise ValueError(f"{name} must be an amount of US dollars, 0 or more, not {amount!r}")
    return exact


def _stretch(stretch: object) -> tuple[int, int]:
    try:
        start, end = (_minute(text) for text in cast("Sequence[str]", stretch))
    except (TypeError, ValueError):
        raise ValueError(f'hours must be as ("16:30", "00:30"), in UTC, not {stretch!r}') from None
    return start, end


def _minute(text: str) -> int:
    hour, _, minute = text.partition(":")
    if not (0 <= int(hour) <= 24 and 0 <= int(minute) < 60):
        raise ValueError(text)
    return int(hour) * 60 + int(minute)

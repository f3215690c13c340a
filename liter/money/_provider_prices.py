"""The prices of one provider, ready for use."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from ._match import Matched, dated, matcher
from ._rates import Rate, RateCard
from ._schema import Period, ProviderRows, Row

_ONE = Decimal(1)

# What is said where these terms have no price of their own. Others (a size, a kind of search) need not have one.
_TOLD = ("service_tier", "speed", "processing", "geography")


class ModelPrices:
    """The prices of one model of one provider: its row, and how it was found.

    :param foreign: whether the row is that of another provider, whose model it is
    """

    __slots__ = ("_cards", "_factors", "_fees", "_foreign", "_standard", "match", "row")

    def __init__(self, row: Row, match: Matched, rows: ProviderRows, model: str, *, foreign: bool) -> None:
        self.row: Row = row
        self.match: Matched = match
        self._foreign = foreign
        self._fees = rows.fees
        self._factors = [
            (factor.where, factor.factor) for factor in rows.factors if matcher(model, factor.match)(model) is not None
        ]
        self._cards: dict[object, RateCard] = {}
        timeless = len(row.prices) == 1 and row.prices[0] == Period(rates=row.prices[0].rates)
        self._standard = RateCard(self._rates(0, ()), minimum_seconds=row.minimum_seconds) if timeless else None

    def card(self, terms: Mapping[str, str], when: Callable[[], datetime]) -> RateCard | None:
        """The rates on these terms, at this time; ``None`` where none held then."""
        if self._standard is not None and not terms:
            return self._standard
        moment = when()
        periods = self.row.prices
        period = next((number for number in range(len(periods) - 1, -1, -1) if periods[number].holds(moment)), None)
        if period is None:
            return None
        variants = tuple(
            number
            for number, variant in enumerate(self.row.variants if terms and not self._foreign else ())
            if variant.when.items() <= terms.items() and variant.holds(moment)
        )
        geography = terms.get("geography")
        key = (period, variants, tuple(sorted(terms.items())))
        card = self._cards.get(key)
        if card is None:
            factor = _ONE if geography is None else self._factor(geography)
            card = self._cards[key] = RateCard(
                self._rates(period, variants),
                factor=_ONE if factor is None else factor,
                minimum_seconds=self.row.minimum_seconds,
                assumed=tuple(self._assumed(terms, factor)),
            )
        return card

    @property
    def timeless(self) -> bool:
        """Whether its prices are the same at all times."""
        return self._standard is not None

    @property
    def fees(self) -> Mapping[str, Rate]:
        """What is charged for all models of the provider."""
        return self._fees

    @property
    def factors(self) -> Sequence[Decimal]:
        """What the price of tokens may be multiplied by, depending on the geography."""
        return [factor for _, factor in self._factors]

    def _factor(self, geography: str) -> Decimal | None:
        return next((factor for where, factor in self._factors if not where or geography in where), None)

    def _assumed(self, terms: Mapping[str, str], factor: Decimal | None) -> Iterator[str]:
        variants = () if self._foreign else self.row.variants
        for name in _TOLD:
            value = terms.get(name)
            if value is None or (name == "geography" and factor is not None):
                continue
            if not any(variant.when.get(name) == value for variant in variants):
                yield f"{name} {value!r} at the standard price"

    def _rates(self, period: int, variants: Sequence[int]) -> Mapping[str, Rate]:
        rates = {**self._fees, **self.row.prices[period].rates}
        for number in reversed(variants):
            rates.update(self.row.variants[number].rates)
        return rates


class ProviderPrices:
    """Finds the row of a model among those of one provider."""

    __slots__ = ("_tests", "rows")

    def __init__(self, rows: ProviderRows) -> None:
        self.rows = rows
        self._tests = [(row, matcher(row.id, row.match)) for row in rows.models]

    def find(self, model: str) -> "tuple[Row, Matched] | None":
        """Find by name, in lower case: the row's own, another that is listed for it, or one of its patterns."""
        for row, match in self._tests:
            how = match(model)
            if how is not None:
                return row, how
        return None

    def find_dated(self, model: str) -> "tuple[Row, Matched] | None":
        """Find by the name with its date written in the other form, where it has one."""
        other = dated(model)
        found = None if other == model else self.find(other)
        return None if found is None else (found[0], "alias" if found[1] == "exact" else found[1])

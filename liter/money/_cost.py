"""The price of a call or of an attempt."""

from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Context, Decimal, Inexact, InvalidOperation
from typing import Literal

import msgspec

Source = Literal["computed", "provider", "mixed", "unbilled"]

# Wide enough for every amount there is, and it raises where it were not: no digit is ever lost in silence.
EXACT = Context(prec=200, traps=[Inexact, InvalidOperation])
_WHOLE = Context(prec=200, rounding=ROUND_CEILING)

_ZERO = Decimal(0)


class Cost(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """An amount of US dollars, exact, and how it came about.

    ``float(cost)`` is for display, sums stay exact: ``first + second``, ``sum(costs)``, and ``Cost.sum`` where some
    may be unknown.

    :param total: US dollars
    :param classes: the amounts that make up ``computed``, by class of token or by what else is billed:
        ``{"text_input": ..., "cache_read": ..., "web_searches": ...}``. Classes without use are left out
    :param source: ``"computed"`` by a price book, as the ``"provider"`` reported it, ``"mixed"`` in sums of both,
        or ``"unbilled"``: nothing was used that a provider charges for
    :param estimated: whether the usage behind it is, in part, an estimate, as for a stream that was cut
    :param computed: what the price book says, also where the provider's own figure is the total; ``None`` where it
        has no price
    :param reported: what the provider reported; ``None`` where it reported nothing
    :param price_version: the version of the price book
    :param match: how the price was found: by the model's ``"exact"`` name, by an ``"alias"``, or by a ``"pattern"``
    :param unpriced: what was used and has no price, and is not in the total, which is then a lower bound: names of
        classes, ``"prompt_tokens"`` or ``"completion_tokens"``
    :param assumed: what the price book does not say, and was priced as something else: ``"service_tier 'scale' at
        the standard price"``
    """

    total: Decimal
    classes: Mapping[str, Decimal] = {}
    source: Source = "computed"
    estimated: bool = False
    computed: Decimal | None = None
    reported: Decimal | None = None
    price_version: str | None = None
    match: Literal["exact", "alias", "pattern"] | None = None
    unpriced: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()

    @staticmethod
    def unbilled() -> "Cost":
        """Nothing was used that a provider charges for: a cache hit, or an error before any output."""
        return _UNBILLED

    @staticmethod
    def sum(costs: "Iterable[Cost | None]") -> "Cost | None":
        """Add up; ``None``, unknown, as soon as one is unknown. Of none at all it is ``Cost.unbilled()``."""
        total = _UNBILLED
        for cost in costs:
            if cost is None:
                return None
            total = cost if total is _UNBILLED else total + cost
        return total

    @property
    def complete(self) -> bool:
        """Whether all that was used is in the total. Otherwise it is a lower bound, see ``unpriced``."""
        return not self.unpriced

    @property
    def exact(self) -> bool:
        """Whether it is neither an estimate nor a lower bound."""
        return not self.estimated and not self.unpriced

    @property
    def picodollars(self) -> int:
        """The total in units of 1e-12 US dollars, rounded up."""
        return int(self.total.scaleb(12, _WHOLE).to_integral_value(context=_WHOLE))

    def __float__(self) -> float:
        return float(self.total)

    def __add__(self, other: object) -> "Cost":
        if not isinstance(other, Cost):
            return NotImplemented
        if other.source == "unbilled":
            return self
        if self.source == "unbilled":
            return other
        add = EXACT.add
        classes = dict(self.classes)
        for name, amount in other.classes.items():
            classes[name] = add(classes.get(name, _ZERO), amount)
        return Cost(
            total=add(self.total, other.total),
            classes=classes,
            source=self.source if self.source == other.source else "mixed",
            estimated=self.estimated or other.estimated,
            computed=_both(self.computed, other.computed),
            reported=_both(self.reported, other.reported),
            price_version=_joined(self.price_version, other.price_version),
            match=self.match if self.match == other.match else None,
            unpriced=_union(self.unpriced, other.unpriced),
            assumed=_union(self.assumed, other.assumed),
        )

    def __radd__(self, other: object) -> "Cost":
        # The 0 that sum() begins with.
        return self if isinstance(other, int) and other == 0 else NotImplemented


_UNBILLED = Cost(total=_ZERO, source="unbilled")


def _both(first: Decimal | None, second: Decimal | None) -> Decimal | None:
    return None if first is None or second is None else EXACT.add(first, second)


def _joined(first: str | None, second: str | None) -> str | None:
    if first is None or second is None or first == second:
        return first or second
    return ", ".join(dict.fromkeys([*first.split(", "), *second.split(", ")]))


def _union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return first if not second else tuple(dict.fromkeys((*first, *second)))

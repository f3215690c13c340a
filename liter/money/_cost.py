"""The price of a call or of an attempt."""

from decimal import Decimal
from typing import Literal

import msgspec


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """An amount of US dollars, exact to the last digit of the price list.

    :param total: US dollars
    :param source: ``"computed"`` from usage and price list, or as the ``"provider"`` reported it
    :param estimated: whether the usage behind it is an estimate, as for a stream that was cut
    """

    total: Decimal
    source: Literal["computed", "provider"] = "computed"
    estimated: bool = False

    def __float__(self) -> float:
        return float(self.total)

"""What calls cost: tokens in classes, price books, and exact amounts that say how they came about."""

from ._book import PriceBook as PriceBook
from ._cost import Cost as Cost
from ._price import Price as Price
from ._provider_prices import ModelPrices as ModelPrices
from ._token_classes import TokenClasses as TokenClasses

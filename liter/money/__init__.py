"""What calls cost: tokens in classes, price books, and exact amounts that say how they came about."""

from ._book import PriceBook as PriceBook
from ._completion_cost import completion_cost as completion_cost
from ._cost import Cost as Cost
from ._counted import counted as counted
from ._counted import is_free as is_free
from ._counted import terms_of as terms_of
from ._estimate import completed as completed
from ._estimate import completion_tokens as completion_tokens
from ._estimate import prompt_tokens as prompt_tokens
from ._expected import expected_usage as expected_usage
from ._expected import output_limit as output_limit
from ._geography import geography_of as geography_of
from ._price import Price as Price
from ._provider_prices import ModelPrices as ModelPrices
from ._token_classes import TokenClasses as TokenClasses

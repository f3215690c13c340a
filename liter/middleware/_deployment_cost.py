"""What calls cost at a pool's deployments, to compare them by."""

from decimal import Decimal
from typing import TypeVar, cast

import msgspec

from .._contract import Call
from .._errors import EndpointNotSupportedError
from ..money import PriceBook, expected_usage, is_free, terms_of
from ..types import Usage
from ._deployment import Deployment

R = TypeVar("R")

# Of a reply without a limit.
_USUAL_OUTPUT = 1000

# Only the length of what it makes matters, so what JSON has no form for may have any.
_ENCODER = msgspec.json.Encoder(enc_hook=str)

# Under which a deployment's own price is listed.
_PROVIDER, _MODEL = "deployment", "stated"

_UNKNOWN = Decimal("Infinity")


class DeploymentCosts:
    """Prices calls before they are sent.

    :param prices: for deployments that state no price of their own; ``None``: the client's
    """

    __slots__ = ("_prices", "_stated")

    def __init__(self, prices: PriceBook | None) -> None:
        self._prices = prices
        self._stated: dict[int, tuple[Deployment, PriceBook]] = {}

    def take(self, deployment: Deployment) -> None:
        """Take a deployment's own price, which wins over the book's."""
        if deployment.price is not None:
            book = PriceBook().with_({f"{_PROVIDER}/{_MODEL}": deployment.price}, version="stated")
            # With the deployment, so that its id stays its own.
            self._stated[id(deployment)] = deployment, book

    def check(self, deployment: Deployment, clients: PriceBook | None) -> None:
        """Check that a deployment has a price.

        :param clients: the price book of the client
        :raises ValueError: it states none, and its model is one of a provider's that the book has no price for
        """
        if deployment.price is not None:
            return
        prices = self._prices or clients or PriceBook.default()
        provider, slash, model = deployment.model.partition("/")
        # Whose a name without a provider is, the client knows, and a call tells.
        if slash and prices.find(provider, model) is None:
            raise ValueError(
                f"{deployment.model!r} has no price in the price book {prices.version}, and 'cheapest' compares "
                f"prices: give it one, as Deployment({deployment.model!r}, price=Price(input=0.15, output=0.60))"
            )

    def cost(self, deployment: Deployment, call: Call[R], usage: Usage) -> Decimal:
        """Return what a call would cost, in US dollars; infinity where that is not known."""
        stated = self._stated.get(id(deployment))
        try:
            if stated is not None:
                cost = stated[1].price(_PROVIDER, _MODEL, usage, terms=terms_of(call.request))
            else:
                route = deployment.routed(call).route
                prices = self._prices or call.prices or PriceBook.default()
                cost = prices.price(route.provider, route.model, usage, terms=terms_of(call.request))
                if cost is None:
                    prices.warn(route.provider, route.model, "no price, so Router takes it for the dearest")
        except EndpointNotSupportedError:
            return _UNKNOWN
        return _UNKNOWN if cost is None else cost.total


def usage_of(call: Call[R]) -> Usage:
    """Guess the tokens of a call, and what else it is billed by."""
    if is_free(call.operation):
        return Usage()
    # Of a chat the messages: tools and what else there is are the same everywhere.
    messages = cast("object", getattr(call.request, "messages", None))
    size = len(_ENCODER.encode(call.request if messages is None else messages))
    return expected_usage(call.request, size=size, usual_output=_USUAL_OUTPUT)

"""One deployment of a pool, and what a router knows of it."""

import math
from typing import TypeVar, cast

import msgspec
from msgspec.structs import force_setattr, replace

from .._circuit import Circuit
from .._circuit_share import CircuitShare
from .._contract import Attempt, Call
from .._http import parse_base_url, same_origin
from .._key import check_key
from .._number import is_number
from .._secret import Secret
from ..money import Price

R = TypeVar("R")

# Weight of the latest sample. The last seven make up 92 % of the mean.
_ALPHA = 0.3


class Deployment(msgspec.Struct, frozen=True):
    """A place where a pool's calls can go.

    :param model: as a call would name it: ``"openai/gpt-4o-mini"``
    :param weight: its share of the calls, relative to the pool's others, wherever there is a choice
    :param api_key: a key of its own; by default the client's for that provider
    :param base_url: an address of its own; by default the client's for that provider. The client's key is not
        sent there unless it is the same server: give the ``api_key`` that belongs to it
    :param price: what it costs, for the strategy ``"cheapest"``; by default by the router's price book
    :raises ValueError: a field makes no sense
    """

    model: str
    weight: float = 1.0
    api_key: str | Secret | None = None
    base_url: str | None = None
    price: Price | None = None

    def __post_init__(self) -> None:
        if not isinstance(cast("object", self.model), str) or not self.model.rpartition("/")[2]:
            raise ValueError(f"model must be a model's name, as 'openai/gpt-4o-mini', not {self.model!r}")
        if not (is_number(self.weight) and 0 < self.weight < math.inf):
            raise ValueError(f"weight must be above 0, not {self.weight!r}: leave out what should get no calls")
        if self.base_url is not None:
            parse_base_url(self.base_url)
        if self.api_key is not None:
            force_setattr(self, "api_key", check_key(self.api_key, "api_key"))
        price = cast("object", self.price)
        if price is not None and not isinstance(price, Price):
            raise ValueError(f"price must be a Price, as Price(input=0.15, output=0.60), not {price!r}")

    def routed(self, call: Call[R]) -> Call[R]:
        """Return the call with the route to here.

        :raises EndpointNotSupportedError: the provider does not offer the operation
        """
        call = call.to(self.model)
        if self.api_key is None and self.base_url is None:
            return call
        route = call.route
        base_url = self.base_url or route.base_url
        if isinstance(self.api_key, Secret):
            route = replace(route, api_key=self.api_key, credentials=None)
        elif not same_origin(base_url, route.base_url):
            route = replace(route, api_key=None, credentials=None)
        return call.at(replace(route, base_url=base_url))


class Estimate:
    """How long a deployment takes to answer, and how often it does: means that forget, one sample at a time.

    :ivar seconds: exponentially weighted mean to the reply, or a stream's first event; ``None``: never answered
    :ivar success: the same of 1 for each success and 0 for each failure; ``None``: never tried
    """

    __slots__ = ("seconds", "success")

    def __init__(self) -> None:
        self.seconds: float | None = None
        self.success: float | None = None

    @property
    def works(self) -> bool:
        """Whether it succeeds more often than not, lately. It does until it is tried."""
        return self.success is None or self.success >= 0.5

    @property
    def cost(self) -> float:
        """Seconds until it would have answered, if tried again at once after each failure."""
        if self.seconds is None or not self.success:
            return math.inf
        return self.seconds / self.success

    def succeeded(self, seconds: float) -> None:
        self.seconds = _mean(self.seconds, seconds)
        self.success = _mean(self.success, 1.0)

    def failed(self, seconds: float) -> None:
        """A failure may be slow, but is never fast: the time counts if it is more than a success takes."""
        self.success = _mean(self.success, 0.0)
        self.given_up(seconds)

    def given_up(self, seconds: float) -> None:
        """It would have taken longer than this."""
        if self.seconds is not None and seconds > self.seconds:
            self.seconds = _mean(self.seconds, seconds)

    def forget(self) -> None:
        """Be as if never tried."""
        self.seconds = self.success = None


def _mean(mean: float | None, sample: float) -> float:
    return sample if mean is None else mean + _ALPHA * (sample - mean)


class Health:
    """What is known of a deployment, in all pools it is in.

    :ivar unary: estimate for whole replies, and ``stream`` for first events
    """

    __slots__ = ("_in_flight", "circuit", "share", "stream", "unary")

    def __init__(self, circuit: Circuit, share: CircuitShare | None = None) -> None:
        self.circuit: Circuit = circuit
        self.share: CircuitShare | None = share
        self.unary: Estimate = Estimate()
        self.stream: Estimate = Estimate()
        # A dictionary, as its steps are atomic: a finalizer in any thread may be what ends a call. It has the calls'
        # records of attempts, which tell them apart.
        self._in_flight: dict[object, list[Attempt]] = {}

    @property
    def in_flight(self) -> int:
        """Calls that are under way, up to the end of their replies."""
        return len(self._in_flight)

    def begin(self, scope: object, attempts: list[Attempt]) -> None:
        self._in_flight[scope] = attempts

    def end(self, scope: object) -> None:
        self._in_flight.pop(scope, None)

    def serves(self, attempts: list[Attempt]) -> bool:
        """Whether the call with this record of attempts is under way here."""
        return any(others is attempts for others in list(self._in_flight.values()))

    def estimate(self, *, stream: bool) -> Estimate:
        return self.stream if stream else self.unary


class Member:
    """A deployment in a pool.

    :ivar label: tells it from the pool's others, the same in every process that has the same pool
    :ivar credit: what smooth weighted round robin owes it
    """

    __slots__ = ("credit", "deployment", "health", "label")

    def __init__(self, deployment: Deployment, health: Health, label: str) -> None:
        self.deployment: Deployment = deployment
        self.health: Health = health
        self.label: str = label
        self.credit: float = 0.0

    def unknown(self, *, stream: bool) -> bool:
        """Whether nobody knows yet, or any more, how well it does."""
        health = self.health
        return health.estimate(stream=stream).success is None or health.circuit.state != "closed"

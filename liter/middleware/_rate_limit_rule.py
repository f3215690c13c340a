"""What is limited: how much of what in which time, for whom, and how much of it one call wants."""

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

import msgspec

from .._contract import Call
from .._number import is_number
from .._rate_headers import Unit
from .._secret import Secret
from ..money import output_limit
from ..stores import Bucket
from ..types import Usage

# What calls have in common that share a bucket.
Group = tuple[str | Secret | None, ...]
By = tuple[str, ...] | Callable[[Call[object]], str | None]

Period = Literal["second", "minute", "hour", "day"]

_SECONDS: dict[str, float] = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
ROUTE_PARTS = ("provider", "model", "key")

# Of English text; "about 4 characters" says OpenAI's help page on tokens.
_BYTES_PER_TOKEN = 4

# Where the request has no limit: about a page of text.
_USUAL_OUTPUT = 1000

# From here on digits are written in groups of three.
_MANY = 1e6


class Limit(msgspec.Struct, frozen=True):
    """Let ``amount`` of ``unit`` through in each ``per``, for each group of calls that ``by`` makes.

    It is a token bucket: full it holds ``burst``, and ``amount`` flows in over each ``per``, evenly. So in any stretch
    of *t* seconds at most ::

        burst + t * amount / per

    go through. With the default burst an idle limit lets a whole ``amount`` through at once, as providers do.

    :param amount: how many
    :param unit: ``"requests"``, ``"tokens"`` (input and output together), ``"input_tokens"``, ``"output_tokens"``
    :param per: ``"second"``, ``"minute"``, ``"hour"`` or ``"day"``
    :param by: whose calls share it: names out of ``"provider"`` (its address included), ``"model"``, ``"key"`` (a
        hash of the API key; one that comes from a source is no other than the next) and ``"tag:<name>"``; or a
        function of the call that returns a name, ``None`` for calls without one; ``()`` is all calls
    :param burst: what may go through at once after a time without calls; ``amount`` by default
    :raises ValueError: a number that is not above 0, or a name that means nothing
    """

    amount: float
    unit: Unit
    per: Period = "minute"
    by: By = ROUTE_PARTS
    burst: float | None = None

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit):
            raise ValueError(f"unit must be one of {', '.join(get_args(Unit))}, not {self.unit!r}")
        if self.per not in _SECONDS:
            raise ValueError(f"per must be one of {', '.join(_SECONDS)}, not {self.per!r}")
        for name, value in (("amount", self.amount), ("burst", self.burst)):
            if value is not None and not (is_number(value) and 0 < value < math.inf):
                raise ValueError(f"{name} must be a number of {self.unit} above 0, not {value!r}")
        if callable(self.by):
            return
        if not isinstance(self.by, tuple):
            raise ValueError(f"by must be a tuple of names, such as ('provider', 'model'), not {self.by!r}")
        for name in self.by:
            if name not in ROUTE_PARTS and not (isinstance(name, str) and name.startswith("tag:") and name != "tag:"):
                raise ValueError(f"by: {name!r} must be one of {', '.join(ROUTE_PARTS)}, or a tag such as 'tag:tenant'")

    @property
    def refill(self) -> float:
        """What flows in, per second."""
        return self.amount / _SECONDS[self.per]

    @property
    def capacity(self) -> float:
        """What a full bucket holds."""
        return self.amount if self.burst is None else self.burst

    @property
    def name(self) -> str:
        """All that makes a limit what it is: one that was changed begins anew, beside the old one."""
        kind = f"by {_named(self.by)}" if callable(self.by) else ",".join(self.by)
        return f"{self.unit}:{self.amount:g}/{self.per}:{self.capacity:g}:{kind}"

    def bucket(self, group: "Group", name: str) -> Bucket:
        """Make the bucket of a group of calls, see :func:`group_of`, of which nothing is wanted.

        :param name: that of the limit, or another where several have the same
        """
        return Bucket(key=f"liter:limit:{name}:{digest(group)}", capacity=self.capacity, refill=self.refill, amount=0.0)

    def __str__(self) -> str:
        amount = f"{self.amount:g}" if self.amount < _MANY else f"{self.amount:,.15g}"
        whose = "" if self.by == ROUTE_PARTS else f" by {_named(self.by)}"
        return f"{amount} {self.unit} per {self.per}{whose}"


def _named(by: tuple[str, ...] | Callable[[Call[object]], object]) -> str:
    if callable(by):
        return getattr(by, "__name__", type(by).__name__)
    return " and ".join(by) or "all calls"


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """How much a call takes of everything there are limits for."""

    requests: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0

    @property
    def tokens(self) -> float:
        return self.input_tokens + self.output_tokens

    def of(self, unit: Unit) -> float:
        """How much of ``unit``."""
        amount: float = getattr(self, unit)
        return amount

    def settled(self, usage: Usage, *, whole: bool) -> "Demand":
        """The same request, with the tokens that it turned out to take.

        :param whole: whether the reply was read to its end; else output may have been made that was not reported yet
        """
        output = float(usage.completion_tokens)
        return Demand(
            requests=self.requests,
            input_tokens=float(usage.prompt_tokens),
            output_tokens=output if whole or output > self.output_tokens else self.output_tokens,
        )


class Want(NamedTuple):
    """What a call takes from one bucket.

    :param limit: the limit; as a ``str``, in words
    :param lasting: whether the bucket tells how fast a line goes on, once its first has gone
    """

    limit: object
    unit: Unit
    bucket: Bucket
    lasting: bool = True


def estimate_tokens(call: Call[object]) -> tuple[float, float]:
    """Guess the input and output tokens of a call: a quarter of the request's bytes as JSON, and its output limit.

    Without a limit it is 1000 for each choice, and nothing where the operation has none to set.
    """
    # Only its length matters, so what JSON has no form for may have any.
    size = len(_encode(call.request))
    return size / _BYTES_PER_TOKEN, float(output_limit(call.request, _USUAL_OUTPUT))


_encode = msgspec.json.Encoder(enc_hook=str).encode


def account(call: Call[object]) -> str:
    """Name what providers count by, provider, model and key, in a form that tells nobody the key."""
    return digest(group_of(call, ROUTE_PARTS))


def group_of(call: Call[object], by: By) -> Group:
    """Tell which group a call is in, by what a limit's ``by`` names."""
    return (_name_by(by, call),) if callable(by) else tuple([_part(call, name) for name in by])


def _name_by(by: Callable[[Call[object]], object], call: Call[object]) -> str | None:
    name = by(call)
    # None is the name of those without one, as with a tag.
    if name is not None and not isinstance(name, str):
        raise ValueError(f"by: {_named(by)} must return a name as a str, not {name!r}")
    return name


def digest(parts: Sequence[str | Secret | None]) -> str:
    """Make a short name of others, which may be long, and not for everyone to read."""
    # As JSON, since joined with any separator two lists could make one text.
    told = [_fingerprint(part) if isinstance(part, Secret) else part for part in parts]
    return hashlib.blake2b(msgspec.json.encode(told), digest_size=16).hexdigest()


def _fingerprint(key: Secret) -> str:
    return hashlib.sha256(b"liter api key:" + key.reveal().encode()).hexdigest()


def _part(call: Call[object], name: str) -> str | Secret | None:
    route = call.route
    if name == "provider":
        return f"{route.provider} {route.base_url}"
    if name == "model":
        return route.model
    if name == "key":
        return route.api_key
    return call.tags.get(name.removeprefix("tag:"))

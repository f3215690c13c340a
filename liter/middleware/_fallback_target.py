"""A model to fall back to, and the errors that lead there."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Literal, TypeVar, cast

import msgspec

from .. import types
from .._contract import Call
from .._errors import (
    AuthenticationError,
    BadRequestError,
    EndpointNotSupportedError,
    LlmError,
    LlmTimeoutError,
    NotFoundError,
    RateLimitedError,
    SerializationError,
)
from .._number import is_number

R = TypeVar("R")

PrefixReply = Literal["continued", "repeated"]

Condition = type[LlmError] | tuple[type[LlmError], ...] | Callable[[LlmError], bool]

# Facts about one provider, account or model, so that another one may do. What is wrong with the request itself
# (BadRequestError and its kin), or what the application's own limits and hooks refuse, is wrong everywhere.
_ELSEWHERE = (
    AuthenticationError,
    EndpointNotSupportedError,
    LlmTimeoutError,
    NotFoundError,
    RateLimitedError,
    SerializationError,
)


def may_work_elsewhere(error: LlmError) -> bool:
    """Tell whether another model may do what this one refused: the default of :class:`Fallback`.

    It may after what is ``retryable``, and after a timeout, an exhausted quota, a missing or refused key, an unknown
    model, an operation that is not offered, and a reply that cannot be read.
    """
    return error.retryable or isinstance(error, _ELSEWHERE)


def cannot_be_asked(error: LlmError, call: Call[R], before: int) -> bool:
    """Tell whether a target's provider cannot say what the request says, as its codec finds before anything is sent.

    :param before: how many attempts were on the record of the call
    """
    return isinstance(error, BadRequestError) and len(call.attempts) == before


class Target(msgspec.Struct, frozen=True):
    """A model to fall back to, and what is different there.

    :param model: as for the client: ``"provider/model"``
    :param changes: fields of the request, with the values they have there; calls whose requests have other fields, as
        those of another operation, do not go there
    :param when: the errors that lead here, in place of the ``when`` of the ``Fallback``
    :param share: as the ``share`` of the ``Fallback``, for this model
    :param prefix: how the model answers a conversation that ends with the beginning of its own answer: what comes
        next is ``"continued"`` (DeepSeek, Anthropic's models up to 4.5), or the beginning is ``"repeated"`` first
        (Mistral). ``None`` is neither: no stream is continued there
    :raises ValueError: ``changes`` has the model, or a value makes no sense
    """

    model: str
    changes: Mapping[str, object] = {}
    when: Condition | None = None
    share: float | None = None
    prefix: PrefixReply | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model:
            raise ValueError(f"model must be a name such as 'provider/model', not {self.model!r}")
        changes = cast("object", self.changes)
        names = list(cast("Mapping[object, object]", changes)) if isinstance(changes, Mapping) else [None]
        if not all(isinstance(name, str) for name in names):
            raise ValueError(
                f"changes must be fields of the request by name, as {{'temperature': 0.0}}, not {changes!r}"
            )
        if "model" in names:
            raise ValueError("changes must not have 'model': it is a parameter of Target itself")
        if self.when is not None:
            check_condition(self.when)
        if self.share is not None:
            check_share(self.share)
        if self.prefix not in (None, "continued", "repeated"):
            raise ValueError(f"prefix must be 'continued', 'repeated' or None, not {self.prefix!r}")

    def told(self) -> str:
        """The model, and what is different there, for people."""
        told, when = [self.model], cast("object", self.when)
        if when is not None:
            classes = cast("tuple[object, ...]", when) if isinstance(when, tuple) else (when,)
            names = [str(getattr(each, "__name__", "")) for each in classes]
            told.append(f"when {' or '.join(name if name.isidentifier() else 'a function' for name in names)}")
        if self.changes:
            told.append(f"with {', '.join(f'{name}={value!r}' for name, value in self.changes.items())}")
        return " ".join(told)


def check_condition(when: object) -> None:
    """Check an argument ``when``. :raises ValueError: it is no condition"""
    classes: tuple[object, ...] = cast("tuple[object, ...]", when) if isinstance(when, tuple) else (when,)
    if isinstance(when, tuple | type):
        if not classes or not all(isinstance(each, type) and issubclass(each, LlmError) for each in classes):
            raise ValueError(f"when must name subclasses of LlmError, or be a function of the error, not {when!r}")
    elif not callable(when):
        raise ValueError(f"when must be an error class, a tuple of them, or a function of the error, not {when!r}")


def check_field(target: Target, name: str, kind: str) -> None:
    """Check a field that ``target`` changes, and requests of a ``kind`` do not have.

    :raises ValueError: none has
    """
    known: set[str] = set()
    for request in vars(types).values():
        if isinstance(request, type) and request.__name__.endswith("Request"):
            known.update(cast("tuple[str, ...]", getattr(request, "__struct_fields__", ())))
    if name not in known:
        nearest = get_close_matches(name, known, 1)
        remedy = f"did you mean {nearest[0]!r}?" if nearest else "see extra_body"
        raise ValueError(f"changes of {target.model!r}: {kind} has no {name!r}; {remedy}")


def check_share(share: float) -> None:
    """Check an argument ``share``. :raises ValueError: it is no part of a whole"""
    if not (is_number(share) and 0 < share <= 1):
        raise ValueError(f"share must be above 0 and at most 1, the part of the time left, not {share!r}")

"""What becomes of each parameter of a request on a provider's wire: one table, which is its documentation too."""

import logging
from collections.abc import Mapping
from functools import cache
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from .._contract import Call
from .._errors import BadRequestError

_LOGGER = logging.getLogger("liter")


class Sent(msgspec.Struct, frozen=True):
    """It is sent under its own name, as it is."""


class Renamed(msgspec.Struct, frozen=True):
    """It is sent as it is, under the name ``to``."""

    to: str


class Mapped(msgspec.Struct, frozen=True):
    """It is sent in another form; ``how`` says which, for the documentation."""

    how: str


class Unsupported(msgspec.Struct, frozen=True):
    """The wire has no place for it; ``instead`` says what a caller may do.

    :param neutral: values that ask for what the provider does anyway: they are left out without a word
    """

    instead: str = ""
    neutral: tuple[object, ...] = ()


Rule = Sent | Renamed | Mapped | Unsupported

Request = TypeVar("Request", bound=msgspec.Struct)


@cache
def _defaults(kind: type[msgspec.Struct]) -> Mapping[str, object]:
    return {field.name: field.default for field in msgspec.structs.fields(kind)}


def supported(rules: Mapping[str, Rule], request: Request, call: Call[object]) -> Request:
    """Return the request without what its provider does not take, as the call's ``unsupported`` says.

    A parameter that has its default was not given. Those that the table does not name are refused, too.

    :raises BadRequestError: a parameter was given that the provider does not take, and it is not to be dropped
    """
    given = {
        name: rules.get(name, _UNKNOWN)
        for name, default in _defaults(type(request)).items()
        if getattr(request, name) is not default
    }
    absent = {name: rule for name, rule in given.items() if isinstance(rule, Unsupported)}
    if not absent:
        return request
    defaults = _defaults(type(request))
    refused = {name: rule for name, rule in absent.items() if not _among(getattr(request, name), rule.neutral)}
    taken = replace(request, **{name: defaults[name] for name in absent})
    if not refused:
        return taken
    provider = call.route.provider
    if call.unsupported == "raise":
        name, rule = next(iter(refused.items()))
        instead = f"{rule.instead}, " if rule.instead else ""
        raise BadRequestError(
            f"{provider} does not take {name!r}: {instead}leave it out, or pass unsupported='drop'",
            provider=provider,
            model=call.route.model or None,
        )
    _LOGGER.warning("%s does not take %s: dropped", provider, ", ".join(map(repr, refused)))
    return taken


def refuse(call: Call[object], what: str, instead: str = "") -> None:
    """Refuse one value of a parameter, or one part of a message, that its provider does not take; or drop it.

    :param what: it, as in "image detail 'low'"
    :param instead: what would be right, as in "leave it out"
    :raises BadRequestError: it is not to be dropped
    """
    provider = call.route.provider
    if call.unsupported == "raise":
        raise BadRequestError(
            f"{provider} does not take {what}: {instead + ', or ' if instead else ''}pass unsupported='drop'",
            provider=provider,
            model=call.route.model or None,
        )
    _LOGGER.warning("%s does not take %s: dropped", provider, what)


def refuse_given(call: Call[object], *names: str, of: str = "") -> None:
    """Refuse parameters that are given and that the provider does not take, or drop them.

    :param of: whose they are, as in " of a batch"
    :raises BadRequestError: one is not to be dropped
    """
    for name in names:
        if getattr(call.request, name) is not None:
            refuse(call, f"{name!r}{of}", "leave it out")


def _among(value: object, neutral: tuple[object, ...]) -> bool:
    # True is no 1 here.
    return any(type(value) is type(other) and value == other for other in neutral)


_UNKNOWN = Unsupported()

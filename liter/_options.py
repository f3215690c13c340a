"""Options of a call that are not part of its request."""

from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

from ._call import CacheMode
from ._contract import Timeouts
from ._key import ApiKey
from ._number import is_number


class CallOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What every method takes beside its request.

    :param timeout: seconds, or ``Timeouts``; instead of the client's. See ``LlmClient``
    :param extra_headers: added to the request, replacing the provider's own of the same name
    :param api_key: instead of the client's, for this call's provider: a key, or where to get it
    :param base_url: instead of the provider's own
    :param tags: labels for layers, hooks and telemetry
    :param unsupported: instead of the client's: whether a parameter that the provider does not take is an error
        (``"raise"``), or is dropped with a warning in the log (``"drop"``)
    :param cache: what a ``Cache`` layer does with the call: ``"use"`` it, the default; ``"refresh"`` makes the request
        and keeps its answer; ``"off"`` neither looks up nor keeps
    """

    timeout: float | Timeouts | None = None
    extra_headers: Mapping[str, str] | None = None
    api_key: ApiKey | None = None
    base_url: str | None = None
    tags: Mapping[str, str] | None = None
    unsupported: Literal["raise", "drop"] | None = None
    cache: CacheMode | None = None


DEFAULTS = CallOptions()


def check_kind(
    value: object, field: str, kind: type | tuple[type, ...], wanted: str, *, optional: bool = False
) -> None:
    """Check that an argument is what its type says, for callers who use no type checker. A ``bool`` is no number.

    :raises ValueError: it is something else; ``wanted`` says what would be right
    """
    if value is None and optional:
        return
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{field} must be {wanted}, not {value!r}")


def check_timeout(timeout: float | Timeouts) -> Timeouts | float:
    """Check time limits.

    :raises ValueError: one is not a positive number of seconds
    """
    if isinstance(timeout, Timeouts):
        for name in ("connect", "first_event", "between_events", "total"):
            seconds = getattr(timeout, name)
            if seconds is None:
                continue
            if not is_number(seconds) or not seconds > 0:
                raise ValueError(f"timeout.{name} must be a positive number of seconds, or None, not {seconds!r}")
    elif not is_number(timeout) or not timeout > 0:
        raise ValueError(f"timeout must be a positive number of seconds or liter.Timeouts(...), not {timeout!r}")
    return timeout


def resolve_timeout(timeout: float | Timeouts, *, stream: bool) -> Timeouts:
    """Make the four limits of one number.

    The number bounds a unary call as a whole. A stream may go on for longer: there it bounds the time to the
    first event, and each gap between events. A connection gets 10 seconds of it at most.
    """
    if isinstance(timeout, Timeouts):
        return timeout
    connect = min(10.0, timeout)
    if stream:
        return Timeouts(connect=connect, first_event=timeout, between_events=timeout)
    return Timeouts(connect=connect, total=timeout)


def check_tags(tags: Mapping[str, str]) -> Mapping[str, str]:
    """Check the labels of a call: layers make keys, and telemetry attributes, of them.

    :raises ValueError: they are no mapping of texts to texts
    """
    if not isinstance(tags, Mapping):
        raise ValueError(f"tags must be texts by their names, as {{'tenant': 'acme'}}, not {tags!r}")
    for name, value in tags.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise ValueError(f"tags must be texts: {name!r} is {value!r}")
    return tags


def check_unsupported(unsupported: str) -> None:
    """Check what is to become of parameters that a provider does not take.

    :raises ValueError: it is neither ``"raise"`` nor ``"drop"``
    """
    if unsupported not in ("raise", "drop"):
        raise ValueError(f"unsupported must be 'raise' or 'drop', not {unsupported!r}")


def check_cache(cache: str) -> None:
    """Check what a cache is to do with a call.

    :raises ValueError: it is none of the three
    """
    if cache not in get_args(CacheMode):
        raise ValueError(f"cache must be 'use', 'refresh' or 'off', not {cache!r}")

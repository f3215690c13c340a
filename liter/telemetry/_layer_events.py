"""What layers tell the listeners of a call, as span events: any event of any layer, the application's own included."""

import re
from decimal import Decimal
from typing import cast

import msgspec

from . import _names as names
from ._request import Attributes
from ._response import error_type

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def event_name(event: object) -> str:
    """Return the name of an event's class in snake case: ``rate_limit_waiting``."""
    return _WORD.sub("_", type(event).__name__).lower()


def event_attributes(name: str, event: object) -> Attributes:
    """Tell an event's numbers, which error it is about, and which model it names.

    Text is told of liter's own events alone: they hold nothing of the request, and of others that is not known.
    """
    prefix, attributes = names.OWN.format(name), Attributes()
    if not isinstance(event, msgspec.Struct):
        return attributes
    ours = type(event).__module__.startswith("liter.")
    for field in event.__struct_fields__:
        value = getattr(event, field)
        told: object = None
        if isinstance(value, bool | int | float):
            told = value
        elif isinstance(value, Decimal):
            told = float(value)
        elif isinstance(value, BaseException):
            told = error_type(value)
        elif isinstance(value, str) and ours:
            told = value
        elif field == "statuses" and isinstance(value, tuple):
            # Of a budget's limits, the one that is nearest to its end.
            left = [getattr(status, "left", None) for status in cast("tuple[object, ...]", value)]
            known = [float(each) for each in left if isinstance(each, Decimal)]
            attributes.update({f"{prefix}.left": min(known)} if known else {})
        elif field != "call" and ours:
            told = getattr(value, "model", None)
        if isinstance(told, str | bool | int | float):
            attributes[f"{prefix}.{field}"] = told
    return attributes

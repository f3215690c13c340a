"""Reads Google's JSON field by field: what has another form than expected reads as absent, and nothing raises."""

from typing import cast

import msgspec

from .._contract import Call
from ._count import count_of as count_of
from ._read import unreadable
from ._unix_time import unix_time_of as unix_time_of

JsonObject = dict[str, object]


def decode_json(body: bytes) -> object:
    """Decode JSON.

    :raises ValueError: it is not JSON (which is UTF-8), or is nested too deeply to be read
    """
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_fields(call: Call[object], body: bytes, what: str) -> JsonObject:
    """Decode a whole reply, which should be ``what``. :raises SerializationError: it is not JSON"""
    try:
        return fields_of(decode_json(body))
    except ValueError as error:
        raise unreadable(body, what, error, provider=call.route.provider, model=call.route.model) from error


def fields_of(value: object) -> JsonObject:
    """A JSON object, as it is; an empty one in place of anything else."""
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def items_of(value: object) -> list[object]:
    """A JSON array, as it is; an empty one in place of anything else."""
    return cast("list[object]", value) if isinstance(value, list) else []


def objects_of(value: object) -> list[JsonObject]:
    """The JSON objects in an array."""
    return [cast("JsonObject", item) for item in items_of(value) if isinstance(item, dict)]


def documents_of(body: object) -> list[JsonObject]:
    """The JSON objects that a body is, or is a list of: without ``alt=sse``, streams and errors come in an array."""
    return objects_of(body) or [fields_of(body)]


def text_of(value: object) -> str | None:
    """A text, or ``None``."""
    return value if isinstance(value, str) else None


def word_of(value: object) -> str | None:
    """The word of an enumeration; Google's servers send its number where they are asked to."""
    if isinstance(value, bool):
        return None
    return str(value) if isinstance(value, int) else text_of(value)


def number_of(value: object) -> float | None:
    """A number, or ``None``."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

"""Parameters that may be given as mappings, in OpenAI's form, or as types: as the structs that codecs read."""

from collections.abc import Mapping
from typing import cast

import msgspec

from .._contract import Call
from .._errors import BadRequestError
from ..types import JsonObjectFormat, JsonSchema, JsonSchemaFormat, TextFormat, ToolChoice
from ..types._response_format import format_of_type
from ._parameters import refuse

_FORMATS = TextFormat | JsonObjectFormat | JsonSchemaFormat
_CHOICES = ("function", "custom", "allowed_tools")


def typed(value: object, name: str, kind: object) -> object:
    """A parameter that may be given as a mapping, as its struct. :raises BadRequestError: it is none"""
    if not isinstance(value, Mapping):
        return value
    try:
        return cast("object", msgspec.convert(value, kind))
    except msgspec.ValidationError as error:
        raise BadRequestError(f"{name}: {error}") from None


def typed_choice(choice: object) -> object:
    """A choice given as a mapping in OpenAI's form as a struct; in another form, as it is."""
    if isinstance(choice, Mapping) and cast("Mapping[str, object]", choice).get("type") in _CHOICES:
        return typed(cast("object", choice), "tool_choice", ToolChoice)
    return cast("ToolChoice | Mapping[str, object] | str | None", choice)


def typed_format(asked: object) -> object:
    """A ``response_format`` as its struct; of a type, the one that asks for JSON of its schema."""
    if isinstance(asked, type):
        return format_of_type(asked)
    return typed(asked, "response_format", _FORMATS)


def schema_of(asked: object, call: Call[object], who: str) -> JsonSchema | None:
    """The schema that a ``response_format`` asks for, where JSON without one is not known; ``None``: it asks for none.

    :param who: the provider's name, for the error
    :raises BadRequestError: it asks for JSON of no schema
    """
    if asked is None:
        return None
    wanted = typed_format(asked)
    if isinstance(wanted, JsonObjectFormat):
        refuse(call, "response_format of type 'json_object'", "give a json_schema")
    if not isinstance(wanted, JsonSchemaFormat):
        return None
    if wanted.json_schema.schema is None:
        raise BadRequestError(f"response_format: {who} needs the schema of a json_schema")
    return wanted.json_schema

"""Parameters that may be given as mappings, in OpenAI's form, as the structs that codecs read."""

from collections.abc import Mapping
from typing import cast

import msgspec

from .._errors import BadRequestError
from ..types import ToolChoice

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

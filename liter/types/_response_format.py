"""What form a reply has: plain text, any JSON, or JSON of a schema, given as such or as a Python type.

A type is a msgspec struct, a dataclass, a TypedDict or a pydantic model. Its schema is brought to the strict
subset that OpenAI documents for structured outputs (every object closed, every property required), once per
type, and the reply's text is decoded back into it.
"""

import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Protocol, TypeVar, cast, is_typeddict
from weakref import WeakKeyDictionary

import msgspec

from ._response import JsonObject

T = TypeVar("T")


class JsonSchema(
    msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A named JSON Schema.

    :param name: letters, digits, ``_`` and ``-``, at most 64
    :param strict: whether the reply must keep to the schema exactly
    """

    name: str
    description: str | None = None
    schema: dict[str, object] | None = None
    strict: bool | None = None


class TextFormat(
    msgspec.Struct, repr_omit_defaults=True, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="text"
):
    """Plain text, the default."""


class JsonObjectFormat(
    msgspec.Struct,
    repr_omit_defaults=True,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="json_object",
):
    """Some JSON object; the prompt says which."""


class JsonSchemaFormat(
    msgspec.Struct,
    repr_omit_defaults=True,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="json_schema",
):
    """JSON of a schema."""

    json_schema: JsonSchema


ResponseFormat = TextFormat | JsonObjectFormat | JsonSchemaFormat


class _PydanticModel(Protocol):
    # Known by its methods, so that pydantic is never imported for those who do not use it.
    def model_json_schema(self) -> JsonObject: ...
    def model_validate_json(self, json_data: str, /) -> object: ...


def _pydantic(kind: type) -> _PydanticModel | None:
    is_model = hasattr(kind, "model_json_schema") and hasattr(kind, "model_validate_json")
    return cast("_PydanticModel", kind) if is_model else None


_WANTED = (
    "response_format must be a mapping, such as {'type': 'json_object'}, or a msgspec struct, dataclass, TypedDict or"
    " pydantic model"
)

_formats: WeakKeyDictionary[type, JsonSchemaFormat] = WeakKeyDictionary()


def check_format(told: object) -> None:
    """Check what a request says about the form of its reply. :raises ValueError: it can be none"""
    if isinstance(told, type):
        format_of_type(told)
    elif not isinstance(told, Mapping | TextFormat | JsonObjectFormat | JsonSchemaFormat):
        raise ValueError(f"{_WANTED}, not {told!r}")


def format_of_type(kind: type) -> JsonSchemaFormat:
    """Make the response format that asks for JSON of a type.

    :raises ValueError: not a struct, dataclass, TypedDict or pydantic model, or one that a strict
        schema cannot express
    """
    made = _formats.get(kind)
    if made is None:
        name = re.sub(r"[^A-Za-z0-9_-]", "_", kind.__name__)[:64]
        made = _formats[kind] = JsonSchemaFormat(JsonSchema(name=name, schema=_strict_schema(kind), strict=True))
    return made


def decode_as(kind: type[T], text: str) -> T:
    """Decode a reply's JSON text into a type.

    :raises ValueError: the text is not JSON of that type; a reply cut by its token limit rarely is
    """
    model = _pydantic(kind)
    if model is not None:
        return cast("T", model.model_validate_json(text))
    return msgspec.json.decode(text, type=kind)


def _strict_schema(kind: type) -> JsonObject:
    model = _pydantic(kind)
    if model is not None:
        schema = model.model_json_schema()
    elif _is_record(kind):
        schema = msgspec.json.schema(kind)
    else:
        raise ValueError(f"{_WANTED}, not {kind.__name__}")
    definitions = cast("JsonObject", schema.pop("$defs", {}))
    root = schema.get("$ref")
    if isinstance(root, str):
        # OpenAI wants an object at the top. The definition stays where another refers to it.
        name = root.removeprefix("#/$defs/")
        schema = dict(cast("JsonObject", definitions[name]))
        if not _refers(definitions, root):
            del definitions[name]
    if definitions:
        schema["$defs"] = definitions
    return cast("JsonObject", _closed(schema, kind.__name__))


def _is_record(kind: object) -> bool:
    return is_dataclass(kind) or is_typeddict(kind) or (isinstance(kind, type) and issubclass(kind, msgspec.Struct))


def _refers(node: object, reference: str) -> bool:
    if isinstance(node, list):
        return any(_refers(item, reference) for item in cast("list[object]", node))
    if not isinstance(node, dict):
        return False
    fields = cast("JsonObject", node)
    return fields.get("$ref") == reference or any(_refers(value, reference) for value in fields.values())


def _closed(node: object, where: str) -> object:
    """Close every object, require every property, and leave out what the strict subset does not have."""
    if isinstance(node, list):
        return [_closed(item, where) for item in cast("list[object]", node)]
    if not isinstance(node, dict):
        return node
    closed: JsonObject = {}
    for key, value in cast("JsonObject", node).items():
        if key in ("properties", "$defs"):
            inner = cast("JsonObject", value)
            closed[key] = {name: _closed(schema, f"{where}.{name}") for name, schema in inner.items()}
        elif key not in ("default", "discriminator"):
            closed[key] = _closed(value, where)
    if closed.get("type") == "object":
        if closed.get("additionalProperties") not in (None, False):
            raise ValueError(
                f"response_format: {where} is a mapping with free keys, which a strict schema cannot say:"
                f" name its keys, or make it a list of pairs"
            )
        properties = cast("JsonObject", closed.setdefault("properties", {}))
        closed.update(required=list(properties), additionalProperties=False)
    return closed

"""What form a reply has: plain text, any JSON, or JSON of a schema, given as such or as a Python type.

A type is a msgspec struct, a dataclass, a TypedDict or a pydantic model. Its schema is brought to the strict
subset that OpenAI documents for structured outputs (every object closed, every property required), once per
type, and the reply's text is decoded back into it.
"""

import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Protocol, TypeVar, cast, is_typeddict, runtime_checkable
from weakref import WeakKeyDictionary

import msgspec

T = TypeVar("T")


class JsonSchema(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A named JSON Schema.

    :param name: letters, digits, ``_`` and ``-``, at most 64
    :param strict: whether the reply must keep to the schema exactly
    """

    name: str
    description: str | None = None
    schema: dict[str, object] | None = None
    strict: bool | None = None


class TextFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="text"):
    """Plain text, the default."""


class JsonObjectFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="json_object"):
    """Some JSON object; the prompt says which."""


class JsonSchemaFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="json_schema"):
    """JSON of a schema."""

    json_schema: JsonSchema


ResponseFormat = TextFormat | JsonObjectFormat | JsonSchemaFormat


@runtime_checkable
class _PydanticModel(Protocol):
    # Known by its methods, so that pydantic is never imported for those who do not use it.
    @classmethod
    def model_json_schema(cls) -> dict[str, object]: ...
    @classmethod
    def model_validate_json(cls, json_data: str | bytes) -> object: ...


_formats: WeakKeyDictionary[type, JsonSchemaFormat] = WeakKeyDictionary()


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
    if isinstance(kind, _PydanticModel):
        return cast("T", kind.model_validate_json(text))
    return msgspec.json.decode(text, type=kind)


def _strict_schema(kind: type) -> dict[str, object]:
    if isinstance(kind, _PydanticModel):
        schema = kind.model_json_schema()
    elif issubclass(kind, msgspec.Struct) or is_dataclass(kind) or is_typeddict(kind):
        schema = msgspec.json.schema(kind)
    else:
        raise ValueError(
            f"response_format must be a mapping or a msgspec struct, dataclass, TypedDict or pydantic model,"
            f" not {kind.__name__}"
        )
    definitions = schema.pop("$defs", {})
    root = schema.get("$ref")
    if isinstance(root, str) and isinstance(definitions, dict):
        # OpenAI wants an object at the top. The definition stays while another refers to it.
        schema = dict(definitions[root.removeprefix("#/$defs/")])
        if not _refers(schema, root) and not _refers(list(definitions.values()), root):
            del definitions[root.removeprefix("#/$defs/")]
    if definitions:
        schema["$defs"] = definitions
    return cast("dict[str, object]", _closed(schema, kind.__name__))


def _refers(node: object, reference: str) -> bool:
    if isinstance(node, dict):
        return node.get("$ref") == reference or any(_refers(value, reference) for value in node.values())
    return isinstance(node, list) and any(_refers(value, reference) for value in node)


def _closed(node: object, where: str) -> object:
    if isinstance(node, list):
        return [_closed(item, where) for item in node]
    if not isinstance(node, dict):
        return node
    closed: dict[str, object] = {}
    for key, value in node.items():
        if key in ("properties", "$defs") and isinstance(value, dict):
            closed[key] = {name: _closed(schema, f"{where}.{name}") for name, schema in value.items()}
        elif key not in ("default", "discriminator"):  # the strict subset has neither
            closed[key] = _closed(value, where)
    if closed.get("type") == "object":
        properties = closed.get("properties", {})
        if isinstance(closed.get("additionalProperties"), Mapping) or closed.get("additionalProperties") is True:
            raise ValueError(
                f"response_format: {where} is a mapping with free keys, which a strict schema cannot say:"
                f" name its keys, or make it a list of pairs"
            )
        closed.update(
            properties=properties, required=list(cast("dict[str, object]", properties)), additionalProperties=False
        )
    return closed

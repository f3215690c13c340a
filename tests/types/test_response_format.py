"""Types as response formats: their strict schema, and replies decoded back into them."""

import gc
import json
import weakref
from dataclasses import dataclass
from typing import TypedDict

import msgspec
import pydantic
import pytest

from liter._http import Headers
from liter.types import (
    AssistantMessage,
    ChatCompletionRequest,
    ChatCompletionResponse,
    Choice,
    decode_as,
    format_of_type,
)


class City(msgspec.Struct):
    name: str
    people: int | None = None


class Country(msgspec.Struct):
    capital: City
    cities: list[City] = []


@dataclass
class Point:
    x: int
    y: int = 0


class Pair(TypedDict):
    left: str


class Shape(pydantic.BaseModel):
    sides: int
    name: str = "square"


class Tree(msgspec.Struct):
    value: int
    children: list["Tree"] = []


class Free(msgspec.Struct):
    words: dict[str, int]


def objects(schema: object) -> list[dict[str, object]]:
    """All schemas of objects inside a schema."""
    if isinstance(schema, list):
        return [found for item in schema for found in objects(item)]
    if not isinstance(schema, dict):
        return []
    inner = [found for value in schema.values() for found in objects(value)]
    return [schema, *inner] if schema.get("type") == "object" else inner


@pytest.mark.parametrize("kind", [City, Country, Point, Pair, Shape, Tree])
def test_a_schema_is_strict(kind):
    """The top is an object; every object is closed and requires all its properties; no defaults are left."""
    made = format_of_type(kind).json_schema
    assert (made.name, made.strict) == (kind.__name__, True)
    assert made.schema["type"] == "object"
    assert objects(made.schema)
    for schema in objects(made.schema):
        assert schema["additionalProperties"] is False
        assert schema["required"] == list(schema["properties"])
        assert all("default" not in inner for inner in schema["properties"].values())


def test_references_hold():
    """Every reference of a schema leads to a definition that is there."""
    schema = format_of_type(Tree).json_schema.schema
    assert schema["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}
    assert "Tree" in schema["$defs"]
    assert list(format_of_type(Country).json_schema.schema["$defs"]) == ["City"]
    assert "$defs" not in format_of_type(City).json_schema.schema


def test_a_mapping_with_free_keys_is_refused():
    """Strict schemas have no free keys; the error says where and what to do."""
    with pytest.raises(ValueError, match=r"Free\.words is a mapping with free keys"):
        format_of_type(Free)


def test_a_schema_is_made_once_for_each_type_and_does_not_keep_it():
    """The cache gives the same object again, and lets the type be collected."""
    kind = msgspec.defstruct("Fleeting", [("x", int)])
    assert format_of_type(kind) is format_of_type(kind)
    gone = weakref.ref(kind)
    assert decode_as(kind, '{"x": 1}').x == 1
    del kind
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (City, City("Ulm", 126_000)),
        (Country, Country(City("Bern"), [City("Basel")])),
        (Point, Point(1, 2)),
        (Pair, {"left": "l"}),
        (Shape, Shape(sides=3, name="triangle")),
    ],
)
def test_a_reply_is_decoded_back_into_its_type(kind, value):
    """``parsed`` and ``parsed_as`` give the type that was asked for."""
    text = value.model_dump_json() if isinstance(value, Shape) else msgspec.json.encode(value).decode()
    reply = ChatCompletionResponse(choices=[Choice(message=AssistantMessage(content=text))])
    request = ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "x"}], response_format=kind)
    assert reply.parsed is None
    reply.attach(request_id=None, headers=Headers(), raw=b"", request=request)
    assert reply.parsed == value == reply.parsed_as(kind)


@pytest.mark.parametrize("kind", [City, Shape])
def test_a_cut_reply_is_a_value_error(kind):
    """JSON that does not fit raises ValueError, whatever the type is made with."""
    reply = ChatCompletionResponse(choices=[Choice(message=AssistantMessage(content='{"na'))])
    with pytest.raises(ValueError):  # noqa: PT011 # the words are msgspec's and pydantic's
        reply.parsed_as(kind)


def test_no_text_parses_to_nothing():
    """A refusal or a tool call has no parsed value."""
    request = ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "x"}], response_format=City)
    reply = ChatCompletionResponse(choices=[Choice(message=AssistantMessage(refusal="No."))])
    assert reply.attach(request_id=None, headers=Headers(), raw=b"", request=request).parsed is None


def test_pydantic_is_not_imported_for_other_types():
    """The schema and the decoding of a struct do not need pydantic."""
    import subprocess
    import sys

    code = (
        "import sys, msgspec\n"
        "from liter.types import decode_as, format_of_type\n"
        "kind = msgspec.defstruct('Kind', [('x', int)])\n"
        "format_of_type(kind), decode_as(kind, '{\"x\": 1}')\n"
        "print('pydantic' in sys.modules)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


def test_the_request_sends_the_schema():
    """Encoded as JSON, the format is what OpenAI documents."""
    told = json.loads(msgspec.json.encode(format_of_type(Point)))
    assert told == {
        "type": "json_schema",
        "json_schema": {
            "name": "Point",
            "strict": True,
            "schema": {
                "title": "Point",
                "type": "object",
                "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}},
                "required": ["x", "y"],
                "additionalProperties": False,
            },
        },
    }

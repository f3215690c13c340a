"""JSON values that fit a schema, made up from a seed."""

import json
import random
from collections.abc import Mapping

import msgspec

from ._simulator_text import WORDS


def fitting_json(rng: random.Random, schema: Mapping[str, object]) -> str:
    """Make up a JSON value that fits a schema, as text.

    Knows types, ``properties``, ``items`` with ``minItems``, ``enum``, ``const``, ``anyOf``, ``oneOf``, the first of
    ``allOf``, local ``$ref``, ``minimum``, ``maximum``, ``minLength`` and common formats; not ``pattern``.
    """
    return json.dumps(_fitting(rng, schema, schema, 0), ensure_ascii=False)


_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "PT1S",
    "email": "somebody@example.com",
    "hostname": "example.com",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}

_SCHEMAS = dict[str, dict[str, object]]


def _fitting(rng: random.Random, schema: Mapping[str, object], root: Mapping[str, object], depth: int) -> object:
    reference = schema.get("$ref")
    if isinstance(reference, str):
        target: object = root
        for name in reference.removeprefix("#").split("/")[1:]:
            target = msgspec.convert(target, dict[str, object])[name]
        return _fitting(rng, msgspec.convert(target, dict[str, object]), root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return rng.choice(msgspec.convert(schema["enum"], list[object]))
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            return _fitting(rng, msgspec.convert(schema[name], list[dict[str, object]])[0], root, depth)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = msgspec.convert(kind, list[str])[0]
    match kind:
        case "object":
            required = msgspec.convert(schema.get("required", []), list[str])
            # A schema may refer to itself: what is optional stops it.
            return {
                name: _fitting(rng, inner, root, depth + 1)
                for name, inner in msgspec.convert(schema.get("properties", {}), _SCHEMAS).items()
                if name in required or depth < 3
            }
        case "array":
            fewest = msgspec.convert(schema.get("minItems", 0), int)
            inner = msgspec.convert(schema.get("items", {}), dict[str, object])
            return [_fitting(rng, inner, root, depth + 1) for _ in range(max(fewest, 2 if depth < 3 else 0))]
        case "integer" | "number":
            low = msgspec.convert(schema.get("minimum", 0), float)
            high = msgspec.convert(schema.get("maximum", low + 100), float)
            number = rng.uniform(low, high)
            return round(number) if kind == "integer" else round(number, 2)
        case "boolean":
            return rng.random() < 0.5
        case "null":
            return None
        case _:
            known = _FORMATS.get(str(schema.get("format")))
            if known is not None:
                return known
            longest = msgspec.convert(schema.get("maxLength", 1000), int)
            fewest = msgspec.convert(schema.get("minLength", 0), int)
            return rng.choice(WORDS).ljust(fewest, "x")[:longest]

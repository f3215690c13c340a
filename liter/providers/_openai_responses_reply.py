"""Whole replies of OpenAI's Responses API."""

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import cast

import msgspec
from msgspec.structs import replace

from .._contract import Call
from ..types import ResponseObject, Usage
from ._classify import classify
from ._count import count_of
from ._input_output_usage import InputOutputUsage
from ._lenient import convert_leniently
from ._openai_usage import cost_of, tools_of
from ._read import unreadable

JsonObject = dict[str, object]

_ANY = msgspec.json.Decoder(JsonObject, float_hook=float)
_PRICED = msgspec.json.Decoder(JsonObject, float_hook=Decimal)

# Fields of a response that have a place of their own; all others are native.
_FIELDS = frozenset(ResponseObject.__struct_fields__) - {"native", "usage"}
_TEXTS = ("id", "object", "status", "model", "service_tier", "previous_response_id")

# Items that stand for a billed use of a tool, by the word that usage has for it.
_BILLED = {
    "web_search_call": "web_search_requests",
    "file_search_call": "file_search_requests",
    "code_interpreter_call": "code_execution_requests",
}


class _Usage(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw()


_USAGE = msgspec.json.Decoder(_Usage)


def read_response(call: Call[object], body: bytes, *, failed_raises: bool) -> ResponseObject:
    """Decode a response.

    :param failed_raises: whether one that failed is raised as the error it is
    :raises SerializationError: it cannot be read
    :raises LlmError: it is an error under a status of success, or failed
    """
    provider, model = call.route.provider, call.route.model or None
    try:
        fields = _ANY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise unreadable(body, "a response", error, provider=provider, model=model) from error
    if "output" not in fields and fields.get("object") != "response":
        if fields.get("error") or fields.get("detail") or fields.get("message"):
            raise classify(body, status=None, provider=provider, model=model)
        raise unreadable(body, "a response", "it has no output", provider=provider, model=model)
    response = response_of(fields, usage_part(body))
    if failed_raises and response.status == "failed" and response.error:
        raise failure(call, response)
    return response


def failure(call: Call[object], response: ResponseObject) -> Exception:
    """The error that a failed response tells of."""
    body = msgspec.json.encode({"error": response.error})
    return classify(
        body, status=None, provider=call.route.provider, model=call.route.model or None, request_id=response.id or None
    )


def usage_part(body: bytes) -> JsonObject:
    """The usage of a body, with the prices in it as they are written; empty where there is none."""
    try:
        raw = bytes(_USAGE.decode(body).usage)
        return _PRICED.decode(raw) if raw[:1] == b"{" else {}
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def response_of(fields: Mapping[str, object], usage: JsonObject) -> ResponseObject:
    """Make a response of its fields; what is of an odd form is left to ``native``."""
    told: dict[str, object] = {}
    native: JsonObject = {}
    for name, value in fields.items():
        if name == "usage" or value is None:
            continue
        if name in _FIELDS and _fits(name, value):
            told[name] = value
        elif name == "output" and isinstance(value, list):
            # What is no item has nothing to say; the bytes are in ``raw``.
            told[name] = [item for item in cast("list[object]", value) if isinstance(item, dict)]
        else:
            native[name] = value
    items = cast("list[JsonObject]", told.get("output") or [])
    tier = fields.get("service_tier")
    return ResponseObject(
        **told,  # type: ignore[arg-type] # checked by _fits
        usage=_normal(usage, items, tier if isinstance(tier, str) else None) if usage else None,
        native=native,
    )


def _fits(name: str, value: object) -> bool:
    if name in _TEXTS:
        return isinstance(value, str)
    if name in ("created_at", "completed_at"):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if name == "output":
        return isinstance(value, list) and all(isinstance(item, dict) for item in cast("list[object]", value))
    return isinstance(value, dict)


def _normal(usage: JsonObject, items: Sequence[JsonObject], tier: str | None) -> Usage | None:
    try:
        normal = convert_leniently(_without_nulls(usage), InputOutputUsage).normal()
    except msgspec.ValidationError:
        return None
    uses = tools_of(usage)
    if not uses:
        uses = dict(Counter(_BILLED[kind] for item in items if (kind := str(item.get("type"))) in _BILLED))
    return replace(
        normal,
        reported_cost=cost_of(usage),
        server_tool_use=uses or None,
        service_tier=tier,
    )


def _without_nulls(fields: Mapping[str, object]) -> JsonObject:
    return {name: _plain(value) for name, value in fields.items() if value is not None}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return _without_nulls(cast("Mapping[str, object]", value))
    # Some servers write 12.0 for a count.
    count = count_of(value) if isinstance(value, Decimal) else None
    return value if count is None else count

"""Calls of tools among a message's parts, and the ids of those that Gemini gave none."""

import re
from collections.abc import Mapping, Sequence

import msgspec

from ._gemini_json import JsonObject, fields_of, text_of

# The Gemini API names calls by their order. Replies of OpenAI's form need an id for each: made-up ones are known by
# their beginning, and are not sent back. OpenAI takes ids of up to 40 characters, Anthropic no others than these.
_MADE_UP = "gemini-"
_LONGEST = 40
_FOREIGN = re.compile(r"[^A-Za-z0-9_-]")


def made_up_id(response_id: str, candidate: int, number: int) -> str:
    """Make the id of a reply's call: the same whenever the same reply is read."""
    end = f"-{candidate}-{number}" if candidate else f"-{number}"
    body = _FOREIGN.sub("_", response_id or "call")
    return _MADE_UP + body[: _LONGEST - len(_MADE_UP) - len(end)] + end


def is_made_up(call_id: str) -> bool:
    """Whether an id was made here."""
    return call_id.startswith(_MADE_UP)


def call_parts(parts: Sequence[JsonObject]) -> list[JsonObject]:
    """The parts that are calls of the caller's tools."""
    return [part for part in parts if isinstance(part.get("functionCall"), dict)]


def call_of(part: Mapping[str, object]) -> tuple[str | None, str, str]:
    """A call's own id, its function's name, and its arguments as JSON text."""
    told = fields_of(part.get("functionCall"))
    args = told.get("args")
    # A text in place of an object is what some gateways have of OpenAI's.
    arguments = args if isinstance(args, str) and args else msgspec.json.encode(fields_of(args)).decode()
    return text_of(told.get("id")) or None, text_of(told.get("name")) or "", arguments


def text_of_parts(parts: Sequence[JsonObject]) -> str:
    """The text that parts say, thoughts left out."""
    return "".join(text for part in parts if not part.get("thought") and (text := text_of(part.get("text"))))

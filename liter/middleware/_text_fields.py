"""Which fields of a struct may hold text that people or models wrote, by their declared types."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from types import NoneType, UnionType
from typing import Literal, Union, cast, get_args, get_origin, get_type_hints

import msgspec

# Fields that hold text, in requests and replies. Others hold names, ids, addresses, and data in base64.
TEXTS = frozenset({
    "content", "text", "refusal", "reasoning_content", "reasoning", "tool_plan",
    "transcript", "input", "title", "context", "instructions", "prompt", "revised_prompt", "suffix",
    "query", "queries", "documents", "snippet", "answer",
    "markdown", "header", "footer",
    # What the provider's own tools are told, and tell.
    "output", "logs", "stdout", "stderr", "command", "commands", "diff",
})  # fmt: skip
ARGUMENTS = frozenset({"arguments", "document_annotation", "image_annotation"})  # JSON, with texts in it
# What says the text again in the provider's own form, which is often signed: it goes as it is, or not at all.
REPEATS = ("thinking_blocks", "annotations", "reasoning_details", "native_content")
_NO_TEXT: tuple[object, ...] = (NoneType, bool, int, float, bytes, Decimal)


@lru_cache(maxsize=256)
def text_fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """Name the fields that may hold text, or something with text in it.

    The others need not be looked at. What is not known to hold none may hold some.
    """
    return _text_fields(kind, ())


def _text_fields(kind: type[msgspec.Struct], within: tuple[type, ...]) -> tuple[str, ...]:
    try:
        hints: Mapping[str, object] = get_type_hints(kind)
    except (NameError, TypeError, AttributeError):  # names that only a type checker sees
        return kind.__struct_fields__
    return tuple(name for name in kind.__struct_fields__ if _may_hold(hints.get(name, object), name, (*within, kind)))


def _may_hold(kind: object, name: str, within: tuple[type, ...]) -> bool:
    if kind is str:
        return name in TEXTS or name in ARGUMENTS
    if kind in _NO_TEXT:
        return False
    origin, arguments = get_origin(kind), cast("tuple[object, ...]", get_args(kind))
    if origin is Literal:
        return False
    if origin in (Union, UnionType) or (isinstance(origin, type) and issubclass(origin, Sequence) and arguments):
        return any(_may_hold(argument, name, within) for argument in arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        # Any name may be in it, and so one of a field with text.
        return arguments[1] is str or _may_hold(arguments[1], name, within)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        # One within itself holds text where its other fields do.
        return kind not in within and bool(_text_fields(kind, within))
    return True

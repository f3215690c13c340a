"""Which fields of a struct may hold text that people or models wrote, by their declared types."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import NoneType, UnionType
from typing import Literal, NamedTuple, Union, cast, get_args, get_origin, get_type_hints

import msgspec

# Fields that hold text, in requests and replies. Others hold names, ids, addresses, and data in base64.
TEXTS = frozenset({
    "content", "text", "refusal", "reasoning_content", "reasoning", "tool_plan",
    "transcript", "input", "title", "context", "instructions", "prompt", "revised_prompt", "suffix",
    "query", "documents",
})  # fmt: skip
ARGUMENTS = "arguments"  # JSON, with texts in it
# What says the text again in the provider's own form, which is often signed: it goes as it is, or not at all.
REPEATS = ("thinking_blocks", "annotations", "reasoning_details", "native_content")
_LOUD = frozenset({ARGUMENTS, *REPEATS})
_NO_TEXT: tuple[object, ...] = (NoneType, bool, int, float, bytes)


@lru_cache(maxsize=256)
def text_fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """Name the fields that may hold text, or something with text in it.

    The others need not be looked at. What is not known to hold none may hold some.
    """
    return _text_fields(kind, ())


class Selectors(NamedTuple):
    """Which values of ``msgspec.structs.astuple`` are of fields that may hold text, for ``itertools.compress``.

    ``None`` is none of them.

    :param texts: of fields in ``TEXTS``
    :param loud: of ``ARGUMENTS`` and ``REPEATS``, where a quick look says nothing
    :param others: of the other fields that may hold something with text in it
    """

    texts: tuple[bool, ...] | None
    loud: tuple[bool, ...] | None
    others: tuple[bool, ...] | None


@lru_cache(maxsize=256)
def selectors(kind: type[msgspec.Struct], skip: frozenset[str]) -> Selectors:
    """Return the selectors of a type. ``skip`` names fields that are left out."""
    fields = kind.__struct_fields__
    told = {name for name in text_fields(kind) if name not in skip}
    groups = told & TEXTS, told & _LOUD, told - TEXTS - _LOUD
    return Selectors(*[tuple([name in group for name in fields]) if group else None for group in groups])


@lru_cache(maxsize=256)
def selectors_of(kind: type[msgspec.Struct]) -> Selectors:
    """Return the selectors of a type, without one left out: that is asked for most."""
    return selectors(kind, frozenset[str]())


def _text_fields(kind: type[msgspec.Struct], within: tuple[type, ...]) -> tuple[str, ...]:
    try:
        hints: Mapping[str, object] = get_type_hints(kind)
    except (NameError, TypeError, AttributeError):  # names that only a type checker sees
        return kind.__struct_fields__
    return tuple(name for name in kind.__struct_fields__ if _may_hold(hints.get(name, object), name, (*within, kind)))


def _may_hold(kind: object, name: str, within: tuple[type, ...]) -> bool:
    if kind is str:
        return name in TEXTS or name == ARGUMENTS
    if kind in _NO_TEXT:
        return False
    origin, arguments = get_origin(kind), cast("tuple[object, ...]", get_args(kind))
    if origin is Literal:
        return False
    if origin in (Union, UnionType) or (isinstance(origin, type) and issubclass(origin, Sequence) and arguments):
        return any(_may_hold(argument, name, within) for argument in arguments)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        # One within itself holds text where its other fields do.
        return kind not in within and bool(_text_fields(kind, within))
    return True

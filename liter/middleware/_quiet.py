"""A quick look at a whole request or reply: mostly no rule matches in it, and that can be told for less."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple, get_type_hints

import msgspec

from ._rule_set import RuleSet
from ._text_fields import ARGUMENTS, REPEATS, text_fields

_LOUD = frozenset({*ARGUMENTS, *REPEATS})
_NOTHING: frozenset[str] = frozenset()
# A thing with more in it may have itself in it.
_MOST_PARTS = 10_000
# Made once: a union of types is made anew each time it is written down.
_SEQUENCES = (list, tuple)


def is_quiet(rules: RuleSet, thing: object, skip: frozenset[str] = _NOTHING) -> bool:
    """Whether it is sure that no rule matches anywhere in it. Where that is not so, a closer look has to tell.

    :param skip: names fields of ``thing`` that are left out
    """
    if not rules.rules:
        return True
    look: _Look | None = _look_at(type(thing), skip)  # type: ignore[arg-type] # it takes a type's hash for its objects'
    texts: list[str] = []
    parts: list[object] = [thing]
    for part in parts:
        if look is None:
            look = _look_at(type(part))  # type: ignore[arg-type] # as above
            if look is None:
                return False
        get, several, loud = look
        look = None
        try:
            if loud is not None and any(loud(part)):
                return False
            found = get(part) if several else (get(part),)
        except AttributeError:  # a struct that should be there is not
            return False
        # What is empty has no text. That is most of it, so it is left out without a step of the interpreter's.
        for value in filter(None, found):
            if type(value) is str:
                texts.append(value)
            elif isinstance(value, _SEQUENCES):
                parts += value
                if len(parts) > _MOST_PARTS:
                    return False
            else:
                parts.append(value)
    return rules.are_quiet(texts)


class _Look(NamedTuple):
    """How to look at a struct of some type.

    :param texts: gives the fields that may hold text, or something with text in it: a tuple, if there are ``several``,
        and else one value
    :param loud: gives those of which a quick look says nothing: what says the text again, or has it in JSON; a tuple
    """

    texts: Callable[[object], tuple[object, ...]]
    several: bool
    loud: Callable[[object], tuple[object, ...]] | None


@lru_cache(maxsize=256)
def _look_at(kind: type, skip: frozenset[str] = _NOTHING) -> _Look | None:
    """Return how to look at what is of this type; ``None`` where a quick look says nothing."""
    if not issubclass(kind, msgspec.Struct):
        return None
    paths = _paths(kind, skip)
    loud = [path for path in paths if path.rpartition(".")[2] in _LOUD]
    texts = [path for path in paths if path not in loud]
    return _Look(
        attrgetter(*texts) if texts else _get_none,
        len(texts) != 1,
        # One alone is not given as a tuple.
        attrgetter(*loud, loud[0]) if loud else None,
    )


def _paths(kind: type[msgspec.Struct], skip: frozenset[str] = _NOTHING) -> list[str]:
    """Name the fields that may hold text; in place of a struct that is always there, its own."""
    paths: list[str] = []
    try:
        hints: Mapping[str, object] = get_type_hints(kind)
    except (NameError, TypeError, AttributeError):  # names that only a type checker sees
        hints = {}
    for name in text_fields(kind):
        within = hints.get(name)
        if name in skip:
            continue
        if isinstance(within, type) and issubclass(within, msgspec.Struct):
            paths += [f"{name}.{path}" for path in _paths(within)]
        else:
            paths.append(name)
    return paths


def _get_none(_: object) -> tuple[object, ...]:
    return ()

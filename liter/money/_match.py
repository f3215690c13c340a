"""Which names a price row is for."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, cast

Matched = Literal["exact", "alias", "pattern"]

# A date written in one piece, as gateways do: gpt-5.2-20251211.
_COMPACT_DATE = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


def matcher(name: str, clauses: Sequence[object]) -> Callable[[str], Matched | None]:
    """Make the test of a row called ``name``.

    A clause is a text whose first character says how it is compared, ignoring case: ``=`` the whole name, ``^`` its
    beginning, ``$`` its end, ``~`` any part of it, ``/`` a regular expression; or ``{"all": [...]}`` of clauses, or a
    list of which one must hold. Without clauses, the row is for its own name only.

    :raises ValueError: a clause is none of these
    """
    own = name.lower()
    names = {own}
    tests: list[Callable[[str], bool]] = []
    for clause in clauses:
        if isinstance(clause, str) and clause[:1] == "=":
            names.add(clause[1:].lower())
        else:
            tests.append(_test(clause))
    takes_own = not clauses or any(isinstance(clause, str) and clause.lower() == f"={own}" for clause in clauses)

    def match(model: str) -> Matched | None:
        if model in names and (model != own or takes_own):
            return "exact" if model == own else "alias"
        if any(test(model) for test in tests):
            return "exact" if model == own else "pattern"
        return None

    return match


def dated(model: str) -> str:
    """The name with its date in the form that lists use, ``-2025-12-11``."""
    return _COMPACT_DATE.sub(r"-\1-\2-\3", model)


def _test(clause: object) -> Callable[[str], bool]:
    if isinstance(clause, str) and len(clause) > 1:
        kind, text = clause[0], clause[1:]
        if kind == "/":
            pattern = re.compile(text)
            return lambda model: pattern.search(model) is not None
        text = text.lower()
        if kind == "=":
            return lambda model: model == text
        if kind == "^":
            return lambda model: model.startswith(text)
        if kind == "$":
            return lambda model: model.endswith(text)
        if kind == "~":
            return lambda model: text in model
    elif isinstance(clause, list):
        tests = [_test(one) for one in cast("list[object]", clause)]
        return lambda model: any(test(model) for test in tests)
    elif isinstance(clause, Mapping):
        parts = cast("Mapping[str, list[object]]", clause).get("all", [])
        tests = [_test(one) for one in parts]
        return lambda model: all(test(model) for test in tests)
    raise ValueError(f'{clause!r} is no pattern for a model: "=name", "^start", "$end", "~part" or "/regexp" would be')

"""Tables of a configuration, and what is wrong with them: said with the place, and with what would be right."""

import difflib
import importlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar, cast

T = TypeVar("T")

Table = Mapping[str, object]


def table(value: object, where: str) -> Table:
    """A value that must be a table. :raises ValueError: it is none"""
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} must be a table, not {value!r}")
    return cast("Table", value)


def tables(value: object, where: str) -> Sequence[Table]:
    """A value that must be a list of tables. :raises ValueError: it is none"""
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(f"{where} must be a list of tables, not {value!r}")
    return [table(item, f"{where}[{index}]") for index, item in enumerate(cast("Sequence[object]", value))]


def text(value: object, where: str) -> str:
    """A value that must be a text. :raises ValueError: it is none"""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where} must be a text that is not empty, not {value!r}")
    return value


def check_keys(given: Table, known: Collection[str], where: str) -> None:
    """Refuse keys that nobody reads. :raises ValueError: there is one; names the nearest right one"""
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise ValueError(
                f"{where} has no key {key!r}: " + (f"did you mean {near[0]!r}?" if near else f"it has {_list(known)}")
            )


def _list(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def imported(value: object, where: str) -> object:
    """What a text such as ``"package.module:name"`` names. :raises ValueError: there is nothing of that name"""
    module, colon, name = text(value, where).partition(":")
    if not colon or not name:
        raise ValueError(f"{where} must name a function as 'package.module:name', not {value!r}")
    try:
        found: object = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{where}: {value!r} cannot be imported: {error}") from error
    return found


def made(make: Callable[..., T], where: str, *positional: object, **keywords: object) -> T:
    """Call a constructor. :raises ValueError: it refuses; told with the place"""
    try:
        return make(*positional, **keywords)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error

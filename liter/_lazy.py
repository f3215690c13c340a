"""Packages whose parts are loaded when they are asked for: who uses one codec, or one layer, need not load all."""

from collections.abc import Callable, Mapping
from importlib import import_module


def lazy(package: str, names: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Make a package's ``__getattr__`` and ``__dir__``: PEP 562.

    :param package: its ``__name__``
    :param names: modules, relative to it, and the names that each gives, with blanks between
    """
    homes = {name: module for module, given in names.items() for name in given.split()}

    def load(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(homes[name], package)
        value: object = getattr(module, name)
        # The next look-up finds it without asking here.
        vars(import_module(package))[name] = value
        return value

    def known() -> list[str]:
        return sorted({*vars(import_module(package)), *homes})

    return load, known

"""Finding and reading ``liter.toml``."""

import tomllib
from decimal import Decimal
from pathlib import Path

from ._tables import Table

NAME = "liter.toml"

# All that a file may have at its top.
SECTIONS = ("client", "keys", "provider_settings", "providers", "stores", "prices", "layers")


def find_config(start: Path | None = None) -> Path:
    """Find the file: in a folder, by default the current one, or in the nearest one above it.

    :raises FileNotFoundError: there is none; says where it was looked for
    """
    folder = (Path.cwd() if start is None else start).resolve()
    for place in (folder, *folder.parents):
        if (place / NAME).is_file():
            return place / NAME
    raise FileNotFoundError(f"there is no {NAME} in {folder} or above it")


def read_config(path: Path) -> Table:
    """Read a file. :raises ValueError: it is no TOML"""
    try:
        # Amounts of money keep their digits; whatever takes a float is given one.
        return tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}") from error

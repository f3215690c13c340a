"""Counts as servers write them."""

import re
from decimal import Decimal

# Beyond it a count is none, and no server's 64-bit integer.
_LARGEST = 1 << 53
_NUMBER = re.compile(r"-?\d{1,20}(?:\.\d{1,20})?", re.ASCII)


def count_of(value: object) -> int | None:
    """A whole number of zero or more, which may come as text (64-bit integers do) or as 12.0, or ``None``."""
    if type(value) is int:
        return value if 0 <= value < _LARGEST else None
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 17:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, Decimal) and value.is_finite() and 0 <= value < _LARGEST and value == int(value):
        value = int(value)
    return value if isinstance(value, int) and 0 <= value < _LARGEST else None


def number_of(value: object) -> float | None:
    """A number, which may come as text, or ``None``."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None

"""Checks that requests of several operations share, told before any I/O."""

from collections.abc import Sequence


def check_model(model: object, example: str) -> None:
    """Check that a model is named. :raises ValueError: it is not; ``example`` shows one"""
    if not isinstance(model, str) or not model:
        raise ValueError(f"model must name one, such as {example!r}, not {model!r}")


def check_text(value: object, field: str) -> None:
    """Check a text that must be there. :raises ValueError: it is empty, or none"""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{field} must be a text that is not empty, not {value!r}")


def check_count(value: object, field: str, *, low: int = 1, high: int | None = None) -> None:
    """Check an optional whole number. :raises ValueError: it is out of range, or no whole number"""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        limits = f"{low} or more" if high is None else f"{low} to {high}"
        raise ValueError(f"{field} must be a whole number, {limits}, not {value!r}")


def check_range(value: object, field: str, low: float, high: float) -> None:
    """Check an optional number. :raises ValueError: it is out of range, or no number"""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{field} must be a number between {low:g} and {high:g}, not {value!r}")


def check_items(value: object, field: str) -> None:
    """Check a list that must have something in it. :raises ValueError: it is empty, or no list"""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise ValueError(f"{field} must be a list, not {type(value).__name__}")
    if not value:
        raise ValueError(f"{field} must not be empty")

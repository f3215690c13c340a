"""Times as servers write them."""

from datetime import UTC, datetime


def unix_time_of(value: object) -> int | None:
    """A time of RFC 3339, or a day, as Unix time in seconds: in UTC where it names no zone. ``None``: it is neither."""
    if not isinstance(value, str):
        return None
    try:
        told = datetime.fromisoformat(value)
        if told.tzinfo is None:
            told = told.replace(tzinfo=UTC)
        return int(told.timestamp())
    except (ValueError, OverflowError):
        return None

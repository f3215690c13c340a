"""Times as providers write them into headers: durations, dates, and Unix times by their size."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# From the first on, a plain number is a Unix time in seconds, and from the second on, in milliseconds.
EPOCH = 1_000_000_000.0
EPOCH_MS = EPOCH * 1000

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+", re.ASCII)
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])", re.ASCII)


def parse_duration(text: str) -> float | None:
    """Read a duration such as ``1m30.5s``, in seconds; ``None`` if it is none."""
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(amount) * _UNITS[unit] for amount, unit in _AMOUNT.findall(text))


def parse_date(text: str) -> datetime | None:
    """Read an HTTP date, or one of RFC 3339, as UTC where it names no zone; ``None`` if it is none."""
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = parse(text.strip())
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
        return date if date.tzinfo else date.replace(tzinfo=UTC)
    return None

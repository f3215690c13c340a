"""How long a provider asks to wait, out of the many ways in which providers say it."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

from .._header_values import EPOCH, EPOCH_MS, parse_date, parse_duration
from .._http import Headers
from .._rate_headers import parse_rate_headers

# A wait of more than a month is a misread number.
_LONGEST = 31 * 86400.0

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?|\.\d+", re.ASCII)


def retry_after(headers: Headers, body: object = None) -> float | None:
    """Seconds to wait before another try; ``None`` when nothing says so, or nothing that can be read.

    The first of these counts: ``retry-after-ms``; ``retry-after``, in seconds or as an HTTP date;
    Google's ``RetryInfo`` in the body; the reset time of the limits that are used up. Dates count from the
    answer's own ``date`` header, and from the computer's clock where there is none.
    """
    now = parse_date(headers.get("date", "")) or datetime.now(UTC)
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None and 0 <= milliseconds <= _LONGEST * 1000:
        return milliseconds / 1000
    for told in (headers.get("retry-after", ""), _retry_info(body)):
        wait = _wait(told, now)
        if wait is not None:
            return wait
    return _reset(headers, now)


def _wait(text: str, now: datetime) -> float | None:
    """Read a wait: seconds, a duration such as ``1m30.5s``, a Unix time, or a date."""
    text = text.strip()
    if not text:
        return None
    number = _number(text)
    if number is not None:
        if number >= EPOCH_MS:
            number = number / 1000 - now.timestamp()
        elif number >= EPOCH:
            number -= now.timestamp()
        elif number < 0:
            return None
        seconds = max(0.0, number)
    elif (duration := parse_duration(text)) is not None:
        seconds = duration
    else:
        date = parse_date(text)
        if date is None:
            return None
        seconds = max(0.0, (date - now).total_seconds())
    return seconds if seconds <= _LONGEST else None


def _reset(headers: Headers, now: datetime) -> float | None:
    """The wait until the last of the used-up limits has room again."""
    waits = [
        limit.reset
        for limit in parse_rate_headers(headers, now=now)
        if limit.reset is not None and limit.remaining is not None and limit.remaining <= 0
    ]
    return max((wait for wait in waits if wait <= _LONGEST), default=None)


def _retry_info(body: object) -> str:
    """``retryDelay`` of ``google.rpc.RetryInfo``, such as ``"34.07s"``."""
    error = cast("Mapping[str, object]", body).get("error") if isinstance(body, Mapping) else None
    details = cast("Mapping[str, object]", error).get("details") if isinstance(error, Mapping) else None
    for detail in cast("list[object]", details) if isinstance(details, list) else ():
        if isinstance(detail, Mapping):
            fields = cast("Mapping[str, object]", detail)
            delay = fields.get("retryDelay")
            if str(fields.get("@type", "")).endswith("google.rpc.RetryInfo") and isinstance(delay, str):
                return delay
    return ""


def _number(text: str) -> float | None:
    text = text.strip()
    return float(text) if len(text) < 32 and _NUMBER.fullmatch(text) else None

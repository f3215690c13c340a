"""How long a provider asks to wait, out of the many ways in which providers say it."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import cast

from .._header_values import EPOCH, EPOCH_MS, parse_date, parse_duration
from .._http import Headers

# A wait of more than a month is a misread number.
_LONGEST = 31 * 86400.0

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?|\.\d+", re.ASCII)
_IETF_RATE_LIMIT = re.compile(r"(?:^|[;,\s])r\s*=\s*(\d+)\s*;\s*t\s*=\s*(\d+)", re.ASCII)

# How many are left, and when there will be more: one row for each limit that a provider tells of.
_LIMITS: tuple[tuple[str, str], ...] = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("x-ratelimit-remaining-project-tokens", "x-ratelimit-reset-project-tokens"),
    ("x-ratelimit-remaining-requests-day", "x-ratelimit-reset-requests-day"),
    ("x-ratelimit-remaining-tokens-minute", "x-ratelimit-reset-tokens-minute"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
    ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
)


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
    waits: list[float] = []
    for remaining, reset in _LIMITS:
        if reset not in headers:
            continue
        # Some send a list: one entry for each window.
        left = [_number(part) for part in headers.get(remaining, "").split(",")]
        for index, part in enumerate(_parts(headers[reset])):
            wait = _wait(part, now)
            if wait is not None and index < len(left) and left[index] is not None and cast("float", left[index]) <= 0:
                waits.append(wait)
    for left_text, seconds in _IETF_RATE_LIMIT.findall(headers.get("ratelimit", "")):
        if int(left_text[:20]) == 0 and (wait := _wait(seconds[:20], now)) is not None:
            waits.append(wait)
    return max(waits, default=None)


def _parts(text: str) -> Iterable[str]:
    # An HTTP date has a comma of its own.
    return [text] if parse_date(text) else text.split(",")


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

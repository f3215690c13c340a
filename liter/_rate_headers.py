"""What providers tell of their limits in response headers, whatever the spelling.

Four families are read, for requests, tokens, and input and output tokens:

- ``x-ratelimit-{limit,remaining,reset}-<what>``, as OpenAI spells it and most others do. ``<what>`` is made of words
  that also tell the window where there are some: ``requests``, ``project-tokens``, ``req-minute``, ``tokens-per-day``.
- ``anthropic-ratelimit-<what>-{limit,remaining,reset}``.
- Names without a ``<what>``, such as Together's ``x-ratelimit-limit`` and ``x-tokenlimit-limit``. Their values may be
  lists, one entry for each window of ``x-ratelimit-policy``.
- ``ratelimit`` and ``ratelimit-policy`` of the IETF's draft "RateLimit header fields for HTTP".

The names and values follow the providers' own references, as of 2025.
"""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

import msgspec

from ._header_values import EPOCH, EPOCH_MS, parse_date, parse_duration

Unit = Literal["requests", "tokens", "input_tokens", "output_tokens"]

_DAY = 86400.0
_WINDOWS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": _DAY, "month": 30 * _DAY}

_UNITS: dict[str, Unit] = {"requests": "requests", "req": "requests", "tokens": "tokens"}
_DIRECTIONS: dict[str, Unit] = {
    "input": "input_tokens",
    "prompt": "input_tokens",
    "output": "output_tokens",
    "generated": "output_tokens",
}
# Of whom, and how it is joined: no part of what is counted.
_FILLERS = frozenset({"per", "project"})

_WORDED = re.compile(r"x-ratelimit-(limit|remaining|reset)-([a-z-]+)")
# Not anthropic-priority-...: what is over that limit is served all the same, as standard.
_ANTHROPIC = re.compile(r"(anthropic-(?:ratelimit|fast)-)([a-z-]+)-(limit|remaining|reset)")

# Prefix, unit and window of the names that say nothing else.
_BARE: tuple[tuple[str, Unit, float | None], ...] = (
    ("x-ratelimit-", "requests", None),
    ("x-tokenlimit-", "tokens", None),
    ("ratelimit-", "requests", None),
    ("ratelimitbysize-", "tokens", 60.0),
    ("x-trial-endpoint-call-", "requests", 60.0),
    ("x-endpoint-monthly-call-", "requests", 30 * _DAY),
)

_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+", re.ASCII)

# Items of a list end at a comma, their parameters at a semicolon, but not inside quotes.
_ITEM = re.compile(r'(?:"[^"]*"|[^",])+')
_PARAMETER = re.compile(r'(?:"[^"]*"|[^";])+')


class ReportedLimit(msgspec.Struct, frozen=True, kw_only=True):
    """One limit that a provider tells of. ``None`` is "not told", or not readable.

    :param unit: what is counted
    :param limit: how many the provider lets through in a window
    :param remaining: how many of them are left
    :param reset: seconds until all of them are there again
    :param window: length of the window in seconds, where the header says it
    """

    unit: Unit
    limit: float | None = None
    remaining: float | None = None
    reset: float | None = None
    window: float | None = None


def parse_rate_headers(headers: Mapping[str, str], *, now: datetime | None = None) -> tuple[ReportedLimit, ...]:
    """Read all limits that response headers tell of, in no particular order; none is an empty tuple.

    Never raises: what is malformed counts as not told. A time of day is turned into seconds by the response's own
    ``date`` header, so that no clock has to agree with the provider's; without that header it is not told.

    :param now: what a time of day is counted from where the response has no ``date``
    """
    now = _date(headers.get("date", "")) or now
    found: dict[tuple[str, int], dict[str, float | None]] = {}
    kinds: dict[str, tuple[Unit, float | None]] = {}
    for name in headers:
        match = _match(name)
        if match is None:
            continue
        group, field, kinds[group] = match
        for index, text in enumerate(_parts(headers[name])):
            value = _wait(text, now) if field == "reset" else _number(text)
            found.setdefault((group, index), {})[field] = value
    policy = [_parameters(item) for item in _ITEM.findall(headers.get("x-ratelimit-policy", ""))]
    limits: list[ReportedLimit] = []
    for (group, index), values in found.items():
        unit, window = kinds[group]
        if group == "x-ratelimit-" and index < len(policy):
            window = _positive(policy[index].get("w"))
        limits.append(
            ReportedLimit(
                unit=unit,
                limit=values.get("limit") or None,
                remaining=values.get("remaining"),
                reset=values.get("reset"),
                window=window,
            )
        )
    limits += _ietf(headers)
    return tuple(told for told in limits if told.limit is not None or told.remaining is not None)


def _match(name: str) -> tuple[str, str, tuple[Unit, float | None]] | None:
    """Take a header's name apart: its group, its field, and what the group counts."""
    if match := _WORDED.fullmatch(name):
        field, words = match.groups()
        family = "x-ratelimit-*-"
    elif name == "x-ratelimit-timeremaining":  # as GitHub Models spells it
        family, words, field = "x-ratelimit-*-", "requests", "reset"
    elif match := _ANTHROPIC.fullmatch(name):
        family, words, field = match.groups()
    else:
        for prefix, unit, window in _BARE:
            field = name.removeprefix(prefix)
            if field != name and field in ("limit", "remaining", "reset"):
                return prefix, field, (unit, window)
        return None
    kind = _read_words(words)
    return None if kind is None else (family + words, field, kind)


def _read_words(words: str) -> tuple[Unit, float | None] | None:
    unit: Unit | None = None
    direction: Unit | None = None
    window: float | None = None
    for word in words.split("-"):
        if word in _UNITS:
            unit = _UNITS[word]
        elif word in _DIRECTIONS:
            direction = _DIRECTIONS[word]
        elif word in _WINDOWS:
            window = _WINDOWS[word]
        elif word not in _FILLERS:
            return None
    if unit is None or (direction is not None and unit != "tokens"):
        return None
    return direction or unit, window


def _ietf(headers: Mapping[str, str]) -> Iterable[ReportedLimit]:
    """Read ``"name";r=999;t=295`` and ``"name";q=1000;w=300``, which belong together by name, or else by place."""
    policies = [_parameters(item) for item in _ITEM.findall(headers.get("ratelimit-policy", ""))]
    for index, item in enumerate(_ITEM.findall(headers.get("ratelimit", ""))):
        told = _parameters(item)
        if "r" not in told:
            continue
        names = {key for key in told if key.startswith('"')}
        policy = next((policy for policy in policies if names & policy.keys()), None)
        if policy is None:
            policy = policies[index] if index < len(policies) and not names else {}
        if policy.get("qu", "requests").strip('"') != "requests":
            continue
        yield ReportedLimit(
            unit="requests",
            limit=_positive(policy.get("q")),
            remaining=_number(told["r"]),
            reset=_number(told.get("t", "")),
            window=_positive(policy.get("w")),
        )


def _parameters(item: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for parameter in _PARAMETER.findall(item):
        key, _, value = parameter.partition("=") if not parameter.strip().startswith('"') else (parameter, "", "")
        parameters[key.strip()] = value.strip()
    return parameters


def _parts(text: str) -> list[str]:
    # An HTTP date has a comma of its own.
    return [text] if "," not in text or _date(text) else text.split(",")


def _wait(text: str, now: datetime | None) -> float | None:
    """Read seconds from now: a number, a duration such as ``1m30.5s``, a Unix time, or a date."""
    text = text.strip()
    number = _number(text)
    if number is not None and number < EPOCH:
        return number
    if number is not None:
        return None if now is None else max(0.0, number / (1000 if number >= EPOCH_MS else 1) - now.timestamp())
    if len(text) < 64 and (duration := parse_duration(text)) is not None:
        return duration
    date = _date(text)
    return None if date is None or now is None else max(0.0, (date - now).total_seconds())


def _number(text: str) -> float | None:
    text = text.strip()
    return float(text) if len(text) < 32 and _NUMBER.fullmatch(text) else None


def _positive(text: str | None) -> float | None:
    return (_number(text) or None) if text else None


def _date(text: str) -> datetime | None:
    date = parse_date(text)
    try:
        # Some dates exist only until one counts with them.
        return date if date is not None and math.isfinite(date.timestamp()) else None
    except (ValueError, OverflowError):
        return None

"""Usage as imitators of OpenAI report it, brought to the one meaning that :class:`liter.types.Usage` has."""

from collections.abc import Mapping
from typing import cast

import msgspec
from msgspec.structs import replace

from ..types import CompletionTokensDetails, PromptTokensDetails, Usage

# The ticks in which xAI counts a price.
_TICKS_PER_DOLLAR = 10_000_000_000

# Where a count may stand when it is not in the details, the first that is told counts.
_CACHED = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens", "cache_read_input_tokens")
_CACHE_WRITES = ("cache_creation_input_tokens",)
_REASONING = ("reasoning_tokens",)

_NO_PROMPT_DETAILS = PromptTokensDetails()
_NO_COMPLETION_DETAILS = CompletionTokensDetails()


class _Envelope(msgspec.Struct):
    usage: dict[str, object] | None = None


_ENVELOPE = msgspec.json.Decoder(_Envelope)


def normal_usage(usage: Usage, body: bytes) -> Usage:
    """Bring a reported usage to the normal form; ``body`` is what it was decoded from."""
    try:
        reported = _ENVELOPE.decode(body).usage or {}
    except (msgspec.DecodeError, UnicodeDecodeError):
        reported = {}
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    prompt_details = _prompt_details(usage.prompt_tokens_details or _NO_PROMPT_DETAILS, reported)
    completion_details = usage.completion_tokens_details or _NO_COMPLETION_DETAILS
    if completion_details.reasoning_tokens is None:
        completion_details = replace(completion_details, reasoning_tokens=_first(reported, _REASONING))
    reasoning = completion_details.reasoning_tokens or 0
    if reasoning and usage.total_tokens == prompt + completion + reasoning:
        # xAI and others leave reasoning out of the completion, and count it in the total.
        completion += reasoning
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=None if prompt_details == _NO_PROMPT_DETAILS else prompt_details,
        completion_tokens_details=None if completion_details == _NO_COMPLETION_DETAILS else completion_details,
        reported_cost=_cost(reported),
        server_tool_use=usage.server_tool_use,
    )


def _prompt_details(details: PromptTokensDetails, reported: Mapping[str, object]) -> PromptTokensDetails:
    if details.cached_tokens is None:
        details = replace(details, cached_tokens=_first(reported, _CACHED))
    if details.cache_write_tokens is None:
        details = replace(details, cache_write_tokens=_first(reported, _CACHE_WRITES))
    return details


def _first(reported: Mapping[str, object], names: tuple[str, ...]) -> int | None:
    counts = [reported.get(name) for name in names]
    return next((count for count in counts if isinstance(count, int) and not isinstance(count, bool)), None)


def _cost(reported: Mapping[str, object]) -> float | None:
    """The price in US dollars: a number (OpenRouter), an itemised one (Perplexity), ticks (xAI)."""
    cost = reported.get("cost")
    if isinstance(cost, Mapping):
        cost = cast("Mapping[str, object]", cost).get("total_cost")
    if _is_number(cost):
        return float(cast("float", cost))
    ticks = reported.get("cost_in_usd_ticks")
    if _is_number(ticks):
        return cast("float", ticks) / _TICKS_PER_DOLLAR
    estimate = reported.get("estimated_cost")
    return float(cast("float", estimate)) if _is_number(estimate) else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""Usage as imitators of OpenAI report it, brought to the one meaning that :class:`liter.types.Usage` has."""

from collections.abc import Mapping
from decimal import Decimal
from typing import cast

import msgspec
from msgspec.structs import replace

from ..types import CompletionTokensDetails, PromptTokensDetails, Usage
from ._count import count_of

# xAI counts a price in ticks of 1e-10 dollars.
TICK = -10

# Where a count may stand when it is not in the details, the first that is told counts.
_CACHED = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens", "cache_read_input_tokens")
_CACHE_WRITES = ("cache_creation_input_tokens",)
_REASONING = ("reasoning_tokens",)

# Where uses of tools stand, and what they are called there.
_TOOLS: Mapping[str, Mapping[str, str]] = {
    "server_tool_use": {
        "web_search_requests": "web_search_requests",
        "web_fetch_requests": "web_fetch_requests",
        "code_execution_requests": "code_execution_requests",
    },
    "server_tool_use_details": {"web_search_requests": "web_search_requests"},
    "server_side_tool_usage_details": {
        "web_search_calls": "web_search_requests",
        "x_search_calls": "x_search_requests",
        "file_search_calls": "file_search_requests",
        "document_search_calls": "document_search_requests",
        "code_interpreter_calls": "code_execution_requests",
        "image_generation_calls": "image_generation_requests",
        "mcp_calls": "mcp_requests",
    },
}

_NO_PROMPT_DETAILS = PromptTokensDetails()
_NO_COMPLETION_DETAILS = CompletionTokensDetails()


class _Envelope(msgspec.Struct):
    usage: dict[str, object] | None = None


# Prices keep the digits that they are written with: a binary float has lost some.
_ENVELOPE = msgspec.json.Decoder(_Envelope, float_hook=Decimal)


def normal_usage(usage: Usage, body: bytes, *, service_tier: str | None = None) -> Usage:
    """Bring a reported usage to the normal form.

    :param body: what it was decoded from
    :param service_tier: the tier that is told beside it
    """
    try:
        reported = _ENVELOPE.decode(body).usage or {}
    except (msgspec.DecodeError, UnicodeDecodeError):
        reported = {}
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    prompt_details = _prompt_details(usage.prompt_tokens_details or _NO_PROMPT_DETAILS, reported)
    completion_details = _completion_details(usage.completion_tokens_details or _NO_COMPLETION_DETAILS, reported)
    reasoning, citation = completion_details.reasoning_tokens or 0, completion_details.citation_tokens
    if reasoning and usage.total_tokens == prompt + completion + reasoning:
        # xAI and others leave reasoning out of the completion, and count it in the total.
        completion += reasoning
    elif citation is not None:
        # Perplexity's research bills what it thinks and what it reads on top, and counts neither.
        completion += reasoning + citation
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=None if prompt_details == _NO_PROMPT_DETAILS else prompt_details,
        completion_tokens_details=None if completion_details == _NO_COMPLETION_DETAILS else completion_details,
        reported_cost=cost_of(reported),
        server_tool_use=tools_of(reported) or usage.server_tool_use,
        unreported=() if "prompt_tokens" in reported or not reported else ("prompt_tokens",),
        service_tier=service_tier or usage.service_tier,
        search_context_size=usage.search_context_size,
        audio_seconds=_decimal(reported.get("prompt_audio_seconds")),
        search_units=usage.search_units,
    )


def _prompt_details(details: PromptTokensDetails, reported: Mapping[str, object]) -> PromptTokensDetails:
    if details.cached_tokens is None:
        details = replace(details, cached_tokens=_first(reported, _CACHED))
    if details.cache_write_tokens is None:
        details = replace(details, cache_write_tokens=_first(reported, _CACHE_WRITES))
    told = reported.get("prompt_tokens_details")
    cached = cast("Mapping[str, object]", told).get("cached_tokens_details") if isinstance(told, Mapping) else None
    if isinstance(cached, Mapping):
        kinds = cast("Mapping[str, object]", cached)
        details = replace(
            details,
            cached_audio_tokens=_first(kinds, ("audio_tokens",)),
            cached_image_tokens=_first(kinds, ("image_tokens",)),
        )
    return details


def _completion_details(details: CompletionTokensDetails, reported: Mapping[str, object]) -> CompletionTokensDetails:
    citation = _first(reported, ("citation_tokens",))
    if details.reasoning_tokens is None:
        details = replace(details, reasoning_tokens=_first(reported, _REASONING))
    return details if citation is None else replace(details, citation_tokens=citation)


def tools_of(reported: Mapping[str, object]) -> dict[str, int]:
    """Billed uses of the provider's own tools, by Anthropic's words for them."""
    uses: dict[str, int] = {}
    for field, names in _TOOLS.items():
        told = reported.get(field)
        if isinstance(told, Mapping):
            counts = cast("Mapping[str, object]", told)
            for theirs, ours in names.items():
                if count := _first(counts, (theirs,)):
                    uses[ours] = uses.get(ours, 0) + count
    if searches := _first(reported, ("num_search_queries",)):
        uses["web_search_requests"] = searches
    return uses


def _first(reported: Mapping[str, object], names: tuple[str, ...]) -> int | None:
    counts = (count_of(reported.get(name)) for name in names)
    return next((count for count in counts if count is not None), None)


def cost_of(reported: Mapping[str, object]) -> Decimal | None:
    """The price in US dollars: a number (OpenRouter), an itemised one (Perplexity), ticks (xAI)."""
    told = reported.get("cost")
    if isinstance(told, Mapping):
        told = cast("Mapping[str, object]", told).get("total_cost")
    cost = _decimal(told)
    if cost is not None:
        if reported.get("is_byok") is True and isinstance(details := reported.get("cost_details"), Mapping):
            # The caller's own key is used further up: the gateway's fee comes on top of what that costs.
            upstream = _decimal(cast("Mapping[str, object]", details).get("upstream_inference_cost"))
            return cost + (upstream or 0)
        return cost
    ticks = _decimal(reported.get("cost_in_usd_ticks"))
    if ticks is not None:
        return ticks.scaleb(TICK)
    return _decimal(reported.get("estimated_cost"))


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    return value if isinstance(value, Decimal) and value.is_finite() and value >= 0 else None

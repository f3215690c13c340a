"""Gemini's usage in the normal form."""

from collections.abc import Mapping

from ..types import CompletionTokensDetails, PromptTokensDetails, Usage
from ._gemini_json import count_of, fields_of, items_of, objects_of, text_of

# What Vertex calls the tiers that the Gemini API names.
_TIERS = {
    "ON_DEMAND": "standard",
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_FLEX": "flex",
    "PROVISIONED_THROUGHPUT": "provisioned",
}


def usage_of(told: Mapping[str, object], *, searches: int = 0) -> Usage | None:
    """Bring ``usageMetadata`` to the normal form; ``None`` where it counts nothing.

    Prompts of tools (pages they read, code they ran) are input that Gemini counts apart, and thoughts are output
    that it counts apart. One count that is missing is what the total leaves for it.

    :param searches: searches of the web that the reply was grounded on
    """
    prompt = count_of(told.get("promptTokenCount"))
    candidates = count_of(told.get("candidatesTokenCount"))
    thoughts = count_of(told.get("thoughtsTokenCount"))
    tools = count_of(told.get("toolUsePromptTokenCount"))
    total = count_of(told.get("totalTokenCount"))
    if total is None and prompt is candidates is thoughts is tools is None:
        return None
    unreported = ("prompt_tokens",) if prompt is None and total is None else ()
    missing = max(0, (total or 0) - (prompt or 0) - (candidates or 0) - (thoughts or 0) - (tools or 0))
    # Of some replies the prompt is not counted, of one that was cut before its text the candidates are not.
    if prompt is None:
        prompt = missing
    elif candidates is None:
        candidates = missing
    prompt += tools or 0
    completion = (candidates or 0) + (thoughts or 0)
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=_prompt_details(told),
        completion_tokens_details=_completion_details(told, thoughts),
        server_tool_use={"web_search_requests": searches} if searches else None,
        unreported=unreported,
        service_tier=tier_of(told),
    )


def tier_of(told: Mapping[str, object]) -> str | None:
    """The service tier that was used: the Gemini API's word for it, where there is one."""
    traffic = text_of(told.get("trafficType"))
    return text_of(told.get("serviceTier")) or (None if traffic is None else _TIERS.get(traffic, traffic))


def searches_of(candidate: Mapping[str, object]) -> int:
    """How often the web was searched for a candidate."""
    return len(items_of(fields_of(candidate.get("groundingMetadata")).get("webSearchQueries")))


def _prompt_details(told: Mapping[str, object]) -> PromptTokensDetails | None:
    cached = count_of(told.get("cachedContentTokenCount"))
    by_kind = _by_kind(told, "promptTokensDetails", "toolUsePromptTokensDetails")
    if cached is None and not by_kind:
        return None
    cached_by_kind = _by_kind(told, "cacheTokensDetails")
    return PromptTokensDetails(
        cached_tokens=cached,
        cached_audio_tokens=cached_by_kind.get("AUDIO"),
        cached_image_tokens=cached_by_kind.get("IMAGE"),
        cached_video_tokens=cached_by_kind.get("VIDEO"),
        text_tokens=by_kind.get("TEXT"),
        audio_tokens=by_kind.get("AUDIO"),
        image_tokens=by_kind.get("IMAGE"),
        video_tokens=by_kind.get("VIDEO"),
    )


def _completion_details(told: Mapping[str, object], thoughts: int | None) -> CompletionTokensDetails | None:
    by_kind = _by_kind(told, "candidatesTokensDetails")
    if thoughts is None and not by_kind:
        return None
    return CompletionTokensDetails(
        reasoning_tokens=thoughts,
        text_tokens=by_kind.get("TEXT"),
        audio_tokens=by_kind.get("AUDIO"),
        image_tokens=by_kind.get("IMAGE"),
        video_tokens=by_kind.get("VIDEO"),
    )


def _by_kind(told: Mapping[str, object], *lists: str) -> dict[str, int]:
    made: dict[str, int] = {}
    for name in lists:
        if name not in told:
            continue
        for one in objects_of(told[name]):
            kind, count = text_of(one.get("modality")), count_of(one.get("tokenCount"))
            if kind is not None and count is not None:
                made[kind] = made.get(kind, 0) + count
    return made

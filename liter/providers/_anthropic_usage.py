"""Usage as Anthropic counts it, and in the normal form."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from ..types import CompletionTokensDetails, PromptTokensDetails, Usage
from ._count import count_of


class CacheCreation(msgspec.Struct, frozen=True):
    """Cache writes, by how long they are kept."""

    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class OutputDetails(msgspec.Struct, frozen=True):
    """Parts of the output."""

    thinking_tokens: int | None = None


class Iteration(msgspec.Struct, frozen=True):
    """One of several runs of a model behind one reply."""

    type: str = ""
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None


class WireUsage(msgspec.Struct, frozen=True):
    """Usage as Anthropic reports it."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputDetails | None = None
    server_tool_use: dict[str, object] | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    iterations: list[Iteration] | None = None

    def updated(self, later: "WireUsage") -> "WireUsage":
        """With what a later report tells in place of what was told before."""
        told = {name: value for name in later.__struct_fields__ if (value := getattr(later, name)) is not None}
        # Counts grow. Imitators that know a count at the beginning alone tell 0 at the end.
        told = {name: value for name, value in told.items() if value != 0 or not getattr(self, name)}
        return replace(self, **told)


def normal_usage(told: WireUsage) -> Usage:
    """Bring usage to the normal form: Anthropic counts cached input apart, and compaction only by itself.

    Runs of other models (advisors) have another price, and stand beside the totals.
    """
    runs: list[WireUsage | Iteration] = [told]
    others: dict[str, list[Iteration]] = {}
    unreported = () if told.input_tokens is not None else ("prompt_tokens",)
    for run in told.iterations or ():
        if run.type == "compaction":
            runs.append(run)
        elif run.type != "message" and run.model is not None:
            others.setdefault(run.model, []).append(run)
    return replace(
        _sum(runs),
        server_tool_use=_uses(told.server_tool_use),
        unreported=unreported,
        others={model: _sum(passes) for model, passes in others.items()} or None,
        service_tier=told.service_tier,
        speed=told.speed,
        inference_geo=told.inference_geo,
    )


def _uses(told: Mapping[str, object] | None) -> dict[str, int] | None:
    if told is None:
        return None
    counts = {name: count_of(value) for name, value in told.items()}
    return {name: count for name, count in counts.items() if count is not None}


def _sum(runs: Sequence[WireUsage | Iteration]) -> Usage:
    reads = sum(run.cache_read_input_tokens or 0 for run in runs)
    writes = sum(run.cache_creation_input_tokens or 0 for run in runs)
    hours = [run.cache_creation.ephemeral_1h_input_tokens for run in runs if run.cache_creation is not None]
    kept = [hour for hour in hours if hour is not None]
    prompt = sum(run.input_tokens or 0 for run in runs) + reads + writes
    completion = sum(run.output_tokens or 0 for run in runs)
    cached = any(run.cache_read_input_tokens is not None or run.cache_creation_input_tokens is not None for run in runs)
    first = runs[0]
    details = first.output_tokens_details if isinstance(first, WireUsage) else None
    thinking = None if details is None else details.thinking_tokens
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=reads, cache_write_tokens=writes, cache_write_1h_tokens=sum(kept) if kept else None
        )
        if cached
        else None,
        completion_tokens_details=None if thinking is None else CompletionTokensDetails(reasoning_tokens=thinking),
    )

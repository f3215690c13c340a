"""What a call is billed by beside tokens: counted from request and reply, where the provider reports nothing."""

from collections.abc import Mapping
from decimal import Decimal
from typing import cast

import msgspec
from msgspec.structs import replace

from .._kept import ON_WHAT_IS_KEPT
from ..types import (
    ImageGenerationRequest,
    ImagesResponse,
    OcrResponse,
    RerankResponse,
    SearchRequest,
    SpeechRequest,
    TranscriptionResponse,
    Usage,
)

# Operations that no provider charges for: they ask about models, prompts, and what is kept, which is paid elsewhere.
_FREE = ON_WHAT_IS_KEPT | {"list_models", "count_tokens"}

_NO_TERMS: Mapping[str, str] = {}


def is_free(operation: str) -> bool:
    """Whether no provider charges for an operation."""
    return operation in _FREE


def counted(request: msgspec.Struct, value: object, usage: Usage | None) -> Usage | None:
    """The usage, with what can be counted from the outside: characters spoken, images made, pages read, queries.

    :param value: the whole reply; ``None`` for a stream
    :return: ``None`` where nothing is reported and nothing can be counted
    """
    counts: dict[str, int] = {}
    if isinstance(request, SpeechRequest):
        counts["characters"] = len(request.input)
    elif isinstance(request, SearchRequest):
        counts["searches"] = 1
    if isinstance(value, ImagesResponse):
        counts["images"] = len(value.data)
    elif isinstance(value, OcrResponse):
        pages = (value.usage_info or {}).get("pages_processed")
        counts["pages"] = pages if isinstance(pages, int) else len(value.pages)
    elif isinstance(value, TranscriptionResponse) and usage is None and value.duration is not None:
        # The digits that are told, and not the binary number next to them.
        return Usage(audio_seconds=Decimal(repr(value.duration)))
    elif isinstance(value, RerankResponse):
        units = _search_units(value.meta)
        if units is not None:
            counts["search_units"] = units
    if not counts:
        return usage
    if usage is None:
        return Usage(**counts)  # type: ignore[arg-type] # counts of these names only
    return replace(usage, **{name: count for name, count in counts.items() if getattr(usage, name) is None})


def terms_of(request: msgspec.Struct) -> Mapping[str, str]:
    """The terms that a request sets its price by, beside those that the usage tells."""
    if isinstance(request, ImageGenerationRequest):
        told = {"size": request.size, "quality": request.quality}
        return {name: value for name, value in told.items() if value is not None}
    if isinstance(request, SearchRequest):
        extra = request.extra_body or {}
        # Or the model's name tells it: "linkup/deep".
        depth = extra.get("search_depth", extra.get("depth", request.model.rpartition("/")[2]))
        return {"search_depth": depth} if isinstance(depth, str) else _NO_TERMS
    return _NO_TERMS


def _search_units(meta: Mapping[str, object] | None) -> int | None:
    billed = (meta or {}).get("billed_units")
    units = cast("Mapping[str, object]", billed).get("search_units") if isinstance(billed, Mapping) else None
    return int(units) if isinstance(units, int | float) else None

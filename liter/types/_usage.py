"""Token counts, and whatever else a call is billed by, in one normal form, whoever reports them."""

from decimal import Decimal

import msgspec

from ._always import always


class PromptTokensDetails(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Parts of ``prompt_tokens``. ``None`` is "not reported", which is not zero.

    :param cached_tokens: read from the provider's prompt cache
    :param cached_audio_tokens: of those, audio; likewise image and video. What is not told of is text
    :param cache_write_tokens: written to that cache
    :param cache_write_1h_tokens: of the writes, those kept for an hour, which cost more (Anthropic)
    :param audio_tokens: audio, with what of it was read from the cache; likewise image and video
    """

    cached_tokens: int | None = None
    cached_audio_tokens: int | None = None
    cached_image_tokens: int | None = None
    cached_video_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    audio_tokens: int | None = None
    text_tokens: int | None = None
    image_tokens: int | None = None
    video_tokens: int | None = None


class CompletionTokensDetails(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Parts of ``completion_tokens``. ``None`` is "not reported", which is not zero.

    :param citation_tokens: tokens of the sources that were read, where they are billed as output (Perplexity)
    :param accepted_prediction_tokens: tokens of ``prediction`` that came out
    :param rejected_prediction_tokens: tokens of ``prediction`` that did not, and are billed all the same
    """

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    text_tokens: int | None = None
    image_tokens: int | None = None
    video_tokens: int | None = None
    citation_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class Usage(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """What a call used, in OpenAI's form.

    Every provider's counts are brought to one meaning: ``prompt_tokens`` includes cache reads and writes,
    ``completion_tokens`` includes reasoning, the details are subsets of those two, and
    ``total_tokens`` is their sum. Whatever else is counted is ``None`` where the provider does not report it.

    :param billed_units: what the provider bills in place of these tokens, where that is less or something else
        (Cohere): ``{"input_tokens": 5, "output_tokens": 10}``, ``{"search_units": 1}``
    :param reported_cost: US dollars, where the provider itself tells the price of the call; exact
    :param server_tool_use: billed uses of tools that the provider runs: ``{"web_search_requests": 2}``
    :param unreported: of ``"prompt_tokens"`` and ``"completion_tokens"``, what the provider did not report: it is
        unknown, and counts as 0 in the totals here
    :param others: what other models used for the same reply, by model, as an advisor that was asked (Anthropic). It is
        billed at their prices, and not in the totals
    :param service_tier: the tier that the provider says it used: ``"default"``, ``"flex"``, ``"priority"``, ...
    :param speed: ``"fast"`` where that was used, and is billed (Anthropic)
    :param inference_geo: where it was computed, where that changes the price (Anthropic)
    :param search_context_size: ``"low"``, ``"medium"`` or ``"high"``, where a search is billed by it (Perplexity)
    :param audio_seconds: seconds of audio taken in
    :param video_seconds: seconds of video made
    :param characters: characters of text turned into speech
    :param pages: pages of documents that were read; ``annotated_pages`` of them with annotations
    :param images: images made
    :param searches: queries of a search
    :param search_units: what a rerank is billed by (Cohere)
    """

    prompt_tokens: int = always(0)
    completion_tokens: int = always(0)
    total_tokens: int = always(0)
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None
    billed_units: dict[str, float] | None = None
    reported_cost: Decimal | None = None
    server_tool_use: dict[str, int] | None = None
    unreported: tuple[str, ...] = ()
    others: "dict[str, Usage] | None" = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    search_context_size: str | None = None
    audio_seconds: Decimal | None = None
    video_seconds: Decimal | None = None
    characters: int | None = None
    pages: int | None = None
    annotated_pages: int | None = None
    images: int | None = None
    searches: int | None = None
    search_units: int | None = None

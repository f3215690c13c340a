"""Token counts in one normal form, whoever reports them."""

import msgspec


class PromptTokensDetails(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """Parts of ``prompt_tokens``. ``None`` is "not reported", which is not zero.

    :param cached_tokens: read from the provider's prompt cache
    :param cache_write_tokens: written to that cache
    :param cache_write_1h_tokens: of the writes, those kept for an hour, which cost more (Anthropic)
    """

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    audio_tokens: int | None = None
    text_tokens: int | None = None
    image_tokens: int | None = None
    video_tokens: int | None = None


class CompletionTokensDetails(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """Parts of ``completion_tokens``. ``None`` is "not reported", which is not zero.

    :param accepted_prediction_tokens: tokens of ``prediction`` that came out
    :param rejected_prediction_tokens: tokens of ``prediction`` that did not, and are billed all the same
    """

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    text_tokens: int | None = None
    image_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class Usage(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """Tokens that a call used, in OpenAI's form.

    Every provider's counts are brought to one meaning: ``prompt_tokens`` includes cache reads and writes,
    ``completion_tokens`` includes reasoning, the details are subsets of those two, and
    ``total_tokens`` is their sum.

    :param billed_units: what the provider bills in place of these tokens, where that is less or something else
        (Cohere): ``{"input_tokens": 5, "output_tokens": 10}``, ``{"search_units": 1}``
    :param reported_cost: US dollars, where the provider itself tells the price of the call
    :param server_tool_use: billed uses of tools that the provider runs: ``{"web_search_requests": 2}``
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None
    billed_units: dict[str, float] | None = None
    reported_cost: float | None = None
    server_tool_use: dict[str, int] | None = None

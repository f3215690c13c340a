"""Usage as OpenAI's newer endpoints report it, counted by input and output: Responses, images, sound."""

from decimal import Decimal

import msgspec

from ..types import CompletionTokensDetails, PromptTokensDetails, Usage
from ._openai_usage import TICK


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None
    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class InputOutputUsage(msgspec.Struct):
    """Token counts, or for sound that is billed by time (``type="duration"``) its seconds.

    Mistral counts transcriptions by prompt and completion, xAI tells the price of images alone.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_audio_seconds: Decimal | None = None
    cost_in_usd_ticks: int | None = None
    input_tokens_details: _InputDetails | None = None
    input_token_details: _InputDetails | None = None  # transcriptions have it without the s
    output_tokens_details: _OutputDetails | None = None
    type: str | None = None
    seconds: Decimal | None = None

    def normal(self) -> Usage:
        """The same in the normal form."""
        prompt, completion = self.input_tokens or self.prompt_tokens, self.output_tokens or self.completion_tokens
        given = self.input_tokens_details or self.input_token_details
        made = self.output_tokens_details
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=prompt + completion,
            audio_seconds=self.seconds if self.seconds is not None else self.prompt_audio_seconds,
            reported_cost=None if self.cost_in_usd_ticks is None else Decimal(self.cost_in_usd_ticks).scaleb(TICK),
            prompt_tokens_details=None
            if given is None
            else PromptTokensDetails(
                cached_tokens=given.cached_tokens,
                cache_write_tokens=given.cache_write_tokens,
                text_tokens=given.text_tokens,
                audio_tokens=given.audio_tokens,
                image_tokens=given.image_tokens,
            ),
            completion_tokens_details=None
            if made is None
            else CompletionTokensDetails(
                reasoning_tokens=made.reasoning_tokens,
                text_tokens=made.text_tokens,
                audio_tokens=made.audio_tokens,
                image_tokens=made.image_tokens,
            ),
        )

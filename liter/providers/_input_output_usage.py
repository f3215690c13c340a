"""Usage as OpenAI's newer endpoints report it, counted by input and output: Responses, images, sound."""

import msgspec

from ..types import CompletionTokensDetails, PromptTokensDetails, Usage


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
    """Token counts, or for sound that is billed by time (``type="duration"``) its seconds."""

    input_tokens: int = 0
    output_tokens: int = 0
    input_tokens_details: _InputDetails | None = None
    input_token_details: _InputDetails | None = None  # transcriptions have it without the s
    output_tokens_details: _OutputDetails | None = None
    type: str | None = None
    seconds: float | None = None

    def normal(self) -> Usage | None:
        """The same in the normal form; ``None`` where there are no tokens, but seconds."""
        if self.type == "duration":
            return None
        given = self.input_tokens_details or self.input_token_details
        made = self.output_tokens_details
        return Usage(
            prompt_tokens=self.input_tokens,
            completion_tokens=self.output_tokens,
            total_tokens=self.input_tokens + self.output_tokens,
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

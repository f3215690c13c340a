"""Tokens in classes that do not overlap, each with a price of its own."""

import msgspec

from ..types import CompletionTokensDetails, PromptTokensDetails, Usage

_NO_PROMPT_DETAILS = PromptTokensDetails()
_NO_COMPLETION_DETAILS = CompletionTokensDetails()


class TokenClasses(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """The tokens of a :class:`~liter.types.Usage`, split so that every token is in one class, and in one only.

    The first ten make up ``prompt_tokens``, the last six ``completion_tokens``.

    :param text_input: all that is in no other class of the prompt
    :param cache_read: text read from the prompt cache, and whatever was read from it of an unknown kind
    :param cache_write_5m: written to the cache for five minutes, or for a time that the provider does not tell
    :param cache_write_1h: written to the cache for an hour
    :param audio_input: audio that was not cached; likewise ``image_input`` and ``video_input``
    :param text_output: all that is in no other class of the completion
    """

    text_input: int = 0
    cache_read: int = 0
    cache_read_audio: int = 0
    cache_read_image: int = 0
    cache_read_video: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    audio_input: int = 0
    image_input: int = 0
    video_input: int = 0
    text_output: int = 0
    reasoning: int = 0
    citation: int = 0
    audio_output: int = 0
    image_output: int = 0
    video_output: int = 0

    @staticmethod
    def of(usage: Usage) -> "TokenClasses":
        """Split a usage. What is reported as zero, and what is not reported, is in no class.

        :raises ValueError: the parts come to more than the whole, so that one class would be negative: the report
            contradicts itself, and no price follows from it
        """
        told, made = usage.prompt_tokens_details, usage.completion_tokens_details
        if told is None and made is None and usage.prompt_tokens >= 0 and usage.completion_tokens >= 0:
            return TokenClasses(text_input=usage.prompt_tokens, text_output=usage.completion_tokens)
        told, made = told or _NO_PROMPT_DETAILS, made or _NO_COMPLETION_DETAILS
        cached_audio = told.cached_audio_tokens or 0
        cached_image = told.cached_image_tokens or 0
        cached_video = told.cached_video_tokens or 0
        cached = told.cached_tokens or 0
        written, hour = told.cache_write_tokens or 0, told.cache_write_1h_tokens or 0
        audio = (told.audio_tokens or 0) - cached_audio
        image = (told.image_tokens or 0) - cached_image
        video = (told.video_tokens or 0) - cached_video
        reasoning, citation = made.reasoning_tokens or 0, made.citation_tokens or 0
        audio_out, image_out, video_out = made.audio_tokens or 0, made.image_tokens or 0, made.video_tokens or 0
        classes = TokenClasses(
            text_input=usage.prompt_tokens - cached - written - audio - image - video,
            cache_read=cached - cached_audio - cached_image - cached_video,
            cache_read_audio=cached_audio,
            cache_read_image=cached_image,
            cache_read_video=cached_video,
            cache_write_5m=written - hour,
            cache_write_1h=hour,
            audio_input=audio,
            image_input=image,
            video_input=video,
            text_output=usage.completion_tokens - reasoning - citation - audio_out - image_out - video_out,
            reasoning=reasoning,
            citation=citation,
            audio_output=audio_out,
            image_output=image_out,
            video_output=video_out,
        )
        negative = [name for name in classes.__struct_fields__ if getattr(classes, name) < 0]
        if negative:
            raise ValueError(
                f"the usage contradicts itself: {', '.join(negative)} would be negative in {usage!r}: "
                f"the parts of a total must not come to more than it"
            )
        return classes

    @property
    def prompt_tokens(self) -> int:
        """The sum of the classes of the prompt."""
        return (
            self.text_input
            + self.cache_read
            + self.cache_read_audio
            + self.cache_read_image
            + self.cache_read_video
            + self.cache_write_5m
            + self.cache_write_1h
            + self.audio_input
            + self.image_input
            + self.video_input
        )

    @property
    def completion_tokens(self) -> int:
        """The sum of the classes of the completion."""
        return (
            self.text_output
            + self.reasoning
            + self.citation
            + self.audio_output
            + self.image_output
            + self.video_output
        )

"""Tokens in classes that do not overlap, each with a price of its own."""

import msgspec

from ..types import Usage


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
            contradicts itself
        """
        classes = TokenClasses.split(usage)
        if negative := classes.negative:
            raise ValueError(
                f"the usage contradicts itself: {', '.join(negative)} would be negative in {usage!r}: "
                f"the parts of a total must not come to more than it"
            )
        return classes

    @staticmethod
    def split(usage: Usage) -> "TokenClasses":
        """Split a usage as it is reported, whether or not a class is then ``negative``."""
        return TokenClasses(**parts(usage))

    @property
    def negative(self) -> tuple[str, ...]:
        """The classes that have less than no tokens: what was reported contradicts itself there."""
        return tuple(name for name in self.__struct_fields__ if getattr(self, name) < 0)

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


def parts(usage: Usage) -> dict[str, int]:
    """The classes of a usage that are not empty, as they are reported. This is asked of every call."""
    text, text_output = usage.prompt_tokens, usage.completion_tokens
    told, made = usage.prompt_tokens_details, usage.completion_tokens_details
    found: dict[str, int] = {}
    if told is not None:
        kinds = (
            (told.audio_tokens, told.cached_audio_tokens, "audio_input", "cache_read_audio"),
            (told.image_tokens, told.cached_image_tokens, "image_input", "cache_read_image"),
            (told.video_tokens, told.cached_video_tokens, "video_input", "cache_read_video"),
        )
        cached = told.cached_tokens or 0
        text -= cached
        for all_of_it, read, fresh_class, read_class in kinds:
            if read:
                found[read_class] = read
                cached -= read
            if fresh := (all_of_it or 0) - (read or 0):
                found[fresh_class] = fresh
                text -= fresh
        if cached:
            found["cache_read"] = cached
        if written := told.cache_write_tokens or 0:
            text -= written
        if hour := told.cache_write_1h_tokens or 0:
            found["cache_write_1h"] = hour
        if written != hour:
            found["cache_write_5m"] = written - hour
    if made is not None:
        for name, count in (
            ("reasoning", made.reasoning_tokens),
            ("audio_output", made.audio_tokens),
            ("image_output", made.image_tokens),
            ("video_output", made.video_tokens),
            ("citation", made.citation_tokens),
        ):
            if count:
                found[name] = count
                text_output -= count
    if text:
        found["text_input"] = text
    if text_output:
        found["text_output"] = text_output
    return found

"""Transcription: speech as text, in its own language or in English."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from msgspec.structs import force_setattr

from ._checks import check_model, check_range
from ._file import File, FileSource
from ._response import ApiResponse, JsonObject
from ._usage import Usage


class TranscriptionRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for the text of a recording. Sent as a form; ``None`` is not sent.

    :param model: ``"provider/model"``, or a name that the client routes
    :param file: the recording: a path, bytes, an open file, or ``(filename, content)``
    :param language: of the speech, ISO 639-1: ``"en"``
    :param prompt: text that comes before, or words to expect
    :param response_format: ``"json"``, ``"text"``, ``"srt"``, ``"verbose_json"``, ``"vtt"``, ``"diarized_json"``
    :param temperature: randomness, 0 to 1
    :param timestamp_granularities: ``["word"]``, ``["segment"]``, with ``"verbose_json"``
    :param include: ``["logprobs"]``
    :param chunking_strategy: ``"auto"``, or how to cut a long recording
    :param extra_body: more fields of the form; they win
    :raises ValueError: what cannot be right, with what would be
    """

    model: str
    file: FileSource
    language: str | None = None
    prompt: str | None = None
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"] | str | None = None
    temperature: float | None = None
    timestamp_granularities: Sequence[Literal["word", "segment"] | str] | None = None
    include: Sequence[str] | None = None
    chunking_strategy: str | Mapping[str, object] | None = None
    extra_body: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        check_model(self.model, "openai/whisper-1")
        force_setattr(self, "file", File.of(self.file, "file"))
        check_range(self.temperature, "temperature", 0, 1)


class TranslationRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for the text of a recording, in English. The parameters are those of :class:`TranscriptionRequest`."""

    model: str
    file: FileSource
    prompt: str | None = None
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] | str | None = None
    temperature: float | None = None
    extra_body: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        check_model(self.model, "openai/whisper-1")
        force_setattr(self, "file", File.of(self.file, "file"))
        check_range(self.temperature, "temperature", 0, 1)


class TranscribedWord(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """A word. Times are seconds from the recording's start."""

    word: str = ""
    start: float = 0.0
    end: float = 0.0
    speaker: str | None = None


class TranscribedSegment(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """A stretch of speech. Times are seconds from the recording's start."""

    id: int | str | None = None
    start: float = 0.0
    end: float = 0.0
    text: str = ""
    speaker: str | None = None
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    compression_ratio: float | None = None
    temperature: float | None = None
    tokens: list[int] | None = None
    seek: int | None = None


class TranscriptionResponse(ApiResponse, repr_omit_defaults=True, frozen=True, kw_only=True):
    """The text of a recording.

    :param text: all of it; with a subtitle format, the file of subtitles
    :param duration: seconds of sound
    :param usage: token counts, for models that bill by tokens; ``None`` is unknown, never zero
    """

    text: str = ""
    task: str | None = None
    language: str | None = None
    duration: float | None = None
    words: list[TranscribedWord] | None = None
    segments: list[TranscribedSegment] | None = None
    logprobs: list[JsonObject] | None = None
    model: str | None = None
    usage: Usage | None = None
    native: JsonObject | None = None


class TranscriptionEvent(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """What a streamed transcription tells.

    :param type: ``"transcript.text.delta"``, ``"transcript.text.segment"``, ``"transcript.text.done"``
    :param delta: the next piece of text
    :param text: the whole text, at the end; of a segment, its text
    """

    type: str = ""
    delta: str = ""
    text: str = ""
    start: float | None = None
    end: float | None = None
    speaker: str | None = None
    segment_id: str | None = None
    logprobs: list[JsonObject] | None = None
    usage: Usage | None = None

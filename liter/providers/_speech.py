"""What speech and its transcription have in common, whoever speaks or listens."""

from typing import cast

from .._contract import Call
from .._errors import BadRequestError
from ..types import SpeechRequest, TranscriptionRequest, Usage
from ._parameters import refuse


def voice_of(request: SpeechRequest) -> str:
    """The voice's name or id. :raises BadRequestError: there is none"""
    voice = request.voice if isinstance(request.voice, str) else request.voice.get("id", "")
    if not voice:
        raise BadRequestError("voice must be a name, an id, or {'id': ...}")
    return voice


def spoken(call: Call[object], value: object) -> Usage:
    """What is billed is the text's length, which nobody reports."""
    return Usage(characters=len(cast("SpeechRequest", call.request).input))


def refuse_subtitles(request: TranscriptionRequest, call: Call[object]) -> None:
    """Refuse to make subtitles, or drop that they are asked for, where nobody makes them but the caller."""
    if request.response_format in ("srt", "vtt"):
        refuse(call, f"response_format={request.response_format!r}", "make subtitles of the words")


def refuse_segments(request: TranscriptionRequest, call: Call[object]) -> None:
    """Refuse to tell the times of segments, or drop that they are asked for, where words alone have times."""
    if "segment" in (request.timestamp_granularities or ()):
        refuse(call, "timestamp_granularities=['segment']", "ask for words")

"""What speech has in common, whoever speaks."""

from typing import cast

from .._contract import Call
from .._errors import BadRequestError
from ..types import SpeechRequest, Usage


def voice_of(request: SpeechRequest) -> str:
    """The voice's name or id. :raises BadRequestError: there is none"""
    voice = request.voice if isinstance(request.voice, str) else request.voice.get("id", "")
    if not voice:
        raise BadRequestError("voice must be a name, an id, or {'id': ...}")
    return voice


def spoken(call: Call[object], value: object) -> Usage:
    """What is billed is the text's length, which nobody reports."""
    return Usage(characters=len(cast("SpeechRequest", call.request).input))

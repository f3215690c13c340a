"""Speech: a text spoken."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from ._checks import check_model, check_range, check_text


class SpeechRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for a text to be spoken, in OpenAI's form. ``None`` is not sent.

    :param model: ``"provider/model"``, or a name that the client routes
    :param input: the text
    :param voice: a voice's name, such as ``"alloy"``, or its id
    :param instructions: how to speak
    :param response_format: ``"mp3"``, ``"opus"``, ``"aac"``, ``"flac"``, ``"wav"``, ``"pcm"``
    :param speed: 0.25 to 4; 1 is normal
    :param extra_body: more fields of the provider's body; merged last, so they win
    :raises ValueError: what cannot be right, with what would be
    """

    model: str
    input: str
    voice: str | Mapping[str, str]
    instructions: str | None = None
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] | str | None = None
    speed: float | None = None
    extra_body: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        check_model(self.model, "openai/gpt-4o-mini-tts")
        check_text(self.input, "input")
        check_range(self.speed, "speed", 0.25, 4)

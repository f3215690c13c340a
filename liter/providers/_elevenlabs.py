"""ElevenLabs: speech, with the voice in the address, and transcriptions."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast
from urllib.parse import quote

import msgspec

from .._contract import Call
from .._errors import BadRequestError
from .._form import Form
from .._http import Headers, HttpRequest
from ..types import File, SpeechRequest, TranscribedWord, TranscriptionRequest, TranscriptionResponse, Usage
from ._bytes_stream import BytesDecoder, read_bytes
from ._json_body import json_text
from ._parameters import Mapped, Renamed, Rule, Sent, Unsupported, refuse, supported
from ._read import read_json
from ._speech import refuse_segments, refuse_subtitles, spoken, voice_of
from ._wire import OperationWire, WireProvider

JsonObject = dict[str, object]

_ENCODER = msgspec.json.Encoder()
_VOICE_ID = re.compile(r"[A-Za-z0-9]{16,}|[\w-]*[-_][\w-]*")

# What each format of OpenAI's is called; its own names, such as mp3_22050_32, are sent as they are.
_FORMATS = {"mp3": "mp3_44100_128", "pcm": "pcm_24000", "opus": "opus_48000_128"}
_SLOWEST, _FASTEST = 0.7, 1.2

SPEECH_PARAMETERS: Mapping[str, Rule] = {
    "model": Renamed("model_id"),
    "input": Renamed("text"),
    "voice": Mapped("in the address: an id, and no name"),
    "instructions": Unsupported("write directions into the text, if the model takes them"),
    "response_format": Mapped("`output_format`, in the address: `mp3`, `pcm`, `opus`, or as it is, as `mp3_22050_32`"),
    "speed": Mapped("`voice_settings.speed`, 0.7 to 1.2"),
    "extra_body": Mapped("its fields; they win"),
}
TRANSCRIPTION_PARAMETERS: Mapping[str, Rule] = {
    "model": Renamed("model_id"),
    "file": Sent(),
    "language": Renamed("language_code"),
    "prompt": Unsupported("tell words to expect as extra_body={'keyterms': [...]}"),
    "response_format": Mapped("`diarize` for `diarized_json`; no subtitles"),
    "temperature": Sent(),
    "timestamp_granularities": Mapped("`timestamps_granularity`: `word`; no segments"),
    "include": Unsupported(),
    "chunking_strategy": Unsupported(neutral=("auto",)),
    "extra_body": Mapped("its fields; they win"),
}


class _Word(msgspec.Struct):
    text: str = ""
    start: float | None = None
    end: float | None = None
    type: str = "word"
    speaker_id: str | None = None


class _Reply(msgspec.Struct):
    text: str
    language_code: str | None = None
    language_probability: float | None = None
    words: list[_Word] | None = None
    transcription_id: str | None = None
    audio_duration_secs: Decimal | None = None


_REPLY = msgspec.json.Decoder(_Reply)


def _encode_speech(provider: WireProvider, call: Call[object]) -> HttpRequest:
    request = supported(SPEECH_PARAMETERS, cast("SpeechRequest", call.request), call)
    voice = voice_of(request)
    if not _VOICE_ID.fullmatch(voice):
        raise BadRequestError(
            f"voice: ElevenLabs takes the id of a voice, such as '21m00Tcm4TlvDq8ikWAM', and not a name: {voice!r}"
        )
    body: dict[str, object] = {"text": request.input, "model_id": call.route.model}
    if request.speed is not None:
        if _SLOWEST <= request.speed <= _FASTEST:
            body["voice_settings"] = {"speed": request.speed}
        else:
            refuse(call, f"speed={request.speed:g}", f"{_SLOWEST:g} to {_FASTEST:g}")
    body.update(request.extra_body or {})
    base_url, path = provider.locate(call, "/text-to-speech/{voice_id}")
    path = path.replace("{voice_id}", quote(voice, safe="")) + ("/stream" if call.stream else "")
    if (wanted := _format(request, call)) is not None:
        path = f"{path}?output_format={quote(wanted, safe='')}"
    own = ((b"content-type", b"application/json"), (b"accept", b"*/*"))
    return provider.request(call, "POST", base_url, path, own, body=_ENCODER.encode(body))


def _format(request: SpeechRequest, call: Call[object]) -> str | None:
    told = request.response_format
    if told is None or "_" in told:
        return told
    if told not in _FORMATS:
        refuse(call, f"response_format={told!r}", f"one of {', '.join(_FORMATS)}, or one of its own names")
    return _FORMATS.get(told)


def _encode_transcribe(provider: WireProvider, call: Call[object]) -> HttpRequest:
    request = supported(TRANSCRIPTION_PARAMETERS, cast("TranscriptionRequest", call.request), call)
    refuse_subtitles(request, call)
    refuse_segments(request, call)
    told: dict[str, object] = {
        "model_id": call.route.model,
        "language_code": request.language,
        "diarize": True if request.response_format == "diarized_json" else None,
        "temperature": request.temperature,
        "timestamps_granularity": "word" if "word" in (request.timestamp_granularities or ()) else None,
        **(request.extra_body or {}),
    }
    fields: list[tuple[str, str | File]] = []
    for name, value in told.items():
        if value is not None:
            several = cast("list[object]", value) if isinstance(value, list) else [value]
            fields += [(name, json_text(one)) for one in several]
    form = Form([*fields, ("file", File.of(request.file, "file"))])
    own = ((b"content-type", form.content_type), (b"accept", b"application/json"))
    return provider.request(call, "POST", *provider.locate(call, "/speech-to-text"), own, upload=form)


def _decode_transcribe(
    provider: WireProvider, call: Call[object], body: bytes, headers: Headers
) -> TranscriptionResponse:
    told = read_json(call, body, _REPLY, "a transcription")
    seconds = told.audio_duration_secs
    native: JsonObject = {"language_probability": told.language_probability, "transcription_id": told.transcription_id}
    return TranscriptionResponse(
        text=told.text,
        language=told.language_code,
        duration=None if seconds is None else float(seconds),
        words=[
            TranscribedWord(word=word.text, start=word.start or 0.0, end=word.end or 0.0, speaker=word.speaker_id)
            for word in told.words or ()
            if word.type == "word"
        ],
        model=call.route.model,
        usage=None if seconds is None else Usage(audio_seconds=seconds),
        native={name: value for name, value in native.items() if value is not None} or None,
    )


OPERATIONS: Mapping[str, OperationWire[Any, Any]] = {
    "speech": OperationWire(
        encode=_encode_speech,
        decode=read_bytes,
        usage=spoken,
        open_stream=lambda provider, call: BytesDecoder(),
        parameters=SPEECH_PARAMETERS,
    ),
    "transcribe": OperationWire(
        encode=_encode_transcribe, decode=_decode_transcribe, parameters=TRANSCRIPTION_PARAMETERS
    ),
}

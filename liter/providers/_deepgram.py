"""Deepgram: speech and transcriptions, whose settings all are in the address."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast
from urllib.parse import quote, urlencode

import msgspec

from .._contract import Call
from .._http import Headers, HttpRequest, RawHeaders
from ..types import (
    File,
    SpeechRequest,
    TranscribedSegment,
    TranscribedWord,
    TranscriptionRequest,
    TranscriptionResponse,
    Usage,
)
from ._bytes_stream import BytesDecoder, read_bytes
from ._json_body import json_text
from ._parameters import Mapped, Rule, Sent, Unsupported, refuse, supported
from ._read import read_json
from ._speech import refuse_subtitles, spoken, voice_of
from ._wire import OperationWire, WireProvider

_ENCODER = msgspec.json.Encoder()

# What each format of OpenAI's is called.
_FORMATS: Mapping[str, Mapping[str, str]] = {
    "mp3": {"encoding": "mp3"},
    "opus": {"encoding": "opus"},
    "aac": {"encoding": "aac"},
    "flac": {"encoding": "flac"},
    "wav": {"encoding": "linear16", "container": "wav"},
    "pcm": {"encoding": "linear16", "container": "none"},
}

SPEECH_PARAMETERS: Mapping[str, Rule] = {
    "model": Mapped("`model`, with the voice in it: `aura-2` and `thalia` are `aura-2-thalia-en`"),
    "input": Mapped("`text`"),
    "voice": Mapped("a part of `model`"),
    "instructions": Unsupported(),
    "response_format": Mapped("`encoding` and `container`"),
    "speed": Unsupported(neutral=(1, 1.0)),
    "extra_body": Mapped("its fields, in the address; they win"),
}
TRANSCRIPTION_PARAMETERS: Mapping[str, Rule] = {
    "model": Sent(),
    "file": Mapped("the body"),
    "language": Sent(),
    "prompt": Unsupported("tell words to expect as extra_body={'keyterm': [...]}"),
    "response_format": Mapped("`diarize` and `utterances` for `diarized_json`; no subtitles"),
    "temperature": Unsupported(neutral=(0, 0.0)),
    "timestamp_granularities": Mapped("`utterances` for `segment`; words come always"),
    "include": Unsupported(),
    "chunking_strategy": Unsupported(neutral=("auto",)),
    "extra_body": Mapped("its fields, in the address, lists as repeated ones; they win"),
}


class _Word(msgspec.Struct):
    word: str = ""
    punctuated_word: str | None = None
    start: float = 0.0
    end: float = 0.0
    speaker: int | str | None = None


class _Alternative(msgspec.Struct):
    transcript: str = ""
    words: list[_Word] = []


class _Channel(msgspec.Struct):
    alternatives: list[_Alternative] = []
    detected_language: str | None = None


class _Utterance(msgspec.Struct):
    id: str | None = None
    start: float = 0.0
    end: float = 0.0
    transcript: str = ""
    speaker: int | str | None = None


class _Results(msgspec.Struct):
    channels: list[_Channel]
    utterances: list[_Utterance] | None = None


class _Metadata(msgspec.Struct, frozen=True):
    duration: Decimal | None = None


class _Reply(msgspec.Struct):
    results: _Results
    metadata: _Metadata = _Metadata()


_REPLY = msgspec.json.Decoder(_Reply)


def _request(
    provider: WireProvider,
    call: Call[object],
    path: str,
    query: Mapping[str, object],
    headers: RawHeaders,
    *,
    body: bytes = b"",
    upload: File | None = None,
) -> HttpRequest:
    base_url, path = provider.locate(call, path)
    path = f"{path}?{urlencode(list(_pairs(query)), quote_via=quote)}"
    return provider.request(call, "POST", base_url, path, headers, body=body, upload=upload)


def _pairs(query: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, value in query.items():
        for one in cast("Sequence[object]", value) if isinstance(value, list | tuple) else (value,):
            yield name, json_text(one)


def _encode_speech(provider: WireProvider, call: Call[object]) -> HttpRequest:
    request = supported(SPEECH_PARAMETERS, cast("SpeechRequest", call.request), call)
    query: dict[str, object] = {"model": _model(voice_of(request), call)}
    if request.response_format is not None:
        told = _FORMATS.get(request.response_format)
        if told is None:
            refuse(call, f"response_format={request.response_format!r}", f"one of {', '.join(_FORMATS)}")
        query.update(told or {})
    query.update(request.extra_body or {})
    headers = ((b"content-type", b"application/json"), (b"accept", b"*/*"))
    return _request(provider, call, "/speak", query, headers, body=_ENCODER.encode({"text": request.input}))


def _model(voice: str, call: Call[object]) -> str:
    """The name of the model that has a voice: there is one for each."""
    model = call.route.model
    if voice.startswith("aura"):
        return voice
    if f"-{voice}-" in f"{model}-":
        return model
    if model.count("-") > 1:
        refuse(call, f"voice={voice!r} of the model {model!r}, which has another", f"name the model {model[:6]!r}")
        return model
    return f"{model}-{voice}" if "-" in voice else f"{model}-{voice}-en"


def _encode_transcribe(provider: WireProvider, call: Call[object]) -> HttpRequest:
    request = supported(TRANSCRIPTION_PARAMETERS, cast("TranscriptionRequest", call.request), call)
    # Without it there is neither punctuation nor a capital letter.
    query: dict[str, object] = {"model": call.route.model, "smart_format": True}
    if request.language is not None:
        query["language"] = request.language
    refuse_subtitles(request, call)
    diarized = request.response_format == "diarized_json"
    if diarized:
        query["diarize"] = True
    if diarized or "segment" in (request.timestamp_granularities or ()):
        query["utterances"] = True
    query.update(request.extra_body or {})
    file = File.of(request.file, "file")
    headers = ((b"content-type", file.media_type.encode()), (b"accept", b"application/json"))
    return _request(provider, call, "/listen", query, headers, upload=file)


def _decode_transcribe(
    provider: WireProvider, call: Call[object], body: bytes, headers: Headers
) -> TranscriptionResponse:
    told = read_json(call, body, _REPLY, "a transcription")
    channels = told.results.channels
    best = [channel.alternatives[0] for channel in channels if channel.alternatives]
    utterances, duration = told.results.utterances, told.metadata.duration
    return TranscriptionResponse(
        text="\n".join(one.transcript for one in best),
        language=next((one.detected_language for one in channels if one.detected_language), None)
        or cast("TranscriptionRequest", call.request).language,
        duration=None if duration is None else float(duration),
        words=[
            TranscribedWord(
                word=word.punctuated_word or word.word, start=word.start, end=word.end, speaker=_speaker(word.speaker)
            )
            for one in best
            for word in one.words
        ],
        segments=None
        if utterances is None
        else [
            TranscribedSegment(
                id=one.id, start=one.start, end=one.end, text=one.transcript, speaker=_speaker(one.speaker)
            )
            for one in utterances
        ],
        model=call.route.model,
        # Channels that are transcribed apart are billed apart.
        usage=None if duration is None else Usage(audio_seconds=duration * len(channels)),
    )


def _speaker(told: int | str | None) -> str | None:
    return None if told is None else str(told)


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

"""Transcriptions on OpenAI's wire."""

from collections.abc import Sequence
from decimal import Decimal
from typing import cast

import msgspec

from .._contract import Call
from .._http import Headers
from ..types import (
    TranscribedSegment,
    TranscribedWord,
    TranscriptionEvent,
    TranscriptionRequest,
    TranscriptionResponse,
)
from ._event_stream_decoder import EventStreamDecoder
from ._input_output_usage import InputOutputUsage
from ._read import read_json

JsonObject = dict[str, object]

# These come as they are, in place of JSON.
PLAIN_FORMATS = frozenset({"text", "srt", "vtt"})


class _Reply(msgspec.Struct):
    text: str
    task: str | None = None
    language: str | None = None
    duration: float | None = None
    words: list[TranscribedWord] | None = None
    segments: list[TranscribedSegment] | None = None
    logprobs: list[JsonObject] | None = None
    model: str | None = None
    usage: InputOutputUsage | None = None


class _Event(msgspec.Struct):
    type: str = ""
    delta: str = ""
    text: str = ""
    start: float | None = None
    end: float | None = None
    speaker: str | None = None
    segment_id: str | None = None
    id: str | None = None
    logprobs: list[JsonObject] | None = None
    usage: InputOutputUsage | None = None


_REPLY = msgspec.json.Decoder(_Reply)
_EVENT = msgspec.json.Decoder(_Event)


def read_transcription(call: Call[object], body: bytes, headers: Headers) -> TranscriptionResponse:
    """Decode a transcription, JSON or plain text as the request asked.

    :raises SerializationError: it cannot be read
    """
    wanted = cast("TranscriptionRequest", call.request).response_format
    if wanted in PLAIN_FORMATS and not headers.get("content-type", "").startswith("application/json"):
        return TranscriptionResponse(text=body.decode("utf-8", "replace"))
    told = read_json(call, body, _REPLY, "a transcription")
    usage = told.usage
    return TranscriptionResponse(
        text=told.text,
        task=told.task,
        language=told.language,
        duration=told.duration if told.duration is not None or usage is None else _float(usage.seconds),
        words=told.words,
        segments=told.segments,
        logprobs=told.logprobs,
        model=told.model,
        usage=None if usage is None else usage.normal(),
    )


def _float(seconds: Decimal | None) -> float | None:
    return None if seconds is None else float(seconds)


def open_transcription_stream(call: Call[object]) -> EventStreamDecoder[_Event, TranscriptionEvent]:
    """Make the decoder of a streamed transcription."""

    def of_whole(body: bytes) -> Sequence[TranscriptionEvent]:
        reply = read_transcription(call, body, Headers())
        return [TranscriptionEvent(type="transcript.text.done", text=reply.text, usage=reply.usage)]

    return EventStreamDecoder(
        _EVENT, _event, ".text.done", of_whole, provider=call.route.provider, model=call.route.model
    )


def _event(told: _Event) -> TranscriptionEvent:
    return TranscriptionEvent(
        type=told.type,
        delta=told.delta,
        text=told.text,
        start=told.start,
        end=told.end,
        speaker=told.speaker,
        segment_id=told.segment_id or told.id,
        logprobs=told.logprobs,
        usage=None if told.usage is None else told.usage.normal(),
    )

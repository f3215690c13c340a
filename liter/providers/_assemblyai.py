"""AssemblyAI: OpenAI's wire for chats; a recording is uploaded, handed in, and asked after."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

import msgspec

from .._contract import Call
from .._errors import ServerError
from .._http import Headers, HttpRequest
from ..types import File, TranscribedSegment, TranscribedWord, TranscriptionRequest, TranscriptionResponse, Usage
from ._headers import GET, JSON
from ._json_body import body_of
from ._openai import OpenAI
from ._parameters import Mapped, Rule, Unsupported, supported
from ._polling import ask_after, ask_again
from ._read import read_plainly
from ._speech import refuse_segments, refuse_subtitles
from ._wire import FollowUp, OperationWire

# The domain of its hosts: chats have another than recordings.
_HOSTS = "assemblyai.com"

TRANSCRIPTION_PARAMETERS: Mapping[str, Rule] = {
    "model": Mapped("`speech_models`, of one"),
    "file": Mapped("uploaded before"),
    "language": Mapped("`language_code`, as it is; by default it is detected"),
    "prompt": Unsupported("tell words to expect as extra_body={'keyterms_prompt': [...]}"),
    "response_format": Mapped("`speaker_labels` for `diarized_json`; no subtitles"),
    "temperature": Unsupported(neutral=(0, 0.0)),
    "timestamp_granularities": Mapped("nothing: words come always, and no segments"),
    "include": Unsupported(),
    "chunking_strategy": Unsupported(neutral=("auto",)),
    "extra_body": Mapped("its fields; they win"),
}


class _Said(msgspec.Struct):
    text: str = ""
    start: int = 0
    end: int = 0
    speaker: str | None = None


class _Job(msgspec.Struct):
    id: str = ""
    status: str = ""
    upload_url: str = ""
    text: str | None = None
    language_code: str | None = None
    audio_duration: Decimal | None = None
    words: list[_Said] | None = None
    utterances: list[_Said] | None = None
    error: str | None = None


_JOB = msgspec.json.Decoder(_Job)


def _post(provider: OpenAI, call: Call[object], end: str, body: bytes = b"", upload: File | None = None) -> HttpRequest:
    base_url, path = provider.locate(call, "/v2/transcript")
    place = base_url + path
    headers = JSON if upload is None else ((b"content-type", b"application/octet-stream"), *GET)
    return provider.request(call, "POST", place.removesuffix("/transcript"), end, headers, body=body, upload=upload)


def _encode(provider: OpenAI, call: Call[object]) -> HttpRequest:
    request = supported(TRANSCRIPTION_PARAMETERS, cast("TranscriptionRequest", call.request), call)
    refuse_subtitles(request, call)
    refuse_segments(request, call)
    return _post(provider, call, "/upload", upload=File.of(request.file, "file"))


def _job(request: TranscriptionRequest, call: Call[object], address: str) -> bytes:
    body: dict[str, object] = {"audio_url": address, "speech_models": [call.route.model]}
    if request.language is None:
        body["language_detection"] = True
    else:
        body["language_code"] = request.language
    if request.response_format == "diarized_json":
        body["speaker_labels"] = True
    return body_of(body, request.extra_body)


def _follow(
    provider: OpenAI, call: Call[object], request: HttpRequest, headers: Headers, body: bytes
) -> FollowUp | None:
    told = _read(call, body)
    if told.upload_url:
        job = _job(cast("TranscriptionRequest", call.request), call, told.upload_url)
        return FollowUp(request=_post(provider, call, "/transcript", job), delay=0.0)
    if told.status not in ("queued", "processing"):
        return None
    if request.method == "GET":
        return ask_again(request, headers, delay=3.0)
    return ask_after(provider, call, f"{request.base_url}{request.path}/{told.id}", headers, delay=3.0, hosts=_HOSTS)


def _read(call: Call[object], body: bytes) -> _Job:
    return read_plainly(call, body, _JOB, "a transcription")


def _decode(provider: OpenAI, call: Call[object], body: bytes, headers: Headers) -> TranscriptionResponse:
    told = _read(call, body)
    if told.status != "completed":
        raise ServerError(
            told.error or f"the transcription is {told.status or 'nowhere'}",
            status=200,
            provider=provider.name,
            model=call.route.model or None,
            body=body,
            retryable=False,
        )
    seconds = told.audio_duration
    return TranscriptionResponse(
        text=told.text or "",
        language=told.language_code,
        duration=None if seconds is None else float(seconds),
        words=[
            TranscribedWord(word=one.text, start=one.start / 1000, end=one.end / 1000, speaker=one.speaker)
            for one in told.words or ()
        ],
        segments=_segments(told.utterances),
        model=call.route.model,
        usage=None if seconds is None else Usage(audio_seconds=seconds),
    )


def _segments(told: Sequence[_Said] | None) -> list[TranscribedSegment] | None:
    if told is None:
        return None
    return [
        TranscribedSegment(start=one.start / 1000, end=one.end / 1000, text=one.text, speaker=one.speaker)
        for one in told
    ]


_TRANSCRIBE: Mapping[str, OperationWire[Any, Any]] = {
    "transcribe": OperationWire(encode=_encode, decode=_decode, follow=_follow, parameters=TRANSCRIPTION_PARAMETERS)
}


class AssemblyAI(OpenAI, frozen=True, kw_only=True):
    """A provider that speaks AssemblyAI's API."""

    name: str = "assemblyai"
    base_url: str = "https://llm-gateway.assemblyai.com/v1"
    key_variables: tuple[str, ...] = ("ASSEMBLYAI_API_KEY",)

    @property
    def wires(self) -> Mapping[str, OperationWire[Any, Any]]:
        """The operations of the protocol, by name."""
        theirs = super().wires
        return {"chat": theirs["chat"], "list_models": theirs["list_models"], **_TRANSCRIBE}

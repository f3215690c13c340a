"""OpenAI's wire for forms, from the server's side: transcriptions, translations, images changed and varied."""

import base64
from collections.abc import Callable, Mapping

import msgspec

from ._simulator_exchange import ReceivedRequest
from ._simulator_form import ReceivedForm
from ._simulator_model import Ask, Model
from ._simulator_steps import Step, json_answer, stream_answer, whole_answer
from ._simulator_text import tokenize
from ._wire_protocol import Headers, Refusal

_SECONDS = 2.5
_PLAIN = {"text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}


def _form(request: ReceivedRequest) -> ReceivedForm:
    return ReceivedForm(request.headers.get("content-type", ""), request.body)


def _transcribe(request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
    form = _form(request)
    sound, name = form.file("file"), form.field("model")
    if not sound.content:
        raise Refusal(400, "The audio file is empty.", code="audio_too_short", param="file")
    text = model.generate(request, Ask(prompt=f"speech of {len(sound.content)} bytes"), 0).reply.text
    wanted = form.field("response_format", "json")
    usage = {
        "type": "tokens",
        "input_tokens": 20,
        "output_tokens": len(tokenize(text)),
        "total_tokens": 20 + len(tokenize(text)),
        "input_token_details": {"text_tokens": 0, "audio_tokens": 20},
    }
    if form.field("stream", "false") == "true":
        pieces = [_event({"type": "transcript.text.delta", "delta": token}) for token in tokenize(text)]
        return stream_answer(headers, [*pieces, _event({"type": "transcript.text.done", "text": text, "usage": usage})])
    if wanted in _PLAIN:
        body = text if wanted == "text" else f"1\n00:00:00,000 --> 00:00:02,500\n{text}\n"
        return whole_answer(200, headers, _PLAIN[wanted], body.encode())
    told: dict[str, object] = {"text": text, "usage": usage}
    if wanted == "verbose_json":
        told = {
            "task": "transcribe",
            "language": form.field("language", "english"),
            "duration": _SECONDS,
            "text": text,
            "segments": [{"id": 0, "start": 0.0, "end": _SECONDS, "text": text, "avg_logprob": -0.1}],
            "usage": {"type": "duration", "seconds": _SECONDS},
        }
        if "word" in form.fields("timestamp_granularities[]"):
            told["words"] = [{"word": text.split()[0], "start": 0.0, "end": 0.5}]
    return json_answer(headers, {**told, "model": name})


def _images(request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
    form = _form(request)
    image = form.file("image")
    if request.path.endswith("/edits"):
        form.field("prompt")
    usage = {"input_tokens": 300, "output_tokens": 272, "total_tokens": 572}
    made = base64.b64encode(image.content).decode()
    if form.field("stream", "false") == "true":
        kind = "image_edit"
        partial = [
            _event({"type": f"{kind}.partial_image", "b64_json": made, "partial_image_index": index})
            for index in range(int(form.field("partial_images", "0")))
        ]
        return stream_answer(
            headers, [*partial, _event({"type": f"{kind}.completed", "b64_json": made, "usage": usage})]
        )
    data = [{"b64_json": made}] * int(form.field("n", "1"))
    return whole_answer(
        200, headers, "application/json", msgspec.json.encode({"created": 0, "data": data, "usage": usage})
    )


FORM_ANSWERS: Mapping[str, Callable[[ReceivedRequest, Model, Headers], list[Step]]] = {
    "/audio/transcriptions": _transcribe,
    "/audio/translations": _transcribe,
    "/images/edits": _images,
    "/images/variations": _images,
}


def _event(data: dict[str, object]) -> bytes:
    return b"data: " + msgspec.json.encode(data) + b"\n\n"

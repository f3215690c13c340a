"""Mistral's wire, from the server's side: OpenAI's, but that usage comes unasked and unknown fields are refused."""

from collections.abc import Sequence
from typing import cast

import msgspec
from msgspec.structs import replace

from ._simulator_exchange import ReceivedRequest
from ._simulator_jobs import BATCH_SECONDS, each
from ._simulator_model import Model
from ._simulator_steps import Data, Head, Step
from ._wire_mistral_batches import BatchJobs
from ._wire_ocr import answer_ocr
from ._wire_openai import OpenAIWire
from ._wire_protocol import Headers, Refusal

_OBJECT = msgspec.json.Decoder(dict[str, object])

# Fields of its reference; any other is refused.
_FIELDS = frozenset({
    "model", "messages", "temperature", "top_p", "max_tokens", "stream", "stop", "random_seed", "metadata",
    "response_format", "tools", "tool_choice", "presence_penalty", "frequency_penalty", "n", "prediction",
    "parallel_tool_calls", "prompt_mode", "reasoning_effort", "guardrails", "safe_prompt", "prompt_cache_key",
    "service_tier", "logprobs", "top_logprobs",
})  # fmt: skip
_DONE = b"data: [DONE]\n\n"
_ANSWERED = ("/chat/completions", "/embeddings", "/moderations", "/models")


class MistralWire(OpenAIWire):
    """OpenAI's wire with Mistral's habits. It is spoken to hosts, and under prefixes, that have its name."""

    def __init__(self, models: Sequence[str], batch_seconds: float = BATCH_SECONDS) -> None:
        super().__init__(models, batch_seconds)
        self._jobs = BatchJobs(self._batches)

    def speaks(self, request: ReceivedRequest) -> bool:
        return "mistral" in request.headers.get("host", "") or "/mistral/" in request.path

    def headers(self, request_id: str) -> Headers:
        return (
            ("mistral-correlation-id", request_id),
            ("x-ratelimit-limit-tokens-minute", "500000"),
            ("x-ratelimit-remaining-tokens-minute", "499000"),
        )

    def request_id(self, headers: Headers) -> str:
        return dict(headers)["mistral-correlation-id"]

    def answer(self, request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
        path = request.path.partition("?")[0]
        if "/batch/jobs" in path:
            return self._jobs.answer(request, headers, each(self, model, request, headers))
        if "/files" in path:
            return super().answer(request, model, headers)
        if path.endswith("/ocr") and request.method == "POST":
            return answer_ocr(request, model, headers)
        if not path.endswith(_ANSWERED):
            raise Refusal(404, "no Route matched with those values")
        if not path.endswith("/chat/completions") or request.method != "POST":
            return super().answer(request, model, headers)
        try:
            body = _OBJECT.decode(request.body)
        except msgspec.DecodeError as error:
            raise Refusal(400, f"the body is no JSON object: {error}") from error
        unknown = sorted(body.keys() - _FIELDS)
        if unknown:
            raise Refusal(422, f"Extra inputs are not permitted: {unknown[0]}", param=unknown[0])
        if body.get("tool_choice") == "any":
            body["tool_choice"] = "required"
        if body.get("stream"):
            body["stream_options"] = {"include_usage": True}
        steps = super().answer(replace(request, body=msgspec.json.encode(body)), model, headers)
        return _streamed(steps) if body.get("stream") else _whole(steps)

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        if refusal.status == 401:
            return msgspec.json.encode({"detail": "Unauthorized"})
        kind = refusal.code or "invalid_request_error"
        told = {"object": "error", "message": refusal.message, "type": kind, "param": refusal.param, "code": "1000"}
        return msgspec.json.encode({**told, "raw_status_code": refusal.status})


def _streamed(steps: Sequence[Step]) -> list[Step]:
    """Move the usage from a chunk of its own to the last one that has a choice."""
    usage = next(told for step in steps if (told := _usage(step)))
    last = max(index for index, step in enumerate(steps) if _body(step).get("choices"))
    made: list[Step] = []
    for index, step in enumerate(steps):
        if not isinstance(step, Data) or step.data == _DONE:
            made.append(step)
        elif _body(step).get("choices"):
            told = _own(_body(step), usage if index == last else None)
            made.append(Data(b"data: " + msgspec.json.encode(told) + b"\n\n"))
    return made


def _whole(steps: Sequence[Step]) -> list[Step]:
    [body] = [msgspec.json.encode(_own(_body(step), _usage(step))) for step in steps if isinstance(step, Data)]
    return [
        Data(body) if isinstance(step, Data) else replace(step, length=len(body)) if isinstance(step, Head) else step
        for step in steps
    ]


def _own(body: dict[str, object], usage: dict[str, object] | None) -> dict[str, object]:
    """A reply, or a chunk, without what is OpenAI's alone."""
    told = {name: value for name, value in body.items() if name in ("id", "object", "created", "model", "choices")}
    return told if usage is None else {**told, "usage": {**usage, "service_tier": "standard"}}


def _body(step: Step) -> dict[str, object]:
    if not isinstance(step, Data) or step.data == _DONE:
        return {}
    return _OBJECT.decode(step.data.removeprefix(b"data: "))


def _usage(step: Step) -> dict[str, object]:
    return cast("dict[str, object]", _body(step).get("usage") or {})

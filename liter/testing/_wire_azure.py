"""Azure OpenAI's wire, from the server's side: OpenAI's, with deployments, keys of its own and results of filters."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from ._simulator_exchange import ReceivedRequest
from ._simulator_model import Model
from ._simulator_steps import Data, Head, Step
from ._wire_openai import OpenAIWire
from ._wire_protocol import Headers, Refusal

_OBJECT = msgspec.json.Decoder(dict[str, object])

_SAFE: dict[str, object] = {
    category: {"filtered": False, "severity": "safe"} for category in ("hate", "self_harm", "sexual", "violence")
}
_PROMPT: list[object] = [
    {"prompt_index": 0, "content_filter_results": {**_SAFE, "jailbreak": {"filtered": False, "detected": False}}}
]


class AzureWire(OpenAIWire):
    """OpenAI's wire at Azure's addresses: the key is in ``api-key``, or a token of Entra ID is a bearer's."""

    def speaks(self, request: ReceivedRequest) -> bool:
        path = request.path
        return "api-key" in request.headers or "api-version=" in path or "/openai/" in path

    def headers(self, request_id: str) -> Headers:
        return (("apim-request-id", request_id), ("x-ms-region", "Simulator"), *super().headers(request_id))

    def request_id(self, headers: Headers) -> str:
        return dict(headers)["apim-request-id"]

    def key(self, request: ReceivedRequest) -> str | None:
        return request.headers.get("api-key") or super().key(request)

    def answer(self, request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
        path, _, query = request.path.partition("?")
        _, below, rest = path.partition("/deployments/")
        if below and "api-version=" not in query:
            raise Refusal(404, "Resource not found", code="404")
        if below:
            deployment = rest.partition("/")[0]
            if deployment == "no-such-model":
                raise Refusal(404, "The API deployment for this resource does not exist.", code="DeploymentNotFound")
            # What the path says counts; a body need not repeat it.
            request = replace(request, body=_with_model(request.body, deployment))
        steps = super().answer(request, model, headers)
        return _filtered(steps) if path.endswith("/chat/completions") else steps

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        if refusal.status == 401:
            return msgspec.json.encode({"error": {"code": "401", "message": refusal.message}})
        return super().error(refusal, request_id)


def _with_model(body: bytes, deployment: str) -> bytes:
    try:
        return msgspec.json.encode({**_OBJECT.decode(body), "model": deployment})
    except msgspec.DecodeError:
        return body


def _filtered(steps: Sequence[Step]) -> list[Step]:
    """Add to an answer what the filters found, which is nothing."""
    made: list[Step] = []
    for step in steps:
        if isinstance(step, Head) and step.length is None:
            made += [step, Data(_event({"id": "", "model": "", "choices": [], "prompt_filter_results": _PROMPT}))]
        elif isinstance(step, Data):
            made.append(Data(_with_results(step.data)))
        else:
            made.append(step)
    sizes = [len(step.data) for step in made if isinstance(step, Data)]
    return [
        replace(step, length=sum(sizes)) if isinstance(step, Head) and step.length is not None else step
        for step in made
    ]


def _with_results(data: bytes) -> bytes:
    streamed = data.startswith(b"data: ")
    text = data.removeprefix(b"data: ").strip()
    if text == b"[DONE]":
        return data
    body = _OBJECT.decode(text)
    choices = msgspec.convert(body.get("choices", []), list[dict[str, object]])
    body["choices"] = [{**choice, "content_filter_results": _SAFE} for choice in choices]
    if streamed:
        return _event(body)
    return msgspec.json.encode({**body, "prompt_filter_results": _PROMPT})


def _event(body: dict[str, object]) -> bytes:
    return b"data: " + msgspec.json.encode(body) + b"\n\n"

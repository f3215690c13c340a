"""Google's wire, from the server's side: generateContent, token counts, embeddings, models, errors.

Facts from Google's API reference and recorded traffic. The paths of the Gemini API and of Vertex AI are both known,
as they end alike.
"""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import unquote

import msgspec

from ._simulator_exchange import ReceivedRequest
from ._simulator_jobs import BATCH_SECONDS, each
from ._simulator_model import Generation, Model
from ._simulator_steps import Step, stream_answer, whole_answer
from ._simulator_text import tokenize
from ._wire_gemini_asked import ask_of, prompt_tokens_of, read_count, read_generate
from ._wire_gemini_batches import BATCHES, GeminiBatches
from ._wire_gemini_embeddings import EMBEDDINGS
from ._wire_gemini_files import GoogleFiles
from ._wire_protocol import Headers, Refusal

_CREATED = "2026-01-01T00:00:00Z"

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    413: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_STOP = {"stop": "STOP", "length": "MAX_TOKENS", "tools": "STOP"}

# The model, and the method that is called on it.
_CALLED = re.compile(r"/(?:models|tunedModels|endpoints)/([^/:?]+):(\w+)$")

_FILES = re.compile(r"/files(?:/[^/]+)?$")

Part = dict[str, object]


class GeminiWire:
    """Google's models, in Google's form."""

    def __init__(self, models: Sequence[str], batch_seconds: float = BATCH_SECONDS) -> None:
        self._models = models
        self._files = GoogleFiles()
        self._batches = GeminiBatches(batch_seconds)

    def speaks(self, request: ReceivedRequest) -> bool:
        path = request.path.partition("?")[0]
        return _CALLED.search(path) is not None or "x-goog-api-key" in request.headers or "/publishers/google" in path

    def headers(self, request_id: str) -> Headers:
        return (("x-goog-request-id", request_id), ("server", "scaffolding on HTTPServer2"))

    def request_id(self, headers: Headers) -> str:
        return dict(headers)["x-goog-request-id"]

    def key(self, request: ReceivedRequest) -> str | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return request.headers.get("x-goog-api-key") or (token.strip() or None if scheme.lower() == "bearer" else None)

    def answer(self, request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
        path, _, query = request.path.partition("?")
        match = _CALLED.search(path)
        if match is None and _FILES.search(path) is not None:
            return _json(headers, self._files.answer(request))
        if match is None and BATCHES.search(path) is not None:
            return _json(headers, self._batches.answer(request))
        if match is None:
            if path.endswith("/models") and request.method == "GET":
                return _json(headers, {self._listed(path): [self._model(path, name) for name in self._models]})
            raise Refusal(404, "Not Found")
        if request.method != "POST":
            raise Refusal(405, "Method Not Allowed")
        name, method = unquote(match.group(1)), match.group(2)
        if name == "no-such-model":
            raise Refusal(404, f"models/{name} is not found for API version v1beta, or is not supported for {method}.")
        if method == "batchGenerateContent":
            return _json(headers, self._batches.create(request, name, each(self, model, request, headers)))
        if method in ("generateContent", "streamGenerateContent"):
            pieces = _pieces(request, model, name)
            identity = _identity(model, name, self.request_id(headers))
            if method == "generateContent":
                return _json(headers, {**_whole(pieces), **identity})
            replies = [{**_streamed(piece), **identity} for piece in pieces]
            if "alt=sse" not in query.split("&"):
                return _json(headers, replies)
            return stream_answer(headers, [_event(reply) for reply in replies])
        if method == "countTokens":
            return _json(headers, {"totalTokens": prompt_tokens_of(read_count(request.body))})
        if method in EMBEDDINGS:
            return _json(headers, EMBEDDINGS[method](request, model))
        raise Refusal(404, f"the simulator does not know {method}")

    def _listed(self, path: str) -> str:
        return "publisherModels" if "/publishers/" in path else "models"

    def _model(self, path: str, name: str) -> dict[str, object]:
        if "/publishers/" in path:
            return {"name": f"publishers/google/models/{name}"}
        limits: dict[str, object] = {"inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536}
        return {"name": f"models/{name}", "displayName": name, **limits}

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        status = refusal.code or _STATUSES.get(refusal.status, "INTERNAL")
        return msgspec.json.encode({"error": _error(refusal.status, refusal.message, status)})

    def error_event(self, kind: str | None, message: str) -> bytes:
        return _event({"error": _error(503, message, kind or "UNAVAILABLE")})


class _Piece(msgspec.Struct):
    """What one event of a stream adds: a part of a candidate, and the counts so far."""

    candidate: int
    part: Part
    usage: Mapping[str, object]
    finish: str | None = None


def _pieces(request: ReceivedRequest, model: Model, name: str) -> list[_Piece]:
    asked = read_generate(request.body, name)
    ask, prompt = ask_of(asked), prompt_tokens_of(asked)
    made = [model.generate(request, ask, choice) for choice in range(asked.generation_config.candidate_count)]
    signature = base64.b64encode(model.random(f"signature {ask.prompt}").randbytes(24)).decode()
    pieces: list[_Piece] = []
    said = thought = 0
    for index, one in enumerate(made):
        for part in _parts(one, signature):
            said, thought = (said, thought + 1) if "thought" in part else (said + 1, thought)
            pieces.append(_Piece(index, part, _usage(prompt, said, thought)))
        pieces[-1].finish = _STOP[one.stop]
    # The last event has the counts that are billed.
    thoughts = sum(one.thinking_tokens for one in made)
    pieces[-1].usage = _usage(prompt, sum(one.tokens for one in made) - thoughts, thoughts)
    return pieces


def _parts(made: Generation, signature: str) -> Iterator[Part]:
    """The parts of a reply as they are streamed."""
    reply = made.reply
    for token in tokenize(reply.thinking):
        yield {"text": token, "thought": True}
    for token in tokenize(reply.text):
        yield {"text": token}
    for number, call in enumerate(reply.tool_calls):
        function = {"name": call.name, "args": msgspec.json.decode(call.arguments)}
        yield {"functionCall": function, **({} if number else {"thoughtSignature": signature})}
    if not reply.tool_calls:
        # The signature of a text comes after it, with a text that is empty.
        yield {"text": "", "thoughtSignature": signature}


def _streamed(piece: _Piece) -> dict[str, object]:
    return {"candidates": [_candidate(piece.candidate, [piece.part], piece.finish)], "usageMetadata": piece.usage}


def _whole(pieces: Sequence[_Piece]) -> dict[str, object]:
    """One reply of what was told in several: texts of one kind are one part."""
    parts: dict[int, list[Part]] = {}
    finish: dict[int, str | None] = {}
    for piece in pieces:
        known, part = parts.setdefault(piece.candidate, []), piece.part
        if known and "text" in part and "text" in known[-1] and known[-1].get("thought") == part.get("thought"):
            known[-1] = {**known[-1], **part, "text": f"{known[-1]['text']}{part['text']}"}
        else:
            known.append(part)
        finish[piece.candidate] = piece.finish
    return {
        "candidates": [_candidate(index, known, finish[index]) for index, known in parts.items()],
        "usageMetadata": pieces[-1].usage,
    }


def _candidate(index: int, parts: Sequence[Part], finish: str | None) -> dict[str, object]:
    made: dict[str, object] = {"content": {"role": "model", "parts": parts}, "index": index}
    return made if finish is None else {**made, "finishReason": finish}


def _identity(model: Model, name: str, request_id: str) -> dict[str, object]:
    response_id = base64.urlsafe_b64encode(model.random(f"id {request_id}").randbytes(17)).decode().rstrip("=")
    return {"modelVersion": name, "responseId": response_id, "createTime": _CREATED}


def _usage(prompt: int, tokens: int, thoughts: int) -> dict[str, object]:
    return {
        "promptTokenCount": prompt,
        **({"candidatesTokenCount": tokens} if tokens else {}),
        **({"thoughtsTokenCount": thoughts} if thoughts else {}),
        "totalTokenCount": prompt + tokens + thoughts,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
        "serviceTier": "standard",
    }


def _error(code: int, message: str, status: str) -> dict[str, object]:
    return {"code": code, "message": message, "status": status}


def _json(headers: Headers, body: object) -> list[Step]:
    return whole_answer(200, headers, "application/json; charset=UTF-8", msgspec.json.encode(body))


def _event(data: Mapping[str, object]) -> bytes:
    return b"data: " + msgspec.json.encode(data) + b"\r\n\r\n"

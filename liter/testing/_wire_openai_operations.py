"""OpenAI's wire beyond chat, from the server's side: embeddings, reranking, moderation, completions, images, speech."""

import base64
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Annotated, TypeVar, cast

import msgspec
from msgspec import Meta, Struct

from ._simulator_exchange import ReceivedRequest
from ._simulator_model import Ask, Model
from ._simulator_steps import Data, End, Head, Step, json_answer, stream_answer
from ._simulator_text import count_tokens, tokenize
from ._wire_protocol import Headers, Refusal

Asked = TypeVar("Asked", bound=Struct)

# 2026-01-01: the simulator has no calendar.
CREATED = 1_767_225_600
_DIMENSIONS = 8
_PIECE = 1024


class _Embeddings(Struct):
    model: str
    input: str | list[str | int | list[int] | dict[str, object]]
    encoding_format: str = "float"
    dimensions: Annotated[int, Meta(ge=1)] | None = None


class _Rerank(Struct):
    model: str
    query: str
    documents: Annotated[list[str | dict[str, object]], Meta(min_length=1)]
    top_n: int | None = None
    return_documents: bool = False


class _Moderation(Struct):
    input: str | list[str | dict[str, object]]
    model: str = "omni-moderation-latest"


class _StreamOptions(Struct):
    include_usage: bool = False


class _Completion(Struct):
    model: str
    prompt: str | list[str | int | list[int]]
    max_tokens: int | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    stop: str | list[str] | None = None
    echo: bool = False
    stream: bool = False
    stream_options: _StreamOptions | None = None


class _Image(Struct):
    prompt: str
    model: str = "gpt-image-simulated"
    n: Annotated[int, Meta(ge=1, le=10)] | None = None
    size: str | None = None
    response_format: str | None = None
    stream: bool = False
    partial_images: int = 0


class _Speech(Struct):
    model: str
    input: str
    voice: str | dict[str, str]
    response_format: str = "mp3"


def _embed(request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
    asked = _decoded(request, _Embeddings)
    inputs = _inputs(asked.input)
    data: list[dict[str, object]] = []
    for index, text in enumerate(inputs):
        rng = model.random(f"embedding of {text}")
        count = asked.dimensions or _DIMENSIONS
        raw = struct.pack(f"<{count}f", *(rng.gauss(0, 1) for _ in range(count)))
        as_text = asked.encoding_format == "base64"
        vector = base64.b64encode(raw).decode() if as_text else list(struct.unpack(f"<{count}f", raw))
        data.append({"object": "embedding", "index": index, "embedding": vector})
    tokens = sum(max(1, count_tokens(text)) for text in inputs)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json_answer(headers, {"object": "list", "data": data, "model": asked.model, "usage": usage})


def _rerank(request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
    asked = _decoded(request, _Rerank)
    wanted = set(asked.query.lower().split())
    texts = [document if isinstance(document, str) else str(document.get("text", "")) for document in asked.documents]
    scores = [len(wanted & set(text.lower().split())) / len(wanted) for text in texts]
    best = sorted(range(len(texts)), key=lambda index: -scores[index])[: asked.top_n]
    results = [
        {"index": index, "relevance_score": scores[index]}
        | ({"document": {"text": texts[index]}} if asked.return_documents else {})
        for index in best
    ]
    tokens = count_tokens(asked.query) * len(texts) + sum(map(count_tokens, texts))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json_answer(headers, {"object": "list", "model": asked.model, "results": results, "usage": usage})


def _moderate(request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
    asked = _decoded(request, _Moderation)
    parts = isinstance(asked.input, list) and asked.input and isinstance(asked.input[0], dict)
    texts = [" ".join(_inputs(asked.input))] if parts else _inputs(asked.input)
    results: list[dict[str, object]] = []
    for text in texts:
        bad = "kill" in text.lower()
        results.append(
            {
                "flagged": bad,
                "categories": {"violence": bad, "self-harm/intent": False, "illicit": None},
                "category_scores": {"violence": 0.99 if bad else 0.01, "self-harm/intent": 0.0, "illicit": None},
                "category_applied_input_types": {"violence": ["text"], "self-harm/intent": ["text"], "illicit": []},
            }
        )
    return json_answer(headers, {"id": "modr-simulated", "model": asked.model, "results": results})


def _complete(request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
    asked = _decoded(request, _Completion)
    prompts = _inputs(asked.prompt)
    stop = asked.stop or []
    texts: list[tuple[str, str, int]] = []
    for prompt in prompts:
        ask = Ask(prompt=prompt, max_tokens=asked.max_tokens, stop_sequences=[stop] if isinstance(stop, str) else stop)
        for index in range(asked.n or 1):
            made = model.generate(request, ask, index)
            reason = "length" if made.stop == "length" else "stop"
            texts.append(((prompt if asked.echo else "") + made.reply.text, reason, made.tokens))
    spent, made_tokens = sum(map(count_tokens, prompts)), sum(tokens for _, _, tokens in texts)
    usage = {"prompt_tokens": spent, "completion_tokens": made_tokens, "total_tokens": spent + made_tokens}
    facts: dict[str, object] = {
        "id": "cmpl-simulated", "object": "text_completion", "created": CREATED, "model": asked.model,
    }  # fmt: skip
    if not asked.stream:
        choices = [
            {"text": text, "index": index, "finish_reason": reason, "logprobs": None}
            for index, (text, reason, _) in enumerate(texts)
        ]
        return json_answer(headers, {**facts, "choices": choices, "usage": usage})
    events: list[bytes] = []
    for index, (text, reason, _) in enumerate(texts):
        pieces: list[tuple[str, str | None]] = [(token, None) for token in tokenize(text)]
        for piece, finish in [*pieces, ("", reason)]:
            choice = {"text": piece, "index": index, "finish_reason": finish, "logprobs": None}
            events.append(_event({**facts, "choices": [choice]}))
    if asked.stream_options is not None and asked.stream_options.include_usage:
        events.append(_event({**facts, "choices": [], "usage": usage}))
    return stream_answer(headers, [*events, b"data: [DONE]\n\n"])


def _image(request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
    asked = _decoded(request, _Image)
    spent, made = count_tokens(asked.prompt), 272 * (asked.n or 1)
    usage = {
        "input_tokens": spent,
        "output_tokens": made,
        "total_tokens": spent + made,
        "input_tokens_details": {"text_tokens": spent, "image_tokens": 0},
        "output_tokens_details": {"text_tokens": 0, "image_tokens": made},
    }
    rng = model.random(f"image of {asked.prompt}")
    images = [base64.b64encode(_png(rng.randbytes(3))).decode() for _ in range(asked.n or 1)]
    if asked.stream:
        kind = "image_generation"
        partial = [
            _event({"type": f"{kind}.partial_image", "b64_json": images[0], "partial_image_index": index})
            for index in range(asked.partial_images)
        ]
        last = _event({"type": f"{kind}.completed", "b64_json": images[0], "usage": usage})
        return stream_answer(headers, [*partial, last])
    data = [
        {"url": f"https://images.invalid/{index}.png"} if asked.response_format == "url" else {"b64_json": image}
        for index, image in enumerate(images)
    ]
    return json_answer(headers, {"created": CREATED, "data": data, "usage": usage})


def _png(colour: bytes) -> bytes:
    """A picture of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" + colour))
        + chunk(b"IEND", b"")
    )


def _speak(request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
    asked = _decoded(request, _Speech)
    rng = model.random(f"speech of {asked.input}")
    sound = rng.randbytes(100 * len(asked.input))
    pieces = [sound[start : start + _PIECE] for start in range(0, len(sound), _PIECE)]
    kind = {"mp3": "audio/mpeg", "opus": "audio/ogg", "pcm": "audio/pcm"}.get(
        asked.response_format, f"audio/{asked.response_format}"
    )
    return [Head(200, (("content-type", kind), *headers)), *map(Data, pieces), End()]


ANSWERS: Mapping[str, Callable[[ReceivedRequest, Model, Headers], list[Step]]] = {
    "/embeddings": _embed,
    "/rerank": _rerank,
    "/moderations": _moderate,
    "/completions": _complete,
    "/images/generations": _image,
    "/audio/speech": _speak,
}


def _inputs(given: object) -> list[str]:
    """Several inputs as texts: what an answer depends on."""
    if isinstance(given, str):
        return [given]
    items = cast("list[object]", given)
    if items and isinstance(items[0], int):
        return [" ".join(map(str, items))]
    return [item if isinstance(item, str) else msgspec.json.encode(item).decode() for item in items]


def _decoded(request: ReceivedRequest, kind: type[Asked]) -> Asked:
    try:
        return msgspec.json.decode(request.body, type=kind)
    except msgspec.ValidationError as error:
        raise Refusal(400, str(error)) from error
    except msgspec.DecodeError as error:
        raise Refusal(400, f"We could not parse the JSON body of your request: {error}") from error


def _event(data: dict[str, object]) -> bytes:
    return b"data: " + msgspec.json.encode(data) + b"\n\n"

"""Cohere's second version, from the server's side: chats, embeddings, rankings, models, errors.

Facts from Cohere's API reference and recorded traffic.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from ._simulator_exchange import ReceivedRequest
from ._simulator_model import Ask, Generation, Model
from ._simulator_steps import Step, json_answer, stream_answer
from ._simulator_text import count_tokens, prompt_tokens, tokenize
from ._wire_protocol import Headers, Refusal

T = TypeVar("T")

# What the template around a conversation costs: it is seen by the model, and not billed.
TEMPLATE_TOKENS = 200
_DIMENSIONS = 8


class _Function(Struct):
    name: str
    parameters: dict[str, object]


class _Tool(Struct):
    type: str
    function: _Function


class _Message(Struct):
    role: str
    content: str | list[dict[str, object]] | None = None
    tool_call_id: str | None = None


class _ResponseFormat(Struct):
    type: str
    json_schema: dict[str, object] | None = None


class _Thinking(Struct):
    type: str
    token_budget: Annotated[int, Meta(ge=1)] | None = None


class _ChatRequest(Struct):
    model: str
    messages: Annotated[list[_Message], Meta(min_length=1)]
    stream: bool = False
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    stop_sequences: Annotated[list[str], Meta(max_length=5)] = []
    tools: list[_Tool] = []
    tool_choice: str | None = None
    response_format: _ResponseFormat | None = None
    thinking: _Thinking | None = None


class _EmbedRequest(Struct):
    model: str
    input_type: str
    texts: Annotated[list[str], Meta(max_length=96)] | None = None
    inputs: list[dict[str, object]] | None = None
    output_dimension: int | None = None


class _RerankRequest(Struct):
    model: str
    query: str
    documents: Annotated[list[str], Meta(min_length=1)]
    top_n: Annotated[int, Meta(ge=1)] | None = None


_CHAT_REQUEST = msgspec.json.Decoder(_ChatRequest)
_EMBED_REQUEST = msgspec.json.Decoder(_EmbedRequest)
_RERANK_REQUEST = msgspec.json.Decoder(_RerankRequest)
_FINISH = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tools": "TOOL_CALL"}
_ANY_OBJECT: dict[str, object] = {"type": "object", "properties": {"answer": {"type": "string"}}}


class CohereWire:
    """Chats, embeddings, rankings and models, in Cohere's form."""

    def __init__(self, models: Sequence[str]) -> None:
        self._models = models

    def speaks(self, request: ReceivedRequest) -> bool:
        path, _, query = request.path.partition("?")
        if "cohere" in request.headers.get("host", "") or "/cohere/" in path or path.endswith(("/v2/rerank", "/embed")):
            return True
        return (path.endswith("/chat") and not path.endswith("/api/chat")) or (
            path.endswith("/models") and "page_size=" in query
        )

    def headers(self, request_id: str) -> Headers:
        return (("x-debug-trace-id", request_id), ("x-endpoint-monthly-call-limit", "1000"))

    def request_id(self, headers: Headers) -> str:
        return dict(headers)["x-debug-trace-id"]

    def key(self, request: ReceivedRequest) -> str | None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        return key.strip() or None if scheme.lower() == "bearer" else None

    def answer(self, request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
        path = request.path.partition("?")[0]
        if path.endswith("/models") and request.method == "GET":
            told = [{"name": name, "endpoints": ["chat"], "context_length": 128_000} for name in self._models]
            return json_answer(headers, {"models": told, "next_page_token": ""})
        if request.method == "POST":
            if path.endswith("/chat"):
                return self._chat(request, model, headers)
            if path.endswith("/embed"):
                return self._embed(request, model, headers)
            if path.endswith("/rerank"):
                return self._rerank(request, model, headers)
        raise Refusal(404, f"{request.method} {path} not found")

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        return msgspec.json.encode({"id": request_id, "message": refusal.message})

    def error_event(self, kind: str | None, message: str) -> bytes:
        delta: dict[str, object] = {
            "finish_reason": "ERROR",
            "error": message,
            "error_type": kind or "overloaded",
            "usage": {},
        }
        return _event({"type": "message-end", "delta": delta})

    def _chat(self, request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
        asked = _decoded(_CHAT_REQUEST, request.body)
        if asked.model == "no-such-model":
            raise Refusal(404, f"model '{asked.model}' not found, make sure the correct model ID was used")
        made = model.generate(request, _ask(asked))
        rng = model.random(f"id {self.request_id(headers)}")
        calls: list[dict[str, object]] = [
            {
                "id": f"{call.name}_{rng.getrandbits(48):012x}",
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in made.reply.tool_calls
        ]
        identity = str(rng.getrandbits(64))
        finish = "STOP_SEQUENCE" if made.stop_sequence is not None else _FINISH[made.stop]
        usage = _usage(asked, made)
        if asked.stream:
            return stream_answer(headers, [*map(_event, _events(identity, made, calls, finish, usage)), _DONE])
        message: dict[str, object] = {"role": "assistant"}
        blocks = [{"type": kind, kind: text} for kind, text in _blocks(made)]
        if blocks:
            message["content"] = blocks
        if calls:
            message.update(tool_plan=_plan(made), tool_calls=calls)
        return json_answer(headers, {"id": identity, "message": message, "finish_reason": finish, "usage": usage})

    def _embed(self, request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
        asked = _decoded(_EMBED_REQUEST, request.body)
        items: list[object] = [*(asked.texts or ()), *(asked.inputs or ())]
        if not items:
            raise Refusal(400, "invalid request: valid texts or images must be provided")
        size = asked.output_dimension or _DIMENSIONS
        texts = [item if isinstance(item, str) else msgspec.json.encode(item).decode() for item in items]
        vectors = [[_number(text, place) for place in range(size)] for text in texts]
        billed = {"input_tokens": sum(map(count_tokens, texts))}
        meta = {"api_version": {"version": "2"}, "billed_units": billed}
        identity = str(model.random(f"id {self.request_id(headers)}").getrandbits(64))
        body = {"id": identity, "embeddings": {"float": vectors}, "texts": asked.texts or [], "meta": meta}
        return json_answer(headers, {**body, "response_type": "embeddings_by_type"})

    def _rerank(self, request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
        asked = _decoded(_RERANK_REQUEST, request.body)
        wanted = set(asked.query.lower().split())
        scores = [
            (len(wanted & set(text.lower().split())) / (len(wanted) or 1), -index)
            for index, text in enumerate(asked.documents)
        ]
        best = sorted(scores, reverse=True)[: asked.top_n]
        results = [{"index": -place, "relevance_score": score} for score, place in best]
        meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": -(-len(asked.documents) // 100)}}
        identity = str(model.random(f"id {self.request_id(headers)}").getrandbits(64))
        return json_answer(headers, {"id": identity, "results": results, "meta": meta})


def _decoded(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:
        raise Refusal(400, f"invalid request: {error}") from error


def _number(text: str, place: int) -> float:
    """A number between -1 and 1 that depends on the text and the place."""
    return (zlib.crc32(f"{place} {text}".encode()) % 2001 - 1000) / 1000


def _ask(asked: _ChatRequest) -> Ask:
    tools = {tool.function.name: tool.function.parameters for tool in asked.tools}
    if asked.tool_choice not in (None, "REQUIRED", "NONE"):
        raise Refusal(422, f"invalid tool_choice: {asked.tool_choice}")
    tool = next(iter(tools), None) if asked.tool_choice == "REQUIRED" else None
    if asked.tool_choice == "REQUIRED" and tool is None:
        raise Refusal(400, "invalid request: tools must be specified when tool_choice is REQUIRED")
    schema = None
    if asked.response_format is not None and asked.response_format.type == "json_object":
        schema = asked.response_format.json_schema or _ANY_OBJECT
    return Ask(
        prompt=msgspec.json.encode(asked.messages).decode(),
        max_tokens=asked.max_tokens,
        stop_sequences=asked.stop_sequences,
        thinking=asked.thinking is not None and asked.thinking.type == "enabled",
        tool=tool,
        tool_schema=tools[tool] if tool is not None else {},
        schema=schema,
    )


def _usage(asked: _ChatRequest, made: Generation) -> dict[str, object]:
    prompt = prompt_tokens([message.content for message in asked.messages], asked.tools)
    return {
        "billed_units": {"input_tokens": prompt, "output_tokens": made.tokens},
        "tokens": {
            "input_tokens": prompt + TEMPLATE_TOKENS,
            "output_tokens": made.tokens + 2,
            "reasoning_tokens": made.thinking_tokens,
        },
        "cached_tokens": 0,
    }


def _plan(made: Generation) -> str:
    return f"I will use {' and '.join(call.name for call in made.reply.tool_calls)}."


def _blocks(made: Generation) -> list[tuple[str, str]]:
    blocks = [("thinking", made.reply.thinking), ("text", made.reply.text)]
    return [(kind, text) for kind, text in blocks if text or (kind == "text" and not made.reply.tool_calls)]


def _events(
    identity: str, made: Generation, calls: Sequence[dict[str, object]], finish: str, usage: dict[str, object]
) -> Iterator[dict[str, object]]:
    opening: dict[str, object] = {
        "role": "assistant",
        "content": [],
        "tool_plan": "",
        "tool_calls": [],
        "citations": [],
    }
    yield {"type": "message-start", "id": identity, "delta": {"message": opening}}
    for index, (kind, text) in enumerate(_blocks(made)):
        yield _added("content-start", index, content={"type": kind, kind: ""})
        for token in tokenize(text):
            yield _added("content-delta", index, content={kind: token})
        yield {"type": "content-end", "index": index}
    for token in tokenize(_plan(made)) if calls else ():
        yield {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": token}}}
    for index, (call, told) in enumerate(zip(calls, made.reply.tool_calls, strict=True)):
        yield _added("tool-call-start", index, tool_calls={**call, "function": {"name": told.name, "arguments": ""}})
        for token in tokenize(told.arguments):
            yield _added("tool-call-delta", index, tool_calls={"function": {"arguments": token}})
        yield {"type": "tool-call-end", "index": index}
    yield {"type": "message-end", "id": identity, "delta": {"finish_reason": finish, "usage": usage}}


def _added(kind: str, index: int, **fields: object) -> dict[str, object]:
    return {"type": kind, "index": index, "delta": {"message": fields}}


def _event(data: dict[str, object]) -> bytes:
    return f"event: {data['type']}\n".encode() + b"data: " + msgspec.json.encode(data) + b"\n\n"


_DONE = b"data: [DONE]\n\n"

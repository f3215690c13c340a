"""Anthropic's wire, from the server's side: messages, models, errors.

Facts from Anthropic's API reference and recorded traffic.
"""

import base64
import random
from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ._simulator_exchange import ReceivedRequest
from ._simulator_jobs import BATCH_SECONDS, each
from ._simulator_model import Ask, Generation, Model
from ._simulator_steps import Step, json_answer, stream_answer
from ._simulator_text import prompt_tokens, tokenize
from ._wire_anthropic_batches import MessageBatches
from ._wire_anthropic_files import AnthropicFiles
from ._wire_protocol import Headers, Refusal

_RESET = "2026-01-01T00:00:00Z"

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class _Tool(Struct):
    name: str
    input_schema: dict[str, object] = {}
    cache_control: dict[str, object] | None = None


class _ToolChoice(Struct):
    type: str
    name: str | None = None


class _Thinking(Struct):
    type: str
    budget_tokens: int | None = None


class _Format(Struct):
    type: str
    schema: dict[str, object] = {}


class _OutputConfig(Struct):
    format: _Format | None = None


class _Message(Struct):
    role: str
    content: str | list[dict[str, object]]


class _MessagesRequest(Struct):
    model: str
    max_tokens: Annotated[int, Meta(ge=1)]
    messages: Annotated[list[_Message], Meta(min_length=1)]
    system: str | list[dict[str, object]] | None = None
    stream: bool | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    stop_sequences: list[str] = []
    tools: list[_Tool] = []
    tool_choice: _ToolChoice | None = None
    thinking: _Thinking | None = None
    output_config: _OutputConfig | None = None
    cache_control: dict[str, object] | None = None


class _CountRequest(Struct):
    model: str
    messages: Annotated[list[_Message], Meta(min_length=1)]
    system: str | list[dict[str, object]] | None = None
    tools: list[_Tool] = []


_COUNT_REQUEST = msgspec.json.Decoder(_CountRequest)
_MESSAGES_REQUEST = msgspec.json.Decoder(_MessagesRequest)
_STOP = {"stop": "end_turn", "length": "max_tokens", "tools": "tool_use"}


class AnthropicWire:
    """Messages and models, in Anthropic's form."""

    def __init__(self, models: Sequence[str], batch_seconds: float = BATCH_SECONDS) -> None:
        self._models = models
        self._batches = MessageBatches(batch_seconds)
        self._files = AnthropicFiles()

    def speaks(self, request: ReceivedRequest) -> bool:
        path = request.path.partition("?")[0]
        return path.endswith("/messages") or (
            "anthropic-version" in request.headers and not path.endswith("/chat/completions")
        )

    def headers(self, request_id: str) -> Headers:
        return (
            ("request-id", request_id),
            ("anthropic-organization-id", "00000000-0000-4000-8000-000000000000"),
            ("anthropic-ratelimit-requests-limit", "4000"),
            ("anthropic-ratelimit-requests-remaining", "3999"),
            ("anthropic-ratelimit-requests-reset", _RESET),
            ("anthropic-ratelimit-input-tokens-limit", "2000000"),
            ("anthropic-ratelimit-input-tokens-remaining", "1999000"),
            ("anthropic-ratelimit-input-tokens-reset", _RESET),
            ("anthropic-ratelimit-output-tokens-limit", "400000"),
            ("anthropic-ratelimit-output-tokens-remaining", "399000"),
            ("anthropic-ratelimit-output-tokens-reset", _RESET),
        )

    def request_id(self, headers: Headers) -> str:
        return dict(headers)["request-id"]

    def key(self, request: ReceivedRequest) -> str | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return request.headers.get("x-api-key") or (token.strip() or None if scheme.lower() == "bearer" else None)

    def answer(self, request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
        path = request.path.partition("?")[0]
        if path.endswith("/messages"):
            if request.method != "POST":
                raise Refusal(405, "Method Not Allowed")
            if "anthropic-version" not in request.headers:
                raise Refusal(400, "anthropic-version: header is required")
            return self._messages(request, model, headers)
        if "/messages/batches" in path:
            return self._batches.answer(request, headers, each(self, model, request, headers))
        if path.endswith("/messages/count_tokens") and request.method == "POST":
            try:
                asked = _COUNT_REQUEST.decode(request.body)
            except msgspec.DecodeError as error:
                raise Refusal(400, str(error)) from error
            system = [] if asked.system is None else [asked.system]
            tokens = prompt_tokens([*system, *(message.content for message in asked.messages)], asked.tools)
            return json_answer(headers, {"input_tokens": tokens})
        if path.endswith("/models") and request.method == "GET":
            data = [
                {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
                for name in self._models
            ]
            first, last = (self._models[0], self._models[-1]) if self._models else (None, None)
            return json_answer(headers, {"data": data, "has_more": False, "first_id": first, "last_id": last})
        if "/files" in path:
            return self._files.answer(request, headers)
        raise Refusal(404, "Not Found")

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        kind = refusal.code or _ERROR_TYPES.get(refusal.status, "api_error")
        error = {"type": kind, "message": refusal.message}
        return msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})

    def error_event(self, kind: str | None, message: str) -> bytes:
        return _event({"type": "error", "error": {"type": kind or "overloaded_error", "message": message}})

    def _messages(self, request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
        try:
            asked = _MESSAGES_REQUEST.decode(request.body)
        except msgspec.ValidationError as error:
            raise Refusal(400, _complaint(error)) from error
        except msgspec.DecodeError as error:
            raise Refusal(400, f"The request body is not valid JSON: {error}") from error
        if asked.model == "no-such-model":
            raise Refusal(404, f"model: {asked.model}")
        made = model.generate(request, _ask(asked))
        usage = _usage(asked, made, model)
        rng = model.random(f"id {self.request_id(headers)}")
        blocks = list(_blocks(made, rng))
        message: dict[str, object] = {
            "id": f"msg_{rng.getrandbits(96):024x}",
            "type": "message",
            "role": "assistant",
            "model": asked.model,
            "content": [block for block, _ in blocks],
            "stop_reason": "stop_sequence" if made.stop_sequence is not None else _STOP[made.stop],
            "stop_sequence": made.stop_sequence,
            "usage": usage,
        }
        if not asked.stream:
            return json_answer(headers, message)
        return stream_answer(headers, list(_events(message, blocks, usage)))


# What a block holds when it starts, and the counts that come at the end.
_EMPTY: dict[str, object] = {"text": "", "thinking": "", "signature": "", "input": msgspec.Raw(b"{}")}
_FINAL_COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")

# A content block as it is when whole, and the deltas that it comes by.
_Block = tuple[dict[str, object], list[dict[str, object]]]


def _blocks(made: Generation, rng: random.Random) -> Iterator[_Block]:
    reply = made.reply
    if reply.thinking:
        signature = base64.b64encode(rng.getrandbits(192).to_bytes(24, "big")).decode()
        deltas: list[dict[str, object]] = [
            {"type": "thinking_delta", "thinking": token} for token in tokenize(reply.thinking)
        ]
        deltas.append({"type": "signature_delta", "signature": signature})
        yield {"type": "thinking", "thinking": reply.thinking, "signature": signature}, deltas
    if reply.text:
        yield {"type": "text", "text": reply.text}, [{"type": "text_delta", "text": t} for t in tokenize(reply.text)]
    for call in reply.tool_calls:
        deltas = [{"type": "input_json_delta", "partial_json": token} for token in ["", *tokenize(call.arguments)]]
        arguments = msgspec.json.decode(call.arguments)
        yield (
            {"type": "tool_use", "id": f"toolu_{rng.getrandbits(96):024x}", "name": call.name, "input": arguments},
            deltas,
        )


def _events(message: dict[str, object], blocks: Sequence[_Block], usage: dict[str, object]) -> Iterator[bytes]:
    # The count at the start is a placeholder.
    opening = {**message, "stop_reason": None, "stop_sequence": None, "usage": {**usage, "output_tokens": 1}}
    yield _event({"type": "message_start", "message": {**opening, "content": ()}})
    for index, (block, deltas) in enumerate(blocks):
        start = {name: _EMPTY.get(name, value) for name, value in block.items()}
        yield _event({"type": "content_block_start", "index": index, "content_block": start})
        if index == 0:
            yield _event({"type": "ping"})
        for delta in deltas:
            yield _event({"type": "content_block_delta", "index": index, "delta": delta})
        yield _event({"type": "content_block_stop", "index": index})
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]}
    yield _event({"type": "message_delta", "delta": ending, "usage": {name: usage[name] for name in _FINAL_COUNTS}})
    yield _event({"type": "message_stop"})


def _complaint(error: msgspec.ValidationError) -> str:
    text = str(error)
    if "missing required field `" in text and "$" not in text:
        return f"{text.split('`')[1]}: Field required"
    if "at `$." in text:
        complaint, _, path = text.rpartition(" - at `$.")
        return f"{path.rstrip('`')}: {complaint}"
    return text


def _ask(asked: _MessagesRequest) -> Ask:
    tools = {tool.name: tool.input_schema for tool in asked.tools}
    tool: str | None = None
    if asked.tool_choice is not None and asked.tool_choice.type in ("any", "tool"):
        tool = asked.tool_choice.name or next(iter(tools), None)
        if tool is None or tool not in tools:
            raise Refusal(400, f"tool_choice: tool {tool!r} is not among tools")
    thinking = asked.thinking is not None and asked.thinking.type != "disabled"
    if asked.thinking is not None and asked.thinking.type == "enabled":
        budget = asked.thinking.budget_tokens
        if budget is None or budget < 1024:
            raise Refusal(400, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if budget >= asked.max_tokens:
            raise Refusal(400, "`max_tokens` must be greater than `thinking.budget_tokens`")
        if tool is not None:
            raise Refusal(400, "Thinking may not be enabled when tool_choice forces tool use.")
    form = None if asked.output_config is None else asked.output_config.format
    return Ask(
        prompt=msgspec.json.encode([asked.system, asked.messages]).decode(),
        max_tokens=asked.max_tokens,
        stop_sequences=asked.stop_sequences,
        thinking=thinking,
        tool=tool,
        tool_schema=tools[tool] if tool is not None else {},
        schema=None if form is None else form.schema,
    )


def _usage(asked: _MessagesRequest, made: Generation, model: Model) -> dict[str, object]:
    contents = [message.content for message in asked.messages]
    system = [] if asked.system is None else [asked.system]
    total = prompt_tokens([*system, *contents], asked.tools)
    # With a breakpoint anywhere, all but the last message is cached: exact breakpoints would change no client.
    cached = 0
    marked = msgspec.json.encode([asked.tools, asked.system, contents]).find(b'"cache_control":{') >= 0
    if marked or asked.cache_control is not None:
        cached = total - prompt_tokens(contents[-1:])
    prefix = msgspec.json.encode([asked.model, asked.tools, asked.system, contents[:-1]]).decode()
    read = cached if cached and model.remember(prefix) else 0
    return {
        "input_tokens": total - cached,
        "cache_creation_input_tokens": cached - read,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": cached - read, "ephemeral_1h_input_tokens": 0},
        "output_tokens": made.tokens,
        "service_tier": "standard",
        "inference_geo": "global",
    }


def _event(data: dict[str, object]) -> bytes:
    return f"event: {data['type']}\n".encode() + b"data: " + msgspec.json.encode(data) + b"\n\n"

"""OpenAI's wire, from the server's side: chat completions, models, errors.

Facts from OpenAI's OpenAPI document and recorded traffic.
"""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ._simulator_exchange import ReceivedRequest
from ._simulator_jobs import BATCH_SECONDS, each
from ._simulator_model import Ask, Generation, Model
from ._simulator_steps import Step, json_answer, stream_answer
from ._simulator_text import prompt_tokens, tokenize
from ._wire_openai_batches import BatchesStore
from ._wire_openai_files import FilesStore
from ._wire_openai_forms import FORM_ANSWERS
from ._wire_openai_operations import ANSWERS, CREATED
from ._wire_openai_responses import ResponsesStore
from ._wire_protocol import Headers, Refusal

# Prompts from this many tokens on are cached, in steps of so many.
CACHE_FROM, CACHE_STEP = 1024, 128


class _Function(Struct):
    name: str
    parameters: dict[str, object] = {}


class _Tool(Struct):
    type: str
    function: _Function | None = None


class _JsonSchema(Struct):
    name: str
    schema: dict[str, object] = {}


class _ResponseFormat(Struct):
    type: str
    json_schema: _JsonSchema | None = None


class _StreamOptions(Struct):
    include_usage: bool = False


class _Message(Struct):
    role: str
    content: str | list[dict[str, object]] | None = None


class _NamedTool(Struct):
    name: str


class _ToolChoice(Struct):
    type: str
    function: _NamedTool | None = None


class _ChatRequest(Struct):
    model: str
    messages: Annotated[list[_Message], Meta(min_length=1)]
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    stop: str | list[str] | None = None
    tools: list[_Tool] = []
    tool_choice: str | _ToolChoice | None = None
    response_format: _ResponseFormat | None = None
    reasoning_effort: str | None = None


_CHAT_REQUEST = msgspec.json.Decoder(_ChatRequest)
_FINISH = {"stop": "stop", "length": "length", "tools": "tool_calls"}
_TYPES = {429: "requests", 401: "invalid_request_error", 403: "invalid_request_error"}
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
_ANY_OBJECT: dict[str, object] = {"type": "object", "properties": {"answer": {"type": "string"}}}


class OpenAIWire:
    """Chat completions and models, in OpenAI's form."""

    def __init__(self, models: Sequence[str], batch_seconds: float = BATCH_SECONDS) -> None:
        self._models = models
        self._responses = ResponsesStore()
        self._files = FilesStore()
        self._batches = BatchesStore(self._files, batch_seconds)

    def speaks(self, request: ReceivedRequest) -> bool:
        # What no other knows is for this one to answer, or to refuse.
        return True

    def headers(self, request_id: str) -> Headers:
        return (
            ("x-request-id", request_id),
            ("openai-processing-ms", "1"),
            ("openai-version", "2020-10-01"),
            ("x-ratelimit-limit-requests", "10000"),
            ("x-ratelimit-remaining-requests", "9999"),
            ("x-ratelimit-reset-requests", "6ms"),
            ("x-ratelimit-limit-tokens", "2000000"),
            ("x-ratelimit-remaining-tokens", "1999000"),
            ("x-ratelimit-reset-tokens", "30ms"),
        )

    def request_id(self, headers: Headers) -> str:
        return dict(headers)["x-request-id"]

    def key(self, request: ReceivedRequest) -> str | None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        return key.strip() or None if scheme.lower() == "bearer" else None

    def answer(self, request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
        path = request.path.partition("?")[0]
        if path.endswith("/chat/completions"):
            if request.method != "POST":
                raise Refusal(405, f"{request.method} is no method of {path}: use POST.", code="method_not_supported")
            return self._chat(request, model, headers)
        if path.endswith("/models") and request.method == "GET":
            data = [
                {"id": name, "object": "model", "created": CREATED, "owned_by": "simulator"} for name in self._models
            ]
            return json_answer(headers, {"object": "list", "data": data})
        if "/responses" in path:
            number = f"{model.random(f'id {self.request_id(headers)}').getrandbits(96):024x}"
            return self._responses.answer(request, model, headers, number)
        if "/batches" in path:
            return self._batches.answer(request, headers, each(self, model, request, headers))
        if "/files" in path:
            return self._files.answer(request, headers)
        for ending, answer in (*ANSWERS.items(), *FORM_ANSWERS.items()):
            if path.endswith(ending) and request.method == "POST":
                return answer(request, model, headers)
        raise Refusal(404, f"Invalid URL ({request.method} {path})", code="unknown_url")

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        status = refusal.status
        code = refusal.code or _CODES.get(status)
        kind = "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")
        if code == "insufficient_quota":
            kind = code
        error = {"message": refusal.message, "type": kind, "param": refusal.param, "code": code}
        return msgspec.json.encode({"error": error})

    def error_event(self, kind: str | None, message: str) -> bytes:
        error = {"message": message, "type": kind or "server_error", "param": None, "code": None}
        return _event({"error": error})

    def _chat(self, request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
        try:
            asked = _CHAT_REQUEST.decode(request.body)
        except msgspec.ValidationError as error:
            raise Refusal(400, str(error), param=_missing_field(error)) from error
        except msgspec.DecodeError as error:
            raise Refusal(400, f"We could not parse the JSON body of your request: {error}") from error
        if asked.model not in self._models and asked.model == "no-such-model":
            raise Refusal(404, f"The model `{asked.model}` does not exist.", code="model_not_found")
        ask = _ask(asked, request)
        choices = [model.generate(request, ask, index) for index in range(asked.n or 1)]
        usage = _usage(asked, choices, model)
        rng = model.random(f"id {self.request_id(headers)}")
        facts: dict[str, object] = {
            "id": f"chatcmpl-{rng.getrandbits(96):024x}",
            "object": "chat.completion.chunk" if asked.stream else "chat.completion",
            "created": CREATED,
            "model": asked.model,
            "service_tier": "default",
            "system_fingerprint": "fp_simulator",
        }
        call_ids = [[f"call_{rng.getrandbits(96):024x}" for _ in choice.reply.tool_calls] for choice in choices]
        if not asked.stream:
            whole = [_choice(index, made, call_ids[index]) for index, made in enumerate(choices)]
            return json_answer(headers, {**facts, "choices": whole, "usage": usage})
        with_usage = asked.stream_options is not None and asked.stream_options.include_usage
        if with_usage:
            facts["usage"] = None
        streams = [_chunks(index, made, call_ids[index]) for index, made in enumerate(choices)]
        # The choices of one request come interleaved.
        events = [
            _event({**facts, "choices": [chunk]})
            for chunks in zip_longest(*streams)
            for chunk in chunks
            if chunk is not None
        ]
        if with_usage:
            events.append(_event({**facts, "choices": [], "usage": usage}))
        return stream_answer(headers, [*events, b"data: [DONE]\n\n"])


def _missing_field(error: msgspec.ValidationError) -> str | None:
    """Return the name of the field that an error is about, where it says one."""
    text = str(error)
    if "missing required field `" in text and "$" not in text:
        return text.split("`")[1]
    return text.rpartition("at `$.")[2].rstrip("`") if "at `$." in text else None


def _ask(asked: _ChatRequest, request: ReceivedRequest) -> Ask:
    tools = {tool.function.name: tool.function.parameters for tool in asked.tools if tool.function is not None}
    choice = asked.tool_choice
    tool: str | None = None
    if choice == "required":
        tool = next(iter(tools), None)
    elif isinstance(choice, _ToolChoice) and choice.function is not None:
        tool = choice.function.name
    if choice == "required" and tool is None:
        raise Refusal(400, "'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
    if tool is not None and tool not in tools:
        raise Refusal(400, f"Tool choice '{tool}' not found in 'tools' parameter.", param="tool_choice")
    schema = None
    if asked.response_format is not None:
        if asked.response_format.json_schema is not None:
            schema = asked.response_format.json_schema.schema
        elif asked.response_format.type == "json_object":
            schema = _ANY_OBJECT
    stop = asked.stop or []
    return Ask(
        prompt=msgspec.json.encode(asked.messages).decode(),
        max_tokens=asked.max_completion_tokens or asked.max_tokens,
        stop_sequences=[stop] if isinstance(stop, str) else stop,
        thinking=asked.reasoning_effort not in (None, "none", "minimal"),
        tool=tool,
        tool_schema=tools[tool] if tool is not None else {},
        schema=schema,
    )


def _usage(asked: _ChatRequest, choices: Sequence[Generation], model: Model) -> dict[str, object]:
    prompt = prompt_tokens([message.content for message in asked.messages], asked.tools)
    completion = sum(choice.tokens for choice in choices)
    cached = 0
    if prompt >= CACHE_FROM and model.remember(f"{asked.model} {msgspec.json.encode(asked.messages).decode()}"):
        cached = prompt // CACHE_STEP * CACHE_STEP
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": sum(choice.thinking_tokens for choice in choices),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _choice(index: int, made: Generation, call_ids: Sequence[str]) -> dict[str, object]:
    message: dict[str, object] = {
        "role": "assistant",
        "content": made.reply.text if made.reply.text or not made.reply.tool_calls else None,
        "refusal": None,
        "annotations": [],
    }
    if made.reply.tool_calls:
        message["tool_calls"] = [
            {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call_id, call in zip(call_ids, made.reply.tool_calls, strict=True)
        ]
    return {"index": index, "message": message, "logprobs": None, "finish_reason": _FINISH[made.stop]}


def _chunks(index: int, made: Generation, call_ids: Sequence[str]) -> Iterator[dict[str, object]]:
    def chunk(delta: dict[str, object], finish: str | None = None) -> dict[str, object]:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}

    yield chunk({"role": "assistant", "content": None if made.reply.tool_calls else "", "refusal": None})
    for token in tokenize(made.reply.text):
        yield chunk({"content": token})
    for position, call in enumerate(made.reply.tool_calls):
        function: dict[str, object] = {"name": call.name, "arguments": ""}
        first = {"index": position, "id": call_ids[position], "type": "function", "function": function}
        yield chunk({"tool_calls": [first]})
        for token in tokenize(call.arguments):
            yield chunk({"tool_calls": [{"index": position, "function": {"arguments": token}}]})
    yield chunk({}, _FINISH[made.stop])


def _event(data: dict[str, object]) -> bytes:
    return b"data: " + msgspec.json.encode(data) + b"\n\n"

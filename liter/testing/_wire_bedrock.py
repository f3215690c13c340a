"""Bedrock's wire, from the server's side: Converse and its event streams, errors, signatures, and the way to the rest.

Facts from AWS's API reference and recorded traffic.
"""

import base64
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated
from urllib.parse import unquote

import msgspec
from msgspec import Meta, Struct

from ..credentials import AwsKeys
from ..credentials._sigv4 import ALGORITHM
from ._simulator_exchange import ReceivedRequest
from ._simulator_frames import frame
from ._simulator_model import Ask, Generation, Model
from ._simulator_signature import check_signature
from ._simulator_steps import EVENT_STREAM, Step, json_answer, stream_answer
from ._simulator_text import prompt_tokens, tokenize
from ._wire_bedrock_invoke import Invocations
from ._wire_protocol import Headers, Refusal

_TYPES = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    402: "ServiceQuotaExceededException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
_ROUTE = re.compile(
    r"/model/([^/]+)/(converse|converse-stream|invoke|invoke-with-response-stream|count-tokens)|/foundation-models"
)
# What Bedrock pads its events with, so that their sizes do not tell what they say.
_PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class _Message(Struct):
    role: str
    content: list[dict[str, object]]


class _Inference(Struct, frozen=True, rename="camel"):
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    stop_sequences: list[str] = []


class _InputSchema(Struct):
    json: dict[str, object]


class _Specification(Struct, rename="camel"):
    name: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]
    input_schema: _InputSchema


class _Tool(Struct, rename="camel"):
    tool_spec: _Specification | None = None


class _ToolName(Struct):
    name: str


class _ToolChoice(Struct):
    auto: dict[str, object] | None = None
    any: dict[str, object] | None = None
    tool: _ToolName | None = None


class _ToolConfig(Struct, rename="camel"):
    tools: Annotated[list[_Tool], Meta(min_length=1)]
    tool_choice: _ToolChoice | None = None


class _JsonSchema(Struct):
    schema: str


class _Structure(Struct, rename="camel"):
    json_schema: _JsonSchema


class _TextFormat(Struct):
    structure: _Structure


class _OutputConfig(Struct, rename="camel"):
    text_format: _TextFormat | None = None


class _ConverseRequest(Struct, rename="camel"):
    messages: Annotated[list[_Message], Meta(min_length=1)]
    system: list[dict[str, object]] = []
    inference_config: _Inference = _Inference()
    tool_config: _ToolConfig | None = None
    output_config: _OutputConfig | None = None
    additional_model_request_fields: dict[str, object] = {}


_CONVERSE_REQUEST = msgspec.json.Decoder(_ConverseRequest)
_SCHEMA = msgspec.json.Decoder(dict[str, object])
_STOP = {"stop": "end_turn", "length": "max_tokens", "tools": "tool_use"}


class BedrockWire:
    """Converse, whole and streamed, invocations, rankings, token counts and the list of models.

    :param api_key: the only bearer key accepted; by default any is
    :param keys: what requests must be signed with; by default a signature only has to be well formed
    """

    def __init__(self, models: Sequence[str], *, api_key: str | None = None, keys: AwsKeys | None = None) -> None:
        self._models = models
        self._invocations = Invocations(models)
        self._api_key = api_key
        self._keys = keys

    def speaks(self, request: ReceivedRequest) -> bool:
        return _route(request) is not None or _reranks(request)

    def headers(self, request_id: str) -> Headers:
        return (("x-amzn-requestid", request_id),)

    def request_id(self, headers: Headers) -> str:
        return dict(headers)["x-amzn-requestid"]

    def key(self, request: ReceivedRequest) -> str | None:
        authorization = request.headers.get("authorization", "")
        if authorization.startswith(ALGORITHM):
            check_signature(request, self._keys)
            # Who signs needs no other key.
            return self._api_key or "signed"
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Refusal(403, "Missing Authentication Token", code="MissingAuthenticationTokenException")
        if self._api_key is not None and token.strip() != self._api_key:
            raise Refusal(403, "Authentication failed: API key is not valid", code="AccessDeniedException")
        return token.strip()

    def answer(self, request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
        if _reranks(request):
            return self._invocations.rerank(request, headers)
        match = _route(request)
        if match is None:
            raise Refusal(404, "Not Found", code="UnknownOperationException")
        if request.method != ("POST" if match.group(2) else "GET"):
            raise Refusal(405, "Method Not Allowed", code="UnknownOperationException")
        name, action = unquote(match.group(1) or ""), match.group(2)
        if action == "count-tokens":
            return self._invocations.count(request, headers)
        if action in ("invoke", "invoke-with-response-stream"):
            return self._invocations.invoke(request, model, headers, name, action)
        if action:
            return self._converse(request, model, headers, name, action)
        summaries = [{"modelId": name, "modelName": name, "providerName": "Simulated"} for name in self._models]
        return json_answer(headers, {"modelSummaries": summaries})

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        # Where no header can be set, AWS names the error in the body.
        kind = refusal.code or _TYPES.get(refusal.status, "InternalServerException")
        return msgspec.json.encode({"__type": kind, "message": refusal.message})

    def error_event(self, kind: str | None, message: str) -> bytes:
        return frame("exception", kind or "serviceUnavailableException", {"message": message})

    def _converse(self, request: ReceivedRequest, model: Model, headers: Headers, name: str, action: str) -> list[Step]:
        try:
            asked = _CONVERSE_REQUEST.decode(request.body)
        except msgspec.ValidationError as error:
            raise Refusal(400, str(error)) from error
        except msgspec.DecodeError as error:
            raise Refusal(400, f"The request body is not valid JSON: {error}", code="SerializationException") from error
        if name == "no-such-model":
            raise Refusal(400, "The provided model identifier is invalid.")
        _check(asked)
        made = model.generate(request, _ask(asked))
        usage = _usage(asked, made, model, name)
        rng = model.random(f"id {self.request_id(headers)}")
        blocks = list(_blocks(made, rng))
        stop = "stop_sequence" if made.stop_sequence is not None else _STOP[made.stop]
        metrics = {"latencyMs": 100}
        if action == "converse-stream":
            events = list(_events(blocks, stop, {"usage": usage, "metrics": metrics}, rng))
            return stream_answer(headers, events, EVENT_STREAM)
        message = {"role": "assistant", "content": [block for block, _, _ in blocks]}
        reply = {"output": {"message": message}, "stopReason": stop, "usage": usage, "metrics": metrics}
        return json_answer(headers, reply)


def _route(request: ReceivedRequest) -> re.Match[str] | None:
    path = request.path.partition("?")[0]
    place = path.rfind("/model/")
    return _ROUTE.fullmatch(path, place if place >= 0 else max(path.rfind("/"), 0))


def _reranks(request: ReceivedRequest) -> bool:
    # Others rank under this path, too, with bodies of their own.
    return request.path.endswith("/rerank") and b'"rerankingConfiguration"' in request.body


def _check(asked: _ConverseRequest) -> None:
    """Refuse what Bedrock refuses, beyond the form of the body."""
    role = "user"
    for index, message in enumerate(asked.messages):
        if message.role != role:
            raise Refusal(400, "A conversation must alternate between user and assistant roles.")
        role = "assistant" if role == "user" else "user"
        if not message.content:
            raise Refusal(400, f"The content field in the Message object at messages.{index} is empty.")
        if any(block.get("text") == "" for block in message.content):
            raise Refusal(400, "The text field in the ContentBlock object is blank.")
    blocks = [block for message in asked.messages for block in message.content]
    if asked.tool_config is None and any("toolUse" in block or "toolResult" in block for block in blocks):
        raise Refusal(400, "The toolConfig field must be defined when using toolUse and toolResult content blocks.")


def _ask(asked: _ConverseRequest) -> Ask:
    config = asked.tool_config
    tools = (
        {tool.tool_spec.name: tool.tool_spec.input_schema.json for tool in config.tools if tool.tool_spec}
        if config
        else {}
    )
    choice = config.tool_choice if config else None
    tool: str | None = None
    if choice is not None and choice.auto is None:
        tool = choice.tool.name if choice.tool is not None else next(iter(tools), None)
        if tool is None or tool not in tools:
            raise Refusal(400, f"The tool {tool!r} of toolChoice is not among the tools.")
    form = asked.output_config.text_format if asked.output_config else None
    try:
        schema = (
            None if form is None else msgspec.json.decode(form.structure.json_schema.schema, type=dict[str, object])
        )
    except msgspec.DecodeError as error:
        raise Refusal(400, "The schema of outputConfig is not valid JSON.") from error
    return Ask(
        prompt=msgspec.json.encode([asked.system, asked.messages]).decode(),
        max_tokens=asked.inference_config.max_tokens,
        stop_sequences=asked.inference_config.stop_sequences,
        thinking=_thinks(asked.additional_model_request_fields),
        tool=tool,
        tool_schema=tools[tool] if tool is not None else {},
        schema=schema,
    )


def _thinks(fields: Mapping[str, object]) -> bool:
    thinking = fields.get("thinking", fields.get("reasoningConfig"))
    if isinstance(thinking, dict):
        return thinking != {"type": "disabled"}
    return "reasoning_effort" in fields or "reasoning_config" in fields


def _usage(asked: _ConverseRequest, made: Generation, model: Model, name: str) -> dict[str, object]:
    contents: list[object] = [message.content for message in asked.messages]
    tools = [] if asked.tool_config is None else asked.tool_config.tools
    total = prompt_tokens([asked.system, *contents] if asked.system else contents, tools)
    # With a breakpoint anywhere, all but the last message is cached: exact breakpoints would change no client.
    marked = b'"cachePoint"' in msgspec.json.encode([asked.system, contents])
    cached = total - prompt_tokens(contents[-1:]) if marked else 0
    prefix = msgspec.json.encode([name, tools, asked.system, contents[:-1]]).decode()
    read = cached if cached and model.remember(prefix) else 0
    usage: dict[str, object] = {
        "inputTokens": total - cached,
        "outputTokens": made.tokens,
        "totalTokens": total + made.tokens,
        "serverToolUsage": {},
    }
    if marked:
        usage["cacheReadInputTokens"], usage["cacheWriteInputTokens"] = read, cached - read
        usage["cacheDetails"] = [{"ttl": "5m", "inputTokens": cached - read}]
    return usage


# A content block as it is when whole, what announces it, and the deltas that it comes by.
_Block = tuple[dict[str, object], dict[str, object] | None, list[dict[str, object]]]


def _blocks(made: Generation, rng: random.Random) -> Iterator[_Block]:
    reply = made.reply
    if reply.thinking:
        proof = base64.b64encode(rng.getrandbits(192).to_bytes(24, "big")).decode()
        thoughts: list[dict[str, object]] = [
            {"reasoningContent": {"text": token}} for token in tokenize(reply.thinking)
        ]
        thoughts.append({"reasoningContent": {"signature": proof}})
        whole = {"text": reply.thinking, "signature": proof}
        yield {"reasoningContent": {"reasoningText": whole}}, None, thoughts
    if reply.text:
        yield {"text": reply.text}, None, [{"text": token} for token in tokenize(reply.text)]
    for call in reply.tool_calls:
        use = {"toolUseId": f"tooluse_{rng.getrandbits(96):024x}", "name": call.name}
        arguments: list[dict[str, object]] = [{"toolUse": {"input": token}} for token in tokenize(call.arguments)]
        yield {"toolUse": {**use, "input": msgspec.json.decode(call.arguments)}}, {"toolUse": use}, arguments


def _events(blocks: Sequence[_Block], stop: str, metadata: dict[str, object], rng: random.Random) -> Iterator[bytes]:
    def event(name: str, **fields: object) -> bytes:
        return frame("event", name, {**fields, "p": _PADDING[: rng.randint(1, len(_PADDING))]})

    yield event("messageStart", role="assistant")
    for index, (_, start, deltas) in enumerate(blocks):
        if start is not None:
            yield event("contentBlockStart", contentBlockIndex=index, start=start)
        for delta in deltas:
            yield event("contentBlockDelta", contentBlockIndex=index, delta=delta)
        yield event("contentBlockStop", contentBlockIndex=index)
    yield event("messageStop", stopReason=stop)
    yield event("metadata", **metadata)

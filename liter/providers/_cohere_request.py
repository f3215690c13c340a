"""Chat requests of OpenAI's form as Cohere's, parameter by parameter."""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from .._contract import Call
from .._errors import BadRequestError
from ..types import (
    AllowedToolsChoice,
    ChatCompletionRequest,
    CustomTool,
    CustomToolChoice,
    FunctionTool,
    FunctionToolChoice,
    JsonObjectFormat,
    JsonSchemaFormat,
    ToolChoice,
)
from ._cohere_messages import conversation
from ._cohere_reply import Block
from ._parameters import Mapped, Renamed, Rule, Sent, Unsupported, supported
from ._typed_parameters import typed, typed_format

_ENCODER = msgspec.json.Encoder()

PARAMETERS: Mapping[str, Rule] = {
    "model": Sent(),
    "messages": Mapped("Cohere's messages; text documents in them become `documents`"),
    "max_completion_tokens": Renamed("max_tokens"),
    "max_tokens": Sent(),
    "temperature": Sent(),
    "top_p": Renamed("p"),
    "n": Unsupported("make several calls", neutral=(1,)),
    "stop": Mapped("`stop_sequences`"),
    "seed": Sent(),
    "presence_penalty": Sent(),
    "frequency_penalty": Sent(),
    "logit_bias": Unsupported(neutral=({},)),
    "logprobs": Sent(),
    "top_logprobs": Unsupported("`logprobs` tells those of the tokens that came", neutral=(0,)),
    "tools": Mapped("functions; `strict`, on all of them, becomes `strict_tools`"),
    "tool_choice": Mapped("`REQUIRED` or `NONE`; one named, or some allowed: only these are sent"),
    "parallel_tool_calls": Unsupported("Cohere decides how many tools one reply calls", neutral=(True,)),
    "response_format": Mapped("`response_format` of type `json_object`, with the schema"),
    "reasoning_effort": Mapped("`thinking`: `disabled` for `none`; else a token budget, without one for `max`"),
    "verbosity": Unsupported("say it in the prompt"),
    "modalities": Unsupported("replies are text", neutral=(["text"], ("text",))),
    "audio": Unsupported("replies are text"),
    "prediction": Unsupported(),
    "web_search_options": Unsupported("give a tool that searches"),
    "service_tier": Unsupported("give Cohere's `priority` in `extra_body`", neutral=("auto", "default")),
    "store": Unsupported(neutral=(False,)),
    "metadata": Unsupported(neutral=({},)),
    "prompt_cache_key": Unsupported("Cohere caches prompts by itself"),
    "prompt_cache_retention": Unsupported("Cohere caches prompts by itself"),
    "prompt_cache_options": Unsupported("Cohere caches prompts by itself"),
    "safety_identifier": Unsupported(),
    "user": Unsupported(),
    "moderation": Unsupported("give Cohere's `safety_mode` in `extra_body`"),
    "stream_options": Mapped("nothing: usage always comes with the last event"),
    "functions": Unsupported("give `tools`", neutral=([], ())),
    "function_call": Unsupported("give `tool_choice`"),
    "extra_body": Mapped("its fields, such as `documents`, `safety_mode`, `citation_options`, `k`; they win"),
}

# Tokens to think with, by OpenAI's words for effort; a convention, and Cohere's own default has no limit.
_BUDGETS = {"minimal": 512, "low": 1_024, "medium": 4_096, "high": 16_384, "xhigh": 31_000}
_CHOICES = {"none": "NONE", "required": "REQUIRED"}
_NO_PARAMETERS: Mapping[str, object] = {"type": "object", "properties": {}}


def encode_chat(request: ChatCompletionRequest, call: Call[object]) -> bytes:
    """Make the body of ``POST /v2/chat``.

    :raises BadRequestError: a parameter or message asks for what Cohere cannot be told
    """
    request = supported(PARAMETERS, request, call)
    said = conversation(request.conversation, call)
    body: dict[str, object] = {"model": call.route.model, "messages": said.messages}
    if call.stream:
        body["stream"] = True
    extra = dict(request.extra_body or {})
    if said.documents:
        if "documents" in extra:
            raise BadRequestError("extra_body: documents are given there and in messages: give them in one place")
        body["documents"] = said.documents
    if said.cite is not None:
        body["citation_options"] = {"mode": "ENABLED" if said.cite else "OFF"}
    if "connectors" in extra:
        raise BadRequestError("extra_body: Cohere's second version has no connectors: give documents, or a tool")
    body.update(_sampling(request))
    body.update(_tools(request))
    response_format = _response_format(request.response_format)
    if response_format is not None:
        body["response_format"] = response_format
    if request.reasoning_effort is not None:
        body["thinking"] = _thinking(request.reasoning_effort)
    return _ENCODER.encode({**body, **extra})


def _sampling(request: ChatCompletionRequest) -> Block:
    stop = request.stop
    said: Block = {
        "max_tokens": request.max_completion_tokens or request.max_tokens,
        "temperature": request.temperature,
        "p": request.top_p,
        "stop_sequences": [stop] if isinstance(stop, str) else stop,
        "seed": request.seed,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
        "logprobs": request.logprobs,
    }
    return {name: value for name, value in said.items() if value is not None}


def _thinking(effort: str) -> Block:
    if effort == "none":
        return {"type": "disabled"}
    if effort == "max":
        return {"type": "enabled"}
    if effort not in _BUDGETS:
        raise BadRequestError(f"reasoning_effort must be none, {', '.join(_BUDGETS)} or max for Cohere, not {effort!r}")
    return {"type": "enabled", "token_budget": _BUDGETS[effort]}


def _response_format(given: object) -> Block | None:
    if given is None:
        return None
    wanted = typed_format(given)
    if isinstance(wanted, JsonSchemaFormat):
        schema = wanted.json_schema.schema
        return {"type": "json_object"} if schema is None else {"type": "json_object", "json_schema": schema}
    return {"type": "json_object" if isinstance(wanted, JsonObjectFormat) else "text"}


def _tools(request: ChatCompletionRequest) -> Block:
    given: Sequence[object] = request.tools or ()
    choice = cast("object", request.tool_choice)
    if isinstance(choice, Mapping):
        choice = typed(cast("object", choice), "tool_choice", ToolChoice)
    mode = choice if isinstance(choice, str) else None
    if isinstance(choice, FunctionToolChoice | CustomToolChoice):
        given, mode = _only(given, [choice]), "required"
    elif isinstance(choice, AllowedToolsChoice):
        given, mode = _only(given, choice.allowed_tools.tools), choice.allowed_tools.mode
    tools: list[Block] = []
    strict: set[bool] = set()
    for index, tool in enumerate(given):
        if isinstance(tool, CustomTool):
            raise BadRequestError(f"tools[{index}]: Cohere has no custom tools: give a function")
        if not isinstance(tool, FunctionTool):
            tools.append(cast("Block", tool))
            continue
        function = tool.function
        parameters = _NO_PARAMETERS if function.parameters is None else function.parameters
        sent: Block = {"name": function.name, "parameters": parameters}
        if function.description is not None:
            sent["description"] = function.description
        strict.add(bool(function.strict))
        tools.append({"type": "function", "function": sent})
    if len(strict) > 1:
        raise BadRequestError("tools: Cohere is strict with all tools or with none: give the same 'strict' to each")
    said: Block = {"tools": tools} if tools else {}
    if True in strict:
        said["strict_tools"] = True
    if mode is not None and mode != "auto":
        said["tool_choice"] = _CHOICES.get(mode, mode)
    return said


def _only(tools: Sequence[object], choices: Sequence[FunctionToolChoice | CustomToolChoice]) -> Sequence[object]:
    """The tools that may be called: Cohere cannot be told of one that may not."""
    names = {choice.function.name for choice in choices if isinstance(choice, FunctionToolChoice)}
    found = [tool for tool in tools if isinstance(tool, FunctionTool) and tool.function.name in names]
    missing = names - {tool.function.name for tool in found}
    if missing or not found:
        raise BadRequestError(f"tool_choice: no tool {min(missing, default='of that kind')!r} is in tools")
    return found

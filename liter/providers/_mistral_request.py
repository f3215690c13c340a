"""Chat requests of OpenAI's form as Mistral's, parameter by parameter. Mistral refuses fields that it does not know."""

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
    ToolChoice,
    format_of_type,
)
from ._mistral_messages import messages
from ._parameters import Mapped, Renamed, Rule, Sent, Unsupported, refuse, supported

_ENCODER = msgspec.json.Encoder()

PARAMETERS: Mapping[str, Rule] = {
    "model": Sent(),
    "messages": Mapped("Mistral's messages; files and documents as `document_url`, reasoning as `thinking`"),
    "max_completion_tokens": Renamed("max_tokens"),
    "max_tokens": Sent(),
    "temperature": Sent(),
    "top_p": Sent(),
    "n": Sent(),
    "stop": Sent(),
    "seed": Renamed("random_seed"),
    "presence_penalty": Sent(),
    "frequency_penalty": Sent(),
    "logit_bias": Unsupported(neutral=({},)),
    "logprobs": Sent(),
    "top_logprobs": Sent(),
    "tools": Mapped("functions; custom tools are refused"),
    "tool_choice": Mapped("as it is; with some that are allowed, only these are sent"),
    "parallel_tool_calls": Sent(),
    "response_format": Mapped("as it is; a type as its JSON schema"),
    "reasoning_effort": Sent(),
    "verbosity": Unsupported("say it in the prompt"),
    "modalities": Unsupported("replies are text", neutral=(["text"], ("text",))),
    "audio": Unsupported("replies are text"),
    "prediction": Sent(),
    "web_search_options": Unsupported("give a tool that searches"),
    "service_tier": Mapped("`auto`, or `standard_only` for `default`"),
    "store": Unsupported(neutral=(False,)),
    "metadata": Sent(),
    "prompt_cache_key": Sent(),
    "prompt_cache_retention": Unsupported(),
    "prompt_cache_options": Unsupported(),
    "safety_identifier": Unsupported(),
    "user": Unsupported(),
    "moderation": Unsupported("give Mistral's `guardrails` in `extra_body`"),
    "stream_options": Mapped("nothing: usage always comes with the last chunk"),
    "functions": Unsupported("give `tools`", neutral=([], ())),
    "function_call": Unsupported("give `tool_choice`"),
    "extra_body": Mapped("its fields, such as `safe_prompt`, `prompt_mode`, `guardrails`; they win"),
}

_NO_PARAMETERS: Mapping[str, object] = {"type": "object", "properties": {}}
_SERVICE_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}


def encode_chat(request: ChatCompletionRequest, call: Call[object]) -> bytes:
    """Make the body of ``POST /chat/completions``.

    :raises BadRequestError: a parameter or message asks for what Mistral cannot be told
    """
    request = supported(PARAMETERS, request, call)
    response_format = request.response_format
    tools, choice = _tools(request)
    told: dict[str, object] = {
        "model": call.route.model,
        "messages": messages(request.conversation, call),
        "stream": call.stream or None,
        "max_tokens": request.max_completion_tokens or request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "n": request.n,
        "stop": request.stop,
        "random_seed": request.seed,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
        "logprobs": request.logprobs,
        "top_logprobs": request.top_logprobs,
        "tools": tools,
        "tool_choice": choice,
        "parallel_tool_calls": request.parallel_tool_calls,
        "response_format": format_of_type(response_format) if isinstance(response_format, type) else response_format,
        "reasoning_effort": request.reasoning_effort,
        "prediction": request.prediction,
        "service_tier": _service_tier(request.service_tier, call),
        "metadata": request.metadata,
        "prompt_cache_key": request.prompt_cache_key,
    }
    said = {name: value for name, value in told.items() if value is not None}
    return _ENCODER.encode({**said, **(request.extra_body or {})})


def _service_tier(tier: str | None, call: Call[object]) -> str | None:
    if tier is not None and tier not in _SERVICE_TIERS:
        refuse(call, f"service_tier={tier!r}", "give 'auto' or 'default'")
    return None if tier is None else _SERVICE_TIERS.get(tier)


def _tools(request: ChatCompletionRequest) -> tuple[Sequence[object] | None, object]:
    tools: Sequence[object] | None = request.tools
    choice = cast("object", request.tool_choice)
    for index, tool in enumerate(tools or ()):
        if isinstance(tool, CustomTool):
            raise BadRequestError(f"tools[{index}]: Mistral has no custom tools: give a function")
    if isinstance(choice, Mapping):
        try:
            choice = cast("object", msgspec.convert(choice, ToolChoice))
        except msgspec.ValidationError as error:
            raise BadRequestError(f"tool_choice: {error}") from None
    if isinstance(choice, CustomToolChoice):
        raise BadRequestError("tool_choice: Mistral has no custom tools: name a function")
    if isinstance(choice, AllowedToolsChoice):
        allowed = choice.allowed_tools
        names = {one.function.name for one in allowed.tools if isinstance(one, FunctionToolChoice)}
        kept = [tool for tool in tools or () if isinstance(tool, FunctionTool) and tool.function.name in names]
        missing = names - {tool.function.name for tool in kept}
        if missing or not kept:
            raise BadRequestError(f"tool_choice: no tool {min(missing, default='of that kind')!r} is in tools")
        return [_function(tool) for tool in kept], allowed.mode
    return tools and [_function(tool) if isinstance(tool, FunctionTool) else tool for tool in tools], choice


def _function(tool: FunctionTool) -> dict[str, object]:
    function = tool.function
    told: dict[str, object] = {
        "name": function.name,
        "description": function.description,
        "parameters": _NO_PARAMETERS if function.parameters is None else function.parameters,
        "strict": function.strict,
    }
    return {"type": "function", "function": {name: value for name, value in told.items() if value is not None}}

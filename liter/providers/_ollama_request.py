"""Chat requests of OpenAI's form as those of Ollama's own API, parameter by parameter."""

import re
from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from .._contract import Call
from .._errors import BadRequestError
from ..types import (
    AssistantMessage,
    ChatCompletionRequest,
    ContentPart,
    CustomTool,
    FunctionMessage,
    ImagePart,
    JsonObjectFormat,
    JsonSchemaFormat,
    Message,
    RefusalPart,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from ._parameters import Mapped, Rule, Sent, Unsupported, refuse, supported
from ._typed_parameters import typed_format

Block = dict[str, object]

PARAMETERS: Mapping[str, Rule] = {
    "model": Sent(),
    "messages": Mapped("Ollama's messages: one text each, pictures as `images`, arguments as objects"),
    "max_completion_tokens": Mapped("`options.num_predict`"),
    "max_tokens": Mapped("`options.num_predict`"),
    "temperature": Mapped("`options.temperature`"),
    "top_p": Mapped("`options.top_p`"),
    "n": Unsupported("make several calls", neutral=(1,)),
    "stop": Mapped("`options.stop`"),
    "seed": Mapped("`options.seed`"),
    "presence_penalty": Mapped("`options.presence_penalty`"),
    "frequency_penalty": Mapped("`options.frequency_penalty`"),
    "logit_bias": Unsupported(neutral=({},)),
    "logprobs": Sent(),
    "top_logprobs": Sent(),
    "tools": Mapped("functions; custom tools are refused"),
    "tool_choice": Unsupported("give the tools that may be called", neutral=("auto",)),
    "parallel_tool_calls": Unsupported(neutral=(True,)),
    "response_format": Mapped("`format`: `json`, or the schema"),
    "reasoning_effort": Mapped("`think`: `false` for `none`; `low`, `medium`, or `high` from there on"),
    "verbosity": Unsupported("say it in the prompt"),
    "modalities": Unsupported("replies are text", neutral=(["text"], ("text",))),
    "audio": Unsupported("replies are text"),
    "prediction": Unsupported(),
    "web_search_options": Unsupported("give a tool that searches"),
    "service_tier": Unsupported(neutral=("auto", "default")),
    "store": Unsupported(neutral=(False,)),
    "metadata": Unsupported(neutral=({},)),
    "prompt_cache_key": Unsupported("Ollama caches prompts by itself; `keep_alive` goes in `extra_body`"),
    "prompt_cache_retention": Unsupported("Ollama caches prompts by itself; `keep_alive` goes in `extra_body`"),
    "prompt_cache_options": Unsupported("Ollama caches prompts by itself; `keep_alive` goes in `extra_body`"),
    "safety_identifier": Unsupported(),
    "user": Unsupported(),
    "moderation": Unsupported(),
    "stream_options": Mapped("nothing: usage always comes with the last line"),
    "functions": Unsupported("give `tools`", neutral=([], ())),
    "function_call": Unsupported("give `tool_choice`"),
    "extra_body": Mapped("its fields, such as `keep_alive`; they win. `options` are merged with those made here"),
}

_THINK: Mapping[str, object] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_DATA_URL = re.compile(r"data:[^;,]*(?:;[^;,]*)*?;base64,(.*)", re.DOTALL | re.IGNORECASE)
_ENCODER = msgspec.json.Encoder()
_ARGUMENTS = msgspec.json.Decoder(dict[str, object])


def encode_chat(request: ChatCompletionRequest, call: Call[object]) -> bytes:
    """Make the body of ``POST /api/chat``.

    :raises BadRequestError: a parameter or message asks for what Ollama cannot be told
    """
    request = supported(PARAMETERS, request, call)
    effort = request.reasoning_effort
    if effort is not None and effort not in _THINK:
        raise BadRequestError(f"reasoning_effort must be {', '.join(_THINK)} for Ollama, not {effort!r}")
    told: Block = {
        "model": call.route.model,
        "messages": _messages(request.conversation, call),
        # Ollama streams unless it is told not to.
        "stream": call.stream,
        "tools": _tools(request.tools),
        "format": _format(request.response_format),
        "think": None if effort is None else _THINK[effort],
        "logprobs": request.logprobs,
        "top_logprobs": request.top_logprobs,
    }
    stop = request.stop
    options: Block = {
        "num_predict": request.max_completion_tokens or request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stop": [stop] if isinstance(stop, str) else stop,
        "seed": request.seed,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
    }
    extra = dict(request.extra_body or {})
    own = extra.pop("options", None)
    options = {**_given(options), **(cast("Block", own) if isinstance(own, Mapping) else {})}
    body = _given(told)
    if options:
        body["options"] = options
    return _ENCODER.encode({**body, **extra})


def _given(fields: Block) -> Block:
    return {name: value for name, value in fields.items() if value is not None}


def _format(given: object) -> object:
    wanted = typed_format(given)
    if isinstance(wanted, JsonSchemaFormat):
        return wanted.json_schema.schema or "json"
    return "json" if isinstance(wanted, JsonObjectFormat) else None


def _tools(tools: Sequence[object] | None) -> Sequence[object] | None:
    for index, tool in enumerate(tools or ()):
        if isinstance(tool, CustomTool):
            raise BadRequestError(f"tools[{index}]: Ollama has no custom tools: give a function")
    return tools or None


def _messages(conversation: Sequence[Message], call: Call[object]) -> list[Block]:
    made: list[Block] = []
    names: dict[str, str] = {}
    for index, message in enumerate(conversation):
        where = f"messages[{index}]"
        if isinstance(message, FunctionMessage):
            raise BadRequestError(f"{where}: Ollama has no function messages: use tools, and the role 'tool'")
        content: str | Sequence[ContentPart] | None = message.content
        if isinstance(message, ToolMessage):
            name = message.name or names.get(message.tool_call_id)
            told: Block = {"role": "tool", "tool_name": name, "tool_call_id": message.tool_call_id}
            made.append({**_given(told), **_content(content, where, call)})
            continue
        if message.name is not None:
            refuse(call, f"the name of {where}", "put it into its text")
        if message.cache_control is not None:
            refuse(call, f"the cache marker in {where}", "leave it out: Ollama caches prompts by itself")
        if isinstance(message, AssistantMessage):
            names.update({one.id: one.function.name for one in message.tool_calls or ()})
            made.append(_assistant(message, where, call))
        elif isinstance(message, UserMessage):
            made.append({"role": "user", **_content(content, where, call)})
        else:
            made.append({"role": "system", **_content(content, where, call)})
    return made


def _assistant(message: AssistantMessage, where: str, call: Call[object]) -> Block:
    if message.function_call is not None or message.audio is not None:
        field = "function_call" if message.function_call is not None else "audio"
        raise BadRequestError(f"{where}: Ollama has nothing like {field}: use tool_calls, or text")
    made: Block = {"role": "assistant", **_content(message.content, where, call)}
    if message.refusal:
        made["content"] = f"{made['content']}{message.refusal}"
    if thought := message.reasoning_content or message.reasoning:
        made["thinking"] = thought
    if message.tool_calls:
        made["tool_calls"] = [
            _tool_call(one, f"{where}.tool_calls[{index}]") for index, one in enumerate(message.tool_calls)
        ]
    return made


def _tool_call(call: ToolCall, where: str) -> Block:
    if call.custom is not None:
        raise BadRequestError(f"{where}: Ollama has no custom tools")
    try:
        arguments = _ARGUMENTS.decode(call.function.arguments or "{}")
    except msgspec.DecodeError as error:
        raise BadRequestError(f"{where}: Ollama takes arguments as a JSON object: {error}") from None
    return {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": arguments}}


def _content(content: str | Sequence[ContentPart] | None, where: str, call: Call[object]) -> Block:
    if content is None or isinstance(content, str):
        return {"content": content or ""}
    texts: list[str] = []
    images: list[str] = []
    for index, part in enumerate(content):
        place = f"{where}.content[{index}]"
        if part.cache_control is not None or part.prompt_cache_breakpoint is not None:
            refuse(call, f"the cache marker in {place}", "leave it out: Ollama caches prompts by itself")
        if isinstance(part, TextPart | RefusalPart):
            texts.append(part.text if isinstance(part, TextPart) else part.refusal)
        elif isinstance(part, ImagePart):
            match = _DATA_URL.fullmatch(part.image_url.url)
            if match is None:
                raise BadRequestError(
                    f"{place}: Ollama takes images as data, 'data:image/png;base64,...', not by address"
                )
            if part.image_url.detail not in (None, "auto"):
                refuse(call, f"image detail {part.image_url.detail!r} in {place}", "leave it out")
            images.append(match.group(1))
        else:
            raise BadRequestError(f"{place}: Ollama takes text and images, not {part.__struct_config__.tag!r} parts")
    return {"content": "\n".join(texts), **({"images": images} if images else {})}

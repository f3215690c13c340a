"""Tools, choices of tools and schemas of OpenAI's form as Converse's."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from .._contract import Call
from .._errors import BadRequestError
from ..types import (
    AllowedToolsChoice,
    AssistantMessage,
    ChatCompletionRequest,
    CustomTool,
    CustomToolChoice,
    FunctionTool,
    FunctionToolChoice,
    Message,
    Tool,
    ToolMessage,
    ToolName,
    WebSearchOptions,
)
from ._bedrock_media import Block
from ._bedrock_models import name_of
from ._parameters import refuse
from ._typed_parameters import schema_of, typed, typed_choice

_NO_PARAMETERS: Mapping[str, object] = {"type": "object", "properties": {}}


def tools_of(request: ChatCompletionRequest, call: Call[object], *, schema_tool: bool) -> dict[str, object]:
    """``toolConfig``, and what of it only the model's own fields can say.

    :param schema_tool: ask for JSON of a schema by a tool that has to be called
    :raises BadRequestError: a tool, or a choice, that Converse does not have
    """
    anthropic = name_of(call.route.model).vendor == "anthropic"
    tools = list(request.tools or ())
    choice = typed_choice(request.tool_choice)
    if isinstance(choice, AllowedToolsChoice):
        names = {_name(one) for one in choice.allowed_tools.tools}
        tools = [tool for tool in tools if not isinstance(tool, FunctionTool) or tool.function.name in names]
        choice = choice.allowed_tools.mode
    used = list(dict.fromkeys(_used(request.conversation)))
    silent = choice == "none"
    if silent:
        choice = None
        if not used:
            tools = []
    sent = [block for index, tool in enumerate(tools) for block in _tool(tool, index)]
    if request.web_search_options is not None and not silent:
        sent += _web_search(request.web_search_options, call)
    schema = schema_of(request.response_format, call, "Bedrock") if schema_tool else None
    if schema is not None:
        # Whether it answers or calls one of the tools stays the model's to decide.
        silent, choice = False, "required" if sent else FunctionToolChoice(ToolName(schema.name))
        sent.append({"toolSpec": _specification(schema.name, schema.description, schema.schema)})
    if not sent and used:
        # Where the messages have calls, Converse wants their tools, and these cannot be called any more.
        silent = True
        sent = [{"toolSpec": _specification(name, None, None)} for name in used]
    chosen = _choice(choice)
    if not sent:
        if chosen and chosen != {"auto": {}}:
            raise BadRequestError("tool_choice: there are no tools to choose from: give tools, or leave it out")
        return {}
    said: dict[str, object] = {"tools": sent}
    if chosen:
        said["toolChoice"] = chosen
    more: dict[str, object] = {}
    if silent:
        if anthropic:
            more["tool_choice"] = {"type": "none"}
        elif request.tool_choice == "none":
            refuse(call, "tool_choice='none' beside calls in the messages, except for Anthropic's models")
    elif request.parallel_tool_calls is False:
        if not anthropic:
            refuse(call, "parallel_tool_calls=False, except for Anthropic's models")
        elif "auto" in chosen or not chosen:
            # Anthropic's field stands beside the choice, and must not say another one.
            said.pop("toolChoice", None)
            more["tool_choice"] = {"type": "auto", "disable_parallel_tool_use": True}
        else:
            more["tool_choice"] = {"disable_parallel_tool_use": True}
    return {"toolConfig": said, "additionalModelRequestFields": more} if more else {"toolConfig": said}


def _used(messages: Sequence[Message]) -> Iterator[str]:
    """The names of the tools that the messages call."""
    for message in messages:
        if isinstance(message, AssistantMessage):
            for one in message.tool_calls or ():
                yield one.function.name
        elif isinstance(message, ToolMessage):
            yield from (message.name,) if message.name else ()


def _web_search(options: WebSearchOptions | Mapping[str, object], call: Call[object]) -> list[Block]:
    options = cast("WebSearchOptions", typed(options, "web_search_options", WebSearchOptions))
    name = name_of(call.route.model)
    if name.vendor != "amazon" or not name.name.startswith("nova"):
        refuse(call, f"web_search_options for {call.route.model!r}", "take one of Amazon's Nova models")
        return []
    for field in ("search_context_size", "user_location"):
        if getattr(options, field) is not None:
            refuse(call, f"web_search_options.{field}", "leave it out")
    return [{"systemTool": {"name": "nova_grounding"}}]


def _choice(choice: object) -> dict[str, object]:
    if choice is None:
        return {}
    if isinstance(choice, FunctionToolChoice):
        return {"tool": {"name": choice.function.name}}
    if isinstance(choice, Mapping):
        return dict(cast("Mapping[str, object]", choice))
    if choice in ("auto", "required"):
        return {"auto": {}} if choice == "auto" else {"any": {}}
    raise BadRequestError(f"tool_choice must be auto, none, required or a function of tools, not {choice!r}")


def _name(choice: FunctionToolChoice | CustomToolChoice) -> str:
    if isinstance(choice, CustomToolChoice):
        raise BadRequestError("tool_choice: Bedrock has no custom tools: make it a function")
    return choice.function.name


def _tool(tool: Tool | Mapping[str, object], index: int) -> Iterator[Block]:
    if isinstance(tool, CustomTool):
        raise BadRequestError(f"tools[{index}]: Bedrock has no custom tools: make it a function")
    if not isinstance(tool, FunctionTool):
        # A tool of Bedrock's own, such as {"type": "systemTool", "name": "nova_grounding"}.
        yield {str(tool["type"]): {name: value for name, value in tool.items() if name != "type"}}
        return
    function = tool.function
    specification = _specification(function.name, function.description, function.parameters)
    if function.strict is not None:
        specification["strict"] = function.strict
    yield {"toolSpec": specification}
    if tool.cache_control is not None:
        ttl = tool.cache_control.ttl
        yield {"cachePoint": {"type": "default"} if ttl is None else {"type": "default", "ttl": ttl}}


def _specification(name: str, description: str | None, parameters: Mapping[str, object] | None) -> Block:
    schema = _NO_PARAMETERS if parameters is None else {"type": "object", **parameters}
    said: Block = {"name": name, "inputSchema": {"json": schema}}
    if description:
        said["description"] = description
    return said

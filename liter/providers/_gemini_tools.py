"""Tools, and which of them must be called, in Gemini's form."""

import re
from collections.abc import Mapping, Sequence
from typing import cast

from .._errors import BadRequestError
from ..types import (
    AllowedToolsChoice,
    ChatCompletionRequest,
    CustomTool,
    FunctionTool,
    FunctionToolChoice,
    Tool,
    WebSearchOptions,
)
from ._gemini_json import JsonObject
from ._gemini_target import Target
from ._typed_parameters import typed, typed_choice

_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_SNAKE = re.compile(r"_([a-z0-9])")


def tools_of(request: ChatCompletionRequest, target: Target) -> JsonObject:
    """``tools`` and ``toolConfig`` of a request.

    A tool of Gemini's own is given by its name, with its settings beside: ``{"type": "google_search"}``.

    :raises BadRequestError: a tool or a choice is of a kind that Gemini does not have
    """
    tools = list(request.tools or ())
    choice = typed_choice(request.tool_choice)
    if isinstance(choice, AllowedToolsChoice):
        tools, choice = _allowed(tools, choice)
    functions: list[JsonObject] = []
    others: list[JsonObject] = []
    strict = False
    for index, tool in enumerate(tools):
        if isinstance(tool, FunctionTool):
            functions.append(_function(tool, f"tools[{index}]", target))
            strict = strict or tool.function.strict is True
        elif isinstance(tool, CustomTool):
            raise BadRequestError(f"tools[{index}]: Gemini has no custom tools: make it a function")
        else:
            others.append(_native(tool))
    if request.web_search_options is not None:
        others.append(_search(request.web_search_options, target))
    declared: list[JsonObject] = [{"functionDeclarations": functions}] if functions else []
    made: JsonObject = {"tools": declared + others} if functions or others else {}
    config = _config(choice, strict)
    if config:
        made["toolConfig"] = {"functionCallingConfig": config}
    return made


def is_googles_schema(schema: Mapping[str, object]) -> bool:
    """Whether a schema is in Google's form, whose types are in upper case (or their numbers), and not JSON Schema."""
    kind = schema.get("type")
    return isinstance(kind, int) or (isinstance(kind, str) and kind.isupper())


def camel(name: str) -> str:
    """``google_search`` as ``googleSearch``: Google takes both, and sends the second."""
    return _SNAKE.sub(lambda match: match.group(1).upper(), name)


def _function(tool: FunctionTool, where: str, target: Target) -> JsonObject:
    function = tool.function
    if tool.cache_control is not None:
        target.cannot(f"the cache breakpoint in {where}", "leave it out")
    made: JsonObject = {"name": function.name}
    if function.description is not None:
        made["description"] = function.description
    if function.parameters is not None:
        field = "parameters" if is_googles_schema(function.parameters) else "parametersJsonSchema"
        made[field] = function.parameters
    return made


def _native(tool: Mapping[str, object]) -> JsonObject:
    settings = {camel(name): value for name, value in tool.items() if name != "type"}
    return {camel(str(tool["type"])): settings}


def _search(options: WebSearchOptions | Mapping[str, object], target: Target) -> JsonObject:
    options = cast("WebSearchOptions", typed(options, "web_search_options", WebSearchOptions))
    for name in ("search_context_size", "user_location"):
        if getattr(options, name) is not None:
            target.cannot(f"web_search_options.{name}", "leave it out")
    return {"googleSearch": {}}


def _allowed(
    tools: Sequence[Tool | Mapping[str, object]], choice: AllowedToolsChoice
) -> tuple[list[Tool | Mapping[str, object]], object]:
    names: list[str] = []
    for one in choice.allowed_tools.tools:
        if not isinstance(one, FunctionToolChoice):
            raise BadRequestError("tool_choice: Gemini has no custom tools: name functions")
        names.append(one.function.name)
    if choice.allowed_tools.mode == "required":
        return list(tools), names
    kept = [tool for tool in tools if not isinstance(tool, FunctionTool) or tool.function.name in names]
    return kept, "auto"


def _config(choice: object, strict: bool) -> JsonObject:
    if isinstance(choice, list):
        return {"mode": "ANY", "allowedFunctionNames": choice}
    if isinstance(choice, FunctionToolChoice):
        return {"mode": "ANY", "allowedFunctionNames": [choice.function.name]}
    if isinstance(choice, Mapping):
        # Gemini's own form.
        return {camel(name): value for name, value in cast("Mapping[str, object]", choice).items()}
    if strict and choice in (None, "auto"):
        # The one mode in which arguments are held to their schema.
        return {"mode": "VALIDATED"}
    if choice is None:
        return {}
    if isinstance(choice, str) and choice in _MODES:
        return {"mode": _MODES[choice]}
    raise BadRequestError(f"tool_choice={choice!r}: Gemini takes 'auto', 'none', 'required' or the name of a function")

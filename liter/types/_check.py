"""What is wrong with a request, told before any I/O in the words of the one who wrote it.

Only what can be right nowhere is refused; what one provider takes and another does not, is for the provider to say.
"""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import cast

import msgspec

from ._content import UserPart
from ._message import (
    AssistantMessage,
    DeveloperMessage,
    FunctionMessage,
    Message,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from ._tool import CustomTool, FunctionTool, Tool

_ROLES: Mapping[object, type[Message]] = {
    "system": SystemMessage,
    "developer": DeveloperMessage,
    "user": UserMessage,
    "assistant": AssistantMessage,
    "tool": ToolMessage,
    "function": FunctionMessage,
}
_MESSAGES = tuple(_ROLES.values())
_FIELDS: Mapping[type, frozenset[str]] = {kind: frozenset({"role", *kind.__struct_fields__}) for kind in _MESSAGES}
_TOOLS: Mapping[object, type[Tool]] = {"function": FunctionTool, "custom": CustomTool}

# The lowest and the highest that any provider takes; OpenAI's reference has the figures.
_RANGES: Sequence[tuple[str, type, float, float | None]] = (
    ("max_completion_tokens", int, 1, None),
    ("max_tokens", int, 1, None),
    ("n", int, 1, None),
    ("top_logprobs", int, 0, None),
    ("temperature", float, 0, 2),
    ("top_p", float, 0, 1),
    ("presence_penalty", float, -2, 2),
    ("frequency_penalty", float, -2, 2),
)
_NAME = re.compile(r"`([^`]*)`")


def check_parameters(request: msgspec.Struct) -> None:
    """Check model and numbers. :raises ValueError: one that cannot be right"""
    model = getattr(request, "model")  # noqa: B009 # its class imports this module
    if not isinstance(model, str) or not model:
        raise ValueError("model must name one, such as 'openai/gpt-4o-mini'")
    for name, kind, low, high in _RANGES:
        value = getattr(request, name)
        if value is None:
            continue
        whole = kind is int
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise ValueError(f"{name} must be {'an integer' if whole else 'a number'}, not {value!r}")
        if not (low <= value and (high is None or value <= high)):
            raise ValueError(
                f"{name} must be {low} or more, not {value}"
                if high is None
                else f"{name} must be {low} to {high}, not {value}"
            )


def typed_messages(messages: object) -> tuple[Message, ...]:
    """Make structs of the messages that are mappings. :raises ValueError: one is wrong, told with its index"""
    if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Sequence):
        raise ValueError(
            f"messages must be a list such as [{{'role': 'user', 'content': 'Hi'}}], not {type(messages).__name__}"
        )
    if not messages:
        raise ValueError("messages must not be empty: give at least one, such as {'role': 'user', 'content': 'Hi'}")
    return tuple(
        [
            _with_typed_parts(message, index) if isinstance(message, _MESSAGES) else _message(message, index)
            for index, message in enumerate(messages)
        ]
    )


def typed_tools(tools: object) -> tuple[Tool | Mapping[str, object], ...]:
    """Make structs of the tools that are mappings of a type we know. :raises ValueError: one is wrong, told with its index"""
    if isinstance(tools, str | bytes | Mapping) or not isinstance(tools, Sequence):
        raise ValueError(f"tools must be a list, not {type(tools).__name__}")
    return tuple([_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)])


def _message(message: object, index: int) -> Message:
    where = f"messages[{index}]"
    if not isinstance(message, Mapping):
        raise ValueError(f"{where} must be a message or a mapping, not {type(message).__name__}")
    role = message.get("role")
    kind = _ROLES.get(role) if isinstance(role, str) else None
    if kind is None:
        raise ValueError(
            f"{where}.role must be one of {', '.join(map(str, _ROLES))}, not {role!r}{_near(role, _ROLES)}"
        )
    unknown = message.keys() - _FIELDS[kind]
    if unknown:
        name = min(map(str, unknown))
        raise ValueError(f"{where} ({role}) has no field {name!r}{_near(name, _FIELDS[kind])}")
    return _converted(message, kind, where)


def _with_typed_parts(message: Message, index: int) -> Message:
    content = message.content
    if content is None or isinstance(content, str) or not any(isinstance(part, Mapping) for part in content):
        return message
    parts = [part if isinstance(part, msgspec.Struct) else msgspec.to_builtins(part) for part in content]
    typed = [
        part if isinstance(part, msgspec.Struct) else _converted(part, UserPart, f"messages[{index}].content[{place}]")
        for place, part in enumerate(parts)
    ]
    return msgspec.structs.replace(message, content=typed)


def _tool(tool: object, where: str) -> Tool | Mapping[str, object]:
    if isinstance(tool, FunctionTool | CustomTool):
        return tool
    if not isinstance(tool, Mapping):
        raise ValueError(f"{where} must be a tool or a mapping, not {type(tool).__name__}")
    kind = _TOOLS.get(tool.get("type"))
    if kind is None:
        if "type" not in tool:
            raise ValueError(f"{where} lacks 'type': a function is {{'type': 'function', 'function': {{'name': ...}}}}")
        return cast("Mapping[str, object]", tool)
    return _converted(tool, kind, where)


def _converted(value: object, kind: object, where: str) -> object:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        told, _, path = str(error).partition(" - at `$")
        where += path.removesuffix("`")
        name = next(iter(_NAME.findall(told)), "")
        if "unknown field" in told:
            told = f"has no field {name!r}"
        elif "missing required field" in told:
            told = f"lacks the field {name!r}"
        raise ValueError(f"{where}: {told[0].lower()}{told[1:]}") from None


def _near(name: object, known: object) -> str:
    near = get_close_matches(str(name), [str(one) for one in known], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""

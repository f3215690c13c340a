"""What is wrong with a request, told before any I/O in the words of the one who wrote it.

Only what can be right nowhere is refused; what one provider takes and another does not is for the provider to say.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec

from ._content import (
    CacheControl,
    ContentPart,
    DocumentPart,
    FileData,
    FilePart,
    ImagePart,
    ImageUrl,
    InputAudio,
    InputAudioPart,
    RefusalPart,
    TextPart,
)
from ._message import (
    AssistantMessage,
    DeveloperMessage,
    FunctionMessage,
    Message,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from ._tool import CustomDefinition, CustomTool, FunctionDefinition, FunctionTool, Tool

if TYPE_CHECKING:
    from ._chat_request import ChatCompletionRequest

S = TypeVar("S", bound=msgspec.Struct)

_ROLES: Mapping[str, type[Message]] = {
    "system": SystemMessage,
    "developer": DeveloperMessage,
    "user": UserMessage,
    "assistant": AssistantMessage,
    "tool": ToolMessage,
    "function": FunctionMessage,
}
_PARTS: Mapping[str, type[ContentPart]] = {
    "text": TextPart,
    "image_url": ImagePart,
    "input_audio": InputAudioPart,
    "file": FilePart,
    "document": DocumentPart,
    "refusal": RefusalPart,
}
_TOOLS: Mapping[str, type[FunctionTool | CustomTool]] = {"function": FunctionTool, "custom": CustomTool}
_MESSAGES = tuple(_ROLES.values())
_FIELDS = {kind: frozenset({"role", *kind.__struct_fields__}) for kind in _MESSAGES}
_INNER: Sequence[type[msgspec.Struct]] = (
    *_PARTS.values(), *_TOOLS.values(),
    ImageUrl, InputAudio, FileData, CacheControl, FunctionDefinition, CustomDefinition,
)  # fmt: skip
# Names that a misspelt one inside a message or a tool may have meant.
_INNER_FIELDS = sorted({name for kind in _INNER for name in ("type", *kind.__struct_fields__)})

# The lowest and the highest that any provider takes; the figures are those of OpenAI's reference.
_RANGES: Sequence[tuple[str, bool, float, float | None]] = (
    ("max_completion_tokens", True, 1, None),
    ("max_tokens", True, 1, None),
    ("n", True, 1, None),
    ("top_logprobs", True, 0, None),
    ("temperature", False, 0, 2),
    ("top_p", False, 0, 1),
    ("presence_penalty", False, -2, 2),
    ("frequency_penalty", False, -2, 2),
)
_QUOTED = re.compile(r"[`']([^`']*)[`']")


def check_parameters(request: "ChatCompletionRequest") -> None:
    """Check model and numbers. :raises ValueError: one that cannot be right"""
    model = cast("object", request.model)
    if not isinstance(model, str) or not model:
        raise ValueError("model must name one, such as 'openai/gpt-4o-mini'")
    for name, whole, low, high in _RANGES:
        value = getattr(request, name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise ValueError(f"{name} must be {'an integer' if whole else 'a number'}, not {value!r}")
        if not (low <= value and (high is None or value <= high)):
            limits = f"{low} or more" if high is None else f"between {low} and {high}"
            raise ValueError(f"{name} must be {limits}, not {value}")


def check_stop(stop: object) -> None:
    """Check the texts that end a reply. :raises ValueError: it is neither a text nor a list of texts"""
    texts = [stop] if isinstance(stop, str) else stop
    if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in cast("Sequence[object]", texts)):
        raise ValueError(f"stop must be a text, or a list of texts, not {stop!r}")


def typed_messages(messages: object) -> tuple[Message, ...]:
    """Make structs of the messages that are mappings. :raises ValueError: one is wrong, told with its index"""
    if isinstance(messages, str | bytes) or not isinstance(messages, Sequence):
        raise ValueError(
            f"messages must be a list such as [{{'role': 'user', 'content': 'Hi'}}], not {type(messages).__name__}"
        )
    if not messages:
        raise ValueError("messages must not be empty: give at least one, such as {'role': 'user', 'content': 'Hi'}")
    return tuple(
        [
            _with_typed_parts(message, index)
            if isinstance(message, _MESSAGES)
            else _message(message, f"messages[{index}]")
            for index, message in enumerate(cast("Sequence[object]", messages))
        ]
    )


def typed_tools(tools: object) -> tuple[Tool | Mapping[str, object], ...]:
    """Make structs of the tools that are mappings of a type we know. :raises ValueError: one is wrong"""
    if isinstance(tools, str | bytes) or not isinstance(tools, Sequence):
        raise ValueError(f"tools must be a list, not {type(tools).__name__}")
    return tuple([_tool(tool, f"tools[{index}]") for index, tool in enumerate(cast("Sequence[object]", tools))])


def _message(message: object, where: str) -> Message:
    if not isinstance(message, Mapping):
        raise ValueError(f"{where} must be a message or a mapping, not {type(message).__name__}")
    fields = cast("Mapping[str, object]", message)
    role = fields.get("role")
    kind = _ROLES.get(role) if isinstance(role, str) else None
    if kind is None:
        raise ValueError(f"{where}: role must be one of {', '.join(_ROLES)}, not {role!r}{_near(role, _ROLES)}")
    unknown = fields.keys() - _FIELDS[kind]
    if kind is AssistantMessage and "parsed" in unknown:
        # OpenAI's SDK keeps there what it has made of the content, which is sent anyway.
        fields = {name: value for name, value in fields.items() if name != "parsed"}
        unknown = unknown - {"parsed"}
    if unknown:
        name = min(unknown)
        raise ValueError(f"{where} ({role}) has no field {name!r}{_near(name, _FIELDS[kind])}")
    if isinstance(content := fields.get("content"), list):
        fields = {**fields, "content": [_part(part) for part in cast("list[object]", content)]}
    return _converted(fields, kind, f"{where} ({role})")


def _part(part: object) -> object:
    """A content part in full: an image may be given by its address alone."""
    if isinstance(part, Mapping):
        fields = cast("Mapping[str, object]", part)
        if fields.get("type") == "image_url" and isinstance(fields.get("image_url"), str):
            return {**fields, "image_url": {"url": fields["image_url"]}}
        return fields
    return part


def _with_typed_parts(message: Message, index: int) -> Message:
    content = message.content
    if content is None or isinstance(content, str) or not any(isinstance(part, Mapping) for part in content):
        return message
    # Parts given as mappings inside a struct: the type checker objects, the caller's meaning is plain.
    return _message({**msgspec.structs.asdict(message), "role": message.__struct_config__.tag}, f"messages[{index}]")


def _tool(tool: object, where: str) -> Tool | Mapping[str, object]:
    if isinstance(tool, FunctionTool | CustomTool):
        return tool
    if not isinstance(tool, Mapping):
        raise ValueError(f"{where} must be a tool or a mapping, not {type(tool).__name__}")
    fields = cast("Mapping[str, object]", tool)
    if "type" not in fields:
        raise ValueError(f"{where} lacks 'type': a function is {{'type': 'function', 'function': {{'name': ...}}}}")
    kind = _TOOLS.get(cast("str", fields["type"]))
    if kind is CustomTool and "input_schema" in fields:
        # Anthropic says "custom" for what is a function here; as such it may have more fields than a function.
        kind = None
    return fields if kind is None else _converted(fields, kind, where)


def _converted(value: object, kind: type[S], where: str) -> S:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        told, _, path = str(error).partition(" - at `$")
        name = next(iter(_QUOTED.findall(told)), "")
        if "unknown field" in told:
            told = f"has no field {name!r}{_near(name, _INNER_FIELDS)}"
        elif "missing required field" in told:
            told = f"lacks the field {name!r}"
        elif told.startswith("Invalid value") and path.endswith(".type`"):
            told = f"no type {name!r} is possible here{_near(name, [*_PARTS, *_TOOLS])}"
        else:
            told = told[0].lower() + told[1:]
        raise ValueError(f"{where}{path.removesuffix('`')}: {told}") from None


def _near(name: object, known: Iterable[str]) -> str:
    names = list(known)
    near = [] if name in names else get_close_matches(str(name), names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""

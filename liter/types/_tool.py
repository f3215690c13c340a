"""Tools: what the model may call, which it must call, and the calls it made."""

from typing import Literal

import msgspec

from ._content import CacheControl


class FunctionDefinition(
    msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A function that the model may call.

    :param name: letters, digits, ``_`` and ``-``, at most 64
    :param parameters: JSON Schema of the arguments object; ``None`` is a function without any
    :param strict: whether the arguments must keep to the schema exactly
    """

    name: str
    description: str | None = None
    parameters: dict[str, object] | None = None
    strict: bool | None = None


class FunctionTool(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="function",
):
    """A function, offered as a tool."""

    function: FunctionDefinition
    cache_control: CacheControl | None = None


class CustomDefinition(
    msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A tool that takes free text.

    :param format: ``{"type": "text"}``, or ``{"type": "grammar", "grammar": {...}}``
    """

    name: str
    description: str | None = None
    format: dict[str, object] | None = None


class CustomTool(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="custom",
):
    """A tool that takes free text (OpenAI)."""

    custom: CustomDefinition


class ToolName(msgspec.Struct, repr_omit_defaults=True, frozen=True, forbid_unknown_fields=True):
    """A tool by its name."""

    name: str


class FunctionToolChoice(
    msgspec.Struct, repr_omit_defaults=True, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="function"
):
    """The model must call this function."""

    function: ToolName


class CustomToolChoice(
    msgspec.Struct, repr_omit_defaults=True, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="custom"
):
    """The model must call this custom tool."""

    custom: ToolName


class AllowedTools(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some of the tools, and whether one of them must be called."""

    mode: Literal["auto", "required"]
    tools: list[FunctionToolChoice | CustomToolChoice]


class AllowedToolsChoice(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="allowed_tools"
):
    """The model may call these of the tools."""

    allowed_tools: AllowedTools


Tool = FunctionTool | CustomTool
ToolChoice = FunctionToolChoice | CustomToolChoice | AllowedToolsChoice


class FunctionCall(msgspec.Struct, repr_omit_defaults=True, frozen=True):
    """A function that the model calls.

    :param arguments: JSON text as the model wrote it, which need not be valid
    """

    name: str = ""
    arguments: str = ""


class CustomCall(msgspec.Struct, repr_omit_defaults=True, frozen=True):
    """A custom tool that the model calls, with its text."""

    name: str = ""
    input: str = ""


# One object for all: msgspec omits a default that is the very same object.
_NO_FUNCTION = FunctionCall()


class ToolCall(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """One call of a tool.

    :param id: what the tool's answer refers to
    :param function: what is called; empty for a call of a custom tool
    :param custom: the custom tool that is called, else ``None``
    """

    id: str
    type: str = msgspec.field(default_factory=lambda: "function")
    function: FunctionCall = _NO_FUNCTION
    custom: CustomCall | None = None

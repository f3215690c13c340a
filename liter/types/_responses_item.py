"""Items of a response: what the model said, thought and called. Typed views of what the provider sent."""

from collections.abc import Mapping
from typing import cast

import msgspec

from ._response import JsonObject


class OutputText(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """A part of a message: text, or why there is none.

    :param type: ``"output_text"`` or ``"refusal"``
    :param annotations: its sources
    """

    type: str = "output_text"
    text: str = ""
    refusal: str = ""
    annotations: list[JsonObject] = []
    logprobs: list[JsonObject] | None = None


class OutputMessage(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """What the model said."""

    id: str = ""
    type: str = "message"
    role: str = "assistant"
    status: str | None = None
    phase: str | None = None
    content: list[OutputText] = []

    @property
    def text(self) -> str:
        """All of its text."""
        return "".join(part.text for part in self.content)


class FunctionCallItem(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """A call of one of the caller's functions. ``arguments`` is JSON text, which may be invalid."""

    id: str | None = None
    type: str = "function_call"
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    namespace: str | None = None
    status: str | None = None

    def output(self, output: str | list[JsonObject]) -> JsonObject:
        """The item that gives the function's result back, for the next request's ``input``."""
        return {"type": "function_call_output", "call_id": self.call_id, "output": output}


class CustomToolCallItem(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """A call of one of the caller's tools that take text."""

    id: str | None = None
    type: str = "custom_tool_call"
    call_id: str = ""
    name: str = ""
    input: str = ""
    status: str | None = None


class ReasoningText(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """A piece of a thought, or of its summary."""

    type: str = "summary_text"
    text: str = ""


class ReasoningItem(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """What the model thought: summarised, in its own words where a provider tells them, or encrypted."""

    id: str | None = None
    type: str = "reasoning"
    summary: list[ReasoningText] = []
    content: list[ReasoningText] | None = None
    encrypted_content: str | None = None
    status: str | None = None

    @property
    def text(self) -> str:
        """The thought as far as it is told: its own words, else the summary."""
        return "\n\n".join(part.text for part in self.content or self.summary)


class ToolCallItem(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """A call of one of the provider's own tools, or any other item; what is particular to it is in ``fields``.

    :param type: ``"web_search_call"``, ``"code_interpreter_call"``, ``"mcp_call"``, ...
    :param fields: the whole item, as it came
    """

    type: str = ""
    id: str | None = None
    status: str | None = None
    fields: JsonObject = {}


Item = OutputMessage | FunctionCallItem | CustomToolCallItem | ReasoningItem | ToolCallItem

_KINDS: Mapping[str, type[OutputMessage | FunctionCallItem | CustomToolCallItem | ReasoningItem]] = {
    "message": OutputMessage,
    "function_call": FunctionCallItem,
    "custom_tool_call": CustomToolCallItem,
    "reasoning": ReasoningItem,
}


def typed_item(item: JsonObject) -> Item:
    """A typed view of an item. One of an odd form, or of a kind that is not known here, is a ``ToolCallItem``."""
    kind = _KINDS.get(str(item.get("type")))
    if kind is not None:
        try:
            return msgspec.convert(_as_it_should_be(item), kind, strict=False)
        except msgspec.ValidationError:
            pass
    name, key, status = item.get("type"), item.get("id"), item.get("status")
    return ToolCallItem(
        type=str(name or ""),
        id=key if isinstance(key, str) else None,
        status=status if isinstance(status, str) else None,
        fields=item,
    )


def _as_it_should_be(item: JsonObject) -> JsonObject:
    """An item without nulls; imitators have text in place of parts, and objects in place of text."""
    fields = cast("JsonObject", _without_nulls(item))
    content, arguments = fields.get("content"), fields.get("arguments")
    if isinstance(content, str):
        fields["content"] = [{"text": content}]
    if isinstance(arguments, dict):
        fields["arguments"] = msgspec.json.encode(cast("object", arguments)).decode()
    return fields


def _without_nulls(value: object) -> object:
    """Nothing is told by a null that is not told by its absence."""
    if isinstance(value, dict):
        fields = cast("JsonObject", value)
        return {name: _without_nulls(inner) for name, inner in fields.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in cast("list[object]", value) if inner is not None]
    return value

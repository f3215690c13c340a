"""Messages and tools in the form of the conventions' content attributes. Made only where capturing was asked for."""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import msgspec

from ..types import (
    AssistantMessage,
    ChatCompletionRequest,
    ChatCompletionResponse,
    ResponseObject,
    ToolCall,
)
from . import _names as names

Json = dict[str, object]

# Takes an attribute's name and its value; returns what may be recorded, or ``None`` for nothing.
Redact = Callable[[str, list[Json]], list[Json] | None]

_MODALITIES = {"image_url": "image", "input_audio": "audio", "file": "document", "document": "document"}


def input_content(request: msgspec.Struct) -> dict[str, list[Json]]:
    """Return what a request says: messages in their order, and the tools' names."""
    content: dict[str, list[Json]] = {}
    if isinstance(request, ChatCompletionRequest):
        content[names.INPUT_MESSAGES] = [_message(_plain(message)) for message in request.conversation]
        tools = [_tool(_plain(tool)) for tool in request.tools or ()]
        if tools:
            content[names.TOOL_DEFINITIONS] = tools
        return content
    instructions = getattr(request, "instructions", None) or getattr(request, "system", None)
    if isinstance(instructions, str):
        content[names.SYSTEM_INSTRUCTIONS] = [_text(instructions)]
    prompt = getattr(request, "prompt", None)
    said = prompt if prompt is not None else getattr(request, "input", None)
    if isinstance(said, str):
        content[names.INPUT_MESSAGES] = [{"role": "user", "parts": [_text(said)]}]
    elif (
        isinstance(said, Sequence)
        and said
        and all(isinstance(each, Mapping) for each in cast("Sequence[object]", said))
    ):
        content[names.INPUT_MESSAGES] = [_message(dict(each)) for each in cast("Sequence[Mapping[str, object]]", said)]
    return content


def output_content(value: object, *, finish_reason: bool) -> dict[str, list[Json]]:
    """Return what a reply says: one message for each choice.

    :param finish_reason: also write the reason into each message, where older readers look for it
    """
    if isinstance(value, ResponseObject) and value.output:
        parts = [part for item in value.output for part in _item_parts(item)]
        said: Json = {"role": "assistant", "parts": parts}
        if finish_reason:
            said["finish_reason"] = names.STATUS_REASON.get(value.status or "", names.NO_REASON)
        return {names.OUTPUT_MESSAGES: [said]}
    if not isinstance(value, ChatCompletionResponse) or not value.choices:
        return {}
    messages: list[Json] = []
    for choice in value.choices:
        message = _assistant(choice.message)
        if finish_reason:
            reason = choice.finish_reason
            message["finish_reason"] = (
                names.FINISH_REASON.get(reason, reason.lower()) if reason is not None else names.NO_REASON
            )
        messages.append(message)
    return {names.OUTPUT_MESSAGES: messages}


def _plain(value: object) -> Json:
    """Return a struct or mapping as JSON would have it, without what is not set."""
    return cast("Json", msgspec.to_builtins(value))


def _message(message: Json) -> Json:
    if "role" not in message and "type" in message:
        role = "tool" if str(message["type"]).endswith("_output") else "assistant"
        return {"role": role, "parts": _item_parts(message)}
    role = str(message.get("role", "user"))
    if role == "assistant":
        try:
            return _assistant(msgspec.convert(message, AssistantMessage))
        except msgspec.ValidationError:
            pass
    if role in ("tool", "function"):
        response: Json = {"type": "tool_call_response", "response": _answer(message.get("content"))}
        if isinstance(message.get("tool_call_id"), str):
            response["id"] = message["tool_call_id"]
        return {"role": "tool", "parts": [response]}
    # The conventions know no developer: it is what newer models call a system message.
    said: Json = {"role": "system" if role == "developer" else role, "parts": _parts(message.get("content"))}
    if isinstance(message.get("name"), str):
        said["name"] = message["name"]
    return said


def _item_parts(item: Json) -> list[Json]:
    """The parts that an item of the Responses API comes to; of what is particular to the provider, its kind."""
    kind = str(item.get("type", "message"))
    if kind == "message":
        return _parts(item.get("content"))
    if kind == "reasoning":
        thoughts = cast("list[Json]", item.get("content") or item.get("summary") or [])
        return [{"type": "reasoning", "content": str(thought.get("text", ""))} for thought in thoughts]
    identifier = {"id": item["call_id"]} if isinstance(item.get("call_id"), str) else {}
    if kind in ("function_call", "custom_tool_call"):
        arguments = _arguments(str(item.get("arguments" if kind == "function_call" else "input", "")))
        return [{"type": "tool_call", "name": str(item.get("name", "")), "arguments": arguments, **identifier}]
    if kind in ("function_call_output", "custom_tool_call_output"):
        return [{"type": "tool_call_response", "response": _answer(item.get("output")), **identifier}]
    return [{"type": kind}]


def _assistant(message: AssistantMessage) -> Json:
    parts: list[Json] = []
    thought = message.reasoning_content or message.reasoning
    if thought:
        parts.append({"type": "reasoning", "content": thought})
    parts += _parts(msgspec.to_builtins(message.content))
    if message.refusal:
        parts.append({"type": "refusal", "content": message.refusal})
    if message.audio is not None and message.audio.data:
        parts.append({"type": "blob", "modality": "audio", "content": message.audio.data})
    parts += [_call(call) for call in message.tool_calls or ()]
    if message.function_call is not None:
        parts.append({"type": "tool_call", "name": message.function_call.name})
        parts[-1]["arguments"] = _arguments(message.function_call.arguments)
    said: Json = {"role": "assistant", "parts": parts}
    if message.name:
        said["name"] = message.name
    return said


def _call(call: ToolCall) -> Json:
    name, text = call.function.name, call.function.arguments
    if call.custom is not None:
        name, text = call.custom.name, call.custom.input
    part: Json = {"type": "tool_call", "name": name, "arguments": _arguments(text)}
    if call.id:
        part["id"] = call.id
    return part


def _arguments(text: str) -> object:
    """An object where the model wrote one, else its text."""
    try:
        value: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError):
        return text
    return _without_nulls(value)


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        given = cast("dict[str, object]", value)
        return {name: _without_nulls(each) for name, each in given.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in cast("list[object]", value) if each is not None]
    return value


def _answer(content: object) -> object:
    if isinstance(content, list):
        return _parts(cast("object", content))
    return "" if content is None else content


def _parts(content: object) -> list[Json]:
    if isinstance(content, str):
        return [_text(content)]
    if not isinstance(content, list):
        return []
    return [_part(part) for part in cast("list[Json]", content)]


def _part(part: Json) -> Json:
    kind = str(part.get("type", "text"))
    if kind in ("text", "input_text", "output_text"):
        return _text(str(part.get("text", "")))
    if kind == "refusal":
        return {"type": "refusal", "content": str(part.get("refusal", ""))}
    if kind == "input_image" and isinstance(part.get("image_url"), str):
        return _located(str(part["image_url"]), "image")
    modality = _MODALITIES.get(kind)
    if modality is None:
        return {"type": kind}
    inner = part.get(kind)
    facts: Json = cast("Json", inner) if isinstance(inner, dict) else part
    url = facts.get("url") or facts.get("file_data")
    if isinstance(facts.get("file_id"), str):
        return {"type": "file", "modality": modality, "file_id": facts["file_id"]}
    if isinstance(url, str):
        return _located(url, modality)
    media_type = facts.get("media_type") or (f"audio/{facts['format']}" if "format" in facts else None)
    if kind == "document":
        media_type = media_type or "application/pdf"
    blob: Json = {"type": "blob", "modality": modality, "content": str(facts.get("data", ""))}
    if isinstance(media_type, str):
        blob["mime_type"] = media_type
    return blob


def _located(url: str, modality: str) -> Json:
    if not url.startswith("data:"):
        return {"type": "uri", "modality": modality, "uri": url}
    head, _, data = url.partition(",")
    blob: Json = {"type": "blob", "modality": modality, "content": data}
    media_type = head.removeprefix("data:").partition(";")[0]
    if media_type:
        blob["mime_type"] = media_type
    return blob


def _tool(tool: Json) -> Json:
    """A tool's kind and name. Description and parameters are long, the same each time, and left out."""
    kind = str(tool.get("type", "function"))
    inner = tool.get(kind)
    facts: Json = cast("Json", inner) if isinstance(inner, dict) else tool
    return {"type": kind, "name": str(facts.get("name", kind))}


def _text(text: str) -> Json:
    return {"type": "text", "content": text}

"""Reads recorded requests to Claude on Vertex AI the plain way."""

import json
from collections.abc import Mapping

from liter.types import (
    AssistantMessage,
    ChatCompletionRequest,
    FunctionCall,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)

Object = dict[str, object]


def claude_request_of(body: Mapping[str, object], model: str) -> ChatCompletionRequest:
    """The request of ours that says what a recorded one to Claude on Vertex AI does."""
    messages: list[object] = []
    if body.get("system"):
        messages.append(SystemMessage(content=[TextPart(text=block["text"]) for block in _texts(body["system"])]))
    for message in body["messages"]:
        blocks = _texts(message["content"])
        if message["role"] == "assistant":
            calls = [
                ToolCall(id=one["id"], function=FunctionCall(name=one["name"], arguments=json.dumps(one["input"])))
                for one in blocks
                if one["type"] == "tool_use"
            ]
            text = "".join(block["text"] for block in blocks if block["type"] == "text")
            messages.append(AssistantMessage(content=text or None, tool_calls=calls or None))
            continue
        for block in blocks:
            if block["type"] == "tool_result":
                text = "".join(inner["text"] for inner in _texts(block["content"]))
                messages.append(ToolMessage(tool_call_id=block["tool_use_id"], content=text))
            else:
                messages.append(UserMessage(content=block["text"]))
    fields: Object = {}
    choice = dict(body.get("tool_choice") or {})
    if choice.pop("disable_parallel_tool_use", False):
        fields["parallel_tool_calls"] = False
    kind = choice.get("type")
    if kind == "tool":
        fields["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
    elif kind:
        fields["tool_choice"] = {"auto": "auto", "any": "required", "none": "none"}[kind]
    if body.get("tools"):
        fields["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool["name"],
                    "description": tool["description"],
                    "parameters": tool["input_schema"],
                },
            }
            for tool in body["tools"]
        ]
    if "thinking" in body:
        fields["extra_body"] = {"thinking": body["thinking"]}
    if "temperature" in body:
        fields["temperature"] = body["temperature"]
    return ChatCompletionRequest(model=model, messages=messages, max_tokens=body["max_tokens"], **fields)


def _texts(content: object) -> list[Object]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def claude_canonical(body: Mapping[str, object]) -> Object:
    """A request to Claude on Vertex AI, whichever way its texts are written."""
    made = {name: held for name, held in body.items() if held not in (False, None, [])}
    if made.get("tool_choice", {}).get("disable_parallel_tool_use") is False:
        del made["tool_choice"]["disable_parallel_tool_use"]
    for tool in made.get("tools", ()):
        tool.pop("type", None)
        tool["input_schema"].setdefault("properties", {})
    if "system" in made:
        made["system"] = _texts(made["system"])
    made["messages"] = [
        {**message, "content": [_result(block) for block in _texts(message["content"])]} for message in body["messages"]
    ]
    return made


def _result(block: Object) -> Object:
    return {**block, "content": _texts(block["content"])} if block["type"] == "tool_result" else block

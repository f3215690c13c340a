"""Tokens of a prompt, counted by OpenAI: its Responses API does, so messages are told in that API's form."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec

from .._contract import Call
from .._errors import BadRequestError
from .._http import Headers, HttpRequest
from ..types import (
    AssistantMessage,
    CountTokensRequest,
    FilePart,
    FunctionTool,
    ImagePart,
    Message,
    RefusalPart,
    TextPart,
    TokenCount,
    ToolMessage,
)
from ._headers import JSON
from ._json_body import body_of
from ._read import read_json
from ._wire import OperationWire

if TYPE_CHECKING:
    from ._openai import OpenAI

JsonObject = dict[str, object]


class _Count(msgspec.Struct):
    input_tokens: int


_COUNT = msgspec.json.Decoder(_Count)


def _encode(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    asked = cast("CountTokensRequest", call.request)
    fields: JsonObject = {"model": call.route.model}
    if asked.text is not None:
        fields["input"] = asked.text
    else:
        fields["input"] = [item for message in asked.conversation for item in _items(message)]
    if asked.tools:
        fields["tools"] = [_tool(tool) for tool in asked.tools]
    base_url, root = provider.locate(call, "/responses")
    body = body_of(fields, asked.extra_body)
    return provider.request(call, "POST", base_url, root + "/input_tokens", JSON, body=body)


def _items(message: Message) -> Iterator[JsonObject]:
    if isinstance(message, ToolMessage):
        yield {
            "type": "function_call_output",
            "call_id": message.tool_call_id,
            "output": message.content if isinstance(message.content, str) else list(_parts(message.content, "input")),
        }
        return
    role = str(message.__struct_config__.tag)
    said = "output" if isinstance(message, AssistantMessage) else "input"
    content = message.content
    if content:
        yield {"role": role, "content": content if isinstance(content, str) else list(_parts(content, said))}
    if isinstance(message, AssistantMessage):
        for call in message.tool_calls or ():
            function = getattr(call, "function", None)
            if function is not None:
                yield {
                    "type": "function_call",
                    "call_id": call.id or "",
                    "name": function.name,
                    "arguments": function.arguments,
                }


def _parts(parts: object, said: str) -> Iterator[JsonObject]:
    for part in cast("Sequence[object]", parts or ()):
        if isinstance(part, TextPart):
            yield {"type": f"{said}_text", "text": part.text}
        elif isinstance(part, ImagePart):
            image: JsonObject = {"type": "input_image", "image_url": part.image_url.url}
            yield image if part.image_url.detail is None else {**image, "detail": part.image_url.detail}
        elif isinstance(part, FilePart):
            file = {"file_id": part.file.file_id, "file_data": part.file.file_data, "filename": part.file.filename}
            yield {"type": "input_file", **{name: value for name, value in file.items() if value is not None}}
        elif isinstance(part, RefusalPart):
            yield {"type": "refusal", "refusal": part.refusal}
        else:
            raise BadRequestError(f"OpenAI cannot count a {type(part).__name__}: leave it out, or count here")


def _tool(tool: object) -> object:
    """Functions are flat in that API; its own tools are as they are."""
    if not isinstance(tool, FunctionTool):
        return tool
    flat = cast("JsonObject", msgspec.to_builtins(tool.function))
    return {"type": "function", **flat}


def _decode(provider: "OpenAI", call: Call[object], body: bytes, headers: Headers) -> TokenCount:
    told = read_json(call, body, _COUNT, "a number of tokens")
    return TokenCount(input_tokens=told.input_tokens, model=call.route.model)


COUNT: Mapping[str, OperationWire[Any, Any]] = {"count_tokens": OperationWire(encode=_encode, decode=_decode)}

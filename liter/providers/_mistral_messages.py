"""Messages of OpenAI's form as Mistral's."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from .._contract import Call
from .._errors import BadRequestError
from ..types import (
    AssistantMessage,
    ContentPart,
    DeveloperMessage,
    DocumentPart,
    FilePart,
    FunctionMessage,
    ImagePart,
    InputAudioPart,
    Message,
    RefusalPart,
    SystemMessage,
    TextPart,
    ToolMessage,
)
from ._parameters import refuse

Block = dict[str, object]


def messages(conversation: Sequence[Message], call: Call[object]) -> list[Block]:
    """Make Mistral's messages.

    :raises BadRequestError: a message says what Mistral's form cannot
    """
    return [_message(message, f"messages[{index}]", call) for index, message in enumerate(conversation)]


def _message(message: Message, where: str, call: Call[object]) -> Block:
    if isinstance(message, FunctionMessage):
        raise BadRequestError(f"{where}: Mistral has no function messages: use tools, and the role 'tool'")
    if message.cache_control is not None:
        _refuse_marker(where, call)
    if isinstance(message, ToolMessage):
        made: Block = {"role": "tool", "tool_call_id": message.tool_call_id}
        if message.name is not None:
            made["name"] = message.name
        return {**made, "content": _content(message.content, where, call)}
    if message.name is not None:
        refuse(call, f"the name of {where}", "put it into its text")
    if isinstance(message, AssistantMessage):
        return _assistant(message, where, call)
    role = "system" if isinstance(message, SystemMessage | DeveloperMessage) else "user"
    content: str | Sequence[ContentPart] = message.content
    return {"role": role, "content": _content(content, where, call)}


def _refuse_marker(where: str, call: Call[object]) -> None:
    refuse(call, f"the cache marker in {where}", "leave it out and give a prompt_cache_key")


def _content(content: str | Sequence[ContentPart], where: str, call: Call[object]) -> str | list[Block]:
    if isinstance(content, str):
        return content
    return [_part(part, f"{where}.content[{index}]", call) for index, part in enumerate(content)]


def _part(part: ContentPart, where: str, call: Call[object]) -> Block:
    if part.cache_control is not None or part.prompt_cache_breakpoint is not None:
        _refuse_marker(where, call)
    match part:
        case TextPart(text=text):
            return {"type": "text", "text": text}
        case RefusalPart(refusal=refusal):
            return {"type": "text", "text": refusal}
        case ImagePart():
            return {"type": "image_url", "image_url": part.image_url}
        case InputAudioPart():
            # Mistral tells the format by the data.
            return {"type": "input_audio", "input_audio": part.input_audio.data}
        case FilePart():
            file = part.file
            if file.file_id is not None:
                return {"type": "file", "file_id": file.file_id}
            if file.file_data is None:
                raise BadRequestError(f"{where}: a file needs file_id or file_data")
            return _document(file.file_data, file.filename)
        case DocumentPart():
            if part.context is not None or (part.citations or {}).get("enabled"):
                refuse(call, f"context and citations of {where}", "say it in the text")
            if part.file_id is not None:
                return {"type": "file", "file_id": part.file_id}
            return _document(part.url or f"data:{part.media_type};base64,{part.data}", part.title)


def _document(url: str, name: str | None) -> Block:
    return {"type": "document_url", "document_url": url, **({} if name is None else {"document_name": name})}


def _assistant(message: AssistantMessage, where: str, call: Call[object]) -> Block:
    if message.function_call is not None or message.audio is not None:
        field = "function_call" if message.function_call is not None else "audio"
        raise BadRequestError(f"{where}: Mistral has nothing like {field}: use tool_calls, or text")
    made: Block = {"role": "assistant"}
    native = message.native_content
    if native is not None and native.provider == call.route.provider and _text(native.blocks) == message.text:
        made["content"] = native.blocks
    else:
        content = _assistant_content(message, where, call)
        if content is not None:
            made["content"] = content
    calls: list[msgspec.Struct] = []
    for index, one in enumerate(message.tool_calls or ()):
        if one.custom is not None:
            raise BadRequestError(f"{where}.tool_calls[{index}]: Mistral has no custom tools")
        calls.append(replace(one, type="function"))
    if calls:
        made["tool_calls"] = calls
    if message.prefix is not None:
        made["prefix"] = message.prefix
    return made


def _assistant_content(message: AssistantMessage, where: str, call: Call[object]) -> str | list[Block] | None:
    thought = message.reasoning_content or message.reasoning
    content = message.content
    if not thought and not message.refusal:
        return None if content is None else _content(content, where, call)
    blocks: list[Block] = []
    if thought:
        blocks.append({"type": "thinking", "thinking": [{"type": "text", "text": thought}]})
    if isinstance(content, str) and content:
        blocks.append({"type": "text", "text": content})
    elif content is not None and not isinstance(content, str):
        blocks += [_part(part, f"{where}.content[{index}]", call) for index, part in enumerate(content)]
    if message.refusal:
        blocks.append({"type": "text", "text": message.refusal})
    return blocks


def _text(blocks: Sequence[Block]) -> str:
    # A text that was changed since (by a guardrail, say) must not come back through the side door.
    return "".join(str(block.get("text") or "") for block in blocks if block.get("type") == "text")

"""Messages of OpenAI's form as Anthropic's: a system prompt, and turns of content blocks.

Anthropic knows two roles, and its newest models a third: instructions after the first turn. For the others these are
sent as the user's, between ``<system>`` tags. Tool results are the user's, and neighbours of one role are one turn.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from typing import cast

import msgspec

from .._errors import BadRequestError
from ..types import (
    AssistantMessage,
    CacheControl,
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
    ToolCall,
    ToolMessage,
    UserMessage,
)

Block = dict[str, object]

_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^;,]*)*?;base64,(.*)", re.DOTALL | re.IGNORECASE)
_ARGUMENTS = msgspec.json.Decoder(dict[str, object])


def split_system(messages: Sequence[Message], *, provider: str) -> tuple[str | list[Block] | None, Sequence[Message]]:
    """Take the leading instructions off: text where text will do, else blocks."""
    blocks: list[Block] = []
    count = 0
    for count, message in enumerate(messages):
        if not isinstance(message, SystemMessage | DeveloperMessage):
            break
        blocks += _instructions(message, f"messages[{count}]", provider)
    else:
        count = len(messages)
    return cast("str | list[Block] | None", _short(blocks)) or None, messages[count:]


def turns(
    messages: Sequence[Message], *, provider: str, first: int = 0, system_turns: bool = False
) -> list[dict[str, object]]:
    """Make the turns of a conversation.

    :param first: the index of its first message, for errors
    :param system_turns: whether the model takes instructions as turns of their own
    :raises BadRequestError: a message says what Anthropic's form cannot
    """
    made: list[tuple[str, list[Block]]] = []
    for index, message in enumerate(messages, first):
        role = "assistant" if isinstance(message, AssistantMessage) else "user"
        blocks = _blocks(message, f"messages[{index}]", provider)
        if isinstance(message, SystemMessage | DeveloperMessage):
            if system_turns or _native(message, provider) is not None:
                role = "system"
            else:
                blocks = [{**block, "text": f"<system>\n{block['text']}\n</system>"} for block in blocks]
        if made and made[-1][0] == role:
            made[-1][1].extend(blocks)
        else:
            made.append((role, blocks))
    return [{"role": role, "content": _short(blocks)} for role, blocks in made if blocks]


def _short(blocks: list[Block]) -> object:
    return blocks[0]["text"] if len(blocks) == 1 and blocks[0].keys() == {"type", "text"} else blocks


def _blocks(message: Message, where: str, provider: str) -> list[Block]:
    if isinstance(message, AssistantMessage):
        return _assistant_blocks(message, where, provider)
    if isinstance(message, ToolMessage):
        return [_tool_result(message, where, provider)]
    if isinstance(message, FunctionMessage):
        raise BadRequestError(f"{where}: Anthropic has no function messages: use tools, and the role 'tool'")
    if isinstance(message, SystemMessage | DeveloperMessage):
        return _instructions(message, where, provider)
    _refuse_name(message.name, where)
    return _cached(_native(message, provider) or _content(message.content, where), message.cache_control)


def _instructions(message: SystemMessage | DeveloperMessage, where: str, provider: str) -> list[Block]:
    _refuse_name(message.name, where)
    return _cached(_native(message, provider) or _content(message.content, where), message.cache_control)


def _native(
    message: SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage, provider: str
) -> list[Block] | None:
    """The content in Anthropic's own form, where a message has it and it still says the same text.

    A text that was changed since (by a guardrail, say) must not come back through the side door.
    """
    native, content = message.native_content, message.content
    if native is None or native.provider != provider:
        return None
    said = "".join(str(block.get("text", "")) for block in native.blocks if block.get("type") == "text")
    parts = (
        [content] if isinstance(content, str) else [part.text for part in content or () if isinstance(part, TextPart)]
    )
    return list(native.blocks) if said == "".join(parts) else None


def _refuse_name(name: str | None, where: str) -> None:
    if name is not None:
        raise BadRequestError(f"{where}: Anthropic has no name for a message: put {name!r} into its text")


def _assistant_blocks(message: AssistantMessage, where: str, provider: str) -> list[Block]:
    native = _native(message, provider)
    if native is not None:
        return _cached(native, message.cache_control)
    _refuse_name(message.name, where)
    if message.function_call is not None or message.audio is not None:
        field = "function_call" if message.function_call is not None else "audio"
        raise BadRequestError(f"{where}: Anthropic has nothing like {field}: use tool_calls, or text")
    blocks = [*(message.thinking_blocks or ()), *_content(message.content or "", where)]
    if message.refusal:
        blocks.append({"type": "text", "text": message.refusal})
    blocks += [_tool_use(call, f"{where}.tool_calls[{index}]") for index, call in enumerate(message.tool_calls or ())]
    return _cached(blocks, message.cache_control)


def _tool_use(call: ToolCall, where: str) -> Block:
    if call.custom is not None:
        raise BadRequestError(f"{where}: Anthropic has no custom tools: make it a function")
    try:
        arguments = _ARGUMENTS.decode(call.function.arguments or "{}")
    except msgspec.DecodeError:
        raise BadRequestError(f"{where}: Anthropic takes the arguments of a call only as a JSON object") from None
    return {"type": "tool_use", "id": call.id, "name": call.function.name, "input": arguments}


def _tool_result(message: ToolMessage, where: str, provider: str) -> Block:
    # The name of the tool, where one is given, is that of the call: nothing is lost without it.
    result: Block = {"type": "tool_result", "tool_use_id": message.tool_call_id}
    blocks = _native(message, provider) or _content(message.content, where)
    if blocks:
        result["content"] = _short(blocks)
    if message.is_error is not None:
        result["is_error"] = message.is_error
    return _cached([result], message.cache_control)[0]


def _content(content: str | Sequence[ContentPart], where: str) -> list[Block]:
    """Content as blocks, without empty texts, which Anthropic refuses."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    blocks: list[Block] = []
    for index, part in enumerate(content):
        if isinstance(part, TextPart | RefusalPart) and not (part.text if isinstance(part, TextPart) else part.refusal):
            continue
        block = _part(part, f"{where}.content[{index}]")
        blocks += _cached([block], part.cache_control)
        if part.cache_control is None and part.prompt_cache_breakpoint is not None:
            block["cache_control"] = CacheControl()
    return blocks


def _part(part: ContentPart, where: str) -> Block:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, RefusalPart):
        return {"type": "text", "text": part.refusal}
    if isinstance(part, ImagePart):
        return {"type": "image", "source": _image_source(part, where)}
    if isinstance(part, DocumentPart):
        return _document(part, where)
    if isinstance(part, FilePart):
        return _file(part, where)
    refused: InputAudioPart = part
    raise BadRequestError(f"{where}: Anthropic does not take {refused.input_audio.format} audio: transcribe it first")


def _image_source(part: ImagePart, where: str) -> Block:
    if part.image_url.detail not in (None, "auto"):
        raise BadRequestError(f"{where}: Anthropic has no image detail {part.image_url.detail!r}: leave it out")
    return _source(part.image_url.url, where)


def _source(url: str, where: str) -> Block:
    match = _DATA_URL.fullmatch(url)
    if match is not None:
        return {"type": "base64", "media_type": match.group(1).lower(), "data": match.group(2)}
    if url.startswith("data:"):
        raise BadRequestError(f"{where}: a data URL must look like 'data:image/png;base64,...'")
    return {"type": "url", "url": url}


def _document(part: DocumentPart, where: str) -> Block:
    if part.url is not None:
        source: Block = {"type": "url", "url": part.url}
    elif part.file_id is not None:
        source = {"type": "file", "file_id": part.file_id}
    else:
        source = _data_source(part.media_type, part.data or "", where)
    block: Block = {"type": "document", "source": source}
    for name, value in (("title", part.title), ("context", part.context), ("citations", part.citations)):
        if value is not None:
            block[name] = value
    return block


def _file(part: FilePart, where: str) -> Block:
    file = part.file
    if file.file_id is not None:
        source: Block = {"type": "file", "file_id": file.file_id}
    else:
        match = _DATA_URL.fullmatch(file.file_data or "")
        if match is None:
            raise BadRequestError(f"{where}: file_data must look like 'data:application/pdf;base64,...'")
        if match.group(1).lower().startswith("image/"):
            return {"type": "image", "source": _source(file.file_data or "", where)}
        source = _data_source(match.group(1).lower(), match.group(2), where)
    block: Block = {"type": "document", "source": source}
    if file.filename is not None:
        block["title"] = file.filename
    return block


def _data_source(media_type: str, data: str, where: str) -> Block:
    if not media_type.startswith("text/"):
        return {"type": "base64", "media_type": media_type, "data": data}
    try:
        text = base64.b64decode(data, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise BadRequestError(f"{where}: the data of a text document must be UTF-8 in base64") from None
    return {"type": "text", "media_type": "text/plain", "data": text}


def _cached(blocks: list[Block], control: CacheControl | None) -> list[Block]:
    """Put a breakpoint on the last block, which covers all before it."""
    if control is None or not blocks:
        return blocks
    return [*blocks[:-1], {**blocks[-1], "cache_control": control}]

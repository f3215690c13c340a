"""Messages of OpenAI's form as Cohere's, and the documents that a user shows, which stand beside them there."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from .._contract import Call
from .._errors import BadRequestError
from ..types import (
    AssistantMessage,
    ContentPart,
    DeveloperMessage,
    DocumentPart,
    FunctionMessage,
    ImagePart,
    Message,
    RefusalPart,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
)
from ._cohere_reply import Block, text_of
from ._parameters import refuse

_OBJECT = msgspec.json.Decoder(dict[str, object])


class Conversation(msgspec.Struct, frozen=True):
    """Cohere's messages, the documents shown in them, and whether to cite those: ``None`` is as Cohere likes."""

    messages: list[Block]
    documents: list[Block]
    cite: bool | None


def conversation(messages: Sequence[Message], call: Call[object]) -> Conversation:
    """Make Cohere's messages.

    :raises BadRequestError: a message says what Cohere's form cannot
    """
    made: list[Block] = []
    documents: list[Block] = []
    cites: set[bool] = set()
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        _check(message, where, call)
        if isinstance(message, AssistantMessage):
            if index == len(messages) - 1 or message.prefix:
                raise BadRequestError(
                    f"{where}: Cohere does not go on from a reply's beginning: end with a user's message"
                )
            made.append(_assistant(message, where, call.route.provider))
        elif isinstance(message, ToolMessage):
            made.append(_tool_result(message, where))
        elif isinstance(message, UserMessage):
            made.append({"role": "user", "content": _user_content(message, where, documents, cites)})
        elif isinstance(message, SystemMessage | DeveloperMessage):
            content = message.content
            parts = content if isinstance(content, str) else [_text(part) for part in content]
            made.append({"role": "system", "content": parts})
    if len(cites) > 1:
        raise BadRequestError("messages: Cohere cites all documents or none: give the same 'citations' to each")
    return Conversation(made, documents, next(iter(cites), None))


def _check(message: Message, where: str, call: Call[object]) -> None:
    if isinstance(message, FunctionMessage):
        raise BadRequestError(f"{where}: Cohere has no function messages: use tools, and the role 'tool'")
    if message.name is not None and not isinstance(message, ToolMessage):
        refuse(call, f"the name of {where}", "put it into its text")
    parts = message.content if isinstance(message.content, list) else []
    if any(one.cache_control is not None for one in (message, *parts)) or any(
        part.prompt_cache_breakpoint is not None for part in parts
    ):
        refuse(call, f"the cache marker in {where}", "leave it out: Cohere caches prompts by itself")


def _text(part: TextPart | RefusalPart) -> Block:
    return {"type": "text", "text": part.text if isinstance(part, TextPart) else part.refusal}


def _user_content(message: UserMessage, where: str, documents: list[Block], cites: set[bool]) -> str | list[Block]:
    if isinstance(message.content, str):
        return message.content
    parts: list[Block] = []
    for index, part in enumerate(message.content):
        place = f"{where}.content[{index}]"
        if isinstance(part, DocumentPart):
            documents.append(_document(part, place))
            if part.citations is not None:
                cites.add(part.citations.get("enabled", False))
        elif isinstance(part, ImagePart):
            parts.append({"type": "image_url", "image_url": part.image_url})
        elif isinstance(part, TextPart):
            parts.append(_text(part))
        else:
            raise _refused(part, place)
    return parts


def _refused(part: ContentPart, where: str) -> BadRequestError:
    kind = part.__struct_config__.tag
    return BadRequestError(
        f"{where}: Cohere does not take {kind!r} parts: give text, an image_url, or a document of type text/plain"
    )


def _document(part: DocumentPart, where: str) -> Block:
    """A document: text under its title, or a JSON object of the caller's own fields, whose title is its id."""
    if part.data is None:
        raise BadRequestError(f"{where}: Cohere takes documents as data, not by url or file_id")
    try:
        text = base64.b64decode(part.data, validate=True).decode("utf-8")
        if part.media_type == "application/json":
            fields = _OBJECT.decode(text)
            return {"data": fields} if part.title is None else {"id": part.title, "data": fields}
    except (binascii.Error, UnicodeDecodeError, msgspec.DecodeError):
        kind = "a JSON object" if part.media_type == "application/json" else "UTF-8"
        raise BadRequestError(f"{where}: the data of a {part.media_type} document must be {kind} in base64") from None
    if not part.media_type.startswith("text/"):
        raise BadRequestError(f"{where}: Cohere does not read {part.media_type}: give the document's text")
    told = {"title": part.title, "context": part.context, "text": text}
    return {"data": {name: value for name, value in told.items() if value is not None}}


def _assistant(message: AssistantMessage, where: str, provider: str) -> Block:
    if message.function_call is not None or message.audio is not None:
        field = "function_call" if message.function_call is not None else "audio"
        raise BadRequestError(f"{where}: Cohere has nothing like {field}: use tool_calls, or text")
    made: Block = {"role": "assistant"}
    native = message.native_content
    if native is not None and native.provider == provider and _same_text(native.blocks, message):
        made.update(native.blocks[0])
    else:
        content = _assistant_content(message)
        if content:
            made["content"] = content
        if message.tool_plan is not None:
            made["tool_plan"] = message.tool_plan
    calls: list[Block] = []
    for index, call in enumerate(message.tool_calls or ()):
        if call.custom is not None:
            raise BadRequestError(f"{where}.tool_calls[{index}]: Cohere has no custom tools")
        calls.append({"id": call.id, "type": "function", "function": call.function})
    if calls:
        made["tool_calls"] = calls
    return made


def _assistant_content(message: AssistantMessage) -> str | list[Block]:
    content = message.content
    parts = [] if content is None or isinstance(content, str) else content
    thought = message.reasoning_content or message.reasoning
    if isinstance(content, str) and not thought and not message.refusal:
        return content
    blocks: list[Block] = [{"type": "thinking", "thinking": thought}] if thought else []
    if isinstance(content, str) and content:
        blocks.append({"type": "text", "text": content})
    blocks += [_text(part) for part in parts]
    if message.refusal:
        blocks.append({"type": "text", "text": message.refusal})
    return blocks


def _same_text(blocks: Sequence[Mapping[str, object]], message: AssistantMessage) -> bool:
    # A text that was changed since (by a guardrail, say) must not come back through the side door.
    content = blocks[0].get("content") if len(blocks) == 1 else None
    if not isinstance(content, list):
        return False
    return (text_of(cast("list[Block]", content)) or "") == message.text


def _tool_result(message: ToolMessage, where: str) -> Block:
    content: str | list[Block]
    if isinstance(message.content, str):
        content = message.content
    else:
        content = []
        for index, part in enumerate(message.content):
            if isinstance(part, TextPart):
                content.append(_text(part))
            elif isinstance(part, DocumentPart):
                document = _document(part, f"{where}.content[{index}]")
                content.append({"type": "document", "document": document})
            else:
                raise _refused(part, f"{where}.content[{index}]")
    return {"role": "tool", "tool_call_id": message.tool_call_id, "content": content}

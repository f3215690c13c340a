"""Messages of OpenAI's form as Converse's: a system prompt, and turns of content blocks.

Converse knows two roles that take turns, and for the newest models a third: instructions after the first turn. For the
others these are sent as the user's, between ``<system>`` tags. Tool results are the user's, and neighbours of one role
are one turn.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import msgspec

from .._contract import Call
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
from ._bedrock_media import Block, Media
from ._bedrock_models import takes_system_turns
from ._parameters import refuse

_ARGUMENTS = msgspec.json.Decoder(dict[str, object])

# Ids that Converse takes. Others come from histories of other providers, and only have to match each other.
_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")


class Conversation:
    """The messages of one request, on their way into Converse's form."""

    def __init__(self, call: Call[object]) -> None:
        self._call = call
        self._media = Media()

    def split_system(self, messages: Sequence[Message]) -> tuple[list[Block], Sequence[Message]]:
        """Take the leading instructions off, as blocks.

        :raises BadRequestError: a message says what Converse cannot
        """
        blocks: list[Block] = []
        for count, message in enumerate(messages):
            if not isinstance(message, SystemMessage | DeveloperMessage):
                return blocks, messages[count:]
            blocks += self._blocks(message, f"messages[{count}]")
        return blocks, ()

    def turns(self, messages: Sequence[Message], *, first: int) -> list[dict[str, object]]:
        """Make the turns. ``first`` is the index of the first of these messages, for errors.

        :raises BadRequestError: a message says what Converse cannot
        """
        system_turns = takes_system_turns(self._call.route.model)
        made: list[tuple[str, list[Block]]] = []
        for index, message in enumerate(messages, first):
            role = "assistant" if isinstance(message, AssistantMessage) else "user"
            blocks = self._blocks(message, f"messages[{index}]")
            if isinstance(message, SystemMessage | DeveloperMessage):
                if system_turns or self._native(message) is not None:
                    role = "system"
                else:
                    blocks = [_marked(block) for block in blocks]
            if made and made[-1][0] == role:
                made[-1][1].extend(blocks)
            else:
                made.append((role, blocks))
        return [{"role": role, "content": blocks} for role, blocks in made if blocks]

    def _blocks(self, message: Message, where: str) -> list[Block]:
        if isinstance(message, FunctionMessage):
            raise BadRequestError(f"{where}: Bedrock has no function messages: use tools, and the role 'tool'")
        if isinstance(message, ToolMessage):
            # The name of the tool, where one is given, is that of the call: nothing is lost without it.
            return self._tool_result(message, where)
        native = self._native(message)
        if native is None and message.name is not None:
            refuse(self._call, f"{where}.name", f"put {message.name!r} into its text")
        if native is None and isinstance(message, AssistantMessage):
            native = self._assistant(message, where)
        if native is None:
            native = list(self._content(message.content or "", where))
        return _cached(native, message.cache_control)

    def _native(
        self, message: SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage
    ) -> list[Block] | None:
        """The content in Converse's own form, where a message has it and it still says the same text.

        A text that was changed since (by a guardrail, say) must not come back through the side door.
        """
        native, content = message.native_content, message.content
        if native is None or native.provider != self._call.route.provider:
            return None
        parts = (content,) if isinstance(content, str) else content or ()
        said = "".join(part if isinstance(part, str) else getattr(part, "text", "") for part in parts)
        return list(native.blocks) if "".join(map(text_of, native.blocks)) == said else None

    def _assistant(self, message: AssistantMessage, where: str) -> list[Block]:
        if message.function_call is not None or message.audio is not None:
            field = "function_call" if message.function_call is not None else "audio"
            raise BadRequestError(f"{where}: Bedrock has nothing like {field}: use tool_calls, or text")
        blocks = [thought for block in message.thinking_blocks or () if (thought := self._thought(block, where))]
        blocks += self._content(message.content or "", where)
        if message.refusal:
            blocks.append({"text": message.refusal})
        calls = message.tool_calls or ()
        return blocks + [_tool_use(call, f"{where}.tool_calls[{index}]") for index, call in enumerate(calls)]

    def _thought(self, block: Mapping[str, object], where: str) -> Block | None:
        """A thinking block of Anthropic's form. What is hidden in it is base64 once more here."""
        kind = block.get("type")
        if kind == "redacted_thinking":
            hidden = base64.b64encode(str(block.get("data", "")).encode()).decode()
            return {"reasoningContent": {"redactedContent": hidden}}
        if kind != "thinking":
            refuse(self._call, f"{where}.thinking_blocks of type {kind!r}", "leave it out")
            return None
        thought = {"text": str(block.get("thinking", ""))}
        if block.get("signature"):
            thought["signature"] = str(block["signature"])
        return {"reasoningContent": {"reasoningText": thought}}

    def _tool_result(self, message: ToolMessage, where: str) -> list[Block]:
        content = self._native(message)
        if content is None:
            content = list(self._content(message.content, where))
        # A breakpoint has no place inside of a result: it comes right after.
        marks = [block for block in content if "cachePoint" in block]
        result: Block = {
            "toolUseId": tool_id(message.tool_call_id),
            "content": [block for block in content if "cachePoint" not in block],
        }
        if message.is_error is not None:
            result["status"] = "error" if message.is_error else "success"
        return _cached([{"toolResult": result}, *marks[-1:]], None if marks else message.cache_control)

    def _content(self, content: str | Sequence[ContentPart], where: str) -> Iterator[Block]:
        """Content as blocks, without empty texts, which Converse refuses."""
        if isinstance(content, str):
            if content:
                yield {"text": content}
            return
        for index, part in enumerate(content):
            if isinstance(part, TextPart | RefusalPart):
                text = part.text if isinstance(part, TextPart) else part.refusal
                if not text:
                    continue
                yield {"text": text}
            else:
                yield self._part(part, f"{where}.content[{index}]")
            if part.cache_control is not None or part.prompt_cache_breakpoint is not None:
                yield _cache_point(part.cache_control)

    def _part(self, part: ImagePart | InputAudioPart | FilePart | DocumentPart, where: str) -> Block:
        if isinstance(part, ImagePart):
            if part.image_url.detail not in (None, "auto"):
                refuse(self._call, f"{where}: image detail {part.image_url.detail!r}", "leave it out")
            return self._media.image(part, where)
        if isinstance(part, InputAudioPart):
            return self._media.audio(part)
        if isinstance(part, FilePart):
            return self._media.file(part, where)
        return self._media.document(part, where)


def text_of(block: Mapping[str, object]) -> str:
    """The text that a block of Converse's adds to what its message says."""
    text = block.get("text")
    if isinstance(text, str):
        return text
    guarded = block.get("guardContent")
    if isinstance(guarded, dict):
        inner = cast("Block", guarded).get("text")
        return str(cast("Block", inner).get("text", "")) if isinstance(inner, dict) else ""
    cited = block.get("citationsContent")
    if isinstance(cited, dict):
        parts = cast("Block", cited).get("content")
        texts = cast("list[object]", parts) if isinstance(parts, list) else []
        return "".join(str(cast("Block", part).get("text", "")) for part in texts if isinstance(part, dict))
    if "json" in block:
        return msgspec.json.encode(block["json"]).decode()
    return ""


def tool_id(text: str) -> str:
    """An id that Converse takes, the same for the call and its result."""
    return text if _ID.fullmatch(text) else f"call_{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _tool_use(call: ToolCall, where: str) -> Block:
    if call.custom is not None:
        raise BadRequestError(f"{where}: Bedrock has no custom tools: make it a function")
    try:
        arguments = _ARGUMENTS.decode(call.function.arguments or "{}")
    except msgspec.DecodeError:
        raise BadRequestError(f"{where}: Bedrock takes the arguments of a call only as a JSON object") from None
    return {"toolUse": {"toolUseId": tool_id(call.id), "name": call.function.name, "input": arguments}}


def _marked(block: Block) -> Block:
    return {"text": f"<system>\n{block['text']}\n</system>"} if "text" in block else block


def _cache_point(control: CacheControl | None) -> Block:
    point: Block = {"type": "default"}
    if control is not None and control.ttl is not None:
        point["ttl"] = control.ttl
    return {"cachePoint": point}


def _cached(blocks: list[Block], control: CacheControl | None) -> list[Block]:
    """Put a breakpoint after the last block: it covers all before it."""
    return blocks if control is None or not blocks else [*blocks, _cache_point(control)]


def hidden_thought(data: str) -> str | None:
    """The ``data`` of Anthropic's form for a thought that Bedrock hides; ``None``: it is in no such form."""
    try:
        text = base64.b64decode(data, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return None
    return text if base64.b64encode(text.encode()).decode() == data else None

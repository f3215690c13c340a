"""Replies of Anthropic's as OpenAI's: whole ones, and the blocks that streams build up."""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec
from msgspec.structs import replace

from ..types import (
    Annotation,
    AssistantMessage,
    ChatCompletionResponse,
    Choice,
    DocumentCitation,
    FunctionCall,
    NativeContent,
    ToolCall,
    UrlCitation,
)
from ._anthropic_messages import Block
from ._anthropic_usage import WireUsage, normal_usage
from ._classify import classify
from ._lenient import decode_leniently
from ._read import unreadable

FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}

# Fields of a reply that OpenAI's form has no place for.
_NATIVE_FIELDS = ("container", "context_management", "stop_details")

# What a message in OpenAI's form says without loss, in the order in which it goes back.
_PLACES = {"thinking": 0, "redacted_thinking": 0, "text": 1, "tool_use": 2}


class WireMessage(msgspec.Struct, frozen=True):
    """A reply as Anthropic sends it. Blocks stay plain data, to go back unchanged."""

    type: str = ""
    id: str = ""
    model: str = ""
    # A text in place of blocks is what some imitators have.
    content: list[Block] | str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Block | None = None
    container: Block | None = None
    context_management: Block | None = None
    usage: WireUsage | None = None


_MESSAGE = msgspec.json.Decoder(WireMessage)


def read_reply(body: bytes, *, provider: str, model: str) -> ChatCompletionResponse:
    """Decode a whole reply.

    :raises SerializationError: it cannot be read
    :raises LlmError: it is an error under a status of success
    """
    try:
        told = decode_leniently(_MESSAGE, body, blocks=True)
    except msgspec.DecodeError as error:
        raise unreadable(body, "a message", error, provider=provider, model=model) from error
    if told.content is None:
        raise classify(body, status=None, provider=provider, model=model)
    content = told.content
    blocks: list[Block] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    message = message_of(blocks, provider)
    if told.stop_reason == "refusal":
        message = replace(message, refusal=refusal_of(told.stop_details))
    choice = Choice(
        message=message,
        finish_reason=finish_reason(told.stop_reason),
        native_finish_reason=told.stop_reason,
        stop_sequence=told.stop_sequence,
    )
    usage = told.usage
    return ChatCompletionResponse(
        id=told.id,
        model=told.model,
        choices=[choice],
        usage=None if usage is None else normal_usage(usage),
        service_tier=None if usage is None else usage.service_tier,
        native=native_fields(told),
    )


def finish_reason(stop_reason: str | None) -> str | None:
    """OpenAI's word for why a reply ended; Anthropic's own where there is none."""
    return None if stop_reason is None else FINISH_REASONS.get(stop_reason.lower(), stop_reason)


def native_fields(told: msgspec.Struct) -> dict[str, object] | None:
    """The fields of a message, or of its last delta, that OpenAI's form has no place for."""
    fields = {name: value for name in _NATIVE_FIELDS if (value := getattr(told, name, None)) is not None}
    return fields or None


def refusal_of(details: Mapping[str, object] | None) -> str | None:
    """The explanation of a refusal, where there is one."""
    explanation = (details or {}).get("explanation")
    return explanation if isinstance(explanation, str) else None


def message_of(blocks: Sequence[Block], provider: str) -> AssistantMessage:
    """Make the message of a reply's blocks."""
    text: list[str] = []
    offset = 0
    annotations: list[Annotation] = []
    for block in blocks:
        if block.get("type") == "text":
            said = str(block.get("text") or "")
            text.append(said)
            annotations += annotations_of(block, offset)
            offset += len(said)
    thinking = [block for block in blocks if block.get("type") in ("thinking", "redacted_thinking")]
    return AssistantMessage(
        content="".join(text) if text else None,
        tool_calls=[
            ToolCall(
                id=str(block.get("id", "")),
                function=FunctionCall(name=str(block.get("name", "")), arguments=arguments_of(block)),
            )
            for block in blocks
            if block.get("type") == "tool_use"
        ]
        or None,
        annotations=annotations or None,
        reasoning_content="".join(str(block.get("thinking", "")) for block in thinking) or None,
        thinking_blocks=thinking or None,
        native_content=native_content(blocks, provider),
    )


def native_content(blocks: Sequence[Block], provider: str) -> NativeContent | None:
    """All blocks as they are, where OpenAI's form would lose one, or their order."""
    places = [_PLACES.get(str(block.get("type"))) for block in blocks if not block.get("citations")]
    known = [place for place in places if place is not None]
    if len(known) == len(blocks) and known == sorted(known):
        return None
    return NativeContent(provider=provider, blocks=list(blocks))


def arguments_of(block: Mapping[str, object]) -> str:
    """The arguments of a call as JSON text."""
    told = block.get("input")
    # Imitators hand on the text that they have of OpenAI's.
    return told if isinstance(told, str) and told else msgspec.json.encode(told or {}).decode()


def annotations_of(block: Mapping[str, object], offset: int) -> list[Annotation]:
    """What a text block cites: web pages, and documents and search results of the request. It is cited for all of the
    block, which begins at ``offset``."""
    citations = block.get("citations")
    end = offset + len(str(block.get("text") or ""))
    made: list[Annotation] = []
    for item in cast("list[object]", citations) if isinstance(citations, list) else ():
        citation: Block = cast("Block", item) if isinstance(item, dict) else {}
        url, title = citation.get("url"), citation.get("title") or citation.get("document_title")
        named = title if isinstance(title, str) else None
        if isinstance(url, str):
            page = UrlCitation(url=url, title=named, start_index=offset, end_index=end)
            made.append(Annotation(url_citation=page))
        elif citation:
            source = citation.get("source")
            document = DocumentCitation(
                id=source if isinstance(source, str) else "",
                title=named,
                start_index=offset,
                end_index=end,
                content=citation,
            )
            made.append(Annotation(type="document_citation", document_citation=document))
    return made

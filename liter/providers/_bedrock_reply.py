"""Replies of Converse's as OpenAI's: whole ones, and the blocks that streams build up."""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from ..types import (
    Annotation,
    AssistantMessage,
    ChatCompletionResponse,
    Choice,
    DocumentCitation,
    FunctionCall,
    NativeContent,
    PromptTokensDetails,
    ToolCall,
    UrlCitation,
    Usage,
)
from ._bedrock_media import Block
from ._bedrock_messages import hidden_thought, text_of
from ._classify import classify
from ._count import count_of
from ._lenient import decode_leniently
from ._read import unreadable

FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}

# Fields of a reply that OpenAI's form has no place for.
NATIVE_FIELDS = ("additionalModelResponseFields", "metrics", "performanceConfig", "trace")

# What a message in OpenAI's form says without loss, in the order in which it goes back.
_PLACES = {"reasoningContent": 0, "text": 1, "toolUse": 2}

_OBJECT = msgspec.json.Decoder(dict[str, object])


def read_reply(
    body: bytes, *, provider: str, model: str, request_id: str | None, schema_tool: str | None = None
) -> ChatCompletionResponse:
    """Decode a whole reply.

    :param schema_tool: name of the tool whose arguments are the reply's text
    :raises SerializationError: it cannot be read
    :raises LlmError: it is an error under a status of success
    """
    try:
        told = decode_leniently(_OBJECT, body)
    except msgspec.DecodeError as error:
        raise unreadable(body, "a message", error, provider=provider, model=model) from error
    content = mapping(mapping(told.get("output")).get("message")).get("content")
    if not isinstance(content, list):
        raise classify(body, status=None, provider=provider, model=model)
    stop_reason = text(told.get("stopReason"))
    blocks = blocks_of(cast("object", content))
    answered = False
    for index, block in enumerate(blocks):
        use = mapping(block.get("toolUse"))
        if schema_tool is not None and use.get("name") == schema_tool:
            answered = True
            blocks[index] = {"text": arguments_of(use)}
    made = message_of(blocks, provider)
    choice = Choice(
        message=made,
        finish_reason=finish_reason(stop_reason, calls=bool(made.tool_calls), answered=answered),
        native_finish_reason=stop_reason,
        stop_sequence=stop_sequence(told),
    )
    return ChatCompletionResponse(
        id=request_id or "",
        model=model,
        choices=[choice],
        usage=usage_of(told.get("usage")),
        service_tier=text(mapping(told.get("serviceTier")).get("type")),
        native=native_fields(told),
    )


def mapping(value: object) -> Block:
    """A value that should be an object; empty where it is none."""
    return cast("Block", value) if isinstance(value, dict) else {}


def blocks_of(value: object) -> list[Block]:
    """The objects in a value that should be a list of them."""
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Block", item) for item in items if isinstance(item, dict)]


def text(value: object) -> str | None:
    """A value that should be a text; ``None`` where it is none."""
    return value if isinstance(value, str) else None


def finish_reason(stop_reason: str | None, *, calls: bool, answered: bool) -> str | None:
    """OpenAI's word for why a reply ended; Bedrock's own where there is none.

    :param calls: whether there are calls for the caller to answer
    :param answered: whether a call was the answer itself
    """
    if stop_reason is None:
        return None
    if answered and not calls and stop_reason == "tool_use":
        return "stop"
    if calls and stop_reason == "end_turn":
        return "tool_calls"
    return FINISH_REASONS.get(stop_reason, stop_reason)


def native_fields(told: Mapping[str, object]) -> dict[str, object] | None:
    """The fields of a reply that OpenAI's form has no place for."""
    return {name: told[name] for name in NATIVE_FIELDS if told.get(name) is not None} or None


def stop_sequence(told: Mapping[str, object]) -> str | None:
    """The text of ``stop`` that ended the reply, where ``additionalModelResponseFieldPaths`` asked for it."""
    return text(mapping(told.get("additionalModelResponseFields")).get("stop_sequence"))


def usage_of(value: object) -> Usage | None:
    """Bring usage to the normal form: Bedrock counts cached input apart. Without its counts it is unknown."""
    told = mapping(value)
    entered, left = _count(told, "inputTokens"), _count(told, "outputTokens")
    if entered is None or left is None:
        return None
    # Nova has other names for these by InvokeModel.
    reads, writes = (
        _count(told, name if name in told else f"{name.removesuffix('s')}Count")
        for name in ("cacheReadInputTokens", "cacheWriteInputTokens")
    )
    prompt = entered + (reads or 0) + (writes or 0)
    kept = [detail for detail in blocks_of(told.get("cacheDetails")) if detail.get("ttl") == "1h"]
    details = None
    if reads is not None or writes is not None:
        details = PromptTokensDetails(
            cached_tokens=reads,
            cache_write_tokens=writes,
            cache_write_1h_tokens=sum(_count(detail, "inputTokens") or 0 for detail in kept)
            if told.get("cacheDetails")
            else None,
        )
    tools = mapping(told.get("serverToolUsage"))
    used = {name: count for name in tools if (count := _count(tools, name)) is not None}
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=left,
        total_tokens=prompt + left,
        prompt_tokens_details=details,
        server_tool_use=used or None,
    )


def _count(told: Mapping[str, object], name: str) -> int | None:
    return count_of(told.get(name))


def message_of(blocks: Sequence[Block], provider: str) -> AssistantMessage:
    """Make the message of a reply's blocks."""
    said: list[str] = []
    offset = 0
    annotations: list[Annotation] = []
    reasoning: list[str] = []
    thoughts: list[Block] = []
    images: list[Block] = []
    calls: list[ToolCall] = []
    for block in blocks:
        if "text" in block or "citationsContent" in block:
            words = text_of(block)
            said.append(words)
            annotations += annotations_of(block, offset)
            offset += len(words)
        elif "reasoningContent" in block:
            thought = thought_of(block)
            reasoning.append(str(thought.get("thinking", "")))
            if thought.get("signature") or thought.get("data"):
                thoughts.append(thought)
        elif called(block):
            calls.append(_call(block))
        elif (image := image_of(block)) is not None:
            images.append(image)
    return AssistantMessage(
        content="".join(said) if said else None,
        tool_calls=calls or None,
        annotations=annotations or None,
        images=images or None,
        reasoning_content="".join(reasoning) or None,
        thinking_blocks=thoughts or None,
        native_content=native_content(blocks, provider),
    )


def native_content(blocks: Sequence[Block], provider: str) -> NativeContent | None:
    """All blocks as they are, where OpenAI's form would lose one, or their order."""
    # Some models announce reasoning and show none, or begin a text and end it; Bedrock does not take that back.
    blocks = [block for block in blocks if block not in ({"reasoningContent": {}}, {"text": ""})]
    places = [_place(block) for block in blocks]
    known = [place for place in places if place is not None]
    if len(known) == len(blocks) and known == sorted(known):
        return None
    return NativeContent(provider=provider, blocks=blocks)


def _place(block: Block) -> int | None:
    kind = next(iter(block), "")
    if len(block) != 1 or (kind == "toolUse" and not called(block)):
        return None
    if kind == "reasoningContent" and not thought_of(block):
        return None
    return _PLACES.get(kind)


def called(block: Mapping[str, object]) -> bool:
    """Whether a block is a call that the caller has to answer, and no call of a tool that Bedrock itself runs."""
    return "toolUse" in block and mapping(block["toolUse"]).get("type") in (None, "tool_use")


def _call(block: Block) -> ToolCall:
    use = mapping(block["toolUse"])
    return ToolCall(
        id=text(use.get("toolUseId")) or "",
        function=FunctionCall(name=text(use.get("name")) or "", arguments=arguments_of(use)),
    )


def arguments_of(use: Mapping[str, object]) -> str:
    """The arguments of a call as JSON text."""
    told = use.get("input")
    return told if isinstance(told, str) and told else msgspec.json.encode(told or {}).decode()


def thought_of(block: Mapping[str, object]) -> Block:
    """A block of reasoning in Anthropic's form; empty where it is of a form that we do not know."""
    told = mapping(block.get("reasoningContent"))
    hidden = text(told.get("redactedContent"))
    if hidden is not None:
        data = hidden_thought(hidden)
        return {} if data is None else {"type": "redacted_thinking", "data": data}
    said = mapping(told.get("reasoningText"))
    words = text(said.get("text"))
    if words is None:
        return {}
    thought: Block = {"type": "thinking", "thinking": words}
    if text(said.get("signature")):
        thought["signature"] = said["signature"]
    return thought


def image_of(block: Mapping[str, object]) -> Block | None:
    """A picture that the model made, as an image part."""
    told = mapping(block.get("image"))
    data = text(mapping(told.get("source")).get("bytes"))
    if data is None:
        return None
    return {"type": "image_url", "image_url": {"url": f"data:image/{told.get('format', 'png')};base64,{data}"}}


def annotations_of(block: Mapping[str, object], offset: int) -> list[Annotation]:
    """What a block cites: web pages, and documents of the request. It is cited for all of the block's text, which
    begins at ``offset``; a block without a text does not say what for."""
    words = text_of(block)
    start, end = (offset, offset + len(words)) if words else (None, None)
    made: list[Annotation] = []
    for citation in blocks_of(mapping(block.get("citationsContent")).get("citations")):
        location = mapping(citation.get("location"))
        url, title = text(mapping(location.get("web")).get("url")), text(citation.get("title"))
        if url is not None:
            page = UrlCitation(url=url, title=title, start_index=start, end_index=end)
            made.append(Annotation(url_citation=page))
            continue
        document = DocumentCitation(
            id=text(citation.get("source")) or "",
            title=title,
            start_index=start,
            end_index=end,
            content={name: citation[name] for name in ("location", "sourceContent") if name in citation} or None,
        )
        made.append(Annotation(type="document_citation", document_citation=document))
    return made

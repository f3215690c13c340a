"""Replies of Cohere's as OpenAI's: whole ones, and what streams build up."""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from ..types import (
    Annotation,
    AssistantMessage,
    ChatCompletionResponse,
    Choice,
    CompletionTokensDetails,
    DocumentCitation,
    FunctionCall,
    Logprobs,
    NativeContent,
    PromptTokensDetails,
    TokenLogprob,
    ToolCall,
    UrlCitation,
    Usage,
)
from ._classify import classify
from ._count import count_of, number_of
from ._lenient import decode_leniently
from ._read import unreadable

Block = dict[str, object]

# Cohere's own words; those that OpenAI has no word for stay as they are. The last two are of its first version.
FINISH_REASONS: Mapping[str, str] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_LIMIT": "length",
    "ERROR_TOXIC": "content_filter",
}


class WireUsage(msgspec.Struct, frozen=True):
    """Usage as Cohere reports it: what is billed, and what the model saw."""

    billed_units: Block | None = None
    tokens: Block | None = None
    cached_tokens: float | None = None


class WireLogprobs(msgspec.Struct, frozen=True):
    """The log probabilities of the tokens that make up a piece of text."""

    text: str = ""
    token_ids: list[int] | None = None
    logprobs: list[float] | None = None


class WireFunction(msgspec.Struct, frozen=True, gc=False):
    """A function that is called."""

    name: str | None = None
    arguments: str | None = None


class WireCall(msgspec.Struct, frozen=True, gc=False):
    """A call of a tool."""

    id: str | None = None
    type: str | None = None
    function: WireFunction | None = None


class _WireMessage(msgspec.Struct, frozen=True):
    content: list[Block] | str | None = None
    tool_plan: str | None = None
    tool_calls: list[WireCall] | None = None
    citations: list[Block] | None = None


class _WireReply(msgspec.Struct, frozen=True):
    id: str = ""
    finish_reason: str | None = None
    message: _WireMessage | str | None = None
    usage: WireUsage | None = None
    logprobs: list[WireLogprobs] | None = None
    meta: Block | None = None


_REPLY = msgspec.json.Decoder(_WireReply)


def read_reply(body: bytes, *, provider: str, model: str) -> ChatCompletionResponse:
    """Decode a whole reply. Cohere does not tell which model answered: it is the one that was asked.

    :raises SerializationError: it cannot be read
    :raises LlmError: it is an error under a status of success
    """
    try:
        told = decode_leniently(_REPLY, body, blocks=True)
    except msgspec.DecodeError as error:
        raise unreadable(body, "a chat", error, provider=provider, model=model) from error
    if not isinstance(told.message, _WireMessage):
        raise classify(body, status=None, provider=provider, model=model)
    content = told.message.content or []
    blocks: list[Block] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    calls = [_call(call) for call in told.message.tool_calls or ()]
    message = AssistantMessage(
        content=text_of(blocks),
        tool_calls=calls or None,
        annotations=annotations_of(told.message.citations or (), blocks) or None,
        reasoning_content="".join(str(block.get("thinking") or "") for block in blocks) or None,
        tool_plan=told.message.tool_plan or None,
        native_content=native_content(blocks, told.message.tool_plan, told.message.citations or [], provider),
    )
    choice = Choice(
        message=message,
        finish_reason=finish_reason(told.finish_reason, called=bool(calls)),
        logprobs=logprobs_of(told.logprobs or ()),
        native_finish_reason=told.finish_reason,
    )
    return ChatCompletionResponse(
        id=told.id,
        model=model,
        choices=[choice],
        usage=None if told.usage is None else normal_usage(told.usage),
        native=None if told.meta is None else {"meta": told.meta},
    )


def _call(call: WireCall) -> ToolCall:
    function = call.function or WireFunction()
    return ToolCall(
        id=call.id or "",
        type=call.type or "function",
        function=FunctionCall(name=function.name or "", arguments=function.arguments or ""),
    )


def text_of(blocks: Sequence[Block]) -> str | None:
    """The text of a message, ``None`` where it has none."""
    texts = [str(block.get("text") or "") for block in blocks if "text" in block]
    return "".join(texts) if texts else None


def finish_reason(reason: str | None, *, called: bool) -> str | None:
    """OpenAI's word for why a reply ended; Cohere's own where there is none."""
    if reason is None:
        return None
    known = FINISH_REASONS.get(reason.upper(), reason)
    return "tool_calls" if called and known == "stop" else known


def normal_usage(told: WireUsage) -> Usage | None:
    """Bring usage to the normal form: what the model saw, pictures included, with what is billed kept apart."""
    units = {name: number_of(value) for name, value in (told.billed_units or {}).items()}
    billed = {name: count for name, count in units.items() if count is not None}
    tokens = told.tokens or {}
    seen = tokens if tokens.get("input_tokens") is not None or tokens.get("output_tokens") is not None else billed
    if not seen:
        return None
    image = _count(seen, "image_tokens")
    reasoning = _count(tokens, "reasoning_tokens")
    cached = None if told.cached_tokens is None else int(told.cached_tokens)
    prompt = (_count(seen, "input_tokens") or 0) + (image or 0)
    completion = _count(seen, "output_tokens") or 0
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=None
        if cached is None and image is None
        else PromptTokensDetails(cached_tokens=cached, image_tokens=image),
        completion_tokens_details=None if reasoning is None else CompletionTokensDetails(reasoning_tokens=reasoning),
        billed_units=billed or None,
        unreported=("prompt_tokens",) if image is None and seen.get("input_tokens") is None else (),
    )


def _count(counts: Mapping[str, object], name: str) -> int | None:
    return count_of(counts.get(name))


def logprobs_of(told: Sequence[WireLogprobs]) -> Logprobs | None:
    """Log probabilities: one entry for each piece of text, whose probability is the product of its tokens'."""
    if not told:
        return None
    return Logprobs(content=[TokenLogprob(token=one.text, logprob=sum(one.logprobs or ())) for one in told])


def annotations_of(citations: Sequence[Block], blocks: Sequence[Block]) -> list[Annotation]:
    """The sources that the text cites. Cohere counts characters from the beginning of the cited block."""
    made: list[Annotation] = []
    for citation in citations:
        if citation.get("type") in ("THINKING_CONTENT", "PLAN"):
            # What it thought or planned has no annotations in OpenAI's form: the native form keeps these.
            continue
        index = citation.get("content_index")
        before = blocks[:index] if isinstance(index, int) else ()
        offset = sum(len(str(block.get("text") or "")) for block in before)
        start, end = (_offset(citation.get(name), offset) for name in ("start", "end"))
        sources = citation.get("sources")
        made += [
            _annotation(cast("Mapping[str, object]", source), start, end)
            for source in (cast("list[object]", sources) if isinstance(sources, list) else ())
            if isinstance(source, Mapping)
        ]
    return made


def _offset(index: object, offset: int) -> int | None:
    return index + offset if isinstance(index, int) else None


def _annotation(source: Mapping[str, object], start: int | None, end: int | None) -> Annotation:
    kind = source.get("type")
    told = source.get("tool_output") or source.get("document")
    content = cast("dict[str, object]", told) if isinstance(told, dict) else None
    url, title = (_text((content or {}).get(name)) for name in ("url", "title"))
    return Annotation(
        type="document_citation" if url is None else "url_citation",
        url_citation=None if url is None else UrlCitation(url=url, title=title, start_index=start, end_index=end),
        document_citation=DocumentCitation(
            id=_text(source.get("id")) or "",
            source=kind if isinstance(kind, str) else "document",
            title=title,
            start_index=start,
            end_index=end,
            content=content,
        ),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def native_content(
    blocks: Sequence[Block], tool_plan: str | None, citations: Sequence[Block], provider: str
) -> NativeContent | None:
    """The message as it is, in one block, where OpenAI's form would lose something of it, or its order."""
    kinds = ["thinking" if "thinking" in block else "text" if "text" in block else "" for block in blocks]
    known = all(block.keys() <= {"type", "text", "thinking"} for block in blocks)
    if not citations and known and "" not in kinds and kinds == sorted(kinds, reverse=True):
        return None
    message: Block = {"content": list(blocks)}
    if tool_plan:
        message["tool_plan"] = tool_plan
    if citations:
        message["citations"] = list(citations)
    return NativeContent(provider=provider, blocks=[message])

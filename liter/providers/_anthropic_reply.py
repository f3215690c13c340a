"""Replies of Anthropic's as OpenAI's: whole ones, and the blocks that streams build up."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

import msgspec
from msgspec.structs import replace

from .._errors import SerializationError
from ..types import (
    Annotation,
    AssistantMessage,
    ChatCompletionResponse,
    Choice,
    CompletionTokensDetails,
    DocumentCitation,
    FunctionCall,
    Model,
    ModelsListResponse,
    NativeContent,
    PromptTokensDetails,
    ToolCall,
    UrlCitation,
    Usage,
)
from ._anthropic_messages import Block
from ._classify import classify
from ._count import count_of
from ._lenient import decode_leniently

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


class CacheCreation(msgspec.Struct, frozen=True):
    """Cache writes, by how long they are kept."""

    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class OutputDetails(msgspec.Struct, frozen=True):
    """Parts of the output."""

    thinking_tokens: int | None = None


class Iteration(msgspec.Struct, frozen=True):
    """One of several runs of a model behind one reply."""

    type: str = ""
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None


class WireUsage(msgspec.Struct, frozen=True):
    """Usage as Anthropic reports it."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputDetails | None = None
    server_tool_use: dict[str, object] | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    iterations: list[Iteration] | None = None

    def updated(self, later: "WireUsage") -> "WireUsage":
        """With what a later report tells in place of what was told before."""
        told = {name: value for name in later.__struct_fields__ if (value := getattr(later, name)) is not None}
        # Counts grow. Imitators that know a count at the beginning alone tell 0 at the end.
        told = {name: value for name, value in told.items() if value != 0 or not getattr(self, name)}
        return replace(self, **told)


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


class _WireModel(msgspec.Struct, frozen=True):
    id: str
    display_name: str | None = None
    created_at: str | None = None
    max_input_tokens: int | None = None
    max_tokens: int | None = None


class _WireModels(msgspec.Struct, frozen=True):
    data: list[_WireModel] = []
    has_more: bool | None = None


_MESSAGE = msgspec.json.Decoder(WireMessage)
_MODELS = msgspec.json.Decoder(_WireModels)


def read_reply(body: bytes, *, provider: str, model: str) -> ChatCompletionResponse:
    """Decode a whole reply.

    :raises SerializationError: it cannot be read
    :raises LlmError: it is an error under a status of success
    """
    try:
        told = decode_leniently(_MESSAGE, body, blocks=True)
    except msgspec.DecodeError as error:
        raise SerializationError(
            f"the reply is no message: {error}", status=200, provider=provider, model=model, body=body
        ) from error
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


def read_models(body: bytes, *, provider: str) -> ModelsListResponse:
    """Decode a list of models.

    :raises SerializationError: it cannot be read
    """
    try:
        told = decode_leniently(_MODELS, body)
    except msgspec.DecodeError as error:
        raise SerializationError(
            f"the reply is no list of models: {error}", status=200, provider=provider, body=body
        ) from error
    models = [
        Model(
            id=model.id,
            created=_unix_time(model.created_at),
            owned_by="anthropic",
            display_name=model.display_name,
            context_window=model.max_input_tokens,
            max_output_tokens=model.max_tokens,
        )
        for model in told.data
    ]
    last = models[-1].id if models else None
    return ModelsListResponse(data=models, has_more=told.has_more, next_after=last if told.has_more else None)


def _unix_time(text: str | None) -> int | None:
    try:
        return None if text is None else int(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        return None


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


def normal_usage(told: WireUsage) -> Usage:
    """Bring usage to the normal form: Anthropic counts cached input apart, and compaction only by itself.

    Runs of other models (advisors) have another price, and stand beside the totals.
    """
    runs: list[WireUsage | Iteration] = [told]
    others: dict[str, list[Iteration]] = {}
    unreported = () if told.input_tokens is not None else ("prompt_tokens",)
    for run in told.iterations or ():
        if run.type == "compaction":
            runs.append(run)
        elif run.type != "message" and run.model is not None:
            others.setdefault(run.model, []).append(run)
    return replace(
        _sum(runs),
        server_tool_use=_uses(told.server_tool_use),
        unreported=unreported,
        others={model: _sum(passes) for model, passes in others.items()} or None,
        service_tier=told.service_tier,
        speed=told.speed,
        inference_geo=told.inference_geo,
    )


def _uses(told: Mapping[str, object] | None) -> dict[str, int] | None:
    if told is None:
        return None
    counts = {name: count_of(value) for name, value in told.items()}
    return {name: count for name, count in counts.items() if count is not None}


def _sum(runs: Sequence[WireUsage | Iteration]) -> Usage:
    reads = sum(run.cache_read_input_tokens or 0 for run in runs)
    writes = sum(run.cache_creation_input_tokens or 0 for run in runs)
    hours = [run.cache_creation.ephemeral_1h_input_tokens for run in runs if run.cache_creation is not None]
    kept = [hour for hour in hours if hour is not None]
    prompt = sum(run.input_tokens or 0 for run in runs) + reads + writes
    completion = sum(run.output_tokens or 0 for run in runs)
    cached = any(run.cache_read_input_tokens is not None or run.cache_creation_input_tokens is not None for run in runs)
    first = runs[0]
    details = first.output_tokens_details if isinstance(first, WireUsage) else None
    thinking = None if details is None else details.thinking_tokens
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=reads, cache_write_tokens=writes, cache_write_1h_tokens=sum(kept) if kept else None
        )
        if cached
        else None,
        completion_tokens_details=None if thinking is None else CompletionTokensDetails(reasoning_tokens=thinking),
    )


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

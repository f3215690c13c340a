"""How many tokens a text has, roughly, where nobody tells."""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import msgspec
from msgspec.structs import replace

from ..types import (
    AssistantMessage,
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatCompletionResponse,
    CompletionRequest,
    CompletionResponse,
    CreateResponseRequest,
    EmbeddingRequest,
    EmbeddingResponse,
    Message,
    ModerationResponse,
    RerankRequest,
    RerankResponse,
    ResponseEvent,
    TextPart,
    Usage,
)

# A token of English has four letters, and four bytes; one of Chinese or Japanese a character or two, of three bytes
# each. So bytes are off by less than letters are.
BYTES_PER_TOKEN = 4

# What frames a message: its role, and where it begins and ends.
TOKENS_PER_MESSAGE = 4

UNKNOWN = Usage(unreported=("prompt_tokens", "completion_tokens"))


def tokens_of(size: int) -> int:
    """About how many tokens a text has, by its size in bytes of UTF-8."""
    return -(-size // BYTES_PER_TOKEN)


def prompt_tokens(request: msgspec.Struct) -> int | None:
    """About how many tokens a request's text has; ``None`` where it is not of text alone."""
    if isinstance(request, ChatCompletionRequest):
        messages = [_message_size(message) for message in request.conversation]
        sizes = [size for size in messages if size is not None]
        if len(sizes) < len(messages):
            return None
        tools = len(msgspec.json.encode(request.tools)) if request.tools else 0
        return tokens_of(sum(sizes) + tools) + TOKENS_PER_MESSAGE * len(messages)
    if isinstance(request, EmbeddingRequest):
        size = _size(request.input)
    elif isinstance(request, CompletionRequest):
        size = _size(request.prompt)
    elif isinstance(request, RerankRequest):
        size = _size([request.query, *request.documents])
    elif isinstance(request, CreateResponseRequest):
        size = _response_size(request)
    else:
        size = None
    return None if size is None else tokens_of(size)


def completion_tokens(reply: object, events: Sequence[object]) -> int | None:
    """About how many tokens were made: of a reply, or of as much of a stream as arrived.

    :param reply: a whole reply; ``None`` for a stream
    :param events: of a stream
    :return: ``None`` where that is no text; 0 for what makes none, such as embeddings
    """
    if isinstance(reply, ChatCompletionResponse):
        return tokens_of(sum(_said(choice.message) for choice in reply.choices))
    if isinstance(reply, CompletionResponse):
        return tokens_of(_text_size(reply))
    if isinstance(reply, EmbeddingResponse | RerankResponse | ModerationResponse):
        return 0
    size, known = 0, False
    for event in events:
        if isinstance(event, ChatCompletionChunk):
            size += _chunk_size(event)
        elif isinstance(event, CompletionResponse):
            size += _text_size(event)
        elif isinstance(event, ResponseEvent):
            size += len(event.delta.encode()) if isinstance(event.delta, str) else 0
        else:
            continue
        known = True
    return tokens_of(size) if known else None


def completed(usage: Usage | None, prompt: int | None, completion: int | None) -> Usage:
    """A report with estimates in place of what it does not tell.

    :param usage: what was reported, if anything
    :param prompt: the estimate of the prompt, used where its count is not reported
    :param completion: the estimate of the completion, used where it is more than what was reported: a count in the
        middle of a stream is not the last one
    """
    told = UNKNOWN if usage is None else usage
    unreported = set(told.unreported)
    counts = {"prompt_tokens": told.prompt_tokens, "completion_tokens": told.completion_tokens}
    if prompt is not None and "prompt_tokens" in unreported:
        counts["prompt_tokens"] = prompt
        unreported.discard("prompt_tokens")
    if completion is not None and completion >= counts["completion_tokens"]:
        counts["completion_tokens"] = completion
        unreported.discard("completion_tokens")
    return replace(
        told,
        **counts,
        total_tokens=sum(counts.values()),
        unreported=tuple(name for name in told.unreported if name in unreported),
    )


def _message_size(message: Message) -> int | None:
    size = _size(message.content)
    if size is None or not isinstance(message, AssistantMessage):
        return size
    return size + _calls_size(message)


def _response_size(request: CreateResponseRequest) -> int | None:
    """The bytes of what a response is made of; ``None`` where some of it is kept by the provider, or is no text."""
    if request.previous_response_id or request.conversation or request.prompt:
        return None
    size = len((request.instructions or "").encode())
    size += len(msgspec.json.encode(request.tools)) if request.tools else 0
    if request.input is None or isinstance(request.input, str):
        return size + len((request.input or "").encode())
    for item in request.input:
        content = item.get("content", item.get("output", item.get("arguments")))
        if isinstance(content, list):
            parts = cast("list[Mapping[str, object] | str]", content)
            content = [part if isinstance(part, str) else part.get("text") for part in parts]
            if None in content:
                return None
        text = _size(content)
        if text is None:
            return None
        size += text
    return size


def _text_size(reply: CompletionResponse) -> int:
    return sum(len(choice.text.encode()) for choice in reply.choices)


def _said(message: AssistantMessage) -> int:
    size = (_size(message.content) or 0) + len((message.reasoning_content or message.reasoning or "").encode())
    return size + len((message.refusal or "").encode()) + _calls_size(message)


def _calls_size(message: AssistantMessage) -> int:
    functions = [call.function for call in message.tool_calls or () if call.function is not None]
    return sum(len(function.name.encode()) + len(function.arguments.encode()) for function in functions)


def _chunk_size(chunk: ChatCompletionChunk) -> int:
    size = 0
    for choice in chunk.choices:
        delta = choice.delta
        for text in (delta.content, delta.reasoning_content, delta.refusal):
            if isinstance(text, str):
                size += len(text.encode())
        for call in delta.tool_calls or ():
            if call.function is not None:
                size += len((call.function.name or "").encode()) + len((call.function.arguments or "").encode())
    return size


def _size(texts: object) -> int | None:
    """The bytes of a text, or of several; ``None`` where something else is among them."""
    if texts is None:
        return 0
    if isinstance(texts, str):
        return len(texts.encode())
    if isinstance(texts, TextPart):
        return len(texts.text.encode())
    if isinstance(texts, int):
        return BYTES_PER_TOKEN  # a token's id
    if isinstance(texts, Mapping) or not isinstance(texts, Iterable):
        return None
    sizes = [_size(one) for one in cast("Iterable[object]", texts)]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None

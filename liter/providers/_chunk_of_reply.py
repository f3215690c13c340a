"""Chunks as a whole: a reply told as one chunk, and chunks that tell nothing."""

from ..types import (
    ChatCompletionChunk,
    ChatCompletionResponse,
    Choice,
    ChunkChoice,
    CustomCallDelta,
    Delta,
    FunctionCallDelta,
    ToolCall,
    ToolCallDelta,
)


def chunk_of_reply(reply: ChatCompletionResponse, raw: bytes) -> ChatCompletionChunk:
    """Make the one chunk of a stream that was answered with a whole reply."""
    return ChatCompletionChunk(
        id=reply.id,
        created=reply.created,
        model=reply.model,
        choices=[_choice(choice) for choice in reply.choices],
        usage=reply.usage,
        service_tier=reply.service_tier,
        system_fingerprint=reply.system_fingerprint,
        provider=reply.provider,
        citations=reply.citations,
        search_results=reply.search_results,
        moderation=reply.moderation,
        native=reply.native,
    ).attach(raw=raw)


def says_nothing(event: object) -> bool:
    """Whether a chunk is mere bookkeeping: a role, an empty text, the results of filters on the prompt."""
    if not isinstance(event, ChatCompletionChunk) or event.usage is not None:
        return False
    return all(_says_nothing(choice) for choice in event.choices)


def _says_nothing(choice: ChunkChoice) -> bool:
    if choice.finish_reason is not None:
        return False
    delta = choice.delta
    return not (
        delta.content
        or delta.tool_calls
        or delta.reasoning_content
        or delta.refusal
        or delta.audio
        or delta.function_call
        or delta.reasoning_details
        or delta.images
        or delta.annotations
        or delta.thinking_blocks
    )


def _choice(choice: Choice) -> ChunkChoice:
    message = choice.message
    call = message.function_call
    return ChunkChoice(
        index=choice.index,
        delta=Delta(
            role="assistant",
            content=message.content if message.content is None else message.text,
            refusal=message.refusal,
            tool_calls=[_call(index, call) for index, call in enumerate(message.tool_calls or ())] or None,
            function_call=None if call is None else FunctionCallDelta(name=call.name, arguments=call.arguments),
            reasoning_content=message.reasoning_content,
            reasoning_details=message.reasoning_details,
            audio=message.audio,
            annotations=message.annotations,
            images=message.images,
            thinking_blocks=message.thinking_blocks,
            native_content=message.native_content,
        ),
        finish_reason=choice.finish_reason,
        logprobs=choice.logprobs,
        native_finish_reason=choice.native_finish_reason,
        stop_sequence=choice.stop_sequence,
    )


def _call(index: int, call: ToolCall) -> ToolCallDelta:
    if call.custom is not None:
        custom = CustomCallDelta(name=call.custom.name, input=call.custom.input)
        return ToolCallDelta(index=index, id=call.id, type=call.type, custom=custom)
    function = FunctionCallDelta(name=call.function.name, arguments=call.function.arguments)
    return ToolCallDelta(index=index, id=call.id, type=call.type, function=function)

"""A whole reply as one chunk: what ``accumulate`` makes the same reply of."""

from ._chat_chunk import ChatCompletionChunk, ChunkChoice, CustomCallDelta, Delta, FunctionCallDelta, ToolCallDelta
from ._chat_response import ChatCompletionResponse, Choice
from ._tool import ToolCall


def chunk_of_reply(reply: ChatCompletionResponse) -> ChatCompletionChunk:
    """Make the one chunk of a stream that says all of ``reply`` at once."""
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
            reasoning=message.reasoning,
            reasoning_details=message.reasoning_details,
            audio=message.audio,
            annotations=message.annotations,
            images=message.images,
            thinking_blocks=message.thinking_blocks,
            tool_plan=message.tool_plan,
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

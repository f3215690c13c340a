"""A whole reply as the chunks of a stream, a word each."""

import re

from msgspec.structs import replace

from ..types import (
    AssistantMessage,
    ChatCompletionChunk,
    ChatCompletionResponse,
    Choice,
    ChunkChoice,
    CustomCallDelta,
    Delta,
    FunctionCallDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)

# A word takes the blanks before it along; those at the end are one more.
_WORDS = re.compile(r"\s*\S+|\s+")


def reply_of_text(text: str, model: str) -> ChatCompletionResponse:
    """Make the reply of a model that says ``text``, and that no token was used for."""
    choice = Choice(message=AssistantMessage(content=text), finish_reason="stop")
    return ChatCompletionResponse(id="mock", model=model, choices=[choice], usage=Usage())


def chunks_of_reply(reply: ChatCompletionResponse) -> list[ChatCompletionChunk]:
    """Take a reply apart, so that ``accumulate`` makes the same of its chunks.

    The words of all choices come first, then what else their messages have, how they finished, and the usage.
    """
    head = ChatCompletionChunk(id=reply.id, created=reply.created, model=reply.model)
    chunks: list[ChatCompletionChunk] = []
    for choice in reply.choices:
        text = choice.message.text
        for place, word in enumerate(_WORDS.findall(text)):
            delta = Delta(role=None if place else "assistant", content=word)
            chunks.append(replace(head, choices=[ChunkChoice(index=choice.index, delta=delta)]))
    rest = replace(
        head,
        choices=[_rest(choice) for choice in reply.choices],
        service_tier=reply.service_tier,
        system_fingerprint=reply.system_fingerprint,
        provider=reply.provider,
        citations=reply.citations,
        search_results=reply.search_results,
        moderation=reply.moderation,
        native=reply.native,
    )
    chunks.append(rest)
    if reply.usage is not None:
        chunks.append(replace(head, usage=reply.usage))
    return chunks


def _rest(choice: Choice) -> ChunkChoice:
    message = choice.message
    call = message.function_call
    delta = Delta(
        role=None if message.text else "assistant",
        content="" if message.content is not None and not message.text else None,
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
        native_content=message.native_content,
    )
    return ChunkChoice(
        index=choice.index,
        delta=delta,
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

"""A whole reply as the chunks of a stream, a word each."""

import re

from msgspec.structs import replace

from ..types import (
    AssistantMessage,
    ChatCompletionChunk,
    ChatCompletionResponse,
    Choice,
    ChunkChoice,
    Delta,
    Usage,
    chunk_of_reply,
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
    whole = chunk_of_reply(reply)
    chunks.append(replace(whole, choices=[_rest(choice) for choice in whole.choices], usage=None))
    if reply.usage is not None:
        chunks.append(replace(head, usage=reply.usage))
    return chunks


def _rest(choice: ChunkChoice) -> ChunkChoice:
    """What is left to say of a choice once the words of its text are told."""
    delta = choice.delta
    told = bool(delta.content)
    return replace(
        choice, delta=replace(delta, role=None if told else "assistant", content=None if told else delta.content)
    )

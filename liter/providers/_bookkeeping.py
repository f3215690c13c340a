"""Chunks and pieces that tell nothing yet: after them a refusal may still come."""

from ..types import ChatCompletionChunk, ChunkChoice, CompletionResponse


def says_nothing(event: object) -> bool:
    """Whether a chunk is mere bookkeeping: a role, an empty text, the results of filters on the prompt."""
    if not isinstance(event, ChatCompletionChunk) or event.usage is not None:
        return False
    return all(_says_nothing(choice) for choice in event.choices)


def completes_nothing(event: object) -> bool:
    """Whether a piece of a text completion has neither text nor a reason to end nor usage."""
    if not isinstance(event, CompletionResponse) or event.usage is not None:
        return False
    return not any(choice.text or choice.finish_reason for choice in event.choices)


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
        or delta.tool_plan
    )

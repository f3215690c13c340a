"""Streams of chats that break."""

from liter import ChatCompletionChunk, ChatCompletionRequest, LlmError, StreamingError, Usage
from liter.testing import Outcome
from liter.types import ChunkChoice, Delta

QUESTION = {"model": "gpt-4o", "messages": [{"role": "user", "content": "?"}]}
REQUEST = ChatCompletionRequest(**QUESTION)
USAGE = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)


def chunk(text: str | None = None, *, index: int = 0, finish: str | None = None, **delta: object) -> object:
    choice = ChunkChoice(index=index, delta=Delta(content=text, **delta), finish_reason=finish)
    return ChatCompletionChunk(choices=[choice])


def broken(*texts: str, error: LlmError | None = None) -> Outcome:
    return Outcome(events=[chunk(text) for text in texts], error=error or StreamingError("cut off"))


def whole(*texts: str) -> Outcome:
    return Outcome(events=[*(chunk(text) for text in texts), chunk(finish="stop")], usage=USAGE)

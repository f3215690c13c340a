"""What a call and its reply say, kept and redacted where capturing was asked for."""

from collections.abc import Mapping, Sequence

import msgspec

from .._reply import Reply
from ..types import ChatCompletionChunk, ResponseEvent, accumulate
from ._content import Json, input_content, output_content
from ._settings import Settings


class Captured:
    """Keeps the events of a stream until its end, as its content is told whole.

    Whoever makes none has nothing captured.
    """

    __slots__ = ("_chunks", "_response", "_settings")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._chunks: list[ChatCompletionChunk] = []
        self._response: object = None

    def add(self, event: object) -> None:
        """Keep an event."""
        if isinstance(event, ChatCompletionChunk):
            self._chunks.append(event)
        elif isinstance(event, ResponseEvent) and event.response is not None:
            self._response = event.response

    def content(self, request: msgspec.Struct, reply: Reply[object] | None) -> Mapping[str, Sequence[Json]]:
        """Return what was said, by attribute, as far as it may be told."""
        content = input_content(request)
        value: object = None
        if reply is not None:
            value = self._response or accumulate(self._chunks) if reply.streamed else reply.value
        content.update(output_content(value, finish_reason=self._settings.semconv != "latest"))
        redact = self._settings.redact
        if redact is None:
            return content
        redacted = {name: redact(name, said) for name, said in content.items()}
        return {name: said for name, said in redacted.items() if said is not None}

"""Text completions on OpenAI's wire."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import force_setattr

from .._contract import Call
from .._errors import StreamingError
from .._http import Headers, ServerSentEvent
from ..types import CompletionResponse, Usage
from ._classify import classify
from ._codec import Framing
from ._lenient import decode_leniently
from ._openai_usage import normal_usage
from ._read import read_json

_COMPLETION = msgspec.json.Decoder(CompletionResponse)


def read_completion(call: Call[object], body: bytes, headers: Headers) -> CompletionResponse:
    """Decode a text completion.

    :raises SerializationError: it cannot be read
    """
    return _normal(read_json(call, body, _COMPLETION, "a text completion"), body)


def _normal(told: CompletionResponse, body: bytes) -> CompletionResponse:
    if told.usage is not None:
        # It is not handed out yet, so it may still change.
        force_setattr(told, "usage", normal_usage(told.usage, body))
    return told


class CompletionStreamDecoder:
    """Decodes the pieces of a text completion. The stream ends with ``[DONE]``, or with every choice finished."""

    framing: Framing = "sse"

    def __init__(self, call: Call[object]) -> None:
        self.done = False
        self.usage: Usage | None = None
        self._call = call
        self._open: set[int] = set()
        self._finished = False

    def feed(self, event: ServerSentEvent) -> Sequence[CompletionResponse]:
        """Decode one piece."""
        data = event.data
        if data.strip() == b"[DONE]":
            self.done = True
            return ()
        route = self._call.route
        if b'"error"' in data and b'"choices"' not in data:
            raise classify(data, status=None, provider=route.provider, model=route.model)
        try:
            piece = _normal(decode_leniently(_COMPLETION, data), data)
        except msgspec.DecodeError as error:
            raise StreamingError(
                f"the stream has an event that cannot be read: {error}",
                provider=route.provider,
                model=route.model,
                body=data,
            ) from error
        for choice in piece.choices:
            if choice.finish_reason is None:
                self._open.add(choice.index)
            else:
                self._open.discard(choice.index)
                self._finished = True
        if piece.usage is not None:
            self.usage = piece.usage
        return (piece,)

    def whole(self, body: bytes) -> Sequence[CompletionResponse]:
        """Decode a plain body."""
        self.done = True
        reply = read_completion(self._call, body, Headers())
        self.usage = reply.usage
        return (reply,)

    def opening(self, event: object) -> bool:
        """A piece without text, reason or usage tells nothing yet."""
        if not isinstance(event, CompletionResponse) or event.usage is not None:
            return False
        return not any(choice.text or choice.finish_reason for choice in event.choices)

    def end(self) -> Sequence[CompletionResponse]:
        """:raises StreamingError: neither the end mark nor a reason to end came for every choice"""
        if not self.done and (self._open or not self._finished):
            raise StreamingError(
                "the stream ended before its end mark", provider=self._call.route.provider, model=self._call.route.model
            )
        self.done = True
        return ()

"""Text completions on OpenAI's wire."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import force_setattr

from .._contract import Call
from .._http import Headers, ServerSentEvent
from ..types import CompletionResponse
from ._bookkeeping import completes_nothing
from ._lenient import decode_leniently
from ._openai_usage import normal_usage
from ._read import read_json
from ._wire_decoder import WireDecoder

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


class CompletionStreamDecoder(WireDecoder):
    """Decodes the pieces of a text completion. The stream ends with ``[DONE]``, or with every choice finished."""

    def __init__(self, call: Call[object]) -> None:
        super().__init__(call.route.provider, call.route.model)
        self._call = call
        self._open: set[int] = set()
        self._finished = False

    def feed(self, event: ServerSentEvent) -> Sequence[CompletionResponse]:
        """Decode one piece."""
        data = event.data
        if data.strip() == b"[DONE]":
            self.done = True
            return ()
        if b'"error"' in data and b'"choices"' not in data:
            raise self._reported(data)
        try:
            piece = _normal(decode_leniently(_COMPLETION, data), data)
        except msgspec.DecodeError as error:
            raise self._unreadable(error, data) from error
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
        """Whether a piece says nothing yet."""
        return completes_nothing(event)

    def end(self) -> Sequence[CompletionResponse]:
        """:raises StreamingError: neither the end mark nor a reason to end came for every choice"""
        if not self.done and (self._open or not self._finished):
            raise self._cut_off("neither [DONE] nor every finish reason came")
        self.done = True
        return ()

"""Streams of typed events that end with one of them: images, speech, transcriptions on OpenAI's wire."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

import msgspec

from .._http import ServerSentEvent
from ..types import Usage
from ._lenient import decode_leniently
from ._wire_decoder import WireDecoder

W = TypeVar("W", bound=msgspec.Struct)
E = TypeVar("E", bound=msgspec.Struct)


class EventStreamDecoder(WireDecoder, Generic[W, E]):
    """Decodes events that say in ``type`` what they are.

    :param decoder: for one struct that has the wire's fields of all
    :param make: makes our event of it
    :param last: how the ``type`` of the terminal event ends, such as ``".completed"``
    :param of_whole: makes the events of a plain JSON body that came in place of a stream
    """

    def __init__(
        self,
        decoder: "msgspec.json.Decoder[W]",
        make: Callable[[W], E],
        last: str,
        of_whole: Callable[[bytes], Sequence[E]],
        *,
        provider: str,
        model: str,
    ) -> None:
        super().__init__(provider, model)
        self._decoder = decoder
        self._make = make
        self._last = last
        self._of_whole = of_whole

    def feed(self, event: ServerSentEvent) -> Sequence[E]:
        """Decode one event."""
        if event.data == b"[DONE]":
            self.done = True
            return ()
        try:
            told = decode_leniently(self._decoder, event.data)
        except msgspec.DecodeError as error:
            raise self._unreadable(error, event.data) from error
        kind = cast("str", getattr(told, "type", ""))
        if kind == "error" or (not kind and b'"error"' in event.data) or event.event == "error":
            raise self._reported(event.data)
        if kind.endswith(self._last):
            self.done = True
        made = self._make(told)
        usage = getattr(made, "usage", None)
        if isinstance(usage, Usage):
            self.usage = usage
        return (made,)

    def whole(self, body: bytes) -> Sequence[E]:
        """Decode a plain body."""
        self.done = True
        return self._of_whole(body)

    def end(self) -> Sequence[E]:
        """:raises StreamingError: the terminal event never came"""
        if not self.done:
            raise self._cut_off(f"no {self._last.lstrip('.')!r} event came")
        return ()

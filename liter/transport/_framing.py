"""Streams cut into frames: server-sent events, event-stream messages, lines, or the bytes just as they come. No I/O."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from .._errors import StreamingError
from .._http import ServerSentEvent
from ._eventstream import EventStreamDecoder
from ._sse import SSEDecoder


class Framer(Protocol):
    """Bytes of one stream in, frames out."""

    def feed(self, data: bytes, /) -> Sequence[object]:
        """Add received bytes, and return the frames that they complete.

        :raises StreamingError: a frame is larger than allowed, or broken
        """
        ...

    def end(self) -> Sequence[object]:
        """The stream has ended: return the frame that only its end completes.

        :raises StreamingError: it ended inside a frame
        """
        ...


class EventFramer(SSEDecoder):
    """Server-sent events as some servers send them, beyond the standard.

    An event that only the empty line after it is missing from counts at the end of the body. The standard drops it, as
    its reader will connect again; here there is nothing to connect to, and what is whole JSON has lost nothing.
    Where the empty lines between events are left out, each line of data that is JSON by itself is an event.
    """

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Add received bytes, and return the events that they complete."""
        events = super().feed(data)
        if any(b"\n" in event.data for event in events):
            return [one for event in events for one in _parted(event)]
        return events

    def end(self) -> tuple[ServerSentEvent, ...]:
        """The stream has ended: return what was begun, if it is whole."""
        event = self._parse(bytes(self._pending).rstrip(b"\n"))
        super().end()
        return () if event is None else tuple(one for one in _parted(event) if _is_json(one.data))


def _parted(event: ServerSentEvent) -> list[ServerSentEvent]:
    lines = event.data.split(b"\n")
    if len(lines) > 1 and not _is_json(event.data) and all(map(_is_json, lines)):
        return [ServerSentEvent(line, event.event, event.id) for line in lines]
    return [event]


def _is_json(data: bytes) -> bool:
    if data == b"[DONE]":
        return True
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


class LineFramer:
    """Lines, as of NDJSON: each a ``bytes`` without its line end. Empty ones are left out."""

    def __init__(self, max_line_bytes: int) -> None:
        self._max_line_bytes = max_line_bytes
        self._begun = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Add received bytes, and return the lines that they complete."""
        *whole, rest = data.split(b"\n")
        if not whole:
            self._begun += rest
            self._check(len(self._begun))
            return []
        whole[0] = bytes(self._begun) + whole[0]
        self._begun[:] = rest
        self._check(max(len(rest), *map(len, whole)))
        return [line for line in (line.strip() for line in whole) if line]

    def end(self) -> list[bytes]:
        """The last line needs no line end."""
        line = bytes(self._begun).strip()
        self._begun.clear()
        return [line] if line else []

    def _check(self, size: int) -> None:
        if size > self._max_line_bytes:
            raise StreamingError(f"a line of the stream is larger than {self._max_line_bytes} bytes")


class PieceFramer:
    """Each piece as it was received."""

    def feed(self, data: bytes) -> tuple[bytes]:
        """Return the piece."""
        return (data,)

    def end(self) -> tuple[()]:
        """Nothing is held back."""
        return ()


_FRAMERS: Mapping[str, Callable[[int], Framer]] = {
    "sse": EventFramer,
    "eventstream": EventStreamDecoder,
    "lines": LineFramer,
    "bytes": lambda max_event_bytes: PieceFramer(),
}


def framer(framing: str, max_event_bytes: int) -> Framer:
    """Make the framer of a stream. A frame of more than ``max_event_bytes`` is refused."""
    return _FRAMERS[framing](max_event_bytes)

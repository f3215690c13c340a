"""Takes GOAWAY frames out of what an HTTP/2 peer sends.

The h2 library takes a GOAWAY for the end: it drops what it was about to send, and refuses every frame after
it. In RFC 9113, 6.8, it means that no *new* streams are taken while the older ones go on to their end, which
is how servers are restarted under load. So h2 never sees one.
"""

from collections.abc import Iterator
from typing import NamedTuple

_FRAME_HEADER = 9
_GOAWAY = 0x07
_GOAWAY_FIELDS = 8
# The largest frame that we allow the peer: RFC 9113, 6.5.2. What is larger is h2's to refuse.
_MAX_FRAME = 16 * 1024


class GoAway(NamedTuple):
    """The peer takes no more streams, and ignored those above ``last_stream_id``."""

    last_stream_id: int
    error_code: int
    debug: bytes


class GoAwayFilter:
    """Splits received bytes into those for h2, unchanged and in order, and GOAWAY frames."""

    __slots__ = ("_frame_left", "_held")

    def __init__(self) -> None:
        self._held = b""  # begun: a frame's header, or a GOAWAY
        self._frame_left = 0  # how many bytes are to come of the frame that h2 has the start of

    def split(self, data: bytes) -> Iterator[bytes | GoAway]:
        if self._held:
            data = self._held + data
            self._held = b""
        start, position = 0, self._frame_left
        while position + _FRAME_HEADER <= len(data):
            length = int.from_bytes(data[position : position + 3], "big")
            payload = position + _FRAME_HEADER
            if data[position + 3] == _GOAWAY and _GOAWAY_FIELDS <= length <= _MAX_FRAME:
                if payload + length > len(data):
                    break
                if start < position:
                    yield data[start:position]
                fields = data[payload : payload + length]
                last_stream_id = int.from_bytes(fields[:4], "big") & 0x7FFF_FFFF
                yield GoAway(last_stream_id, int.from_bytes(fields[4:8], "big"), fields[8:])
                start = payload + length
            position = payload + length
        # From here on: the rest of a frame, or one that cannot be told yet.
        end = min(position, len(data))
        self._frame_left = position - end
        self._held = data[end:]
        if start < end:
            yield data[start:end]

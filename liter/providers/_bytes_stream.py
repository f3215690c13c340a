"""Streams of bytes: sound and files, as they come."""

from collections.abc import Sequence

from .._contract import Call
from .._http import Headers
from ..types import BinaryContent, Usage
from ._codec import Framing


def read_bytes(provider: object, call: Call[object], body: bytes, headers: Headers) -> BinaryContent:
    """Take a whole body as it is."""
    return BinaryContent(body)


class BytesDecoder:
    """Hands each piece on as it is, to the end of the body. One that breaks off is the transport's to tell."""

    framing: Framing = "bytes"

    def __init__(self) -> None:
        self.done = False
        self.usage: Usage | None = None

    def feed(self, piece: bytes) -> Sequence[bytes]:
        """Return the piece."""
        return (piece,) if piece else ()

    def whole(self, body: bytes) -> Sequence[bytes]:
        """Return the body."""
        return self.feed(body)

    def opening(self, event: object) -> bool:
        """Every piece tells something."""
        return False

    def end(self) -> Sequence[bytes]:
        """Nothing is left."""
        self.done = True
        return ()

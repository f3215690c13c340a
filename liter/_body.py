"""Bodies of responses: their beginning, and the rest of them."""

from ._errors import SerializationError
from .transport import Response

_MARK = b"\xef\xbb\xbf"
# Blanks of JSON and of event streams, and the byte order mark that may come before them.
_BLANK = b" \t\r\n" + _MARK
# Servers keep a connection alive with blank lines; so many say that nothing else will come soon.
_MOST_BLANK = 64 * 1024


async def read_first(response: Response) -> bytes:
    """Read a body up to its first byte that is not blank; empty: it has none."""
    begun = b""
    while not begun.lstrip(_BLANK) and len(begun) < _MOST_BLANK:
        piece = await response.read_chunk()
        if not piece:
            break
        begun += piece
    return begun


def is_json(begun: bytes) -> bool:
    """Whether a body that begins so is a JSON object or list, and no event stream."""
    return begun.lstrip(_BLANK)[:1] in (b"{", b"[")


def without_mark(body: bytes) -> bytes:
    """A body without the byte order mark that some servers begin it with."""
    return body.removeprefix(_MARK)


async def read_rest(response: Response, limit: int, *, cut: bool = False) -> bytes:
    """Read the rest of a body, at most ``limit`` bytes: beyond them it is cut, or refused."""
    pieces: list[bytes] = []
    size = 0
    while piece := await response.read_chunk():
        size += len(piece)
        pieces.append(piece)
        if size > limit:
            if not cut:
                raise SerializationError(f"the reply is larger than max_response_bytes={limit}")
            break
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)

"""An HTTP/1.1 response parser: bytes in, head and body out, no I/O.

h11 does this and more; a client of LLM streams pays for its generality with about 75 us a request and
10 us a chunk. This one covers the client's half of RFC 9112 strictly, and the tests compare it with h11
on generated responses at every split.

States::

    HEAD --head--> LENGTH | CHUNK_SIZE | UNTIL_CLOSE | DONE
    CHUNK_SIZE --size--> CHUNK_DATA --> CHUNK_END --> CHUNK_SIZE;  --0--> TRAILERS --> DONE
"""

import enum
import re
from typing import NamedTuple

import httpcore

from .._http import Headers

# What h11 allows for a head (DEFAULT_MAX_INCOMPLETE_EVENT_SIZE is 16 KiB), times four: some gateways
# put policies and traces into headers.
MAX_HEAD = 64 * 1024
# A chunk-size line is a few digits; extensions are rare, and ignored.
MAX_CHUNK_LINE = 4 * 1024

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\x00\r\n]*)?\r?\n")
# RFC 9110, 5.5 and 5.6.2. Obsolete line folding is refused, as RFC 9112, 5.2 allows.
_HEADER_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00\r\n]*?)[ \t]*\r?\n")
_HEADER_LINES = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00\r\n]*\r?\n)*")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\x00\r\n]*)?")


class Head(NamedTuple):
    """Status line and headers. ``keep_alive``: another request may follow once the body is complete."""

    status: int
    headers: Headers
    keep_alive: bool


class _State(enum.Enum):
    HEAD = enum.auto()
    LENGTH = enum.auto()
    CHUNK_SIZE = enum.auto()
    CHUNK_DATA = enum.auto()
    CHUNK_END = enum.auto()
    TRAILERS = enum.auto()
    UNTIL_CLOSE = enum.auto()
    DONE = enum.auto()


_HEAD, _LENGTH, _CHUNK_SIZE, _CHUNK_DATA, _CHUNK_END, _TRAILERS, _UNTIL_CLOSE, _DONE = _State


class ResponseParser:
    """Parses one response. Feed it bytes; take the head once it is there, then the body piece by piece.

    :param method: of the request; the answer to ``HEAD`` has no body whatever its headers say
    """

    __slots__ = ("_buffer", "_left", "_method", "_state")

    def __init__(self, method: str) -> None:
        self._method = method
        self._state = _HEAD
        self._buffer: bytes = b""
        self._left = 0  # bytes to come of the body (LENGTH) or of the chunk (CHUNK_DATA)

    @property
    def complete(self) -> bool:
        """Whether the whole message is in."""
        return self._state is _DONE

    @property
    def surplus(self) -> bytes:
        """What came after the message's end: on a client's connection, nothing good."""
        return self._buffer if self._state is _DONE else b""

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._buffer = self._buffer + data if self._buffer else data

    def take_head(self) -> Head | None:
        """Return the head once it is in, skipping informational (1xx) ones; ``None`` before.

        :raises httpcore.RemoteProtocolError: this is not an HTTP/1.1 response, or its framing is ambiguous
        """
        while True:
            found = _HEAD_END.search(self._buffer)
            if found is None:
                if len(self._buffer) > MAX_HEAD:
                    raise httpcore.RemoteProtocolError(f"the response's head is larger than {MAX_HEAD} bytes")
                if self._buffer and not b"HTTP/1.".startswith(self._buffer[:7]):
                    raise httpcore.RemoteProtocolError(f"not an HTTP/1.1 response: {self._buffer[:40]!r}")
                return None
            # The last header's line end stays, the empty line goes.
            block = self._buffer[: found.start()] + b"\n"
            self._buffer = self._buffer[found.end() :]
            status_line = _STATUS_LINE.match(block)
            if status_line is None:
                raise httpcore.RemoteProtocolError(f"not an HTTP/1.1 response: {block[:40]!r}")
            status = int(status_line[2])
            if 100 <= status < 200 and status != 101:
                continue
            start = status_line.end()
            if _HEADER_LINES.fullmatch(block, start) is None:
                raise httpcore.RemoteProtocolError("the response has an illegal header line")
            return self._frame(status, _HEADER_LINE.findall(block, start), status_line[1] == b"1")

    def _frame(self, status: int, raw: list[tuple[bytes, bytes]], version_1_1: bool) -> Head:
        """Choose how the body is delimited: RFC 9112, 6.3."""
        lengths: set[bytes] = set()
        codings: list[bytes] = []
        connection = b""
        for name, value in raw:
            size = len(name)
            if size == 14 and name.lower() == b"content-length":
                lengths.update(part.strip() for part in value.split(b","))
            elif size == 17 and name.lower() == b"transfer-encoding":
                codings += value.lower().split(b",")
            elif size == 10 and name.lower() == b"connection":
                connection += b"," + value.lower()
        options = [option.strip() for option in connection.split(b",")] if connection else []
        keep_alive = b"close" not in options if version_1_1 else b"keep-alive" in options
        if self._method == "HEAD" or status in (101, 204, 304):
            self._state = _DONE
        elif codings:
            if [coding.strip() for coding in codings] != [b"chunked"]:
                raise httpcore.RemoteProtocolError("the response has a transfer-encoding other than chunked")
            self._state = _CHUNK_SIZE
            # Both at once is how requests are smuggled: read it as chunked and never reuse the connection.
            keep_alive = keep_alive and not lengths
        elif lengths:
            (length, *others) = lengths
            if others or not length.isdigit() or len(length) > 18:
                raise httpcore.RemoteProtocolError("the response has an illegal content-length")
            self._left = int(length)
            self._state = _LENGTH if self._left else _DONE
        else:
            self._state = _UNTIL_CLOSE
            keep_alive = False
        return Head(status, Headers(raw), keep_alive and status != 101)

    def take_body(self) -> bytes:
        """Return what is in of the body and was not taken yet; may be empty.

        :raises httpcore.RemoteProtocolError: the chunked coding is broken
        """
        state, buffer = self._state, self._buffer
        if state is _LENGTH:
            body = buffer if len(buffer) <= self._left else buffer[: self._left]
            self._buffer = buffer[len(body) :]
            self._left -= len(body)
            if not self._left:
                self._state = _DONE
            return body
        if state is _UNTIL_CLOSE:
            self._buffer = b""
            return buffer
        if state is _DONE or not buffer:
            return b""
        return self._take_chunks()

    def _take_chunks(self) -> bytes:
        buffer, state, left = self._buffer, self._state, self._left
        position, size = 0, len(buffer)
        pieces: list[bytes] = []
        while state is not _DONE:
            if state is _CHUNK_DATA:
                piece = buffer[position : position + left]
                pieces.append(piece)
                position += len(piece)
                left -= len(piece)
                if left:
                    break
                state = _CHUNK_END
            if state is _CHUNK_END:
                if size - position < 2 and buffer[position:] != b"\n":
                    break
                if buffer.startswith(b"\r\n", position):
                    position += 2
                elif buffer.startswith(b"\n", position):
                    position += 1
                else:
                    raise httpcore.RemoteProtocolError("a chunk of the response is longer than it says")
                state = _CHUNK_SIZE
            end = buffer.find(b"\n", position)
            if end < 0:
                if size - position > MAX_CHUNK_LINE:
                    raise httpcore.RemoteProtocolError("the response has an endless chunk header or trailer")
                break
            line = buffer[position:end].removesuffix(b"\r")
            position = end + 1
            if state is _TRAILERS:
                if not line:
                    state = _DONE
            else:
                header = _CHUNK_LINE.fullmatch(line)
                if header is None:
                    raise httpcore.RemoteProtocolError(f"the response has an illegal chunk header: {line[:40]!r}")
                left = int(header[1], 16)
                state = _CHUNK_DATA if left else _TRAILERS
        self._buffer, self._state, self._left = buffer[position:], state, left
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def end(self) -> None:
        """The peer closed the connection: the end of a body that has no other, else an error.

        :raises httpcore.RemoteProtocolError: the message is not complete
        """
        if self._state is _UNTIL_CLOSE:
            self._state = _DONE
        elif self._state is _HEAD:
            raise httpcore.RemoteProtocolError("the server closed the connection without an answer")
        elif self._state is not _DONE:
            raise httpcore.RemoteProtocolError("the server closed the connection before the end of the body")

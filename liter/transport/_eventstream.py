"""Messages of ``application/vnd.amazon.eventstream``: bytes in, messages out, and back. No I/O.

A message is, in network byte order, a prelude (its length, the length of its headers, the CRC-32 of these eight bytes),
headers, a payload, and the CRC-32 of all before it. Nothing marks where one begins, so a message that breaks its form
ends the stream. The prelude is checked before a byte of the message is kept: a wrong length costs no memory.

The format is that of AWS's and Smithy's specification of event streams.
"""

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Literal
from zlib import crc32

from .._errors import StreamingError
from .._http import EventHeader, EventMessage

# The limits of the specification.
MAX_HEADERS_BYTES = 128 * 1024
MAX_MESSAGE_BYTES = 24 * 1024 * 1024

_PRELUDE = struct.Struct(">III")
_CHECKSUM = struct.Struct(">I")
_LENGTHS = struct.Struct(">II")
_AROUND = _PRELUDE.size + _CHECKSUM.size

# Fixed-size values, by the byte that stands for their type.
_NUMBERS: Mapping[int, tuple[Literal["byte", "short", "integer", "long", "timestamp"], struct.Struct]] = {
    2: ("byte", struct.Struct(">b")),
    3: ("short", struct.Struct(">h")),
    4: ("integer", struct.Struct(">i")),
    5: ("long", struct.Struct(">q")),
    8: ("timestamp", struct.Struct(">q")),
}
_CODES = {"true": 0, "false": 1, "byte_array": 6, "string": 7, "uuid": 9} | {
    name: code for code, (name, _) in _NUMBERS.items()
}
_LENGTH = struct.Struct(">H")
_UUID_BYTES = 16


class EventStreamDecoder:
    """Decodes one stream.

    Messages that came whole before a broken one are handed out first: the error is raised by the next call.

    :param max_event_bytes: the largest message
    """

    __slots__ = ("_failure", "_max_bytes", "_needed", "_pending", "unfinished")

    def __init__(self, max_event_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._max_bytes = max_event_bytes
        self._pending = bytearray()
        self._needed = _PRELUDE.size
        self._failure: str | None = None
        #: after :meth:`end`: whether the stream ended in the middle of a message
        self.unfinished: bool = False

    def feed(self, data: bytes) -> list[EventMessage]:
        """Add received bytes, and return the messages that they complete.

        :raises StreamingError: a checksum or a length is wrong, headers cannot be read, or a message is larger than
            ``max_event_bytes``; nothing more can be decoded
        """
        self._check()
        pending = self._pending
        pending += data
        if len(pending) < self._needed:
            return []
        messages: list[EventMessage] = []
        start = 0
        with memoryview(pending) as view:
            try:
                while len(view) - start >= _PRELUDE.size:
                    size, headers_end = self._lengths(view, start)
                    if len(view) - start < size:
                        self._needed = size
                        break
                    messages.append(_message(view[start : start + size], headers_end))
                    start += size
                else:
                    self._needed = _PRELUDE.size
            except _BrokenError as error:
                self._failure = str(error)
        if self._failure is not None:
            pending.clear()
            if not messages:
                self._check()
        del pending[:start]
        return messages

    def end(self) -> tuple[()]:
        """Tell that the stream is over: drops what was begun, and sets :attr:`unfinished`.

        :raises StreamingError: the stream was broken, and that was not told yet
        """
        self.unfinished = bool(self._pending)
        self._pending.clear()
        self._check()
        return ()

    def _check(self) -> None:
        if self._failure is not None:
            raise StreamingError(f"the event stream is broken: {self._failure}")

    def _lengths(self, view: memoryview, start: int) -> tuple[int, int]:
        """The size of the message that begins here, and where in it the headers end."""
        size, headers, checksum = _PRELUDE.unpack_from(view, start)
        if crc32(view[start : start + _LENGTHS.size]) != checksum:
            raise _BrokenError("the checksum of a message's lengths is wrong")
        if headers > MAX_HEADERS_BYTES or headers + _AROUND > size:
            raise _BrokenError(f"a message of {size} bytes claims {headers} bytes of headers")
        if size > self._max_bytes:
            raise _BrokenError(f"a message of {size} bytes is larger than {self._max_bytes}")
        return size, _PRELUDE.size + headers

    def __repr__(self) -> str:
        return f"<EventStreamDecoder {len(self._pending)} bytes of a begun message>"


class _BrokenError(Exception):
    """A message breaks its form."""


def _message(view: memoryview, headers_end: int) -> EventMessage:
    end = len(view) - _CHECKSUM.size
    (checksum,) = _CHECKSUM.unpack_from(view, end)
    if crc32(view[:end]) != checksum:
        raise _BrokenError("the checksum of a message is wrong")
    headers = bytes(view[_PRELUDE.size : headers_end])
    # The messages of one stream share a few short headers; long ones would only fill the memory.
    read: Callable[[bytes], tuple[EventHeader, ...]] = _short_headers if len(headers) <= 256 else _headers
    return EventMessage(read(headers), bytes(view[headers_end:end]))


def _headers(data: bytes) -> tuple[EventHeader, ...]:
    headers: list[EventHeader] = []
    names: set[str] = set()
    place = 0
    try:
        while place < len(data):
            name_end = place + 1 + data[place]
            name = data[place + 1 : name_end].decode()
            header, place = _header(name, data[name_end], data, name_end + 1)
            if name in names:
                raise _BrokenError(f"a message has the header {name!r} twice")
            names.add(name)
            headers.append(header)
    except (IndexError, struct.error, UnicodeDecodeError):
        raise _BrokenError("the headers of a message cannot be read") from None
    return tuple(headers)


_short_headers = lru_cache(maxsize=64)(_headers)


def _header(name: str, code: int, data: bytes, place: int) -> tuple[EventHeader, int]:
    """One header whose value is at ``place``, and where the next one begins."""
    if code in (0, 1):
        return EventHeader(name, "true" if code == 0 else "false", code == 0), place
    if code in _NUMBERS:
        kind, layout = _NUMBERS[code]
        number: int = layout.unpack_from(data, place)[0]
        return EventHeader(name, kind, number), place + layout.size
    if code in (6, 7):
        start = place + _LENGTH.size
        size: int = _LENGTH.unpack_from(data, place)[0]
    elif code == 9:
        start, size = place, _UUID_BYTES
    else:
        raise _BrokenError(f"the header {name!r} has a value of the unknown type {code}")
    value = data[start : start + size]
    if len(value) < size:
        raise IndexError(start + size)
    if code == 7:
        return EventHeader(name, "string", value.decode()), start + size
    return EventHeader(name, "byte_array" if code == 6 else "uuid", value), start + size


def encode_message(message: EventMessage) -> bytes:
    """Make the bytes of a message.

    :raises ValueError: a header's value does not fit its type, or is too long
    """
    try:
        headers = b"".join(map(_encoded, message.headers))
    except (struct.error, TypeError, ValueError) as error:
        raise ValueError(f"a header does not fit its type: {error}") from error
    lengths = _LENGTHS.pack(len(headers) + len(message.payload) + _AROUND, len(headers))
    body = lengths + _CHECKSUM.pack(crc32(lengths)) + headers + message.payload
    return body + _CHECKSUM.pack(crc32(body))


def _encoded(header: EventHeader) -> bytes:
    name, code, value = header.name.encode(), _CODES[header.type], header.value
    head = bytes((len(name),)) + name + bytes((code,))
    if code in _NUMBERS:
        return head + _NUMBERS[code][1].pack(value)
    if code in (0, 1):
        return head
    data = value.encode() if isinstance(value, str) else value
    if not isinstance(data, bytes) or (code == 9 and len(data) != _UUID_BYTES):
        raise TypeError(f"{header.type} cannot be {value!r}")
    return head + data if code == 9 else head + _LENGTH.pack(len(data)) + data

"""Server-sent events: bytes of a ``text/event-stream`` in, events out. No I/O.

The rules are those of the WHATWG HTML standard, 9.2.6. Theory of operation: line ends are normalised to LF as the
bytes come in, which makes an event the text up to an empty line, ``LF LF``. So whole events are cut out with one
``split``, and the two forms that LLM providers send (``data: ...``, and ``event: ...`` before it) are taken apart
without looking at single lines; any other event goes through :meth:`SSEDecoder._parse`.
"""

from .._errors import StreamingError
from .._http import ServerSentEvent

# Larger than any event seen: an image in base64 is about 3 MiB.
MAX_EVENT_BYTES = 16 * 1024 * 1024
# A year in milliseconds has 11 digits; int() refuses more than 4300.
_RETRY_DIGITS = 15

_BOM = b"\xef\xbb\xbf"


class SSEDecoder:
    """Decodes one event stream.

    An event is complete with its empty line; one that is cut off by the end of the stream is dropped.

    :param max_event_bytes: the largest event, its field names, comments and inner line ends included
    """

    __slots__ = (
        "_at_start",
        "_broken",
        "_max_event_bytes",
        "_pending",
        "_skip_lf",
        "last_event_id",
        "retry",
        "unfinished",
    )

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._pending = bytearray()  # the begun event
        self._at_start = True  # a byte order mark may come
        self._skip_lf = False  # the last byte was a CR: an LF now belongs to it
        self._broken = False
        #: the ``id`` of the latest event that had one
        self.last_event_id: str = ""
        #: the reconnection time that the server last asked for, in milliseconds; ``None``: it never did
        self.retry: int | None = None
        #: after :meth:`end`: whether the stream ended in the middle of an event
        self.unfinished: bool = False

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Add received bytes, and return the events that they complete.

        :raises StreamingError: an event is larger than ``max_event_bytes``; nothing more can be decoded
        """
        if self._broken:
            raise StreamingError("the stream had too large an event before")
        if self._skip_lf and data:
            self._skip_lf = False
            if data[0] == 0x0A:
                data = data[1:]
        if b"\r" in data:
            self._skip_lf = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if self._at_start:
            data = bytes(self._pending) + data
            self._pending.clear()
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._pending += data
                return []
            self._at_start = False
            data = data.removeprefix(_BOM)

        pending = self._pending
        if pending:
            # Only what is new is searched: an event that comes byte by byte must not cost its square.
            seen = len(pending)
            pending += data
            if pending.find(b"\n\n", seen - 1) < 0:
                self._check_size(len(pending) - pending.endswith(b"\n"))
                return []
            data = bytes(pending)
            pending.clear()
        *blocks, rest = data.split(b"\n\n")
        events: list[ServerSentEvent] = []
        limit = self._max_event_bytes
        for block in blocks:
            if len(block) > limit:
                self._check_size(len(block.lstrip(b"\n")))
            if block.startswith(b"data: ") and b"\n" not in block:
                events.append(ServerSentEvent(block[6:], "message", self.last_event_id))
                continue
            if block.startswith(b"event: "):
                name, _, line = block.partition(b"\n")
                if len(name) > 7 and line.startswith(b"data: ") and b"\n" not in line:
                    events.append(ServerSentEvent(line[6:], name[7:].decode("utf-8", "replace"), self.last_event_id))
                    continue
            event = self._parse(block)
            if event is not None:
                events.append(event)
        # Empty lines before an event are no part of it.
        rest = rest.lstrip(b"\n")
        if rest:
            pending += rest
            self._check_size(len(rest) - rest.endswith(b"\n"))
        return events

    def end(self) -> tuple[ServerSentEvent, ...]:
        """Tell that the stream is over: drops what was begun, and sets :attr:`unfinished`."""
        self.unfinished = any(line and not line.startswith(b":") for line in self._pending.split(b"\n"))
        self._pending.clear()
        return ()

    def _parse(self, block: bytes) -> ServerSentEvent | None:
        """Take an event apart line by line; ``None`` when it has no data, and so is none."""
        name = b""
        data: list[bytes] = []
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"data":
                data.append(value)
            elif field == b"event":
                name = value
            elif field == b"id":
                if b"\0" not in value:
                    self.last_event_id = value.decode("utf-8", "replace")
            elif field == b"retry" and value.isdigit() and len(value) <= _RETRY_DIGITS:
                self.retry = int(value)
        if not data:
            return None
        return ServerSentEvent(b"\n".join(data), name.decode("utf-8", "replace") or "message", self.last_event_id)

    def _check_size(self, size: int) -> None:
        if size > self._max_event_bytes:
            # What follows would be taken for the start of an event: there is no way back into step.
            self._broken = True
            self._pending.clear()
            raise StreamingError(f"the stream has an event larger than {self._max_event_bytes} bytes")

    def __repr__(self) -> str:
        return f"<SSEDecoder {len(self._pending)} bytes of a begun event>"

"""The body of a request as it comes in: all of it, or its beginning and its end."""

# Enough for the fields of a form, before and after its file.
KEPT = 64 * 1024


class Body:
    """Gathers a body. Unless it is to be kept, the middle of a large one is counted and dropped.

    :ivar size: how many bytes have come
    """

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self._beginning = bytearray()
        self._end = bytearray()
        self.size = 0

    def add(self, data: bytes) -> None:
        """Take a piece."""
        self.size += len(data)
        if self._keep:
            self._beginning += data
            return
        room = max(0, KEPT - len(self._beginning))
        self._beginning += data[:room]
        self._end += data[room:]
        if len(self._end) > 4 * KEPT:
            del self._end[:-KEPT]

    def __bytes__(self) -> bytes:
        return bytes(self._beginning + (self._end if len(self._end) <= KEPT else self._end[-KEPT:]))

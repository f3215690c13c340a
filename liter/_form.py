"""Forms with files, as ``multipart/form-data``: RFC 7578, with names escaped as the WHATWG HTML standard says."""

import secrets
from collections.abc import Callable, Iterable, Iterator

from .types._file import File

Progress = Callable[[int, int], None]


class Form:
    """Fields and files, in order. Values are sent as they are; files are read while they are sent.

    :param fields: names and values; a name may come more than once
    :param progress: called with the bytes sent so far, and with all that there are
    """

    def __init__(
        self,
        fields: Iterable[tuple[str, str | File]],
        *,
        progress: Progress | None = None,
        boundary: str | None = None,
    ) -> None:
        self.fields: tuple[tuple[str, str | File], ...] = tuple(fields)
        self.progress = progress
        # Long enough that no file has it by chance.
        self.boundary: str = boundary or secrets.token_hex(16)

    @property
    def content_type(self) -> bytes:
        """The media type, with the boundary."""
        return b"multipart/form-data; boundary=" + self.boundary.encode("ascii")

    def parts(self) -> Iterator[bytes | File]:
        """The body, piece by piece."""
        for name, value in self.fields:
            head = f'--{self.boundary}\r\ncontent-disposition: form-data; name="{_escaped(name)}"'
            if isinstance(value, str):
                yield f"{head}\r\n\r\n{value}\r\n".encode()
            else:
                yield f'{head}; filename="{_escaped(value.name)}"\r\ncontent-type: {value.media_type}\r\n\r\n'.encode()
                yield value
                yield b"\r\n"
        yield f"--{self.boundary}--\r\n".encode()

    def __repr__(self) -> str:
        return f"Form({', '.join(name for name, _ in self.fields)})"


class Related(Form):
    """A file, and JSON about it before: ``multipart/related``, RFC 2387, as Google's uploads have it."""

    def __init__(
        self, facts: bytes, file: File, *, progress: Progress | None = None, boundary: str | None = None
    ) -> None:
        super().__init__([("file", file)], progress=progress, boundary=boundary)
        self.facts = facts
        self.file = file

    @property
    def content_type(self) -> bytes:
        """The media type, with the boundary."""
        return b"multipart/related; boundary=" + self.boundary.encode("ascii")

    def parts(self) -> Iterator[bytes | File]:
        """The body, piece by piece."""
        yield f"--{self.boundary}\r\ncontent-type: application/json; charset=utf-8\r\n\r\n".encode() + self.facts
        yield f"\r\n--{self.boundary}\r\ncontent-type: {self.file.media_type}\r\n\r\n".encode()
        yield self.file
        yield f"\r\n--{self.boundary}--\r\n".encode()


class Enclosed(Form):
    """A file with something before and after it, as one body: JSON with a list whose items are in the file."""

    def __init__(self, before: bytes, file: File, after: bytes, *, progress: Progress | None = None) -> None:
        super().__init__([("file", file)], progress=progress, boundary="-")
        self.before = before
        self.file = file
        self.after = after

    @property
    def content_type(self) -> bytes:
        """JSON's."""
        return b"application/json"

    def parts(self) -> Iterator[bytes | File]:
        """The body, piece by piece."""
        yield self.before
        yield self.file
        yield self.after


def _escaped(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")

"""Files that callers give: a path, bytes, an open file."""

import io
import mimetypes
import os
from pathlib import PurePath
from typing import BinaryIO, cast

# A path; the content; an open binary file; or one of these with a file name before it.
FileContent = str | os.PathLike[str] | bytes | BinaryIO


class File:
    """A file to be sent: its name, where its content is, and its media type. Nothing is opened or read before that.

    :param content: a path, bytes, or a file opened in binary mode, which is read from where it stands
    :param name: what the provider is told; by default the path's last part
    :param media_type: by default what the name tells
    :raises ValueError: it is nothing that can be a file
    """

    __slots__ = ("_start", "_taken", "content", "media_type", "name")

    def __init__(self, content: FileContent, *, name: str | None = None, media_type: str | None = None) -> None:
        self.content: os.PathLike[str] | bytes | BinaryIO = _checked(content)
        self.name: str = name or _name(self.content)
        self.media_type: str = media_type or _media_type(self.name)
        self._taken = False
        # Each attempt sends it from here.
        self._start: int | None = None
        if not isinstance(self.content, bytes | os.PathLike):
            try:
                self._start = self.content.tell() if self.content.seekable() else None
            except (AttributeError, OSError):
                self._start = None

    @classmethod
    def of(cls, source: "FileSource", field: str) -> "File":
        """Make one of what a caller gave as the parameter ``field``. :raises ValueError: it can be no file"""
        try:
            if isinstance(source, File):
                return source
            if isinstance(source, tuple):
                name, content = source
                if not name or not isinstance(name, str):
                    raise ValueError(f"a tuple is (filename, content), not ({name!r}, ...)")
                return cls(content, name=name)
            made = cls(source)
        except ValueError as error:
            raise ValueError(f"{field}: {error}") from None
        made.name = made.name or field
        return made

    @property
    def rewindable(self) -> bool:
        """Whether it can be sent again."""
        return isinstance(self.content, bytes | os.PathLike) or self._start is not None

    def open(self) -> BinaryIO:
        """Open it at its start. Blocks: call it in a worker thread. An open file stays the caller's to close.

        :raises OSError: it cannot be opened or rewound
        :raises ValueError: it was sent before, and cannot be rewound
        """
        content = self.content
        if isinstance(content, bytes):
            return io.BytesIO(content)
        if isinstance(content, os.PathLike):
            return open(content, "rb")  # noqa: PTH123 # any PathLike; whoever asked for it closes it
        if self._start is not None:
            content.seek(self._start)
        elif self._taken:
            raise ValueError(f"{self.name} was read once and cannot be rewound: give a path, bytes or a seekable file")
        self._taken = True
        return content

    @property
    def borrowed(self) -> bool:
        """Whether it was opened by the caller, who then closes it, too."""
        return not isinstance(self.content, bytes | os.PathLike)

    def __repr__(self) -> str:
        return f"File({self.name!r}, media_type={self.media_type!r})"


def _checked(content: object) -> "os.PathLike[str] | bytes | BinaryIO":
    if isinstance(content, bytes):
        return content
    if isinstance(content, bytearray | memoryview):
        return bytes(cast("bytearray", content))
    if isinstance(content, str) and content:
        return PurePath(content)
    if isinstance(content, os.PathLike):
        return cast("os.PathLike[str]", content)
    if isinstance(content, io.TextIOBase):
        raise ValueError("the file is opened in text mode: open it with 'rb'")
    if callable(getattr(content, "read", None)):
        return cast("BinaryIO", content)
    raise ValueError("give a path, bytes, a file opened in binary mode, or (filename, one of these)")


def _name(content: "os.PathLike[str] | bytes | BinaryIO") -> str:
    if isinstance(content, bytes):
        return ""
    named = os.fspath(content) if isinstance(content, os.PathLike) else getattr(content, "name", None)
    return PurePath(named).name if isinstance(named, str) else ""


def _media_type(name: str) -> str:
    if name.endswith(".jsonl"):
        return "application/jsonl"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


FileSource = FileContent | tuple[str, FileContent] | File

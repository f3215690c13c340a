"""Files that a provider keeps."""

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
from msgspec.structs import force_setattr

from ._checks import check_count, check_text
from ._file import File, FileSource
from ._response import ApiResponse, JsonObject


class CreateFileRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for a file to be kept. It is read while it is sent, so it may be larger than memory.

    :param file: a path, bytes, an open file, or ``(filename, content)``
    :param purpose: what for: ``"batch"``, ``"user_data"``, ``"vision"``, ``"fine-tune"``, ``"assistants"``, ``"evals"``
    :param filename: its name; by default the file's own
    :param expires_after: ``{"anchor": "created_at", "seconds": 3600}``
    :param progress: called with the bytes sent so far, and with all that there are
    :param provider: who keeps it; by default the client's own
    :param extra_body: more fields of the form
    """

    file: FileSource
    purpose: Literal["batch", "user_data", "vision", "fine-tune", "assistants", "evals"] | str = "user_data"
    filename: str | None = None
    expires_after: Mapping[str, object] | None = None
    progress: Callable[[int, int], None] | None = None
    provider: str | None = None
    extra_body: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        check_text(self.purpose, "purpose")
        file = File.of(self.file, "file")
        if self.filename is not None:
            check_text(self.filename, "filename")
            file = File(file.content, name=self.filename)
        force_setattr(self, "file", file)


class RetrieveFileRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks what a file is."""

    file_id: str
    provider: str | None = None

    def __post_init__(self) -> None:
        check_text(self.file_id, "file_id")


class DeleteFileRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for a file to be deleted."""

    file_id: str
    provider: str | None = None

    def __post_init__(self) -> None:
        check_text(self.file_id, "file_id")


class FileContentRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for a file's content.

    :param start: from which byte on
    """

    file_id: str
    start: int = 0
    provider: str | None = None

    def __post_init__(self) -> None:
        check_text(self.file_id, "file_id")
        check_count(self.start, "start", low=0)


class ListFilesRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for the files there are, a page at a time.

    :param purpose: only those of this purpose
    :param limit: how many on a page
    :param order: ``"asc"`` or ``"desc"``, by the time they were made
    :param after: what a page's ``next_after`` said
    """

    purpose: str | None = None
    limit: int | None = None
    order: Literal["asc", "desc"] | None = None
    after: str | None = None
    provider: str | None = None

    def __post_init__(self) -> None:
        check_count(self.limit, "limit")


class FileObject(ApiResponse, repr_omit_defaults=True, frozen=True, kw_only=True):
    """A file that a provider keeps.

    :param bytes: its size
    :param created_at: Unix time, in seconds; so is ``expires_at``
    :param status: where it is checked or processed first
    :param uri: how requests name it, where that is not the id (Gemini)
    :param native: what else the provider tells of it
    """

    id: str = ""
    object: str = "file"
    bytes: int = 0
    created_at: int = 0
    expires_at: int | None = None
    filename: str = ""
    purpose: str | None = None
    status: str | None = None
    media_type: str | None = None
    uri: str | None = None
    native: JsonObject | None = None


class FileDeleted(ApiResponse, repr_omit_defaults=True, frozen=True, kw_only=True):
    """Tells that a file is deleted."""

    id: str = ""
    object: str = "file"
    deleted: bool = True


class FilesPage(ApiResponse, repr_omit_defaults=True, frozen=True, kw_only=True):
    """A page of the files there are.

    :param next_after: what ``after`` must be for the page that follows; ``None`` on the last one
    """

    object: str = "list"
    data: list[FileObject] = msgspec.field(default_factory=list[FileObject])
    has_more: bool = False
    next_after: str | None = None

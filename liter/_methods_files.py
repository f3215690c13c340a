"""The client's methods: files that a provider keeps."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ._calls import Calls
from ._operation import operation, paged
from ._options import CallOptions
from ._stream import EventStream
from .types import (
    BinaryContent,
    CreateFileRequest,
    DeleteFileRequest,
    FileContentRequest,
    FileDeleted,
    FileObject,
    FilesPage,
    ListFilesRequest,
    RetrieveFileRequest,
)

if TYPE_CHECKING:
    from ._client import LlmClient

    class CreateFileKeywords(CreateFileRequest, CallOptions, frozen=True):
        """What ``create_file`` takes, for type checkers."""

    class RetrieveFileKeywords(RetrieveFileRequest, CallOptions, frozen=True):
        """What ``retrieve_file`` takes, for type checkers."""

    class DeleteFileKeywords(DeleteFileRequest, CallOptions, frozen=True):
        """What ``delete_file`` takes, for type checkers."""

    class FileContentKeywords(FileContentRequest, CallOptions, frozen=True):
        """What ``file_content`` and ``file_content_stream`` take, for type checkers."""

    class ListFilesKeywords(ListFilesRequest, CallOptions, frozen=True):
        """What ``list_files`` takes, for type checkers."""
else:
    CreateFileKeywords = RetrieveFileKeywords = DeleteFileKeywords = CallOptions
    FileContentKeywords = ListFilesKeywords = CallOptions


class FilesMethods(Calls):
    """Files that a provider keeps."""

    @operation(CreateFileRequest, CallOptions, CreateFileKeywords)
    async def create_file(self, request: CreateFileRequest, options: CallOptions) -> FileObject:
        """Have a file kept. It is read while it is sent, so it may be larger than memory.

        An upload that fails is tried again if the file can be read again: a path, bytes, a seekable file.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises BadRequestError: the file cannot be read, or changes its size while it is sent
        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("create_file", self._whose(request.provider), request, options, FileObject)

    @operation(RetrieveFileRequest, CallOptions, RetrieveFileKeywords)
    async def retrieve_file(self, request: RetrieveFileRequest, options: CallOptions) -> FileObject:
        """Tell what a file is: its name, size, state.

        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("retrieve_file", self._whose(request.provider), request, options, FileObject)

    @operation(DeleteFileRequest, CallOptions, DeleteFileKeywords)
    async def delete_file(self, request: DeleteFileRequest, options: CallOptions) -> FileDeleted:
        """Have a file deleted.

        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("delete_file", self._whose(request.provider), request, options, FileDeleted)

    @paged(ListFilesRequest, FileObject, CallOptions, ListFilesKeywords)
    async def list_files(self, request: ListFilesRequest, options: CallOptions) -> FilesPage:
        """List the files there are: ``async for`` walks all pages, ``await`` gives the first.

        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("list_files", self._whose(request.provider), request, options, FilesPage)

    @operation(FileContentRequest, CallOptions, FileContentKeywords)
    async def file_content(self, request: FileContentRequest, options: CallOptions) -> BinaryContent:
        """Fetch a file's content, as ``bytes``. For large ones see ``file_content_stream``.

        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("file_content", self._whose(request.provider), request, options, BinaryContent)

    @operation(FileContentRequest, CallOptions, FileContentKeywords)
    async def file_content_stream(self, request: FileContentRequest, options: CallOptions) -> EventStream[bytes]:
        """Fetch a file's content in pieces, as they come; from ``start`` on where the provider can.

        :raises LlmError: see ``liter``'s error tree
        """
        whose = self._whose(request.provider)
        call = self._call("file_content", whose, request, options, bytes, stream=True)
        return EventStream(*await self._open(call))

    async def download_file(
        self,
        file_id: str,
        path: "str | os.PathLike[str]",
        *,
        provider: str | None = None,
        timeout: float | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Path:
        """Fetch a file's content to the disk, in constant memory, and return where it is.

        Until it is whole it has a name of the file's own beside ``path``, with ``.part`` at its end. A download that
        breaks off goes on from there, now and when it is called again, where the provider knows parts; otherwise it
        begins anew.

        :param progress: called with the bytes that are on the disk
        :raises OSError: it cannot be written
        :raises LlmError: see ``liter``'s error tree
        """
        from ._download import download

        client = cast("LlmClient", self)
        return await download(client, file_id, Path(path), provider=provider, timeout=timeout, progress=progress)

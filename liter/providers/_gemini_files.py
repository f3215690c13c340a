"""Files that the Gemini API keeps, for two days: sent in one request, with what is to be known of them before."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import msgspec

from .._contract import Call
from .._form import Related
from .._http import Headers, HttpRequest
from ..types import (
    CreateFileRequest,
    DeleteFileRequest,
    File,
    FileDeleted,
    FileObject,
    FilesPage,
    ListFilesRequest,
    RetrieveFileRequest,
)
from ._gemini_json import JsonObject, count_of, fields_of, objects_of, read_fields, text_of, unix_time_of
from ._headers import GET
from ._paging import query_of
from ._parameters import refuse, refuse_given
from ._read import unreadable
from ._wire import OperationWire

if TYPE_CHECKING:
    from ._gemini import Gemini

_VERSION = re.compile(r"(?=/v\d\w*/?$)")

# What a file in OpenAI's form has a place for.
_TOLD = frozenset({"name", "displayName", "mimeType", "sizeBytes", "createTime", "expirationTime", "state", "uri"})


def _encode_create(provider: "Gemini", call: Call[object]) -> HttpRequest:
    asked = cast("CreateFileRequest", call.request)
    if asked.expires_after is not None:
        refuse(call, "'expires_after'", "leave it out: files are kept for 48 hours")
    # Whatever it is for, it is kept alike: the purpose makes no difference.
    file = cast("File", asked.file)
    facts = {"displayName": file.name, "mimeType": file.media_type, **(asked.extra_body or {})}
    form = Related(msgspec.json.encode({"file": facts}), file, progress=asked.progress)
    headers = ((b"content-type", form.content_type), *GET, (b"x-goog-upload-protocol", b"multipart"))
    # Uploads have a root of their own before the version.
    root = version_of(call.route.base_url, "/upload")
    return provider.request(call, "POST", root, "/files?uploadType=multipart", headers, upload=form)


def version_of(base_url: str, root: str) -> str:
    """The address with a root before the version: ``.../upload/v1beta``."""
    return _VERSION.sub(root, base_url)


def _request(provider: "Gemini", call: Call[object], method: str, path: str) -> HttpRequest:
    return provider.request(call, method, call.route.base_url, path, GET)


def _path(call: Call[object]) -> str:
    """The path of a file, by its name, with or without the folder, or by its address."""
    file_id = cast("RetrieveFileRequest | DeleteFileRequest", call.request).file_id
    return f"/files/{quote(file_id.rpartition('files/')[2], safe='')}"


def _encode_list(provider: "Gemini", call: Call[object]) -> HttpRequest:
    asked = cast("ListFilesRequest", call.request)
    refuse_given(call, "purpose", "order")
    return _request(provider, call, "GET", "/files" + query_of(pageSize=asked.limit, pageToken=asked.after))


def _file(told: JsonObject) -> FileObject:
    rest = {name: value for name, value in told.items() if name not in _TOLD}
    return FileObject(
        id=text_of(told.get("name")) or "",
        bytes=count_of(told.get("sizeBytes")) or 0,
        created_at=unix_time_of(told.get("createTime")) or 0,
        expires_at=unix_time_of(told.get("expirationTime")),
        filename=text_of(told.get("displayName")) or "",
        status=text_of(told.get("state")),
        media_type=text_of(told.get("mimeType")),
        uri=text_of(told.get("uri")),
        native=rest or None,
    )


def _decode_file(provider: "Gemini", call: Call[object], body: bytes, headers: Headers) -> FileObject:
    told = read_fields(call, body, "a file")
    file = fields_of(told.get("file")) or told
    if "name" not in file:
        raise unreadable(body, "a file", "it has no name", provider=provider.name)
    return _file(file)


def _decode_page(provider: "Gemini", call: Call[object], body: bytes, headers: Headers) -> FilesPage:
    told = read_fields(call, body, "a list of files")
    following = text_of(told.get("nextPageToken")) or None
    data = [_file(one) for one in objects_of(told.get("files"))]
    return FilesPage(data=data, has_more=following is not None, next_after=following)


def _decode_deletion(provider: "Gemini", call: Call[object], body: bytes, headers: Headers) -> FileDeleted:
    # It answers with an empty object.
    return FileDeleted(id=cast("DeleteFileRequest", call.request).file_id)


FILES: Mapping[str, OperationWire[Any, Any]] = {
    "create_file": OperationWire(encode=_encode_create, decode=_decode_file),
    "retrieve_file": OperationWire(
        encode=lambda provider, call: _request(provider, call, "GET", _path(call)), decode=_decode_file
    ),
    "delete_file": OperationWire(
        encode=lambda provider, call: _request(provider, call, "DELETE", _path(call)), decode=_decode_deletion
    ),
    "list_files": OperationWire(encode=_encode_list, decode=_decode_page),
}

"""Files on OpenAI's wire, which Anthropic's, Azure's and Mistral's nearly are."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from .._contract import Call
from .._http import Headers, HttpRequest, RawHeaders
from ..types import (
    CreateFileRequest,
    FileContentRequest,
    FileDeleted,
    FileObject,
    FilesPage,
    ListFilesRequest,
    RetrieveFileRequest,
)
from ._bytes_stream import BytesDecoder, read_bytes
from ._form_body import form_body
from ._headers import GET, content_from
from ._openai_operations import post_form
from ._paging import Page, query_of
from ._read import read_json
from ._wire import OperationWire

if TYPE_CHECKING:
    from ._openai import OpenAI


class _File(msgspec.Struct):
    id: str
    object: str = "file"
    bytes: int = 0
    created_at: int = 0
    expires_at: int | None = None
    filename: str = ""
    purpose: str | None = None
    status: str | None = None
    mimetype: str | None = None
    status_details: str | None = None


_FILE = msgspec.json.Decoder(_File)
_PAGE = msgspec.json.Decoder(Page[_File])
_DELETED = msgspec.json.Decoder(FileDeleted)


def _request(
    provider: "OpenAI", call: Call[object], method: str, path: str = "", headers: RawHeaders = GET
) -> HttpRequest:
    base_url, root = provider.locate(call, "/files")
    return provider.request(call, method, base_url, root + path, headers)


def file_path(call: Call[object]) -> str:
    """What a file's id makes of a path."""
    return "/" + quote(cast("RetrieveFileRequest", call.request).file_id, safe="")


def _encode_create(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    asked = cast("CreateFileRequest", call.request)
    expires = {f"expires_after[{name}]": value for name, value in (asked.expires_after or {}).items()}
    named = replace(asked, filename=None, provider=None, expires_after=None)
    form = form_body(replace(named, extra_body={**expires, **(asked.extra_body or {})}), progress=asked.progress)
    return post_form(provider, call, "/files", form)


def _encode_list(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    asked = cast("ListFilesRequest", call.request)
    query = query_of(purpose=asked.purpose, limit=asked.limit, order=asked.order, after=asked.after)
    return _request(provider, call, "GET", query)


def _encode_content(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    start = cast("FileContentRequest", call.request).start
    return _request(provider, call, "GET", file_path(call) + "/content", content_from(start))


def _file(told: _File) -> FileObject:
    return FileObject(
        id=told.id,
        object=told.object,
        bytes=told.bytes,
        created_at=told.created_at,
        expires_at=told.expires_at,
        filename=told.filename,
        purpose=told.purpose,
        status=told.status,
        media_type=told.mimetype,
        native=None if told.status_details is None else {"status_details": told.status_details},
    )


def _decode_file(provider: "OpenAI", call: Call[object], body: bytes, headers: Headers) -> FileObject:
    return _file(read_json(call, body, _FILE, "a file"))


def _decode_page(provider: "OpenAI", call: Call[object], body: bytes, headers: Headers) -> FilesPage:
    told = read_json(call, body, _PAGE, "a list of files")
    data = [_file(one) for one in told.data]
    return FilesPage(data=data, has_more=told.has_more, next_after=told.next_after)


FILES: Mapping[str, OperationWire[Any, Any]] = {
    "create_file": OperationWire(encode=_encode_create, decode=_decode_file),
    "retrieve_file": OperationWire(
        encode=lambda provider, call: _request(provider, call, "GET", file_path(call)), decode=_decode_file
    ),
    "delete_file": OperationWire(
        encode=lambda provider, call: _request(provider, call, "DELETE", file_path(call)),
        decode=lambda provider, call, body, headers: read_json(call, body, _DELETED, "what a deletion tells"),
    ),
    "list_files": OperationWire(encode=_encode_list, decode=_decode_page),
    "file_content": OperationWire(
        encode=_encode_content, decode=read_bytes, open_stream=lambda provider, call: BytesDecoder()
    ),
}

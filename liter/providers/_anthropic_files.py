"""Files as Anthropic keeps them. Facts from its API reference and recorded traffic."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec.structs import replace

from .._contract import Call
from .._form import Form
from .._http import Headers, HttpRequest, RawHeaders
from ..types import (
    CreateFileRequest,
    File,
    FileContentRequest,
    FileDeleted,
    FileObject,
    FilesPage,
    ListFilesRequest,
)
from ._bytes_stream import BytesDecoder, read_bytes
from ._headers import GET, content_from
from ._json_body import json_text
from ._openai_files import file_path
from ._paging import Page, query_of
from ._parameters import refuse, refuse_given
from ._read import read_json
from ._unix_time import unix_time_of
from ._wire import OperationWire

if TYPE_CHECKING:
    from ._anthropic import Anthropic

_BETA = b"anthropic-beta"
_FILES_BETA = b"files-api-2025-04-14"


class _File(msgspec.Struct):
    id: str
    created_at: str = ""
    expires_at: str | None = None
    filename: str = ""
    mime_type: str | None = None
    size_bytes: int = 0
    downloadable: bool | None = None


class _Deleted(msgspec.Struct):
    id: str


_FILE = msgspec.json.Decoder(_File)
_PAGE = msgspec.json.Decoder(Page[_File])
_DELETED = msgspec.json.Decoder(_Deleted)


def _request(
    provider: "Anthropic",
    call: Call[object],
    method: str,
    path: str = "",
    headers: RawHeaders = GET,
    upload: Form | None = None,
) -> HttpRequest:
    # The caller's betas stand beside the one that files need.
    betas = [value for name, value in call.headers if name == _BETA]
    if not any(_FILES_BETA in value for value in betas):
        betas.append(_FILES_BETA)
    others = (pair for pair in call.headers if pair[0] != _BETA)
    call = replace(call, headers=(*others, (_BETA, b",".join(betas))))
    return provider.request(call, method, call.route.base_url, f"/files{path}", headers, upload=upload)


def _encode_create(provider: "Anthropic", call: Call[object]) -> HttpRequest:
    asked = cast("CreateFileRequest", call.request)
    # Whatever it is for, it is kept alike: the purpose makes no difference.
    fields: list[tuple[str, str | File]] = [("file", cast("File", asked.file))]
    if asked.expires_after is not None:
        if asked.expires_after.get("anchor", "created_at") != "created_at" or "seconds" not in asked.expires_after:
            refuse(call, "'expires_after'", "give {'anchor': 'created_at', 'seconds': ...}")
        else:
            fields.append(("expires_in_seconds", str(asked.expires_after["seconds"])))
    fields += [(name, json_text(value)) for name, value in (asked.extra_body or {}).items()]
    form = Form(fields, progress=asked.progress)
    return _request(provider, call, "POST", headers=((b"content-type", form.content_type), *GET), upload=form)


def _encode_list(provider: "Anthropic", call: Call[object]) -> HttpRequest:
    asked = cast("ListFilesRequest", call.request)
    refuse_given(call, "purpose", "order")
    return _request(provider, call, "GET", query_of(limit=asked.limit, after_id=asked.after))


def _encode_content(provider: "Anthropic", call: Call[object]) -> HttpRequest:
    start = cast("FileContentRequest", call.request).start
    return _request(provider, call, "GET", file_path(call) + "/content", content_from(start))


def _file(told: _File) -> FileObject:
    return FileObject(
        id=told.id,
        bytes=told.size_bytes,
        created_at=unix_time_of(told.created_at) or 0,
        expires_at=unix_time_of(told.expires_at),
        filename=told.filename,
        media_type=told.mime_type,
        native=None if told.downloadable is None else {"downloadable": told.downloadable},
    )


def _decode_file(provider: "Anthropic", call: Call[object], body: bytes, headers: Headers) -> FileObject:
    return _file(read_json(call, body, _FILE, "a file"))


def _decode_page(provider: "Anthropic", call: Call[object], body: bytes, headers: Headers) -> FilesPage:
    told = read_json(call, body, _PAGE, "a list of files")
    data = [_file(one) for one in told.data]
    return FilesPage(data=data, has_more=told.has_more, next_after=told.next_after)


def _decode_deletion(provider: "Anthropic", call: Call[object], body: bytes, headers: Headers) -> FileDeleted:
    return FileDeleted(id=read_json(call, body, _DELETED, "what a deletion tells").id)


FILES: Mapping[str, OperationWire[Any, Any]] = {
    "create_file": OperationWire(encode=_encode_create, decode=_decode_file),
    "retrieve_file": OperationWire(
        encode=lambda provider, call: _request(provider, call, "GET", file_path(call)), decode=_decode_file
    ),
    "delete_file": OperationWire(
        encode=lambda provider, call: _request(provider, call, "DELETE", file_path(call)), decode=_decode_deletion
    ),
    "list_files": OperationWire(encode=_encode_list, decode=_decode_page),
    "file_content": OperationWire(
        encode=_encode_content,
        decode=read_bytes,
        open_stream=lambda provider, call: BytesDecoder(),
    ),
}

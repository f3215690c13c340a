"""Files on Google's wire."""

import json

import pytest

from liter._errors import BadRequestError, SerializationError
from liter.providers import Gemini
from liter.types import (
    CreateFileRequest,
    DeleteFileRequest,
    FileObject,
    ListFilesRequest,
    RetrieveFileRequest,
)

BASE = "https://generativelanguage.googleapis.com/v1beta"


@pytest.fixture
def file_call(call_of):
    """A call of an operation on files."""

    def make(operation: str, request: object):
        return call_of(request, operation=operation, provider="gemini", base_url=BASE)

    return make


def test_an_upload_is_two_parts(file_call):
    """What is to be known of the file, and then the file, to the root for uploads."""
    request = CreateFileRequest(file=("a.txt", b"hello"), extra_body={"name": "files/x"})
    made = Gemini().encode(file_call("create_file", request))
    assert made.base_url + made.path == (
        "https://generativelanguage.googleapis.com/upload/v1beta/files?uploadType=multipart"
    )
    headers = dict(made.headers)
    assert headers[b"x-goog-upload-protocol"] == b"multipart"
    boundary = headers[b"content-type"].partition(b"boundary=")[2]
    pieces = [piece if isinstance(piece, bytes) else piece.content for piece in made.upload.parts()]
    first, second, end = b"".join(pieces).split(b"--" + boundary)[1:]
    assert json.loads(first.partition(b"\r\n\r\n")[2]) == {
        "file": {"displayName": "a.txt", "mimeType": "text/plain", "name": "files/x"}
    }
    assert second == b"\r\ncontent-type: text/plain\r\n\r\nhello\r\n"
    assert end == b"--\r\n"


@pytest.mark.parametrize("file_id", ["files/a b", "a b", f"{BASE}/files/a b"])
def test_a_file_is_named_with_or_without_its_folder(file_id, file_call):
    """Or by its address, which is what requests have of it."""
    made = Gemini().encode(file_call("retrieve_file", RetrieveFileRequest(file_id=file_id)))
    assert (made.method, made.target) == ("GET", b"/v1beta/files/a%20b")
    made = Gemini().encode(file_call("delete_file", DeleteFileRequest(file_id=file_id)))
    assert (made.method, made.target) == ("DELETE", b"/v1beta/files/a%20b")


def test_pages(file_call):
    """A page says where the next begins."""
    made = Gemini().encode(file_call("list_files", ListFilesRequest(limit=2, after="t/1")))
    assert made.path == "/files?pageSize=2&pageToken=t%2F1"
    page = Gemini().decode(file_call("list_files", ListFilesRequest()), b'{"files": [], "nextPageToken": "t"}')
    assert (page.has_more, page.next_after) == (True, "t")
    with pytest.raises(BadRequestError, match="order"):
        Gemini().encode(file_call("list_files", ListFilesRequest(order="asc")))
    with pytest.raises(BadRequestError, match="48 hours"):
        expires = {"anchor": "created_at", "seconds": 3600}
        Gemini().encode(file_call("create_file", CreateFileRequest(file=b"a", expires_after=expires)))


def test_recorded_files_decode(recordings, file_call):
    """Names, sizes, times and states; what has no place is in native."""
    provider, count = Gemini(), 0
    for record in recordings("gemini", "files"):
        body = record["response_body"].encode()
        if record["status"] != 200:
            continue
        told = json.loads(body)
        if record["method"] == "DELETE":
            reply = provider.decode(file_call("delete_file", DeleteFileRequest(file_id="files/x")), body)
            assert (reply.id, reply.deleted) == ("files/x", True)
            continue
        if "files" in told:
            files, raw = provider.decode(file_call("list_files", ListFilesRequest()), body).data, told["files"]
        else:
            files = [provider.decode(file_call("retrieve_file", RetrieveFileRequest(file_id="x")), body)]
            raw = [told.get("file", told)]
        for file, one in zip(files, raw, strict=True):
            count += 1
            assert isinstance(file, FileObject)
            assert (file.id, file.uri, file.media_type) == (one["name"], one["uri"], one["mimeType"])
            assert (file.bytes, file.status) == (int(one["sizeBytes"]), one["state"])
            assert file.filename == one.get("displayName", "")
            assert file.expires_at > file.created_at > 0
            assert file.native["sha256Hash"] == one["sha256Hash"]
    assert count > 5


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"file": {}}'])
def test_what_is_no_file(body, file_call):
    """It is an error that says so."""
    with pytest.raises(SerializationError, match="not a file"):
        Gemini().decode(file_call("retrieve_file", RetrieveFileRequest(file_id="x")), body)

"""Every recorded exchange about files decodes without loss, and every recorded upload can be made of ours."""

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from urllib.parse import parse_qs

import pytest

from liter._http import Headers
from liter.providers import known_providers
from liter.testing._simulator_form import ReceivedForm
from liter.types import (
    CreateFileRequest,
    DeleteFileRequest,
    File,
    FileContentRequest,
    FileObject,
    ListFilesRequest,
    RetrieveFileRequest,
)

# How many there are.
COUNTS = {"anthropic": 14, "openai": 33, "mistral": 1, "xai": 1}


def bytes_of(record: Mapping[str, object], name: str) -> bytes:
    text = record[name] or ""
    text = text if isinstance(text, str) else json.dumps(text)
    return base64.b64decode(text) if record[f"{name}_encoding"] == "base64" else text.encode()


def meaning(raw: Mapping[str, object]) -> dict[str, object]:
    """What a file's raw facts mean, whoever tells them."""

    def time(value: object) -> object:
        return int(datetime.fromisoformat(value).timestamp()) if isinstance(value, str) else value

    return {
        "id": raw["id"],
        "bytes": raw.get("bytes", raw.get("size_bytes")),
        "created_at": time(raw["created_at"]),
        "expires_at": time(raw.get("expires_at")),
        "filename": raw["filename"],
        "purpose": raw.get("purpose"),
        "status": raw.get("status"),
        "media_type": raw.get("mime_type", raw.get("mimetype")),
    }


def read(file: FileObject) -> dict[str, object]:
    return {name: getattr(file, name) for name in meaning({"id": 0, "created_at": 0, "filename": 0})}


def exchanges(recordings, provider: str) -> Iterator[tuple[Mapping[str, object], str]]:
    """The exchanges about files, and which operation each is."""
    for record in recordings(provider, "files"):
        rest = record["path"].partition("/v1/files")[2].strip("/")
        if record["path"].startswith("/v1/files"):
            names = {"POST": "create_file", "DELETE": "delete_file", "GET": "retrieve_file" if rest else "list_files"}
            yield record, "file_content" if rest.endswith("/content") else names[record["method"]]


def request_of(record: Mapping[str, object], operation: str) -> object:
    """Our request that asks for the same."""
    file_id = record["path"].split("/")[3] if operation not in ("create_file", "list_files") else ""
    match operation:
        case "create_file":
            form = ReceivedForm(record["request_headers"]["content-type"], bytes_of(record, "request_body"))
            part = form.file("file")
            file = File(part.content, name=part.filename, media_type=part.media_type)
            return CreateFileRequest(file=file, purpose=form.field("purpose", "user_data"))
        case "list_files":
            asked = {name: values[0] for name, values in parse_qs(record["query"]).items() if name != "beta"}
            return ListFilesRequest(**asked)
        case "retrieve_file":
            return RetrieveFileRequest(file_id=file_id)
        case "delete_file":
            return DeleteFileRequest(file_id=file_id)
        case _:
            return FileContentRequest(file_id=file_id)


@pytest.mark.parametrize("provider", COUNTS)
def test_every_exchange(recordings, call_of, provider: str) -> None:
    """Ours goes to the same place with the same form, and the reply is what a plain reading finds."""
    codec = known_providers()[provider]
    count = 0
    for record, operation in exchanges(recordings, provider):
        count += 1
        request = request_of(record, operation)
        call = call_of(request, operation=operation, provider=provider, base_url=codec.base_url)
        sent = codec.encode(call)
        assert (sent.method, "/v1" + sent.path.partition("?")[0]) == (record["method"], record["path"]), record["id"]
        if operation == "create_file":
            ours, theirs = sent_form(sent), received_form(record)
            # xAI's was asked for nothing in particular; we say that it is the user's.
            assert theirs <= ours <= theirs | {("purpose", "", b"user_data")}, record["id"]
        body = bytes_of(record, "response_body")
        if record["status"] != 200:
            assert codec.error(call, record["status"], Headers(), body).message == json.loads(body)["error"]["message"]
            continue
        reply = codec.decode(call, body, Headers())
        if operation == "file_content":
            assert reply == body
            continue
        raw = json.loads(body)
        if operation == "delete_file":
            assert (reply.id, reply.deleted) == (raw["id"], True)
        elif operation == "list_files":
            assert [read(file) for file in reply.data] == [meaning(file) for file in raw["data"]]
            assert reply.has_more == raw.get("has_more", False)
        else:
            assert read(reply) == meaning(raw), record["id"]
    assert count == COUNTS[provider]


def sent_form(sent) -> set[tuple[str, str, bytes]]:
    """The fields of our form, and its file."""
    body = b"".join(part if isinstance(part, bytes) else part.content for part in sent.upload.parts())
    return parts_of(ReceivedForm(sent.upload.content_type.decode(), body))


def received_form(record: Mapping[str, object]) -> set[tuple[str, str, bytes]]:
    """The fields of the recorded form, and its file."""
    return parts_of(ReceivedForm(record["request_headers"]["content-type"], bytes_of(record, "request_body")))


def parts_of(form: ReceivedForm) -> set[tuple[str, str, bytes]]:
    """What a form says, in whatever order."""
    return {(part.name, part.filename or "", part.content) for part in form.parts}

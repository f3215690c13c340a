"""Google's files, from the server's side: kept in memory, sent in one request of two parts."""

import email.parser
import email.policy
import hashlib
from typing import cast
from urllib.parse import parse_qs, unquote

import msgspec

from ._simulator_exchange import ReceivedRequest
from ._wire_protocol import Refusal

JsonObject = dict[str, object]

_CREATED = "2026-01-01T00:00:00Z"
_EXPIRES = "2026-01-03T00:00:00Z"
_PAGE = 10


class _Facts(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    name: str | None = None
    display_name: str = ""
    mime_type: str | None = None


class _Upload(msgspec.Struct):
    file: _Facts = msgspec.field(default_factory=_Facts)


class GoogleFiles:
    """The files that the simulated Gemini API keeps."""

    def __init__(self) -> None:
        self._kept: dict[str, JsonObject] = {}
        self._added = 0

    def answer(self, request: ReceivedRequest) -> JsonObject:
        """Answer a request under ``/files``. :raises Refusal: it is wrong, or there is no such file"""
        path, _, query = request.path.partition("?")
        name = unquote(path.partition("/files")[2].strip("/"))
        match request.method, name:
            case "POST", "" if "/upload/" in path:
                return {"file": self._add(request)}
            case "GET", "":
                return self._list(parse_qs(query))
            case "GET", _:
                return self._found(name)
            case "DELETE", _:
                del self._kept[cast("str", self._found(name)["name"])]
                return {}
            case _:
                raise Refusal(405, "Method Not Allowed")

    def _found(self, name: str) -> JsonObject:
        if f"files/{name}" not in self._kept:
            raise Refusal(403, f"You do not have permission to access the File {name} or it may not exist.")
        return self._kept[f"files/{name}"]

    def _list(self, query: dict[str, list[str]]) -> JsonObject:
        first = int(query.get("pageToken", ["0"])[0])
        size = int(query.get("pageSize", [str(_PAGE)])[0])
        files = list(self._kept.values())
        following = {"nextPageToken": str(first + size)} if first + size < len(files) else {}
        return {"files": files[first : first + size], **following}

    def _add(self, request: ReceivedRequest) -> JsonObject:
        if request.headers.get("x-goog-upload-protocol") != "multipart":
            raise Refusal(400, "the simulator takes uploads by the protocol 'multipart'")
        facts, media_type, content = _parts(request)
        number = hashlib.sha256(f"{self._added}".encode()).hexdigest()[:12]
        self._added += 1
        name = facts.name or f"files/{number}"
        self._kept[name] = {
            "name": name,
            "displayName": facts.display_name,
            "mimeType": facts.mime_type or media_type,
            "sizeBytes": str(len(content)),
            "createTime": _CREATED,
            "expirationTime": _EXPIRES,
            "uri": f"https://generativelanguage.googleapis.com/v1beta/{name}",
            "state": "ACTIVE",
        }
        return self._kept[name]


def _parts(request: ReceivedRequest) -> tuple[_Facts, str, bytes]:
    """What an upload says of its file, the file's media type, and its content."""
    head = f"content-type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body)
    parts = list(message.iter_parts())
    if message.get_content_type() != "multipart/related" or len(parts) != 2:
        raise Refusal(400, "an upload has two parts: JSON, and the file")
    told, file = (cast("bytes", part.get_payload(decode=True)) for part in parts)
    try:
        return msgspec.json.decode(told, type=_Upload).file, parts[1].get_content_type(), file
    except msgspec.DecodeError as error:
        raise Refusal(400, f"Invalid JSON payload received. {error}") from error

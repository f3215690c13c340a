"""OpenAI's files, from the server's side: kept in memory, in the order in which they came."""

import hashlib
import re
from urllib.parse import parse_qs

from ._simulator_exchange import ReceivedRequest
from ._simulator_form import ReceivedForm
from ._simulator_paging import page_of
from ._simulator_steps import Data, End, Head, Step, json_answer
from ._wire_openai_operations import CREATED
from ._wire_protocol import Headers, Refusal

JsonObject = dict[str, object]

_RANGE = re.compile(r"bytes=(\d+)-")
# What is sent at a time.
_PIECE = 64 * 1024
# The most that is shown on a page.
_LIMIT = 10_000


class FilesStore:
    """The files that a simulated provider keeps."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[JsonObject, bytes]] = {}
        self._added = 0

    def add(self, name: str, content: bytes, purpose: str, dropped: int = 0) -> JsonObject:
        """Keep a file, and return what is told of it. ``dropped`` bytes of its content were not kept."""
        number, self._added = self._added, self._added + 1
        digest = hashlib.sha256(f"{number} {name}".encode()).hexdigest()[:24]
        file: JsonObject = {
            "id": f"file-{digest}",
            "object": "file",
            "bytes": len(content) + dropped,
            "created_at": CREATED + number,
            "filename": name,
            "purpose": purpose,
            "status": "processed",
        }
        self._kept[f"file-{digest}"] = (file, content)
        return file

    def content(self, file_id: str) -> bytes:
        """What a file holds. :raises Refusal: there is none of that id"""
        if file_id not in self._kept:
            raise Refusal(404, f"No such File object: {file_id}", param="id")
        return self._kept[file_id][1]

    def answer(self, request: ReceivedRequest, headers: Headers) -> list[Step]:
        """Answer a request under ``/files``."""
        path, _, query = request.path.partition("?")
        rest = path.partition("/files")[2].strip("/").split("/")
        match request.method, rest:
            case "POST", [""]:
                form = ReceivedForm(request.headers.get("content-type", ""), request.body)
                file = form.file("file")
                return json_answer(
                    headers,
                    self.add(
                        file.filename or "file", file.content, form.field("purpose"), request.size - len(request.body)
                    ),
                )
            case "GET", [""]:
                return self._list(headers, query)
            case "GET", [file_id]:
                self.content(file_id)
                return json_answer(headers, self._kept[file_id][0])
            case "DELETE", [file_id]:
                self.content(file_id)
                del self._kept[file_id]
                return json_answer(headers, {"id": file_id, "object": "file", "deleted": True})
            case "GET", [file_id, "content"]:
                return content_steps(headers, self.content(file_id), request.headers.get("range"))
            case _:
                raise Refusal(405, f"{request.method} is no method of {path}.")

    def _list(self, headers: Headers, query: str) -> list[Step]:
        files = [file for file, _ in self._kept.values()]
        purpose = parse_qs(query).get("purpose")
        if purpose:
            files = [file for file in files if file["purpose"] == purpose[0]]
        return json_answer(headers, {"object": "list", **page_of(files, query, limit=_LIMIT)})


def content_steps(headers: Headers, content: bytes, asked: str | None) -> list[Step]:
    """Send a file's content, or the range that is asked for."""
    known = _RANGE.fullmatch(asked or "")
    start = int(known.group(1)) if known else 0
    if known and start >= len(content):
        raise Refusal(416, "The range is beyond the end of the file.")
    told: Headers = (("content-type", "application/octet-stream"), *headers)
    if known:
        told = (*told, ("content-range", f"bytes {start}-{len(content) - 1}/{len(content)}"))
    pieces = [content[at : at + _PIECE] for at in range(start, len(content), _PIECE)]
    return [Head(206 if known else 200, told), *map(Data, pieces), End()]

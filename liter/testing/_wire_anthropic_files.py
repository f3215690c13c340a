"""Anthropic's files, from the server's side: kept in memory, in the order in which they came."""

import hashlib

from ._simulator_exchange import ReceivedRequest
from ._simulator_form import ReceivedForm
from ._simulator_paging import page_of
from ._simulator_steps import Step, json_answer
from ._wire_openai_files import content_steps
from ._wire_protocol import Headers, Refusal

JsonObject = dict[str, object]

# The length of a page, unless another is asked for.
_LIMIT = 20


class AnthropicFiles:
    """The files that a simulated provider keeps. Downloadable are those that its tools made: here, ``output...``."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[JsonObject, bytes]] = {}
        self._added = 0

    def answer(self, request: ReceivedRequest, headers: Headers) -> list[Step]:
        """Answer a request under ``/files``."""
        path, _, query = request.path.partition("?")
        rest = path.partition("/files")[2].removeprefix("/").split("/")
        match request.method, rest:
            case "POST", [""]:
                return json_answer(headers, self._add(request))
            case "GET", [""]:
                files = [file for file, _ in self._kept.values()]
                return json_answer(headers, page_of(files, query, limit=_LIMIT, after="after_id"))
            case "GET", [file_id]:
                return json_answer(headers, self._find(file_id)[0])
            case "DELETE", [file_id]:
                self._find(file_id)
                del self._kept[file_id]
                return json_answer(headers, {"id": file_id, "type": "file_deleted"})
            case "GET", [file_id, "content"]:
                file, content = self._find(file_id)
                if not file["downloadable"]:
                    raise Refusal(400, f"File '{file_id}' is not downloadable")
                return content_steps(headers, content, request.headers.get("range"))
            case _:
                raise Refusal(405, "Method Not Allowed")

    def _add(self, request: ReceivedRequest) -> JsonObject:
        form = ReceivedForm(request.headers.get("content-type", ""), request.body)
        part = form.file("file")
        name, number = part.filename or "file", self._added
        self._added += 1
        file: JsonObject = {
            "type": "file",
            "id": f"file_{hashlib.sha256(f'{number} {name}'.encode()).hexdigest()[:24]}",
            "size_bytes": len(part.content) + request.size - len(request.body),
            "created_at": f"2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}Z",
            "filename": name,
            "mime_type": part.media_type,
            "downloadable": name.startswith("output"),
        }
        if form.field("expires_in_seconds", ""):
            file["expires_at"] = "2026-02-01T00:00:00Z"
        self._kept[str(file["id"])] = (file, part.content)
        return file

    def _find(self, file_id: str) -> tuple[JsonObject, bytes]:
        if file_id not in self._kept:
            raise Refusal(404, f"File not found: {file_id}")
        return self._kept[file_id]

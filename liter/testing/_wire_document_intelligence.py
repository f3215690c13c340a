"""Azure Document Intelligence's wire, from the server's side: documents are handed in, and asked after until read.

Places in the text are counted in code points, whatever was asked. The address to ask at is ``http`` where the host has
a port, and ``https`` where it has none: a request does not say how it came.
"""

from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from ._simulator_exchange import ReceivedRequest
from ._simulator_model import Model
from ._simulator_steps import Step, json_answer, whole_answer
from ._simulator_text import sentences
from ._wire_ocr import PAGES
from ._wire_protocol import Headers, Refusal

JsonObject = dict[str, object]

# How long a document takes to be read, and after how long it is to be asked after.
_SECONDS, _RETRY_AFTER = 2.0, ("retry-after", "1")
_BREAK = "\n<!-- PageBreak -->\n"
_TIME = "2026-01-01T00:00:00Z"


class _Analyze(Struct, rename="camel"):
    url_source: str | None = None
    base64_source: str | None = None


_ANALYZE = msgspec.json.Decoder(_Analyze)


class _Job(Struct, frozen=True):
    started: float
    result: JsonObject


class DocumentIntelligenceWire:
    """Analyses of documents, made-up ones of three pages, at ``/documentModels/{model}:analyze``."""

    def __init__(self) -> None:
        self._jobs: dict[str, _Job] = {}

    def speaks(self, request: ReceivedRequest) -> bool:
        return "/documentModels/" in request.path

    def headers(self, request_id: str) -> Headers:
        return (("apim-request-id", request_id), ("x-ms-region", "Simulator"))

    def request_id(self, headers: Headers) -> str:
        return dict(headers)["apim-request-id"]

    def key(self, request: ReceivedRequest) -> str | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else ""
        return request.headers.get("ocp-apim-subscription-key") or bearer or None

    def answer(self, request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
        path, _, query = request.path.partition("?")
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        version = asked.get("api-version")
        if version is None:
            raise Refusal(404, "Resource not found", code="404")
        root, _, rest = path.partition("/documentModels/")
        if request.method == "POST" and rest.endswith(":analyze"):
            name = rest.removesuffix(":analyze")
            if name == "no-such-model":
                raise Refusal(404, "The requested model was not found.", code="ModelNotFound")
            job_id = f"{model.random(f'id {self.request_id(headers)}').getrandbits(128):032x}"
            self._jobs[job_id] = _Job(request.started, _result(name, _document(request), asked, model))
            host = request.headers.get("host", "")
            scheme = "http" if host.rpartition(":")[2].isdigit() else "https"
            place = f"{scheme}://{host}{root}/documentModels/{name}/analyzeResults/{job_id}?api-version={version}"
            told = (("operation-location", place), _RETRY_AFTER, *headers)
            return whole_answer(202, told, "application/json", b"")
        job = self._jobs.get(rest.partition("/analyzeResults/")[2])
        if request.method != "GET" or job is None:
            raise Refusal(404, "The requested operation was not found.", code="NotFound")
        times: JsonObject = {"createdDateTime": _TIME, "lastUpdatedDateTime": _TIME}
        if request.started < job.started + _SECONDS:
            return json_answer((_RETRY_AFTER, *headers), {"status": "running", **times})
        return json_answer(headers, {"status": "succeeded", **times, "analyzeResult": job.result})

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        code = refusal.code or ("InvalidRequest" if refusal.status == 400 else str(refusal.status))
        return msgspec.json.encode({"error": {"code": code, "message": refusal.message}})

    def error_event(self, kind: str | None, message: str) -> bytes:
        # No analysis is streamed.
        return self.error(Refusal(500, message), "")


def _document(request: ReceivedRequest) -> str:
    try:
        asked = _ANALYZE.decode(request.body)
    except msgspec.DecodeError as error:
        raise Refusal(400, str(error)) from error
    if (asked.url_source is None) == (asked.base64_source is None):
        raise Refusal(400, "Give one of urlSource and base64Source.")
    return f"{asked.url_source}{asked.base64_source}"


def _result(name: str, document: str, asked: dict[str, str], model: Model) -> JsonObject:
    form = asked.get("outputContentFormat", "text")
    numbers = _numbers(asked["pages"]) if "pages" in asked else range(1, PAGES + 1)
    pages: list[JsonObject] = []
    content = ""
    for number in range(1, PAGES + 1):
        if number not in numbers:
            continue
        if content:
            content += _BREAK if form == "markdown" else "\n"
        text = sentences(model.random(f"page {number} of {document}"), 3)
        text = f"# Page {number}\n\n{text}" if form == "markdown" else text
        spans = [{"offset": len(content), "length": len(text)}]
        pages.append({"pageNumber": number, "unit": "inch", "width": 8.5, "height": 11, "spans": spans})
        content += text
    facts: JsonObject = {"modelId": name, "apiVersion": asked["api-version"], "stringIndexType": "unicodeCodePoint"}
    return {**facts, "contentFormat": form, "content": content, "pages": pages}


def _numbers(pages: str) -> set[int]:
    """Read pages as they are asked: ``1-3,5``."""
    numbers: set[int] = set()
    for part in pages.split(","):
        first, _, last = part.partition("-")
        if not (first.isdigit() and (last or first).isdigit()):
            raise Refusal(400, f"The pages {pages!r} are none.", code="InvalidParameter")
        numbers.update(range(int(first), min(int(last or first), PAGES) + 1))
    return numbers

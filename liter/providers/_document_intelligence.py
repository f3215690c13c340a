"""Azure Document Intelligence: a document is handed in, and asked after until it has been read."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote, urlencode

import msgspec

from .._contract import Call
from .._errors import BadRequestError
from .._http import Headers, HttpRequest
from ..types import OcrPage, OcrRequest, OcrResponse, Usage
from ._classify import classify
from ._headers import JSON
from ._parameters import Mapped, Rule, Unsupported, supported
from ._polling import ask_after, ask_again
from ._read import read_json
from ._wire import FollowUp, OperationWire, WireProvider

JsonObject = dict[str, object]

_ENCODER = msgspec.json.Encoder()
_VERSION = "2024-11-30"
# A mark of the service's between two pages of Markdown.
_BREAK = "<!-- PageBreak -->"
# What of the caller's own fields is told in the address, and not in the body.
_IN_QUERY = ("api-version", "features", "locale", "output", "outputContentFormat", "queryFields", "stringIndexType")

PARAMETERS: Mapping[str, Rule] = {
    "model": Mapped("in the address: `prebuilt-layout`, `prebuilt-read`, or one of your own"),
    "document": Mapped("`urlSource`, or `base64Source` of a `data:` address"),
    "pages": Mapped("`pages`, which counts from 1"),
    "include_image_base64": Unsupported("pictures are asked for one by one", neutral=(False,)),
    "vision_model": Mapped("nothing: it is asked when this provider cannot"),
    "extra_body": Mapped(f"its fields, in the address {', '.join(f'`{name}`' for name in _IN_QUERY)}; they win"),
}


class _Span(msgspec.Struct):
    offset: int = 0
    length: int = 0


class _Page(msgspec.Struct, rename="camel"):
    page_number: int = 1
    unit: str | None = None
    width: float | None = None
    height: float | None = None
    spans: list[_Span] = []


class _Result(msgspec.Struct, rename="camel"):
    model_id: str = ""
    content: str = ""
    pages: list[_Page] = []
    tables: list[JsonObject] = []


class _Operation(msgspec.Struct, rename="camel"):
    status: str
    analyze_result: _Result | None = None


_OPERATION = msgspec.json.Decoder(_Operation)


def _encode(provider: WireProvider, call: Call[object]) -> HttpRequest:
    request = supported(PARAMETERS, cast("OcrRequest", call.request), call)
    extra = request.extra_body or {}
    query: dict[str, object] = {"api-version": _VERSION, "stringIndexType": "unicodeCodePoint"}
    if call.route.model != "prebuilt-read":
        # Which knows of no Markdown.
        query["outputContentFormat"] = "markdown"
    if request.pages is not None:
        query["pages"] = ",".join(_ranges(request.pages))
    query.update((name, value) for name, value in extra.items() if name in _IN_QUERY)
    body = {**_source(request), **{name: value for name, value in extra.items() if name not in _IN_QUERY}}
    base_url, path = provider.locate(call, f"/documentModels/{quote(call.route.model, safe='')}:analyze")
    path = f"{path}?{urlencode({name: _text(value) for name, value in query.items()}, quote_via=quote)}"
    return provider.request(call, "POST", base_url, path, JSON, body=_ENCODER.encode(body))


def _source(request: OcrRequest) -> Mapping[str, object]:
    address = request.address
    if not address:
        raise BadRequestError("document: Document Intelligence has no files: give a document_url or an image_url")
    if not address.startswith("data:"):
        return {"urlSource": address}
    head, comma, data = address.partition(",")
    if not comma or not head.endswith(";base64"):
        raise BadRequestError("document: a data: address must be base64, as in 'data:application/pdf;base64,...'")
    return {"base64Source": data}


def _ranges(pages: Sequence[int]) -> Iterator[str]:
    """Pages from 0 as ranges from 1: ``"1-3"``, ``"5"``."""
    numbers = sorted({page + 1 for page in pages})
    first = last = numbers[0]
    for number in [*numbers[1:], 0]:
        if number == last + 1:
            last = number
            continue
        yield str(first) if first == last else f"{first}-{last}"
        first = last = number


def _text(value: object) -> str:
    return value if isinstance(value, str) else ",".join(map(str, cast("Sequence[object]", value)))


def _follow(
    provider: WireProvider, call: Call[object], request: HttpRequest, headers: Headers, body: bytes
) -> FollowUp | None:
    if request.method == "POST":
        return ask_after(provider, call, headers.get("operation-location", ""), headers)
    status = read_json(call, body, _OPERATION, "the state of an analysis").status
    return ask_again(request, headers) if status in ("notStarted", "running") else None


def _decode(provider: WireProvider, call: Call[object], body: bytes, headers: Headers) -> OcrResponse:
    told = read_json(call, body, _OPERATION, "an analysed document")
    result = told.analyze_result
    if told.status != "succeeded" or result is None:
        raise classify(body, status=None, provider=provider.name, model=call.route.model or None)
    tables: dict[int, list[JsonObject]] = {}
    for table in result.tables:
        tables.setdefault(_page_of(table), []).append(table)
    return OcrResponse(
        model=result.model_id or call.route.model,
        pages=[
            OcrPage(
                index=page.page_number - 1,
                markdown="\n".join(result.content[span.offset : span.offset + span.length] for span in page.spans)
                .replace(_BREAK, "")
                .strip(),
                dimensions={"width": page.width, "height": page.height, "unit": page.unit},
                tables=tables.get(page.page_number),
            )
            for page in result.pages
        ],
        usage_info={"pages_processed": len(result.pages)},
        usage=Usage(pages=len(result.pages)),
    )


def _page_of(table: JsonObject) -> int:
    regions = table.get("boundingRegions")
    first: object = next(iter(cast("list[object]", regions)), None) if isinstance(regions, list) else None
    number = cast("JsonObject", first).get("pageNumber") if isinstance(first, dict) else None
    return number if isinstance(number, int) else 1


OPERATIONS: Mapping[str, OperationWire[Any, Any]] = {
    "ocr": OperationWire(encode=_encode, decode=_decode, follow=_follow, parameters=PARAMETERS),
}

"""Mistral's OCR, from the server's side: documents as pages of Markdown."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ._simulator_exchange import ReceivedRequest
from ._simulator_model import Model
from ._simulator_steps import Step, json_answer
from ._simulator_text import sentences
from ._wire_protocol import Headers, Refusal

# How many pages every document has.
PAGES = 3


class _Ocr(Struct):
    model: str
    document: dict[str, object]
    pages: list[Annotated[int, Meta(ge=0)]] | None = None


_OCR = msgspec.json.Decoder(_Ocr)


def answer_ocr(request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
    """Read a document: a made-up one of three pages, or one page where it is an image.

    :raises Refusal: the request is no document, or asks for pages that cannot be
    """
    try:
        asked = _OCR.decode(request.body)
    except msgspec.ValidationError as error:
        raise Refusal(422, str(error)) from error
    except msgspec.DecodeError as error:
        raise Refusal(400, f"the body is no JSON object: {error}") from error
    kind = asked.document.get("type")
    if kind not in ("document_url", "image_url", "file"):
        raise Refusal(422, f"document: type {kind!r} is none of document_url, image_url, file", param="document")
    document = msgspec.json.encode(asked.document).decode()
    there = range(1 if kind == "image_url" else PAGES)
    pages: list[dict[str, object]] = [
        {
            "index": index,
            "markdown": f"# Page {index + 1}\n\n{sentences(model.random(f'page {index} of {document}'), 3)}",
            "images": [],
            "dimensions": {"dpi": 200, "height": 2200, "width": 1700},
        }
        for index in there
        if asked.pages is None or index in asked.pages
    ]
    usage = {"pages_processed": len(pages), "doc_size_bytes": len(document)}
    body: dict[str, object] = {"pages": pages, "model": asked.model, "document_annotation": None, "usage_info": usage}
    return json_answer(headers, body)

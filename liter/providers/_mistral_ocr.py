"""Mistral's OCR, at Mistral's own address and at the clouds that have its models."""

from collections.abc import Mapping
from typing import cast

import msgspec
from msgspec.structs import replace

from .._contract import Call
from .._errors import BadRequestError
from ..types import OcrRequest, OcrResponse, Usage
from ._json_body import json_body
from ._parameters import Mapped, Rule, Sent, supported
from ._read import read_json

PARAMETERS: Mapping[str, Rule] = {
    "model": Sent(),
    "document": Sent(),
    "pages": Sent(),
    "include_image_base64": Sent(),
    "vision_model": Mapped("nothing: it is asked when this provider cannot"),
    "extra_body": Mapped("its fields, such as `table_format`; they win"),
}

# What makes pages annotated ones, which cost more.
_ANNOTATIONS = ("document_annotation_format", "bbox_annotation_format")
_OCR = msgspec.json.Decoder(OcrResponse)


def ocr_body(call: Call[object], model: str) -> bytes:
    """Make the body of a request."""
    return json_body(supported(PARAMETERS, cast("OcrRequest", call.request), call), model=model)


def check_inline(call: Call[object]) -> None:
    """Check that a document is in the request. :raises BadRequestError: it is elsewhere"""
    if not cast("OcrRequest", call.request).address.startswith("data:"):
        raise BadRequestError(
            f"document: {call.route.provider} reads what is in the request alone: give a 'data:...;base64,...' address"
        )


def read_ocr(call: Call[object], body: bytes) -> OcrResponse:
    """Decode the text of a document.

    :raises SerializationError: it cannot be read
    """
    told = read_json(call, body, _OCR, "the text of a document")
    pages = (told.usage_info or {}).get("pages_processed")
    if not isinstance(pages, int):
        return told
    asked = cast("OcrRequest", call.request).extra_body or {}
    annotated = any(asked.get(name) for name in _ANNOTATIONS)
    return replace(told, usage=Usage(pages=pages, annotated_pages=pages if annotated else None))

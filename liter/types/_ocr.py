"""Documents as text."""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from ._checks import check_items, check_model
from ._response import ApiResponse, JsonObject
from ._usage import Usage


class OcrRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for the text of a document. ``None`` is not sent.

    :param model: ``"mistral/mistral-ocr-latest"``, ``"azure-document-intelligence/prebuilt-layout"``, ...
    :param document: ``{"type": "document_url", "document_url": ...}`` or
        ``{"type": "image_url", "image_url": ...}``; the address is ``https://...`` or ``data:...;base64,...``
    :param pages: which pages, from 0; by default all
    :param include_image_base64: whether images in the document come along
    :param vision_model: a chat model that reads the document instead, where the provider of ``model`` has no OCR, is
        overloaded or fails: ``"openai/gpt-4o"``. It may misread, and tells no places; the reply's ``vision_model`` says
        that it was asked
    :param extra_body: more fields of the provider's body; merged last, so they win
    :raises ValueError: what cannot be right, with what would be
    """

    model: str
    document: Mapping[str, object]
    pages: Sequence[int] | None = None
    include_image_base64: bool | None = None
    vision_model: str | None = None
    extra_body: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        check_model(self.model, "mistral/mistral-ocr-latest")
        if not isinstance(self.document, Mapping) or self.document.get("type") not in (
            "document_url",
            "image_url",
            "file",
        ):
            raise ValueError(
                "document must be {'type': 'document_url', 'document_url': 'https://...'}, "
                f"or the same with 'image_url' or 'file', not {self.document!r}"
            )
        if self.pages is not None:
            check_items(self.pages, "pages")
        if self.vision_model is not None:
            check_model(self.vision_model, "openai/gpt-4o")
            if self.include_image_base64 or self.document["type"] == "file":
                raise ValueError(
                    "vision_model reads a document's text, from an address or data: it has neither its images "
                    "(include_image_base64) nor another provider's files"
                )

    @property
    def address(self) -> str:
        """Where the document is: ``https://...``, or ``data:...``; empty where it is a file's id."""
        told = self.document.get(str(self.document["type"]))
        if isinstance(told, Mapping):
            told = cast("Mapping[str, object]", told).get("url")
        return told if isinstance(told, str) else ""


class OcrPage(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """One page.

    :param index: from 0
    :param markdown: its text
    :param images: pictures on it, with their place and, where asked for, their base64
    :param dimensions: ``{"dpi": ..., "height": ..., "width": ...}``
    """

    index: int = 0
    markdown: str = ""
    images: list[JsonObject] = []
    dimensions: JsonObject | None = None
    tables: list[JsonObject] | None = None
    hyperlinks: list[object] | None = None
    header: str | None = None
    footer: str | None = None


class OcrResponse(ApiResponse, repr_omit_defaults=True, frozen=True, kw_only=True):
    """The pages of a document, in order.

    :param usage_info: what the provider bills: ``{"pages_processed": ..., "doc_size_bytes": ...}``
    :param vision_model: the chat model that read it, where one was named and no OCR did; ``usage`` is its tokens
    """

    object: str = "ocr"
    model: str = ""
    pages: list[OcrPage] = msgspec.field(default_factory=list[OcrPage])
    document_annotation: str | None = None
    usage_info: JsonObject | None = None
    usage: Usage | None = None
    vision_model: str | None = None

    @property
    def text(self) -> str:
        """The text of all pages, an empty line between two."""
        return "\n\n".join(page.markdown for page in self.pages)

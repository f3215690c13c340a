"""Documents read by a chat model that sees, in place of OCR, where a caller asks for it."""

import re
from collections.abc import Mapping

from .types import (
    ChatCompletionRequest,
    ChatCompletionResponse,
    DocumentPart,
    ImagePart,
    ImageUrl,
    OcrPage,
    OcrRequest,
    OcrResponse,
    TextPart,
)

_PROMPT = """\
Write down the text of this document as Markdown: all of it, in reading order, in its own language, with headings, \
lists and tables as they are there. Add nothing, leave nothing out, and do not comment on it. Begin each page with a \
line of its own: <!-- page 1 -->, <!-- page 2 -->, and so on.\
"""
_MARK = re.compile(r"^[ \t]*<!--\s*page\s+(\d+)\s*-->[ \t\r]*$", re.MULTILINE | re.IGNORECASE)
_FENCE = re.compile(r"\A\s*```(?:markdown|md)?[ \t]*\n(.*?)\n?```\s*\Z", re.DOTALL)


def chat_of(request: OcrRequest, model: str) -> ChatCompletionRequest:
    """The chat that asks a model for a document's text."""
    prompt = _PROMPT
    if request.pages is not None:
        prompt += f" Only these pages: {', '.join(str(page + 1) for page in request.pages)}."
    address = request.address
    head, _, data = address.partition(",")
    kind = head.removeprefix("data:").removesuffix(";base64") if head.startswith("data:") else ""
    if request.document["type"] == "image_url" or kind.startswith("image/"):
        part: ImagePart | DocumentPart = ImagePart(image_url=ImageUrl(url=address))
    elif kind:
        part = DocumentPart(data=data, media_type=kind)
    else:
        part = DocumentPart(url=address)
    message: Mapping[str, object] = {"role": "user", "content": [TextPart(text=prompt), part]}
    return ChatCompletionRequest(model=model, messages=[message])


def ocr_of(response: ChatCompletionResponse, request: OcrRequest, model: str) -> OcrResponse:
    """What a model has written, as pages."""
    text = response.text
    fenced = _FENCE.match(text)
    if fenced is not None:
        text = fenced[1]
    marks = list(_MARK.finditer(text))
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    pages = [
        OcrPage(index=int(mark[1]) - 1, markdown=text[mark.end() : end].strip())
        for mark, end in zip(marks, ends, strict=False)
    ]
    if not pages:
        pages = [OcrPage(index=request.pages[0] if request.pages else 0, markdown=text.strip())]
    return OcrResponse(model=response.model, pages=pages, usage=response.usage, vision_model=model)

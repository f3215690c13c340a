"""Documents that are ranked: as they are sent to those who take texts, and as they come with the results."""

from collections.abc import Iterable, Mapping

import msgspec

from ..types import RerankRequest, RerankResult

Document = str | Mapping[str, object]

_ENCODER = msgspec.json.Encoder()


def text_of(document: Document) -> str:
    """A document as a text; an object that has more than a text as JSON."""
    if isinstance(document, str):
        return document
    text = document.get("text")
    return text if isinstance(text, str) and len(document) == 1 else _ENCODER.encode(document).decode()


def ranked(request: RerankRequest, scores: Iterable[tuple[int, float]]) -> list[RerankResult]:
    """Make the results of places and scores, with the documents of the request if they are asked for."""
    return [
        RerankResult(
            index=index,
            relevance_score=score,
            document=_object_of(request, index) if request.return_documents else None,
        )
        for index, score in scores
    ]


def _object_of(request: RerankRequest, index: int) -> dict[str, object] | None:
    if not 0 <= index < len(request.documents):
        return None
    document = request.documents[index]
    return {"text": document} if isinstance(document, str) else dict(document)

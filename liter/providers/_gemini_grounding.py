"""The sources of a text, out of Gemini's grounding and citation metadata, as notes on it.

Gemini counts in bytes of UTF-8, annotations in characters.
"""

from collections.abc import Mapping

from ..types import Annotation, DocumentCitation, UrlCitation
from ._gemini_json import JsonObject, count_of, fields_of, items_of, objects_of, text_of


def annotations_of(facts: Mapping[str, object], text: str) -> list[Annotation]:
    """Make the notes on a candidate's text of what else it tells: ``groundingMetadata``, ``citationMetadata``.

    Sources that the text leans on nowhere in particular come without a place.
    """
    grounding = fields_of(facts.get("groundingMetadata"))
    sources = objects_of(grounding.get("groundingChunks"))
    data = text.encode()
    made: list[Annotation] = []
    used: set[int] = set()
    for support in objects_of(grounding.get("groundingSupports")):
        place = _place(fields_of(support.get("segment")), text, data)
        for item in items_of(support.get("groundingChunkIndices")):
            number = count_of(item)
            if number is not None and number < len(sources):
                used.add(number)
                made += _notes(sources[number], *place)
    for number, source in enumerate(sources):
        if number not in used:
            made += _notes(source, None, None)
    cited = fields_of(facts.get("citationMetadata"))
    for source in objects_of(cited.get("citations") or cited.get("citationSources")):
        uri = text_of(source.get("uri"))
        if uri:
            made.append(_page(uri, source, *_place(source, text, data)))
    return made


def _notes(chunk: JsonObject, start: int | None, end: int | None) -> list[Annotation]:
    """The note on a source: a page where it has an address, else a document."""
    for kind in ("web", "retrievedContext", "maps", "image"):
        source = fields_of(chunk.get(kind))
        uri = text_of(source.get("uri")) or text_of(source.get("sourceUri"))
        if uri:
            return [_page(uri, source, start, end)]
        if source:
            document = DocumentCitation(
                id=text_of(source.get("documentName")) or text_of(source.get("fileSearchStore")) or "",
                source="tool",
                title=text_of(source.get("title")),
                start_index=start,
                end_index=end,
                content=source,
            )
            return [Annotation(type="document_citation", document_citation=document)]
    return []


def _page(url: str, source: JsonObject, start: int | None, end: int | None) -> Annotation:
    title = text_of(source.get("title"))
    return Annotation(url_citation=UrlCitation(url=url, title=title, start_index=start, end_index=end))


def _place(segment: Mapping[str, object], text: str, data: bytes) -> tuple[int | None, int | None]:
    end = count_of(segment.get("endIndex"))
    said = text_of(segment.get("text"))
    if end is not None and end <= len(data):
        start = min(count_of(segment.get("startIndex")) or 0, end)
        first = len(data[:start].decode("utf-8", "ignore"))
        last = first + len(data[start:end].decode("utf-8", "ignore"))
        if said is None or text[first:last] == said:
            return first, last
    # Some servers count from the start of a part: the words themselves know better.
    found = text.find(said) if said else -1
    return (found, found + len(said)) if said and found >= 0 else (None, None)

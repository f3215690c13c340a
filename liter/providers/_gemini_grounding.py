"""The sources of a text, out of Gemini's grounding and citation metadata, as notes on it.

Gemini counts in bytes of UTF-8, annotations in characters.
"""

from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate

from ..types import Annotation, DocumentCitation, UrlCitation
from ._gemini_json import JsonObject, count_of, fields_of, items_of, objects_of, text_of


def annotations_of(facts: Mapping[str, object], text: str) -> list[Annotation]:
    """Make the notes on a candidate's text of what else it tells: ``groundingMetadata``, ``citationMetadata``.

    Sources that the text leans on nowhere in particular come without a place.
    """
    grounding = fields_of(facts.get("groundingMetadata"))
    sources = objects_of(grounding.get("groundingChunks"))
    places = _Places(text)
    made: list[Annotation] = []
    used: set[int] = set()
    for support in objects_of(grounding.get("groundingSupports")):
        place = places.of(fields_of(support.get("segment")))
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
            made.append(_page(uri, source, *places.of(source)))
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


class _Places:
    """Finds the characters of a text by its bytes. The bytes are counted once, however many places are asked for."""

    # Looking for words costs the whole text each time: a reply with more odd places than these has no use for them.
    _MOST_SOUGHT = 256

    def __init__(self, text: str) -> None:
        self._text = text
        # Where each character begins, and the text's end; a text of ASCII needs none.
        self._starts = None if text.isascii() else [0, *accumulate(len(character.encode()) for character in text)]
        self._size = len(text) if self._starts is None else self._starts[-1]
        self._sought = 0

    def of(self, segment: Mapping[str, object]) -> tuple[int | None, int | None]:
        """The first character of a segment and the one after it; ``None`` where it is not in the text."""
        end = count_of(segment.get("endIndex"))
        said = text_of(segment.get("text"))
        if end is not None and end <= self._size:
            first, last = self._character(min(count_of(segment.get("startIndex")) or 0, end)), self._character(end)
            if said is None or self._text[first:last] == said:
                return first, last
        # Some servers count from the start of a part: the words themselves know better.
        if not said or self._sought == self._MOST_SOUGHT:
            return None, None
        self._sought += 1
        found = self._text.find(said)
        return (found, found + len(said)) if found >= 0 else (None, None)

    def _character(self, byte: int) -> int:
        return byte if self._starts is None else bisect_left(self._starts, byte)

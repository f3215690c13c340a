"""Content parts of OpenAI's form as Gemini's: text, data in line, and files that Google's servers can reach."""

import mimetypes
import re
from collections.abc import Sequence

from .._errors import BadRequestError
from ..types import CacheControl, ContentPart, DocumentPart, FilePart, ImagePart, InputAudioPart, RefusalPart, TextPart
from ._gemini_json import JsonObject, fields_of, text_of
from ._gemini_target import Target

_DATA_URL = re.compile(r"data:([^,]*?);base64,(.*)", re.DOTALL | re.IGNORECASE)

# Addresses that Gemini itself reads from: its own files, Cloud Storage, and videos.
READABLE = re.compile(
    r"https://generativelanguage\.googleapis\.com/|gs://|https://(?:www\.|m\.)?(?:youtube\.com|youtu\.be)/",
    re.IGNORECASE,
)
_FILES = "https://generativelanguage.googleapis.com/v1beta/"

# OpenAI's names of formats that differ from the media type's.
_AUDIO = {"mp3": "audio/mp3", "pcm16": "audio/pcm", "m4a": "audio/mp4"}

_RESOLUTIONS = {"low": "MEDIA_RESOLUTION_LOW", "medium": "MEDIA_RESOLUTION_MEDIUM", "high": "MEDIA_RESOLUTION_HIGH"}


def parts_of(content: str | Sequence[ContentPart], where: str, target: Target) -> list[JsonObject]:
    """Make Gemini's parts of a message's content. Empty texts, which say nothing, are left out.

    :raises BadRequestError: a part is of a kind that Gemini does not take
    """
    if isinstance(content, str):
        return [{"text": content}] if content else []
    parts: list[JsonObject] = []
    for index, part in enumerate(content):
        place = f"{where}.content[{index}]"
        refuse_breakpoint(part.cache_control or part.prompt_cache_breakpoint, place, target)
        made = _part(part, place, target)
        if made != {"text": ""}:
            parts.append(made)
    return parts


def pictures_of(images: Sequence[JsonObject], where: str, target: Target) -> list[JsonObject]:
    """Make Gemini's parts of the pictures that a model made before, those of them that are here."""
    parts: list[JsonObject] = []
    for index, image in enumerate(images):
        url = text_of(fields_of(image.get("image_url")).get("url")) or ""
        made = _data(url, f"{where}.images[{index}]")
        if made is None:
            target.cannot(
                f"{where}.images[{index}]: a picture by its address", "give it as 'data:image/png;base64,...'"
            )
        else:
            parts.append(made)
    return parts


def refuse_breakpoint(control: CacheControl | JsonObject | None, where: str, target: Target) -> None:
    """Report a cache breakpoint: Gemini caches what repeats by itself, or what was stored as cached content."""
    if control is not None:
        target.cannot(
            f"the cache breakpoint in {where}", "leave it out (repeated prompts are cached all the same),"
            " or name stored content with extra_body={'cachedContent': 'cachedContents/...'}",
        )  # fmt: skip


def _part(part: ContentPart, where: str, target: Target) -> JsonObject:
    if isinstance(part, TextPart):
        return {"text": part.text}
    if isinstance(part, RefusalPart):
        return {"text": part.refusal}
    if isinstance(part, ImagePart):
        return _image(part, where, target)
    if isinstance(part, InputAudioPart):
        sound = part.input_audio
        return _inline(_AUDIO.get(sound.format, f"audio/{sound.format}"), sound.data)
    if isinstance(part, DocumentPart):
        return _document(part, where, target)
    file: FilePart = part
    return _file(file, where, target)


def _inline(media_type: str, data: str) -> JsonObject:
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _image(part: ImagePart, where: str, target: Target) -> JsonObject:
    url, detail = part.image_url.url, part.image_url.detail
    made = _data(url, where)
    if made is None:
        if not (READABLE.match(url) or target.vertex):
            raise BadRequestError(
                f"{where}: Gemini does not fetch images from other sites: give it as 'data:image/png;base64,...', or"
                f" upload it and name the file, or let liter fetch it: LlmClient(fetch_urls='public')"
            )
        made = _reference(url, _guessed(url), where, target)
    if detail not in (None, "auto"):
        resolution = _RESOLUTIONS.get(detail)
        if resolution is None or not target.facts.takes_parts_in_results:
            target.cannot(
                f"{where}: detail {detail!r} of one image",
                "leave it out, or set extra_body={'generationConfig': {'mediaResolution': ...}} for all of them",
            )
        else:
            made["mediaResolution"] = {"level": resolution}
    return made


def _document(part: DocumentPart, where: str, target: Target) -> JsonObject:
    for name, value in (("title", part.title), ("context", part.context), ("citations", part.citations)):
        if value is not None:
            target.cannot(f"{where}: the {name} of a document", "leave it out, or put it into a text before")
    if part.data is not None:
        return _inline(part.media_type, part.data)
    return _reference(part.url or part.file_id or "", part.media_type, where, target)


def _file(part: FilePart, where: str, target: Target) -> JsonObject:
    file = part.file
    if file.file_id is not None:
        return _reference(file.file_id, _guessed(file.filename or file.file_id), where, target)
    made = _data(file.file_data or "", where)
    if made is None:
        raise BadRequestError(f"{where}: file_data must look like 'data:application/pdf;base64,...'")
    # A file in line has no name in Gemini's form, and none is needed to read it.
    return made


def _data(url: str, where: str) -> JsonObject | None:
    match = _DATA_URL.fullmatch(url)
    if match is not None:
        return _inline(match.group(1), match.group(2))
    if url[:5].lower() == "data:":
        raise BadRequestError(f"{where}: a data URL must look like 'data:image/png;base64,...'")
    return None


def _reference(address: str, media_type: str | None, where: str, target: Target) -> JsonObject:
    data: JsonObject = {"fileUri": address if ":" in address else _FILES + address}
    if media_type is not None:
        data["mimeType"] = media_type
    elif target.vertex:
        raise BadRequestError(
            f"{where}: Vertex AI must be told the media type of {address!r}: use a document part with media_type"
        )
    return {"fileData": data}


def _guessed(name: str) -> str | None:
    return mimetypes.guess_type(name.partition("?")[0])[0]

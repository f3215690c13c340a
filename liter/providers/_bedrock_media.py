"""Pictures, documents, sound and video for Bedrock, which takes bytes or S3 addresses and fetches nothing else."""

import base64
import binascii
import re
from collections.abc import Mapping

from .._errors import BadRequestError
from ..types import DocumentPart, FilePart, ImagePart, InputAudioPart

Block = dict[str, object]

_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^;,]*)*?;base64,(.*)", re.DOTALL | re.IGNORECASE)

# The formats that Converse knows, by media type. Where two kinds share an ending, the later one has it.
_KINDS: Mapping[str, Mapping[str, str]] = {
    "audio": {
        "audio/mpeg": "mp3",
        "audio/wav": "wav",
        "audio/x-wav": "wav",
        "audio/ogg": "ogg",
        "audio/opus": "opus",
        "audio/flac": "flac",
        "audio/aac": "aac",
        "audio/mp4": "m4a",
        "audio/webm": "webm",
    },
    "video": {
        "video/mp4": "mp4",
        "video/quicktime": "mov",
        "video/x-matroska": "mkv",
        "video/webm": "webm",
        "video/x-flv": "flv",
        "video/mpeg": "mpeg",
        "video/x-ms-wmv": "wmv",
        "video/3gpp": "three_gp",
    },
    "document": {
        "application/pdf": "pdf",
        "text/csv": "csv",
        "application/msword": "doc",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
        "application/vnd.ms-excel": "xls",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
        "text/html": "html",
        "text/plain": "txt",
        "text/markdown": "md",
    },
    "image": {
        "image/png": "png",
        "image/jpeg": "jpeg",
        "image/jpg": "jpeg",
        "image/gif": "gif",
        "image/webp": "webp",
    },
}
_OF_MEDIA_TYPE = {media_type: (kind, name) for kind, names in _KINDS.items() for media_type, name in names.items()}
_OF_ENDING = {name: (kind, name) for kind, names in _KINDS.items() for name in names.values()} | {
    "jpg": ("image", "jpeg"),
    "mpg": ("video", "mpg"),
    "3gp": ("video", "three_gp"),
    "htm": ("document", "html"),
}

# Converse refuses names with other characters, and more than one blank in a row.
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_ ()\[\]-]+")
_LONGEST_NAME = 200


class Media:
    """Makes the blocks of one request. Documents get names that no other in it has."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def image(self, part: ImagePart, where: str) -> Block:
        """A picture. How closely to look at it cannot be said here."""
        return self._from_url(part.image_url.url, where, "image", None)

    def audio(self, part: InputAudioPart) -> Block:
        """Sound."""
        return {"audio": {"format": part.input_audio.format, "source": {"bytes": part.input_audio.data}}}

    def file(self, part: FilePart, where: str) -> Block:
        """A file: what its media type, or the ending of its address, makes it."""
        file = part.file
        if file.file_data is not None:
            return self._from_url(file.file_data, where, "file", file.filename)
        if file.file_id is not None and file.file_id.startswith("s3://"):
            return self._from_s3(file.file_id, where, file.filename)
        raise BadRequestError(f"{where}: Bedrock keeps no files: give file_data, or an s3:// address as file_id")

    def document(self, part: DocumentPart, where: str) -> Block:
        """A document. One in plain text that is to be cited goes as text, for citations count its characters."""
        address = part.url or part.file_id
        if address is not None:
            if not address.startswith("s3://"):
                raise BadRequestError(f"{where}: {_FETCHES_NOTHING.format('document')}")
            block = self._from_s3(address, where, part.title, _OF_MEDIA_TYPE.get(part.media_type))
        else:
            kind, name = _known(part.media_type, where)
            source: Block = {"bytes": part.data or ""}
            if name == "txt" and part.citations and part.citations.get("enabled"):
                source = {"text": _text(part.data or "", where)}
            block = self._block(kind, name, source, part.title)
        for name, value in (("context", part.context), ("citations", part.citations)):
            if value is not None:
                inner = block.get("document")
                if not isinstance(inner, dict):
                    raise BadRequestError(f"{where}: only documents have {name}, and {part.media_type} is none")
                inner[name] = value
        return block

    def _from_url(self, url: str, where: str, what: str, title: str | None) -> Block:
        if url.startswith("s3://"):
            return self._from_s3(url, where, title)
        match = _DATA_URL.fullmatch(url)
        if match is not None:
            kind, name = _known(match.group(1), where)
            return self._block(kind, name, {"bytes": match.group(2)}, title)
        if url.startswith("data:"):
            raise BadRequestError(f"{where}: a data URL must look like 'data:image/png;base64,...'")
        raise BadRequestError(f"{where}: {_FETCHES_NOTHING.format(what)}")

    def _from_s3(self, uri: str, where: str, title: str | None, otherwise: tuple[str, str] | None = None) -> Block:
        ending = uri.rpartition(".")[2].lower()
        known = _OF_ENDING.get(ending) or otherwise
        if known is None:
            raise BadRequestError(f"{where}: {uri!r} must end with its format, such as '.png' or '.pdf'")
        return self._block(*known, {"s3Location": {"uri": uri}}, title)

    def _block(self, kind: str, name: str, source: Block, title: str | None) -> Block:
        block: Block = {"format": name, "source": source}
        if kind == "document":
            block = {"format": name, "name": self._name(title), "source": source}
        return {kind: block}

    def _name(self, title: str | None) -> str:
        stem, dot, ending = (title or "").rpartition(".")
        if dot and ending.lower() in _OF_ENDING:
            title = stem
        wanted = " ".join(_NOT_IN_A_NAME.sub("-", title or "").split())[:_LONGEST_NAME].strip() or "document"
        name, count = wanted, 1
        while name in self._names:
            count += 1
            name = f"{wanted}-{count}"
        self._names.add(name)
        return name


_FETCHES_NOTHING = (
    "Bedrock fetches no addresses but S3's: give the {} as a data: URL, or as s3://bucket/key,"
    " or let liter fetch it: LlmClient(fetch_urls='public')"
)


def _known(media_type: str, where: str) -> tuple[str, str]:
    known = _OF_MEDIA_TYPE.get(media_type.lower())
    if known is None:
        raise BadRequestError(
            f"{where}: Bedrock takes no {media_type or 'data without a media type'}; it takes"
            f" {', '.join(sorted(_OF_MEDIA_TYPE))}"
        )
    return known


def _text(data: str, where: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise BadRequestError(f"{where}: the data of a text document must be UTF-8 in base64") from None

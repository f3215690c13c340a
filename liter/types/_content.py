"""Content parts: what a message is made of when it is more than one string."""

from typing import Literal

import msgspec


class CacheControl(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="ephemeral",
):
    """A prompt-cache breakpoint in Anthropic's form; it covers all before it, and the part that bears it.

    :param ttl: how long the provider keeps it; ``None`` is the provider's default (five minutes)
    """

    ttl: Literal["5m", "1h"] | None = None


class _Part(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="type"
):
    cache_control: CacheControl | None = None
    prompt_cache_breakpoint: dict[str, object] | None = None


class TextPart(_Part, frozen=True, kw_only=True, tag="text"):
    """Text."""

    text: str


class ImageUrl(
    msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Where an image is.

    :param url: ``https://...`` or ``data:image/png;base64,...``
    :param detail: how closely the model looks at it: ``"auto"``, ``"low"``, ``"high"``
    """

    url: str
    detail: str | None = None


class ImagePart(_Part, frozen=True, kw_only=True, tag="image_url"):
    """An image."""

    image_url: ImageUrl


class InputAudio(
    msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Recorded sound: ``data`` in base64, ``format`` such as ``"wav"`` or ``"mp3"``."""

    data: str
    format: str


class InputAudioPart(_Part, frozen=True, kw_only=True, tag="input_audio"):
    """Sound to listen to."""

    input_audio: InputAudio


class FileData(
    msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A file: one that was uploaded (``file_id``), or its content (``file_data``, a data URL) and name."""

    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None


class FilePart(_Part, frozen=True, kw_only=True, tag="file"):
    """A file in OpenAI's form."""

    file: FileData


class DocumentPart(_Part, frozen=True, kw_only=True, tag="document"):
    """A document in liter's form, which says more than OpenAI's ``file``. Exactly one source is given.

    :param data: the document in base64, of type ``media_type``
    :param media_type: ``"application/pdf"`` (the default) or ``"text/plain"``
    :param url: where the provider can fetch it
    :param file_id: id of a file that was uploaded to the provider
    :param title: name of the document, shown to the model
    :param context: words about the document that are no part of it
    :param citations: ``{"enabled": True}`` asks for citations out of it (Anthropic)
    """

    data: str | None = None
    media_type: str = "application/pdf"
    url: str | None = None
    file_id: str | None = None
    title: str | None = None
    context: str | None = None
    citations: dict[str, bool] | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("data", "url", "file_id") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a document has exactly one of data, url and file_id, not {' and '.join(given) or 'none'}"
            )


class RefusalPart(_Part, frozen=True, kw_only=True, tag="refusal"):
    """The model's own words on why it declines."""

    refusal: str


UserPart = TextPart | ImagePart | InputAudioPart | FilePart | DocumentPart
ToolPart = TextPart | ImagePart | FilePart | DocumentPart
AssistantPart = TextPart | RefusalPart
ContentPart = TextPart | ImagePart | InputAudioPart | FilePart | DocumentPart | RefusalPart

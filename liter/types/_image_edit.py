"""Images changed as a text says, and varied."""

from collections.abc import Mapping, Sequence
from typing import Literal, cast

import msgspec
from msgspec.structs import force_setattr

from ._checks import check_count, check_text
from ._file import File, FileSource


class ImageEditRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for images to be changed as a text says. Sent as a form; ``None`` is not sent.

    :param image: the image, or several: a path, bytes, an open file, or ``(filename, content)``
    :param mask: an image whose transparent parts say where to change it
    :param input_fidelity: how closely it keeps to the image: ``"high"``, ``"low"``
    :raises ValueError: what cannot be right, with what would be

    The other parameters mean what they mean in :class:`ImageGenerationRequest`.
    """

    image: FileSource | Sequence[FileSource]
    prompt: str
    mask: FileSource | None = None
    model: str | None = None
    n: int | None = None
    size: str | None = None
    quality: str | None = None
    response_format: str | None = None
    output_format: str | None = None
    output_compression: int | None = None
    background: str | None = None
    input_fidelity: Literal["high", "low"] | str | None = None
    partial_images: int | None = None
    user: str | None = None
    extra_body: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        check_text(self.prompt, "prompt")
        check_count(self.n, "n")
        check_count(self.partial_images, "partial_images", low=0, high=3)
        given = self.image
        named = isinstance(given, tuple) and len(given) > 0 and isinstance(given[0], str)  # (filename, content)
        several = isinstance(given, Sequence) and not isinstance(given, str | bytes) and not named
        images = (
            [File.of(one, "image") for one in cast("Sequence[FileSource]", given)]
            if several
            else [File.of(cast("FileSource", given), "image")]
        )
        if not images:
            raise ValueError("image must be at least one")
        force_setattr(self, "image", tuple(images))
        if self.mask is not None:
            force_setattr(self, "mask", File.of(self.mask, "mask"))


class ImageVariationRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for images like one. Sent as a form; ``None`` is not sent.

    :param image: the image: a path, bytes, an open file, or ``(filename, content)``

    The other parameters mean what they mean in :class:`ImageGenerationRequest`.
    """

    image: FileSource
    model: str | None = None
    n: int | None = None
    size: str | None = None
    response_format: str | None = None
    user: str | None = None
    extra_body: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        check_count(self.n, "n")
        force_setattr(self, "image", File.of(self.image, "image"))

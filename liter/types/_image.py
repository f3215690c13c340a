"""Images: made of a text."""

import base64
from collections.abc import Mapping
from typing import Literal

import msgspec

from ._checks import check_count, check_text
from ._response import ApiResponse, JsonObject
from ._usage import Usage


class ImageGenerationRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for images of what a text says, in OpenAI's form. ``None`` is not sent.

    :param prompt: what they show
    :param model: ``"provider/model"``, or a name that the client routes; by default the provider's own choice
    :param n: how many
    :param size: ``"1024x1024"``, ``"auto"``, ...; each model has its own
    :param quality: ``"low"``, ``"medium"``, ``"high"``, ``"standard"``, ``"hd"``, ``"auto"``
    :param style: ``"vivid"``, ``"natural"`` (DALL-E 3)
    :param response_format: ``"url"`` or ``"b64_json"``, where a model has the choice
    :param output_format: ``"png"``, ``"jpeg"``, ``"webp"``
    :param output_compression: 0 to 100, for JPEG and WebP
    :param background: ``"transparent"``, ``"opaque"``, ``"auto"``
    :param moderation: how strict the provider's filter is: ``"low"``, ``"auto"``
    :param partial_images: on a stream, how many unfinished images come before, 0 to 3
    :param seed: makes the outcome repeatable, as far as the provider can
    :param user: a stable, hashed id of the end user
    :param extra_body: more fields of the provider's body; merged last, so they win
    :raises ValueError: what cannot be right, with what would be
    """

    prompt: str
    model: str | None = None
    n: int | None = None
    size: str | None = None
    quality: Literal["auto", "low", "medium", "high", "standard", "hd"] | str | None = None
    style: Literal["vivid", "natural"] | str | None = None
    response_format: Literal["url", "b64_json"] | str | None = None
    output_format: Literal["png", "jpeg", "webp"] | str | None = None
    output_compression: int | None = None
    background: Literal["transparent", "opaque", "auto"] | str | None = None
    moderation: str | None = None
    partial_images: int | None = None
    seed: int | None = None
    user: str | None = None
    extra_body: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        check_text(self.prompt, "prompt")
        check_count(self.n, "n")
        check_count(self.output_compression, "output_compression", low=0, high=100)
        check_count(self.partial_images, "partial_images", low=0, high=3)


class Image(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """An image: its address, or itself in base64.

    :param revised_prompt: the text that it was made of in truth, where the provider changed it
    """

    url: str | None = None
    b64_json: str | None = None
    revised_prompt: str | None = None

    @property
    def content(self) -> bytes:
        """The image itself. :raises ValueError: only its address came: ask for response_format="b64_json" """
        if self.b64_json is None:
            raise ValueError(f"only the image's address came, {self.url}: ask for response_format='b64_json'")
        return base64.b64decode(self.b64_json)


class ImagesResponse(ApiResponse, repr_omit_defaults=True, frozen=True, kw_only=True):
    """Images.

    :param created: Unix time, in seconds; 0 where the provider does not tell
    :param usage: token counts, for models that bill by tokens; ``None`` is unknown, never zero
    """

    created: int = 0
    data: list[Image] = msgspec.field(default_factory=list[Image])
    background: str | None = None
    output_format: str | None = None
    size: str | None = None
    quality: str | None = None
    usage: Usage | None = None
    native: JsonObject | None = None


class ImageEvent(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """What a stream of images tells.

    :param type: ``"image_generation.partial_image"``, ``"image_generation.completed"``
    :param b64_json: the image as far as it is, in base64
    :param partial_image_index: which of the unfinished ones, from 0; ``None`` for the whole one
    """

    type: str = ""
    b64_json: str = ""
    partial_image_index: int | None = None
    created_at: int | None = None
    size: str | None = None
    quality: str | None = None
    background: str | None = None
    output_format: str | None = None
    usage: Usage | None = None

    @property
    def content(self) -> bytes:
        """The image itself."""
        return base64.b64decode(self.b64_json)

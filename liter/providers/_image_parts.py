"""What those who make images have in common."""

import re
from collections.abc import Iterable, Mapping

from .._contract import Call
from .._errors import BadRequestError, ContentPolicyError, LlmError, ServerError
from ..types import Image, ImageGenerationRequest, ImagesResponse, Usage
from ._parameters import Mapped, Rule, Sent, Unsupported, refuse

_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
_DATA = re.compile(r"data:[^,]*;base64,")

# A table to begin with: what no provider here has of OpenAI's parameters.
PARAMETERS: Mapping[str, Rule] = {
    "prompt": Sent(),
    "model": Mapped("in the address"),
    "n": Unsupported("make several calls", neutral=(1,)),
    "size": Mapped("`width` and `height`"),
    "quality": Unsupported(neutral=("auto",)),
    "style": Unsupported(),
    "response_format": Unsupported("the image's address comes", neutral=("url",)),
    "output_format": Sent(),
    "output_compression": Unsupported(),
    "background": Unsupported(neutral=("auto",)),
    "moderation": Unsupported(neutral=("auto",)),
    "partial_images": Unsupported(neutral=(0,)),
    "seed": Sent(),
    "user": Unsupported(),
    "extra_body": Mapped("its fields; they win"),
}


def model_of(call: Call[object], example: str) -> str:
    """The model, which is a part of the address. :raises BadRequestError: none is named"""
    model = call.route.model
    if not model:
        raise BadRequestError(f"model must name one, such as {f'{call.route.provider}/{example}'!r}")
    return model


def size_of(request: ImageGenerationRequest, call: Call[object]) -> tuple[int, int] | None:
    """Width and height, in pixels; ``None`` where it is the provider's choice."""
    size = request.size
    if size is None or size == "auto":
        return None
    found = _SIZE.fullmatch(size)
    if found is None:
        refuse(call, f"size={size!r}", "width and height, as in '1024x768'")
        return None
    return int(found[1]), int(found[2])


def sides(size: tuple[int, int] | None) -> Mapping[str, int]:
    """A size as two fields."""
    return {} if size is None else {"width": size[0], "height": size[1]}


def images_response(places: Iterable[str], native: Mapping[str, object] | None = None) -> ImagesResponse:
    """Make the reply of images by their addresses, of which some are the images themselves. They are what is billed."""
    data = [_image(place) for place in places]
    kept = {name: value for name, value in (native or {}).items() if value not in (None, [], {})}
    return ImagesResponse(data=data, usage=Usage(images=len(data)), native=kept or None)


def no_image(provider: str, call: Call[object], body: bytes, why: str, *, code: str | None, filtered: bool) -> LlmError:
    """Make the error of a job that ended without an image.

    :param filtered: what was asked, or came of it, is not allowed
    """
    kind = ContentPolicyError if filtered else ServerError
    model = call.route.model or None
    return kind(f"no image was made: {why}", status=200, provider=provider, model=model, code=code, body=body)


def _image(place: str) -> Image:
    found = _DATA.match(place)
    return Image(url=place) if found is None else Image(b64_json=place[found.end() :])

"""fal: models by their paths, each of which answers when it is done."""

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote

import msgspec

from .._contract import Call
from .._http import Headers, HttpRequest
from ..types import ImageGenerationRequest, ImagesResponse
from ._headers import JSON
from ._image_parts import PARAMETERS as COMMON
from ._image_parts import images_response, model_of
from ._json_body import body_of
from ._parameters import Mapped, Renamed, Rule, supported
from ._read import read_json
from ._wire import OperationWire, WireProvider

JsonObject = dict[str, object]


PARAMETERS: Mapping[str, Rule] = {
    **COMMON,
    "n": Renamed("num_images"),
    "size": Mapped("`image_size`: width and height, or a name of its own, such as `landscape_4_3`"),
    "response_format": Mapped("`sync_mode` for `b64_json`: the image itself comes"),
}


class _File(msgspec.Struct):
    url: str = ""


class _Reply(msgspec.Struct):
    images: list[_File] | None = None
    image: _File | None = None
    seed: int | None = None
    has_nsfw_concepts: list[bool] | None = None
    timings: JsonObject | None = None


_REPLY = msgspec.json.Decoder(_Reply)


def _encode(provider: WireProvider, call: Call[object]) -> HttpRequest:
    request = supported(PARAMETERS, cast("ImageGenerationRequest", call.request), call)
    told = {
        "prompt": request.prompt,
        "num_images": request.n,
        "image_size": _size(request.size),
        "sync_mode": True if request.response_format == "b64_json" else None,
        "output_format": request.output_format,
        "seed": request.seed,
    }
    place = provider.locate(call, f"/{quote(model_of(call, 'fal-ai/flux/schnell'), safe='/')}")
    return provider.request(call, "POST", *place, JSON, body=body_of(told, request.extra_body))


def _size(size: str | None) -> object:
    if size is None or size == "auto":
        return None
    width, x, height = size.partition("x")
    return {"width": int(width), "height": int(height)} if x and width.isdecimal() and height.isdecimal() else size


def _decode(provider: WireProvider, call: Call[object], body: bytes, headers: Headers) -> ImagesResponse:
    told = read_json(call, body, _REPLY, "a list of images")
    files = told.images if told.images is not None else [told.image] if told.image is not None else []
    native = {"seed": told.seed, "has_nsfw_concepts": told.has_nsfw_concepts, "timings": told.timings}
    return images_response([file.url for file in files], native)


OPERATIONS: Mapping[str, OperationWire[Any, Any]] = {
    "image_generate": OperationWire(encode=_encode, decode=_decode, parameters=PARAMETERS),
}

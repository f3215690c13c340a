"""Stability AI: images of forms."""

from collections.abc import Mapping
from math import gcd
from typing import Any, cast

import msgspec

from .._contract import Call
from .._errors import ContentPolicyError
from .._form import Form
from .._http import Headers, HttpRequest
from ..types import Image, ImageGenerationRequest, ImagesResponse, Usage
from ._image_parts import PARAMETERS as COMMON
from ._image_parts import size_of
from ._json_body import json_text
from ._parameters import Mapped, Renamed, Rule, Unsupported, refuse, supported
from ._read import read_json
from ._wire import OperationWire, WireProvider

# The services with a model of their own; every other model is one of the third's.
_SERVICES = ("ultra", "core")
_SERVICE_OF_MODELS = "sd3"
_RATIOS = ("16:9", "1:1", "21:9", "2:3", "3:2", "4:5", "5:4", "9:16", "9:21")

PARAMETERS: Mapping[str, Rule] = {
    **COMMON,
    "model": Mapped("in the address: `ultra`, `core`; another, such as `sd3.5-large`, as `model`"),
    "size": Mapped(f"`aspect_ratio`: {', '.join(f'`{ratio}`' for ratio in _RATIOS)}, or a size of that form"),
    "style": Renamed("style_preset"),
    "response_format": Unsupported("the image itself comes", neutral=("b64_json",)),
}


class _Reply(msgspec.Struct):
    image: str
    finish_reason: str = ""
    seed: int | None = None


_REPLY = msgspec.json.Decoder(_Reply)


def _encode(provider: WireProvider, call: Call[object]) -> HttpRequest:
    request = supported(PARAMETERS, cast("ImageGenerationRequest", call.request), call)
    name = call.route.model.removeprefix("stable-image-")
    service = name if name in _SERVICES else _SERVICE_OF_MODELS
    told = {
        "prompt": request.prompt,
        "model": None if name in (*_SERVICES, _SERVICE_OF_MODELS) else name,
        "aspect_ratio": _ratio(request, call),
        "style_preset": request.style,
        "output_format": request.output_format,
        "seed": request.seed,
        **(request.extra_body or {}),
    }
    form = Form((name, json_text(value)) for name, value in told.items() if value is not None)
    own = ((b"content-type", form.content_type), (b"accept", b"application/json"))
    return provider.request(call, "POST", *provider.locate(call, f"/stable-image/generate/{service}"), own, upload=form)


def _ratio(request: ImageGenerationRequest, call: Call[object]) -> str | None:
    if request.size in _RATIOS:
        return request.size
    size = size_of(request, call)
    if size is None:
        return None
    common = gcd(*size) or 1
    ratio = f"{size[0] // common}:{size[1] // common}"
    if ratio in _RATIOS:
        return ratio
    refuse(call, f"size={request.size!r}", f"a size of the form {', '.join(_RATIOS)}")
    return None


def _decode(provider: WireProvider, call: Call[object], body: bytes, headers: Headers) -> ImagesResponse:
    told = read_json(call, body, _REPLY, "an image")
    if told.finish_reason == "CONTENT_FILTERED":
        raise ContentPolicyError(
            "the image was blurred by a filter",
            status=200,
            provider=provider.name,
            model=call.route.model or None,
            code=told.finish_reason,
        )
    native: dict[str, object] | None = None if told.seed is None else {"seed": told.seed}
    return ImagesResponse(data=[Image(b64_json=told.image)], usage=Usage(images=1), native=native)


OPERATIONS: Mapping[str, OperationWire[Any, Any]] = {
    "image_generate": OperationWire(encode=_encode, decode=_decode, parameters=PARAMETERS),
}

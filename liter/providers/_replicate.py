"""Replicate: a prediction of a model, which is waited for and then asked after."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote

import msgspec

from .._contract import Call
from .._http import Headers, HttpRequest
from ..types import ImageGenerationRequest, ImagesResponse
from ._headers import JSON
from ._image_parts import PARAMETERS as COMMON
from ._image_parts import images_response, model_of, no_image, sides, size_of
from ._parameters import Mapped, Renamed, Rule, supported
from ._polling import ask_after, ask_again
from ._read import read_plainly
from ._wire import FollowUp, OperationWire, WireProvider

JsonObject = dict[str, object]

_ENCODER = msgspec.json.Encoder()
_VERSION = re.compile(r"[0-9a-f]{64}")

PARAMETERS: Mapping[str, Rule] = {
    **COMMON,
    "model": Mapped("in the address; `owner/name:version`, or a version alone, as `version`"),
    "n": Renamed("num_outputs"),
    "output_compression": Renamed("output_quality"),
    "extra_body": Mapped("fields of `input`, which each model has its own of; they win"),
}


class _Urls(msgspec.Struct):
    get: str = ""


class _Prediction(msgspec.Struct):
    id: str = ""
    status: str = ""
    output: object = None
    error: object = None
    urls: _Urls | None = None
    metrics: JsonObject | None = None


_PREDICTION = msgspec.json.Decoder(_Prediction)


def _encode(provider: WireProvider, call: Call[object]) -> HttpRequest:
    request = supported(PARAMETERS, cast("ImageGenerationRequest", call.request), call)
    told = {
        "prompt": request.prompt,
        **sides(size_of(request, call)),
        "num_outputs": request.n,
        "seed": request.seed,
        "output_format": request.output_format,
        "output_quality": request.output_compression,
    }
    given = {name: value for name, value in told.items() if value is not None}
    body: dict[str, object] = {"input": {**given, **(request.extra_body or {})}}
    name, colon, version = model_of(call, "black-forest-labs/flux-schnell").partition(":")
    if not colon and _VERSION.fullmatch(name):
        version = name
    if version:
        body["version"] = version
    path = "/predictions" if version else f"/models/{quote(name, safe='/')}/predictions"
    # Most are done within the minute that it waits for them.
    own = (*JSON, (b"prefer", b"wait"))
    return provider.request(call, "POST", call.route.base_url, path, own, body=_ENCODER.encode(body))


def _follow(
    provider: WireProvider, call: Call[object], request: HttpRequest, headers: Headers, body: bytes
) -> FollowUp | None:
    told = read_plainly(call, body, _PREDICTION, "a prediction")
    if told.status not in ("starting", "processing"):
        return None
    if request.method == "GET":
        return ask_again(request, Headers())
    url = told.urls.get if told.urls is not None else f"{request.base_url}/predictions/{quote(told.id, safe='')}"
    # Its headers tell when limits are reset, and nothing of this.
    return ask_after(provider, call, url, Headers())


def _decode(provider: WireProvider, call: Call[object], body: bytes, headers: Headers) -> ImagesResponse:
    told = read_plainly(call, body, _PREDICTION, "a prediction")
    places = _places(told.output)
    if told.error or told.status in ("failed", "canceled") or not places:
        why = str(told.error or f"the prediction {told.status or 'has no output'}")
        raise no_image(provider.name, call, body, why, code=told.status or None, filtered="nsfw" in why.lower())
    return images_response(places, {"id": told.id, "metrics": told.metrics})


def _places(output: object) -> list[str]:
    """The addresses in an output: one, or a list of them."""
    if isinstance(output, str):
        return [output]
    listed = cast("Sequence[object]", output) if isinstance(output, list) else ()
    return [place for place in listed if isinstance(place, str)]


OPERATIONS: Mapping[str, OperationWire[Any, Any]] = {
    "image_generate": OperationWire(encode=_encode, decode=_decode, follow=_follow, parameters=PARAMETERS),
}

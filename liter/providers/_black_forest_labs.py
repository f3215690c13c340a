"""Black Forest Labs: an image is asked for, and asked after at the region that makes it."""

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote

import msgspec

from .._contract import Call
from .._http import Headers, HttpRequest
from ..types import ImageGenerationRequest, ImagesResponse
from ._headers import JSON
from ._image_parts import PARAMETERS as COMMON
from ._image_parts import images_response, model_of, no_image, sides, size_of
from ._json_body import body_of
from ._parameters import Rule, Unsupported, supported
from ._polling import ask_after, ask_again
from ._read import read_plainly
from ._wire import FollowUp, OperationWire, WireProvider

JsonObject = dict[str, object]


PARAMETERS: Mapping[str, Rule] = {
    **COMMON,
    "moderation": Unsupported("pass extra_body={'safety_tolerance': 0 to 6}", neutral=("auto",)),
}


class _Result(msgspec.Struct):
    sample: str = ""
    seed: int | None = None
    duration: float | None = None


class _Job(msgspec.Struct):
    id: str = ""
    polling_url: str = ""
    status: str = ""
    result: _Result | None = None
    details: JsonObject | None = None


_JOB = msgspec.json.Decoder(_Job)


def _encode(provider: WireProvider, call: Call[object]) -> HttpRequest:
    request = supported(PARAMETERS, cast("ImageGenerationRequest", call.request), call)
    told = {
        "prompt": request.prompt,
        **sides(size_of(request, call)),
        "seed": request.seed,
        "output_format": request.output_format,
    }
    place = provider.locate(call, f"/{quote(model_of(call, 'flux-pro-1.1'), safe='')}")
    return provider.request(call, "POST", *place, JSON, body=body_of(told, request.extra_body))


def _follow(
    provider: WireProvider, call: Call[object], request: HttpRequest, headers: Headers, body: bytes
) -> FollowUp | None:
    job = read_plainly(call, body, _JOB, "a job")
    if request.method == "POST":
        url = job.polling_url or f"{request.base_url}/get_result?id={quote(job.id, safe='')}"
        return ask_after(provider, call, url, headers, hosts="bfl.ai")
    return ask_again(request, headers) if job.status in ("Pending", "Processing", "Queued") else None


def _decode(provider: WireProvider, call: Call[object], body: bytes, headers: Headers) -> ImagesResponse:
    job = read_plainly(call, body, _JOB, "an image")
    if job.status == "Ready" and job.result is not None and job.result.sample:
        return images_response([job.result.sample], {"seed": job.result.seed, "duration": job.result.duration})
    # "Request Moderated", "Content Moderated"; "Error", "Failed", "Task not found".
    code = job.status or None
    why = code or "the reply does not say why"
    raise no_image(provider.name, call, body, why, code=code, filtered="Moderated" in why)


OPERATIONS: Mapping[str, OperationWire[Any, Any]] = {
    "image_generate": OperationWire(encode=_encode, decode=_decode, follow=_follow, parameters=PARAMETERS),
}

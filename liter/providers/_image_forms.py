"""Images whose requests have a form of their own, at providers that speak OpenAI's wire otherwise."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

import msgspec

from .._contract import Call
from .._errors import EndpointNotSupportedError
from .._http import Headers, HttpRequest
from ..types import ImageGenerationRequest, ImagesResponse
from ._headers import JSON
from ._image_parts import PARAMETERS, images_response, sides, size_of
from ._json_body import body_of
from ._openai_images import read_images
from ._parameters import Mapped, Renamed, Rule, Sent, Unsupported, supported
from ._read import read_json

if TYPE_CHECKING:
    from ._openai import OpenAI


class ImageForm(msgspec.Struct, frozen=True, kw_only=True):
    """How an image is asked for.

    :param path: where
    :param names: what those of the request's fields are called that have a place
    :param formats: what each ``response_format`` is called; empty where there is no choice
    :param parameters: what becomes of each parameter
    :param read: decodes the images that come
    """

    path: str
    names: Mapping[str, str]
    parameters: Mapping[str, Rule]
    formats: Mapping[str, str] = {}
    read: Callable[[Call[object], bytes, Headers], ImagesResponse] = read_images


class _Made(msgspec.Struct):
    image: str = ""


class _Reply(msgspec.Struct):
    images: list[_Made]


_REPLY = msgspec.json.Decoder(_Reply)


def _read_listed(call: Call[object], body: bytes, headers: Headers) -> ImagesResponse:
    told = read_json(call, body, _REPLY, "a list of images")
    return images_response([f"data:image/png;base64,{one.image}" for one in told.images])


FORMS: Mapping[str, ImageForm] = {
    "hyperbolic": ImageForm(
        path="/image/generation",
        names={"model": "model_name", "prompt": "prompt", "seed": "seed", "n": "num_images"},
        parameters={
            **PARAMETERS,
            "model": Renamed("model_name"),
            "n": Renamed("num_images"),
            "response_format": Unsupported("the image itself comes", neutral=("b64_json",)),
            "output_format": Unsupported(),
        },
        read=_read_listed,
    ),
    "together": ImageForm(
        path="/images/generations",
        names={"model": "model", "prompt": "prompt", "seed": "seed", "n": "n", "output_format": "output_format"},
        parameters={
            **PARAMETERS,
            "model": Sent(),
            "n": Sent(),
            "response_format": Mapped("`url`, or `base64` for `b64_json`"),
            "output_format": Mapped("`jpeg` or `png`, as it is"),
        },
        formats={"b64_json": "base64"},
    ),
}


def encode_form(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    """Make the request of an image in the provider's own form.

    :raises EndpointNotSupportedError: a stream is asked for
    """
    if call.stream:
        raise EndpointNotSupportedError(f"{provider.name} does not stream images", provider=provider.name)
    form = FORMS[provider.image_form]
    request = supported(form.parameters, cast("ImageGenerationRequest", call.request), call)
    told: dict[str, object] = {
        name: value for field, name in form.names.items() if (value := getattr(request, field)) is not None
    }
    told[form.names["model"]] = call.route.model
    told.update(sides(size_of(request, call)))
    if request.response_format is not None:
        told["response_format"] = form.formats.get(request.response_format, request.response_format)
    body = body_of(told, request.extra_body)
    return provider.request(call, "POST", *provider.locate(call, form.path), JSON, body=body)

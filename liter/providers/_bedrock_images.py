"""Images by InvokeModel: Amazon's Titan and Nova Canvas, and Stability's."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import msgspec

from .._contract import Call
from .._errors import BadRequestError, ContentPolicyError
from .._http import Headers, HttpRequest
from ..types import Image, ImageGenerationRequest, ImagesResponse
from ._bedrock_invoke import invoke
from ._bedrock_models import name_of
from ._classify import classify
from ._lenient import decode_leniently
from ._parameters import Mapped, Rule, Unsupported, refuse, supported
from ._read import unreadable
from ._wire import OperationWire

if TYPE_CHECKING:
    from ._bedrock import Bedrock

IMAGE_PARAMETERS: Mapping[str, Rule] = {
    "prompt": Mapped("textToImageParams.text (Amazon), prompt (Stability)"),
    "model": Mapped("in the path"),
    "n": Mapped("imageGenerationConfig.numberOfImages (Amazon); Stability makes one"),
    "size": Mapped("imageGenerationConfig.width and height (Amazon), aspect_ratio (Stability)"),
    "quality": Mapped("imageGenerationConfig.quality: standard, or premium for 'hd' and 'high' (Amazon)"),
    "style": Unsupported(),
    "response_format": Mapped("nothing: images come in base64, and 'url' is refused"),
    "output_format": Mapped("output_format (Stability); Amazon makes PNG"),
    "output_compression": Unsupported(),
    "background": Unsupported(neutral=("auto",)),
    "moderation": Unsupported(neutral=("auto",)),
    "partial_images": Unsupported(neutral=(0,)),
    "seed": Mapped("imageGenerationConfig.seed (Amazon), seed (Stability)"),
    "user": Unsupported(),
    "extra_body": Mapped("its fields, such as negative_prompt; they win"),
}

_QUALITIES = {"standard": "standard", "hd": "premium", "high": "premium", "premium": "premium"}
_RATIOS = ("16:9", "1:1", "21:9", "2:3", "3:2", "4:5", "5:4", "9:16", "9:21")


class _Reply(msgspec.Struct):
    images: list[str] | None = None
    error: str | None = None
    finish_reasons: list[str | None] | None = None
    seeds: list[int] | None = None


_REPLY = msgspec.json.Decoder(_Reply)


def _encode(provider: "Bedrock", call: Call[object]) -> HttpRequest:
    request = supported(IMAGE_PARAMETERS, cast("ImageGenerationRequest", call.request), call)
    if request.response_format not in (None, "b64_json"):
        refuse(call, f"response_format={request.response_format!r}", "images come as b64_json")
    name = name_of(call.route.model)
    if name.vendor == "stability":
        body = _stability(request, call)
    elif name.vendor == "amazon":
        body = _amazon(request, call)
    else:
        raise BadRequestError(
            f"model: {call.route.model} is none of the image models that are known on Bedrock: Amazon's and Stability's"
        )
    return invoke(provider, call, body, request.extra_body)


def _amazon(request: ImageGenerationRequest, call: Call[object]) -> dict[str, object]:
    config: dict[str, object] = {}
    if request.n is not None:
        config["numberOfImages"] = request.n
    if request.size not in (None, "auto"):
        config["width"], config["height"] = _sides(request.size or "")
    if request.quality not in (None, "auto"):
        quality = _QUALITIES.get(request.quality or "")
        if quality is None:
            refuse(call, f"quality={request.quality!r}", "give 'standard' or 'hd'")
        else:
            config["quality"] = quality
    if request.seed is not None:
        config["seed"] = request.seed
    if request.output_format not in (None, "png"):
        refuse(call, f"output_format={request.output_format!r} for {call.route.model!r}", "give 'png'")
    body: dict[str, object] = {"taskType": "TEXT_IMAGE", "textToImageParams": {"text": request.prompt}}
    return {**body, "imageGenerationConfig": config} if config else body


def _stability(request: ImageGenerationRequest, call: Call[object]) -> dict[str, object]:
    body: dict[str, object] = {"prompt": request.prompt}
    if request.n not in (None, 1):
        refuse(call, f"n={request.n} for {call.route.model!r}", "give 1")
    if request.quality not in (None, "auto"):
        refuse(call, f"quality={request.quality!r} for {call.route.model!r}", "leave it out")
    if request.size not in (None, "auto"):
        width, height = _sides(request.size or "")
        shared = math.gcd(width, height)
        ratio = f"{width // shared}:{height // shared}"
        if ratio not in _RATIOS:
            refuse(call, f"size={request.size!r}, which is {ratio}", f"give a size of {', '.join(_RATIOS)}")
        else:
            body["aspect_ratio"] = ratio
    for name in ("output_format", "seed"):
        if getattr(request, name) is not None:
            body[name] = getattr(request, name)
    return body


def _sides(size: str) -> tuple[int, int]:
    width, _, height = size.partition("x")
    if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()) or not int(width) * int(
        height
    ):
        raise BadRequestError(f"size must look like '1024x1024', not {size!r}")
    return int(width), int(height)


def _decode(provider: "Bedrock", call: Call[object], body: bytes, headers: Headers) -> ImagesResponse:
    provider_name, model = provider.name, call.route.model
    try:
        told = decode_leniently(_REPLY, body)
    except msgspec.DecodeError:
        told = _Reply()
    images = told.images or []
    if told.error and not images:
        words = msgspec.json.encode({"message": told.error})
        raise classify(words, status=None, provider=provider_name, model=model)
    reasons = [reason for reason in told.finish_reasons or () if reason]
    if reasons and len(reasons) >= len(images):
        # What was made of it is missing, or blurred.
        raise ContentPolicyError(
            reasons[0], status=200, provider=provider_name, model=model, body=body, code="content_filtered"
        )
    if told.images is None:
        raise unreadable(body, "a list of images", "it has none", provider=provider_name, model=model)
    native = {name: getattr(told, name) for name in ("error", "finish_reasons", "seeds") if getattr(told, name)}
    return ImagesResponse(data=[Image(b64_json=one) for one in images], native=native or None)


IMAGE_GENERATE: OperationWire[Any, Any] = OperationWire(encode=_encode, decode=_decode, parameters=IMAGE_PARAMETERS)

"""Images made by Google's models: Gemini's as replies that are images, Imagen's by ``predict``."""

import math
import re
from collections.abc import Mapping
from typing import cast

import msgspec

from .._contract import Call
from .._errors import BadRequestError, ContentPolicyError
from ..types import Image, ImageGenerationRequest, ImagesResponse, Usage
from ._gemini_json import JsonObject, fields_of, objects_of, read_fields, text_of
from ._gemini_request import merged
from ._gemini_stream import read_reply
from ._gemini_target import Target
from ._google_error import classify_google
from ._parameters import Mapped, Rule, Unsupported, supported

_ENCODER = msgspec.json.Encoder()

PARAMETERS: Mapping[str, Rule] = {
    "prompt": Mapped("`contents`; `instances[].prompt` (Imagen)"),
    "model": Mapped("in the path"),
    "n": Mapped("`parameters.sampleCount` (Imagen); Gemini's models make one image a call"),
    "size": Mapped("aspect ratio and size: `1536x1024` is `3:2` and `1K`; `16:9` as it is"),
    "quality": Unsupported("take another model", neutral=("auto",)),
    "style": Unsupported("say it in the prompt"),
    "response_format": Unsupported("images come in base64", neutral=("b64_json",)),
    "output_format": Mapped("`parameters.outputOptions.mimeType` (Imagen)"),
    "output_compression": Mapped("`parameters.outputOptions.compressionQuality` (Imagen)"),
    "background": Unsupported("say it in the prompt", neutral=("auto",)),
    "moderation": Unsupported("set safetySettings in extra_body", neutral=("auto",)),
    "partial_images": Unsupported(neutral=(0,)),
    "seed": Mapped("`generationConfig.seed`; `parameters.seed` (Imagen)"),
    "user": Unsupported(),
    "extra_body": Mapped("merged in depth"),
}

_PIXELS = re.compile(r"(\d{2,5})x(\d{2,5})")
_RATIO = re.compile(r"\d{1,2}:\d{1,2}")


def is_imagen(model: str) -> bool:
    """Whether a model is one of Imagen, which predicts and does not reply."""
    return model.rpartition("/")[2].startswith("imagen-")


def image_body(target: Target) -> bytes:
    """Make the body of ``generateContent`` that asks for an image, or of ``predict`` for Imagen.

    :raises BadRequestError: a parameter asks for what the model cannot be told
    """
    request = supported(PARAMETERS, cast("ImageGenerationRequest", target.call.request), target.call)
    body = _imagen_body(request) if is_imagen(target.model) else _gemini_body(request, target)
    return _ENCODER.encode(merged(body, request.extra_body or {}))


def read_images(call: Call[object], body: bytes) -> ImagesResponse:
    """Decode images.

    :raises SerializationError: they cannot be read
    :raises ContentPolicyError: none came, as a filter held them back
    :raises LlmError: the reply is an error under a status of success
    """
    return _read_predictions(call, body) if is_imagen(call.route.model) else _read_reply(call, body)


def _gemini_body(request: ImageGenerationRequest, target: Target) -> JsonObject:
    for name, neutral in (("n", 1), ("output_format", "png"), ("output_compression", None)):
        if getattr(request, name) not in (None, neutral):
            target.cannot(f"{name}={getattr(request, name)!r} of an image", "leave it out, or take a model of Imagen")
    config: JsonObject = {"responseModalities": ["IMAGE"]}
    size = _size(request.size)
    if size:
        config["imageConfig"] = size
    if request.seed is not None:
        config["seed"] = request.seed
    return {"contents": [{"role": "user", "parts": [{"text": request.prompt}]}], "generationConfig": config}


def _imagen_body(request: ImageGenerationRequest) -> JsonObject:
    size = _size(request.size)
    parameters: JsonObject = {"sampleCount": request.n or 1}
    for name, sent in (("aspectRatio", "aspectRatio"), ("imageSize", "sampleImageSize")):
        if name in size:
            parameters[sent] = size[name]
    if request.seed is not None:
        # A watermark, which is the default, excludes a seed.
        parameters.update(seed=request.seed, addWatermark=False)
    options: JsonObject = {}
    if request.output_format is not None:
        options["mimeType"] = f"image/{request.output_format}"
    if request.output_compression is not None:
        options["compressionQuality"] = request.output_compression
    if options:
        parameters["outputOptions"] = options
    return {"instances": [{"prompt": request.prompt}], "parameters": parameters}


def _size(size: str | None) -> JsonObject:
    """Aspect ratio, and size by the longer side."""
    if size is None or size == "auto":
        return {}
    if _RATIO.fullmatch(size):
        return {"aspectRatio": size}
    match = _PIXELS.fullmatch(size)
    if match is None:
        raise BadRequestError(f"size must be 'auto', an aspect ratio such as '16:9', or '1024x1024', not {size!r}")
    width, height = int(match.group(1)), int(match.group(2))
    common = math.gcd(width, height) or 1
    longer = max(width, height)
    return {
        "aspectRatio": f"{width // common}:{height // common}",
        "imageSize": "1K" if longer < 2048 else "2K" if longer < 4096 else "4K",
    }


def _read_reply(call: Call[object], body: bytes) -> ImagesResponse:
    reply = read_reply(body, provider=call.route.provider, model=call.route.model)
    told = [choice.message for choice in reply.choices]
    images = [
        Image(b64_json=str(fields_of(image.get("image_url")).get("url")).partition(",")[2])
        for message in told
        for image in message.images or ()
    ]
    reasons = [choice.native_finish_reason for choice in reply.choices if choice.finish_reason == "content_filter"]
    if not images and reasons:
        refusal = next((message.refusal for message in told if message.refusal), None)
        raise ContentPolicyError(
            refusal or f"no image was made: {reasons[0]}",
            status=200,
            provider=call.route.provider,
            model=call.route.model,
            code=reasons[0],
            body=body,
        )
    # Words that came with the images, or in their place, are not lost.
    text = {"text": reply.text} if reply.text else {}
    return ImagesResponse(
        created=reply.created, data=images, usage=reply.usage, native={**(reply.native or {}), **text} or None
    )


def _read_predictions(call: Call[object], body: bytes) -> ImagesResponse:
    provider, model = call.route.provider, call.route.model
    told = read_fields(call, body, "a list of images")
    if "error" in told:
        raise classify_google(body, status=None, provider=provider, model=model)
    predictions = objects_of(told.get("predictions"))
    images = [
        Image(b64_json=data, revised_prompt=text_of(one.get("prompt")))
        for one in predictions
        if (data := text_of(one.get("bytesBase64Encoded")))
    ]
    filtered = [reason for one in predictions if (reason := text_of(one.get("raiFilteredReason")))]
    if not images and filtered:
        raise ContentPolicyError(filtered[0], status=200, provider=provider, model=model, body=body)
    return ImagesResponse(
        data=images,
        usage=Usage(images=len(images)),
        native={"raiFilteredReason": filtered} if filtered else None,
    )

"""Images on OpenAI's wire."""

from collections.abc import Sequence

import msgspec

from .._contract import Call
from .._http import Headers
from ..types import Image, ImageEvent, ImagesResponse, Usage
from ._event_stream_decoder import EventStreamDecoder
from ._input_output_usage import InputOutputUsage
from ._read import read_json


class _Reply(msgspec.Struct):
    data: list[Image] = []
    created: int = 0
    background: str | None = None
    output_format: str | None = None
    size: str | None = None
    quality: str | None = None
    usage: InputOutputUsage | None = None


class _Event(msgspec.Struct):
    type: str = ""
    b64_json: str = ""
    partial_image_index: int | None = None
    created_at: int | None = None
    size: str | None = None
    quality: str | None = None
    background: str | None = None
    output_format: str | None = None
    usage: InputOutputUsage | None = None


_REPLY = msgspec.json.Decoder(_Reply)
_EVENT = msgspec.json.Decoder(_Event)


def read_images(call: Call[object], body: bytes, headers: Headers) -> ImagesResponse:
    """Decode images.

    :raises SerializationError: it cannot be read
    """
    told = read_json(call, body, _REPLY, "a list of images")
    return ImagesResponse(
        created=told.created,
        data=told.data,
        background=told.background,
        output_format=told.output_format,
        size=told.size,
        quality=told.quality,
        # Models that report nothing are billed by the image.
        usage=Usage(images=len(told.data)) if told.usage is None else told.usage.normal(),
    )


def open_image_stream(call: Call[object]) -> EventStreamDecoder[_Event, ImageEvent]:
    """Make the decoder of a stream of images."""

    def of_whole(body: bytes) -> Sequence[ImageEvent]:
        reply = read_images(call, body, Headers())
        return [
            ImageEvent(type="image_generation.completed", b64_json=image.b64_json or "", usage=reply.usage)
            for image in reply.data
        ]

    return EventStreamDecoder(
        _EVENT, _event, ".completed", of_whole, provider=call.route.provider, model=call.route.model
    )


def _event(told: _Event) -> ImageEvent:
    return ImageEvent(
        type=told.type,
        b64_json=told.b64_json,
        partial_image_index=told.partial_image_index,
        created_at=told.created_at,
        size=told.size,
        quality=told.quality,
        background=told.background,
        output_format=told.output_format,
        usage=None if told.usage is None else told.usage.normal(),
    )

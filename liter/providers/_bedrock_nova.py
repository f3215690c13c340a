"""Nova by InvokeModel: Converse's forms, but for a version in the body, names of counts, and events in AWS's chunks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from .._contract import Call
from .._http import EventHeader, EventMessage, HttpRequest
from ..types import ChatCompletionChunk
from ._bedrock_chunk import chunk_of
from ._bedrock_hosts import host_of
from ._bedrock_models import model_path, name_of
from ._bedrock_request import encode_converse
from ._bedrock_stream import ConverseStreamDecoder
from ._headers import JSON

if TYPE_CHECKING:
    from ._bedrock import Bedrock

_VERSION = "messages-v1"

_ENCODER = msgspec.json.Encoder()
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def is_nova(model: str) -> bool:
    """Whether a model is one of Amazon's Nova."""
    name = name_of(model)
    return name.vendor == "amazon" and name.name.startswith("nova")


def encode_nova(provider: "Bedrock", call: Call[object], model: str) -> HttpRequest:
    """Make the request of a chat.

    :raises BadRequestError: the request asks for what Converse cannot be told
    """
    route = call.route
    fields: dict[str, object] = {"schemaVersion": _VERSION, **_FIELDS.decode(encode_converse(call, schema_tool=False))}
    path = model_path(model, "invoke-with-response-stream" if call.stream else "invoke")
    return provider.request(call, "POST", host_of(route.base_url), path, JSON, body=_ENCODER.encode(fields))


class NovaStreamDecoder(ConverseStreamDecoder):
    """Decodes one streamed reply: Converse's events out of the chunks of InvokeModel."""

    def feed(self, message: EventMessage) -> Sequence[ChatCompletionChunk]:
        """Decode one message: none, one or several of our chunks."""
        if message.text(":message-type") != "event" or message.text(":event-type") != "chunk":
            return super().feed(message)
        try:
            told = _FIELDS.decode(chunk_of(message))
        except (msgspec.DecodeError, ValueError) as error:
            raise self._unreadable(error, message.payload) from error
        return [
            chunk
            for name, payload in told.items()
            if bytes(payload)[:1] == b"{"  # beside events stands padding
            for chunk in super(NovaStreamDecoder, self).feed(_event(name, bytes(payload)))
        ]


def _event(name: str, payload: bytes) -> EventMessage:
    kinds = ((":message-type", "event"), (":event-type", name))
    return EventMessage(tuple(EventHeader(kind, "string", value) for kind, value in kinds), payload)

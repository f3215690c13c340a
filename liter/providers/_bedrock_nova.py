"""Nova by InvokeModel: Converse's forms, but for a version in the body, names of counts, and events in AWS's chunks."""

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from .._contract import Call
from .._errors import StreamingError
from .._http import EventHeader, EventMessage, HttpRequest
from ..types import ChatCompletionChunk
from ._bedrock_hosts import host_of
from ._bedrock_models import model_path, name_of
from ._bedrock_request import encode_converse
from ._bedrock_stream import ConverseStreamDecoder
from ._headers import JSON, merged
from ._lenient import decode_leniently

if TYPE_CHECKING:
    from ._bedrock import Bedrock

_VERSION = "messages-v1"

_ENCODER = msgspec.json.Encoder()
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Chunk(msgspec.Struct, frozen=True):
    bytes: str = ""


_CHUNK = msgspec.json.Decoder(_Chunk)


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
    return HttpRequest(
        method="POST",
        base_url=host_of(route.base_url),
        path=model_path(model, "invoke-with-response-stream" if call.stream else "invoke"),
        headers=merged(JSON + provider.auth.headers(route.api_key), call.headers),
        body=_ENCODER.encode(fields),
    )


class NovaStreamDecoder(ConverseStreamDecoder):
    """Decodes one streamed reply: Converse's events out of the chunks of InvokeModel."""

    def feed(self, message: EventMessage) -> Sequence[ChatCompletionChunk]:
        """Decode one message: none, one or several of our chunks."""
        if message.text(":message-type") != "event" or message.text(":event-type") != "chunk":
            return super().feed(message)
        try:
            told = _FIELDS.decode(a2b_base64(decode_leniently(_CHUNK, message.payload).bytes, strict_mode=True))
        except (msgspec.DecodeError, Base64Error, ValueError) as error:
            raise StreamingError(
                f"an event of the stream cannot be read: {error}",
                provider=self._provider,
                model=self._model,
                body=message.payload,
            ) from error
        return [
            chunk
            for name, payload in told.items()
            if bytes(payload)[:1] == b"{"  # beside events stands padding
            for chunk in super(NovaStreamDecoder, self).feed(_event(name, bytes(payload)))
        ]


def _event(name: str, payload: bytes) -> EventMessage:
    kinds = ((":message-type", "event"), (":event-type", name))
    return EventMessage(tuple(EventHeader(kind, "string", value) for kind, value in kinds), payload)

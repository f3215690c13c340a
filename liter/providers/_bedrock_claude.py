"""Claude by InvokeModel, in Anthropic's own form: for what Converse has no place for.

``invoke/`` before a model's name asks for it. The body is that of Anthropic's Messages API without ``model`` and
``stream``, with the names of betas in it; a stream's events come in the messages of AWS's event streams.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec
from msgspec.structs import replace

from .._contract import Call
from .._errors import BadRequestError, LlmError
from .._http import EventMessage, HttpRequest, ServerSentEvent
from ..types import ChatCompletionChunk, ChatCompletionRequest, ChatCompletionResponse
from ._anthropic_reply import read_reply
from ._anthropic_request import encode_chat
from ._anthropic_stream import MessageStreamDecoder
from ._bedrock_chunk import chunk_of
from ._bedrock_errors import classify_exception
from ._bedrock_hosts import host_of
from ._bedrock_models import model_path, name_of
from ._codec import Framing
from ._headers import JSON
from ._lenient import decode_leniently
from ._wire_decoder import WireDecoder

if TYPE_CHECKING:
    from ._bedrock import Bedrock

T = TypeVar("T")

_VERSION = "bedrock-2023-05-31"
_BETAS = b"anthropic-beta"
_PREFIX = "invoke/"
_CONVERSE = "converse/"

_ENCODER = msgspec.json.Encoder()
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Opening(msgspec.Struct, frozen=True):
    type: str
    message: dict[str, object]


_OPENING = msgspec.json.Decoder(_Opening)


def route_of(model: str) -> tuple[str, bool]:
    """A model's name as Bedrock knows it, and whether it is to be spoken to by InvokeModel."""
    if model.startswith(_PREFIX):
        return model.removeprefix(_PREFIX), True
    return model.removeprefix(_CONVERSE), False


def encode_claude(provider: "Bedrock", call: Call[object], model: str) -> HttpRequest:
    """Make the request of a chat.

    :raises BadRequestError: the model is not Anthropic's, or the request asks for what Anthropic cannot be told
    """
    name = name_of(model)
    # An account's own profile does not tell whose model it is.
    if name.vendor not in ("anthropic", ""):
        raise BadRequestError(
            f"model: {call.route.model!r} is neither Anthropic's nor Nova: leave out {_PREFIX!r} before it"
        )
    route = call.route
    request = cast("ChatCompletionRequest", call.request)
    spoken = replace(call, route=replace(route, model=name.name or model))
    fields: dict[str, object] = {"anthropic_version": _VERSION}
    betas = [one.strip() for header, value in call.headers if header == _BETAS for one in value.decode().split(",")]
    if betas:
        fields["anthropic_beta"] = betas
    fields.update(_FIELDS.decode(encode_chat(request, spoken, provider=_label(provider))))
    fields.pop("model")
    fields.pop("stream", None)
    path = model_path(model, "invoke-with-response-stream" if call.stream else "invoke")
    call = replace(call, headers=tuple(pair for pair in call.headers if pair[0] != _BETAS))
    return provider.request(call, "POST", host_of(route.base_url), path, JSON, body=_ENCODER.encode(fields))


def _label(provider: "Bedrock") -> str:
    """Who native content is from: Anthropic's blocks are not Converse's."""
    return f"{provider.name}/invoke"


def decode_claude(provider: "Bedrock", model: str, body: bytes) -> ChatCompletionResponse:
    """Decode a whole reply."""
    reply = _as_of(provider.name, lambda: read_reply(body, provider=_label(provider), model=model))
    # By the name that Bedrock has a price for.
    return replace(reply, model=model)


def _as_of(provider: str, decode: Callable[[], T]) -> T:
    try:
        return decode()
    except LlmError as error:
        error.provider = provider
        raise


class ClaudeStreamDecoder(WireDecoder):
    """Decodes one streamed reply: Anthropic's events out of AWS's messages."""

    framing: Framing = "eventstream"

    def __init__(self, provider: "Bedrock", model: str) -> None:
        super().__init__(provider.name, model)
        self._events = MessageStreamDecoder(_label(provider), model)

    def feed(self, message: EventMessage) -> Sequence[ChatCompletionChunk]:
        """Decode one message: none, one or several of our chunks."""
        if message.text(":message-type") in ("exception", "error"):
            raise classify_exception(message, provider=self._provider, model=self._model)
        if message.text(":event-type") != "chunk":
            return ()
        try:
            data = chunk_of(message)
        except (msgspec.DecodeError, ValueError) as error:
            raise self._unreadable(error, message.payload) from error
        if b'"message_start"' in data:
            data = self._named(data)
        return self._decoded(lambda: self._events.feed(ServerSentEvent(data)))

    def _decoded(self, decode: Callable[[], Sequence[ChatCompletionChunk]]) -> Sequence[ChatCompletionChunk]:
        try:
            return _as_of(self._provider, decode)
        finally:
            self.done, self.usage = self._events.done, self._events.usage

    def _named(self, data: bytes) -> bytes:
        """The first event, with the name that Bedrock has a price for."""
        try:
            told = decode_leniently(_OPENING, data)
        except msgspec.DecodeError:
            # It says so in its text, or breaks its form: both are for the decoder to see.
            return data
        if told.type != "message_start":
            return data
        return _ENCODER.encode({"type": told.type, "message": {**told.message, "model": self._model}})

    def whole(self, body: bytes) -> Sequence[ChatCompletionChunk]:
        """Decode a plain JSON body that came in place of a stream."""
        return self._decoded(lambda: self._events.whole(body))

    def opening(self, event: object) -> bool:
        """Whether a chunk says nothing yet."""
        return self._events.opening(event)

    def end(self) -> Sequence[ChatCompletionChunk]:
        """The body has ended."""
        return self._decoded(self._events.end)

"""Mistral's operations beside chat: embeddings, moderation, and code that is filled in, which replies like a chat."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec.structs import replace

from .._contract import Call
from .._errors import BadRequestError
from .._http import Headers, HttpRequest, ServerSentEvent
from ..types import (
    ChatCompletionChunk,
    ChatCompletionResponse,
    CompletionChoice,
    CompletionRequest,
    CompletionResponse,
    EmbeddingRequest,
    ModerationRequest,
    ModerationResponse,
    OcrResponse,
)
from ._bookkeeping import completes_nothing
from ._json_body import json_body
from ._mistral_ocr import PARAMETERS as OCR_PARAMETERS
from ._mistral_ocr import ocr_body, read_ocr
from ._openai_embeddings import read_embeddings
from ._openai_operations import post
from ._openai_reply import read_reply
from ._openai_stream import ChatStreamDecoder
from ._openai_usage import normal_usage
from ._parameters import Mapped, Renamed, Rule, Sent, Unsupported, supported
from ._read import read_json
from ._wire import OperationWire
from ._wire_decoder import WireDecoder

if TYPE_CHECKING:
    from ._mistral import Mistral

EMBEDDING_PARAMETERS: Mapping[str, Rule] = {
    "model": Sent(),
    "input": Sent(),
    "encoding_format": Sent(),
    "dimensions": Renamed("output_dimension"),
    "user": Unsupported(),
    "input_type": Unsupported("Mistral's vectors are the same for all uses"),
    "extra_body": Mapped("its fields, such as `output_dtype`; they win"),
}
COMPLETION_PARAMETERS: Mapping[str, Rule] = {
    "model": Sent(),
    "prompt": Mapped("one text"),
    "suffix": Sent(),
    "max_tokens": Sent(),
    "temperature": Sent(),
    "top_p": Sent(),
    "n": Unsupported("make several calls", neutral=(1,)),
    "best_of": Unsupported(neutral=(1,)),
    "echo": Unsupported(neutral=(False,)),
    "logprobs": Unsupported(),
    "stop": Sent(),
    "presence_penalty": Unsupported(neutral=(0, 0.0)),
    "frequency_penalty": Unsupported(neutral=(0, 0.0)),
    "logit_bias": Unsupported(neutral=({},)),
    "seed": Renamed("random_seed"),
    "user": Unsupported(),
    "stream_options": Mapped("nothing: usage always comes with the last chunk"),
    "extra_body": Mapped("its fields, such as `min_tokens`; they win"),
}

_RENAMES = {"dimensions": "output_dimension"}
_SEED = {"seed": "random_seed"}
_MODERATION = msgspec.json.Decoder(ModerationResponse)


def _encode_embed(provider: "Mistral", call: Call[object]) -> HttpRequest:
    request = supported(EMBEDDING_PARAMETERS, cast("EmbeddingRequest", call.request), call)
    return post(provider, call, "/embeddings", json_body(request, renames=_RENAMES, model=call.route.model))


def _encode_moderate(provider: "Mistral", call: Call[object]) -> HttpRequest:
    request = cast("ModerationRequest", call.request)
    if not isinstance(request.input, str) and not all(isinstance(item, str) for item in request.input):
        raise BadRequestError("input: Mistral moderates texts, not content parts")
    model = call.route.model or "mistral-moderation-latest"
    return post(provider, call, "/moderations", json_body(request, model=model))


def _decode_moderation(provider: "Mistral", call: Call[object], body: bytes, headers: Headers) -> ModerationResponse:
    """Mistral tells the categories, and leaves it to its reader that one of them is enough."""
    told = read_json(call, body, _MODERATION, "the outcome of a moderation")
    results = [replace(one, flagged=one.flagged or any(one.categories.values())) for one in told.results]
    usage = None if told.usage is None else normal_usage(told.usage, body)
    return replace(told, results=results, usage=usage)


def _encode_ocr(provider: "Mistral", call: Call[object]) -> HttpRequest:
    return post(provider, call, "/ocr", ocr_body(call, call.route.model))


def _decode_ocr(provider: "Mistral", call: Call[object], body: bytes, headers: Headers) -> OcrResponse:
    return read_ocr(call, body)


def _encode_completion(provider: "Mistral", call: Call[object]) -> HttpRequest:
    request = supported(COMPLETION_PARAMETERS, cast("CompletionRequest", call.request), call)
    if not isinstance(request.prompt, str):
        raise BadRequestError("prompt: Mistral fills in one text, not several, and no token ids")
    body = json_body(request, renames=_SEED, model=call.route.model, stream_options=None)
    return post(provider, call, "/fim/completions", b'{"stream":true,' + body[1:] if call.stream else body)


def _decode_completion(provider: "Mistral", call: Call[object], body: bytes, headers: Headers) -> CompletionResponse:
    return _completion(read_reply(body, provider=provider.name, model=call.route.model))


def _completion(reply: ChatCompletionResponse) -> CompletionResponse:
    return CompletionResponse(
        id=reply.id,
        created=reply.created,
        model=reply.model,
        choices=[
            CompletionChoice(text=choice.message.text, index=choice.index, finish_reason=choice.finish_reason)
            for choice in reply.choices
        ],
        usage=reply.usage,
    )


class CompletionStreamDecoder(WireDecoder):
    """Decodes the pieces of a completion, which come like those of a chat."""

    def __init__(self, provider: str, model: str) -> None:
        super().__init__(provider, model)
        self._chat = ChatStreamDecoder(provider, model)

    def feed(self, event: ServerSentEvent) -> Sequence[CompletionResponse]:
        """Decode one piece."""
        pieces = [_piece(chunk) for chunk in self._chat.feed(event)]
        self.done, self.usage = self._chat.done, self._chat.usage
        return pieces

    def whole(self, body: bytes) -> Sequence[CompletionResponse]:
        """Decode a plain body."""
        reply = _completion(read_reply(body, provider=self._provider, model=self._model))
        self.done, self.usage = True, reply.usage
        return (reply,)

    def opening(self, event: object) -> bool:
        """Whether a piece says nothing yet."""
        return completes_nothing(event)

    def end(self) -> Sequence[CompletionResponse]:
        """:raises StreamingError: neither the end mark nor a reason to end came for every choice"""
        if not self.done:
            self._chat.end()
        self.done = True
        return ()


def _piece(chunk: ChatCompletionChunk) -> CompletionResponse:
    return CompletionResponse(
        id=chunk.id,
        created=chunk.created,
        model=chunk.model,
        choices=[
            CompletionChoice(text=choice.delta.content or "", index=choice.index, finish_reason=choice.finish_reason)
            for choice in chunk.choices
        ],
        usage=chunk.usage,
    )


OPERATIONS: Mapping[str, OperationWire[Any, Any]] = {
    "embed": OperationWire(
        encode=_encode_embed,
        decode=lambda provider, call, body, headers: read_embeddings(call, body, headers),
        parameters=EMBEDDING_PARAMETERS,
    ),
    "moderate": OperationWire(encode=_encode_moderate, decode=_decode_moderation),
    "ocr": OperationWire(encode=_encode_ocr, decode=_decode_ocr, parameters=OCR_PARAMETERS),
    "completions": OperationWire(
        encode=_encode_completion,
        decode=_decode_completion,
        open_stream=lambda provider, call: CompletionStreamDecoder(provider.name, call.route.model),
        parameters=COMPLETION_PARAMETERS,
    ),
}

"""OpenAI's wire beyond chat: embeddings, reranking, moderation, text completions, images, speech."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec.structs import replace

from .._contract import Call
from .._form import Form
from .._http import Headers, HttpRequest
from ..types import (
    CompletionRequest,
    EmbeddingRequest,
    File,
    ImageEditRequest,
    ImageGenerationRequest,
    ImagesResponse,
    ModerationRequest,
    ModerationResponse,
    RerankRequest,
    RerankResponse,
    SpeechRequest,
    StreamOptions,
)
from ._bytes_stream import BytesDecoder, read_bytes
from ._form_body import form_body
from ._headers import JSON, STREAM
from ._image_forms import FORMS as IMAGE_FORMS
from ._image_forms import encode_form as encode_image_form
from ._json_body import json_body
from ._openai_completions import CompletionStreamDecoder, read_completion
from ._openai_embeddings import read_embeddings
from ._openai_images import open_image_stream, read_images
from ._openai_rerank import read_rerank
from ._openai_transcriptions import open_transcription_stream, read_transcription
from ._parameters import refuse
from ._read import read_json
from ._rerank_forms import encode_form, read_form
from ._speech import spoken
from ._wire import OperationWire

if TYPE_CHECKING:
    from ._openai import OpenAI

_WITH_USAGE = StreamOptions(include_usage=True)
_MODERATION = msgspec.json.Decoder(ModerationResponse)


def post(provider: "OpenAI", call: Call[object], path: str, body: bytes, *, accept: bytes = b"") -> HttpRequest:
    """Make a request with a JSON body.

    :param path: where the operation is unless the provider has it elsewhere
    """
    headers = STREAM if call.stream and not accept else JSON
    if accept:
        headers = (headers[0], (b"accept", accept))
    return provider.request(call, "POST", *provider.locate(call, path), headers, body=body)


def _streamed(body: bytes) -> bytes:
    # The requests have no such field: whether to stream is the call's to say.
    return b'{"stream":true,' + body[1:]


def _encode_embed(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    request = cast("EmbeddingRequest", call.request)
    if request.input_type is not None and "input_type" not in provider.embedding_renames:
        refuse(call, "'input_type'", "leave it out")
        request = replace(request, input_type=None)
    encoding = request.encoding_format or ("base64" if provider.base64_embeddings else None)
    body = json_body(request, renames=provider.embedding_renames, model=call.route.model, encoding_format=encoding)
    return post(provider, call, "/embeddings", body)


def _encode_rerank(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    if provider.rerank_form:
        return encode_form(provider, call)
    request = cast("RerankRequest", call.request)
    return post(provider, call, "/rerank", json_body(request, renames=provider.rerank_renames, model=call.route.model))


def _decode_rerank(provider: "OpenAI", call: Call[object], body: bytes, headers: Headers) -> RerankResponse:
    return read_form(call, body) if provider.rerank_form else read_rerank(call, body, headers)


def _encode_moderate(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    request = cast("ModerationRequest", call.request)
    return post(provider, call, "/moderations", json_body(request, model=call.route.model or None))


def _decode_moderation(provider: "OpenAI", call: Call[object], body: bytes, headers: Headers) -> ModerationResponse:
    return read_json(call, body, _MODERATION, "the outcome of a moderation")


def _encode_completions(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    request = cast("CompletionRequest", call.request)
    options = request.stream_options
    if call.stream and options is None and provider.stream_options:
        options = _WITH_USAGE
    body = json_body(request, model=call.route.model, stream_options=options if call.stream else None)
    return post(provider, call, "/completions", _streamed(body) if call.stream else body)


def _encode_image(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    if provider.image_form:
        return encode_image_form(provider, call)
    request = cast("ImageGenerationRequest", call.request)
    body = json_body(request, model=call.route.model or None)
    return post(provider, call, "/images/generations", _streamed(body) if call.stream else body)


def _decode_images(provider: "OpenAI", call: Call[object], body: bytes, headers: Headers) -> ImagesResponse:
    read = IMAGE_FORMS[provider.image_form].read if provider.image_form else read_images
    return read(call, body, headers)


def _encode_speech(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    request = cast("SpeechRequest", call.request)
    # The sound comes in pieces as it is made, whether the caller asks for a stream or for all of it.
    return post(provider, call, "/audio/speech", json_body(request, model=call.route.model), accept=b"*/*")


def post_form(provider: "OpenAI", call: Call[object], path: str, form: Form) -> HttpRequest:
    """Make a request with a form."""
    accept = b"text/event-stream" if call.stream else b"application/json"
    headers = ((b"content-type", form.content_type), (b"accept", accept))
    return provider.request(call, "POST", *provider.locate(call, path), headers, upload=form)


def _encode_transcribe(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    form = form_body(call.request, model=call.route.model, stream=call.stream or None)
    return post_form(provider, call, "/audio/transcriptions", form)


def _encode_translate(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    return post_form(provider, call, "/audio/translations", form_body(call.request, model=call.route.model))


def _encode_image_edit(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    request = cast("ImageEditRequest", call.request)
    images = cast("Sequence[File]", request.image)
    image = images[0] if len(images) == 1 else images
    form = form_body(request, image=image, model=call.route.model or None, stream=call.stream or None)
    return post_form(provider, call, "/images/edits", form)


def _encode_image_variation(provider: "OpenAI", call: Call[object]) -> HttpRequest:
    return post_form(provider, call, "/images/variations", form_body(call.request, model=call.route.model or None))


OPERATIONS: Mapping[str, OperationWire[Any, Any]] = {
    "embed": OperationWire(
        encode=_encode_embed, decode=lambda provider, call, body, headers: read_embeddings(call, body, headers)
    ),
    "rerank": OperationWire(encode=_encode_rerank, decode=_decode_rerank),
    "moderate": OperationWire(encode=_encode_moderate, decode=_decode_moderation),
    "completions": OperationWire(
        encode=_encode_completions,
        decode=lambda provider, call, body, headers: read_completion(call, body, headers),
        open_stream=lambda provider, call: CompletionStreamDecoder(call),
    ),
    "image_generate": OperationWire(
        encode=_encode_image,
        decode=_decode_images,
        open_stream=lambda provider, call: open_image_stream(call),
    ),
    "image_edit": OperationWire(
        encode=_encode_image_edit,
        decode=lambda provider, call, body, headers: read_images(call, body, headers),
        open_stream=lambda provider, call: open_image_stream(call),
    ),
    "image_variation": OperationWire(
        encode=_encode_image_variation,
        decode=lambda provider, call, body, headers: read_images(call, body, headers),
    ),
    "transcribe": OperationWire(
        encode=_encode_transcribe,
        decode=lambda provider, call, body, headers: read_transcription(call, body, headers),
        open_stream=lambda provider, call: open_transcription_stream(call),
    ),
    "translate": OperationWire(
        encode=_encode_translate,
        decode=lambda provider, call, body, headers: read_transcription(call, body, headers),
    ),
    "speech": OperationWire(
        usage=spoken, encode=_encode_speech, decode=read_bytes, open_stream=lambda provider, call: BytesDecoder()
    ),
}

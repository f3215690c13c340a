"""Google's Gemini API (AI Studio), in its own protocol."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from .._contract import Call
from .._errors import LlmError
from .._http import Headers, HttpRequest
from ..types import (
    ChatCompletionRequest,
    ChatCompletionResponse,
    EmbeddingResponse,
    ImagesResponse,
    ModelsListResponse,
    TokenCount,
)
from ._auth import Auth
from ._batch import BatchForm
from ._gemini_batches import BATCHES
from ._gemini_batches import FORM as BATCH_FORM
from ._gemini_count import count_body, read_count
from ._gemini_embeddings import PARAMETERS as EMBEDDING_PARAMETERS
from ._gemini_embeddings import batch_body, read_embeddings
from ._gemini_files import FILES
from ._gemini_images import PARAMETERS as IMAGE_PARAMETERS
from ._gemini_images import image_body, is_imagen, read_images
from ._gemini_listing import read_models
from ._gemini_parts import READABLE
from ._gemini_request import PARAMETERS, chat_body, model_path
from ._gemini_stream import GenerateContentDecoder, read_reply
from ._gemini_target import target_of
from ._google_error import classify_google
from ._headers import GET, JSON, STREAM
from ._inline import remote_urls
from ._paging import page_query
from ._wire import OperationWire, WireProvider


class Gemini(WireProvider, frozen=True, kw_only=True):
    """A provider that speaks the Gemini API."""

    name: str = "gemini"
    base_url: str = "https://generativelanguage.googleapis.com/v1beta"
    key_variables: tuple[str, ...] = ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY")

    # In the URL, which Google also takes, a key would be in every log.
    auth: Auth = Auth(kind="header", header="x-goog-api-key")

    request_ids: ClassVar[tuple[str, ...]] = ("x-goog-request-id", "x-request-id")

    @property
    def wires(self) -> Mapping[str, OperationWire[Any, Any]]:
        """The operations of the protocol, by name."""
        return _WIRES

    @property
    def batch_form(self) -> BatchForm | None:
        """A list in the body, of chats with one model."""
        return BATCH_FORM

    def needs_inline(self, call: Call[Any]) -> tuple[str, ...]:
        """Images of sites that are not Google's."""
        return tuple(url for url in remote_urls(call.request, documents=False) if not READABLE.match(url))

    def error(self, call: Call[Any], status: int, headers: Headers, body: bytes) -> LlmError:
        """Classify an answer that is no success."""
        return classify_google(
            body,
            status=status,
            provider=self.name,
            model=call.route.model,
            headers=headers,
            request_id=self.request_id(headers),
        )


def generate_path(model: str, *, stream: bool) -> str:
    """The path of ``generateContent``, of ``streamGenerateContent`` for a stream."""
    return f"{model_path(model)}:{'streamGenerateContent?alt=sse' if stream else 'generateContent'}"


def _encode_chat(provider: Gemini, call: Call[object]) -> HttpRequest:
    path = generate_path(call.route.model, stream=call.stream)
    body = chat_body(cast("ChatCompletionRequest", call.request), target_of(call, provider.name))
    return provider.request(call, "POST", call.route.base_url, path, STREAM if call.stream else JSON, body=body)


def _decode_chat(provider: Gemini, call: Call[object], body: bytes, headers: Headers) -> ChatCompletionResponse:
    return read_reply(body, provider=provider.name, model=call.route.model)


def _open_chat_stream(provider: Gemini, call: Call[object]) -> GenerateContentDecoder:
    return GenerateContentDecoder(provider.name, call.route.model)


def _encode_list_models(provider: Gemini, call: Call[object]) -> HttpRequest:
    path = "/models" + page_query(call, limit="pageSize", most=1000, after="pageToken")
    return provider.request(call, "GET", call.route.base_url, path, GET)


def _decode_models(provider: Gemini, call: Call[object], body: bytes, headers: Headers) -> ModelsListResponse:
    return read_models(call, body)


def _post(provider: Gemini, call: Call[object], method: str, body: bytes) -> HttpRequest:
    path = f"{model_path(call.route.model)}:{method}"
    return provider.request(call, "POST", call.route.base_url, path, JSON, body=body)


def _encode_embed(provider: Gemini, call: Call[object]) -> HttpRequest:
    return _post(provider, call, "batchEmbedContents", batch_body(target_of(call, provider.name)))


def _decode_embeddings(provider: Gemini, call: Call[object], body: bytes, headers: Headers) -> EmbeddingResponse:
    return read_embeddings(call, body)


def _encode_count(provider: Gemini, call: Call[object]) -> HttpRequest:
    return _post(provider, call, "countTokens", count_body(target_of(call, provider.name)))


def _decode_count(provider: Gemini, call: Call[object], body: bytes, headers: Headers) -> TokenCount:
    return read_count(call, body)


def _encode_image(provider: Gemini, call: Call[object]) -> HttpRequest:
    method = "predict" if is_imagen(call.route.model) else "generateContent"
    return _post(provider, call, method, image_body(target_of(call, provider.name)))


def _decode_images(provider: Gemini, call: Call[object], body: bytes, headers: Headers) -> ImagesResponse:
    return read_images(call, body)


_WIRES: Mapping[str, OperationWire[Any, Any]] = {
    "chat": OperationWire(
        encode=_encode_chat, decode=_decode_chat, open_stream=_open_chat_stream, parameters=PARAMETERS
    ),
    "count_tokens": OperationWire(encode=_encode_count, decode=_decode_count),
    "embed": OperationWire(encode=_encode_embed, decode=_decode_embeddings, parameters=EMBEDDING_PARAMETERS),
    "image_generate": OperationWire(encode=_encode_image, decode=_decode_images, parameters=IMAGE_PARAMETERS),
    **FILES,
    **BATCHES,
    "list_models": OperationWire(encode=_encode_list_models, decode=_decode_models),
}

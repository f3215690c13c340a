"""Google's Vertex AI: Gemini in its own protocol, Claude in Anthropic's, and all others in OpenAI's.

The name of the model says which: ``gemini-3-pro`` and ``endpoints/123`` (a tuned Gemini) are Google's,
``claude-opus-4-1@20250805`` is Anthropic's, and ``meta/llama-4-maverick`` is asked for by its publisher's name.
``google/...`` and ``anthropic/...`` are taken, too; ``openapi/`` before a name asks for OpenAI's protocol.
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from .._contract import Call
from .._errors import BadRequestError, EndpointNotSupportedError, LlmError
from .._http import Headers, HttpRequest, RawHeaders
from ..types import (
    ChatCompletionRequest,
    ChatCompletionResponse,
    EmbeddingResponse,
    ImagesResponse,
    ModelsListResponse,
    OcrResponse,
    TokenCount,
)
from ._anthropic import Anthropic
from ._auth import Auth
from ._codec import StreamDecoder
from ._gemini_count import count_body, read_count
from ._gemini_embeddings import PARAMETERS as EMBEDDING_PARAMETERS
from ._gemini_embeddings import predict_body, read_embeddings, single_body
from ._gemini_images import PARAMETERS as IMAGE_PARAMETERS
from ._gemini_images import image_body, is_imagen, read_images
from ._gemini_listing import read_models
from ._gemini_request import VERTEX_PARAMETERS, chat_body, tier_of
from ._gemini_stream import GenerateContentDecoder, read_reply
from ._gemini_target import target_of
from ._google_error import classify_google
from ._headers import GET, JSON, STREAM, bearer, merged
from ._mistral_ocr import PARAMETERS as OCR_PARAMETERS
from ._mistral_ocr import ocr_body, read_ocr
from ._openai import OpenAI
from ._paging import page_query
from ._wire import OperationWire, WireProvider

Publisher = Literal["google", "anthropic", "openapi"]

_CLAUDE_VERSION = "vertex-2023-10-16"
_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODER = msgspec.json.Encoder()

# A region's own host; the places that are no region have others.
_REGIONAL = re.compile(r"^https://([a-z0-9-]+)-aiplatform\.googleapis\.com(?=/|$)")
_ELSEWHERE = {
    "global": "https://aiplatform.googleapis.com",
    "us": "https://aiplatform.us.rep.googleapis.com",
    "eu": "https://aiplatform.eu.rep.googleapis.com",
}
_PUBLISHERS = re.compile(r"/publishers/[a-z0-9-]+(?:/models)?/?$")

# Of express mode; what google-auth fetches are access tokens.
_API_KEYS = ("AIza", "AQ.")
_KEY = Auth(kind="header", header="x-goog-api-key")

# Headers that only the provider itself takes.
_ANTHROPICS_OWN = frozenset({b"anthropic-version", b"x-api-key"})


class Vertex(WireProvider, frozen=True, kw_only=True):
    """A provider that is Vertex AI. Its key is an access token, or an API key of express mode."""

    name: str = "vertex"
    base_url: str = (
        "https://{location}-aiplatform.googleapis.com/v1/projects/{project}/locations/{location}/publishers/google"
    )
    key_variables: tuple[str, ...] = ()

    request_ids: ClassVar[tuple[str, ...]] = ("x-goog-request-id", "x-request-id", "request-id")

    @property
    def wires(self) -> Mapping[str, OperationWire[Any, Any]]:
        """The operations of the protocol, by name."""
        return _WIRES

    def address(self, settings: Mapping[str, str]) -> str:
        """Its base URL with the settings filled in; without a location it is the global one, as in Google's SDK."""
        address = super().address({"location": "global", **settings})
        match = _REGIONAL.match(address)
        elsewhere = None if match is None else _ELSEWHERE.get(match.group(1))
        return address if match is None or elsewhere is None else elsewhere + address[match.end() :]

    def key_headers(self, call: Call[object]) -> RawHeaders:
        """The headers that tell who asks."""
        key = call.route.api_key
        return _KEY.headers(key) if key and key.reveal().startswith(_API_KEYS) else bearer(key)

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


def publisher_of(model: str) -> tuple[Publisher, str]:
    """Whose protocol a model is spoken to in, and its name there."""
    publisher, slash, name = model.partition("/")
    if not slash:
        return ("anthropic" if model.startswith("claude-") else "google"), model
    if publisher in ("endpoints", "models"):
        return "google", model
    if publisher == "openapi":
        return "openapi", name
    if publisher == "google":
        return "google", name
    if publisher == "anthropic":
        return "anthropic", name
    return "openapi", model


def root_of(base_url: str) -> str:
    """The address of a project's location: what stands before ``/publishers``.

    :raises BadRequestError: the project is not known
    """
    if "{" in base_url:
        raise BadRequestError(
            "Vertex AI must be told the project: set GOOGLE_CLOUD_PROJECT, and GOOGLE_CLOUD_LOCATION for another place"
            " than 'global', or pass provider_settings={'vertex': {'project': ...}}"
        )
    return _PUBLISHERS.sub("", base_url)


def _encode_chat(provider: Vertex, call: Call[object]) -> HttpRequest:
    publisher, model = publisher_of(call.route.model)
    if publisher == "anthropic":
        return _encode_claude(provider, call, model)
    if publisher == "openapi":
        request = _openapi(provider).encode(_as_other(call, model, root_of(call.route.base_url) + "/endpoints/openapi"))
        return replace(request, headers=merged(provider.key_headers(call), request.headers))
    target = target_of(call, provider.name, vertex=True)
    asked = cast("ChatCompletionRequest", call.request)
    own = STREAM if call.stream else JSON
    tier = None if asked.service_tier is None else tier_of(asked.service_tier, target)
    if tier in ("flex", "priority"):
        # Without the first header, bought throughput would be used before.
        own += ((b"x-vertex-ai-llm-request-type", b"shared"),)
        own += ((b"x-vertex-ai-llm-shared-request-type", tier.encode()),)
    method = "streamGenerateContent?alt=sse" if call.stream else "generateContent"
    path = f"{_google_path(model)}:{method}"
    return provider.request(call, "POST", root_of(call.route.base_url), path, own, body=chat_body(asked, target))


def _google_path(model: str) -> str:
    folder, slash, name = model.partition("/")
    if slash and folder == "endpoints":
        return f"/endpoints/{quote(name, safe='')}"
    return f"/publishers/google/models/{quote(name if slash else model, safe='@')}"


def _as_other(call: Call[object], model: str, base_url: str) -> Call[object]:
    """The call as another protocol's codec is to see it, without the key."""
    return replace(call, route=replace(call.route, model=model, base_url=base_url, api_key=None))


def _claude(provider: Vertex) -> Anthropic:
    return Anthropic(name=provider.name)


def _openapi(provider: Vertex) -> OpenAI:
    return OpenAI(name=provider.name)


def _encode_claude(provider: Vertex, call: Call[object], model: str) -> HttpRequest:
    root = root_of(call.route.base_url)
    request = _claude(provider).encode(_as_other(call, model, root))
    fields: dict[str, object] = {"anthropic_version": _CLAUDE_VERSION, **_RAW.decode(request.body)}
    if call.operation == "count_tokens":
        # Counting is a model of its own, which is told whose tokens to count.
        name = "count-tokens"
    else:
        name = quote(model, safe="@")
        del fields["model"]
    headers = tuple(header for header in request.headers if header[0] not in _ANTHROPICS_OWN)
    method = "streamRawPredict" if call.stream else "rawPredict"
    return replace(
        request,
        path=f"/publishers/anthropic/models/{name}:{method}",
        headers=merged(provider.key_headers(call), headers),
        body=_ENCODER.encode(fields),
    )


def _decode_chat(provider: Vertex, call: Call[object], body: bytes, headers: Headers) -> ChatCompletionResponse:
    publisher, model = publisher_of(call.route.model)
    if publisher == "google":
        return read_reply(body, provider=provider.name, model=model)
    codec = _claude(provider) if publisher == "anthropic" else _openapi(provider)
    return cast("ChatCompletionResponse", codec.decode(call, body, headers))


def _open_chat_stream(provider: Vertex, call: Call[object]) -> StreamDecoder[object]:
    publisher, model = publisher_of(call.route.model)
    if publisher == "google":
        return GenerateContentDecoder(provider.name, model)
    codec = _claude(provider) if publisher == "anthropic" else _openapi(provider)
    return codec.open_stream(call)


def _encode_list_models(provider: Vertex, call: Call[object]) -> HttpRequest:
    # Google's models are listed by the location's host, beside all projects.
    root = root_of(call.route.base_url)
    host = root.partition("/v1")[0]
    query = page_query(call, limit="pageSize", most=1000, after="pageToken")
    return provider.request(call, "GET", host, f"/v1beta1/publishers/google/models{query}", GET)


def _decode_models(provider: Vertex, call: Call[object], body: bytes, headers: Headers) -> ModelsListResponse:
    return read_models(call, body)


def _post_google(provider: Vertex, call: Call[object], method: str, body: bytes) -> HttpRequest:
    publisher, model = publisher_of(call.route.model)
    if publisher != "google":
        raise EndpointNotSupportedError(
            f"Vertex AI offers {call.operation} with Google's own models, not with {call.route.model}",
            provider=call.route.provider,
        )
    path = f"{_google_path(model)}:{method}"
    return provider.request(call, "POST", root_of(call.route.base_url), path, JSON, body=body)


def _encode_embed(provider: Vertex, call: Call[object]) -> HttpRequest:
    target = target_of(call, provider.name, vertex=True)
    name = call.route.model.rpartition("/")[2]
    # The models before the second Gemini embedding predict; later ones take content as chats do.
    if name.startswith("gemini-embedding-") and not name.startswith("gemini-embedding-001"):
        return _post_google(provider, call, "embedContent", single_body(target))
    return _post_google(provider, call, "predict", predict_body(target))


def _decode_embeddings(provider: Vertex, call: Call[object], body: bytes, headers: Headers) -> EmbeddingResponse:
    return read_embeddings(call, body)


def _encode_count(provider: Vertex, call: Call[object]) -> HttpRequest:
    publisher, model = publisher_of(call.route.model)
    if publisher == "anthropic":
        return _encode_claude(provider, call, model)
    return _post_google(provider, call, "countTokens", count_body(target_of(call, provider.name, vertex=True)))


def _decode_count(provider: Vertex, call: Call[object], body: bytes, headers: Headers) -> TokenCount:
    if publisher_of(call.route.model)[0] == "anthropic":
        return cast("TokenCount", _claude(provider).decode(call, body, headers))
    return read_count(call, body)


def _encode_image(provider: Vertex, call: Call[object]) -> HttpRequest:
    method = "predict" if is_imagen(call.route.model) else "generateContent"
    return _post_google(provider, call, method, image_body(target_of(call, provider.name, vertex=True)))


def _decode_images(provider: Vertex, call: Call[object], body: bytes, headers: Headers) -> ImagesResponse:
    return read_images(call, body)


def _encode_ocr(provider: Vertex, call: Call[object]) -> HttpRequest:
    name = call.route.model.removeprefix("mistralai/")
    if not name.startswith("mistral-"):
        raise EndpointNotSupportedError(
            f"Vertex AI offers ocr with Mistral's models, not with {call.route.model}", provider=call.route.provider
        )
    path = f"/publishers/mistralai/models/{quote(name, safe='@')}:rawPredict"
    return provider.request(call, "POST", root_of(call.route.base_url), path, JSON, body=ocr_body(call, name))


def _decode_ocr(provider: Vertex, call: Call[object], body: bytes, headers: Headers) -> OcrResponse:
    return read_ocr(call, body)


_WIRES: Mapping[str, OperationWire[Any, Any]] = {
    "chat": OperationWire(
        encode=_encode_chat, decode=_decode_chat, open_stream=_open_chat_stream, parameters=VERTEX_PARAMETERS
    ),
    "count_tokens": OperationWire(encode=_encode_count, decode=_decode_count),
    "embed": OperationWire(encode=_encode_embed, decode=_decode_embeddings, parameters=EMBEDDING_PARAMETERS),
    "image_generate": OperationWire(encode=_encode_image, decode=_decode_images, parameters=IMAGE_PARAMETERS),
    "list_models": OperationWire(encode=_encode_list_models, decode=_decode_models),
    "ocr": OperationWire(encode=_encode_ocr, decode=_decode_ocr, parameters=OCR_PARAMETERS),
}

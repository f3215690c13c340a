"""Azure OpenAI and Microsoft Foundry: OpenAI's wire at addresses of its own, with what content filters found.

Three forms of addresses are in use. The first needs no version, the others do:

- ``https://{resource}.openai.azure.com/openai/v1``: the deployment is the model in the body;
- ``https://{resource}.openai.azure.com/openai/deployments/{deployment}``: it is in the path;
- ``https://{resource}.services.ai.azure.com/models``: Foundry's models, by their names.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

import msgspec
from msgspec.structs import force_setattr

from .._contract import Call
from .._http import Headers, HttpRequest, ServerSentEvent
from ..types import ChatCompletionChunk, ChatCompletionRequest, ChatCompletionResponse, OcrResponse
from ._auth import Auth
from ._azure_filters import FilterResults
from ._batch import BatchForm
from ._headers import JSON, bearer, merged
from ._mistral_ocr import PARAMETERS as OCR_PARAMETERS
from ._mistral_ocr import check_inline, ocr_body, read_ocr
from ._openai import OpenAI
from ._openai_batches import AZURE_FORM
from ._openai_reply import read_reply
from ._openai_stream import ChatStreamDecoder as OpenAIStreamDecoder
from ._wire import OperationWire

# Versions without an end date that Microsoft documents, where an address needs one and none is given.
DEPLOYMENT_VERSION = "2024-10-21"
FOUNDRY_VERSION = "2024-05-01-preview"

# The first that knows stream_options.
_STREAM_OPTIONS_SINCE = "2024-09-01"

# What is done with a deployment; the rest has paths of its own.
_DEPLOYED = frozenset(
    {"chat", "completions", "embed", "image_edit", "image_generate", "speech", "transcribe", "translate"}
)
_DATED = re.compile(r"\d{4}-\d\d-\d\d")

_SETTINGS = {"resource": ("AZURE_RESOURCE_NAME",), "api_version": ("OPENAI_API_VERSION", "AZURE_API_VERSION")}
_FOUNDRY_SETTINGS = {"resource": ("AZURE_AI_RESOURCE_NAME",), "api_version": ("AZURE_AI_API_VERSION",)}

_ENCODER = msgspec.json.Encoder()
_ANY = msgspec.json.Decoder(dict[str, object])


class Azure(OpenAI, frozen=True, kw_only=True):
    """A provider that speaks Azure OpenAI's API. Models are deployments, by their names.

    The setting ``api_version`` is optional; one that is a date asks for the form with the deployment in the path.
    """

    name: str = "azure"
    base_url: str = "https://{resource}.openai.azure.com/openai/v1"
    key_variables: tuple[str, ...] = ("AZURE_OPENAI_API_KEY", "AZURE_API_KEY", "AZURE_OPENAI_AD_TOKEN")
    auth: Auth = Auth(kind="azure", header="api-key")
    settings: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=lambda: _SETTINGS)

    request_ids: ClassVar[tuple[str, ...]] = ("apim-request-id", "x-request-id", "x-ms-request-id")

    @property
    def wires(self) -> Mapping[str, OperationWire[Any, Any]]:
        """The operations of the protocol, by name."""
        chat = msgspec.structs.replace(super().wires["chat"], decode=_decode_chat, open_stream=_open_chat_stream)
        return {**super().wires, "chat": chat}

    @property
    def batch_form(self) -> BatchForm | None:
        """Files of lines, with Azure's names of what they ask for."""
        return AZURE_FORM

    def locate(self, call: Call[object], path: str) -> tuple[str, str]:
        """The base URL and the path of a call's operation, in the form that address and version ask for."""
        parts = urlsplit(call.route.base_url)
        root = parts.path.rstrip("/")
        version = _version(call)
        if root.endswith("/models"):
            return call.route.base_url, _with_version(path, call, version or FOUNDRY_VERSION)
        if "/openai/deployments/" in root:
            if call.operation in _DEPLOYED:
                return call.route.base_url, _with_version(path, call, version or DEPLOYMENT_VERSION)
            root = root.partition("/deployments/")[0]
            version = version or DEPLOYMENT_VERSION
        elif root.endswith("/openai/v1"):
            root = root.removesuffix("/v1")
        elif root == "":
            root = "/openai"
        elif not root.endswith("/openai"):
            # A gateway before Azure, or a deployment without a server: as it stands.
            return call.route.base_url, _with_version(path, call, version)
        if version is None or not _DATED.match(version):
            root += "/v1"
        elif call.operation in _DEPLOYED:
            root += f"/deployments/{quote(call.route.model, safe='')}"
        return urlunsplit(parts._replace(path=root)), _with_version(path, call, version)

    def chat_body(self, request: ChatCompletionRequest, call: Call[object]) -> bytes:
        """Make the body of a chat completion's request."""
        body = super().chat_body(request, call)
        version = _version(call)
        dated = version is not None and _DATED.match(version)
        if call.stream and request.stream_options is None and dated and str(version) < _STREAM_OPTIONS_SINCE:
            fields = _ANY.decode(body)
            fields.pop("stream_options", None)
            return _ENCODER.encode(fields)
        return body


class AzureAI(Azure, frozen=True, kw_only=True):
    """Foundry's models of all makers, over the one API that it has for them."""

    name: str = "azure-ai"
    base_url: str = "https://{resource}.services.ai.azure.com/models"
    key_variables: tuple[str, ...] = ("AZURE_AI_API_KEY", "AZURE_API_KEY")
    settings: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=lambda: _FOUNDRY_SETTINGS)

    @property
    def wires(self) -> Mapping[str, OperationWire[Any, Any]]:
        """The operations of the protocol, by name."""
        theirs = super().wires
        return {"chat": theirs["chat"], "embed": theirs["embed"], "ocr": _OCR}


def _version(call: Call[object]) -> str | None:
    """The version that the address, or else the settings name."""
    told = parse_qs(urlsplit(call.route.base_url).query).get("api-version")
    return told[0] if told else call.route.settings.get("api_version")


def _with_version(path: str, call: Call[object], version: str | None) -> str:
    if version is None or "api-version=" in urlsplit(call.route.base_url).query:
        return path
    return f"{path}{'&' if '?' in path else '?'}api-version={quote(version, safe='')}"


def _encode_ocr(provider: AzureAI, call: Call[object]) -> HttpRequest:
    check_inline(call)
    base = urlsplit(call.route.base_url)
    root = base.path.rstrip("/").removesuffix("/models")
    # Keys and tokens alike are bearers there.
    return HttpRequest(
        method="POST",
        base_url=urlunsplit(base._replace(path=root, query="")),
        path="/providers/mistral/azure/ocr",
        headers=merged(JSON + bearer(call.route.api_key), call.headers),
        body=ocr_body(call, call.route.model),
    )


def _decode_ocr(provider: AzureAI, call: Call[object], body: bytes, headers: Headers) -> OcrResponse:
    return read_ocr(call, body)


_OCR: OperationWire[Any, Any] = OperationWire(encode=_encode_ocr, decode=_decode_ocr, parameters=OCR_PARAMETERS)


class ChatStreamDecoder(OpenAIStreamDecoder):
    """Decodes the events of one streamed chat, with what content filters found."""

    def __init__(self, provider: str, model: str) -> None:
        super().__init__(provider, model)
        self._filters = FilterResults()

    def feed(self, event: ServerSentEvent) -> Sequence[ChatCompletionChunk]:
        """Decode one event: none or one of ours."""
        chunks = super().feed(event)
        native = self._filters.add(event.data)
        if native is not None:
            for chunk in chunks:
                # The chunk is not handed out yet, so it may still change.
                force_setattr(chunk, "native", native)
        return chunks

    def _read(self, body: bytes) -> ChatCompletionResponse:
        return _read_chat(body, provider=self._provider, model=self._model)


def _read_chat(body: bytes, *, provider: str, model: str) -> ChatCompletionResponse:
    reply = read_reply(body, provider=provider, model=model)
    native = FilterResults().add(body)
    if native is not None:
        force_setattr(reply, "native", native)
    return reply


def _decode_chat(provider: Azure, call: Call[object], body: bytes, headers: Headers) -> ChatCompletionResponse:
    return _read_chat(body, provider=provider.name, model=call.route.model)


def _open_chat_stream(provider: Azure, call: Call[object]) -> ChatStreamDecoder:
    return ChatStreamDecoder(provider.name, call.route.model)

"""OpenAI's wire, and that of the many who imitate it: each is an instance with its own base URL and habits."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import msgspec
from msgspec.structs import replace

from .._contract import Call
from .._errors import BadRequestError
from .._http import Headers, HttpRequest, RawHeaders
from ..types import (
    AssistantMessage,
    ChatCompletionRequest,
    ChatCompletionResponse,
    DocumentPart,
    FileData,
    FilePart,
    FunctionMessage,
    Message,
    ModelsListResponse,
    StreamOptions,
    ToolMessage,
    format_of_type,
)
from ._headers import bearer, merged
from ._openai_operations import OPERATIONS
from ._openai_reply import read_models, read_reply
from ._openai_stream import ChatStreamDecoder
from ._wire import OperationWire, WireProvider

_ENCODER = msgspec.json.Encoder()
_ANY = msgspec.json.Decoder(dict[str, object])

_JSON: RawHeaders = ((b"content-type", b"application/json"), (b"accept", b"application/json"))
# Proxies that compress hold a stream back until they have enough of it.
_STREAM: RawHeaders = (
    (b"content-type", b"application/json"),
    (b"accept", b"text/event-stream"),
    (b"accept-encoding", b"identity"),
)
_GET: RawHeaders = ((b"accept", b"application/json"),)

_WITH_USAGE = StreamOptions(include_usage=True)


class OpenAI(WireProvider, frozen=True, kw_only=True):
    """A provider that speaks OpenAI's API.

    :param renames: parameters that it takes under another name: ``{"seed": "random_seed"}``
    :param stream_options: whether it understands ``stream_options``; if so, liter asks for usage on streams
    :param paths: operations that it has elsewhere than OpenAI: ``{"rerank": "/v2/rerank"}``
    :param base64_embeddings: whether it sends vectors as base64, which is smaller and faster than numbers
    :param embedding_renames: parameters of embeddings that it takes under another name; ``input_type`` goes to those
        who have it here
    :param rerank_renames: the same for reranking: ``{"top_n": "top_k"}``
    :param reasoning_field: the field in which it wants a reply's reasoning back, ``None`` where it wants none
    """

    name: str = "openai"
    base_url: str = "https://api.openai.com/v1"
    key_variables: tuple[str, ...] = ("OPENAI_API_KEY",)
    renames: Mapping[str, str] = {}
    stream_options: bool = True
    reasoning_field: str | None = None
    paths: Mapping[str, str] = {}
    base64_embeddings: bool = True
    embedding_renames: Mapping[str, str] = {}
    rerank_renames: Mapping[str, str] = {}

    request_ids: ClassVar[tuple[str, ...]] = (
        "x-request-id",
        "apim-request-id",
        "mistral-correlation-id",
        "request-id",
        "x-generation-id",
        "cf-ray",
    )

    @property
    def wires(self) -> Mapping[str, OperationWire[Any, Any]]:
        """The operations of the protocol, by name."""
        return _WIRES

    def chat_body(self, request: ChatCompletionRequest, model: str, stream: bool) -> bytes:
        """Make the body of a chat completion's request."""
        extra = request.extra_body
        options = request.stream_options
        if stream and options is None and self.stream_options:
            options = _WITH_USAGE
        response_format = request.response_format
        sent = replace(
            request,
            model=model,
            messages=[self._sent(message) for message in request.conversation],
            response_format=format_of_type(response_format) if isinstance(response_format, type) else response_format,
            stream_options=options if stream else None,
            extra_body=None,
        )
        body = _ENCODER.encode(sent)
        if stream:
            # The request has no such field: whether to stream is the call's to say.
            body = b'{"stream":true,' + body[1:]
        renamed = [old for old in self.renames if getattr(request, old) is not None]
        if not renamed and not extra:
            return body
        fields = _ANY.decode(body)
        for old in renamed:
            fields[self.renames[old]] = fields.pop(old)
        return _ENCODER.encode({**fields, **(extra or {})})

    def _sent(self, message: Message) -> Message | Mapping[str, object]:
        """The message as this wire takes it: without what only replies have, documents as files."""
        if isinstance(message, AssistantMessage):
            return self._sent_assistant(message)
        if isinstance(message, ToolMessage) and message.is_error is not None:
            message = replace(message, is_error=None)
        if not isinstance(message, FunctionMessage) and message.native_content is not None:
            message = replace(message, native_content=None)
        content = message.content
        if content is None or isinstance(content, str) or not any(isinstance(part, DocumentPart) for part in content):
            return message
        return replace(message, content=[_file(part) if isinstance(part, DocumentPart) else part for part in content])

    def _sent_assistant(self, message: AssistantMessage) -> AssistantMessage:
        reasoning = message.reasoning_content or message.reasoning
        field = self.reasoning_field
        return replace(
            message,
            audio=None
            if message.audio is None
            else replace(message.audio, data=None, expires_at=None, transcript=None),
            annotations=None,
            images=None,
            reasoning_content=reasoning if field == "reasoning_content" else None,
            reasoning=reasoning if field == "reasoning" else None,
            reasoning_details=message.reasoning_details if field == "reasoning" else None,
            thinking_blocks=None,
            tool_plan=None,
            native_content=None,
        )


def _encode_chat(provider: OpenAI, call: Call[object]) -> HttpRequest:
    route = call.route
    return HttpRequest(
        method="POST",
        base_url=route.base_url,
        path="/chat/completions",
        headers=merged((_STREAM if call.stream else _JSON) + bearer(route.api_key), call.headers),
        body=provider.chat_body(cast("ChatCompletionRequest", call.request), route.model, call.stream),
    )


def _decode_chat(provider: OpenAI, call: Call[object], body: bytes, headers: Headers) -> ChatCompletionResponse:
    return read_reply(body, provider=provider.name, model=call.route.model)


def _open_chat_stream(provider: OpenAI, call: Call[object]) -> ChatStreamDecoder:
    return ChatStreamDecoder(provider.name, call.route.model)


def _encode_list_models(provider: OpenAI, call: Call[object]) -> HttpRequest:
    route = call.route
    headers = merged(_GET + bearer(route.api_key), call.headers)
    return HttpRequest(method="GET", base_url=route.base_url, path="/models", headers=headers)


def _decode_models(provider: OpenAI, call: Call[object], body: bytes, headers: Headers) -> ModelsListResponse:
    return read_models(body, provider=provider.name)


def _file(part: DocumentPart) -> FilePart:
    """A document as OpenAI's file."""
    if part.url is not None:
        raise BadRequestError("documents by url cannot be sent over OpenAI's chat wire: give data or file_id")
    if part.file_id is not None:
        file = FileData(file_id=part.file_id)
    else:
        kind = part.media_type
        name = part.title or ("document.pdf" if kind == "application/pdf" else "document.txt")
        file = FileData(file_data=f"data:{kind};base64,{part.data}", filename=name)
    return FilePart(file=file, cache_control=part.cache_control)


_WIRES: Mapping[str, OperationWire[Any, Any]] = {
    "chat": OperationWire(encode=_encode_chat, decode=_decode_chat, open_stream=_open_chat_stream),
    "list_models": OperationWire(encode=_encode_list_models, decode=_decode_models),
    **OPERATIONS,
}

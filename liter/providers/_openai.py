"""OpenAI's wire, and that of the many who imitate it: each is an instance with its own base URL and habits."""

from collections.abc import Mapping
from typing import TypeVar, cast

import msgspec
from msgspec.structs import replace

from .._contract import Call
from .._errors import BadRequestError, EndpointNotSupportedError, LlmError
from .._http import Headers, HttpRequest, RawHeaders
from ..types import (
    AssistantMessage,
    ChatCompletionRequest,
    ChatCompletionResponse,
    DocumentPart,
    FileData,
    FilePart,
    ListModelsRequest,
    Message,
    StreamOptions,
    ToolMessage,
    Usage,
    format_of_type,
)
from ._classify import classify
from ._codec import StreamDecoder
from ._headers import bearer, merged
from ._openai_reply import read_models, read_reply
from ._openai_stream import ChatStreamDecoder

R = TypeVar("R")

_ENCODER = msgspec.json.Encoder()
_ANY = msgspec.json.Decoder(dict[str, object])

# Where the id of a request stands, most common first.
_REQUEST_IDS = ("x-request-id", "apim-request-id", "mistral-correlation-id", "request-id", "x-generation-id", "cf-ray")

_JSON: RawHeaders = ((b"content-type", b"application/json"), (b"accept", b"application/json"))
# Proxies that compress hold a stream back until they have enough of it.
_STREAM: RawHeaders = (
    (b"content-type", b"application/json"),
    (b"accept", b"text/event-stream"),
    (b"accept-encoding", b"identity"),
)
_GET: RawHeaders = ((b"accept", b"application/json"),)

_WITH_USAGE = StreamOptions(include_usage=True)


class OpenAI(msgspec.Struct, frozen=True, kw_only=True):
    """A provider that speaks OpenAI's API.

    :param name: what routes to it
    :param base_url: where its API lives
    :param key_variables: environment variables that may hold its key; empty where it needs none
    :param renames: parameters that it takes under another name: ``{"seed": "random_seed"}``
    :param stream_options: whether it understands ``stream_options``; if so, liter asks for usage on streams
    :param reasoning_field: the field in which it wants a reply's reasoning back, ``None`` where it wants none
    """

    name: str = "openai"
    base_url: str = "https://api.openai.com/v1"
    key_variables: tuple[str, ...] = ("OPENAI_API_KEY",)
    renames: Mapping[str, str] = {}
    stream_options: bool = True
    reasoning_field: str | None = None

    @property
    def operations(self) -> frozenset[str]:
        """The operations it offers."""
        return frozenset({"chat", "list_models"})

    def encode(self, call: Call[R]) -> HttpRequest:
        """Make the HTTP request of a call."""
        request = call.request
        key = bearer(call.route.api_key)
        if isinstance(request, ChatCompletionRequest):
            return HttpRequest(
                method="POST",
                base_url=call.route.base_url,
                path="/chat/completions",
                headers=merged((_STREAM if call.stream else _JSON) + key, call.headers),
                body=self._chat_body(request, call.route.model, call.stream),
            )
        if isinstance(request, ListModelsRequest):
            return HttpRequest(
                method="GET", base_url=call.route.base_url, path="/models", headers=merged(_GET + key, call.headers)
            )
        raise EndpointNotSupportedError(
            f"{self.name} does not offer {call.operation}; it offers {', '.join(sorted(self.operations))}",
            provider=self.name,
        )

    def _chat_body(self, request: ChatCompletionRequest, model: str, stream: bool) -> bytes:
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
            native_content=None,
        )

    def decode(self, call: Call[R], body: bytes) -> R:
        """Decode a whole successful reply."""
        if isinstance(call.request, ListModelsRequest):
            return cast("R", read_models(body, provider=self.name))
        return cast("R", read_reply(body, provider=self.name, model=call.route.model))

    def usage(self, value: object) -> Usage | None:
        """The usage in a decoded reply."""
        return value.usage if isinstance(value, ChatCompletionResponse) else None

    def open_stream(self, call: Call[R]) -> StreamDecoder[R]:
        """Make the decoder for one stream."""
        return cast("StreamDecoder[R]", ChatStreamDecoder(self.name, call.route.model))

    def error(self, call: Call[R], status: int, headers: Headers, body: bytes) -> LlmError:
        """Classify an answer that is no success."""
        return classify(
            body,
            status=status,
            provider=self.name,
            model=call.route.model,
            headers=headers,
            request_id=self.request_id(headers),
        )

    def request_id(self, headers: Headers) -> str | None:
        """The provider's id of the request."""
        return next((headers[name] for name in _REQUEST_IDS if name in headers), None)


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

"""Anthropic's Messages API."""

from typing import TypeVar, cast

import msgspec

from .._contract import Call
from .._errors import BadRequestError, EndpointNotSupportedError, LlmError
from .._http import Headers, HttpRequest, RawHeaders
from .._secret import Secret
from ..types import ChatCompletionRequest, ChatCompletionResponse, ListModelsRequest, Usage
from ._anthropic_reply import read_models, read_reply
from ._anthropic_request import encode_chat
from ._anthropic_stream import MessageStreamDecoder
from ._classify import classify
from ._codec import StreamDecoder
from ._headers import bearer, credential, merged

R = TypeVar("R")

_VERSION: RawHeaders = ((b"anthropic-version", b"2023-06-01"),)
_JSON: RawHeaders = ((b"content-type", b"application/json"), (b"accept", b"application/json"), *_VERSION)
_STREAM: RawHeaders = (
    (b"content-type", b"application/json"),
    (b"accept", b"text/event-stream"),
    (b"accept-encoding", b"identity"),
    *_VERSION,
)
_GET: RawHeaders = ((b"accept", b"application/json"), *_VERSION)

# Tokens of a login, unlike keys, go into the authorization header.
_LOGIN_TOKEN = "sk-ant-oat"  # noqa: S105 # the beginning of every one, no token


class Anthropic(msgspec.Struct, frozen=True, kw_only=True):
    """A provider that speaks Anthropic's Messages API.

    :param name: what routes to it
    :param base_url: where its API lives
    :param key_variables: environment variables that may hold its key
    """

    name: str = "anthropic"
    base_url: str = "https://api.anthropic.com/v1"
    key_variables: tuple[str, ...] = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")

    @property
    def operations(self) -> frozenset[str]:
        """The operations it offers."""
        return frozenset({"chat", "list_models"})

    def encode(self, call: Call[R]) -> HttpRequest:
        """Make the HTTP request of a call.

        :raises BadRequestError: the request asks for what this wire cannot say
        """
        request, route = call.request, call.route
        key = _key(route.api_key)
        if isinstance(request, ChatCompletionRequest):
            try:
                body = encode_chat(request, model=route.model, stream=call.stream, provider=self.name)
            except BadRequestError as error:
                error.provider, error.model = self.name, route.model
                raise
            return HttpRequest(
                method="POST",
                base_url=route.base_url,
                path="/messages",
                headers=merged((_STREAM if call.stream else _JSON) + key, call.headers),
                body=body,
            )
        if isinstance(request, ListModelsRequest):
            # The most it gives at once.
            path = "/models?limit=1000"
            return HttpRequest(
                method="GET", base_url=route.base_url, path=path, headers=merged(_GET + key, call.headers)
            )
        raise EndpointNotSupportedError(
            f"{self.name} does not offer {call.operation}; it offers {', '.join(sorted(self.operations))}",
            provider=self.name,
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
        return cast("StreamDecoder[R]", MessageStreamDecoder(self.name, call.route.model))

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
        return headers.get("request-id") or headers.get("x-request-id")


def _key(key: Secret | None) -> RawHeaders:
    if key and key.reveal().startswith(_LOGIN_TOKEN):
        return bearer(key)
    return () if not key else ((b"x-api-key", credential(key)),)

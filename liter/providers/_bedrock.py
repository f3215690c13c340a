"""Amazon Bedrock: Converse for chats, and what is beside it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeVar, cast

from msgspec.structs import replace

from .._contract import Call
from .._errors import LlmError
from .._http import Headers, HttpRequest, RawHeaders
from ..types import ChatCompletionRequest, ChatCompletionResponse
from ._auth import Auth
from ._bedrock_claude import ClaudeStreamDecoder, decode_claude, encode_claude, route_of
from ._bedrock_embeddings import EMBED
from ._bedrock_errors import classify_answer
from ._bedrock_hosts import host_of
from ._bedrock_images import IMAGE_GENERATE
from ._bedrock_models import model_path
from ._bedrock_nova import NovaStreamDecoder, encode_nova, is_nova
from ._bedrock_operations import OPERATIONS
from ._bedrock_reply import read_reply
from ._bedrock_request import PARAMETERS, encode_converse
from ._bedrock_stream import ConverseStreamDecoder
from ._codec import StreamDecoder
from ._headers import JSON
from ._inline import remote_urls
from ._typed_parameters import schema_of
from ._wire import OperationWire, WireProvider

R = TypeVar("R")

_STREAM: RawHeaders = (
    (b"content-type", b"application/json"),
    (b"accept", b"application/vnd.amazon.eventstream"),
    (b"accept-encoding", b"identity"),
)


class Bedrock(WireProvider, frozen=True, kw_only=True):
    """Amazon Bedrock, in one region.

    Chats go by Converse. ``invoke/`` before the name of one of Anthropic's models asks for InvokeModel and Anthropic's
    own form, as in ``"bedrock/invoke/us.anthropic.claude-sonnet-4-5-20250929-v1:0"``; before
    Nova's, for InvokeModel alone.

    A key is a Bedrock API key and goes into the authorization header; access keys sign, see :class:`AwsCredentials`.

    :param structured_output: how JSON of a schema is asked for: ``"native"`` where the model has it; ``"tool"`` by a
        tool that the model has to call, and whose arguments become the reply's text, for models that have not
    """

    name: str = "bedrock"
    base_url: str = "https://bedrock-runtime.{region}.amazonaws.com"
    key_variables: tuple[str, ...] = ("AWS_BEARER_TOKEN_BEDROCK",)
    auth: Auth = Auth(kind="sigv4", service="bedrock")
    settings: Mapping[str, tuple[str, ...]] = MappingProxyType(
        {"region": ("AWS_REGION", "AWS_DEFAULT_REGION"), "profile": ("AWS_PROFILE",)}
    )
    structured_output: Literal["native", "tool"] = "native"

    request_ids: ClassVar[tuple[str, ...]] = ("x-amzn-requestid",)

    @property
    def wires(self) -> Mapping[str, OperationWire[Any, Any]]:
        """The operations of the protocol, by name."""
        return _WIRES

    def error(self, call: Call[R], status: int, headers: Headers, body: bytes) -> LlmError:
        """Classify an answer that is no success: AWS names the error in a header."""
        return classify_answer(
            body,
            status=status,
            headers=headers,
            provider=self.name,
            model=call.route.model,
            request_id=self.request_id(headers),
        )

    def needs_inline(self, call: Call[R]) -> tuple[str, ...]:
        """All: Bedrock fetches nothing but from S3."""
        return remote_urls(call.request)

    def schema_tool(self, call: Call[object]) -> str | None:
        """The name of the tool whose arguments are the reply of a call; ``None``: it is none's."""
        if self.structured_output != "tool":
            return None
        schema = schema_of(cast("ChatCompletionRequest", call.request).response_format, call, "Bedrock")
        return None if schema is None else schema.name


def _encode_chat(provider: Bedrock, call: Call[object]) -> HttpRequest:
    model, invokes = route_of(call.route.model)
    if invokes and not is_nova(model):
        return encode_claude(provider, call, model)
    call = _named(call, model)
    if invokes:
        return encode_nova(provider, call, model)
    path = model_path(model, "converse-stream" if call.stream else "converse")
    headers = _STREAM if call.stream else JSON
    body = encode_converse(call, schema_tool=provider.structured_output == "tool")
    return provider.request(call, "POST", host_of(call.route.base_url), path, headers, body=body)


def _named(call: Call[object], model: str) -> Call[object]:
    route = call.route
    return call if route.model == model else replace(call, route=replace(route, model=model))


def _decode_chat(provider: Bedrock, call: Call[object], body: bytes, headers: Headers) -> ChatCompletionResponse:
    model, invokes = route_of(call.route.model)
    if invokes and not is_nova(model):
        return decode_claude(provider, model, body)
    return read_reply(
        body,
        provider=provider.name,
        model=model,
        request_id=provider.request_id(headers),
        schema_tool=provider.schema_tool(call),
    )


def _open_chat_stream(provider: Bedrock, call: Call[object]) -> StreamDecoder[object]:
    model, invokes = route_of(call.route.model)
    if invokes and not is_nova(model):
        return ClaudeStreamDecoder(provider, model)
    if invokes:
        return NovaStreamDecoder(provider.name, model)
    return ConverseStreamDecoder(provider.name, model, schema_tool=provider.schema_tool(call))


_WIRES: Mapping[str, OperationWire[Any, Any]] = {
    "chat": OperationWire(
        encode=_encode_chat, decode=_decode_chat, open_stream=_open_chat_stream, parameters=PARAMETERS
    ),
    "embed": EMBED,
    "image_generate": IMAGE_GENERATE,
    **OPERATIONS,
}

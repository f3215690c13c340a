"""Amazon Bedrock: Converse for chats, and what is beside it."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar, cast

from .._contract import Call
from .._errors import LlmError
from .._http import Headers, HttpRequest, RawHeaders
from ..types import ChatCompletionRequest, ChatCompletionResponse, ModelsListResponse
from ._bedrock_errors import classify_answer
from ._bedrock_list import read_models
from ._bedrock_models import model_path
from ._bedrock_reply import read_reply
from ._bedrock_request import PARAMETERS, encode_converse
from ._bedrock_stream import ConverseStreamDecoder
from ._bedrock_tools import schema_of
from ._headers import bearer, merged
from ._wire import OperationWire, WireProvider

R = TypeVar("R")

_JSON: RawHeaders = ((b"content-type", b"application/json"), (b"accept", b"application/json"))
_STREAM: RawHeaders = (
    (b"content-type", b"application/json"),
    (b"accept", b"application/vnd.amazon.eventstream"),
    (b"accept-encoding", b"identity"),
)
_GET: RawHeaders = ((b"accept", b"application/json"),)

_AWS = re.compile(r"https://bedrock-runtime(-fips)?\.([a-z0-9-]+)\.amazonaws\.(?:com|com\.cn|eu)")

# AWS's partitions, by the beginning of their regions' names.
_SUFFIXES = {"cn-": "amazonaws.com.cn", "eusc-": "amazonaws.eu"}


class Bedrock(WireProvider, frozen=True, kw_only=True):
    """Amazon Bedrock, in one region.

    A key is a Bedrock API key and goes into the authorization header; access keys sign, see :class:`AwsCredentials`.

    :param structured_output: how JSON of a schema is asked for: ``"native"`` where the model has it; ``"tool"`` by a
        tool that the model has to call, and whose arguments become the reply's text, for models that have not
    """

    name: str = "bedrock"
    base_url: str = "https://bedrock-runtime.us-east-1.amazonaws.com"
    key_variables: tuple[str, ...] = ("AWS_BEARER_TOKEN_BEDROCK",)
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

    def schema_tool(self, call: Call[object]) -> str | None:
        """The name of the tool whose arguments are the reply of a call; ``None``: it is none's."""
        if self.structured_output != "tool":
            return None
        schema = schema_of(cast("ChatCompletionRequest", call.request), call)
        return None if schema is None else schema.name


def host_of(base_url: str, service: str = "bedrock-runtime") -> str:
    """The address of one of Bedrock's services, in the region and for the partition of AWS that another tells.

    An address that is not AWS's own is for all of them.
    """
    match = _AWS.fullmatch(base_url)
    if match is None:
        return base_url
    fips, region = match.group(1) or "", match.group(2)
    suffix = next((suffix for start, suffix in _SUFFIXES.items() if region.startswith(start)), "amazonaws.com")
    return f"https://{service}{fips}.{region}.{suffix}"


def _encode_chat(provider: Bedrock, call: Call[object]) -> HttpRequest:
    route = call.route
    return HttpRequest(
        method="POST",
        base_url=host_of(route.base_url),
        path=model_path(route.model, "converse-stream" if call.stream else "converse"),
        headers=merged((_STREAM if call.stream else _JSON) + bearer(route.api_key), call.headers),
        body=encode_converse(call, schema_tool=provider.structured_output == "tool"),
    )


def _decode_chat(provider: Bedrock, call: Call[object], body: bytes, headers: Headers) -> ChatCompletionResponse:
    request_id = provider.request_id(headers)
    return read_reply(
        body,
        provider=provider.name,
        model=call.route.model,
        request_id=request_id,
        schema_tool=provider.schema_tool(call),
    )


def _open_chat_stream(provider: Bedrock, call: Call[object]) -> ConverseStreamDecoder:
    return ConverseStreamDecoder(provider.name, call.route.model, schema_tool=provider.schema_tool(call))


def _encode_list_models(provider: Bedrock, call: Call[object]) -> HttpRequest:
    route = call.route
    return HttpRequest(
        method="GET",
        base_url=host_of(route.base_url, "bedrock"),
        path="/foundation-models",
        headers=merged(_GET + bearer(route.api_key), call.headers),
    )


def _decode_models(provider: Bedrock, call: Call[object], body: bytes, headers: Headers) -> ModelsListResponse:
    return read_models(body, provider=provider.name)


_WIRES: Mapping[str, OperationWire[Any, Any]] = {
    "chat": OperationWire(
        encode=_encode_chat, decode=_decode_chat, open_stream=_open_chat_stream, parameters=PARAMETERS
    ),
    "list_models": OperationWire(encode=_encode_list_models, decode=_decode_models),
}

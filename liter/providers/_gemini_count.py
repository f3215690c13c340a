"""How many tokens a prompt has, by ``countTokens``."""

from typing import cast

import msgspec

from .._contract import Call
from ..types import ChatCompletionRequest, CountTokensRequest, TokenCount
from ._gemini_json import count_of, read_fields
from ._gemini_request import chat_body
from ._gemini_target import Target
from ._read import unreadable

_ENCODER = msgspec.json.Encoder()
_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])


def count_body(target: Target) -> bytes:
    """Make the body of ``countTokens``: the Gemini API takes all of a prompt only in a request for its reply.

    :raises BadRequestError: a message or tool cannot be said to Gemini
    """
    asked = cast("CountTokensRequest", target.call.request)
    chat = ChatCompletionRequest(
        model=asked.model, messages=asked.conversation, tools=asked.tools, extra_body=asked.extra_body
    )
    body = chat_body(chat, target)
    if target.vertex:
        return body
    model = target.model if "/" in target.model else f"models/{target.model}"
    return _ENCODER.encode({"generateContentRequest": {"model": model, **_RAW.decode(body)}})


def read_count(call: Call[object], body: bytes) -> TokenCount:
    """Decode a count.

    :raises SerializationError: there is none
    """
    count = count_of(read_fields(call, body, "a count of tokens").get("totalTokens"))
    if count is None:
        raise unreadable(body, "a count of tokens", "it has none", provider=call.route.provider, model=call.route.model)
    return TokenCount(input_tokens=count, model=call.route.model)

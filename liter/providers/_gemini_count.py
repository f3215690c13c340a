"""How many tokens a prompt has, by ``countTokens``."""

from typing import cast

import msgspec

from .._contract import Call
from .._errors import SerializationError
from ..types import ChatCompletionRequest, CountTokensRequest, TokenCount
from ._gemini_json import count_of, decode_json, fields_of
from ._gemini_request import chat_body
from ._gemini_target import Target

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
    try:
        count = count_of(fields_of(decode_json(body)).get("totalTokens"))
    except ValueError:
        count = None
    if count is None:
        raise SerializationError(
            "the reply is no count of tokens",
            status=200,
            provider=call.route.provider,
            model=call.route.model,
            body=body,
        )
    return TokenCount(input_tokens=count, model=call.route.model)

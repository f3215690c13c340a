"""What the conformance kit for providers is told: answers of a provider, as they come over the wire."""

import msgspec

from .._call import Call, Route
from .._secret import Secret
from ..types import ChatCompletionRequest

# Seen nowhere else, so that it is found wherever it leaks to.
KEY = "sk-conformance-4f9d2c"
MODEL = "conformance-model"
ADDRESS = "https://conformance.example/base"


class ProviderConformanceError(AssertionError):
    """A codec breaks the contract; the message says which rule, and how."""


class WireSample(msgspec.Struct, frozen=True, kw_only=True):
    """Answers of a provider to a chat: one reply, whole and as a stream, and a refusal.

    :param reply: the body of a whole reply, which must be longer than a few words
    :param stream: the body of the same reply as a stream, framed as it comes; empty where there are no streams
    :param text: what both say
    :param error: the body of a refusal
    :param has_end: the stream ends with an event of its own, or with a reason to end: without it, it is cut
    """

    reply: bytes
    stream: bytes = b""
    text: str
    error: bytes = b'{"error": {"message": "No such model."}}'
    has_end: bool = True


def chat(provider: str, *, stream: bool = False, key: str | None = KEY, **fields: object) -> Call[object]:
    """A call of a short chat."""
    request = ChatCompletionRequest(model=f"{provider}/{MODEL}", messages=[{"role": "user", "content": "Where?"}])
    route = Route(provider=provider, model=MODEL, base_url=ADDRESS, api_key=None if key is None else Secret(key))
    call: Call[object] = Call(operation="chat", request=request, route=route, stream=stream)
    return msgspec.structs.replace(call, **fields)

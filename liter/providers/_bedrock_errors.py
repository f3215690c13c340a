"""Errors of AWS, which names them in a header, in the body, or in the headers of a stream's message."""

from collections.abc import Mapping

import msgspec

from .._errors import LlmError
from .._http import EventMessage, Headers
from ._classify import classify
from ._lenient import decode_leniently

_OBJECT = msgspec.json.Decoder(dict[str, object])


def classify_answer(
    body: bytes, *, status: int, headers: Headers, provider: str, model: str, request_id: str | None
) -> LlmError:
    """Make the error of an answer that is no success."""
    fields = _fields(body)
    code = _plain(headers.get("x-amzn-errortype") or _text(fields.get("__type")))
    # What the model behind Bedrock answered says more than that it failed.
    original = fields.get("originalStatusCode")
    told = original if status == 424 and isinstance(original, int) and 400 <= original < 600 else status
    error = classify(
        body, status=told, provider=provider, model=model, headers=headers, request_id=request_id, code=code
    )
    error.status = status
    return error


def classify_exception(message: EventMessage, *, provider: str, model: str) -> LlmError:
    """Make the error of a message that ends a stream."""
    body = message.payload
    if message.text(":message-type") == "error":
        code = message.text(":error-code")
        # It has no payload, but words in a header.
        body = body or msgspec.json.encode({"message": message.text(":error-message")})
    else:
        code = message.text(":exception-type")
    original = _fields(body).get("originalStatusCode")
    status = original if isinstance(original, int) and 400 <= original < 600 else None
    error = classify(body, status=status, provider=provider, model=model, code=_plain(code))
    error.status = None
    return error


def _fields(body: bytes) -> Mapping[str, object]:
    try:
        return decode_leniently(_OBJECT, body)
    except msgspec.DecodeError:
        return {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _plain(code: str) -> str | None:
    """A code without the namespace before it and the address after it."""
    return code.partition(":")[0].rpartition("#")[2].strip() or None

"""Reading whole JSON replies into a struct, with the error that says what it was not."""

from typing import TypeVar

import msgspec

from .._contract import Call
from .._errors import SerializationError
from ._classify import classify
from ._lenient import decode_leniently

T = TypeVar("T")


class _Telling(msgspec.Struct):
    error: msgspec.Raw = msgspec.Raw()


_TELLING = msgspec.json.Decoder(_Telling)


def read_json(call: Call[object], body: bytes, decoder: "msgspec.json.Decoder[T]", what: str) -> T:
    """Decode a whole reply; ``what`` says what it should be, as in "a list of embeddings".

    :raises SerializationError: it cannot be read
    :raises LlmError: it is an error under a status of success
    """
    provider, model = call.route.provider, call.route.model or None
    try:
        told = decode_leniently(decoder, body)
    except msgspec.DecodeError as error:
        if _is_error(body):
            raise classify(body, status=None, provider=provider, model=model) from None
        raise unreadable(body, what, error, provider=provider, model=model) from error
    if b'"error"' in body[:512] and _is_error(body):
        raise classify(body, status=None, provider=provider, model=model)
    return told


def read_plainly(call: Call[object], body: bytes, decoder: "msgspec.json.Decoder[T]", what: str) -> T:
    """Decode a whole reply in which an error is not told as elsewhere: its reader looks for it.

    :raises SerializationError: it cannot be read
    """
    try:
        return decode_leniently(decoder, body)
    except msgspec.DecodeError as error:
        raise unreadable(body, what, error, provider=call.route.provider, model=call.route.model) from error


def unreadable(body: bytes, what: str, why: object, *, provider: str, model: str | None = None) -> SerializationError:
    """Make the error of a successful answer that is not ``what`` it should be, as in "a list of embeddings"."""
    return SerializationError(
        f"the reply is not {what}: {why}", status=200, provider=provider, model=model or None, body=body
    )


def _is_error(body: bytes) -> bool:
    try:
        error = bytes(_TELLING.decode(body).error)
    except msgspec.DecodeError:
        return False
    return error not in (b"", b"null", b"{}", b'""', b"[]")

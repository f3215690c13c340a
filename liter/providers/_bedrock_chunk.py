"""The chunks in which InvokeModel streams: a model's own event, in base64, in the message of an event stream."""

from binascii import a2b_base64

import msgspec

from .._http import EventMessage
from ._lenient import decode_leniently


class _Chunk(msgspec.Struct, frozen=True):
    bytes: str = ""


_CHUNK = msgspec.json.Decoder(_Chunk)


def chunk_of(message: EventMessage) -> bytes:
    """The event in a chunk.

    :raises msgspec.DecodeError: the message holds no JSON object
    :raises ValueError: it is not base64
    """
    return a2b_base64(decode_leniently(_CHUNK, message.payload).bytes, strict_mode=True)

"""What is kept of an answer: its value, or the events of a stream, in MessagePack, and a few facts about it."""

from collections.abc import Mapping
from functools import lru_cache
from typing import TypeVar, cast

import msgspec

from .. import types
from .._contract import Attempt
from .._reply import Reply
from ..types import BinaryContent, Usage
from ..types._vector import packed, unpacked

R = TypeVar("R")

# What msgspec raises of its own and of the interpreter's: text that is not UTF-8, numbers too large, nesting too deep.
_NOT_ENCODABLE = (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError)
_NOT_DECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)
_BINARY = BinaryContent.__name__
_PLAIN: Mapping[str, type] = {"str": str, "bytes": bytes, _BINARY: BinaryContent}
_ENCODER = msgspec.msgpack.Encoder(enc_hook=packed)
_encode, _encode_into = _ENCODER.encode, _ENCODER.encode_into
_HEADER_BYTES = 5


class Record(msgspec.Struct, frozen=True, array_like=True):
    """An answer as it is kept. Headers and raw bytes are not: they tell of an exchange that a hit has none of.

    :param kind: the type of its parts, by its name in ``liter.types``, or ``"str"`` or ``"bytes"``;
        ``"BinaryContent"`` is kept as bytes
    :param parts: the value, or the events, as one array
    :param provider: who made it, and ``model``: which one, where that is known
    :param times: seconds from the start of the call to each event; empty when they were not taken
    """

    kind: str
    parts: bytes
    times: list[float]
    status: int
    request_id: str | None
    usage: Usage | None
    provider: str = ""
    model: str = ""

    def decode_parts(self) -> list[object] | None:
        """Make the parts anew, so that no two callers share one; ``None`` when they cannot be read (any more)."""
        decoder = _decoder(self.kind)
        try:
            parts = None if decoder is None else decoder.decode(self.parts)
        except _NOT_DECODABLE:
            return None
        if parts is not None and self.kind == _BINARY:
            return [BinaryContent(cast("bytes", part)) for part in parts]
        return parts


_RECORD_DECODER = msgspec.msgpack.Decoder(Record)


def decode_record(data: bytes) -> Record | None:
    """Read what a store gave; ``None`` when it is no record."""
    try:
        return _RECORD_DECODER.decode(data)
    except _NOT_DECODABLE:
        return None


class Recording:
    """Takes down the parts of one answer as they pass.

    Each is encoded at once: what the consumer then does to it does not reach the cache, and what it takes in
    memory is known.

    :param max_bytes: one that grows larger is given up
    :ivar count: how many parts it has; 0 when it was given up
    """

    __slots__ = ("_as_it_is", "_given_up", "_kind", "_max_bytes", "_parts", "count", "times")

    def __init__(self, max_bytes: float) -> None:
        # With room for MessagePack's header of an array; its items follow.
        self._parts = bytearray(_HEADER_BYTES)
        self._max_bytes = max_bytes + _HEADER_BYTES
        self._kind: type | None = None
        # The same, where a part needs nothing done to it.
        self._as_it_is: type | None = None
        self._given_up = False
        self.count: int = 0
        self.times: list[float] = []

    def add(self, part: object) -> None:
        """Take down the next part."""
        parts = self._parts
        try:
            if type(part) is self._as_it_is:
                _encode_into(part, parts, -1)
            elif self._begin(type(part)):
                _encode_into(bytes(part) if isinstance(part, BinaryContent) else part, parts, -1)
            else:
                self._give_up()
                return
        except _NOT_ENCODABLE:
            self._give_up()
            return
        self.count += 1
        if len(parts) > self._max_bytes:
            self._give_up()

    def add_at(self, time: float, part: object) -> None:
        """Take down the next part, and the seconds from the start of the call to it."""
        self.add(part)
        if self.count:
            self.times.append(time)

    def _begin(self, kind: type) -> bool:
        """Take the kind of the first part for that of all. Returns whether it may be."""
        if self._kind is None and not self._given_up and _type(kind.__name__) is kind:
            self._kind = kind
            self._as_it_is = None if kind is BinaryContent else kind
        return kind is self._kind

    def _give_up(self) -> None:
        self._given_up = True
        self._kind = self._as_it_is = None
        self._parts = bytearray()
        self.count = 0
        self.times = []

    def encode(self, reply: Reply[R], made_by: Attempt | None = None) -> bytes | None:
        """Make the record of a reply that ended well; ``None`` when it was given up, or is not of a known kind."""
        if self._kind is None:
            return None
        parts = self._parts
        parts[:_HEADER_BYTES] = b"\xdd" + self.count.to_bytes(4, "big")
        return _record(self._kind, parts, self.times, reply, made_by)  # type: ignore[arg-type] # encoded alike


def encode_value(reply: Reply[R], made_by: Attempt | None = None) -> bytes | None:
    """Make the record of a whole reply; ``None`` when it is not of a known kind."""
    value: object = reply.value
    kind = type(value)
    if _type(kind.__name__) is not kind:
        return None
    try:
        parts = _encode((bytes(value) if isinstance(value, BinaryContent) else value,))
    except _NOT_ENCODABLE:
        return None
    return _record(kind, parts, [], reply, made_by)


def _record(kind: type, parts: bytes, times: list[float], reply: Reply[R], made_by: Attempt | None) -> bytes:
    provider, model = ("", "") if made_by is None else (made_by.provider, made_by.model)
    return _encode(Record(kind.__name__, parts, times, reply.status, reply.request_id, reply.usage, provider, model))


@lru_cache(maxsize=64)
def _type(name: str) -> type | None:
    """Find the type of a kind. What a store gives names a struct of liter's own, and nothing else."""
    if name in _PLAIN:
        return _PLAIN[name]
    kind: object = getattr(types, name, None)
    return kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None


@lru_cache(maxsize=64)
def _decoder(name: str) -> "msgspec.msgpack.Decoder[list[object]] | None":
    kind = bytes if name == _BINARY else _type(name)
    if kind is None:
        return None
    return msgspec.msgpack.Decoder(list[kind], dec_hook=unpacked)  # type: ignore[valid-type] # known at run time only

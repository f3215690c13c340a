"""The decoder and encoder of AWS's event streams."""

import base64
import json
import struct
import tracemalloc
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter._errors import StreamingError
from liter._http import EventHeader, EventMessage
from liter.transport._eventstream import MAX_HEADERS_BYTES, EventStreamDecoder, encode_message

VECTORS = Path(__file__).parents[2] / "../shared/vectors/eventstream.json"
CASES: list[dict[str, Any]] = json.loads(VECTORS.read_text("utf-8"))["cases"] if VECTORS.exists() else []
GOOD = [case for case in CASES if "decoded" in case]
BAD = [case for case in CASES if "error" in case]

# The types as the vectors name them, where that is another name than ours.
TYPES = {"bool_true": "true", "bool_false": "false"}

# Two messages as AWS sends them.
DELTA = bytes.fromhex(
    "0000009400000057b4ab9aee0d3a6d6573736167652d747970650700056576656e740b3a6576656e742d74797065070011636f6e74656e74"
    "426c6f636b44656c74610d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e7b22636f6e74656e74426c6f63"
    "6b496e646578223a302c2264656c7461223a7b2274657874223a224869227d7d5db19242"
)
EXCEPTION = bytes.fromhex(
    "00000090000000618e91a9b70d3a6d6573736167652d74797065070009657863657074696f6e0f3a657863657074696f6e2d747970650700"
    "137468726f74746c696e67457863657074696f6e0d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e7b226d"
    "657373616765223a22546f6f206d616e79207265717565737473227d9d6b6211"
)

names = st.text(max_size=20).filter(lambda name: len(name.encode()) <= 40)
headers = st.one_of(
    st.builds(EventHeader, names, st.just("true"), st.just(True)),
    st.builds(EventHeader, names, st.just("false"), st.just(False)),
    st.builds(EventHeader, names, st.just("byte"), st.integers(-(2**7), 2**7 - 1)),
    st.builds(EventHeader, names, st.just("short"), st.integers(-(2**15), 2**15 - 1)),
    st.builds(EventHeader, names, st.just("integer"), st.integers(-(2**31), 2**31 - 1)),
    st.builds(EventHeader, names, st.just("long"), st.integers(-(2**63), 2**63 - 1)),
    st.builds(EventHeader, names, st.just("timestamp"), st.integers(-(2**63), 2**63 - 1)),
    st.builds(EventHeader, names, st.just("byte_array"), st.binary(max_size=300)),
    st.builds(EventHeader, names, st.just("string"), st.text(max_size=300)),
    st.builds(EventHeader, names, st.just("uuid"), st.binary(min_size=16, max_size=16)),
)
messages = st.builds(
    EventMessage,
    st.lists(headers, max_size=6, unique_by=lambda header: header.name).map(tuple),
    st.binary(max_size=200),
)


def raw(headers: bytes, payload: bytes = b"") -> bytes:
    """Frame a message whose headers need not be good."""
    lengths = struct.pack(">II", len(headers) + len(payload) + 16, len(headers))
    body = lengths + struct.pack(">I", crc32(lengths)) + headers + payload
    return body + struct.pack(">I", crc32(body))


def expected(decoded: Mapping[str, Any]) -> EventMessage:
    """The message that a vector tells of."""
    made = []
    for header in decoded["headers"]:
        kind = TYPES.get(header["type"], header["type"])
        coded = kind in ("byte_array", "uuid")
        made.append(EventHeader(header["name"], kind, base64.b64decode(header["value"]) if coded else header["value"]))
    return EventMessage(tuple(made), base64.b64decode(decoded["payload_b64"]))


def decode(pieces: Iterable[bytes], limit: int = 1 << 24) -> list[EventMessage]:
    decoder = EventStreamDecoder(limit)
    made = [message for piece in pieces for message in decoder.feed(piece)]
    decoder.end()
    assert not decoder.unfinished
    return made


def one_by_one(data: bytes) -> list[bytes]:
    return [data[place : place + 1] for place in range(len(data))]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@pytest.mark.skipif(not CASES, reason=f"no vectors at {VECTORS}")
def test_all_vectors_are_there():
    """The vectors are not skipped by halves."""
    assert (len(GOOD), len(BAD)) == (14, 10)


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case["name"])
def test_a_vector_decodes_and_encodes(case):
    """Each good vector is read as published, whole, byte by byte and with a tail, and made again byte for byte."""
    data = base64.b64decode(case["encoded_b64"])
    message = expected(case["decoded"])
    assert decode([data]) == decode(one_by_one(data)) == [message]
    assert decode([data + DELTA[:5], DELTA[5:]])[0] == message
    assert encode_message(message) == data


@pytest.mark.parametrize("case", BAD, ids=lambda case: case["name"])
def test_a_broken_vector_is_refused(case):
    """Each bad vector is refused, whole and byte by byte, and nothing is decoded after it."""
    data = base64.b64decode(case["encoded_b64"])
    for pieces in ([data], one_by_one(data)):
        decoder = EventStreamDecoder()
        with pytest.raises(StreamingError, match="event stream is broken"):
            for piece in pieces:
                assert decoder.feed(piece) == []
        with pytest.raises(StreamingError, match="event stream is broken"):
            decoder.feed(DELTA)


def test_messages_as_aws_sends_them():
    """Events and exceptions have their names in headers and JSON in the payload."""
    event, exception = decode([DELTA + EXCEPTION])
    assert (event.text(":message-type"), event.text(":event-type")) == ("event", "contentBlockDelta")
    assert event.payload == b'{"contentBlockIndex":0,"delta":{"text":"Hi"}}'
    assert (exception.text(":message-type"), exception.text(":exception-type")) == (
        "exception",
        "throttlingException",
    )
    assert exception.text("no such header") == ""


@given(st.lists(messages, max_size=5), st.lists(st.integers(0), max_size=20))
def test_what_is_encoded_decodes_at_any_cuts(made, places):
    """Encoding and decoding are inverse, wherever the network cuts."""
    data = b"".join(map(encode_message, made))
    assert decode(cut(data, places)) == made
    assert decode(one_by_one(data)) == made


@given(st.lists(messages, min_size=1, max_size=3), st.integers(0), st.integers(1, 255), st.lists(st.integers(0)))
def test_a_changed_byte_is_noticed(made, place, change, places):
    """No byte can change unnoticed, and messages before it arrive all the same."""
    data = bytearray(b"".join(map(encode_message, made)))
    place %= len(data)
    data[place] ^= change
    before = [sum(len(encode_message(message)) for message in made[: count + 1]) for count in range(len(made))]
    whole = sum(end <= place for end in before)
    decoder = EventStreamDecoder(1 << 20)
    got: list[EventMessage] = []
    with pytest.raises(StreamingError):
        for piece in cut(bytes(data), places):
            got += decoder.feed(piece)
        decoder.end()
    assert got == made[:whole]


@given(st.binary(max_size=300), st.lists(st.integers(0), max_size=5))
def test_noise_is_refused_or_unfinished(data, places):
    """Bytes of any kind raise a StreamingError at worst."""
    decoder = EventStreamDecoder()
    try:
        for piece in cut(data, places):
            decoder.feed(piece)
        decoder.end()
    except StreamingError:
        return
    assert decoder.unfinished == bool(data)


@given(st.binary(max_size=60))
def test_headers_of_any_kind_are_read_or_refused(data):
    """Behind right checksums, headers may still be nonsense: that is a StreamingError too."""
    try:
        [message] = decode([raw(data)])
    except StreamingError:
        return
    assert encode_message(message) == raw(data)


@pytest.mark.parametrize(
    "headers",
    [
        b"\x05ab",
        b"\x01a",
        b"\x01a\x0a",
        b"\x01a\x07\x00\x05ab",
        b"\x01a\x07\x00\x01\xff",
        b"\x01\xff\x00",
        b"\x01a\x04\x00",
    ],
    ids=["name cut", "no type", "unknown type", "value cut", "value not UTF-8", "name not UTF-8", "number cut"],
)
def test_headers_that_break_their_form(headers):
    """A header that ends too early, of an unknown type or not in UTF-8 is refused."""
    with pytest.raises(StreamingError, match="header"):
        decode([raw(headers)])


def test_a_stream_that_ends_inside_a_message():
    """The decoder tells that the stream ended too early."""
    decoder = EventStreamDecoder()
    assert len(decoder.feed(DELTA + EXCEPTION[:-1])) == 1
    decoder.end()
    assert decoder.unfinished


def test_the_error_of_a_broken_message_is_told_at_the_end_at_last():
    """A whole message before a broken one arrives; the error comes with the next call, be it the last."""
    decoder = EventStreamDecoder()
    assert len(decoder.feed(DELTA + EXCEPTION[:-1] + b"\0")) == 1
    with pytest.raises(StreamingError, match="checksum of a message is wrong"):
        decoder.end()


def test_a_message_is_bounded_before_it_is_kept():
    """A prelude that claims too much is refused at once."""
    prelude = struct.pack(">II", 1 << 20, 0)
    prelude += struct.pack(">I", crc32(prelude))
    with pytest.raises(StreamingError, match="1048576 bytes is larger than 1000"):
        EventStreamDecoder(1000).feed(prelude)
    prelude = struct.pack(">II", 1 << 20, MAX_HEADERS_BYTES + 1)
    prelude += struct.pack(">I", crc32(prelude))
    with pytest.raises(StreamingError, match="claims 131073 bytes of headers"):
        EventStreamDecoder().feed(prelude)


def test_memory_stays_with_the_begun_message():
    """What is decoded is let go of, whatever the stream's length."""
    decoder = EventStreamDecoder()
    message = raw(b"", b"x" * 1000)
    tracemalloc.start()
    try:
        for _ in range(2000):
            decoder.feed(message[:500])
            decoder.feed(message[500:])
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    assert repr(decoder) == "<EventStreamDecoder 0 bytes of a begun message>"


@pytest.mark.parametrize(
    "header",
    [
        EventHeader("a", "byte", 128),
        EventHeader("a", "uuid", b"short"),
        EventHeader("a", "string", 1),
        EventHeader("a", "long", "1"),
        EventHeader("a", "string", "x" * 65536),
        EventHeader("n" * 256, "true", True),
    ],
)
def test_a_header_that_cannot_be_encoded(header):
    """A value that its type cannot hold is a ValueError."""
    with pytest.raises(ValueError, match="header does not fit its type"):
        encode_message(EventMessage((header,)))

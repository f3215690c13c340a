"""The decoder of server-sent events."""

import base64
import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import TypedDict

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from liter._errors import StreamingError
from liter._http import ServerSentEvent
from liter.transport._sse import SSEDecoder

VECTORS = Path(__file__).parents[2] / "../shared/vectors/sse.json"


class Case(TypedDict):
    name: str
    chunks_b64: list[str]
    events: list[dict[str, str]]
    retry_ms: int | None
    last_event_id: str


def load_cases() -> list[Case]:
    if not VECTORS.exists():
        return []
    cases: list[Case] = json.loads(VECTORS.read_text("utf-8"))["cases"]
    return cases


CASES = load_cases()

# Rich in what has a meaning: line ends, field names, blanks, the bytes of a byte order mark and of U+2028.
PIECES = [
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"data: ",
    b"data:",
    b"data",
    b"event: ",
    b"event",
    b"id: ",
    b"id",
    b"retry: ",
]
PIECES += [
    b"12",
    b":",
    b" ",
    b"\0",
    b"x",
    b"{}",
    b"\xef\xbb\xbf",
    b"\xef",
    b"\xe2\x80\xa8",
    b"data: {}\n\n",
    b"event: a\n",
]
texts = st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join)


def cut(text: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


def decode(chunks: Iterable[bytes], limit: int = 1 << 24) -> tuple[list[ServerSentEvent], SSEDecoder]:
    decoder = SSEDecoder(limit)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    decoder.end()
    return events, decoder


def decode_as_specified(text: bytes) -> list[ServerSentEvent]:
    """The standard's algorithm word for word: one line after the other, and one character at a time."""
    lines: list[bytes] = []
    line = b""
    position = 3 if text.startswith(b"\xef\xbb\xbf") else 0
    while position < len(text):
        char = text[position : position + 1]
        position += 1
        if char not in (b"\r", b"\n"):
            line += char
            continue
        if char == b"\r" and text[position : position + 1] == b"\n":
            position += 1
        lines.append(line)
        line = b""
    events: list[ServerSentEvent] = []
    data, name, last_id = b"", b"", b""
    for line in lines:
        if not line:
            if data:
                kind = name.decode("utf-8", "replace") or "message"
                events.append(ServerSentEvent(data[:-1], kind, last_id.decode("utf-8", "replace")))
            data, name = b"", b""
            continue
        field, colon, value = line.partition(b":")
        if colon and not field:
            continue
        if value[:1] == b" ":
            value = value[1:]
        if field == b"data":
            data += value + b"\n"
        elif field == b"event":
            name = value
        elif field == b"id" and b"\0" not in value:
            last_id = value
    return events


@pytest.mark.skipif(not CASES, reason=f"{VECTORS} is not there")
@pytest.mark.parametrize("size", [0, 1, 2, 3, 1 << 30], ids=["chunks", "1", "2", "3", "whole"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_vector(case: Case, size: int) -> None:
    """Every published case gives its events, last id and reconnection time, however its bytes arrive."""
    chunks = [base64.b64decode(chunk) for chunk in case["chunks_b64"]]
    if size:
        text = b"".join(chunks)
        chunks = [text[start : start + size] for start in range(0, len(text), size)]
    events, decoder = decode(chunks)
    assert [{"event": e.event, "data": e.text, "last_event_id": e.id} for e in events] == case["events"]
    assert decoder.last_event_id == case["last_event_id"]
    assert decoder.retry == case["retry_ms"]


@pytest.mark.skipif(not CASES, reason=f"{VECTORS} is not there")
@given(st.data())
def test_vector_cut_anywhere(data: st.DataObject) -> None:
    """Where the bytes of a published case are cut changes nothing."""
    case = data.draw(st.sampled_from(CASES))
    text = b"".join(base64.b64decode(chunk) for chunk in case["chunks_b64"])
    events, _ = decode(cut(text, data.draw(st.lists(st.integers(0, len(text))))))
    assert [{"event": e.event, "data": e.text, "last_event_id": e.id} for e in events] == case["events"]


@given(text=texts, places=st.lists(st.integers(0, 400), max_size=8))
@example(text=b"data: a\n\n\ndata: b\n\n", places=[10])
@example(text=b"data: a\r\n\r\ndata: b\r\r", places=[8, 9, 10])
def test_agrees_with_the_standard(text: bytes, places: list[int]) -> None:
    """Any bytes, at any cuts, give the events of the standard's own line-by-line algorithm."""
    expected = decode_as_specified(text)
    assert decode(cut(text, places))[0] == expected
    assert decode(text[i : i + 1] for i in range(len(text)))[0] == expected


@pytest.mark.parametrize(
    ("text", "event"),
    [
        (b'data: {"a":1}\n\n', ServerSentEvent(b'{"a":1}')),
        (b'event: ping\ndata: {"a":1}\n\n', ServerSentEvent(b'{"a":1}', "ping")),
        (b"event: ping\r\ndata: 1\r\n\r\n", ServerSentEvent(b"1", "ping")),
        (b"data: a\ndata: b\nid: 7\n\n", ServerSentEvent(b"a\nb", "message", "7")),
        ("data: a\u2028b\u0085c\n\n".encode(), ServerSentEvent("a\u2028b\u0085c".encode())),
    ],
)
def test_one_event(text: bytes, event: ServerSentEvent) -> None:
    """The forms that providers send, each whole."""
    assert SSEDecoder().feed(text) == [event]


def test_event_comes_with_its_last_byte() -> None:
    """An event is given out as soon as its empty line has begun to end, without waiting for an LF after the CR."""
    decoder = SSEDecoder()
    assert decoder.feed(b"data: a\r\n") == []
    assert decoder.feed(b"\r") == [ServerSentEvent(b"a")]
    assert decoder.feed(b"\ndata: b\n\n") == [ServerSentEvent(b"b")]


def test_id_reaches_later_events() -> None:
    """An id holds for all events after it, until another one comes."""
    events, decoder = decode([b"id: 1\ndata: a\n\ndata: b\n\nevent: e\ndata: c\n\nid: 2\n\n"])
    assert [event.id for event in events] == ["1", "1", "1"]
    assert decoder.last_event_id == "2"


@pytest.mark.parametrize(
    ("rest", "unfinished"),
    [
        (b"", False),
        (b"data: a", True),
        (b"data: a\n", True),
        (b": bye", False),
        (b": bye\n\n", False),
        (b"\r\r\n", False),
    ],
)
def test_unfinished(rest: bytes, unfinished: bool) -> None:
    """After the end it is known whether an event was cut off; comments and empty lines are none."""
    events, decoder = decode([b"data: x\n\n" + rest])
    assert events == [ServerSentEvent(b"x")]
    assert decoder.unfinished is unfinished


@pytest.mark.parametrize("retry", [b"1" * 5000, b"-1", b"1.5", b"\xd9\xa1", b""])
def test_bad_retry_is_ignored(retry: bytes) -> None:
    """A reconnection time that is no sensible number of ASCII digits changes nothing."""
    _, decoder = decode([b"retry: 20\n\nretry: " + retry + b"\n\n"])
    assert decoder.retry == 20


@pytest.mark.parametrize("end", [b"\n\n", b"\r\r", b"\r\n\r\n"])
@pytest.mark.parametrize("lead", [b"", b"\n\n\n", b"data: before\n\n", b"\xef\xbb\xbf"])
@given(places=st.lists(st.integers(0, 100), max_size=6))
def test_limit_is_exact(lead: bytes, end: bytes, places: list[int]) -> None:
    """An event of exactly the limit passes and one byte more does not, wherever the bytes are cut."""
    fitting = lead + b"data: a\ndata: ".ljust(40, b"x") + end
    assert decode(cut(fitting, places), limit=40)[0][-1].data == b"a\n" + b"x" * 26
    too_large = lead + b"data: a\ndata: ".ljust(41, b"x") + end
    with pytest.raises(StreamingError, match="larger than 40 bytes"):
        decode(cut(too_large, places), limit=40)


def test_endless_line_is_refused_at_the_limit() -> None:
    """A line without end is refused with the first byte past the limit, is not kept, and nothing follows it."""
    decoder = SSEDecoder(max_event_bytes=1000)
    assert decoder.feed(b"x" * 1000) == []
    with pytest.raises(StreamingError):
        decoder.feed(b"x")
    assert repr(decoder) == "<SSEDecoder 0 bytes of a begun event>"
    with pytest.raises(StreamingError):
        decoder.feed(b"\n\ndata: a\n\n")


@pytest.mark.timeout(20)
def test_large_event_byte_by_byte() -> None:
    """An event of a megabyte that comes in single bytes costs its length, not the square of it."""
    text = b"data: " + b"x" * 1_000_000 + b"\n\n"
    decoder = SSEDecoder()
    events = [event for i in range(len(text)) for event in decoder.feed(text[i : i + 1])]
    assert events == [ServerSentEvent(b"x" * 1_000_000)]

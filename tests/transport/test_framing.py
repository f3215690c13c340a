"""Framers: lines and pieces. Server-sent events have tests of their own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter import StreamingError
from liter.transport import framer


@given(lines=st.lists(st.binary(max_size=5).filter(lambda line: b"\n" not in line)), cuts=st.lists(st.integers(0, 60)))
def test_lines_are_the_same_at_any_cuts(lines: list[bytes], cuts: list[int]) -> None:
    """With LF, CRLF, blank lines between, and no line end after the last."""
    body = b"\n".join(lines)
    expected = [line for line in (line.strip() for line in lines) if line]
    decoder, told, before = framer("lines", 1000), [], 0
    for cut in [*sorted(min(cut, len(body)) for cut in cuts), len(body)]:
        told += decoder.feed(body[before:cut])
        before = cut
    assert [*told, *decoder.end()] == expected


def test_a_line_that_never_ends_is_refused() -> None:
    """Before it fills the memory."""
    decoder = framer("lines", 10)
    decoder.feed(b"12345\n67890")
    with pytest.raises(StreamingError, match="larger than 10 bytes"):
        decoder.feed(b"123456")


def test_pieces_come_as_they_are() -> None:
    """Nothing is held back."""
    decoder = framer("bytes", 10)
    assert [*decoder.feed(b"one"), *decoder.feed(b"two\n"), *decoder.end()] == [b"one", b"two\n"]


@pytest.mark.parametrize(
    ("rest", "last"),
    [
        (b'data: {"a": 1}\n', b'{"a": 1}'),
        (b'event: x\ndata: {"a": 1}', b'{"a": 1}'),
        (b"data: [DONE]", b"[DONE]"),
        (b'data: {"a": 1', None),
        (b"dat", None),
        (b": comment\n", None),
        (b"", None),
    ],
)
def test_a_last_event_without_its_empty_line_counts_if_it_is_whole(rest: bytes, last: bytes | None) -> None:
    """Some servers end so; what is cut off is dropped."""
    decoder = framer("sse", 1000)
    assert [event.data for event in decoder.feed(b"data: 0\n\n" + rest)] == [b"0"]
    assert [event.data for event in decoder.end()] == ([] if last is None else [last])


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
def test_lines_of_json_are_events_without_empty_lines_between(end: bytes) -> None:
    """Some servers leave these out; JSON that is itself in several lines stays one event."""
    decoder = framer("sse", 1000)
    frames = [*decoder.feed(b'data: {"a": 1}\ndata: {"b": 2}\ndata: [DONE]' + end), *decoder.end()]
    assert [frame.data for frame in frames] == [b'{"a": 1}', b'{"b": 2}', b"[DONE]"]
    [frame] = framer("sse", 1000).feed(b'data: {"a":\ndata: 1}\n\n')
    assert frame.data == b'{"a":\n1}'
    [frame] = framer("sse", 1000).feed(b"data: some\ndata: text\n\n")
    assert frame.data == b"some\ntext"

"""The HTTP/1.1 response parser, against RFC 9112 and against h11."""

from itertools import pairwise

import h11
import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter.transport._http11_parser import MAX_HEAD, ResponseParser

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


def parse(pieces: list[bytes], *, method: str = "POST", end: bool = False) -> tuple[object, bytes, bool]:
    """Feed a parser and return status and headers, body, and whether the message is complete."""
    parser = ResponseParser(method)
    head, body = None, b""
    for piece in pieces:
        parser.feed(piece)
        head = head or parser.take_head()
        if head is not None:
            body += parser.take_body()
    if end:
        parser.end()
        body += parser.take_body()
    return head and (head.status, head.headers.raw), body, parser.complete


def by_h11(data: bytes, *, method: str = "POST") -> tuple[object, bytes, bool]:
    """What h11 makes of a whole response."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    connection.send(h11.Request(method=method, target="/", headers=[("host", "h"), ("content-length", "0")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    head, body = None, b""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Response):
            head = (event.status_code, tuple(event.headers.raw_items()))
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return head, body, True
        elif event is h11.NEED_DATA or event is h11.PAUSED:
            return head, body, False


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(position % (len(data) + 1) for position in cuts)})
    return [data[start:end] for start, end in pairwise(edges)]


def chunked(pieces: list[bytes], *, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    body = b"".join(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces if piece)
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + body + b"0\r\n" + trailers + b"\r\n"


names = st.from_regex(rb"[A-Za-z][A-Za-z0-9\-]{0,10}", fullmatch=True).filter(
    lambda name: name.lower() not in (b"content-length", b"transfer-encoding", b"connection")
)
values = st.from_regex(rb"(?:[!-~](?:[ -~]{0,20}[!-~])?)?", fullmatch=True)


@given(
    headers=st.lists(st.tuples(names, values), max_size=8),
    body=st.lists(st.binary(max_size=40), max_size=6),
    status=st.integers(200, 599).filter(lambda status: status not in (204, 304)),
    framing=st.sampled_from(["length", "chunked"]),
    cuts=st.lists(st.integers(0, 2000), max_size=12),
)
def test_agrees_with_h11_at_every_cut(
    headers: list[tuple[bytes, bytes]], body: list[bytes], status: int, framing: str, cuts: list[int]
) -> None:
    """Head and body are what h11 reads, wherever the bytes are cut."""
    whole = b"".join(body)
    lines = b"".join(b"%s: %s\r\n" % header for header in headers)
    if framing == "length":
        data = b"HTTP/1.1 %d Fine\r\n%scontent-length: %d\r\n\r\n%s" % (status, lines, len(whole), whole)
    else:
        coded = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in body if piece) + b"0\r\n\r\n"
        data = b"HTTP/1.1 %d Fine\r\n%stransfer-encoding: chunked\r\n\r\n%s" % (status, lines, coded)
    assert parse(cut(data, cuts)) == by_h11(data) == parse([data[i : i + 1] for i in range(len(data))])


@given(
    data=st.binary(max_size=200), prefix=st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", OK[:40], chunked([b"a"])[:60]])
)
def test_any_bytes_parse_or_are_refused(data: bytes, prefix: bytes) -> None:
    """Whatever comes, only RemoteProtocolError goes out."""
    try:
        parse([prefix, data], end=True)
    except httpcore.RemoteProtocolError:
        pass


def test_tail_after_the_message_is_surplus() -> None:
    """Bytes after the message's end are not part of it, and are told."""
    parser = ResponseParser("POST")
    parser.feed(OK + b"HTTP/1.1")
    assert parser.take_head() is not None
    assert parser.take_body() == b"hello"
    assert parser.complete
    assert parser.surplus == b"HTTP/1.1"


def test_informational_responses_are_skipped() -> None:
    """1xx heads come before the real one."""
    (head, body, complete) = parse([b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK])
    assert (head, body, complete) == ((200, ((b"content-length", b"5"),)), b"hello", True)


def test_chunk_extensions_and_trailers_are_ignored() -> None:
    """Neither ends up in the body."""
    data = chunked([b"ab", b"c"], extension=b' ;x="y"', trailers=b"digest: 1\r\nb: 2\r\n")
    assert parse([data])[1:] == (b"abc", True)
    assert parse([data[i : i + 1] for i in range(len(data))])[1:] == (b"abc", True)


@pytest.mark.parametrize(
    ("method", "head"),
    [("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"), ("GET", b"HTTP/1.1 204 No Content\r\n\r\n")],
)
def test_responses_without_a_body(method: str, head: bytes) -> None:
    """HEAD, 204 and 304 have no body whatever the headers say."""
    assert parse([head], method=method)[1:] == (b"", True)


def test_body_without_length_ends_with_the_connection() -> None:
    """Neither a length nor chunks: the body goes to the end of the connection, which is not reused."""
    parser = ResponseParser("GET")
    parser.feed(b"HTTP/1.1 200 OK\r\n\r\nab")
    head = parser.take_head()
    assert head is not None
    assert not head.keep_alive
    assert parser.take_body() == b"ab"
    assert not parser.complete
    parser.end()
    assert parser.complete


@pytest.mark.parametrize(
    ("head", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: Close\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: foo, close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\ntransfer-encoding: chunked\r\n\r\n", False),
    ],
)
def test_keep_alive(head: bytes, keep_alive: bool) -> None:
    """Whether the connection may be used again: by version, by option, and never after ambiguous framing."""
    parser = ResponseParser("GET")
    parser.feed(head)
    parsed = parser.take_head()
    assert parsed is not None
    assert parsed.keep_alive is keep_alive


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/2 200\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nname : x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: \x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"1" * 5000,
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000,
    ],
)
def test_broken_responses_are_refused(data: bytes) -> None:
    """Anything ambiguous, illegal or endless is an error, and not a guess."""
    with pytest.raises(httpcore.RemoteProtocolError):
        parse([data])


@pytest.mark.parametrize("size", [0, 10, 40, len(OK) - 1])
def test_end_before_the_message_is_complete(size: int) -> None:
    """A connection that closes early is an error at any point."""
    with pytest.raises(httpcore.RemoteProtocolError, match="closed the connection"):
        parse([OK[:size]], end=True)


def test_repeated_equal_content_lengths_are_one() -> None:
    """RFC 9110, 8.6: a list of the same number is that number."""
    assert parse([OK.replace(b": 5", b": 5, 5")])[1:] == (b"hello", True)

"""HTTP messages: header checks, base URLs, header mappings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter import InvalidHeaderError
from liter._http import Headers, HttpRequest, Origin, encode_headers, parse_base_url


def test_headers_ignore_case_and_join_repeats() -> None:
    """Names ignore case; a header that comes twice is a list."""
    headers = Headers([(b"X-One", b"1"), (b"x-two", b"a"), (b"X-TWO", b"b")])
    assert headers["x-one"] == headers["X-ONE"] == "1"
    assert headers["x-two"] == "a, b"
    assert headers.get("nothing") is None
    assert dict(headers) == {"x-one": "1", "x-two": "a, b"}
    assert "X-One" in headers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-a\r\nx-b", "1"), ("x-a", "1\r\nx-b: 2"), ("x-a", "1\n"), ("x-a", "\x00"), ("x-a", "1\r"), ("", "1"),
        ("x a", "1"), ("x:a", "1"), ("x-é", "1"), ("x-a", "€"), ("x-a", " lead"), ("x-a", "trail "),
        ("Content-Length", "5"), ("Transfer-Encoding", "chunked"), ("HOST", "evil"), ("connection", "close"),
    ],
)  # fmt: skip
def test_illegal_headers_are_refused(name: str, value: str) -> None:
    """A name or value that could break the message is refused, and a value is never shown."""
    with pytest.raises(InvalidHeaderError, match="extra_headers") as caught:
        encode_headers({name: value})
    assert value not in str(caught.value) or len(value) < 8


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=12), max_size=3))
def test_what_passes_cannot_break_a_message(headers: dict[str, str]) -> None:
    """Whatever is accepted holds no line break, no NUL, and a legal name."""
    try:
        encoded = encode_headers(headers)
    except InvalidHeaderError:
        return
    for name, value in encoded:
        assert name
        assert not set(name) & set(b"\r\n\0: \t")
        assert not set(value) & set(b"\r\n\0")
        assert name == name.lower()


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        ("https://api.openai.com/v1", Origin("https", "api.openai.com", 443), b"/v1/chat"),
        ("http://localhost:8000/", Origin("http", "localhost", 8000), b"/chat"),
        ("http://[::1]:80", Origin("http", "::1", 80), b"/chat"),
        ("https://h/x?api-version=2", Origin("https", "h", 443), b"/x/chat?api-version=2"),
        ("https://bücher.example", Origin("https", "xn--bcher-kva.example", 443), b"/chat"),
    ],
)
def test_base_urls(url: str, origin: Origin, target: bytes) -> None:
    """A base URL gives the origin, and a prefix and a query for the target."""
    request = HttpRequest(method="GET", base_url=url, path="/chat")
    assert (request.origin, request.target) == (origin, target)


def test_origins_read_as_urls() -> None:
    """An origin shows its port where it is not the scheme's own."""
    assert str(Origin("https", "h", 443)) == "https://h"
    assert str(Origin("http", "::1", 8080)) == "http://[::1]:8080"


@pytest.mark.parametrize(
    "url",
    [
        "api.openai.com",
        "ftp://h",
        "https://",
        "https://user:pass@h",
        "https://h/#x",
        "https://h/a b",
        "",
        "https://h:x",
    ],
)
def test_bad_base_urls_are_refused(url: str) -> None:
    """What is no base URL is a ValueError; credentials in it are refused and not shown."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 # urllib raises its own for a bad port
        parse_base_url(url)
    assert "pass" not in str(caught.value) or "pass them" in str(caught.value)

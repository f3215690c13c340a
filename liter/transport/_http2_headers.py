"""A request's head as HTTP/2 wants it: RFC 9113, 8.2 and 8.3."""

import re

import hpack

from .._errors import InvalidHeaderError
from .._http import HttpRequest, RawHeaders
from .._version import __version__

_HEADER_LINES = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9a-z]+: [\t -~\x80-\xff]*\n)*")
# RFC 9113, 8.2.2, and ``host``, whose place is taken by ``:authority``.
_CONNECTION_HEADERS = frozenset(
    {b"connection", b"host", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"te"}
)
_CREDENTIALS = frozenset({b"authorization", b"api-key", b"x-api-key", b"x-goog-api-key", b"x-amz-security-token"})
_COMMON: RawHeaders = ((b"user-agent", f"liter/{__version__}".encode()), (b"accept-encoding", b"identity"))


def encode_head(request: HttpRequest) -> list[tuple[bytes, bytes]]:
    """Return pseudo-headers and headers for h2. Headers that are about an HTTP/1.1 connection are left out.

    :raises InvalidHeaderError: a name or value is not legal
    """
    given = [header for header in request.headers if header[0] not in _CONNECTION_HEADERS]
    lines = b"".join([name + b": " + value + b"\n" for name, value in given])
    if _HEADER_LINES.fullmatch(lines) is None:
        raise InvalidHeaderError("a header has a line break, a control character or a capital letter in it")
    origin = request.origin
    headers = [
        (b":method", request.method.encode("ascii")),
        (b":authority", str(origin).partition("://")[2].encode("ascii")),
        (b":scheme", origin.scheme.encode("ascii")),
        (b":path", request.target),
        *_COMMON,
        # An intermediary must not keep a credential in its compression table: RFC 7541, 7.1.3.
        *(hpack.NeverIndexedHeaderTuple(*header) if header[0] in _CREDENTIALS else header for header in given),
    ]
    size = len(request.content)
    if size or request.method != "GET":
        headers.append((b"content-length", b"%d" % size))
    return headers

"""Request headers that codecs make."""

from .._errors import InvalidHeaderError
from .._http import RawHeaders
from .._secret import Secret


def bearer(key: Secret | None) -> RawHeaders:
    """``authorization: Bearer ...``, or nothing without a key. :raises InvalidHeaderError: as :func:`credential`"""
    return () if not key else ((b"authorization", b"Bearer " + credential(key)),)


def credential(key: Secret) -> bytes:
    """A key as a header's value. :raises InvalidHeaderError: it has blanks or characters that no header can carry"""
    text = key.reveal()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidHeaderError(
            "the API key has a blank, a line break or a character outside ASCII: was it copied whole?"
        )
    return text.encode("ascii")


def merged(own: RawHeaders, callers: RawHeaders) -> RawHeaders:
    """The codec's headers, then the caller's, which replace those of the same name."""
    if not callers:
        return own
    names = {name for name, _ in callers}
    return tuple(pair for pair in own if pair[0] not in names) + callers


# What codecs ask for: a whole JSON reply, a stream, a reply to a request without a body.
JSON: RawHeaders = ((b"content-type", b"application/json"), (b"accept", b"application/json"))
# Proxies that compress hold a stream back until they have enough of it.
STREAM: RawHeaders = (
    (b"content-type", b"application/json"),
    (b"accept", b"text/event-stream"),
    (b"accept-encoding", b"identity"),
)
GET: RawHeaders = ((b"accept", b"application/json"),)


def content_from(start: int) -> RawHeaders:
    """Ask for content of any type, from a byte on: RFC 9110, 14.2."""
    accept = (b"accept", b"*/*")
    return (accept, (b"range", b"bytes=%d-" % start)) if start else (accept,)

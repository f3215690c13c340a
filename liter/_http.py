"""HTTP messages: the language that codecs and the transport share. No I/O here."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, cast
from urllib.parse import urlsplit

import msgspec

from ._errors import InvalidHeaderError

if TYPE_CHECKING:
    from ._form import Form
    from .types import File

RawHeaders = tuple[tuple[bytes, bytes], ...]

# RFC 9110, 5.6.2 (token) and 5.5 (field value: visible ASCII, obs-text, inner blanks).
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"(?:[!-~\x80-\xff](?:[ \t!-~\x80-\xff]*[!-~\x80-\xff])?)?")

# What a server logs its caller in with.
_COOKIES = frozenset({b"set-cookie", b"set-cookie2"})

# What frames a message belongs to the transport; a caller who sets it could smuggle a request.
_FRAMING = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"te", b"trailer"})


class Headers(Mapping[str, str]):
    """Response headers: a mapping that ignores case. Repeated ones are joined with ``", "``."""

    __slots__ = ("_decoded", "raw")

    def __init__(self, raw: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.raw: RawHeaders = tuple(raw)
        self._decoded: dict[str, str] | None = None

    def _mapping(self) -> dict[str, str]:
        if self._decoded is None:
            decoded: dict[str, str] = {}
            for name, value in self.raw:
                key, text = name.decode("latin-1").lower(), value.decode("latin-1")
                decoded[key] = f"{decoded[key]}, {text}" if key in decoded else text
            self._decoded = decoded
        return self._decoded

    def __getitem__(self, name: str) -> str:
        return self._mapping()[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._mapping())

    def __len__(self) -> int:
        return len(self._mapping())

    def without_credentials(self, key: str = "") -> "Headers":
        """The same without cookies, and with ``***`` in the place of ``key``, for who keeps or shows them.

        A key of fewer than 8 characters is a placeholder, and may be a part of any word.
        """
        secret = key.encode("latin-1", "replace") if len(key) >= 8 else b""
        return Headers(
            (name, value.replace(secret, b"***") if secret else value)
            for name, value in self.raw
            if name.lower() not in _COOKIES
        )

    def __repr__(self) -> str:
        return f"Headers({self._mapping()!r})"


class Origin(NamedTuple):
    """Where a connection goes to: connections are shared by the requests of one origin."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = self.port == (443 if self.scheme == "https" else 80)
        return f"{self.scheme}://{host}{'' if default else f':{self.port}'}"


class BaseUrl(NamedTuple):
    """A base URL taken apart: the origin, the path to put before each request's own, the query to put after."""

    origin: Origin
    prefix: str
    query: str


@lru_cache(maxsize=1024)
def parse_base_url(url: str) -> BaseUrl:
    """Take a base URL apart.

    :raises ValueError: not an ``http://`` or ``https://`` URL with a host, or one with a user name
        or a fragment in it
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"base_url must look like 'https://host/v1', not {url!r}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("base_url must not hold credentials: pass them as api_key")
    if parts.fragment:
        raise ValueError(f"base_url must not have a fragment: {url!r}")
    if re.search(r"[\x00-\x20\x7f]", url):
        raise ValueError(f"base_url must not hold blanks or control characters: {url!r}")
    port = parts.port if parts.port is not None else (443 if parts.scheme == "https" else 80)
    host = parts.hostname.encode("idna").decode("ascii") if not parts.hostname.isascii() else parts.hostname
    return BaseUrl(Origin(parts.scheme, host, port), parts.path.rstrip("/"), parts.query)


def same_origin(one: str, other: str) -> bool:
    """Whether two base URLs are of one server. One that is not known (empty, or with settings to fill in) is not."""
    if one == other:
        return True
    try:
        return parse_base_url(one).origin == parse_base_url(other).origin
    except ValueError:
        return False


class StreamedBody(Protocol):
    """A body of known length that is read while it is sent."""

    def __len__(self) -> int: ...

    async def read(self) -> bytes:
        """Return the next piece, ``b""`` at the end."""
        ...


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A whole HTTP request as a codec makes it.

    :param base_url: scheme, host, port, and a path before ``path``
    :param path: path and query, percent-encoded, from the base URL on: ``"/chat/completions"``
    :param headers: names in lower case, without ``host`` and ``content-length``
    :param upload: in place of ``body``: a form or a file, which the exchange opens; or a body that is open
    """

    method: str
    base_url: str
    path: str
    headers: RawHeaders = ()
    body: bytes = b""
    upload: "Form | File | StreamedBody | None" = None

    @property
    def content(self) -> bytes | StreamedBody:
        """The body as it is sent. :raises TypeError: it has not been opened"""
        if self.upload is None:
            return self.body
        if not hasattr(self.upload, "read"):
            raise TypeError(f"{self.upload!r} must be opened before it is sent")
        return cast("StreamedBody", self.upload)

    @property
    def origin(self) -> Origin:
        return parse_base_url(self.base_url).origin

    @property
    def target(self) -> bytes:
        """The request target in origin form."""
        _, prefix, query = parse_base_url(self.base_url)
        target = prefix + self.path or "/"
        if query:
            target += ("&" if "?" in target else "?") + query
        return target.encode("ascii")


class ServerSentEvent(msgspec.Struct, frozen=True, gc=False):
    """One event of a ``text/event-stream``: ``data`` lines joined with LF, still as UTF-8 bytes."""

    data: bytes
    event: str = "message"
    id: str = ""

    @property
    def text(self) -> str:
        """The data as text; bytes that are not UTF-8 become U+FFFD."""
        return self.data.decode("utf-8", "replace")


EventHeaderType = Literal[
    "true", "false", "byte", "short", "integer", "long", "byte_array", "string", "timestamp", "uuid"
]


class EventHeader(msgspec.Struct, frozen=True, gc=False):
    """A header of an :class:`EventMessage`. A ``timestamp`` is in milliseconds since 1970, a ``uuid`` has 16 bytes."""

    name: str
    type: EventHeaderType
    value: bool | int | bytes | str


class EventMessage(msgspec.Struct, frozen=True):
    """One message of an ``application/vnd.amazon.eventstream``."""

    headers: tuple[EventHeader, ...] = ()
    payload: bytes = b""

    def text(self, name: str) -> str:
        """The value of a header of type ``string``; empty where there is none."""
        for header in self.headers:
            if header.name == name and isinstance(header.value, str):
                return header.value
        return ""


def encode_headers(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> RawHeaders:
    """Check headers that a caller gave, and encode them with lower-case names.

    :raises InvalidHeaderError: a name or value that is not legal HTTP (CR and LF above all), or a
        header that frames the message and so belongs to the transport
    """
    # An Iterable of pairs might be a mapping of another kind, says the type checker; it is not.
    pairs = cast("Mapping[str, str]", headers).items() if isinstance(headers, Mapping) else headers
    encoded: list[tuple[bytes, bytes]] = []
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            # Not shown, as below.
            raise InvalidHeaderError("extra_headers must be a mapping, as {'x-team': 'search'}, or pairs")
        name, value = pair
        if not isinstance(name, str) or not isinstance(value, str):
            raise InvalidHeaderError(f"extra_headers: name and value must be str, in {name!r}")
        try:
            raw_name, raw_value = name.encode("latin-1").lower(), value.encode("latin-1")
        except UnicodeEncodeError:
            raise InvalidHeaderError(f"extra_headers: {name!r} has characters outside Latin-1: encode them") from None
        if not _NAME.fullmatch(raw_name):
            raise InvalidHeaderError(f"extra_headers: {name!r} is not a name: letters, digits and !#$%&'*+-.^_`|~ only")
        # The value may be a credential: it is never shown.
        if not _VALUE.fullmatch(raw_value):
            raise InvalidHeaderError(
                f"extra_headers: the value of {name!r} has a line break, a control character, or blanks at an end"
            )
        if raw_name in _FRAMING:
            raise InvalidHeaderError(f"extra_headers: {name!r} is set by liter and cannot be given")
        encoded.append((raw_name, raw_value))
    return tuple(encoded)

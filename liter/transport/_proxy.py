"""Proxies: what a proxy URL says, and which proxy the environment asks for. No I/O."""

import base64
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes, urlsplit

from .._http import Origin, RawHeaders
from .._secret import Secret

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
# The lengths are one byte on the wire: RFC 1929.
_SOCKS_AUTH_LIMIT = 255


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy. Make one with :meth:`parse`.

    :param scheme: ``http``; ``https``, the same over TLS; ``socks5``, which is given addresses that were looked up
        here; ``socks5h``, which looks names up itself
    :param username: a secret, as some proxies take a token there
    """

    scheme: str
    host: str
    port: int
    username: Secret | None = None
    password: Secret | None = None

    @classmethod
    def parse(cls, url: str) -> "Proxy":
        """Take a proxy URL apart: ``http://user:password@host:3128``. Without a scheme it is an ``http`` one.

        The default ports are those of the schemes: 80, 443, and 1080 for SOCKS.

        :raises ValueError: this is no URL of a proxy; the message has no part of the URL but scheme and host
        """
        expected = "a proxy must look like 'http://host:3128', with http, https, socks5 or socks5h"
        if re.search(r"[\x00-\x20\x7f]", url):
            raise ValueError(f"{expected}, and without blanks or control characters")
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            host, port = parts.hostname, parts.port
            if host is not None and not host.isascii():
                host = host.encode("idna").decode("ascii")
        except ValueError:
            # Its message may hold the password.
            raise ValueError(f"{expected}: host or port cannot be read") from None
        if parts.scheme not in _PORTS:
            raise ValueError(f"{expected}, not {parts.scheme!r}")
        if not host or port == 0:
            raise ValueError(f"{expected}: it has no host, or port 0")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError(f"{expected}: nothing may follow the port of {host!r}")
        username = password = None
        if parts.username or parts.password:
            username = cls._parse_secret(parts.username, parts.scheme)
            password = cls._parse_secret(parts.password, parts.scheme)
            if ":" in username.reveal() and parts.scheme in ("http", "https"):
                raise ValueError("a proxy's user name must not have a colon in it: RFC 7617")
        return cls(parts.scheme, host, port or _PORTS[parts.scheme], username, password)

    @staticmethod
    def _parse_secret(quoted: str | None, scheme: str) -> Secret:
        raw = unquote_to_bytes(quoted or "")
        if scheme in ("socks5", "socks5h") and not 0 < len(raw) <= _SOCKS_AUTH_LIMIT:
            raise ValueError("user name and password of a SOCKS proxy must have 1 to 255 bytes")
        try:
            return Secret(raw.decode("utf-8"))
        except UnicodeDecodeError:
            raise ValueError("user name and password of a proxy must be percent-encoded UTF-8") from None

    @property
    def headers(self) -> RawHeaders:
        """What a request to the proxy itself carries: its ``proxy-authorization``, if there is one."""
        if self.username is None or self.password is None:
            return ()
        credentials = f"{self.username.reveal()}:{self.password.reveal()}".encode()
        return ((b"proxy-authorization", b"Basic " + base64.b64encode(credentials)),)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{'***@' if self.username is not None else ''}{host}:{self.port}"

    def __repr__(self) -> str:
        return f"Proxy({str(self)!r})"


def proxy_for(origin: Origin, environ: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy that the environment asks for, or ``None`` for a direct connection.

    In this order: ``NO_PROXY``; ``HTTP_PROXY`` or ``HTTPS_PROXY``, by the origin's scheme; ``ALL_PROXY``. The name in
    lower case goes before the same one in upper case, and a variable that is set and empty asks for no proxy.
    ``HTTP_PROXY`` in upper case does not count where ``REQUEST_METHOD`` is set: in a CGI process it is
    the request's ``Proxy`` header (CVE-2016-5385, "httpoxy"). Loopback hosts are always reached directly.

    ``NO_PROXY`` is a list with commas or blanks between its entries, each of which may end in ``:port``:
    ``*``; a host name, which stands for its subdomains too, with or without a dot or ``*.`` before it; an IP
    address; an IP network in CIDR form.
    """
    if _is_loopback(origin.host) or _is_exempt(origin, _variable(environ, "no_proxy") or ""):
        return None
    name = f"{origin.scheme}_proxy"
    url = _variable(environ, name, upper=name != "http_proxy" or "REQUEST_METHOD" not in environ)
    return (_variable(environ, "all_proxy") if url is None else url) or None


def _variable(environ: Mapping[str, str], name: str, *, upper: bool = True) -> str | None:
    value = environ.get(name)
    if value is None and upper:
        value = environ.get(name.upper())
    return None if value is None else value.strip()


def _is_loopback(host: str) -> bool:
    host = host.rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _parse_address(host)
    return address is not None and address.is_loopback


def _is_exempt(origin: Origin, no_proxy: str) -> bool:
    host = origin.host.rstrip(".").lower()
    address = _parse_address(host)
    for entry in re.split(r"[,\s]+", no_proxy.lower()):
        if entry == "*":
            return True
        pattern, port = _split_port(entry)
        if not pattern or port not in (None, origin.port):
            continue
        if address is None:
            name = pattern.removeprefix("*").strip(".")
            if name and (host == name or host.endswith(f".{name}")):
                return True
        else:
            try:
                if address in ipaddress.ip_network(pattern, strict=False):
                    return True
            except ValueError:
                continue
    return False


def _split_port(entry: str) -> tuple[str, int | None]:
    """Split ``host``, ``host:port``, ``[IPv6]:port``, ``[IPv6]`` and bare IPv6 into pattern and port."""
    found = re.fullmatch(r"\[([^\]]*)\](?::([0-9]{1,5}))?|([^:\[\]]*):([0-9]{1,5})", entry)
    if found is None:
        return entry, None
    pattern, port = (found[1], found[2]) if found[3] is None else (found[3], found[4])
    return pattern, None if port is None else int(port)


def _parse_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None

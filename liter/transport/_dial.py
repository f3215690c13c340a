"""Dialling: from an origin to an open stream, through a proxy and TLS where they are asked for.

::

    direct          TCP                         [TLS with the origin]
    http proxy      TCP  [CONNECT]              [TLS with the origin]   CONNECT for https origins only: plain-http
    https proxy     TCP  TLS with the proxy  ... the same                requests are forwarded by the proxy
    socks5, socks5h TCP  SOCKS handshake        [TLS with the origin]
"""

import ssl
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import anyio
import h11
import httpcore

from .._http import Origin, RawHeaders
from ._close import close_nowait
from ._proxy import Proxy

# A proxy's answer to CONNECT is a few lines.
_READ_SIZE = 4096


@dataclass(frozen=True, slots=True)
class Dialled:
    """An open way to an origin.

    :param stream: TLS is done on it, where the origin wants it
    :param protocol: ``"h2"`` where ALPN chose it, else ``"http/1.1"``
    :param proxy_headers: not ``None`` where the peer is a proxy that forwards: it takes requests in absolute form,
        with these headers
    """

    stream: httpcore.AsyncNetworkStream
    protocol: str
    proxy_headers: RawHeaders | None = field(default=None, repr=False)


async def dial(
    origin: Origin,
    *,
    backend: httpcore.AsyncNetworkBackend,
    proxy: Proxy | None = None,
    ssl_context: ssl.SSLContext | None = None,
    http2: bool = False,
    timeout: float | None = None,
) -> Dialled:
    """Open a connection. Whatever is raised, nothing stays open.

    :param ssl_context: for TLS with the origin and with an https proxy; by default :func:`default_ssl_context`.
        It is never changed: ALPN can be set on a context only, not on one connection, and who shares the context
        would offer HTTP/2 with it from then on. So ``http2`` has no effect on a context of the caller's own, which
        offers HTTP/2 by ``context.set_alpn_protocols(["h2", "http/1.1"])``; what it negotiates is what is spoken.
    :param http2: offer HTTP/2
    :param timeout: seconds for name look-up, TCP, proxy and TLS together; ``None`` for no limit
    :raises httpcore.ConnectTimeout: the time is over
    :raises httpcore.ConnectError: no connection, or TLS failed
    :raises httpcore.ProxyError: the proxy refuses, or does not speak its protocol
    :raises ImportError: a SOCKS proxy, without the extra ``socks``
    """
    with anyio.move_on_after(timeout):
        return await _dial(origin, backend, proxy, ssl_context, http2)
    through = "" if proxy is None else f" through {proxy}"
    raise httpcore.ConnectTimeout(f"no connection to {origin}{through} within {timeout} s")


async def _dial(
    origin: Origin,
    backend: httpcore.AsyncNetworkBackend,
    proxy: Proxy | None,
    ssl_context: ssl.SSLContext | None,
    http2: bool,
) -> Dialled:
    target = origin if proxy is None else Origin(proxy.scheme, proxy.host, proxy.port)
    try:
        tcp = await backend.connect_tcp(target.host, target.port)
    except (httpcore.ConnectError, OSError, ValueError) as error:  # ValueError: a name that IDNA refuses
        peer = f"{target.host}:{target.port}" if proxy is None else f"the proxy {proxy}"
        raise httpcore.ConnectError(f"cannot connect to {peer}: {_reason(error)}") from error
    try:
        stream = tcp
        if proxy is not None:
            if proxy.scheme == "https":
                stream = await _start_tls(stream, ssl_context or default_ssl_context(), proxy.host)
                if _alpn_protocol(stream) == "h2":
                    raise httpcore.ProxyError(f"{proxy} chose HTTP/2: give an ssl_context that does not offer it")
            if proxy.scheme in ("socks5", "socks5h"):
                await _connect_socks(stream, origin, proxy)
            elif origin.scheme == "https":
                await _connect_http(stream, origin, proxy)
            else:
                return Dialled(stream, "http/1.1", proxy.headers)
        if origin.scheme == "https":
            stream = await _start_tls(stream, ssl_context or default_ssl_context(http2=http2), origin.host)
            return Dialled(stream, _alpn_protocol(stream))
        return Dialled(stream, "http/1.1")
    except BaseException:
        # The innermost stream owns the socket; what TLS would still have to say is not worth waiting for.
        close_nowait(tcp)
        raise


def default_ssl_context(*, http2: bool = False) -> ssl.SSLContext:
    """Return the context that is used where none is given. It is shared: do not change it.

    It trusts what the system trusts (``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` have their say), or, where the
    system has no certificates at all, the list that certifi brings. Loading it takes some 10 ms, once.

    :param http2: offer HTTP/2 in ALPN, before HTTP/1.1
    """
    return _http2_context() if http2 else _http11_context()


@cache
def _http11_context() -> ssl.SSLContext:
    return _make_context(["http/1.1"])


@cache
def _http2_context() -> ssl.SSLContext:
    return _make_context(["h2", "http/1.1"])


def _make_context(protocols: list[str]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        # Certificates in a directory are read when they are needed, and not counted.
        directory = ssl.get_default_verify_paths().capath
        if not directory or not any(Path(directory).iterdir()):
            import certifi

            context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(protocols)
    return context


def _alpn_protocol(stream: httpcore.AsyncNetworkStream) -> str:
    ssl_object = stream.get_extra_info("ssl_object")
    chosen = None if ssl_object is None else ssl_object.selected_alpn_protocol()
    return "h2" if chosen == "h2" else "http/1.1"


def _reason(error: BaseException) -> str:
    """Say why, in the words of the first cause: the backends' own errors often have none."""
    reason = str(error)
    while (cause := error.__cause__) is not None:
        error = cause
        reason = str(error) or reason
    return reason or type(error).__name__


async def _start_tls(
    stream: httpcore.AsyncNetworkStream, context: ssl.SSLContext, host: str
) -> httpcore.AsyncNetworkStream:
    try:
        return await stream.start_tls(context, server_hostname=host)
    except (httpcore.NetworkError, OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise httpcore.ConnectError(f"TLS with {host} failed: {_reason(error)}") from error


async def _connect_http(stream: httpcore.AsyncNetworkStream, origin: Origin, proxy: Proxy) -> None:
    """Have an HTTP proxy open a tunnel: RFC 9110, 9.3.6."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    target = f"{host}:{origin.port}".encode("ascii")
    connection = h11.Connection(h11.CLIENT)
    request = h11.Request(method=b"CONNECT", target=target, headers=[(b"host", target), *proxy.headers])
    try:
        await stream.write(connection.send(request) or b"")
        while isinstance(event := connection.next_event(), h11.InformationalResponse) or event is h11.NEED_DATA:
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.read(_READ_SIZE))
    except (httpcore.NetworkError, h11.RemoteProtocolError) as error:
        raise httpcore.ProxyError(f"{proxy} broke off while it opened a tunnel: {_reason(error)}") from error
    if not isinstance(event, h11.Response):
        raise httpcore.ProxyError(f"{proxy} closed instead of opening a tunnel")
    if not 200 <= event.status_code < 300:
        reason = bytes(event.reason).decode("latin-1")
        hint = ": it wants another user name and password in its URL" if event.status_code == 407 else ""
        raise httpcore.ProxyError(f"{proxy} opens no tunnel to {origin}: {event.status_code} {reason}{hint}")
    if connection.trailing_data[0]:
        raise httpcore.ProxyError(f"{proxy} sent data before the origin could have")


async def _connect_socks(stream: httpcore.AsyncNetworkStream, origin: Origin, proxy: Proxy) -> None:
    """Have a SOCKS proxy open a tunnel: RFC 1928, RFC 1929."""
    try:
        import socksio
        from socksio import socks5
    except ImportError as error:
        raise ImportError(f"{proxy} needs an extra: pip install 'liter-sdk[socks]'") from error

    host = origin.host
    if proxy.scheme == "socks5":
        try:
            # The system's order of preference (RFC 6724): the first address is the one it would try first.
            host = str((await anyio.getaddrinfo(host, origin.port))[0][4][0])
        except OSError as error:
            raise httpcore.ConnectError(f"cannot look up {host}: {error}") from error
    no_auth, with_password = socks5.SOCKS5AuthMethod.NO_AUTH_REQUIRED, socks5.SOCKS5AuthMethod.USERNAME_PASSWORD
    methods = [no_auth] if proxy.username is None else [no_auth, with_password]
    try:
        await stream.write(socks5.SOCKS5AuthMethodsRequest(methods).dumps())
        method = socks5.SOCKS5AuthReply.loads(await _read_exactly(stream, 2)).method
        if method not in methods:
            raise httpcore.ProxyError(f"{proxy} wants a user name and a password, or more: put them into its URL")
        if method == with_password and proxy.username is not None and proxy.password is not None:
            username, password = proxy.username.reveal().encode(), proxy.password.reveal().encode()
            await stream.write(socks5.SOCKS5UsernamePasswordRequest(username, password).dumps())
            if not socks5.SOCKS5UsernamePasswordReply.loads(await _read_exactly(stream, 2)).success:
                raise httpcore.ProxyError(f"{proxy} refuses this user name and password")
        command = socks5.SOCKS5CommandRequest.from_address(socks5.SOCKS5Command.CONNECT, (host, origin.port))
        await stream.write(command.dumps())
        # The reply ends with the address that the proxy uses, whose length depends on its type, and the port.
        head = await _read_exactly(stream, 5)
        length = {1: 4, 3: 1 + head[4], 4: 16}.get(head[3], 1)
        reply = socks5.SOCKS5Reply.loads(head + await _read_exactly(stream, length + 1))
    except (httpcore.NetworkError, socksio.ProtocolError, OverflowError) as error:
        raise httpcore.ProxyError(f"{proxy} broke off while it opened a tunnel: {_reason(error)}") from error
    if reply.reply_code != socks5.SOCKS5ReplyCode.SUCCEEDED:
        reason = reply.reply_code.name.lower().replace("_", " ")
        raise httpcore.ProxyError(f"{proxy} opens no tunnel to {origin}: {reason}")


async def _read_exactly(stream: httpcore.AsyncNetworkStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = await stream.read(size - len(data))
        if not piece:
            raise httpcore.ReadError("it closed the connection")
        data += piece
    return data

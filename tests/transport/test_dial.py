"""Dialling: TLS, proxies, time limits, and which proxy the environment asks for."""

import base64
import pickle
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.abc
import httpcore
import pytest
import trustme
from anyio.streams.tls import TLSListener

from liter._http import Origin
from liter._secret import Secret
from liter.transport._dial import Dialled, default_ssl_context, dial
from liter.transport._proxy import Proxy, proxy_for

from ._pipe import PipeBackend, PipeStream

HTTP = Origin("http", "api.example.com", 8080)
HTTPS = Origin("https", "api.example.com", 443)
Serve = Callable[[PipeStream], Awaitable[None]]


async def silent(stream: PipeStream) -> None:
    """A server that takes a connection and says nothing."""


@asynccontextmanager
async def network(serve: Serve = silent) -> AsyncIterator[PipeBackend]:
    async with anyio.create_task_group() as group:
        yield PipeBackend(group, serve)
        group.cancel_scope.cancel()


def http_proxy(answer: bytes, heard: list[bytes] | None = None) -> Serve:
    """A proxy that reads one request's head, and answers."""

    async def serve(stream: PipeStream) -> None:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            if not (piece := await stream.read(100)):
                return
            request += piece
        if heard is not None:
            heard.append(request)
        with suppress(httpcore.WriteError):  # the client may leave at any time
            for position in range(len(answer)):
                await stream.write(answer[position : position + 1])

    return serve


class SocksProxy:
    """RFC 1928 and 1929, by hand."""

    def __init__(
        self, method: int = 0, reply: bytes = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38", auth: int = 0
    ) -> None:
        self.method, self.reply, self.auth = method, reply, auth
        self.credentials: tuple[bytes, bytes] | None = None
        self.methods = b""
        self.command = b""

    async def serve(self, stream: PipeStream) -> None:
        with suppress(EOFError, httpcore.NetworkError):  # the client may leave at any time
            await self._serve(stream)

    async def _serve(self, stream: PipeStream) -> None:
        version, count = await self.read(stream, 2)
        assert version == 5
        self.methods = await self.read(stream, count)
        await stream.write(bytes([5, self.method]))
        if self.method == 2:
            _, length = await self.read(stream, 2)
            username = await self.read(stream, length)
            (length,) = await self.read(stream, 1)
            self.credentials = username, await self.read(stream, length)
            await stream.write(bytes([1, self.auth]))
        self.command = await stream.read(500)
        for position in range(len(self.reply)):
            await stream.write(self.reply[position : position + 1])

    async def read(self, stream: PipeStream, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = await stream.read(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data


@pytest.mark.anyio
async def test_plain() -> None:
    """An http origin is one TCP connection and nothing more."""
    async with network() as backend:
        dialled = await dial(HTTP, backend=backend)
        assert (dialled.protocol, dialled.proxy_headers) == ("http/1.1", None)
        assert backend.connected == [("api.example.com", 8080)]
        assert dialled.stream is backend.streams[0]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("http2", "chosen", "protocol"), [(True, "h2", "h2"), (True, "http/1.1", "http/1.1"), (False, None, "http/1.1")]
)
async def test_tls(http2: bool, chosen: str | None, protocol: str) -> None:
    """An https origin gets TLS under its own name, by default with our context; ALPN decides the protocol."""
    async with network() as backend:
        backend.on_start_tls = lambda _: chosen
        dialled = await dial(HTTPS, backend=backend, http2=http2)
        assert dialled.protocol == protocol
        assert backend.streams[0].tls == [(default_ssl_context(http2=http2), "api.example.com")]
        own = ssl.create_default_context()
        await dial(HTTPS, backend=backend, http2=http2, ssl_context=own)
        assert backend.streams[1].tls == [(own, "api.example.com")]


@pytest.mark.anyio
async def test_http_proxy_forwards_plain_http() -> None:
    """For an http origin an HTTP proxy is spoken to itself, with the headers for it."""
    async with network() as backend:
        dialled = await dial(HTTP, backend=backend, proxy=Proxy.parse("http://me:p%40ss@proxy:3128"))
        assert backend.connected == [("proxy", 3128)]
        assert dialled.proxy_headers == ((b"proxy-authorization", b"Basic " + base64.b64encode(b"me:p@ss")),)
        assert "Basic" not in repr(dialled)
        dialled = await dial(HTTP, backend=backend, proxy=Proxy.parse("http://proxy"))
        assert dialled.proxy_headers == ()


@pytest.mark.anyio
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_http_proxy_tunnels_https(scheme: str) -> None:
    """For an https origin an HTTP proxy opens a tunnel, in which TLS is done with the origin."""
    heard: list[bytes] = []
    async with network(http_proxy(b"HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 200 Go on\r\nvia: x\r\n\r\n", heard)) as backend:
        backend.on_start_tls = lambda host: "h2" if host == "api.example.com" else None
        dialled = await dial(HTTPS, backend=backend, http2=True, proxy=Proxy.parse(f"{scheme}://me:hunter2@proxy:99"))
        assert (dialled.protocol, dialled.proxy_headers) == ("h2", None)
        assert backend.connected == [("proxy", 99)]
        with_origin = (default_ssl_context(http2=True), "api.example.com")
        with_proxy = [(default_ssl_context(), "proxy")] if scheme == "https" else []
        assert backend.streams[0].tls == [*with_proxy, with_origin]
        (request,) = heard
        head, *headers = request.removesuffix(b"\r\n\r\n").split(b"\r\n")
        assert head == b"CONNECT api.example.com:443 HTTP/1.1"
        authorization = b"proxy-authorization: Basic " + base64.b64encode(b"me:hunter2")
        assert {header.lower() for header in headers} >= {b"host: api.example.com:443", authorization.lower()}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n", "407 No: it wants another user name"),
        (b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", "502 Bad Gateway"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "broke off"),
        (b"HTTP/1.1 200", "broke off"),
        (b"", "broke off|closed"),
        (b"HTTP/1.1 200 OK\r\n\r\ngreetings", "sent data"),
    ],
)
async def test_http_proxy_refuses(answer: bytes, message: str) -> None:
    """A proxy that opens no tunnel is a ProxyError, which tells why and no password, and nothing stays open."""

    async def serve(stream: PipeStream) -> None:
        await stream.read(1000)
        await stream.write(answer)
        stream.close_nowait()

    async with network(serve) as backend:
        with pytest.raises(httpcore.ProxyError, match=message) as caught:
            await dial(HTTPS, backend=backend, proxy=Proxy.parse("http://me:hunter2@proxy:99"))
        assert "hunter2" not in str(caught.value)
        assert backend.streams[0].closed


@pytest.mark.anyio
async def test_https_proxy_that_speaks_http2() -> None:
    """A proxy that chose HTTP/2, as a caller's own context let it, is refused: the tunnel is HTTP/1.1."""
    async with network() as backend:
        backend.on_start_tls = lambda _: "h2"
        with pytest.raises(httpcore.ProxyError, match="ssl_context"):
            await dial(HTTPS, backend=backend, proxy=Proxy.parse("https://proxy"))
        assert backend.streams[0].closed


@pytest.mark.anyio
@pytest.mark.parametrize(
    "reply",
    [
        b"\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38",
        b"\x05\x00\x00\x03\x05proxy\x04\x38",
        b"\x05\x00\x00\x04" + bytes(16) + b"\x04\x38",
    ],
)
@pytest.mark.parametrize("origin", [HTTP, HTTPS])
async def test_socks(origin: Origin, reply: bytes) -> None:
    """A SOCKS proxy opens a tunnel for both schemes, however it names its own address."""
    proxy = SocksProxy(reply=reply)
    async with network(proxy.serve) as backend:
        dialled = await dial(origin, backend=backend, proxy=Proxy.parse("socks5h://proxy"))
        assert backend.connected == [("proxy", 1080)]
        assert dialled.proxy_headers is None
        port = origin.port.to_bytes(2, "big")
        assert proxy.command == b"\x05\x01\x00\x03\x0fapi.example.com" + port
        assert proxy.methods == b"\x00"
        assert [host for _, host in backend.streams[0].tls] == ["api.example.com"] * (origin is HTTPS)
        # Nothing but the reply was read: the tunnel begins right after it.
        assert not backend.streams[0].get_extra_info("is_readable")


@pytest.mark.anyio
async def test_socks_with_password() -> None:
    """User name and password go to a SOCKS proxy that asks for them."""
    proxy = SocksProxy(method=2)
    async with network(proxy.serve) as backend:
        await dial(HTTP, backend=backend, proxy=Proxy.parse("socks5h://m%65:%C3%A4@proxy"))
        assert proxy.methods == b"\x00\x02"
        assert proxy.credentials == (b"me", "ä".encode())


@pytest.mark.anyio
async def test_socks5_looks_names_up_here() -> None:
    """With ``socks5`` the proxy gets an address, not a name."""
    proxy = SocksProxy()
    async with network(proxy.serve) as backend:
        await dial(Origin("http", "127.0.0.7", 80), backend=backend, proxy=Proxy.parse("socks5://proxy"))
        assert proxy.command == b"\x05\x01\x00\x01\x7f\x00\x00\x07\x00\x50"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("proxy", "message"),
    [
        (SocksProxy(method=0xFF), "wants a user name"),
        (SocksProxy(method=2, auth=1), "refuses this user name"),
        (SocksProxy(reply=b"\x05\x05\x00\x01" + bytes(6)), "connection refused"),
        (SocksProxy(reply=b"\x05\x99\x00\x01" + bytes(6)), "broke off"),
        (SocksProxy(reply=b"HTTP/1.1 400 Bad Request"), "broke off"),
    ],
)
async def test_socks_refuses(proxy: SocksProxy, message: str) -> None:
    """A SOCKS proxy that opens no tunnel is a ProxyError, which tells why, and nothing stays open."""
    async with network(proxy.serve) as backend:
        with pytest.raises(httpcore.ProxyError, match=message) as caught:
            await dial(HTTP, backend=backend, proxy=Proxy.parse("socks5h://me:hunter2@proxy"))
        assert "hunter2" not in str(caught.value)
        assert backend.streams[0].closed


@pytest.mark.anyio
async def test_socks_without_its_extra() -> None:
    """Without socksio the error says what to install, and nothing stays open."""
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "socksio"}
    sys.modules["socksio"] = None  # this is how the import system is told "not there"
    try:
        async with network() as backend:
            with pytest.raises(ImportError, match=r"pip install 'liter-sdk\[socks\]'"):
                await dial(HTTP, backend=backend, proxy=Proxy.parse("socks5h://proxy"))
            assert backend.streams[0].closed
    finally:
        del sys.modules["socksio"]
        sys.modules.update(hidden)


PROXIES = [None, "http://proxy", "https://proxy", "socks5h://me:hunter2@proxy"]


def server_for(proxy: str | None) -> Serve:
    if proxy is None:
        return silent
    return SocksProxy(method=2).serve if proxy.startswith("socks") else http_proxy(b"HTTP/1.1 200 OK\r\n\r\n")


@pytest.mark.anyio
@pytest.mark.parametrize("proxy", PROXIES)
async def test_cancelled_at_every_checkpoint(proxy: str | None) -> None:
    """Wherever dialling is cancelled, its socket is closed."""
    for cancel_at in range(1, 100):
        async with network(server_for(proxy)) as backend:
            scope = anyio.CancelScope()
            count = 0

            def on_io(_: str, cancel_at: int = cancel_at, scope: anyio.CancelScope = scope) -> None:
                nonlocal count
                count += 1
                if count == cancel_at:
                    scope.cancel()

            backend.on_io = on_io
            dialled: Dialled | None = None
            with scope:
                dialled = await dial(HTTPS, backend=backend, proxy=Proxy.parse(proxy) if proxy else None)
            if count < cancel_at:
                assert dialled is not None
                break
            assert dialled is None
            assert all(stream.closed for stream in backend.streams)
    assert cancel_at > 2


@pytest.mark.anyio
@pytest.mark.parametrize(("proxy", "answer"), [("http://proxy", b"HTTP"), ("socks5h://proxy", b"\x05\x00\x05\x00")])
async def test_timeout_is_for_all_of_it(proxy: str, answer: bytes) -> None:
    """One limit holds for all steps together; when it passes the socket is closed."""

    async def slow(stream: PipeStream) -> None:
        await stream.read(1000)
        for byte in answer:
            await anyio.sleep(2)
            await stream.write(bytes([byte]))

    async with network(slow) as backend:
        start = anyio.current_time()
        with pytest.raises(httpcore.ConnectTimeout, match=r"https://api.example.com through .* within 5 s"):
            await dial(HTTPS, backend=backend, proxy=Proxy.parse(proxy), timeout=5)
        assert anyio.current_time() - start == pytest.approx(5)
        assert backend.streams[0].closed


class FailingBackend(httpcore.AsyncNetworkBackend):
    """Cannot connect, for a reason."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def connect_tcp(self, *args: object, **options: object) -> httpcore.AsyncNetworkStream:
        await anyio.lowlevel.checkpoint()
        raise self.error


@pytest.mark.anyio
@pytest.mark.parametrize("error", [httpcore.ConnectError("refused"), OSError("refused"), UnicodeError("refused")])
async def test_cannot_connect(error: Exception) -> None:
    """What stops TCP is a ConnectError that names the peer, be it the origin or the proxy, and the reason."""
    backend = FailingBackend(error)
    with pytest.raises(httpcore.ConnectError, match=r"cannot connect to api\.example\.com:443: refused"):
        await dial(HTTPS, backend=backend)
    with pytest.raises(httpcore.ConnectError, match=r"the proxy http://\*\*\*@proxy:99: refused"):
        await dial(HTTPS, backend=backend, proxy=Proxy.parse("http://me:hunter2@proxy:99"))


@pytest.mark.anyio
@pytest.mark.parametrize("error", [httpcore.ConnectError("bad"), ssl.SSLError("bad"), ValueError("bad")])
async def test_tls_fails(error: Exception) -> None:
    """A failed handshake is a ConnectError that names host and reason, and nothing stays open."""

    def fail(_: str | None) -> str:
        raise error

    async with network() as backend:
        backend.on_start_tls = fail
        with pytest.raises(httpcore.ConnectError, match=r"TLS with api\.example\.com failed: .*bad"):
            await dial(HTTPS, backend=backend)
        assert backend.streams[0].closed


@pytest.mark.anyio
@pytest.mark.realtime
@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize(
    ("anyio_backend", "backend_type"),
    [("asyncio", httpcore.AnyIOBackend), ("trio", httpcore.AnyIOBackend), ("trio", httpcore.TrioBackend)],
)
async def test_real_tls(trusted: bool, backend_type: type[httpcore.AsyncNetworkBackend]) -> None:
    """Over real sockets a trusted certificate gives a stream that works, and any other one an error that says so."""
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server_context)
    client_context = ssl.create_default_context()
    if trusted:
        authority.configure_trust(client_context)

    async def handle(stream: anyio.abc.ByteStream) -> None:
        async with stream:
            await stream.send(await stream.receive())

    sockets = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = sockets.extra(anyio.abc.SocketAttribute.local_port)
    listener = TLSListener(sockets, server_context, standard_compatible=False)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, handle)
        origin = Origin("https", "localhost", port)
        if trusted:
            dialled = await dial(origin, backend=backend_type(), ssl_context=client_context, timeout=10)
            assert dialled.protocol == "http/1.1"
            await dialled.stream.write(b"hello")
            assert await dialled.stream.read(100) == b"hello"
            await dialled.stream.aclose()
        else:
            with pytest.raises(httpcore.ConnectError, match=r"(?i)certificate verify failed"):
                await dial(origin, backend=backend_type(), ssl_context=client_context, timeout=10)
        group.cancel_scope.cancel()


def test_default_ssl_context() -> None:
    """Our contexts verify, are made once, and are two: what one offers by ALPN cannot be changed for one connection."""
    context = default_ssl_context()
    assert context is default_ssl_context(http2=False)
    assert context is not default_ssl_context(http2=True)
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://proxy", Proxy("http", "proxy", 80)),
        ("https://proxy/", Proxy("https", "proxy", 443)),
        ("socks5://proxy", Proxy("socks5", "proxy", 1080)),
        ("SOCKS5H://Proxy:9", Proxy("socks5h", "proxy", 9)),
        ("proxy:3128", Proxy("http", "proxy", 3128)),
        ("me:hunter2@proxy:3128", Proxy("http", "proxy", 3128, Secret("me"), Secret("hunter2"))),
        ("http://[::1]:9", Proxy("http", "::1", 9)),
        ("http://token@proxy", Proxy("http", "proxy", 80, Secret("token"), Secret(""))),
        ("http://prüxy", Proxy("http", "xn--prxy-1ra", 80)),
    ],
)
def test_parse(url: str, expected: Proxy) -> None:
    """A proxy URL is taken apart, with defaults for scheme and port."""
    assert Proxy.parse(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://",
        "ftp://me:hunter2@proxy",
        "socks4://me:hunter2@proxy",
        "http://me:hunter2@proxy:port",
        "http://me:hunter2@proxy:0",
        "http://me:hunter2@proxy:99999",
        "http://me:hunter2@proxy/path",
        "http://me:hunter2@proxy?query",
        "http://me:hunter2@proxy#fragment",
        "http://me:hunter2@[::1",
        "http://me:hunter2@pro xy",
        "http://me:hunter2@proxy\n",
        "http://me:hunter2@pr\u2100xy",
        "http://m%3Ae:pass@proxy",
        "http://me:hunter2%FF@proxy",
        "socks5://me:@proxy",
        "socks5://me:" + "hunter2" * 64 + "@proxy",
    ],
)
def test_parse_refuses(url: str) -> None:
    """What is no proxy URL is a ValueError that does not show the password."""
    with pytest.raises(ValueError, match="proxy") as caught:
        Proxy.parse(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_proxy_shows_no_credentials() -> None:
    """Neither text nor pickle of a proxy has its user name or password in it."""
    proxy = Proxy.parse("http://me:hunter2@proxy:3128")
    assert repr(proxy) == "Proxy('http://***@proxy:3128')"
    with pytest.raises(TypeError):
        pickle.dumps(proxy)


@pytest.mark.parametrize(
    ("origin", "environ", "expected"),
    [
        (HTTPS, {}, None),
        (HTTPS, {"HTTPS_PROXY": "a", "HTTP_PROXY": "b", "ALL_PROXY": "c"}, "a"),
        (HTTP, {"HTTPS_PROXY": "a", "HTTP_PROXY": "b", "ALL_PROXY": "c"}, "b"),
        (HTTP, {"HTTPS_PROXY": "a", "ALL_PROXY": "c"}, "c"),
        (HTTPS, {"HTTPS_PROXY": "A", "https_proxy": "a"}, "a"),
        (HTTPS, {"all_proxy": " a "}, "a"),
        (HTTPS, {"HTTPS_PROXY": "A", "https_proxy": "", "ALL_PROXY": "c"}, None),
        (HTTP, {"HTTP_PROXY": "evil", "REQUEST_METHOD": "GET"}, None),
        (HTTP, {"http_proxy": "good", "HTTP_PROXY": "evil", "REQUEST_METHOD": "GET"}, "good"),
        (HTTPS, {"HTTPS_PROXY": "good", "REQUEST_METHOD": "GET"}, "good"),
    ],
)
def test_proxy_for(origin: Origin, environ: dict[str, str], expected: str | None) -> None:
    """The environment's proxies count in their documented order."""
    assert proxy_for(origin, environ) == expected


@pytest.mark.parametrize(
    ("host", "no_proxy", "direct"),
    [
        ("api.example.com", "*", True),
        ("api.example.com", "example.com", True),
        ("api.example.com", ".example.com", True),
        ("api.example.com", "*.example.com", True),
        ("api.example.com", "API.Example.com.", True),
        ("api.example.com.", "other, api.example.com", True),
        ("api.example.com", "other api.example.com", True),
        ("notexample.com", "example.com", False),
        ("api.example.com", "example", False),
        ("api.example.com", "api.example.com:443", True),
        ("api.example.com", "api.example.com:8443", False),
        ("api.example.com", ", ,.,", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.3:443", True),
        ("10.1.2.3", "10.1.2.3:80", False),
        ("10.1.2.3", "2.3", False),
        ("10.1.2.3", "fd00::/8", False),
        ("fd00::1", "fd00::/8", True),
        ("fd00::1", "fd00::1", True),
        ("fd00::1", "[fd00::1]", True),
        ("fd00::1", "[fd00::1]:443", True),
        ("fd00::1", "[fd00::1]:80", False),
        ("localhost", "", True),
        ("a.localhost", "", True),
        ("127.8.9.1", "", True),
        ("::1", "", True),
        ("128.0.0.1", "", False),
    ],
)
def test_no_proxy(host: str, no_proxy: str, direct: bool) -> None:
    """Hosts, domains, ports, addresses and networks in NO_PROXY are reached directly; loopback hosts always."""
    environ = {"ALL_PROXY": "http://proxy", "NO_PROXY": no_proxy}
    assert proxy_for(Origin("https", host, 443), environ) == (None if direct else "http://proxy")

"""The transport: sends an ``HttpRequest`` over a pooled connection, gives a status, headers and bytes back."""

import os
import ssl
import sys
import threading
import weakref
from collections.abc import Callable
from typing import cast

import httpcore
from anyio.lowlevel import cancel_shielded_checkpoint

from .._http import HttpRequest, Origin
from .._loop import EventLoop
from ._connection import Connection, Response
from ._dial import dial
from ._http2 import HTTP2Connection
from ._http11 import HTTP11Connection
from ._pool import Pool
from ._proxy import Proxy, proxy_for


class Transport:
    """Connections to providers, under any number of event loops: each has a pool of its own.

    :param http2: offer HTTP/2 to ``https`` origins. Off by default: parsing it in Python costs several
        times the CPU of HTTP/1.1
    :param ssl_context: for TLS; by default one with the system's certificates
    :param proxy: ``http://``, ``https://``, ``socks5://`` or ``socks5h://`` URL; by default from the environment
        (``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY``, ``NO_PROXY``)
    :param trust_environment: whether the environment may name a proxy
    :param max_connections: how many may be open at once, for each event loop
    :param keepalive_expiry: seconds after which an idle connection is not used again
    :param network_backend: one of httpcore's, or ``liter.testing``'s in-memory network
    :raises ValueError: an argument that makes no sense; names it
    """

    def __init__(
        self,
        *,
        http2: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        trust_environment: bool = True,
        max_connections: int = 1000,
        keepalive_expiry: float = 60.0,
        network_backend: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        if max_connections < 1:
            raise ValueError(f"max_connections must be 1 or more, not {max_connections}")
        if not keepalive_expiry >= 0:
            raise ValueError(f"keepalive_expiry must be 0 or more seconds, not {keepalive_expiry}")
        self._dialler = _Dialler(http2, ssl_context, proxy, trust_environment, network_backend)
        self._max_connections = max_connections
        self._keepalive_expiry = keepalive_expiry
        self._pools: dict[EventLoop, Pool] = {}
        self._lock = threading.Lock()
        self._closed = False
        # For a transport that is dropped: nothing can be awaited then, and it may be in any thread.
        weakref.finalize(self, _close_pools, self._pools).atexit = False

    async def send(
        self, request: HttpRequest, *, connect: float | None, deadline: float, fresh: bool = False
    ) -> Response:
        """Send a request and return at the response's head. Whoever gets the response closes it.

        :param connect: limit for opening a connection, in seconds
        :param deadline: event-loop time until which to wait for a free connection
        :param fresh: do not use a connection that was idle
        :raises ConnectionRetired: the server had closed an idle connection, a race that no check before can rule
            out: the request may be sent again, over a fresh one, as the other idle ones are as old
        :raises Exception: one of ``TRANSPORT_ERRORS``; ``translate`` makes ours of it
        """
        connection = await self.pool().checkout(request.origin, connect, deadline, fresh=fresh)
        return await connection.send(request)

    def pool(self) -> Pool:
        """The pool of the running event loop.

        :raises RuntimeError: the transport was closed
        """
        loop = EventLoop.current()
        pool = self._pools.get(loop)
        if pool is None:
            pools = self._pools
            pool = Pool(
                self._dialler,
                max_connections=self._max_connections,
                keepalive_expiry=self._keepalive_expiry,
                single_dial=self._dialler.http2,
                on_close=lambda: pools.pop(loop, None),
            )
            with self._lock:
                if self._closed:
                    raise RuntimeError("this client is closed: make a new one")
                pools[loop] = pool
            loop.close_at_end(pool)
        return pool

    async def aclose(self) -> None:
        """Close all connections, those in use too. Pools of other event loops are closed from within these."""
        with self._lock:
            self._closed = True
        _close_pools(self._pools)
        await cancel_shielded_checkpoint()

    @property
    def closed(self) -> bool:
        return self._closed

    def __repr__(self) -> str:
        return f"<Transport {'closed' if self._closed else 'open'}, {len(self._pools)} event loops>"


class _Dialler:
    """Opens connections. Apart from the transport, as pools hold on to it and must not hold the transport."""

    def __init__(
        self,
        http2: bool,
        ssl_context: ssl.SSLContext | None,
        proxy: str | None,
        trust_environment: bool,
        backend: httpcore.AsyncNetworkBackend | None,
    ) -> None:
        self.http2 = http2
        self._ssl_context = ssl_context
        self._proxy = None if proxy is None else Proxy.parse(proxy)
        self._trust_environment = trust_environment
        self._backend = backend

    async def __call__(
        self, origin: Origin, connect: float | None, release: Callable[[Connection], None]
    ) -> Connection:
        proxy = self._proxy
        if proxy is None and self._trust_environment:
            url = proxy_for(origin, os.environ)
            proxy = None if url is None else Proxy.parse(url)
        dialled = await dial(
            origin,
            backend=self._backend or default_backend(),
            proxy=proxy,
            ssl_context=self._ssl_context,
            http2=self.http2,
            timeout=connect,
        )
        if dialled.protocol == "h2":
            return HTTP2Connection(dialled.stream, origin, on_release=release)
        return HTTP11Connection(dialled.stream, origin, on_release=release, proxy_headers=dialled.proxy_headers)


def _close_pools(pools: dict[EventLoop, Pool]) -> None:
    for loop, pool in list(pools.items()):
        loop.call_soon(pool.close_nowait)


def default_backend() -> httpcore.AsyncNetworkBackend:
    """The backend for the running event loop."""
    # Both are defined under a condition, which hides their type from checkers.
    # Trio's own streams are a little faster than anyio's around them.
    if "trio" in sys.modules and EventLoop.current().is_trio:
        return cast("httpcore.AsyncNetworkBackend", httpcore.TrioBackend())
    return cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

"""One event loop's connection to a Redis server.

A coredis client is entered and left in one task and keeps a task group open between. A store is made outside of
any task and used from many, so a task of nobody's holds the client open until it is told to let go.

Steps go by the one connection that it makes, not by the client: that would connect anew where the connection is
lost, in the task of a caller, who may be cancelled in the middle of it.
"""

import hashlib
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, cast

import anyio

from .._loop import EventLoop
from ._store import StoreError

if TYPE_CHECKING:
    import coredis
    from coredis.connection import BaseConnection

Argument: TypeAlias = str | bytes | int
Connect: TypeAlias = "Callable[[tuple[str, int] | None], coredis.Redis[bytes]]"

# A node that has just lost what is asked for knows who has it. More are needed only while a cluster changes.
_REDIRECTIONS = 3


class RedisSession:
    """A connection that is being made, is there, or is lost. Make one in the loop that it is for.

    :param connect: makes a client that nobody has entered: of the server that the store was given, or of another one
    :param timeout: seconds for finding out whether the server is there; the client has its own for the rest
    :param on_end: called when the loop ends
    :param tls: for a server that is spoken to over TLS
    :param home: a key that is kept where all others are: then the server may be a node of a cluster, which tells
        the node that has it. ``None``: it is no cluster
    """

    def __init__(
        self,
        connect: "Connect",
        timeout: float,
        on_end: Callable[[], object],
        tls: ssl.SSLContext | None = None,
        home: str | None = None,
    ) -> None:
        self._connect = connect
        self._tls = tls
        self._home = home
        self._timeout = timeout
        self._connection: BaseConnection | None = None
        self._on_end = on_end
        self._error: Exception | None = None
        self._closed = False
        self._ready = anyio.Event()
        self._over = anyio.Event()
        self._stop = anyio.Event()
        self._loop = EventLoop.current()
        self._loop.close_at_end(self)
        self._loop.spawn(self._hold)

    @property
    def closed(self) -> bool:
        """Whether it was closed, or lost."""
        return self._closed or (self._connection is not None and not self._connection.usable)

    async def run(self, command: bytes, *arguments: Argument) -> object:
        """Run a command, once there is a connection.

        A caller that is cancelled has sent it as a whole or not at all.

        :raises StoreError: no connection could be made
        """
        await self._ready.wait()
        if self._error is not None:
            raise StoreError(f"cannot connect to Redis: {self._error}") from self._error
        if self._connection is None:
            raise StoreError("the connection to Redis is closed")
        return await self._connection.create_request(command, *arguments)

    async def run_script(self, script: str, keys: list[str], arguments: list[Argument]) -> object:
        """Run a script, and send it where the server does not have it yet."""
        from coredis.exceptions import NoScriptError

        digest = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        try:
            return await self.run(b"EVALSHA", digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return await self.run(b"EVAL", script, len(keys), *keys, *arguments)

    async def wait_closed(self) -> None:
        """Wait until the connection is closed; only in its own loop."""
        await self._over.wait()

    def close(self) -> None:
        """Have the connection closed, from any thread. What is under way fails."""
        self._closed = True
        self._loop.call_soon(self._stop.set)

    def close_nowait(self) -> None:
        """The loop ends; its end has closed the connection."""
        self._closed = True
        self._on_end()

    async def _hold(self) -> None:
        node: tuple[str, int] | None = None
        try:
            for _ in range(_REDIRECTIONS):
                client = self._connect(node)
                await self._knock(client)
                async with client:
                    connection = await client.connection_pool.get_connection()
                    node = await self._redirection(connection)
                    if node is None:
                        self._connection = connection
                        self._ready.set()
                        await self._stop.wait()
                        return
            raise ConnectionError("the nodes of the cluster send each other's callers in circles")
        except Exception as error:  # noqa: BLE001 # it is told to those who wait
            self._error = _innermost(error)
        finally:
            self._closed = True
            self._ready.set()
            self._over.set()

    async def _knock(self, client: "coredis.Redis[bytes]") -> None:
        """Find out whether a server is there, before coredis tries.

        It leaves streams unclosed, and the interpreter warns of them, when it cannot connect; and does not say what is
        wrong with a certificate.
        """
        from coredis.connection import TCPLocation

        location = client.connection_pool.location
        with anyio.fail_after(self._timeout):
            if self._tls is not None and isinstance(location, TCPLocation):
                stream = await anyio.connect_tcp(
                    location.host, location.port, ssl_context=self._tls, tls_standard_compatible=False
                )
                await stream.aclose()
            elif location is None or not await location.check():
                raise ConnectionRefusedError(f"nothing answers at {location}")

    async def _redirection(self, connection: "BaseConnection") -> tuple[str, int] | None:
        """Ask a node of a cluster whose the keys are; ``None``: its own."""
        from coredis.exceptions import MovedError

        if self._home is None:
            return None
        try:
            await connection.create_request(b"GET", self._home)
        except MovedError as moved:
            # Without a host it is the one that was asked, at another port.
            location = self._connect(None).connection_pool.location
            return moved.host or str(getattr(location, "host", "")), moved.port
        return None


def _innermost(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = cast("ExceptionGroup[Exception]", error).exceptions[0]
    return error

"""One event loop's connection to a Redis server.

A coredis client is entered and left in one task and keeps a task group open between. A store is made outside of
any task and used from many, so a task of nobody's holds the client open until it is told to let go.

Steps go by the one connection that it makes, not by the client: that would connect anew where the connection is
lost, in the task of a caller, who may be cancelled in the middle of it.
"""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, cast

import anyio

from .._loop import EventLoop
from ._store import StoreError

if TYPE_CHECKING:
    import coredis
    from coredis.connection import BaseConnection

Argument: TypeAlias = str | bytes | int


class RedisSession:
    """A connection that is being made, is there, or is lost. Make one in the loop that it is for.

    :param client: one that nobody has entered
    :param timeout: seconds for finding out whether the server is there; the client has its own for the rest
    :param on_end: called when the loop ends
    """

    def __init__(self, client: "coredis.Redis[bytes]", timeout: float, on_end: Callable[[], object]) -> None:
        self._client = client
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
        pool = self._client.connection_pool
        try:
            # coredis leaves streams unclosed, and the interpreter warns of them, when it cannot connect.
            with anyio.fail_after(self._timeout):
                if pool.location is None or not await pool.location.check():
                    raise ConnectionRefusedError(f"nothing answers at {pool.location}")
            async with self._client:
                self._connection = await pool.get_connection()
                self._ready.set()
                await self._stop.wait()
        except Exception as error:  # noqa: BLE001 # it is told to those who wait
            self._error = _innermost(error)
        finally:
            self._closed = True
            self._ready.set()
            self._over.set()


def _innermost(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = cast("ExceptionGroup[Exception]", error).exceptions[0]
    return error

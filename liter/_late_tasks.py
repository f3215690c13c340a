"""A task group for tasks that mostly never begin.

A group of anyio's or a nursery of Trio's lets all other tasks run once when it closes, an empty one too. That costs
more than any layer does. This one is a cancel scope, and nothing more until a task begins in it.
"""

from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Self

import anyio

from ._loop import CancelScope, EventLoop


class LateTasks:
    """A task group whose tasks begin from callbacks of the event loop, or from each other.

    It is closed when all of them have ended. To cancel it cancels them and the task that holds it; so does the
    cancellation of that task. They must not raise anything else.

    :param loop: the running event loop
    """

    __slots__ = ("_cancelled", "_idle", "_loop", "_running", "_scope", "_scopes")

    _idle: anyio.Event

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop
        self._scope = loop.cancel_scope()
        self._scopes: set[CancelScope] | None = None
        self._running = 0
        self._cancelled = False

    def start(self, function: Callable[..., Coroutine[object, object, None]], *args: object) -> None:
        """Begin a task."""
        if not self._running:
            self._idle = anyio.Event()
        self._running += 1
        self._loop.start(self._run, function, *args)

    def cancel(self) -> None:
        """Cancel all that runs in it."""
        self._cancelled = True
        self._scope.cancel()
        for scope in tuple(self._scopes or ()):
            scope.cancel()

    async def _run(self, function: Callable[..., Coroutine[object, object, None]], *args: object) -> None:
        if self._scopes is None:
            self._scopes = set()
        scope = self._loop.cancel_scope()
        self._scopes.add(scope)
        try:
            with scope:
                if self._cancelled:
                    scope.cancel()
                await function(*args)
        finally:
            self._scopes.discard(scope)
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def __aenter__(self) -> Self:
        self._scope.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if not self._running:
            return self._scope.__exit__(kind, error, traceback)
        try:
            await self._join(error)
        except BaseException as cancelled:
            if self._scope.__exit__(type(cancelled), cancelled, cancelled.__traceback__):
                return True
            raise
        return self._scope.__exit__(kind, error, traceback)

    async def _join(self, error: BaseException | None) -> None:
        """Wait for all tasks, whatever happens, and cancel them when this one is cancelled, or has failed."""
        cancelled = error
        if error is not None:
            self.cancel()
        while self._running:
            try:
                # What asyncio's own Task.cancel() throws in here reaches it all the same, each time it is called.
                with anyio.CancelScope(shield=cancelled is not None):
                    await self._idle.wait()
            except anyio.get_cancelled_exc_class() as thrown:
                cancelled = thrown
                self.cancel()
        if cancelled is not None and cancelled is not error:
            raise cancelled

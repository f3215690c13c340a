"""A limit on how many calls are under way at once."""

from collections import OrderedDict, deque
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, TypeVar

import anyio

from .._contract import Call, Handler
from .._errors import LlmTimeoutError
from .._loop import EventLoop
from .._reply import Reply

R = TypeVar("R")


class Concurrency:
    """Let at most ``limit`` calls through at once; others wait in line, first come first served.

    A permit is held for the life of the reply, which for a stream is until its scope closes. The wait spends
    the call's own time: it lasts until ``call.enter_by`` at most.

    One object is one limit, for all event loops and threads of the process that use it. Outside ``Retry`` a
    call keeps its permit while it waits for its next attempt; inside, only attempts on the wire count.

    :param limit: how many at once, 1 or more
    :raises ValueError: ``limit`` is below 1
    :raises LlmTimeoutError: with ``limit="concurrency"``, on entering: no permit came free in time
    """

    # Permits may be given back by finalizers (of a loop that was given up), so at any point of any thread, where
    # a lock could be held already. As in queue.SimpleQueue there is none: each step below is atomic by itself,
    # and whoever adds a permit or a waiter then looks for a pair.
    __slots__ = ("__weakref__", "_permits", "_waiters", "limit")

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"limit must be 1 or more calls at once, not {limit!r}")
        self.limit: int = limit
        self._permits: deque[None] = deque([None] * limit)
        self._waiters: OrderedDict[_Waiter, None] = OrderedDict()

    @property
    def in_use(self) -> int:
        """Calls under way."""
        return self.limit - len(self._permits)

    @property
    def waiting(self) -> int:
        """Calls that wait in line."""
        return len(self._waiters)

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        return _Permit(self, call, call_next)

    async def acquire(self, enter_by: float) -> None:
        """Take a permit; wait for it until the event loop's time is ``enter_by``.

        :raises LlmTimeoutError: none came free
        """
        if self._take():
            return
        waiter = _Waiter()
        self._waiters[waiter] = None
        self._hand_out()
        began = anyio.current_time()
        try:
            with anyio.CancelScope(deadline=enter_by):
                await waiter.wait()
        except BaseException:
            if not self._withdraw(waiter) and waiter.reachable:
                self.release()
            raise
        if self._withdraw(waiter):
            seconds = anyio.current_time() - began
            raise LlmTimeoutError(
                f"waited {seconds:.3g} s for one of {self.limit} permits ({self.waiting} calls still wait)",
                limit="concurrency",
                seconds=seconds,
            )

    def release(self) -> None:
        """Give a permit back. Safe from any thread, and from finalizers."""
        self._permits.append(None)
        self._hand_out()

    def _take(self) -> bool:
        try:
            self._permits.pop()
        except IndexError:
            return False
        return True

    def _withdraw(self, waiter: "_Waiter") -> bool:
        """Take ``waiter`` out of the line. False when it is no longer there: a permit was handed to it."""
        return self._waiters.pop(waiter, False) is None

    def _hand_out(self) -> None:
        while self._waiters and self._take():
            try:
                waiter, _ = self._waiters.popitem(last=False)
            except KeyError:  # it was withdrawn meanwhile
                self._permits.append(None)
                continue
            if not waiter.wake():
                self._permits.append(None)

    def __repr__(self) -> str:
        return f"Concurrency({self.limit}, in_use={self.in_use}, waiting={self.waiting})"


class _Waiter:
    """A task in line. ``reachable`` turns false when its event loop ended before the permit reached it."""

    __slots__ = ("_event", "_loop", "reachable")

    def __init__(self) -> None:
        self._event = anyio.Event()
        self._loop = EventLoop.current()
        self.reachable = True

    async def wait(self) -> None:
        await self._event.wait()

    def wake(self) -> bool:
        try:
            here = EventLoop.current()
        except RuntimeError:  # none runs in this thread
            here = None
        if here is self._loop:
            self._event.set()
        else:
            self.reachable = self._loop.call_soon(self._event.set)
        return self.reachable


class _Permit(Generic[R]):
    __slots__ = ("_call", "_concurrency", "_scope")

    def __init__(self, concurrency: Concurrency, call: Call[R], call_next: Handler) -> None:
        self._concurrency = concurrency
        self._call = call
        self._scope = call_next(call)

    async def __aenter__(self) -> Reply[R]:
        await self._concurrency.acquire(self._call.enter_by)
        try:
            return await self._scope.__aenter__()
        except BaseException:
            self._concurrency.release()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        try:
            return await self._scope.__aexit__(kind, error, traceback)
        finally:
            self._concurrency.release()

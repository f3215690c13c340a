"""The event loop that runs this code, and how to reach it from elsewhere.

Connections belong to the loop that opened them, and a client may serve several loops, one after the other
or side by side in threads. Three things are needed that neither asyncio nor Trio offers in a common form:

- Being told that the loop ends. Both close the async generators that are still alive when a run ends,
  so each ``EventLoop`` keeps one of its own asleep at its only ``yield``; its ``finally`` is the notice.
- Running something there from a finalizer or another thread, without waiting: ``call_soon``.
- Comparing times with those of another loop, as each counts from where it likes: ``epoch``.
"""

import asyncio
import sys
import time
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextvars import Context, copy_context
from functools import partial
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Protocol

import anyio
from anyio.lowlevel import cancel_shielded_checkpoint

if TYPE_CHECKING:
    from trio.lowlevel import TrioToken


class Closable(Protocol):
    """What an event loop closes when it ends."""

    def close_nowait(self) -> None: ...


class CancelScope(Protocol):
    """A cancel scope, of the running event loop's kind."""

    def cancel(self) -> None: ...
    def __enter__(self) -> object: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> bool | None: ...


class EventLoop:
    """A running event loop. Get it with :meth:`current`; there is one object for each loop.

    :ivar time: gives the time that tasks of this loop count by, in seconds, as ``anyio.current_time()`` does, for less
    :ivar cancel_scope: makes a cancel scope for a task of this loop, as ``anyio.CancelScope()`` does, for less
    :ivar epoch: seconds to add to a time of this loop for one that all loops of the process have in common. Taken
        once, so that virtual time stays virtual.
    """

    __slots__ = ("__weakref__", "_asyncio", "_closables", "_native", "_sentinel", "cancel_scope", "epoch", "time")

    def __init__(self, native: "asyncio.AbstractEventLoop | TrioToken") -> None:
        # Weakly, as this object is kept for as long as the loop is there.
        self._native = weakref.ref(native)
        self._asyncio = isinstance(native, asyncio.AbstractEventLoop)
        # Anyio's own scope for asyncio, which it asks for each time.
        self.cancel_scope: Callable[[], CancelScope] = type(anyio.CancelScope())
        self.time: Callable[[], float]
        if not isinstance(native, asyncio.AbstractEventLoop):
            self.time = _trio().lowlevel.current_clock().current_time
            self.cancel_scope = _trio().CancelScope
        elif getattr(native.time, "__func__", None) is asyncio.BaseEventLoop.time:
            # Which is no more than that.
            self.time = time.monotonic
        else:
            self.time = partial(_time_of, weakref.ref(native))
        self.epoch: float = time.monotonic() - anyio.current_time()
        self._closables: weakref.WeakSet[Closable] = weakref.WeakSet()
        self._sentinel: AsyncGenerator[None, None] | None = (sentinel := self._wait_for_end())
        try:
            # Run it to its yield. This registers it with the loop, and awaits nothing.
            sentinel.asend(None).send(None)
        except StopIteration:
            pass

    @classmethod
    def current(cls) -> "EventLoop":
        """Return the loop that runs the calling task. :raises RuntimeError: none runs in this thread"""
        # Called several times for each call, so all in one: an anyio.RunVar takes five times as long.
        sniffio = sys.modules.get("sniffio")
        native: asyncio.AbstractEventLoop | TrioToken
        # Trio first: in its guest mode, a loop of asyncio's runs in the same thread. Trio tells sniffio when it is on.
        if sniffio is not None and sniffio.thread_local.name == "trio":
            native = _trio().lowlevel.current_trio_token()
        else:
            native = asyncio.get_running_loop()
        loop = _loops.get(weakref.ref(native))
        if loop is None:
            loop = _loops[weakref.ref(native, _loops.pop)] = cls(native)
        return loop

    def now(self) -> float:
        """Return the time by the clock that all loops of the process have in common, in seconds."""
        return self.time() + self.epoch

    @property
    def is_trio(self) -> bool:
        """Whether this is a Trio run."""
        return not self._asyncio

    def start(self, function: Callable[..., Coroutine[object, object, None]], *args: object) -> None:
        """Begin a task of nobody's, which sees the context of its caller; from this loop's thread.

        Who asks for it waits for its end, and sees to it that it raises nothing but cancellations.
        """
        native = self._native()
        if isinstance(native, asyncio.AbstractEventLoop):
            task = native.create_task(function(*args))
            _orphans.add(task)
            task.add_done_callback(_orphans.discard)
        else:
            _trio().lowlevel.spawn_system_task(function, *args, context=copy_context())

    def close_at_end(self, closable: Closable) -> None:
        """Have ``closable.close_nowait()`` called when the loop ends, if it is still alive then."""
        self._closables.add(closable)

    def call_soon(self, function: Callable[[], object]) -> bool:
        """Call ``function()`` in the loop, soon. Safe from any thread, and from finalizers.

        Returns false when the loop is over; then nothing is called.
        """
        native = self._native()
        if native is None:
            return False
        try:
            if isinstance(native, asyncio.AbstractEventLoop):
                native.call_soon_threadsafe(function)
            else:
                native.run_sync_soon(function)
        except RuntimeError:  # "Event loop is closed", and trio.RunFinishedError
            return False
        return True

    def spawn(self, function: Callable[[], Awaitable[object]]) -> bool:
        """Run ``await function()`` in the loop as a task of nobody's: for finalizers, which cannot await.

        What it raises is lost. Returns false when the loop is over.
        """

        async def run() -> None:
            try:
                await function()
            except Exception:  # noqa: BLE001, S110 # nobody is there to be told
                pass

        def start() -> None:
            trio = sys.modules.get("trio")
            native = self._native()
            if isinstance(native, asyncio.AbstractEventLoop):
                # Nobody's context, either: a span that is current where this was asked for has nothing to do with it.
                task = native.create_task(run(), context=Context())
                _orphans.add(task)
                task.add_done_callback(_orphans.discard)
            elif trio is not None:
                trio.lowlevel.spawn_system_task(run)

        return self.call_soon(start)

    async def _wait_for_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            for closable in list(self._closables):
                closable.close_nowait()
            # asyncio closes a transport's socket in the next iteration.
            with anyio.CancelScope(shield=True):
                await cancel_shielded_checkpoint()
                await cancel_shielded_checkpoint()
            # A generator keeps the loop that runs it alive, and so would this object.
            self._sentinel = None


def _time_of(reference: "weakref.ref[asyncio.AbstractEventLoop]") -> float:
    native = reference()
    return anyio.current_time() if native is None else native.time()


def _trio() -> ModuleType:
    return sys.modules["trio"]


_loops: "dict[weakref.ref[asyncio.AbstractEventLoop | TrioToken], EventLoop]" = {}
_orphans: set["asyncio.Task[None]"] = set()

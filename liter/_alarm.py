"""Something to do at a later time, unless it is called off before.

Of asyncio's loops one may ask that without a task, of Trio not: there it takes a task of the caller's group. Neither is
needed by work that is done without waiting, so both begin when the work first lets other tasks run.
"""

import asyncio
import math
import sys
from collections.abc import Callable, Coroutine, Generator
from types import ModuleType, coroutine
from typing import TYPE_CHECKING, Protocol, TypeVar

from ._loop import EventLoop

if TYPE_CHECKING:
    import trio as trio_types

T = TypeVar("T")

# Begins a task.
Start = Callable[..., object]

# Returns the event-loop time at which it wants to be called again; infinity is never.
Ring = Callable[[], float]


class Alarm(Protocol):
    """Calls a function at a time of the event loop's."""

    def call_off(self) -> None: ...


def set_alarm(start: Start, when: float, ring: Ring) -> Alarm:
    """Have ``ring()`` called at ``when``. It must be called off before the tasks that ``start`` begins are waited for.

    :param start: begins a task, as :meth:`LateTasks.start` does
    :param ring: does not wait, and does not raise
    """
    return _Timer(when, ring) if (trio := _running_trio()) is None else _Sleeper(trio, start, when, ring)


def _running_trio() -> ModuleType | None:
    return sys.modules["trio"] if EventLoop.current().is_trio else None


@coroutine
def at_first_wait(work: Coroutine[object, object, T], begin: Callable[[], None]) -> Generator[object, object, T]:
    """Await ``work``, and call ``begin()`` right before it first lets other tasks run, if it does at all."""
    try:
        wanted = work.send(None)
    except StopIteration as stop:
        done: T = stop.value
        return done
    begin()
    while True:
        try:
            try:
                sent = yield wanted
            except GeneratorExit:
                work.close()
                raise
            except BaseException as error:  # noqa: BLE001 # whatever the event loop throws in
                wanted = work.throw(error)
            else:
                wanted = work.send(sent)
        except StopIteration as stop:
            done = stop.value
            return done


class _Timer:
    """An alarm by a timer of asyncio's."""

    __slots__ = ("_handle", "_ring")

    def __init__(self, when: float, ring: Ring) -> None:
        self._ring = ring
        self._handle = asyncio.get_running_loop().call_at(when, self._fire)

    def _fire(self) -> None:
        # Whoever begins a task by anyio is asked for its event loop, which sniffio tells by the task, and here is none.
        # This context is a copy of the timer's own.
        if (sniffio := sys.modules.get("sniffio")) is not None:
            sniffio.current_async_library_cvar.set("asyncio")
        when = self._ring()
        if when < math.inf:
            self._handle = asyncio.get_running_loop().call_at(when, self._fire)

    def call_off(self) -> None:
        self._handle.cancel()


class _Sleeper:
    """An alarm by a task that sleeps."""

    __slots__ = ("_off", "_ring", "_trio")

    def __init__(self, trio: ModuleType, start: Start, when: float, ring: Ring) -> None:
        self._trio = trio
        self._ring = ring
        self._off: trio_types.Event = trio.Event()
        start(self._sleep, when)

    async def _sleep(self, when: float) -> None:
        while when < math.inf:
            scope: trio_types.CancelScope = self._trio.CancelScope(deadline=when)
            with scope:
                # To wake it costs less than to cancel it.
                await self._off.wait()
            if not scope.cancelled_caught:
                return
            when = self._ring()

    def call_off(self) -> None:
        self._off.set()

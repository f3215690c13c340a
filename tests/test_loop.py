"""Reaching an event loop from outside, and hearing of its end."""

import asyncio
import gc
import threading
from contextvars import ContextVar

import anyio
import anyio.lowlevel
import pytest

from liter._loop import EventLoop


class Recorder:
    """Notes when it is closed."""

    def __init__(self) -> None:
        self.closed = 0

    def close_nowait(self) -> None:
        self.closed += 1


@pytest.mark.anyio
async def test_there_is_one_object_for_each_loop() -> None:
    """All tasks of a loop see the same object."""
    assert EventLoop.current() is EventLoop.current()


@pytest.mark.anyio
async def test_call_soon_from_inside_and_from_a_thread() -> None:
    """A function is called in the loop's own thread, wherever it was handed over."""
    loop = EventLoop.current()
    threads: list[int] = []
    assert loop.call_soon(lambda: threads.append(threading.get_ident()))
    thread = threading.Thread(target=lambda: loop.call_soon(lambda: threads.append(threading.get_ident())))
    thread.start()
    thread.join()
    await anyio.sleep(0.01)
    assert threads == [threading.get_ident()] * 2


@pytest.mark.anyio
async def test_spawn_runs_a_coroutine_and_swallows_its_error() -> None:
    """A finalizer's last work runs to its end, and an error in it hurts nobody."""
    done = anyio.Event()

    async def work() -> None:
        await anyio.lowlevel.checkpoint()
        done.set()
        raise RuntimeError("nobody hears this")

    assert EventLoop.current().spawn(work)
    with anyio.fail_after(1):
        await done.wait()


@pytest.mark.anyio
async def test_spawn_has_nobodys_context() -> None:
    """What is set for a call does not reach a task that nobody waits for."""
    request: ContextVar[str] = ContextVar("request", default="none")
    seen: list[str] = []
    done = anyio.Event()

    async def work() -> None:
        seen.append(request.get())
        done.set()

    token = request.set("mine")
    assert EventLoop.current().spawn(work)
    with anyio.fail_after(1):
        await done.wait()
    request.reset(token)
    assert seen == ["none"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_end_of_a_loop_closes_what_belongs_to_it(backend: str) -> None:
    """What was registered is closed once, at the end, and calls into the ended loop are refused."""
    recorder = Recorder()

    async def main() -> EventLoop:
        loop = EventLoop.current()
        loop.close_at_end(recorder)
        await anyio.lowlevel.checkpoint()
        assert recorder.closed == before
        return loop

    before = 0
    loop = anyio.run(main, backend=backend)
    assert recorder.closed == 1
    assert not loop.call_soon(lambda: None)
    before = 1
    assert anyio.run(main, backend=backend) is not loop


def test_ended_loops_are_forgotten() -> None:
    """Running many loops keeps none of them alive."""

    async def main() -> None:
        EventLoop.current()

    def count() -> int:
        gc.collect()
        return sum(isinstance(thing, EventLoop) for thing in gc.get_objects())

    asyncio.run(main())
    before = count()
    for _ in range(5):
        asyncio.run(main())
    assert count() == before

"""Tests of task groups whose tasks mostly never begin."""

import asyncio
from contextvars import ContextVar

import anyio
import anyio.lowlevel
import pytest
import trio

from liter._late_tasks import LateTasks
from liter._loop import EventLoop

pytestmark = pytest.mark.anyio

_place: ContextVar[str] = ContextVar("_place", default="nowhere")


def living_tasks() -> int:
    if EventLoop.current().is_trio:
        return trio.lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())


async def test_an_empty_one_lets_no_other_task_run() -> None:
    """Without a task, it is entered and left in one step."""
    ran: list[str] = []

    async def other() -> None:
        ran.append("other")

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        async with LateTasks(EventLoop.current()):
            pass
        assert not ran


async def test_its_end_is_that_of_its_last_task() -> None:
    """Tasks that begin in it, and those that these begin, are over when it is left; they see the caller's context."""
    seen: list[str] = []
    _place.set("here")
    before = living_tasks()

    async def last() -> None:
        await anyio.sleep(2)
        seen.append(f"last {_place.get()}")

    async def first() -> None:
        await anyio.sleep(1)
        seen.append("first")
        tasks.start(last)

    async with LateTasks(EventLoop.current()) as tasks:
        tasks.start(first)
    assert seen == ["first", "last here"]
    assert living_tasks() == before


@pytest.mark.parametrize("begun", [True, False])
async def test_to_cancel_it_cancels_all(begun: bool) -> None:
    """Cancelled, it ends its holder and its tasks, those that have not begun yet included, and is left as usual."""
    ended: list[str] = []
    before = living_tasks()

    async def wait(name: str) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(name)

    async def cancel() -> None:
        tasks.cancel()

    async with LateTasks(EventLoop.current()) as tasks:
        tasks.start(wait, "one")
        if begun:
            await anyio.wait_all_tasks_blocked()
        tasks.start(cancel)
        tasks.start(wait, "two")
        await wait("holder")
    assert sorted(ended) == ["holder", "one", "two"]
    assert living_tasks() == before


@pytest.mark.parametrize("waits", ["inside", "at the end"])
async def test_the_holders_cancellation_cancels_the_tasks(waits: str) -> None:
    """Cancelled from outside, the holder leaves only when its tasks have cleaned up, and the cancellation goes on."""
    cleaned = False
    before = living_tasks()

    async def wait() -> None:
        nonlocal cleaned
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(1)
            cleaned = True

    with anyio.move_on_after(1) as scope:
        async with LateTasks(EventLoop.current()) as tasks:
            tasks.start(wait)
            if waits == "inside":
                await anyio.sleep_forever()
        pytest.fail("it went on")
    assert scope.cancelled_caught
    assert cleaned
    assert living_tasks() == before


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_native_cancellation_cancels_the_tasks(anyio_backend: object) -> None:
    """Task.cancel() of asyncio, twice, leaves no task behind."""
    ended: list[str] = []

    async def wait() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
            ended.append("task")

    async def hold() -> None:
        async with LateTasks(EventLoop.current()) as tasks:
            tasks.start(wait)
            await anyio.sleep_forever()

    task = asyncio.create_task(hold())
    for _ in range(2):
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["task"]

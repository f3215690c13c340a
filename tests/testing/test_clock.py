"""Virtual time on both event loops: the clock jumps when everybody waits."""

import asyncio

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from liter.testing import VirtualTimeLoop


@pytest.mark.anyio
async def test_sleeping_takes_no_time() -> None:
    """A day passes on the event loop's clock at once."""
    started = anyio.current_time()
    await anyio.sleep(86_400)
    assert anyio.current_time() - started == pytest.approx(86_400)


@pytest.mark.anyio
async def test_timers_fire_in_order() -> None:
    """Sleepers wake by their time, not by the order in which they lay down."""
    woken: list[float] = []
    started = anyio.current_time()

    async def sleep(seconds: float) -> None:
        await anyio.sleep(seconds)
        woken.append(seconds)
        assert anyio.current_time() - started == pytest.approx(seconds)

    async with anyio.create_task_group() as tasks:
        for seconds in (30, 10, 20):
            tasks.start_soon(sleep, seconds)
    assert woken == [10, 20, 30]


@pytest.mark.anyio
async def test_time_stands_still_while_tasks_run() -> None:
    """A task that goes on from checkpoint to checkpoint uses no time."""
    started = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep, 100)
        for _ in range(1000):
            await anyio.lowlevel.checkpoint()
        assert anyio.current_time() == started
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_deadlines_fire() -> None:
    """A time limit ends a wait for something that never comes."""
    with anyio.move_on_after(3600) as scope:
        await anyio.Event().wait()
    assert scope.cancelled_caught


def test_the_loop_waits_for_threads() -> None:
    """Where no timer is set, the asyncio loop waits for real: a thread's answer arrives."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(anyio.to_thread.run_sync(lambda: "answer")) == "answer"


def test_the_loop_starts_at_zero() -> None:
    """The clock of a new asyncio loop shows 0."""

    async def now() -> float:
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(now()) == 0.0

"""Credentials that are fetched: once for all, ahead of their end, and never in a cancelled caller's way."""

import logging
import re
import threading
from datetime import datetime, timedelta

import anyio
import pytest
from anyio.lowlevel import checkpoint

from liter import AuthenticationError, LlmError, NetworkError, Secret
from liter.credentials import Fetched, Refreshing

from ._clock import Clock

pytestmark = pytest.mark.anyio


class Tokens(Refreshing):
    """Gives token-1, token-2, ..., each after a while; ``fail`` is raised instead."""

    def __init__(self, clock: Clock, *, life: timedelta | None = timedelta(hours=1), takes: float = 1.0) -> None:
        super().__init__(now=clock)
        self.clock = clock
        self.life = life
        self.takes = takes
        self.fetches = 0
        self.fail: Exception | None = None

    async def fetch(self) -> Fetched:
        self.fetches += 1
        number = self.fetches
        await anyio.sleep(self.takes)
        if self.fail is not None:
            raise self.fail
        expires = None if self.life is None else self.clock() + self.life
        return Fetched(credential=Secret(f"token-{number}"), expires=expires)


async def gather(source: Refreshing, count: int) -> list[object]:
    results: list[object] = [None] * count

    async def one(index: int) -> None:
        try:
            results[index] = await source.get()
        except LlmError as error:
            results[index] = error

    async with anyio.create_task_group() as tasks:
        for index in range(count):
            tasks.start_soon(one, index)
    return results


async def test_one_caller_fetches_for_all():
    """Ten callers at once cost one fetch, and later ones none."""
    tokens = Tokens(Clock())
    assert await gather(tokens, 10) == [Secret("token-1")] * 10
    assert await tokens.get() == Secret("token-1")
    assert tokens.fetches == 1


async def test_without_an_end_it_is_kept():
    """A credential that does not expire is fetched once."""
    clock = Clock()
    tokens = Tokens(clock, life=None)
    await tokens.get()
    clock.time += timedelta(days=1000)
    assert await tokens.get() == Secret("token-1")


async def test_before_its_end_one_refreshes_and_none_waits():
    """In the last five minutes one caller fetches; the others get what is held, at once."""
    clock = Clock()
    tokens = Tokens(clock)
    await tokens.get()
    clock.time += timedelta(minutes=54)
    assert await tokens.get() == Secret("token-1")
    assert tokens.fetches == 1
    clock.time += timedelta(minutes=2)
    start = anyio.current_time()
    results = await gather(tokens, 3)
    assert results.count(Secret("token-1")) == 2
    assert results.count(Secret("token-2")) == 1
    assert anyio.current_time() - start == pytest.approx(1.0)
    assert await tokens.get() == Secret("token-2")
    assert tokens.fetches == 2


async def test_after_its_end_all_wait():
    """An expired credential is given to nobody."""
    clock = Clock()
    tokens = Tokens(clock)
    await tokens.get()
    clock.time += timedelta(minutes=60)
    assert await gather(tokens, 3) == [Secret("token-2")] * 3


async def test_a_short_life_is_not_all_early():
    """A credential that lasts less than the early time is used for four fifths of its life."""
    clock = Clock()
    tokens = Tokens(clock, life=timedelta(seconds=100))
    await tokens.get()
    clock.time += timedelta(seconds=79)
    assert await tokens.get() == Secret("token-1")
    clock.time += timedelta(seconds=1)
    assert await tokens.get() == Secret("token-2")


async def test_a_cancelled_leader_hands_over():
    """When the one who fetches is cancelled, one of those who wait fetches, and all get its result."""
    tokens = Tokens(Clock(), takes=2.0)
    results: list[object] = []

    async def lead() -> None:
        with anyio.move_on_after(1.0) as scope:
            await tokens.get()
        assert scope.cancelled_caught

    async def follow() -> None:
        results.append(await tokens.get())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lead)
        await checkpoint()
        for _ in range(3):
            tasks.start_soon(follow)
    assert results == [Secret("token-2")] * 3
    assert tokens.fetches == 2


async def test_a_cancelled_follower_leaves_the_others_alone():
    """One who waits may go; the fetch goes on for the rest."""
    tokens = Tokens(Clock(), takes=2.0)

    async def follow_briefly() -> None:
        with anyio.move_on_after(0.5) as scope:
            await tokens.get()
        assert scope.cancelled_caught
        assert anyio.current_time() - start == pytest.approx(0.5)

    start = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tokens.get)
        await checkpoint()
        tasks.start_soon(follow_briefly)
    assert await tokens.get() == Secret("token-1")


async def test_a_failure_is_everybodys_and_the_next_caller_tries_again():
    """Those who waited fail alike, each with an error of its own, after one fetch; a later call fetches anew."""
    tokens = Tokens(Clock())
    tokens.fail = NetworkError("no route")
    results = await gather(tokens, 3)
    assert [type(result) for result in results] == [NetworkError] * 3
    assert len({id(result) for result in results}) == 3
    assert tokens.fetches == 1
    tokens.fail = None
    assert await tokens.get() == Secret("token-2")


async def test_what_else_is_raised_is_an_authentication_error():
    """A library's own error becomes ours, with its cause."""
    tokens = Tokens(Clock())
    tokens.fail = OSError("metadata server unreachable")
    with pytest.raises(AuthenticationError, match="metadata server unreachable") as caught:
        await tokens.get()
    assert isinstance(caught.value.__cause__, OSError)


async def test_a_refresh_that_fails_early_is_no_failure(caplog: pytest.LogCaptureFixture):
    """While the old one is good it is used; the next try is half a minute later, and a warning tells."""
    clock = Clock()
    tokens = Tokens(clock)
    await tokens.get()
    tokens.fail = NetworkError("no route")
    clock.time += timedelta(minutes=56)
    with caplog.at_level(logging.WARNING, "liter"):
        assert await tokens.get() == Secret("token-1")
    assert "could not be refreshed (NetworkError)" in caplog.text
    assert "token-" not in caplog.text
    clock.time += timedelta(seconds=29)
    assert await tokens.get() == Secret("token-1")
    assert tokens.fetches == 2
    tokens.fail = None
    clock.time += timedelta(seconds=1)
    assert await tokens.get() == Secret("token-3")


async def test_a_refused_one_is_fetched_again_once():
    """After a refusal a new one is fetched; when that is refused as well, its age is not the fault."""
    clock = Clock()
    tokens = Tokens(clock)
    first = await tokens.get()
    assert tokens.refused(first)
    second = await tokens.get()
    assert second == Secret("token-2")
    assert tokens.refused(first), "another caller's refusal, told late"
    assert await tokens.get() == second
    assert not tokens.refused(second)
    assert await tokens.get() == second
    clock.time += timedelta(minutes=2)
    assert tokens.refused(second)


async def test_a_refusal_is_forgotten_with_the_next_credential():
    """One that came in good time, long after, may be refused for its age as the first was."""
    clock = Clock()
    tokens = Tokens(clock)
    assert tokens.refused(await tokens.get())
    assert await tokens.get() == Secret("token-2")
    clock.time += timedelta(hours=2)
    third = await tokens.get()
    assert third == Secret("token-3")
    assert tokens.refused(third)
    assert await tokens.get() == Secret("token-4")


async def test_it_needs_a_way_to_fetch():
    """A source without ``fetch`` says what is missing."""
    with pytest.raises(AuthenticationError, match="must have fetch or fetch_blocking"):
        await Refreshing().get()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("token", "TypeError: fetch gave str, not Fetched"),
        (Fetched(credential=Secret("token"), expires=datetime(2040, 1, 1)), "ValueError: .* has no time zone"),  # noqa: DTZ001 # the mistake
    ],
)
async def test_what_fetch_must_not_give_is_told_to_all(given: object, told: str):
    """Those who wait for it, and those who come later: nobody waits for ever."""

    class Wrong(Refreshing):
        async def fetch(self) -> Fetched:
            await anyio.sleep(1)
            return given

    source = Wrong()
    for error in [*await gather(source, 3), *await gather(source, 1)]:
        assert isinstance(error, AuthenticationError)
        assert re.search(told, str(error))


class Blocking(Refreshing):
    def __init__(self, go: threading.Event) -> None:
        super().__init__()
        self.go = go
        self.fetches = 0
        self.thread: threading.Thread | None = None

    def fetch_blocking(self) -> Fetched:
        self.fetches += 1
        self.thread = threading.current_thread()
        self.go.wait(10)
        return Fetched(credential=Secret("token"))


@pytest.mark.realtime
async def test_a_blocking_fetch_holds_up_no_cancel():
    """It runs in a thread; a cancelled caller returns at once, while the thread still blocks."""
    go = threading.Event()
    source = Blocking(go)
    with anyio.move_on_after(0.05) as scope:
        await source.get()
    assert scope.cancelled_caught
    assert not go.is_set()
    assert source.thread is not threading.current_thread()
    go.set()
    assert await source.get() == Secret("token")


@pytest.mark.realtime
async def test_callers_in_several_loops_share_one_fetch(anyio_backend_name: str):
    """A caller in another thread's event loop waits for the one who fetches, and takes over when that is cancelled."""
    go = threading.Event()
    source = Blocking(go)
    results: list[object] = []

    def elsewhere() -> None:
        results.append(anyio.run(source.get, backend=anyio_backend_name))

    threads = [threading.Thread(target=elsewhere) for _ in range(3)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.get)
        await anyio.wait_all_tasks_blocked()
        for thread in threads:
            thread.start()
        while source._flight is None or len(source._flight.waiters) < 3:
            await anyio.sleep(0.001)
        tasks.cancel_scope.cancel()
    go.set()
    for thread in threads:
        await anyio.to_thread.run_sync(thread.join)
    assert results == [Secret("token")] * 3
    assert source.fetches == 2

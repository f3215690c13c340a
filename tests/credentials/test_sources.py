"""Keys from variables, functions and files, and several of them in turn."""

import threading
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from liter import AuthenticationError, Secret
from liter.credentials import Fetched, FromEnvironment, FromFile, FromFunction, Rotation

from ._clock import Clock

pytestmark = pytest.mark.anyio


async def test_the_first_variable_that_is_set():
    """Variables are looked up at each request, in order; an error names all of them."""
    environ = {"B": "key-b"}
    source = FromEnvironment("A", "B", environ=environ)
    assert await source.get() == Secret("key-b")
    environ["A"] = "key-a"
    assert await source.get() == Secret("key-a")
    environ.clear()
    with pytest.raises(AuthenticationError, match="A or B"):
        await source.get()
    environ["A"] = "key\n"
    with pytest.raises(AuthenticationError, match="environment variable A"):
        await source.get()
    with pytest.raises(ValueError, match="at least one"):
        FromEnvironment()


async def test_an_async_function_is_asked_once_in_a_while():
    """Its key is used for the given seconds, then it is asked again; a refused key is not used again."""
    clock, asked = Clock(), 0

    async def login() -> str:
        nonlocal asked
        asked += 1
        await anyio.lowlevel.checkpoint()
        return f"key-{asked}"

    source = FromFunction(login, seconds=10, now=clock)
    assert await source.get() == Secret("key-1")
    clock.time += timedelta(seconds=7)
    assert await source.get() == Secret("key-1")
    clock.time += timedelta(seconds=3)
    assert await source.get() == Secret("key-2")
    assert source.refused(Secret("key-2"))
    assert await source.get() == Secret("key-3")
    assert repr(source).startswith("FromFunction(")
    assert "key-" not in repr(source)


async def test_a_function_may_tell_when_its_key_ends():
    """``Fetched`` brings an end of its own."""
    clock, asked = Clock(), 0

    async def login() -> Fetched:
        nonlocal asked
        asked += 1
        return Fetched(credential=Secret(f"key-{asked}"), expires=clock() + timedelta(hours=1))

    source = FromFunction(login, now=clock)
    await source.get()
    clock.time += timedelta(minutes=50)
    assert await source.get() == Secret("key-1")


async def test_what_a_function_gives_is_checked():
    """Something else than a key is an error that says so and does not show it."""

    async def bad_type() -> str:
        return 5  # the mistake under test

    async def bad_key() -> str:
        return "sk two\nlines"

    with pytest.raises(AuthenticationError, match="it gave int, not str"):
        await FromFunction(bad_type).get()
    with pytest.raises(AuthenticationError, match="line breaks") as caught:
        await FromFunction(bad_key).get()
    assert "sk two" not in str(caught.value)
    with pytest.raises(ValueError, match="callable"):
        FromFunction("key")  # the mistake under test
    with pytest.raises(ValueError, match="seconds"):
        FromFunction(bad_key, seconds=0)


@pytest.mark.realtime
async def test_a_plain_function_runs_in_a_thread():
    """So it may block."""
    threads: list[threading.Thread] = []

    def read() -> str:
        threads.append(threading.current_thread())
        return "key"

    assert await FromFunction(read).get() == Secret("key")
    assert threads != [threading.current_thread()]


@pytest.mark.realtime
async def test_a_file_that_changes_counts(tmp_path: Path):
    """Blanks around the key are left out; a changed file is seen after the given seconds, or at a refusal."""
    clock = Clock()
    path = tmp_path / "key"
    source = FromFile(path, seconds=5, now=clock)
    with pytest.raises(AuthenticationError, match="cannot be read: No such file"):
        await source.get()
    path.write_text("  key-1\n")
    assert await source.get() == Secret("key-1")
    path.write_text("key-2")
    clock.time += timedelta(seconds=4)
    assert await source.get() == Secret("key-1")
    clock.time += timedelta(seconds=1)
    assert await source.get() == Secret("key-2")
    path.write_text("key-3")
    assert source.refused(Secret("key-2"))
    assert await source.get() == Secret("key-3")
    path.write_text("")
    clock.time += timedelta(seconds=6)
    with pytest.raises(AuthenticationError, match="is empty"):
        await source.get()
    assert "key-" not in repr(source)


async def test_the_next_key_after_a_refusal():
    """Each refusal of the key in use moves on; a refusal of one that is not in use any more does not."""
    keys = Rotation(["key-1", Secret("key-2"), FromEnvironment("C", environ={"C": "key-3"})])
    first = await keys.get()
    assert first == Secret("key-1")
    assert keys.refused(first)
    second = await keys.get()
    assert second == Secret("key-2")
    assert keys.refused(first), "told late, by another call"
    assert await keys.get() == second
    assert keys.refused(second)
    assert await keys.get() == Secret("key-3")
    assert keys.refused(Secret("key-3"))
    assert await keys.get() == first
    assert "key-" not in repr(keys)


async def test_a_single_key_has_no_next():
    """With one key there is nothing to move on to."""
    keys = Rotation(["key"])
    assert not keys.refused(await keys.get())


async def test_a_source_without_a_key_is_passed_over():
    """The next one is used, and when none has one the error is that of the last."""
    environ: dict[str, str] = {}
    keys = Rotation([FromEnvironment("A", environ=environ), "key-b"])
    assert "number 1 in use" in repr(keys)
    assert await keys.get() == Secret("key-b")
    assert "number 2 in use" in repr(keys)
    environ["A"] = "key-a"
    assert await keys.get() == Secret("key-b"), "it is moved on to, and not only looked through"
    del environ["A"]
    assert keys.refused(Secret("key-b"))
    environ["A"] = "key-a"
    assert await keys.get() == Secret("key-a")
    with pytest.raises(AuthenticationError, match="variable A"):
        await Rotation([FromEnvironment("A", environ={})]).get()
    with pytest.raises(ValueError, match="at least one"):
        Rotation([])
    with pytest.raises(ValueError, match=r"credentials\[1\]"):
        Rotation(["key", "a b"])

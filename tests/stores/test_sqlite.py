"""The store of one machine: what outlives a process, other users of the file, and its bound."""

import sqlite3
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from liter.stores import Bucket, SqliteStore, StoreError
from liter.testing import check_store

pytestmark = pytest.mark.realtime


def bucket(key: str = "a", amount: float = 1, *, refill: float = 1e-3) -> Bucket:
    return Bucket(key=key, capacity=10, refill=refill, amount=amount)


def count(path: Path, table: str) -> int:
    with sqlite3.connect(path) as connection:
        found: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 # a constant
    connection.close()
    return found


def test_it_keeps_the_store_protocol(tmp_path: Path) -> None:
    """The conformance kit finds nothing wrong, with two processes at once and one killed in the middle, too."""
    make_store = partial(SqliteStore, tmp_path / "store.db", max_bytes=64 * 1024)
    check_store(make_store, realtime=True, processes=True, max_bytes=64 * 1024)


@pytest.mark.anyio
async def test_what_is_kept_outlives_the_store(tmp_path: Path) -> None:
    """Another store on the same file goes on where the first was."""
    first = SqliteStore(tmp_path / "store.db")
    await first.take([bucket(amount=10)])
    await first.put("a", b"kept", ttl=60)
    await first.aclose()
    second = SqliteStore(tmp_path / "store.db")
    assert (await second.take([bucket()])).wait == pytest.approx(1000, abs=10)
    assert await second.get("a") == b"kept"
    await second.aclose()


@pytest.mark.anyio
async def test_stores_may_make_one_file_at_once(tmp_path: Path) -> None:
    """Of many that find no file each can make it, and all share it."""
    stores = [SqliteStore(tmp_path / "store.db") for _ in range(8)]
    granted: list[bool] = []

    async def take(store: SqliteStore) -> None:
        granted.extend([(await store.take([bucket()])).granted for _ in range(3)])
        await store.aclose()

    async with anyio.create_task_group() as tasks:
        for store in stores:
            tasks.start_soon(take, store)
    assert sum(granted) == 10


@pytest.mark.anyio
async def test_a_lock_that_is_not_let_go_is_a_store_error(tmp_path: Path) -> None:
    """A step waits for others' as long as its timeout says, then fails; later ones work again."""
    store = SqliteStore(tmp_path / "store.db", timeout=0.1)
    await store.put("a", b"x", ttl=60)
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with anyio.fail_after(2), pytest.raises(StoreError, match=r"store\.db: database is locked"):
        await store.get("a")
    other.close()
    assert await store.get("a") == b"x"
    await store.aclose()


@pytest.mark.anyio
async def test_a_cancelled_caller_does_not_wait_for_the_lock(tmp_path: Path) -> None:
    """Cancelling returns at once, and the step that was under way is done as a whole or not at all."""
    store = SqliteStore(tmp_path / "store.db", timeout=10)
    await store.put("a", b"x", ttl=60)
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with anyio.fail_after(2):
        with anyio.move_on_after(0.05) as scope:
            await store.take([bucket("one", 10), bucket("other", 10)])
        assert scope.cancelled_caught
    other.close()
    one, two = await store.take([bucket("one")]), await store.take([bucket("other")])
    assert one.granted == two.granted
    await store.aclose()


@pytest.mark.anyio
async def test_closing_waits_for_the_step_under_way(tmp_path: Path) -> None:
    """aclose of a store whose thread was left behind closes the file after it, and says so to the next."""
    store = SqliteStore(tmp_path / "store.db", timeout=10)
    await store.put("a", b"x", ttl=60)
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with anyio.move_on_after(0.05):
        await store.delete("a")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.aclose)
        await anyio.sleep(0.05)
        await anyio.to_thread.run_sync(other.close)
    assert count(tmp_path / "store.db", "kept") == 0
    with pytest.raises(StoreError, match="closed"):
        await store.get("a")


@pytest.mark.anyio
async def test_it_never_keeps_more_than_max_bytes(tmp_path: Path) -> None:
    """Buckets and values together stay within the bound; values go first, then the buckets nearest to full."""
    store = SqliteStore(tmp_path / "store.db", max_bytes=10_000)
    await store.take([bucket("empty", 10)])
    for number in range(60):
        await store.put(f"{number}", bytes(500), ttl=60)
        await store.take([bucket(f"{number}")])
    assert count(tmp_path / "store.db", "kept") == 0
    assert 30 <= count(tmp_path / "store.db", "buckets") <= 38
    assert not (await store.take([bucket("empty")])).granted
    await store.aclose()


@pytest.mark.anyio
async def test_what_is_over_is_deleted_unasked(tmp_path: Path) -> None:
    """Values whose time is over and buckets that are full again leave the file though nobody asks for them."""
    store = SqliteStore(tmp_path / "store.db")
    for number in range(50):
        await store.put(f"{number}", b"x", ttl=0.001)
        await store.take([bucket(f"{number}", refill=10_000)])
    await anyio.sleep(0.01)
    for _ in range(15):
        await store.put("last", b"x", ttl=60)
        await store.take([bucket("last")])
    assert count(tmp_path / "store.db", "kept") == 1
    assert count(tmp_path / "store.db", "buckets") == 1
    await store.aclose()


@pytest.mark.anyio
async def test_a_file_of_others_is_left_alone(tmp_path: Path) -> None:
    """A database of another application, and a file that is none, are errors, and stay as they were."""
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE kept (key TEXT)")
    connection.close()
    store = SqliteStore(path)
    with pytest.raises(StoreError, match="another application"):
        await store.get("a")
    await store.aclose()
    (tmp_path / "text").write_bytes(b"no database at all, " * 50)
    store = SqliteStore(tmp_path / "text")
    with pytest.raises(StoreError, match="not a database"):
        await store.get("a")
    await store.aclose()
    assert (tmp_path / "text").read_bytes() == b"no database at all, " * 50


def test_wrong_arguments_are_refused_at_once(tmp_path: Path) -> None:
    """Each names the field and what would be right."""
    with pytest.raises(ValueError, match="for memory use MemoryStore"):
        SqliteStore(":memory:")
    with pytest.raises(ValueError, match="path must be a file in a directory that exists"):
        SqliteStore(tmp_path / "missing" / "store.db")
    with pytest.raises(ValueError, match="path must be a file in a directory that exists"):
        SqliteStore(tmp_path)
    with pytest.raises(ValueError, match="max_bytes must have room"):
        SqliteStore(tmp_path / "store.db", max_bytes=1)
    with pytest.raises(ValueError, match="timeout must be above 0"):
        SqliteStore(tmp_path / "store.db", timeout=0)

"""The store of one process: its bound, what it forgets, and whose time it keeps."""

import asyncio
import sys
from functools import partial

import anyio
import pytest
import trio

from liter.stores import Account, Balance, Bucket, MemoryStore, StoreError
from liter.testing import check_store


def bucket(key: str = "a", amount: float = 1, *, capacity: float = 10, refill: float = 1) -> Bucket:
    return Bucket(key=key, capacity=capacity, refill=refill, amount=amount)


def held(store: MemoryStore) -> tuple[int, int, int]:
    """How many buckets, values and bytes the store's repr tells of."""
    told = repr(store).removeprefix("MemoryStore(").removesuffix(")")
    fields = dict(field.split("=") for field in told.split(", ") if field)
    return int(fields.get("buckets", 0)), int(fields.get("values", 0)), int(fields.get("bytes", "0").split("/")[0])


def test_it_keeps_the_store_protocol() -> None:
    """The conformance kit finds nothing wrong, in virtual time."""
    check_store(partial(MemoryStore, max_bytes=64 * 1024), max_bytes=64 * 1024)


def test_it_keeps_the_store_protocol_on_the_wall_clock() -> None:
    """The conformance kit finds nothing wrong with real clocks and threads."""
    check_store(MemoryStore, realtime=True)


@pytest.mark.anyio
async def test_buckets_that_are_full_again_are_forgotten() -> None:
    """A store that sees ever new keys holds those of the recent past only."""
    store = MemoryStore()
    for second in range(10_000):
        await store.take([bucket(f"user {second}", 10)])
        await anyio.sleep(1)
    assert held(store)[0] <= 128  # those of 10 seconds, and what may come until the next sweep


@pytest.mark.anyio
async def test_expired_values_are_forgotten_unasked() -> None:
    """A value whose time is over makes room though nobody asks for it again."""
    store = MemoryStore()
    for second in range(10_000):
        await store.put(f"answer {second}", b"x", ttl=10)
        await anyio.sleep(1)
    assert held(store)[1] <= 128


@pytest.mark.anyio
async def test_it_never_holds_more_than_max_bytes() -> None:
    """Buckets and values together, however many, stay within the bound."""
    store = MemoryStore(max_bytes=100_000)
    for number in range(2000):
        await store.take([bucket(f"user {number}", 5, refill=1e-6)])
        await store.put(f"answer {number}", bytes(number), ttl=1e6)
        assert held(store)[2] <= 100_000
    await store.delete("answer 1999")
    assert held(store)[0] > 0


@pytest.mark.anyio
async def test_values_go_before_buckets() -> None:
    """What only costs another request is dropped before what keeps a limit."""
    store = MemoryStore(max_bytes=2000)
    await store.put("a", bytes(1000), ttl=60)
    for number in range(5):
        await store.take([bucket(f"{number}", 10)])
    assert await store.get("a") is None
    assert held(store)[0] == 5


@pytest.mark.anyio
async def test_the_buckets_nearest_to_full_go_first() -> None:
    """Where buckets have to go, the emptiest stays the longest."""
    store = MemoryStore(max_bytes=2600)
    await store.take([bucket("empty", 10)])
    for number in range(20):
        await store.take([bucket(f"{number}", 1)])
    assert not (await store.take([bucket("empty", 10)])).granted
    assert held(store)[0] < 11


@pytest.mark.anyio
async def test_deleted_and_replaced_values_give_their_room_back() -> None:
    """The count of bytes is that of what is kept."""
    store = MemoryStore()
    for size in (100, 50, 1000):
        await store.put("a", bytes(size), ttl=1)
    assert held(store) == (0, 1, 256 + 1 + 1000)
    await anyio.sleep(2)
    assert await store.get("a") is None
    assert await store.swap("b", None, b"x", ttl=1)
    assert await store.swap("b", b"x", None, ttl=1)
    assert held(store) == (0, 0, 0)


def test_event_loops_that_follow_each_other_share_one_time() -> None:
    """What one event loop took is missing in the next, whose clock counts from elsewhere, and flows in meanwhile."""
    store = MemoryStore()

    async def empty() -> None:
        assert (await store.take([bucket(amount=10, refill=0.001)])).granted

    async def look() -> float:
        return (await store.take([bucket(refill=0.001)])).wait

    asyncio.run(empty())
    assert asyncio.run(look()) == pytest.approx(1000, abs=5)
    assert trio.run(look) == pytest.approx(1000, abs=5)


@pytest.mark.anyio
async def test_it_never_waits() -> None:
    """A step is done without giving others a turn, so nothing can be cancelled in the middle of it."""
    store = MemoryStore()
    with anyio.CancelScope() as scope:
        scope.cancel()
        assert (await store.take([bucket(amount=10)])).granted
        await store.put("a", b"x", ttl=1)
        assert await store.get("a") == b"x"
    assert not scope.cancelled_caught


@pytest.mark.anyio
async def test_a_closed_store_has_let_go() -> None:
    """After aclose nothing is held, and the error says why nothing works."""
    store = MemoryStore()
    await store.put("a", b"x", ttl=1)
    await store.aclose()
    assert "closed" in repr(store)
    with pytest.raises(StoreError, match="closed"):
        await store.get("a")


def test_a_bound_without_room_is_refused() -> None:
    """The error names the field, what it is, and what would do."""
    with pytest.raises(ValueError, match="max_bytes must have room for one entry of 256 bytes, not 100"):
        MemoryStore(max_bytes=100)


def test_the_overhead_counted_is_no_less_than_the_real_one() -> None:
    """An entry's objects, key and value apart, are not larger than what is counted for them."""
    entry = (b"", 1.0)
    slot_of_an_ordered_dict = 8 + 24 + 7 * 8
    empty_objects = sys.getsizeof("") + sys.getsizeof(b"") + sys.getsizeof(1.0) + sys.getsizeof(entry)
    assert empty_objects + slot_of_an_ordered_dict <= 256 + sys.getsizeof("")


def account(key: str, amount: int = 1, *, ttl: float = 3600) -> Account:
    return Account(key=key, limit=100, amount=amount, ttl=ttl)


@pytest.mark.anyio
async def test_accounts_of_past_windows_are_forgotten() -> None:
    """A store that sees ever new windows holds those that can still be settled, and no more."""
    store = MemoryStore()
    for hour in range(3000):
        await store.reserve(f"call {hour}", [account(f"spent in hour {hour}")], lease=60)
        await store.settle(f"call {hour}", [f"spent in hour {hour}"], 1)
        await anyio.sleep(3600)
    assert len(store._accounts) <= 25 + 64
    assert store._accounts.bytes < 25_000 + 64 * 300


@pytest.mark.anyio
async def test_money_is_never_dropped_for_room() -> None:
    """Values and buckets make room for accounts; where that is not enough, nothing more can be reserved."""
    store = MemoryStore(max_bytes=20_000)
    await store.put("value", bytes(1000), ttl=1e6)
    await store.take([Bucket(key="bucket", capacity=1e6, refill=1, amount=1e6)])
    reserved = 0
    with pytest.raises(StoreError, match="no room for more accounts within max_bytes=20000"):
        for user in range(1000):
            await store.reserve(f"{user}", [account(f"user {user}")], lease=60)
            reserved += 1
    assert 30 <= reserved <= 40
    assert held(store)[:2] == (0, 0)
    assert await store.balances([f"user {user}" for user in range(reserved)]) == [Balance(reserved=1)] * reserved
    for _ in range(2):
        await anyio.sleep(86400)
    for user in range(30):
        await store.reserve(f"later {user}", [account(f"later {user}")], lease=60)

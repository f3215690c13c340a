"""What ``check_store`` does to a store, scenario by scenario."""

import asyncio
import threading
from collections.abc import Callable, Coroutine

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec

from ..stores import StoreError
from . import _check_store_accounts as accounts
from ._check_store_trial import Calls, StoreTrial

# Per second: nothing flows in while a scenario lasts, as far as it matters.
DRIP = 1e-3


class StoreScenario(msgspec.Struct, frozen=True):
    """One thing done to a store. The title tells what."""

    title: str
    play: Callable[[StoreTrial], Coroutine[object, object, None]]


async def _empty(trial: StoreTrial) -> None:
    await trial.expect_granted(trial.bucket("a", 10))
    wait = await trial.expect_refused(trial.bucket("a", 4), wait=0.4)
    if trial.realtime:
        await anyio.sleep(wait + trial.slack)
    else:
        await anyio.sleep(wait / 2)
        await trial.expect_refused(trial.bucket("a", 4), wait=wait / 2)
        await anyio.sleep(wait / 2)
    await trial.expect_granted(trial.bucket("a", 4))


async def _full(trial: StoreTrial) -> None:
    await trial.expect_granted(trial.bucket("a", 3))
    # Twice as long as it takes to fill: no more than the capacity is there.
    await anyio.sleep(0.6)
    await trial.expect_granted(trial.bucket("a", 10))
    await trial.expect_refused(trial.bucket("a", 5), wait=0.5)


async def _several(trial: StoreTrial) -> None:
    plenty, scarce = trial.bucket("plenty", 6, refill=DRIP), trial.bucket("scarce", 10)
    await trial.expect_granted(plenty, scarce)
    await trial.expect_refused(trial.bucket("plenty", 4, refill=DRIP), trial.bucket("scarce", 10), wait=1.0, index=1)
    await trial.expect_granted(trial.bucket("plenty", 4, refill=DRIP))
    await trial.expect_granted()


async def _longest(trial: StoreTrial) -> None:
    await trial.expect_granted(trial.bucket("a", 10), trial.bucket("b", 10, refill=5), trial.bucket("c", 10))
    await trial.expect_refused(
        trial.bucket("a", 10), trial.bucket("b", 10, refill=5), trial.bucket("c", 10), wait=2.0, index=1
    )


async def _one_bucket_twice(trial: StoreTrial) -> None:
    await trial.expect_granted(trial.bucket("a", 2))
    await trial.expect_refused(trial.bucket("a", 5), trial.bucket("a", 5), wait=0.2, index=1)
    await trial.store.adjust([trial.bucket("a", 1), trial.bucket("a", 1)])
    await trial.expect_granted(trial.bucket("a", 5), trial.bucket("a", 5))
    await trial.expect_refused(trial.bucket("a", 1), wait=0.1)


async def _oversize(trial: StoreTrial) -> None:
    await trial.expect_granted(trial.bucket("a", 2))
    # More than the capacity waits for a full bucket ...
    wait = await trial.expect_refused(trial.bucket("a", 15), wait=0.2)
    await anyio.sleep(wait + (trial.slack if trial.realtime else 0))
    await trial.expect_granted(trial.bucket("a", 15))
    # ... and leaves it in debt, where not even nothing is granted.
    await trial.expect_refused(trial.bucket("a", 0), wait=0.5)
    await trial.expect_refused(trial.bucket("a", 1), wait=0.6)


async def _correct(trial: StoreTrial) -> None:
    await trial.expect_granted(trial.bucket("a", 10))
    await trial.store.adjust([trial.bucket("a", 6)])
    await trial.expect_granted(trial.bucket("a", 6))
    await trial.store.adjust([trial.bucket("a", 1000)])
    await trial.expect_granted(trial.bucket("a", 10))
    await trial.store.adjust([trial.bucket("a", -5), trial.bucket("b", -20)])
    await trial.expect_refused(trial.bucket("a", 1), wait=0.6)
    await trial.expect_refused(trial.bucket("b", 1), wait=1.1)
    await trial.store.adjust([])


async def _values(trial: StoreTrial) -> None:
    store, key = trial.store, trial.key("a")
    await trial.expect_granted(trial.bucket("a", 10))
    trial.expect((seen := await store.get(key)) is None, "None for a key that was never put", seen)
    everything = bytes(range(256)) * 64
    for value in (b"first", everything, b""):
        await store.put(key, value, ttl=60)
        trial.expect((seen := await store.get(key)) == value, f"{value[:8]!r}... as it was put", seen)
    await store.put(trial.key("b\0\n ü"), b"other", ttl=60)
    await store.delete(key)
    await store.delete(key)
    trial.expect((seen := await store.get(key)) is None, "None after a delete", seen)
    trial.expect((seen := await store.get(trial.key("b\0\n ü"))) == b"other", "other keys untouched", seen)
    await trial.expect_refused(trial.bucket("a", 10), wait=1.0)


async def _time_to_live(trial: StoreTrial) -> None:
    store, key, renewed = trial.store, trial.key("a"), trial.key("b")
    await store.put(key, b"short", ttl=0.5)
    await store.put(renewed, b"short", ttl=0.5)
    await store.put(renewed, b"long", ttl=60)
    trial.expect((seen := await store.get(key)) == b"short", "the value, before its time is over", seen)
    await anyio.sleep(0.5 + trial.slack)
    trial.expect((seen := await store.get(key)) is None, "None, after its time is over", seen)
    trial.expect((seen := await store.get(renewed)) == b"long", "a value that was put anew", seen)
    trial.expect(await store.swap(key, None, b"new", ttl=0.5), "a value that is over swapped as nothing", False)
    await anyio.sleep(0.5 + trial.slack)
    trial.expect((seen := await store.get(key)) is None, "None, after the time given to swap is over", seen)


async def _swap(trial: StoreTrial) -> None:
    store, key = trial.store, trial.key("a")
    steps: list[tuple[bytes | None, bytes | None, bytes | None, bool]] = [
        (b"", b"no", None, False),
        (None, None, None, True),
        (None, b"", b"", True),
        (None, b"no", b"", False),
        (b"", b"one", b"one", True),
        (b"two", b"no", b"one", False),
        (b"two", None, b"one", False),
        (b"one", None, None, True),
    ]
    for expected, value, left, swapped in steps:
        seen = await store.swap(key, expected, value, ttl=60)
        trial.expect(seen == swapped, f"swap of {expected!r} by {value!r} to be {swapped}", seen)
        trial.expect((kept := await store.get(key)) == left, f"{left!r} kept afterwards", kept)


async def _contend(trial: StoreTrial) -> None:
    granted = 0
    key = trial.key("counter")

    async def work() -> None:
        nonlocal granted
        for _ in range(5):
            taken = await trial.store.take([trial.bucket("a", 1, refill=DRIP), trial.bucket("b", 1, refill=DRIP)])
            granted += taken.granted
            await anyio.lowlevel.checkpoint()
        await _count(trial, key)

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(work)
    trial.expect(granted == 10, "10 grants from a bucket of 10, to tasks that race", granted)
    trial.expect((seen := await trial.store.get(key)) == b"10", "10 swaps of tasks that race, none lost", seen)


async def _count(trial: StoreTrial, key: str) -> None:
    while True:
        kept = await trial.store.get(key)
        await anyio.lowlevel.checkpoint()
        if await trial.store.swap(key, kept, str(int(kept or b"0") + 1).encode(), ttl=60):
            return


async def _threads(trial: StoreTrial) -> None:
    granted: list[int] = []
    failed: list[Exception] = []

    async def work() -> None:
        count = 0
        for _ in range(20):
            count += (await trial.store.take([trial.bucket("a", 1, refill=DRIP)])).granted
        granted.append(count)

    def run() -> None:
        try:
            asyncio.run(work())
        except Exception as error:  # noqa: BLE001 # told below, by the thread that can
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await anyio.to_thread.run_sync(thread.join)
    trial.expect(not failed, "a store that the event loops of several threads can share", failed)
    trial.expect(sum(granted) == 10, "10 grants from a bucket of 10, to threads that race", granted)


async def _cancel(trial: StoreTrial) -> None:
    both = [trial.bucket("a", 1, capacity=100, refill=DRIP), trial.bucket("b", 1, capacity=100, refill=DRIP)]
    for checkpoints in range(8):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(trial.store.take, both)
            for _ in range(checkpoints):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    await expect_same(trial, both[0].key, both[1].key)


async def expect_same(trial: StoreTrial, one: str, other: str) -> None:
    """Raise unless as much was taken from one bucket (of 100, with ``DRIP``) as from the other."""
    missing: list[float] = []
    for key in (one, other):
        for amount in range(101):
            left = msgspec.structs.replace(trial.bucket("", 100 - amount, capacity=100, refill=DRIP), key=key)
            if (await trial.store.take([left])).granted:
                missing.append(amount)
                break
    trial.expect(missing[0] == missing[1], "a whole step or none", f"{missing} missing from two buckets")


async def _bad_input(trial: StoreTrial) -> None:
    store, key = trial.store, trial.key("a")
    nan, infinity = float("nan"), float("inf")
    wrong: Calls = [
        ("a capacity of 0", lambda: store.take([trial.bucket("a", 1, capacity=0)])),
        ("a refill of 0", lambda: store.take([trial.bucket("a", 1, refill=0)])),
        ("a negative amount taken", lambda: store.take([trial.bucket("a", -1)])),
        ("an amount that is no number", lambda: store.take([trial.bucket("a", nan)])),
        ("an infinite correction", lambda: store.adjust([trial.bucket("a", infinity)])),
        ("a ttl of 0", lambda: store.put(key, b"", ttl=0)),
        ("an infinite ttl", lambda: store.put(key, b"", ttl=infinity)),
        ("a ttl that is no number", lambda: store.swap(key, None, b"", ttl=nan)),
    ]
    await trial.expect_raised(ValueError, "for {}", wrong)


async def _closed(trial: StoreTrial) -> None:
    store, key = trial.store, trial.key("a")
    await store.put(key, b"kept", ttl=60)
    await store.aclose()
    await store.aclose()
    calls: Calls = [
        ("take", lambda: store.take([trial.bucket("a", 1)])),
        ("adjust", lambda: store.adjust([trial.bucket("a", 1)])),
        ("get", lambda: store.get(key)),
        ("put", lambda: store.put(key, b"", ttl=60)),
        ("swap", lambda: store.swap(key, None, b"", ttl=60)),
        ("delete", lambda: store.delete(key)),
    ]
    await trial.expect_raised(StoreError, "from {} after aclose", calls)


async def check_room(trial: StoreTrial, max_bytes: int) -> None:
    """Fill a store beyond ``max_bytes``: the least recently used go, and nothing else."""
    store = trial.store
    value = bytes(max_bytes // 4)
    for name in "abc":
        await store.put(trial.key(name), value, ttl=60)
    await store.get(trial.key("a"))
    await store.put(trial.key("d"), value, ttl=60)
    kept = [name for name in "abcd" if await store.get(trial.key(name)) is not None]
    trial.expect(kept == ["a", "c", "d"], "the least recently used value dropped: a, c and d kept", kept)
    await store.put(trial.key("e"), bytes(max_bytes + 1), ttl=60)
    trial.expect(await store.get(trial.key("e")) is None, "a value that is too large not kept", "it is")


SCENARIOS = (
    StoreScenario("a bucket is emptied, and flows full", _empty),
    StoreScenario("a bucket is left alone for longer than it takes to fill", _full),
    StoreScenario("several buckets, of which one has too little", _several),
    StoreScenario("several buckets, of which all have too little", _longest),
    StoreScenario("more than the capacity is taken", _oversize),
    StoreScenario("takings are corrected", _correct),
    StoreScenario("one bucket twice in a step", _one_bucket_twice),
    StoreScenario("values are put, replaced and deleted", _values),
    StoreScenario("values run out", _time_to_live),
    StoreScenario("values are swapped", _swap),
    StoreScenario("tasks race", _contend),
    StoreScenario("threads race", _threads),
    StoreScenario("callers are cancelled", _cancel),
    StoreScenario("arguments mean nothing", _bad_input),
    StoreScenario("the store is closed", _closed),
)

ACCOUNT_SCENARIOS = (
    StoreScenario("money is reserved and settled", accounts.settle),
    StoreScenario("money is settled twice", accounts.settle_twice),
    StoreScenario("money is reserved on several accounts", accounts.several),
    StoreScenario("amounts are as large as can be", accounts.exact),
    StoreScenario("reservations run out", accounts.lapse),
    StoreScenario("windows end", accounts.keep),
    StoreScenario("accounts are reset", accounts.reset),
    StoreScenario("tasks race for money", accounts.race),
    StoreScenario("callers that reserve and settle are cancelled", accounts.cancel),
    StoreScenario("amounts mean nothing", accounts.mean_nothing),
    StoreScenario("the store is closed, and asked for money", accounts.closed),
)

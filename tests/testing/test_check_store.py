"""The conformance kit for stores: each fault is found, in the scenario that is about it."""

import time
from collections.abc import Callable, Sequence
from functools import partial

import anyio
import anyio.lowlevel
import pytest

from liter.stores import Account, Balance, Bucket, MemoryStore, Reserved, StoreError, Taken
from liter.testing import StoreConformanceError, check_store

ROOM = 64 * 1024


class OneByOne(MemoryStore):
    """Takes from the first buckets though a later one refuses."""

    async def take(self, buckets: Sequence[Bucket]) -> Taken:
        for index, bucket in enumerate(buckets):
            taken = await super().take([bucket])
            if not taken.granted:
                return Taken(granted=False, wait=taken.wait, bucket=index)
        return Taken(granted=True)


class FirstRefusal(MemoryStore):
    """Tells of the first bucket that refuses, not of the one to wait for the longest."""

    async def take(self, buckets: Sequence[Bucket]) -> Taken:
        for index, bucket in enumerate(buckets):
            taken = await super().take([bucket])
            if not taken.granted:
                for other in buckets[:index]:
                    await self.adjust([other])
                return Taken(granted=False, wait=taken.wait, bucket=index)
        return Taken(granted=True)


class RoundedWaits(MemoryStore):
    """Tells to wait a little shorter than it takes."""

    async def take(self, buckets: Sequence[Bucket]) -> Taken:
        taken = await super().take(buckets)
        return taken if taken.granted else Taken(granted=False, wait=taken.wait * 0.9, bucket=taken.bucket)


class NeverOversize(MemoryStore):
    """Refuses for good what is more than the capacity."""

    async def take(self, buckets: Sequence[Bucket]) -> Taken:
        if any(bucket.amount > bucket.capacity for bucket in buckets):
            return Taken(granted=False, wait=3600, bucket=0)
        return await super().take(buckets)


class NoCorrection(MemoryStore):
    """Ignores what is given back."""

    async def adjust(self, buckets: Sequence[Bucket]) -> None:
        pass


class Forever(MemoryStore):
    """Keeps values for longer than told."""

    async def put(self, key: str, value: bytes, *, ttl: float) -> None:
        await super().put(key, value, ttl=ttl * 10)


class Deaf(MemoryStore):
    """Does not forget what is deleted."""

    async def delete(self, key: str) -> None:
        pass


class BlindSwap(MemoryStore):
    """Swaps whatever is kept."""

    async def swap(self, key: str, expected: bytes | None, value: bytes | None, *, ttl: float) -> bool:
        return await super().swap(key, await self.get(key), value, ttl=ttl)


class SlowSwap(MemoryStore):
    """Gives others a turn between looking and swapping."""

    async def swap(self, key: str, expected: bytes | None, value: bytes | None, *, ttl: float) -> bool:
        if await self.get(key) != expected:
            return False
        await anyio.lowlevel.checkpoint()
        return await super().swap(key, await self.get(key), value, ttl=ttl)


class SlowTake(MemoryStore):
    """Can be cancelled between two buckets."""

    async def take(self, buckets: Sequence[Bucket]) -> Taken:
        looked = await super().take(buckets)
        if looked.granted and len(buckets) == 2 and buckets[0].capacity == 100:
            await self.adjust(buckets[1:])
            await anyio.lowlevel.checkpoint()
            await super().take(buckets[1:])
        return looked


class OneLoop(MemoryStore):
    """Serves only the event loop that was first."""

    def __init__(self) -> None:
        super().__init__()
        self._only: object = None

    async def take(self, buckets: Sequence[Bucket]) -> Taken:
        loop = anyio.lowlevel.current_token()
        if self._only is None:
            self._only = loop
        if self._only != loop:
            raise RuntimeError("another event loop")
        return await super().take(buckets)


class Lenient(MemoryStore):
    """Takes a time to live of 0 for nothing to do."""

    async def put(self, key: str, value: bytes, *, ttl: float) -> None:
        if ttl > 0:
            await super().put(key, value, ttl=ttl)


class Undead(MemoryStore):
    """Goes on after it was closed."""

    async def aclose(self) -> None:
        pass


class OldestFirst(MemoryStore):
    """Drops what was put first, however recently it was used."""

    async def get(self, key: str) -> bytes | None:
        kept = self._values.get(key)
        return await super().get(key) if kept is None or len(kept[0]) < 1024 else kept[0]


class Broken(MemoryStore):
    """Fails."""

    async def get(self, key: str) -> bytes | None:
        raise StoreError("out of order")


class CheckThenAdd(MemoryStore):
    """Gives others a turn between looking whether it fits and reserving."""

    async def reserve(self, name: str, accounts: Sequence[Account], *, lease: float) -> Reserved:
        balances = await self.balances([account.key for account in accounts])
        for index, (account, balance) in enumerate(zip(accounts, balances, strict=True)):
            if balance.spent + balance.reserved + account.amount > account.limit:
                return Reserved(granted=False, account=index, balances=tuple(balances))
        await anyio.lowlevel.checkpoint()
        unlimited = [
            Account(key=account.key, limit=9 * 10**18, amount=account.amount, ttl=account.ttl) for account in accounts
        ]
        return await super().reserve(name, unlimited, lease=lease)


class Doubles(MemoryStore):
    """Counts in floating point."""

    async def balances(self, keys: Sequence[str]) -> list[Balance]:
        exact = await super().balances(keys)
        return [Balance(spent=int(float(each.spent)), reserved=int(float(each.reserved))) for each in exact]

    async def reserve(self, name: str, accounts: Sequence[Account], *, lease: float) -> Reserved:
        answer = await super().reserve(name, accounts, lease=lease)
        balances = await self.balances([account.key for account in accounts])
        return Reserved(granted=answer.granted, account=answer.account, balances=tuple(balances))


class SettlesTwice(MemoryStore):
    """Counts what is settled once more."""

    async def settle(self, name: str, keys: Sequence[str], amount: int) -> list[Balance] | None:
        if await super().settle(name, keys, amount) is None:
            # As if it had been reserved.
            accounts = [Account(key=key, limit=9 * 10**18, amount=0, ttl=60) for key in keys]
            await super().reserve(name, accounts, lease=60)
            await super().settle(name, keys, amount)
        return await self.balances(keys)


class ForgetsTheSlow(MemoryStore):
    """Does not count what is settled after the lease."""

    async def settle(self, name: str, keys: Sequence[str], amount: int) -> list[Balance] | None:
        if not await super().renew(name, keys, lease=60):
            return None
        return await super().settle(name, keys, amount)


class HoldsForever(MemoryStore):
    """Reservations of the dead stay."""

    async def reserve(self, name: str, accounts: Sequence[Account], *, lease: float) -> Reserved:
        return await super().reserve(name, accounts, lease=lease * 100)


class ResetsAll(MemoryStore):
    """Forgets what is reserved with what was spent."""

    async def reset(self, keys: Sequence[str]) -> None:
        await super().reset(keys)
        self._accounts.clear()


class SlowSettle(MemoryStore):
    """Can be cancelled between two accounts."""

    async def settle(self, name: str, keys: Sequence[str], amount: int) -> list[Balance] | None:
        if amount != 2:
            return await super().settle(name, keys, amount)
        for key in keys:
            await super().settle(name, [key], amount)
            await anyio.lowlevel.checkpoint()
        return await self.balances(keys)


@pytest.mark.parametrize(
    ("make_store", "scenario"),
    [
        (OneByOne, "several buckets, of which one has too little"),
        (FirstRefusal, "several buckets, of which all have too little"),
        (RoundedWaits, "a bucket is emptied, and flows full"),
        (NeverOversize, "more than the capacity is taken"),
        (NoCorrection, "takings are corrected"),
        (Forever, "values run out"),
        (Deaf, "values are put, replaced and deleted"),
        (BlindSwap, "values are swapped"),
        (SlowSwap, "tasks race"),
        (SlowTake, "callers are cancelled"),
        (OneLoop, "threads race"),
        (Lenient, "arguments mean nothing"),
        (Undead, "the store is closed"),
        (CheckThenAdd, "tasks race for money"),
        (Doubles, "amounts are as large as can be"),
        (SettlesTwice, "money is settled twice"),
        (ForgetsTheSlow, "reservations run out"),
        (HoldsForever, "reservations run out"),
        (ResetsAll, "money is reserved on several accounts"),
        (SlowSettle, "callers that reserve and settle are cancelled"),
        (partial(OldestFirst, max_bytes=ROOM), "room is needed"),
        (Broken, "values are put, replaced and deleted"),
    ],
)
def test_a_fault_is_found_and_told(make_store: Callable[[], MemoryStore], scenario: str) -> None:
    """A store that breaks the protocol fails the scenario about it, which the error names."""
    with pytest.raises(StoreConformanceError) as caught:
        check_store(make_store, max_bytes=ROOM if scenario == "room is needed" else None)
    assert caught.value.scenario == scenario
    assert caught.value.backend == "asyncio"
    assert scenario in str(caught.value)


def test_stores_that_share_nothing_are_found() -> None:
    """Two processes with a store of their own each pass the limit together."""
    with pytest.raises(StoreConformanceError) as caught:
        check_store(MemoryStore, realtime=True, processes=True)
    assert caught.value.scenario == "two processes"


class RealClock(MemoryStore):
    """Works on the wall clock only."""

    async def take(self, buckets: Sequence[Bucket]) -> Taken:
        began = time.monotonic()
        await anyio.sleep(0.001)
        if time.monotonic() - began < 0.001:
            raise RuntimeError("virtual time")
        return await super().take(buckets)


def test_time_is_virtual_unless_asked_otherwise() -> None:
    """A store that needs the wall clock is found not to work without ``realtime``."""
    with pytest.raises(StoreConformanceError, match="virtual time"):
        check_store(RealClock)


def test_options_that_cannot_be_are_refused() -> None:
    """The errors say what to give."""
    with pytest.raises(ValueError, match="give realtime=True with processes=True"):
        check_store(MemoryStore, processes=True)
    with pytest.raises(ValueError, match="max_bytes must be 16 KiB or more"):
        check_store(MemoryStore, max_bytes=1000)

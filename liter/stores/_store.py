"""The store protocol: where layers keep what several calls share. Each method is one atomic step."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec

from ._account import Account, Balance, Reserved


class StoreError(Exception):
    """A store cannot be reached, or failed. Layers say by ``on_store_error`` what then happens to calls."""


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """A token bucket and what is wanted of it. A key that was never used, or not for long, is full.

    :param key: its name; two buckets of one name must agree on ``capacity`` and ``refill``
    :param capacity: the most it holds
    :param refill: what flows in, per second, until it is full
    :param amount: how much is wanted, or given back
    """

    key: str
    capacity: float
    refill: float
    amount: float


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to ``take``.

    :param granted: whether all was taken; if not, nothing was
    :param wait: seconds until the same would be granted, if nobody else takes any; 0.0 when it was
    :param bucket: index of the bucket that one has to wait for the longest; ``None`` when it was granted
    """

    granted: bool
    wait: float = 0.0
    bucket: int | None = None


class Store(Protocol):
    """What every store does. Times are seconds by the store's own clock, the same for all who share it.

    :raises StoreError: from every method: the store cannot be reached, or failed
    """

    async def take(self, buckets: Sequence[Bucket]) -> Taken:
        """Take from all buckets, or from none.

        More than a bucket's capacity is granted when it is full, and leaves it in debt.
        """
        ...

    async def adjust(self, buckets: Sequence[Bucket]) -> None:
        """Correct after the fact: give ``amount`` back, no fuller than full, or take a negative one, into debt."""
        ...

    async def get(self, key: str) -> bytes | None:
        """Return what is kept under ``key``; ``None`` if nothing is, or its time is over."""
        ...

    async def put(self, key: str, value: bytes, *, ttl: float) -> None:
        """Keep ``value`` for ``ttl`` seconds. The least recently used are dropped where room is needed."""
        ...

    async def swap(self, key: str, expected: bytes | None, value: bytes | None, *, ttl: float) -> bool:
        """Replace ``expected`` by ``value`` if it is what is kept now; ``None`` is nothing. Returns whether it was."""
        ...

    async def delete(self, key: str) -> None:
        """Forget ``key``."""
        ...

    async def reserve(self, name: str, accounts: Sequence[Account], *, lease: float) -> Reserved:
        """Reserve on all accounts, or on none: each must hold ``spent + reserved + amount <= limit`` afterwards.

        What is reserved and not settled, renewed or released within ``lease`` lapses. Accounts are forgotten when
        they are needed no longer, and never dropped for room before.

        :param name: the reservation's own, never used before and never again
        """
        ...

    async def settle(self, name: str, keys: Sequence[str], amount: int) -> list[Balance] | None:
        """Turn what was reserved on these accounts into ``amount`` spent, less or more; 0 releases it.

        It counts in full, whatever the limit. One that lapsed within the last day is counted, too. Returns what is on
        the accounts afterwards; ``None`` where it is not known, as it was settled before: then nothing changes.
        """
        ...

    async def renew(self, name: str, keys: Sequence[str], *, lease: float) -> bool:
        """Hold a reservation for ``lease`` seconds from now. Returns false where it has lapsed, or was settled."""
        ...

    async def balances(self, keys: Sequence[str]) -> list[Balance]:
        """Return what is on each of these accounts."""
        ...

    async def reset(self, keys: Sequence[str]) -> None:
        """Forget what was spent on these accounts. What is reserved stays, and counts when it is settled."""
        ...

    async def aclose(self) -> None:
        """Let go of files and connections. What is kept stays, where the store outlives the process."""
        ...


S = TypeVar("S")

_STEPS = ("take", "get", "reserve", "append")


def checked_store(store: S) -> S:
    """Check an argument ``store`` of a layer. :raises ValueError: it is none, as the address of one"""
    if store is not None and (isinstance(store, type) or not any(hasattr(store, step) for step in _STEPS)):
        raise ValueError(
            "store must be a store, as MemoryStore(), SqliteStore('state.db') or RedisStore('redis://host'), "
            f"not {store!r}"
        )
    return store


def check_on_store_error(on_store_error: str) -> None:
    """Check an argument. :raises ValueError: it is neither of the two"""
    if on_store_error not in ("open", "closed"):
        raise ValueError(f"on_store_error must be 'open' or 'closed', not {on_store_error!r}")

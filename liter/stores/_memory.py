"""The store of one process: dictionaries under a lock."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice

from .._loop import EventLoop
from .._number import is_number
from . import _gcra
from ._account import Account, Balance, Reserved, check_accounts, check_keys, check_lease, check_settled
from ._memory_accounts import MemoryAccounts
from ._store import Bucket, StoreError, Taken

MEBIBYTE = 1024 * 1024

# What an entry takes beside its key and value: the objects themselves and their place in a dictionary,
# by sys.getsizeof on CPython 3.11, rounded up.
ENTRY_OVERHEAD = 256


class MemoryStore:
    """Keeps everything in this process: the default of every layer that needs a store.

    All event loops and threads of the process may share it. No method ever waits, or is a checkpoint. Time is the
    event loop's, so in virtual time it is virtual; a store is then for one run only, as each begins anew.

    Memory is bounded by ``max_bytes`` for all that is kept, keys and an overhead of 256 bytes per entry counted.
    Expired values and buckets that are full again are forgotten. Where that does not make enough room, first the least
    recently used values go, then the buckets nearest to full, and their limits grant what they should not. Accounts
    of money are never dropped while they are needed: where they leave no room, ``reserve`` raises ``StoreError``.

    Not for several processes, which would each have their own: use ``SqliteStore`` or ``RedisStore``.

    :param max_bytes: the most to keep, in bytes; 64 MiB by default
    """

    def __init__(self, *, max_bytes: int = 64 * MEBIBYTE) -> None:
        if not (is_number(max_bytes) and max_bytes >= ENTRY_OVERHEAD):
            raise ValueError(f"max_bytes must have room for one entry of {ENTRY_OVERHEAD} bytes, not {max_bytes!r}")
        self._max_bytes = max_bytes
        # Steps are short and call nothing of others', so a loop that waits for one waits for microseconds.
        self._lock = threading.Lock()
        self._full_at: dict[str, float] = {}
        self._values: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._bytes = 0
        self._accounts = MemoryAccounts(ENTRY_OVERHEAD)
        # How many entries may be added until the next sweep: as many as outlived the last one, so that sweeping
        # costs each of them O(1).
        self._until_sweep = 64
        self._closed = False

    def __repr__(self) -> str:
        told = ["closed"] if self._closed else []
        kept = {"buckets": len(self._full_at), "values": len(self._values), "accounts": len(self._accounts)}
        told += [f"{name}={count}" for name, count in kept.items() if count]
        if size := self._bytes + self._accounts.bytes:
            told.append(f"bytes={size}/{self._max_bytes}")
        return f"{type(self).__name__}({', '.join(told)})"

    async def take(self, buckets: Sequence[Bucket]) -> Taken:
        """Take from all buckets, or from none: see :meth:`Store.take`."""
        _gcra.check_buckets(buckets, taken=True)
        return self.take_nowait(buckets, _now())

    def take_nowait(self, buckets: Sequence[Bucket], now: float) -> Taken:
        """As :meth:`take`, at the time ``now``, by ``EventLoop.now()``, from buckets that were checked."""
        with self._lock:
            if self._closed:
                self._check_open()
            taken, changed = _gcra.take(buckets, self._full_at, now)
            if changed:
                self._keep_buckets(changed, now)
        return taken

    async def adjust(self, buckets: Sequence[Bucket]) -> None:
        """Give back, or take into debt: see :meth:`Store.adjust`."""
        _gcra.check_buckets(buckets, taken=False)
        self.adjust_nowait(buckets, _now())

    def adjust_nowait(self, buckets: Sequence[Bucket], now: float) -> None:
        """As :meth:`adjust`, at the time ``now``, by ``EventLoop.now()``, of buckets that were checked."""
        with self._lock:
            if self._closed:
                self._check_open()
            self._keep_buckets(_gcra.adjust(buckets, self._full_at, now), now)

    async def get(self, key: str) -> bytes | None:
        """Return what is kept under ``key``, or ``None``."""
        return self.get_nowait(key)

    def get_nowait(self, key: str) -> bytes | None:
        """As :meth:`get`."""
        with self._lock:
            if self._closed or key in self._values:
                self._check_open()
                return self._get(key, _now())
        return None

    async def put(self, key: str, value: bytes, *, ttl: float) -> None:
        """Keep ``value`` for ``ttl`` seconds. One that alone is more than ``max_bytes`` is not kept."""
        _gcra.check_ttl(ttl)
        self.put_nowait(key, value, ttl, _now())

    def put_nowait(self, key: str, value: bytes, ttl: float, now: float) -> None:
        """As :meth:`put`, at the time ``now``, by ``EventLoop.now()``, with a ``ttl`` that was checked."""
        with self._lock:
            if self._closed:
                self._check_open()
            self._put(key, value, ttl, now)

    async def swap(self, key: str, expected: bytes | None, value: bytes | None, *, ttl: float) -> bool:
        """Replace ``expected`` by ``value``, if it is what is kept now: see :meth:`Store.swap`."""
        _gcra.check_ttl(ttl)
        now = _now()
        with self._lock:
            self._check_open()
            if self._get(key, now) != expected:
                return False
            if value is None:
                self._delete(key)
            else:
                self._put(key, value, ttl, now)
            return True

    async def delete(self, key: str) -> None:
        """Forget ``key``."""
        with self._lock:
            self._check_open()
            self._delete(key)

    async def reserve(self, name: str, accounts: Sequence[Account], *, lease: float) -> Reserved:
        """Reserve on all accounts, or on none: see :meth:`Store.reserve`."""
        check_accounts(accounts, lease)
        now = _now()
        with self._lock:
            self._check_open()
            needed = self._accounts.size_of(name, accounts)
            if self._accounts.bytes + needed > self._max_bytes:
                self._accounts.forget(now)
                if self._accounts.bytes + needed > self._max_bytes:
                    raise StoreError(f"no room for more accounts within max_bytes={self._max_bytes}")
            self._until_sweep -= 1
            self._make_room(now, needed)
            return self._accounts.reserve(name, accounts, lease, now)

    async def settle(self, name: str, keys: Sequence[str], amount: int) -> list[Balance] | None:
        """Turn what was reserved into what was spent: see :meth:`Store.settle`."""
        check_keys(keys)
        check_settled(amount)
        now = _now()
        with self._lock:
            self._check_open()
            return self._accounts.settle(name, keys, amount, now)

    async def renew(self, name: str, keys: Sequence[str], *, lease: float) -> bool:
        """Hold a reservation for longer: see :meth:`Store.renew`."""
        check_keys(keys)
        check_lease(lease)
        now = _now()
        with self._lock:
            self._check_open()
            return self._accounts.renew(name, keys, lease, now)

    async def balances(self, keys: Sequence[str]) -> list[Balance]:
        """Return what is on accounts: see :meth:`Store.balances`."""
        now = _now()
        with self._lock:
            self._check_open()
            return self._accounts.balances(keys, now)

    async def reset(self, keys: Sequence[str]) -> None:
        """Forget what was spent: see :meth:`Store.reset`."""
        now = _now()
        with self._lock:
            self._check_open()
            self._accounts.reset(keys, now)

    async def aclose(self) -> None:
        """Forget everything. Other methods then raise ``StoreError``."""
        with self._lock:
            self._closed = True
            self._full_at.clear()
            self._values.clear()
            self._accounts.clear()
            self._bytes = 0

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")

    def _get(self, key: str, now: float) -> bytes | None:
        found = self._values.get(key)
        if found is None:
            return None
        value, expires = found
        if expires <= now:
            self._delete(key)
            return None
        self._values.move_to_end(key)
        return value

    def _put(self, key: str, value: bytes, ttl: float, now: float) -> None:
        if key in self._values:
            self._delete(key)
        self._values[key] = (value, now + ttl)
        self._bytes += ENTRY_OVERHEAD + len(key) + len(value)
        self._until_sweep -= 1
        if self._until_sweep <= 0 or self._bytes > self._max_bytes - self._accounts.bytes:
            self._make_room(now)

    def _delete(self, key: str) -> None:
        found = self._values.pop(key, None)
        if found is not None:
            self._bytes -= ENTRY_OVERHEAD + len(key) + len(found[0])

    def _keep_buckets(self, changed: dict[str, float], now: float) -> None:
        full_at = self._full_at
        known = len(full_at)
        full_at.update(changed)
        added = len(full_at) - known
        if added:
            # The last in a dictionary are those that are new to it.
            self._bytes += sum(ENTRY_OVERHEAD + len(key) for key in islice(reversed(full_at), added))
            self._until_sweep -= added
            self._make_room(now)

    def _forget_bucket(self, key: str) -> None:
        del self._full_at[key]
        self._bytes -= ENTRY_OVERHEAD + len(key)

    def _make_room(self, now: float, needed: int = 0) -> None:
        if self._until_sweep <= 0:
            for key in [key for key, full_at in self._full_at.items() if full_at <= now]:
                self._forget_bucket(key)
            for key in [key for key, (_, expires) in self._values.items() if expires <= now]:
                self._delete(key)
            self._accounts.forget(now)
            self._until_sweep = max(64, len(self._full_at) + len(self._values) + len(self._accounts))
        most = self._max_bytes - self._accounts.bytes - needed
        while self._bytes > most and self._values:
            self._delete(next(iter(self._values)))
        if self._bytes > most:
            # A quarter more than has to go, lest each new bucket sort them all.
            for key in sorted(self._full_at, key=self._full_at.__getitem__):
                self._forget_bucket(key)
                if self._bytes <= most * 3 // 4:
                    break


def _now() -> float:
    return EventLoop.current().now()

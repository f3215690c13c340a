"""The accounts of ``MemoryStore``, without its lock and its clock."""

import math
from collections.abc import Sequence

from ._account import LATE, Account, Balance, Reserved, kept_for


class _Hold:
    """A reservation on one account. ``amount`` is ``None`` once it has lapsed; it is then forgotten at ``until``."""

    __slots__ = ("amount", "until")

    def __init__(self, amount: int, until: float) -> None:
        self.amount: int | None = amount
        self.until = until


class _Kept:
    __slots__ = ("holds", "look_at", "reserved", "spent", "until")

    def __init__(self) -> None:
        self.spent = 0
        self.reserved = 0
        self.until = 0.0
        self.holds: dict[str, _Hold] = {}
        # No hold runs out before this. Most are settled long before, so it is looked at them once in a lease.
        self.look_at = math.inf

    def lapse(self, now: float) -> list[str]:
        """Let go of what ran out. Returns the names of the holds that are forgotten."""
        forgotten: list[str] = []
        if now < self.look_at:
            return forgotten
        self.look_at = math.inf
        for name, hold in list(self.holds.items()):
            if hold.until <= now and hold.amount is not None:
                self.reserved -= hold.amount
                hold.amount, hold.until = None, hold.until + LATE
            if hold.until <= now:
                del self.holds[name]
                forgotten.append(name)
            else:
                self.look_at = min(self.look_at, hold.until)
        return forgotten

    @property
    def balance(self) -> Balance:
        return Balance(spent=self.spent, reserved=self.reserved)


class MemoryAccounts:
    """Accounts by their key. The methods are those of :class:`Store`.

    :param entry_overhead: bytes that an account or a hold takes beside its name
    :ivar bytes: what all that is kept takes
    """

    def __init__(self, entry_overhead: int) -> None:
        self._accounts: dict[str, _Kept] = {}
        self._entry_overhead = entry_overhead
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._accounts)

    def size_of(self, name: str, accounts: Sequence[Account]) -> int:
        """Bytes that a reservation takes, with the accounts that are not there yet."""
        new = [account.key for account in accounts if account.key not in self._accounts]
        return self._size(*new, *[name] * len(accounts))

    def reserve(self, name: str, accounts: Sequence[Account], lease: float, now: float) -> Reserved:
        """Reserve on all accounts, or on none."""
        found = [self._find(account.key, now) or _Kept() for account in accounts]
        for index, (account, kept) in enumerate(zip(accounts, found, strict=True)):
            if kept.spent + kept.reserved + account.amount > account.limit:
                return Reserved(granted=False, account=index, balances=tuple(kept.balance for kept in found))
        self.bytes += self.size_of(name, accounts)
        for account, kept in zip(accounts, found, strict=True):
            self._accounts[account.key] = kept
            kept.until = max(kept.until, now + kept_for(account, lease))
            kept.reserved += account.amount
            kept.holds[name] = _Hold(account.amount, now + lease)
            kept.look_at = min(kept.look_at, now + lease)
        return Reserved(granted=True, balances=tuple(kept.balance for kept in found))

    def settle(self, name: str, keys: Sequence[str], amount: int, now: float) -> list[Balance] | None:
        """Turn what was reserved into what was spent."""
        settled = False
        for key in keys:
            kept = self._find(key, now)
            hold = None if kept is None else kept.holds.pop(name, None)
            if kept is not None and hold is not None:
                kept.reserved -= hold.amount or 0
                kept.spent += amount
                self.bytes -= self._size(name)
                settled = True
        return self.balances(keys, now) if settled else None

    def renew(self, name: str, keys: Sequence[str], lease: float, now: float) -> bool:
        """Hold a reservation for longer."""
        held = True
        for key in keys:
            kept = self._find(key, now)
            hold = None if kept is None else kept.holds.get(name)
            if kept is None or hold is None or hold.amount is None:
                held = False
            else:
                hold.until = now + lease
                kept.until = max(kept.until, now + lease + LATE)
        return held

    def balances(self, keys: Sequence[str], now: float) -> list[Balance]:
        """What is on the accounts."""
        found = [self._find(key, now) for key in keys]
        return [Balance() if kept is None else kept.balance for kept in found]

    def reset(self, keys: Sequence[str], now: float) -> None:
        """Forget what was spent."""
        for key in keys:
            kept = self._find(key, now)
            if kept is not None:
                kept.spent = 0

    def forget(self, now: float) -> None:
        """Drop what is over, at a cost of O(1) for each account and hold."""
        for key in list(self._accounts):
            self._find(key, now)

    def clear(self) -> None:
        """Forget everything."""
        self._accounts.clear()
        self.bytes = 0

    def _size(self, *names: str) -> int:
        return sum(self._entry_overhead + len(name) for name in names)

    def _find(self, key: str, now: float) -> _Kept | None:
        kept = self._accounts.get(key)
        if kept is None:
            return None
        if kept.until <= now:
            del self._accounts[key]
            self.bytes -= self._size(key, *kept.holds)
            return None
        self.bytes -= self._size(*kept.lapse(now))
        return kept

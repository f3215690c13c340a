"""Accounts of money, and what a store is asked about them. Amounts are whole numbers, of 1e-12 US dollars.

A reservation is held on several accounts at once. It ends by being settled, which turns what was reserved into what
was really spent; 0 gives it all back. One whose lease runs out lapses: it is reserved no longer, and lapsed ones are
remembered for a day, so that an owner who was only slow can still settle it. A reservation that is not known any
longer was settled before, so to settle twice is to settle once.
"""

import math
from collections.abc import Sequence

import msgspec

# What SQLite and Redis count exactly is below 2**63: these are 9 million US dollars.
MOST = 9 * 10**18

# Seconds for which a reservation that lapsed can still be settled.
LATE = 86400.0


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account, and what is wanted of it. One that was never used, or was forgotten, has spent nothing.

    :param key: its name; an account of a window of time has the window in it
    :param limit: the most that may be spent and reserved in it, together
    :param amount: how much is to be reserved
    :param ttl: seconds for which it is needed at least, as until its window ends; infinity is for good
    """

    key: str
    limit: int
    amount: int
    ttl: float


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What is on an account.

    :param spent: what was settled
    :param reserved: what is held by reservations that may still be settled
    """

    spent: int = 0
    reserved: int = 0


class Reserved(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to ``reserve``.

    :param granted: whether all was reserved; if not, nothing was
    :param account: index of the first account that has too little left; ``None`` when it was granted
    :param balances: what is on each account afterwards
    """

    granted: bool
    account: int | None = None
    balances: tuple[Balance, ...] = ()


def check_accounts(accounts: Sequence[Account], lease: float) -> None:
    """Raise ``ValueError`` for a reservation that means nothing."""
    for account in accounts:
        for name, amount in (("limit", account.limit), ("amount", account.amount)):
            _check_amount(f"{name} of {account.key!r}", amount)
        if not account.ttl > 0:
            raise ValueError(f"ttl of {account.key!r} must be a number of seconds above 0, not {account.ttl}")
    check_keys([account.key for account in accounts])
    check_lease(lease)


def check_keys(keys: Sequence[str]) -> None:
    """Raise ``ValueError`` where an account is named twice."""
    if len(set(keys)) < len(keys):
        raise ValueError(f"accounts must be different ones, and some are not: {', '.join(keys)}")


def check_lease(lease: float) -> None:
    """Raise ``ValueError`` for a lease that is none."""
    if not 0 < lease < math.inf:
        raise ValueError(f"lease must be a number of seconds above 0, not {lease}")


def check_settled(amount: int) -> None:
    """Raise ``ValueError`` for what cannot have been spent."""
    _check_amount("amount", amount)


def _check_amount(name: str, amount: int) -> None:
    if not isinstance(amount, int) or not 0 <= amount <= MOST:
        raise ValueError(f"{name} must be a whole number of 1e-12 US dollars from 0 to {MOST}, not {amount!r}")


def kept_for(account: Account, lease: float) -> float:
    """Seconds for which an account is kept: as long as it is needed, and as its reservation can be settled."""
    return max(account.ttl, lease + LATE)

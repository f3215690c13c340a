"""Accounts of money: any sequence of steps, against a model, with time and crashes in the test's hands."""

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from liter.stores import Account, Balance, Reserved, _sqlite_accounts
from liter.stores._account import LATE
from liter.stores._memory_accounts import MemoryAccounts

KEYS = ("global", "model", "user")
LIMITS = {"global": 1000, "model": 700, "user": 300}
LEASE = 60.0
OVERHEAD = 256


class Accounts(Protocol):
    """What the machine drives: the steps of a store at a time that it is told."""

    def reserve(self, name: str, accounts: list[Account], now: float) -> Reserved: ...
    def settle(self, name: str, keys: list[str], amount: int, now: float) -> list[Balance] | None: ...
    def renew(self, name: str, keys: list[str], now: float) -> bool: ...
    def balances(self, now: float) -> list[Balance]: ...
    def reset(self, keys: list[str], now: float) -> None: ...
    def crash(self, now: float) -> None: ...
    def size(self) -> int: ...


class InMemory:
    """The steps of ``MemoryStore``. It does not survive a crash, so there is none."""

    def __init__(self) -> None:
        self._accounts = MemoryAccounts(OVERHEAD)

    def reserve(self, name: str, accounts: list[Account], now: float) -> Reserved:
        return self._accounts.reserve(name, accounts, LEASE, now)

    def settle(self, name: str, keys: list[str], amount: int, now: float) -> list[Balance] | None:
        return self._accounts.settle(name, keys, amount, now)

    def renew(self, name: str, keys: list[str], now: float) -> bool:
        return self._accounts.renew(name, keys, LEASE, now)

    def balances(self, now: float) -> list[Balance]:
        return self._accounts.balances(KEYS, now)

    def reset(self, keys: list[str], now: float) -> None:
        self._accounts.reset(keys, now)

    def crash(self, now: float) -> None:
        pass

    def size(self) -> int:
        return self._accounts.bytes


class InFile:
    """The steps of ``SqliteStore``. A crash is a connection that is closed in the middle of a transaction."""

    def __init__(self) -> None:
        self._path = Path(tempfile.mkdtemp()) / "store.db"
        self._open()
        self._connection.executescript(
            "PRAGMA journal_mode = WAL; CREATE TABLE size (id INTEGER PRIMARY KEY, bytes INTEGER NOT NULL);"
            "INSERT INTO size VALUES (1, 0);"
        )
        self._connection.executescript(_sqlite_accounts.schema(OVERHEAD))

    def _open(self) -> None:
        self._connection = sqlite3.connect(self._path)

    def reserve(self, name: str, accounts: list[Account], now: float) -> Reserved:
        with self._connection:
            return _sqlite_accounts.reserve(self._connection, name, accounts, LEASE, now)

    def settle(self, name: str, keys: list[str], amount: int, now: float) -> list[Balance] | None:
        with self._connection:
            return _sqlite_accounts.settle(self._connection, name, keys, amount, now)

    def renew(self, name: str, keys: list[str], now: float) -> bool:
        with self._connection:
            return _sqlite_accounts.renew(self._connection, name, keys, LEASE, now)

    def balances(self, now: float) -> list[Balance]:
        with self._connection:
            return _sqlite_accounts.balances(self._connection, KEYS, now)

    def reset(self, keys: list[str], now: float) -> None:
        with self._connection:
            _sqlite_accounts.reset(self._connection, keys, now)

    def crash(self, now: float) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        lost = Account(key="global", limit=1000, amount=1, ttl=1e6)
        _sqlite_accounts.reserve(self._connection, "lost", [lost], LEASE, now)
        self._connection.close()
        self._open()

    def size(self) -> int:
        return int(self._connection.execute("SELECT bytes FROM size").fetchone()[0])

    def close(self) -> None:
        self._connection.close()


class Held:
    """A reservation as the model sees it."""

    def __init__(self, keys: list[str], amount: int, until: float) -> None:
        self.keys = keys
        self.amount = amount
        self.until = until


class AccountsMachine(RuleBasedStateMachine):
    """Reserve, settle, release, renew, expire, reset and crash, in any order."""

    names = Bundle("names")
    make: type[InMemory] | type[InFile] = InMemory

    def __init__(self) -> None:
        super().__init__()
        self.now = 1e9
        self.spent = dict.fromkeys(KEYS, 0)
        self.held: dict[str, Held] = {}
        self.number = 0
        # What was settled above its reservation, or late, or with a limit that was passed so: it may pass the limit.
        self.excess = dict.fromkeys(KEYS, 0)

    @initialize()
    def begin(self) -> None:
        self.accounts: Accounts = self.make()

    def teardown(self) -> None:
        if isinstance(self.accounts, InFile):
            self.accounts.close()

    def reserved(self, key: str) -> int:
        return sum(held.amount for held in self.held.values() if key in held.keys and held.until > self.now)

    @rule(target=names, keys=st.sets(st.sampled_from(KEYS), min_size=1), amount=st.integers(0, 400))
    def reserve(self, keys: set[str], amount: int) -> str:
        self.number += 1
        name, order = f"call {self.number}", sorted(keys)
        short = [
            index for index, key in enumerate(order) if self.spent[key] + self.reserved(key) + amount > LIMITS[key]
        ]
        wanted = [Account(key=key, limit=LIMITS[key], amount=amount, ttl=1e6) for key in order]
        answer = self.accounts.reserve(name, wanted, self.now)
        assert answer.granted is (not short)
        assert answer.account == (short[0] if short else None)
        if answer.granted:
            self.held[name] = Held(order, amount, self.now + LEASE)
        return name

    @rule(name=names, part=st.floats(0, 1.5))
    def settle(self, name: str, part: float) -> None:
        held = self.held.get(name)
        # What is settled may be more than was reserved, and may be late, but not by more than a day.
        known = held is not None and held.until + LATE > self.now
        amount = 0 if held is None else int(held.amount * part)
        keys = list(KEYS) if held is None else held.keys
        assert (self.accounts.settle(name, keys, amount, self.now) is not None) is known
        if held is not None and known:
            for key in keys:
                self.spent[key] += amount
                self.excess[key] += amount if held.until <= self.now else max(0, amount - held.amount)
            del self.held[name]

    @rule(name=names)
    def release(self, name: str) -> None:
        self.settle(name, 0.0)

    @rule(name=names)
    def renew(self, name: str) -> None:
        held = self.held.get(name)
        alive = held is not None and held.until > self.now
        assert self.accounts.renew(name, list(KEYS) if held is None else held.keys, self.now) is alive
        if held is not None and alive:
            held.until = self.now + LEASE

    @rule(seconds=st.sampled_from([0.5, LEASE / 2, LEASE, 3600.0, LATE]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(key=st.sampled_from(KEYS))
    def reset(self, key: str) -> None:
        self.accounts.reset([key], self.now)
        self.spent[key] = 0

    @rule()
    def crash(self) -> None:
        self.accounts.crash(self.now)

    @invariant()
    def balances_are_right(self) -> None:
        expected = [Balance(spent=self.spent[key], reserved=self.reserved(key)) for key in KEYS]
        assert self.accounts.balances(self.now) == expected

    @invariant()
    def no_limit_is_passed(self) -> None:
        for key, balance in zip(KEYS, self.accounts.balances(self.now), strict=True):
            assert balance.spent + balance.reserved <= LIMITS[key] + self.excess[key]

    @invariant()
    def what_is_over_takes_no_room(self) -> None:
        known = [held for held in self.held.values() if held.until + LATE > self.now]
        assert self.accounts.size() <= sum(len(held.keys) for held in known) * (OVERHEAD + 12) + 3 * (OVERHEAD + 6)


class FileMachine(AccountsMachine):
    """The same in a file."""

    make = InFile


TestMemoryAccounts = AccountsMachine.TestCase
TestMemoryAccounts.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestFileAccounts = FileMachine.TestCase
TestFileAccounts.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)


@pytest.fixture(params=[InMemory, InFile])
def accounts(request: pytest.FixtureRequest) -> Iterator[Accounts]:
    """Accounts in memory, and in a file."""
    made = request.param()
    yield made
    if isinstance(made, InFile):
        made.close()


def test_a_short_need_does_not_shorten_a_long_one(accounts: Accounts) -> None:
    """An account that was needed for ten days is there after five, though it was needed for a second meanwhile."""
    for name, ttl in (("one", 10 * LATE), ("two", 1.0)):
        accounts.reserve(name, [Account(key="user", limit=300, amount=10, ttl=ttl)], 0.0)
        accounts.settle(name, ["user"], 10, 0.0)
    assert accounts.balances(5 * LATE)[KEYS.index("user")] == Balance(spent=20)
    assert accounts.balances(11 * LATE)[KEYS.index("user")] == Balance()


def test_an_account_is_kept_for_what_was_renewed_on_it(accounts: Accounts) -> None:
    """A reservation that was renewed can be settled a day after its new end, and its account is there for that."""
    accounts.reserve("one", [Account(key="user", limit=300, amount=10, ttl=1.0)], 0.0)
    assert accounts.renew("one", ["user"], LEASE - 1)
    late = LEASE + LATE + LEASE / 2
    assert accounts.settle("one", ["user"], 7, late) == [Balance(spent=7)]

"""The accounts of ``SqliteStore``: each function is to run within a transaction."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ._account import LATE, Account, Balance, Reserved, kept_for

if TYPE_CHECKING:
    import sqlite3


def schema(entry_overhead: int) -> str:
    """Make the tables. A hold whose amount is NULL has lapsed, and is forgotten at ``until``."""
    return f"""
CREATE TABLE IF NOT EXISTS accounts (
    key TEXT PRIMARY KEY, spent INTEGER NOT NULL, reserved INTEGER NOT NULL, until REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS accounts_by_until ON accounts (until);
CREATE TABLE IF NOT EXISTS holds (
    account TEXT NOT NULL, name TEXT NOT NULL, amount INTEGER, until REAL NOT NULL, PRIMARY KEY (account, name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS holds_by_until ON holds (account, until);
CREATE TRIGGER IF NOT EXISTS account_added AFTER INSERT ON accounts BEGIN
    UPDATE size SET bytes = bytes + {entry_overhead} + length(new.key);
END;
CREATE TRIGGER IF NOT EXISTS account_gone AFTER DELETE ON accounts BEGIN
    UPDATE size SET bytes = bytes - {entry_overhead} - length(old.key);
END;
CREATE TRIGGER IF NOT EXISTS hold_added AFTER INSERT ON holds BEGIN
    UPDATE size SET bytes = bytes + {entry_overhead} + length(new.name);
END;
CREATE TRIGGER IF NOT EXISTS hold_gone AFTER DELETE ON holds BEGIN
    UPDATE size SET bytes = bytes - {entry_overhead} - length(old.name);
END;
"""  # noqa: S608 # a number of ours


def reserve(
    connection: "sqlite3.Connection", name: str, accounts: Sequence[Account], lease: float, now: float
) -> Reserved:
    """Reserve on all accounts, or on none."""
    found = balances(connection, [account.key for account in accounts], now)
    for index, (account, balance) in enumerate(zip(accounts, found, strict=True)):
        if balance.spent + balance.reserved + account.amount > account.limit:
            return Reserved(granted=False, account=index, balances=tuple(found))
    for account in accounts:
        connection.execute(
            "INSERT INTO accounts VALUES (?, 0, ?, ?) ON CONFLICT (key) DO UPDATE SET "
            "reserved = reserved + excluded.reserved, until = max(until, excluded.until)",
            (account.key, account.amount, now + kept_for(account, lease)),
        )
        connection.execute("INSERT INTO holds VALUES (?, ?, ?, ?)", (account.key, name, account.amount, now + lease))
    after = [
        Balance(spent=balance.spent, reserved=balance.reserved + account.amount)
        for account, balance in zip(accounts, found, strict=True)
    ]
    return Reserved(granted=True, balances=tuple(after))


def settle(
    connection: "sqlite3.Connection", name: str, keys: Sequence[str], amount: int, now: float
) -> list[Balance] | None:
    """Turn what was reserved into what was spent."""
    settled = False
    for key in keys:
        _lapse(connection, key, now)
        row: tuple[int | None] | None = connection.execute(
            "SELECT amount FROM holds WHERE account = ? AND name = ?", (key, name)
        ).fetchone()
        if row is None:
            continue
        settled = True
        # Added here, not there: SQLite makes an inexact number of a sum that is too large.
        before = balances(connection, [key], now)[0]
        connection.execute(
            "UPDATE accounts SET spent = ?, reserved = ? WHERE key = ?",
            (before.spent + amount, before.reserved - (row[0] or 0), key),
        )
        connection.execute("DELETE FROM holds WHERE account = ? AND name = ?", (key, name))
    return balances(connection, keys, now) if settled else None


def renew(connection: "sqlite3.Connection", name: str, keys: Sequence[str], lease: float, now: float) -> bool:
    """Hold a reservation for longer."""
    held = True
    for key in keys:
        _lapse(connection, key, now)
        renewed = connection.execute(
            "UPDATE holds SET until = ? WHERE account = ? AND name = ? AND amount IS NOT NULL", (now + lease, key, name)
        )
        if renewed.rowcount:
            connection.execute("UPDATE accounts SET until = max(until, ?) WHERE key = ?", (now + lease + LATE, key))
        else:
            held = False
    return held


def balances(connection: "sqlite3.Connection", keys: Sequence[str], now: float) -> list[Balance]:
    """What is on the accounts."""
    found: list[Balance] = []
    for key in keys:
        _lapse(connection, key, now)
        row: tuple[int, int] | None = connection.execute(
            "SELECT spent, reserved FROM accounts WHERE key = ?", (key,)
        ).fetchone()
        found.append(Balance() if row is None else Balance(spent=row[0], reserved=row[1]))
    return found


def reset(connection: "sqlite3.Connection", keys: Sequence[str], now: float) -> None:
    """Forget what was spent."""
    for key in keys:
        _lapse(connection, key, now)
        connection.execute("UPDATE accounts SET spent = 0 WHERE key = ?", (key,))


def forget(connection: "sqlite3.Connection", now: float, most: int) -> None:
    """Drop up to ``most`` accounts that are needed no longer."""
    over: list[tuple[str]] = connection.execute(
        "SELECT key FROM accounts WHERE until <= ? ORDER BY until LIMIT ?", (now, most)
    ).fetchall()
    for (key,) in over:
        _drop(connection, key)


def _drop(connection: "sqlite3.Connection", key: str) -> None:
    connection.execute("DELETE FROM holds WHERE account = ?", (key,))
    connection.execute("DELETE FROM accounts WHERE key = ?", (key,))


def _lapse(connection: "sqlite3.Connection", key: str, now: float) -> None:
    """Let go of what ran out, and of the account itself, if it did."""
    if connection.execute("SELECT 1 FROM accounts WHERE key = ? AND until <= ?", (key, now)).fetchone():
        _drop(connection, key)
        return
    lapsed: tuple[int, int] = connection.execute(
        "SELECT count(*), coalesce(sum(amount), 0) FROM holds WHERE account = ? AND until <= ?", (key, now)
    ).fetchone()
    if not lapsed[0]:
        return
    connection.execute(
        "DELETE FROM holds WHERE account = ? AND until <= ? AND (amount IS NULL OR until <= ?)", (key, now, now - LATE)
    )
    connection.execute(
        "UPDATE holds SET amount = NULL, until = until + ? WHERE account = ? AND until <= ?", (LATE, key, now)
    )
    connection.execute("UPDATE accounts SET reserved = reserved - ? WHERE key = ?", (lapsed[1], key))

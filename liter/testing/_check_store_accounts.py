"""What ``check_store`` does to a store's accounts."""

from collections.abc import Sequence

import anyio
import anyio.lowlevel

from ..stores import Account, Balance, StoreError
from ._check_store_trial import Calls, StoreTrial

# Seconds: longer than any scenario takes.
LEASE = 60.0


def account(trial: StoreTrial, name: str, amount: int, *, limit: int = 100, ttl: float = LEASE) -> Account:
    """Return an account of this trial's own, and what is wanted of it."""
    return Account(key=trial.key(name), limit=limit, amount=amount, ttl=ttl)


async def expect_balance(trial: StoreTrial, name: str, *, spent: int, reserved: int) -> None:
    """Raise unless this is on the account."""
    seen = (await trial.store.balances([trial.key(name)]))[0]
    expected = Balance(spent=spent, reserved=reserved)
    trial.expect(seen == expected, f"{expected} on account {name!r}", seen)


async def _expect_reserved(
    trial: StoreTrial, name: str, *accounts: Account, by: int | None = None, lease: float = LEASE
) -> None:
    """Reserve, and raise unless it is granted, or refused ``by`` the account with this index."""
    answer = await trial.store.reserve(trial.key(name), accounts, lease=lease)
    told = " and ".join(f"{each.amount} of {each.limit}" for each in accounts)
    expected = "granted" if by is None else f"refused by the account with index {by}"
    trial.expect(answer.granted is (by is None) and answer.account == by, f"{told} {expected}", answer)
    seen = tuple(await trial.store.balances([each.key for each in accounts]))
    trial.expect(answer.balances == seen, f"{seen}, as balances tells it, in the answer of reserve", answer.balances)


async def _expect_settled(trial: StoreTrial, name: str, *accounts: str, amount: int, settled: bool = True) -> None:
    keys = [trial.key(each) for each in accounts]
    seen = await trial.store.settle(trial.key(name), keys, amount)
    expected = await trial.store.balances(keys) if settled else None
    trial.expect(seen == expected, f"{expected} from settle of {name!r}", seen)


async def settle(trial: StoreTrial) -> None:
    """Less, more, all and nothing of what was reserved is spent."""
    await expect_balance(trial, "a", spent=0, reserved=0)
    await _expect_reserved(trial, "one", account(trial, "a", 60))
    await _expect_reserved(trial, "two", account(trial, "a", 41), by=0)
    await _expect_reserved(trial, "three", account(trial, "a", 40))
    await _expect_reserved(trial, "four", account(trial, "a", 1), by=0)
    await _expect_settled(trial, "one", "a", amount=10)
    await expect_balance(trial, "a", spent=10, reserved=40)
    await _expect_reserved(trial, "five", account(trial, "a", 50))
    await _expect_settled(trial, "three", "a", amount=0)
    await _expect_settled(trial, "five", "a", amount=95)
    await expect_balance(trial, "a", spent=105, reserved=0)
    await _expect_reserved(trial, "six", account(trial, "a", 0), by=0)
    await _expect_reserved(trial, "seven", account(trial, "a", 5, limit=110))
    await _expect_reserved(trial, "eight")


async def settle_twice(trial: StoreTrial) -> None:
    """A step that may have been done is done again."""
    await _expect_reserved(trial, "one", account(trial, "a", 60))
    await _expect_settled(trial, "one", "a", amount=10)
    await _expect_settled(trial, "one", "a", amount=10, settled=False)
    await _expect_settled(trial, "never", "a", "b", amount=10, settled=False)
    await expect_balance(trial, "a", spent=10, reserved=0)
    await expect_balance(trial, "b", spent=0, reserved=0)


async def several(trial: StoreTrial) -> None:
    """Several accounts, all or none."""
    await _expect_reserved(trial, "one", account(trial, "a", 30), account(trial, "b", 70))
    await _expect_reserved(
        trial, "two", account(trial, "c", 40), account(trial, "a", 40), account(trial, "b", 40), by=2
    )
    await expect_balance(trial, "a", spent=0, reserved=30)
    await expect_balance(trial, "c", spent=0, reserved=0)
    await _expect_reserved(trial, "three", account(trial, "a", 80), account(trial, "b", 40), by=0)
    await _expect_settled(trial, "one", "a", "b", amount=50)
    await expect_balance(trial, "a", spent=50, reserved=0)
    await expect_balance(trial, "b", spent=50, reserved=0)
    keys = [trial.key(name) for name in "abc"]
    await trial.store.reset(keys[:1])
    seen = await trial.store.balances(keys)
    expected = [Balance(), Balance(spent=50), Balance()]
    trial.expect(seen == expected, f"{expected} after a reset of the first", seen)
    trial.expect(not (seen := await trial.store.balances([])), "no balances of no accounts", seen)


async def exact(trial: StoreTrial) -> None:
    """Amounts that a double does not hold."""
    most, odd = 9 * 10**18, 2**53 + 1
    await _expect_reserved(trial, "one", account(trial, "a", odd, limit=most))
    await _expect_reserved(trial, "two", account(trial, "a", most - odd + 1, limit=most), by=0)
    await _expect_reserved(trial, "three", account(trial, "a", most - odd, limit=most))
    await expect_balance(trial, "a", spent=0, reserved=most)
    await _expect_settled(trial, "three", "a", amount=odd + 2)
    await expect_balance(trial, "a", spent=odd + 2, reserved=odd)
    await _expect_settled(trial, "one", "a", amount=most - odd - 3)
    await expect_balance(trial, "a", spent=most - 1, reserved=0)
    await _expect_reserved(trial, "four", account(trial, "a", 2, limit=most), by=0)
    await _expect_reserved(trial, "five", account(trial, "a", 1, limit=most))
    for limit in (10**9 - 1, 10**9, 10**9 + 1, 2**53):
        name = f"limit {limit}"
        await _expect_reserved(trial, f"{name} over", account(trial, name, limit + 1, limit=limit), by=0)
        await _expect_reserved(trial, f"{name} half", account(trial, name, limit // 2, limit=limit))
        await _expect_reserved(trial, name, account(trial, name, limit - limit // 2, limit=limit))
        await _expect_reserved(trial, f"{name} one", account(trial, name, 1, limit=limit), by=0)


async def lapse(trial: StoreTrial) -> None:
    """Owners that die, and owners that are slow."""
    await _expect_reserved(trial, "dead", account(trial, "a", 30), account(trial, "b", 30), lease=0.5)
    await _expect_reserved(trial, "slow", account(trial, "a", 30), lease=0.5)
    await _expect_reserved(trial, "free", account(trial, "a", 0), lease=0.5)
    await _expect_reserved(trial, "alive", account(trial, "a", 40), account(trial, "c", 40), lease=0.5)
    held = await trial.store.renew(trial.key("alive"), [trial.key("a"), trial.key("c")], lease=LEASE)
    trial.expect(held, "a reservation that is held renewed", held)
    await _expect_reserved(trial, "refused", account(trial, "a", 1), by=0)
    await anyio.sleep(0.5 + trial.slack)
    await _expect_reserved(trial, "next", account(trial, "a", 60))
    await expect_balance(trial, "b", spent=0, reserved=0)
    await expect_balance(trial, "c", spent=0, reserved=40)
    held = await trial.store.renew(trial.key("slow"), [trial.key("a")], lease=LEASE)
    trial.expect(not held, "a reservation that lapsed not renewed", held)
    await _expect_settled(trial, "slow", "a", amount=7)
    await _expect_settled(trial, "slow", "a", amount=7, settled=False)
    await _expect_settled(trial, "free", "a", amount=2)
    await _expect_settled(trial, "alive", "a", "c", amount=1)
    await expect_balance(trial, "a", spent=10, reserved=60)
    await expect_balance(trial, "c", spent=1, reserved=0)


async def keep(trial: StoreTrial) -> None:
    """An account outlives its window for those who still hold something of it, and one for good is kept for good."""
    await _expect_reserved(
        trial, "one", account(trial, "a", 30, ttl=0.2), account(trial, "b", 30, ttl=float("inf")), lease=LEASE
    )
    await anyio.sleep(0.2 + trial.slack)
    await _expect_settled(trial, "one", "a", "b", amount=20)
    await _expect_reserved(trial, "two", account(trial, "b", 80, ttl=1.0))
    await expect_balance(trial, "a", spent=20, reserved=0)


async def reset(trial: StoreTrial) -> None:
    """What is reserved stays, and counts when it is settled."""
    await _expect_reserved(trial, "one", account(trial, "a", 60))
    await _expect_settled(trial, "one", "a", amount=60)
    await _expect_reserved(trial, "two", account(trial, "a", 30))
    await trial.store.reset([trial.key("a"), trial.key("b")])
    await expect_balance(trial, "a", spent=0, reserved=30)
    await _expect_settled(trial, "two", "a", amount=20)
    await expect_balance(trial, "a", spent=20, reserved=0)


async def race(trial: StoreTrial) -> None:
    """Tasks that reserve and settle at once."""
    passed = 0
    granted = 0

    async def work(worker: int) -> None:
        nonlocal granted, passed
        for number in range(6):
            name, amount = f"{worker} {number}", 7 + worker % 5
            both = [account(trial, "a", amount, limit=60), account(trial, "b", amount, limit=1000)]
            answer = await trial.store.reserve(trial.key(name), both, lease=LEASE)
            passed += any(balance.spent + balance.reserved > 60 for balance in answer.balances)
            await anyio.lowlevel.checkpoint()
            if answer.granted:
                granted += 1
                await trial.store.settle(trial.key(name), [each.key for each in both], 1)

    async with anyio.create_task_group() as tasks:
        for worker in range(10):
            tasks.start_soon(work, worker)
    trial.expect(passed == 0, "spent and reserved together never above the limit", f"{passed} times")
    await expect_balance(trial, "a", spent=granted, reserved=0)
    await expect_balance(trial, "b", spent=granted, reserved=0)


async def cancel(trial: StoreTrial) -> None:
    """Callers that are cancelled in the middle: both accounts, or none."""
    keys = [trial.key("a"), trial.key("b")]
    for checkpoints in range(8):
        for name, step in (("reserve", _reserve_both), ("settle", _settle_both)):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(step, trial, f"{checkpoints}")
                for _ in range(checkpoints):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            await expect_same_balances(trial, keys, f"a whole {name} or none")


async def _reserve_both(trial: StoreTrial, name: str) -> None:
    both = [account(trial, "a", 5), account(trial, "b", 5)]
    await trial.store.reserve(trial.key(name), both, lease=LEASE)


async def _settle_both(trial: StoreTrial, name: str) -> None:
    await trial.store.settle(trial.key(name), [trial.key("a"), trial.key("b")], 2)


async def expect_same_balances(trial: StoreTrial, keys: Sequence[str], expected: str) -> None:
    """Raise unless the same is on all of these accounts."""
    seen = await trial.store.balances(keys)
    trial.expect(len(set(seen)) == 1, expected, seen)


async def mean_nothing(trial: StoreTrial) -> None:
    """Arguments that are wrong are refused, and change nothing."""
    store, one = trial.store, account(trial, "a", 1)
    key, name, infinity, nan = one.key, trial.key("one"), float("inf"), float("nan")
    most = 9 * 10**18
    wrong: Calls = [
        ("a negative amount", lambda: store.reserve(name, [account(trial, "a", -1)], lease=1)),
        ("a negative limit", lambda: store.reserve(name, [account(trial, "a", 1, limit=-1)], lease=1)),
        ("an amount that is too large", lambda: store.reserve(name, [account(trial, "a", most + 1)], lease=1)),
        ("a limit that is too large", lambda: store.reserve(name, [account(trial, "a", 1, limit=most + 1)], lease=1)),
        ("a ttl of 0", lambda: store.reserve(name, [account(trial, "a", 1, ttl=0)], lease=1)),
        ("a ttl that is no number", lambda: store.reserve(name, [account(trial, "a", 1, ttl=nan)], lease=1)),
        ("one account twice", lambda: store.reserve(name, [one, one], lease=1)),
        ("a lease of 0", lambda: store.reserve(name, [one], lease=0)),
        ("an infinite lease", lambda: store.reserve(name, [one], lease=infinity)),
        ("a negative amount settled", lambda: store.settle(name, [key], -1)),
        ("one account twice", lambda: store.settle(name, [key, key], 1)),
        ("a lease that is no number", lambda: store.renew(name, [key], lease=nan)),
    ]
    await trial.expect_raised(ValueError, "for {}", wrong)
    await expect_balance(trial, "a", spent=0, reserved=0)


async def closed(trial: StoreTrial) -> None:
    """A store that is closed."""
    store, one = trial.store, account(trial, "a", 1)
    await store.aclose()
    calls: Calls = [
        ("reserve", lambda: store.reserve(trial.key("one"), [one], lease=1)),
        ("settle", lambda: store.settle(trial.key("one"), [one.key], 1)),
        ("renew", lambda: store.renew(trial.key("one"), [one.key], lease=1)),
        ("balances", lambda: store.balances([one.key])),
        ("reset", lambda: store.reset([one.key])),
    ]
    await trial.expect_raised(StoreError, "from {} after aclose", calls)

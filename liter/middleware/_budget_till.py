"""The till of a budget: it reserves, settles, and keeps what the store could not be told."""

import itertools
import logging
import os
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

import anyio
import msgspec

from .._contract import Attempt, Call
from .._errors import BudgetExceededError
from ..stores import Balance, MemoryStore, Reserved, Store, StoreError
from ..stores._rest import Rest
from ._budget_account import Accounts, BudgetSettled, BudgetStatus, BudgetStoreFailed, BudgetThreshold, Place
from ._budget_limit import MOST, dollars, picodollars

T = TypeVar("T")

_log = logging.getLogger("liter.budget")

OnThreshold = Callable[[BudgetThreshold], Awaitable[None] | None]

# Seconds for which the end of a call may hold up a cancellation. What is not done by then is done with a later call.
GRACE = 5.0

# Seconds to wait for a store that does not answer. They have limits of their own, which are shorter, for each step;
# this is also for the line before it.
_PATIENCE = 10.0

# What the store could not be told, at most; and how much of it is told with one call.
_MOST_UNTOLD = 10_000
_TOLD_AT_ONCE = 16

# Thresholds that are known to be told. A window that is forgotten is looked up in the store again.
_MOST_PASSED = 4096

# Seconds beyond a call's deadline for which its reservation is held: for its cleanup, and clocks that differ.
_BEYOND = 60.0

_UNLIMITED = picodollars(MOST)


class Hold:
    """What is reserved for one attempt.

    :ivar amount: reserved; ``None``: nothing could be, as the store failed, or the price is not known
    :ivar ended: whether the attempt is over, and its cost known, if it ever will be
    """

    __slots__ = ("amount", "attempt", "ended", "lease", "name", "places", "until")

    def __init__(
        self, name: str, places: list[Place], attempt: Attempt, amount: int | None, now: float, lease: float
    ) -> None:
        self.name = name
        self.places = places
        self.attempt = attempt
        self.amount = amount
        self.lease = lease
        self.until = now + lease
        self.ended = False

    @property
    def keys(self) -> list[str]:
        """The accounts."""
        return [place.key for place in self.places]


class _Untold(msgspec.Struct):
    """An amount that was spent, and that the store could not be told yet.

    :param held: whether it was reserved: where it is not known any longer, it was settled
    """

    name: str
    places: list[Place]
    amount: int
    held: bool


class Till:
    """Reserves and settles for all calls of a budget.

    In memory it has up to 10,000 amounts that the store could not be told, and the thresholds that were told.
    """

    def __init__(
        self,
        accounts: Accounts,
        store: Store,
        *,
        lease: float,
        on_store_error: Literal["open", "closed"],
        thresholds: tuple[float, ...],
        on_threshold: OnThreshold | None,
    ) -> None:
        self.accounts = accounts
        self.store = store
        self.lease = lease
        self._on_store_error = on_store_error
        self._thresholds = thresholds
        self._on_threshold = on_threshold
        self._names = map("{}:{}".format, itertools.repeat(os.urandom(8).hex()), itertools.count())
        self._pid = os.getpid()
        self._untold: deque[_Untold] = deque()
        self._passed: OrderedDict[str, None] = OrderedDict()
        self._rest = Rest()
        # Then there is nothing to shield or to bound, and a scope for it costs more than the store does.
        self.never_waits = type(store) is MemoryStore

    def hold(self, places: list[Place], attempt: Attempt, amount: int | None, deadline: float) -> Hold:
        """Make a hold of a name of its own. It holds nothing yet."""
        if self._pid != os.getpid():
            # A fork would go on with the same names.
            self._pid = os.getpid()
            self._names = map("{}:{}".format, itertools.repeat(os.urandom(8).hex()), itertools.count())
        now = anyio.current_time()
        return Hold(next(self._names), places, attempt, amount, now, self.lease_until(deadline, now))

    def lease_until(self, deadline: float, now: float) -> float:
        """Seconds for which to hold: to the deadline, or, without one, for the lease, to be renewed."""
        left = deadline - now
        return self.lease if left > self.lease else max(0.0, left) + _BEYOND

    async def reserve(self, call: Call[object], hold: Hold) -> None:
        """Reserve for an attempt.

        :raises BudgetExceededError: a limit leaves too little
        :raises StoreError: the store failed, and ``on_store_error="closed"``
        """
        now, amount = self.accounts.clock(), hold.amount or 0
        wanted = [place.account(amount, now) for place in hold.places]
        try:
            # Where each failure fails a call, each call is worth a try.
            if self._on_store_error == "open":
                self._rest.check(anyio.current_time())
            answer = await self._in_time(self.store.reserve(hold.name, wanted, lease=hold.lease))
        except StoreError as error:
            self._store_failed(error)
            hold.amount = None
            await call.notify(
                BudgetStoreFailed(call=call, error=error, doing="reserve", goes_on=self._on_store_error == "open")
            )
            if self._on_store_error == "closed":
                raise
            return
        if not answer.granted:
            hold.amount = None
            await self._refuse(hold, answer, amount, now)

    async def _refuse(self, hold: Hold, answer: Reserved, asked: int, now: float) -> None:
        index = answer.account or 0
        place, balance = hold.places[index], answer.balances[index]
        await self._look_at_thresholds([place], [balance], full=True)
        status = place.status(balance)
        hold.places = []
        raise exceeded(status, asked, place.stretch.ends - now)

    async def renew(self, call: Call[object], holds: list[Hold]) -> None:
        """Hold what is held for longer, where half of its time is over."""
        now = anyio.current_time()
        for hold in holds:
            if hold.amount is not None and not hold.ended and hold.until - now < self.lease / 2:
                hold.until = now + self.lease
                try:
                    await self.store.renew(hold.name, hold.keys, lease=self.lease)
                except StoreError as error:
                    # Then it lapses, and is counted all the same when it is settled.
                    await call.notify(BudgetStoreFailed(call=call, error=error, doing="renew", goes_on=True))

    async def settle(self, call: Call[object], hold: Hold, amount: int) -> None:
        """Count what an attempt cost. Whatever happens, it is counted, now or with a later call."""
        untold = _Untold(hold.name, hold.places, min(amount, _UNLIMITED), hold.amount is not None)
        told, failed = False, StoreError(f"{self.store!r}: no answer within {GRACE:g} s")
        try:
            if self.never_waits and self._on_threshold is None and not call.listeners:
                await self._tell(untold)
                told = True
                return
            with anyio.move_on_after(GRACE, shield=True):
                balances = await self._tell(untold)
                told = True
                await self._settled(call, hold, amount, balances)
        except StoreError as error:
            failed = error
        finally:
            if not told:
                self._keep(untold)
                self._store_failed(failed)
        if not told:
            _log.warning("what a call cost is settled with a later one: %s", failed)
            with anyio.move_on_after(GRACE, shield=True):
                await call.notify(BudgetStoreFailed(call=call, error=failed, doing="settle", goes_on=True))

    async def _settled(self, call: Call[object], hold: Hold, amount: int, balances: list[Balance] | None) -> None:
        if balances is None:
            return
        if self._on_threshold is not None:
            await self._look_at_thresholds(hold.places, balances)
        if call.listeners:
            statuses = tuple(place.status(balance) for place, balance in zip(hold.places, balances, strict=True))
            await call.notify(BudgetSettled(call=call, cost=dollars(amount), statuses=statuses))

    def _keep(self, untold: _Untold) -> None:
        if len(self._untold) >= _MOST_UNTOLD:
            lost = self._untold.popleft()
            _log.error(
                "%s USD that were spent are not counted: the store has failed for too long", dollars(lost.amount)
            )
        self._untold.append(untold)

    async def _tell(self, untold: _Untold) -> list[Balance] | None:
        keys = [place.key for place in untold.places]
        balances = await self.store.settle(untold.name, keys, untold.amount)
        if balances is not None or untold.held or not untold.amount:
            return balances
        # It was never reserved: then it is now, above any limit, as it is spent already.
        now = self.accounts.clock()
        accounts = [msgspec.structs.replace(place.account(0, now), limit=_UNLIMITED) for place in untold.places]
        untold.held = (await self.store.reserve(untold.name, accounts, lease=self.lease)).granted
        return await self.store.settle(untold.name, keys, untold.amount)

    async def tell_the_rest(self) -> None:
        """Tell the store what it could not be told before: some of it with each call."""
        for _ in range(0 if self._rest.lasts(anyio.current_time()) else min(_TOLD_AT_ONCE, len(self._untold))):
            try:
                untold = self._untold.popleft()
            except IndexError:
                return  # others have told it
            told = False
            try:
                await self._in_time(self._tell(untold))
                told = True
            except StoreError as error:
                self._store_failed(error)
                return
            finally:
                if not told:
                    self._untold.appendleft(untold)

    async def _in_time(self, step: Awaitable[T]) -> T:
        if self.never_waits:
            return await step
        with anyio.move_on_after(_PATIENCE):
            return await step
        raise StoreError(f"{self.store!r}: no answer within {_PATIENCE:g} s")

    @property
    def untold(self) -> int:
        """How many amounts the store could not be told yet."""
        return len(self._untold)

    def _store_failed(self, error: StoreError) -> None:
        self._rest.failed(error, anyio.current_time())

    async def _look_at_thresholds(self, places: list[Place], balances: list[Balance], *, full: bool = False) -> None:
        """:param full: a call was refused, so that the whole limit is as good as spent"""
        if self._on_threshold is None:
            return
        for place, balance in zip(places, balances, strict=True):
            for threshold in self._thresholds:
                if balance.spent >= threshold * place.most or (full and threshold == 1.0):
                    await self._pass(place, balance, threshold)

    async def _pass(self, place: Place, balance: Balance, threshold: float) -> None:
        key = f"{place.key}:{threshold:g}"
        if key in self._passed or self._on_threshold is None:
            return
        self._passed[key] = None
        if len(self._passed) > _MOST_PASSED:
            self._passed.popitem(last=False)
        ttl = min(place.account(0, self.accounts.clock()).ttl, 1e10)
        try:
            if not await self.store.swap(key, None, b"told", ttl=ttl):
                return
        except StoreError as error:
            self._store_failed(error)
        try:
            with anyio.move_on_after(GRACE, shield=True):
                told = self._on_threshold(BudgetThreshold(threshold=threshold, status=place.status(balance)))
                if told is not None:
                    await told
        except Exception:  # noqa: BLE001 # the call is not to blame for it
            _log.exception("on_threshold failed")


def exceeded(status: BudgetStatus, asked: int, seconds: float) -> BudgetExceededError:
    """The error that a limit leaves too little."""
    who = ", ".join(f"{name}={value}" for name, value in status.group.items() if name != "key")
    until = "" if status.resets_at is None else f"; it begins anew at {status.resets_at:%Y-%m-%d %H:%M} UTC"
    return BudgetExceededError(
        f"the limit of {status.limit}{f' ({who})' if who else ''} leaves too little: {status.spent:f} USD are spent, "
        f"{status.reserved:f} reserved, {dollars(asked):f} asked for{until}",
        limit=status.amount,
        spent=status.spent,
        reserved=status.reserved,
        asked=dollars(asked),
        resets_at=status.resets_at,
        retry_after=None if status.resets_at is None else max(0.0, seconds),
        code="local_budget",
    )

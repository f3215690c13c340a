"""The gate that calls of one event loop pass: it takes from the store, keeps the lines, and settles."""

import logging
import math
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Literal, TypeVar

import anyio
import msgspec

from .._contract import Call
from .._errors import RateLimitedError
from .._rate_headers import Unit, parse_rate_headers
from ..stores import Bucket, MemoryStore, Store, StoreError, Taken
from ..stores._rest import Rest
from ._rate_limit_buckets import Buckets
from ._rate_limit_claims import Claims
from ._rate_limit_line import Line
from ._rate_limit_pace import Pacer, Sent
from ._rate_limit_rule import Demand, Limit, Want, account

T = TypeVar("T")

_log = logging.getLogger("liter.rate_limit")

# Seconds. A store that needs longer than this for a step is no help with limits per minute.
_PATIENCE = 2.0

# Seconds until the first in line looks again, and what part of its wait, if that is more: meanwhile others may have
# given back what they did not need.
_LOOK_AGAIN = 1.0
_LOOK_AGAIN_PART = 0.1

# Accounts whose pace a gate has in mind. What is forgotten is in the store.
_MOST_PACERS = 1024


class RateLimitWaiting(msgspec.Struct, frozen=True, kw_only=True):
    """A call has come to the head of its line, and waits for a limit.

    :param call: the call
    :param limit: the limit, in words
    :param wait: seconds until it is let through, if nobody else takes of it
    """

    call: Call[object]
    limit: str
    wait: float


class RateLimitStoreFailed(msgspec.Struct, frozen=True, kw_only=True):
    """The store of a rate limit failed.

    :param call: the call that it failed for
    :param error: what happened
    :param doing: ``"take"``: the limits are not known; ``"settle"``: the estimate was not corrected, or the provider's
        headers not taken in, which fails no call
    :param goes_on: whether the call goes on: false for a ``"take"`` with ``on_store_error="closed"``
    """

    call: Call[object]
    error: StoreError
    doing: Literal["take", "settle"]
    goes_on: bool


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What a ``RateLimit`` is made of."""

    limits: tuple[Limit, ...]
    adaptive: bool
    on_limit: Literal["wait", "refuse"]
    estimate: Callable[[Call[object]], tuple[float, float]]
    store: Store
    on_store_error: Literal["open", "closed"]


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """What a call was let through with.

    :param demand: what it took, by the estimate
    :param taken: where it took it from, of which ``units``
    :param pacer: who is told what becomes of it, with what was ``sent`` when it went out
    """

    demand: Demand
    units: Sequence[Unit]
    taken: Sequence[Bucket]
    pacer: Pacer | None
    sent: Sent | None


class Gate:
    """The gate of one event loop. Others, and other processes, may take from the same store.

    In memory it has a place for each call that waits, and at most 1024 pacers; all else is in the store.
    """

    __slots__ = (
        "_arrivals",
        "_buckets",
        "_claims",
        "_counts_tokens",
        "_lines",
        "_memory",
        "_pacers",
        "_policy",
        "_rest",
    )

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        # One line for all calls that have their limits in common; each is there as long as somebody is in it.
        self._lines: dict[tuple[str, ...], Line] = {}
        self._arrivals = 0
        self._claims = Claims()
        self._pacers: OrderedDict[str, Pacer] = OrderedDict()
        self._rest = Rest()
        self._buckets = Buckets(policy.limits)
        self._counts_tokens = policy.adaptive or any(limit.unit != "requests" for limit in policy.limits)
        # Then there is nothing to wait for, to shield or to bound: a scope for it costs more than the store does.
        self._memory = policy.store if type(policy.store) is MemoryStore else None

    @property
    def waiting(self) -> int:
        """Calls in line, those at its head included."""
        return sum(len(line) for line in list(self._lines.values()))

    def admit_nowait(self, call: Call[object], demand: Demand, now: float) -> Ticket | None:
        """Take what a call wants, if that can be known at once; ``None`` where it has to ask :meth:`admit`.

        That nobody is in line, and nobody comes in between, is so for most calls, and a line costs as much as all else.
        """
        if self._memory is None or self._policy.adaptive or self._rest.failure is not None:
            return None
        name, units, taken = self._buckets.of(call, demand)
        if self._lines and (name in self._lines or self._claims.hold_any(taken)):
            return None
        try:
            granted = self._memory.take_nowait(taken, now).granted
        except StoreError:
            return None  # asked again there, and told
        return Ticket(demand=demand, units=units, taken=taken, pacer=None, sent=None) if granted else None

    async def admit(self, call: Call[object], demand: Demand) -> Ticket | None:
        """Take what a call wants from all its limits; ``None`` where the store failed.

        :param demand: see :meth:`demand_of`
        :raises RateLimitedError: it cannot be let through in time
        :raises StoreError: the store failed, and ``on_store_error="closed"``
        """
        policy = self._policy
        name, units, taken = self._buckets.of(call, demand)
        pacer: Pacer | None = None
        if policy.adaptive:
            owner = account(call)
            name = (*name, owner)
            pacer = self._pacer(owner)
        fixed = [Want(*each) for each in zip(policy.limits, units, taken, strict=True)]
        if policy.on_limit == "refuse":
            return await self._take(call, demand, fixed, pacer, None, 0)
        line = self._lines.setdefault(name, Line())
        place = line.join(demand)
        self._arrivals = arrival = self._arrivals + 1
        try:
            if not place.turn.is_set():
                _check_time(call, line.wait_of_last(), "the calls before it in line")
                with anyio.CancelScope(deadline=call.enter_by):
                    await place.turn.wait()
                if not place.turn.is_set():
                    raise _refusal(call, line.wait_of(place), "the calls before it in line")
            return await self._take(call, demand, fixed, pacer, line, arrival)
        finally:
            self._claims.drop(arrival)
            line.leave(place)
            if not line:
                del self._lines[name]

    async def _take(
        self,
        call: Call[object],
        demand: Demand,
        fixed: list[Want],
        pacer: Pacer | None,
        line: Line | None,
        arrival: int,
    ) -> Ticket | None:
        told = False
        while True:
            try:
                self._rest.check(anyio.current_time())
                wanted, taken = await self._answer(self._ask(demand, fixed, pacer, arrival))
            except StoreError as error:
                await self._store_failed(call, error, "take")
                return None
            if self._rest.answered():
                _log.warning("the store of the rate limits answers again")
            if taken.granted:
                return Ticket(
                    demand=demand,
                    units=[want.unit for want in wanted],
                    taken=[want.bucket for want in wanted],
                    pacer=pacer,
                    sent=None if pacer is None else pacer.send(demand),
                )
            limit, unit, scarce, lasting = wanted[taken.bucket or 0]
            if line is None:
                raise _refusal(call, taken.wait, limit)
            _check_time(call, taken.wait, limit)
            line.hold(taken.wait, unit, scarce.refill if lasting else math.inf)
            self._claims.claim(arrival, scarce, anyio.current_time() + taken.wait)
            if not told:
                told = True
                await call.notify(RateLimitWaiting(call=call, limit=str(limit), wait=taken.wait))
            await anyio.sleep(min(taken.wait, max(_LOOK_AGAIN, taken.wait * _LOOK_AGAIN_PART)))

    async def _ask(
        self, demand: Demand, fixed: list[Want], pacer: Pacer | None, arrival: int
    ) -> tuple[list[Want], Taken]:
        wanted = fixed if pacer is None else fixed + await pacer.wants(demand)
        # With on_limit="refuse" nobody waits, so there are no claims.
        if self._claims and (behind := self._claims.before(arrival, wanted, anyio.current_time())) is not None:
            return wanted, behind
        return wanted, await self._policy.store.take([want.bucket for want in wanted])

    async def settle(self, call: Call[object], ticket: Ticket, kept: Demand) -> None:
        """Correct what was taken to what was ``kept``: give back the rest, or take what is missing."""
        if ticket.pacer is not None and not kept.requests:
            ticket.pacer.unsend(ticket.demand)
        changes = _changes(ticket, kept)
        if changes:
            await self._settle(call, self._policy.store.adjust(changes))

    def settle_nowait(self, ticket: Ticket, kept: Demand, now: float) -> bool:
        """As :meth:`settle`, if it can be done at once. Returns whether it was."""
        if self._memory is None or ticket.pacer is not None:
            return False
        changes = _changes(ticket, kept)
        if changes:
            try:
                self._memory.adjust_nowait(changes, now)
            except StoreError:
                return False  # asked again there, and told
        return True

    async def learn(self, call: Call[object], ticket: Ticket, headers: Mapping[str, str]) -> None:
        """Take in what the provider tells of its limits."""
        if ticket.pacer is not None and ticket.sent is not None:
            await self._settle(call, ticket.pacer.learn(parse_rate_headers(headers), ticket.sent))

    async def pause(self, call: Call[object], ticket: Ticket, error: RateLimitedError) -> None:
        """Keep still for as long as the provider asks."""
        if ticket.pacer is not None:
            await self._settle(call, ticket.pacer.pause(error.retry_after))

    async def _settle(self, call: Call[object], change: Coroutine[object, object, None]) -> None:
        try:
            await self._answer(change)
        except StoreError as error:
            await self._store_failed(call, error, "settle")

    async def _answer(self, step: Coroutine[object, object, T]) -> T:
        if self._memory is not None:
            return await step
        # Shielded, since what was taken has to be known to be given back.
        with anyio.CancelScope(deadline=anyio.current_time() + _PATIENCE, shield=True):
            return await step
        raise StoreError(f"no answer within {_PATIENCE:g} s")

    def demand_of(self, call: Call[object]) -> Demand:
        """Tell what a call takes, by the estimate."""
        policy = self._policy
        if not self._counts_tokens:
            return Demand(requests=1.0)
        tokens = policy.estimate(call)
        try:
            given, asked = tokens
            if 0 <= given < math.inf and 0 <= asked < math.inf:
                return Demand(requests=1.0, input_tokens=float(given), output_tokens=float(asked))
        except (TypeError, ValueError):  # no pair, or not of numbers
            pass
        raise ValueError(f"estimate must return input and output tokens, numbers from 0 on, not {tokens!r}")

    def _pacer(self, owner: str) -> Pacer:
        pacer = self._pacers.get(owner)
        if pacer is None:
            pacer = self._pacers[owner] = Pacer(self._policy.store, owner)
            if len(self._pacers) > _MOST_PACERS:
                self._pacers.popitem(last=False)
        self._pacers.move_to_end(owner)
        return pacer

    async def _store_failed(self, call: Call[object], error: StoreError, doing: Literal["take", "settle"]) -> None:
        goes_on = doing == "settle" or self._policy.on_store_error == "open"
        if self._rest.failed(error, anyio.current_time()):
            what = "go through without limits" if self._policy.on_store_error == "open" else "are refused"
            _log.warning("the store of the rate limits failed, calls %s: %s", what, error)
        await call.notify(RateLimitStoreFailed(call=call, error=error, doing=doing, goes_on=goes_on))
        if not goes_on:
            raise error


def _changes(ticket: Ticket, kept: Demand) -> list[Bucket]:
    changes: list[Bucket] = []
    if kept is ticket.demand:
        return changes
    for unit, bucket in zip(ticket.units, ticket.taken, strict=True):
        taken = bucket.amount
        if taken and (rest := taken - getattr(kept, unit)):
            changes.append(msgspec.structs.replace(bucket, amount=rest))
    return changes


def _check_time(call: Call[object], wait: float, limit: object) -> None:
    if wait >= call.enter_by - anyio.current_time():
        raise _refusal(call, wait, limit)


def _refusal(call: Call[object], wait: float, limit: object) -> RateLimitedError:
    left = call.enter_by - anyio.current_time()
    time = "" if left == math.inf else f", and the call has {left:.3g} s left"
    return RateLimitedError(
        f"not sent, to keep to {limit}: there is room in {wait:.3g} s{time}",
        code="local_rate_limit",
        retry_after=wait,
        provider=call.route.provider,
        model=call.route.model,
    )

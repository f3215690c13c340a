"""Spend no more than the limits allow: reserve before each attempt, settle after."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, Literal, TypeVar, cast

import anyio
from msgspec.structs import replace

from .._contract import Attempt, Call, Handler
from .._http import HttpRequest, RawHeaders
from .._number import is_whole
from .._reply import Reply
from ..money import Price, PriceBook
from ..stores import MemoryStore, Store
from ..stores._store import check_on_store_error, checked_store
from ._budget_account import Accounts, BudgetStatus, Place, facts_from
from ._budget_limit import Amount, SpendLimit, facts_of, key_name
from ._budget_quote import Quote, Quoter
from ._budget_till import Hold, OnThreshold, Till

R = TypeVar("R")


class Budget:
    """Let through what its limits leave money for, and refuse the rest with :class:`BudgetExceededError`.

    Before each request on the wire, those of retries, hedges and fallbacks further in included, its cost is reserved in
    the store, on all accounts together or on none; at the end it is settled: what was spent stays, the rest is free
    again. So ``spent + reserved`` never passes a limit, however many calls, processes or machines share the store.

    With ``mode="hard"`` the reservation is an upper bound: no tokenizer makes more tokens of a text than it has bytes,
    the output is bounded by the limit that the request sets, and both are taken at the dearest rates that may hold.
    What has no bound is refused. With ``mode="estimate"`` it is what such calls cost on average so far, so that more of
    them fit; a limit may then be passed by what calls under way turn out to cost more.

    Attempts cost what the ``CostTracking`` layer says (``attempt.cost``), those of cut streams and losers of a race
    included. One whose cost stays unknown though its model has a price is settled as reserved. A cache hit costs
    nothing. A call that is cancelled settles in a shield of up to 5 seconds; what the store cannot be told is told with
    a later call.

    A reservation is held to the call's deadline and a minute longer; without a deadline for ``lease``, and renewed as
    events of its stream are read. That of a process that died lapses then. One that lapsed is counted all the same if
    it is settled within a day.

    Place it outside ``Retry`` and whatever else makes attempts: it is asked before each, and settles when all are over.

    :param limits: see :class:`SpendLimit`
    :param mode: what is reserved: ``"hard"``, an upper bound, or ``"estimate"``
    :param prices: the price book; by default the client's, or ``PriceBook.default()``, as ``CostTracking`` has it
    :param unknown: what becomes of a call to a model without a price: ``"refuse"`` it, ``"allow"`` it, uncounted, or
        take this ``Price`` for it
    :param bound: returns the US dollars that an attempt costs at most, where you know better, or where there is no
        bound otherwise; ``None``: it does not say
    :param image_tokens: tokens that an image counts at most; without it images have no bound
    :param output_tokens: tokens of an answer at most, where the request sets no limit; by default the model's whole
        context, where the price book knows it, which is a lot to reserve: rather give requests a limit
    :param store: where the accounts are; by default a ``MemoryStore``, for this process alone
    :param name: tells this budget from others in the same store
    :param on_store_error: what a store that fails does to calls: ``"closed"`` raises the ``StoreError``, ``"open"``
        lets them through, and counts what they cost when the store is back
    :param lease: seconds for which a reservation without a deadline is held, and renewed
    :param thresholds: parts of a limit that ``on_threshold`` is told of
    :param on_threshold: is called once in each window with a :class:`BudgetThreshold` for each part that is spent, by
        whichever process sees it first; 1.0 also when a call is refused
    :param clock: seconds since 1970, which tell the window
    :raises ValueError: no limit, the same one twice, or an argument that makes no sense
    """

    # Memory: one line for each attempt under way, a mean for up to 1024 models, and see Till. The rest is in the store.
    __slots__ = ("__weakref__", "_accounts", "_mode", "_quoter", "_till")

    def __init__(
        self,
        *limits: SpendLimit,
        mode: Literal["hard", "estimate"] = "hard",
        prices: PriceBook | None = None,
        unknown: Literal["refuse", "allow"] | Price = "refuse",
        bound: Callable[[Call[object]], Amount | None] | None = None,
        image_tokens: int | None = None,
        output_tokens: int | None = None,
        store: Store | None = None,
        name: str = "default",
        on_store_error: Literal["open", "closed"] = "closed",
        lease: float = 900.0,
        thresholds: Sequence[float] = (0.5, 0.8, 1.0),
        on_threshold: OnThreshold | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not limits:
            raise ValueError("no limits: give some, as SpendLimit(100, 'month')")
        accounts: list[tuple[object, ...]] = []
        for limit in limits:
            if not isinstance(limit, SpendLimit):
                raise ValueError(f"limits must be made as SpendLimit(100, 'month'), and {limit!r} is none")
            account = (limit.per, limit.time_zone, limit.by, tuple(sorted(limit.only.items())))
            if account in accounts:
                raise ValueError(f"limits has two of one account, and {limit} is the second: leave one out")
            accounts.append(account)
        if mode not in ("hard", "estimate"):
            raise ValueError(f"mode must be 'hard' or 'estimate', not {mode!r}")
        if not (unknown in ("refuse", "allow") or isinstance(unknown, Price)):
            raise ValueError(f"unknown must be 'refuse', 'allow' or a Price, not {unknown!r}")
        for field, tokens in (("image_tokens", image_tokens), ("output_tokens", output_tokens)):
            if tokens is not None and (not is_whole(tokens) or tokens < 0):
                raise ValueError(f"{field} must be a number of tokens, 0 or more, not {tokens!r}")
        if not name or ":" in name:
            raise ValueError(f"name must be a word without a colon, not {name!r}")
        check_on_store_error(on_store_error)
        if not 60 <= lease <= 86400:
            raise ValueError(f"lease must be from 60 to 86400 seconds, not {lease!r}")
        for threshold in thresholds:
            if not 0 < threshold <= 1:
                raise ValueError(f"thresholds must be above 0 and up to 1, and {threshold!r} is not")
        self._mode: Literal["hard", "estimate"] = mode
        self._accounts = Accounts(name, limits, clock)
        self._quoter = Quoter(
            prices,
            hard=mode == "hard",
            unknown=unknown,
            bound=bound,
            image_tokens=image_tokens,
            output_tokens=output_tokens,
        )
        self._till = Till(
            self._accounts,
            MemoryStore() if store is None else checked_store(store),
            lease=lease,
            on_store_error=on_store_error,
            thresholds=tuple(thresholds),
            on_threshold=on_threshold,
        )

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        return _Spending(self._accounts, self._quoter, self._till, call, call_next)

    async def status(
        self,
        *,
        provider: str | None = None,
        model: str | None = None,
        key: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> list[BudgetStatus]:
        """Tell what is spent, reserved and left, for each limit that what is given is enough for.

        :param key: an API key. A limit ``by=("model",)`` is told where ``model`` is given
        :raises StoreError: the store failed
        """
        places = self._accounts.of(_facts(provider, model, key, tags), partial=True)
        await self._till.tell_the_rest()
        balances = await self._till.store.balances([place.key for place in places])
        return [place.status(balance) for place, balance in zip(places, balances, strict=True)]

    async def reset(
        self,
        *,
        provider: str | None = None,
        model: str | None = None,
        key: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Forget what was spent in this window, for each limit that ``status`` would tell of.

        What calls under way hold stays, and counts when it is settled.

        :raises StoreError: the store failed
        """
        places = self._accounts.of(_facts(provider, model, key, tags), partial=True)
        await self._till.store.reset([place.key for place in places])

    @property
    def unsettled(self) -> int:
        """How many amounts that were spent the store could not be told yet. They are told with later calls."""
        return self._till.untold

    def __repr__(self) -> str:
        told = [str(limit) for limit in self._accounts.limits]
        told.append(f"mode={self._mode!r}")
        return f"Budget({', '.join(told)}, store={self._till.store!r})"


def _facts(
    provider: str | None, model: str | None, key: str | None, tags: Mapping[str, str] | None
) -> dict[str, str | None]:
    return facts_from(provider, model, None if key is None else key_name(key), tags)


class _Spending(Generic[R]):
    """The scope of a call, the gate of its attempts, and who watches them end."""

    __slots__ = ("_accounts", "_call", "_call_next", "_holds", "_quoter", "_scope", "_till")

    def __init__(self, accounts: Accounts, quoter: Quoter, till: Till, call: Call[R], call_next: Handler) -> None:
        self._accounts = accounts
        self._quoter = quoter
        self._till = till
        self._call = call
        self._call_next = call_next
        self._holds: list[tuple[Hold, Quote]] = []

    async def __aenter__(self) -> Reply[R]:
        call = self._call
        self._scope = self._call_next(replace(call, gates=(*call.gates, self), watchers=(*call.watchers, self)))
        try:
            reply = await self._scope.__aenter__()
        except BaseException:
            await self._settle(all_of_them=True)
            raise
        if reply.streamed and call.deadline - anyio.current_time() > self._till.lease:
            return reply.derive(events=_Renewed(reply, self._renew_if_due))
        return reply

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        try:
            return await self._scope.__aexit__(kind, error, traceback)
        finally:
            await self._settle(all_of_them=True)

    async def admit(self, call: Call[object], attempt: Attempt, request: HttpRequest) -> None:
        """Reserve what the attempt may cost, and settle those before it."""
        places = self._accounts.of(facts_of(call))
        quote = self._quoter.quote(call, request) if places else None
        if quote is None or self._take_over(places, quote, attempt):
            return
        await self._settle(all_of_them=False)
        if self._till.untold:
            await self._till.tell_the_rest()
        hold = self._till.hold(places, attempt, quote.amount, call.deadline)
        # Before anything is awaited: what is cancelled may be done all the same.
        self._holds.append((hold, quote))
        await self._till.reserve(call, hold)

    def begin(self, call: Call[object], attempt: Attempt, request: HttpRequest) -> RawHeaders:
        """Add nothing."""
        return ()

    def entered(self, attempt: Attempt, reply: Reply[object]) -> None:
        """Need nothing of it."""

    def ended(self, attempt: Attempt, error: BaseException | None) -> None:
        """Its cost is known before anything else can run."""
        for hold, _ in self._holds:
            if hold.attempt is attempt:
                hold.ended = True

    def _take_over(self, places: list[Place], quote: Quote, attempt: Attempt) -> bool:
        """Go on with what an attempt before held, and did not need: the store is not asked again after a refusal."""
        keys = [place.key for place in places]
        for index, (hold, before) in enumerate(self._holds):
            if not hold.ended or hold.amount is None or hold.keys != keys or hold.amount < quote.amount:
                continue
            now = anyio.current_time()
            lasting = hold.until - now > self._till.lease_until(self._call.deadline, now) / 2
            if lasting and not self._quoter.cost(before, hold.attempt):
                hold.attempt, hold.ended = attempt, False
                self._holds[index] = hold, quote
                return True
        return False

    async def _renew_if_due(self) -> None:
        await self._till.renew(cast("Call[object]", self._call), [hold for hold, _ in self._holds])

    async def _settle(self, *, all_of_them: bool) -> None:
        settled = [held for held in self._holds if all_of_them or held[0].ended]
        self._holds = [held for held in self._holds if held not in settled]
        raised: BaseException | None = None
        for hold, quote in settled:
            if not hold.places:
                continue
            try:
                await self._till.settle(
                    cast("Call[object]", self._call), hold, self._quoter.settled(quote, hold.attempt)
                )
            except BaseException as error:  # noqa: BLE001 # a listener's; the next is settled all the same
                raised = raised or error
        if raised is not None:
            raise raised


class _Renewed(Generic[R]):
    """The events of a stream without a deadline. While it is read, what it holds is renewed."""

    __slots__ = ("_renew", "_reply")

    def __init__(self, reply: Reply[R], renew: Callable[[], Awaitable[None]]) -> None:
        self._reply = reply
        self._renew = renew

    async def __anext__(self) -> R:
        await self._renew()
        return await self._reply.__anext__()

    async def aclose(self) -> None:
        """The scope closes the stream."""

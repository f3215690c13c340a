"""Write down every attempt, and what it cost."""

import logging
import os
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Generic, Literal, TypeVar, cast

import anyio
import msgspec

from .._contract import Attempt, Call, Handler
from .._reply import Reply
from ..money import TokenClasses
from ..stores import LedgerRow, LedgerStore, SqliteLedger, StoreError
from ..stores._store import check_on_store_error, checked_store

R = TypeVar("R")

_log = logging.getLogger("liter.ledger")

# Seconds for which the end of a call may hold up a cancellation. The rows are in line by then, and written later.
_GRACE = 5.0

_usage = msgspec.json.Encoder(decimal_format="string")


class LedgerFailed(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger could not be written. The rows of the call are tried again with the next ones.

    :param call: the call
    :param error: what happened
    :param goes_on: whether the call goes on all the same
    """

    call: Call[object]
    error: StoreError
    goes_on: bool


class Ledger:
    """Write a row for each attempt of a call when its scope closes: who, where, how it ended, what it used and cost.

    A call returns, and a stream is closed, when its rows are on the disk; calls at the same time share one wait for it.
    With ``wait=False`` they do not wait: see :class:`liter.stores.SqliteLedger` for when the rows are written, and
    close it at the end. A call without attempts, as a cache hit, has no rows. Rows hold no text of prompts or replies.

    Place it outermost: outside ``Retry``, so that a call waits once, and outside ``Budget``, which may say what an
    attempt without a price counts as. Costs are those that ``CostTracking`` has set; without it they are unknown.

    ``liter spend`` shows what is in it.

    :param store: where the rows go: a :class:`liter.stores.LedgerStore`, or the path of a SQLite file
    :param wait: whether a call waits until its rows would survive a crash
    :param on_store_error: what a ledger that cannot be written does to calls: ``"open"`` logs it, and the call goes on;
        ``"closed"`` raises the ``StoreError``, after the call was made and paid
    :param clock: seconds since 1970, for the time of rows
    :raises ValueError: an argument that makes no sense
    """

    __slots__ = ("__weakref__", "_clock", "_on_store_error", "_wait", "store")

    def __init__(
        self,
        store: LedgerStore | str | os.PathLike[str],
        *,
        wait: bool = True,
        on_store_error: Literal["open", "closed"] = "open",
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_on_store_error(on_store_error)
        if isinstance(store, str | os.PathLike):
            store = SqliteLedger(Path(store))
        self.store: LedgerStore = checked_store(store)
        self._wait = wait
        self._on_store_error = on_store_error
        self._clock = clock

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        return _Recorded(self, call, call_next)

    async def record(self, call: Call[object], attempts: list[Attempt]) -> None:
        """Write down attempts that are over."""
        if not attempts:
            return
        name = os.urandom(8).hex()
        since = self._clock() - anyio.current_time()
        rows = [_row(call, name, attempt, since) for attempt in attempts]
        try:
            with anyio.move_on_after(_GRACE, shield=True) as scope:
                await self.store.append(rows, wait=self._wait)
            if scope.cancelled_caught:
                raise StoreError(f"{self.store!r}: not written within {_GRACE:g} s")
        except StoreError as error:
            goes_on = self._on_store_error == "open"
            _log.warning("the ledger could not be written: %s", error)
            with anyio.move_on_after(_GRACE, shield=True):
                await call.notify(LedgerFailed(call=call, error=error, goes_on=goes_on))
            if not goes_on:
                raise

    def __repr__(self) -> str:
        return f"Ledger({self.store!r}{'' if self._wait else ', wait=False'})"


class _Recorded(Generic[R]):
    """The scope of a call whose attempts are written down at its end."""

    __slots__ = ("_before", "_call", "_ledger", "_scope")

    def __init__(self, ledger: Ledger, call: Call[R], call_next: Handler) -> None:
        self._ledger = ledger
        self._call = call
        self._before = len(call.attempts)
        self._scope = call_next(call)

    async def __aenter__(self) -> Reply[R]:
        try:
            return await self._scope.__aenter__()
        except BaseException:
            await self._record()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        try:
            return await self._scope.__aexit__(kind, error, traceback)
        finally:
            await self._record()

    async def _record(self) -> None:
        call = cast("Call[object]", self._call)
        await self._ledger.record(call, call.attempts[self._before :])


def _row(call: Call[object], name: str, attempt: Attempt, since: float) -> LedgerRow:
    usage, cost = attempt.usage, attempt.cost
    return LedgerRow(
        time=attempt.started + since,
        call=name,
        attempt=attempt.number,
        operation=attempt.operation or call.operation,
        provider=attempt.provider,
        model=attempt.model,
        tags=dict(call.tags),
        outcome=attempt.outcome,
        status=attempt.status,
        request_id=attempt.request_id,
        seconds=attempt.seconds,
        waited=attempt.waited,
        cost=None if cost is None else cost.picodollars,
        estimated=cost is not None and not cost.exact,
        source=None if cost is None else cost.source,
        price_version=None if cost is None else cost.price_version,
        prompt_tokens=None if usage is None else usage.prompt_tokens,
        completion_tokens=None if usage is None else usage.completion_tokens,
        tokens={} if usage is None else _classes(attempt),
        usage=None if usage is None else _usage.encode(usage).decode(),
    )


def _classes(attempt: Attempt) -> dict[str, int]:
    try:
        classes = TokenClasses() if attempt.usage is None else TokenClasses.of(attempt.usage)
    except ValueError:  # the usage contradicts itself; it is there as it was reported
        return {}
    return {name: count for name in classes.__struct_fields__ if (count := getattr(classes, name))}

"""Keep to limits of requests and tokens, one's own and the provider's."""

import weakref
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, Literal, TypeVar

from .._contract import Call, Handler
from .._errors import LlmError, RateLimitedError
from .._loop import EventLoop
from .._reply import Reply
from ..stores import MemoryStore, Store
from ..stores._store import check_on_store_error, checked_store
from ._rate_limit_gate import Gate, Policy, Ticket
from ._rate_limit_rule import Demand, Limit, estimate_tokens

R = TypeVar("R")


class RateLimit:
    """Let through what the limits allow; others wait in line, first come first served.

    All limits of a call are taken as one: it takes from each, or from none. Tokens are taken by an estimate, and
    corrected by the usage that the provider reports when the reply's scope closes. A refused request keeps its tokens
    no longer; one that was not sent, or that a layer further in answered, gives back all. What was cut off stays as
    estimated, but for the input, where that was reported by then.

    The line is kept for calls with all limits in common; of what the first of one line waits for, nobody takes who came
    later and stands in another. A wait spends the call's own time: one that would not be over before ``call.enter_by``
    is not begun. Between processes that share a store nobody is first.

    With ``adaptive=True`` it also keeps to the limits that the provider tells in response headers, for each provider,
    model and key: it sends as fast as they refill, after a burst of half of them, and slower where less is left than
    that explains. Until the first answer is in, one request a second goes through. A refusal by the provider lets
    nothing through until its ``retry_after`` is over. Limits of more than an hour are not paced to.

    Place it inside ``Retry``, as each attempt counts with the provider, and inside ``Cache``, as a hit does not.

    :param limits: what to keep to, see :class:`Limit`
    :param adaptive: keep to the provider's own limits, too
    :param on_limit: ``"wait"`` in line, or ``"refuse"`` at once
    :param estimate: returns input and output tokens of a call before it is sent; by default a quarter of the bytes of
        the request as JSON, and its output limit, 1000 where it has none. Give one for images and files
    :param store: where the limits are kept; by default a ``MemoryStore``, for this process alone
    :param on_store_error: what a store that fails does to calls, see :class:`RateLimitStoreFailed`: ``"open"`` lets
        them through, ``"closed"`` raises the ``StoreError``. It is asked again after a second
    :raises ValueError: no limit, the same one twice, or an argument out of range
    :raises RateLimitedError: with ``code="local_rate_limit"``, on entering. Its ``retry_after`` is the wait that was
        left, the line included
    """

    # Memory: a place for each call in line, and up to 1024 pacers for each event loop. The rest is in the store.
    __slots__ = ("__weakref__", "_gates", "_latest", "_policy")

    def __init__(
        self,
        *limits: Limit,
        adaptive: bool = False,
        on_limit: Literal["wait", "refuse"] = "wait",
        estimate: Callable[[Call[object]], tuple[float, float]] | None = None,
        store: Store | None = None,
        on_store_error: Literal["open", "closed"] = "open",
    ) -> None:
        for limit in limits:
            if not isinstance(limit, Limit):
                raise ValueError(f"limits must be made as Limit(500, 'requests'), and {limit!r} is none")
        if not limits and not adaptive:
            raise ValueError("no limits: give some, as Limit(500, 'requests'), or adaptive=True")
        for limit in limits:
            if limits.count(limit) > 1:
                raise ValueError(f"limits has {limit} twice: leave one out")
        if on_limit not in ("wait", "refuse"):
            raise ValueError(f"on_limit must be 'wait' or 'refuse', not {on_limit!r}")
        if estimate is not None and not callable(estimate):
            raise ValueError(f"estimate must be a function of the call, not {estimate!r}")
        check_on_store_error(on_store_error)
        self._policy = Policy(
            limits=limits,
            adaptive=adaptive,
            on_limit=on_limit,
            estimate=estimate_tokens if estimate is None else estimate,
            store=MemoryStore() if store is None else checked_store(store),
            on_store_error=on_store_error,
        )
        self._gates: weakref.WeakKeyDictionary[EventLoop, Gate] = weakref.WeakKeyDictionary()
        # The one that was asked for last, which mostly is the only one.
        self._latest: tuple[EventLoop, Gate] | None = None

    @property
    def waiting(self) -> int:
        """Calls in line, those at its head included."""
        return sum(gate.waiting for gate in list(self._gates.values()))

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        loop = call.loop or EventLoop.current()
        latest = self._latest
        gate = latest[1] if latest is not None and latest[0] is loop else self._gate(loop)
        return _Admitted(gate, loop, call, call_next)

    def _gate(self, loop: EventLoop) -> Gate:
        gate = self._gates.get(loop)
        if gate is None:
            gate = self._gates[loop] = Gate(self._policy)
        self._latest = loop, gate
        return gate

    def __repr__(self) -> str:
        policy = self._policy
        told = [str(limit) for limit in policy.limits]
        if policy.adaptive:
            told.append("adaptive=True")
        if policy.on_limit != "wait":
            told.append(f"on_limit={policy.on_limit!r}")
        if policy.on_store_error != "open":
            told.append(f"on_store_error={policy.on_store_error!r}")
        return f"RateLimit({', '.join(told)}, store={policy.store!r}, waiting={self.waiting})"


class _Admitted(Generic[R]):
    """The scope of a call that was let through."""

    __slots__ = ("_call", "_call_next", "_gate", "_loop", "_reply", "_scope", "_ticket")

    def __init__(self, gate: Gate, loop: EventLoop, call: Call[R], call_next: Handler) -> None:
        self._gate = gate
        self._loop = loop
        self._call = call
        self._call_next = call_next

    async def __aenter__(self) -> Reply[R]:
        call, gate = self._call, self._gate
        demand = gate.demand_of(call)
        ticket = gate.admit_nowait(call, demand, self._loop.now())
        if ticket is None:
            ticket = await gate.admit(call, demand)
        self._ticket = ticket
        attempts = len(call.attempts)
        # Not called before it is known that it is needed: what is further in may count its calls.
        self._scope = self._call_next(call)
        try:
            self._reply = reply = await self._scope.__aenter__()
        except BaseException as error:
            if ticket is not None:
                await self._failed(ticket, error, sent=call.sent_since(attempts))
            raise
        if ticket is not None and ticket.pacer is not None and reply.origin == "provider":
            try:
                await gate.learn(call, ticket, reply.headers)
            except BaseException as error:
                await self.__aexit__(type(error), error, error.__traceback__)
                raise
        return reply

    async def _failed(self, ticket: Ticket, error: BaseException, *, sent: bool) -> None:
        call, gate = self._call, self._gate
        if not sent:
            await gate.settle(call, ticket, Demand())
        elif isinstance(error, LlmError) and error.status is not None and error.status >= 400:
            # It was counted, and made nothing. What ended otherwise may have made any of its tokens.
            await gate.settle(call, ticket, Demand(requests=ticket.demand.requests))
        if sent and isinstance(error, LlmError) and error.headers:
            # A refusal tells of the limits, too, and it may be the first answer there is.
            await gate.learn(call, ticket, error.headers)
        if sent and isinstance(error, RateLimitedError) and _is_the_providers(error):
            await gate.pause(call, ticket, error)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        try:
            return await self._scope.__aexit__(kind, error, traceback)
        finally:
            ticket, reply = self._ticket, self._reply
            if ticket is not None:
                if reply.origin != "provider":
                    kept = Demand()
                else:
                    kept = ticket.demand
                    if reply.usage is not None:
                        kept = kept.settled(reply.usage, whole=reply.finished)
                if not self._gate.settle_nowait(ticket, kept, self._loop.now()):
                    await self._gate.settle(self._call, ticket, kept)


def _is_the_providers(error: RateLimitedError) -> bool:
    # Waiting does not bring back a quota. Layers further in say "local".
    return not error.quota_exhausted and not (error.code or "").startswith("local_")

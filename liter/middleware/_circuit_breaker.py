"""Refuse at once what would fail anyway."""

from collections import OrderedDict
from contextlib import AbstractAsyncContextManager
from threading import RLock
from types import TracebackType
from typing import Generic, Literal, TypeVar

from .._circuit import Admission, Circuit, CircuitPolicy
from .._circuit_scope import CircuitScope
from .._circuit_share import CircuitShare
from .._contract import Call, Handler, Route
from .._errors import ServiceUnavailableError
from .._loop import EventLoop
from .._number import is_whole
from .._reply import Reply
from .._secret import Secret
from ..stores import Store
from ..stores._store import check_on_store_error, checked_store

R = TypeVar("R")

_Shared = tuple[Circuit, CircuitShare | None]
_Place = tuple[str, str, str, Secret | None]


class CircuitBreaker:
    """Send nothing to a model that fails too often, until it works again.

    There is one circuit for each address of a provider, model and key (a quota is a key's), for all event loops and
    threads of the process that use this object. Other processes find out by themselves; or within a second, if they
    share a ``store``: each counts its own results, and that a circuit opens, closes or cools down holds for all.

    What counts is the provider's side: rate limits, server errors, overload, timeouts, the network, broken streams and
    replies that cannot be read. What counts not is the caller's side (400, 401, 404, content policy), a cancellation,
    and what a layer further in refuses or answers itself.

    A rate limit that says when to come back is no failure: the circuit *cools down* for exactly that long. The
    listeners of a call are told :class:`CircuitOpened`, :class:`CircuitClosed` and :class:`CoolingDown`.

    Place it inside ``Retry``, which then waits for ``retry_after``, and inside ``Fallback``, which then goes elsewhere.
    A :class:`Router` has circuits of its own.

    :param policy: when a circuit opens, and when it closes
    :param max_circuits: the least recently used are forgotten beyond this many
    :param store: where what circuits found out is shared; by default it is not
    :param on_store_error: what a store that cannot be asked does to a call, see :class:`CircuitStoreFailed`: ``"open"``
        lets it go on by what its own process knows, ``"closed"`` raises the ``StoreError``
    :raises ValueError: ``max_circuits`` is below 1, or a word that means nothing
    :raises ServiceUnavailableError: on entering: the circuit is open; ``retry_after`` is the exact wait
    """

    __slots__ = ("_circuits", "_lock", "max_circuits", "on_store_error", "policy", "store")

    def __init__(
        self,
        policy: CircuitPolicy | None = None,
        *,
        max_circuits: int = 1000,
        store: Store | None = None,
        on_store_error: Literal["open", "closed"] = "open",
    ) -> None:
        if not (is_whole(max_circuits) and max_circuits >= 1):
            raise ValueError(f"max_circuits must be 1 or more, not {max_circuits!r}")
        check_on_store_error(on_store_error)
        if not isinstance(policy, CircuitPolicy | None):
            raise ValueError(f"policy must be made as CircuitPolicy(min_calls=20), not {policy!r}")
        self.store: Store | None = checked_store(store)
        self.on_store_error: Literal["open", "closed"] = on_store_error
        self.policy: CircuitPolicy = policy or CircuitPolicy()
        self.max_circuits: int = max_circuits
        # Callers make up names of models, so it could grow without end.
        self._circuits: OrderedDict[_Place, _Shared] = OrderedDict()
        self._lock = RLock()

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        return _Guarded(self, call, call_next)

    async def admit(self, call: Call[object], now: float) -> tuple[Admission, CircuitShare | None]:
        """Let a call through. ``now`` is by the clock that all event loops have in common.

        :raises ServiceUnavailableError: the circuit is open
        :raises StoreError: the store failed, and ``on_store_error="closed"``
        """
        route = call.route
        circuit, share = self._circuit(route)
        if share is not None:
            await share.look(call, now)
        admission = circuit.admit(now)
        if admission is None:
            wait = circuit.ready_at(now) - now
            raise ServiceUnavailableError(
                f"not sent: the circuit is {_named(circuit)} for {wait:.3g} s more",
                code="circuit_open",
                provider=route.provider,
                model=route.model or None,
                retry_after=wait,
            )
        return admission, share

    def _circuit(self, route: Route) -> "_Shared":
        key = route.provider, route.model, route.base_url, route.api_key
        with self._lock:
            circuit = self._circuits.get(key)
            if circuit is None:
                made = Circuit(self.policy)
                share = None
                if self.store is not None:
                    secret = None if route.api_key is None else route.api_key.reveal()
                    share = CircuitShare(made, self.store, ["route", *key[:3], secret], self.on_store_error)
                circuit = self._circuits[key] = made, share
                if len(self._circuits) > self.max_circuits:
                    self._circuits.popitem(last=False)
            else:
                self._circuits.move_to_end(key)
            return circuit

    def __repr__(self) -> str:
        shut = [
            f"{provider}/{model} {circuit.state}"
            for (provider, model, _, _), (circuit, _) in list(self._circuits.items())
            if circuit.state != "closed"
        ]
        policy = self.policy
        told = [f"error_rate={policy.error_rate:g}, min_calls={policy.min_calls}", *shut]
        if self._circuits and not shut:
            told.append(f"{len(self._circuits)} closed")
        return f"CircuitBreaker({', '.join(told)})"


def _named(circuit: Circuit) -> str:
    return {"closed": "cooling down", "open": "open", "half-open": "busy with probes"}[circuit.state]


class _Guarded(Generic[R]):
    __slots__ = ("_breaker", "_call", "_call_next", "_scope")

    def __init__(self, breaker: CircuitBreaker, call: Call[R], call_next: Handler) -> None:
        self._breaker = breaker
        self._call = call
        self._call_next = call_next

    async def __aenter__(self) -> Reply[R]:
        call = self._call
        loop = EventLoop.current()
        admission, share = await self._breaker.admit(call, loop.now())
        self._scope = CircuitScope(admission, call, self._call_next, loop, share=share)
        return await self._scope.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._scope.__aexit__(kind, error, traceback)

"""Refuse at once what would fail anyway."""

from collections import OrderedDict
from contextlib import AbstractAsyncContextManager
from threading import RLock
from types import TracebackType
from typing import Generic, TypeVar

from .._circuit import Admission, Circuit, CircuitPolicy
from .._circuit_scope import CircuitScope
from .._contract import Call, Handler, Route
from .._errors import ServiceUnavailableError
from .._loop import EventLoop
from .._reply import Reply

R = TypeVar("R")


class CircuitBreaker:
    """Send nothing to a model that fails too often, until it works again.

    There is one circuit for each provider and model, for all event loops and threads of the process that use this
    object; other processes find out by themselves. What counts is the provider's side: rate limits, server
    errors, overload, timeouts, the network, broken streams and replies that cannot be read. What counts not is
    the caller's side (400, 401, 404, content policy), a cancellation, and what a layer further in refuses or
    answers itself.

    A rate limit that says when to come back is no failure: the circuit *cools down* for exactly that long. The
    listeners of a call are told :class:`CircuitOpened`, :class:`CircuitClosed` and :class:`CoolingDown`.

    Place it inside ``Retry``, which then waits for ``retry_after``, and inside ``Fallback``, which then goes elsewhere.
    A :class:`Router` has circuits of its own.

    :param policy: when a circuit opens, and when it closes
    :param max_circuits: the least recently used are forgotten beyond this many
    :raises ValueError: ``max_circuits`` is below 1
    :raises ServiceUnavailableError: on entering: the circuit is open; ``retry_after`` is the exact wait
    """

    __slots__ = ("_circuits", "_lock", "max_circuits", "policy")

    def __init__(self, policy: CircuitPolicy | None = None, *, max_circuits: int = 1000) -> None:
        if max_circuits < 1:
            raise ValueError(f"max_circuits must be 1 or more, not {max_circuits!r}")
        self.policy: CircuitPolicy = policy or CircuitPolicy()
        self.max_circuits: int = max_circuits
        # Callers make up names of models, so it could grow without end.
        self._circuits: OrderedDict[tuple[str, str], Circuit] = OrderedDict()
        self._lock = RLock()

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        return _Guarded(self, call, call_next)

    def admit(self, route: Route, now: float) -> Admission:
        """Let a call through. ``now`` is by the clock that all event loops have in common.

        :raises ServiceUnavailableError: the circuit is open
        """
        circuit = self._circuit(route.provider, route.model)
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
        return admission

    def _circuit(self, provider: str, model: str) -> Circuit:
        key = provider, model
        with self._lock:
            circuit = self._circuits.get(key)
            if circuit is None:
                circuit = self._circuits[key] = Circuit(self.policy)
                if len(self._circuits) > self.max_circuits:
                    self._circuits.popitem(last=False)
            else:
                self._circuits.move_to_end(key)
            return circuit

    def __repr__(self) -> str:
        shut = [
            f"{provider}/{model} {circuit.state}"
            for (provider, model), circuit in list(self._circuits.items())
            if circuit.state != "closed"
        ]
        return f"CircuitBreaker({', '.join(shut) or f'{len(self._circuits)} closed'})"


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
        admission = self._breaker.admit(call.route, loop.now())
        self._scope = CircuitScope(admission, call, self._call_next, loop)
        return await self._scope.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._scope.__aexit__(kind, error, traceback)

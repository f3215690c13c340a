"""Several deployments behind one model's name."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from random import Random
from threading import RLock
from typing import Literal, TypeVar, cast, get_args

import anyio

from .._circuit import Admission, Circuit, CircuitPolicy
from .._circuit_share import PATIENCE, CircuitShare
from .._contract import Call, Handler
from .._errors import EndpointNotSupportedError, LlmError, ServiceUnavailableError
from .._reply import Reply
from .._secret import Secret
from ..money import PriceBook
from ..stores import Store
from ..stores._store import check_on_store_error, checked_store
from ._balance import Balance, Strategy, stick
from ._deployment import Deployment, Health, Member
from ._deployment_cost import DeploymentCosts
from ._router_avoidance import Avoidance
from ._router_pools import check_pools, check_prices
from ._router_scope import Picked as Picked
from ._router_scope import RoutedScope

R = TypeVar("R")


class Router:
    """Send each call to a pool's name to one of the pool's deployments. Other calls pass through.

    A pool's name is what calls give as their model::

        Router({"fast": [Deployment("openai/gpt-4o-mini", weight=2), Deployment("groq/llama-3.1-8b-instant")]})

    By ``strategy`` it chooses among the deployments that are up and have not failed this call before:

    - ``"weighted"``: by chance, in proportion to the weights
    - ``"round_robin"``: in turn, in proportion to the weights
    - ``"least_in_flight"``: with the fewest calls under way for its weight
    - ``"cheapest"``: where this call costs least, by the ``price`` of each or else by the price book, of equal ones by
      weight: a quarter of the bytes of its messages as JSON (of what is no chat, of all of it) is taken for input
      tokens, and its output limit, 1000 where it has none, for output tokens, times ``n``. One whose price is unknown
      is the dearest
    - ``"latency"``: of two taken by chance the one with the lower ``mean seconds / mean success``, exponentially
      weighted means with 0.3 for the latest. A failure never counts as fast. One that is untried, or may have
      recovered, gets one call at a time; one that fails more often than not gets none while another works. One
      call in 200 goes by weight alone. Whole replies and first events are measured apart

    With ``sticky``, calls with that tag go by its value, the same to the same deployment: a warm prompt cache.

    One deployment is sent each attempt: place it inside ``Retry``, which then goes on with another one. For that, an
    error of a deployment while another can take the call asks for no wait (``retry_after=None``), and is retryable even
    if it is an exhausted quota, a model that is not there, or a refused key while another one logs in with its own. An
    attempt that is made while others of the same call wait (a hedge) goes where none of them is. Where a layer further
    in refuses to send anything for now, as a limit of that deployment does, the next one is asked at once; likewise
    where its provider does not take one of the parameters.

    Each deployment has a circuit, see :class:`CircuitPolicy`; a ``Retry-After`` takes it out for that long. The
    listeners of a call are told :class:`Picked`, :class:`CircuitOpened`, :class:`CircuitClosed` and
    :class:`CoolingDown`. All of this is known to the object, on all event loops and threads of its process. With a
    ``store``, that a circuit opens, closes or cools down is known to all who share it, within a second; what was
    measured (latency, calls in flight, whose turn it is) is not shared.

    :param pools: the deployments by the pool's name
    :param sticky: name of a tag
    :param circuit: when a deployment is out, and when it is back
    :param prices: what deployments cost that state no price, for ``"cheapest"``; by default the client's, or
        ``PriceBook.default()``
    :param store: where what circuits found out is shared; by default it is not
    :param on_store_error: what a store that cannot be asked does to a call, see :class:`CircuitStoreFailed`: ``"open"``
        lets it go on by what its own process knows, ``"closed"`` raises the ``StoreError``
    :param random: where chance comes from; seed it to have the same choices again
    :raises ValueError: an empty pool, a pool within a pool, an unknown strategy; ``"cheapest"`` with a model that has
        no price, here where ``prices`` is given, and else when the client is made
    :raises ServiceUnavailableError: on entering: none is up; ``retry_after`` is the wait for the first that is back
    """

    __slots__ = (
        "_balance",
        "_costs",
        "_healths",
        "_lock",
        "_pools",
        "avoidance",
        "circuit",
        "on_store_error",
        "sticky",
        "store",
        "strategy",
    )

    def __init__(
        self,
        pools: Mapping[str, Sequence[Deployment]],
        *,
        strategy: Strategy = "weighted",
        sticky: str | None = None,
        circuit: CircuitPolicy | None = None,
        prices: PriceBook | None = None,
        store: Store | None = None,
        on_store_error: Literal["open", "closed"] = "open",
        random: Random | None = None,
    ) -> None:
        check_on_store_error(on_store_error)
        if strategy not in get_args(Strategy):
            raise ValueError(f"strategy must be one of {', '.join(get_args(Strategy))}, not {strategy!r}")
        if sticky is not None and (not isinstance(cast("object", sticky), str) or not sticky):
            raise ValueError(
                f"sticky must be the name of a tag, not {sticky!r}; leave it out for calls that may go anywhere"
            )
        for name, given, kind, example in (
            ("circuit", circuit, CircuitPolicy, "CircuitPolicy(min_calls=20)"),
            ("prices", prices, PriceBook, "PriceBook.default()"),
            ("random", random, Random, "random.Random(1)"),
        ):
            if given is not None and not isinstance(given, kind):
                raise ValueError(f"{name} must be made as {example}, not {given!r}")
        check_pools(pools)
        self.strategy: Strategy = strategy
        self.sticky: str | None = sticky
        self.circuit: CircuitPolicy = circuit or CircuitPolicy()
        self.store: Store | None = checked_store(store)
        self.on_store_error: Literal["open", "closed"] = on_store_error
        self._costs = DeploymentCosts(prices)
        for deployment in (deployment for deployments in pools.values() for deployment in deployments):
            self._costs.take(deployment)
        if strategy == "cheapest" and prices is not None:
            check_prices(pools, self._costs, None)
        self._balance = Balance(strategy, random or Random(), self._costs)
        # Reentrant, as a finalizer may run in the middle of a step of its thread.
        self._lock = RLock()
        # A deployment may be in several pools; it is up or down in all of them.
        self._healths: dict[tuple[object, ...], Health] = {}
        self._pools = {name: self._members(deployments) for name, deployments in pools.items()}
        self.avoidance: Avoidance = Avoidance(self._pools)

    @property
    def models(self) -> dict[str, tuple[str, ...]]:
        """The models of each pool's deployments, by the pool's name."""
        return {name: tuple(member.deployment.model for member in members) for name, members in self._pools.items()}

    def check_prices(self, clients: PriceBook | None) -> None:
        """Check, where prices are compared, that all deployments have one. A client calls it when it is made.

        :param clients: its price book
        :raises ValueError: one has none
        """
        if self.strategy == "cheapest":
            deployments = {name: [member.deployment for member in members] for name, members in self._pools.items()}
            check_prices(deployments, self._costs, clients)

    @property
    def in_flight(self) -> int:
        """Calls that are under way at the deployments."""
        return sum(health.in_flight for health in self._healths.values())

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        route = call.route
        for name in (route.model, f"{route.provider}/{route.model}"):
            if name in self._pools:
                return RoutedScope(self, name, call, call_next)
        return call_next(call)

    def pick(self, pool: str, call: Call[R], now: float) -> tuple[Member, Admission, Call[R]]:
        """Choose a deployment for an attempt, and let it in there. Returns the call with the route, too.

        ``now`` is by the clock that all event loops have in common.

        :raises ServiceUnavailableError: none is up
        :raises EndpointNotSupportedError: none offers the operation
        """
        value = call.tags.get(self.sticky) if self.sticky is not None else None
        avoided = self.avoidance.by(call) if self.avoidance.calls else None
        with self._lock:
            ready = [member for member in self._pools[pool] if member.health.circuit.is_ready(now)]
            while ready:
                fresh = ready
                if avoided:
                    fresh = [member for member in ready if avoided.get(member.health, now) <= now] or ready
                if call.attempt > 1:
                    # Raced, or after a stream that goes on elsewhere: not to where this very call is still waiting.
                    fresh = [member for member in fresh if not member.health.serves(call.attempts)] or fresh
                member = stick(fresh, value) if value is not None else self._balance.choose(fresh, call)
                try:
                    routed = member.deployment.routed(call)
                except EndpointNotSupportedError:
                    ready.remove(member)
                    continue
                admission = member.health.circuit.admit(now)
                if admission is not None:
                    return member, admission, routed
                # Another pool, in another thread, took the last probe.
                ready.remove(member)
        raise self._all_out(pool, call, now)

    def _all_out(self, pool: str, call: Call[R], now: float) -> LlmError:
        able: list[Member] = []
        refusal: LlmError | None = None
        for member in self._pools[pool]:
            try:
                member.deployment.routed(call)
                able.append(member)
            except EndpointNotSupportedError as error:
                refusal = error
        if refusal is not None and not able:
            return refusal
        waits = {member.label: member.health.circuit.ready_at(now) - now for member in able}
        listed = ", ".join(f"{label} for {wait:.3g} s" for label, wait in waits.items())
        return ServiceUnavailableError(
            f"no deployment of pool {pool!r} is up; out are {listed}",
            code="no_deployment",
            retry_after=min(waits.values()),
        )

    def _members(self, deployments: Sequence[Deployment]) -> tuple[Member, ...]:
        members: list[Member] = []
        for deployment in deployments:
            where = deployment.model, deployment.base_url, deployment.api_key
            health = self._healths.get(where)
            if health is None:
                health = self._healths[where] = self._health(deployment)
            label = f"{deployment.model} at {deployment.base_url}" if deployment.base_url else deployment.model
            alike = sum(other.label.partition(" #")[0] == label for other in members)
            members.append(Member(deployment, health, f"{label} #{alike + 1}" if alike else label))
        return tuple(members)

    def _health(self, deployment: Deployment) -> Health:
        circuit = Circuit(self.circuit)
        if self.store is None:
            return Health(circuit)
        key = deployment.api_key.reveal() if isinstance(deployment.api_key, Secret) else None
        name = ["deployment", deployment.model, deployment.base_url, key]
        return Health(circuit, CircuitShare(circuit, self.store, name, self.on_store_error))

    async def look(self, pool: str, call: Call[object], now: float) -> None:
        """Take over what others know of a pool's deployments.

        :raises StoreError: the store failed, and ``on_store_error="closed"``
        """
        # All of them in the time of one.
        until = anyio.current_time() + PATIENCE
        for member in self._pools[pool]:
            if member.health.share is not None:
                await member.health.share.look(call, now, until - anyio.current_time())

    def __repr__(self) -> str:
        pools = ", ".join(
            f"{name!r}: [{', '.join(_told(member) for member in members)}]" for name, members in self._pools.items()
        )
        sticky = f", sticky={self.sticky!r}" if self.sticky is not None else ""
        store = f", store={self.store!r}" if self.store is not None else ""
        return f"Router({{{pools}}}, strategy={self.strategy!r}{sticky}{store})"


def _told(member: Member) -> str:
    weight = member.deployment.weight
    share = f" x {weight:g}" if weight != 1 else ""
    state = member.health.circuit.state
    return f"{member.label}{share}{f' ({state})' if state != 'closed' else ''}"

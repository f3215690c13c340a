"""Several deployments behind one model's name."""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from random import Random
from threading import RLock
from types import TracebackType
from typing import Generic, Literal, TypeGuard, TypeVar, cast, get_args

import anyio
import msgspec

from .._circuit import Admission, Circuit, CircuitPolicy
from .._circuit_scope import FAULTS, CircuitScope
from .._circuit_share import PATIENCE, CircuitShare, check_on_store_error
from .._contract import Attempt, Call, Handler, Route
from .._errors import (
    AuthenticationError,
    BadRequestError,
    EndpointNotSupportedError,
    LlmError,
    NotFoundError,
    RateLimitedError,
    ServiceUnavailableError,
)
from .._loop import EventLoop
from .._reply import Reply
from .._secret import Secret
from ..money import PriceBook
from ..stores import Store
from ..stores._store import checked_store
from ._balance import Balance, Strategy, stick
from ._deployment import Deployment, Health, Member
from ._deployment_cost import DeploymentCosts
from ._router_pools import check_pools, check_prices

R = TypeVar("R")

# Calls that had a failure and are remembered, so that their next attempts go elsewhere.
_REMEMBERED = 1024


# What is not found at a deployment is the deployment.
_FAULTS = (*FAULTS, NotFoundError)

# Of one with a key of its own.
_FAULTS_WITH_KEY = (*_FAULTS, AuthenticationError)


class Picked(msgspec.Struct, frozen=True, kw_only=True):
    """A router has chosen.

    :param call: on its way, with the route to the deployment
    :param pool: the name that was asked for
    :param deployment: where it goes
    """

    call: Call[object]
    pool: str
    deployment: Deployment


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
        "_avoided",
        "_balance",
        "_costs",
        "_healths",
        "_lock",
        "_pools",
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
        # By the identity of a call's record of attempts, which all copies of the call have in common. Kept with it, so
        # that it stays its own.
        self._avoided: OrderedDict[int, tuple[list[Attempt], dict[Health, float]]] = OrderedDict()
        # A deployment may be in several pools; it is up or down in all of them.
        self._healths: dict[tuple[object, ...], Health] = {}
        self._pools = {name: self._members(deployments) for name, deployments in pools.items()}

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
                return _Routed(self, name, call, call_next)
        return call_next(call)

    def pick(self, pool: str, call: Call[R], now: float) -> tuple[Member, Admission, Call[R]]:
        """Choose a deployment for an attempt, and let it in there. Returns the call with the route, too.

        ``now`` is by the clock that all event loops have in common.

        :raises ServiceUnavailableError: none is up
        :raises EndpointNotSupportedError: none offers the operation
        """
        members = self._pools[pool]
        value = call.tags.get(self.sticky) if self.sticky is not None else None
        with self._lock:
            ready = [member for member in members if member.health.circuit.is_ready(now)]
            avoided = self._avoided_by(call) if self._avoided else None
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

    def note_failure(
        self, pool: str, member: Member, asked: Call[R], sent: Call[R], error: LlmError, now: float
    ) -> None:
        """Remember who failed a call, and tell by the error when the pool as a whole can take it again.

        :param asked: the call to the pool, and ``sent``, the same on its way to the deployment
        """
        avoided = self.avoid(asked, member.health, math.inf)
        waits = self._waits(pool, asked, avoided, now)
        if isinstance(error, AuthenticationError):
            # Who logs in in the same way would be refused, too.
            for other, route, _ in waits:
                if _login(route) == _login(sent.route):
                    avoided = self.avoid(asked, other.health, math.inf)
        if any(wait == 0 and avoided.get(other.health, now) <= now for other, _, wait in waits):
            if error.retry_after is not None:
                error.add_note(f"it asked for {error.retry_after:g} s, but pool {pool!r} has another deployment")
                error.retry_after = None
            if isinstance(error, RateLimitedError | AuthenticationError | NotFoundError):
                error.retryable = True
        elif error.retry_after is not None:
            error.retry_after = min(wait for _, _, wait in waits)

    def note_refusal(self, pool: str, member: Member, asked: Call[R], error: LlmError, now: float) -> bool:
        """Remember where a layer further in let nothing through. Returns whether another deployment can be asked."""
        wait = error.retry_after
        avoided = self.avoid(asked, member.health, now + wait if wait else math.inf)
        waits = self._waits(pool, asked, avoided, now)
        if any(wait == 0 and avoided.get(other.health, now) <= now for other, _, wait in waits):
            return True
        if wait is not None:
            error.retry_after = min(wait for _, _, wait in waits)
        return False

    def avoid(self, call: Call[R], health: Health, until: float) -> dict[Health, float]:
        """Have further attempts of a call go elsewhere until then, as long as there is anywhere else.

        Returns all that the call avoids.
        """
        with self._lock:
            _, avoided = self._avoided.setdefault(id(call.attempts), (call.attempts, {}))
            avoided[health] = until
            while len(self._avoided) > _REMEMBERED:
                self._avoided.popitem(last=False)
            return avoided.copy()

    def _avoided_by(self, call: Call[R]) -> dict[Health, float] | None:
        known = self._avoided.get(id(call.attempts))
        return None if known is None else known[1]

    def _waits(
        self, pool: str, call: Call[R], avoided: Mapping[Health, float], now: float
    ) -> list[tuple[Member, Route, float]]:
        """The deployments that offer the operation, and the seconds until each can take the call."""
        waits: list[tuple[Member, Route, float]] = []
        for member in self._pools[pool]:
            try:
                route = member.deployment.routed(call).route
            except EndpointNotSupportedError:
                continue
            refused_until = avoided.get(member.health, now)
            ready_at = member.health.circuit.ready_at(now)
            waits.append((member, route, max(ready_at, refused_until if refused_until < math.inf else now) - now))
        return waits

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


class _Routed(Generic[R]):
    __slots__ = ("_call", "_call_next", "_health", "_pool", "_router", "_scope")

    def __init__(self, router: Router, pool: str, call: Call[R], call_next: Handler) -> None:
        self._router = router
        self._pool = pool
        self._call = call
        self._call_next = call_next

    async def __aenter__(self) -> Reply[R]:
        router, asked = self._router, self._call
        loop = asked.loop or EventLoop.current()
        began = loop.now()
        if router.store is not None:
            await router.look(self._pool, asked, began)
            began = loop.now()
        asked_already = 0
        while True:
            member, admission, call = router.pick(self._pool, asked, began)
            self._health = health = member.health
            estimate = health.estimate(stream=call.stream)
            faults = _FAULTS if member.deployment.api_key is None else _FAULTS_WITH_KEY
            self._scope = scope = CircuitScope(admission, call, self._call_next, loop, faults, health.share)
            health.begin(self, call.attempts)
            try:
                if call.listeners:
                    picked = Picked(call=call, pool=self._pool, deployment=member.deployment)
                    await call.notify(picked)
                    began = loop.now()
                reply = await scope.__aenter__()
            except BaseException as error:
                health.end(self)
                admission.withdraw()
                if scope.blamed and isinstance(error, LlmError):
                    estimate.failed(scope.entered - began)
                    router.note_failure(self._pool, member, asked, call, error, scope.entered)
                elif not scope.sent and _may_pass_elsewhere(error):
                    # Each is asked once: a wait of no time must not go round in circles.
                    began, asked_already = loop.now(), asked_already + 1
                    another = router.note_refusal(self._pool, member, asked, error, began)
                    if another and asked_already < len(router.models[self._pool]):
                        continue
                elif isinstance(error, AuthenticationError):
                    router.note_failure(self._pool, member, asked, call, error, loop.now())
                elif not isinstance(error, GeneratorExit):  # which may come when no event loop runs
                    estimate.given_up(loop.now() - began)
                raise
            if scope.recovered:
                health.unary.forget()
                health.stream.forget()
            if reply.origin == "provider":
                estimate.succeeded(scope.entered - began)
            return reply

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        try:
            return await self._scope.__aexit__(kind, error, traceback)
        finally:
            self._health.end(self)
            if self._scope.blamed:
                # Its stream broke: what may follow it goes elsewhere.
                self._health.estimate(stream=self._call.stream).failed(0.0)
                self._router.avoid(self._call, self._health, math.inf)


def _may_pass_elsewhere(error: BaseException) -> TypeGuard[LlmError]:
    """Whether what was refused before it was sent may pass at another deployment.

    It may where a limit is another one's, and where the provider takes all of the parameters.
    """
    return isinstance(error, LlmError) and (error.retryable or isinstance(error, BadRequestError))


def _login(route: Route) -> tuple[object, ...]:
    return route.provider, route.base_url, route.api_key, route.credentials

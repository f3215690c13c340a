"""What calls to a router's pools avoid, after failures and refusals."""

import math
from collections import OrderedDict
from collections.abc import Mapping
from threading import RLock
from typing import TypeVar

from .._contract import Attempt, Call, Route
from .._errors import AuthenticationError, EndpointNotSupportedError, LlmError, NotFoundError, RateLimitedError
from ._deployment import Health, Member

R = TypeVar("R")

# Calls that had a failure and are remembered, so that their next attempts go elsewhere.
_REMEMBERED = 1024


class Avoidance:
    """Remembers, for each call that had a failure, which deployments its next attempts are not to go to.

    :param pools: the members by the pool's name
    :ivar calls: of each such call, until when it avoids which, by the clock that all event loops have in common
    """

    __slots__ = ("_lock", "_pools", "calls")

    def __init__(self, pools: Mapping[str, tuple[Member, ...]]) -> None:
        self._pools = pools
        # Reentrant, as a finalizer may run in the middle of a step of its thread.
        self._lock = RLock()
        # By the identity of a call's record of attempts, which all copies of the call have in common. Kept with it, so
        # that it stays its own.
        self.calls: OrderedDict[int, tuple[list[Attempt], dict[Health, float]]] = OrderedDict()

    def by(self, call: Call[R]) -> Mapping[Health, float] | None:
        """Until when a call avoids each that failed it or let nothing through."""
        known = self.calls.get(id(call.attempts))
        return None if known is None else known[1]

    def add(self, call: Call[R], health: Health, until: float) -> dict[Health, float]:
        """Have further attempts of a call go elsewhere until then, as long as there is anywhere else.

        Returns all that the call avoids.
        """
        with self._lock:
            _, avoided = self.calls.setdefault(id(call.attempts), (call.attempts, {}))
            avoided[health] = until
            while len(self.calls) > _REMEMBERED:
                self.calls.popitem(last=False)
            return avoided.copy()

    def note_failure(
        self, pool: str, member: Member, asked: Call[R], sent: Call[R], error: LlmError, now: float
    ) -> None:
        """Remember who failed a call, and tell by the error when the pool as a whole can take it again.

        :param asked: the call to the pool, and ``sent``, the same on its way to the deployment
        """
        avoided = self.add(asked, member.health, math.inf)
        waits = self._waits(pool, asked, avoided, now)
        if isinstance(error, AuthenticationError):
            # Who logs in in the same way would be refused, too.
            for other, route, _ in waits:
                if _login(route) == _login(sent.route):
                    avoided = self.add(asked, other.health, math.inf)
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
        avoided = self.add(asked, member.health, now + wait if wait else math.inf)
        waits = self._waits(pool, asked, avoided, now)
        if any(wait == 0 and avoided.get(other.health, now) <= now for other, _, wait in waits):
            return True
        if wait is not None:
            error.retry_after = min(wait for _, _, wait in waits)
        return False

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


def _login(route: Route) -> tuple[object, ...]:
    return route.provider, route.base_url, route.api_key, route.credentials

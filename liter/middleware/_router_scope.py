"""One call on its way to a deployment of its pool."""

import math
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeGuard, TypeVar

import msgspec

from .._circuit_scope import FAULTS, CircuitScope
from .._contract import Call, Handler
from .._errors import AuthenticationError, BadRequestError, LlmError, NotFoundError
from .._loop import EventLoop
from .._reply import Reply
from ._deployment import Deployment

if TYPE_CHECKING:
    from ._router import Router

R = TypeVar("R")

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


class RoutedScope(Generic[R]):
    """The scope of an attempt at a deployment, or at several where it is refused before it is sent."""

    __slots__ = ("_call", "_call_next", "_health", "_pool", "_router", "_scope")

    def __init__(self, router: "Router", pool: str, call: Call[R], call_next: Handler) -> None:
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
                    router.avoidance.note_failure(self._pool, member, asked, call, error, scope.entered)
                elif not scope.sent and _may_pass_elsewhere(error):
                    # Each is asked once: a wait of no time must not go round in circles.
                    began, asked_already = loop.now(), asked_already + 1
                    another = router.avoidance.note_refusal(self._pool, member, asked, error, began)
                    if another and asked_already < len(router.models[self._pool]):
                        continue
                elif isinstance(error, AuthenticationError):
                    router.avoidance.note_failure(self._pool, member, asked, call, error, loop.now())
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
                self._router.avoidance.add(self._call, self._health, math.inf)


def _may_pass_elsewhere(error: BaseException) -> TypeGuard[LlmError]:
    """Whether what was refused before it was sent may pass at another deployment.

    It may where a limit is another one's, and where the provider takes all of the parameters.
    """
    return isinstance(error, LlmError) and (error.retryable or isinstance(error, BadRequestError))

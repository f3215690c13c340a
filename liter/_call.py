"""A call: one logical operation on its way through the stack, and the record of its attempts."""

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from ._credentials import CredentialSource
from ._errors import LlmError
from ._http import HttpRequest, RawHeaders
from ._secret import Secret

if TYPE_CHECKING:
    from ._loop import EventLoop
    from ._reply import Reply
    from .money import Cost, PriceBook
    from .types import Usage

R_co = TypeVar("R_co", covariant=True)

Listener = Callable[[object], Awaitable[None] | None]
CacheMode = Literal["use", "refresh", "off"]


# Headers that a caller may have set to log in at one provider, and that no other may see.
_CREDENTIALS = frozenset({b"api-key", b"authorization", b"cookie", b"x-api-key", b"x-goog-api-key"})


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """The four time limits of a call, in seconds; ``None`` is no limit.

    :param connect: one connection: name look-up, TCP, proxy and TLS
    :param first_event: from the start of the call, waits and retries included, to the first
        meaningful event of a stream, or to the whole of a unary reply
    :param between_events: from one event of a stream to the next
    :param total: the whole call, to the last event
    """

    connect: float | None = 10.0
    first_event: float | None = None
    between_events: float | None = None
    total: float | None = None


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Where a call goes: ``provider`` as registered, ``model`` as that provider names it.

    :param api_key: the key, where it is known already
    :param credentials: where to get it right before the request, for one that is fetched, refreshed or rotated
    :param settings: the provider's settings beside its address: a region, a project, a version of the API
    """

    provider: str
    model: str
    base_url: str
    api_key: Secret | None = None
    credentials: CredentialSource | None = None
    settings: Mapping[str, str] = {}


class Attempt(msgspec.Struct, kw_only=True):
    """One request on the wire, made for a call.

    :param started: event-loop time, in seconds
    :param waited: seconds that a layer slept for it before
    :param seconds: how long it took to its end; ``None`` while it runs
    :param number: its place in the record, from 1
    :param outcome: ``"open"``, ``"ok"``, ``"abandoned"`` (left early), ``"cancelled"``, an error's class name, or
        ``"ConnectionRetired"``: an idle connection turned out to be closed, and the request was sent again at once
    :param status: HTTP status; ``None`` when there was no answer
    :param base_url: the address it went to
    :param usage: the tokens that the provider reported, up to where a stream was cut; ``None`` is unknown
    :param cost: its price, where a layer computes it; ``None`` is unknown
    """

    number: int
    provider: str
    model: str
    started: float
    operation: str = ""
    base_url: str = ""
    waited: float = 0.0
    seconds: float | None = None
    outcome: str = "open"
    status: int | None = None
    request_id: str | None = None
    usage: "Usage | None" = None
    cost: "Cost | None" = None


class AttemptWatcher(Protocol):
    """Sees each request on the wire that is made for a call, however many layers make more than one.

    A layer adds its own to the call: ``replace(call, watchers=(*call.watchers, mine))``. All are synchronous.
    """

    def begin(self, call: "Call[object]", attempt: Attempt, request: HttpRequest, /) -> RawHeaders:
        """It is about to be sent. Returns headers to add, such as a trace context; none that the codec set."""
        ...

    def entered(self, attempt: Attempt, reply: "Reply[object]", /) -> None:
        """Its reply is in: whole, or a stream with its first event. Tap it here to see this attempt's own events."""
        ...

    def ended(self, attempt: Attempt, error: BaseException | None, /) -> None:
        """It is over, and its record filled in; ``error`` is what ended it, a cancellation too. Called exactly once.

        Neither an error nor a finished reply: the consumer left early, see ``attempt.outcome``.
        """
        ...


class AttemptGate(Protocol):
    """Is asked before each request on the wire that is made for a call, however many layers make more than one.

    A layer adds its own to the call: ``replace(call, gates=(*call.gates, mine))``.
    """

    async def admit(self, call: "Call[object]", attempt: Attempt, request: HttpRequest, /) -> None:
        """Wait until it may be sent, at most until ``call.enter_by``; return, and it is.

        The attempt is on the record only from then on; until then its ``number`` is 0. What is raised, or cancelled,
        here is no attempt's failure: nothing was sent, and no watcher is told.

        :raises LlmError: it must not be sent
        """
        ...


class Call(msgspec.Struct, Generic[R_co], frozen=True, kw_only=True):
    """One logical operation on its way through the stack. Change it with ``msgspec.structs.replace``.

    ``R`` is what its reply holds: the value, or the events of a stream.

    :param operation: ``"chat"``, ``"list_models"``, ...
    :param request: the request as the caller means it
    :param stream: whether the reply is a stream of events
    :param started: event-loop time at which the call began
    :param timeouts: its time limits, as seconds; ``deadline`` and ``enter_by`` are the same as loop times
    :param headers: headers to add to the provider's own
    :param tags: the caller's labels: tenant, user, feature, ...
    :param attempt: which attempt this is, from 1, and ``waited``, the seconds slept before it
    :param attempts: the record that all copies of this call share; the exchange appends to it
    :param unsupported: what becomes of a parameter that the provider does not take: ``"raise"`` BadRequestError,
        or ``"drop"`` it with a warning in the log
    :param cache: what a cache does with it: ``"use"`` it, ``"refresh"`` makes the request and keeps its answer,
        ``"off"`` neither looks up nor keeps
    :param prices: the client's price book, for layers that have none of their own; ``None`` is ``PriceBook.default()``
    :param watchers: who sees each attempt, see :class:`AttemptWatcher`
    :param gates: who is asked before each attempt, see :class:`AttemptGate`
    :param listeners: who is told what layers do, see :meth:`notify`
    :param resolve: finds the route to a model, see :meth:`to`
    :param loop: the event loop that runs it, where that is known: layers need it more often than it is cheap to ask for
    """

    operation: str
    request: msgspec.Struct
    route: Route
    stream: bool = False
    started: float = 0.0
    timeouts: Timeouts = Timeouts()
    headers: RawHeaders = ()
    tags: Mapping[str, str] = {}
    attempt: int = 1
    waited: float = 0.0
    attempts: list[Attempt] = []
    unsupported: Literal["raise", "drop"] = "raise"
    cache: CacheMode = "use"
    prices: "PriceBook | None" = None
    watchers: tuple[AttemptWatcher, ...] = ()
    gates: tuple[AttemptGate, ...] = ()
    listeners: tuple[Listener, ...] = ()
    resolve: Callable[[str], Route] | None = None
    loop: "EventLoop | None" = None

    @property
    def deadline(self) -> float:
        """Event-loop time by which all is over; infinity without a limit."""
        total = self.timeouts.total
        return math.inf if total is None else self.started + total

    @property
    def enter_by(self) -> float:
        """Event-loop time by which the reply must be entered. Every wait before that plans against it."""
        first, total = self.timeouts.first_event, self.timeouts.total
        if first is None or (total is not None and total < first):
            first = total
        return math.inf if first is None else self.started + first

    def to(self, model: str) -> "Call[R_co]":
        """The same call, to another model, and so perhaps to another provider with its own address and key.

        The request stays as the caller meant it: what is sent is the model of the route.

        :raises EndpointNotSupportedError: that provider does not offer the operation
        """
        return self.at(self.route_to(model))

    def route_to(self, model: str) -> Route:
        """The route that :meth:`to` takes. :raises EndpointNotSupportedError: as there"""
        if self.resolve is not None:
            return self.resolve(model)
        # A call that no client made, as in tests.
        provider, _, name = model.rpartition("/")
        return Route(provider=provider or self.route.provider, model=name, base_url=self.route.base_url)

    def at(self, route: Route) -> "Call[R_co]":
        """The same call along another route. What logs in at one address stays behind when that changes."""
        headers = self.headers
        if not headers:
            return replace(self, route=route)
        if (route.provider, route.base_url) != (self.route.provider, self.route.base_url):
            headers = tuple(header for header in headers if header[0] not in _CREDENTIALS)
        return replace(self, route=route, headers=headers)

    def sent_since(self, count: int) -> bool:
        """Whether this very call was sent after there were ``count`` attempts on record.

        The record is shared with calls that race with it, which have waited for another time.
        """
        return any(attempt.waited == self.waited for attempt in self.attempts[count:])

    def complete(self, error: LlmError) -> None:
        """Fill in what an error on its way to the caller does not say yet: where it happened, and what was tried."""
        error.attempts = tuple(self.attempts)
        error.provider = error.provider or self.route.provider
        error.model = error.model or self.route.model or None
        last = self.attempts[-1] if self.attempts else None
        # What was refused before it was sent has nothing of the attempt before it.
        if last is not None and last.outcome in ("open", type(error).__name__):
            error.status = last.status if error.status is None else error.status
            error.request_id = error.request_id or last.request_id

    async def notify(self, event: object) -> None:
        """Tell the listeners what a layer has done or is about to do: a struct such as ``Retrying``."""
        for listener in self.listeners:
            told = listener(event)
            if told is not None:
                await told

"""The bill of a call: each of its attempts is priced as it ends, and the reply has the sum."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from types import TracebackType
from typing import Generic, TypeVar, cast

import msgspec
from msgspec.structs import replace

from .._contract import Attempt, Call, Handler
from .._errors import LlmError, LlmTimeoutError, NetworkError, SerializationError, StreamingError
from .._http import HttpRequest, RawHeaders
from .._reply import Reply
from ..money import (
    Cost,
    PriceBook,
    completed,
    completion_tokens,
    counted,
    geography_of,
    is_free,
    prompt_tokens,
    terms_of,
)
from ..types import ResponseEvent, Usage

R = TypeVar("R")

# The provider may have worked, and billed, although its answer never came, or cannot be read.
_UNANSWERED = (LlmTimeoutError, NetworkError, SerializationError, StreamingError)

# Operations whose streams are text, from which the output of a cut one is estimated.
_TEXTUAL = frozenset({"chat", "completions", "create_response"})


class CostTracking(msgspec.Struct, frozen=True, kw_only=True):
    """Price every attempt, and put the sum on the reply.

    ``reply.cost`` is what the call cost, all its attempts together: retries, fallbacks, hedges that lost, streams
    that were cut. Each attempt has its own part, on a reply and on an error: ``attempt.cost``. It is set when the
    scope closes, so a stream has it at its end.

    - An attempt that ended well costs what its usage comes to. What the provider reports as the price wins.
    - One that was refused (an HTTP error, or an error in place of a reply) costs nothing.
    - One that was never sent (no connection) costs nothing; nor does one whose idle connection had closed before.
    - A stream that was cut costs what was reported so far. A count of output that is not the last one is replaced by
      an estimate from the text that arrived, where that is more.
    - An attempt without an answer (cancelled, timed out, broken off) costs its input, as an estimate; its output is
      named in ``cost.unpriced``.
    - A reply that no provider made, such as a cache hit, costs nothing.

    ``cost.estimated`` and ``cost.unpriced`` say so. A cost is ``None``, unknown, where the model has no price or
    nothing tells what was used, and so is a sum with such a part; a warning in the log of ``liter`` says why, once for
    each model.

    It belongs outside of whatever makes attempts: ``Retry``, ``Fallback``, ``Hedge``; and outside of a ``Cache``.

    :param prices: the price book; by default the client's, or ``PriceBook.default()``
    :param clock: tells the time of an attempt, by which prices go; by default the system's
    :raises ValueError: ``prices`` is no price book
    """

    prices: PriceBook | None = None
    clock: Callable[[], datetime] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.prices, PriceBook | None):
            raise ValueError(f"prices must be a PriceBook, as PriceBook.default().with_(...), not {self.prices!r}")

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        return _Priced(self, call, call_next)

    def book(self, call: Call[object]) -> PriceBook:
        """The price book to go by."""
        return self.prices or call.prices or PriceBook.default()

    def price(
        self,
        prices: PriceBook,
        provider: str,
        model: str,
        usage: Usage,
        when: datetime,
        terms: Mapping[str, str] | None,
    ) -> Cost | None:
        """Price a usage; ``None``, and one warning for each model, where that cannot be done."""
        try:
            cost = prices.price(provider, model, usage, when=when, terms=terms)
        except ValueError as error:
            prices.warn(provider, model, str(error))
            return None
        if cost is None:
            prices.warn(provider, model, f"the price book {prices.version} has no price for it")
        return cost

    def __repr__(self) -> str:
        return "CostTracking()" if self.prices is None else f"CostTracking(prices={self.prices!r})"


class _Priced(Generic[R]):
    __slots__ = ("_call", "_call_next", "_layer", "_reply", "_scope", "_watcher")

    def __init__(self, layer: CostTracking, call: Call[R], call_next: Handler) -> None:
        self._layer = layer
        self._call = call
        self._call_next = call_next

    async def __aenter__(self) -> Reply[R]:
        call = self._call
        watcher = _Watcher(self._layer)
        self._scope = self._call_next(replace(call, watchers=(*call.watchers, watcher)))
        self._reply = reply = await self._scope.__aenter__()
        return reply

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        try:
            return await self._scope.__aexit__(kind, error, traceback)
        finally:
            self._reply.cost = self._bill()

    def _bill(self) -> Cost | None:
        call, reply = self._call, self._reply
        if call.attempts:
            return Cost.sum(attempt.cost for attempt in call.attempts)
        if reply.origin != "provider":
            return Cost.unbilled()
        # A handler that keeps no record of attempts, as in tests: the reply is all there is.
        if reply.usage is None:
            return None
        when = (self._layer.clock or _now)()
        book = self._layer.book(cast("Call[object]", call))
        return self._layer.price(book, call.route.provider, call.route.model, reply.usage, when, terms_of(call.request))


class _Watcher:
    """Prices one call's attempts. What each needs until its end is kept by its number, as they may overlap."""

    __slots__ = ("_layer", "_open")

    def __init__(self, layer: CostTracking) -> None:
        self._layer = layer
        self._open: dict[int, _Open] = {}

    def begin(self, call: Call[object], attempt: Attempt, request: HttpRequest) -> RawHeaders:
        """Remember the time: prices go by when a request was made."""
        self._open[attempt.number] = _Open(call, (self._layer.clock or _now)())
        return ()

    def entered(self, attempt: Attempt, reply: Reply[object]) -> None:
        """Keep what arrives, where its text is needed if the end should not come."""
        opened = self._open[attempt.number]
        opened.reply = reply
        if reply.streamed and attempt.operation in _TEXTUAL:
            opened.events = []
            reply.tap(opened.events.append)

    def ended(self, attempt: Attempt, error: BaseException | None) -> None:
        """Price it."""
        attempt.cost = self._cost(attempt, self._open.pop(attempt.number), error)

    def _cost(self, attempt: Attempt, opened: "_Open", error: BaseException | None) -> Cost | None:
        if _unbilled(attempt, opened.reply, error):
            return Cost.unbilled()
        request, reply = opened.call.request, opened.reply
        value = None if reply is None or reply.streamed else reply.value
        usage = counted(request, value, attempt.usage)
        events = opened.events
        certain = usage is not None and (attempt.outcome == "ok" or _finished(events))
        if usage is None or not certain or usage.unreported:
            usage = completed(usage, prompt_tokens(request), None if certain else completion_tokens(value, events))
            certain = False
        terms = terms_of(request)
        geography = geography_of(attempt.provider, attempt.base_url)
        if geography is not None:
            terms = {**terms, "geography": geography}
        model = _model_of(value, events)
        prices = self._layer.book(opened.call)
        if model is None or (model != attempt.model and prices.find(attempt.provider, model) is None):
            model = attempt.model
        cost = self._layer.price(prices, attempt.provider, model, usage, opened.when, terms or None)
        if cost is not None and cost.unpriced and not cost.total:
            # Nothing of it is known, and 0 would say that it was nothing.
            prices.warn(attempt.provider, model, f"not told, or without a price: {', '.join(cost.unpriced)}")
            return None
        return cost if certain or cost is None else replace(cost, estimated=True)


class _Open:
    """An attempt that is under way."""

    __slots__ = ("call", "events", "reply", "when")

    def __init__(self, call: Call[object], when: datetime) -> None:
        self.call = call
        self.when = when
        self.reply: Reply[object] | None = None
        self.events: list[object] = []


def _now() -> datetime:
    return datetime.now(UTC)


def _unbilled(attempt: Attempt, reply: Reply[object] | None, error: BaseException | None) -> bool:
    """Whether nothing was used that a provider charges for."""
    if is_free(attempt.operation):
        return True
    if reply is not None:
        return False
    if attempt.status is not None and not 200 <= attempt.status < 300:
        return True
    if attempt.outcome == "ConnectionRetired":
        return True
    if isinstance(error, LlmTimeoutError) and error.limit == "connect":
        return True
    if isinstance(error, LlmError) and not isinstance(error, _UNANSWERED):
        return True
    return isinstance(error, NetworkError) and not error.connected


def _finished(events: list[object]) -> bool:
    """Whether a stream's message has ended, though the stream itself has not been read to its end."""
    if events and isinstance(last := events[-1], ResponseEvent):
        return last.response is not None and last.response.usage is not None
    return any(
        getattr(choice, "finish_reason", None) is not None
        for event in reversed(events[-4:])
        for choice in cast("list[object]", getattr(event, "choices", ()))
    )


def _model_of(value: object, events: list[object]) -> str | None:
    """The model that answered, as the reply names it."""
    told = getattr(value if value is not None else events[-1] if events else None, "model", None)
    return told if isinstance(told, str) and told else None

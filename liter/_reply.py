"""The handle on what came back: a whole value, or a stream of events."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, overload

from ._http import Headers

if TYPE_CHECKING:
    from .money import Cost
    from .types import Usage

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Events(Protocol[R_co]):
    """A source of events. ``aclose`` gives up what is left; it may be called at any time, and twice.

    It may have a method ``next_nowait``, too, see :meth:`Reply.next_nowait`: most events of a stream come several at a
    time, and to await one that is here already costs more than what layers do to it.
    """

    async def __anext__(self) -> R_co: ...
    async def aclose(self) -> None: ...


class _Facts:
    """What a reply and all replies derived from it have in common."""

    __slots__ = (
        "cancel",
        "cancelled",
        "cost",
        "dropped",
        "headers",
        "origin",
        "request_id",
        "saved",
        "status",
        "usage",
    )

    def __init__(
        self,
        status: int,
        headers: Headers,
        request_id: str | None,
        usage: "Usage | None",
        cancel: Callable[[], None] | None,
        origin: str,
    ) -> None:
        self.origin = origin
        self.status = status
        self.headers = headers
        self.request_id = request_id
        self.usage = usage
        self.cancel = cancel
        self.cancelled = False
        self.cost: Cost | None = None
        self.saved: Cost | None = None
        self.dropped = False


class Reply(Generic[R]):
    """What a handler's scope gives: ``value`` for a unary call, an async iterator for a stream.

    Layers read it on the way out, and in their ``finally`` ask how it ended: ``finished`` is true when
    all of it was handed out, ``error`` is what broke it (a cancellation included). Neither holds when
    the consumer left early. ``usage`` is what the provider has reported so far.

    :param value: the whole reply, for a unary call
    :param events: the source of events, for a stream
    :param cancel: makes a pending read end at once, from any task of the same event loop
    :param origin: who made it: ``"provider"``, or the layer that answered in its place, as ``"cache"``
    """

    __slots__ = ("__weakref__", "_events", "_facts", "_next", "_raw", "_taps", "_value", "error", "finished")

    def __init__(
        self,
        *,
        value: R | None = None,
        events: Events[R] | None = None,
        status: int = 200,
        headers: Headers | None = None,
        request_id: str | None = None,
        raw: bytes = b"",
        usage: "Usage | None" = None,
        cancel: Callable[[], None] | None = None,
        origin: str = "provider",
    ) -> None:
        if (value is None) is (events is None):
            raise TypeError("a Reply takes a value or events, and not both")
        self._value = value
        self._events = events
        self._next: Callable[[], R | None] | None = None if events is None else getattr(events, "next_nowait", None)
        self._taps: list[Callable[[R], None]] = []
        self._facts = _Facts(status, headers or Headers(), request_id, usage, cancel, origin)
        self._raw = raw
        self.finished: bool = events is None
        self.error: BaseException | None = None

    @property
    def streamed(self) -> bool:
        """Whether this is a stream of events."""
        return self._events is not None

    @property
    def value(self) -> R:
        """The whole reply. :raises TypeError: on a stream"""
        if self._value is None:
            raise TypeError("this reply is a stream: iterate over it")
        return self._value

    @property
    def status(self) -> int:
        return self._facts.status

    @property
    def headers(self) -> Headers:
        return self._facts.headers

    @property
    def request_id(self) -> str | None:
        return self._facts.request_id

    @property
    def origin(self) -> str:
        """Who made it: ``"provider"``, or the layer that answered in its place."""
        return self._facts.origin

    @property
    def raw(self) -> bytes:
        """The body as it came; empty for a stream, whose events carry their own bytes."""
        return self._raw

    @property
    def usage(self) -> "Usage | None":
        """Token counts reported so far; ``None`` is unknown, never zero."""
        return self._facts.usage

    @usage.setter
    def usage(self, usage: "Usage | None") -> None:
        self._facts.usage = usage

    @property
    def cost(self) -> "Cost | None":
        """What the call cost, all its attempts together, as far as a layer has priced it; ``None`` is unknown."""
        return self._facts.cost

    @cost.setter
    def cost(self, cost: "Cost | None") -> None:
        self._facts.cost = cost

    @property
    def saved(self) -> "Cost | None":
        """Of a cache hit, what its answer cost when it was made, and now did not; ``None`` is unknown, or no hit."""
        return self._facts.saved

    @saved.setter
    def saved(self, saved: "Cost | None") -> None:
        self._facts.saved = saved

    @property
    def dropped(self) -> bool:
        """Whether nobody closed it, and it was collected. Set by who holds the scope."""
        return self._facts.dropped

    @dropped.setter
    def dropped(self, dropped: bool) -> None:
        self._facts.dropped = dropped

    def tap(self, watch: Callable[[R], None]) -> None:
        """Call ``watch`` with each event before it is handed out. What it raises breaks the stream."""
        self._taps.append(watch)

    def cancel(self) -> None:
        """End the stream where it is, from any task of the same event loop: a pending read stops at once.

        Iteration ends as at the stream's end, but ``finished`` stays false.
        """
        self._next = None
        self._facts.cancelled = True
        if self._facts.cancel is not None:
            self._facts.cancel()

    @overload
    def derive(self, *, value: R, raw: bytes | None = None) -> "Reply[R]": ...
    @overload
    def derive(self, *, events: Events[R]) -> "Reply[R]": ...
    def derive(
        self, *, value: R | None = None, events: Events[R] | None = None, raw: bytes | None = None
    ) -> "Reply[R]":
        """Make a reply with another value, or other events, over the same facts.

        The layer that derives from a stream also closes what it made: ``finally: await events.aclose()``.

        :param raw: the body, where it is another one, too
        """
        derived: Reply[R] = Reply(value=value, events=events, raw=self._raw if raw is None else raw)
        derived._facts = self._facts
        return derived

    def __aiter__(self) -> "Reply[R]":
        return self

    async def __anext__(self) -> R:
        if self._events is None:
            raise TypeError("this reply is not a stream: take its value")
        facts = self._facts
        if self.finished or facts.cancelled:
            raise StopAsyncIteration
        try:
            event = await self._events.__anext__()
            for watch in self._taps:
                watch(event)
        except StopAsyncIteration:
            self.finished = not facts.cancelled
            self._next = None
            raise
        except BaseException as error:
            self.error = error
            raise
        return event

    def next_nowait(self) -> R | None:
        """Return the next event if it is here already; ``None`` when ``__anext__`` has to tell.

        That is when it has to be waited for, when something is to be awaited before it can be handed out, when there is
        none, and when the source has no ``next_nowait`` itself. What a tap raises breaks the stream, as ever.
        """
        take = self._next
        if take is None:
            return None
        try:
            event = take()
            if event is None or not self._taps:
                return event
            for watch in self._taps:
                watch(event)
        except BaseException as error:
            self.error = error
            raise
        return event

    def __repr__(self) -> str:
        if self._events is None:
            state = f"value={type(self._value).__name__}"
        else:
            state = "stream, finished" if self.finished else f"stream, {'failed' if self.error else 'open'}"
        return f"<Reply {self.status} {state}>"

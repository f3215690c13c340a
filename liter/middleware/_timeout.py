"""Time limits of one stretch of the stack."""

import math
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from types import TracebackType
from typing import Generic, TypeVar

import msgspec

from .._contract import Call, Handler, Timeouts
from .._errors import LlmTimeoutError
from .._loop import EventLoop
from .._options import check_timeout
from .._reply import Reply

R = TypeVar("R")


class Timeout(msgspec.Struct, frozen=True):
    """Give what is further in less time than the call has.

    The limits begin when the call gets to this layer: inside ``Retry`` they are those of each attempt, outside of
    all attempts together. They are passed on as data of the call, where each wait plans against the shorter one:
    for the call's own limit *c*, this layer's *t*, and the *age* of the call, in seconds ::

        connect, between_events: min(c, t)        first_event, total: min(c, age + t)

    So a limit is never longer than without this layer, and in a stream they go on to hold.

    :param timeout: seconds, or ``Timeouts``. A number bounds the time to a whole reply; of a stream, the time to
        the first event and each gap between events
    :raises ValueError: it is not positive, is infinite, or sets no limit at all
    :raises LlmTimeoutError: with ``limit="timeout"``, on entering: the time of this layer is over, and the call has
        some left. It is ``retryable``, so that a ``Retry`` further out tries again
    """

    timeout: float | Timeouts

    def __post_init__(self) -> None:
        check_timeout(self.timeout)
        if self.timeout == math.inf or self.timeout == Timeouts(connect=None):
            raise ValueError(f"timeout must set a limit, in seconds, not {self.timeout!r}: or leave the layer out")

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        return _Timed(self, call, call_next)

    def narrow(self, call: Call[R], now: float) -> Call[R]:
        """Return ``call`` with the limits that hold for it from the event loop's time ``now`` on."""
        limits, given, age = _limits(self.timeout, call.stream), call.timeouts, now - call.started
        timeouts = Timeouts(
            connect=_shorter(given.connect, limits.connect),
            first_event=_shorter(given.first_event, limits.first_event, age),
            between_events=_shorter(given.between_events, limits.between_events),
            total=given.total if limits.total is None else _shorter(given.total, limits.total, age),
        )
        return msgspec.structs.replace(call, timeouts=timeouts)

    def __repr__(self) -> str:
        return f"Timeout({self.timeout!r})"


class _Timed(Generic[R]):
    __slots__ = ("_call", "_call_next", "_layer", "_scope")

    def __init__(self, layer: Timeout, call: Call[R], call_next: Handler) -> None:
        self._layer = layer
        self._call = call
        self._call_next = call_next

    async def __aenter__(self) -> Reply[R]:
        loop = self._call.loop or EventLoop.current()
        began = loop.time()
        call = self._layer.narrow(self._call, began)
        self._scope = self._call_next(call)
        try:
            return await self._scope.__aenter__()
        except LlmTimeoutError as error:
            now = loop.time()
            # One that may be tried again says so already, and one that came before the time was up is another limit's.
            if error.retryable or not call.enter_by <= now < self._call.enter_by:
                raise
            raise _made_retryable(error, call.enter_by - began) from error

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._scope.__aexit__(kind, error, traceback)


@lru_cache(maxsize=256)
def _limits(timeout: float | Timeouts, stream: bool) -> Timeouts:  # by keyword it takes twice as long to look it up
    if isinstance(timeout, Timeouts):
        return timeout
    return Timeouts(connect=timeout, first_event=timeout, between_events=timeout if stream else None)


def _shorter(given: float | None, limit: float | None, age: float = 0.0) -> float | None:
    if limit is None:
        return given
    limit += age
    return limit if given is None or limit < given else given


def _made_retryable(error: LlmTimeoutError, seconds: float) -> LlmTimeoutError:
    return LlmTimeoutError(
        f"not entered within the {seconds:.3g} s of the Timeout layer: {error.message}",
        limit="timeout",
        seconds=seconds,
        retryable=True,
        status=error.status,
        provider=error.provider,
        model=error.model,
        request_id=error.request_id,
        retry_after=error.retry_after,
        code=error.code,
        body=error.body,
        headers=error.headers,
        attempts=error.attempts,
    )

"""Race a call that takes long against a second attempt at it."""

import math
import threading
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, TypeVar, cast

import anyio
import msgspec
from anyio.abc import TaskGroup

from .._contract import Call, Handler
from .._errors import LlmError
from .._http import RawHeaders
from .._reply import Reply
from ._latencies import Latencies

R = TypeVar("R")

# What quiet times save up: enough for a short slow spell, too little to be an outage's second wave.
_BURST = 10.0

_IDEMPOTENCY_KEY = b"idempotency-key"


class Hedging(msgspec.Struct, frozen=True, kw_only=True):
    """Another attempt begins while, or at once after, the ones before it.

    :param call: the attempt that begins
    :param attempt: its number
    :param waited: seconds since the call came to the layer
    :param error: what an attempt before it failed with; ``None`` when it is only slow
    """

    call: Call[object]
    attempt: int
    waited: float
    error: LlmError | None


class Hedge:
    """Begin a second attempt when the first takes long, and go on with the one that is entered first.

    It begins after ``delay`` seconds, or at once when the first fails with an error that says it may work later and
    does not say when: a ``retry_after`` is left to ``Retry``. The first reply that can be entered, a whole one or a
    stream with its first meaningful event, is handed out; before that the other attempts are cancelled and closed.
    They stay on ``call.attempts``. What another attempt cannot mend is raised at once, and if all fail, the last
    error. Listeners of the call are told :class:`Hedging` before each extra attempt.

    By default the delay is the 95th percentile (nearest rank) of the seconds until the first attempt was entered, over
    the last 1000 calls to that provider and model, by operation, streamed or not. A first attempt that lost counts with
    the seconds it had taken: less than its true time, but more than the delay, so that the rank stays right. Until 20
    are known no attempt begins for being late. This is "hedged requests" of "The Tail at Scale" (Dean and Barroso, CACM
    2013), which waits for the same percentile.

    Extra attempts are paid for from an allowance that begins with 1, grows by ``max_extra`` with each call and never
    holds more than 10: of *n* calls at most ``1 + max_extra * n`` get one, in an outage too. It is asked in the moment
    an attempt is due; where it is spent, the call goes on with what it has.

    An ``idempotency-key`` is made another one for extra attempts, as who honours it would refuse the second of two at
    once. Not for operations that leave something behind, as a file or a batch: there would be two.

    One object serves all event loops and threads of the process.

    :param delay: seconds; by default the running 95th percentile
    :param max_attempts: at one time for one call, the first included; each begins ``delay`` after the one before
    :param max_extra: extra attempts per call, on average. The default is a little above the one in twenty that passes
        the 95th percentile: with no room to spare, calls that are really late find the allowance spent
    :raises ValueError: a number out of range
    """

    __slots__ = ("__weakref__", "_allowance", "_latencies", "_lock", "delay", "max_attempts", "max_extra")

    def __init__(self, delay: float | None = None, *, max_attempts: int = 2, max_extra: float = 0.06) -> None:
        if delay is not None and not 0 <= delay < math.inf:
            raise ValueError(f"delay must be 0 or more seconds, or None for the running 95th percentile, not {delay!r}")
        if max_attempts < 2:
            raise ValueError(f"max_attempts must be 2 or more, the first included, not {max_attempts!r}")
        if not 0 < max_extra <= max_attempts - 1:
            raise ValueError(
                f"max_extra must be above 0 and at most {max_attempts - 1} extra attempts per call, not {max_extra!r}"
            )
        self.delay: float | None = delay
        self.max_attempts: int = max_attempts
        self.max_extra: float = max_extra
        self._lock = threading.Lock()
        self._allowance = 1.0
        self._latencies = Latencies()

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        return _Race(self, call, call_next)

    def delay_for(self, call: Call[R]) -> float:
        """Return the seconds after which a call like this gets a second attempt; infinity while that is unknown."""
        return self._latencies.percentile(_kind(call)) if self.delay is None else self.delay

    def record(self, call: Call[R], seconds: float) -> None:
        """Count a first attempt that was entered after ``seconds``, or had taken as long when it lost."""
        if self.delay is None:
            self._latencies.add(_kind(call), seconds)

    def deposit(self) -> None:
        """Count a call: the allowance grows by ``max_extra``."""
        with self._lock:
            self._allowance = min(_BURST, self._allowance + self.max_extra)

    def withdraw(self) -> bool:
        """Take one extra attempt from the allowance. Returns whether there was one."""
        with self._lock:
            # A hundred times 0.01 is a little less than 1.
            if self._allowance < 1.0 - 1e-9:
                return False
            self._allowance -= 1.0
            return True

    def __repr__(self) -> str:
        delay = "p95" if self.delay is None else f"{self.delay:g}"
        return f"Hedge({delay}, max_attempts={self.max_attempts}, max_extra={self.max_extra:g})"


class _Race(Generic[R]):
    """The scope of the attempt that won."""

    __slots__ = (
        "_alone",
        "_call",
        "_call_next",
        "_ended",
        "_error",
        "_hedge",
        "_may_hedge",
        "_over",
        "_tasks",
        "_winner",
        "_won",
    )

    _tasks: TaskGroup

    def __init__(self, hedge: Hedge, call: Call[R], call_next: Handler) -> None:
        self._hedge = hedge
        self._call = call
        self._call_next = call_next
        self._winner: tuple[AbstractAsyncContextManager[Reply[R], bool | None], Reply[R]] | None = None
        self._won = 0.0
        self._error: BaseException | None = None
        self._over = False
        self._alone = True
        # Whether an attempt that failed does not ask for time before the next.
        self._may_hedge = True

    async def __aenter__(self) -> Reply[R]:
        self._hedge.deposit()
        self._ended = anyio.Event()
        try:
            async with anyio.create_task_group() as self._tasks:
                await self._begin_attempts(anyio.current_time())
        except BaseException as cancelled:  # by the caller: all else is kept out of the group
            if self._winner is not None:
                await self._winner[0].__aexit__(type(cancelled), cancelled, cancelled.__traceback__)
            raise
        finally:
            del self._tasks
        if self._winner is not None:
            return self._winner[1]
        error, self._error = self._error, None
        try:
            raise cast("BaseException", error)
        finally:
            error = None  # its traceback holds this frame

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if self._winner is None:
            return None
        return await self._winner[0].__aexit__(kind, error, traceback)

    async def _begin_attempts(self, began: float) -> None:
        """Begin the first attempt, and others where they are due. Returns when there will be no more."""
        hedge, call = self._hedge, self._call
        delay = hedge.delay_for(call)
        self._tasks.start_soon(self._attempt, call, began, True)
        latest = began
        for extra in range(1, hedge.max_attempts):
            due = latest + delay
            with anyio.CancelScope(deadline=due if due < call.enter_by else math.inf):
                await self._ended.wait()
            if self._over or not self._may_hedge or not hedge.withdraw():
                return
            self._alone = False
            self._ended = anyio.Event()
            waited = anyio.current_time() - began
            attempt = msgspec.structs.replace(
                call, attempt=call.attempt + extra, waited=waited, headers=_with_another_key(call, extra)
            )
            try:
                await call.notify(
                    Hedging(
                        call=cast("Call[object]", attempt),
                        attempt=attempt.attempt,
                        waited=waited,
                        error=self._error if isinstance(self._error, LlmError) else None,
                    )
                )
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as error:  # noqa: BLE001 # raised out of the group, as it is
                self._end(error)
                return
            latest = anyio.current_time()
            self._tasks.start_soon(self._attempt, attempt, latest, False)

    async def _attempt(self, call: Call[R], began: float, first: bool) -> None:
        try:
            scope = self._call_next(call)
            reply = await scope.__aenter__()
        except anyio.get_cancelled_exc_class():
            if first and self._winner is not None:
                self._hedge.record(call, self._won - began)
            raise
        except BaseException as error:  # noqa: BLE001 # raised out of the group, as it is
            self._failed(error)
            return
        now = anyio.current_time()
        if first:
            self._hedge.record(call, now - began)
        if self._over:
            # Two came at the same time. What this one's closing raises is nobody's.
            try:
                await scope.__aexit__(None, None, None)
            except Exception:  # noqa: BLE001, S110
                pass
            return
        self._winner, self._won = (scope, reply), now
        self._end(None)

    def _failed(self, error: BaseException) -> None:
        if self._over:
            return
        self._error = error
        if not isinstance(error, LlmError) or not error.retryable:
            self._end(error)
        else:
            self._may_hedge = self._may_hedge and not error.retry_after
            self._ended.set()

    def _end(self, error: BaseException | None) -> None:
        self._error = error
        self._over = True
        if self._alone:
            self._ended.set()  # ends it as well, for much less than a cancellation costs
        else:
            self._tasks.cancel_scope.cancel()


def _kind(call: Call[R]) -> tuple[str, str, str, bool]:
    return call.route.provider, call.route.model, call.operation, call.stream


def _with_another_key(call: Call[R], extra: int) -> RawHeaders:
    suffix = b"-hedge-%d" % extra
    return tuple((name, value + suffix if name == _IDEMPOTENCY_KEY else value) for name, value in call.headers)

"""Race a call that takes long against a second attempt at it."""

import math
import threading
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import Generic, TypeVar, cast

import msgspec

from .._alarm import Alarm, at_first_wait, set_alarm
from .._contract import Call, Handler
from .._errors import LlmError
from .._http import RawHeaders
from .._kept import is_on_what_is_kept, reads_open_file
from .._late_tasks import LateTasks
from .._loop import EventLoop
from .._number import is_number, is_whole
from .._reply import Reply
from ._latencies import Latencies

R = TypeVar("R")

# Provider, model, operation, and whether it is streamed.
Kind = tuple[str, str, str, bool]

# What quiet times save up: enough for a short slow spell, too little to be an outage's second wave.
_BURST = 10.0

_IDEMPOTENCY_KEY = b"idempotency-key"

# What an attempt fails with. All else is a cancellation, or the end of the coroutine, and goes its way.
_RAISED = (Exception, KeyboardInterrupt, SystemExit)


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
    once. Calls of which there must not be two at one time go through alone: those on what a provider keeps (files,
    batches, responses in the background or by their id, conversations), and those that send an open file.

    One object serves all event loops and threads of the process.

    :param delay: seconds; by default the running 95th percentile
    :param max_attempts: at one time for one call, the first included; each begins ``delay`` after the one before
    :param max_extra: extra attempts per call, on average. The default is a little above the one in twenty that passes
        the 95th percentile: with no room to spare, calls that are really late find the allowance spent
    :raises ValueError: a number out of range
    """

    __slots__ = ("__weakref__", "_allowance", "_latencies", "_lock", "delay", "max_attempts", "max_extra")

    def __init__(self, delay: float | None = None, *, max_attempts: int = 2, max_extra: float = 0.06) -> None:
        if delay is not None and not (is_number(delay) and 0 <= delay < math.inf):
            raise ValueError(f"delay must be 0 or more seconds, or None for the running 95th percentile, not {delay!r}")
        if not (is_whole(max_attempts) and max_attempts >= 2):
            raise ValueError(f"max_attempts must be 2 or more, the first included, not {max_attempts!r}")
        if not (is_number(max_extra) and 0 < max_extra <= max_attempts - 1):
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
        asked: Call[object] = call
        if is_on_what_is_kept(asked) or reads_open_file(asked):
            return call_next(call)
        return _Race(self, call, call_next)

    def begin(self, kind: Kind) -> float:
        """Count a call: the allowance grows by ``max_extra``. Returns the delay of its second attempt."""
        with self._lock:
            self._allowance += self.max_extra
            if self._allowance > _BURST:
                self._allowance = _BURST
            return self.delay_for(kind)

    def delay_for(self, kind: Kind) -> float:
        """Return the seconds after which calls get a second attempt; infinity while that is unknown."""
        return self._latencies.percentile(kind) if self.delay is None else self.delay

    def record(self, kind: Kind, seconds: float) -> None:
        """Count a first attempt that was entered after ``seconds``, or had taken as long when it lost."""
        if self.delay is None:
            with self._lock:
                self._latencies.add(kind, seconds)

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
    """The scope of the attempt that won.

    The first attempt is made in the caller's own task, as is one that begins because it failed. One that begins because
    others are late is a task of a group around them, which is there only where a second attempt may come to be due.
    """

    __slots__ = (
        "_alarm",
        "_alone",
        "_begun",
        "_call",
        "_call_next",
        "_delay",
        "_error",
        "_hedge",
        "_kind",
        "_latest",
        "_loop",
        "_may_begin",
        "_over",
        "_rings_at",
        "_started",
        "_tasks",
        "_winner",
        "_won",
    )

    def __init__(self, hedge: Hedge, call: Call[R], call_next: Handler) -> None:
        self._hedge = hedge
        self._call = call
        self._call_next = call_next
        self._kind = kind_of(call)
        self._tasks: LateTasks | None = None
        self._alarm: Alarm | None = None
        self._winner: tuple[AbstractAsyncContextManager[Reply[R], bool | None], Reply[R]] | None = None
        self._won = 0.0
        self._error: BaseException | None = None
        self._over = False
        self._alone = True
        self._begun = 1
        # Whether another may begin: none has failed that asks for time before the next, and the allowance is not spent.
        self._may_begin = True

    async def __aenter__(self) -> Reply[R]:
        call = self._call
        self._loop = loop = call.loop or EventLoop.current()
        self._delay = self._hedge.begin(self._kind)
        # Of the attempt that began last, when; ``None`` while listeners are told of it.
        self._latest: float | None = (began := loop.time())
        self._started = began
        self._rings_at = began + self._delay
        if self._rings_at < call.enter_by:
            await self._race()
        else:
            await self._attempts(call)
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

    async def _race(self) -> None:
        """Make attempts, with an alarm for the next."""
        try:
            async with LateTasks(self._loop) as self._tasks:
                try:
                    await at_first_wait(self._attempts(self._call), self._set_alarm)
                finally:
                    if self._alarm is not None:
                        # Where this task makes no more attempts, no other may begin one either.
                        self._alarm.call_off()
        except BaseException as cancelled:  # by the caller: all else is kept out of the group
            if self._winner is not None:
                await self._winner[0].__aexit__(type(cancelled), cancelled, cancelled.__traceback__)
            raise
        finally:
            self._tasks = None

    def _set_alarm(self) -> None:
        if self._tasks is not None:
            self._alarm = set_alarm(self._tasks.start, self._rings_at, self._ring)

    def _ring(self) -> float:
        """Begin another attempt, if it is due. Returns when to look again."""
        tasks = self._tasks
        if self._over or tasks is None:
            return math.inf
        # Attempts that failed may have brought others forward since the alarm was set.
        due = self._rings_at + self._delay if self._latest is None else self._latest + self._delay
        if due <= self._rings_at:
            following = self._next()
            if following is None:
                return math.inf
            self._alone = False
            tasks.start(self._attempts, following)
            due = self._rings_at + self._delay
        self._rings_at = due if due < self._call.enter_by else math.inf
        return self._rings_at

    def _next(self) -> Call[R] | None:
        """Make the call of the next attempt; ``None`` where there will be no more."""
        call, extra = self._call, self._begun
        self._may_begin = self._may_begin and extra < self._hedge.max_attempts and self._hedge.withdraw()
        if not self._may_begin:
            return None
        self._begun += 1
        self._latest = None
        waited = self._loop.time() - self._started
        return msgspec.structs.replace(
            call, attempt=call.attempt + extra, waited=waited, headers=_with_another_key(call, extra)
        )

    async def _attempts(self, call: Call[R]) -> None:
        """Make an attempt, and another one after each that fails, as long as that may be."""
        following: Call[R] | None = call
        while following is not None and (following is self._call or await self._told(following)):
            try:
                scope = self._call_next(following)
                reply = await scope.__aenter__()
            except _RAISED as error:
                self._failed(error)
            except BaseException:
                if following is self._call and self._winner is not None:
                    self._hedge.record(self._kind, self._won - self._started)
                raise
            else:
                now = self._loop.time()
                if following is self._call:
                    self._hedge.record(self._kind, now - self._started)
                if self._over:
                    # Two came at the same time. What this one's closing raises is nobody's.
                    with suppress(Exception):
                        await scope.__aexit__(None, None, None)
                    return
                self._winner, self._won = (scope, reply), now
                self._end(None)
            following = None if self._over else self._next()

    async def _told(self, call: Call[R]) -> bool:
        """Tell of an extra attempt. Returns whether it is to be made."""
        error = self._error if isinstance(self._error, LlmError) else None
        hedging = Hedging(call=call, attempt=call.attempt, waited=call.waited, error=error)
        try:
            await call.notify(hedging)
        except _RAISED as fault:
            self._end(fault)
        self._latest = self._loop.time()
        return not self._over

    def _failed(self, error: BaseException) -> None:
        if self._over:
            return
        self._error = error
        if not isinstance(error, LlmError) or not error.retryable:
            self._end(error)
        elif error.retry_after:
            self._may_begin = False

    def _end(self, error: BaseException | None) -> None:
        self._error = error
        self._over = True
        # Where there is nobody else, to cancel the group would only cost.
        if self._tasks is not None and not self._alone:
            self._tasks.cancel()


def kind_of(call: Call[R]) -> Kind:
    """Tell whose latencies count for a call."""
    return call.route.provider, call.route.model, call.operation, call.stream


def _with_another_key(call: Call[R], extra: int) -> RawHeaders:
    suffix = b"-hedge-%d" % extra
    return tuple((name, value + suffix if name == _IDEMPOTENCY_KEY else value) for name, value in call.headers)

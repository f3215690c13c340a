"""A limit on how many calls are under way at once."""

from collections import OrderedDict, deque
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, TypeVar

import anyio

from .._contract import Call, Handler
from .._errors import LlmError, LlmTimeoutError, RateLimitedError, ServiceUnavailableError
from .._loop import EventLoop
from .._number import is_number, is_whole
from .._reply import Reply
from ._adaptive_limit import AdaptiveLimit

R = TypeVar("R")


class Concurrency:
    """Let at most ``limit`` calls through at once; others wait in line, first come first served.

    A permit is held for the life of the reply, which for a stream is until its scope closes. The wait spends
    the call's own time: it lasts until ``call.enter_by`` at most, and ``max_wait`` seconds.

    One object is one limit, for all event loops and threads of the process that use it. Outside ``Retry`` a
    call keeps its permit while it waits for its next attempt; inside, only attempts on the wire count.

    With ``adaptive=True`` the limit follows what the provider bears: it begins with ``limit``, and stays between
    ``min_limit`` and ``max_limit``. Each answer in time adds ``1 / limit`` to it while at least half of it is in use,
    so about 1 per round of answers. An overload multiplies it by 0.7, once for all calls then under way. This is TCP's
    AIMD (RFC 5681; 0.7 is from RFC 9438), as in Netflix's concurrency-limits. Overload is, on entering, a
    ``RateLimitedError`` that is no used-up quota, a ``ServiceUnavailableError``, the provider's own timeout, and
    whatever took longer than ``max_latency``. Other errors and cancellations tell nothing, nor does what a layer
    further in refuses or answers. Calls under way keep their permits when the limit shrinks.

    :param limit: how many at once, 1 or more
    :param max_waiting: how many may wait in line; 0 lets none wait, ``None`` all
    :param max_wait: seconds that a call waits in line at most; ``None`` as long as it has time
    :param adaptive: let the limit move
    :param min_limit: its lower bound; 1 by default
    :param max_limit: its upper bound; ``limit`` by default
    :param max_latency: seconds to the reply's entering, in this layer, above which the provider counts as overloaded;
        by default time tells nothing, as that of an LLM depends on what it is asked
    :raises ValueError: a number out of range, or a bound of what does not move
    :raises RateLimitedError: with ``code="local_concurrency"``, on entering: ``max_waiting`` wait already
    :raises LlmTimeoutError: with ``limit="concurrency"``, on entering: no permit came free in time. It is
        retryable if that was ``max_wait``
    """

    # Permits may be given back by finalizers (of a loop that was given up), so at any point of any thread, where
    # a lock could be held already. As in queue.SimpleQueue there is none: each step below is atomic by itself,
    # and whoever adds a permit, a waiter or a debt then looks for a pair. A debt is a permit that has to go as soon
    # as it comes back. What moves the limit does have a lock: finalizers do not come by there.
    __slots__ = (
        "__weakref__",
        "_adaptive",
        "_debts",
        "_limit",
        "_permits",
        "_waiters",
        "max_latency",
        "max_wait",
        "max_waiting",
    )

    def __init__(
        self,
        limit: int,
        *,
        max_waiting: int | None = None,
        max_wait: float | None = None,
        adaptive: bool = False,
        min_limit: int | None = None,
        max_limit: int | None = None,
        max_latency: float | None = None,
    ) -> None:
        if not (is_whole(limit) and limit >= 1):
            raise ValueError(f"limit must be 1 or more calls at once, not {limit!r}")
        if max_waiting is not None and not (is_whole(max_waiting) and max_waiting >= 0):
            raise ValueError(
                f"max_waiting must be 0 or more calls in line, or None for any number, not {max_waiting!r}"
            )
        if max_wait is not None and not (is_number(max_wait) and max_wait > 0):
            raise ValueError(f"max_wait must be above 0 seconds, not {max_wait!r}: to let none wait, use max_waiting=0")
        given = {"min_limit": min_limit, "max_limit": max_limit, "max_latency": max_latency}
        for name, value in given.items():
            if value is not None and not adaptive:
                raise ValueError(f"{name} is for a limit that moves: give adaptive=True with it, or leave it out")
        if min_limit is not None and not (is_whole(min_limit) and 1 <= min_limit <= limit):
            raise ValueError(f"min_limit must be 1 or more, and at most limit ({limit}), not {min_limit!r}")
        if max_limit is not None and not (is_whole(max_limit) and max_limit >= limit):
            raise ValueError(f"max_limit must be limit ({limit}) or more, not {max_limit!r}")
        if max_latency is not None and not (is_number(max_latency) and max_latency > 0):
            raise ValueError(f"max_latency must be above 0 seconds, not {max_latency!r}")
        self._limit = limit
        self.max_waiting: int | None = max_waiting
        self.max_wait: float | None = max_wait
        self.max_latency: float | None = max_latency
        self._adaptive = AdaptiveLimit(limit, min_limit or 1, max_limit or limit) if adaptive else None
        self._permits: deque[None] = deque([None] * limit)
        self._debts: deque[None] = deque()
        self._waiters: OrderedDict[_Waiter, None] = OrderedDict()

    @property
    def limit(self) -> int:
        """How many at once; with ``adaptive=True``, at present."""
        return self._limit if self._adaptive is None else self._adaptive.limit

    @property
    def adaptive(self) -> bool:
        """Whether the limit moves."""
        return self._adaptive is not None

    @property
    def in_use(self) -> int:
        """Calls under way. Above ``limit`` while it has just shrunk."""
        return self.limit - len(self._permits) + len(self._debts)

    @property
    def waiting(self) -> int:
        """Calls that wait in line."""
        return len(self._waiters)

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        return _Permit(self, call, call_next)

    async def acquire(self, enter_by: float) -> None:
        """Take a permit; wait for it until the event loop's time is ``enter_by``, or ``max_wait`` has passed.

        :raises RateLimitedError: too many wait already
        :raises LlmTimeoutError: none came free
        """
        if self.acquire_nowait():
            return
        if self.max_waiting is not None and self.waiting >= self.max_waiting:
            raise RateLimitedError(
                f"all {self.limit} permits are in use, and {self.waiting} waiting (max_waiting={self.max_waiting})",
                code="local_concurrency",
            )
        waiter = _Waiter()
        self._waiters[waiter] = None
        self._hand_out()
        began = anyio.current_time()
        give_up = enter_by if self.max_wait is None else min(enter_by, began + self.max_wait)
        try:
            with anyio.CancelScope(deadline=give_up):
                await waiter.wait()
        except BaseException:
            if not self._withdraw(waiter) and waiter.reachable:
                self.release()
            raise
        if self._withdraw(waiter):
            seconds = anyio.current_time() - began
            raise LlmTimeoutError(
                f"waited {seconds:.3g} s for one of {self.limit} permits ({self.waiting} calls still wait)",
                limit="concurrency",
                seconds=seconds,
                retryable=give_up < enter_by,
            )

    def release(self) -> None:
        """Give a permit back. Safe from any thread, and from finalizers."""
        self._permits.append(None)
        if self._debts or self._waiters:
            self._hand_out()

    def admit(self) -> int:
        """Return what :meth:`learn` is to be told about a call that is let through now."""
        return 0 if self._adaptive is None else self._adaptive.generation

    def learn(self, admitted: int, seconds: float, error: LlmError | None) -> None:
        """Let the limit move by what became of a call: it was entered, or raised ``error``, after ``seconds``."""
        adaptive = self._adaptive
        if adaptive is None:
            return
        if (self.max_latency is not None and seconds > self.max_latency) or _is_overload(error):
            change = adaptive.shrink(admitted)
        elif error is None:
            change = adaptive.grow(admitted, self.in_use)
        else:
            return
        self._debts.extend([None] * -change)
        self._permits.extend([None] * change)
        self._hand_out()

    def acquire_nowait(self) -> bool:
        """Take a permit, if there is one. Returns whether there was."""
        try:
            self._permits.pop()
        except IndexError:
            return False
        return True

    def _withdraw(self, waiter: "_Waiter") -> bool:
        """Take ``waiter`` out of the line. False when it is no longer there: a permit was handed to it."""
        return self._waiters.pop(waiter, False) is None

    def _hand_out(self) -> None:
        while (self._debts or self._waiters) and self.acquire_nowait():
            try:
                self._debts.pop()
                continue
            except IndexError:
                pass
            try:
                waiter, _ = self._waiters.popitem(last=False)
            except KeyError:  # it was withdrawn meanwhile
                self._permits.append(None)
                continue
            if not waiter.wake():
                self._permits.append(None)

    def __repr__(self) -> str:
        adaptive = self._adaptive
        options = {
            "max_waiting": self.max_waiting,
            "max_wait": self.max_wait,
            "min_limit": None if adaptive is None else adaptive.min_limit,
            "max_limit": None if adaptive is None else adaptive.max_limit,
            "max_latency": self.max_latency,
        }
        told = "".join(f"{name}={value}, " for name, value in options.items() if value is not None)
        return f"Concurrency({self.limit}, {told}in_use={self.in_use}, waiting={self.waiting})"


def _is_overload(error: LlmError | None) -> bool:
    if isinstance(error, RateLimitedError):
        return not error.quota_exhausted
    return isinstance(error, ServiceUnavailableError) or (isinstance(error, LlmTimeoutError) and error.limit is None)


class _Waiter:
    """A task in line. ``reachable`` turns false when its event loop ended before the permit reached it."""

    __slots__ = ("_event", "_loop", "reachable")

    def __init__(self) -> None:
        self._event = anyio.Event()
        self._loop = EventLoop.current()
        self.reachable = True

    async def wait(self) -> None:
        await self._event.wait()

    def wake(self) -> bool:
        try:
            here = EventLoop.current()
        except RuntimeError:  # none runs in this thread
            here = None
        if here is self._loop:
            self._event.set()
        else:
            self.reachable = self._loop.call_soon(self._event.set)
        return self.reachable


class _Permit(Generic[R]):
    __slots__ = ("_call", "_concurrency", "_scope")

    def __init__(self, concurrency: Concurrency, call: Call[R], call_next: Handler) -> None:
        self._concurrency = concurrency
        self._call = call
        self._scope = call_next(call)

    async def __aenter__(self) -> Reply[R]:
        concurrency = self._concurrency
        if not concurrency.acquire_nowait():
            await concurrency.acquire(self._call.enter_by)
        if not concurrency.adaptive:
            # Then nothing is to be learned from it.
            try:
                return await self._scope.__aenter__()
            except BaseException:
                concurrency.release()
                raise
        admitted, began, sent = concurrency.admit(), anyio.current_time(), len(self._call.attempts)
        try:
            reply = await self._scope.__aenter__()
        except BaseException as error:
            try:
                # A refusal by a layer further in says nothing about the provider: it was not asked.
                if isinstance(error, LlmError) and self._call.sent_since(sent):
                    concurrency.learn(admitted, anyio.current_time() - began, error)
            finally:
                concurrency.release()
            raise
        if reply.origin == "provider":
            concurrency.learn(admitted, anyio.current_time() - began, None)
        return reply

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        try:
            return await self._scope.__aexit__(kind, error, traceback)
        finally:
            self._concurrency.release()

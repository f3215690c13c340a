"""Try again what a provider refused, within the time that the call has."""

import math
import os
from contextlib import AbstractAsyncContextManager
from random import Random
from types import TracebackType
from typing import Generic, TypeVar

import anyio
import msgspec

from .._contract import Call, Handler
from .._errors import LlmError
from .._events import Retrying
from .._reply import Reply
from ._retry_budget import RetryBudget

R = TypeVar("R")

_IDEMPOTENCY_KEY = b"idempotency-key"

# 2 ** 63 seconds is beyond any cap, and the power of a float overflows past 2 ** 1023.
_MAX_EXPONENT = 63


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """Try a call again when it was refused with an error that says it may work later.

    Tried again is what raises an :class:`LlmError` with ``retryable`` while it is entered: a refusal, no
    connection, an overload reported in a stream before its first meaningful event. What breaks after that is
    the consumer's. All attempts carry the same ``idempotency-key`` header, the caller's own if there is one.

    Before retry *n* (from 1) it waits ::

        max(error.retry_after or 0, uniform(0, min(cap, initial * 2 ** (n - 1))))

    seconds: "full jitter" of "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015), and never less
    than the provider asked for, however long that is. A wait that does not fit before ``call.enter_by`` is not
    begun: the error is raised at once, its ``retry_after`` is the wait it would have been, and a note
    tells how much time was left. The listeners of the call are told :class:`Retrying` before each wait.

    Use one ``Retry`` in a stack. Two multiply.

    :param max_retries: attempts after the first one; 0 makes this layer do nothing
    :param initial: upper bound of the first backoff, in seconds
    :param cap: upper bound of every backoff, in seconds
    :param random: where the jitter comes from; seed it to have the same waits again
    :param budget: what all retries are taken from, shared with other clients; when it is spent, the error is
        raised at once, with a note
    :raises ValueError: a number out of range, or no budget where one is given
    """

    max_retries: int = 3
    initial: float = 0.5
    cap: float = 8.0
    random: Random = msgspec.field(default_factory=Random)
    budget: RetryBudget | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.max_retries, int) or self.max_retries < 0:
            raise ValueError(f"max_retries must be 0 or more, not {self.max_retries!r}")
        if not (0 <= self.initial < math.inf):
            raise ValueError(f"initial must be 0 or more seconds, not {self.initial!r}")
        if not (self.initial <= self.cap < math.inf):
            raise ValueError(f"cap must be initial ({self.initial!r}) or more seconds, not {self.cap!r}")
        if not isinstance(self.budget, RetryBudget | None):
            raise ValueError(f"budget must be a RetryBudget, shared by clients, or None, not {self.budget!r}")

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        return _Attempts(self, call, call_next) if self.max_retries else call_next(call)

    def wait(self, error: LlmError, retry: int) -> float:
        """Return the seconds to wait before retry number ``retry`` (from 1), after ``error``."""
        bound = min(self.cap, self.initial * 2.0 ** min(retry - 1, _MAX_EXPONENT))
        return max(error.retry_after or 0.0, self.random.uniform(0.0, bound))

    def __repr__(self) -> str:
        budget = "" if self.budget is None else f", budget={self.budget!r}"
        return f"Retry(max_retries={self.max_retries}, initial={self.initial}, cap={self.cap}{budget})"


class _Attempts(Generic[R]):
    """The scope of the attempt that was entered. A class, as it costs a third of a generator's."""

    __slots__ = ("_call", "_call_next", "_policy", "_scope")

    def __init__(self, policy: Retry, call: Call[R], call_next: Handler) -> None:
        self._policy = policy
        self._call = call
        self._call_next = call_next

    async def __aenter__(self) -> Reply[R]:
        call = _with_idempotency_key(self._call)
        budget = self._policy.budget
        if budget is not None:
            budget.deposit()
        retry = 1
        while True:
            scope = self._call_next(call)
            try:
                reply = await scope.__aenter__()
            except LlmError as error:
                if not error.retryable or retry > self._policy.max_retries:
                    raise
                wait = self._policy.wait(error, retry)
                left = call.enter_by - anyio.current_time()
                if wait >= left:
                    error.retry_after = wait
                    error.add_note(
                        f"not tried again: the next try would be in {wait:.3g} s, and the call has {left:.3g} s left"
                    )
                    raise
                if budget is not None and not budget.withdraw():
                    error.add_note(f"not tried again: {budget!r} is spent")
                    raise
                retrying = Retrying(call=call, error=error, attempt=call.attempt, wait=wait)
            else:
                self._scope = scope
                return reply
            await call.notify(retrying)
            await anyio.sleep(wait)
            # Its error's traceback holds this frame: a cycle, if it were kept.
            del retrying
            call = msgspec.structs.replace(call, attempt=call.attempt + 1, waited=wait)
            retry += 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._scope.__aexit__(kind, error, traceback)


def _with_idempotency_key(call: Call[R]) -> Call[R]:
    for name, _ in call.headers:
        if name == _IDEMPOTENCY_KEY:
            return call
    # From the system, not from a Random: processes forked from one share its state, and would share keys.
    key = os.urandom(16).hex().encode()
    return msgspec.structs.replace(call, headers=(*call.headers, (_IDEMPOTENCY_KEY, key)))

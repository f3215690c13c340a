"""Waiting for a batch."""

import math
from collections.abc import Awaitable, Callable
from random import Random

import anyio

from .._errors import LlmError, LlmTimeoutError
from .._number import is_number
from ..types import BatchObject

# How many times in a row the state may not be told, each time after all retries of the client's, until that is the
# answer. Batches take hours, in which providers have bad minutes.
MAX_FAILURES = 5
# Each wait is so many times the one before it.
GROWTH = 1.5


async def wait_for_batch(
    retrieve: Callable[[], Awaitable[BatchObject]],
    *,
    timeout: float | None,
    poll: float,
    max_poll: float,
    progress: Callable[[BatchObject], object] | None,
    random: Random,
) -> BatchObject:
    """Ask until a batch is finished, and return it."""
    if timeout is not None and not (is_number(timeout) and timeout > 0):
        raise ValueError(f"timeout must be a positive number of seconds, or None, not {timeout!r}")
    if not (is_number(poll) and 0 < poll < math.inf):
        raise ValueError(f"poll must be a positive number of seconds, not {poll!r}")
    if not (is_number(max_poll) and poll <= max_poll < math.inf):
        raise ValueError(f"max_poll must be poll ({poll!r}) or more seconds, not {max_poll!r}")
    limit = math.inf if timeout is None else timeout
    last: BatchObject | None = None
    with anyio.move_on_after(limit):
        failures, bound = 0, poll
        while True:
            least = 0.0
            try:
                batch = await retrieve()
            except LlmError as error:
                failures += 1
                if not error.retryable or failures > MAX_FAILURES:
                    raise
                least = error.retry_after or 0.0
            else:
                failures = 0
                if progress is not None and (last is None or batch != last):
                    progress(batch)
                last = batch
                if batch.finished:
                    return batch
                least = _retry_after(batch)
            # Half of it is certain, so that many who wait do not all ask at once, nor anybody at once again.
            await anyio.sleep(max(least, random.uniform(bound / 2, bound)))
            bound = min(max_poll, bound * GROWTH)
    raise LlmTimeoutError(_told(last, limit), limit="total", seconds=limit, partial=last)


def _retry_after(batch: BatchObject) -> float:
    """When the provider wants to be asked again; some say so on a batch that is not finished (Anthropic)."""
    try:
        seconds = float(batch.headers.get("retry-after", "0"))
    except ValueError:
        return 0.0
    return seconds if 0 <= seconds < 3600 else 0.0


def _told(last: BatchObject | None, timeout: float) -> str:
    if last is None:
        return f"the state of the batch could not be told within {timeout:g} s; it goes on"
    counts = last.request_counts
    return (
        f"batch {last.id} is {last.status} after {timeout:g} s, {counts.completed} of {counts.total} requests done and "
        f"{counts.failed} failed; it goes on: wait again, or cancel_batch"
    )

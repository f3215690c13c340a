"""A limit of requests that the simulator enforces by itself."""

from collections.abc import Sequence

import anyio
import msgspec
from msgspec.structs import replace

from ._faults import Refuse
from ._simulator_steps import Head, Step
from ._wire_protocol import Wire

_TOLD = ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests")


class RequestLimit:
    """So many requests a minute: a token bucket, full at first, that all answers tell of in headers, as OpenAI's do.

    A request for which nothing is left is refused with 429, and ``retry-after`` is the exact wait.

    :param per_minute: how many flow in, evenly, and how many the bucket holds
    :ivar served: requests that it let through
    :ivar refused: requests that it did not
    :raises ValueError: a number below 1
    """

    def __init__(self, per_minute: float) -> None:
        if not per_minute >= 1:
            raise ValueError(f"per_minute must be 1 or more requests, not {per_minute!r}")
        self.per_minute: float = per_minute
        self.served: int = 0
        self.refused: int = 0
        self._left = per_minute
        self._at: float | None = None

    def count(self) -> "Counted":
        """Count a request that has come in."""
        now, per_second = anyio.current_time(), self.per_minute / 60.0
        if self._at is not None:
            self._left = min(self.per_minute, self._left + (now - self._at) * per_second)
        self._at = now
        served = self._left >= 1.0
        if served:
            self._left -= 1.0
            self.served += 1
        else:
            self.refused += 1
        reset = (self.per_minute - self._left) / per_second
        values = (f"{self.per_minute:g}", f"{max(0.0, self._left):.0f}", f"{reset:.3f}s")
        told = tuple(zip(_TOLD, values, strict=True))
        return Counted(told, None if served else Refuse(429, retry_after=(1.0 - self._left) / per_second, headers=told))


class Counted(msgspec.Struct, frozen=True):
    """What a limit says of one request: what is told in its answer, and the refusal, where nothing was left for it."""

    told: tuple[tuple[str, str], ...]
    refusal: Refuse | None

    def apply(self, steps: Sequence[Step], wire: Wire) -> list[Step]:
        """Make of an answer one that tells of the limit, or the refusal."""
        answer = [_without(step) for step in steps]
        if self.refusal is not None:
            return self.refusal.apply(answer, wire)
        told = self.told
        return [replace(step, headers=(*step.headers, *told)) if isinstance(step, Head) else step for step in answer]


def _without(step: Step) -> Step:
    """Take out what was told of another limit."""
    if not isinstance(step, Head):
        return step
    return replace(step, headers=tuple(header for header in step.headers if header[0] not in _TOLD))

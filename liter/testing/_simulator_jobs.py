"""Batches as a simulated provider works through them: a request after another, as time passes."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count

import msgspec
from msgspec.structs import replace

from ._simulator_exchange import ReceivedRequest
from ._simulator_model import Model
from ._simulator_steps import Data, Head
from ._wire_protocol import Headers, Refusal, Wire

# Seconds in which a batch is looked at before its first request, and in which it stops after it was cancelled.
VALIDATING = 1.0
CANCELLING = 1.0
# How long a batch takes unless the simulator is told otherwise.
BATCH_SECONDS = 30.0
# Nothing takes longer.
WINDOW = 24 * 3600.0

# Answers one request of a batch, by the path of its operation and its body: a status, and a body.
Answer = Callable[[str, bytes], tuple[int, bytes]]


class JobResult(msgspec.Struct, frozen=True):
    """What the pretended model answered to a request: a status, and a body of JSON."""

    custom_id: str
    status: int
    body: bytes


class Progress(msgspec.Struct, frozen=True):
    """How far a job is.

    :param state: ``"validating"``, ``"in_progress"``, ``"completed"``, ``"cancelling"``, ``"cancelled"``,
        ``"expired"``, or ``"failed"``
    :param results: of the requests that were answered so far, in their order
    :param rest: the names of the others
    :param ended: when it ended, in seconds of the event loop; ``None`` while it has not
    """

    state: str
    results: Sequence[JobResult]
    rest: Sequence[str]
    ended: float | None = None

    @property
    def failed(self) -> int:
        """How many were answered with an error."""
        return sum(result.status >= 400 for result in self.results)


class Job:
    """One batch. All is known when it is made; what of it can be seen depends on the time.

    :param seconds: how long all of it takes
    :param errors: why it fails, if it does
    """

    def __init__(
        self,
        job_id: str,
        started: float,
        seconds: float,
        results: Sequence[JobResult],
        facts: Mapping[str, object],
        errors: Sequence[Mapping[str, object]] = (),
    ) -> None:
        self.id = job_id
        self.facts = facts
        self.errors = errors
        self.cancelled: float | None = None
        self.started = started
        self._seconds = seconds
        self._results = results

    def progress(self, now: float) -> Progress:
        """How far it is at a time of the event loop."""
        started, end = self.started, self.started + self._seconds
        stopped = self.cancelled
        if stopped is not None and stopped < min(end, started + WINDOW):
            done = self._done(stopped)
            over = now >= stopped + CANCELLING
            return self._seen("cancelled" if over else "cancelling", done, stopped + CANCELLING if over else None)
        if now < started + VALIDATING:
            return self._seen("validating", 0)
        if self.errors:
            return self._seen("failed", 0, started + VALIDATING)
        if now >= started + WINDOW and self._seconds > WINDOW:
            return self._seen("expired", self._done(started + WINDOW), started + WINDOW)
        if now >= end:
            return self._seen("completed", len(self._results), end)
        return self._seen("in_progress", self._done(now))

    def _done(self, now: float) -> int:
        """How many are answered at a time."""
        passed = now - self.started - VALIDATING
        return max(0, int(len(self._results) * passed / max(self._seconds - VALIDATING, 1e-9)))

    def _seen(self, state: str, done: int, ended: float | None = None) -> Progress:
        rest = [result.custom_id for result in self._results[done:]]
        return Progress(state, self._results[:done], rest, ended)


def each(wire: Wire, model: Model, request: ReceivedRequest, headers: Headers) -> Answer:
    """Make what answers the requests of a batch, each as if it had come by itself.

    :param request: the one that makes the batch
    :param headers: those of its answer
    """
    numbers, name = count(1), wire.request_id(headers)

    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        asked = replace(request, method="POST", path=path, body=body, json=msgspec.json.decode(body))
        try:
            steps = wire.answer(asked, model, wire.headers(f"{name}-{next(numbers)}"))
        except Refusal as refusal:
            return refusal.status, wire.error(refusal, "")
        status = next(step.status for step in steps if isinstance(step, Head))
        return status, b"".join(step.data for step in steps if isinstance(step, Data))

    return answer

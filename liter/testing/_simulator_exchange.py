"""One request to the simulator and the answer to it; and the ledger that all of them are entered in."""

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

import anyio
import msgspec

from ._simulator_body import Body
from ._simulator_steps import Data, End, Step


class ReceivedRequest(msgspec.Struct):
    """A request that a simulator received, and what came of it.

    :param path: the request target, query included
    :param headers: names in lower case; repeated ones are joined with ``", "``
    :param body: as it came; of a large one its beginning and its end, where the simulator keeps no bodies
    :param size: bytes of the body, those that were not kept included
    :param json: the body decoded, or ``None`` where it is no JSON
    :param connection: number of its connection, from 1
    :param http_version: ``"1.1"`` or ``"2"``
    :param started: event-loop time at which it was in
    :param fault: name of the fault that the answer has, if any
    :param generated: bytes of the answer's body generated so far
    :param outcome: ``"in flight"``; then ``"completed"``, ``"client left"``, ``"stopped"`` (the simulator closed) or
        the name of the fault
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    json: object
    connection: int
    http_version: str
    started: float
    size: int = 0
    fault: str | None = None
    generated: int = 0
    outcome: str = "in flight"


class Connections(msgspec.Struct):
    """Connections to a simulator: ``open`` now, and ``total`` ever."""

    open: int = 0
    total: int = 0


class Ledger:
    """What happened to one simulator, over all its servers."""

    def __init__(self) -> None:
        self.connections = Connections()
        self.requests: list[ReceivedRequest] = []
        self.in_flight = 0
        self.max_in_flight = 0
        self.bytes_generated = 0
        self.bytes_after_disconnect = 0


class Exchange:
    """An answer under way. Enter it to answer; iterate over it for the steps, so that what is generated is counted."""

    def __init__(self, request: ReceivedRequest, steps: Sequence[Step], ledger: Ledger) -> None:
        self.request = request
        self._steps = steps
        self._ledger = ledger
        self._complete = False
        self.client_left = False

    def __iter__(self) -> Iterator[Step]:
        for step in self._steps:
            if self.client_left:
                return
            if isinstance(step, Data):
                self.request.generated += len(step.data)
                self._ledger.bytes_generated += len(step.data)
            # A client may read the last byte and be gone before its writer is back from sending it.
            self._complete = isinstance(step, End)
            yield step
        self._complete = True

    def leave(self, undelivered: int = 0) -> None:
        """The client has left. ``undelivered`` bytes had been generated when that was found out."""
        self._ledger.bytes_after_disconnect += undelivered
        if not self._complete:
            self.client_left = True

    def __enter__(self) -> Self:
        ledger = self._ledger
        ledger.in_flight += 1
        ledger.max_in_flight = max(ledger.max_in_flight, ledger.in_flight)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ledger.in_flight -= 1
        if self.client_left:
            self.request.outcome = "client left"
        elif self._complete:
            self.request.outcome = self.request.fault or "completed"
        else:
            self.request.outcome = "stopped"


class Incoming(msgspec.Struct, frozen=True):
    """A request as the protocol side read it."""

    method: str
    path: str
    headers: dict[str, str]
    body: Body
    http_version: str


# Makes the answer to a request; bound to its connection.
Accept = Callable[[Incoming], Exchange]


async def wait(seconds: float) -> None:
    """Sleep; for ever when ``seconds`` is infinite, which a clock that jumps could not tell from a day."""
    if seconds == float("inf"):
        await anyio.Event().wait()
    else:
        await anyio.sleep(seconds)

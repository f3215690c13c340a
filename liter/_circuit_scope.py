"""One call under a circuit: which of its ends are the provider's doing, and who is told."""

import math
from types import TracebackType
from typing import Final, Generic, TypeVar, cast

import anyio
import msgspec

from ._circuit import Admission, Change
from ._circuit_share import CircuitShare
from ._contract import Call, Handler
from ._errors import (
    LlmError,
    LlmTimeoutError,
    NetworkError,
    NotFoundError,
    RateLimitedError,
    SerializationError,
    ServerError,
    ServiceUnavailableError,
    StreamingError,
)
from ._kept import names_what_is_kept
from ._loop import EventLoop
from ._reply import Reply

R = TypeVar("R")

# The provider's side of the error tree, and the way there. Never the caller's.
FAULTS: Final[tuple[type[LlmError], ...]] = (
    RateLimitedError,
    ServerError,
    ServiceUnavailableError,
    LlmTimeoutError,
    NetworkError,
    StreamingError,
    SerializationError,
)

# Long enough for a listener to write a line, short enough not to hold up a shutdown.
_GRACE = 5.0


class CircuitOpened(msgspec.Struct, frozen=True, kw_only=True):
    """Too much has failed: no more calls go there for a while.

    :param call: the one whose failure was the last straw; its route says where
    :param error: that failure
    :param seconds: until the first probe is let through
    """

    call: Call[object]
    error: LlmError
    seconds: float


class CircuitClosed(msgspec.Struct, frozen=True, kw_only=True):
    """It works again: all calls go there as before.

    :param call: the one whose success proved it; its route says where
    """

    call: Call[object]


class CoolingDown(msgspec.Struct, frozen=True, kw_only=True):
    """A provider said for how long it wants no calls.

    :param call: the one that was told; its route says where
    :param error: how
    :param seconds: for how long
    """

    call: Call[object]
    error: LlmError
    seconds: float


class CircuitScope(Generic[R]):
    """The scope of an admitted call. It reports to the circuit, and tells the call's listeners what comes of it.

    A call succeeds when it is entered, and fails when entering it raises, or its stream breaks with, one of
    ``faults``. An error before anything was sent (no attempt is on the record) is a refusal of a layer further
    in, and a reply that no provider made says nothing about one, either.

    :param loop: the event loop that runs this
    :param share: what lets other processes know
    :ivar entered: time at which entering succeeded, or failed, by the clock that all loops have in common
    :ivar blamed: it is the provider's fault that entering failed, or that the stream broke
    :ivar sent: false when entering failed before a request of this call was on the wire
    :ivar recovered: entering closed the circuit
    """

    __slots__ = (
        "_admission",
        "_call",
        "_call_next",
        "_faults",
        "_loop",
        "_reply",
        "_scope",
        "_share",
        "blamed",
        "entered",
        "recovered",
        "sent",
    )

    def __init__(
        self,
        admission: Admission,
        call: Call[R],
        call_next: Handler,
        loop: EventLoop,
        faults: tuple[type[LlmError], ...] = FAULTS,
        share: CircuitShare | None = None,
    ) -> None:
        self._admission = admission
        self._call = call
        self._call_next = call_next
        self._loop = loop
        self._faults = faults
        self._share = share
        self.entered = -math.inf
        self.blamed = False
        self.sent = True
        self.recovered = False

    async def __aenter__(self) -> Reply[R]:
        call = self._call
        before = len(call.attempts)
        try:
            self._scope = self._call_next(call)
            self._reply = reply = await self._scope.__aenter__()
        except BaseException as error:
            self.sent = call.sent_since(before)
            self.blamed = self.sent and self._is_fault(error)
            if self.blamed:
                self.entered = self._loop.now()
                await self._failed(cast("LlmError", error))
            else:
                self._admission.withdraw()
            raise
        self.entered = self._loop.now()
        if reply.origin != "provider":
            self._admission.withdraw()
        elif self._admission.succeeded(self.entered) == "closed":
            self.recovered = True
            try:
                if self._share is not None:
                    await self._share.tell(call, "closed", self.entered)
                await call.notify(CircuitClosed(call=call))
            except BaseException as error:
                await self._scope.__aexit__(type(error), error, error.__traceback__)
                raise
        return reply

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        try:
            return await self._scope.__aexit__(kind, error, traceback)
        finally:
            broken = self._reply.error
            if isinstance(broken, self._faults):
                self.blamed = True
                with anyio.move_on_after(_GRACE, shield=True):
                    await self._failed(broken)

    def _is_fault(self, error: BaseException) -> bool:
        if isinstance(error, NotFoundError) and names_what_is_kept(cast("Call[object]", self._call)):
            return False  # that is not there, which says nothing of the model
        return isinstance(error, self._faults)

    async def _failed(self, error: LlmError) -> None:
        call = self._call
        now = self._loop.now()
        change: Change | None = self._admission.failed(now, error)
        if change is not None and self._share is not None:
            await self._share.tell(call, change, now)
        if change == "opened":
            seconds = self._admission.circuit.ready_at(now) - now
            await call.notify(CircuitOpened(call=call, error=error, seconds=seconds))
        elif change == "cooling":
            await call.notify(CoolingDown(call=call, error=error, seconds=error.retry_after or 0.0))

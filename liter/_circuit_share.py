"""What a circuit has in common with those of other processes: that it has opened, closed, or cools down.

Theory of operation. Each process counts results by itself: to count them together would be a step of the store for
each call. What they share is the outcome, in one record of the store, which a process looks at when it has a call and
its last look was a second ago. Who opens or closes a circuit writes a record with a new epoch, if it is still the one
that it saw: so the first decision counts, and what comes of an older epoch is ignored, as a circuit ignores results of
an older generation. For how long it is open is a debt in a bucket: that runs by the store's clock, so no two
clocks have to agree. Once it is over, each process sends its own probes.
"""

import hashlib
import math
import os
from collections.abc import Sequence
from typing import Literal

import anyio
import msgspec

from ._circuit import Change, Circuit
from ._contract import Call
from .stores import Bucket, MemoryStore, Store, StoreError

# Seconds between two looks. As long may a process go on sending to what another one knows is down.
_LOOK_EVERY = 1.0

# Seconds. A store that needs longer for a step is no help.
PATIENCE = 2.0

# Seconds for which a store that failed is left alone: while it hangs, each look costs its call the patience above.
_REST = 10.0

# Seconds for which a record outlives what it says: who was away for as long finds out by itself.
_TTL = 3600.0


class CircuitStoreFailed(msgspec.Struct, frozen=True, kw_only=True):
    """The store of a circuit failed.

    :param call: the call that it failed for
    :param error: what happened
    :param doing: ``"look"``: what others know is not known; ``"tell"``: others were not told, which fails no call
    :param goes_on: whether the call goes on, by what its own process knows: false for a ``"look"`` with
        ``on_store_error="closed"``
    """

    call: Call[object]
    error: StoreError
    doing: Literal["look", "tell"]
    goes_on: bool


class _Record(msgspec.Struct, frozen=True, array_like=True):
    """What was found out last.

    :param epoch: name of the state, and of the bucket that tells for how long it is open
    :param trips: how often it has opened in a row; 0 is closed
    :param cooling: name of the bucket that tells how long it cools down; empty where it does not
    """

    epoch: str
    trips: int
    cooling: str


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Record)


class CircuitShare:
    """Keeps one circuit in step with those of the same name on the same store."""

    __slots__ = ("_circuit", "_key", "_looked", "_never_waits", "_on_store_error", "_raw", "_seen", "_store")

    def __init__(
        self, circuit: Circuit, store: Store, name: Sequence[str | None], on_store_error: Literal["open", "closed"]
    ) -> None:
        self._circuit = circuit
        self._store = store
        # Names have keys of accounts in them, and are not for everyone to read.
        self._key = f"liter:circuit:{hashlib.sha256(msgspec.json.encode(name)).hexdigest()[:32]}"
        self._on_store_error = on_store_error
        self._never_waits = type(store) is MemoryStore
        self._looked = -math.inf
        self._raw: bytes | None = None
        self._seen = _Record("", 0, "")

    async def look(self, call: Call[object], now: float, patience: float = PATIENCE) -> None:
        """Take over what others have found out, if the last look was long ago.

        :param now: by the clock that all loops of the process have in common
        :param patience: seconds to wait for the store at most; the call's own time is the other limit
        :raises StoreError: the store failed, and ``on_store_error="closed"``
        """
        if now - self._looked < _LOOK_EVERY:
            return
        # Before it is done, so that the others of a crowd do not look as well.
        self._looked = now
        try:
            if self._never_waits:
                await self._look(now)
            else:
                await self._look_in_time(now, min(anyio.current_time() + patience, call.enter_by))
        except anyio.get_cancelled_exc_class():
            self._looked = -math.inf
            raise
        except StoreError as error:
            goes_on = self._on_store_error == "open"
            self._looked = now + _REST - _LOOK_EVERY if goes_on else -math.inf
            await call.notify(CircuitStoreFailed(call=call, error=error, doing="look", goes_on=goes_on))
            if not goes_on:
                raise

    async def tell(self, call: Call[object], change: Change, now: float) -> None:
        """Let others know of a change of the circuit. A store that fails is told of, and fails no call."""
        try:
            if self._never_waits:
                await self._tell(change, now)
            else:
                await self._tell_in_time(change, now)
        except StoreError as error:
            await call.notify(CircuitStoreFailed(call=call, error=error, doing="tell", goes_on=True))

    async def _look(self, now: float) -> None:
        raw = await self._store.get(self._key)
        if raw is None or raw == self._raw:
            return
        record = _decode(raw)
        if record is None:
            return
        before = self._seen
        changed = record.epoch != before.epoch
        cools = bool(record.cooling) and record.cooling != before.cooling
        open_for = await self._wait(record.epoch) if changed and record.trips else 0.0
        cool_for = await self._wait(record.cooling) if cools else 0.0
        if self._seen is not before:
            return  # another call has looked, or told, meanwhile
        # In one step: a look that is given up before has seen nothing.
        self._raw, self._seen = raw, record
        if changed and record.trips:
            self._circuit.follow_open(now + open_for, record.trips)
        elif changed:
            self._circuit.follow_closed()
        if cools:
            self._circuit.cool_down(now + cool_for)

    async def _tell(self, change: Change, now: float) -> None:
        circuit, seen, epoch = self._circuit, self._seen, os.urandom(6).hex()
        seconds = 0.0
        if change == "closed":
            record = _Record(epoch, 0, seen.cooling)
        else:
            seconds = circuit.ready_at(now) - now
            await self._store.adjust([self._bucket(epoch, -1.0 - seconds)])
            if change == "opened":
                record = _Record(epoch, circuit.trips_in_a_row, seen.cooling)
            else:
                record = _Record(seen.epoch, seen.trips, epoch)
        raw = _encode(record)
        if not await self._store.swap(self._key, self._raw, raw, ttl=seconds + _TTL):
            if await self._store.get(self._key) is not None:
                # Somebody was first: that counts.
                await self._look(now)
                return
            # What it saw was kept long enough.
            await self._store.swap(self._key, None, raw, ttl=seconds + _TTL)
        self._raw, self._seen = raw, record

    async def _wait(self, epoch: str) -> float:
        return (await self._store.take([self._bucket(epoch, 0.0)])).wait

    def _bucket(self, epoch: str, amount: float) -> Bucket:
        # With a capacity of 1 and 1 per second, a debt of n is over in n seconds.
        return Bucket(key=f"{self._key}:{epoch}", capacity=1.0, refill=1.0, amount=amount)

    async def _look_in_time(self, now: float, until: float) -> None:
        waited = until - anyio.current_time()
        with anyio.CancelScope(deadline=until) as scope:
            await self._look(now)
        if scope.cancelled_caught:
            raise _no_answer(waited)

    async def _tell_in_time(self, change: Change, now: float) -> None:
        # Shielded: what was found out holds for all, also where the call that found it out is given up.
        with anyio.CancelScope(deadline=anyio.current_time() + PATIENCE, shield=True) as scope:
            await self._tell(change, now)
        if scope.cancelled_caught:
            raise _no_answer(PATIENCE)


def _no_answer(seconds: float) -> StoreError:
    return StoreError(f"no answer within {max(0.0, seconds):.3g} s")


def _decode(raw: bytes) -> _Record | None:
    try:
        return _decoder.decode(raw)
    except msgspec.DecodeError:  # of another version of liter
        return None

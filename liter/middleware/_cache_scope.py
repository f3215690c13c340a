"""One call on its way past a cache."""

from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import anyio

from .._contract import Attempt, Call, Handler
from .._loop import EventLoop
from .._reply import Reply
from ..money import Cost
from ._cache_events import CacheHit, CacheMiss
from ._cache_flight import Flight, Flights
from ._cache_record import Record, Recording, decode_record, encode_value
from ._cache_replay import Replay
from ._cache_semantic import Question

if TYPE_CHECKING:
    from ._cache import Cache

R = TypeVar("R")

# Outcomes of the attempt whose reply is entered, or was read to its end.
_ANSWERED = ("ok", "open")


class CachedScope(Generic[R]):
    """The scope of a hit, which has nothing open, or of a request that is recorded."""

    __slots__ = (
        "_began",
        "_cache",
        "_call",
        "_call_next",
        "_flights",
        "_key",
        "_loop",
        "_question",
        "_recording",
        "_reply",
        "_scope",
    )

    def __init__(self, cache: "Cache", flights: Flights, key: str, call: Call[R], call_next: Handler) -> None:
        self._cache = cache
        self._flights = flights
        self._key = key
        self._call = call
        self._call_next = call_next
        self._scope: AbstractAsyncContextManager[Reply[R]] | None = None
        self._recording: Recording | None = None
        self._question: Question | None = None

    async def __aenter__(self) -> Reply[R]:
        call = self._call
        self._loop = loop = call.loop or EventLoop.current()
        self._began = loop.time()
        if call.cache == "refresh":
            return await (self._record() if call.stream else self._request(None))
        if call.stream:
            return await self._record() if self._has_none() else await self._find(None) or await self._record()
        flight, leads = self._flights.board(self._key, loop)
        if leads or await flight.wait(call.enter_by):
            try:
                if self._has_none():
                    return await self._request(flight)
                return await self._find(flight) or await self._request(flight)
            finally:
                flight.leave()
        answer = await self._answer(flight.data, shared=True, similarity=flight.similarity)
        return answer or await self._enter()

    def _has_none(self) -> bool:
        """Whether it is sure without a wait that there is no answer, and nobody is to be told."""
        return not self._call.listeners and self._cache.has_none(self._key)

    async def _find(self, flight: Flight | None) -> Reply[R] | None:
        answer = await self._search(flight)
        if answer is None and self._call.listeners:
            await self._call.notify(CacheMiss(call=self._call))
        return answer

    async def _search(self, flight: Flight | None) -> Reply[R] | None:
        """Look for the answer, then for one to a question that means the same, and give it to those who wait."""
        cache, call = self._cache, self._call
        data = await cache.look_up(self._key, call)
        answer = None if data is None else await self._found(data, None, flight)
        if answer is not None or cache.semantic is None:
            return answer
        self._question = question = cache.question(self._key, call)
        if question is None or not await question.embed():
            return None
        for similarity, key in question.nearest(await cache.look_up(question.scope, call)):
            data = await cache.look_up(key, call)
            answer = None if data is None else await self._found(data, similarity, flight)
            if answer is not None:
                return answer
            question.forget(key)
        return None

    async def _found(self, data: bytes, similarity: float | None, flight: Flight | None) -> Reply[R] | None:
        answer = await self._answer(data, shared=False, similarity=similarity)
        if answer is not None and flight is not None:
            flight.land(data, similarity)
        return answer

    async def _answer(self, data: bytes | None, *, shared: bool, similarity: float | None) -> Reply[R] | None:
        """Make a reply of a record; ``None`` where there is none, or none that can be read."""
        record = None if data is None else decode_record(data)
        parts = None if record is None else record.decode_parts()
        if record is None or not parts:
            return None
        call = self._call
        saved = self._cache.price(record, call, parts[-1])
        hit = CacheHit(call=call, saved=record.usage, shared=shared, similarity=similarity, saved_cost=saved)
        await call.notify(hit)
        events = cast("list[R]", parts)
        reply = await self._reply_of(record, events)
        reply.cost, reply.saved = Cost.unbilled(), saved
        return reply

    async def _reply_of(self, record: Record, events: list[R]) -> Reply[R]:
        call = self._call
        if not call.stream:
            return Reply(
                value=events[0],
                status=record.status,
                request_id=record.request_id,
                usage=record.usage,
                origin="cache",
            )
        times = record.times if self._cache.replay == "timed" and len(record.times) == len(events) else ()
        replay = Replay(events, times, self._began, call)
        await replay.open()
        return Reply(
            events=replay,
            status=record.status,
            request_id=record.request_id,
            usage=record.usage,
            cancel=replay.cancel,
            origin="cache",
        )

    async def _enter(self) -> Reply[R]:
        # Not called before it is known that it is needed: what is further in may count its calls.
        scope = self._call_next(self._call)
        reply = await scope.__aenter__()
        self._scope = scope
        return reply

    async def _request(self, flight: Flight | None) -> Reply[R]:
        """Make the request of a unary call, keep its answer, and give it to those who wait."""
        # Not called before it is known that it is needed: what is further in may count its calls.
        scope = self._call_next(self._call)
        reply = await scope.__aenter__()
        self._scope = scope
        try:
            # Those who wait are given a large one, too: it is here already.
            data = encode_value(reply, _last(self._call))
            if flight is not None:
                flight.land(data)
            if data is not None and not self._cache.keep_nowait(self._key, data, self._question, self._loop.now()):
                await self._cache.keep(self._key, data, self._call, self._question)
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return reply

    async def _record(self) -> Reply[R]:
        """Make the request of a stream, and take down its events."""
        self._reply = reply = await self._enter()
        self._recording = recording = Recording(self._cache.max_bytes)
        if self._cache.replay == "at_once":
            reply.tap(recording.add)
            return reply
        began, entered = self._began, anyio.current_time()

        def take(event: R) -> None:
            # The first one was there when the stream was entered, whenever the consumer took it.
            recording.add_at((anyio.current_time() if recording.count else entered) - began, event)

        reply.tap(take)
        return reply

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if self._scope is None:
            return None
        swallowed = await self._scope.__aexit__(kind, error, traceback)
        if self._recording is not None and self._reply.finished:
            data = self._recording.encode(self._reply, _last(self._call))
            if data is not None and not self._cache.keep_nowait(self._key, data, self._question, self._loop.now()):
                await self._cache.keep(self._key, data, self._call, self._question)
        return swallowed


def _last(call: Call[R]) -> Attempt | None:
    """Whose answer a reply is: the last attempt's, but for one that lost a race to an earlier one."""
    attempts = call.attempts
    if not attempts or attempts[-1].outcome in _ANSWERED:
        return attempts[-1] if attempts else None
    return next((attempt for attempt in reversed(attempts) if attempt.outcome in _ANSWERED), attempts[-1])

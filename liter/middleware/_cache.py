"""Answer a call from the answer to an identical one."""

import math
from collections.abc import Collection
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, Literal, TypeVar, cast

import anyio
import msgspec

from .. import types
from .._contract import Call, Handler
from .._loop import EventLoop
from .._reply import Reply
from ..stores import MemoryStore, Store, StoreError
from ..types import Usage
from ._cache_flight import Flight, Flights
from ._cache_key import KeyMaker, check_names
from ._cache_record import Recording, decode_record
from ._cache_replay import Replay
from ._cache_semantic import Question, Semantic

R = TypeVar("R")

# Seconds. About what a short answer of a model takes: a store that needs longer saves nothing, and is gone around.
_PATIENCE = 2.0

_MODES = ("use", "refresh", "off")


class CacheHit(msgspec.Struct, frozen=True, kw_only=True):
    """A call was answered without a request.

    :param call: the call
    :param saved: the tokens that the answer took when it was made, and that are not spent again; ``None`` is unknown
    :param shared: whether it came from an identical call that was under way, not from the store
    :param similarity: of the question that was answered to this one, up to 1; ``None`` is an identical call's answer
    """

    call: Call[object]
    saved: Usage | None
    shared: bool
    similarity: float | None = None


class CacheMiss(msgspec.Struct, frozen=True, kw_only=True):
    """A call that a cache looked for has no answer there, and goes on.

    :param call: the call
    """

    call: Call[object]


class CacheStoreFailed(msgspec.Struct, frozen=True, kw_only=True):
    """The store of a cache failed.

    :param call: the call that it failed for
    :param error: what happened
    :param doing: ``"get"``: the answer was not looked up; ``"put"``: it was not kept, or not
        listed for similar questions, which fails no call
    :param goes_on: whether the call goes on: false for a ``"get"`` with ``on_store_error="closed"``
    """

    call: Call[object]
    error: StoreError
    doing: Literal["get", "put"]
    goes_on: bool


class Cache:
    """Give the answer to an earlier call to every later one that is identical, for ``ttl`` seconds.

    Identical is what agrees in all that is sent: operation, provider, model, address, headers and every field of
    the request, those in ``extra_body`` included; and in the API key, and the tags named by ``tags``. Streams are
    kept apart from whole replies.

    A reply out of the cache has ``origin="cache"``, no headers and no raw bytes, and the usage that was reported
    when it was made; no attempt is on record for it. The listeners of the call are told :class:`CacheHit`.

    Kept is a whole reply once it is entered, and a stream once it was read to its end; no error, and nothing that
    was left early. Of identical whole replies asked for at one time, one request is made and all are given its
    answer; if it fails or is cancelled, the next in line makes its own. Streams do not wait for each other: one is
    read at the pace of its consumer, who may be slow, or leave.

    The tag ``cache`` controls a single call: ``"use"`` (the default), ``"refresh"`` makes the request and keeps
    its answer, ``"off"`` does neither look up nor keep.

    Place it outside ``Retry`` and every limit: a hit then costs none of them.

    :param store: where answers are kept; it drops the least recently used. By default a ``MemoryStore``
    :param ttl: seconds for which an answer is kept
    :param tags: tags whose values are part of the key, so that no tenant sees what another was answered; calls
        without the tag are a group of their own
    :param ignore: fields of the request that do not matter, such as ``"user"`` or ``"metadata"``
    :param ignore_headers: names of headers of the call that do not matter, such as those of a trace
    :param share_keys: whether calls with different API keys share answers
    :param replay: how a stream comes out of the cache: ``"at_once"``, or ``"timed"`` as it came in, which is taken
        down by a ``"timed"`` cache only
    :param max_bytes: a larger answer is not kept; it bounds what a stream takes in memory until it is
    :param semantic: a chat without an answer of its own is given that to a question which means the same, see
        :class:`Semantic`: the text of the last message of the user may differ, and nothing else
    :param on_store_error: what a failed look-up does to its call, see :class:`CacheStoreFailed`: ``"open"`` makes
        the request, ``"closed"`` raises the ``StoreError``
    :raises ValueError: an argument out of range; on calling, a tag ``cache`` that is none of the three
    :raises LlmTimeoutError: with ``limit="cache"``, on entering: the call's time passed in line
    """

    __slots__ = (
        "__weakref__",
        "_flights",
        "_keys",
        "_never_waits",
        "max_bytes",
        "on_store_error",
        "replay",
        "semantic",
        "store",
        "ttl",
    )

    def __init__(
        self,
        *,
        store: Store | None = None,
        ttl: float = 300.0,
        tags: Collection[str] = ("tenant",),
        ignore: Collection[str] = (),
        ignore_headers: Collection[str] = (),
        share_keys: bool = False,
        replay: Literal["at_once", "timed"] = "at_once",
        max_bytes: int = 1024 * 1024,
        semantic: Semantic | None = None,
        on_store_error: Literal["open", "closed"] = "open",
    ) -> None:
        if not 0 < ttl < math.inf:
            raise ValueError(f"ttl must be a positive number of seconds, not {ttl!r}")
        if max_bytes < 1:
            raise ValueError(f"max_bytes must be 1 or more, not {max_bytes!r}")
        if replay not in ("at_once", "timed"):
            raise ValueError(f"replay must be 'at_once' or 'timed', not {replay!r}")
        if on_store_error not in ("open", "closed"):
            raise ValueError(f"on_store_error must be 'open' or 'closed', not {on_store_error!r}")
        self.store: Store = MemoryStore() if store is None else store
        self.ttl: float = ttl
        self.replay: Literal["at_once", "timed"] = replay
        self.max_bytes: int = max_bytes
        self.semantic: Semantic | None = semantic
        self.on_store_error: Literal["open", "closed"] = on_store_error
        # Then there is nothing to bound, and a scope for it costs more than the store does.
        self._never_waits = type(self.store) is MemoryStore
        self._flights = Flights()
        self._keys = KeyMaker(
            tags=check_names("tags", tags),
            ignore=frozenset(check_names("ignore", ignore, _request_fields())),
            ignore_headers=frozenset(
                name.lower().encode("latin-1") for name in check_names("ignore_headers", ignore_headers)
            ),
            share_keys=share_keys,
        )

    @property
    def under_way(self) -> int:
        """How many different calls are being made that others may wait for."""
        return len(self._flights)

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        mode = call.tags.get("cache", "use")
        if mode not in _MODES:
            raise ValueError(f"the tag 'cache' must be one of {', '.join(_MODES)}, not {mode!r}")
        key = None if mode == "off" else self._keys.key(call)
        if key is None:
            return call_next(call)
        return _Cached(self, self._flights, key, call, call_next)

    def question(self, key: str, call: Call[R]) -> Question | None:
        """Take out of a call what may be compared with others; ``None`` when there is nothing, or no ``semantic``."""
        semantic = self.semantic
        return None if semantic is None else Question.of(semantic, self._keys, call, key)

    async def look_up(self, key: str, call: Call[R]) -> bytes | None:
        """Look an answer up. :raises StoreError: the store failed, and ``on_store_error="closed"``"""
        try:
            if self._never_waits:
                return await self.store.get(key)
            began = anyio.current_time()
            with anyio.CancelScope(deadline=min(began + _PATIENCE, call.enter_by)):
                return await self.store.get(key)
            raise StoreError(f"no answer within {anyio.current_time() - began:.3g} s")
        except StoreError as error:
            goes_on = self.on_store_error == "open"
            failed = CacheStoreFailed(call=call, error=error, doing="get", goes_on=goes_on)
            await call.notify(failed)
            if not goes_on:
                raise
            return None

    async def keep(self, key: str, data: bytes | None, call: Call[R], question: Question | None) -> None:
        """Keep an answer, if there is one, and what it answers.

        A store that fails is told of, and fails no call that has its answer.
        """
        if data is None or len(data) > self.max_bytes:
            return
        try:
            if self._never_waits and question is None:
                await self.store.put(key, data, ttl=self.ttl)
                return
            with anyio.CancelScope(deadline=anyio.current_time() + _PATIENCE):
                await self._put(key, data, question)
                return
            raise StoreError(f"no answer within {_PATIENCE:g} s")
        except StoreError as error:
            failed = CacheStoreFailed(call=call, error=error, doing="put", goes_on=True)
            await call.notify(failed)

    async def _put(self, key: str, data: bytes, question: Question | None) -> None:
        await self.store.put(key, data, ttl=self.ttl)
        if question is not None:
            await question.enlist(self.store, self.ttl)

    def __repr__(self) -> str:
        return f"Cache(store={self.store!r}, ttl={self.ttl:g}, tags={self._keys.tags}, under_way={self.under_way})"


class _Cached(Generic[R]):
    """The scope of a hit, which has nothing open, or of a request that is recorded."""

    __slots__ = (
        "_began",
        "_cache",
        "_call",
        "_call_next",
        "_flights",
        "_key",
        "_question",
        "_recording",
        "_reply",
        "_scope",
    )

    def __init__(self, cache: Cache, flights: Flights, key: str, call: Call[R], call_next: Handler) -> None:
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
        self._began = EventLoop.current().time()
        if call.tags.get("cache") == "refresh":
            return await (self._record() if call.stream else self._request(None))
        if call.stream:
            return await self._find(None) or await self._record()
        flight, leads = self._flights.board(self._key)
        if leads or await flight.wait(call.enter_by):
            try:
                return await self._lead(flight)
            finally:
                flight.leave()
        answer = await self._answer(flight.data, shared=True, similarity=flight.similarity)
        return answer or await self._enter()

    async def _lead(self, flight: Flight) -> Reply[R]:
        return await self._find(flight) or await self._request(flight)

    async def _find(self, flight: Flight | None) -> Reply[R] | None:
        answer = await self._search(flight)
        if answer is None:
            await self._call.notify(CacheMiss(call=cast("Call[object]", self._call)))
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
        hit = CacheHit(call=call, saved=record.usage, shared=shared, similarity=similarity)
        await call.notify(hit)
        events = cast("list[R]", parts)
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
        reply = await self._enter()
        try:
            # Those who wait are given a large one, too: it is here already.
            recording = Recording(math.inf)
            recording.add(reply.value)
            data = recording.encode(reply)
            if flight is not None:
                flight.land(data)
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
            recording.add(event, (anyio.current_time() if recording.count else entered) - began)

        reply.tap(take)
        return reply

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if self._scope is None:
            return None
        swallowed = await self._scope.__aexit__(kind, error, traceback)
        if self._recording is not None and self._reply.finished:
            data = self._recording.encode(self._reply)
            await self._cache.keep(self._key, data, self._call, self._question)
        return swallowed


def _request_fields() -> AbstractSet[str]:
    """Name what all requests of liter have, but for what makes a call what it is."""
    kinds = (getattr(types, name) for name in dir(types) if name.endswith("Request"))
    return {field for kind in kinds for field in kind.__struct_fields__} - {"model", "messages"}

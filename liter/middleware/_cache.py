"""Answer a call from the answer to an identical one."""

import logging
import math
from collections.abc import Collection
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from typing import Literal, TypeVar, cast

import anyio

from .. import types
from .._contract import Call, Handler
from .._kept import is_on_what_is_kept
from .._loop import EventLoop
from .._reply import Reply
from ..money import Cost, PriceBook, counted, geography_of, is_free, terms_of
from ..stores import MemoryStore, Store, StoreError
from ..stores._rest import Rest
from ..stores._store import check_on_store_error, checked_store
from ._cache_events import CacheStoreFailed
from ._cache_flight import Flights
from ._cache_key import KeyMaker, check_names
from ._cache_record import Record
from ._cache_scope import CachedScope
from ._cache_semantic import Question, Semantic

R = TypeVar("R")

_log = logging.getLogger("liter.cache")

# Seconds. About what a short answer of a model takes: a store that needs longer saves nothing, and is gone around.
_PATIENCE = 2.0


class Cache:
    """Give the answer to an earlier call to every later one that is identical, for ``ttl`` seconds.

    Identical is what agrees in all that is sent: operation, provider, model, address, headers and every field of
    the request, those in ``extra_body`` included; and in the API key, and the tags named by ``tags``. Streams are
    kept apart from whole replies. Where the key comes from a source (a function, a file, a cloud's login), it is that
    very object that must be the same, as nobody knows whose key it will give: processes then share no answers.

    A reply out of the cache has ``origin="cache"``, no headers and no raw bytes, and the usage that was reported
    when it was made; no attempt is on record for it. It costs 0, and ``saved`` tells what it cost when it was made.
    The listeners of the call are told :class:`CacheHit`.

    Kept is a whole reply once it is entered, and a stream once it was read to its end; no error, and nothing that
    was left early. What is about things that the provider keeps (files, batches, responses in the background or by
    their id, conversations) goes past the cache: it is another at each moment. So does a file to send that is no bytes,
    as nobody knows what is in it before it is read. Of identical whole replies asked for at
    one time, one request is made and all are given its answer; if it fails or is cancelled, the next in line makes its
    own. Streams do not wait for each other: one is read at the pace of its consumer, who may be slow, or leave.

    A single call is controlled by its option ``cache``: ``"use"`` (the default), ``"refresh"`` makes the request and
    keeps its answer, ``"off"`` does neither look up nor keep.

    Place it outside ``Retry`` and every limit: a hit then costs none of them.

    :param store: where answers are kept; it drops the least recently used. By default a ``MemoryStore``
    :param ttl: seconds for which an answer is kept
    :param tags: tags whose values are part of the key, so that no tenant sees what another was answered; calls
        without the tag are a group of their own
    :param ignore: fields of the request that do not matter, such as ``"user"`` or ``"metadata"``
    :param ignore_headers: names of headers of the call that do not matter, such as those of a trace
    :param share_keys: whether calls with different API keys, or sources of them, share answers
    :param replay: how a stream comes out of the cache: ``"at_once"``, or ``"timed"`` as it came in, which is taken
        down by a ``"timed"`` cache only
    :param max_bytes: a larger answer is not kept; it bounds what a stream takes in memory until it is
    :param semantic: a chat, or a response, without an answer of its own is given that to a question which means the
        same, see :class:`Semantic`: the text of the last message of the user may differ, and nothing else
    :param prices: by what hits tell the money they saved; by default the client's, or ``PriceBook.default()``
    :param on_store_error: what a failed look-up does to its call, see :class:`CacheStoreFailed`: ``"open"`` makes
        the request, ``"closed"`` raises the ``StoreError``. The store is asked again after a second
    :raises ValueError: an argument out of range
    :raises LlmTimeoutError: with ``limit="cache"``, on entering: the call's time passed in line
    """

    __slots__ = (
        "__weakref__",
        "_flights",
        "_keys",
        "_memory",
        "_reading",
        "_writing",
        "max_bytes",
        "on_store_error",
        "prices",
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
        prices: PriceBook | None = None,
        on_store_error: Literal["open", "closed"] = "open",
    ) -> None:
        if not isinstance(ttl, int | float) or not 0 < ttl < math.inf:
            raise ValueError(f"ttl must be a positive number of seconds, not {ttl!r}")
        if not isinstance(max_bytes, int) or max_bytes < 1:
            raise ValueError(f"max_bytes must be 1 or more, not {max_bytes!r}")
        if replay not in ("at_once", "timed"):
            raise ValueError(f"replay must be 'at_once' or 'timed', not {replay!r}")
        if not isinstance(semantic, Semantic | None):
            raise ValueError(f"semantic must be made as Semantic(embed), not {semantic!r}")
        if not isinstance(prices, PriceBook | None):
            raise ValueError(f"prices must be a PriceBook, as PriceBook.default(), not {prices!r}")
        check_on_store_error(on_store_error)
        self.store: Store = MemoryStore() if store is None else checked_store(store)
        self.ttl: float = ttl
        self.replay: Literal["at_once", "timed"] = replay
        self.max_bytes: int = max_bytes
        self.semantic: Semantic | None = semantic
        self.prices: PriceBook | None = prices
        self.on_store_error: Literal["open", "closed"] = on_store_error
        # Then there is nothing to wait for or to bound, and a scope for it costs more than the store does.
        self._memory = self.store if type(self.store) is MemoryStore else None
        # Who reads nothing from a store writes nothing.
        self._reading, self._writing = Rest(), Rest()
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
        passes_by = call.cache == "off" or is_on_what_is_kept(cast("Call[object]", call))
        key = None if passes_by else self._keys.key(call)
        if key is None:
            return call_next(call)
        return CachedScope(self, self._flights, key, call, call_next)

    def price(self, record: Record, call: Call[R], last: object) -> Cost | None:
        """Tell what an answer cost when it was made, at the prices of today; ``None`` where that is not known.

        :param last: its value, or the last event of its stream
        """
        if not record.provider:
            return None
        if is_free(call.operation):
            return Cost.unbilled()
        request = call.request
        usage = counted(request, None if call.stream else last, record.usage)
        if usage is None:
            return None
        terms = terms_of(request)
        geography = geography_of(record.provider, call.route.base_url)
        if geography is not None and record.provider == call.route.provider:
            terms = {**terms, "geography": geography}
        prices = self.prices or call.prices or PriceBook.default()
        model = getattr(last, "model", None)
        if not isinstance(model, str) or prices.find(record.provider, model) is None:
            model = record.model
        try:
            cost = prices.price(record.provider, model, usage, terms=terms or None)
        except ValueError:  # a usage that contradicts itself
            return None
        # Where nothing of it is known, 0 would say that it was nothing.
        return None if cost is not None and cost.unpriced and not cost.total else cost

    def question(self, key: str, call: Call[R]) -> Question | None:
        """Take out of a call what may be compared with others; ``None`` when there is nothing, or no ``semantic``."""
        semantic = self.semantic
        return None if semantic is None else Question.of(semantic, self._keys, call, key)

    def has_none(self, key: str) -> bool:
        """Whether it can be known at once that there is no answer to be found; false where it has to be looked up."""
        if self._memory is None or self.semantic is not None:
            return False
        try:
            return self._memory.get_nowait(key) is None
        except StoreError:
            return False  # asked again there, and told

    async def look_up(self, key: str, call: Call[R]) -> bytes | None:
        """Look an answer up. :raises StoreError: the store failed, and ``on_store_error="closed"``"""
        try:
            if self._memory is not None:
                return self._memory.get_nowait(key)
            self._reading.check(EventLoop.current().now())
            began = anyio.current_time()
            with anyio.CancelScope(deadline=min(began + _PATIENCE, call.enter_by)):
                data = await self.store.get(key)
                self._store_answered(self._reading)
                return data
            seconds = anyio.current_time() - began
            raise StoreError(f"no answer within {seconds:.3g} s")
        except StoreError as error:
            goes_on = self.on_store_error == "open"
            if anyio.current_time() < call.enter_by:  # else it was the call that had no time
                self._store_failed(error, self._reading, self._writing)
            failed = CacheStoreFailed(call=call, error=error, doing="get", goes_on=goes_on)
            await call.notify(failed)
            if not goes_on:
                raise
            return None

    def keep_nowait(self, key: str, data: bytes, question: Question | None, now: float) -> bool:
        """Keep an answer as :meth:`keep` does, if that can be done at once. Returns whether no more is to be done."""
        if len(data) > self.max_bytes:
            return True
        if self._memory is None or question is not None:
            return False
        try:
            self._memory.put_nowait(key, data, self.ttl, now)
        except StoreError:
            return False  # asked again there, and told
        return True

    async def keep(self, key: str, data: bytes, call: Call[R], question: Question | None) -> None:
        """Keep an answer, and what it answers.

        A store that fails is told of, and fails no call that has its answer.
        """
        try:
            self._writing.check(EventLoop.current().now())
            with anyio.CancelScope(deadline=anyio.current_time() + _PATIENCE):
                await self._put(key, data, question)
                self._store_answered(self._writing)
                return
            raise StoreError(f"no answer within {_PATIENCE:g} s")
        except StoreError as error:
            self._store_failed(error, self._writing)
            failed = CacheStoreFailed(call=call, error=error, doing="put", goes_on=True)
            await call.notify(failed)

    async def _put(self, key: str, data: bytes, question: Question | None) -> None:
        await self.store.put(key, data, ttl=self.ttl)
        if question is not None:
            await question.enlist(self.store, self.ttl)

    def _store_failed(self, error: StoreError, *rests: Rest) -> None:
        if not self._fails():
            what = "go on without it" if self.on_store_error == "open" else "that it is asked for are refused"
            _log.warning("the store of a cache failed, calls %s: %s", what, error)
        now = EventLoop.current().now()
        for rest in rests:
            rest.failed(error, now)

    def _store_answered(self, rest: Rest) -> None:
        if rest.answered() and not self._fails():
            _log.warning("the store of a cache answers again")

    def _fails(self) -> bool:
        return self._reading.failure is not None or self._writing.failure is not None

    def __repr__(self) -> str:
        told = [f"store={self.store!r}", f"ttl={self.ttl:g}", f"tags={self._keys.tags}"]
        if self._keys.ignore:
            told.append(f"ignore={sorted(self._keys.ignore)}")
        if self._keys.share_keys:
            told.append("share_keys=True")
        if self.replay != "at_once":
            told.append(f"replay={self.replay!r}")
        if self.semantic is not None:
            told.append(f"semantic={self.semantic.threshold:g}")
        if self.on_store_error != "open":
            told.append(f"on_store_error={self.on_store_error!r}")
        return f"Cache({', '.join(told)}, under_way={self.under_way})"


def _request_fields() -> AbstractSet[str]:
    """Name what all requests of liter have, but for what makes a call what it is."""
    kinds = (getattr(types, name) for name in dir(types) if name.endswith("Request"))
    return {field for kind in kinds for field in kind.__struct_fields__} - {"model", "messages"}

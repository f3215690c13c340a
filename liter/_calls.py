"""How a client's methods become calls through its stack."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Literal, Protocol, Self, TypeVar

import msgspec

from ._contract import Attempt, Call, Reply, Stack, Timeouts
from ._errors import LlmError
from ._http import Headers, encode_headers
from ._loop import EventLoop
from ._options import CallOptions, check_cache, check_tags, check_timeout, check_unsupported, resolve_timeout
from ._routing import RouteTable
from .money import Cost, PriceBook

if TYPE_CHECKING:
    from ._fetch import Fetcher

R = TypeVar("R")

_NO_TAGS: Mapping[str, str] = {}


class _Answer(Protocol):
    """A value that the facts of its answer can be attached to."""

    def attach(
        self,
        *,
        request_id: str | None,
        headers: Headers,
        raw: bytes,
        attempts: tuple[Attempt, ...] = (),
        request: msgspec.Struct | None = None,
        origin: str = "provider",
        cost: Cost | None = None,
        saved: Cost | None = None,
    ) -> Self: ...


Value = TypeVar("Value", bound=_Answer)


class Calls:
    """What the methods of a client stand on."""

    _stack: Stack
    _routes: RouteTable
    _timeouts: Mapping[bool, Timeouts]
    _unsupported: Literal["raise", "drop"]
    _prices: PriceBook | None
    _fetcher: "Fetcher | None"

    def _whose(self, provider: str | None) -> str:
        """What stands for a model where an operation has none: the provider alone."""
        return f"{provider or self._routes.home}/"

    async def _run(
        self, operation: str, model: str, request: msgspec.Struct, options: CallOptions, kind: type[Value]
    ) -> Value:
        """Make a call, and take its whole reply. ``model`` as the caller wrote it; ``kind`` is what the reply holds."""
        call = self._call(operation, model, request, options, kind)
        try:
            async with self._stack(call) as reply:
                value = reply.value
        except LlmError as error:
            call.complete(error)
            raise
        return value.attach(
            request_id=reply.request_id,
            headers=reply.headers,
            raw=reply.raw,
            attempts=tuple(call.attempts),
            request=request,
            origin=reply.origin,
            cost=reply.cost,
            saved=reply.saved,
        )

    def _call(
        self,
        operation: str,
        model: str,
        request: msgspec.Struct,
        options: CallOptions,
        kind: type[R],
        *,
        stream: bool = False,
    ) -> Call[R]:
        """Make a call whose reply holds ``kind``."""
        timeouts = self._timeouts[stream]
        if options.timeout is not None:
            timeouts = resolve_timeout(check_timeout(options.timeout), stream=stream)
        unsupported = self._unsupported
        if options.unsupported is not None:
            check_unsupported(options.unsupported)
            unsupported = options.unsupported
        if options.cache is not None:
            check_cache(options.cache)
        route = self._routes.route(model, operation, options)
        loop = EventLoop.current()
        return Call(
            operation=operation,
            request=request,
            route=route,
            resolve=self._routes.resolver(route, operation, options),
            stream=stream,
            started=loop.time(),
            timeouts=timeouts,
            headers=encode_headers(options.extra_headers) if options.extra_headers else (),
            tags=check_tags(options.tags) if options.tags else _NO_TAGS,
            unsupported=unsupported,
            cache=options.cache or "use",
            prices=self._prices,
            loop=loop,
        )

    async def _open(self, call: Call[R]) -> tuple[Call[R], AbstractAsyncContextManager[Reply[R]], Reply[R]]:
        """Enter a call whose reply is a stream. Whoever gets the scope closes it."""
        scope = self._stack(call)
        try:
            reply = await scope.__aenter__()
        except LlmError as error:
            call.complete(error)
            raise
        return call, scope, reply

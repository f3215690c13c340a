"""Functions of the application's own at the turns of a call."""

import inspect
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, TypeVar, cast

import anyio
import msgspec

from .._contract import Call, Handler
from .._events import Retrying
from .._reply import Reply

R = TypeVar("R")

# Long enough to write a line to a log or a database, short enough not to hold up a shutdown.
_GRACE = 5.0

AnyCall = Call[object]
AnyReply = Reply[object]
Replacement = msgspec.Struct | None

OnRequest = Callable[[AnyCall], Replacement | Awaitable[Replacement]]
OnRetry = Callable[[Retrying], Awaitable[None] | None]
OnResponse = Callable[[AnyCall, AnyReply], Awaitable[None] | None]
OnChunk = Callable[[AnyCall, object], object]
OnError = Callable[[AnyCall, Exception], Awaitable[None] | None]
OnEnd = Callable[[AnyCall, AnyReply], Awaitable[None] | None]


class Hooks(msgspec.Struct, frozen=True, kw_only=True):
    """Call functions of your own, sync or async, at the turns of a call. They run in this order:

    ==============================  ========================================================================
    ``on_request(call)``            before all that is further in; may give a changed request or call
    ``on_retry(retrying)``          each time a ``Retry`` further in is about to wait
    ``on_response(call, reply)``    once there is something to show
    ``on_chunk(call, chunk)``       each event of a stream; what it gives, unless ``None``, takes its place
    ``on_error(call, error)``       the call failed, on entering (refused by ``on_request``, too) or in its stream
    ``on_end(call, reply)``         once for each reply, however it ended, after its connection is free
    ==============================  ========================================================================

    What the first four raise fails that one call, releases all that it holds, and reaches the consumer
    as it is: raise :class:`HookRejectedError` in ``on_request`` to refuse a call.

    ``on_error`` and ``on_end`` observe. ``on_error`` is not told of the consumer's own exceptions nor of a
    cancellation; for a stream it runs when the scope closes. Where another exception is on its way already,
    one of theirs becomes a note on it, otherwise it is raised. While the scope closes, async ones are shielded from
    cancellation and given up after 5 seconds.

    A function sees calls when these hooks are outside ``Retry``, and attempts inside; ``on_retry`` needs them
    outside. For several functions at one turn, use several ``Hooks``.
    """

    on_request: OnRequest | None = None
    on_retry: OnRetry | None = None
    on_response: OnResponse | None = None
    on_chunk: OnChunk | None = None
    on_error: OnError | None = None
    on_end: OnEnd | None = None

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        return _Hooked(self, call, call_next)

    def __repr__(self) -> str:
        given = [f"{name}={getattr(hook, '__name__', hook)}" for name in self.__struct_fields__ if (hook := getattr(self, name))]
        return f"Hooks({', '.join(given)})"


class _Hooked(Generic[R]):
    def __init__(self, hooks: Hooks, call: Call[R], call_next: Handler) -> None:
        self._hooks = hooks
        self._call = call
        self._call_next = call_next

    async def __aenter__(self) -> Reply[R]:
        try:
            await self._ask()
            self._scope = self._call_next(self._call)
            self._inner = await self._scope.__aenter__()
        except Exception as error:
            await self._tell_error(error, raised=error, shield=False)
            raise
        self._reply = self._inner
        if self._hooks.on_chunk is not None and self._inner.streamed:
            self._reply = self._inner.derive(events=_HookedEvents(self._hooks.on_chunk, self._call, self._inner))
        if self._hooks.on_response is not None:
            try:
                await _done(self._hooks.on_response(self._any_call, self._any_reply))
            except BaseException as error:
                await self._close

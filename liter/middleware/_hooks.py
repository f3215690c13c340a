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
T = TypeVar("T")

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

    ===========================  ==============================================================================
    ``on_request(call)``         before all that is further in; may give a changed request or call
    ``on_retry(retrying)``       each time a ``Retry`` further in is about to wait
    ``on_response(call, reply)`` once there is something to show
    ``on_chunk(call, chunk)``    each event of a stream; what it gives, unless ``None``, takes its place
    ``on_error(call, error)``    the call failed, on entering (refused by ``on_request``, too) or in its stream
    ``on_end(call, reply)``      once for each reply, however it ended, after its connection is free
    ===========================  ==============================================================================

    What the first four raise fails that one call, releases all that it holds, and reaches the consumer
    as it is: raise :class:`HookRejectedError` in ``on_request`` to refuse a call.

    The last two observe. ``on_error`` is not told of the consumer's own exceptions nor of a cancellation; for a
    stream it runs when the scope closes. What they raise becomes a note on the exception that is on its way
    already, or else is raised. Async ones are shielded from cancellation and given up after 5 seconds.

    A function sees calls when these hooks are outside ``Retry``, and attempts inside; ``on_retry`` needs them
    outside. For several functions at one turn, use several ``Hooks``.

    :raises ValueError: something that is no function
    """

    on_request: OnRequest | None = None
    on_retry: OnRetry | None = None
    on_response: OnResponse | None = None
    on_chunk: OnChunk | None = None
    on_error: OnError | None = None
    on_end: OnEnd | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            hook = getattr(self, name)
            if hook is not None and not callable(hook):
                raise ValueError(f"{name} must be a function, sync or async, not {hook!r}")

    def __call__(self, call: Call[R], call_next: Handler) -> AbstractAsyncContextManager[Reply[R]]:
        return _Hooked(self, call, call_next)

    def __repr__(self) -> str:
        hooks = [(name, getattr(self, name)) for name in self.__struct_fields__]
        given = [f"{name}={getattr(hook, '__name__', repr(hook))}" for name, hook in hooks if hook is not None]
        return f"Hooks({', '.join(given)})"


class _Hooked(Generic[R]):
    __slots__ = ("_call", "_call_next", "_failure", "_hooks", "_reply", "_scope")

    def __init__(self, hooks: Hooks, call: Call[R], call_next: Handler) -> None:
        self._hooks = hooks
        self._call = call
        self._call_next = call_next
        self._failure: Exception | None = None

    async def __aenter__(self) -> Reply[R]:
        hooks = self._hooks
        try:
            call = await self._ask()
            self._scope = self._call_next(call)
            reply = await self._scope.__aenter__()
        except Exception as error:
            if hooks.on_error is not None:
                await _observe("on_error", hooks.on_error, self._call, error, on_its_way=error)
            raise
        if hooks.on_chunk is not None and reply.streamed:
            reply = reply.derive(events=_HookedEvents(hooks.on_chunk, call, reply))
        self._reply = reply
        if hooks.on_response is not None:
            try:
                told = hooks.on_response(call, reply)  # type: ignore[arg-type] # a cast is a step of each call
                if told is not None:
                    await _result(told)
            except BaseException as error:
                self._failure = error if isinstance(error, Exception) else None
                await self.__aexit__(type(error), error, error.__traceback__)
                raise
        return reply

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        raised = error
        try:
            return await self._scope.__aexit__(kind, error, traceback)
        except BaseException as other:
            raised = other
            raise
        finally:
            await self._tell_end(raised)

    async def _ask(self) -> Call[R]:
        hooks, call = self._hooks, self._call
        if hooks.on_request is not None:
            given: object = hooks.on_request(call)
            if given is not None:
                given = await _result(given)
            if isinstance(given, Call):
                call = cast("Call[R]", given)
            elif isinstance(given, msgspec.Struct):
                call = msgspec.structs.replace(call, request=given)
            elif given is not None:
                raise TypeError(f"on_request must return None, a Call or a request struct, not {given!r}")
        if hooks.on_retry is not None:
            call = msgspec.structs.replace(call, listeners=(*call.listeners, self._listen))
        self._call = call
        return call

    def _listen(self, event: object) -> Awaitable[None] | None:
        on_retry = self._hooks.on_retry
        return on_retry(event) if on_retry is not None and isinstance(event, Retrying) else None

    async def _tell_end(self, raised: BaseException | None) -> None:
        hooks, call = self._hooks, self._call
        failure = self._failure or self._reply.error
        on_its_way = raised
        if hooks.on_error is not None and isinstance(failure, Exception):
            on_its_way = await _observe("on_error", hooks.on_error, call, failure, on_its_way)
        if hooks.on_end is not None:
            on_its_way = await _observe("on_end", hooks.on_end, call, self._reply, on_its_way)  # type: ignore[arg-type] # as above
        if on_its_way is not None and on_its_way is not raised:
            raise on_its_way


class _HookedEvents(Generic[R]):
    __slots__ = ("_awaited", "_call", "_next", "_on_chunk", "_source")

    def __init__(self, on_chunk: OnChunk, call: Call[R], source: Reply[R]) -> None:
        self._on_chunk = on_chunk
        self._call = call
        self._source = source
        self._next = source.next_nowait
        # An event, and what the hook gave for it, where that is to be awaited.
        self._awaited: tuple[R, Awaitable[object]] | None = None

    def next_nowait(self) -> R | None:
        """Return the next event, if it is here already and the hook has no more to say."""
        event = self._next()
        if event is None:
            return None
        given = self._on_chunk(self._call, event)
        if given is None:
            return event
        if inspect.isawaitable(given):
            self._awaited = event, given
            return None
        return cast("R", given)

    async def __anext__(self) -> R:
        given: object
        if self._awaited is not None:
            (event, given), self._awaited = self._awaited, None
        else:
            event = await self._source.__anext__()
            given = self._on_chunk(self._call, event)
        if given is None:
            return event
        if inspect.isawaitable(given):
            given = await given
        return event if given is None else cast("R", given)

    async def aclose(self) -> None:
        """Nothing of its own is open: the source belongs to the next handler's scope."""


async def _result(given: object) -> object:
    # Most give nothing, and to ask whether that can be awaited costs more than the function.
    return await given if given is not None and inspect.isawaitable(given) else given


async def _observe(
    name: str, hook: Callable[[AnyCall, T], object], call: AnyCall, seen: T, on_its_way: BaseException | None
) -> BaseException | None:
    """Run a hook that only observes. Returns the exception that is on its way after it."""
    try:
        given = hook(call, seen)
        if given is not None and inspect.isawaitable(given):
            with anyio.move_on_after(_GRACE, shield=True):
                await given
    except Exception as fault:  # noqa: BLE001 # whatever a function of the application's raises
        if on_its_way is None:
            return fault
        on_its_way.add_note(f"{name} raised {fault!r}")
    return on_its_way

"""One call for each of many requests, so many at a time.

Theory of operation: each worker takes the next request only when it is free, and is free only when its result has been
taken. So a slow consumer slows the calls down, and what is in memory is bounded by the number of workers, whatever the
length of the input. Workers live in a task group: that of the caller's own ``async with`` block, or, for a bare ``async
for``, one that is closed at its end, on an error, by ``aclose`` or by collection.
"""

import warnings
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sized
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Literal, Self, TypeVar, cast

import anyio
import msgspec
from anyio.abc import TaskGroup

from .._errors import LlmError
from .._loop import EventLoop
from ..money import Cost
from ..types._answer import Answer
from ._checkpoint import Checkpoint, open_checkpoint
from ._progress import MapStats, ProgressBar
from ._request import Task, task_of

if TYPE_CHECKING:
    from .._client import LlmClient

V = TypeVar("V")

# In input order, how many more results may wait for a slow one than there are workers.
AHEAD = 4


class MapResult(msgspec.Struct, Generic[V], frozen=True, kw_only=True):
    """The result of one of many requests.

    :param index: the place of its request in the input, from 0
    :param custom_id: the caller's own name for it, where the input has one
    :param response: the reply; ``None`` when it failed
    :param error: why it failed
    :param restored: whether it was done by an earlier run, and came from the checkpoint
    """

    index: int
    request: msgspec.Struct
    custom_id: str | None = None
    response: V | None = None
    error: Exception | None = None
    restored: bool = False

    @property
    def value(self) -> V:
        """The reply. :raises Exception: why there is none"""
        if self.error is not None:
            raise self.error
        return cast("V", self.response)


class Mapped(AsyncIterator[MapResult[V]], Generic[V]):
    """The results of many requests, as they come. Made by ``client.map``; iterate over it once."""

    def __init__(
        self,
        client: "LlmClient",
        requests: Iterable[object] | AsyncIterable[object],
        *,
        concurrency: int,
        on_error: Literal["raise", "return"],
        ordered: bool,
        checkpoint: Path | None,
        progress: bool,
        options: Mapping[str, object],
    ) -> None:
        self.stats: MapStats = MapStats(len(requests) if isinstance(requests, Sized) else None)
        self._client = client
        self._source = _Source(requests)
        self._concurrency = concurrency
        self._on_error = on_error
        self._ordered = ordered
        self._path = checkpoint
        self._options = options
        self._bar = ProgressBar(self.stats) if progress else None
        self._checkpoint: Checkpoint | None = None
        self._taking = anyio.Lock()
        self._moved = anyio.Event()
        self._given = 0  # the index of the next result, in input order
        self._early: dict[int, MapResult[V]] = {}
        self._send, self._receive = anyio.create_memory_object_stream[MapResult[V]](0)
        self._failure: BaseException | None = None
        self._loop: EventLoop | None = None
        self._scope: anyio.CancelScope | None = None
        self._tasks: TaskGroup | None = None
        self._ended = anyio.Event()
        self._started = False

    async def __aenter__(self) -> Self:
        if self._started:
            raise RuntimeError("a map is entered and iterated over once: call client.map again")
        self._started = True
        tasks = anyio.create_task_group()
        self._tasks = await tasks.__aenter__()
        self._tasks.start_soon(self._run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._tasks is not None  # noqa: S101 # for type checkers
        self._tasks.cancel_scope.cancel()
        try:
            if isinstance(error, anyio.get_cancelled_exc_class()):
                await self._tasks.__aexit__(kind, error, traceback)
            else:
                # What the block raises goes out as it is, and in no group.
                await self._tasks.__aexit__(None, None, None)
        finally:
            self._tasks = None
            self._finish()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> MapResult[V]:
        if not self._started:
            self._started = True
            self._loop = EventLoop.current()
            # Made before its task begins, which a reader that is cancelled at once does not wait for.
            self._scope = anyio.CancelScope()
            # In the caller's context, as in a block: a span that is current is the parent of what is asked.
            self._loop.start(self._run)
        try:
            result = await self._next()
        except BaseException:
            await self.aclose()
            raise
        if result.error is not None and self._on_error == "raise":
            await self.aclose()
            raise result.error
        return result

    async def _next(self) -> MapResult[V]:
        while True:
            if self._ordered and self._given in self._early:
                result = self._early.pop(self._given)
                break
            try:
                result = await self._receive.receive()
            except (anyio.EndOfStream, anyio.ClosedResourceError):
                if self._failure is not None:
                    failure, self._failure = self._failure, None
                    raise failure from None
                raise StopAsyncIteration from None
            if not self._ordered or result.index == self._given:
                break
            self._early[result.index] = result
        self._given += 1
        self._moved.set()
        self._moved = anyio.Event()
        return result

    async def _run(self) -> None:
        """Open the checkpoint, run the workers, and tell how it ended."""
        try:
            with self._scope or anyio.CancelScope():
                if self._path is not None:
                    self._checkpoint = await open_checkpoint(self._path)
                async with anyio.create_task_group() as workers:
                    for _ in range(self._concurrency):
                        workers.start_soon(self._work)
        except BaseExceptionGroup as group:
            self._failure = _first(group)
        except Exception as error:  # noqa: BLE001 # raised from __anext__
            self._failure = error
        finally:
            self._send.close()
            self._ended.set()

    async def _work(self) -> None:
        while (task := await self._take()) is not None:
            await self._send.send(await self._result(task))

    async def _take(self) -> Task | None:
        async with self._taking:
            while self._ordered and self._source.count >= self._given + AHEAD * self._concurrency:
                await self._moved.wait()
            task = await self._source.take()
            if task is None and self.stats.total is None:
                self.stats.total = self._source.count
            return task

    async def _result(self, task: Task) -> MapResult[V]:
        restored = None if self._checkpoint is None else self._checkpoint.get(task)
        response, error = restored, None
        if restored is None:
            call = cast("Callable[..., Awaitable[Answer]]", getattr(self._client, task.method))
            try:
                response = await call(task.request, **self._options)
            except (LlmError, ValueError) as failed:
                error = failed
            else:
                if self._checkpoint is not None:
                    await self._checkpoint.add(task, response)
        cost = response.cost if response is not None else _cost_of(error)
        self.stats.add(failed=error is not None, restored=restored is not None, cost=cost)
        if self._bar is not None:
            self._bar.update()
        return MapResult(
            index=task.index,
            request=task.request,
            custom_id=task.custom_id,
            response=cast("V | None", response),
            error=error,
            restored=restored is not None,
        )

    async def aclose(self) -> None:
        """Cancel the calls that are under way. Idempotent."""
        if self._tasks is not None:
            # The block does it, in the task that owns it.
            self._tasks.cancel_scope.cancel()
            return
        if self._loop is not None:
            if self._scope is not None:
                self._scope.cancel()
            with anyio.CancelScope(shield=True):
                await self._ended.wait()
        self._finish()

    def _finish(self) -> None:
        self._loop = None
        self._receive.close()
        self._send.close()
        if self._checkpoint is not None:
            self._checkpoint.close()
            self._checkpoint = None
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __repr__(self) -> str:
        return f"<Mapped {self.stats.line(bars=False)}>"

    def __del__(self) -> None:
        loop, scope = getattr(self, "_loop", None), getattr(self, "_scope", None)
        if loop is not None and scope is not None:
            loop.call_soon(scope.cancel)
            warnings.warn(
                f"{self!r} was dropped before its end: use 'async with', iterate to the end, or call aclose()",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )


class _Source:
    """Gives tasks one by one, from any kind of input."""

    def __init__(self, requests: Iterable[object] | AsyncIterable[object]) -> None:
        self._iterator: Iterator[object] | AsyncIterator[object]
        if isinstance(requests, AsyncIterable):
            self._iterator = aiter(requests)
        else:
            self._iterator = iter(requests)
        self.count = 0

    async def take(self) -> Task | None:
        """Return the next one, ``None`` at the end."""
        try:
            if isinstance(self._iterator, AsyncIterator):
                given = await anext(self._iterator)
            else:
                given = next(self._iterator)
        except (StopIteration, StopAsyncIteration):
            return None
        self.count += 1
        return task_of(self.count - 1, given)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    found: deque[BaseException] = deque([group])
    while isinstance(error := found.popleft(), BaseExceptionGroup):
        found.extend(cast("BaseExceptionGroup[BaseException]", error).exceptions)
    return error


def _cost_of(error: Exception | None) -> Cost | None:
    return Cost.sum(attempt.cost for attempt in error.attempts) if isinstance(error, LlmError) else Cost.unbilled()

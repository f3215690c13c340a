"""The results of a batch, read while they come in."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, cast

import msgspec

from .._errors import BadRequestError, LlmError
from .._http import Headers
from .._many import Task, task_of
from .._stream import EventStream
from ..money import Cost
from ..types import ApiResponse, BatchObject, Usage
from ._custom_id import custom_id_of

if TYPE_CHECKING:
    from ..providers import BatchLine

# How often results that break off go on from there, as long as each time brings something.
MAX_RESUMES = 5

Part = Literal["output", "errors"]


class BatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one request of a batch.

    :param custom_id: what the request was called
    :param response: the reply, as a single call would have returned it, with its cost; ``None`` when it failed
    :param error: why it failed: the error that a single call would have raised. ``code`` is ``"batch_expired"`` or
        ``"batch_cancelled"`` where its turn never came
    :param request: what was asked, where ``batch_results`` was given the requests
    :param index: its place among those, from 0
    """

    custom_id: str
    response: ApiResponse | None = None
    error: LlmError | None = None
    request: msgspec.Struct | None = None
    index: int | None = None

    @property
    def value(self) -> ApiResponse:
        """The reply. :raises LlmError: why there is none"""
        if self.error is not None:
            raise self.error
        return cast("ApiResponse", self.response)


class Source:
    """Where results come from.

    :param retrieve: asks for the batch as it is now
    :param open: opens a part of a batch's results, where they come in pages from a page on
    :param price: prices a usage at a batch's rates
    :param by_id: whether a provider has results under the batch's own id, where it names no file
    """

    def __init__(
        self,
        retrieve: Callable[[], Awaitable[BatchObject]],
        open: Callable[[BatchObject, Part, str | None], Awaitable["EventStream[BatchLine]"]],  # noqa: A002 # what it does
        price: Callable[[BatchObject, ApiResponse, Usage], Cost | None],
        by_id: Callable[[BatchObject], bool],
    ) -> None:
        self.retrieve = retrieve
        self.open = open
        self.price = price
        self.by_id = by_id


class BatchResults(AsyncIterator[BatchResult]):
    """The results of a batch, in the order in which the provider has them. Made by ``client.batch_results``.

    Iterate over it once. They are decoded line by line as they come in, so there may be more than fit in memory.
    Leaving early, use ``async with`` or ``aclose``.
    """

    def __init__(
        self,
        source: Source,
        batch: BatchObject | None,
        requests: Iterable[object] | AsyncIterable[object] | None,
    ) -> None:
        self._source = source
        self._given = requests
        self._tasks: dict[str, Task] | None = None
        self._seen: set[str] = set()
        self._parts: list[Part] | None = None
        self._stream: EventStream[BatchLine] | None = None
        self._page: str | None = None
        self._taken = 0  # of the part or page that is open
        self._resumes = 0
        self._resumed_at = 0
        #: the batch; ``None`` until it was asked for
        self.batch = batch

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BatchResult:
        if self._parts is None:
            await self._begin()
        while True:
            line = await self._next()
            if line is not None:
                return self._result(line)
            if not self._parts:
                raise StopAsyncIteration
            self._parts.pop(0)
            self._page = None
            self._taken = self._resumes = self._resumed_at = 0

    async def _begin(self) -> None:
        if self._given is not None:
            self._tasks = await _named(self._given)
        batch = self.batch
        if batch is None or not batch.finished:
            self.batch = batch = await self._source.retrieve()
        self._parts = _parts(batch, by_id=self._source.by_id(batch))

    async def _next(self) -> "BatchLine | None":
        """The next line of the part that is open; ``None`` at its end."""
        while self._parts:
            skip = 0
            try:
                if self._stream is None:
                    # What was handed out is not handed out again: a finished batch's results stay as they are.
                    skip = self._taken
                    self._stream = await self._source.open(cast("BatchObject", self.batch), self._parts[0], self._page)
                for _ in range(skip):
                    await anext(self._stream)
                line = await anext(self._stream)
            except StopAsyncIteration:
                self._stream = None
                return None
            except LlmError as error:
                began = self._stream is not None
                await self.aclose()
                if not began or not error.retryable or self._resumes == MAX_RESUMES or self._taken <= self._resumed_at:
                    raise
                self._resumes += 1
                self._resumed_at = self._taken
                continue
            if line.next_page is not None:
                await self.aclose()
                self._page = line.next_page
                self._taken = self._resumes = self._resumed_at = 0
                continue
            self._taken += 1
            return line
        return None

    def _result(self, line: "BatchLine") -> BatchResult:
        self._seen.add(line.custom_id)
        task = None if self._tasks is None else self._tasks.get(line.custom_id)
        request = None if task is None else task.request
        response: ApiResponse | None = None
        if line.error is None:
            value = cast("ApiResponse", line.value)
            batch = cast("BatchObject", self.batch)
            cost = None if line.usage is None else self._source.price(batch, value, line.usage)
            response = value.attach(
                request_id=line.request_id, headers=Headers(), raw=line.body, request=request, cost=cost
            )
        return BatchResult(
            custom_id=line.custom_id,
            response=response,
            error=line.error,
            request=request,
            index=None if task is None else task.index,
        )

    @property
    def missing(self) -> frozenset[str]:
        """The ``custom_id`` of each request that has had no result so far.

        :raises ValueError: ``batch_results`` was not given the requests
        """
        if self._given is None:
            raise ValueError("what is missing is not known without the requests: give batch_results requests=")
        return frozenset((self._tasks or {}).keys() - self._seen)

    async def aclose(self) -> None:
        """Leave. Idempotent."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        what = "of a batch" if self.batch is None else f"of {self.batch.id}"
        return f"<BatchResults {what}, {len(self._seen)} so far>"


async def _named(requests: Iterable[object] | AsyncIterable[object]) -> dict[str, Task]:
    tasks: dict[str, Task] = {}
    given = [one async for one in requests] if isinstance(requests, AsyncIterable) else requests
    for index, one in enumerate(given):
        task = task_of(index, one)
        tasks[custom_id_of(task)] = task
    return tasks


def _parts(batch: BatchObject, *, by_id: bool) -> list[Part]:
    """The parts that a batch's results are in. :raises BadRequestError: it has none, and why"""
    if not batch.finished:
        raise BadRequestError(
            f"batch {batch.id} is {batch.status}, and has no results yet: wait_for_batch first", provider=batch.provider
        )
    if batch.status == "failed" and batch.output_file_id is None and batch.error_file_id is None:
        why = "; ".join(
            error.message + ("" if error.line is None else f" (line {error.line})") for error in batch.errors
        )
        raise BadRequestError(
            f"batch {batch.id} failed, and has no results: {why or 'it does not say why'}", provider=batch.provider
        )
    parts: list[Part] = []
    if batch.output_file_id is not None or by_id:
        parts.append("output")
    if batch.error_file_id is not None:
        parts.append("errors")
    return parts

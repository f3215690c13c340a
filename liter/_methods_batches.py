"""The client's methods: batches, which a provider works through in its own time."""

from collections.abc import AsyncIterable, Callable, Iterable
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import msgspec

from ._batches import BatchResults, wait_for_batch
from ._batches._results import Part, Source
from ._calls import Calls
from ._contract import Call
from ._operation import operation, paged
from ._options import CallOptions
from ._stream import EventStream
from .money import Cost, PriceBook
from .types import (
    ApiResponse,
    BatchesPage,
    BatchObject,
    BatchResultsRequest,
    CancelBatchRequest,
    CreateBatchRequest,
    CreateFileRequest,
    DeleteFileRequest,
    FileDeleted,
    FileObject,
    ListBatchesRequest,
    RetrieveBatchRequest,
    Usage,
)

if TYPE_CHECKING:
    from ._client import LlmClient
    from .providers import BatchLine

    class CreateBatchKeywords(CreateBatchRequest, CallOptions, frozen=True):
        """What ``create_batch`` takes, for type checkers."""

    class RetrieveBatchKeywords(RetrieveBatchRequest, CallOptions, frozen=True):
        """What ``retrieve_batch`` takes, for type checkers."""

    class CancelBatchKeywords(CancelBatchRequest, CallOptions, frozen=True):
        """What ``cancel_batch`` takes, for type checkers."""

    class ListBatchesKeywords(ListBatchesRequest, CallOptions, frozen=True):
        """What ``list_batches`` takes, for type checkers."""
else:
    CreateBatchKeywords = RetrieveBatchKeywords = CancelBatchKeywords = ListBatchesKeywords = CallOptions


class BatchesMethods(Calls):
    """Batches: many requests that a provider works through in its own time, most for half the price."""

    @operation(CreateBatchRequest, CallOptions, CreateBatchKeywords)
    async def create_batch(self, request: CreateBatchRequest, options: CallOptions) -> BatchObject:
        """Have many requests worked through, within a day::

            batch = await client.create_batch(requests=[{"model": "gpt-4o", "messages": [...]}, ...])
            batch = await client.wait_for_batch(batch)
            async for result in client.batch_results(batch):
                print(result.custom_id, result.value)

        Each request is encoded as a single call would be, and all of them are checked before anything is sent. Where
        the provider takes files, one is uploaded first. If the provider then refuses the batch, the file is deleted
        again; if nobody knows whether there is a batch now (no answer, or a cancellation), the file stays, and a note
        on the error, or the log of ``liter``, tells its id.

        :raises ValueError: a parameter, or one of the requests, makes no sense; before any I/O
        :raises EndpointNotSupportedError: the provider has no batches, or none of this operation; says who has
        :raises LlmError: see ``liter``'s error tree
        """
        from ._batches._caller import Caller
        from ._batches._create import create_batch

        caller = Caller(self._routes, self._unsent, self._fetcher)
        return await create_batch(caller, _Sender(self._run), request, options)

    @operation(RetrieveBatchRequest, CallOptions, RetrieveBatchKeywords)
    async def retrieve_batch(self, request: RetrieveBatchRequest, options: CallOptions) -> BatchObject:
        """Tell how far a batch is.

        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("retrieve_batch", self._whose(request.provider), request, options, BatchObject)

    @operation(CancelBatchRequest, CallOptions, CancelBatchKeywords)
    async def cancel_batch(self, request: CancelBatchRequest, options: CallOptions) -> BatchObject:
        """Have a batch stopped. What is done by then has results; wait for its end.

        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("cancel_batch", self._whose(request.provider), request, options, BatchObject)

    @paged(ListBatchesRequest, BatchObject, CallOptions, ListBatchesKeywords)
    async def list_batches(self, request: ListBatchesRequest, options: CallOptions) -> BatchesPage:
        """List the batches there are: ``async for`` walks all pages, ``await`` gives the first.

        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("list_batches", self._whose(request.provider), request, options, BatchesPage)

    async def wait_for_batch(
        self,
        batch: str | BatchObject,
        /,
        *,
        timeout: float | None = None,
        poll: float = 2.0,
        max_poll: float = 60.0,
        progress: Callable[[BatchObject], object] | None = None,
        provider: str | None = None,
        random: Random | None = None,
    ) -> BatchObject:
        """Wait until a batch is finished, and return it; its ``status`` tells how it ended.

        It asks, and before asking again waits, for the n-th time from 0, ::

            max(retry_after or 0, uniform(0.5, 1) * min(max_poll, poll * 1.5 ** n))

        seconds. Several failures in a row to tell the state are borne, if they may pass. The batch does not depend on
        its waiter: when the time is over, or the waiter is cancelled, it goes on at the provider, and costs, until it
        is done or stopped by ``cancel_batch``.

        :param batch: a batch, or its id
        :param timeout: seconds to wait at most; by default as long as it takes
        :param poll: seconds before the second time it asks, at most
        :param max_poll: seconds between two times, at most
        :param progress: called with the batch whenever it has changed
        :param provider: who works through it, where an id is given; by default the client's own
        :param random: where the jitter comes from; seed it to have the same waits again
        :raises LlmTimeoutError: it is not finished in time; ``partial`` is the batch as it was last
        :raises ValueError: a parameter makes no sense
        :raises LlmError: see ``liter``'s error tree
        """
        batch_id, whose = _known(batch, provider)

        async def retrieve() -> BatchObject:
            return await cast("LlmClient", self).retrieve_batch(batch_id=batch_id, provider=whose)

        return await wait_for_batch(
            retrieve, timeout=timeout, poll=poll, max_poll=max_poll, progress=progress, random=random or Random()
        )

    def batch_results(
        self,
        batch: str | BatchObject,
        /,
        *,
        requests: Iterable[object] | AsyncIterable[object] | None = None,
        provider: str | None = None,
        **options: object,
    ) -> BatchResults:
        """Iterate over the results of a finished batch, in the order in which the provider has them: it is any.

        They are decoded as they come in, and tell by ``custom_id`` which request they are of. Each is a reply as a
        single call returns it, with its cost at the rates of batches, or the error that a single call would raise. A
        transfer that breaks off goes on where it was.

        :param batch: a batch, or its id
        :param requests: what the batch was created from, to have each result's ``request`` and ``index``, and to be
            told what is ``missing``
        :param provider: who has worked through it, where an id is given; by default the client's own
        :param options: of the calls: ``timeout``, ``tags``, ``extra_headers``, ...
        :raises ValueError: an option that makes no sense
        :raises BadRequestError: when iterated over: it is not finished, or failed as a whole
        :raises LlmError: when iterated over: see ``liter``'s error tree
        """
        unknown = options.keys() - set(CallOptions.__struct_fields__)
        if unknown:
            raise ValueError(f"unknown option {min(unknown)!r}: calls take {', '.join(CallOptions.__struct_fields__)}")
        if isinstance(requests, BatchObject | str | bytes):
            raise ValueError("requests must be what the batch was created from")
        batch_id, whose = _known(batch, provider)
        checked = CallOptions(**options)  # type: ignore[arg-type] # each is checked where it is used

        async def retrieve() -> BatchObject:
            asked = RetrieveBatchRequest(batch_id=batch_id, provider=whose)
            return await self._run("retrieve_batch", self._whose(whose), asked, checked, BatchObject)

        async def open_part(batch: BatchObject, part: Part, after: str | None) -> "EventStream[BatchLine]":
            from .providers import BatchLine

            asked = BatchResultsRequest(batch=batch, part=part, after=after)
            call = self._call("batch_results", self._whose(whose), asked, checked, BatchLine, stream=True)
            return EventStream(*await self._open(call))

        def price(batch: BatchObject, value: ApiResponse, usage: Usage) -> Cost | None:
            return _price(cast("LlmClient", self).prices, batch, value, usage)

        source = Source(retrieve, open_part, price, self._has_by_id)
        return BatchResults(source, batch if isinstance(batch, BatchObject) else None, requests)

    def _unsent(self, operation: str, model: str, request: msgspec.Struct, options: CallOptions) -> Call[object]:
        return self._call(operation, model, request, options, object)

    def _has_by_id(self, batch: BatchObject) -> bool:
        from .providers import WireProvider

        provider = self._routes.provider(batch.provider)
        form = provider.batch_form if isinstance(provider, WireProvider) else None
        return form is not None and form.by_id


Value = TypeVar("Value", BatchObject, FileObject, FileDeleted)


class _Run(Protocol):
    async def __call__(
        self, operation: str, model: str, request: msgspec.Struct, options: CallOptions, kind: type[Value]
    ) -> Value: ...


class _Sender:
    """Sends what a batch is made with through the client's stack."""

    def __init__(self, run: _Run) -> None:
        self._run = run

    async def create_file(self, model: str, request: CreateFileRequest, options: CallOptions) -> FileObject:
        return await self._run("create_file", model, request, options, FileObject)

    async def delete_file(self, model: str, request: DeleteFileRequest, options: CallOptions) -> FileDeleted:
        return await self._run("delete_file", model, request, options, FileDeleted)

    async def create_batch(self, model: str, request: CreateBatchRequest, options: CallOptions) -> BatchObject:
        return await self._run("create_batch", model, request, options, BatchObject)


def _known(batch: str | BatchObject, provider: str | None) -> tuple[str, str | None]:
    """The id of a batch, and who has it."""
    if isinstance(batch, BatchObject):
        return batch.id, batch.provider or provider
    if not isinstance(batch, str) or not batch:
        raise ValueError(f"give a batch, or its id, not {batch!r}")
    return batch, provider


def _price(prices: PriceBook, batch: BatchObject, value: ApiResponse, usage: Usage) -> Cost | None:
    """Price a reply at the rates of batches, as of when the batch was made."""
    told = getattr(value, "model", None)
    model = told if isinstance(told, str) and told else batch.model or ""
    if batch.model and model != batch.model and prices.find(batch.provider, model) is None:
        model = batch.model
    when = datetime.fromtimestamp(batch.created_at, UTC) if batch.created_at else None
    try:
        return prices.price(batch.provider, model, usage, when=when, terms={"processing": "batch"})
    except ValueError as error:
        prices.warn(batch.provider, model, str(error))
        return None

"""The client's methods: OpenAI's Responses API."""

from typing import TYPE_CHECKING

from ._calls import Calls
from ._operation import operation, paged
from ._options import CallOptions
from ._stream import EventStream
from .types import (
    CancelResponseRequest,
    CreateResponseRequest,
    DeleteResponseRequest,
    InputItemList,
    ListInputItemsRequest,
    ResponseDeleted,
    ResponseEvent,
    ResponseObject,
    RetrieveResponseRequest,
)

if TYPE_CHECKING:

    class CreateResponseKeywords(CreateResponseRequest, CallOptions, frozen=True):
        """What ``create_response`` and ``response_stream`` take, for type checkers."""

    class RetrieveResponseKeywords(RetrieveResponseRequest, CallOptions, frozen=True):
        """What ``retrieve_response`` and ``retrieve_response_stream`` take, for type checkers."""

    class CancelResponseKeywords(CancelResponseRequest, CallOptions, frozen=True):
        """What ``cancel_response`` takes, for type checkers."""

    class DeleteResponseKeywords(DeleteResponseRequest, CallOptions, frozen=True):
        """What ``delete_response`` takes, for type checkers."""

    class ListInputItemsKeywords(ListInputItemsRequest, CallOptions, frozen=True):
        """What ``list_input_items`` takes, for type checkers."""
else:
    CreateResponseKeywords = RetrieveResponseKeywords = CancelResponseKeywords = CallOptions
    DeleteResponseKeywords = ListInputItemsKeywords = CallOptions


class ResponsesMethods(Calls):
    """OpenAI's Responses API."""

    @operation(CreateResponseRequest, CallOptions, CreateResponseKeywords)
    async def create_response(self, request: CreateResponseRequest, options: CallOptions) -> ResponseObject:
        """Make a response: text, calls of tools, reasoning.

        One in the ``background`` comes back at once, with its ``status``; see ``retrieve_response``.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree; a response that failed, too
        """
        model = request.model or self._whose(None)
        return await self._run("create_response", model, request, options, ResponseObject)

    @operation(CreateResponseRequest, CallOptions, CreateResponseKeywords)
    async def response_stream(self, request: CreateResponseRequest, options: CallOptions) -> EventStream[ResponseEvent]:
        """Make a response, and get the events of its making. Takes what ``create_response`` takes.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree
        """
        model = request.model or self._whose(None)
        call = self._call("create_response", model, request, options, ResponseEvent, stream=True)
        return EventStream(*await self._open(call))

    @operation(RetrieveResponseRequest, CallOptions, RetrieveResponseKeywords)
    async def retrieve_response(self, request: RetrieveResponseRequest, options: CallOptions) -> ResponseObject:
        """Fetch a response that the provider keeps, and see how it stands.

        :raises LlmError: see ``liter``'s error tree. A response that failed is no error here: see its ``error``
        """
        return await self._run("retrieve_response", self._whose(request.provider), request, options, ResponseObject)

    @operation(RetrieveResponseRequest, CallOptions, RetrieveResponseKeywords)
    async def retrieve_response_stream(
        self, request: RetrieveResponseRequest, options: CallOptions
    ) -> EventStream[ResponseEvent]:
        """Follow a response in the background: its events from the start, or after ``starting_after``.

        :raises LlmError: see ``liter``'s error tree
        """
        whose = self._whose(request.provider)
        call = self._call("retrieve_response", whose, request, options, ResponseEvent, stream=True)
        return EventStream(*await self._open(call))

    @operation(CancelResponseRequest, CallOptions, CancelResponseKeywords)
    async def cancel_response(self, request: CancelResponseRequest, options: CallOptions) -> ResponseObject:
        """Give up a response in the background.

        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("cancel_response", self._whose(request.provider), request, options, ResponseObject)

    @operation(DeleteResponseRequest, CallOptions, DeleteResponseKeywords)
    async def delete_response(self, request: DeleteResponseRequest, options: CallOptions) -> ResponseDeleted:
        """Have a response forgotten.

        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("delete_response", self._whose(request.provider), request, options, ResponseDeleted)

    @paged(ListInputItemsRequest, dict[str, object], CallOptions, ListInputItemsKeywords)
    async def list_input_items(self, request: ListInputItemsRequest, options: CallOptions) -> InputItemList:
        """List what a response was made of: ``async for`` walks all pages, ``await`` gives the first.

        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("list_input_items", self._whose(request.provider), request, options, InputItemList)

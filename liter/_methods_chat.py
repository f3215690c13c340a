"""The client's methods: chat, and the models there are."""

from typing import TYPE_CHECKING

from ._calls import Calls
from ._operation import operation, paged
from ._options import CallOptions
from ._stream import ChatStream
from .types import (
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatCompletionResponse,
    ListModelsRequest,
    Model,
    ModelsListResponse,
)

if TYPE_CHECKING:

    class ChatKeywords(ChatCompletionRequest, CallOptions, frozen=True):
        """What ``chat`` and ``chat_stream`` take, for type checkers."""

    class ListModelsKeywords(ListModelsRequest, CallOptions, frozen=True):
        """What ``list_models`` takes, for type checkers."""
else:
    ChatKeywords = ListModelsKeywords = CallOptions


class ChatMethods(Calls):
    """Chat, and the models there are."""

    @operation(ChatCompletionRequest, CallOptions, ChatKeywords)
    async def chat(self, request: ChatCompletionRequest, options: CallOptions) -> ChatCompletionResponse:
        """Complete a chat.

        Takes the parameters of OpenAI's Chat Completions API as keywords, or a ready ``ChatCompletionRequest``,
        and the options of every call: ``timeout``, ``extra_headers``, ``api_key``, ``base_url``, ``tags``.
        ``response_format`` may be a type: the reply's ``parsed`` is then an instance of it.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("chat", request.model, request, options, ChatCompletionResponse)

    @operation(ChatCompletionRequest, CallOptions, ChatKeywords)
    async def chat_stream(self, request: ChatCompletionRequest, options: CallOptions) -> ChatStream:
        """Complete a chat, chunk by chunk. Takes what ``chat`` takes.

        The request goes out at once; this returns when the first event is in, so whatever can be retried has
        been. Iterate over what it returns; to leave early, use it as ``async with stream``.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree; also while iterating, then with ``partial``
        """
        call = self._call("chat", request.model, request, options, ChatCompletionChunk, stream=True)
        return ChatStream(*await self._open(call))

    @paged(ListModelsRequest, Model, CallOptions, ListModelsKeywords)
    async def list_models(self, request: ListModelsRequest, options: CallOptions) -> ModelsListResponse:
        """List the models of the client's own provider, or of the one named by ``provider``.

        ``async for`` walks all pages, ``await`` gives the first, which for most providers is all there is.

        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("list_models", self._whose(request.provider), request, options, ModelsListResponse)

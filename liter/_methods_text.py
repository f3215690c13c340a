"""The client's methods: texts as vectors, in order, checked, continued, counted."""

from typing import TYPE_CHECKING

from msgspec.structs import replace

from ._calls import Calls
from ._errors import EndpointNotSupportedError, RateLimitedError, ServerError, ServiceUnavailableError
from ._operation import operation
from ._options import CallOptions
from ._stream import EventStream
from ._token_count import count_here
from ._vision import chat_of, ocr_of
from .money import Cost
from .types import (
    ChatCompletionResponse,
    CompletionRequest,
    CompletionResponse,
    CountTokensRequest,
    EmbeddingRequest,
    EmbeddingResponse,
    ModerationRequest,
    ModerationResponse,
    OcrRequest,
    OcrResponse,
    RerankRequest,
    RerankResponse,
    SearchRequest,
    SearchResponse,
    TokenCount,
)

if TYPE_CHECKING:

    class EmbeddingKeywords(EmbeddingRequest, CallOptions, frozen=True):
        """What ``embed`` takes, for type checkers."""

    class RerankKeywords(RerankRequest, CallOptions, frozen=True):
        """What ``rerank`` takes, for type checkers."""

    class ModerationKeywords(ModerationRequest, CallOptions, frozen=True):
        """What ``moderate`` takes, for type checkers."""

    class CompletionKeywords(CompletionRequest, CallOptions, frozen=True):
        """What ``completions`` and ``completions_stream`` take, for type checkers."""

    class SearchKeywords(SearchRequest, CallOptions, frozen=True):
        """What ``search`` takes, for type checkers."""

    class OcrKeywords(OcrRequest, CallOptions, frozen=True):
        """What ``ocr`` takes, for type checkers."""

    class CountTokensKeywords(CountTokensRequest, CallOptions, frozen=True):
        """What ``count_tokens`` takes, for type checkers."""
else:
    SearchKeywords = OcrKeywords = CountTokensKeywords = CallOptions
    EmbeddingKeywords = RerankKeywords = ModerationKeywords = CompletionKeywords = CallOptions


class TextMethods(Calls):
    """Texts as vectors, in order, checked, continued, counted."""

    @operation(EmbeddingRequest, CallOptions, EmbeddingKeywords)
    async def embed(self, request: EmbeddingRequest, options: CallOptions) -> EmbeddingResponse:
        """Make vectors of texts, one for each input, in the same order.

        Vectors travel as base64 where the provider has it, and are decoded to ``array``; ``.array()`` gives numpy's.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("embed", request.model, request, options, EmbeddingResponse)

    @operation(RerankRequest, CallOptions, RerankKeywords)
    async def rerank(self, request: RerankRequest, options: CallOptions) -> RerankResponse:
        """Order documents by how well they answer a query, best first.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("rerank", request.model, request, options, RerankResponse)

    @operation(ModerationRequest, CallOptions, ModerationKeywords)
    async def moderate(self, request: ModerationRequest, options: CallOptions) -> ModerationResponse:
        """Check texts and images for what is harmful.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("moderate", request.model or self._whose(None), request, options, ModerationResponse)

    @operation(CompletionRequest, CallOptions, CompletionKeywords)
    async def completions(self, request: CompletionRequest, options: CallOptions) -> CompletionResponse:
        """Continue a text: the API that was there before chat.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("completions", request.model, request, options, CompletionResponse)

    @operation(CompletionRequest, CallOptions, CompletionKeywords)
    async def completions_stream(
        self, request: CompletionRequest, options: CallOptions
    ) -> EventStream[CompletionResponse]:
        """Continue a text, piece by piece. Takes what ``completions`` takes.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree
        """
        call = self._call("completions", request.model, request, options, CompletionResponse, stream=True)
        return EventStream(*await self._open(call))

    @operation(SearchRequest, CallOptions, SearchKeywords)
    async def search(self, request: SearchRequest, options: CallOptions) -> SearchResponse:
        """Search the web.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("search", request.model, request, options, SearchResponse)

    @operation(OcrRequest, CallOptions, OcrKeywords)
    async def ocr(self, request: OcrRequest, options: CallOptions) -> OcrResponse:
        """Read a document: its pages as Markdown.

        With ``vision_model``, a chat model reads it where the provider of ``model`` cannot. The call's ``timeout`` is
        for each of the two, and ``api_key``, ``base_url`` and ``extra_headers`` are for the first.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree
        """
        vision_model = request.vision_model
        if vision_model is None:
            return await self._run("ocr", request.model, request, options, OcrResponse)
        try:
            return await self._run("ocr", request.model, replace(request, vision_model=None), options, OcrResponse)
        except (EndpointNotSupportedError, RateLimitedError, ServerError, ServiceUnavailableError) as error:
            tried = error.attempts
        if self._routes.split(vision_model)[0] != self._routes.split(request.model)[0]:
            options = replace(options, api_key=None, base_url=None, extra_headers=None)
        chat = chat_of(request, vision_model)
        response = await self._run("chat", vision_model, chat, options, ChatCompletionResponse)
        return ocr_of(response, request, vision_model).attach(
            request_id=response.request_id,
            headers=response.headers,
            raw=response.raw,
            attempts=(*tried, *response.attempts),
            origin=response.origin,
            cost=Cost.sum([*(attempt.cost for attempt in tried), response.cost]) if tried else response.cost,
            saved=response.saved,
        )

    @operation(CountTokensRequest, CallOptions, CountTokensKeywords)
    async def count_tokens(self, request: CountTokensRequest, options: CallOptions) -> TokenCount:
        """Count the tokens of a prompt: ``messages``, or a ``text``.

        The provider counts where it can; elsewhere ``tokenizer`` does, where one is given; else it is an estimate by
        length. ``source`` says which. Only the provider's count is the bill's.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree
        """
        try:
            return await self._run("count_tokens", request.model, request, options, TokenCount)
        except EndpointNotSupportedError:
            return count_here(request)

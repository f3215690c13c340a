"""What the decoders of streamed chats have in common: a whole reply may come in place of the stream."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from ..types import ChatCompletionChunk, ChatCompletionResponse, chunk_of_reply
from ._bookkeeping import says_nothing
from ._wire_decoder import WireDecoder


class ChatDecoder(WireDecoder, ABC):
    """Base of the decoders of chats. A protocol says how a whole reply is read, and decodes the frames."""

    @abstractmethod
    def _read(self, body: bytes) -> ChatCompletionResponse:
        """Decode a whole reply.

        :raises LlmError: the body is an error, or cannot be read
        """

    def whole(self, body: bytes) -> Sequence[ChatCompletionChunk]:
        """Decode a plain JSON body that came in place of a stream."""
        reply = self._read(body)
        self.done = True
        self.usage = reply.usage
        return (chunk_of_reply(reply).attach(raw=body),)

    def opening(self, event: object) -> bool:
        """Whether a chunk says nothing yet: a role, an empty text, the results of filters on the prompt."""
        return says_nothing(event)

"""What the decoders of streams have in common: whose stream it is, and how its errors are told."""

from .._errors import LlmError, StreamingError
from ..types import Usage
from ._classify import classify
from ._codec import Framing


class WireDecoder:
    """Base of the decoders of streams.

    :param provider: the name that errors are told with
    :param model: what the call asks
    """

    framing: Framing = "sse"

    def __init__(self, provider: str, model: str) -> None:
        self.done = False
        self.usage: Usage | None = None
        self._provider = provider
        self._model = model

    def opening(self, event: object) -> bool:
        """Whether an event says nothing yet. Most protocols begin with what is asked for."""
        return False

    def _reported(self, body: bytes) -> LlmError:
        """The error that a frame tells."""
        return classify(body, status=None, provider=self._provider, model=self._model)

    def _unreadable(self, error: Exception, frame: bytes) -> StreamingError:
        """A frame that breaks its form."""
        what = "a line" if self.framing == "lines" else "an event"
        return StreamingError(
            f"{what} of the stream cannot be read: {error}",
            provider=self._provider,
            model=self._model or None,
            body=frame,
        )

    def _cut_off(self, missing: str) -> StreamingError:
        """A body that ended too early; ``missing`` says what never came."""
        return StreamingError(
            f"the stream ended before its end: {missing}", provider=self._provider, model=self._model or None
        )

"""What the codecs of batches share: how requests are written down, and how results are read, a line each."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from .._contract import Call
from .._errors import LlmError, LlmTimeoutError, SerializationError
from .._http import Headers
from ..types import BatchObject, BatchResultsRequest, CreateBatchRequest, OcrRequest, Usage
from ._codec import Framing, Provider
from ._parameters import refuse, refuse_given

# How the name of what a batch asks for ends, the longest first: chat completions are no completions.
ENDPOINTS: Mapping[str, str] = {
    "/chat/completions": "chat",
    "/images/generations": "image_generate",
    "/embeddings": "embed",
    "/moderations": "moderate",
    "/completions": "completions",
    "/responses": "create_response",
    "/ocr": "ocr",
}

# Decoders that look at what was asked find this, as nobody keeps the requests of a batch.
_STAND_INS: Mapping[str, msgspec.Struct] = {
    "ocr": OcrRequest(model="unknown", document={"type": "document_url", "document_url": ""}),
}

_NO_HEADERS = Headers()

# What msgspec raises for a line that is none: for text that is not UTF-8, too, and for lists in lists in lists.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class BatchItem(msgspec.Struct, frozen=True):
    """One request of a batch, encoded.

    :param endpoint: what it is for, in the provider's words
    :param body: the JSON that would be the body of a single request
    """

    custom_id: str
    endpoint: str
    body: bytes


class BatchForm(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider takes the requests of a batch.

    :param by_id: results are under the batch's own id, where it names no file of them
    :param inline: they go into the body that creates it; otherwise they are the lines of a file that is uploaded
    :param item: writes one
    :param endpoints: of each operation that batches take, what the provider calls it
    :param one_model: all requests must be for one model
    :param custom_id: what a ``custom_id`` must look like, as a regular expression, where there are rules
    """

    inline: bool
    by_id: bool = False
    item: Callable[[BatchItem], bytes]
    endpoints: Mapping[str, str]
    one_model: bool = False
    custom_id: str = ""


class BatchLine(msgspec.Struct, frozen=True, kw_only=True):
    """One result, as the codec reads it: a decoded reply, or the error in its place.

    :param body: the reply as it came
    :param next_page: no result, but where the results go on that come in pages
    """

    custom_id: str
    value: object = None
    error: LlmError | None = None
    usage: Usage | None = None
    request_id: str | None = None
    body: bytes = b""
    next_page: str | None = None


def operation_of(endpoint: str) -> str:
    """The operation that an endpoint is for; a chat where nothing tells."""
    return next((operation for ending, operation in ENDPOINTS.items() if endpoint.endswith(ending)), "chat")


def refuse_terms(call: Call[object]) -> None:
    """Refuse, or drop, terms of a batch that only OpenAI knows. Elsewhere each batch has a day."""
    window = cast("CreateBatchRequest", call.request).completion_window
    refuse_given(call, "metadata", "output_expires_after", of=" of a batch")
    if window != "24h":
        refuse(call, f"the completion_window {window!r}", "leave it out: it is 24h")


class ResultReader:
    """Makes results of replies, each as the codec of its operation decodes it.

    :param call: it asks for the results of a batch
    """

    def __init__(self, provider: Provider, call: Call[Any]) -> None:
        batch: BatchObject = cast("BatchResultsRequest", call.request).batch
        self.provider = provider
        operation = operation_of(batch.endpoint)
        self._call: Call[object] = replace(
            call,
            operation=operation,
            stream=False,
            request=_STAND_INS.get(operation, call.request),
            route=replace(call.route, model=batch.model or ""),
        )

    def reply(self, custom_id: str, body: bytes, *, request_id: str | None = None) -> BatchLine:
        """A reply that came with success."""
        try:
            value = self.provider.decode(self._call, body, _NO_HEADERS)
        except LlmError as error:
            return BatchLine(custom_id=custom_id, error=error, request_id=request_id, body=body)
        usage = self.provider.usage(self._call, value)
        return BatchLine(custom_id=custom_id, value=value, usage=usage, request_id=request_id, body=body)

    def refusal(self, custom_id: str, status: int | None, body: bytes, *, request_id: str | None = None) -> BatchLine:
        """A request that failed, as it would have by itself. :param status: ``None`` is a fault of the provider"""
        error = self.provider.error(self._call, 500 if status is None else status, _NO_HEADERS, body)
        if status is None:
            error.status = None
        error.request_id = error.request_id or request_id
        return BatchLine(custom_id=custom_id, error=error, request_id=request_id, body=body)

    def unserved(self, custom_id: str, why: str, message: str = "") -> BatchLine:
        """A request whose turn never came. :param why: ``"expired"`` or ``"cancelled"``"""
        told = message or f"the batch {'ran out of time' if why == 'expired' else 'was cancelled'} before its turn came"
        kind = LlmTimeoutError if why == "expired" else LlmError
        error = kind(told, provider=self.provider.name, code=f"batch_{why}", retryable=True)
        return BatchLine(custom_id=custom_id, error=error)

    def broken(self, error: Exception, line: bytes) -> SerializationError:
        """A line that cannot be read."""
        return SerializationError(
            f"a line is no result of a batch: {error}", status=200, provider=self.provider.name, body=line
        )


class ResultLines:
    """Decodes results as they come, a line each."""

    framing: Framing = "lines"

    def __init__(self, read: Callable[[bytes], BatchLine]) -> None:
        self._read = read
        self.done = False
        self.usage: Usage | None = None

    def feed(self, line: bytes) -> Sequence[BatchLine]:
        """Decode a line."""
        return (self._read(line),)

    def whole(self, body: bytes) -> Sequence[BatchLine]:
        """Decode all lines."""
        return [self._read(line) for line in body.splitlines() if line.strip()]

    def opening(self, event: object) -> bool:
        """Every line is a result."""
        return False

    def end(self) -> Sequence[BatchLine]:
        """Nothing is left."""
        self.done = True
        return ()


class ResultDocument:
    """Decodes results that come in one JSON document."""

    framing: Framing = "bytes"

    def __init__(self, read: Callable[[bytes], Sequence[BatchLine]]) -> None:
        self._read = read
        self._pieces: list[bytes] = []
        self.done = False
        self.usage: Usage | None = None

    def feed(self, piece: bytes) -> Sequence[BatchLine]:
        """Keep a piece."""
        self._pieces.append(piece)
        return ()

    def whole(self, body: bytes) -> Sequence[BatchLine]:
        """Decode the document."""
        return self._read(body)

    def opening(self, event: object) -> bool:
        """Every event is a result."""
        return False

    def end(self) -> Sequence[BatchLine]:
        """Decode the document."""
        self.done = True
        return self._read(b"".join(self._pieces))

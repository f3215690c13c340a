"""The codec protocol: a provider is bytes in, structs out, and the reverse. It does no I/O.

The exchange asks a provider for the HTTP request of a call, sends it, and gives back what comes:
the whole body to ``decode``, each framed event of a stream to the decoder that ``open_stream`` made,
and whatever is not a success to ``error``. A provider keeps nothing between calls.
"""

from collections.abc import Callable, Sequence
from typing import Literal, Never, Protocol, TypeVar

from .._contract import Call
from .._errors import LlmError
from .._http import Headers, HttpRequest
from ..types import Usage

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

# How a stream is cut into frames, and what a frame is: a ``ServerSentEvent``; an ``EventMessage`` of
# application/vnd.amazon.eventstream; a line, as bytes; the bytes just as they come.
Framing = Literal["sse", "eventstream", "lines", "bytes"]


class StreamDecoder(Protocol[R_co]):
    """Turns one stream's frames into our events. One is made for each stream.

    ``done`` is true once the terminal event is in; ``usage`` is what was reported so far.
    """

    @property
    def framing(self) -> Framing: ...
    @property
    def done(self) -> bool: ...
    @property
    def usage(self) -> Usage | None: ...

    @property
    def feed(self) -> Callable[[Never], Sequence[R_co]]:
        """A method: decode one frame, of the kind that ``framing`` says, into none, one or several events.

        :raises LlmError: the provider reports an error in the stream, or the frame breaks its form
        """
        ...

    def whole(self, body: bytes) -> Sequence[R_co]:
        """Decode a plain JSON body that came in place of a stream, and be done.

        :raises LlmError: the body is an error, or cannot be read
        """
        ...

    def opening(self, event: object) -> bool:
        """Whether one of our events is mere bookkeeping (a role, an id), after which a refusal may still come."""
        ...

    def end(self) -> Sequence[R_co]:
        """The body has ended: give what is left.

        :raises StreamingError: the terminal event never came
        """
        ...


class Provider(Protocol):
    """A codec for one provider's wire. ``name`` is what routes to it and what errors are told with."""

    @property
    def name(self) -> str: ...
    @property
    def base_url(self) -> str:
        """Where its API lives, unless the caller says otherwise."""
        ...

    @property
    def key_variables(self) -> tuple[str, ...]:
        """Environment variables that may hold its key, the first one set wins. Empty: no key is needed."""
        ...

    @property
    def operations(self) -> frozenset[str]:
        """The operations it offers: ``"chat"``, ``"list_models"``, ..."""
        ...

    def encode(self, call: Call[R]) -> HttpRequest:
        """Make the HTTP request of a call, credentials included.

        :raises BadRequestError: the request asks for what this wire cannot say
        """
        ...

    def decode(self, call: Call[R], body: bytes, headers: Headers) -> R:
        """Decode a whole successful reply.

        :raises LlmError: it cannot be read, or is an error under a status of success
        """
        ...

    def usage(self, call: Call[R], value: R) -> Usage | None:
        """The usage in a decoded reply."""
        ...

    def open_stream(self, call: Call[R]) -> StreamDecoder[R]:
        """Make the decoder for one stream."""
        ...

    def error(self, call: Call[R], status: int, headers: Headers, body: bytes) -> LlmError:
        """Classify an answer that is no success: always returns an error, whatever the body is."""
        ...

    def request_id(self, headers: Headers) -> str | None:
        """The provider's id of the request, from the reply's headers."""
        ...

"""What all codecs have in common: a provider is a table of operations, each with the functions that speak it."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, TypeVar, cast

import msgspec

from .._contract import Call
from .._errors import BadRequestError, EndpointNotSupportedError, LlmError
from .._http import Headers, HttpRequest
from ..types import Usage
from ._classify import classify
from ._codec import StreamDecoder

R = TypeVar("R")
P = TypeVar("P")


def usage_of(value: object) -> Usage | None:
    """The usage of a reply that has it in OpenAI's form, in the attribute of that name."""
    usage = getattr(value, "usage", None)
    return usage if isinstance(usage, Usage) else None


class OperationWire(msgspec.Struct, Generic[P, R], frozen=True, kw_only=True):
    """How one operation is spoken. ``P`` is the provider's class, ``R`` what a whole reply is decoded to.

    :param encode: makes the HTTP request of a call, credentials included
    :param decode: decodes a whole successful reply
    :param open_stream: makes the decoder for one stream; ``None`` where the operation has none
    :param usage: finds the usage in a decoded reply
    """

    encode: Callable[[P, Call[object]], HttpRequest]
    decode: Callable[[P, Call[object], bytes, Headers], R]
    open_stream: Callable[[P, Call[object]], StreamDecoder[object]] | None = None
    usage: Callable[[R], Usage | None] = usage_of


class WireProvider(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the codecs. One protocol is a subclass with its table, one provider an instance.

    :param name: what routes to it
    :param base_url: where its API lives
    :param key_variables: environment variables that may hold its key; empty where it needs none
    :param offers: the operations it offers, of those that the protocol has; ``None``: all
    """

    name: str
    base_url: str
    key_variables: tuple[str, ...]
    offers: frozenset[str] | None = None

    # Where the id of a request stands in a reply's headers, the first that is there counts.
    request_ids: ClassVar[tuple[str, ...]] = ("x-request-id",)

    @property
    def wires(self) -> Mapping[str, OperationWire[Any, Any]]:
        """The operations of the protocol, by name. Their functions take the subclass that returns them."""
        raise NotImplementedError

    @property
    def operations(self) -> frozenset[str]:
        """The operations it offers."""
        return frozenset(self.wires) if self.offers is None else self.offers & self.wires.keys()

    def _wire(self, call: Call[R]) -> OperationWire[Any, Any]:
        name = call.operation
        wire = self.wires.get(name)
        if wire is None or (self.offers is not None and name not in self.offers):
            raise EndpointNotSupportedError(
                f"{self.name} does not offer {name}; it offers {', '.join(sorted(self.operations))}",
                provider=self.name,
            )
        return wire

    def encode(self, call: Call[R]) -> HttpRequest:
        """Make the HTTP request of a call, credentials included.

        :raises BadRequestError: the request asks for what this wire cannot say
        """
        wire = self._wire(call)
        try:
            return wire.encode(self, cast("Call[object]", call))
        except BadRequestError as error:
            error.provider, error.model = self.name, call.route.model or None
            raise

    def decode(self, call: Call[R], body: bytes, headers: Headers = Headers()) -> R:  # noqa: B008 # immutable
        """Decode a whole successful reply."""
        return cast("R", self._wire(call).decode(self, cast("Call[object]", call), body, headers))

    def usage(self, call: Call[R], value: R) -> Usage | None:
        """The usage in a decoded reply."""
        return self._wire(call).usage(value)

    def open_stream(self, call: Call[R]) -> StreamDecoder[R]:
        """Make the decoder for one stream.

        :raises EndpointNotSupportedError: the operation has no streams here
        """
        make = self._wire(call).open_stream
        if make is None:
            raise EndpointNotSupportedError(f"{self.name} does not stream {call.operation}", provider=self.name)
        return cast("StreamDecoder[R]", make(self, cast("Call[object]", call)))

    def error(self, call: Call[R], status: int, headers: Headers, body: bytes) -> LlmError:
        """Classify an answer that is no success."""
        return classify(
            body,
            status=status,
            provider=self.name,
            model=call.route.model,
            headers=headers,
            request_id=self.request_id(headers),
        )

    def request_id(self, headers: Headers) -> str | None:
        """The provider's id of the request."""
        return next((headers[name] for name in self.request_ids if name in headers), None)

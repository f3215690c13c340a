"""What all codecs have in common: a provider is a table of operations, each with the functions that speak it."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, cast
from urllib.parse import quote

import msgspec

from .._contract import Call
from .._errors import BadRequestError, EndpointNotSupportedError, LlmError
from .._http import Headers, HttpRequest, RawHeaders, same_origin
from ..types import Usage
from ._auth import BEARER, Auth
from ._classify import classify
from ._codec import StreamDecoder
from ._entry import Entry
from ._headers import merged
from ._parameters import Rule

if TYPE_CHECKING:
    from .._form import Form
    from ..types import File
    from ._batch import BatchForm

R = TypeVar("R")
P = TypeVar("P")

# The registry tells what a provider offers in families of operations. Those of one operation are its name.
_FAMILIES: Mapping[str, str] = {
    "count_tokens": "chat",
    "embed": "embeddings",
    "list_input_items": "responses",
    "moderate": "moderations",
    "transcribe": "transcriptions",
    "translate": "transcriptions",
}
_FAMILY_WORDS: tuple[tuple[str, str], ...] = (
    ("batch", "batches"),
    ("file", "files"),
    ("image", "images"),
    ("model", "models"),
    ("response", "responses"),
)


def family_of(operation: str) -> str:
    """The family that an operation belongs to: ``"files"`` for all that is done with files."""
    family = _FAMILIES.get(operation)
    return family or next((family for word, family in _FAMILY_WORDS if word in operation), operation)


def usage_of(call: Call[object], value: object) -> Usage | None:
    """The usage of a reply that has it in OpenAI's form, in the attribute of that name."""
    usage = getattr(value, "usage", None)
    return usage if isinstance(usage, Usage) else None


class FollowUp(msgspec.Struct, frozen=True, kw_only=True):
    """The next request of an operation that takes several, such as asking whether a document has been read yet.

    :param request: it, credentials included
    :param delay: seconds to wait before
    """

    request: HttpRequest
    delay: float


class OperationWire(msgspec.Struct, Generic[P, R], frozen=True, kw_only=True):
    """How one operation is spoken. ``P`` is the provider's class, ``R`` what a whole reply is decoded to.

    :param encode: makes the HTTP request of a call, credentials included
    :param decode: decodes a whole successful reply
    :param open_stream: makes the decoder for one stream; ``None`` where the operation has none
    :param usage: finds the usage in a decoded reply, or in what was asked
    :param parameters: what becomes of each parameter of its request
    :param follow: makes the next request of a request and its successful answer; ``None``: the answer is the last, and
        is decoded. All of them are one attempt
    """

    encode: Callable[[P, Call[object]], HttpRequest]
    decode: Callable[[P, Call[object], bytes, Headers], R]
    open_stream: Callable[[P, Call[object]], StreamDecoder[object]] | None = None
    usage: Callable[[Call[object], R], Usage | None] = usage_of
    parameters: Mapping[str, Rule] = {}
    follow: Callable[[P, Call[object], HttpRequest, Headers, bytes], FollowUp | None] | None = None


class WireProvider(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the codecs. One protocol is a subclass with its table, one provider an instance.

    :param name: what routes to it
    :param base_url: where its API lives
    :param key_variables: environment variables that may hold its key; empty where it needs none
    :param offers: the operations it offers, of those that the protocol has; ``None``: all
    :param auth: how the key goes into a request
    :param key_optional: it answers without a key, too
    :param base_variables: environment variables that may hold its address, and what is put after it unless it ends so
    :param settings: of each placeholder in ``base_url`` and each further setting, the environment variables that may
        hold it
    :param paths: of families of operations (``"rerank"``), where they are not the protocol's; a whole URL stands
        for itself
    """

    name: str
    base_url: str
    key_variables: tuple[str, ...]
    offers: frozenset[str] | None = None
    auth: Auth = BEARER
    key_optional: bool = False
    base_variables: Mapping[str, str] = {}
    settings: Mapping[str, tuple[str, ...]] = {}
    paths: Mapping[str, str] = {}

    # Where the id of a request stands in a reply's headers, the first that is there counts.
    request_ids: ClassVar[tuple[str, ...]] = ("x-request-id",)
    # Those of the key variables that hold a token for the authorization header.
    token_variables: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def of(cls, record: Entry) -> Self:
        """Make one of its record in the registry. A subclass with fields of its own fills them here."""
        return cls(**fields_of(record))  # type: ignore[arg-type] # each is of its field's type

    def address(self, settings: Mapping[str, str]) -> str:
        """Its base URL with the settings filled in. A placeholder that no setting fills stays."""
        url = self.base_url
        for name, value in settings.items():
            place = "{" + name + "}"
            # Hosts are told with and without the scheme.
            host = url.startswith("https://" + place)
            url = url.replace(place, value.removeprefix("https://").rstrip("/") if host else value.rstrip("/"))
        return url

    @property
    def wires(self) -> Mapping[str, OperationWire[Any, Any]]:
        """The operations of the protocol, by name. Their functions take the subclass that returns them."""
        raise NotImplementedError

    @property
    def batch_form(self) -> "BatchForm | None":
        """How it takes the requests of a batch; ``None`` where it has no batches."""
        return None

    @property
    def operations(self) -> frozenset[str]:
        """The operations it offers."""
        return frozenset(self.wires) if self.offers is None else self.offers & self.wires.keys()

    def _wire(self, call: Call[R]) -> OperationWire[Any, Any]:
        name = call.operation
        wire = self.wires.get(name)
        if wire is None or (self.offers is not None and name not in self.offers and self._at_home(call)):
            raise EndpointNotSupportedError(
                f"{self.name} does not offer {name}; it offers {', '.join(sorted(self.operations))}",
                provider=self.name,
            )
        return wire

    def locate(self, call: Call[object], path: str) -> tuple[str, str]:
        """The base URL and the path of a call's operation: what the provider has of its own, or ``path``."""
        base_url = call.route.base_url
        # Most have none.
        own = self.paths.get(family_of(call.operation)) if self.paths else None
        if own is None:
            return base_url, path
        own = own.replace("{model}", quote(call.route.model, safe=""))
        for name, value in call.route.settings.items():
            own = own.replace("{" + name + "}", value)
        if not own.startswith(("http://", "https://")):
            return base_url, own
        # An address of the provider's own says nothing about where else a caller may send it.
        return (own, "") if base_url == self.address(call.route.settings) else (base_url, path)

    def key_headers(self, call: Call[object]) -> RawHeaders:
        """The headers that tell who asks."""
        return self.auth.headers(call.route.api_key)

    def request(
        self,
        call: Call[object],
        method: str,
        base_url: str,
        path: str,
        headers: RawHeaders,
        *,
        body: bytes = b"",
        upload: "Form | File | None" = None,
    ) -> HttpRequest:
        """Make a request of a call, credentials included.

        :param headers: of the codec's. The caller's replace those of the same name
        """
        return HttpRequest(
            method=method,
            base_url=base_url,
            path=path,
            headers=merged(headers + self.key_headers(call), call.headers),
            body=body,
            upload=upload,
        )

    def needs_inline(self, call: Call[R]) -> tuple[str, ...]:
        """The URLs in a call's content that this wire cannot pass on. A client that may fetches them first."""
        return ()

    def parameters(self, operation: str) -> Mapping[str, Rule]:
        """What becomes of each parameter of an operation's request; empty where it is not told."""
        wire = self.wires.get(operation)
        return {} if wire is None else wire.parameters

    def streams(self, operation: str) -> bool:
        """Whether an operation can be streamed."""
        wire = self.wires.get(operation)
        return wire is not None and wire.open_stream is not None and operation in self.operations

    def _at_home(self, call: Call[R]) -> bool:
        """Whether a call goes to the provider itself. Elsewhere nobody knows what is offered."""
        return same_origin(call.route.base_url, self.address(call.route.settings))

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

    def follow(self, call: Call[R], request: HttpRequest, headers: Headers, body: bytes) -> FollowUp | None:
        """The request that must follow ``request`` and its successful answer; ``None`` where that is the last.

        :raises LlmError: what the provider was asked to do has failed
        """
        follow = self._wire(call).follow
        return None if follow is None else follow(self, cast("Call[object]", call), request, headers, body)

    def usage(self, call: Call[R], value: R) -> Usage | None:
        """The usage in a decoded reply."""
        return self._wire(call).usage(cast("Call[object]", call), value)

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


def fields_of(record: Entry) -> dict[str, object]:
    """The fields that all codecs have, of a record in the registry."""
    return {
        "name": record.name,
        "base_url": record.base_url or "",
        "key_variables": record.key_variables,
        "auth": record.auth,
        "key_optional": record.local or record.auth.kind == "none",
        "base_variables": record.base_variables,
        "settings": record.settings,
        "paths": record.paths,
    }

"""Providers of a few operations with a wire of their own: each is a table, by the name of its protocol."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from .._contract import Call
from .._errors import LlmError
from .._http import Headers
from ._black_forest_labs import OPERATIONS as BLACK_FOREST_LABS
from ._deepgram import OPERATIONS as DEEPGRAM
from ._document_intelligence import OPERATIONS as DOCUMENT_INTELLIGENCE
from ._elevenlabs import OPERATIONS as ELEVENLABS
from ._entry import Entry
from ._fal import OPERATIONS as FAL
from ._replicate import OPERATIONS as REPLICATE
from ._search_engine import ENGINE_HINTS, search_wire
from ._search_engines import ENGINES
from ._stability import OPERATIONS as STABILITY
from ._wire import OperationWire, WireProvider, fields_of

SPECIALISTS: Mapping[str, Mapping[str, OperationWire[Any, Any]]] = {
    "azure-document-intelligence": DOCUMENT_INTELLIGENCE,
    "bfl": BLACK_FOREST_LABS,
    "deepgram": DEEPGRAM,
    "elevenlabs": ELEVENLABS,
    "fal": FAL,
    "replicate": REPLICATE,
    "stability": STABILITY,
    **{protocol: {"search": search_wire(engine)} for protocol, engine in ENGINES.items()},
}


class Specialist(WireProvider, frozen=True, kw_only=True):
    """A provider whose protocol is one of the tables here.

    :param protocol: which
    """

    protocol: str

    request_ids: ClassVar[tuple[str, ...]] = (
        "x-request-id",
        "apim-request-id",
        "dg-request-id",
        "request-id",
        "x-fal-request-id",
    )

    @classmethod
    def of(cls, record: Entry) -> Self:
        """Make one of its record in the registry."""
        return cls(**fields_of(record), protocol=record.protocol)  # type: ignore[arg-type] # as the record says

    @property
    def wires(self) -> Mapping[str, OperationWire[Any, Any]]:
        """The operations of the protocol, by name."""
        return SPECIALISTS[self.protocol]

    def error(self, call: Call[Any], status: int, headers: Headers, body: bytes) -> LlmError:
        """Classify an answer that is no success, and say what is known of it."""
        error = super().error(call, status, headers, body)
        hint = ENGINE_HINTS.get((self.protocol, status))
        if hint is not None:
            error.message = f"{error.message}: {hint}"
        return error

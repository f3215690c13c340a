"""Messages of AWS's event streams, as its services send them."""

from collections.abc import Mapping

import msgspec

from .._http import EventHeader, EventMessage
from ..transport._eventstream import encode_message


def frame(kind: str, name: str, payload: Mapping[str, object]) -> bytes:
    """Make a message: ``kind`` is ``"event"`` or ``"exception"``, ``name`` which of them."""
    headers = ((f":{kind}-type", name), (":content-type", "application/json"), (":message-type", kind))
    made = tuple(EventHeader(header, "string", value) for header, value in headers)
    return encode_message(EventMessage(made, msgspec.json.encode(payload)))

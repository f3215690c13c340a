"""The edge to the network: httpcore's streams and errors, with connections and a pool of our own.

It knows HTTP and no provider.
"""

from ._connection import Connection as Connection
from ._connection import ConnectionRetired as ConnectionRetired
from ._connection import Response as Response
from ._errors import TRANSPORT_ERRORS as TRANSPORT_ERRORS
from ._errors import translate as translate
from ._eventstream import EventStreamDecoder as EventStreamDecoder
from ._framing import framer as framer
from ._public import NotPublicError as NotPublicError
from ._public import PublicBackend as PublicBackend
from ._public import Resolve as Resolve
from ._public import is_public as is_public
from ._public import resolve as resolve_host
from ._sse import SSEDecoder as SSEDecoder
from ._transport import Transport as Transport

__all__ = [
    "TRANSPORT_ERRORS",
    "Connection",
    "ConnectionRetired",
    "EventStreamDecoder",
    "NotPublicError",
    "PublicBackend",
    "Resolve",
    "Response",
    "SSEDecoder",
    "Transport",
    "framer",
    "is_public",
    "resolve_host",
    "translate",
]

"""Calls that are about what a provider keeps, or that read an open file of the caller's.

To ask one of them twice is not the same as to ask it once: what is kept changes from one moment to the next, what is
made would be made twice, and an open file has one position.
"""

from collections.abc import Iterable
from typing import cast

from ._call import Call
from ._errors import LlmError, LlmTimeoutError, NetworkError, SerializationError, StreamingError
from .types import CreateResponseRequest, File

#: Operations on files, batches, and responses under their id. No provider charges for them.
ON_WHAT_IS_KEPT = frozenset({
    "create_file", "retrieve_file", "delete_file", "list_files", "file_content",
    "create_batch", "retrieve_batch", "cancel_batch", "list_batches", "batch_results",
    "retrieve_response", "cancel_response", "delete_response", "list_input_items",
})  # fmt: skip

_WITH_FILES = frozenset({"transcribe", "translate", "image_edit", "image_variation"})


def is_on_what_is_kept(call: Call[object]) -> bool:
    """Whether a call makes, changes or looks at what its provider keeps, so that its answer holds for it alone."""
    if call.operation == "create_response":
        request = cast("CreateResponseRequest", call.request)
        # In the background it is not made yet, and a conversation has one turn more after each.
        return bool(request.background) or request.conversation is not None
    return call.operation in ON_WHAT_IS_KEPT


def names_what_is_kept(call: Call[object]) -> bool:
    """Whether a call is about what its provider, and no other one, keeps: files, batches, responses, a conversation."""
    request = cast("object", call.request)
    if call.operation == "create_response" and isinstance(request, CreateResponseRequest):
        return request.previous_response_id is not None or request.conversation is not None
    return call.operation in ON_WHAT_IS_KEPT


def reads_open_file(call: Call[object]) -> bool:
    """Whether a call sends a file that the caller has opened: two attempts at one time would read it in turns."""
    if call.operation not in _WITH_FILES:
        return False
    given = (cast("object", getattr(call.request, name, None)) for name in ("file", "image", "mask"))
    return any(file.borrowed for value in given for file in _files(value))


def _files(value: object) -> Iterable[File]:
    things = cast("Iterable[object]", value) if isinstance(value, list | tuple) else (value,)
    return (thing for thing in things if isinstance(thing, File))


def may_be_done(error: LlmError) -> bool:
    """Whether a provider may have done what it was asked for, although the call failed: nobody knows.

    A refusal (a status of the client's fault, an overload) is an answer, and so is a connection that was never made. No
    answer, one that cannot be read, or a fault of the provider's own is none.
    """
    if isinstance(error, NetworkError):
        return error.connected
    if isinstance(error, LlmTimeoutError) and error.limit == "connect":
        return False
    if error.status is None:
        return isinstance(error, LlmTimeoutError | StreamingError | SerializationError)
    return error.status < 400 or error.status in (408, 500, 502, 504)

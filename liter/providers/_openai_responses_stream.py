"""Streamed responses of OpenAI's Responses API: typed events, passed on one by one."""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec
from msgspec import convert
from msgspec.structs import force_setattr

from .._contract import Call
from .._http import ServerSentEvent
from ..types import ResponseEvent
from ._lenient import decode_leniently
from ._openai_responses_reply import failure, read_response, response_of, usage_part
from ._wire_decoder import WireDecoder

JsonObject = dict[str, object]


class _Event(msgspec.Struct):
    type: str = ""
    sequence_number: int | None = None
    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    delta: str | JsonObject | None = None
    text: str | None = None
    refusal: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None
    item: JsonObject | None = None
    part: JsonObject | None = None
    annotation: JsonObject | None = None
    partial_image_b64: str | None = None
    partial_image_index: int | None = None
    response: JsonObject | None = None


class _Envelope(msgspec.Struct):
    response: msgspec.Raw = msgspec.Raw()


_EVENT = msgspec.json.Decoder(_Event)
_ENVELOPE = msgspec.json.Decoder(_Envelope)

# Nothing has been made yet: a refusal may still come.
_OPENING = frozenset({"response.created", "response.in_progress", "response.queued"})
_LAST = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})


class ResponseStreamDecoder(WireDecoder):
    """Decodes the events of one response. It ends with an event that has the whole of it."""

    def __init__(self, call: Call[object]) -> None:
        super().__init__(call.route.provider, call.route.model)
        self._call = call

    def feed(self, framed: ServerSentEvent) -> Sequence[ResponseEvent]:
        """Decode one event."""
        data = framed.data
        if data.strip() == b"[DONE]":
            # Some gateways send it after the last event.
            return ()
        try:
            told = decode_leniently(_EVENT, data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._unreadable(error, data) from error
        kind = told.type or (framed.event if framed.event != "message" else "")
        if kind == "error" or (not told.type and told.response is None and b'"error"' in data):
            raise self._reported(_error_body(data))
        response = None
        if told.response is not None:
            response = response_of(told.response, _usage(data))
            self.usage = response.usage or self.usage
        if kind in _LAST:
            self.done = True
            if response is not None and response.status == "failed" and response.error:
                raise failure(self._call, response)
        told.response, told.type = None, kind
        event = convert(told, ResponseEvent, from_attributes=True)
        force_setattr(event, "response", response)
        return (event.attach(raw=data),)

    def whole(self, body: bytes) -> Sequence[ResponseEvent]:
        """Decode a plain body."""
        self.done = True
        response = read_response(self._call, body, failed_raises=True)
        self.usage = response.usage
        return (ResponseEvent(type=f"response.{response.status or 'completed'}", response=response).attach(raw=body),)

    def opening(self, event: object) -> bool:
        """Whether nothing has been made yet."""
        return isinstance(event, ResponseEvent) and event.type in _OPENING

    def end(self) -> Sequence[ResponseEvent]:
        """:raises StreamingError: the last event never came"""
        if not self.done:
            raise self._cut_off("the last event of the response never came")
        return ()


def _usage(data: bytes) -> JsonObject:
    try:
        return usage_part(bytes(_ENVELOPE.decode(data).response))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _error_body(data: bytes) -> bytes:
    """The event as the body of an error: some have what it says in an object of its own, some beside the type."""
    fields = cast("Mapping[str, object]", msgspec.json.decode(data))
    if isinstance(fields.get("error"), dict | str):
        return data
    return msgspec.json.encode({"error": {name: value for name, value in fields.items() if name != "type"}})

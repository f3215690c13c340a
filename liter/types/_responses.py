"""Replies of OpenAI's Responses API: responses, the events of a stream of one, lists of items."""

from typing import Self, TypeVar

import msgspec

from ._response import ApiResponse, JsonObject
from ._response_format import decode_as
from ._responses_item import FunctionCallItem, Item, OutputMessage, ReasoningItem, typed_item
from ._usage import Usage

T = TypeVar("T")


def _nothing() -> JsonObject:
    return {}


class ResponseObject(ApiResponse, repr_omit_defaults=True, frozen=True, kw_only=True):
    """A response. ``output`` has its items just as the provider sent them; ``items`` are typed views of them.

    :param status: ``"completed"``, ``"incomplete"``, ``"failed"``, ``"in_progress"``, ``"queued"``, ``"cancelled"``
    :param error: why it failed: ``{"code": ..., "message": ...}``
    :param incomplete_details: why it is not complete: ``{"reason": "max_output_tokens"}``
    :param usage: token counts in the one form that all operations have; ``None`` is unknown, never zero
    :param native: what else the provider sent, the request's own parameters above all
    """

    id: str = ""
    object: str = "response"
    created_at: float = 0
    completed_at: float | None = None
    status: str | None = None
    error: JsonObject | None = None
    incomplete_details: JsonObject | None = None
    model: str = ""
    output: list[JsonObject] = msgspec.field(default_factory=list[JsonObject])
    usage: Usage | None = None
    service_tier: str | None = None
    previous_response_id: str | None = None
    native: JsonObject = msgspec.field(default_factory=_nothing)

    @property
    def items(self) -> list[Item]:
        """The items of ``output``, typed."""
        return [typed_item(item) for item in self.output]

    @property
    def output_text(self) -> str:
        """All text of all messages."""
        return "".join(item.text for item in self.items if isinstance(item, OutputMessage))

    @property
    def text(self) -> str:
        """The same, by the name that it has on a chat's reply."""
        return self.output_text

    @property
    def reasoning_text(self) -> str:
        """What the model thought, as far as it is told."""
        return "\n\n".join(item.text for item in self.items if isinstance(item, ReasoningItem) and item.text)

    @property
    def function_calls(self) -> list[FunctionCallItem]:
        """The calls of the caller's functions."""
        return [item for item in self.items if isinstance(item, FunctionCallItem)]

    def parsed_as(self, kind: type[T]) -> T:
        """Decode the text as JSON into a struct, dataclass, TypedDict or pydantic model.

        :raises ValueError: the text is not JSON of that type; see ``status`` for why
        """
        return decode_as(kind, self.output_text)


class ResponseEvent(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, dict=True):
    """What a stream of a response tells. Each type of event has some of these fields; ``raw`` has all of it.

    :param type: ``"response.output_text.delta"``, ``"response.completed"``, ...
    :param delta: the next piece of text, thought, arguments, ...; an object where it is of no text
    :param item: an item that begins or is done, as the provider sent it
    :param response: the response as far as it is, with the events that begin and end it
    """

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
    response: ResponseObject | None = None

    @property
    def raw(self) -> bytes:
        """The event's data as it came."""
        raw: bytes = vars(self).get("_raw", b"")
        return raw

    def attach(self, *, raw: bytes) -> Self:
        """Attach the data it was decoded from."""
        vars(self)["_raw"] = raw
        return self


class ResponseDeleted(ApiResponse, repr_omit_defaults=True, frozen=True, kw_only=True):
    """Tells that a response is forgotten."""

    id: str = ""
    object: str = "response"
    deleted: bool = True


class InputItemList(ApiResponse, repr_omit_defaults=True, frozen=True, kw_only=True):
    """A page of the items that a response was made of."""

    object: str = "list"
    data: list[JsonObject] = msgspec.field(default_factory=list[JsonObject])
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool = False

    @property
    def next_after(self) -> str | None:
        """What ``after`` must be for the page that follows; ``None`` on the last one."""
        return self.last_id if self.has_more else None

"""One event of a streamed chat completion.

Decoding these is the hot path: the structs hold no reference cycles, so the inner ones are kept from
the garbage collector's view.
"""

from typing import Self

import msgspec

from ._always import always
from ._chat_response import Logprobs
from ._message import Annotation, Audio, NativeContent
from ._response import JsonObject
from ._usage import Usage


class FunctionCallDelta(
    msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True, gc=False
):
    """A piece of a function's call: the name comes once, the arguments in fragments."""

    name: str | None = None
    arguments: str | None = None


class CustomCallDelta(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A piece of a custom tool's call: the name comes once, the text in fragments."""

    name: str | None = None
    input: str | None = None


class ToolCallDelta(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A piece of a tool call. ``index`` says of which; some providers leave it out."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: FunctionCallDelta | None = None
    custom: CustomCallDelta | None = None


class Delta(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What an event adds to a message; the fields are those of :class:`AssistantMessage`.

    Text grows by each event. ``thinking_blocks`` and ``annotations`` come whole, and ``native_content`` at the end.
    """

    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    function_call: FunctionCallDelta | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[JsonObject] | None = None
    audio: Audio | None = None
    annotations: list[Annotation] | None = None
    images: list[JsonObject] | None = None
    thinking_blocks: list[JsonObject] | None = None
    tool_plan: str | None = None
    native_content: NativeContent | None = None


class ChunkChoice(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What an event adds to one of ``n`` replies. See :class:`Choice` for the fields."""

    index: int = always(0)
    delta: Delta = always(Delta())
    finish_reason: str | None = always(None)
    logprobs: Logprobs | None = None
    native_finish_reason: str | None = None
    stop_sequence: str | None = None


class ChatCompletionChunk(
    msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True, dict=True
):
    """One event of a streamed chat completion. See :class:`ChatCompletionResponse` for the fields.

    The event with the usage comes last and has no choices.

    :param restarted: the answer begins anew with this chunk: forget what came before it. No provider says so, but
        ``Fallback(mid_stream="restart")``, for a stream that broke
    """

    id: str = always("")
    object: str = always("chat.completion.chunk")
    created: int = always(0)
    model: str = always("")
    choices: list[ChunkChoice] = msgspec.field(default_factory=list[ChunkChoice])  # encoded when it is empty, too
    usage: Usage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    provider: str | None = None
    citations: list[str] | None = None
    search_results: list[JsonObject] | None = None
    moderation: JsonObject | None = None
    native: JsonObject | None = None
    restarted: bool = False

    def attach(self, *, raw: bytes) -> Self:
        """Attach the data of the event that it was made from, and return the chunk itself."""
        vars(self)["_raw"] = raw
        return self

    @property
    def raw(self) -> bytes:
        """The data of the event that it was made from; empty where it was made from none."""
        raw: bytes = vars(self).get("_raw", b"")
        return raw

    @property
    def text(self) -> str:
        """The text that it adds to the first choice; empty when it adds none."""
        return (self.choices[0].delta.content or "") if self.choices else ""

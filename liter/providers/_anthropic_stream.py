"""Streamed replies of Anthropic's as OpenAI's chunks.

A stream builds content blocks one after the other. Text, thinking and arguments are handed on as they come;
what is whole only at a block's end (a signed thought, citations) when it stops; the native form at the very end.
"""

from collections.abc import Sequence

import msgspec

from .._errors import StreamingError
from .._http import ServerSentEvent
from ..types import ChatCompletionChunk, ChatCompletionResponse, ChunkChoice, Delta, FunctionCallDelta, ToolCallDelta
from ._anthropic_messages import Block
from ._anthropic_reply import (
    WireMessage,
    annotations_of,
    arguments_of,
    finish_reason,
    native_content,
    native_fields,
    read_reply,
    refusal_of,
)
from ._anthropic_usage import WireUsage, normal_usage
from ._chat_decoder import ChatDecoder
from ._lenient import decode_leniently


class _Delta(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: Block | None = None
    content: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Block | None = None
    container: Block | None = None


class _Event(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    index: int = 0
    message: WireMessage | None = None
    content_block: Block | None = None
    delta: _Delta | None = None
    usage: WireUsage | None = None
    context_management: Block | None = None


_EVENT = msgspec.json.Decoder(_Event)
_INPUT = msgspec.json.Decoder(dict[str, object])


# The kinds of block that a delta tells.
_KINDS = {"text_delta": "text", "thinking_delta": "thinking"}


class _OpenBlock:
    """A block that is being built, and the fragments of its text, thought or input."""

    __slots__ = ("block", "call", "citations", "fragments", "signature")

    def __init__(self, block: Block, call: int | None) -> None:
        self.block = block
        self.call = call
        self.fragments: list[str] = []
        self.signature: list[str] = []
        self.citations: list[object] = []

    def close(self) -> Block:
        """The whole block, as it would stand in a reply that was not streamed."""
        block, text = self.block, "".join(self.fragments)
        kind = block.get("type")
        field = kind if kind in ("text", "thinking") else "content" if kind == "compaction" else "input"
        if field == "input":
            if text:
                block["input"] = _input(text)
        elif text:
            block[str(field)] = str(block.get(str(field)) or "") + text
        if self.signature:
            block["signature"] = str(block.get("signature") or "") + "".join(self.signature)
        if self.citations:
            before = block.get("citations")
            block["citations"] = [*(before if isinstance(before, list) else ()), *self.citations]
        return block


class MessageStreamDecoder(ChatDecoder):
    """Decodes the events of one streamed message."""

    def __init__(self, provider: str, model: str) -> None:
        super().__init__(provider, model)
        self._message = WireMessage()
        self._told: WireUsage | None = None
        self._open: dict[int, _OpenBlock] = {}
        self._blocks: list[Block] = []
        self._calls = 0
        self._offset = 0
        self._begun = False
        self._finished = False

    def feed(self, event: ServerSentEvent) -> Sequence[ChatCompletionChunk]:
        """Decode one event: none, one or several of ours."""
        data = event.data
        try:
            told = decode_leniently(_EVENT, data, blocks=True)
        except msgspec.DecodeError as error:
            raise self._unreadable(error, data) from error
        match told.type:
            case "content_block_delta":
                return self._delta(told, data)
            case "content_block_start":
                return self._start(told, data)
            case "content_block_stop":
                return self._stop(told.index, data)
            case "message_start":
                return self._begin(told, data)
            case "message_delta":
                self._count(told.usage)
                return self._finish(told, data)
            case "message_stop":
                self.done = True
                return self._last(data)
            case "error":
                raise self._reported(data)
            case "" if event.event == "error" or b'"error"' in data:
                raise self._reported(data)
            case _:
                return ()

    def _begin(self, told: _Event, data: bytes) -> Sequence[ChatCompletionChunk]:
        if self._begun:
            # Seen behind proxies that try again by themselves: two replies in one stream are none.
            raise StreamingError(
                "the stream began anew before it had ended", provider=self._provider, model=self._model, body=data
            )
        self._begun = True
        self._message = told.message or self._message
        self._count(self._message.usage)
        return (self._chunk(data, Delta(role="assistant")),)

    def _count(self, usage: WireUsage | None) -> None:
        if usage is not None:
            self._told = usage if self._told is None else self._told.updated(usage)
            self.usage = normal_usage(self._told)

    def _start(self, told: _Event, data: bytes) -> Sequence[ChatCompletionChunk]:
        block = told.content_block or {}
        kind = block.get("type")
        call = None
        delta: Delta | None = None
        if kind == "tool_use":
            call = self._calls
            self._calls += 1
            function = FunctionCallDelta(name=str(block.get("name", "")), arguments="")
            opened = ToolCallDelta(index=call, id=str(block.get("id", "")), type="function", function=function)
            delta = Delta(tool_calls=[opened])
        elif kind == "text" and block.get("text"):
            delta = Delta(content=str(block["text"]))
        elif kind == "thinking" and block.get("thinking"):
            delta = Delta(reasoning_content=str(block["thinking"]))
        self._open[told.index] = _OpenBlock(block, call)
        return () if delta is None else (self._chunk(data, delta),)

    def _delta(self, told: _Event, data: bytes) -> Sequence[ChatCompletionChunk]:
        delta = told.delta
        if delta is None:
            return ()
        opened = self._open.get(told.index)
        if opened is None:
            # Some imitators announce no blocks. A call without its name is none.
            kind = _KINDS.get(delta.type)
            if kind is None:
                return ()
            opened = self._open[told.index] = _OpenBlock({"type": kind, kind: ""}, None)
        match delta.type:
            case "text_delta":
                opened.fragments.append(delta.text or "")
                return (self._chunk(data, Delta(content=delta.text)),)
            case "thinking_delta":
                opened.fragments.append(delta.thinking or "")
                return (self._chunk(data, Delta(reasoning_content=delta.thinking)),)
            case "input_json_delta":
                opened.fragments.append(delta.partial_json or "")
                if opened.call is not None and delta.partial_json:
                    return (self._chunk(data, _arguments(opened.call, delta.partial_json)),)
            case "signature_delta":
                opened.signature.append(delta.signature or "")
            case "citations_delta":
                opened.citations.append(delta.citation)
            case "compaction_delta":
                opened.fragments.append(delta.content or "")
            case _:
                pass
        return ()

    def _stop(self, index: int, data: bytes) -> Sequence[ChatCompletionChunk]:
        opened = self._open.pop(index, None)
        if opened is None:
            return ()
        block = opened.close()
        self._blocks.append(block)
        if opened.call is not None and not "".join(opened.fragments):
            return (self._chunk(data, _arguments(opened.call, arguments_of(block))),)
        if block.get("type") in ("thinking", "redacted_thinking"):
            return (self._chunk(data, Delta(thinking_blocks=[block])),)
        if block.get("type") == "text":
            annotations = annotations_of(block, self._offset)
            self._offset += len(str(block.get("text") or ""))
            if annotations:
                return (self._chunk(data, Delta(annotations=annotations)),)
        return ()

    def _finish(self, told: _Event, data: bytes) -> Sequence[ChatCompletionChunk]:
        delta = told.delta
        if delta is None or delta.stop_reason is None:
            return ()
        self._finished = True
        # Some imitators do not tell the end of blocks either.
        closed = [chunk for index in sorted(self._open) for chunk in self._stop(index, data)]
        choice = ChunkChoice(
            delta=Delta(
                refusal=refusal_of(delta.stop_details) if delta.stop_reason == "refusal" else None,
                native_content=native_content(self._blocks, self._provider),
            ),
            finish_reason=finish_reason(delta.stop_reason),
            native_finish_reason=delta.stop_reason,
            stop_sequence=delta.stop_sequence,
        )
        native = {**(native_fields(delta) or {}), **(native_fields(told) or {})}
        identity = self._message
        chunk = ChatCompletionChunk(id=identity.id, model=identity.model, choices=[choice], native=native or None)
        return (*closed, chunk.attach(raw=data))

    def _last(self, data: bytes) -> Sequence[ChatCompletionChunk]:
        chunk = ChatCompletionChunk(
            id=self._message.id,
            model=self._message.model,
            usage=self.usage,
            service_tier=None if self._told is None else self._told.service_tier,
        )
        return (chunk.attach(raw=data),)

    def _chunk(self, data: bytes, delta: Delta) -> ChatCompletionChunk:
        return ChatCompletionChunk(
            id=self._message.id, model=self._message.model, choices=[ChunkChoice(delta=delta)]
        ).attach(raw=data)

    def _read(self, body: bytes) -> ChatCompletionResponse:
        return read_reply(body, provider=self._provider, model=self._model)

    def end(self) -> Sequence[ChatCompletionChunk]:
        """The body has ended."""
        if self.done:
            return ()
        if not self._finished:
            raise self._cut_off("message_stop never came")
        self.done = True
        return self._last(b"")


def _arguments(call: int, text: str) -> Delta:
    return Delta(tool_calls=[ToolCallDelta(index=call, function=FunctionCallDelta(arguments=text))])


def _input(text: str) -> object:
    try:
        return _INPUT.decode(text)
    except msgspec.DecodeError:
        # Cut by the token limit: the text itself is in the call's arguments.
        return {}

"""Streamed replies of Cohere's as OpenAI's chunks.

A stream builds content blocks, calls and citations, each between a start and an end. All but the native form is
handed on as it comes.
"""

from collections.abc import Sequence
from typing import cast

import msgspec

from .._errors import LlmError
from .._http import ServerSentEvent
from ..types import ChatCompletionChunk, ChatCompletionResponse, ChunkChoice, Delta, FunctionCallDelta, ToolCallDelta
from ._chat_decoder import ChatDecoder
from ._classify import classify
from ._cohere_reply import (
    Block,
    WireCall,
    WireLogprobs,
    WireUsage,
    annotations_of,
    finish_reason,
    logprobs_of,
    native_content,
    normal_usage,
    read_reply,
)
from ._lenient import decode_leniently


class _Message(msgspec.Struct, frozen=True, gc=False):
    # One thing at a time, but lists of none, and by some servers of one.
    content: Block | list[Block] | None = None
    tool_plan: str | None = None
    tool_calls: WireCall | list[WireCall] | None = None
    citations: Block | list[Block] | None = None


class _Delta(msgspec.Struct, frozen=True, gc=False):
    message: _Message | None = None
    finish_reason: str | None = None
    usage: WireUsage | None = None
    error: object = None
    error_type: object = None


class _Event(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    id: str | None = None
    index: int | None = None
    delta: _Delta | None = None
    logprobs: WireLogprobs | list[WireLogprobs] | None = None


_EVENT = msgspec.json.Decoder(_Event)
_NOTHING = _Message()


class ChatStreamDecoder(ChatDecoder):
    """Decodes the events of one streamed chat."""

    def __init__(self, provider: str, model: str) -> None:
        super().__init__(provider, model)
        self._id = ""
        self._blocks: dict[int, Block] = {}
        self._fragments: dict[int, list[str]] = {}
        self._plan: list[str] = []
        self._calls: dict[int, int] = {}
        self._citations: list[Block] = []

    def feed(self, event: ServerSentEvent) -> Sequence[ChatCompletionChunk]:
        """Decode one event: none, one or two of ours."""
        data = event.data
        if self.done or data.strip() == b"[DONE]":
            return ()
        try:
            told = decode_leniently(_EVENT, data, blocks=True)
        except msgspec.DecodeError as error:
            if event.event == "error":
                raise self._reported(data) from None
            raise self._unreadable(error, data) from error
        message = told.delta.message if told.delta is not None and told.delta.message is not None else _NOTHING
        match told.type:
            case "content-delta" | "content-start":
                return self._content(told, message, data)
            case "tool-call-delta" | "tool-call-start":
                return self._tool_call(told, message, data)
            case "tool-plan-delta":
                self._plan.append(message.tool_plan or "")
                return (self._chunk(data, Delta(tool_plan=message.tool_plan)),)
            case "citation-start":
                return self._cite(message, data)
            case "message-start":
                self._id = told.id or ""
                return (self._chunk(data, Delta(role="assistant")),)
            case "message-end":
                return self._finish(told, data)
            case "content-end" | "tool-call-end" | "citation-end":
                return ()
            case _:
                if event.event == "error" or not told.type:
                    raise self._reported(data)
                # One that is newer than this: its data is in the chunk's ``raw``.
                return (ChatCompletionChunk(id=self._id, model=self._model).attach(raw=data),)

    def _content(self, told: _Event, message: _Message, data: bytes) -> Sequence[ChatCompletionChunk]:
        content = message.content
        if isinstance(content, list):
            content = content[0] if content else None
        content = content or {}
        index = told.index or 0
        if told.type == "content-start" or index not in self._blocks:
            self._blocks[index], self._fragments[index] = content, []
        field = "thinking" if "thinking" in content else "text"
        text = content.get(field)
        if not isinstance(text, str):
            return ()
        self._fragments[index].append(text)
        self._blocks[index].setdefault(field, "")
        pieces = told.logprobs
        logprobs = logprobs_of(pieces if isinstance(pieces, list) else () if pieces is None else (pieces,))
        delta = Delta(reasoning_content=text) if field == "thinking" else Delta(content=text)
        if field == "thinking" and not text:
            return ()
        choice = ChunkChoice(delta=delta, logprobs=logprobs)
        return (ChatCompletionChunk(id=self._id, model=self._model, choices=[choice]).attach(raw=data),)

    def _tool_call(self, told: _Event, message: _Message, data: bytes) -> Sequence[ChatCompletionChunk]:
        calls = message.tool_calls
        deltas: list[ToolCallDelta] = []
        for call in calls if isinstance(calls, list) else () if calls is None else (calls,):
            index = told.index or 0
            if told.type == "tool-call-start" or index not in self._calls:
                self._calls[index] = len(self._calls)
            function = call.function
            deltas.append(
                ToolCallDelta(
                    index=self._calls[index],
                    id=call.id,
                    type=call.type,
                    function=None
                    if function is None
                    else FunctionCallDelta(name=function.name, arguments=function.arguments),
                )
            )
        return (self._chunk(data, Delta(tool_calls=deltas)),) if deltas else ()

    def _cite(self, message: _Message, data: bytes) -> Sequence[ChatCompletionChunk]:
        told = message.citations
        citations = told if isinstance(told, list) else [] if told is None else [told]
        self._citations += citations
        annotations = annotations_of(citations, self._whole_blocks())
        return (self._chunk(data, Delta(annotations=annotations)),) if annotations else ()

    def _whole_blocks(self) -> list[Block]:
        """The blocks so far, as they would stand in a reply that was not streamed."""
        blocks: list[Block] = []
        for index, block in sorted(self._blocks.items()):
            field = "thinking" if "thinking" in block else "text"
            text = "".join(self._fragments[index])
            blocks.append({**block, field: text} if field in block else block)
        return blocks

    def _finish(self, told: _Event, data: bytes) -> Sequence[ChatCompletionChunk]:
        delta = told.delta or _Delta()
        if delta.usage is not None:
            self.usage = normal_usage(delta.usage)
        if delta.error is not None:
            raise self._failure(delta, data)
        self.done = True
        citations = self._citations
        choice = ChunkChoice(
            delta=Delta(
                native_content=native_content(
                    self._whole_blocks(), "".join(self._plan) or None, citations, self._provider
                )
            ),
            finish_reason=finish_reason(delta.finish_reason, called=bool(self._calls)),
            native_finish_reason=delta.finish_reason,
        )
        last = ChatCompletionChunk(id=self._id, model=self._model, choices=[choice])
        usage = ChatCompletionChunk(id=self._id, model=self._model, usage=self.usage)
        return (last.attach(raw=data), usage.attach(raw=data))

    def _failure(self, delta: _Delta, data: bytes) -> LlmError:
        told: dict[str, object] = {"type": delta.error_type}
        inner = delta.error
        told.update(cast("Block", inner) if isinstance(inner, dict) else {"message": inner})
        error = classify(msgspec.json.encode(told), status=None, provider=self._provider, model=self._model)
        error.body = data
        return error

    def _chunk(self, data: bytes, delta: Delta) -> ChatCompletionChunk:
        chunk = ChatCompletionChunk(id=self._id, model=self._model, choices=[ChunkChoice(delta=delta)])
        return chunk.attach(raw=data)

    def _read(self, body: bytes) -> ChatCompletionResponse:
        return read_reply(body, provider=self._provider, model=self._model)

    def end(self) -> Sequence[ChatCompletionChunk]:
        """The body has ended."""
        if not self.done:
            raise self._cut_off("message-end never came")
        return ()

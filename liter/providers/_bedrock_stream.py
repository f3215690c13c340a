"""Streamed replies of Converse's as OpenAI's chunks.

A stream builds content blocks. Only tools, results and pictures announce theirs; the others begin with their first
delta. Text, reasoning and arguments are handed on as they come; what is whole only at a block's end (a signed
thought, citations, a picture) when it stops; the native form with the stop reason. Usage comes after that.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from .._http import EventMessage
from ..types import ChatCompletionChunk, ChatCompletionResponse, ChunkChoice, Delta, FunctionCallDelta, ToolCallDelta
from ._bedrock_errors import classify_exception
from ._bedrock_media import Block
from ._bedrock_reply import (
    annotations_of,
    arguments_of,
    blocks_of,
    called,
    finish_reason,
    image_of,
    mapping,
    native_content,
    native_fields,
    read_reply,
    stop_sequence,
    text,
    thought_of,
    usage_of,
)
from ._chat_decoder import ChatDecoder
from ._codec import Framing
from ._count import count_of
from ._lenient import decode_leniently

# A block that was not announced.
_TEXT: Block = {"text": None}

_OBJECT = msgspec.json.Decoder(dict[str, object])


class _OpenBlock:
    """A block that is being built, and the fragments that it is built of."""

    __slots__ = ("call", "citations", "fragments", "hidden", "kind", "results", "signature", "start")

    def __init__(self, start: Block, call: int | None) -> None:
        self.start = start
        self.kind = next(iter(start), "")
        self.call = call
        self.fragments: list[str] = []
        self.signature: list[str] = []
        self.hidden: list[str] = []
        self.citations: list[Block] = []
        self.results: list[Block] = []

    def add(self, delta: Mapping[str, object]) -> None:
        """Add to a block of a kind that is not known here: texts and lists grow, all else is replaced."""
        whole = mapping(self.start.get(self.kind))
        for name, value in delta.items():
            before = whole.get(name)
            if isinstance(before, str) and isinstance(value, str):
                whole[name] = before + value
            elif isinstance(before, list) and isinstance(value, list):
                whole[name] = [*cast("list[object]", before), *cast("list[object]", value)]
            else:
                whole[name] = value
        self.start = {self.kind: whole}

    def close(self) -> Block:
        """The whole block, as it would stand in a reply that was not streamed."""
        joined = "".join(self.fragments)
        start = mapping(self.start.get(self.kind))
        match self.kind:
            case "toolUse":
                return {"toolUse": {**start, "input": _input(joined)}}
            case "toolResult":
                return {"toolResult": {**start, "content": self.results}}
            case "image":
                data = _joined_base64(self.hidden)
                return {"image": {**start, "source": {"bytes": data}}} if data else {"image": start}
            case "reasoningContent" if self.hidden:
                return {"reasoningContent": {"redactedContent": _joined_base64(self.hidden)}}
            case "reasoningContent":
                thought = {"text": joined}
                if self.signature:
                    thought["signature"] = "".join(self.signature)
                return {"reasoningContent": {"reasoningText": thought}}
            case "text" if self.citations:
                cited: Block = {"citations": self.citations}
                return {"citationsContent": {"content": [{"text": joined}], **cited} if joined else cited}
            case "text":
                return {"text": joined}
            case _:
                return {self.kind: start}


class ConverseStreamDecoder(ChatDecoder):
    """Decodes the messages of one streamed reply.

    :param schema_tool: name of the tool whose arguments are the reply's text
    """

    framing: Framing = "eventstream"

    def __init__(self, provider: str, model: str, *, schema_tool: str | None = None) -> None:
        super().__init__(provider, model)
        self._open: dict[int, _OpenBlock] = {}
        self._blocks: dict[int, Block] = {}
        self._calls = 0
        self._offset = 0
        self._finished = False
        self._schema_tool = schema_tool
        self._answered = False
        self._native: dict[str, object] = {}

    def feed(self, message: EventMessage) -> Sequence[ChatCompletionChunk]:
        """Decode one message: none, one or several of our chunks."""
        payload = message.payload
        if message.text(":message-type") in ("exception", "error"):
            raise classify_exception(message, provider=self._provider, model=self._model)
        try:
            told = decode_leniently(_OBJECT, payload)
        except msgspec.DecodeError as error:
            raise self._unreadable(error, payload) from error
        match message.text(":event-type"):
            case "contentBlockDelta":
                return self._delta(told, payload)
            case "contentBlockStart":
                return self._start(told, payload)
            case "contentBlockStop":
                return self._stop(_index(told), payload)
            case "messageStart":
                return (self._chunk(payload, Delta(role=text(told.get("role")) or "assistant")),)
            case "messageStop":
                return self._finish(told, payload)
            case "metadata":
                return self._last(told, payload)
            case _:
                return ()

    def _begin(self, index: int, start: Block) -> _OpenBlock:
        call = None
        if called(start):
            call = self._calls
            self._calls += 1
        opened = self._open[index] = _OpenBlock(start, call)
        return opened

    def _start(self, told: Block, data: bytes) -> Sequence[ChatCompletionChunk]:
        start = mapping(told.get("start"))
        if self._schema_tool is not None and mapping(start.get("toolUse")).get("name") == self._schema_tool:
            self._answered = True
            start = dict(_TEXT)
        opened = self._begin(_index(told), start)
        if opened.call is None:
            return ()
        use = mapping(start["toolUse"])
        function = FunctionCallDelta(name=text(use.get("name")) or "", arguments="")
        call = ToolCallDelta(index=opened.call, id=text(use.get("toolUseId")) or "", type="function", function=function)
        return (self._chunk(data, Delta(tool_calls=[call])),)

    def _delta(self, told: Block, data: bytes) -> Sequence[ChatCompletionChunk]:
        delta = mapping(told.get("delta"))
        kind = next(iter(delta), "")
        index = _index(told)
        opened = self._open.get(index)
        if opened is None:
            opened = self._begin(index, dict(_TEXT) if kind == "citation" else {kind: None})
        match kind:
            case "text":
                words = text(delta["text"]) or ""
                opened.fragments.append(words)
                return (self._chunk(data, Delta(content=words)),)
            case "toolUse":
                fragment = text(mapping(delta["toolUse"]).get("input")) or ""
                opened.fragments.append(fragment)
                if opened.kind == "text":
                    return (self._chunk(data, Delta(content=fragment)),)
                if opened.call is not None and fragment:
                    return (self._chunk(data, _arguments(opened.call, fragment)),)
            case "reasoningContent":
                return self._thought(mapping(delta["reasoningContent"]), opened, data)
            case "citation":
                opened.citations.append(mapping(delta["citation"]))
            case "toolResult":
                opened.results += blocks_of(delta["toolResult"])
            case "image":
                opened.hidden.append(text(mapping(mapping(delta["image"]).get("source")).get("bytes")) or "")
            case _:
                opened.add(mapping(delta.get(kind)))
        return ()

    def _thought(self, delta: Mapping[str, object], opened: _OpenBlock, data: bytes) -> Sequence[ChatCompletionChunk]:
        opened.signature += [text(delta.get("signature")) or ""] if "signature" in delta else []
        opened.hidden += [text(delta.get("redactedContent")) or ""] if "redactedContent" in delta else []
        words = text(delta.get("text"))
        if words is None:
            return ()
        opened.fragments.append(words)
        return (self._chunk(data, Delta(reasoning_content=words)),)

    def _stop(self, index: int, data: bytes) -> Sequence[ChatCompletionChunk]:
        opened = self._open.pop(index, None)
        if opened is None:
            return ()
        block = self._blocks[index] = opened.close()
        if opened.call is not None and not "".join(opened.fragments):
            return (self._chunk(data, _arguments(opened.call, arguments_of(mapping(block["toolUse"])))),)
        thought = thought_of(block)
        if thought.get("signature") or thought.get("data"):
            return (self._chunk(data, Delta(thinking_blocks=[thought])),)
        image = image_of(block)
        if image is not None:
            return (self._chunk(data, Delta(images=[image])),)
        annotations = annotations_of(block, self._offset)
        if opened.kind == "text":
            self._offset += sum(map(len, opened.fragments))
        return (self._chunk(data, Delta(annotations=annotations)),) if annotations else ()

    def _finish(self, told: Block, data: bytes) -> Sequence[ChatCompletionChunk]:
        chunks = [chunk for index in sorted(self._open) for chunk in self._stop(index, data)]
        self._finished = True
        self._native.update(native_fields(told) or {})
        reason = text(told.get("stopReason"))
        blocks = [self._blocks[index] for index in sorted(self._blocks)]
        choice = ChunkChoice(
            delta=Delta(native_content=native_content(blocks, self._provider)),
            finish_reason=finish_reason(reason, calls=self._calls > 0, answered=self._answered),
            native_finish_reason=reason,
            stop_sequence=stop_sequence(told),
        )
        chunks.append(ChatCompletionChunk(model=self._model, choices=[choice]).attach(raw=data))
        return chunks

    def _last(self, told: Block, data: bytes) -> Sequence[ChatCompletionChunk]:
        self.done = self._finished
        self.usage = usage_of(told.get("usage")) or self.usage
        self._native.update(native_fields(told) or {})
        chunk = ChatCompletionChunk(
            model=self._model,
            usage=self.usage,
            service_tier=text(mapping(told.get("serviceTier")).get("type")),
            native=self._native or None,
        )
        return (chunk.attach(raw=data),)

    def _chunk(self, data: bytes, delta: Delta) -> ChatCompletionChunk:
        return ChatCompletionChunk(model=self._model, choices=[ChunkChoice(delta=delta)]).attach(raw=data)

    def _read(self, body: bytes) -> ChatCompletionResponse:
        return read_reply(
            body, provider=self._provider, model=self._model, request_id=None, schema_tool=self._schema_tool
        )

    def end(self) -> Sequence[ChatCompletionChunk]:
        """The body has ended."""
        if self.done:
            return ()
        if not self._finished:
            raise self._cut_off("messageStop never came")
        # Without metadata the usage stays unknown.
        self.done = True
        return (ChatCompletionChunk(model=self._model, native=self._native or None),) if self._native else ()


def _index(told: Mapping[str, object]) -> int:
    return count_of(told.get("contentBlockIndex")) or 0


def _arguments(call: int, fragment: str) -> Delta:
    return Delta(tool_calls=[ToolCallDelta(index=call, function=FunctionCallDelta(arguments=fragment))])


def _input(fragments: str) -> object:
    try:
        return decode_leniently(_OBJECT, fragments.encode("utf-8", "replace") or b"{}")
    except msgspec.DecodeError:
        # Cut by the token limit: the text itself is in the call's arguments.
        return {}


def _joined_base64(parts: list[str]) -> str:
    # Each piece is padded by itself, so joining the text would not decode.
    try:
        return base64.b64encode(b"".join(base64.b64decode(part, validate=True) for part in parts)).decode("ascii")
    except (binascii.Error, ValueError):
        return "".join(parts)

"""Replies of Ollama's own API as OpenAI's: whole ones, and the lines of a stream."""

import zlib
from collections.abc import Sequence

import msgspec

from ..types import (
    AssistantMessage,
    ChatCompletionChunk,
    ChatCompletionResponse,
    Choice,
    ChunkChoice,
    Delta,
    FunctionCall,
    FunctionCallDelta,
    Logprobs,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from ._chat_decoder import ChatDecoder
from ._classify import classify
from ._codec import Framing
from ._lenient import decode_leniently
from ._read import unreadable
from ._unix_time import unix_time_of

# Nanoseconds of what was done, which OpenAI's form has no place for.
_DURATIONS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


class _Function(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    # An object; a text is what a mended one has.
    arguments: dict[str, object] | str | None = None


class _Call(msgspec.Struct, frozen=True, gc=False):
    function: _Function = _Function()
    id: str | None = None


class _Message(msgspec.Struct, frozen=True, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class _Reply(msgspec.Struct, frozen=True, gc=False):
    model: str = ""
    created_at: str | None = None
    message: _Message | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_duration: int | None = None
    eval_duration: int | None = None
    logprobs: list[TokenLogprob] | None = None
    error: object = None


_SILENT = _Message()
_REPLY = msgspec.json.Decoder(_Reply)


def read_chat(body: bytes, *, provider: str, model: str) -> ChatCompletionResponse:
    """Decode a whole reply.

    :raises SerializationError: it cannot be read
    :raises LlmError: it is an error under a status of success
    """
    try:
        told = decode_leniently(_REPLY, body)
    except msgspec.DecodeError as error:
        raise unreadable(body, "a chat", error, provider=provider, model=model) from error
    if told.message is None:
        raise classify(body, status=None, provider=provider, model=model)
    calls = [
        ToolCall(id=_call_id(told, call, index), function=FunctionCall(call.function.name, _arguments(call)))
        for index, call in enumerate(told.message.tool_calls or ())
    ]
    message = AssistantMessage(
        content=told.message.content, reasoning_content=told.message.thinking or None, tool_calls=calls or None
    )
    choice = Choice(
        message=message,
        finish_reason=_reason(told.done_reason, called=bool(calls)),
        native_finish_reason=told.done_reason,
        logprobs=None if told.logprobs is None else Logprobs(content=told.logprobs),
    )
    return ChatCompletionResponse(
        created=unix_time_of(told.created_at) or 0,
        model=told.model,
        choices=[choice],
        usage=_usage(told),
        native=_native(told),
    )


def _arguments(call: _Call) -> str:
    arguments = call.function.arguments
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments or {}).decode()


def _call_id(told: _Reply, call: _Call, index: int) -> str:
    """Older servers give calls no id: one is made, of the time and the place."""
    return call.id or f"call_{zlib.crc32((told.created_at or '').encode()):08x}{index}"


def _reason(reason: str | None, *, called: bool) -> str | None:
    return "tool_calls" if called and reason == "stop" else reason


def _usage(told: _Reply) -> Usage | None:
    """What was counted. A prompt that was cached as a whole is not: then its tokens are unknown."""
    if told.prompt_eval_count is None and told.eval_count is None:
        return None
    prompt, completion = told.prompt_eval_count, told.eval_count
    return Usage(
        prompt_tokens=prompt or 0,
        completion_tokens=completion or 0,
        total_tokens=(prompt or 0) + (completion or 0),
        unreported=tuple(
            name for name, count in (("prompt_tokens", prompt), ("completion_tokens", completion)) if count is None
        ),
    )


def _native(told: _Reply) -> dict[str, object] | None:
    native: dict[str, object] = {name: value for name in _DURATIONS if (value := getattr(told, name)) is not None}
    return native or None


class ChatStreamDecoder(ChatDecoder):
    """Decodes the lines of one streamed chat."""

    framing: Framing = "lines"

    def __init__(self, provider: str, model: str) -> None:
        super().__init__(provider, model)
        self._calls = 0

    def feed(self, line: bytes) -> Sequence[ChatCompletionChunk]:
        """Decode one line: one of our events, or two."""
        try:
            told = decode_leniently(_REPLY, line)
        except msgspec.DecodeError as error:
            raise self._unreadable(error, line) from error
        if told.error is not None or (told.message is None and not told.done):
            raise self._reported(line)
        message = _SILENT if told.message is None else told.message
        calls = [
            ToolCallDelta(
                index=self._calls + index,
                id=_call_id(told, call, self._calls + index),
                type="function",
                function=FunctionCallDelta(name=call.function.name, arguments=_arguments(call)),
            )
            for index, call in enumerate(message.tool_calls or ())
        ]
        self._calls += len(calls)
        delta = Delta(content=message.content, reasoning_content=message.thinking or None, tool_calls=calls or None)
        choice = ChunkChoice(
            delta=delta,
            finish_reason=_reason(told.done_reason or "stop", called=bool(self._calls)) if told.done else None,
            native_finish_reason=told.done_reason,
            logprobs=None if told.logprobs is None else Logprobs(content=told.logprobs),
        )
        created = unix_time_of(told.created_at) or 0
        chunk = ChatCompletionChunk(created=created, model=told.model, choices=[choice]).attach(raw=line)
        if not told.done:
            return (chunk,)
        self.done = True
        self.usage = _usage(told)
        last = ChatCompletionChunk(created=created, model=told.model, usage=self.usage, native=_native(told))
        return (chunk, last.attach(raw=line))

    def _read(self, body: bytes) -> ChatCompletionResponse:
        return read_chat(body, provider=self._provider, model=self._model)

    def end(self) -> Sequence[ChatCompletionChunk]:
        """The body has ended."""
        if not self.done:
            raise self._cut_off("no line was the last")
        return ()

"""Streamed replies of OpenAI's wire."""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec
from msgspec.structs import force_setattr

from .._http import ServerSentEvent
from ..types import ChatCompletionChunk, ChatCompletionResponse, ChunkChoice, Delta
from ._chat_decoder import ChatDecoder
from ._lenient import decode_leniently
from ._openai_reply import finish_reason, read_reply
from ._openai_usage import normal_usage


class _OddChoice(ChunkChoice, frozen=True, kw_only=True):
    """A choice with a message where a delta should be, as some servers have it."""

    delta: Delta = msgspec.field(default=Delta(), name="message")


class _OddChunk(ChatCompletionChunk, frozen=True, kw_only=True):
    choices: list[_OddChoice] = msgspec.field(default_factory=list[_OddChoice])  # type: ignore[assignment] # as any other


_CHUNK = msgspec.json.Decoder(ChatCompletionChunk)
_ODD: "msgspec.json.Decoder[ChatCompletionChunk]" = msgspec.json.Decoder(_OddChunk)
_ANY = msgspec.json.Decoder(dict[str, object])


class ChatStreamDecoder(ChatDecoder):
    """Decodes the events of one streamed chat completion.

    The stream ends with ``[DONE]``. Imitators that never send it end properly when each choice had its finish reason.
    """

    def __init__(self, provider: str, model: str) -> None:
        super().__init__(provider, model)
        self._called: set[int] = set()
        self._unfinished: set[int] = set()
        self._finished = False
        self._latest = b""

    def feed(self, event: ServerSentEvent) -> Sequence[ChatCompletionChunk]:
        """Decode one event: none or one of ours."""
        data = event.data
        if data == b"[DONE]":
            self.done = True
            return ()
        self._latest = data
        try:
            chunk = decode_leniently(_CHUNK if b'"delta"' in data or b'"message"' not in data else _ODD, data)
        except msgspec.DecodeError as error:
            if data.strip() == b"[DONE]":
                self.done = True
                return ()
            if event.event == "error":
                raise self._reported(data) from None
            raise self._unreadable(error, data) from error
        chunk.attach(raw=data)
        if chunk.usage is not None:
            self.usage = normal_usage(chunk.usage, data, service_tier=chunk.service_tier)
            force_setattr(chunk, "usage", self.usage)
        if not chunk.choices:
            if chunk.usage is None or event.event == "error":
                self._raise_error(data)
            return (chunk,)
        for choice in chunk.choices:
            delta = choice.delta
            if delta.tool_calls:
                self._called.add(choice.index)
            if delta.reasoning is not None:
                force_setattr(delta, "reasoning_content", delta.reasoning_content or delta.reasoning)
                force_setattr(delta, "reasoning", None)
            if choice.finish_reason is not None:
                self._finish(choice, data)
            elif not self._finished:
                self._unfinished.add(choice.index)
        return (chunk,)

    def _finish(self, choice: ChunkChoice, data: bytes) -> None:
        reason = choice.finish_reason or ""
        if reason == "error":
            self._raise_error(data)
        known = finish_reason(reason, called=choice.index in self._called)
        if known != reason:
            force_setattr(choice, "native_finish_reason", choice.native_finish_reason or reason)
            force_setattr(choice, "finish_reason", known)
        self._unfinished.discard(choice.index)
        self._finished = True

    def _raise_error(self, data: bytes) -> None:
        """Raise the error that an event tells, if it tells one."""
        try:
            told = _ANY.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        choices = told.get("choices")
        for choice in cast("list[object]", choices) if isinstance(choices, list) else ():
            if isinstance(choice, Mapping) and cast("Mapping[str, object]", choice).get("error"):
                # As OpenRouter has it, too.
                data = msgspec.json.encode({"error": cast("Mapping[str, object]", choice)["error"]})
                raise self._reported(data)
        if told.get("error") or (told.keys() & {"detail", "message", "errors", "base_resp"} and "choices" not in told):
            raise self._reported(data)

    def _read(self, body: bytes) -> ChatCompletionResponse:
        return read_reply(body, provider=self._provider, model=self._model)

    def end(self) -> Sequence[ChatCompletionChunk]:
        """The body has ended."""
        if self.done or (self._finished and not self._unfinished):
            self.done = True
            return ()
        # What broke it off may stand beside the last choices.
        self._raise_error(self._latest)
        raise self._cut_off("neither a finish reason nor [DONE] came")

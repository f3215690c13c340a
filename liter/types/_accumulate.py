"""Joins the events of a stream into the reply that the same call would have had without one."""

import base64
import binascii
from collections.abc import Iterable

from ._chat_chunk import ChatCompletionChunk, ChunkChoice, FunctionCallDelta, ToolCallDelta
from ._chat_response import ChatCompletionResponse, Choice, Logprobs, TokenLogprob
from ._message import Annotation, AssistantMessage, Audio, NativeContent
from ._response import JsonObject
from ._tool import CustomCall, FunctionCall, ToolCall
from ._usage import Usage


def accumulate(chunks: Iterable[ChatCompletionChunk]) -> ChatCompletionResponse:
    """Join the events of one stream, all of them or those that came before it broke.

    Text, refusals, reasoning, arguments and log probabilities are joined per choice; of usage and of facts about
    the reply the last that was told counts. Nothing is invented: what no event told is absent. What came before a chunk
    with ``restarted`` is forgotten.
    """
    whole = _Whole()
    for chunk in chunks:
        if chunk.restarted:
            whole = _Whole()
        whole.add(chunk)
    return whole.response()


class _Call:
    __slots__ = ("arguments", "custom", "id", "index", "name", "type")

    def __init__(self, index: int | None) -> None:
        self.index = index
        self.id = ""
        self.type: str | None = None
        self.name = ""
        self.arguments: list[str] = []
        self.custom = False

    def add(self, delta: ToolCallDelta) -> None:
        self.id = self.id or delta.id or ""
        self.type = self.type or delta.type
        if delta.custom is not None:
            self.custom = True
            self.name = self.name or delta.custom.name or ""
            self.arguments.append(delta.custom.input or "")
        elif delta.function is not None:
            self.name = self.name or delta.function.name or ""
            self.arguments.append(delta.function.arguments or "")

    def whole(self) -> ToolCall:
        text = "".join(self.arguments)
        if self.custom:
            return ToolCall(id=self.id, type=self.type or "custom", custom=CustomCall(self.name, text))
        return ToolCall(id=self.id, type=self.type or "function", function=FunctionCall(self.name, text))


class _Choice:
    """The state of one choice. Fragments are kept in lists: joining strings one by one is quadratic."""

    def __init__(self) -> None:
        self.content: list[str] = []
        self.refusal: list[str] = []
        self.reasoning: list[str] = []
        self.calls: list[_Call] = []
        self.function_call: _Call | None = None
        self.reasoning_details: list[JsonObject] = []
        self.audio: list[Audio] = []
        self.annotations: list[Annotation] = []
        self.images: list[JsonObject] = []
        self.thinking_blocks: list[JsonObject] = []
        self.tool_plan: list[str] = []
        self.native: NativeContent | None = None
        self.logprobs: list[Logprobs] = []
        self.finish_reason: str | None = None
        self.native_finish_reason: str | None = None
        self.stop_sequence: str | None = None

    def add(self, choice: ChunkChoice) -> None:
        delta = choice.delta
        if delta.content is not None:
            self.content.append(delta.content)
        if delta.refusal is not None:
            self.refusal.append(delta.refusal)
        if delta.reasoning_content is not None:
            self.reasoning.append(delta.reasoning_content)
        elif delta.reasoning is not None:
            self.reasoning.append(delta.reasoning)
        for call in delta.tool_calls or ():
            self._call(call).add(call)
        if delta.function_call is not None:
            self.function_call = self.function_call or _Call(None)
            self.function_call.add(ToolCallDelta(function=delta.function_call))
        for detail in delta.reasoning_details or ():
            self._detail(detail)
        if delta.audio is not None:
            self.audio.append(delta.audio)
        self.annotations += delta.annotations or ()
        self.images += delta.images or ()
        self.thinking_blocks += delta.thinking_blocks or ()
        if delta.tool_plan is not None:
            self.tool_plan.append(delta.tool_plan)
        self.native = delta.native_content or self.native
        if choice.logprobs is not None:
            self.logprobs.append(choice.logprobs)
        self.finish_reason = choice.finish_reason or self.finish_reason
        self.native_finish_reason = choice.native_finish_reason or self.native_finish_reason
        self.stop_sequence = choice.stop_sequence or self.stop_sequence

    def _call(self, delta: ToolCallDelta) -> _Call:
        """Find the call that a fragment goes on with, or begin one.

        The index decides. Providers that leave it out, or send 0 for all, begin each call with an id of its own.
        """
        calls = self.calls
        if delta.index is None:
            found = calls[-1] if calls else None
            if delta.id:
                found = next((call for call in calls if call.id == delta.id), None)
        else:
            found = next((call for call in reversed(calls) if call.index == delta.index), None)
            if found is not None and delta.id and found.id and delta.id != found.id and _name(delta):
                found = next((call for call in calls if call.id == delta.id), None)
        if found is None:
            found = _Call(delta.index)
            calls.append(found)
        return found

    def _detail(self, detail: JsonObject) -> None:
        """Add a piece of OpenRouter's reasoning_details: pieces of one index and type are one block."""
        last = self.reasoning_details[-1] if self.reasoning_details else None
        if last is None or any(last.get(key) != detail.get(key) for key in ("type", "index")):
            self.reasoning_details.append(dict(detail))
            return
        for key, value in detail.items():
            before = last.get(key)
            if key in ("text", "summary", "data") and isinstance(value, str) and isinstance(before, str):
                last[key] = before + value
            elif value is not None:
                last[key] = value

    def whole(self, index: int) -> Choice:
        message = AssistantMessage(
            content="".join(self.content) if self.content else None,
            refusal="".join(self.refusal) or None,
            tool_calls=[call.whole() for call in self.calls] or None,
            function_call=None if self.function_call is None else self.function_call.whole().function,
            audio=_joined_audio(self.audio),
            annotations=self.annotations or None,
            images=self.images or None,
            reasoning_content="".join(self.reasoning) or None,
            reasoning_details=self.reasoning_details or None,
            thinking_blocks=self.thinking_blocks or None,
            tool_plan="".join(self.tool_plan) or None,
            native_content=self.native,
        )
        return Choice(
            index=index,
            message=message,
            finish_reason=self.finish_reason,
            logprobs=joined_logprobs(self.logprobs),
            native_finish_reason=self.native_finish_reason,
            stop_sequence=self.stop_sequence,
        )


class _Whole:
    def __init__(self) -> None:
        self.choices: dict[int, _Choice] = {}
        self.id = ""
        self.model = ""
        self.created = 0
        self.usage: Usage | None = None
        self.service_tier: str | None = None
        self.system_fingerprint: str | None = None
        self.provider: str | None = None
        self.citations: list[str] | None = None
        self.search_results: list[JsonObject] | None = None
        self.moderation: JsonObject | None = None
        self.native: JsonObject = {}

    def add(self, chunk: ChatCompletionChunk) -> None:
        for choice in chunk.choices:
            state = self.choices.get(choice.index)
            if state is None:
                state = self.choices[choice.index] = _Choice()
            state.add(choice)
        self.id = self.id or chunk.id
        self.model = self.model or chunk.model
        self.created = self.created or chunk.created
        self.usage = chunk.usage or self.usage
        self.service_tier = chunk.service_tier or self.service_tier
        self.system_fingerprint = chunk.system_fingerprint or self.system_fingerprint
        self.provider = chunk.provider or self.provider
        self.citations = chunk.citations or self.citations
        self.search_results = chunk.search_results or self.search_results
        self.moderation = chunk.moderation or self.moderation
        if chunk.native is not None:
            self.native.update(chunk.native)

    def response(self) -> ChatCompletionResponse:
        return ChatCompletionResponse(
            id=self.id,
            created=self.created,
            model=self.model,
            choices=[state.whole(index) for index, state in sorted(self.choices.items())],
            usage=self.usage,
            service_tier=self.service_tier,
            system_fingerprint=self.system_fingerprint,
            provider=self.provider,
            citations=self.citations,
            search_results=self.search_results,
            moderation=self.moderation,
            native=self.native or None,
        )


def _name(delta: ToolCallDelta) -> str | None:
    part: FunctionCallDelta | None = delta.function
    return delta.custom.name if delta.custom is not None else part.name if part is not None else None


def joined_logprobs(parts: list[Logprobs]) -> Logprobs | None:
    """The log probabilities of all pieces; ``None`` of none."""
    if not parts:
        return None

    def joined(lists: list[list[TokenLogprob] | None]) -> list[TokenLogprob] | None:
        told = [tokens for tokens in lists if tokens is not None]
        return [token for tokens in told for token in tokens] if told else None

    return Logprobs(
        content=joined([part.content for part in parts]),
        refusal=joined([part.refusal for part in parts]),
        reasoning_content=joined([part.reasoning_content for part in parts]),
    )


def _joined_audio(parts: list[Audio]) -> Audio | None:
    if not parts:
        return None
    data = [part.data for part in parts if part.data]
    return Audio(
        id=next((part.id for part in parts if part.id), ""),
        data=_joined_base64(data) if data else None,
        expires_at=next((part.expires_at for part in parts if part.expires_at), None),
        transcript="".join(part.transcript or "" for part in parts) or None,
    )


def _joined_base64(parts: list[str]) -> str:
    # Each piece is padded by itself, so joining the text would not decode.
    try:
        return base64.b64encode(b"".join(base64.b64decode(part, validate=True) for part in parts)).decode("ascii")
    except binascii.Error:
        return "".join(parts)

"""One candidate of a reply, built up of the parts that come: at once, or event by event."""

from collections.abc import Mapping, Sequence
from typing import cast

from ..types import (
    Audio,
    ChunkChoice,
    Delta,
    FunctionCallDelta,
    Logprobs,
    NativeContent,
    TokenLogprob,
    ToolCallDelta,
    TopLogprob,
)
from ._gemini_arguments import PartialArguments
from ._gemini_calls import call_of, made_up_id, text_of_parts
from ._gemini_grounding import annotations_of
from ._gemini_json import JsonObject, fields_of, number_of, objects_of, text_of, word_of

FINISH_REASONS: Mapping[str, str] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        (
            "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "JAILBREAK",
            "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
        ),
        "content_filter",
    ),
}  # fmt: skip

# A server that was asked for numbers in place of words; beyond these the two services count differently.
_NUMBERS = {"0": "FINISH_REASON_UNSPECIFIED", "1": "STOP", "2": "MAX_TOKENS", "3": "SAFETY", "4": "RECITATION"}

# What a message in OpenAI's form says without loss, in the order in which it goes back.
_THOUGHT, _TEXT, _CALL = 0, 1, 2

# What is told elsewhere.
_TOLD = frozenset({"content", "finishReason", "index", "logprobsResult"})


def _parts(content: object) -> list[JsonObject]:
    """The parts of a content; some gateways have one without a list around it, or a text in place of all."""
    if isinstance(content, str):
        return [{"text": content}]
    parts = fields_of(content).get("parts")
    return [fields_of(cast("object", parts))] if isinstance(parts, dict) else objects_of(parts)


class Candidate:
    """One of the replies that a stream builds up."""

    def __init__(self, index: int, provider: str) -> None:
        self.index = index
        self.finish: str | None = None
        self.facts: JsonObject = {}
        self._provider = provider
        self._blocks: list[JsonObject] = []
        self._run: list[str] = []
        self._thinks = False
        self._calls = 0
        self._open: _OpenCall | None = None
        self._begun = False
        self._blocked = False

    def take(self, told: Mapping[str, object], response_id: str) -> list[ChunkChoice]:
        """Take what an event tells of the candidate: what it adds, for the caller.

        :raises ValueError: the event contradicts those before it
        """
        for name, value in told.items():
            if name not in _TOLD:
                self._learn(name, value)
        reason = word_of(told.get("finishReason"))
        if reason is not None:
            self.finish = _NUMBERS.get(reason, reason)
        deltas = [delta for part in _parts(told.get("content")) for delta in self._part(part, response_id)]
        logprobs = _logprobs(fields_of(told.get("logprobsResult")))
        made = [ChunkChoice(index=self.index, delta=delta) for delta in deltas]
        if logprobs is not None:
            made.append(ChunkChoice(index=self.index, logprobs=logprobs))
        if made and not self._begun:
            self._begun = True
            made.insert(0, ChunkChoice(index=self.index, delta=Delta(role="assistant")))
        return made

    def _learn(self, name: str, value: object) -> None:
        # The last event often repeats a fact without its content.
        if isinstance(value, dict):
            new = {key: held for key, held in fields_of(cast("object", value)).items() if held != []}
            self.facts[name] = {**fields_of(self.facts.get(name)), **new}
        elif value is not None and value != []:
            self.facts[name] = value

    def _part(self, part: JsonObject, response_id: str) -> Sequence[Delta]:
        call = part.get("functionCall")
        if isinstance(call, dict):
            return self._call(part, fields_of(cast("object", call)), response_id)
        text = text_of(part.get("text"))
        thinks = part.get("thought") is True
        if text is not None and part.keys() <= {"text", "thought"}:
            if thinks != self._thinks:
                self._close_run()
                self._thinks = thinks
            self._run.append(text)
        else:
            self._close_run()
            self._blocks.append(part)
        if text:
            return [Delta(reasoning_content=text) if thinks else Delta(content=text)]
        return _data(fields_of(part.get("inlineData"))) if not thinks else ()

    def _close_run(self) -> None:
        """End a run of pieces of one text, which are one part."""
        text = "".join(self._run)
        self._run = []
        if text:
            self._blocks.append({"text": text, "thought": True} if self._thinks else {"text": text})

    def _call(self, part: JsonObject, call: JsonObject, response_id: str) -> list[Delta]:
        deltas: list[Delta] = []
        opened = self._open
        if opened is not None and text_of(call.get("name")):
            deltas += self._close_call()
            opened = None
        partial = opened is not None or call.get("willContinue") is True or "partialArgs" in call
        if not partial:
            self._close_run()
            self._blocks.append(part)
            call_id, name, arguments = call_of(part)
            return [*deltas, self._call_delta(call_id, name, arguments, response_id)]
        if opened is None:
            self._close_run()
            opened = self._open = _OpenCall(self._calls, part)
            call_id, name, _ = call_of(part)
            deltas.append(self._call_delta(call_id, name, "", response_id))
        opened.add(call)
        return deltas if call.get("willContinue") is True else [*deltas, *self._close_call()]

    def _call_delta(self, call_id: str | None, name: str, arguments: str, response_id: str) -> Delta:
        number = self._calls
        self._calls += 1
        function = FunctionCallDelta(name=name, arguments=arguments)
        made = call_id or made_up_id(response_id, self.index, number)
        return Delta(tool_calls=[ToolCallDelta(index=number, id=made, type="function", function=function)])

    def _close_call(self) -> list[Delta]:
        opened, self._open = self._open, None
        if opened is None:
            return []
        block = opened.whole()
        self._blocks.append(block)
        function = FunctionCallDelta(arguments=call_of(block)[2])
        return [Delta(tool_calls=[ToolCallDelta(index=opened.number, function=function)])]

    def block(self, reason: str) -> None:
        """The prompt was blocked, for a reason of its own list: there is nothing else to come."""
        self.finish, self._blocked, self._begun = reason, True, True

    def close(self) -> list[ChunkChoice]:
        """All has come: tell what is known only now."""
        deltas = self._close_call()
        self._close_run()
        text = text_of_parts(self._blocks)
        finish = self.finish
        word = None if finish is None else FINISH_REASONS.get(finish, "content_filter" if self._blocked else finish)
        message = text_of(self.facts.get("finishMessage"))
        native = native_content(self._blocks, self._provider)
        final = Delta(
            role=None if self._begun else "assistant",
            refusal=message if word == "content_filter" else None,
            annotations=annotations_of(self.facts, text) or None,
            thinking_blocks=[block for block in self._blocks if block.get("thought") is True] or None,
            native_content=native,
        )
        self._begun = True
        made = [ChunkChoice(index=self.index, delta=delta) for delta in deltas]
        made.append(
            ChunkChoice(
                index=self.index,
                delta=final,
                finish_reason="tool_calls" if word == "stop" and self._calls else word,
                native_finish_reason=finish,
            )
        )
        return made

    @property
    def rest(self) -> JsonObject | None:
        """The facts that a reply in OpenAI's form has no place for."""
        return {"index": self.index, **self.facts} if self.facts else None


class _OpenCall:
    """A call whose arguments come value by value."""

    def __init__(self, number: int, part: JsonObject) -> None:
        self.number = number
        self._part = part
        self._arguments = PartialArguments()

    def add(self, call: JsonObject) -> None:
        self._arguments.update(fields_of(call.get("args")))
        self._arguments.add(call.get("partialArgs"))

    def whole(self) -> JsonObject:
        """The part as it would have come at once."""
        call = fields_of(self._part.get("functionCall"))
        kept = {name: value for name, value in call.items() if name not in ("partialArgs", "willContinue")}
        return {**self._part, "functionCall": {**kept, "args": self._arguments.whole()}}


def native_content(blocks: Sequence[JsonObject], provider: str) -> NativeContent | None:
    """All parts as they are, where OpenAI's form would lose one, its signature, or their order."""
    places = [_place(block) for block in blocks]
    known = [place for place in places if place is not None]
    if len(known) == len(blocks) and known == sorted(known):
        return None
    return NativeContent(provider=provider, blocks=list(blocks))


def _place(block: JsonObject) -> int | None:
    keys = block.keys()
    if keys <= {"text", "thought"} and isinstance(block.get("text"), str):
        return _THOUGHT if block.get("thought") is True else _TEXT
    if keys <= {"functionCall", "thought"} and block.get("thought") is not True:
        return _CALL if fields_of(block.get("functionCall")).keys() <= {"name", "args", "id"} else None
    return None


def _data(inline: JsonObject) -> Sequence[Delta]:
    kind, data = text_of(inline.get("mimeType")) or "", text_of(inline.get("data"))
    if data and kind.startswith("image/"):
        return [Delta(images=[{"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}])]
    if data and kind.startswith("audio/"):
        return [Delta(audio=Audio(data=data))]
    return ()


def _logprobs(told: JsonObject) -> Logprobs | None:
    chosen = objects_of(told.get("chosenCandidates"))
    if not chosen:
        return None
    others = [objects_of(one.get("candidates")) for one in objects_of(told.get("topCandidates"))]
    return Logprobs(
        content=[
            TokenLogprob(
                token=text_of(one.get("token")) or "",
                logprob=number_of(one.get("logProbability")) or 0.0,
                top_logprobs=[
                    TopLogprob(
                        token=text_of(other.get("token")) or "", logprob=number_of(other.get("logProbability")) or 0.0
                    )
                    for other in (others[place] if place < len(others) else ())
                ],
            )
            for place, one in enumerate(chosen)
        ]
    )

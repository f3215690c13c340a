"""Rules applied to the chunks of a stream."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, cast

from msgspec.structs import astuple, replace

from ..types import (
    Audio,
    ChatCompletionChunk,
    ChunkChoice,
    CustomCallDelta,
    Delta,
    FunctionCallDelta,
    Logprobs,
    ToolCallDelta,
)
from ..types._accumulate import joined_logprobs
from ._guarded_value import GuardedValue
from ._guardrail_rule import Rule
from ._rolling_json import RollingJson
from ._rolling_text import RollingText
from ._rule_set import RuleSet
from ._text_fields import REPEATS

_TEXTS = ("content", "refusal", "reasoning_content", "reasoning", "tool_plan")
# What tells of the reply as a whole.
_FACTS = ("usage", "citations", "search_results", "moderation", "native")
_NO_FACTS: Mapping[str, object] = dict[str, object].fromkeys(_FACTS)
_NO_REPEATS: Mapping[str, object] = dict[str, object].fromkeys(REPEATS)
_NOTHING = Delta()
_PLACES = {name: place for place, name in enumerate(Delta.__struct_fields__)}
_ALL_BUT_ONE = len(Delta.__struct_fields__) - 1
_NO_MORE = (None,) * (len(Delta.__struct_fields__) - 2)


class _Rolling(Protocol):
    def passes(self, text: str) -> bool: ...
    def add(self, text: str, *, last: bool = False) -> str: ...


class _ToolCall:
    """What is held of one tool call."""

    __slots__ = ("_custom", "_rolling", "id", "index")

    def __init__(self, delta: ToolCallDelta, rolling: _Rolling) -> None:
        self.index = delta.index
        self.id = delta.id
        self._custom = delta.custom is not None
        self._rolling = rolling

    def add(self, delta: ToolCallDelta) -> ToolCallDelta | None:
        function, custom = delta.function, delta.custom
        if custom is not None:
            text = self._rolling.add(custom.input or "") or None
            custom = replace(custom, input=text)
            empty = custom.name is None
        elif function is not None:
            text = self._rolling.add(function.arguments or "") or None
            function = replace(function, arguments=text)
            empty = function.name is None
        else:
            return delta
        if text is None and empty and delta.id is None:
            return None
        return replace(delta, function=function, custom=custom)

    def rest(self) -> ToolCallDelta | None:
        """Give what is held. The index tells of which call, or the id where there is none."""
        text = self._rolling.add("", last=True)
        if not text:
            return None
        whose = self.id if self.index is None else None
        if self._custom:
            return ToolCallDelta(index=self.index, id=whose, custom=CustomCallDelta(input=text))
        return ToolCallDelta(index=self.index, id=whose, function=FunctionCallDelta(arguments=text))


class _Choice:
    """What is held of one choice."""

    def __init__(self) -> None:
        self.texts: dict[str, _Rolling] = {}
        self.told: set[str] = set()
        self.calls: list[_ToolCall] = []
        self.changed = False
        self.open = False
        self.repeats: dict[str, object] = {}
        self.logprobs: list[Logprobs] = []

    def keep(self, choice: ChunkChoice) -> None:
        """Keep what says the text again."""
        for name in REPEATS:
            thing: object = getattr(choice.delta, name)
            if isinstance(thing, list):
                cast("list[object]", self.repeats.setdefault(name, [])).extend(cast("list[object]", thing))
            elif thing is not None:
                self.repeats[name] = thing
        if choice.logprobs is not None:
            self.logprobs.append(choice.logprobs)


class GuardedChunks:
    """Applies rules to the chunks of one stream.

    Held are at most ``window`` characters of each text of each choice, more while a match goes on; and to the choice's
    end what says its text again (log probabilities, signed thinking), as that goes with unchanged text only.

    :param hits: gets each rule that matched
    """

    def __init__(self, rules: RuleSet, window: int, hits: list[Rule]) -> None:
        self._rules = rules
        self._window = window
        self._hits = hits
        self._choices: dict[int, _Choice] = {}
        self._latest: ChatCompletionChunk | None = None
        # Of the choice whose content passed last, its index, and what finds that its text does not pass.
        self._index: int | None = None
        self._finds: Callable[[str], object] = rules.may_begin

    def passes(self, chunk: ChatCompletionChunk) -> bool:
        """Take a chunk, if it is to be handed out as it is. Returns whether; else nothing was done.

        It is for chunks with a text and nothing else, as are most of a stream. What is no chunk passes.
        """
        try:
            (choice,) = chunk.choices
        except ValueError:  # none, or several
            return False
        except AttributeError:
            return True
        if choice.finish_reason is not None or choice.logprobs is not None or chunk.restarted or chunk.search_results:
            return False
        delta = choice.delta
        content = delta.content
        values: tuple[object, ...] = astuple(delta)
        if content is not None and choice.index == self._index and values.count(None) == _ALL_BUT_ONE:
            return self._finds(content) is None
        name = "content"
        if values[2:] != _NO_MORE:
            # A reasoning model thinks in chunks of their own. A role is said beside, and is no text.
            if choice.delta.reasoning_content is None or values[1:].count(None) != len(_NO_MORE):
                return False
            name = "reasoning_content"
        text = values[_PLACES[name]]
        if not isinstance(text, str):
            return False
        state = self._choices.get(choice.index)
        if state is None:
            state = self._choices[choice.index] = _Choice()
        rolling = state.texts.get(name)
        if rolling is None:
            rolling = state.texts[name] = RollingText(self._rules, self._window, self._hits)
        if not rolling.passes(text):
            return False
        state.open = True
        state.told.add(name)
        if name == "content":
            # Nothing is held, and nothing will be before a chunk that does not pass.
            self._index = choice.index
            self._finds = _not_passing(rolling) if self._rules.look_behind else self._rules.may_begin
        return True

    def add(self, chunk: ChatCompletionChunk) -> ChatCompletionChunk | None:
        """Take a chunk, and give what can be handed out in its place; ``None`` where that is nothing.

        :raises BlockedError: a rule says so
        """
        self._index = None
        if chunk.restarted:
            # What is held is of an answer that nobody is to see any more.
            self._choices.clear()
        if chunk.search_results:
            sources = GuardedValue(self._rules, self._window, self._hits).items(chunk.search_results)
            chunk = replace(chunk, search_results=sources)
        if not chunk.choices:
            return chunk
        self._latest = chunk
        guarded = [self._guard(choice, last=choice.finish_reason is not None) for choice in chunk.choices]
        choices = [choice for choice in guarded if choice is not None]
        if not choices and not chunk.restarted and all(getattr(chunk, name) is None for name in _FACTS):
            return None
        return replace(chunk, choices=choices)

    def end(self) -> ChatCompletionChunk | None:
        """Give what is held of choices that no event ended; ``None`` where that is nothing.

        :raises BlockedError: a rule says so
        """
        unended = [index for index, state in self._choices.items() if state.open]
        guarded = [self._guard(ChunkChoice(index=index), last=True) for index in unended]
        choices = [choice for choice in guarded if choice is not None and choice != ChunkChoice(index=choice.index)]
        if self._latest is None or not choices:
            return None
        return replace(self._latest, choices=choices, restarted=False, **_NO_FACTS)

    def _guard(self, choice: ChunkChoice, *, last: bool) -> ChunkChoice | None:
        state = self._choices.get(choice.index)
        if state is None:
            state = self._choices[choice.index] = _Choice()
        state.open = not last
        state.keep(choice)
        before = len(self._hits)
        changes = self._texts(state, choice.delta, last=last)
        changes["tool_calls"] = self._tool_calls(state, choice.delta.tool_calls or (), last=last) or None
        state.changed = state.changed or len(self._hits) > before
        logprobs = None
        if last:
            guard = GuardedValue(self._rules, self._window, self._hits)
            changes.update(guard.repeats(state.repeats, changed=state.changed))
            # A repeat that is left out is a change, as in a whole reply.
            changed = state.changed or len(self._hits) > before
            logprobs = None if changed else joined_logprobs(state.logprobs)
            state.repeats, state.logprobs = {}, []
        delta = replace(choice.delta, **{**_NO_REPEATS, **changes})
        if not last and delta == _NOTHING and choice.native_finish_reason is None and choice.stop_sequence is None:
            return None
        return replace(choice, delta=delta, logprobs=logprobs)

    def _texts(self, state: _Choice, delta: Delta, *, last: bool) -> dict[str, object]:
        changes: dict[str, object] = {name: self._text(state, name, getattr(delta, name), last=last) for name in _TEXTS}
        call, audio = delta.function_call, delta.audio
        arguments = self._text(state, "arguments", None if call is None else call.arguments, last=last)
        if call is not None or arguments:
            changes["function_call"] = replace(call or FunctionCallDelta(), arguments=arguments)
        transcript = self._text(state, "transcript", None if audio is None else audio.transcript, last=last)
        if audio is not None or transcript:
            changes["audio"] = replace(audio or Audio(), transcript=transcript)
        return changes

    def _text(self, state: _Choice, name: str, text: str | None, *, last: bool) -> str | None:
        rolling = state.texts.get(name)
        if text is None and (rolling is None or not last):
            return None
        if rolling is None:
            rolling = state.texts[name] = (RollingJson if name == "arguments" else RollingText)(
                self._rules, self._window, self._hits
            )
        given = rolling.add(text or "", last=last)
        # An empty text is a text: a reply that says nothing has one, and so has one of which nothing was left.
        if given or text == "" or (last and name not in state.told):
            state.told.add(name)
            return given
        return None

    def _tool_calls(self, state: _Choice, deltas: Sequence[ToolCallDelta], *, last: bool) -> list[ToolCallDelta]:
        given: list[ToolCallDelta | None] = []
        for delta in deltas:
            call = _begun(state.calls, delta)
            if call is None:
                rolling = RollingText if delta.custom is not None else RollingJson
                call = _ToolCall(delta, rolling(self._rules, self._window, self._hits))
                # One that had its index before can be told no more of by it.
                given += [
                    other.rest() for other in state.calls if other.index is not None and other.index == call.index
                ]
                state.calls.append(call)
            given.append(call.add(delta))
        if last:
            given += [call.rest() for call in state.calls]
        return [delta for delta in given if delta is not None]


def _not_passing(rolling: _Rolling) -> Callable[[str], object]:
    return lambda text: None if rolling.passes(text) else text


def _begun(calls: list[_ToolCall], delta: ToolCallDelta) -> _ToolCall | None:
    """Find the call that a fragment goes on with, as ``accumulate`` does: by index, or by id where that says more."""
    if delta.index is None:
        if not delta.id:
            return calls[-1] if calls else None
    else:
        found = next((call for call in reversed(calls) if call.index == delta.index), None)
        named = (delta.function is not None and delta.function.name) or (delta.custom is not None and delta.custom.name)
        if found is None or not (named and delta.id and found.id and delta.id != found.id):
            return found
    return next((call for call in calls if call.id == delta.id), None)

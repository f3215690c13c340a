"""Rules applied to the events of streams that are no chats: responses, text completions, transcriptions."""

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar, cast

import msgspec
from msgspec.structs import replace

from ..types import CompletionChoice, CompletionResponse, ResponseEvent, TranscriptionEvent
from ._guarded_value import GuardedValue
from ._guardrail_rule import Rule
from ._quiet import is_quiet
from ._rolling_json import RollingJson
from ._rolling_text import RollingText
from ._rule_set import RuleSet

E = TypeVar("E", bound=msgspec.Struct)

# Of a text: what kind it is, and of which item, part and summary.
_Place = tuple[object, ...]

_DELTA, _DONE = ".delta", ".done"
# The only delta that is no text, but base64.
_SOUND = "response.audio.delta"
# With these events everything within them is over, the last kinds with all of the response.
_WHOLES = ("response.output_item.done", "response.content_part.done", "response.reasoning_summary_part.done")
# Elsewhere ``code`` is that of an error.
_CODE_DONE = "response.code_interpreter_call_code.done"
_LAST = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")


class Guarded(Protocol):
    """Applies rules to the events of one stream; both methods raise ``BlockedError`` where a rule says so."""

    def add(self, event: object) -> list[object]:
        """Take an event, and give what can be handed out in its place."""
        ...

    def end(self) -> list[object]:
        """Give what is held still."""
        ...


class _Text(Generic[E]):
    """One text of a stream, and the event that it came with last."""

    __slots__ = ("latest", "rolling")

    def __init__(self, rolling: RollingText | RollingJson) -> None:
        self.rolling = rolling
        self.latest: E | None = None


class GuardedDeltas:
    """Applies rules to events that have a text piece by piece, and then tell it again as a whole.

    Each text by itself is held back as that of a chat. What tells it again (``...done`` events, items, the response at
    the end) is looked at as a whole reply is. An event that is changed has no ``raw``.

    :param hits: gets each rule that matched; one that matches in what is told again is in it already
    """

    def __init__(self, rules: RuleSet, window: int, hits: list[Rule]) -> None:
        self._rules = rules
        self._window = window
        self._hits = hits
        self._texts: dict[_Place, _Text[ResponseEvent | TranscriptionEvent]] = {}
        self._matched: list[Rule] = []

    def add(self, event: object) -> list[object]:
        """Take an event, and give what can be handed out in its place. :raises BlockedError: a rule says so"""
        if not isinstance(event, ResponseEvent | TranscriptionEvent):
            return [event]
        kind = event.type
        if kind.endswith(_DELTA) and isinstance(event.delta, str) and kind != _SOUND:
            return self._delta(event)
        return [*self._rests(self._ended_by(event)), self._whole(event)]

    def end(self) -> list[object]:
        """Give what is held of texts that no event ended. :raises BlockedError: a rule says so"""
        return self._rests(tuple(self._texts))

    def _ended_by(self, event: ResponseEvent | TranscriptionEvent) -> Sequence[_Place]:
        """Tell which texts are over."""
        if event.type in _LAST:
            return tuple(self._texts)
        place = _place(event, _DONE)
        if event.type not in _WHOLES:
            return (place,) if event.type.endswith(_DONE) and place in self._texts else ()
        return [
            text
            for text in self._texts
            if all(told in (None, own) for told, own in zip(place[1:], text[1:], strict=True))
        ]

    def _rests(self, places: Sequence[_Place]) -> list[object]:
        rests = [self._rest(place) for place in places]
        return [rest for rest in rests if rest is not None]

    def _delta(self, event: ResponseEvent | TranscriptionEvent) -> list[object]:
        place, delta = _place(event, _DELTA), cast("str", event.delta)
        text = self._texts.get(place)
        if text is None:
            kind = RollingJson if "arguments" in event.type else RollingText
            text = self._texts[place] = _Text(kind(self._rules, self._window, self._hits))
        text.latest = event
        if text.rolling.passes(delta):
            return [event]
        given = self._noted(text.rolling.add(delta))
        if given == delta:
            return [event]
        return [_told(event, given)] if given else []

    def _rest(self, place: _Place) -> object | None:
        text = self._texts.pop(place)
        if text.latest is None:
            return None
        rest = self._noted(text.rolling.add("", last=True))
        return _told(text.latest, rest) if rest else None

    def _whole(self, event: E) -> E:
        code = event.code if isinstance(event, ResponseEvent) and event.type == _CODE_DONE else None
        if code is None and is_quiet(self._rules, event):
            return event
        hits: list[Rule] = []
        guard = GuardedValue(self._rules, self._window, hits)
        try:
            whole = cast("E", guard.reply(event))
            if code is not None and (given := guard.text(code)) is not code:
                whole = replace(whole, code=given)
            return whole
        finally:
            new = [rule for rule in hits if rule not in self._matched]
            self._hits += new
            self._noted("")

    def _noted(self, given: str) -> str:
        self._matched += [rule for rule in self._hits if rule not in self._matched]
        return given


class GuardedCompletions:
    """Applies rules to the pieces of text completions, of each choice by itself.

    :param hits: gets each rule that matched
    """

    def __init__(self, rules: RuleSet, window: int, hits: list[Rule]) -> None:
        self._rules = rules
        self._window = window
        self._hits = hits
        self._texts: dict[int, RollingText] = {}
        self._latest: CompletionResponse | None = None

    def add(self, event: object) -> list[object]:
        """Take a piece, and give what can be handed out in its place. :raises BlockedError: a rule says so"""
        if not isinstance(event, CompletionResponse) or not event.choices:
            return [event]
        self._latest = event
        guarded = [self._guard(choice) for choice in event.choices]
        if all(new is old for new, old in zip(guarded, event.choices, strict=True)):
            return [event]
        choices = [choice for choice in guarded if choice is not None]
        return [replace(event, choices=choices)] if choices or event.usage is not None else []

    def end(self) -> list[object]:
        """Give what is held of choices that no piece ended. :raises BlockedError: a rule says so"""
        rests = {index: rolling.add("", last=True) for index, rolling in self._texts.items()}
        choices = [CompletionChoice(index=index, text=text) for index, text in rests.items() if text]
        self._texts.clear()
        return [replace(self._latest, choices=choices, usage=None)] if self._latest is not None and choices else []

    def _guard(self, choice: CompletionChoice) -> CompletionChoice | None:
        last = choice.finish_reason is not None
        rolling = self._texts.get(choice.index)
        if rolling is None:
            rolling = self._texts[choice.index] = RollingText(self._rules, self._window, self._hits)
        if not last and rolling.passes(choice.text):
            return choice
        text = rolling.add(choice.text, last=last)
        if last:
            del self._texts[choice.index]
        if text == choice.text:
            return choice
        return replace(choice, text=text, logprobs=None) if text or last else None


def _place(event: ResponseEvent | TranscriptionEvent, ending: str) -> _Place:
    """Tell which text an event is about."""
    kind = event.type.removesuffix(ending)
    if isinstance(event, TranscriptionEvent):
        return (kind,)
    return kind, event.item_id, event.output_index, event.content_index, event.summary_index


def _told(event: ResponseEvent | TranscriptionEvent, text: str) -> object:
    """The event with another text, and without what tells the text as it came."""
    if isinstance(event, TranscriptionEvent):
        return replace(event, delta=text, logprobs=None)
    return replace(event, delta=text)

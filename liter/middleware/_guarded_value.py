"""Rules applied to a whole request or reply."""

from collections.abc import Mapping, Sequence
from typing import TypeVar, cast

import msgspec
from msgspec.structs import replace

from ..types import AssistantMessage, SearchResponse, SearchResult
from ._guardrail_rule import Rule
from ._rolling_json import RollingJson
from ._rolling_text import RollingText
from ._rule_set import RuleSet
from ._text_fields import ARGUMENTS, REPEATS, TEXTS, text_fields

S = TypeVar("S", bound=msgspec.Struct)

# What the caller's code says, not its users: a schema that was changed would be another one.
SCHEMAS = frozenset({"tools", "functions", "tool_choice", "function_call", "response_format"})
# What says the text again in pieces, in which no rule would find it.
_TOKEN_BY_TOKEN = ("logprobs", "words")
# The item of which ``code`` is one. Elsewhere it is that of an error.
_CODE = "code_interpreter_call"
# What has texts under names of the application's own, or of a search engine's; and how the texts in it are called here.
_NAMED_FREELY = frozenset({"documents", "document", "variables"})
_ANY_TEXT = "*"


class GuardedValue:
    """Applies rules to a whole request or reply.

    :param hits: gets each rule that matched
    """

    __slots__ = ("_hits", "_rules", "_window")

    def __init__(self, rules: RuleSet, window: int, hits: list[Rule]) -> None:
        self._rules = rules
        self._window = window
        self._hits = hits

    def request(self, request: msgspec.Struct) -> msgspec.Struct:
        """Give the request as the rules want it; the same object where they change nothing.

        :raises BlockedError: a rule says so
        """
        return self._struct(request, skip=SCHEMAS)

    def reply(self, value: object) -> object:
        """Give the reply as the rules want it; the same object where they change nothing.

        :raises BlockedError: a rule says so
        """
        return self._struct(value) if isinstance(value, msgspec.Struct) else value

    def text(self, text: str) -> str:
        """Give a text as the rules want it; the same object where they change nothing.

        :raises BlockedError: a rule says so
        """
        if self._rules.is_quiet(text):
            return text
        new = RollingText(self._rules, self._window, self._hits).add(text, last=True)
        return text if new == text else new

    def items(self, items: list[dict[str, object]]) -> list[dict[str, object]]:
        """Give a list of things as the rules want it. :raises BlockedError: a rule says so"""
        return cast("list[dict[str, object]]", self._value(items, ""))

    def finds(self, thing: object) -> bool:
        """Whether a rule matches in any string of it. :raises BlockedError: a rule says so"""
        before = len(self._hits)
        for text in _strings(thing):
            if self._rules.is_quiet(text):
                continue
            RollingText(self._rules, self._window, self._hits).add(text, last=True)
        return len(self._hits) > before

    def repeats(self, fields: Mapping[str, object], *, changed: bool) -> dict[str, object]:
        """Give those of the fields that may go: where the text was changed, none that says all of it again."""
        safe: dict[str, object] = {}
        for name, thing in fields.items():
            found = self.finds(thing)
            if not found and not (changed and name in ("reasoning_details", "native_content")):
                safe[name] = thing
        return safe

    def _struct(self, thing: S, skip: frozenset[str] = frozenset()) -> S:
        changes: dict[str, object] = {}
        message = isinstance(thing, AssistantMessage)
        engine = isinstance(thing, SearchResult | SearchResponse)
        for name in text_fields(type(thing)):
            old: object = getattr(thing, name)
            if old is not None and name not in skip and not (message and name in REPEATS):
                new = self._value(old, _ANY_TEXT if engine and name == "native" else name)
                if new is not old:
                    changes[name] = new
        if message:
            given = {name: getattr(thing, name) for name in REPEATS if getattr(thing, name) is not None}
            safe = self.repeats(given, changed=bool(changes))
            changes.update((name, None) for name in given if name not in safe)
        if changes and not skip:  # a request has a parameter of that name
            changes.update((name, None) for name in _TOKEN_BY_TOKEN if getattr(thing, name, None) is not None)
        return replace(thing, **changes) if changes else thing

    def _value(self, thing: object, name: str) -> object:
        if isinstance(thing, str):
            if name in ARGUMENTS:
                new = RollingJson(self._rules, self._window, self._hits).add(thing, last=True)
            elif name in TEXTS or name == _ANY_TEXT:
                new = self.text(thing)
            else:
                return thing
            return thing if new == thing else new
        if isinstance(thing, msgspec.Struct):
            return self._struct(thing)
        if isinstance(thing, Mapping):
            old = cast("Mapping[object, object]", thing)
            free = name in _NAMED_FREELY or name == _ANY_TEXT
            new_of = {
                key: self._value(value, _ANY_TEXT if free and key != "id" else str(key)) for key, value in old.items()
            }
            if old.get("type") == _CODE and isinstance(code := old.get("code"), str):
                new_of["code"] = self.text(code)
            if all(new_of[key] is value for key, value in old.items()):
                return old
            return {key: value for key, value in new_of.items() if key not in _TOKEN_BY_TOKEN}
        if isinstance(thing, list | tuple):
            items = cast("Sequence[object]", thing)
            new_items = [self._value(value, name) for value in items]
            return new_items if any(map(_is_not, new_items, items)) else items
        return thing


def _is_not(one: object, other: object) -> bool:
    return one is not other


def _strings(thing: object) -> list[str]:
    found: list[str] = []
    rest = [thing]
    while rest:
        thing = rest.pop()
        if isinstance(thing, str):
            found.append(thing)
        elif isinstance(thing, msgspec.Struct):
            rest += [getattr(thing, name) for name in thing.__struct_fields__]
        elif isinstance(thing, Mapping):
            rest += cast("Mapping[object, object]", thing).values()
        elif isinstance(thing, list | tuple):
            rest += cast("Sequence[object]", thing)
    return found

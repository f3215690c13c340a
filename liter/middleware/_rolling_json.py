"""JSON text that rules are held against while it arrives in pieces."""

import json
import re

from ._guardrail_rule import Rule
from ._rolling_text import RollingText
from ._rule_set import RuleSet

_PLAIN = re.compile(r'[^"\\]+')
_BARE = re.compile(r'[^"{}\[\],:\s]+')
_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\[\"\\/bfnrt]", re.ASCII
)
_ESCAPE_LENGTH = 12
# The beginning of a low surrogate's escape, or nothing yet.
_LOW_HALF = re.compile(r"(\\(u([dD]([c-fC-F][0-9a-fA-F]{0,2})?)?)?)?")


class RollingJson:
    """JSON text that arrives in pieces, as the arguments of a tool. Each string in it is a text by itself.

    Strings are looked at as what they mean, without escapes; what is not matched keeps its spelling, and the whole is
    the JSON that it was. A number (or another bare word) that matches becomes a string. Text that is no JSON object,
    array or string from its first character on is looked at as it is.
    """

    __slots__ = (
        "_bare",
        "_escapes",
        "_hits",
        "_offset",
        "_pending",
        "_plain",
        "_rules",
        "_string",
        "_structure",
        "_taken",
        "_window",
    )

    def __init__(self, rules: RuleSet, window: int, hits: list[Rule]) -> None:
        self._rules = rules
        self._window = window
        self._hits = hits
        self._plain: RollingText | None = None
        self._string: RollingText | None = None
        self._structure = False
        self._pending = ""
        self._bare = ""
        # Of the characters of the open string that were escaped: where they are, and how they were spelled.
        self._escapes: dict[int, str] = {}
        self._offset = 0
        self._taken = 0

    def passes(self, text: str) -> bool:  # where a string of it begins and ends, only add() knows
        """Take nothing."""
        return False

    def add(self, text: str, *, last: bool = False) -> str:
        """Take more JSON text, and give what can be handed out.

        :raises BlockedError: a rule says so
        """
        text, self._pending = self._pending + text, ""
        if self._plain is None and not self._structure:
            first = text.lstrip()[:1]
            if not first and not last:
                self._pending = text
                return ""
            self._structure = first != "" and first in '{["'
            self._plain = None if self._structure else self._text()
        if self._plain is not None:
            return self._plain.add(text, last=last)
        out: list[str] = []
        at = 0
        while at < len(text):
            at = (self._in_string if self._string is not None else self._outside)(text, at, out, last)
        if last:
            self._end_bare(out)
            self._end_string(out)
        return "".join(out)

    def _text(self) -> RollingText:
        return RollingText(self._rules, self._window, self._hits)

    def _outside(self, text: str, at: int, out: list[str], last: bool) -> int:
        if bare := _BARE.match(text, at):
            self._bare += bare.group()
            return bare.end()
        self._end_bare(out)
        out.append(text[at])
        if text[at] == '"':
            self._string = self._text()
        return at + 1

    def _end_bare(self, out: list[str]) -> None:
        if self._bare:
            passages = self._text().passages(self._bare, last=True)
            text = "".join(passage.text for passage in passages)
            substituted = any(passage.substituted for passage in passages)
            out.append(json.dumps(text, ensure_ascii=False) if substituted else text)
            self._bare = ""

    def _in_string(self, text: str, at: int, out: list[str], last: bool) -> int:
        if plain := _PLAIN.match(text, at):
            self._take(plain.group(), out)
            return plain.end()
        if text[at] == '"':
            self._end_string(out)
            out.append('"')
            return at + 1
        escape = _ESCAPE.match(text, at)
        if not last and len(text) - at < _ESCAPE_LENGTH and _may_grow(text[at:], escape):
            self._pending = text[at:]
            return len(text)
        spelled = text[at] if escape is None else escape.group()
        meant = spelled if escape is None else json.loads(f'"{spelled}"')
        self._escapes[self._offset] = spelled
        self._take(meant, out)
        return at + len(spelled)

    def _take(self, text: str, out: list[str], *, last: bool = False) -> None:
        if self._string is not None:
            self._offset += len(text)
            for passage in self._string.passages(text, last=last):
                begin, self._taken = self._taken, self._taken + passage.taken
                spelled = passage.text
                if self._escapes:
                    escapes = [self._escapes.pop(index, "") for index in range(begin, self._taken)]
                    if not passage.substituted:
                        spelled = "".join(escape or char for escape, char in zip(escapes, spelled, strict=True))
                if passage.substituted:
                    spelled = json.dumps(spelled, ensure_ascii=False)[1:-1]
                out.append(spelled)

    def _end_string(self, out: list[str]) -> None:
        self._take("", out, last=True)
        self._string = None
        self._escapes.clear()
        self._offset = self._taken = 0


def _may_grow(text: str, escape: re.Match[str] | None) -> bool:
    """Whether what an escape means depends on characters after ``text``: it is cut, or half of a surrogate pair."""
    if escape is None:
        return re.fullmatch(r"\\(u[0-9a-fA-F]{0,3})?", text) is not None
    half = escape.group().lower()
    return len(half) == 6 and half[2:4] in ("d8", "d9", "da", "db") and _LOW_HALF.fullmatch(text, 6) is not None

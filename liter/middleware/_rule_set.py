"""Rules that are held against one text together, and what tells quickly that none of them matches in it."""

import re
from collections.abc import Sequence

from ._guardrail_rule import Rule

# What an expression may see of the text before its match.
_LOOKS_BEHIND = re.compile(r"\(\?<[=!]|\\[bBA]|\^")


class RuleSet:
    """Rules, in order.

    :ivar searches: of each rule, how its expression is searched for; ``None`` for a function
    :ivar starts: where a match may begin: the first character of the beginning that all matches of a rule have, that
        beginning, and its own beginnings. A rule without one may match from anywhere
    :ivar look_behind: whether a rule may look at text that was handed out already
    """

    __slots__ = ("_expressions", "_functions", "look_behind", "rules", "searches", "starts")

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules: tuple[Rule, ...] = tuple(rules)
        self.searches = [rule.find.search if isinstance(rule.find, re.Pattern) else None for rule in self.rules]
        self._expressions = [search for search in self.searches if search is not None]
        self._functions = [rule for rule in self.rules if not isinstance(rule.find, re.Pattern)]
        self.look_behind: bool = any(
            not isinstance(rule.find, re.Pattern) or _LOOKS_BEHIND.search(rule.find.pattern) for rule in self.rules
        )
        prefixes = sorted({rule.prefix for rule in self.rules})
        self.starts = [
            (prefix[:1], prefix, tuple(prefix[:end] for end in range(1, len(prefix)))) for prefix in prefixes
        ]

    def is_quiet(self, text: str) -> bool:
        """Whether no rule matches anywhere in a whole text, as is so most of the time."""
        for search in self._expressions:
            if search(text) is not None:
                return False
        if not text or not self._functions:
            return True
        return all(next(rule.spans(text, 0), None) is None for rule in self._functions)

    def are_quiet(self, texts: Sequence[str]) -> bool:
        """Whether no rule matches anywhere in any of them."""
        for search in self._expressions:
            if any(map(search, texts)):
                return False
        return not self._functions or all(map(self.is_quiet, texts))

    def cannot_begin(self, text: str) -> bool:
        """Whether no match begins in a text, however it goes on."""
        for first, prefix, beginnings in self.starts:
            if first in text and (prefix in text or text.endswith(beginnings)):
                return False
        return True

    def first_start(self, text: str, position: int) -> int:
        """Return the first place from ``position`` on at which a match may begin; the length where there is none."""
        first = len(text)
        for _, prefix, beginnings in self.starts:
            found = text.find(prefix, position, first)
            if found < 0:
                found = min((first - len(part) for part in beginnings if text.endswith(part, position)), default=first)
            first = min(first, found)
        return first

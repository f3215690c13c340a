"""Rules that are held against one text together, and what tells quickly that none of them matches in it."""

import re
from collections.abc import Callable, Sequence

from ._guardrail_rule import Rule

# What an expression may see of the text before its match.
_LOOKS_BEHIND = re.compile(r"\(\?<[=!]|\\[bBA]|\^")


class RuleSet:
    """Rules, in order.

    :ivar searches: of each rule, how its expression is searched for; ``None`` for a function
    :ivar starts: where a match may begin: the beginning that all matches of a rule have, and its own beginnings. A rule
        without one may match from anywhere
    :ivar may_begin: finds in a text whether a match begins there, if it goes on in some way; ``None`` is no
    :ivar look_behind: whether a rule may look at text that was handed out already
    """

    __slots__ = ("_expressions", "_functions", "look_behind", "may_begin", "rules", "searches", "starts")

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules: tuple[Rule, ...] = tuple(rules)
        self.searches: list[Callable[[str, int], re.Match[str] | None] | None] = [
            rule.find.search if isinstance(rule.find, re.Pattern) else None for rule in self.rules
        ]
        self._expressions = [rule.find.search for rule in self.rules if isinstance(rule.find, re.Pattern)]
        self._functions = [rule for rule in self.rules if not isinstance(rule.find, re.Pattern)]
        self.look_behind: bool = any(
            not isinstance(rule.find, re.Pattern) or _LOOKS_BEHIND.search(rule.find.pattern) for rule in self.rules
        )
        prefixes = sorted({rule.prefix for rule in self.rules})
        self.starts: list[tuple[str, tuple[str, ...]]] = [
            (prefix, tuple(prefix[:end] for end in range(1, len(prefix)))) for prefix in prefixes
        ]
        begins = [re.escape(prefix) for prefix in prefixes]
        begins += [re.escape(beginning) + r"\Z" for _, beginnings in self.starts for beginning in beginnings]
        self.may_begin: Callable[[str], object] = re.compile("|".join(begins) if begins else "(?!)").search

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

    def first_start(self, text: str, position: int) -> int:
        """Return the first place from ``position`` on at which a match may begin; the length where there is none."""
        first = len(text)
        for prefix, beginnings in self.starts:
            found = text.find(prefix, position, first)
            if found < 0:
                found = min((first - len(part) for part in beginnings if text.endswith(part, position)), default=first)
            first = min(first, found)
        return first

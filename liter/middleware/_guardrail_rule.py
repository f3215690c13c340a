"""What to look for in text, and what to do where it is found."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import msgspec
from msgspec.structs import force_setattr

FindSpans = Callable[[str], Iterable[tuple[int, int]]]

REDACTED = "[redacted]"

_SPECIAL = re.compile(r"[\\.^$*+?{}\[\]|()]")
_PLAIN = re.compile(r"[^\\.^$*+?{}\[\]|()]*")
_ESCAPE = re.compile(r"\\.", re.DOTALL)
_CLASS = re.compile(r"\[\^?\]?[^\]]*\]")
_GROUP = re.compile(r"\([^()]*\)")  # the innermost; who nests them is taken to have alternatives


class _Find(msgspec.Struct, frozen=True):
    find: str | re.Pattern[str] | FindSpans


class Rule(_Find, frozen=True, kw_only=True):
    """What to look for in text, and what to do where it is found.

    ``find`` is a regular expression, or a function that is given text and gives the spans ``(start, end)`` of what it
    finds there. In a stream it is given the characters held back, after some that were handed out, and is asked
    again when more has come; what it gives for the same text must be the same. It must not block.

    :param action: ``"block"`` fails the call, ``"redact"`` puts ``[redacted]`` in the place of a match, ``"replace"``
        puts ``replacement`` there
    :param on: ``"input"`` (the request), ``"output"`` (the reply), or ``"both"``
    :param replacement: as it is: group references mean nothing
    :param name: what errors and listeners call it; by default the expression, or the function's name
    :raises ValueError: an expression that is wrong or matches empty text, an async function, an unknown word, a
        ``replacement`` where there is none to make, or none where there is
    """

    action: Literal["block", "redact", "replace"]
    on: Literal["input", "output", "both"] = "both"
    replacement: str | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if self.action not in ("block", "redact", "replace"):
            raise ValueError(f'action must be "block", "redact" or "replace", not {self.action!r}')
        if self.on not in ("input", "output", "both"):
            raise ValueError(f'on must be "input", "output" or "both", not {self.on!r}')
        if (self.action == "replace") is (self.replacement is None):
            raise ValueError(f'replacement goes with action="replace", and only there, not with {self.action!r}')
        if isinstance(self.find, str):
            force_setattr(self, "find", _compiled(self.find))
        if isinstance(self.find, re.Pattern):
            if self.find.match(""):
                raise ValueError(f"find must not match empty text, as {self.find.pattern!r} does everywhere")
        elif not callable(self.find) or inspect.iscoroutinefunction(self.find) or inspect.isasyncgenfunction(self.find):
            raise ValueError(
                f"find must be an expression or a plain function, not {self.find!r}; Hooks take async ones"
            )
        if not self.name:
            name = self.find.pattern if isinstance(self.find, re.Pattern) else getattr(self.find, "__name__", "")
            force_setattr(self, "name", name or repr(self.find))

    @property
    def literal(self) -> str | None:
        """The text that is looked for, where that is all the expression says."""
        if isinstance(self.find, re.Pattern) and not self.find.flags & re.VERBOSE:
            return None if _SPECIAL.search(self.find.pattern) else self.find.pattern
        return None

    @property
    def prefix(self) -> str:
        """What every match begins with, as far as the expression says so in plain characters; empty if it does not."""
        if not isinstance(self.find, re.Pattern) or self.find.flags & (re.IGNORECASE | re.VERBOSE):
            return ""
        expression = self.find.pattern
        plain = _PLAIN.match(expression)
        prefix = plain.group() if plain is not None else ""
        # The last character may be there several times, or not at all. An alternative may begin with anything.
        if expression[len(prefix) :].startswith(("*", "+", "?", "{")):
            prefix = prefix[:-1]
        # What stands for itself, or only for what is within brackets or parentheses, is no alternative to all of it.
        for hidden in (_ESCAPE, _CLASS, _GROUP):
            expression = hidden.sub("", expression)
        return "" if "|" in expression else prefix

    @property
    def substitute(self) -> str:
        """What takes the place of a match."""
        return REDACTED if self.replacement is None else self.replacement

    def spans(self, text: str, position: int) -> Iterator[tuple[int, int]]:
        """Find the spans that end after ``position``, in order. Those of an expression begin there or later."""
        if isinstance(self.find, re.Pattern):
            for match in self.find.finditer(text, position):
                if match.end() > match.start():
                    yield match.span()
        elif callable(self.find):
            for start, end in sorted(self.find(text)):
                if not 0 <= start <= end <= len(text):
                    raise ValueError(f"rule {self.name!r} gave the span {(start, end)} for {len(text)} characters")
                begin = max(start, position)
                if begin < end:
                    yield begin, end
                    position = end

    def __repr__(self) -> str:
        instead = "" if self.replacement is None else f", replacement={self.replacement!r}"
        return f"Rule({self.name!r}, action={self.action!r}, on={self.on!r}{instead})"


def _compiled(expression: str) -> re.Pattern[str]:
    try:
        return re.compile(expression)
    except re.error as error:
        raise ValueError(f"find is no regular expression: {error}, in {expression!r}") from error


class BlockedError(Exception):
    """A rule with ``action="block"`` matched."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule.name)
        self.rule = rule

"""Text that rules are held against while it arrives in pieces.

Theory of operation. Text goes through a buffer: what was handed out lately (for look-behind), then what is held. A
position is settled when more than ``window`` characters behind it have come, or the text is over: a match that begins
there is then what it would be in the whole text, if it needs to see no more than ``window`` characters. So whatever
the pieces are, the outcome is that of the whole text. Settled, too, is where no match can begin: most rules look for
something that begins with certain characters, so that most of the time nothing is held at all.

A match that begins at a settled position and reaches the end of the buffer may still grow. It is held until it ends,
so a long secret does not get its tail through. What overlaps a match belongs to it, whichever rule found which: no
matched character is ever handed out.
"""

from typing import NamedTuple

from ._guardrail_rule import BlockedError, Rule
from ._rule_set import RuleSet

# To cut off what was handed out is a copy: it is done when so many windows of it have come together.
_LEFT_OVER = 4


class Passage(NamedTuple):
    """Text to hand out: as it came, or a substitute; ``taken`` characters of the original are done with."""

    text: str
    taken: int
    substituted: bool


class RollingText:
    """One text that arrives in pieces. Memory: a few windows, and the longest match.

    :param hits: gets each rule that matched, in order
    """

    __slots__ = ("_held", "_hits", "_positions", "_rules", "_text", "_window")

    def __init__(self, rules: RuleSet, window: int, hits: list[Rule]) -> None:
        self._rules = rules
        self._window = window
        self._hits = hits
        self._text = ""
        self._held: int = 0
        self._positions = [0] * len(rules.rules)

    def passes(self, text: str) -> bool:
        """Take more text, if all of it can be handed out as it is. Returns whether; if not, nothing was done."""
        if self._held != len(self._text):
            return False
        if self._rules.may_begin(text) is not None:
            return False
        if self._rules.look_behind:
            self.passages(text)
        return True

    def add(self, text: str, *, last: bool = False) -> str:
        """Take more text, and give what can be handed out.

        :param last: no text follows: nothing is held
        :raises BlockedError: a rule says so; nothing of the match was handed out
        """
        return "".join([passage.text for passage in self.passages(text, last=last)])

    def passages(self, text: str, *, last: bool = False) -> list[Passage]:
        """As :meth:`add`, and tell what came so and what is a substitute."""
        self._text += text
        size = len(self._text)
        settled = size if last else self._rules.first_start(self._text, max(self._held, size - self._window))
        if settled <= self._held and not (last and size):
            return []
        if self._is_quiet():
            passages = [Passage(self._text[self._held : settled], settled - self._held, False)]
            self._held = settled
            self._positions = [settled] * len(self._positions)
        else:
            settled, taken = self._find(settled, last=last)
            passages = self._pass(settled, taken)
        drop = settled - self._window
        if drop > _LEFT_OVER * self._window:
            self._text = self._text[drop:]
            self._held -= drop
            self._positions = [position - drop for position in self._positions]
        return passages

    def _is_quiet(self) -> bool:
        """Whether no rule matches, as is so most of the time."""
        text = self._text
        for search, position in zip(self._rules.searches, self._positions, strict=True):
            if search is None or search(text, position) is not None:
                return False
        return True

    def _find(self, settled: int, *, last: bool) -> tuple[int, list[tuple[int, int, int]]]:
        """Find matches at settled positions: start, order of the rule, end. Less is settled where one is open."""
        text, size = self._text, len(self._text)
        found: list[tuple[int, int, int]] = []
        blocked: tuple[int, Rule] | None = None
        whole = settled
        for order, rule in enumerate(self._rules.rules):
            for start, end in rule.spans(text, self._positions[order]):
                if start >= whole:
                    break
                if rule.action == "block":
                    if blocked is None or start < blocked[0]:
                        blocked = start, rule
                    break
                if end == size and not last:
                    settled = min(settled, start)
                    break
                found.append((start, order, end))
        if blocked is not None:
            self._hits.append(blocked[1])
            raise BlockedError(blocked[1])
        taken = sorted(match for match in found if match[0] < settled)
        self._positions = [max(position, settled) for position in self._positions]
        for _, order, end in taken:
            self._positions[order] = max(self._positions[order], end)
        return settled, taken

    def _pass(self, settled: int, taken: list[tuple[int, int, int]]) -> list[Passage]:
        passages: list[Passage] = []
        text, at = self._text, self._held
        for start, order, end in taken:
            rule = self._rules.rules[order]
            self._hits.append(rule)
            if start >= at:
                if start > at:
                    passages.append(Passage(text[at:start], start - at, False))
                passages.append(Passage(rule.substitute, end - start, True))
            elif end > at:
                passages.append(Passage("", end - at, True))
            at = max(at, end)
        if at < settled:
            passages.append(Passage(text[at:settled], settled - at, False))
            at = settled
        self._held = at
        return passages

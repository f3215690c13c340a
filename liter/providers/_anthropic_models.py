"""What Anthropic's models can do, as far as a request depends on it.

From replies of the models endpoint; where these do not name a model, its published limits as known in November
2026. ``list_models`` tells the limits of today. A model that no row names is taken to be newer than all of them.
"""

from typing import Literal

import msgspec

Thinking = Literal["none", "budget", "adaptive"]

# Enough for long answers, and little enough that a reservation for the worst case stays bearable and that
# a reply without streaming comes within Anthropic's ten minutes.
DEFAULT_MAX_TOKENS = 16_384


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a model can do.

    :param max_output: the most tokens of one reply, thinking included
    :param thinking: by a budget of tokens, as much as it finds right (guided by an effort), or not at all
    :param system_turns: instructions may come between turns
    """

    max_output: int
    thinking: Thinking
    system_turns: bool = False


_NEWEST = ModelFacts(max_output=128_000, thinking="adaptive", system_turns=True)
_NEW = ModelFacts(max_output=128_000, thinking="adaptive")

# By the beginning of the model's name; the longest that fits counts.
_ROWS = {
    "claude-2": ModelFacts(max_output=4_096, thinking="none"),
    "claude-3-": ModelFacts(max_output=4_096, thinking="none"),
    "claude-3-5-": ModelFacts(max_output=8_192, thinking="none"),
    "claude-3-7-": ModelFacts(max_output=64_000, thinking="budget"),
    "claude-opus-4": ModelFacts(max_output=32_000, thinking="budget"),
    "claude-opus-4-5": ModelFacts(max_output=64_000, thinking="budget"),
    "claude-opus-4-6": _NEW,
    "claude-opus-4-7": _NEW,
    "claude-opus-4-8": _NEWEST,
    "claude-sonnet-4": ModelFacts(max_output=64_000, thinking="budget"),
    "claude-sonnet-4-6": ModelFacts(max_output=64_000, thinking="adaptive"),
    "claude-haiku-4-5": ModelFacts(max_output=64_000, thinking="budget"),
}
_LONGEST_FIRST = sorted(_ROWS, key=len, reverse=True)

# Tokens to think with, by OpenAI's words for effort; Anthropic takes no fewer than 1024.
BUDGETS = {"minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 16_384, "xhigh": 32_768, "max": 63_999}

# OpenAI's words for effort that Anthropic has another for.
EFFORTS = {"minimal": "low"}

LEAST_BUDGET = 1_024


def facts_of(model: str) -> ModelFacts:
    """The facts of a model, by its name."""
    name = next((prefix for prefix in _LONGEST_FIRST if model.startswith(prefix)), None)
    return _NEWEST if name is None else _ROWS[name]

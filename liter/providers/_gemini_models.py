"""What Gemini models can do, as far as a request depends on it.

From Google's model pages as known in November 2026. A model that no row names is taken to be newer than all of them.
"""

from typing import Literal

import msgspec

Thinking = Literal["none", "budget", "level"]


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a model can do.

    :param thinking: told by a budget of tokens, by a level, or not at all
    :param least: the smallest budget, in tokens
    :param most: the largest budget, in tokens
    :param stops: whether it can be told not to think
    :param levels: the levels that it knows, lowest first
    """

    thinking: Thinking
    least: int = 0
    most: int = 0
    stops: bool = False
    levels: tuple[str, ...] = ()

    @property
    def signs_calls(self) -> bool:
        """Whether a call of a tool must come back with the signature that it came with (Gemini 3 and later)."""
        return self.thinking == "level"

    @property
    def takes_parts_in_results(self) -> bool:
        """Whether a tool's result may hold images and files, and a part its own resolution (Gemini 3 and later)."""
        return self.thinking == "level"


_SILENT = ModelFacts(thinking="none")
_FLASH = ModelFacts(thinking="level", levels=("MINIMAL", "LOW", "MEDIUM", "HIGH"))
_PRO = ModelFacts(thinking="level", levels=("LOW", "MEDIUM", "HIGH"))

# By the beginning of the model's name; the longest that fits counts.
_ROWS = {
    "gemini-1": _SILENT,
    "gemini-2.0": _SILENT,
    "gemini-2.5-pro": ModelFacts(thinking="budget", least=128, most=32_768),
    "gemini-2.5-flash": ModelFacts(thinking="budget", least=1, most=24_576, stops=True),
    "gemini-2.5-flash-lite": ModelFacts(thinking="budget", least=512, most=24_576, stops=True),
    "gemini-2.5-flash-image": _SILENT,
    "gemini-3-pro": ModelFacts(thinking="level", levels=("LOW", "HIGH")),
    "gemma-": _SILENT,
    "learnlm-": _SILENT,
}
_LONGEST_FIRST = sorted(_ROWS, key=len, reverse=True)

# OpenAI's words for effort as tokens to think with, and as levels.
BUDGETS = {"minimal": 512, "low": 1_024, "medium": 8_192, "high": 24_576, "xhigh": 32_768, "max": 32_768}
LEVELS = {
    "minimal": ("MINIMAL", "LOW"),
    "low": ("LOW",),
    "medium": ("MEDIUM", "HIGH"),
    "high": ("HIGH",),
    "xhigh": ("HIGH",),
    "max": ("HIGH",),
}


def facts_of(model: str) -> ModelFacts:
    """The facts of a model, by its name, with or without a folder before it."""
    name = model.rpartition("/")[2].lower()
    for prefix in _LONGEST_FIRST:
        if name.startswith(prefix):
            return _ROWS[prefix]
    return _PRO if "-pro" in name else _FLASH

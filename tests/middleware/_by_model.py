"""An innermost handler for several models."""

from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from liter import Call, Reply
from liter.testing import ScriptedHandler

R = TypeVar("R")


class ByModel:
    """An innermost handler with a script for each model."""

    def __init__(self, **outcomes: object) -> None:
        self.scripts = {
            model: ScriptedHandler(*(outcome if isinstance(outcome, tuple) else (outcome,)))
            for model, outcome in outcomes.items()
        }

    def __call__(self, call: Call[R], /) -> AbstractAsyncContextManager[Reply[R]]:
        return self.scripts[call.route.model](call)

    @property
    def sent(self) -> dict[str, int]:
        """How many requests each model got."""
        return {model: len(script.calls) for model, script in self.scripts.items()}

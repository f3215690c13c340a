"""Layers, right and wrong, for the kit."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from liter import BudgetExceededError, Call, Handler, Reply

R = TypeVar("R")


@asynccontextmanager
async def swallows(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    async with call_next(call) as reply:
        with suppress(ValueError):
            yield reply


class Remembers:
    """A cache of whole replies."""

    def __init__(self) -> None:
        self.value: object = None

    @asynccontextmanager
    async def __call__(self, call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
        if self.value is not None:
            yield Reply(value=self.value)
            return
        async with call_next(call) as reply:
            if not call.stream:
                self.value = reply.value
            yield reply


class Limits:
    """Lets some calls through, and refuses all others."""

    def __init__(self, calls: int = 3) -> None:
        self.calls = calls

    @asynccontextmanager
    async def __call__(self, call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
        if not self.calls:
            raise BudgetExceededError("enough")
        self.calls -= 1
        async with call_next(call) as reply:
            yield reply

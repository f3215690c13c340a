"""Cancels a call at a chosen one of its checkpoints."""

import types
from collections.abc import Awaitable, Callable, Generator

import anyio


class CancelAt(Awaitable[None]):
    """Awaits a call, and cancels it the k-th time that it waits for anything."""

    def __init__(self, call: Awaitable[None], k: int) -> None:
        self.call = call
        self.k = k
        self.waited = 0

    @types.coroutine
    def _run(self, scope: anyio.CancelScope) -> Generator[object, object, None]:
        waiting = self.call.__await__()
        resume: Callable[[object], object] = waiting.send
        given: object = None
        while True:
            try:
                wanted = resume(given)
            except StopIteration:
                return
            self.waited += 1
            if self.waited == self.k:
                scope.cancel()
            try:
                got = yield wanted
            except BaseException as error:  # noqa: BLE001 # handed on
                resume, given = waiting.throw, error
            else:
                resume, given = waiting.send, got

    def __await__(self) -> Generator[object, object, None]:
        with anyio.CancelScope() as scope:  # noqa: ASYNC100 # `yield from` waits
            yield from self._run(scope)

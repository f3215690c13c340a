"""Virtual time for asyncio: what trio's ``MockClock(autojump_threshold=0)`` is for Trio."""

import asyncio
import selectors


class _Autojump(selectors.DefaultSelector):
    """A selector that never sleeps: where it would, the loop's clock jumps instead."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            # Nothing scheduled: only a thread or a socket can go on, so this wait is real.
            return super().select(None)
        self.skipped += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop whose clock stands still while tasks run and jumps when all of them wait.

    Starts at 0.0. For code that waits for timers and for other tasks only: with real sockets or
    threads the clock jumps ahead of them. Use it as ``asyncio.Runner(loop_factory=VirtualTimeLoop)``, or
    with anyio's pytest plugin as the backend ``("asyncio", {"loop_factory": VirtualTimeLoop})``.
    """

    def __init__(self) -> None:
        self._autojump = _Autojump()
        super().__init__(self._autojump)

    def time(self) -> float:
        """The virtual time, in seconds."""
        return self._autojump.skipped

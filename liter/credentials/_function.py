"""A key from a function."""

import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import anyio.to_thread

from .._key import Fetched, KeyFunction, checked_key
from .._secret import Secret
from ._refreshing import Refreshing


class FromFunction(Refreshing):
    """A key that a function gives: from a vault, a keyring, a login of one's own.

    :param function: gives the key, or ``Fetched`` with the time at which it ends. One that is not ``async`` runs in a
        thread, so it may block
    :param seconds: how long a key without an end is used before the function is asked again; a key that the provider
        refuses is not used again
    """

    def __init__(
        self,
        function: KeyFunction,
        *,
        seconds: float = 60.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if not callable(function):
            raise ValueError(f"function must be callable, not {function!r}")
        if not seconds > 0:
            raise ValueError(f"seconds must be positive, not {seconds!r}")
        super().__init__(now=now)
        self._function = function
        self._life = timedelta(seconds=seconds)

    async def fetch(self) -> Fetched:
        """Ask the function."""
        if inspect.iscoroutinefunction(self._function):
            given = await self._function()
        else:
            given = await anyio.to_thread.run_sync(self._function, abandon_on_cancel=True)
            if inspect.isawaitable(given):
                given = await given
        if isinstance(given, Fetched):
            return given
        if not isinstance(given, str | Secret):
            raise TypeError(f"it gave {type(given).__name__}, not str, Secret or Fetched")
        return Fetched(credential=checked_key(given, f"the key from {self!r}"), expires=self._now() + self._life)

    def __repr__(self) -> str:
        return f"FromFunction({getattr(self._function, '__qualname__', type(self._function).__qualname__)})"

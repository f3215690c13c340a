"""Credentials that are fetched, last for a while, and are fetched again before they end.

One caller fetches for all. Whoever needs a credential and finds none that is good takes the lead and fetches, in its
own task and under its own deadline; the others wait for it, in whichever task, thread and event loop they are.

- A leader that is cancelled hands over: the others wake, and the first of them leads.
- A leader whose fetch fails tells the others: they fail alike, and do not each try in turn.
- Before its end (``early``) a credential is still handed out. One caller refreshes it, none waits for that; when it
  fails, the one that is held goes on being used, and another try follows a little later.

The lock is held for a few lines and never over an await.
"""

import copy
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import anyio
import anyio.to_thread
import msgspec

from .._credentials import Signer
from .._errors import AuthenticationError, LlmError
from .._key import Fetched as Fetched
from .._loop import EventLoop
from .._secret import Secret

Credential = Secret | Signer

_logger = logging.getLogger("liter")

# What AWS and Google leave: their own SDKs refresh four to five minutes before the end.
_EARLY = timedelta(minutes=5)

# Of a short life, only its last part is early.
_EARLY_SHARE = 5

# After a refresh that failed, and while the credential that is held is still good.
_NEXT_TRY = timedelta(seconds=30)

# One that was fetched because its predecessor was refused, and is refused as soon: the fault is not its age.
_FRESH = timedelta(minutes=1)


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    credential: Credential
    fetched: datetime
    refresh: datetime | None
    expires: datetime | None
    replaces_refused: bool


class _Flight:
    """One fetch that is under way, and who waits for it."""

    __slots__ = ("error", "result", "waiters")

    def __init__(self) -> None:
        self.waiters: list[tuple[EventLoop, anyio.Event]] = []
        self.result: Credential | None = None
        self.error: LlmError | None = None

    def join(self) -> anyio.Event:
        """Wait for it, too: the event is set when it has ended."""
        landed = anyio.Event()
        self.waiters.append((EventLoop.current(), landed))
        return landed


class Refreshing:
    """Base of credential sources that fetch. Override ``fetch``, or ``fetch_blocking`` for code that blocks.

    :param early: how long before its end a credential is fetched again; of one that lasts shortly, a fifth of its life
    :param now: the wall clock, in which ends are told
    """

    def __init__(self, *, early: timedelta = _EARLY, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._early = early
        self._now = now
        self._lock = threading.Lock()
        self._held: _Held | None = None
        self._flight: _Flight | None = None
        self._was_refused = False

    async def fetch(self) -> Fetched:
        """Fetch a credential. By default, ``fetch_blocking`` in a thread, which a cancel leaves behind.

        What it raises beside an ``LlmError`` becomes an ``AuthenticationError``.
        """
        return await anyio.to_thread.run_sync(self.fetch_blocking, abandon_on_cancel=True)

    def fetch_blocking(self) -> Fetched:
        """Fetch a credential, in a thread of its own."""
        raise NotImplementedError(f"{type(self).__name__} must have fetch or fetch_blocking")

    async def get(self) -> Credential:
        """The credential, fetched if there is none that is good.

        :raises LlmError: it could not be fetched
        """
        while True:
            with self._lock:
                held, now = self._held, self._now()
                if held is not None:
                    if held.refresh is None or now < held.refresh:
                        return held.credential
                    if self._flight is not None and held.expires is not None and now < held.expires:
                        return held.credential
                flight = self._flight
                landed = None if flight is None else flight.join()
                if flight is None:
                    flight = self._flight = _Flight()
            if landed is None:
                return await self._lead(flight, held)
            await landed.wait()
            if flight.result is not None:
                return flight.result
            if flight.error is not None:
                raise copy.copy(flight.error) from flight.error

    async def _lead(self, flight: _Flight, held: _Held | None) -> Credential:
        try:
            # What it gives is looked at in here as well: a flight that did not land would be waited for for ever.
            fetched = _checked(await self.fetch())
        except Exception as error:
            now = self._now()
            if held is not None and held.expires is not None and now < held.expires:
                _logger.warning(
                    "%r could not be refreshed (%s); the credential that is held is good until %s",
                    self,
                    type(error).__name__,
                    held.expires,
                )
                self._land(flight, msgspec.structs.replace(held, refresh=min(now + _NEXT_TRY, held.expires)))
                return held.credential
            if not isinstance(error, LlmError):
                told = AuthenticationError(f"{self!r} gave no credential: {type(error).__name__}: {error}")
                self._land(flight, None, told)
                raise told from error
            self._land(flight, None, error)
            raise
        except BaseException:
            # Cancelled: nothing is known, so one of those who wait leads.
            self._land(flight, held)
            raise
        self._land(flight, self._keep(fetched), result=fetched.credential)
        return fetched.credential

    def _keep(self, fetched: Fetched) -> _Held:
        now, expires = self._now(), fetched.expires
        return _Held(
            credential=fetched.credential,
            fetched=now,
            refresh=None if expires is None else expires - min(self._early, (expires - now) / _EARLY_SHARE),
            expires=expires,
            replaces_refused=self._was_refused,
        )

    def _land(
        self, flight: _Flight, held: _Held | None, error: LlmError | None = None, result: Credential | None = None
    ) -> None:
        """End a flight, and wake who waits for it."""
        with self._lock:
            if result is not None or self._held is not None:  # else it was refused meanwhile
                self._held = held
            if result is not None:
                self._was_refused = False
            self._flight = None
            flight.error, flight.result = error, result
        here = EventLoop.current()
        for loop, event in flight.waiters:
            if loop is here:
                event.set()
            else:
                loop.call_soon(event.set)

    def refused(self, credential: Credential) -> bool:
        """The provider refused a credential of this source. Whether ``get`` may now give a better one."""
        with self._lock:
            held = self._held
            if held is None or held.credential != credential:
                return True
            if held.replaces_refused and self._now() - held.fetched < _FRESH:
                return False
            self._held = None
            self._was_refused = True
            return True

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _checked(fetched: object) -> Fetched:
    """What ``fetch`` gave. :raises TypeError: it is no ``Fetched``; :raises ValueError: its end has no time zone"""
    if not isinstance(fetched, Fetched):
        raise TypeError(f"fetch gave {type(fetched).__name__}, not Fetched")
    if fetched.expires is not None and fetched.expires.tzinfo is None:
        raise ValueError("the end of what fetch gave has no time zone: datetime.now(UTC) + ...")
    return fetched

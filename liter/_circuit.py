"""A circuit breaker: it stops sending where too much fails, and finds out when that is over. No I/O in here.

Theory of operation. A circuit is in one of three states::

                  too many failures            enough probes succeed
       closed --------------------> open      half-open ----------> closed
                                     ^  \\       /  ^
                                     |   `-----'   |
              enough probes fail ----'   time passed, the next call is a probe

Each admitted call holds an :class:`Admission`, and reports by it how it went. An admission belongs to the
generation in which it was given, and each change of state begins a new one: what a call from before a trip
reports neither closes the circuit nor trips it again.

Apart from that, a circuit cools down: a provider that says how long to stay away is left alone for
exactly that long, whatever the state is.
"""

import math
from collections import deque
from threading import RLock
from typing import Literal

import msgspec

from ._errors import LlmError, RateLimitedError
from ._number import is_number, is_whole

State = Literal["closed", "open", "half-open"]
Change = Literal["opened", "closed", "cooling"]

# The window moves in steps of this part of it: a bound on memory, at the price of a step of sharpness.
_STEPS = 10

# 2 ** 63 seconds is beyond any cap, and the power of a float overflows past 2 ** 1023.
_MAX_EXPONENT = 63


class CircuitPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When a circuit opens, for how long, and what closes it.

    It opens when, of at least ``min_calls`` results in the last ``window`` seconds, a share of ``error_rate`` or
    more are failures; at once on an exhausted quota of which nobody says when it comes back. The *n*-th time in
    a row (from 1) it stays open for ::

        min(max_open_seconds, open_seconds * 2 ** (n - 1))

    seconds. Then it is half-open: ``probes`` calls are let through, and ``probes`` more each time as long again has
    passed without a decision. It closes, and *n* starts over, as soon as too many of them have succeeded for
    ``probes`` results to reach ``error_rate``; it opens again as soon as enough have failed.

    :param error_rate: share of failures at which it opens, above 0, at most 1
    :param min_calls: results below which no share means anything
    :param window: seconds that are looked back, in steps of a tenth of it
    :param open_seconds: how long it stays open the first time
    :param max_open_seconds: the most it stays open
    :param probes: how many calls find out whether it can close
    :raises ValueError: a number out of range
    """

    error_rate: float = 0.5
    min_calls: int = 10
    window: float = 30.0
    open_seconds: float = 5.0
    max_open_seconds: float = 120.0
    probes: int = 3

    def __post_init__(self) -> None:
        if not (is_number(self.error_rate) and 0 < self.error_rate <= 1):
            raise ValueError(f"error_rate must be above 0 and at most 1, not {self.error_rate!r}")
        if not (is_whole(self.min_calls) and self.min_calls >= 1):
            raise ValueError(f"min_calls must be 1 or more, not {self.min_calls!r}")
        if not (is_number(self.window) and 0 < self.window < math.inf):
            raise ValueError(f"window must be more than 0 seconds, not {self.window!r}")
        if not (is_number(self.open_seconds) and 0 < self.open_seconds < math.inf):
            raise ValueError(f"open_seconds must be more than 0 seconds, not {self.open_seconds!r}")
        if not (is_number(self.max_open_seconds) and self.open_seconds <= self.max_open_seconds < math.inf):
            raise ValueError(
                f"max_open_seconds must be open_seconds ({self.open_seconds!r}) or more, not {self.max_open_seconds!r}"
            )
        if not (is_whole(self.probes) and self.probes >= 1):
            raise ValueError(f"probes must be 1 or more, not {self.probes!r}")

    def open_for(self, trip: int) -> float:
        """Return the seconds it stays open after the ``trip``-th time in a row, from 1."""
        return min(self.max_open_seconds, self.open_seconds * 2.0 ** min(trip - 1, _MAX_EXPONENT))


class Circuit:
    """The state of one circuit. For all event loops and threads of a process; times are those that all loops have
    in common, by ``EventLoop.epoch``.

    :ivar state: as of the last call: an open circuit turns half-open when the next one comes
    :ivar trips: how often it has opened
    """

    __slots__ = (
        "_cool_until",
        "_generation",
        "_lock",
        "_open_until",
        "_policy",
        "_probes_left",
        "_tallies",
        "_tally_until",
        "_trips_in_a_row",
        "state",
        "trips",
    )

    def __init__(self, policy: CircuitPolicy) -> None:
        self.state: State = "closed"
        self.trips: int = 0
        self._policy = policy
        # Reentrant, as a finalizer may withdraw an admission in the middle of another step of its thread.
        self._lock = RLock()
        self._generation = 0
        self._trips_in_a_row = 0
        self._cool_until = -math.inf
        # Half-open, it is the time of the next probes.
        self._open_until = -math.inf
        self._probes_left = 0
        # Half-open, there is one.
        self._tallies: deque[_Tally] = deque()
        # Closed, results count in the latest until then.
        self._tally_until = -math.inf

    def ready_at(self, now: float) -> float:
        """Return the earliest time at which a call may be admitted; ``now``, if that is now."""
        blocked = self.state == "open" or (self.state == "half-open" and self._probes_left == 0)
        return max(now, self._cool_until, self._open_until if blocked else now)

    def is_ready(self, now: float) -> bool:
        """Whether a call may be admitted now."""
        if self.state == "closed":
            return self._cool_until <= now
        return self.ready_at(now) <= now

    def admit(self, now: float) -> "Admission | None":
        """Let a call through, or say no: then :meth:`ready_at` tells when to ask again."""
        with self._lock:
            if self.state == "closed":
                return Admission(self, self._generation) if self._cool_until <= now else None
            if not self.is_ready(now):
                return None
            if self.state == "open":
                self._begin("half-open")
                self._tallies.append(_Tally(now))
            if self.state == "half-open":
                if now >= self._open_until:
                    self._probes_left = self._policy.probes
                    self._open_until = now + self._policy.open_for(self._trips_in_a_row)
                self._probes_left -= 1
            return Admission(self, self._generation)

    def withdraw(self, admission: "Admission") -> None:
        """Take an admission back whose call said nothing about the provider."""
        with self._lock:
            if admission.generation == self._generation and self.state == "half-open":
                self._probes_left = min(self._probes_left + 1, self._policy.probes)

    def count(self, admission: "Admission", now: float, *, failed: bool) -> Change | None:
        """Count a result; a failure takes the place of the success that was counted for the same admission."""
        with self._lock:
            if admission.generation != self._generation:
                return None
            # To forget what is old takes a while, and only a failure asks for it.
            tally = self._tallies[-1] if now < self._tally_until and not failed else self._tally(now)
            if admission.tally is not None:
                admission.tally.successes -= 1
            if failed:
                tally.failures += 1
                return self._decide(now)
            tally.successes += 1
            admission.tally = tally
            return self._decide(now) if self.state == "half-open" else None

    def trip(self, admission: "Admission", now: float) -> Change | None:
        """Open, whatever the rate is."""
        with self._lock:
            return self._open(now) if admission.generation == self._generation else None

    def cool_down(self, until: float) -> None:
        """Admit nothing before ``until``."""
        with self._lock:
            self._cool_until = max(self._cool_until, until)

    @property
    def trips_in_a_row(self) -> int:
        """How often it has opened since it was closed."""
        return self._trips_in_a_row

    def follow_open(self, until: float, trips: int) -> None:
        """Open until then, as another process has found out."""
        with self._lock:
            self._begin("open")
            self._trips_in_a_row = trips
            self._open_until = until

    def follow_closed(self) -> None:
        """Close, as another process has found out."""
        with self._lock:
            if self.state != "closed":
                self._begin("closed")
                self._trips_in_a_row = 0

    def _tally(self, now: float) -> "_Tally":
        tallies = self._tallies
        if self.state == "half-open":
            return tallies[0]
        window = self._policy.window
        while tallies and tallies[0].began + window <= now:
            tallies.popleft()
        if not tallies or tallies[-1].began + window / _STEPS <= now:
            tallies.append(_Tally(now))
            self._tally_until = now + window / _STEPS
        return tallies[-1]

    def _decide(self, now: float) -> Change | None:
        policy = self._policy
        successes = sum(tally.successes for tally in self._tallies)
        failures = sum(tally.failures for tally in self._tallies)
        if self.state == "closed":
            results = successes + failures
            return self._open(now) if results >= policy.min_calls and failures / results >= policy.error_rate else None
        if failures / policy.probes >= policy.error_rate:
            return self._open(now)
        if (policy.probes - successes) / policy.probes < policy.error_rate:
            self._begin("closed")
            self._trips_in_a_row = 0
            return "closed"
        return None

    def _open(self, now: float) -> Change:
        self._begin("open")
        self.trips += 1
        self._trips_in_a_row += 1
        self._open_until = now + self._policy.open_for(self._trips_in_a_row)
        return "opened"

    def _begin(self, state: State) -> None:
        self.state = state
        self._generation += 1
        self._tallies.clear()
        self._tally_until = -math.inf

    def __repr__(self) -> str:
        return f"<Circuit {self.state}, trips={self.trips}>"


class _Tally:
    __slots__ = ("began", "failures", "successes")

    def __init__(self, began: float) -> None:
        self.began: float = began
        self.successes: int = 0
        self.failures: int = 0


class Admission:
    """Leave for one call. It reports once: that it succeeded, failed, or says nothing; and may fail after it succeeded.

    :ivar circuit: which gave it
    :ivar generation: of the circuit, when it was given
    :ivar tally: where its success was counted
    """

    __slots__ = ("_settled", "circuit", "generation", "tally")

    def __init__(self, circuit: Circuit, generation: int) -> None:
        self.circuit: Circuit = circuit
        self._settled = False
        self.generation: int = generation
        self.tally: _Tally | None = None

    def succeeded(self, now: float) -> Change | None:
        """Report a success. Returns ``"closed"`` when the circuit has closed by it."""
        if self._settled:
            return None
        self._settled = True
        return self.circuit.count(self, now, failed=False)

    def failed(self, now: float, error: LlmError) -> Change | None:
        """Report a failure. Returns what the circuit does about it.

        With a ``retry_after`` it cools down for that long; a rate limit is no failure then.
        """
        if self._settled and self.tally is None:
            return None
        circuit, wait = self.circuit, error.retry_after
        change: Change | None = None
        if wait is not None and wait > 0:
            circuit.cool_down(now + wait)
            change = "cooling"
            if isinstance(error, RateLimitedError):
                self.withdraw()
                return change
        out_of_quota = isinstance(error, RateLimitedError) and error.quota_exhausted
        counted = circuit.trip(self, now) if out_of_quota else circuit.count(self, now, failed=True)
        self._settled = True
        self.tally = None
        return counted or change

    def withdraw(self) -> None:
        """Report nothing: the call was refused for its own sake, was cancelled, or never came so far."""
        if not self._settled:
            self._settled = True
            self.circuit.withdraw(self)

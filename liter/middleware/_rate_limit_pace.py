"""How fast to go to one provider, model and key, from what the provider tells: the adaptive half of ``RateLimit``.

What is known is one record in the store, shared by all who use it, beside a bucket for each limit. A bucket holds half
of what the provider lets through in a window, and refills as fast as the provider does. So as long as nobody else uses
the key, half of the limit is always left, for estimates that are too low and requests that arrive closer together than
they were sent. Where less is left than that explains, the bucket is set to what the headers say.

A store's buckets can be taken from and given to, but not set. So each has an epoch in its name: to set one is to fill
another, and to write its epoch into the record, if nobody changed it meanwhile.

What the headers say was so when the provider let their request through. What was sent since then is taken off, and
what flowed in is added, unless the limit is one of fixed windows. Those tell from buckets by the reset: a bucket's is
in proportion to what is missing.
"""

import os

import anyio
import msgspec

from .._rate_headers import ReportedLimit, Unit
from ..stores import Bucket, Store
from ._rate_limit_rule import Demand, Want

_BURST = 0.5
_RESERVE = 0.05

# To spread what is for a day or a month evenly is a decision about money, not about pace: that is left to a Limit.
_LONGEST_WINDOW = 3600.0
_MINUTE = 60.0
_DAY = 86400.0

# Between two corrections of a pace, so that the first has shown its effect.
_CORRECT_EVERY = 1.0

# Seconds for which a record is kept after its last use, about: it is written anew in half that time.
_TTL = 3600.0

# How often a pause is written where others write at the same time. Each of those knows of it soon by a refusal too.
_TRIES = 3

# What a refusal costs that does not tell how long to wait.
_PAUSE = 1.0


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """A limit of the provider's: ``limit`` of ``unit`` in ``window`` seconds."""

    unit: Unit
    limit: float
    window: float
    epoch: str = ""

    @property
    def refill(self) -> float:
        return self.limit / self.window

    @property
    def capacity(self) -> float:
        return self.limit * _BURST

    def debt(self, seconds: float) -> float:
        """The level at which the bucket lets the next request through after ``seconds``."""
        # With tokens that depends on how many the next one wants; then it is those on top.
        return (1.0 if self.unit == "requests" else 0.0) - self.refill * seconds

    def bucket(self, account: str, amount: float) -> Bucket:
        key = f"liter:pace:{account}:{self.unit}:{self.epoch}"
        return Bucket(key=key, capacity=self.capacity, refill=self.refill, amount=amount)

    def __str__(self) -> str:
        return f"{self.limit:g} {self.unit} per {self.window:g} s, as the provider says"


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """The record of what is known.

    :param limits: what the provider told
    :param known: whether it has answered; until then, one request a second goes through
    :param pause: epoch of the bucket whose debt is a pause; empty where there was none
    """

    limits: tuple[Learned, ...] = ()
    known: bool = False
    pause: str = ""


_decoder = msgspec.msgpack.Decoder(Pace)
_encoder = msgspec.msgpack.Encoder()


class Sent(msgspec.Struct, frozen=True):
    """What had been sent when a request went out, and when that was."""

    time: float
    demand: Demand


class Pacer:
    """Keeps the pace of one account (provider, model, key) for one event loop."""

    __slots__ = ("_account", "_corrected", "_key", "_renewed", "_sent", "_store")

    def __init__(self, store: Store, account: str) -> None:
        self._store = store
        self._account = account
        self._key = f"liter:pace:{account}"
        self._sent = Demand()
        self._corrected = self._renewed = anyio.current_time() - _TTL

    async def wants(self, demand: Demand) -> list[Want]:
        """What a request has to take, and from where."""
        pace = _decode(await self._store.get(self._key))
        wanted = [
            Want(str(limit), limit.unit, limit.bucket(self._account, demand.of(limit.unit))) for limit in pace.limits
        ]
        if not pace.known:
            start = Bucket(key=f"{self._key}:start", capacity=1.0, refill=1.0, amount=demand.requests)
            said = "1 request per second, until the provider has told its limits"
            wanted.append(Want(said, "requests", start, lasting=False))
        if pace.pause:
            pause = self._pause_bucket(pace.pause, 0.0)
            wanted.append(Want("the pause that the provider asked for", "requests", pause, lasting=False))
        return wanted

    def send(self, demand: Demand) -> Sent:
        """Note that a request goes out."""
        self._sent = _sum(self._sent, demand, 1.0)
        return Sent(anyio.current_time(), self._sent)

    def unsend(self, demand: Demand) -> None:
        """Take that back: it did not."""
        self._sent = _sum(self._sent, demand, -1.0)

    async def learn(self, reported: tuple[ReportedLimit, ...], sent: Sent) -> None:
        """Take in what an answer says. :param sent: what :meth:`send` returned for its request"""
        now = anyio.current_time()
        since = _sum(self._sent, sent.demand, -1.0)
        told = _usable(reported)
        raw = await self._store.get(self._key)
        pace = _decode(raw)
        limits = {limit.unit: limit for limit in pace.limits}
        changed: list[tuple[Learned, float]] = []
        correct = now - self._corrected >= _CORRECT_EVERY
        for unit, (limit, report) in told.items():
            level = _level(limit, report, since.of(unit), now - sent.time)
            old = limits.get(unit)
            if old is None or (old.limit, old.window) != (limit.limit, limit.window):
                changed.append((limit, level))
            elif correct and level < limit.capacity / 2:
                # Never up: others may have sent what this process does not know of.
                changed.append((limit, min(level, 0.0)))
        if changed or not pace.known:
            self._corrected = now
            await self._set(raw, msgspec.structs.replace(pace, known=True), changed)
        elif now - self._renewed > _TTL / 2:
            await self._set(raw, pace, [])

    async def pause(self, seconds: float | None) -> None:
        """Let nothing through for ``seconds``, and begin slowly then: the provider has refused a request."""
        seconds = _PAUSE if seconds is None else seconds
        epoch = _new_epoch()
        await self._store.adjust([self._pause_bucket(epoch, -1.0 - seconds)])
        for _ in range(_TRIES):
            raw = await self._store.get(self._key)
            pace = _decode(raw)
            paused = msgspec.structs.replace(pace, pause=epoch, known=pace.known and bool(pace.limits))
            if await self._set(raw, paused, [(limit, limit.debt(seconds)) for limit in pace.limits]):
                return

    async def _set(self, raw: bytes | None, pace: Pace, levels: list[tuple[Learned, float]]) -> bool:
        """Replace the record, with these limits' buckets at these levels, unless somebody else was first."""
        limits = {limit.unit: limit for limit in pace.limits}
        emptied: list[Bucket] = []
        for unset, level in levels:
            limit = msgspec.structs.replace(unset, epoch=_new_epoch())
            limits[limit.unit] = limit
            if level < limit.capacity:
                emptied.append(limit.bucket(self._account, level - limit.capacity))
        if emptied:
            await self._store.adjust(emptied)
        pace = msgspec.structs.replace(pace, limits=tuple(limits.values()))
        if not await self._store.swap(self._key, raw, _encoder.encode(pace), ttl=_TTL):
            return False
        self._renewed = anyio.current_time()
        return True

    def _pause_bucket(self, epoch: str, amount: float) -> Bucket:
        # With a capacity of 1 and 1 per second, a debt of n is over in n seconds.
        return Bucket(key=f"{self._key}:pause:{epoch}", capacity=1.0, refill=1.0, amount=amount)


def _level(limit: Learned, report: ReportedLimit, since: float, elapsed: float) -> float:
    """What may be sent at once; below 0 it is what has to flow in before anything may."""
    if report.remaining is None:
        return 0.0
    left = report.remaining - since
    if flows := _is_bucket(limit, report):
        left = min(left + limit.refill * elapsed, limit.limit)
    spare = min(left - limit.limit * _RESERVE, limit.capacity)
    if spare <= 0 and not flows and report.reset is not None:
        return limit.debt(max(0.0, report.reset - elapsed))
    return spare


def _is_bucket(limit: Learned, report: ReportedLimit) -> bool:
    """Whether it is refilled all the time, and not at the end of a window."""
    if report.reset is None or report.remaining is None or report.remaining >= limit.limit:
        return True
    missing = (limit.limit - report.remaining) / limit.limit
    return 0.75 <= report.reset / (missing * limit.window) <= 1.25


def _usable(reported: tuple[ReportedLimit, ...]) -> dict[Unit, tuple[Learned, ReportedLimit]]:
    """Choose the limits to pace by: for each unit the slowest."""
    chosen: dict[Unit, tuple[Learned, ReportedLimit]] = {}
    for report in reported:
        window = report.window or _guess_window(report)
        if report.limit is None or window > _LONGEST_WINDOW:
            continue
        limit = Learned(unit=report.unit, limit=report.limit, window=window)
        if report.unit not in chosen or limit.refill < chosen[report.unit][0].refill:
            chosen[report.unit] = (limit, report)
    return chosen


def _guess_window(report: ReportedLimit) -> float:
    """A minute, as with most providers, unless the reset tells of a day, as it does with some of Groq's."""
    if report.reset is None or report.limit is None or report.remaining is None or report.remaining >= report.limit:
        return _MINUTE
    to_fill = report.reset * report.limit / (report.limit - report.remaining)
    return _DAY if report.reset > 2 * _MINUTE or 0.95 < to_fill / _DAY < 1.05 else _MINUTE


def _sum(one: Demand, other: Demand, sign: float) -> Demand:
    return Demand(
        requests=one.requests + sign * other.requests,
        input_tokens=one.input_tokens + sign * other.input_tokens,
        output_tokens=one.output_tokens + sign * other.output_tokens,
    )


def _decode(raw: bytes | None) -> Pace:
    if raw is None:
        return Pace()
    try:
        return _decoder.decode(raw)
    except msgspec.DecodeError:  # of another version of liter
        return Pace()


def _new_epoch() -> str:
    # From the system, not from a Random: processes forked from one would share epochs.
    return os.urandom(6).hex()

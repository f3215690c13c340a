"""How far a map is: counts, rate, cost; and a bar of it on a terminal."""

import sys
from typing import TextIO

import anyio

from ..money import Cost

_WIDTH = 24
# No eye sees more.
_INTERVAL = 0.1


class MapStats:
    """How far a map is.

    :ivar total: how many requests there are; ``None`` until the input has ended, where it does not tell its length
    :ivar done: how many have a result, failed ones too
    :ivar failed: how many of these failed
    :ivar restored: how many were done before, and came from the checkpoint
    :ivar cost: what the calls of this run cost so far; ``None`` when one of them is unknown
    """

    def __init__(self, total: int | None) -> None:
        self.total: int | None = total
        self.done: int = 0
        self.failed: int = 0
        self.restored: int = 0
        self.cost: Cost | None = Cost.unbilled()
        self._started = anyio.current_time()

    @property
    def seconds(self) -> float:
        """Since the start of the run."""
        return anyio.current_time() - self._started

    @property
    def rate(self) -> float:
        """Results of this run per second."""
        seconds = self.seconds
        return (self.done - self.restored) / seconds if seconds > 0 else 0.0

    def add(self, *, failed: bool, restored: bool, cost: Cost | None) -> None:
        """Count a result."""
        self.done += 1
        self.failed += failed
        self.restored += restored
        if not restored:
            self.cost = None if self.cost is None else Cost.sum((self.cost, cost))

    def line(self, *, bars: bool = True) -> str:
        """One line of text about it."""
        known = self.total is not None
        parts = [f"{self.done}/{self.total}" if known else f"{self.done}"]
        if self.total:
            full = _WIDTH * self.done // self.total
            parts.append("█" * full + "░" * (_WIDTH - full) if bars else "#" * full + "." * (_WIDTH - full))
        parts.append(f"{self.rate:.1f}/s")
        if self.total is not None and self.rate > 0 and self.done < self.total:
            parts.append(f"{_time((self.total - self.done) / self.rate)} left")
        if self.cost is None:
            parts.append("cost unknown")
        elif self.cost.total:
            parts.append(f"${float(self.cost):.4f}")
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.restored:
            parts.append(f"{self.restored} from the checkpoint")
        return "  ".join(parts)

    def __repr__(self) -> str:
        return f"<MapStats {self.line(bars=False)}>"


class ProgressBar:
    """Keeps one line of a terminal up to date."""

    def __init__(self, stats: MapStats, stream: TextIO | None = None) -> None:
        self._stats = stats
        self._stream = sys.stderr if stream is None else stream
        self._shown = -1.0
        self._bars = _encodes(self._stream)

    def update(self) -> None:
        """Show how far it is, if the last time was long enough ago."""
        now = anyio.current_time()
        if now - self._shown >= _INTERVAL:
            self._shown = now
            self._write()

    def close(self) -> None:
        """Show it a last time, and leave the line."""
        self._write()
        self._stream.write("\n")
        self._stream.flush()

    def _write(self) -> None:
        self._stream.write("\r\x1b[K" + self._stats.line(bars=self._bars))
        self._stream.flush()


def _encodes(stream: TextIO) -> bool:
    try:
        "█░".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _time(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"

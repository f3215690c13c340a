"""Costs over time, in stretches that widen as the time grows: memory is bounded however long a ledger is."""

from collections import defaultdict
from datetime import UTC, datetime, tzinfo

# Seconds: a minute to four weeks.
_WIDTHS = (60, 300, 900, 3600, 3 * 3600, 6 * 3600, 86400, 7 * 86400, 28 * 86400)

_DAY = 86400

# The first day of 1970 was a Thursday; weeks begin on Mondays.
_MONDAY = 3 * _DAY

# Stretches that are kept while reading, and bars that are drawn.
_MOST_KEPT, _MOST_DRAWN = 2000, 62


class Timeline:
    """Sums of costs by stretch of local time, and by name."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._width = _WIDTHS[0]
        self._costs: dict[int, dict[str, int]] = {}
        self.weeks = [[0] * 24 for _ in range(7)]

    def add(self, time: float, name: str, cost: int) -> None:
        """Count a cost at a time, in seconds since 1970."""
        local = datetime.fromtimestamp(time, self._zone)
        offset = local.utcoffset()
        seconds = int(time + (0 if offset is None else offset.total_seconds())) + _MONDAY
        self.weeks[local.weekday()][local.hour] += cost
        costs = self._costs.setdefault(seconds // self._width, defaultdict(int))
        costs[name] += cost
        if len(self._costs) > _MOST_KEPT:
            self._widen()

    def _widen(self) -> None:
        wider = next((width for width in _WIDTHS if width > self._width), self._width * 4)
        merged: dict[int, dict[str, int]] = {}
        for slot, costs in self._costs.items():
            into = merged.setdefault(slot * self._width // wider, defaultdict(int))
            for name, cost in costs.items():
                into[name] += cost
        self._costs, self._width = merged, wider

    def bars(self) -> list[tuple[datetime, dict[str, int]]]:
        """The stretches from the first to the last, those without costs too: when each begins, and its costs."""
        if not self._costs:
            return []
        while max(self._costs) - min(self._costs) >= _MOST_DRAWN:
            self._widen()
        return [
            (self._begins(slot), self._costs.get(slot, {})) for slot in range(min(self._costs), max(self._costs) + 1)
        ]

    def _begins(self, slot: int) -> datetime:
        # Local time, as if it were UTC.
        return datetime.fromtimestamp(slot * self._width - _MONDAY, UTC)

    @property
    def width(self) -> int:
        """Seconds that one bar stands for."""
        return self._width

    @property
    def width_in_words(self) -> str:
        """The same, to be read."""
        words = {60: "minute", 300: "stretch of 5 minutes", 900: "quarter of an hour", 3600: "hour", _DAY: "day"}
        words |= {3 * 3600: "stretch of 3 hours", 6 * 3600: "quarter of a day", 7 * _DAY: "week"}
        return words.get(self._width, f"stretch of {self._width // _DAY} days")

    def title(self, begins: datetime) -> str:
        """Name a bar in full."""
        return f"{begins:%a %d %b %Y}" if self._width >= _DAY else f"{begins:%a %d %b, %H:%M}"

    def labels(self, begins: list[datetime]) -> list[str]:
        """What to write below the bars: some ten of them."""
        every = max(1, -(-len(begins) // 11))
        labels: list[str] = []
        for number, moment in enumerate(begins):
            if number % every:
                labels.append("")
            elif self._width >= _DAY or (moment.hour == 0 and moment.minute == 0):
                labels.append(f"{moment:%d %b}".lstrip("0"))
            else:
                labels.append(f"{moment:%H:%M}")
        return labels

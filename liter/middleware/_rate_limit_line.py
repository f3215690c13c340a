"""The line of calls that wait for the same limits, first come first served."""

from collections import OrderedDict

import anyio

from .._rate_headers import Unit
from ._rate_limit_rule import Demand


class Place:
    """One call's place in a line."""

    __slots__ = ("demand", "turn")

    def __init__(self, demand: Demand) -> None:
        self.demand = demand
        self.turn = anyio.Event()


class Line:
    """A line in one event loop. Its first tries and waits for the limits; the others wait for their turn."""

    __slots__ = ("_places", "_ready", "_totals")

    def __init__(self) -> None:
        self._places: OrderedDict[Place, None] = OrderedDict()
        self._totals: dict[Unit, float] = {"requests": 0.0, "tokens": 0.0, "input_tokens": 0.0, "output_tokens": 0.0}
        # When the first may go, and the unit it waits for with what of it flows in per second.
        self._ready: tuple[float, Unit, float] | None = None

    def __len__(self) -> int:
        return len(self._places)

    def join(self, demand: Demand) -> Place:
        """Take the last place. Give it up with :meth:`leave`, whatever happens."""
        place = Place(demand)
        self._places[place] = None
        for unit in self._totals:
            self._totals[unit] += demand.of(unit)
        if len(self._places) == 1:
            place.turn.set()
        return place

    def leave(self, place: Place) -> None:
        """Give a place up. If it was the first, the next one has its turn."""
        first = self._first() is place
        del self._places[place]
        for unit in self._totals:
            self._totals[unit] -= place.demand.of(unit)
        if first and self._places:
            self._ready = None
            self._first().turn.set()

    def hold(self, wait: float, unit: Unit, refill: float) -> None:
        """Note that the first has to wait for ``unit``, which flows in at ``refill`` per second."""
        self._ready = (anyio.current_time() + wait, unit, refill)

    def wait_of_last(self) -> float:
        """Seconds until it is the last one's turn and its limits let it through, if nobody else takes of them."""
        if self._ready is None:
            return 0.0
        ready, unit, refill = self._ready
        between = self._totals[unit] - self._first().demand.of(unit)
        return max(0.0, ready - anyio.current_time()) + between / refill

    def wait_of(self, place: Place) -> float:
        """The same for any place. It takes time in proportion to the line."""
        if self._ready is None:
            return 0.0
        ready, unit, refill = self._ready
        between = -self._first().demand.of(unit)
        for other in self._places:
            between += other.demand.of(unit)
            if other is place:
                break
        return max(0.0, ready - anyio.current_time()) + between / refill

    def _first(self) -> Place:
        return next(iter(self._places))

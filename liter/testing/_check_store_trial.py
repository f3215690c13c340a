"""One store under one scenario."""

import secrets
from collections.abc import Awaitable, Callable, Sequence

import anyio

from ..stores import Bucket, Store, Taken

# What a scenario calls, by the names that it is told with.
Calls = Sequence[tuple[str, Callable[[], Awaitable[object]]]]


class StoreConformanceError(AssertionError):
    """A store breaks the protocol.

    :ivar scenario: what was done
    :ivar backend: ``"asyncio"`` or ``"trio"``
    :ivar expected: what the protocol asks for, and ``seen``, what happened instead
    """

    def __init__(self, scenario: str, backend: str, expected: str, seen: str) -> None:
        super().__init__(scenario, backend, expected, seen)
        self.scenario = scenario
        self.backend = backend
        self.expected = expected
        self.seen = seen

    def __str__(self) -> str:
        return (
            f"the store protocol is broken\n"
            f"  scenario: {self.scenario}, on {self.backend}\n"
            f"  expected: {self.expected}\n"
            f"  seen:     {self.seen}"
        )


class StoreTrial:
    """A store, keys that nobody else uses, and how exact its clock can be seen from here."""

    def __init__(self, make_store: Callable[[], Store], *, backend: str, title: str, realtime: bool) -> None:
        self.store = make_store()
        self.make_store = make_store
        self.backend = backend
        self.title = title
        self.realtime = realtime
        # Seconds. A busy machine may take this long for a step; in virtual time steps take none.
        self.slack = 0.1 if realtime else 1e-5
        self._asked = 0.0
        self._prefix = secrets.token_hex(8)

    def key(self, name: str) -> str:
        """Return a key of this trial's own."""
        return f"check:{self._prefix}:{name}"

    def bucket(self, name: str, amount: float, *, capacity: float = 10.0, refill: float = 10.0) -> Bucket:
        """Return a bucket of this trial's own; by default it fills within a second."""
        return Bucket(key=self.key(name), capacity=capacity, refill=refill, amount=amount)

    def fault(self, expected: str, seen: object) -> StoreConformanceError:
        """Return the error that tells what is wrong."""
        return StoreConformanceError(self.title, self.backend, expected, str(seen))

    def expect(self, holds: bool, expected: str, seen: object) -> None:
        """Raise unless ``holds``."""
        if not holds:
            raise self.fault(expected, seen)

    async def expect_raised(self, kind: type[Exception], where: str, calls: Calls) -> None:
        """Make calls, and raise unless each raises this.

        :param where: how it is told, with ``{}`` for the call's name: ``"from {} after aclose"``
        """
        for name, call in calls:
            try:
                answer = await call()
            except kind:
                continue
            raise self.fault(f"{kind.__name__} {where.format(name)}", answer)

    async def expect_granted(self, *buckets: Bucket) -> None:
        """Take, and raise unless it is granted."""
        self._asked = anyio.current_time()
        taken = await self.store.take(buckets)
        self.expect(taken == Taken(granted=True), f"{_told(buckets)} granted", taken)

    async def expect_refused(self, *buckets: Bucket, wait: float, index: int = 0) -> float:
        """Take, and raise unless it is refused with about this wait. Returns the exact one.

        On the wall clock it may be shorter than expected by the time that passed since the last taking.
        """
        since, self._asked = self._asked, anyio.current_time()
        taken = await self.store.take(buckets)
        passed = anyio.current_time() - since if self.realtime else 0.0
        fits = wait - self.slack - passed <= taken.wait <= wait + 1e-4
        self.expect(
            not taken.granted and taken.bucket == index and fits,
            f"{_told(buckets)} refused for {wait:g} s by the bucket with index {index}",
            taken,
        )
        return taken.wait


def _told(buckets: tuple[Bucket, ...]) -> str:
    return " and ".join(f"{bucket.amount:g} of {bucket.capacity:g}" for bucket in buckets)

"""Who waits for which bucket. Lines are of calls that have all limits in common; this is between lines."""

from collections.abc import Sequence

from ..stores import Bucket, Taken
from ._rate_limit_rule import Want


class Claims:
    """What those at the heads of lines wait for, so that nobody takes of it who came later.

    Else a call that wants much would wait for as long as there are others that want little: each of them finds enough
    before there is enough for it. A claim is on one bucket, the one that has to be waited for the longest; of what it
    does not wait for, a call keeps nothing from others.
    """

    __slots__ = ("_claimed", "_of")

    def __init__(self) -> None:
        # Of each bucket who waits for it, by the order in which they came, and when it is free for the next.
        self._of: dict[str, dict[int, float]] = {}
        self._claimed: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._claimed)

    def hold_any(self, buckets: Sequence[Bucket]) -> bool:
        """Whether somebody waits for one of these."""
        return any(bucket.amount and bucket.key in self._of for bucket in buckets)

    def before(self, arrival: int, wanted: Sequence[Want], now: float) -> Taken | None:
        """Tell how long number ``arrival`` waits for those who came before it; ``None`` where it need not."""
        longest, scarcest = 0.0, None
        for index, want in enumerate(wanted):
            bucket = want.bucket
            claims = self._of.get(bucket.key) if bucket.amount else None
            free = [time for other, time in claims.items() if other < arrival] if claims else ()
            if free:
                wait = max(0.0, max(free) - now) + min(bucket.amount, bucket.capacity) / bucket.refill
                if wait > longest:
                    longest, scarcest = wait, index
        return None if scarcest is None else Taken(granted=False, wait=longest, bucket=scarcest)

    def claim(self, arrival: int, bucket: Bucket, ready: float) -> None:
        """Note that number ``arrival`` waits for a bucket until ``ready``, and for no other."""
        self.drop(arrival)
        debt = max(0.0, bucket.amount - bucket.capacity) / bucket.refill
        self._of.setdefault(bucket.key, {})[arrival] = ready + debt
        self._claimed[arrival] = bucket.key

    def drop(self, arrival: int) -> None:
        """Number ``arrival`` waits no longer."""
        key = self._claimed.pop(arrival, None)
        if key is not None:
            del self._of[key][arrival]
            if not self._of[key]:
                del self._of[key]

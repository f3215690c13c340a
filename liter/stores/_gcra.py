"""What a store does to buckets, as arithmetic on one number each: GCRA, the generic cell rate algorithm.

ITU-T I.371 (annex A) describes it as a virtual schedule. A bucket is kept as the time at which it will be full again:

- One whose time is past, or unknown, is full. So what need not be kept any longer is told by the number itself.
- To take ``amount`` moves the time by ``amount / refill`` into the future; to give it back moves it back, but never
  into the past, as there is no fuller than full.
- What is missing at ``now`` is ``(full_at - now) * refill``. A taking is granted if afterwards no more than
  the capacity is missing, so the time may be up to ``capacity / refill`` ahead; further ahead is debt.

Nothing is ever added up over time, so no rounding errors are either, and a taking that is granted a little
early is paid for like any other.
"""

import math
import sys
from collections.abc import Mapping, Sequence

from ._store import Bucket, Taken

# Seconds that a taking may come early. Who waits exactly as long as told is at most some units in the last place
# of a clock short, which for seconds since 1970 is 2.4e-7.
TOLERANCE = 1e-6

_MOST = sys.float_info.max
_GRANTED = Taken(granted=True)


def check_buckets(buckets: Sequence[Bucket], *, taken: bool) -> None:
    """Raise ``ValueError`` for buckets that mean nothing.

    :param taken: whether these are taken from: then amounts below 0 are wrong, too
    """
    least = 0.0 if taken else -_MOST
    for bucket in buckets:
        if 0 < bucket.capacity < math.inf and 0 < bucket.refill < math.inf and least <= bucket.amount <= _MOST:
            continue
        if not 0 < bucket.capacity < math.inf:
            raise ValueError(f"capacity of {bucket.key!r} must be a number above 0, not {bucket.capacity}")
        if not 0 < bucket.refill < math.inf:
            raise ValueError(f"refill of {bucket.key!r} must be a number per second above 0, not {bucket.refill}")
        remedy = "0 or above; give back with adjust" if taken else "a number"
        raise ValueError(f"amount of {bucket.key!r} must be {remedy}, not {bucket.amount}")


def take(buckets: Sequence[Bucket], full_at: Mapping[str, float], now: float) -> tuple[Taken, dict[str, float]]:
    """Take from all buckets, or from none.

    :param full_at: when each bucket will be full; those that are not in it are full
    :return: the answer, and the new times of the buckets that change
    """
    changed: dict[str, float] = {}
    longest, scarcest = TOLERANCE, None
    for index, bucket in enumerate(buckets):
        key, refill = bucket.key, bucket.refill
        since = full_at.get(key, now)
        if since < now:
            since = now
        # A key may be given more than once; then the amounts add up.
        until = changed.get(key, since) + bucket.amount / refill
        changed[key] = until
        # More than the capacity is granted when the bucket is full: at `since`.
        granted_at = until - bucket.capacity / refill
        if granted_at > since:
            granted_at = since
        if granted_at - now > longest:
            longest, scarcest = granted_at - now, index
    if scarcest is not None:
        return Taken(granted=False, wait=longest, bucket=scarcest), {}
    return _GRANTED, changed


def adjust(buckets: Sequence[Bucket], full_at: Mapping[str, float], now: float) -> dict[str, float]:
    """Give back ``amount``, or take a negative one. Returns the new times of the buckets."""
    changed: dict[str, float] = {}
    for bucket in buckets:
        key = bucket.key
        since = changed[key] if key in changed else full_at.get(key, now)
        if since < now:
            since = now
        until = since - bucket.amount / bucket.refill
        if until < now:
            until = now
        changed[key] = until
    return changed


def check_ttl(ttl: float) -> None:
    """Raise ``ValueError`` for a time to live that is none."""
    if not 0 < ttl < math.inf:
        raise ValueError(f"ttl must be a number of seconds above 0, not {ttl}")

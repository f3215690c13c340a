"""The arithmetic of buckets, against a bucket that is kept as an exact level."""

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter.stores import Bucket
from liter.stores._gcra import TOLERANCE, adjust, take

# Seconds since 1970: where a float is the least exact.
START = 1.8e9


class ExactBucket:
    """A bucket as one would draw it: a level that rises with time, in exact numbers."""

    def __init__(self, bucket: Bucket) -> None:
        self.capacity = Fraction(bucket.capacity)
        self.refill = Fraction(bucket.refill)
        self.level = self.capacity

    def flow(self, seconds: float) -> None:
        self.level = min(self.capacity, self.level + Fraction(seconds) * self.refill)

    def wait(self, amount: float) -> Fraction:
        return max(Fraction(0), (min(Fraction(amount), self.capacity) - self.level) / self.refill)

    def give(self, amount: float) -> None:
        self.level = min(self.capacity, self.level + Fraction(amount))


BUCKETS = st.builds(
    Bucket,
    key=st.just("a"),
    capacity=st.floats(1, 1e6),
    refill=st.floats(0.01, 1e6),
    amount=st.just(0.0),
)
# What is done (a share of the capacity), after how long (a share of the time to fill).
STEPS = st.lists(
    st.tuples(st.sampled_from(["take", "adjust"]), st.floats(-1.5, 1.5), st.floats(0, 1.5)), min_size=1, max_size=30
)


@given(bucket=BUCKETS, steps=STEPS)
def test_one_number_does_what_an_exact_level_does(bucket: Bucket, steps: list[tuple[str, float, float]]) -> None:
    """Grants and waits are those of a bucket with a level, but for rounding of the clock."""
    exact = ExactBucket(bucket)
    full_at: dict[str, float] = {}
    now = START
    for what, share, pause in steps:
        passed = now + pause * bucket.capacity / bucket.refill - now
        now += passed
        exact.flow(passed)
        amount = share * bucket.capacity
        if what == "adjust":
            full_at |= adjust([msgspec.structs.replace(bucket, amount=amount)], full_at, now)
            exact.give(amount)
            continue
        amount = abs(amount)
        taken, changed = take([msgspec.structs.replace(bucket, amount=amount)], full_at, now)
        wait = exact.wait(amount)
        assert taken.wait == pytest.approx(float(wait), abs=2e-5, rel=1e-6)
        # The level as it would be if the answers agreed: within the clock's rounding either may be granted.
        if taken.granted:
            assert wait < 2e-5
            exact.give(-amount)
        full_at |= changed


@given(bucket=BUCKETS, first=st.floats(0, 2), second=st.floats(0.01, 2))
def test_who_waits_as_long_as_told_is_granted(bucket: Bucket, first: float, second: float) -> None:
    """A refused taking is granted after exactly its wait, and not noticeably before."""
    _, full_at = take([msgspec.structs.replace(bucket, amount=first * bucket.capacity)], {}, START)
    wanted = [msgspec.structs.replace(bucket, amount=second * bucket.capacity)]
    refused, _ = take(wanted, full_at, START)
    if refused.granted:
        return
    assert take(wanted, full_at, START + refused.wait)[0].granted
    if refused.wait > 10 * TOLERANCE:
        assert not take(wanted, full_at, START + refused.wait - 5 * TOLERANCE)[0].granted


@given(bucket=BUCKETS, amounts=st.lists(st.floats(0, 1), min_size=1, max_size=50), pause=st.floats(0, 0.5))
def test_no_more_is_granted_than_was_there_and_flowed_in(bucket: Bucket, amounts: list[float], pause: float) -> None:
    """Over any time, at most the capacity and what flowed in meanwhile is granted."""
    full_at: dict[str, float] = {}
    granted, now = 0.0, START
    for share in amounts:
        amount = share * bucket.capacity
        taken, changed = take([msgspec.structs.replace(bucket, amount=amount)], full_at, now)
        full_at |= changed
        granted += amount if taken.granted else 0.0
        allowed = bucket.capacity + (now - START) * bucket.refill
        assert granted <= allowed + 2 * TOLERANCE * bucket.refill + 1e-6
        now += pause * bucket.capacity / bucket.refill


@given(amounts=st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 12)), max_size=6))
def test_several_buckets_are_all_taken_from_or_none_is(amounts: list[tuple[str, float]]) -> None:
    """A taking is granted if each bucket would grant the sum that is wanted of it; otherwise nothing changes."""
    full_at = {"a": START + 0.2, "b": START + 1.5}
    buckets = [Bucket(key=key, capacity=10, refill=10, amount=amount) for key, amount in amounts]
    taken, changed = take(buckets, full_at, START)
    waits = [
        take(
            [Bucket(key=key, capacity=10, refill=10, amount=sum(b.amount for b in buckets if b.key == key))],
            full_at,
            START,
        )[0].wait
        for key in {bucket.key for bucket in buckets}
    ]
    assert taken.wait == pytest.approx(max(waits, default=0.0), abs=1e-6)
    assert set(changed) == ({bucket.key for bucket in buckets} if taken.granted else set())
    assert (taken.bucket is None) == taken.granted

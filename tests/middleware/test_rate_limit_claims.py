"""Claims: who waits between lines, for whom, and for how long."""

import pytest

from liter.middleware._rate_limit_claims import Claims
from liter.middleware._rate_limit_rule import Want
from liter.stores import Bucket, Taken


def wants(amount: float, key: str = "tokens", *, capacity: float = 60.0) -> Want:
    return Want("limit", "tokens", Bucket(key=key, capacity=capacity, refill=1.0, amount=amount))


def test_who_came_later_waits() -> None:
    """Until the one before has what it waits for, and for its own amount then; who came before it does not."""
    claims = Claims()
    claims.claim(2, wants(30).bucket, 30.0)
    assert claims.before(3, [wants(5)], 10.0) == Taken(granted=False, wait=25.0, bucket=0)
    assert claims.before(3, [wants(5, "other"), wants(5)], 10.0) == Taken(granted=False, wait=25.0, bucket=1)
    assert claims.before(1, [wants(5)], 10.0) is None
    assert claims.before(2, [wants(30)], 10.0) is None
    claims.claim(3, wants(5).bucket, 35.0)
    assert claims.before(4, [wants(5)], 40.0) == Taken(granted=False, wait=5.0, bucket=0)


def test_what_is_not_waited_for_is_free() -> None:
    """Another bucket, nothing of this one, and what is waited for no longer."""
    claims = Claims()
    claims.claim(1, wants(30).bucket, 30.0)
    assert claims.before(2, [wants(5, "other"), wants(0)], 10.0) is None
    assert (claims.hold_any([wants(0).bucket, wants(5, "other").bucket]), claims.hold_any([wants(1).bucket])) == (
        False,
        True,
    )
    claims.claim(1, wants(30, "other").bucket, 40.0)
    assert claims.before(2, [wants(5)], 10.0) is None
    claims.drop(1)
    claims.drop(1)
    assert (len(claims), claims._of) == (0, {})


@pytest.mark.parametrize(
    ("first", "second", "wait"), [(100.0, 5.0, 60.0 + 40.0 + 5.0), (30.0, 100.0, 60.0 + 60.0)], ids=["first", "second"]
)
def test_more_than_a_bucket_holds(first: float, second: float, wait: float) -> None:
    """It goes when the bucket is full, and leaves it in debt: that is for the next to wait for."""
    claims = Claims()
    claims.claim(1, wants(first).bucket, 60.0)
    assert claims.before(2, [wants(second)], 0.0) == Taken(granted=False, wait=wait, bucket=0)

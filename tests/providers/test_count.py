"""Counts and numbers as servers write them."""

from decimal import Decimal

import pytest

from liter.providers._count import count_of, number_of


@pytest.mark.parametrize(
    ("written", "count"),
    [
        (12, 12),
        (0, 0),
        (12.0, 12),
        ("12", 12),
        (Decimal("12.0"), 12),
        (-1, None),
        (1.5, None),
        (Decimal("1.5"), None),
        (Decimal("NaN"), None),
        (Decimal("1E+99999"), None),
        (True, None),
        ("1.5", None),
        ("\u0663", None),
        ("9" * 400, None),
        (float("inf"), None),
        (2**60, None),
        (None, None),
        ({}, None),
    ],
)
def test_counts(written, count):
    """Whole numbers of zero or more, of whatever kind; anything else is none."""
    assert count_of(written) == count
    assert type(count_of(written)) in (int, type(None))


@pytest.mark.parametrize(
    ("written", "number"), [(1, 1), (1.5, 1.5), ("1.5", 1.5), ("-2", -2.0), ("1e9", None), (True, None), (None, None)]
)
def test_numbers(written, number):
    """Text that is a number is one."""
    assert number_of(written) == number

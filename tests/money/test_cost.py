"""A cost is exact, says how it came about, and adds up without losing either."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter.money import Cost

amounts = st.decimals(min_value=0, max_value=10**9, allow_nan=False, allow_infinity=False, places=15)


@given(st.lists(amounts, max_size=30))
def test_sums_are_exact(drawn: list[Decimal]) -> None:
    """A sum of costs is the sum of their totals in whole units, in any order, by either way of adding."""
    costs = [Cost(total=amount, classes={"text_input": amount}, computed=amount) for amount in drawn]
    whole = sum(int(amount.scaleb(15)) for amount in drawn)
    for several in (costs, costs[::-1]):
        added = Cost.sum(several)
        assert added is not None
        assert added.total * 10**15 == whole
        if several:
            assert sum(several) == added
            assert added.total == added.classes["text_input"] == added.computed


def test_float_is_for_the_edge() -> None:
    """A cost converts to a float, and its total is none."""
    cost = Cost(total=Decimal("0.1"))
    assert float(cost) == 0.1
    assert isinstance(cost.total, Decimal)


def test_one_unknown_part_makes_the_sum_unknown() -> None:
    """A bill with an unknown part does not look complete."""
    assert Cost.sum([Cost(total=Decimal(1)), None]) is None


def test_the_sum_of_nothing_is_unbilled() -> None:
    """Without an attempt nothing was used, and that is known."""
    assert Cost.sum([]) == Cost.unbilled()
    assert Cost.unbilled() == Cost(total=Decimal(0), source="unbilled")


def test_a_sum_tells_what_its_parts_told() -> None:
    """Estimates, missing prices and assumptions of one part are those of the sum; what was unbilled changes nothing."""
    first = Cost(total=Decimal(1), computed=Decimal(1), price_version="a", match="exact", assumed=("x",))
    second = Cost(
        total=Decimal(2),
        source="provider",
        reported=Decimal(2),
        computed=Decimal(3),
        estimated=True,
        price_version="a",
        match="alias",
        unpriced=("web_searches",),
        assumed=("x", "y"),
    )
    added = first + second + Cost.unbilled()
    assert added == Cost(
        total=Decimal(3),
        source="mixed",
        computed=Decimal(4),
        estimated=True,
        price_version="a",
        unpriced=("web_searches",),
        assumed=("x", "y"),
    )
    assert (first.exact, first.complete, added.exact, added.complete) == (True, True, False, False)
    assert Cost.unbilled() + first is first


def test_versions_of_two_books_are_both_told() -> None:
    """A sum of prices from two books names both, once."""
    cost = Cost(total=Decimal(1), price_version="a")
    other = Cost(total=Decimal(1), price_version="b")
    assert (cost + other + cost + other).price_version == "a, b"
    assert (Cost(total=Decimal(1)) + other).price_version == "b"


@pytest.mark.parametrize(("total", "units"), [("0", 0), ("1e-12", 1), ("1.0000000000001e-12", 2), ("2", 2 * 10**12)])
def test_picodollars_are_rounded_up(total: str, units: int) -> None:
    """Whole units never say less than the amount."""
    assert Cost(total=Decimal(total)).picodollars == units


def test_only_costs_are_added() -> None:
    """A number has no source, so it is not added to a cost."""
    with pytest.raises(TypeError):
        Cost(total=Decimal(1)) + 1  # what is refused
    with pytest.raises(TypeError):
        1 + Cost(total=Decimal(1))  # what is refused

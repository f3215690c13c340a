"""What a pace is made of: windows that nobody told, and levels."""

import pytest

from liter._rate_headers import ReportedLimit
from liter.middleware._rate_limit_line import Line
from liter.middleware._rate_limit_pace import Learned, _guess_window, _level
from liter.middleware._rate_limit_rule import Demand


@pytest.mark.parametrize(
    ("remaining", "reset", "window"),
    [
        (999, 0.06, 60.0),  # one of 1000 flows in
        (999, 86.4, 86400.0),
        (500, 3600.0, 86400.0),  # a fixed window's end
        (500, 30.0, 60.0),
        (1000, 0.0, 60.0),
        (None, 1.0, 60.0),
        (500, None, 60.0),
    ],
)
def test_a_window_is_guessed(remaining: float | None, reset: float | None, window: float) -> None:
    """It is a minute, unless the reset tells of a day: by how far off it is, or by how slowly one flows in."""
    report = ReportedLimit(unit="requests", limit=1000.0, remaining=remaining, reset=reset)
    assert _guess_window(report) == window


def test_what_is_left_may_be_unknown() -> None:
    """Then nothing may be sent at once, and what flows in may."""
    limit = Learned(unit="requests", limit=60.0, window=60.0)
    assert _level(limit, ReportedLimit(unit="requests", limit=60.0), 0.0, 0.0) == 0.0


@pytest.mark.anyio
async def test_a_line_whose_first_has_gone() -> None:
    """How long the next one waits is known when it has asked, and not by what the one before it was told."""
    line = Line()
    first = line.join(Demand(requests=1.0))
    line.join(Demand(requests=1.0))
    line.hold(10.0, "requests", 1.0)
    assert line.wait_of_last() == 11.0
    line.leave(first)
    assert line.wait_of_last() == 0.0

"""Telemetry that each test can look at."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from ._recorded import Recorded


@pytest.fixture
def recorded(caplog: pytest.LogCaptureFixture) -> Iterator[Recorded]:
    """Records everything. At the end no span is current, and nobody has complained."""
    kept = Recorded()
    yield kept
    assert trace.get_current_span() is trace.INVALID_SPAN
    complaints = [record for record in caplog.records if record.name.startswith("opentelemetry")]
    assert complaints == []
    kept.close()


@pytest.fixture
def unsampled() -> Iterator[Recorded]:
    """Records metrics, and no spans."""
    kept = Recorded(ALWAYS_OFF)
    yield kept
    kept.close()

"""Telemetry that each test can look at."""

from collections.abc import Callable, Iterator

import anyio
import msgspec
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from liter import Call, Route

from ._recorded import Recorded


class Question(msgspec.Struct, frozen=True):
    """A request of the tests' own."""

    text: str = "?"


@pytest.fixture
def make_call() -> Callable[..., Call[object]]:
    """Makes a call that begins now; takes any field of ``Call``."""

    def make(**fields: object) -> Call[object]:
        call: Call[object] = Call(
            operation="chat",
            request=Question(),
            route=Route(provider="scripted", model="scripted", base_url="https://scripted.invalid"),
            started=anyio.current_time(),
            attempts=[],
        )
        return msgspec.structs.replace(call, **fields)

    return make


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

"""``liter.telemetry.configure``: SDK and exporters from the standard variables, flushed and shut down."""

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from liter.middleware import Tracing
from liter.telemetry import Telemetry, configure
from liter.testing import Simulator

from ._collector import collecting, values
from ._recorded import GPT, HI, serving

# Exporters run in threads, on the wall clock.
pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

SIGNALS = ("TRACES", "METRICS", "LOGS")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


def tracing(telemetry: Telemetry, **options: object) -> Tracing:
    return Tracing(
        tracer_provider=telemetry.tracer_provider,
        meter_provider=telemetry.meter_provider,
        logger_provider=telemetry.logger_provider,
        **options,
    )


async def test_all_signals_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans, metrics and log events go to the endpoint of the environment, with its headers and the service's name."""
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-project=liter")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version=7")
        async with configure(service_name="answers", make_global=False) as telemetry:
            async with serving(Simulator(), tracing(telemetry, capture_content="event")) as client:
                await client.chat(model=GPT, messages=HI)
            assert await telemetry.flush()
            assert len(collector.spans) == 2
    assert collector.services == {"answers"}
    assert {headers["x-project"] for headers in collector.headers} == {"liter"}
    assert collector.count("gen_ai.client.operation.duration") == 1
    (log,) = collector.logs
    assert log.event_name == "gen_ai.client.inference.operation.details"
    messages = values(log.attributes)["gen_ai.input.messages"]
    assert messages == [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]


async def test_what_is_left_is_sent_under_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is told to stop sends what it has all the same."""
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        with anyio.CancelScope() as scope:
            async with configure(make_global=False) as telemetry:
                telemetry.tracer_provider.get_tracer("t").start_span("last").end()
                scope.cancel()
        assert [span.name for span in collector.spans] == ["last"]
        await telemetry.aclose()
        telemetry.shutdown()


async def test_exporters_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``none`` nothing is sent, and what was recorded can be had by processors of your own."""
    for signal in SIGNALS:
        monkeypatch.setenv(f"OTEL_{signal}_EXPORTER", "none")
    async with configure(make_global=False) as telemetry:
        assert await telemetry.flush()


async def test_it_can_be_disabled_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's own switch holds."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    async with configure(make_global=False) as telemetry:
        assert not telemetry.tracer_provider.get_tracer("t").start_span("s").is_recording()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_METRICS_EXPORTER", "prometheus"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json"),
    ],
)
def test_what_is_not_offered_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A variable that would be ignored is an error that names it."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"{name} must be .*, not '{value}'"):
        configure(make_global=False)


def test_a_program_uses_it_globally() -> None:
    """The providers are the process's own; a second set-up is refused; spans are printed where that is wanted."""
    code = """
import anyio
from opentelemetry import trace
from liter import LlmClient
from liter.middleware import Tracing
from liter.telemetry import configure
from liter.testing import Simulator

async def main():
    async with configure(service_name="printed") as telemetry, Simulator().serve_memory() as network:
        assert trace.get_tracer_provider() is telemetry.tracer_provider
        try:
            configure()
        except RuntimeError as error:
            assert "has a tracer provider already" in str(error)
        async with LlmClient(api_key="sk", network_backend=network, middleware=[Tracing()]) as client:
            await client.chat(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])

anyio.run(main, backend="trio")
"""
    environment = {**os.environ, **{f"OTEL_{signal}_EXPORTER": "console" for signal in SIGNALS}}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**environment, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for expected in ('"name": "chat gpt-4o"', '"service.name": "printed"', "gen_ai.client.operation.duration"):
        assert expected in done.stdout

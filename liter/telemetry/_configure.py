"""Sets OpenTelemetry up for those who have not: SDK and OTLP exporters, from the standard environment variables."""

import os
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self, cast

import anyio

if TYPE_CHECKING:
    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import TracerProvider

_EXTRA: Final = "pip install 'liter-sdk[otel]'"
_GRACE: Final = 10.0


class Sending(Protocol):
    """What a provider of the SDK's does with what it holds, whichever of the three it is."""

    def force_flush(self, timeout_millis: int = ..., /) -> bool: ...
    def shutdown(self) -> None: ...


class Telemetry:
    """The providers that :func:`configure` has set up. Use it as ``async with``, or call :meth:`aclose` at the end.

    What was recorded is sent from threads of the SDK's own, and at the latest when this closes.
    """

    def __init__(
        self, tracer_provider: "TracerProvider", meter_provider: "MeterProvider", logger_provider: "LoggerProvider"
    ) -> None:
        self.tracer_provider: TracerProvider = tracer_provider
        self.meter_provider: MeterProvider = meter_provider
        self.logger_provider: LoggerProvider = logger_provider
        self._sending = tuple(cast("Sending", one) for one in (tracer_provider, meter_provider, logger_provider))
        self._closed = False

    async def flush(self, timeout: float = _GRACE) -> bool:
        """Send what has been recorded so far. Returns whether all of it went out within ``timeout`` seconds."""
        milliseconds = round(timeout * 1000)
        # One by one: an exporter's time is its own. The SDK blocks, so a thread does it.
        return all(
            [
                await anyio.to_thread.run_sync(sending.force_flush, milliseconds, abandon_on_cancel=True)
                for sending in self._sending
            ]
        )

    async def aclose(self) -> None:
        """Send the rest, and shut down. Shielded from cancellation, for 10 seconds at most. Idempotent."""
        with anyio.move_on_after(_GRACE, shield=True):
            await anyio.to_thread.run_sync(self.shutdown, abandon_on_cancel=True)

    def shutdown(self) -> None:
        """Send the rest, and shut down: blocks. For programs without an event loop; others use :meth:`aclose`."""
        if self._closed:
            return
        self._closed = True
        for sending in self._sending:
            sending.shutdown()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


def configure(
    *,
    service_name: str | None = None,
    resource: Mapping[str, str] | None = None,
    make_global: bool = True,
) -> Telemetry:
    """Set up OpenTelemetry's SDK, and have it send to a collector by OTLP.

    For programs that have not set it up themselves. Where to send, how to log in there, what to sample, how often to
    send is all in the standard environment variables: ``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_EXPORTER_OTLP_HEADERS``,
    ``OTEL_TRACES_SAMPLER``, ``OTEL_BSP_*``, ``OTEL_METRIC_EXPORT_INTERVAL``, ... ``OTEL_TRACES_EXPORTER``,
    ``OTEL_METRICS_EXPORTER`` and ``OTEL_LOGS_EXPORTER`` may be ``otlp`` (the default), ``console`` or ``none``, and
    ``OTEL_EXPORTER_OTLP_PROTOCOL`` is ``http/protobuf``. ``OTEL_SDK_DISABLED=true`` turns all of it off.

    Needs the extra ``otel``.

    :param service_name: of this program; by default as ``OTEL_SERVICE_NAME`` says
    :param resource: more facts about it: ``{"deployment.environment.name": "production"}``
    :param make_global: set the providers for the whole process, once; else give them to ``Tracing`` yourself
    :raises ImportError: the extra is not installed
    :raises RuntimeError: the process has providers already
    :raises ValueError: an environment variable has a value that is not offered here
    """
    try:
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ImportError(f"opentelemetry-sdk is missing: {_EXTRA}") from error
    from opentelemetry import _logs, metrics, trace

    if make_global and not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        raise RuntimeError(
            "this process has a tracer provider already, and Tracing() uses it: configure() is for those who have none"
        )
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    kinds = {signal: "none" if disabled else _exporter_kind(signal) for signal in ("traces", "metrics", "logs")}
    facts = Resource.create({**(resource or {}), **({"service.name": service_name} if service_name else {})})
    tracer_provider = TracerProvider(resource=facts)
    if kinds["traces"] != "none":
        tracer_provider.add_span_processor(BatchSpanProcessor(_span_exporter(kinds["traces"])))
    readers: list[MetricReader] = []
    if kinds["metrics"] != "none":
        readers.append(PeriodicExportingMetricReader(_metric_exporter(kinds["metrics"])))
    meter_provider = MeterProvider(readers, resource=facts)
    logger_provider = LoggerProvider(resource=facts)
    if kinds["logs"] != "none":
        logger_provider.add_log_record_processor(BatchLogRecordProcessor(_log_exporter(kinds["logs"])))
    if make_global:
        trace.set_tracer_provider(tracer_provider)
        metrics.set_meter_provider(meter_provider)
        _logs.set_logger_provider(logger_provider)
    return Telemetry(tracer_provider, meter_provider, logger_provider)


def _exporter_kind(signal: str) -> str:
    name = f"OTEL_{signal.upper()}_EXPORTER"
    kind = os.environ.get(name, "").strip().lower() or "otlp"
    if kind not in ("otlp", "console", "none"):
        raise ValueError(f"{name} must be otlp, console or none, not {kind!r}: others are set up with the SDK itself")
    if kind == "otlp":
        variable = f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL"
        if variable not in os.environ:
            variable = "OTEL_EXPORTER_OTLP_PROTOCOL"
        protocol = os.environ.get(variable, "").strip().lower() or "http/protobuf"
        if protocol != "http/protobuf":
            raise ValueError(
                f"{variable} must be http/protobuf, not {protocol!r}: others are set up with the SDK itself"
            )
    return kind


def _span_exporter(kind: str) -> "SpanExporter":
    if kind == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _metric_exporter(kind: str) -> "MetricExporter":
    if kind == "console":
        from opentelemetry.sdk.metrics.export import ConsoleMetricExporter

        return ConsoleMetricExporter()
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter()


def _log_exporter(kind: str) -> "LogRecordExporter":
    if kind == "console":
        from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter

        return ConsoleLogRecordExporter()
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

    return OTLPLogExporter()

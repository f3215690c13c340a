"""Spans, metrics and log events kept in memory, by providers of each test's own."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, Metric, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from liter import Layer, LlmClient
from liter.middleware import Tracing
from liter.testing import Simulator

GPT = "openai/gpt-simulated"
CLAUDE = "anthropic/claude-simulated"
HI: list[Mapping[str, object]] = [{"role": "user", "content": "hi"}]

Point = HistogramDataPoint | NumberDataPoint


class Recorded:
    """What was recorded.

    :param sampler: of spans; ``ALWAYS_OFF`` records none
    """

    def __init__(self, sampler: Sampler = ALWAYS_ON) -> None:
        self._spans = InMemorySpanExporter()
        self._logs = InMemoryLogRecordExporter()
        self._reader = InMemoryMetricReader()
        self.tracer_provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meter_provider = MeterProvider([self._reader], shutdown_on_exit=False)
        self.logger_provider = LoggerProvider(shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self._logs))
        self.tracer = self.tracer_provider.get_tracer("test")

    def tracing(self, **options: object) -> Tracing:
        """Make a layer that records here."""
        return Tracing(
            tracer_provider=self.tracer_provider,
            meter_provider=self.meter_provider,
            logger_provider=self.logger_provider,
            **options,
        )

    @property
    def spans(self) -> list[ReadableSpan]:
        """Spans that have ended, in the order in which they did."""
        return list(self._spans.get_finished_spans())

    @property
    def calls(self) -> list[ReadableSpan]:
        """Spans of calls."""
        return [span for span in self.spans if "gen_ai.operation.name" in attributes(span)]

    @property
    def call(self) -> ReadableSpan:
        """The span of the only call."""
        (span,) = self.calls
        return span

    @property
    def attempts(self) -> list[ReadableSpan]:
        """Spans of attempts, in the order in which they began."""
        found = [span for span in self.spans if "http.request.method" in attributes(span)]
        return sorted(found, key=lambda span: span.start_time or 0)

    @property
    def logs(self) -> list[ReadableLogRecord]:
        return list(self._logs.get_finished_logs())

    @property
    def metrics(self) -> dict[str, Metric]:
        """All metrics with data, by name."""
        data = self._reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str) -> list[Point]:
        """The points of a metric."""
        metric = self.metrics.get(name)
        return [] if metric is None else cast("list[Point]", list(metric.data.data_points))

    def everything(self) -> str:
        """All that was recorded, as text, to look for what must not be in it."""
        spans = [span.to_json() for span in self.spans]
        logs = [log.log_record.to_json() if hasattr(log.log_record, "to_json") else repr(log) for log in self.logs]
        return "\n".join([*spans, *logs, repr(self.metrics)])

    def close(self) -> None:
        self.tracer_provider.shutdown()
        self.meter_provider.shutdown()
        self.logger_provider.shutdown()


def attributes(item: object) -> dict[str, object]:
    """The attributes of a span, a metric's point, a span's event."""
    return dict(getattr(item, "attributes", None) or {})


def parent_of(span: ReadableSpan) -> int | None:
    """The id of a span's parent."""
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    """The id of a span."""
    assert span.context is not None
    return span.context.span_id


def seconds(span: ReadableSpan) -> float:
    """How long a span took."""
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


@asynccontextmanager
async def serving(simulator: Simulator, *layers: Layer, **options: object) -> AsyncIterator[LlmClient]:
    """A client of the simulator, in memory, with these layers."""
    keys = {"api_key": "sk-canary-home", "api_keys": {"anthropic": "sk-canary-other"}}
    async with (
        simulator.serve_memory() as network,
        LlmClient(network_backend=network, middleware=layers, **{**keys, **options}) as client,
    ):
        yield client

"""A collector that takes OTLP over HTTP, and decodes what it is sent."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """What has come.

    :param endpoint: for ``OTEL_EXPORTER_OTLP_ENDPOINT``
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.headers: list[dict[str, str]] = []
        self.services: set[str] = set()
        self.spans: list[Span] = []
        self.metrics: dict[str, Metric] = {}
        self.logs: list[LogRecord] = []

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.headers.append(headers)
        if path == "/v1/traces":
            for traced in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.services.add(str(values(traced.resource.attributes)["service.name"]))
                self.spans += [span for scope in traced.scope_spans for span in scope.spans]
        elif path == "/v1/metrics":
            # Sums and histograms are cumulative: the latest says all.
            for measured in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                self.metrics.update(
                    {metric.name: metric for scope in measured.scope_metrics for metric in scope.metrics}
                )
        elif path == "/v1/logs":
            for logged in ExportLogsServiceRequest.FromString(body).resource_logs:
                self.logs += [record for scope in logged.scope_logs for record in scope.log_records]

    def sum(self, name: str, **where: object) -> float:
        """The sum of a histogram over its points, or of those with these attributes."""
        metric = self.metrics[name]
        points = [*metric.histogram.data_points, *metric.sum.data_points]
        found = [point for point in points if where.items() <= values(point.attributes).items()]
        return sum(point.sum if hasattr(point, "sum") else point.as_int for point in found)

    def count(self, name: str) -> int:
        """How often a histogram was recorded."""
        return sum(point.count for point in self.metrics[name].histogram.data_points)


def values(attributes: "Iterator[KeyValue] | object") -> dict[str, object]:
    """Attributes as a mapping."""
    return {each.key: value_of(each.value) for each in attributes}


def value_of(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return values(value.kvlist_value.values)
    return None if kind is None else getattr(value, kind)


@contextmanager
def collecting() -> Iterator[Collector]:
    """Collect at a port of this machine's own, in threads."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            collector.take(self.path, headers, body)
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # as it is called there
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

"""End to end: a service under hypercorn, whose spans and metrics go by OTLP to a collector that decodes them."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import ModuleType

import anyio
import httpcore
import pytest
from hypercorn.config import Config
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from liter.stores import SqliteLedger
from liter.telemetry import configure
from liter.testing import CloseAfterEvents, Refuse, Simulator

from .._script import load
from ._collector import Collector, collecting, values

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

ROOT = Path(__file__).parents[2]
TRACE_ID, CALLER = 0xABCDEF, 0x123456
QUESTIONS = 12


def load_service() -> ModuleType:
    """The example that the documentation shows."""
    return load("docs/examples/service.py")


@asynccontextmanager
async def served(app: object, backend: str) -> AsyncIterator[str]:
    """Serve the application with hypercorn's worker for this event loop, and give its address."""
    if backend == "trio":
        from hypercorn.trio import serve
    else:
        from hypercorn.asyncio import serve  # the same thing on the other loop
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.accesslog = config.errorlog = None
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(serve, app, config, shutdown_trigger=stop.wait))
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            stop.set()


async def ask(address: str, collected: list[int]) -> None:
    """Put questions at once, whole and streamed, each in the trace of its caller."""
    async with httpcore.AsyncConnectionPool(max_connections=4) as pool, anyio.create_task_group() as tasks:

        async def one(number: int) -> None:
            path = "/stream" if number % 3 == 0 else "/answer"
            headers = {
                "traceparent": f"00-{TRACE_ID + number:032x}-{CALLER:016x}-01",
                "x-tenant": "acme" if number % 2 else "globex",
            }
            try:
                response = await pool.request(
                    "POST", address + path, headers=headers, content=b"Where do rivers begin?"
                )
                collected.append(response.status)
            except httpcore.RemoteProtocolError:  # the answer was cut, as the provider's was
                collected.append(0)

        for number in range(QUESTIONS):
            tasks.start_soon(one, number)


def above(span: Span, spans: dict[bytes, Span]) -> list[str]:
    """The names of a span and of those above it, up to what is not ours."""
    names = [span.name]
    while span.parent_span_id in spans:
        span = spans[span.parent_span_id]
        names.append(span.name)
    return names


async def test_what_a_collector_gets(anyio_backend_name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each call's cost is on its span, the parents lead from the wire to the caller, and the sums are the ledger's."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    service = load_service()
    faults = [Refuse(503), None, Refuse(500), None, None, Refuse(429), CloseAfterEvents(4)]
    provider = Simulator(faults=faults, latency=0.01)
    answers: list[int] = []
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        async with (
            configure(service_name="answers", make_global=False) as telemetry,
            service.answering(telemetry, provider, tmp_path / "spend.db") as app,
            served(app, anyio_backend_name) as address,
        ):
            await ask(address, answers)
    assert len(answers) == QUESTIONS
    assert answers.count(200) >= QUESTIONS - 1
    check_spans(collector, len(provider.requests))
    check_sums(collector, tmp_path / "spend.db")


def check_spans(collector: Collector, requests: int) -> None:
    """Every span has its place, and every call its cost."""
    spans = {span.span_id: span for span in collector.spans}
    by_kind = {kind: [span for span in spans.values() if span.kind == kind] for kind in (Span.SPAN_KIND_SERVER, 3)}
    servers, clients = by_kind[Span.SPAN_KIND_SERVER], by_kind[Span.SPAN_KIND_CLIENT]
    calls = [span for span in clients if span.name == "chat gpt-4o-mini"]
    attempts = [span for span in clients if span.name == "POST /v1/chat/completions"]
    assert len(servers) == len(calls) == QUESTIONS
    assert len(attempts) == requests > QUESTIONS
    assert len(spans) == len(servers) + len(calls) + len(attempts)
    for server in servers:
        assert server.parent_span_id == CALLER.to_bytes(8, "big")
        assert 0 <= int.from_bytes(server.trace_id, "big") - TRACE_ID < QUESTIONS
    for attempt in attempts:
        names = above(attempt, spans)
        assert names[:2] == ["POST /v1/chat/completions", "chat gpt-4o-mini"]
        assert names[2:] in (["POST /answer"], ["POST /stream"])
        assert attempt.trace_id == spans[attempt.parent_span_id].trace_id
        assert "gen_ai.usage.cost" not in values(attempt.attributes)
    for call in calls:
        told = values(call.attributes)
        assert isinstance(told["gen_ai.usage.cost"], float)
        assert told["gen_ai.usage.cost"] == told["operation.cost"] > 0
        assert told["liter.tag.tenant"] in ("acme", "globex")
        assert told["gen_ai.provider.name"] == "openai"
        assert call.start_time_unix_nano <= call.end_time_unix_nano


def check_sums(collector: Collector, path: Path) -> None:
    """Metrics, spans and the ledger come to the same amounts, to the last digit."""
    rows = list(SqliteLedger(path).read())
    costs = [row.cost for row in rows]
    assert None not in costs
    spent = Decimal(sum(cost for cost in costs if cost is not None)).scaleb(-12)
    told = [values(span.attributes) for span in collector.spans]
    on_spans = sum(Decimal(str(each["gen_ai.usage.cost"])) for each in told if "gen_ai.usage.cost" in each)
    assert on_spans == spent > 0
    assert Decimal(collector.sum("operation.cost")).quantize(Decimal("1e-12")) == spent
    assert collector.count("operation.cost") == QUESTIONS
    for kind, field in (("input", "prompt_tokens"), ("output", "completion_tokens")):
        counted = sum(getattr(row, field) or 0 for row in rows)
        assert collector.sum("gen_ai.client.token.usage", **{"gen_ai.token.type": kind}) == counted > 0
    assert collector.sum("liter.client.attempts") == len(rows)
    assert collector.count("gen_ai.client.operation.duration") == QUESTIONS

"""A service that answers questions, and whose every answer has a trace with its price: Starlette on Trio.

    python docs/examples/service.py

serves for a moment, asks itself, and shows what was recorded. With OTEL_EXPORTER_OTLP_ENDPOINT it also sends it there.
It takes the key in OPENAI_API_KEY, or else brings its own provider.
"""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypedDict

import httpcore
import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from opentelemetry import propagate
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from liter import Layer, LlmClient, LlmError
from liter.middleware import Concurrency, CostTracking, Ledger, Retry, Tracing
from liter.telemetry import Telemetry, configure
from liter.testing import Refuse, Simulator

KEY = os.environ.get("OPENAI_API_KEY")


class CallArguments(TypedDict):
    """What the service says to the model, and for whom."""

    model: str
    messages: list[dict[str, object]]
    tags: dict[str, str]


class ServerSpans:
    """A SERVER span for each request, from its first byte to the last of its answer, below the caller's span.

    The instrumentation of OpenTelemetry's own for ASGI does the same and more.
    """

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self.app = app
        self.tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        caller = propagate.extract({name.decode(): value.decode() for name, value in scope["headers"]})
        method, path = scope["method"], scope["path"]
        about = {"http.request.method": method, "url.path": path, "url.scheme": scope["scheme"]}

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.set_attribute("http.response.status_code", message["status"])
                if message["status"] >= 500:
                    span.set_status(Status(StatusCode.ERROR))
            await send(message)

        # One coroutine of one task, so that the span may be current all the way through.
        with self.tracer.start_as_current_span(f"{method} {path}", caller, SpanKind.SERVER, about) as span:
            await self.app(scope, receive, answer)


def make_app(client: LlmClient, tracer: Tracer) -> ASGIApp:
    """Make the application: ``POST /answer`` with a question gives an answer, ``POST /stream`` word by word."""

    async def asked(request: Request) -> CallArguments:
        question = (await request.body()).decode()
        return {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": question}],
            "tags": {"tenant": request.headers.get("x-tenant", "nobody")},
        }

    async def answer(request: Request) -> Response:
        try:
            reply = await client.chat(**await asked(request))
        except LlmError as error:
            return JSONResponse({"error": type(error).__name__}, status_code=503 if error.retryable else 500)
        tokens = reply.usage.total_tokens if reply.usage else None
        cost = None if reply.cost is None else str(reply.cost.total)
        return JSONResponse({"answer": reply.text, "tokens": tokens, "usd": cost})

    async def stream(request: Request) -> Response:
        chunks = await client.chat_stream(**await asked(request))

        async def words() -> AsyncIterator[str]:
            async with chunks:
                async for chunk in chunks:
                    yield chunk.text

        return StreamingResponse(words(), media_type="text/plain")

    routes = [Route("/answer", answer, methods=["POST"]), Route("/stream", stream, methods=["POST"])]
    return ServerSpans(Starlette(routes=routes), tracer)


@asynccontextmanager
async def answering(telemetry: Telemetry, provider: Simulator, ledger: Path) -> AsyncIterator[ASGIApp]:
    """The application with its client. The order of the layers is the order of a call through them."""
    layers: list[Layer] = [
        Tracing(
            tags=["tenant"],
            tracer_provider=telemetry.tracer_provider,
            meter_provider=telemetry.meter_provider,
            logger_provider=telemetry.logger_provider,
        ),
        Ledger(ledger),
        CostTracking(),
        Retry(),
        Concurrency(100),
    ]
    async with (
        provider.serve_memory() as network,
        LlmClient(api_key=KEY or "sk-any", network_backend=None if KEY else network, middleware=layers) as client,
    ):
        yield make_app(client, telemetry.tracer_provider.get_tracer("service"))


class Show(SpanProcessor):
    """Prints each span that ends, and what it cost."""

    def on_end(self, span: ReadableSpan) -> None:
        told = span.attributes or {}
        cost = told.get("gen_ai.usage.cost")
        tokens = told.get("gen_ai.usage.output_tokens")
        milliseconds = ((span.end_time or 0) - (span.start_time or 0)) / 1e6
        price = "" if cost is None else f"  {cost:.9f} USD, {tokens} tokens out"
        print(f"{milliseconds:8.1f} ms  {span.kind.name:8}  {span.name}{price}")


async def serve_and_ask(app: ASGIApp) -> None:
    """Serve, as ``hypercorn --worker-class trio`` would, until all questions are answered."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.accesslog = config.errorlog = None
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(
            lambda task_status: serve(app, config, shutdown_trigger=stop.wait, task_status=task_status)
        )
        async with httpcore.AsyncConnectionPool() as pool:
            for path in ("/answer", "/stream"):
                response = await pool.request("POST", address + path, content=b"Where do rivers begin?")
                print(response.content.decode())
        stop.set()


async def main() -> None:
    if "OTEL_EXPORTER_OTLP_ENDPOINT" not in os.environ:
        os.environ.update({f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")})
    provider = Simulator(reply="In the hills, mostly.", latency=0.05, event_latency=0.01, faults=[Refuse(429)])
    with TemporaryDirectory() as folder:
        async with (
            configure(service_name="answers") as telemetry,
            answering(telemetry, provider, Path(folder, "spend.db")) as app,
        ):
            telemetry.tracer_provider.add_span_processor(Show())
            await serve_and_ask(app)


if __name__ == "__main__":
    trio.run(main)

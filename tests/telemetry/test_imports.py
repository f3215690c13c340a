"""What telemetry costs those who do not use it, and where its names are."""

import ast
import re
import subprocess
import sys
from pathlib import Path

from liter.telemetry import _names as names

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "liter").rglob("*.py"))
NAMES = re.compile(
    r"(gen_ai\.|http\.(request|response|client)\.|url\.(full|template)$|server\.(address|port)$|error\.type$"
    r"|exception\.(type|message|stacktrace)$|openai\.(request|response|api)\.|operation\.cost$)"
)


def run(code: str) -> str:
    """Run code in an interpreter of its own."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_liter_does_not_import_opentelemetry() -> None:
    """Neither the package nor its layers do, before a Tracing is made."""
    code = (
        "import sys, liter, liter.middleware, liter.telemetry\n"
        "print('opentelemetry' in sys.modules)\n"
        "tracing = liter.middleware.Tracing()\n"
        "print('opentelemetry.trace' in sys.modules, 'opentelemetry.sdk' in sys.modules)"
    )
    assert run(code).split() == ["False", "True", "False"]


def test_it_works_without_the_sdk() -> None:
    """With the API alone, calls pass through, and configure says what to install."""
    code = """
import sys
sys.modules["opentelemetry.sdk"] = None
import anyio
from liter import LlmClient
from liter.middleware import Tracing
from liter.telemetry import configure
from liter.testing import Simulator

async def main():
    async with Simulator(reply="fine").serve_memory() as network:
        async with LlmClient(api_key="sk", network_backend=network, middleware=[Tracing()]) as client:
            print((await client.chat(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])).text)

anyio.run(main)
try:
    configure()
except ImportError as error:
    print(error)
"""
    assert run(code) == "fine\nopentelemetry-sdk is missing: pip install 'liter-sdk[otel]'"


def test_a_provider_that_is_set_later_is_used() -> None:
    """Calls are recorded from the moment on at which the application sets OpenTelemetry up."""
    code = """
import anyio
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from liter import LlmClient
from liter.middleware import Tracing
from liter.testing import Simulator

spans, reader = InMemorySpanExporter(), InMemoryMetricReader()

async def main():
    async with Simulator().serve_memory() as network:
        async with LlmClient(api_key="sk", network_backend=network, middleware=[Tracing()]) as client:
            ask = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
            await client.chat(**ask)
            metrics.set_meter_provider(MeterProvider([reader]))
            await client.chat(**ask)
            provider = TracerProvider()
            provider.add_span_processor(SimpleSpanProcessor(spans))
            trace.set_tracer_provider(provider)
            await client.chat(**ask)

anyio.run(main)
print(*(span.name for span in spans.get_finished_spans()), sep=", ")
names = {m.name: m for r in reader.get_metrics_data().resource_metrics for s in r.scope_metrics for m in s.metrics}
print(sum(point.count for point in names["gen_ai.client.operation.duration"].data.data_points))
"""
    assert run(code) == "POST /v1/chat/completions, chat gpt-4o\n2"


def docstrings(tree: ast.AST) -> set[int]:
    """The ids of nodes that are docstrings."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, kinds)]
    return {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}


def test_names_are_in_one_module() -> None:
    """No other module spells an attribute or a metric of the conventions, and none imports the SDK at its top."""
    for source in SOURCES:
        tree = ast.parse(source.read_text(encoding="utf-8"))
        imports = [node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)]
        assert not any(module.startswith(("opentelemetry.sdk", "opentelemetry.exporter")) for module in imports), source
        if source.parts[-2:] == ("telemetry", "_names.py"):
            continue
        told = docstrings(tree)
        texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        assert [text.value for text in texts if id(text) not in told and NAMES.match(text.value)] == [], source


def test_the_page_has_every_metric_and_own_name() -> None:
    """docs/telemetry.md names each metric, and each attribute of our own, in full or by its group."""
    text = (ROOT / "docs/telemetry.md").read_text(encoding="utf-8")
    for constant, value in vars(names).items():
        if constant in ("INFERENCE_TOKENS", "SCOPE") or constant.startswith("__") or not isinstance(value, str):
            continue
        metric = value.startswith(("gen_ai.client.", "liter.client.", "http.client.", "operation."))
        if metric and value != names.EXCEPTION_EVENT:
            assert f"`{value}`" in text, value
        elif value.startswith("liter.") and "{}" not in value:
            group, _, last = value.rpartition(".")
            assert f"`{value}`" in text or (f"`{group}." in text and f"`.{last}`" in text), value

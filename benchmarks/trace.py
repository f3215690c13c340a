"""Draws a real trace: what one question to a service comes to, with its retries, its race, its cache and its price.

    python benchmarks/trace.py                    draws docs/trace.svg
    python benchmarks/trace.py --svg other.svg

The provider is the simulator, in memory and in real time. It refuses the first request and lets another one hang.
"""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from liter import LlmClient
from liter.middleware import Cache, CostTracking, Hedge, Retry, Tracing
from liter.testing import Refuse, Simulator, StallBeforeHead

WIDTH, LEFT, RIGHT, TOP, ROW, BAR = 1000, 320, 190, 92, 40, 16
INK, FAINT, GRID = "#1f2933", "#616e7c", "#e4e7eb"
COLOURS = {"user": "#9aa5b1", "call": "#2563eb", "attempt": "#0d9488", "error": "#dc2626", "lost": "#b8c1cc"}
LEGEND = (
    ("user", "the application"),
    ("call", "a call"),
    ("attempt", "a request"),
    ("error", "refused"),
    ("lost", "lost its race"),
)
EVENTS = {
    "liter.retrying": "waits, then tries again",
    "liter.hedging": "a second request begins",
}
ANSWER = "In the hills, mostly: where rain and snow gather into springs."


async def record() -> list[ReadableSpan]:
    """Run the service's question, and return its spans."""
    spans = InMemorySpanExporter()
    tracer_provider = TracerProvider()
    tracer_provider.add_span_processor(SimpleSpanProcessor(spans))
    faults = [Refuse(429, retry_after=0.12), None, StallBeforeHead(), None]
    provider = Simulator(reply=ANSWER, latency=0.12, event_latency=0.012, faults=faults)
    layers = [
        Tracing(tracer_provider=tracer_provider),
        CostTracking(),
        Cache(),
        Retry(initial=0.0),
        Hedge(0.2, max_extra=1.0),
    ]
    async with (
        provider.serve_memory() as network,
        LlmClient(api_key="sk-any", network_backend=network, middleware=layers) as client,
    ):
        tracer = tracer_provider.get_tracer("service")
        with tracer.start_as_current_span("POST /answer"):
            topic = {"role": "user", "content": "Which topic is this? Where do rivers begin?"}
            await client.chat(model="gpt-4o-mini", messages=[topic])
            await client.chat(model="gpt-4o-mini", messages=[topic])
            with tracer.start_as_current_span("stream the answer"):
                question = {"role": "user", "content": "Where do rivers begin?"}
                async with await client.chat_stream(model="gpt-4.1", messages=[question]) as stream:
                    async for _ in stream:
                        pass
    return list(spans.get_finished_spans())


def in_order(
    spans: Sequence[ReadableSpan], parent: int | None = None, depth: int = 0
) -> list[tuple[int, ReadableSpan]]:
    """Spans as a tree, by their beginning, with their depth in it."""
    ordered: list[tuple[int, ReadableSpan]] = []
    for span in sorted(spans, key=lambda span: span.start_time or 0):
        if (None if span.parent is None else span.parent.span_id) == parent and span.context is not None:
            ordered += [(depth, span), *in_order(spans, span.context.span_id, depth + 1)]
    return ordered


def kind(span: ReadableSpan) -> str:
    """What a span is, for its colour."""
    told = span.attributes or {}
    if "http.request.method" in told:
        if told.get("liter.attempt.outcome") == "hedge_lost":
            return "lost"
        return "error" if span.status.status_code is StatusCode.ERROR else "attempt"
    return "call" if "gen_ai.operation.name" in told else "user"


def facts(span: ReadableSpan) -> str:
    """What is written beside a span."""
    told = span.attributes or {}
    if "gen_ai.usage.cost" in told:
        return f"${told['gen_ai.usage.cost']:.7f}".rstrip("0") + f", {told['gen_ai.usage.output_tokens']} tokens out"
    if told.get("liter.cache.hit"):
        return "cache hit, no cost"
    if "http.response.status_code" in told:
        resent = told.get("http.request.resend_count")
        hedge = ", hedge" if told.get("liter.attempt.kind") == "hedge" else ""
        return f"{told['http.response.status_code']}{f', resend {resent}' if resent and not hedge else ''}{hedge}"
    return "cancelled" if told.get("liter.attempt.outcome") == "hedge_lost" else ""


def picture(spans: Sequence[ReadableSpan]) -> str:
    """Draw the spans as bars below each other, on one axis of time."""
    rows = in_order(spans)
    began = min(span.start_time or 0 for _, span in rows)
    total = max(span.end_time or 0 for _, span in rows) - began
    height = TOP + ROW * len(rows) + 46

    def x(nanoseconds: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * nanoseconds / total

    def text(at_x: float, at_y: float, words: str, *, fill: str = FAINT, size: int = 13, more: str = "") -> str:
        return f'<text x="{at_x:.1f}" y="{at_y:.1f}" fill="{fill}" font-size="{size}" {more}>{escape(words)}</text>'

    bottom = TOP + ROW * len(rows)
    drawn = [text(24, 32, "One question, as OpenTelemetry sees it", fill=INK, size=18)]
    at = 24.0
    for name, words in LEGEND:
        drawn.append(f'<rect x="{at:.1f}" y="46" width="12" height="12" rx="3" fill="{COLOURS[name]}"/>')
        drawn.append(text(at + 18, 57, words))
        at += 44 + 7.0 * len(words)
    step = next(each for each in (50, 100, 200, 500, 1000) if total / 1e6 / each <= 8)
    for milliseconds in range(0, int(total / 1e6) + 1, step):
        place = x(milliseconds * 1e6)
        drawn.append(f'<line x1="{place:.1f}" y1="{TOP - 8}" x2="{place:.1f}" y2="{bottom}" stroke="{GRID}"/>')
        drawn.append(text(place, bottom + 20, f"{milliseconds} ms", more='text-anchor="middle"'))
    for number, (depth, span) in enumerate(rows):
        y = TOP + ROW * number
        left, right = x((span.start_time or 0) - began), x((span.end_time or 0) - began)
        colour = COLOURS[kind(span)]
        drawn += [
            f'<line x1="{across}" y1="{y}" x2="{across}" y2="{y + ROW}" stroke="{GRID}"/>'
            for across in range(32, 32 + 20 * depth, 20)
        ]
        drawn.append(text(24 + 20 * depth, y + 21, span.name, fill=INK, size=14))
        width = max(right - left, 3.0)
        drawn.append(f'<rect x="{left:.1f}" y="{y + 8}" width="{width:.1f}" height="{BAR}" rx="4" fill="{colour}"/>')
        drawn.append(text(max(right, left + 3) + 8, y + 21, facts(span), fill=INK))
        first = (span.attributes or {}).get("gen_ai.response.time_to_first_chunk")
        if isinstance(first, float):
            place = x((span.start_time or 0) - began + first * 1e9)
            line = f'x1="{place:.1f}" y1="{y + 5}" x2="{place:.1f}" y2="{y + 27}"'
            drawn.append(f'<line {line} stroke="{INK}" stroke-width="2"/>')
            drawn.append(text(place - 1, y + 38, "first chunk", size=11))
        for event in span.events:
            if event.name in EVENTS:
                place = x(event.timestamp - began)
                drawn.append(f'<circle cx="{place:.1f}" cy="{y + 8 + BAR / 2}" r="4" fill="white" stroke="{INK}"/>')
                anchor = 'text-anchor="end"' if isinstance(first, float) else ""
                drawn.append(text(place + (4 if anchor else -4), y + 38, EVENTS[event.name], size=11, more=anchor))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
            f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
            *drawn,
            "</svg>\n",
        ]
    )


def main() -> None:
    """Record and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--svg", default=str(Path(__file__).parents[1] / "docs" / "trace.svg"), help="where")
    options = parser.parse_args()
    spans = asyncio.run(record())
    for depth, span in in_order(spans):
        print("  " * depth + span.name, facts(span))
    Path(options.svg).write_text(picture(spans), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Metrics: which there are in each set, what they are made of, and that they agree with the spans."""

from collections.abc import Callable, Mapping
from typing import cast

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.metrics import Exemplar, ExemplarReservoir, MeterProvider
from opentelemetry.sdk.metrics.export import Histogram, HistogramDataPoint, InMemoryMetricReader, NumberDataPoint, Sum
from opentelemetry.sdk.metrics.view import View

from liter import Call, LlmError, RateLimitedError, Route, Stack
from liter.middleware import Cache, Concurrency, Fallback, Hedge, Limit, RateLimit, Retry, Tracing
from liter.telemetry import _names as names
from liter.telemetry._response import modalities, usage_attributes
from liter.testing import ErrorEvent, Outcome, Refuse, ScriptedHandler, Simulator
from liter.types import CompletionTokensDetails, PromptTokensDetails, Usage

from ._recorded import CLAUDE, GPT, HI, Recorded, attributes, id_of, seconds, serving

MakeCall = Callable[..., Call[object]]

pytestmark = pytest.mark.anyio

DURATIONS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
HTTP = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

ALWAYS = {
    "http.client.request.duration": ("s", HTTP),
    "liter.client.attempts": ("{attempt}", None),
}
COMPAT = {
    "gen_ai.client.operation.duration": ("s", DURATIONS),
    "gen_ai.client.token.usage": ("{token}", TOKENS),
    "gen_ai.client.operation.time_to_first_chunk": ("s", DURATIONS),
    "gen_ai.client.operation.time_per_output_chunk": ("s", DURATIONS),
}
LATEST = {
    "gen_ai.client.inference.duration": ("s", DURATIONS),
    "gen_ai.client.inference.time_to_first_chunk": ("s", DURATIONS),
    "gen_ai.client.inference.time_per_output_chunk": ("s", DURATIONS),
    "gen_ai.client.inference.usage.input_tokens": ("{token}", None),
    "gen_ai.client.inference.usage.output_tokens": ("{token}", None),
    "gen_ai.client.inference.operation.input_tokens": ("{token}", TOKENS),
    "gen_ai.client.inference.operation.output_tokens": ("{token}", TOKENS),
}
SETS: Mapping[str, Mapping[str, tuple[str, tuple[float, ...] | None]]] = {
    "compat": COMPAT,
    "latest": LATEST,
    "dual": {**COMPAT, **LATEST},
}
G = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-simulated",
    "gen_ai.response.model": "gpt-simulated",
    "server.address": "api.openai.com",
    "server.port": 443,
}


def histogram(recorded: Recorded, name: str) -> HistogramDataPoint:
    """The only point of a histogram."""
    (point,) = recorded.points(name)
    return cast("HistogramDataPoint", point)


async def stream_and_chat(recorded: Recorded, semconv: str = "compat") -> int:
    """One whole reply, and one stream; returns how many chunks it had."""
    simulator = Simulator(reply="one two three four", event_latency=0.5, latency=1.0)
    async with serving(simulator, recorded.tracing(semconv=semconv)) as client:
        await client.chat(model=GPT, messages=HI)
        return len([chunk async for chunk in await client.chat_stream(model=GPT, messages=HI)])


@pytest.mark.parametrize("semconv", SETS)
async def test_each_set_has_its_metrics(recorded: Recorded, semconv: str) -> None:
    """Names, kinds, units and buckets are those of the set, and no others are there."""
    await stream_and_chat(recorded, semconv)
    expected = {**SETS[semconv], **ALWAYS}
    assert set(recorded.metrics) == set(expected)
    for name, (unit, buckets) in expected.items():
        metric = recorded.metrics[name]
        assert metric.unit == unit
        assert metric.description
        assert isinstance(metric.data, Sum if buckets is None else Histogram)
        if buckets is not None:
            assert all(cast("HistogramDataPoint", point).explicit_bounds == buckets for point in recorded.points(name))


async def test_attributes_are_those_of_the_conventions(recorded: Recorded) -> None:
    """Each metric has the common set, and what is its own, to the letter."""
    await stream_and_chat(recorded, "dual")
    own: Mapping[str, list[dict[str, object]]] = {
        "gen_ai.client.token.usage": [{"gen_ai.token.type": "input"}, {"gen_ai.token.type": "output"}],
        "gen_ai.client.inference.usage.input_tokens": [{"gen_ai.token.modality": "unknown"}],
        "gen_ai.client.inference.usage.output_tokens": [{"gen_ai.token.modality": "unknown"}],
    }
    for name in {**COMPAT, **LATEST}:
        expected = [{**G, **more} for more in own.get(name, [{}])]
        assert [attributes(point) for point in recorded.points(name)] == expected
    assert [attributes(point) for point in recorded.points("liter.client.attempts")] == [
        {"gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-simulated", "liter.attempt.outcome": "ok"}
    ]
    assert [attributes(point) for point in recorded.points("http.client.request.duration")] == [
        {
            "http.request.method": "POST",
            "http.response.status_code": 200,
            "server.address": "api.openai.com",
            "server.port": 443,
        }
    ]


async def test_durations_are_those_of_the_spans(recorded: Recorded) -> None:
    """Span and metric are of the same two readings of the clock, for calls and for attempts."""
    await stream_and_chat(recorded)
    for name, spans in (
        ("gen_ai.client.operation.duration", recorded.calls),
        ("http.client.request.duration", recorded.attempts),
    ):
        assert histogram(recorded, name).sum == pytest.approx(sum(map(seconds, spans)), abs=1e-6)
        assert histogram(recorded, name).count == len(spans) == 2


async def test_chunks_are_counted_from_the_second_on(recorded: Recorded) -> None:
    """Of n chunks there are n-1 times between them; whole replies have none."""
    chunks = await stream_and_chat(recorded)
    between = histogram(recorded, "gen_ai.client.operation.time_per_output_chunk")
    assert between.count == chunks - 1
    first = histogram(recorded, "gen_ai.client.operation.time_to_first_chunk")
    assert first.count == 1
    (streamed,) = (span for span in recorded.calls if "gen_ai.request.stream" in attributes(span))
    assert first.sum == attributes(streamed)["gen_ai.response.time_to_first_chunk"]
    # The stream's last event is no chunk: it says that there are no more.
    assert first.sum + between.sum == pytest.approx(seconds(streamed) - 0.5, abs=1e-6)


async def test_a_slow_consumer_is_not_the_providers_doing(recorded: Recorded, make_call: MakeCall) -> None:
    """What the consumer does between two chunks is in the span, and not in the time of a chunk."""
    handler = ScriptedHandler(Outcome(events=["one", "two", "three"], interval=0.25))
    async with recorded.tracing()(make_call(stream=True), handler) as reply:
        async for _ in reply:
            await anyio.sleep(10)
    between = histogram(recorded, "gen_ai.client.operation.time_per_output_chunk")
    assert (between.count, between.sum) == (2, 0.5)
    assert seconds(recorded.call) == pytest.approx(30.5, abs=1e-6)


async def test_failures_have_the_spans_type(recorded: Recorded) -> None:
    """A duration has the error type of its span, and only durations of failures have one."""
    simulator = Simulator(faults=[Refuse(400), None, ErrorEvent(3)])
    async with serving(simulator, recorded.tracing()) as client:
        with pytest.raises(Exception, match="refuses"):
            await client.chat(model=GPT, messages=HI)
        await client.chat(model=GPT, messages=HI)
        with pytest.raises(Exception, match="overloaded"):
            async for _ in await client.chat_stream(model=GPT, messages=HI):
                pass
    types = [attributes(span).get("error.type") for span in recorded.calls]
    assert types == ["liter.BadRequestError", None, "liter.ServerError"]
    points = recorded.points("gen_ai.client.operation.duration")
    assert {attributes(point).get("error.type") for point in points} == set(types)
    for name in ("gen_ai.client.token.usage", "gen_ai.client.operation.time_to_first_chunk"):
        assert not any("error.type" in attributes(point) for point in recorded.points(name))


async def test_metrics_are_recorded_of_unsampled_calls(unsampled: Recorded) -> None:
    """A span that is not sampled is still counted."""
    await stream_and_chat(unsampled, "dual")
    assert unsampled.spans == []
    assert set(unsampled.metrics) == set({**COMPAT, **LATEST, **ALWAYS})
    assert histogram(unsampled, "gen_ai.client.operation.duration").count == 2
    assert attributes(histogram(unsampled, "gen_ai.client.operation.time_to_first_chunk")) == G


async def test_exemplars_lead_to_the_span(recorded: Recorded) -> None:
    """A measurement names the span that it was made of."""
    async with serving(Simulator(), recorded.tracing()) as client:
        await client.chat(model=GPT, messages=HI)
    metrics = recorded.metrics  # reading them forgets the exemplars
    for name, span in (
        ("gen_ai.client.operation.duration", recorded.call),
        ("http.client.request.duration", recorded.attempts[0]),
    ):
        (point,) = metrics[name].data.data_points
        (exemplar,) = point.exemplars
        assert exemplar.span_id == id_of(span)


COUNTS = st.integers(0, 10**6)


@given(text=COUNTS, image=COUNTS, audio=COUNTS, rest=COUNTS, read=COUNTS, write=COUNTS, thought=COUNTS)
def test_parts_sum_to_the_whole(
    text: int, image: int, audio: int, rest: int, read: int, write: int, thought: int
) -> None:
    """Modalities part the total, and the subsets that are told are never more than it."""
    total = text + image + audio + rest + read + write
    usage = Usage(
        prompt_tokens=total,
        completion_tokens=thought + audio,
        total_tokens=total + thought + audio,
        prompt_tokens_details=PromptTokensDetails(
            text_tokens=text, image_tokens=image, audio_tokens=audio, cached_tokens=read, cache_write_tokens=write
        ),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=thought, audio_tokens=audio),
    )
    recorded = Recorded()
    instruments = recorded.tracing(semconv="latest")._recorder.instruments  # the counters alone
    from opentelemetry.context import Context

    instruments.usage(usage, {"gen_ai.operation.name": "chat"}, Context())
    for kind, whole in (("input_tokens", total), ("output_tokens", thought + audio)):
        points = recorded.points(f"gen_ai.client.inference.usage.{kind}")
        assert sum(cast("NumberDataPoint", point).value for point in points) == whole
    recorded.close()
    told = usage_attributes(usage, "chat", "cache_write")
    parts = modalities(usage.prompt_tokens_details)
    assert all(0 < cast("int", value) <= total for name, value in told.items() if ".cache_" in name)
    spelled = {name for name in told if name.startswith(("gen_ai.usage.text", "gen_ai.usage.image"))}
    assert bool(spelled) is bool(image or (audio and text))
    assert set(parts) == {name for name, count in {"text": text, "image": image, "audio": audio}.items() if count}


async def test_usage_of_anthropic_includes_its_cache(recorded: Recorded) -> None:
    """Input tokens are the sum of what Anthropic tells in three parts, with the parts beside."""
    long = "word " * 3000
    asked: list[Mapping[str, object]] = [
        {"role": "system", "content": [{"type": "text", "text": long, "cache_control": {"type": "ephemeral"}}]},
        *HI,
    ]
    async with serving(Simulator(), recorded.tracing(cache_write_key="cache_creation")) as client:
        for _ in range(2):
            response = await client.chat(model=CLAUDE, messages=asked, max_tokens=9)
    first, second = map(attributes, recorded.calls)
    written = first["gen_ai.usage.cache_creation.input_tokens"]
    assert isinstance(written, int)
    assert 0 < written <= cast("int", first["gen_ai.usage.input_tokens"])
    assert second["gen_ai.usage.cache_read.input_tokens"] == written
    assert response.usage is not None
    assert second["gen_ai.usage.input_tokens"] == response.usage.prompt_tokens
    assert "gen_ai.usage.cache_write.input_tokens" not in first


async def test_layers_are_counted(recorded: Recorded) -> None:
    """Retries, waits, caches, moves to other models and hedges have metrics of their own."""
    simulator = Simulator(faults=[Refuse(503, retry_after=2), None, Refuse(401)])
    layers = (
        recorded.tracing(),
        Cache(),
        Fallback([CLAUDE], when=LlmError),
        Retry(max_retries=1),
        RateLimit(Limit(1, "requests", per="minute")),
        Concurrency(4),
    )
    async with serving(simulator, *layers, timeout=600) as client:
        for text in ("one", "one", "two"):
            await client.chat(model=GPT, messages=[{"role": "user", "content": text}])
    assert histogram(recorded, "liter.client.retry.delay").sum >= 2.0
    assert histogram(recorded, "liter.client.rate_limit.wait").count >= 2
    looked = {
        attributes(point)["liter.cache.result"]: point for point in recorded.points("liter.client.cache.requests")
    }
    assert {result: cast("NumberDataPoint", point).value for result, point in looked.items()} == {"hit": 1, "miss": 2}
    (moved,) = recorded.points("liter.client.fallbacks")
    assert attributes(moved) == {"gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-simulated"}
    hit = attributes(recorded.calls[1])
    assert hit["liter.cache.hit"] is True
    assert not any("usage" in name or "cost" in name for name in hit)
    assert hit["liter.attempts"] == 0
    assert [event.name for event in recorded.calls[1].events] == ["liter.cache_hit"]


async def test_hedges_are_told_apart(recorded: Recorded, make_call: MakeCall) -> None:
    """The extra attempt says what it is, the loser that it lost, and neither is an error."""
    from liter.testing import StallBeforeHead

    simulator = Simulator(faults=[StallBeforeHead()])
    async with serving(simulator, recorded.tracing(), Hedge(1.0, max_extra=1.0)) as client:
        await client.chat(model=GPT, messages=HI)
    first, second = (attributes(attempt) for attempt in recorded.attempts)
    assert first["liter.attempt.outcome"] == "hedge_lost"
    assert "liter.attempt.kind" not in first
    assert second["liter.attempt.kind"] == "hedge"
    assert "error.type" not in first
    outcomes = {attributes(point)["liter.attempt.outcome"] for point in recorded.points("liter.client.attempts")}
    assert outcomes == {"hedge_lost", "ok"}
    assert len(recorded.points("liter.client.hedges")) == 1


async def test_operations_that_are_no_inference(recorded: Recorded, make_call: MakeCall) -> None:
    """In ``latest``, too, they have the general duration, and no metric of inference."""
    handler = ScriptedHandler(Outcome(value="whole", usage=Usage(prompt_tokens=3, total_tokens=3)))
    call = make_call(operation="rerank", route=Route(provider="cohere", model="rerank-3", base_url="https://c.invalid"))
    async with Stack([recorded.tracing(semconv="latest")], handler)(call):
        pass
    assert set(recorded.metrics) == {"gen_ai.client.operation.duration", *ALWAYS}
    assert attributes(recorded.call)["gen_ai.usage.input_tokens"] == 3
    assert "gen_ai.usage.output_tokens" not in attributes(recorded.call)
    assert recorded.call.name == "rerank rerank-3"
    with pytest.raises(RateLimitedError):
        async with Stack([recorded.tracing()], ScriptedHandler(RateLimitedError("no")))(call):
            pass
    assert {"chat", "text_completion", "generate_content"} == names.INFERENCE


async def test_models_and_providers_are_told_apart(recorded: Recorded) -> None:
    """Each call is counted under its own model and provider, whichever was called before it."""
    async with serving(Simulator(), recorded.tracing()) as client:
        for model in (GPT, CLAUDE, GPT, "openai/other", CLAUDE, GPT):
            await client.chat(model=model, messages=HI, max_tokens=9)
    told = ("gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model", "server.address")
    counted = {
        tuple(attributes(point)[name] for name in told): cast("HistogramDataPoint", point).count
        for point in recorded.points("gen_ai.client.operation.duration")
    }
    assert counted == {
        ("openai", "gpt-simulated", "gpt-simulated", "api.openai.com"): 3,
        ("anthropic", "claude-simulated", "claude-simulated", "api.anthropic.com"): 2,
        ("openai", "other", "other", "api.openai.com"): 1,
    }


class Looking(ExemplarReservoir):
    """Notes which span is current, and whether it still records, when something is measured."""

    def __init__(self, seen: list[tuple[str, bool]]) -> None:
        self.seen = seen

    def offer(self, value: float, time_unix_nano: int, attributes: object, context: object) -> None:
        span = trace.get_current_span()
        self.seen.append((getattr(span, "name", ""), span.is_recording()))

    def collect(self, point_attributes: object) -> list[Exemplar]:
        return []


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "from another task"])
async def test_measurements_are_made_while_the_span_is_current(recorded: Recorded, *, elsewhere: bool) -> None:
    """The last ones, too, before the span ends, also where another task closes the stream."""
    seen: list[tuple[str, bool]] = []
    view = View(
        instrument_name="gen_ai.client.operation.duration",
        exemplar_reservoir_factory=lambda aggregation: lambda **options: Looking(seen),
    )
    meter_provider = MeterProvider([InMemoryMetricReader()], views=[view], shutdown_on_exit=False)
    tracing = Tracing(tracer_provider=recorded.tracer_provider, meter_provider=meter_provider)
    async with serving(Simulator(reply="one two three"), tracing) as client:
        stream = await client.chat_stream(model=GPT, messages=HI)
        await stream.__anext__()
        if elsewhere:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stream.aclose)
        else:
            await stream.aclose()
    assert seen == [("chat gpt-simulated", True)]
    meter_provider.shutdown()


class Failing(Looking):
    """Fails at each measurement."""

    def offer(self, value: float, time_unix_nano: int, attributes: object, context: object) -> None:
        raise RuntimeError("no room")


async def test_metrics_that_fail_take_nothing_from_the_span(
    recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    """What is known of a call is on its span all the same, and the fault is logged once."""
    view = View(instrument_name="*", exemplar_reservoir_factory=lambda aggregation: lambda **options: Failing([]))
    meter_provider = MeterProvider([InMemoryMetricReader()], views=[view], shutdown_on_exit=False)
    tracing = Tracing(tracer_provider=recorded.tracer_provider, meter_provider=meter_provider)
    async with serving(Simulator(faults=[Refuse(429)]), tracing, Retry()) as client:
        await client.chat(model=GPT, messages=HI)
        async for _ in await client.chat_stream(model=GPT, messages=HI):
            pass
    assert len(recorded.calls) == 2
    assert len(recorded.attempts) == 3
    assert [event.name for event in recorded.calls[0].events] == ["liter.retrying"]
    for call in recorded.calls:
        assert attributes(call)["gen_ai.response.finish_reasons"] == ("stop",)
        assert "gen_ai.usage.input_tokens" in attributes(call)
    assert len([record for record in caplog.records if record.name == "liter"]) == 1
    meter_provider.shutdown()

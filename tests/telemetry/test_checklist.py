"""What the conventions ask of every kind of call, side by side: outcomes, operations, providers, content."""

import gc
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import cast

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics.export import HistogramDataPoint, NumberDataPoint, Sum
from opentelemetry.trace import SpanKind, StatusCode

from liter import Call, LlmClient, LlmError, Route, Stack
from liter._loop import EventLoop
from liter.middleware import Retry
from liter.telemetry._request import request_attributes
from liter.testing import (
    ErrorEvent,
    Fault,
    ModelReply,
    Outcome,
    Refuse,
    ResetBeforeHead,
    ScriptedHandler,
    Simulator,
    StallAfterEvents,
    StallBeforeHead,
)
from liter.types import (
    AssistantMessage,
    ChatCompletionChunk,
    ChatCompletionResponse,
    Choice,
    ChunkChoice,
    CompletionTokensDetails,
    CreateResponseRequest,
    Delta,
    PromptTokensDetails,
    Usage,
)

from ._recorded import GPT, HI, Recorded, attributes, serving
from .test_spans import DEPRECATED, Watching

MakeCall = Callable[..., Call[object]]

pytestmark = pytest.mark.anyio

DURATIONS = ("gen_ai.client.operation.duration", "gen_ai.client.inference.duration")
GOOGLE: Mapping[str, object] = {
    "api_keys": {"gemini": "key-of-gemini", "vertex": "ya29.token"},
    "provider_settings": {"vertex": {"project": "p", "location": "europe-west4"}},
}


# How a call may end: faults, whether it is streamed, then the span's error.type and finish reasons.
OUTCOMES: Mapping[str, tuple[Sequence[Fault | None], bool, str | None, tuple[str, ...] | None]] = {
    "success": ([], False, None, ("stop",)),
    "success after retries": ([Refuse(429), Refuse(500)], False, None, ("stop",)),
    "refused": ([Refuse(400)], False, "liter.BadRequestError", None),
    "error event in a stream": ([ErrorEvent(3)], True, "liter.ServerError", ("error",)),
    "timeout": ([StallBeforeHead()], False, "timeout", None),
    "connection lost": ([ResetBeforeHead()] * 4, False, "liter.NetworkError", None),
    "cancelled before anything came": ([StallBeforeHead()], False, None, None),
    "cancelled in a stream": ([StallAfterEvents(3)], True, None, ("error",)),
    "stream closed early": ([], True, None, ("error",)),
}


@pytest.mark.parametrize("case", OUTCOMES)
async def test_every_outcome_is_told_alike_by_span_and_metrics(recorded: Recorded, case: str) -> None:
    """Each way in which a call ends has its error type, or none, on the span and on every duration."""
    faults, streamed, error, reasons = OUTCOMES[case]
    simulator = Simulator(reply="one two three four", faults=faults, event_latency=0.25)
    failure: LlmError | None = None
    async with serving(simulator, recorded.tracing(semconv="dual"), Retry(), timeout=20.0) as client:
        with anyio.move_on_after(5.0 if case.startswith("cancelled") else 100.0):
            try:
                if not streamed:
                    await client.chat(model=GPT, messages=HI)
                else:
                    async with await client.chat_stream(model=GPT, messages=HI) as stream:
                        async for _ in stream:
                            if case == "stream closed early":
                                break
            except LlmError as raised:
                failure = raised
    assert (failure is None) is (error is None)
    call = recorded.call
    told = attributes(call)
    assert call.status.status_code is (StatusCode.UNSET if error is None else StatusCode.ERROR)
    assert (call.status.description is None) is (error is None)
    assert told.get("error.type") == error
    assert told.get("gen_ai.response.finish_reasons") == reasons
    assert len([event for event in call.events if event.name == "exception"]) == (error is not None)
    for name in DURATIONS:
        (point,) = recorded.points(name)
        assert cast("HistogramDataPoint", point).count == 1
        assert attributes(point).get("error.type") == error


async def test_a_dropped_stream_is_counted_as_its_span_says(recorded: Recorded) -> None:
    """The duration of a stream that nobody closed has the same error type as its span."""
    async with serving(Simulator(reply="one two three"), recorded.tracing(semconv="dual")) as client:
        stream = await client.chat_stream(model=GPT, messages=HI)
        await stream.__anext__()
        with pytest.warns(ResourceWarning, match="dropped"):
            del stream
            gc.collect()
        await anyio.sleep(1)
    assert attributes(recorded.call)["error.type"] == "_OTHER"
    for name in DURATIONS:
        assert [attributes(point).get("error.type") for point in recorded.points(name)] == ["_OTHER"]


async def chat_stream(client: LlmClient, model: str) -> None:
    async for _ in await client.chat_stream(model=model, messages=HI):
        pass


def chat(client: LlmClient, model: str) -> Awaitable[object]:
    return client.chat(model=model, messages=HI)


def complete(client: LlmClient, model: str) -> Awaitable[object]:
    return client.completions(model=model, prompt="hi")


def embed(client: LlmClient, model: str) -> Awaitable[object]:
    return client.embed(model=model, input="hi")


# How it is asked, of what, and the operation, provider and host by which the span is to call it.
Ask = Callable[[LlmClient, str], Awaitable[object]]
OPENAI = ("openai", "api.openai.com")
GEMINI = ("gcp.gemini", "generativelanguage.googleapis.com")
VERTEX = ("gcp.vertex_ai", "europe-west4-aiplatform.googleapis.com")
ASKED: Sequence[tuple[Ask, str, str, tuple[str, str]]] = [
    (complete, GPT, "text_completion", OPENAI),
    (embed, "openai/embed-simulated", "embeddings", OPENAI),
    (chat, "gemini/gemini-simulated", "generate_content", GEMINI),
    (chat, "vertex/gemini-simulated", "generate_content", VERTEX),
    (chat_stream, "vertex/google/gemini-simulated", "generate_content", VERTEX),
    (chat, "vertex/claude-simulated", "chat", VERTEX),
    (chat, "vertex/meta/llama", "chat", VERTEX),
]


@pytest.mark.parametrize(
    ("ask", "asked", "operation", "where"), ASKED, ids=[f"{row[0].__name__} {row[1]}" for row in ASKED]
)
async def test_operations_are_born_with_five_attributes(
    ask: Ask, asked: str, operation: str, where: tuple[str, str]
) -> None:
    """A sampler sees the conventions' five of every operation; all values are of plain types, and none is missing."""
    sampler, model = Watching(), asked.partition("/")[2]
    recorded = Recorded(sampler)
    async with serving(Simulator(), recorded.tracing(), **GOOGLE) as client:
        await ask(client, asked)
    assert sampler.seen[f"{operation} {model}"] == {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": where[0],
        "gen_ai.request.model": model,
        "server.address": where[1],
        "server.port": 443,
    }
    call, told = recorded.call, attributes(recorded.call)
    assert (call.name, call.kind) == (f"{operation} {model}", SpanKind.CLIENT)
    assert call.status.status_code is StatusCode.UNSET
    assert DEPRECATED.isdisjoint(told)
    assert {type(value) for value in told.values()} <= {str, int, float, bool, tuple}
    assert ("gen_ai.usage.output_tokens" in told) is (operation != "embeddings")
    assert ("gen_ai.response.finish_reasons" in told) is (operation != "embeddings")
    recorded.close()


async def test_reasons_are_in_the_order_of_the_choices(recorded: Recorded, make_call: MakeCall) -> None:
    """Each reason is at its choice's place, in whichever order they come; one that never came is ``error``."""
    said = AssistantMessage(content="x")
    whole = ChatCompletionResponse(
        choices=[
            Choice(index=1, message=said, finish_reason="length"),
            Choice(index=0, message=said, finish_reason="stop"),
        ]
    )
    events = [
        ChatCompletionChunk(choices=[ChunkChoice(index=index, delta=Delta(content="x"), finish_reason=reason)])
        for index, reason in [(0, None), (2, None), (1, None), (2, "stop"), (0, "tool_calls")]
    ]
    stack = Stack([recorded.tracing()], ScriptedHandler(Outcome(value=whole), Outcome(events=events)))
    async with stack(make_call()):
        pass
    async with stack(make_call(stream=True)) as reply:
        async for _ in reply:
            pass
    first, second = (attributes(call)["gen_ai.response.finish_reasons"] for call in recorded.calls)
    assert (first, second) == (("stop", "length"), ("tool_call", "error", "stop"))


async def test_without_usage_there_are_no_counts(recorded: Recorded, make_call: MakeCall) -> None:
    """A stream, or a whole reply, that does not tell its usage has none on its span and in no metric."""
    chunk = ChatCompletionChunk(choices=[ChunkChoice(delta=Delta(content="x"), finish_reason="stop")])
    stack = Stack([recorded.tracing(semconv="dual")], ScriptedHandler(Outcome(events=[chunk]), Outcome(value="x")))
    async with stack(make_call(stream=True)) as reply:
        async for _ in reply:
            pass
    async with stack(make_call()):
        pass
    assert len(recorded.calls) == 2
    assert not any(".usage." in name for call in recorded.calls for name in attributes(call))
    assert not any("token" in name for name in recorded.metrics)


DETAILED = Usage(
    prompt_tokens=320,
    completion_tokens=50,
    total_tokens=370,
    prompt_tokens_details=PromptTokensDetails(
        cached_tokens=40, cached_image_tokens=8, cache_write_tokens=20, text_tokens=100, image_tokens=200
    ),
    completion_tokens_details=CompletionTokensDetails(reasoning_tokens=10, text_tokens=40, audio_tokens=5),
)


async def test_parts_of_usage_have_their_names(recorded: Recorded, make_call: MakeCall) -> None:
    """Cache, reasoning and modalities are whole numbers on the span, and counters of their own in ``latest``."""
    stack = Stack([recorded.tracing(semconv="latest")], ScriptedHandler(Outcome(value="x", usage=DETAILED)))
    async with stack(make_call()):
        pass
    told = {name: value for name, value in attributes(recorded.call).items() if ".usage." in name}
    assert told == {
        "gen_ai.usage.input_tokens": 320,
        "gen_ai.usage.output_tokens": 50,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.usage.cache_write.input_tokens": 20,
        "gen_ai.usage.reasoning.output_tokens": 10,
        "gen_ai.usage.text.input_tokens": 100,
        "gen_ai.usage.image.input_tokens": 200,
        "gen_ai.usage.image.cache_read.input_tokens": 8,
        "gen_ai.usage.text.output_tokens": 40,
        "gen_ai.usage.audio.output_tokens": 5,
    }
    assert {type(value) for value in told.values()} == {int}
    for kind, whole in {"cache_read.input": 40, "cache_write.input": 20, "reasoning.output": 10}.items():
        metric = recorded.metrics[f"gen_ai.client.inference.usage.{kind}_tokens"]
        assert isinstance(metric.data, Sum)
        assert metric.unit == "{token}"
        assert all("gen_ai.token.modality" in attributes(point) for point in metric.data.data_points)
        assert sum(cast("NumberDataPoint", point).value for point in metric.data.data_points) == whole


async def test_an_earlier_response_is_referred_to(make_call: MakeCall) -> None:
    """A request that goes on with a stored response says which; without one it has no conversation either."""
    request = CreateResponseRequest(model="m", input="hi", previous_response_id="resp_1")
    route = Route(provider="openai", model="m", base_url="https://x.invalid")
    told = request_attributes(make_call(operation="create_response", request=request, route=route), "openai")
    assert told == {"gen_ai.request.previous_response.id": "resp_1", "openai.api.type": "responses"}


@pytest.mark.parametrize("mode", ["none", "span", "event", "both"])
async def test_content_is_nowhere_else(recorded: Recorded, mode: str) -> None:
    """A prompt and its answer are in the spans or the events that were chosen, and never in others or in metrics."""
    said = "canary-said-4410"
    asked = [{"role": "user", "content": said}]
    async with serving(Simulator(reply=ModelReply(said)), recorded.tracing(capture_content=mode)) as client:
        await client.chat(model=GPT, messages=asked)
        async for _ in await client.chat_stream(model=GPT, messages=asked):
            pass
    assert [said in span.to_json() for span in recorded.calls] == [mode in ("span", "both")] * 2
    assert not any(said in span.to_json() for span in recorded.attempts)
    assert all(said in str(log.log_record.attributes) for log in recorded.logs)
    assert len(recorded.logs) == (2 if mode in ("event", "both") else 0)
    assert said not in repr(recorded.metrics)


async def test_closing_twice_ends_one_span(recorded: Recorded) -> None:
    """A stream that is closed again, also by two tasks at once, has one span."""
    async with serving(Simulator(reply="one two three"), recorded.tracing()) as client:
        stream = await client.chat_stream(model=GPT, messages=HI)
        await stream.__anext__()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.aclose)
            tasks.start_soon(stream.aclose)
        await stream.aclose()
    assert len(recorded.spans) == 2
    assert recorded.call.status.status_code is StatusCode.UNSET


async def test_what_runs_in_the_background_is_below_no_call(recorded: Recorded) -> None:
    """What the loop finishes on its own later does not inherit the span that was current when it was asked for."""
    seen: list[object] = []

    async def look() -> None:
        seen.append(trace.get_current_span())

    with recorded.tracer.start_as_current_span("user"):
        assert EventLoop.current().spawn(look)
        await anyio.sleep(1)
    assert seen == [trace.INVALID_SPAN]

"""``Tracing`` as a layer: the contract, the current span of every task, ends that nobody awaits."""

import gc
import logging
import warnings
from collections.abc import Callable

import anyio
import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import StatusCode

from liter import Call, Handler, LlmClient, LlmError, Stack
from liter.middleware import Fallback, Hooks, Retry, Target, Tracing
from liter.telemetry._attempt_spans import AttemptSpans
from liter.telemetry._observation import Observation
from liter.testing import Outcome, Refuse, ResetAfterEvents, ScriptedHandler, Simulator, StallAfterEvents, check_layer

from ._recorded import GPT, HI, Recorded, attributes, id_of, parent_of, serving

MakeCall = Callable[..., Call[object]]


@pytest.mark.parametrize("options", [{}, {"semconv": "dual", "capture_content": "both"}, {"attempt_spans": False}])
def test_keeps_the_contract(options: dict[str, object]) -> None:
    """Tracing keeps the layer contract, and each span that was begun has ended, once."""
    recorded = Recorded()
    check_layer(lambda: recorded.tracing(**options))
    assert recorded.calls
    assert len({id_of(span) for span in recorded.spans}) == len(recorded.spans)
    recorded.close()


@pytest.mark.anyio
async def test_the_consumers_spans_are_not_ours(recorded: Recorded) -> None:
    """Between the chunks of a stream the consumer's own span is current, and what it begins is below that one."""
    async with serving(Simulator(reply="one two three"), recorded.tracing()) as client:
        with recorded.tracer.start_as_current_span("user") as user:
            async with await client.chat_stream(model=GPT, messages=HI) as stream:
                assert trace.get_current_span() is user
                async for _ in stream:
                    assert trace.get_current_span() is user
                    recorded.tracer.start_span("own").end()
            assert trace.get_current_span() is user
    own = [span for span in recorded.spans if span.name == "own"]
    assert len(own) > 2
    assert {parent_of(span) for span in own} == {user.get_span_context().span_id}


@pytest.mark.anyio
async def test_the_callers_span_is_the_callers(recorded: Recorded) -> None:
    """A call that succeeds, fails or is cancelled neither ends the span around it nor writes on it."""
    simulator = Simulator(faults=[None, Refuse(400), StallAfterEvents(1)])
    async with serving(simulator, recorded.tracing()) as client:
        with recorded.tracer.start_as_current_span("user") as user:
            await client.chat(model=GPT, messages=HI)
            with pytest.raises(LlmError):
                await client.chat(model=GPT, messages=HI)
            with anyio.move_on_after(1):
                await client.chat(model=GPT, messages=HI)
            assert user.is_recording()
            assert trace.get_current_span() is user
    (own,) = (span for span in recorded.spans if span.name == "user")
    assert (attributes(own), own.events, own.status.status_code) == ({}, (), StatusCode.UNSET)


@pytest.mark.anyio
async def test_what_layers_further_in_begin_is_below_the_call(recorded: Recorded) -> None:
    """While a call is entered its span is current, for layers further in alone."""

    async def on_request(call: object) -> None:
        recorded.tracer.start_span("look something up").end()

    async with serving(Simulator(), recorded.tracing(), Hooks(on_request=on_request)) as client:
        await client.chat(model=GPT, messages=HI)
    (own,) = (span for span in recorded.spans if span.name == "look something up")
    assert parent_of(own) == id_of(recorded.call)


@pytest.mark.anyio
async def test_calls_of_one_nursery_keep_their_parents(recorded: Recorded) -> None:
    """Calls that run at once, in tasks begun inside a span, are all below it, each with its own attempts."""
    async with serving(Simulator(latency=1.0), recorded.tracing(), Retry()) as client:

        async def ask(number: int) -> None:
            with recorded.tracer.start_as_current_span(f"task {number}"):
                await client.chat(model=GPT, messages=HI, tags={"number": str(number)})

        with recorded.tracer.start_as_current_span("user") as user:
            async with anyio.create_task_group() as tasks:
                for number in range(5):
                    tasks.start_soon(ask, number)
    spans = {id_of(span): span for span in recorded.spans}
    chains = set()
    for attempt in recorded.attempts:
        call = spans[parent_of(attempt) or 0]
        task = spans[parent_of(call) or 0]
        assert parent_of(task) == user.get_span_context().span_id
        chains.add(task.name)
    assert chains == {f"task {number}" for number in range(5)}


@pytest.mark.anyio
async def test_a_stream_closed_by_another_task(recorded: Recorded) -> None:
    """It may be opened in one task, read in a second, closed in a third; each keeps its current span."""
    async with serving(Simulator(reply="one two three four"), recorded.tracing()) as client:
        with recorded.tracer.start_as_current_span("user") as user:
            stream = await client.chat_stream(model=GPT, messages=HI)

        async def read() -> None:
            await stream.__anext__()
            assert trace.get_current_span() is trace.INVALID_SPAN

        async def close() -> None:
            with recorded.tracer.start_as_current_span("closer") as closer:
                await stream.aclose()
                await stream.aclose()
                assert trace.get_current_span() is closer

        for step in (read, close):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(step)
    assert parent_of(recorded.call) == user.get_span_context().span_id
    assert recorded.call.status.status_code is StatusCode.UNSET


@pytest.mark.anyio
async def test_a_stream_that_is_dropped(recorded: Recorded) -> None:
    """A stream that was collected open ends its span once, as an error of its own kind."""
    async with serving(Simulator(reply="one two three four"), recorded.tracing()) as client:
        stream = await client.chat_stream(model=GPT, messages=HI)
        await stream.__anext__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del stream
            gc.collect()
        await anyio.sleep(1)
    assert attributes(recorded.call)["error.type"] == "_OTHER"
    assert recorded.call.status.description == "The stream was dropped before its end."
    assert attributes(recorded.call)["gen_ai.response.finish_reasons"] == ("error",)


@pytest.mark.anyio
async def test_a_scope_that_is_dropped(recorded: Recorded, make_call: MakeCall) -> None:
    """A scope that nobody left ends its span when it is collected, without an event loop's help."""
    stack = Stack([recorded.tracing()], ScriptedHandler(["one", "two"]))
    scope = stack(make_call(stream=True))
    reply = await scope.__aenter__()
    await reply.__anext__()
    assert recorded.calls == []
    del scope, reply
    gc.collect()
    assert attributes(recorded.call)["error.type"] == "_OTHER"


def test_a_scope_that_outlives_its_loop(recorded: Recorded) -> None:
    """A stream that is still open when its loop ends has its span ended with it, or at its collection."""
    held: list[object] = []

    async def main() -> None:
        async with Simulator(reply="one two").serve_memory() as network:
            client = LlmClient(api_key="sk", network_backend=network, middleware=[recorded.tracing()])
            held.append(await client.chat_stream(model=GPT, messages=HI))
            await client.aclose()

    anyio.run(main)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        held.clear()
        gc.collect()
    assert len(recorded.calls) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("moment", ["reading", "closing"])
async def test_a_stream_that_is_cancelled(recorded: Recorded, make_call: MakeCall, moment: str) -> None:
    """Cancelled in a read, or in its closing, a stream ends its span once and is no error."""
    handler = ScriptedHandler(Outcome(events=["one"], stalls=True, closing=1.0))
    with recorded.tracer.start_as_current_span("user") as user:
        with anyio.CancelScope() as scope:
            async with recorded.tracing()(make_call(stream=True), handler) as reply:
                await reply.__anext__()
                if moment == "closing":
                    scope.cancel()
                else:
                    scope.deadline = anyio.current_time() + 1
                    await reply.__anext__()
        assert trace.get_current_span() is user
    assert recorded.call.status.status_code is StatusCode.UNSET
    assert handler.open == 0


@pytest.mark.anyio
async def test_cancelled_at_every_moment(recorded: Recorded) -> None:
    """Whenever a call is cancelled, its spans have ended, and the current span is what it was."""
    simulator = Simulator(reply="one two three", latency=0.25, event_latency=0.25, faults=[StallAfterEvents(2)] * 99)
    async with serving(simulator, recorded.tracing(), Retry()) as client:
        for tick in range(12):
            with recorded.tracer.start_as_current_span("user") as user:
                with anyio.move_on_after(0.125 * tick):
                    async with await client.chat_stream(model=GPT, messages=HI) as stream:
                        async for _ in stream:
                            pass
                assert trace.get_current_span() is user
    assert len(recorded.calls) == len(recorded.attempts) == 12
    assert {span.status.status_code for span in recorded.calls} == {StatusCode.UNSET}


class Broken(SpanProcessor):
    """Fails at one turn of a span."""

    def __init__(self, turn: str) -> None:
        self.turn = turn

    def on_start(self, span: Span, parent_context: context.Context | None = None) -> None:
        if self.turn == "start":
            raise RuntimeError("no room")

    def on_end(self, span: ReadableSpan) -> None:
        if self.turn == "end":
            raise RuntimeError("no room")


@pytest.mark.anyio
@pytest.mark.parametrize("turn", ["start", "end"])
async def test_telemetry_that_fails_reaches_nobody(caplog: pytest.LogCaptureFixture, turn: str) -> None:
    """A processor that raises is told of once in the log, and calls succeed, fail and stream as without it."""
    recorded = Recorded()
    recorded.tracer_provider.add_span_processor(Broken(turn))
    with caplog.at_level(logging.WARNING, "liter"):
        async with serving(Simulator(reply="one two"), recorded.tracing(), Retry()) as client:
            for _ in range(2):
                assert (await client.chat(model=GPT, messages=HI)).text == "one two"
                async with await client.chat_stream(model=GPT, messages=HI) as stream:
                    assert "".join([chunk.text async for chunk in stream]) == "one two"
    (complaint,) = (record for record in caplog.records if record.name == "liter")
    assert "telemetry failed" in complaint.message
    recorded.close()


@pytest.mark.anyio
async def test_a_redaction_that_fails_records_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be redacted is not recorded, and the call goes on."""

    def redact(name: str, value: object) -> None:
        raise KeyError(name)

    recorded = Recorded()
    async with serving(Simulator(reply="canary"), recorded.tracing(capture_content=True, redact=redact)) as client:
        assert (await client.chat(model=GPT, messages=HI)).text == "canary"
    assert "canary" not in recorded.everything()
    assert "gen_ai.usage.input_tokens" in attributes(recorded.call)
    recorded.close()


@pytest.mark.anyio
async def test_without_providers_calls_pass_through(make_call: MakeCall) -> None:
    """With nothing configured, the next handler's own scope is what a call gets."""
    scopes: list[object] = []

    def innermost(call: Call[object]) -> object:
        scopes.append(object())
        return scopes[-1]

    next_handler: Handler = innermost  # its scope is never entered
    assert Tracing()(make_call(), next_handler) is scopes[0]


@pytest.mark.anyio
async def test_a_trace_context_from_outside_is_passed_on(make_call: MakeCall) -> None:
    """Without the SDK, too, requests carry the trace context that the application took in."""
    remote = trace.SpanContext(0x1234, 0x5678, is_remote=True, trace_flags=trace.TraceFlags(1))
    simulator = Simulator()
    token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(remote)))
    try:
        async with serving(simulator, Tracing()) as client:
            await client.chat(model=GPT, messages=HI)
    finally:
        context.detach(token)
    assert simulator.requests[0].headers["traceparent"] == f"00-{0x1234:032x}-{0x5678:016x}-01"


@pytest.mark.anyio
async def test_nothing_of_a_call_is_left_to_the_collector(recorded: Recorded) -> None:
    """What is kept of a call while it runs goes with it: there is no cycle for the garbage collector to find."""
    async with serving(Simulator(reply="one two"), recorded.tracing(semconv="dual"), Retry()) as client:
        await client.chat(model=GPT, messages=HI)
        gc.collect()
        gc.disable()
        try:
            await client.chat(model=GPT, messages=HI)
            async with await client.chat_stream(model=GPT, messages=HI) as stream:
                async for _ in stream:
                    pass
            del stream
            left = [kept for kept in gc.get_objects() if isinstance(kept, Observation | AttemptSpans)]
        finally:
            gc.enable()
    assert left == []


@pytest.mark.anyio
async def test_a_stream_that_goes_on_elsewhere_is_one_call(recorded: Recorded) -> None:
    """A stream that breaks and is continued by another model has one span, with the requests to both below it."""
    simulator = Simulator(reply="one two three four five six", faults=[ResetAfterEvents(4)])
    fallback = Fallback([Target("anthropic/claude-simulated", prefix="continued")], mid_stream="continue")
    async with serving(simulator, recorded.tracing(), fallback) as client:
        stream = await client.chat_stream(model=GPT, messages=HI, max_tokens=50)
        async for _ in stream:
            pass
    call = recorded.call
    assert call.status.status_code is StatusCode.UNSET
    assert [event.name for event in call.events] == ["liter.falling_back"]
    assert {parent_of(attempt) for attempt in recorded.attempts} == {id_of(call)}
    assert [attributes(attempt)["liter.attempt.provider"] for attempt in recorded.attempts] == ["openai", "anthropic"]

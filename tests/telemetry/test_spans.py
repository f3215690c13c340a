"""The span of a call and those of its attempts: names, attributes with their types, status, extent."""

from collections.abc import Mapping, Sequence

import anyio
import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, StatusCode, TraceState
from opentelemetry.util.types import Attributes

from liter import AuthenticationError
from liter.middleware import Mock, Retry, Tracing
from liter.testing import Refuse, ResetAfterEvents, ResetBeforeHead, Simulator, StallBeforeHead
from liter.types import (
    AssistantMessage,
    ChatCompletionChunk,
    ChatCompletionResponse,
    Choice,
    ChunkChoice,
    Delta,
)

from ._recorded import CLAUDE, GPT, HI, Recorded, attributes, id_of, parent_of, seconds, serving

pytestmark = pytest.mark.anyio

# Attributes that the conventions deprecated.
DEPRECATED = {"gen_ai.system", "gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens", "gen_ai.prompt"}
KNOWN = {
    "gen_ai.conversation.id",
    "gen_ai.operation.name",
    "gen_ai.output.type",
    "gen_ai.prompt.name",
    "gen_ai.prompt.version",
    "gen_ai.provider.name",
    "gen_ai.request.choice.count",
    "gen_ai.request.frequency_penalty",
    "gen_ai.request.max_tokens",
    "gen_ai.request.model",
    "gen_ai.request.presence_penalty",
    "gen_ai.request.reasoning.level",
    "gen_ai.request.seed",
    "gen_ai.request.stop_sequences",
    "gen_ai.request.stream",
    "gen_ai.request.temperature",
    "gen_ai.request.top_k",
    "gen_ai.request.top_p",
    "gen_ai.response.finish_reasons",
    "gen_ai.response.id",
    "gen_ai.response.model",
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cost",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.reasoning.output_tokens",
}


class Watching(Sampler):
    """Keeps what a sampler is told at a span's creation."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, object]] = {}

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        self.seen[name] = dict(attributes or {})
        return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)

    def get_description(self) -> str:
        return "watching"


async def test_a_call_has_a_span_and_an_attempt_below(recorded: Recorded) -> None:
    """Name, kind and status are the conventions', and the parents lead from the user's span to the wire."""
    async with serving(Simulator(), recorded.tracing(), Retry()) as client:
        with recorded.tracer.start_as_current_span("user") as user:
            await client.chat(model=GPT, messages=HI)
    call, (attempt,) = recorded.call, recorded.attempts
    assert (call.name, call.kind, call.status.status_code) == ("chat gpt-simulated", SpanKind.CLIENT, StatusCode.UNSET)
    assert parent_of(call) == user.get_span_context().span_id
    assert (attempt.name, attempt.kind) == ("POST /v1/chat/completions", SpanKind.CLIENT)
    assert attempt.status.status_code is StatusCode.UNSET
    assert parent_of(attempt) == id_of(call)
    assert attributes(attempt) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "server.address": "api.openai.com",
        "server.port": 443,
        "url.full": "https://api.openai.com/v1/chat/completions",
        "url.template": "/v1/chat/completions",
        "liter.attempt.provider": "openai",
        "liter.attempt.model": "gpt-simulated",
        "liter.response.request_id": attributes(call)["liter.response.request_id"],
    }
    scope = call.instrumentation_scope
    assert scope is not None
    assert (scope.name, scope.schema_url) == ("liter", "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_openai_tells_its_tier_and_fingerprint(recorded: Recorded, *, stream: bool) -> None:
    """Of a stream the tier that was used is the last one told; of others than OpenAI, none is told."""
    if stream:
        parts = [("auto", None), (None, "fp_1"), ("flex", None)]
        said: object = [
            ChatCompletionChunk(
                choices=[ChunkChoice(delta=Delta(content="."), finish_reason="stop" if tier == "flex" else None)],
                service_tier=tier,
                system_fingerprint=fingerprint,
            )
            for tier, fingerprint in parts
        ]
    else:
        choice = Choice(message=AssistantMessage(content="."), finish_reason="stop")
        said = ChatCompletionResponse(choices=[choice], service_tier="flex", system_fingerprint="fp_1")
    async with serving(Simulator(), recorded.tracing(), Mock(said)) as client:
        for model in (GPT, CLAUDE):
            if stream:
                async for _ in await client.chat_stream(model=model, messages=HI):
                    pass
            else:
                await client.chat(model=model, messages=HI)
    openai, claude = map(attributes, recorded.spans)
    assert openai["openai.response.service_tier"] == "flex"
    assert openai["openai.response.system_fingerprint"] == "fp_1"
    assert not {name for name in claude if name.startswith("openai.")}


async def test_a_sampler_sees_the_five_attributes() -> None:
    """What a sampler decides by is there when the span is made, for calls and for attempts."""
    sampler = Watching()
    recorded = Recorded(sampler)
    async with serving(Simulator(), recorded.tracing()) as client:
        await client.chat(model=CLAUDE, messages=HI, max_tokens=9)
    assert sampler.seen["chat claude-simulated"] == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-simulated",
        "server.address": "api.anthropic.com",
        "server.port": 443,
    }
    assert set(sampler.seen["POST /v1/messages"]) == {
        "http.request.method",
        "server.address",
        "server.port",
        "url.full",
    }
    recorded.close()


REQUESTS: list[tuple[Mapping[str, object], Mapping[str, object]]] = [
    ({"temperature": 0}, {"gen_ai.request.temperature": 0.0}),
    ({"top_p": 1}, {"gen_ai.request.top_p": 1.0}),
    ({"frequency_penalty": 1, "presence_penalty": -1},
     {"gen_ai.request.frequency_penalty": 1.0, "gen_ai.request.presence_penalty": -1.0}),
    ({"max_tokens": 7}, {"gen_ai.request.max_tokens": 7}),
    ({"max_completion_tokens": 8}, {"gen_ai.request.max_tokens": 8}),
    ({"seed": 0}, {"gen_ai.request.seed": 0}),
    ({"n": 1}, {}),
    ({"n": 2}, {"gen_ai.request.choice.count": 2}),
    ({"stop": "END"}, {"gen_ai.request.stop_sequences": ("END",)}),
    ({"stop": ["a", "b"]}, {"gen_ai.request.stop_sequences": ("a", "b")}),
    ({"reasoning_effort": "low"}, {"gen_ai.request.reasoning.level": "low"}),
    ({"response_format": {"type": "json_object"}}, {"gen_ai.output.type": "json"}),
    ({"response_format": {"type": "text"}}, {"gen_ai.output.type": "text"}),
    ({"modalities": ["text", "audio"], "audio": {"voice": "x", "format": "wav"}}, {"gen_ai.output.type": "speech"}),
    ({"extra_body": {"top_k": 40}}, {"gen_ai.request.top_k": 40}),
    ({"top_logprobs": 3, "logprobs": True}, {}),
    ({"service_tier": "flex"}, {"openai.request.service_tier": "flex"}),
    ({"service_tier": "auto"}, {}),
    ({"tags": {"gen_ai.conversation.id": "c1"}}, {"gen_ai.conversation.id": "c1"}),
    ({"tags": {"gen_ai.prompt.name": "p", "gen_ai.prompt.version": "2"}},
     {"gen_ai.prompt.name": "p", "gen_ai.prompt.version": "2"}),
    ({"tags": {"tenant": "acme", "user": "canary"}}, {"liter.tag.tenant": "acme"}),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "told"), REQUESTS, ids=lambda row: str(row)[:40])
async def test_what_is_asked_for_is_told(
    recorded: Recorded, asked: Mapping[str, object], told: Mapping[str, object]
) -> None:
    """Each parameter is an attribute of its exact type where it is given, and of no other calls."""
    async with serving(Simulator(), recorded.tracing(tags=["tenant"])) as client:
        await client.chat(model=GPT, messages=HI, **asked)
    always = {"openai.api.type", "openai.response.service_tier", "openai.response.system_fingerprint"}
    found = {
        name: value
        for name, value in attributes(recorded.call).items()
        if name.startswith(("gen_ai.request", "gen_ai.output", "gen_ai.conv", "gen_ai.prompt", "openai", "liter.tag"))
        and name not in always | {"gen_ai.request.model"}
    }
    assert found == told
    assert {name: type(value) for name, value in found.items()} == {name: type(value) for name, value in told.items()}
    assert DEPRECATED.isdisjoint(attributes(recorded.call))
    assert {name for name in attributes(recorded.call) if name.startswith("gen_ai.")} <= KNOWN
    assert None not in attributes(recorded.call).values()


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("model", [GPT, CLAUDE])
async def test_what_came_back_is_told(recorded: Recorded, model: str, *, stream: bool) -> None:
    """Id, model, finish reasons and usage are there with their types, of streams as of whole replies."""
    async with serving(Simulator(event_latency=0.25, latency=1.0), recorded.tracing()) as client:
        asked = {"model": model, "messages": HI, "max_tokens": 5}
        if stream:
            opened = await client.chat_stream(**asked)
            async for _ in opened:
                pass
            usage, response = opened.usage, opened.response()
        else:
            response = await client.chat(**asked)
            usage = response.usage
    told = attributes(recorded.call)
    assert usage is not None
    assert told["gen_ai.response.id"] == response.id
    assert told["gen_ai.response.model"] == response.model
    assert told["gen_ai.response.finish_reasons"] == ("length",)
    assert told["gen_ai.usage.input_tokens"] == usage.prompt_tokens
    assert told["gen_ai.usage.output_tokens"] == usage.completion_tokens
    assert type(told["gen_ai.usage.input_tokens"]) is type(told["gen_ai.usage.output_tokens"]) is int
    assert told.get("gen_ai.request.stream") is (True if stream else None)
    if stream:
        first = told["gen_ai.response.time_to_first_chunk"]
        assert isinstance(first, float)
        assert 1.0 <= first < seconds(recorded.call)
    else:
        assert "gen_ai.response.time_to_first_chunk" not in told
        assert seconds(recorded.call) == pytest.approx(1.0, abs=1e-6)


async def test_each_choice_has_its_reason(recorded: Recorded) -> None:
    """Reasons are in the order of the choices, of streams as of whole replies."""
    async with serving(Simulator(reply="one two three"), recorded.tracing()) as client:
        await client.chat(model=GPT, messages=HI, n=3)
        async for _ in await client.chat_stream(model=GPT, messages=HI, n=3):
            pass
    for call in recorded.calls:
        assert attributes(call)["gen_ai.response.finish_reasons"] == ("stop", "stop", "stop")


async def test_retried_failures_leave_the_call_clean(recorded: Recorded) -> None:
    """Failed attempts are errors of their own spans, counted as resends, and no error of the call that succeeded."""
    # The second goes out on the connection of the first, which turns out to be closed.
    simulator = Simulator(faults=[Refuse(429), ResetBeforeHead(), None])
    async with serving(simulator, recorded.tracing(), Retry()) as client:
        await client.chat(model=GPT, messages=HI)
    call = recorded.call
    assert call.status.status_code is StatusCode.UNSET
    assert "error.type" not in attributes(call)
    assert [event.name for event in call.events] == ["liter.retrying"]
    first = attributes(call.events[0])
    assert first["liter.retrying.error"] == "liter.RateLimitedError"
    assert first["liter.retrying.attempt"] == 1
    assert [attributes(each).get("http.request.resend_count") for each in recorded.attempts] == [None, 1, 2]
    assert [attributes(each).get("error.type") for each in recorded.attempts] == [
        "429",
        "liter.ConnectionRetired",
        None,
    ]
    assert [attributes(each).get("http.response.status_code") for each in recorded.attempts] == [429, None, 200]
    assert [each.status.status_code.name for each in recorded.attempts] == ["ERROR", "ERROR", "UNSET"]
    assert [each.status.description for each in recorded.attempts] == [None] * 3
    assert {parent_of(each) for each in recorded.attempts} == {id_of(call)}
    assert attributes(call)["liter.attempts"] == 3


async def test_a_failure_is_told_in_our_words(recorded: Recorded) -> None:
    """An error has its class as type and a description without a word of the request, and is recorded once."""
    canary = "canary-prompt-9151"
    simulator = Simulator(faults=[Refuse(401, message=f"bad: {canary}")])
    async with serving(simulator, recorded.tracing(), Retry()) as client:
        with pytest.raises(AuthenticationError, match=canary):
            await client.chat(model=GPT, messages=[{"role": "user", "content": canary}])
    call = recorded.call
    assert call.status.status_code is StatusCode.ERROR
    assert (
        call.status.description == "No key, a key that the provider refuses, or one without the permission asked for."
    )
    assert attributes(call)["error.type"] == "liter.AuthenticationError"
    assert "gen_ai.response.finish_reasons" not in attributes(call)
    assert [event.name for event in call.events] == ["exception"]
    assert attributes(call.events[0])["exception.type"] == "liter.AuthenticationError"
    assert [event for attempt in recorded.attempts for event in attempt.events] == []
    assert canary not in recorded.everything()
    assert "sk-canary" not in recorded.everything()


async def test_a_timeout_has_a_type_of_its_own(recorded: Recorded) -> None:
    """A limit that passes is a timeout, and says which."""
    async with serving(Simulator(faults=[StallBeforeHead()]), recorded.tracing(), timeout=2.0) as client:
        with pytest.raises(Exception, match="no answer within 2 s"):
            await client.chat(model=GPT, messages=HI)
    assert attributes(recorded.call)["error.type"] == "timeout"
    assert recorded.call.status.description == "no answer within 2 s (limit: total)"
    assert seconds(recorded.call) == pytest.approx(2.0, abs=1e-6)


async def test_a_stream_that_breaks(recorded: Recorded) -> None:
    """The call's span has the error, and reasons for what had begun; its attempt had ended with the first event."""
    simulator = Simulator(reply="one two three four five six", faults=[ResetAfterEvents(4)], event_latency=1.0)
    async with serving(simulator, recorded.tracing()) as client:
        stream = await client.chat_stream(model=GPT, messages=HI, n=2)
        with pytest.raises(Exception, match="reset"):
            async for _ in stream:
                pass
    told, (attempt,) = attributes(recorded.call), recorded.attempts
    assert recorded.call.status.status_code is StatusCode.ERROR
    assert told["error.type"] == "liter.StreamingError"
    assert told["gen_ai.response.finish_reasons"] == ("error", "error")
    assert "gen_ai.usage.input_tokens" not in told
    assert attempt.status.status_code is StatusCode.UNSET
    assert seconds(attempt) < seconds(recorded.call)


@pytest.mark.parametrize("how", ["aclose", "break", "cancel", "cancelled"])
async def test_a_stream_that_is_left(recorded: Recorded, how: str) -> None:
    """Leaving early, or being cancelled, is no error: the open choices have the reason ``error``, and that is all."""
    simulator = Simulator(reply="one two three four five six", event_latency=1.0)
    async with serving(simulator, recorded.tracing()) as client:
        with anyio.move_on_after(2.5 if how == "cancelled" else 100):
            async with await client.chat_stream(model=GPT, messages=HI) as stream:
                async for _ in stream:
                    if how == "aclose":
                        await stream.aclose()
                        break
                    if how == "cancel":
                        stream.cancel()
                    if how == "break":
                        break
    call = recorded.call
    assert call.status.status_code is StatusCode.UNSET
    assert "error.type" not in attributes(call)
    assert attributes(call)["gen_ai.response.finish_reasons"] == ("error",)
    assert call.events == ()


async def test_a_call_that_is_cancelled(recorded: Recorded) -> None:
    """Neither the call's span nor its attempt's is an error."""
    async with serving(Simulator(faults=[StallBeforeHead()]), recorded.tracing()) as client:
        with anyio.move_on_after(1.5):
            await client.chat(model=GPT, messages=HI)
    for span in (recorded.call, *recorded.attempts):
        assert span.status.status_code is StatusCode.UNSET
        assert "error.type" not in attributes(span)
        assert seconds(span) == pytest.approx(1.5, abs=1e-6)
    assert "gen_ai.response.finish_reasons" not in attributes(recorded.call)


async def test_an_operation_without_a_span_of_its_own(recorded: Recorded) -> None:
    """Listing models is one HTTP request below the user's span, and no inference."""
    async with serving(Simulator(), recorded.tracing()) as client:
        with recorded.tracer.start_as_current_span("user") as user:
            await client.list_models()
    assert recorded.calls == []
    (attempt,) = recorded.attempts
    assert attempt.name == "GET /v1/models"
    assert parent_of(attempt) == user.get_span_context().span_id
    assert set(recorded.metrics) == {"http.client.request.duration", "liter.client.attempts"}


async def test_without_attempt_spans(recorded: Recorded) -> None:
    """The call's span alone is left, and it is what requests carry."""
    simulator = Simulator()
    async with serving(simulator, recorded.tracing(attempt_spans=False)) as client:
        await client.chat(model=GPT, messages=HI)
    assert recorded.spans == [recorded.call]
    assert f"{id_of(recorded.call):016x}" in simulator.requests[0].headers["traceparent"]
    assert "http.client.request.duration" not in recorded.metrics


async def test_no_status_is_ok_and_errors_have_types(recorded: Recorded) -> None:
    """No span is ever OK, and one is an error exactly where it says which."""
    simulator = Simulator(faults=[Refuse(500), None, Refuse(400), ResetBeforeHead()])
    async with serving(simulator, recorded.tracing(), Retry(max_retries=1)) as client:
        await client.chat(model=GPT, messages=HI)
        with pytest.raises(Exception, match="refuses"):
            await client.chat(model=GPT, messages=HI)
        with anyio.move_on_after(1):
            await client.chat(model=GPT, messages=HI)
    assert len(recorded.spans) == 3 + 5
    for span in recorded.spans:
        assert span.status.status_code is not StatusCode.OK
        assert (span.status.status_code is StatusCode.ERROR) is ("error.type" in attributes(span))
        assert span.status.description != attributes(span).get("error.type", "")


def test_settings_that_make_no_sense() -> None:
    """Each is a ValueError that names the field."""
    for field, value in {
        "semconv": "new",
        "capture_content": "all",
        "propagate": "baggage",
        "cache_write_key": "cache",
        "cost_conventions": ("usd",),
        "tags": "tenant",
        "redact": 3,
    }.items():
        with pytest.raises(ValueError, match=field.removesuffix("_content")):
            Tracing(**{field: value})  # what is tested


def test_repr_tells_what_is_not_the_default() -> None:
    """A stack prints what differs."""
    assert repr(Tracing()) == "Tracing()"
    shown = "Tracing(semconv='dual', capture_content='both', route=True)"
    assert repr(Tracing(semconv="dual", capture_content="both", route=True)) == shown

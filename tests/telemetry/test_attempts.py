"""Attempts on the wire: what their spans say of the request, the trace context that it carries, topologies."""

from collections.abc import Callable

import pytest
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.trace import SpanKind, StatusCode

from liter import Call, LlmError, Route
from liter._http import HttpRequest
from liter.middleware import CostTracking, Fallback, Retry, Router, Tracing
from liter.middleware import Deployment as RouterDeployment
from liter.telemetry._http import full_url, url_template
from liter.testing import Refuse, ResetAfterEvents, Simulator

from ._recorded import CLAUDE, GPT, HI, Recorded, attributes, id_of, parent_of, serving

MakeCall = Callable[..., Call[object]]


def request(path: str, base_url: str = "https://api.example.com/v1") -> HttpRequest:
    return HttpRequest(method="POST", base_url=base_url, path=path)


@pytest.mark.parametrize(
    "name",
    [
        "key",
        "api_key",
        "api-key",
        "access_token",
        "code",
        "AWSAccessKeyId",
        "Signature",
        "sig",
        "X-Goog-Signature",
        "X-Amz-Signature",
        "X-Amz-Credential",
        "X-Amz-Security-Token",
        "x%2Damz%2Dsignature",
    ],
)
def test_what_logs_in_is_not_in_the_url(name: str) -> None:
    """Each parameter that logs in or signs has its value replaced, and the others stay."""
    made = request(f"/chat?alt=sse&{name}=canary", "https://api.example.com/v1?api-version=3")
    shown = full_url(made)
    assert "canary" not in shown
    assert shown == f"https://api.example.com/v1/chat?alt=sse&{name}=REDACTED&api-version=3"


def test_a_url_without_secrets_is_whole() -> None:
    """Port and path are as they are sent."""
    assert full_url(request("/chat", "http://localhost:8080/v1")) == "http://localhost:8080/v1/chat"
    assert full_url(request("/chat?key=")) == "https://api.example.com/v1/chat?key=REDACTED"


@pytest.mark.parametrize(
    ("model", "path", "template"),
    [
        ("gpt-4o", "/chat/completions", "/v1/chat/completions"),
        ("gemini-2.5-pro", "/models/gemini-2.5-pro:generateContent?alt=sse", "/v1/models/{model}:generateContent"),
        ("models/g", "/models/g:embedContent", "/v1/{model}:embedContent"),
        ("anthropic.claude-v1:0", "/model/anthropic.claude-v1%3A0/converse", "/v1/model/{model}/converse"),
        ("org/name", "/models/org%2Fname/run", "/v1/models/{model}/run"),
        ("chat", "/chat/completions/chat", "/v1/{model}/completions/chat"),
        ("", "/models", "/v1/models"),
    ],
)
@pytest.mark.anyio
async def test_templates_name_what_is_filled_in(make_call: MakeCall, model: str, path: str, template: str) -> None:
    """A model in the path is a name in the template, so that there are few templates."""
    call = make_call(route=Route(provider="p", model=model, base_url="https://api.example.com/v1"))
    assert url_template(call, request(path)) == template


@pytest.mark.anyio
async def test_each_attempt_carries_its_own_context(recorded: Recorded) -> None:
    """The header of a request names the span of that attempt, and no baggage leaves the application."""
    simulator = Simulator(faults=[Refuse(429), Refuse(500)])
    token = context.attach(baggage.set_baggage("user", "canary"))
    try:
        async with serving(simulator, recorded.tracing(), Retry()) as client:
            await client.chat(model=GPT, messages=HI)
    finally:
        context.detach(token)
    sent = [received.headers["traceparent"].split("-") for received in simulator.requests]
    assert [span_id for _, _, span_id, _ in sent] == [f"{id_of(attempt):016x}" for attempt in recorded.attempts]
    call = recorded.call.context
    assert call is not None
    assert {trace_id for _, trace_id, _, _ in sent} == {f"{call.trace_id:032x}"}
    assert {int(flags, 16) & trace.TraceFlags.SAMPLED for *_, flags in sent} == {1}
    assert not any("baggage" in received.headers for received in simulator.requests)


@pytest.mark.anyio
async def test_an_unsampled_trace_says_so_on_the_wire(unsampled: Recorded) -> None:
    """The flag of a trace that is not kept is passed on."""
    simulator = Simulator()
    async with serving(simulator, unsampled.tracing()) as client:
        await client.chat(model=GPT, messages=HI)
    assert int(simulator.requests[0].headers["traceparent"][-2:], 16) & trace.TraceFlags.SAMPLED == 0


@pytest.mark.anyio
@pytest.mark.parametrize(("how", "headers"), [("global", {"traceparent", "baggage"}), ("off", set())])
async def test_what_is_propagated_can_be_chosen(recorded: Recorded, how: str, headers: set[str]) -> None:
    """Baggage goes to those who ask for it, and nothing at all with ``off``."""
    assert {"traceparent", "baggage"} <= propagate.get_global_textmap().fields
    simulator = Simulator()
    token = context.attach(baggage.set_baggage("user", "7"))
    try:
        async with serving(simulator, recorded.tracing(propagate=how)) as client:
            await client.chat(model=GPT, messages=HI)
    finally:
        context.detach(token)
    assert {"traceparent", "baggage"} & set(simulator.requests[0].headers) == headers


@pytest.mark.anyio
async def test_a_callers_own_header_stays(recorded: Recorded) -> None:
    """A traceparent that the caller gave is sent as it is, once."""
    simulator, given = Simulator(), f"00-{1:032x}-{2:016x}-01"
    async with serving(simulator, recorded.tracing()) as client:
        await client.chat(model=GPT, messages=HI, extra_headers={"traceparent": given})
    assert simulator.requests[0].headers["traceparent"] == given


@pytest.mark.anyio
async def test_a_fallback_below_one_tracing(recorded: Recorded) -> None:
    """There is one call, of the model that answered; the move is told on it, and each attempt says where it went."""
    simulator = Simulator(faults=[Refuse(401)])
    layers = (recorded.tracing(), Fallback([CLAUDE], when=LlmError), Retry())
    async with serving(simulator, *layers) as client:
        await client.chat(model=GPT, messages=HI, max_tokens=9)
    call = recorded.call
    assert call.name == "chat claude-simulated"
    told = attributes(call)
    assert (told["gen_ai.provider.name"], told["server.address"]) == ("anthropic", "api.anthropic.com")
    assert call.status.status_code is StatusCode.UNSET
    (moved,) = call.events
    assert (moved.name, attributes(moved)) == (
        "liter.falling_back",
        {"liter.falling_back.error": "liter.AuthenticationError", "liter.falling_back.target": CLAUDE},
    )
    assert [attributes(each)["liter.attempt.provider"] for each in recorded.attempts] == ["openai", "anthropic"]
    # Another provider's first request is no resend of this one's.
    assert [attributes(each).get("http.request.resend_count") for each in recorded.attempts] == [None, None]


@pytest.mark.anyio
async def test_a_span_for_each_model(recorded: Recorded) -> None:
    """A Tracing inside the Fallback makes a span for each model, with its own outcome, held together by a route's."""
    simulator = Simulator(faults=[Refuse(500), Refuse(500)])
    layers = (
        recorded.tracing(route=True),
        Fallback([CLAUDE], when=LlmError),
        recorded.tracing(),
        Retry(max_retries=1),
    )
    async with serving(simulator, *layers) as client:
        await client.chat(model=GPT, messages=HI, max_tokens=9)
    failed, served = recorded.calls
    (route,) = (span for span in recorded.spans if span.name == "liter.route")
    assert route.kind is SpanKind.INTERNAL
    assert attributes(route) == {"liter.route.model": "gpt-simulated"}
    assert [event.name for event in route.events] == ["liter.falling_back"]
    assert {parent_of(failed), parent_of(served)} == {id_of(route)}
    assert attributes(failed)["error.type"] == "liter.ServerError"
    assert [event.name for event in failed.events] == ["liter.retrying", "exception"]
    assert (served.name, served.status.status_code) == ("chat claude-simulated", StatusCode.UNSET)
    # By their ends: each call counts time from its own beginning, and virtual time is ahead of the world's.
    attempts = [span for span in recorded.spans if span in recorded.attempts]
    assert [parent_of(attempt) for attempt in attempts] == [id_of(failed), id_of(failed), id_of(served)]
    assert [attributes(each).get("http.request.resend_count") for each in attempts] == [None, 1, None]
    assert sum(getattr(point, "count", 0) for point in recorded.points("gen_ai.client.operation.duration")) == 2
    assert sum(getattr(point, "count", 0) for point in recorded.points("liter.client.retry.delay")) == 1


@pytest.mark.anyio
async def test_a_model_that_goes_on_with_a_stream(recorded: Recorded) -> None:
    """Its span is below the route's as that of the model before it, and not below whatever reads the stream."""
    layers = (
        recorded.tracing(route=True),
        CostTracking(),
        Fallback([CLAUDE], mid_stream="restart"),
        recorded.tracing(),
    )
    async with serving(Simulator(faults=[ResetAfterEvents(3)]), *layers) as client:
        stream = await client.chat_stream(model=GPT, messages=HI, max_tokens=9)
        with recorded.tracer_provider.get_tracer("app").start_as_current_span("the reader's"):
            async for _ in stream:
                pass
    (route,) = (span for span in recorded.spans if span.name == "liter.route")
    broken, served = recorded.calls
    assert {parent_of(broken), parent_of(served)} == {id_of(route)}
    assert [attributes(call).get("error.type") for call in (broken, served)] == ["liter.StreamingError", None]


@pytest.mark.anyio
async def test_a_route_that_fails(recorded: Recorded) -> None:
    """The route's span is an error when no model answered."""
    layers = (recorded.tracing(route=True), Fallback([CLAUDE], when=LlmError), recorded.tracing())
    async with serving(Simulator(faults=[Refuse(500), Refuse(500)]), *layers) as client:
        with pytest.raises(LlmError):
            await client.chat(model=GPT, messages=HI, max_tokens=9)
    (route,) = (span for span in recorded.spans if span.name == "liter.route")
    assert route.status.status_code is StatusCode.ERROR


@pytest.mark.anyio
async def test_a_router_below_tracing(recorded: Recorded) -> None:
    """The span is of the deployment that was picked, and the pick is told."""
    router = Router({"pool": [RouterDeployment("anthropic/claude-simulated")]})
    async with serving(Simulator(), recorded.tracing(), router) as client:
        await client.chat(model="pool", messages=HI, max_tokens=9)
    assert recorded.call.name == "chat claude-simulated"
    assert attributes(recorded.call)["gen_ai.provider.name"] == "anthropic"
    assert [event.name for event in recorded.call.events] == ["liter.picked"]


@pytest.mark.anyio
async def test_no_header_without_a_trace(make_call: MakeCall) -> None:
    """Without a span there is nothing to pass on."""
    simulator = Simulator()
    async with serving(simulator, Tracing()) as client:
        await client.chat(model=GPT, messages=HI)
    assert "traceparent" not in simulator.requests[0].headers
    assert trace.get_current_span() is trace.INVALID_SPAN

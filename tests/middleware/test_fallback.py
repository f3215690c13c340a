"""``Fallback``: what leads to another model, which one, in what time, and what the caller is told."""

import math
from collections.abc import Callable
from contextlib import nullcontext

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter import (
    AuthenticationError,
    BadRequestError,
    BudgetExceededError,
    Call,
    ChatCompletionRequest,
    ContentPolicyError,
    ContextWindowExceededError,
    EndpointNotSupportedError,
    HookRejectedError,
    InternalError,
    LlmError,
    LlmTimeoutError,
    NetworkError,
    NotFoundError,
    RateLimitedError,
    Route,
    SerializationError,
    ServerError,
    ServiceUnavailableError,
    Stack,
    StreamingError,
    Timeouts,
)
from liter.middleware import Fallback, FallingBack, Retry, Target, may_work_elsewhere
from liter.testing import Outcome, Refuse, ResetAfterEvents, ScriptedHandler, Simulator, check_layer
from liter.types import CreateResponseRequest, EmbeddingRequest

from .._serving import serving

MakeCall = Callable[..., Call[object]]

QUESTION = {"model": "gpt-4o", "messages": [{"role": "user", "content": "?"}]}
DOWN = ServiceUnavailableError("down", status=503)
TOO_LONG = ContextWindowExceededError("too long", status=400)


def models(handler: ScriptedHandler) -> list[str]:
    return [f"{call.route.provider}/{call.route.model}" for call in handler.calls]


@pytest.mark.parametrize(
    "fallback",
    [
        Fallback(["other"]),
        Fallback(["a/b", Target("c/d", when=ServerError, share=0.2), "e/f"], share=1.0),
        Fallback([Target("other", {"text": "!"})], when=lambda error: error.status == 500, share=1e-6),
        Fallback([Target("longer", when=ContextWindowExceededError)]),
        Fallback([Target("other", prefix="continued")], mid_stream="continue"),
        Fallback(["other"], mid_stream="restart"),
    ],
    ids=repr,
)
def test_keeps_the_contract(fallback: Fallback) -> None:
    """Fallback keeps the layer contract, wherever it goes."""
    check_layer(lambda: fallback, may_repeat=True)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Fallback([]), "models must be a list"),
        (lambda: Fallback("gpt-4o"), "models must be a list"),
        (lambda: Fallback(["a", "b", "a"]), "'a' twice"),
        (lambda: Fallback([""]), "model must be a name"),
        (lambda: Fallback([5]), "model must be a name"),
        (lambda: Fallback(["a"], share=0.0), "share must be above 0"),
        (lambda: Fallback(["a"], share=1.1), "share must be above 0"),
        (lambda: Fallback(["a"], share=math.nan), "share must be above 0"),
        (lambda: Fallback(["a"], when=ValueError), "when must name subclasses of LlmError"),
        (lambda: Fallback(["a"], when=()), "when must name subclasses of LlmError"),
        (lambda: Fallback(["a"], when="ServerError"), "when must be an error class"),
        (lambda: Fallback(["a"], mid_stream="continue"), "come together"),
        (lambda: Fallback([Target("a", prefix="continued")]), "come together"),
        (lambda: Fallback(["a"], mid_stream="again"), "mid_stream must be"),
        (lambda: Target("a", prefix="maybe"), "prefix must be"),
        (lambda: Target("a", {"model": "b"}), "changes must not have 'model'"),
        (lambda: Target("a", share=2.0), "share must be above 0"),
        (lambda: Target("a", when=KeyError), "when must name subclasses of LlmError"),
    ],
)
def test_bad_input_is_refused(make: Callable[[], object], match: str) -> None:
    """What makes no sense is a ValueError at construction that names the field and what would be right."""
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.anyio
@pytest.mark.parametrize("outcome", ["whole", ["one", "two"]], ids=["unary", "stream"])
async def test_it_goes_on_in_order(make_call: MakeCall, outcome: object) -> None:
    """Each model that cannot answer leads to the next, for unary calls and streams alike."""
    handler = ScriptedHandler(DOWN, NetworkError("no"), outcome)
    call = make_call(stream=isinstance(outcome, list))
    async with Fallback(["a/x", "b/y", "c/z"])(call, handler) as reply:
        got = [event async for event in reply] if reply.streamed else reply.value
    assert got == outcome
    assert models(handler) == ["scripted/scripted", "a/x", "b/y"]
    assert [attempt.number for attempt in call.attempts] == [1, 2, 3]
    assert (handler.entered, handler.open, handler.leased) == (1, 0, 0)


@pytest.mark.anyio
async def test_a_call_that_is_answered_stays(make_call: MakeCall) -> None:
    """Nothing changes for a call that is answered where it was meant to go."""
    handler = ScriptedHandler("whole")
    call = make_call()
    async with Fallback(["a/x"])(call, handler) as reply:
        assert reply.value == "whole"
    assert handler.calls[0] is call


WORTH = [
    (AuthenticationError("no key"), True),
    (RateLimitedError("slow down"), True),
    (RateLimitedError("no credit", quota_exhausted=True), True),
    (ServerError("no"), True),
    (ServiceUnavailableError("no"), True),
    (NotFoundError("no such model"), True),
    (EndpointNotSupportedError("no"), True),
    (LlmTimeoutError("late", limit="concurrency"), True),
    (LlmTimeoutError("late", limit="connect"), True),
    (NetworkError("no"), True),
    (StreamingError("no"), True),
    (SerializationError("no"), True),
    (BadRequestError("no"), False),
    (ContextWindowExceededError("no"), False),
    (ContentPolicyError("no"), False),
    (BudgetExceededError("no"), False),
    (HookRejectedError("no"), False),
    (InternalError("no"), False),
    (BadRequestError("but it may", retryable=True), True),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("error", "worth"), WORTH, ids=lambda value: repr(value))
async def test_what_leads_on_by_default(make_call: MakeCall, error: LlmError, worth: bool) -> None:
    """Facts about one provider or model lead to another one; what is wrong with the request itself does not."""
    assert may_work_elsewhere(error) is worth
    handler = ScriptedHandler(error, "whole")
    with nullcontext() if worth else pytest.raises(type(error)) as caught:
        async with Fallback(["other"])(make_call(), handler):
            pass
    assert caught is None or caught.value is error
    assert len(handler.calls) == 1 + worth


@pytest.mark.anyio
async def test_other_exceptions_come_out(make_call: MakeCall) -> None:
    """What is no LlmError is a bug, and leads nowhere."""
    with pytest.raises(KeyError):
        async with Fallback(["other"])(make_call(), ScriptedHandler(KeyError("a bug"), "never")):
            pass


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("when", "leads"),
    [
        (ServerError, False),
        (ServiceUnavailableError, True),
        ((ServerError, ServiceUnavailableError), True),
        (lambda error: error.status == 503, True),
        (lambda error: error.status == 500, False),
    ],
)
async def test_when_decides(make_call: MakeCall, when: object, leads: bool) -> None:
    """Conditions are an error class, several, or a function of the error: of the layer, or of a target in its place."""
    for fallback in (
        Fallback(["other"], when=when),
        Fallback([Target("other", when=when)], when=LlmError if not leads else ServerError),
    ):
        handler = ScriptedHandler(ServiceUnavailableError("down", status=503), "whole")
        try:
            async with fallback(make_call(), handler):
                assert leads
        except ServiceUnavailableError:
            assert not leads


@pytest.mark.anyio
async def test_a_context_that_is_too_long_goes_to_a_longer_one(make_call: MakeCall) -> None:
    """A target for one kind of error is passed over by all others, and taken by its own whenever that comes."""
    fallback = Fallback([Target("longer", when=ContextWindowExceededError), "other", "never"])
    handler = ScriptedHandler(TOO_LONG, "whole")
    async with fallback(make_call(), handler):
        pass
    assert models(handler) == ["scripted/scripted", "scripted/longer"]
    handler = ScriptedHandler(DOWN, TOO_LONG, "whole")
    async with fallback(make_call(), handler):
        pass
    assert models(handler) == ["scripted/scripted", "scripted/other", "scripted/longer"]


@pytest.mark.anyio
async def test_a_content_policy_leads_where_it_is_asked_to(make_call: MakeCall) -> None:
    """A refusal by content policy leads to a target that asks for it, and to none by default."""
    handler = ScriptedHandler(ContentPolicyError("no"), "whole")
    async with Fallback(["a", Target("b", when=ContentPolicyError)])(make_call(), handler):
        pass
    assert models(handler)[-1] == "scripted/b"


@pytest.mark.anyio
async def test_the_last_error_tells_all(make_call: MakeCall) -> None:
    """When all have failed, the last error is raised, with a note on each before it and its own provider."""
    errors = [ServiceUnavailableError("down"), RateLimitedError("slow", retry_after=9.0), NotFoundError("gone")]
    handler = ScriptedHandler(*errors)
    call = make_call()
    with pytest.raises(NotFoundError) as caught:
        async with Fallback(["a/x", "b/y"])(call, handler):
            pass
    assert caught.value is errors[-1]
    assert caught.value.__context__ is None
    assert (caught.value.provider, caught.value.model) == ("b", "y")
    assert caught.value.__notes__ == [
        "before it: ServiceUnavailableError: scripted/scripted: down",
        "before it: RateLimitedError: a/x: slow (retry after 9 s)",
    ]
    assert len(call.attempts) == 3


@pytest.mark.anyio
async def test_listeners_are_told(make_call: MakeCall) -> None:
    """Before each move the listeners are told what failed, with what, and where it goes."""
    heard: list[object] = []
    handler = ScriptedHandler(DOWN, ServerError("no"), "whole")
    second = Target("b", {"text": "!"})
    async with Fallback(["a", second])(make_call(listeners=(heard.append,)), handler):
        pass
    assert [(event.call.route.model, type(event.error), event.target) for event in heard] == [
        ("scripted", ServiceUnavailableError, Target("a")),
        ("a", ServerError, second),
    ]
    assert all(isinstance(event, FallingBack) for event in heard)


@pytest.mark.anyio
async def test_a_target_changes_the_request(make_call: MakeCall) -> None:
    """The changes of a target are made for that target only."""
    request = ChatCompletionRequest(**QUESTION, temperature=1.0, seed=7)
    handler = ScriptedHandler(DOWN, DOWN, "whole")
    fallback = Fallback([Target("a", {"temperature": 0.0, "extra_body": {"k": 1}}), "b"])
    async with fallback(make_call(request=request), handler):
        pass
    sent = [call.request for call in handler.calls]
    assert sent[0] is sent[2] is request
    assert sent[1] == msgspec.structs.replace(request, temperature=0.0, extra_body={"k": 1})


@pytest.mark.anyio
async def test_a_change_that_the_request_has_no_field_for_shows_at_once(make_call: MakeCall) -> None:
    """A misspelled change fails the first call, and does not wait for an outage."""
    handler = ScriptedHandler("whole")
    fallback = Fallback([Target("a", {"temprature": 0.0})])
    with pytest.raises(ValueError, match=r"changes of 'a'.*'temprature'; did you mean 'temperature'\?"):
        async with fallback(make_call(request=ChatCompletionRequest(**QUESTION)), handler):
            pass
    assert handler.calls == []


@pytest.mark.anyio
async def test_changes_for_one_operation_are_no_matter_of_another(make_call: MakeCall) -> None:
    """A target that changes a chat is not asked for vectors, and says so; the others are."""
    call = make_call(operation="embeddings", request=EmbeddingRequest(model="m", input="hi"))
    fallback = Fallback([Target("a", {"reasoning_effort": "low"}), "b"])
    handler = ScriptedHandler(DOWN, "whole")
    async with fallback(call, handler):
        pass
    assert [each.route.model for each in handler.calls] == ["scripted", "b"]
    with pytest.raises(ServiceUnavailableError) as raised:
        async with fallback(call, ScriptedHandler(ServiceUnavailableError("overloaded"))):
            pass
    assert "left out: a, as its changes have 'reasoning_effort', and EmbeddingRequest has not" in raised.value.__notes__


async def models_asked(*targets: str, stream: bool) -> list[str]:
    """Ask a model that is down, or whose stream breaks, for what Anthropic's do not take."""
    provider = Simulator(faults=[ResetAfterEvents(2) if stream else Refuse(503), None])
    ask: dict[str, object] = {**QUESTION, "model": "openai/gpt-4o", "logit_bias": {"1": 1}}
    async with serving(
        provider,
        api_key=None,
        api_keys={"openai": "sk-1", "anthropic": "sk-2"},
        middleware=[Fallback(targets, mid_stream="restart")],
    ) as client:
        if not stream:
            return [attempt.model for attempt in (await client.chat(**ask)).attempts]
        reply = await client.chat_stream(**ask)
        async for _ in reply:
            pass
        return [attempt.model for attempt in reply.response().attempts]


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_a_target_that_cannot_say_it_is_left_out(stream: bool) -> None:
    """A parameter that a target's provider does not take leads to the next; when none is left, the outage is told."""
    claude = "anthropic/claude-sonnet-4-5"
    assert await models_asked(claude, "openai/gpt-4.1", stream=stream) == ["gpt-4o", "gpt-4.1"]
    with pytest.raises(StreamingError if stream else ServiceUnavailableError) as raised:
        await models_asked(claude, stream=stream)
    assert raised.value.model == "gpt-4o"
    assert any("anthropic does not take 'logit_bias'" in note for note in raised.value.__notes__)


@pytest.mark.anyio
async def test_what_was_not_sent_has_no_status() -> None:
    """An error of liter's own has neither status nor request id of the attempt that was made before it."""
    fallback = Fallback(["anthropic/claude-sonnet-4-5"], when=ServiceUnavailableError)
    provider = Simulator(faults=[Refuse(503)])
    async with serving(provider, api_key=None, api_keys={"openai": "sk-1"}, middleware=[fallback]) as client:
        with pytest.raises(AuthenticationError) as raised:
            await client.chat(**{**QUESTION, "model": "openai/gpt-4o"})
    assert (raised.value.status, raised.value.request_id, len(raised.value.attempts)) == (None, None, 1)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("operation", "fields"),
    [
        ("retrieve_response", {}),
        ("create_response", {"previous_response_id": "resp_1"}),
        ("create_response", {"conversation": "conv_1"}),
        ("create_response", {}),
    ],
)
async def test_what_one_provider_keeps_is_asked_of_no_other(
    make_call: MakeCall, operation: str, fields: dict[str, object]
) -> None:
    """A call that names a response or a conversation goes to other models of its provider, and to no other provider."""
    call = make_call(operation=operation, request=CreateResponseRequest(model="m", input="hi", **fields))
    handler = ScriptedHandler(DOWN, "whole")
    async with Fallback(["other/a", "scripted/b"])(call, handler):
        pass
    free = operation == "create_response" and not fields
    assert [each.route.model for each in handler.calls] == ["scripted", "a" if free else "b"]
    handler = ScriptedHandler(error := ServiceUnavailableError("overloaded"), "whole")
    if not free:
        with pytest.raises(ServiceUnavailableError):
            async with Fallback(["other/a"])(call, handler):
                pass
        assert error.__notes__ == ["left out: other/a, as the call names what scripted keeps"]


@pytest.mark.anyio
async def test_a_call_to_no_model_goes_through(make_call: MakeCall) -> None:
    """A list of models is asked of one provider: no other one can answer in its place."""
    route = Route(provider="scripted", model="", base_url="https://scripted.invalid")
    handler = ScriptedHandler(DOWN, "never")
    with pytest.raises(ServiceUnavailableError):
        async with Fallback(["a/x"])(make_call(operation="list_models", route=route), handler):
            pass
    assert len(handler.calls) == 1


@pytest.mark.anyio
async def test_the_model_that_was_asked_is_not_asked_again(make_call: MakeCall) -> None:
    """A target that is where the call was meant to go is left out, unless it changes the request."""
    handler = ScriptedHandler(DOWN)
    call = make_call(timeouts=Timeouts(total=10.0))
    with pytest.raises(ServiceUnavailableError):
        async with Fallback(["scripted/scripted"])(call, handler):
            pass
    assert len(handler.calls) == 1
    assert handler.calls[0].enter_by == call.enter_by
    handler = ScriptedHandler(DOWN, "whole")
    async with Fallback([Target("scripted/scripted", {"text": "short"})])(make_call(), handler):
        pass
    assert len(handler.calls) == 2


@pytest.mark.anyio
async def test_a_provider_without_the_operation_is_left_out(make_call: MakeCall) -> None:
    """A target whose provider does not offer the operation is passed over, and the error says so."""

    def resolve(model: str) -> Route:
        if model == "a":
            raise EndpointNotSupportedError("a does not offer chat")
        return Route(provider="p", model=model, base_url="https://p.invalid")

    handler = ScriptedHandler(DOWN, ServerError("no"))
    with pytest.raises(ServerError) as caught:
        async with Fallback(["a", "b"])(make_call(resolve=resolve, timeouts=Timeouts(total=8.0)), handler):
            pass
    assert models(handler) == ["scripted/scripted", "p/b"]
    assert "left out: a does not offer chat" in caught.value.__notes__


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_each_try_has_its_share_of_the_time(make_call: MakeCall, stream: bool) -> None:
    """A try gets its share of what is left, the last one all of it, and the clock never restarts."""
    handler = ScriptedHandler(Outcome(stalls=True))
    call = make_call(stream=stream, timeouts=Timeouts(first_event=40.0))
    with pytest.raises(LlmTimeoutError) as caught:
        async with Fallback(["a", Target("b", share=0.25), "c"])(call, handler):
            pass
    assert [attempt.seconds for attempt in call.attempts] == [20.0, 10.0, 2.5, 7.5]
    assert anyio.current_time() == call.started + 40.0
    assert len(caught.value.__notes__) == 3


@pytest.mark.anyio
async def test_no_share_is_taken_where_a_timeout_leads_nowhere(make_call: MakeCall) -> None:
    """A try has all the time that is left when no target takes its timeout, and with a share of 1."""
    for fallback in (
        Fallback([Target("a", when=ContextWindowExceededError)]),
        Fallback(["a"], when=ServerError),
        Fallback(["a"], share=1.0),
    ):
        handler = ScriptedHandler(Outcome(stalls=True))
        call = make_call(timeouts=Timeouts(total=10.0))
        with pytest.raises(LlmTimeoutError):
            async with fallback(call, handler):
                pass
        assert [attempt.seconds for attempt in call.attempts] == [10.0]


@pytest.mark.anyio
async def test_without_a_limit_there_is_no_share(make_call: MakeCall) -> None:
    """A call without a time limit gets none by falling back."""
    handler = ScriptedHandler(Outcome(value="whole", delay=1e6))
    async with Fallback(["a"])(make_call(), handler) as reply:
        assert reply.value == "whole"


@pytest.mark.anyio
async def test_a_stream_may_be_longer_than_the_share(make_call: MakeCall) -> None:
    """The share bounds the time to the first event, not the stream."""
    handler = ScriptedHandler(Outcome(events=["one", "two", "three"], delay=4.0, interval=20.0))
    call = make_call(stream=True, timeouts=Timeouts(first_event=10.0, total=60.0))
    async with Fallback(["a"])(call, handler) as reply:
        assert len([event async for event in reply]) == 3


@pytest.mark.anyio
async def test_after_the_first_event_it_fails(make_call: MakeCall) -> None:
    """A stream that breaks after its first event breaks: nothing is asked again."""
    broken = StreamingError("cut off")
    handler = ScriptedHandler(Outcome(events=["one"], error=broken), ["never"])
    with pytest.raises(StreamingError) as caught:
        async with Fallback(["a"])(make_call(stream=True), handler) as reply:
            assert [event async for event in reply] == ["one"]
    assert caught.value is broken
    assert len(handler.calls) == 1


@pytest.mark.anyio
async def test_each_model_has_its_retries(make_call: MakeCall) -> None:
    """Outside Retry, each model has its retries, which plan against its share of the time."""
    handler = ScriptedHandler(ServerError("no"), RateLimitedError("no", retry_after=30.0), ServerError("no"), "whole")
    call = make_call(timeouts=Timeouts(total=40.0))
    async with Stack([Fallback(["a"]), Retry(initial=0.0, cap=0.0)], handler)(call):
        pass
    assert models(handler) == ["scripted/scripted", "scripted/scripted", "scripted/a", "scripted/a"]
    assert [attempt.number for attempt in call.attempts] == [1, 2, 3, 4]
    assert anyio.current_time() == call.started


@pytest.mark.anyio
async def test_only_the_attempt_that_was_waited_for_says_so(make_call: MakeCall) -> None:
    """What a Retry further out has slept is on the record of the first try after it, and not on the others'."""
    handler = ScriptedHandler(ServerError("no", retry_after=3.0), ServerError("no", retry_after=3.0), DOWN, "whole")
    call = make_call()
    async with Stack([Retry(initial=0.0, cap=0.0), Fallback(["a"])], handler)(call):
        pass
    assert [attempt.waited for attempt in call.attempts] == [0.0, 0.0, 3.0, 0.0]


@pytest.mark.anyio
async def test_idempotency_keys_are_of_one_request(make_call: MakeCall) -> None:
    """Each target has a key of its own, and a Retry further out sends the same ones again."""
    handler = ScriptedHandler(DOWN, DOWN, DOWN, "whole")
    call = make_call(headers=((b"idempotency-key", b"k"), (b"x-team", b"t")))
    async with Stack([Retry(initial=0.0, cap=0.0), Fallback(["a"])], handler)(call):
        pass
    assert [dict(call.headers)[b"idempotency-key"] for call in handler.calls] == [b"k", b"k-1", b"k", b"k-1"]
    assert {dict(call.headers)[b"x-team"] for call in handler.calls} == {b"t"}


@pytest.mark.anyio
async def test_credentials_stay_with_their_provider(make_call: MakeCall) -> None:
    """A header that logs in at one provider goes to its other models, and to no other provider."""
    handler = ScriptedHandler(DOWN, DOWN, "whole")
    headers = ((b"authorization", b"Bearer s"), (b"x-api-key", b"s"), (b"x-team", b"t"))
    async with Fallback(["scripted/b", "other/c"])(make_call(headers=headers), handler):
        pass
    assert [len(call.headers) for call in handler.calls] == [3, 3, 1]


@pytest.mark.anyio
@pytest.mark.parametrize("refusals", [0, 1])
async def test_cancellation_comes_out(make_call: MakeCall, refusals: int) -> None:
    """A cancellation is no failure of a model: it leads nowhere, and leaves nothing open."""
    handler = ScriptedHandler(*[DOWN] * refusals, Outcome(stalls=True))
    with anyio.move_on_after(2.0) as scope:
        async with Fallback(["a", "b"])(make_call(), handler):
            pass
    assert scope.cancelled_caught
    assert len(handler.calls) == 1 + refusals
    assert (handler.open, handler.leased) == (0, 0)


@pytest.mark.anyio
async def test_to_another_provider_over_a_wire() -> None:
    """Over a wire, an overloaded provider leads to another one, with its own protocol, address, key and model."""
    provider = Simulator(reply="Up in the hills.", faults=[Refuse(529), None, Refuse(401), None])
    async with serving(
        provider,
        api_key="sk-first",
        api_keys={"anthropic": "sk-second"},
        middleware=[Fallback(["anthropic/claude-sonnet-4-5"])],
    ) as client:
        response = await client.chat(**QUESTION)
        stream = await client.chat_stream(**QUESTION)
        async for _ in stream:
            pass
    assert response.text == stream.response().text == "Up in the hills."
    assert [attempt.provider for attempt in response.attempts] == ["openai", "anthropic"]
    assert [
        (request.headers.get("authorization"), request.headers.get("x-api-key")) for request in provider.requests
    ] == [
        ("Bearer sk-first", None),
        (None, "sk-second"),
    ] * 2


@pytest.mark.anyio
async def test_a_missing_key_leads_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider without a key is no way, and the next one is asked."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    provider = Simulator(reply="hi")
    async with serving(
        provider, api_key=None, api_keys={"anthropic": "sk-second"}, middleware=[Fallback(["anthropic/claude"])]
    ) as client:
        assert (await client.chat(**QUESTION)).text == "hi"


steps = st.lists(
    st.sampled_from([DOWN, TOO_LONG, ContentPolicyError("no"), BadRequestError("no"), "whole"]), min_size=1
)
conditions = st.sampled_from([None, ContextWindowExceededError, ContentPolicyError, BadRequestError, LlmError])


@given(script=steps, whens=st.lists(conditions, min_size=1, max_size=5))
def test_any_script_comes_to_an_end(script: list[object], whens: list[type[LlmError] | None]) -> None:
    """Whatever fails how, each target is asked at most once, each move is one its condition allows, in order."""
    fallback = Fallback([Target(f"m{number}", when=when) for number, when in enumerate(whens)])
    handler = ScriptedHandler(*script)
    call: Call[object] = Call(
        operation="chat",
        request=ChatCompletionRequest(**QUESTION),
        route=Route(provider="p", model="first", base_url="https://p.invalid"),
        attempts=[],
    )

    async def run() -> bool:
        try:
            async with fallback(call, handler):
                return True
        except LlmError:
            return False

    answered = anyio.run(run)
    asked = [call.route.model for call in handler.calls]
    assert asked[0] == "first"
    assert len(set(asked)) == len(asked)
    results = [script[min(number, len(script) - 1)] for number in range(len(asked))]
    untried = list(fallback.targets)
    for number, result in enumerate(results):
        allowed = [t for t in untried if isinstance(result, LlmError) and fallback.accepts(t, result)]
        following = asked[number + 1] if number + 1 < len(asked) else None
        assert following == (allowed[0].model if allowed else None)
        untried = [t for t in untried if t.model != following]
    assert answered is (results[-1] == "whole")

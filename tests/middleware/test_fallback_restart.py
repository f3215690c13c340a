"""``Fallback(mid_stream="restart")``: a broken stream begins anew elsewhere, and the consumer is told."""

from collections.abc import Callable, Sequence

import anyio
import pytest

from liter import (
    Call,
    ChatCompletionChunk,
    ChatCompletionRequest,
    LlmTimeoutError,
    Route,
    ServerError,
    Stack,
    StreamingError,
    Timeouts,
)
from liter.middleware import Cache, Fallback, FallingBack, Guardrails, Rule, Target
from liter.money import Cost
from liter.testing import Outcome, ResetAfterEvents, ScriptedHandler, Simulator, check_layer
from liter.types import FunctionCallDelta, ToolCallDelta, accumulate

from .._serving import serving
from ._broken_streams import QUESTION, REQUEST, USAGE, broken, chunk, whole

MakeCall = Callable[..., Call[ChatCompletionChunk]]


def to(*models: str) -> Fallback:
    return Fallback(models, mid_stream="restart")


async def read(
    fallback: Fallback, call: Call[ChatCompletionChunk], handler: ScriptedHandler
) -> list[ChatCompletionChunk]:
    async with fallback(call, handler) as reply:
        return [event async for event in reply]


def test_keeps_the_contract_with_a_chat() -> None:
    """With chats, too, it keeps the layer contract, as long as nothing leads on from a broken stream."""
    check_layer(
        lambda: Fallback([Target("other", when=ServerError)], mid_stream="restart"),
        call=Call(
            operation="chat", request=REQUEST, route=Route(provider="p", model="m", base_url="https://p.invalid")
        ),
        events=[chunk("one"), chunk("two"), chunk(finish="stop")],
        may_repeat=True,
    )


@pytest.mark.anyio
async def test_it_begins_anew_and_says_so(make_call: MakeCall) -> None:
    """The first chunk of the new answer, and no other, says that it begins anew; what counts is the last run alone."""
    heard: list[object] = []
    handler = ScriptedHandler(broken("Up", " in"), whole("In", " the hills."))
    events = await read(to("a/x"), make_call(request=REQUEST, stream=True, listeners=(heard.append,)), handler)
    assert [(event.text, event.restarted) for event in events] == [
        ("Up", False),
        (" in", False),
        ("In", True),
        (" the hills.", False),
        ("", False),
    ]
    assert accumulate(events).text == "In the hills."
    first, second = handler.calls
    assert second.request == first.request
    assert (second.route.provider, second.route.model, second.attempt) == ("a", "x", 2)
    assert (handler.entered, handler.open, handler.leased) == (2, 0, 0)
    (event,) = heard
    assert isinstance(event, FallingBack)
    assert (event.call, event.target.model) == (first, "a/x")


@pytest.mark.anyio
async def test_it_may_break_again(make_call: MakeCall) -> None:
    """A new answer that breaks begins anew in turn, each target once; then the last error comes out."""
    last = StreamingError("the last")
    handler = ScriptedHandler(broken("a"), broken("b"), broken("c", error=last))
    got: list[ChatCompletionChunk] = []
    with pytest.raises(StreamingError) as caught:
        async with to("x", "y")(make_call(request=REQUEST, stream=True), handler) as reply:
            async for event in reply:
                got.append(event)
    assert caught.value is reply.error is last
    assert [(event.text, event.restarted) for event in got] == [("a", False), ("b", True), ("c", True)]
    assert accumulate(got).text == "c"
    assert (handler.entered, handler.open, handler.leased) == (3, 0, 0)


@pytest.mark.anyio
async def test_a_refused_restart_leads_on(make_call: MakeCall) -> None:
    """A target that refuses leads to the next; when none is left, the error that broke the stream comes out."""
    first = StreamingError("cut off")
    handler = ScriptedHandler(broken("a", error=first), ServerError("no"), whole("b"))
    events = await read(to("x", "y"), make_call(request=REQUEST, stream=True), handler)
    assert accumulate(events).text == "b"
    handler = ScriptedHandler(broken("a", error=first), ServerError("no"))
    with pytest.raises(StreamingError) as caught:
        await read(to("x", "y"), make_call(request=REQUEST, stream=True), handler)
    assert caught.value is first
    assert caught.value.__notes__[-1].startswith("not followed: ServerError: ")
    assert (handler.open, handler.leased) == (0, 0)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "events",
    [
        [chunk("a"), chunk("b", index=1)],
        [chunk("a"), chunk(tool_calls=[ToolCallDelta(id="c", function=FunctionCallDelta(name="f"))])],
        [chunk(reasoning_content="hm")],
    ],
    ids=["two choices", "a tool call", "no text yet"],
)
async def test_whatever_was_seen_can_be_taken_back(make_call: MakeCall, events: Sequence[object]) -> None:
    """Tool calls, several choices and thoughts are forgotten like text."""
    handler = ScriptedHandler(Outcome(events=events, error=StreamingError("cut off")), whole("b"))
    got = accumulate(await read(to("x"), make_call(request=REQUEST, stream=True), handler))
    (choice,) = got.choices
    assert (choice.message.content, choice.message.tool_calls, choice.message.reasoning_content) == ("b", None, None)


@pytest.mark.anyio
async def test_an_answer_that_had_finished_stays(make_call: MakeCall) -> None:
    """An answer of which only the end of the stream is missing is not taken back; one of two choices is not all."""
    done = Outcome(events=[chunk("a"), chunk(finish="stop")], error=StreamingError("cut off"))
    handler = ScriptedHandler(done, whole("never"))
    with pytest.raises(StreamingError):
        await read(to("x"), make_call(request=REQUEST, stream=True), handler)
    assert len(handler.calls) == 1
    two = ChatCompletionRequest(**QUESTION, n=2)
    events = await read(to("x"), make_call(request=two, stream=True), ScriptedHandler(done, whole("b")))
    assert accumulate(events).text == "b"


@pytest.mark.anyio
async def test_the_usage_is_that_of_the_last_run(make_call: MakeCall) -> None:
    """What the reply reports is what its text took."""
    handler = ScriptedHandler(broken("a"), whole("b"))
    async with to("x")(make_call(request=REQUEST, stream=True), handler) as reply:
        async for _ in reply:
            pass
    assert reply.usage == USAGE


@pytest.mark.anyio
async def test_only_chats_begin_anew(make_call: MakeCall) -> None:
    """Events that cannot say so are not begun anew."""
    handler = ScriptedHandler(Outcome(events=["a"], error=StreamingError("cut off")), whole("never"))
    with pytest.raises(StreamingError):
        await read(to("x"), make_call(stream=True), handler)
    assert len(handler.calls) == 1


@pytest.mark.anyio
async def test_it_has_the_time_of_a_gap(make_call: MakeCall) -> None:
    """It is to begin within the limit between events, and the total is the total."""
    handler = ScriptedHandler(Outcome(events=[chunk("a")], stalls=True), Outcome(stalls=True), whole("c"))
    call = make_call(request=REQUEST, stream=True, timeouts=Timeouts(first_event=5.0, between_events=8.0))
    assert accumulate(await read(to("x", "y"), call, handler)).text == "c"
    assert anyio.current_time() == call.started + 8.0 + 8.0
    handler = ScriptedHandler(Outcome(events=[chunk("a")], stalls=True), whole("never"))
    with pytest.raises(LlmTimeoutError):
        await read(to("x"), make_call(request=REQUEST, stream=True, timeouts=Timeouts(total=9.0)), handler)
    assert len(handler.calls) == 1


@pytest.mark.anyio
async def test_it_can_be_left_and_cancelled(make_call: MakeCall) -> None:
    """A stream that has begun anew leaves nothing open when it is left early, or cancelled while it opens."""
    handler = ScriptedHandler(broken("a"), whole("b", "c"))
    async with to("x")(make_call(request=REQUEST, stream=True), handler) as reply:
        await reply.__anext__()
        await reply.__anext__()
        assert handler.open == 1
    assert (handler.open, handler.leased, reply.finished) == (0, 0, False)
    handler = ScriptedHandler(broken("a"), Outcome(stalls=True))
    with anyio.move_on_after(3.0):
        await read(to("x"), make_call(request=REQUEST, stream=True), handler)
    assert (len(handler.calls), handler.open, handler.leased) == (2, 0, 0)


@pytest.mark.anyio
async def test_guardrails_forget_what_they_held(make_call: MakeCall) -> None:
    """Outside of it, Guardrails hold no text of the answer that was taken back, and pass on that it was."""
    handler = ScriptedHandler(broken("this ", "s"), whole("ecret", " s", "ecret."))
    stack = Stack([Guardrails([Rule("secret", action="redact")]), to("x")], handler)
    async with stack(make_call(request=REQUEST, stream=True)) as reply:
        events = [event async for event in reply]
    assert [event.restarted for event in events].count(True) == 1
    assert accumulate(events).text == "ecret [redacted]."


@pytest.mark.anyio
async def test_a_cache_keeps_what_counts(make_call: MakeCall) -> None:
    """Out of a cache the stream comes as it went in, and means the last run."""
    handler = ScriptedHandler(broken("a"), whole("b"))
    stack = Stack([Cache(), to("x")], handler)
    for _ in range(2):
        async with stack(make_call(request=REQUEST, stream=True)) as reply:
            assert accumulate([event async for event in reply]).text == "b"
    assert len(handler.calls) == 2


@pytest.mark.anyio
async def test_a_hit_further_in_stays_one(make_call: MakeCall) -> None:
    """What a cache inside of it tells of its hit is told on."""
    handler = ScriptedHandler(whole("a"))
    stack = Stack([to("x"), Cache()], handler)
    for cost in (None, Cost.unbilled()):
        async with stack(make_call(request=REQUEST, stream=True)) as reply:
            assert accumulate([event async for event in reply]).text == "a"
            assert reply.cost == cost
    assert len(handler.calls) == 1


@pytest.mark.anyio
async def test_over_a_wire() -> None:
    """The response of a stream that broke on the wire and began anew is the new answer, with both attempts."""
    provider = Simulator(reply="In the hills", faults=[ResetAfterEvents(3)])
    async with serving(
        provider, api_keys={"anthropic": "sk-other"}, middleware=[to("anthropic/claude-sonnet-4-5")]
    ) as client:
        stream = await client.chat_stream(**QUESTION)
        marks = [chunk.restarted async for chunk in stream]
    assert marks.count(True) == 1
    assert stream.response().text == "In the hills"
    assert [attempt.outcome for attempt in stream.response().attempts] == ["StreamingError", "ok"]

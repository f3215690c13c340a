"""``Fallback(mid_stream="continue")``: a broken stream goes on elsewhere, and no text comes twice."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Literal

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter import (
    AssistantMessage,
    Call,
    ChatCompletionChunk,
    ChatCompletionRequest,
    Handler,
    LlmTimeoutError,
    Reply,
    Route,
    ServerError,
    Stack,
    StreamingError,
    Timeouts,
)
from liter.middleware import Fallback, FallingBack, Target
from liter.testing import Outcome, ResetAfterEvents, ScriptedHandler, Simulator, check_layer
from liter.types import FunctionCallDelta, ToolCallDelta

from .._serving import serving
from ._broken_streams import QUESTION, REQUEST, USAGE, broken, chunk, whole

MakeCall = Callable[..., Call[ChatCompletionChunk]]


def to(*models: str, answers: Literal["continued", "repeated"] = "continued") -> Fallback:
    return Fallback([Target(model, prefix=answers) for model in models], mid_stream="continue")


async def read(fallback: Fallback, call: Call[ChatCompletionChunk], handler: ScriptedHandler) -> str:
    async with fallback(call, handler) as reply:
        return "".join([event.text async for event in reply])


def test_keeps_the_contract_with_a_chat() -> None:
    """With chats, too, it keeps the layer contract, as long as nothing leads on from a broken stream."""
    route = Route(provider="p", model="m", base_url="https://p.invalid")
    check_layer(
        lambda: Fallback([Target("other", prefix="repeated", when=ServerError)], mid_stream="continue"),
        call=Call(operation="chat", request=REQUEST, route=route),
        events=[chunk("one"), chunk("two"), chunk(finish="stop")],
        may_repeat=True,
    )


@pytest.mark.anyio
async def test_it_goes_on_where_the_consumer_is(make_call: MakeCall) -> None:
    """What was seen is sent along as a prefix, and what comes after it is given, with the blanks between but once."""
    heard: list[object] = []
    handler = ScriptedHandler(broken("Up", " in "), whole(" the", " hills."))
    call = make_call(request=REQUEST, stream=True, listeners=(heard.append,))
    assert await read(to("a/x"), call, handler) == "Up in the hills."
    first, second = handler.calls
    assert first.request is REQUEST
    assert isinstance(second.request, ChatCompletionRequest)
    assert second.request.conversation[:-1] == REQUEST.messages
    assert second.request.conversation[-1] == AssistantMessage(content="Up in", prefix=True)
    assert (second.route.provider, second.route.model, second.attempt) == ("a", "x", 2)
    assert (handler.entered, handler.open, handler.leased) == (2, 0, 0)
    (event,) = heard
    assert isinstance(event, FallingBack)
    assert (event.call, event.target.model) == (first, "a/x")


@pytest.mark.anyio
async def test_a_repeated_prefix_is_left_out(make_call: MakeCall) -> None:
    """Where the target repeats the prefix, that part is not given again."""
    handler = ScriptedHandler(broken("ha ", "ha "), whole("ha", " ha ha", " ha!"))
    call = make_call(request=REQUEST, stream=True)
    assert await read(to("a", answers="repeated"), call, handler) == "ha ha ha ha!"


@pytest.mark.anyio
async def test_it_may_break_while_it_repeats(make_call: MakeCall) -> None:
    """A target that breaks before it has repeated all of the prefix has added nothing."""
    handler = ScriptedHandler(broken("Up in"), broken("Up"), whole("Up i", "n the", " hills."))
    call = make_call(request=REQUEST, stream=True)
    assert await read(to("x", "y", answers="repeated"), call, handler) == "Up in the hills."


@pytest.mark.anyio
async def test_a_text_may_go_on_as_it_began(make_call: MakeCall) -> None:
    """Where the target continues, what it says is new, though it reads like the beginning."""
    handler = ScriptedHandler(broken("ha"), whole("ha", "ha!"))
    assert await read(to("a"), make_call(request=REQUEST, stream=True), handler) == "hahaha!"


@pytest.mark.anyio
@pytest.mark.parametrize("texts", [("Down", " there"), ("Up",)], ids=["another text", "less"])
async def test_a_prefix_that_is_not_repeated_breaks_the_stream(make_call: MakeCall, texts: Sequence[str]) -> None:
    """An answer that does not begin as it must does not fit, and is not given."""
    handler = ScriptedHandler(broken("Up in"), whole(*texts))
    got: list[str] = []
    with pytest.raises(StreamingError, match="repeat the prefix"):
        async with to("a", answers="repeated")(make_call(request=REQUEST, stream=True), handler) as reply:
            async for event in reply:
                got.append(event.text)
    assert "".join(got) == "Up in"
    assert handler.open == 0


@pytest.mark.anyio
async def test_it_may_break_again(make_call: MakeCall) -> None:
    """A continuation that breaks is continued in turn, with all that was seen, each target once."""
    last = StreamingError("the last")
    handler = ScriptedHandler(broken("a"), broken("b"), broken("c", error=last))
    got: list[str] = []
    with pytest.raises(StreamingError) as caught:
        async with to("x", "y")(make_call(request=REQUEST, stream=True), handler) as reply:
            async for event in reply:
                got.append(event.text)
    assert caught.value is reply.error is last
    assert got == ["a", "b", "c"]
    assert [call.request.conversation[-1].content for call in handler.calls[1:]] == ["a", "ab"]
    assert (handler.entered, handler.open, handler.leased) == (3, 0, 0)


@pytest.mark.anyio
async def test_a_refused_continuation_leads_on(make_call: MakeCall) -> None:
    """A target that refuses leads to the next; when none is left, the error that broke the stream comes out."""
    first = StreamingError("cut off")
    handler = ScriptedHandler(broken("a", error=first), ServerError("no"), whole("b"))
    assert await read(to("x", "y"), make_call(request=REQUEST, stream=True), handler) == "ab"
    handler = ScriptedHandler(broken("a", error=first), ServerError("no"))
    with pytest.raises(StreamingError) as caught:
        await read(to("x", "y"), make_call(request=REQUEST, stream=True), handler)
    assert caught.value is first
    assert caught.value.__notes__[-1].startswith("not followed: ServerError: ")
    assert len(handler.calls) == 3
    assert (handler.open, handler.leased) == (0, 0)


@pytest.mark.anyio
async def test_the_same_model_can_continue(make_call: MakeCall) -> None:
    """A target may be the model that broke."""
    handler = ScriptedHandler(broken("a"), whole("b"))
    assert await read(to("scripted/scripted"), make_call(request=REQUEST, stream=True), handler) == "ab"


@pytest.mark.anyio
async def test_conditions_hold_in_a_stream(make_call: MakeCall) -> None:
    """Only targets that continue, and whose condition the error meets, are gone to."""
    targets = [Target("no"), Target("no", when=ServerError, prefix="continued"), Target("yes", prefix="continued")]
    handler = ScriptedHandler(broken("a"), whole("b"))
    await read(Fallback(targets, mid_stream="continue"), make_call(request=REQUEST, stream=True), handler)
    assert handler.calls[-1].route.model == "yes"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "events",
    [
        [chunk("  \n")],
        [chunk("a"), chunk("b", index=1)],
        [chunk("a"), chunk(tool_calls=[ToolCallDelta(id="c", function=FunctionCallDelta(name="f"))])],
        [chunk("a"), chunk(refusal="no")],
        [chunk("a"), chunk(finish="stop")],
        [chunk(reasoning_content="hm")],
    ],
    ids=["blanks", "two choices", "a tool call", "a refusal", "finished", "no text yet"],
)
async def test_what_has_no_beginning_to_go_on_from_fails(make_call: MakeCall, events: Sequence[object]) -> None:
    """What is not the beginning of one text fails as it is."""
    error = StreamingError("cut off")
    handler = ScriptedHandler(Outcome(events=events, error=error), whole("never"))
    with pytest.raises(StreamingError) as caught:
        await read(to("x"), make_call(request=REQUEST, stream=True), handler)
    assert caught.value is error
    assert len(handler.calls) == 1


@pytest.mark.anyio
async def test_a_prefix_of_the_caller_s_own_is_not_mixed_up(make_call: MakeCall) -> None:
    """A conversation that ends with the assistant's words has a beginning already, and is not continued."""
    messages = [*REQUEST.conversation, AssistantMessage(content="Up", prefix=True)]
    call = make_call(request=ChatCompletionRequest(model="m", messages=messages), stream=True)
    handler = ScriptedHandler(broken(" in"), whole("never"))
    with pytest.raises(StreamingError):
        await read(to("x"), call, handler)
    assert len(handler.calls) == 1


@pytest.mark.anyio
async def test_usage_of_a_continued_stream_is_unknown(make_call: MakeCall) -> None:
    """The usage of one part is not passed off as that of the whole; a stream that did not break has its own."""
    call = make_call(request=REQUEST, stream=True)
    for outcomes, usage in [((whole("a"),), USAGE), ((broken("a"), whole("b")), None)]:
        async with to("x")(call, ScriptedHandler(*outcomes)) as reply:
            async for _ in reply:
                pass
        assert reply.finished
        assert reply.usage == usage


@pytest.mark.anyio
async def test_no_part_s_usage_is_left_on_a_continued_stream(make_call: MakeCall) -> None:
    """What the part that broke had reported, and what the continuation reports in a chunk, is of a part only."""

    @asynccontextmanager
    async def reports(call: Call[object], call_next: Handler) -> AsyncIterator[Reply[object]]:
        async with call_next(call) as reply:
            reply.usage = USAGE
            yield reply

    last = ChatCompletionChunk(usage=USAGE)
    handler = ScriptedHandler(broken("a"), Outcome(events=[chunk("b"), last]))
    async with Stack([to("x"), reports], handler)(make_call(request=REQUEST, stream=True)) as reply:
        assert reply.usage == USAGE
        events = [event async for event in reply]
    assert [event.usage for event in events] == [None, None, None]
    assert reply.usage is None


@pytest.mark.anyio
async def test_cancelled_while_the_broken_stream_closes(make_call: MakeCall) -> None:
    """A stream that is cancelled before its continuation is asked for asks for none."""
    handler = ScriptedHandler(
        Outcome(events=[chunk("a")], error=StreamingError("cut off"), closing=5.0), whole("never")
    )
    async with to("x")(make_call(request=REQUEST, stream=True), handler) as reply, anyio.create_task_group() as tasks:
        assert (await reply.__anext__()).text == "a"

        async def cancel() -> None:
            await anyio.sleep(2.0)
            reply.cancel()

        tasks.start_soon(cancel)
        with pytest.raises(StopAsyncIteration):
            await reply.__anext__()
    assert len(handler.calls) == 1
    assert (handler.open, handler.leased, reply.finished) == (0, 0, False)


@pytest.mark.anyio
async def test_a_continuation_has_the_time_of_a_gap(make_call: MakeCall) -> None:
    """It is to begin within the limit between events, though the time to the first event is long over."""
    handler = ScriptedHandler(
        Outcome(events=[chunk("a"), chunk("b")], interval=6.0, stalls=True), Outcome(stalls=True), whole("c")
    )
    timeouts = Timeouts(first_event=5.0, between_events=8.0)
    call = make_call(request=REQUEST, stream=True, timeouts=timeouts)
    assert await read(to("x", "y"), call, handler) == "abc"
    assert anyio.current_time() == call.started + 6.0 + 8.0 + 8.0


@pytest.mark.anyio
async def test_the_total_is_the_total(make_call: MakeCall) -> None:
    """When the call's time is over, nothing is continued."""
    handler = ScriptedHandler(Outcome(events=[chunk("a")], stalls=True), whole("never"))
    call = make_call(request=REQUEST, stream=True, timeouts=Timeouts(total=9.0))
    with pytest.raises(LlmTimeoutError) as caught:
        await read(to("x"), call, handler)
    assert (caught.value.limit, len(handler.calls)) == ("total", 1)


@pytest.mark.anyio
async def test_left_early_it_closes_the_stream_that_is_open(make_call: MakeCall) -> None:
    """A continued stream that is left early leaves nothing open."""
    handler = ScriptedHandler(broken("a"), whole("b", "c"))
    async with to("x")(make_call(request=REQUEST, stream=True), handler) as reply:
        await reply.__anext__()
        await reply.__anext__()
        assert handler.open == 1
    assert (handler.open, handler.leased, reply.finished) == (0, 0, False)


@pytest.mark.anyio
@pytest.mark.parametrize("outcome", [Outcome(stalls=True), Outcome(events=[chunk("b")], stalls=True)])
@pytest.mark.parametrize("by_reply", [True, False], ids=["reply.cancel", "a cancel scope"])
async def test_it_can_be_cancelled(make_call: MakeCall, outcome: Outcome, by_reply: bool) -> None:
    """While a continuation opens, and after, a pending read ends at once, whoever cancels it."""
    handler = ScriptedHandler(broken("a"), outcome)

    async def consume() -> None:
        with anyio.CancelScope() as scope:
            async with to("x")(make_call(request=REQUEST, stream=True), handler) as reply:
                cancel.append(reply.cancel if by_reply else scope.cancel)
                async for _ in reply:
                    pass
            assert not reply.finished
        assert scope.cancelled_caught is not by_reply

    cancel: list[Callable[[], None]] = []
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(consume)
        await anyio.sleep(3.0)
        cancel[0]()
    assert anyio.current_time() == began + 3.0
    assert (handler.open, handler.leased) == (0, 0)


@pytest.mark.anyio
async def test_over_a_wire() -> None:
    """Over a wire, a connection that breaks in the middle costs the consumer nothing but time."""
    provider = Simulator(reply=" and so on", faults=[ResetAfterEvents(3)])
    async with serving(
        provider, api_keys={"anthropic": "sk-other"}, middleware=[to("anthropic/claude-sonnet-4-5")]
    ) as client:
        stream = await client.chat_stream(**QUESTION)
        texts = [each.text async for each in stream]
    assert stream.finished
    sent = provider.requests[1].json["messages"][-1]
    assert sent["role"] == "assistant"
    assert "".join(texts) == f"{sent['content']} and so on"
    assert [attempt.outcome for attempt in stream.response().attempts] == ["StreamingError", "ok"]


@given(answer=st.text(st.sampled_from("ab \n"), min_size=1, max_size=12), data=st.data())
def test_no_text_is_lost_or_repeated(answer: str, data: st.DataObject) -> None:
    """Wherever streams break and however their text is cut, the consumer reads the answer, once."""
    mode = data.draw(st.sampled_from(["continued", "repeated"]))
    breaks = sorted(data.draw(st.lists(st.integers(1, len(answer)), max_size=3)))

    def cut(text: str) -> list[str]:
        places = sorted({0, len(text), *data.draw(st.lists(st.integers(0, len(text)), max_size=3))})
        return [text[a:b] for a, b in pairwise(places)]

    outcomes: list[Outcome] = []
    begin = 0
    for end in [*breaks, None]:
        # What a model answers to a prefix without the blanks at its end: those first, or after the prefix.
        start = 0 if mode == "repeated" else len(answer[:begin].rstrip())
        texts = cut(answer[start:end])
        outcomes.append(whole(*texts) if end is None else broken(*texts) if texts else broken(""))
        begin = end or 0
    targets = [f"m{number}" for number in range(len(breaks))]
    fallback = to(*targets, answers=mode) if targets else Fallback(["m"])
    call: Call[ChatCompletionChunk] = Call(
        operation="chat",
        request=REQUEST,
        route=Route(provider="p", model="first", base_url="https://p.invalid"),
        stream=True,
        attempts=[],
    )
    got: list[str] = []

    async def run() -> bool:
        try:
            async with fallback(call, ScriptedHandler(*outcomes)) as reply:
                async for event in reply:
                    got.append(event.text)
        except StreamingError:
            return False
        return True

    finished = anyio.run(run)
    seen = "".join(got)
    assert answer.startswith(seen)
    # Only a beginning that is nothing but blanks cannot be continued.
    assert seen == answer if finished else not seen.strip()

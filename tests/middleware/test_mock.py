"""``Mock``: what it answers with, and that nothing else is asked."""

import traceback
from collections.abc import Callable, Sequence

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter import (
    Call,
    ChatCompletionChunk,
    ChatCompletionResponse,
    Layer,
    LlmClient,
    ModelsListResponse,
    RateLimitedError,
    Stack,
    StreamingError,
    Usage,
)
from liter.middleware import CostTracking, Mock, Retry
from liter.middleware._mock_forms import chunks_of_reply
from liter.money import Cost
from liter.testing import ScriptedHandler, check_layer
from liter.types import (
    AssistantMessage,
    BinaryContent,
    Choice,
    ChunkChoice,
    CompletionChoice,
    CompletionResponse,
    CustomCall,
    Delta,
    FunctionCall,
    Model,
    ResponseEvent,
    ResponseObject,
    TextPart,
    ToolCall,
    TranscriptionResponse,
    accumulate,
)

MakeCall = Callable[..., Call[object]]

QUESTION = {"model": "gpt-4o", "messages": [{"role": "user", "content": "?"}]}
USAGE = Usage(prompt_tokens=3, completion_tokens=4, total_tokens=7)


def _reply(text: str) -> ChatCompletionResponse:
    return ChatCompletionResponse(
        id="one", model="m", choices=[Choice(message=AssistantMessage(content=text))], usage=USAGE
    )


def _chunk(text: str, usage: Usage | None = None) -> ChatCompletionChunk:
    return ChatCompletionChunk(choices=[ChunkChoice(delta=Delta(content=text))], usage=usage)


def _client(*layers: Layer) -> LlmClient:
    return LlmClient(api_key="sk-test", middleware=layers)


def test_keeps_the_contract_where_it_lets_a_call_through() -> None:
    """A Mock whose function gives nothing keeps the layer contract."""
    check_layer(lambda: Mock(lambda call: None))


@pytest.mark.parametrize("response", [None, 5, b"text", str, ValueError, {"a": 1}], ids=repr)
def test_a_response_of_no_use_is_refused(response: object) -> None:
    """What is no response is a ValueError at construction that says what would be one."""
    with pytest.raises(ValueError, match=r"^response must be a text"):
        Mock(response)  # what is tested


@pytest.mark.anyio
async def test_a_text_answers_a_chat() -> None:
    """A text is what the model says, marked as a mock, in zero tokens, with no attempt on the record."""
    async with _client(Mock("Up in the hills.")) as client:
        response = await client.chat(**QUESTION)
    assert response.text == "Up in the hills."
    assert response.choices[0].finish_reason == "stop"
    assert (response.origin, response.model, response.attempts) == ("mock", "gpt-4o", ())
    assert response.usage == Usage()


@pytest.mark.anyio
async def test_a_text_answers_a_stream_in_words() -> None:
    """A stream of a text has a chunk for each word, then the finish and the usage, as from a provider."""
    async with _client(Mock("Up in  the hills.\n")) as client:
        stream = await client.chat_stream(**QUESTION)
        chunks = [chunk async for chunk in stream]
    assert [chunk.text for chunk in chunks] == ["Up", " in", "  the", " hills.", "\n", "", ""]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-1].choices, stream.usage) == ([], Usage())
    response = stream.response()
    assert (response.text, response.origin) == ("Up in  the hills.\n", "mock")


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_nothing_further_in_is_asked(make_call: MakeCall, stream: bool) -> None:
    """The next handler is not called, for unary calls and streams alike."""
    handler = ScriptedHandler("never")
    call = make_call(stream=stream)
    async with Mock("hi")(call, handler) as reply:
        assert reply.origin == "mock"
    assert handler.calls == call.attempts == []


@pytest.mark.anyio
async def test_an_exception_is_a_refusal(make_call: MakeCall) -> None:
    """An exception is raised on entering, the very object, and what is further out may try again."""
    refusal = RateLimitedError("no", retry_after=2.0)
    answers = iter([refusal, "hi"])
    call = make_call()
    async with Stack([Retry(initial=0.0), Mock(lambda call: next(answers))], ScriptedHandler("never"))(call) as reply:
        assert isinstance(reply.value, ChatCompletionResponse)
    assert anyio.current_time() == call.started + 2.0
    with pytest.raises(RateLimitedError) as caught:
        async with Mock(refusal)(call, ScriptedHandler("never")):
            pass
    assert caught.value is refusal


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_an_exception_does_not_grow(make_call: MakeCall, stream: bool) -> None:
    """One that is raised for many calls has the traceback of the last, and holds no frame of those before."""
    refusal = RateLimitedError("no")
    mock = Mock([refusal] if stream else refusal)
    lengths: set[int] = set()
    for _ in range(3):
        with pytest.raises(RateLimitedError):
            async with mock(make_call(stream=stream), ScriptedHandler("never")) as reply:
                await reply.__anext__()
        lengths.add(len(traceback.extract_tb(refusal.__traceback__)))
    assert len(lengths) == 1


@pytest.mark.anyio
async def test_a_struct_is_the_reply(make_call: MakeCall) -> None:
    """A response struct is given out as it is, with its usage, for any operation."""
    async with _client(Mock(_reply("hi"))) as client:
        response = await client.chat(**QUESTION)
        assert (response.text, response.usage) == ("hi", USAGE)
    models = ModelsListResponse(data=[Model(id="m")])
    async with _client(Mock(models)) as client:
        assert (await client.list_models()).data == models.data
    async with Mock(_reply("hi"))(make_call(), ScriptedHandler("never")) as reply:
        assert reply.usage == USAGE


@pytest.mark.anyio
async def test_a_text_answers_whatever_says_text() -> None:
    """Responses, text completions, transcriptions and translations say it, whole or word by word, for nothing."""
    said = "Up in  the hills."
    words = ["Up", " in", "  the", " hills."]
    async with _client(CostTracking(), Mock(said)) as client:
        response = await client.create_response(model="gpt-5", input="Where?")
        completion = await client.completions(model="m", prompt="Where?")
        heard = [await listen(model="m", file=b"sound") for listen in (client.transcribe, client.translate)]
        for reply in (response, completion, *heard):
            assert (reply.text, reply.origin, reply.usage, reply.attempts) == (said, "mock", Usage(), ())
            assert reply.cost == Cost.unbilled()
        assert (response.status, completion.choices[0].finish_reason) == ("completed", "stop")
        told = await client.response_stream(model="gpt-5", input="Where?")
        events = [event async for event in told]
        pieces = [piece async for piece in await client.completions_stream(model="m", prompt="Where?")]
        transcript = [event async for event in await client.transcribe_stream(model="m", file=b"sound")]
    assert [event.delta for event in events if event.type == "response.output_text.delta"] == words
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert events[-1].response == response
    assert told.usage == Usage()
    assert [piece.text for piece in pieces] == [*words, ""]
    assert pieces[-1].choices[0].finish_reason == "stop"
    assert [event.delta for event in transcript] == [*words, ""]
    assert transcript[-1].text == said


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("operation", "reply"),
    [
        (
            "create_response",
            ResponseObject(
                status="incomplete",
                output=[
                    {"type": "reasoning", "id": "r", "content": [{"type": "reasoning_text", "text": "Let me see."}]},
                    {"type": "function_call", "id": "f", "name": "f", "arguments": '{"a": 1}'},
                    {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "one two"}]},
                ],
                usage=USAGE,
            ),
        ),
        (
            "completions",
            CompletionResponse(
                choices=[CompletionChoice(text="one two", finish_reason="length"), CompletionChoice(index=1, text="x")],
                usage=USAGE,
            ),
        ),
        ("transcribe", TranscriptionResponse(text="one two", usage=USAGE)),
        ("speech", BinaryContent(b"sound")),
    ],
)
async def test_a_reply_is_a_stream_and_events_are_a_reply(
    make_call: MakeCall, operation: str, reply: msgspec.Struct | BinaryContent
) -> None:
    """A whole reply is given out in events, and these events, given to another mock, as that reply."""
    call = make_call(operation=operation)
    handler = ScriptedHandler("never")
    async with Mock(reply)(msgspec.structs.replace(call, stream=True), handler) as streamed:
        events = [event async for event in streamed]
        assert streamed.usage == getattr(reply, "usage", None)
    async with Mock(events)(call, handler) as whole:
        assert (whole.value, whole.usage) == (reply, getattr(reply, "usage", None))


@pytest.mark.anyio
async def test_events_are_the_stream(make_call: MakeCall) -> None:
    """A list of events is the stream, and the usage among them that of the reply."""
    events = [_chunk("one "), _chunk("two", USAGE)]
    async with Mock(events)(make_call(stream=True), ScriptedHandler("never")) as reply:
        assert reply.usage is None
        assert [event async for event in reply] == events
        assert reply.usage == USAGE
        assert reply.finished


@pytest.mark.anyio
async def test_events_answer_a_unary_chat_joined(make_call: MakeCall) -> None:
    """The chunks of a unary chat are joined to its reply."""
    async with Mock([_chunk("one "), _chunk("two")])(make_call(), ScriptedHandler("never")) as reply:
        assert isinstance(reply.value, ChatCompletionResponse)
        assert reply.value.text == "one two"


@pytest.mark.anyio
async def test_an_exception_among_the_events_breaks_the_stream(make_call: MakeCall) -> None:
    """A stream breaks where an exception is in its place, and a unary call is refused with it."""
    broken = StreamingError("cut off")
    mock = Mock([_chunk("one"), broken, _chunk("never")])
    async with mock(make_call(stream=True), ScriptedHandler("never")) as reply:
        assert await reply.__anext__() == _chunk("one")
        with pytest.raises(StreamingError) as caught:
            await reply.__anext__()
        assert caught.value is reply.error is broken
        with pytest.raises(StopAsyncIteration):
            await reply.__anext__()
    with pytest.raises(StreamingError):
        async with mock(make_call(), ScriptedHandler("never")):
            pass


@pytest.mark.anyio
async def test_a_function_answers_each_call_by_itself() -> None:
    """A function sees the call, may be async, and lets through what it gives nothing for."""

    async def answer(call: Call[object]) -> str | None:
        return f"I am {call.route.model}" if call.route.model != "real" else None

    handler = ScriptedHandler(_reply("the real one"))
    async with _client(Mock(answer)) as client:
        assert (await client.chat(**QUESTION)).text == "I am gpt-4o"
    async with LlmClient(api_key="sk-test", middleware=[Mock(answer), lambda call, _: handler(call)]) as client:
        response = await client.chat(**{**QUESTION, "model": "real"})
    assert (response.text, response.origin, handler.open) == ("the real one", "provider", 0)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("response", "fields"),
    [
        ("text", {"operation": "embed"}),
        ("text", {"operation": "speech"}),
        (ModelsListResponse(), {"stream": True}),
        (ModelsListResponse(), {}),
        (["one", "two"], {}),
        (["one"], {"operation": "embed"}),
        ([ResponseEvent(type="response.created")], {"operation": "create_response"}),
        (lambda call: 5, {}),
    ],
    ids=[
        "text for embeddings",
        "text for sound",
        "struct for a stream",
        "another struct",
        "other events",
        "events for embeddings",
        "events without a response",
        "a number",
    ],
)
async def test_what_cannot_answer_says_so(make_call: MakeCall, response: object, fields: dict[str, object]) -> None:
    """A response of the wrong kind for the call is a ValueError, and not a strange reply."""
    with pytest.raises(ValueError, match=r"give|mocks|must be"):
        async with Mock(response)(make_call(**fields), ScriptedHandler("never")):  # tested
            pass


@pytest.mark.anyio
@pytest.mark.parametrize("event", [0, 1], ids=["entering", "in the stream"])
async def test_it_can_be_cancelled(make_call: MakeCall, event: int) -> None:
    """Entering and each event are checkpoints: a loop over mocked streams can be cancelled."""
    got: list[object] = []
    with anyio.CancelScope() as scope:
        if not event:
            scope.cancel()
        async with Mock("one two")(make_call(stream=True), ScriptedHandler("never")) as reply:
            got.append(await reply.__anext__())
            scope.cancel()
            got.append(await reply.__anext__())
    assert scope.cancelled_caught
    assert len(got) == event


@pytest.mark.anyio
async def test_left_early_it_says_so(make_call: MakeCall) -> None:
    """A mocked stream that is left early is not finished, and what it had left is gone."""
    async with Mock("one two")(make_call(stream=True), ScriptedHandler("never")) as reply:
        await reply.__anext__()
    assert (reply.finished, reply.error) == (False, None)
    with pytest.raises(StopAsyncIteration):
        await reply.__anext__()


texts = st.text(st.sampled_from("ab \n\t\u2003é"), max_size=20)
calls = st.builds(
    ToolCall, id=st.sampled_from(["c1", "c2"]), function=st.builds(FunctionCall, st.just("f"), texts)
) | st.builds(ToolCall, id=st.just("c3"), type=st.just("custom"), custom=st.builds(CustomCall, st.just("g"), texts))
messages = st.builds(
    AssistantMessage,
    content=st.none() | texts,
    refusal=st.none() | st.just("I will not"),
    tool_calls=st.none() | st.lists(calls, min_size=1, max_size=3, unique_by=lambda call: call.id),
    reasoning_content=st.none() | st.just("hm"),
)


@given(st.lists(messages, max_size=3), st.none() | st.just(USAGE))
def test_chunks_join_to_the_reply(said: Sequence[AssistantMessage], usage: Usage | None) -> None:
    """The chunks of any reply, joined, are that reply."""
    choices = [Choice(index=n, message=message, finish_reason="stop") for n, message in enumerate(said)]
    reply = ChatCompletionResponse(id="r", created=1, model="m", choices=choices, usage=usage, service_tier="flex")
    assert accumulate(chunks_of_reply(reply)) == reply


def test_parts_become_text() -> None:
    """Content in parts is streamed as its text."""
    message = AssistantMessage(content=[TextPart(text="one "), TextPart(text="two")])
    reply = ChatCompletionResponse(choices=[Choice(message=message)])
    assert accumulate(chunks_of_reply(reply)).text == "one two"


def test_it_prints_its_response() -> None:
    """The repr shows what it answers with, a function by its name."""

    def answer(call: Call[object]) -> None:
        """Let it through."""

    assert repr(Mock("hi")) == "Mock('hi')"
    assert repr(Mock(answer)) == "Mock(answer)"

"""``Guardrails``: what rules find, in which text, and what is done about it, whole and streamed."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liter._contract import Call, Route, Stack
from liter._errors import ContentPolicyError, HookRejectedError, StreamingError
from liter.middleware import Concurrency, Guardrails, Hooks, Retry, Rule, RuleMatched
from liter.middleware._guardrail_rule import BlockedError
from liter.middleware._rolling_json import RollingJson
from liter.middleware._rolling_text import RollingText
from liter.middleware._rule_set import RuleSet
from liter.testing import ModelReply, Outcome, ScriptedHandler, Simulator, check_layer
from liter.testing import ToolCall as SimulatedCall
from liter.types import (
    Annotation,
    AssistantMessage,
    Audio,
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatCompletionResponse,
    Choice,
    ChunkChoice,
    CustomCall,
    CustomCallDelta,
    Delta,
    DocumentPart,
    FunctionCall,
    FunctionCallDelta,
    ImagePart,
    ImageUrl,
    Logprobs,
    NativeContent,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    ToolMessage,
    Usage,
    UserMessage,
    accumulate,
)

from .._serving import serving

MakeCall = Callable[..., Call[object]]

REDACT = Rule("secret", action="redact")
BLOCK = Rule("secret", action="block", name="no secrets")
# Of these nobody can say what a match begins with, so all of the window is held.
HOLD = Rule("(secret)", action="redact")
HOLD_AND_BLOCK = Rule("(secret)", action="block", name="no secrets")


def ask(*messages: object, **fields: object) -> ChatCompletionRequest:
    """A request of these messages, or of one without anything to find."""
    given = messages or (UserMessage(content="hello"),)
    return ChatCompletionRequest(model="scripted", messages=given, **fields)


def whole(*messages: AssistantMessage) -> ChatCompletionResponse:
    """A reply of one choice for each message."""
    return ChatCompletionResponse(choices=[Choice(index=i, message=message) for i, message in enumerate(messages)])


def chunk(delta: Delta, *, index: int = 0, finish_reason: str | None = None) -> ChatCompletionChunk:
    return ChatCompletionChunk(id="c", choices=[ChunkChoice(index=index, delta=delta, finish_reason=finish_reason)])


def text(content: str, *, index: int = 0) -> ChatCompletionChunk:
    return chunk(Delta(content=content), index=index)


def arguments(fragment: str, *, call: int | None = 0, **fields: str) -> ChatCompletionChunk:
    function = FunctionCallDelta(name=fields.pop("name", None), arguments=fragment)
    return chunk(Delta(tool_calls=[ToolCallDelta(index=call, id=fields.pop("id", None), function=function)]))


END = chunk(Delta(), finish_reason="stop")


async def streamed(
    guardrails: Guardrails, call: Call[object], events: Sequence[ChatCompletionChunk]
) -> list[ChatCompletionChunk]:
    """What a consumer reads of a stream of these events."""
    async with guardrails(msgspec.structs.replace(call, stream=True), ScriptedHandler(events)) as reply:
        read = [event async for event in reply]
        assert reply.finished
    assert all(isinstance(event, ChatCompletionChunk) for event in read)
    return read


async def sent(guardrails: Guardrails, call: Call[object], request: msgspec.Struct) -> ChatCompletionRequest:
    """What goes on of a request."""
    handler = ScriptedHandler(whole())
    async with guardrails(msgspec.structs.replace(call, request=request), handler):
        pass
    assert isinstance(handler.calls[0].request, ChatCompletionRequest)
    return handler.calls[0].request


async def answered(guardrails: Guardrails, call: Call[object], value: ChatCompletionResponse) -> ChatCompletionResponse:
    """What a consumer gets of a whole reply."""
    async with guardrails(call, ScriptedHandler(value)) as reply:
        assert isinstance(reply.value, ChatCompletionResponse)
        return reply.value


def cut(whole_text: str, cuts: Iterable[int]) -> list[str]:
    at = sorted({0, len(whole_text), *(position % (len(whole_text) + 1) for position in cuts)})
    return [whole_text[begin:end] for begin, end in pairwise(at)]


# The contract


@pytest.mark.parametrize(
    "guardrails",
    [
        Guardrails([REDACT]),
        Guardrails([BLOCK], window=6),
        Guardrails([Rule("x", action="replace", replacement="y", on="input")], window=1),
        Guardrails([Rule(lambda given: [], action="block", on="output"), REDACT, BLOCK]),
    ],
    ids=["redact", "block", "input", "function"],
)
@pytest.mark.parametrize("chunks", [False, True], ids=["other events", "chunks"])
def test_keeps_the_contract(guardrails: Guardrails, chunks: bool) -> None:
    """Guardrails keep the layer contract, for chat and for operations that they know nothing of."""
    call: Call[object] = Call(
        operation="chat", request=ask(), route=Route(provider="scripted", model="m", base_url="https://s.invalid")
    )
    if chunks:
        events = [chunk(Delta(refusal=""), finish_reason="stop") for _ in range(3)]
        check_layer(lambda: guardrails, call=call, value=whole(AssistantMessage(content="hi")), events=events)
    else:
        check_layer(lambda: guardrails)


def test_keeps_the_contract_with_text_that_is_held() -> None:
    """Guardrails keep the layer contract where each event of a stream has text."""
    call: Call[object] = Call(
        operation="chat", request=ask(), route=Route(provider="scripted", model="m", base_url="https://s.invalid")
    )
    events = [chunk(Delta(content=f"number {i}"), finish_reason="stop") for i in range(3)]
    check_layer(
        lambda: Guardrails([REDACT, BLOCK]), call=call, value=whole(AssistantMessage(content="hi")), events=events
    )


@pytest.mark.parametrize(
    "rule",
    [Rule("secret", action="block", on="input"), Rule("secret", action="block", on="both")],
    ids=["input", "both"],
)
def test_keeps_the_contract_when_it_refuses(rule: Rule) -> None:
    """Guardrails that block every request keep the layer contract."""
    call: Call[object] = Call(
        operation="chat",
        request=ask(UserMessage(content="secret")),
        route=Route(provider="scripted", model="m", base_url="https://s.invalid"),
    )
    check_layer(lambda: Guardrails([rule]), call=call, may_refuse=True)


# Requests


@pytest.mark.anyio
@pytest.mark.parametrize(
    "message",
    [
        {"role": "system", "content": "a secret"},
        {"role": "developer", "content": "a secret"},
        {"role": "user", "content": "a secret"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "secret"}]},
        {"role": "user", "content": [{"type": "document", "url": "https://d", "title": "the secret"}]},
        {"role": "assistant", "content": "a secret"},
        {"role": "assistant", "refusal": "a secret"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "a secret"}]},
        {"role": "assistant", "reasoning_content": "a secret"},
        {"role": "assistant", "tool_plan": "a secret"},
        {"role": "assistant", "audio": {"id": "a", "transcript": "secret"}},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": '{"q": "secret"}'}}],
        },
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "1", "type": "custom", "custom": {"name": "f", "input": "secret"}}],
        },
        {"role": "assistant", "function_call": {"name": "f", "arguments": '{"q": "secret"}'}},
        {"role": "tool", "tool_call_id": "1", "content": "a secret"},
        {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "a secret"}]},
        {"role": "function", "name": "f", "content": "a secret"},
    ],
    ids=lambda message: f"{message['role']}",
)
async def test_looks_at_all_text_of_a_request(make_call: MakeCall, message: dict[str, object]) -> None:
    """Every text of every kind of message is looked at, and the caller's request stays as it was."""
    request = ask({"role": "user", "content": "hello"}, message)
    before = msgspec.json.encode(request)
    changed = await sent(Guardrails([REDACT]), make_call(), request)
    assert msgspec.json.encode(changed) == before.replace(b"secret", b"[redacted]")
    assert msgspec.json.encode(request) == before
    with pytest.raises(HookRejectedError):
        await sent(Guardrails([BLOCK]), make_call(), request)


@pytest.mark.anyio
async def test_leaves_alone_what_is_no_text(make_call: MakeCall) -> None:
    """Names, ids, addresses, data in base64, tools and formats are not looked at: the request stays the same object."""
    request = ask(
        UserMessage(
            content=[ImagePart(image_url=ImageUrl(url="https://secret")), DocumentPart(data="secret")], name="secret"
        ),
        AssistantMessage(tool_calls=[ToolCall(id="secret", function=FunctionCall(name="secret", arguments="{}"))]),
        ToolMessage(tool_call_id="secret", content="fine"),
        tools=[
            {
                "type": "function",
                "function": {"name": "secret", "description": "secret", "parameters": {"text": "secret"}},
            }
        ],
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"title": "secret"}}},
    )
    assert await sent(Guardrails([REDACT, BLOCK]), make_call(), request) is request


@pytest.mark.anyio
async def test_signed_thinking_is_left_out_rather_than_changed(make_call: MakeCall) -> None:
    """A signed block that a rule matches in is not sent, as a changed one would be refused; others are."""
    block: dict[str, object] = {"type": "thinking", "thinking": "the secret", "signature": "s"}
    message = AssistantMessage(content="fine", thinking_blocks=[block])
    request = await sent(Guardrails([REDACT]), make_call(), ask(message))
    assert request.conversation[0] == AssistantMessage(content="fine")
    request = await sent(Guardrails([Rule("fine", action="redact")]), make_call(), ask(message))
    assert request.conversation[0] == AssistantMessage(content="[redacted]", thinking_blocks=[block])


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_a_blocked_request_enters_nothing(make_call: MakeCall, stream: bool) -> None:
    """A request that is blocked reaches no layer further in, so takes nothing of a limit; the error names the rule."""
    taken: list[object] = []
    handler = ScriptedHandler(whole())
    limit = Hooks(on_request=taken.append)
    stack = Stack([Guardrails([BLOCK]), Retry(), limit], handler)
    with pytest.raises(HookRejectedError, match="no secrets") as caught:
        async with stack(make_call(stream=stream, request=ask(UserMessage(content="my secret")))):
            pass
    assert caught.value.code == "no secrets"
    assert not caught.value.retryable
    assert handler.calls == []
    assert taken == []


@pytest.mark.anyio
@pytest.mark.parametrize(("on", "into", "out"), [("input", 1, 0), ("output", 0, 1), ("both", 1, 1)])
async def test_on_says_which_way(make_call: MakeCall, on: str, into: int, out: int) -> None:
    """A rule holds for the request, the reply, or both, whole and streamed."""
    guardrails = Guardrails([Rule("secret", action="redact", on=on)])
    request = await sent(guardrails, make_call(), ask(UserMessage(content="secret")))
    assert request.conversation[0].content == ["secret", "[redacted]"][into]
    value = await answered(guardrails, make_call(), whole(AssistantMessage(content="secret")))
    assert value.text == ["secret", "[redacted]"][out]
    assert accumulate(await streamed(guardrails, make_call(), [text("secret"), END])).text == value.text


# Whole replies


@pytest.mark.anyio
async def test_every_choice_by_itself(make_call: MakeCall) -> None:
    """With n > 1 each choice keeps its own text, and a match never reaches from one into the next."""
    value = whole(
        AssistantMessage(content="one secret"),
        AssistantMessage(content="two sec"),
        AssistantMessage(content="ret three"),
    )
    guarded = await answered(Guardrails([REDACT]), make_call(), value)
    assert [choice.message.content for choice in guarded.choices] == ["one [redacted]", "two sec", "ret three"]
    assert guarded.choices[1] is value.choices[1]


@pytest.mark.anyio
async def test_what_says_the_text_again_goes_with_it(make_call: MakeCall) -> None:
    """Log probabilities, reasoning details, native content and the body go with a changed text."""
    logprobs = Logprobs(content=[TokenLogprob(token="secret")])
    message = AssistantMessage(
        content="a secret",
        reasoning_details=[{"text": "sec"}, {"text": "ret"}],
        native_content=NativeContent(provider="p", blocks=[{"text": "sec"}, {"text": "ret"}]),
        annotations=[Annotation(title="secret")],
    )
    value = ChatCompletionResponse(choices=[Choice(message=message, logprobs=logprobs)])
    guarded = await answered(Guardrails([REDACT]), make_call(), value)
    assert guarded.choices == [Choice(message=AssistantMessage(content="a [redacted]"))]
    assert await answered(Guardrails([Rule("other", action="redact")]), make_call(), value) is value
    last = Delta(
        reasoning_details=message.reasoning_details,
        native_content=message.native_content,
        annotations=message.annotations,
    )
    events = [
        ChatCompletionChunk(choices=[ChunkChoice(delta=Delta(content="a sec"), logprobs=logprobs)]),
        text("ret"),
        text(", and more" * 10),
        chunk(last),
        END,
    ]
    joined = accumulate(await streamed(Guardrails([REDACT]), make_call(), events))
    assert joined.choices[0].message == AssistantMessage(content="a [redacted]" + ", and more" * 10)
    assert joined.choices[0].logprobs is None
    joined = accumulate(await streamed(Guardrails([Rule("other", action="redact")]), make_call(), events))
    assert joined == accumulate(events)


@pytest.mark.anyio
async def test_the_body_goes_too(make_call: MakeCall) -> None:
    """A changed reply has its other facts, and no raw body, which has the text as it came."""
    usage = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
    handler = ScriptedHandler(Outcome(value=whole(AssistantMessage(content="secret")), usage=usage, status=203))
    async with Guardrails([REDACT])(make_call(), handler) as reply:
        assert (reply.raw, reply.usage, reply.status, reply.origin) == (b"", usage, 203, "provider")


@pytest.mark.anyio
async def test_a_blocked_reply(make_call: MakeCall) -> None:
    """A reply that is blocked fails the call while it is entered, and gives back its connection."""
    handler = ScriptedHandler(whole(AssistantMessage(content="a secret")))
    with pytest.raises(ContentPolicyError, match="no secrets") as caught:
        async with Stack([Retry(), Guardrails([BLOCK])], handler)(make_call()):
            pass
    assert caught.value.code == "no secrets"
    assert (len(handler.calls), handler.open, handler.leased) == (1, 0, 0)


# Streams


@pytest.mark.anyio
async def test_a_match_across_chunks(make_call: MakeCall) -> None:
    """A pattern cut by chunk borders is found, and no piece of it is handed out before."""
    events = await streamed(Guardrails([REDACT]), make_call(), [*map(text, "my secret is safe"), END])
    assert "".join(event.text for event in events) == "my [redacted] is safe"


@pytest.mark.anyio
@pytest.mark.parametrize("field", ["content", "refusal", "reasoning_content", "reasoning", "tool_plan"])
async def test_every_text_of_a_stream(make_call: MakeCall, field: str) -> None:
    """Content, refusal and reasoning are rolled, each by itself."""
    pieces = [chunk(Delta(**{field: piece})) for piece in ("a sec", "ret")]
    between = chunk(Delta(**{"refusal" if field == "content" else "content": "between"}))
    joined = accumulate(await streamed(Guardrails([REDACT]), make_call(), [pieces[0], between, pieces[1], END]))
    message = joined.choices[0].message
    texts = {message.content, message.refusal, message.reasoning_content, message.tool_plan}
    assert texts >= {"a [redacted]", "between"}


@pytest.mark.anyio
async def test_a_transcript_is_text(make_call: MakeCall) -> None:
    """What a model speaks is looked at as its transcript."""
    events = [
        chunk(Delta(audio=Audio(transcript="sec", data="AAAA"))),
        chunk(Delta(audio=Audio(transcript="ret"))),
        END,
    ]
    joined = accumulate(await streamed(Guardrails([REDACT]), make_call(), events))
    assert joined.choices[0].message.audio == Audio(data="AAAA", transcript="[redacted]")


@pytest.mark.anyio
async def test_choices_of_a_stream_by_themselves(make_call: MakeCall) -> None:
    """Chunks of several choices that take turns are never joined."""
    events = [
        text("sec", index=0),
        text("sec", index=1),
        text("ret", index=0),
        text("ond", index=1),
        chunk(Delta(), index=1, finish_reason="stop"),
        chunk(Delta(), index=0, finish_reason="length"),
    ]
    read = await streamed(Guardrails([REDACT]), make_call(), events)
    joined = accumulate(read)
    assert [choice.message.content for choice in joined.choices] == ["[redacted]", "second"]
    ends = [(choice.index, choice.finish_reason) for event in read for choice in event.choices if choice.finish_reason]
    assert ends == [(1, "stop"), (0, "length")]


@pytest.mark.anyio
async def test_tool_calls_of_a_stream_by_themselves(make_call: MakeCall) -> None:
    """Arguments that are cut, and of calls that take turns, are looked at for each call, and stay JSON."""
    events = [
        arguments("", call=0, id="a", name="f"),
        arguments("", call=1, id="b", name="g"),
        arguments('{"q": "a se', call=0),
        arguments('{"q": "sec', call=1),
        arguments('cr\\u0065t"}', call=0),
        arguments('ond"}', call=1),
        END,
    ]
    joined = accumulate(await streamed(Guardrails([REDACT]), make_call(), events))
    calls = joined.choices[0].message.tool_calls
    assert calls == [
        ToolCall(id="a", function=FunctionCall("f", '{"q": "a [redacted]"}')),
        ToolCall(id="b", function=FunctionCall("g", '{"q": "second"}')),
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("index", [None, 0], ids=["no index", "always 0"])
async def test_tool_calls_without_an_index_of_their_own(make_call: MakeCall, index: int | None) -> None:
    """Calls that only their ids tell apart keep what is theirs, that which was held included."""
    events = [
        arguments('{"q": "one', call=index, id="a", name="f"),
        arguments('{"q": "sec', call=index, id="b", name="g"),
        arguments("ret", call=index),
        END,
    ]
    joined = accumulate(await streamed(Guardrails([REDACT]), make_call(), events))
    assert joined.choices[0].message.tool_calls == [
        ToolCall(id="a", function=FunctionCall("f", '{"q": "one')),
        ToolCall(id="b", function=FunctionCall("g", '{"q": "[redacted]')),
    ]


@pytest.mark.anyio
async def test_other_calls_of_a_stream(make_call: MakeCall) -> None:
    """A custom tool's input is looked at as plain text, and the older function_call as JSON."""
    events = [
        chunk(Delta(tool_calls=[ToolCallDelta(index=0, id="a", custom=CustomCallDelta(name="f", input='"a" sec'))])),
        chunk(Delta(tool_calls=[ToolCallDelta(index=0, custom=CustomCallDelta(input="ret"))])),
        chunk(Delta(function_call=FunctionCallDelta(name="g", arguments='["sec'))),
        chunk(Delta(function_call=FunctionCallDelta(arguments='ret"]'))),
        END,
    ]
    message = accumulate(await streamed(Guardrails([REDACT]), make_call(), events)).choices[0].message
    assert message.tool_calls == [ToolCall(id="a", type="custom", custom=CustomCall("f", '"a" [redacted]'))]
    assert message.function_call == FunctionCall("g", '["[redacted]"]')


@pytest.mark.anyio
async def test_at_most_the_window_is_held(make_call: MakeCall) -> None:
    """Text is handed out as soon as more than ``window`` characters follow it, and no chunk is empty."""
    events = [chunk(Delta(role="assistant", content="")), *map(text, "abcdefgh"), END]
    read = await streamed(Guardrails([Rule("[xyz]{3}", action="redact")], window=3), make_call(), events)
    assert [event.choices[0].delta.content for event in read] == ["", "a", "b", "c", "d", "e", "fgh"]
    assert read[0].choices[0].delta.role == "assistant"


@pytest.mark.anyio
async def test_the_end_keeps_its_place(make_call: MakeCall) -> None:
    """What is held comes with the finish reason; usage follows it, as the same chunk."""
    usage = ChatCompletionChunk(usage=Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3))
    read = await streamed(Guardrails([HOLD]), make_call(), [text("hi"), END, usage])
    assert [(event.text, [choice.finish_reason for choice in event.choices]) for event in read] == [
        ("hi", ["stop"]),
        ("", []),
    ]
    assert read[1] is usage


@pytest.mark.anyio
async def test_a_stream_that_only_stops(make_call: MakeCall) -> None:
    """What is held is handed out at the end where no event has a finish reason; what was whole is not repeated."""
    read = await streamed(Guardrails([REDACT]), make_call(), [text("one", index=1), text("sec"), text("ret")])
    assert [choice.message.content for choice in accumulate(read).choices] == ["[redacted]", "one"]
    assert await streamed(Guardrails([REDACT]), make_call(), [END, chunk(Delta(role="assistant"))]) == [
        END,
        chunk(Delta(role="assistant")),
    ]


@pytest.mark.anyio
async def test_nothing_left_is_an_empty_text(make_call: MakeCall) -> None:
    """A text of which nothing is left is empty, in a stream as in a whole reply, and is not absent."""
    guardrails = Guardrails([Rule("secret", action="replace", replacement="")])
    value = await answered(guardrails, make_call(), whole(AssistantMessage(content="secret")))
    joined = accumulate(await streamed(guardrails, make_call(), [text("sec"), text("ret"), END]))
    assert value.choices[0].message.content == joined.choices[0].message.content == ""


@pytest.mark.anyio
async def test_chunks_do_not_carry_the_text_as_it_came(make_call: MakeCall) -> None:
    """A chunk that is handed out has no bytes of its event, as these hold what was redacted."""
    events = [text("a secret").attach(raw=b"a secret"), END]
    assert [event.raw for event in await streamed(Guardrails([REDACT], window=6), make_call(), events)] == [b"", b""]


@pytest.mark.anyio
async def test_sources_are_looked_at_in_a_stream(make_call: MakeCall) -> None:
    """As in a whole reply, what a search found is looked at in whichever chunk it comes, one with a text too."""
    guardrails = Guardrails([Rule("secret", action="redact")])
    found = {"search_results": [{"title": "A secret", "snippet": "secret", "url": "https://secret.invalid"}]}
    events = [text("a"), msgspec.structs.replace(text("b"), **found), ChatCompletionChunk(**found), END]
    read = await streamed(guardrails, make_call(), events)
    sources = [event.search_results for event in read if event.search_results]
    assert sources == [[{"title": "A [redacted]", "snippet": "[redacted]", "url": "https://secret.invalid"}]] * 2


@pytest.mark.anyio
@pytest.mark.parametrize("ends", [False, True], ids=["only stops", "finishes"])
async def test_an_answer_that_begins_anew(make_call: MakeCall, ends: bool) -> None:
    """What is held of an answer that is taken back goes with it; what is held of the new one does not restart it."""
    guardrails = Guardrails([Rule("secret", action="redact")])
    restarted = msgspec.structs.replace(text("my sec"), restarted=True)
    read = await streamed(guardrails, make_call(), [text("a sec"), restarted, *([END] if ends else [])])
    assert [(event.text, event.restarted) for event in read] == [("a ", False), ("my ", True), ("sec", False)]


@pytest.mark.anyio
async def test_a_blocked_stream(make_call: MakeCall) -> None:
    """A stream ends where a rule blocks, before any of the match is handed out, and its connection is closed."""
    handler = ScriptedHandler(list(map(text, "all fine, and then a secret comes" + "." * 100)))
    read: list[str] = []
    stack = Stack([Retry(), Guardrails([BLOCK], window=10)], handler)
    with pytest.raises(ContentPolicyError, match="no secrets") as caught:
        async with stack(make_call(stream=True)) as reply:
            async for event in reply:
                assert isinstance(event, ChatCompletionChunk)
                read.append(event.text)
    assert "".join(read) == "all fine, and then a "
    assert reply.error is caught.value
    assert not reply.finished
    assert (handler.open, handler.closed, len(handler.calls)) == (0, 1, 1)


@pytest.mark.anyio
async def test_a_blocked_stream_stays_blocked(make_call: MakeCall) -> None:
    """A consumer that reads on after the refusal gets nothing more of it."""
    events = [text("a secret"), END, text("more")]
    async with Guardrails([HOLD_AND_BLOCK])(make_call(stream=True), ScriptedHandler(events)) as reply:
        with pytest.raises(ContentPolicyError):
            await reply.__anext__()
        with pytest.raises(anyio.ClosedResourceError):
            await reply.__anext__()


@pytest.mark.anyio
async def test_what_is_held_when_a_stream_breaks_stays_held(make_call: MakeCall) -> None:
    """A broken stream raises its own error, and what was held is not handed out."""
    error = StreamingError("cut off")
    handler = ScriptedHandler(Outcome(events=[text("0123456789secr")], error=error))
    async with Guardrails([HOLD], window=6)(make_call(stream=True), handler) as reply:
        event = await reply.__anext__()
        assert isinstance(event, ChatCompletionChunk)
        assert event.text == "01234567"
        with pytest.raises(StreamingError) as caught:
            await reply.__anext__()
    assert caught.value is error


@pytest.mark.anyio
async def test_a_cancelled_stream_gives_nothing_more(make_call: MakeCall) -> None:
    """When the consumer cancels, what is held is not handed out."""
    handler = ScriptedHandler(Outcome(events=[chunk(Delta(role="assistant")), text("held")], stalls=True))
    async with Guardrails([HOLD])(make_call(stream=True), handler) as reply:
        await reply.__anext__()
        async with anyio.create_task_group() as tasks:

            async def cancel_later() -> None:
                await anyio.sleep(1)
                reply.cancel()

            tasks.start_soon(cancel_later)
            assert [event async for event in reply] == []
    assert not reply.finished
    assert (handler.open, handler.closed) == (0, 1)


# Rules


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_actions(make_call: MakeCall, stream: bool) -> None:
    """Redact puts a mark in the place of a match, and replace its own replacement, with no group references."""
    rules = [Rule(r"\d+", action="redact"), Rule("(cat)", action="replace", replacement=r"\1 [dog]")]
    given = "3 cats, 44 dogs"
    if stream:
        joined = accumulate(await streamed(Guardrails(rules), make_call(), [*map(text, given), END])).text
    else:
        joined = (await answered(Guardrails(rules), make_call(), whole(AssistantMessage(content=given)))).text
    assert joined == r"[redacted] \1 [dog]s, [redacted] dogs"


def rolled(rules: Sequence[Rule], pieces: Iterable[str], *, window: int = 8) -> str:
    rolling = RollingText(RuleSet(rules), window, [])
    return "".join([rolling.add(piece) for piece in pieces]) + rolling.add("", last=True)


def test_overlapping_matches_all_go() -> None:
    """Where matches overlap all of their characters go, and one replacement comes, that of the first."""
    rules = [Rule(find, action="replace", replacement=name) for find, name in (("abc", "1"), ("bcd", "2"), ("de", "3"))]
    assert rolled(rules, ["xabcdex"]) == rolled(rules, "xabcdex") == "x1x"
    assert rolled(rules, ["xbcdx"]) == "x2x"
    assert rolled([Rule("ab", action="redact"), Rule("ba", action="block")], ["xab"]) == "x[redacted]"
    with pytest.raises(BlockedError):
        rolled([Rule("ab", action="redact"), Rule("ba", action="block")], ["aba"])


def test_the_first_block_counts() -> None:
    """Of several rules that block, the error names that whose match comes first, however the text is cut."""
    rules = [Rule("two", action="block"), Rule("one", action="block")]
    for pieces in (["one two"], list("one two")):
        with pytest.raises(BlockedError, match="one"):
            rolled(rules, pieces)


def test_rules_do_not_look_at_replacements() -> None:
    """What a rule puts in is not looked at by others."""
    rules = [Rule("a", action="replace", replacement="b"), Rule("b", action="replace", replacement="c")]
    assert rolled(rules, ["ab"]) == "bc"


def test_a_long_match_is_held_to_its_end() -> None:
    """A match longer than the window, that begins as one, goes as a whole; what follows it is handed out."""
    rules = [Rule(r"sk-\w{4,}", action="redact")]
    assert rolled(rules, "key sk-" + "x" * 200 + " end") == "key [redacted] end"
    rolling = RollingText(RuleSet([Rule(r"(sk)-\w{4,}", action="redact")]), 8, [])
    assert rolling.add("key sk-xxxxxxxxxxxxxxx") == "key "
    assert rolling.add("xxxx and so on") == "[redacted] a"
    assert rolling.add("", last=True) == "nd so on"


@pytest.mark.parametrize(
    ("expression", "prefix"),
    [
        (r"sk-\w{20,}", "sk-"),
        ("secret", "secret"),
        ("ab+c", "a"),
        ("ab?", "a"),
        ("a*b", ""),
        ("ab{0,2}", "a"),
        (r"ab\.", "ab"),
        ("ab(?:c|d)", "ab"),
        ("ab(?:c|(d|e))", ""),
        ("ab|c", ""),
        ("a[(]|b[)]", ""),
        (r"a\(|b\)", ""),
        ("a[]|]b", "a"),
        ("(?i)ab", ""),
        ("(ab|cd)", ""),
        (r"\bab", ""),
    ],
)
def test_what_matches_begin_with(expression: str, prefix: str) -> None:
    """A prefix is told where all matches have it, and no other: at best less than there is."""
    assert Rule(expression, action="redact").prefix == prefix


@pytest.mark.anyio
async def test_what_begins_no_match_is_not_held(make_call: MakeCall) -> None:
    """With a rule that begins with plain characters, only what looks like them is held, and the rest are the same
    chunks."""
    pieces = ["", "All is ", "well: s", "k", "y ", "sk-1", "23", "4 is ", "fine."]
    events = [chunk(Delta(role="assistant", content="")), *map(text, pieces), END]
    read = await streamed(Guardrails([Rule(r"sk-\d{4,}", action="redact")], window=8), make_call(), events)
    given = [event.choices[0].delta.content for event in read]
    assert given == ["", "", "All is ", "well: ", "sky ", "[redacted] is ", "fine.", None]
    assert [event for event in read if event in events] == [events[0], events[1], events[2], events[9], END]


@pytest.mark.anyio
async def test_only_what_looks_behind_is_kept(make_call: MakeCall) -> None:
    """What was handed out as it came is still seen by a look-behind."""
    rule = Rule(r"b(?<=ab)", action="replace", replacement="#")
    read = await streamed(
        Guardrails([rule], window=4), make_call(), [*map(text, ["", "xa", "b", "xb", "ab", "."]), END]
    )
    assert "".join(event.text for event in read) == "xa#xba#."


@pytest.mark.parametrize(
    ("expression", "given", "expected"),
    [
        (r"\bcat\b", "cat concat cats cat", "# concat cats #"),
        (r"(?<=a)b", "ab b ab", "a# b a#"),
        (r"\Aab", "ab ab ab ab ab", "# ab ab ab ab"),
        (r"ab\Z", "ab ab ab ab ab", "ab ab ab ab #"),
        (r"(?m)^ab$", "ab\nab ab\nab", "#\nab ab\n#"),
        (r"a(?!b)", "ab ac ab a", "ab #c ab #"),
        (r"a{2,4}", "aaaaa a aa", "#a a #"),
    ],
)
def test_anchors_and_looks(expression: str, given: str, expected: str) -> None:
    """Word borders, anchors, look-ahead and look-behind mean in pieces what they mean in the whole."""
    rules = [Rule(expression, action="replace", replacement="#")]
    assert re.sub(expression, "#", given) == expected
    for window in (6, 7, 64):
        assert rolled(rules, [given], window=window) == expected
        assert rolled(rules, given, window=window) == expected


@pytest.mark.parametrize("expression", ["(?<=a)b", r"\Aab", r"(?<=ab)a", r"\bab"])
@pytest.mark.parametrize("window", [2, 3])
def test_what_was_handed_out_long_ago(expression: str, window: int) -> None:
    """In a long text look-behind still sees what was handed out right before, and the beginning is only one."""
    rules = [Rule(expression, action="replace", replacement="#")]
    given = "ab" * 50
    assert rolled(rules, given, window=window) == re.sub(expression, "#", given)


def luhn_cards(given: str) -> list[tuple[int, int]]:
    """Card numbers with a right check digit, as an application would look for them."""
    spans: list[tuple[int, int]] = []
    for match in re.finditer(r"\b\d{13,19}\b", given):
        digits = [int(digit) for digit in reversed(match.group())]
        if sum(digits[::2] + [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]) % 10 == 0:
            spans.append(match.span())
    return spans


@pytest.mark.parametrize("expression", ["(?<=x)secret", "(secret)"], ids=["looks behind", "holds"])
def test_a_long_text_takes_no_room(expression: str) -> None:
    """However much has come, a few windows of it are kept."""
    rolling = RollingText(RuleSet([Rule(expression, action="redact")]), 16, [])
    for _ in range(100):
        piece = "some text " * 4
        if not rolling.passes(piece):
            rolling.add(piece)
        assert len(rolling._text) <= 6 * 16 + len(piece)


def test_function_rules() -> None:
    """A function says what it finds, in the whole as in pieces."""
    rules = [Rule(luhn_cards, action="redact")]
    given = "right 4111111111111111, wrong 4111111111111112, right 5500005555555559."
    expected = "right [redacted], wrong 4111111111111112, right [redacted]."
    assert rolled(rules, [given], window=20) == rolled(rules, given, window=20) == expected
    assert rules[0].name == "luhn_cards"


def test_a_function_that_finds_what_was_begun() -> None:
    """Of a span that begins in what was handed out, the rest goes."""

    def long_enough(given: str) -> list[tuple[int, int]]:
        return [(0, given.index("!") + 1)] if "!" in given else []

    assert rolled([Rule(long_enough, action="redact")], "abcdefgh!ijk", window=4) == "abcd[redacted]ijk"


@pytest.mark.parametrize("spans", [[(0, 99)], [(-1, 1)], [(2, 1)]], ids=str)
def test_a_function_that_gives_wrong_spans(spans: list[tuple[int, int]]) -> None:
    """Spans outside of the text are told, with the rule's name."""
    with pytest.raises(ValueError, match="rule 'mine' gave the span"):
        rolled([Rule(lambda given: spans, action="redact", name="mine")], ["abc"])


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("on", ["input", "output"])
async def test_a_function_that_raises_fails_that_call_alone(make_call: MakeCall, stream: bool, on: str) -> None:
    """What a rule raises is raised as it is, all is released, and the next call goes well."""
    failure = RuntimeError("the rule's own")
    failures = [failure]

    def fail_once(given: str) -> list[tuple[int, int]]:
        if failures:
            raise failures.pop()
        return []

    outcome: object = [text("hi"), END] if stream else whole(AssistantMessage(content="hi"))
    handler, permits = ScriptedHandler(outcome), Concurrency(1)
    guardrails = Guardrails([Rule(fail_once, action="redact", on=on)])
    stack = Stack([guardrails, permits], handler)
    call = make_call(stream=stream, request=ask())
    with pytest.raises(RuntimeError) as caught:
        async with stack(call) as reply:
            async for _ in reply:
                pass
    assert caught.value is failure
    assert (permits.in_use, handler.open, handler.leased) == (0, 0, 0)
    async with stack(call) as reply:
        assert [event async for event in reply] if stream else reply.value


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_listeners_are_told(make_call: MakeCall, stream: bool) -> None:
    """Each match is told to the call's listeners, with its rule and where it was, blocking ones too."""
    told: list[object] = []
    other = Rule("other", action="block", on="output")
    guardrails = Guardrails([REDACT, other])
    outcome: object = (
        [text("one"), text("a secret" + "." * 64), text("more"), text("other"), END]
        if stream
        else whole(AssistantMessage(content="other"))
    )
    call = make_call(stream=stream, listeners=(told.append,), request=ask(UserMessage(content="secret, secret")))
    with pytest.raises(ContentPolicyError):
        async with guardrails(call, ScriptedHandler(outcome)) as reply:
            async for _ in reply:
                pass
    seen = [(event.rule, event.stage) for event in told if isinstance(event, RuleMatched)]
    redactions = [(REDACT, "output")] if stream else []
    assert seen == [(REDACT, "input"), (REDACT, "input"), *redactions, (other, "output")]


# Arithmetic

LETTERS = st.text(alphabet="ab ", max_size=40)
PATTERNS = st.lists(st.text(alphabet="ab", min_size=1, max_size=5), min_size=1, max_size=3)
CUTS = st.lists(st.integers(0, 1000), max_size=12)


@given(LETTERS, st.text(alphabet="ab", min_size=1, max_size=5), CUTS, st.integers(0, 4))
def test_a_literal_is_found_at_any_cut(given: str, literal: str, cuts: list[int], spare: int) -> None:
    """However a text is cut, a literal up to the window's length is replaced as in the whole text."""
    rules = [Rule(re.escape(literal), action="replace", replacement="#")]
    pieces = cut(given, cuts)
    assert rolled(rules, pieces, window=len(literal) + spare) == given.replace(literal, "#")


@given(LETTERS, PATTERNS, CUTS)
def test_several_rules_at_any_cut(given: str, literals: list[str], cuts: list[int]) -> None:
    """However a text is cut, several rules that overlap come to what they come to in the whole, and so do blocks."""
    rules = [Rule(literal, action="replace", replacement=str(i)) for i, literal in enumerate(literals)]
    assert rolled(rules, cut(given, cuts), window=5) == rolled(rules, [given], window=5)
    blocks = [*rules, Rule(literals[0], action="block")]
    if literals[0] in given:
        with pytest.raises(BlockedError):
            rolled(blocks, cut(given, cuts), window=5)
    else:
        assert rolled(blocks, cut(given, cuts), window=5) == rolled(rules, [given], window=5)


@given(st.text(alphabet="ab", max_size=30), CUTS, st.integers(1, 6))
def test_no_more_than_the_window_is_held(given: str, cuts: list[int], window: int) -> None:
    """After each piece all but the last ``window`` characters are out, where nothing matches."""
    rolling = RollingText(RuleSet([Rule("[xyz]", action="redact")]), window, [])
    came, out = "", ""
    for piece in cut(given, cuts):
        came += piece
        out += rolling.add(piece)
        assert out == came[: max(0, len(came) - window)]
    assert out + rolling.add("", last=True) == given


JSON = st.recursive(
    st.text(alphabet='ab"\\\n€😀\ud83d', max_size=12) | st.integers(0, 10**6) | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet="cd", max_size=3), inner, max_size=3),
)


def redacted(thing: object, literal: str) -> object:
    """What redacting in strings comes to, by way of the values."""
    if isinstance(thing, str):
        return thing.replace(literal, "[redacted]")
    if isinstance(thing, list):
        return [redacted(item, literal) for item in thing]
    if isinstance(thing, dict):
        return {key: redacted(value, literal) for key, value in thing.items()}
    return thing


@settings(max_examples=200)
@given(
    st.dictionaries(st.text(alphabet="cd", max_size=3), JSON),
    st.sampled_from(["ab", '"', "\\", "\n", "€", "😀a", "b"]),
    CUTS,
    st.booleans(),
)
def test_arguments_stay_json_at_any_cut(
    arguments: dict[str, object], literal: str, cuts: list[int], ascii_only: bool
) -> None:
    """Arguments are redacted inside their strings, whatever is escaped and wherever they are cut."""
    spelled = json.dumps(arguments, ensure_ascii=ascii_only)
    rolling = RollingJson(RuleSet([Rule(re.escape(literal), action="redact")]), 4, [])
    out = "".join([rolling.add(piece) for piece in cut(spelled, cuts)]) + rolling.add("", last=True)
    # A pair of halves is one character where it is escaped, and two where it is not.
    meant = json.loads(spelled)
    assert json.loads(out) == redacted(meant, literal)
    if redacted(meant, literal) == meant:
        assert out == spelled


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ('{"card": 4111}', '{"card": "[redacted]"}'),
        ('{"4111": [4111, "4111", true]}', '{"[redacted]": ["[redacted]", "[redacted]", true]}'),
        ("4111 plain", "[redacted] plain"),
        ("  ", "  "),
        (' \n{"a": "4111', ' \n{"a": "[redacted]'),
        ('{"a": "\\x 4111 \\u12', '{"a": "\\x [redacted] \\u12'),
        ('{"a": "\\ud83d4111"}', '{"a": "\\ud83d[redacted]"}'),
        ('{"a": "\\u0034\\u0031\\u0031\\u0031"}', '{"a": "[redacted]"}'),
        ('{"a": "\\/4111x\\/\\n"}', '{"a": "\\/[redacted]\\/\\n"}'),
        ('{"a": "\\/4\\/"}', '{"a": "\\/4\\/"}'),
    ],
)
def test_arguments(given: str, expected: str) -> None:
    """Keys, strings and numbers are looked at; what is cut or broken keeps its spelling; plain text is plain."""
    rule = Rule("4111", action="redact")
    other = Rule("11x", action="redact")
    for pieces in ([given], list(given)):
        rolling = RollingJson(RuleSet([rule, other]), 4, [])
        assert "".join([rolling.add(piece) for piece in pieces]) + rolling.add("", last=True) == expected


# Bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rule("(", action="block"), "find is no regular expression"),
        (lambda: Rule("a*", action="block"), "must not match empty text"),
        (lambda: Rule("", action="block"), "must not match empty text"),
        (lambda: Rule(3, action="block"), "find must be an expression or a plain function"),
        (lambda: Rule(anyio.sleep, action="block"), "Hooks take async ones"),
        (lambda: Rule("a", action="mask"), "action must be"),
        (lambda: Rule("a", action="block", on="request"), "on must be"),
        (lambda: Rule("a", action="replace"), 'replacement goes with action="replace"'),
        (lambda: Rule("a", action="redact", replacement="x"), 'replacement goes with action="replace"'),
        (lambda: Guardrails([]), "rules must be one or more"),
        (lambda: Guardrails(["secret"]), "rules must be Rule objects"),
        (lambda: Guardrails([REDACT], window=0), "window must be 1 or more"),
        (lambda: Guardrails([REDACT], window=5), "window must be 6 or more"),
    ],
)
def test_bad_input(make: Callable[[], object], message: str) -> None:
    """What cannot be right is told at construction, with what would be."""
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_repr() -> None:
    """The layer's repr names its rules, for the client's."""
    assert repr(Guardrails([REDACT, BLOCK], window=32)) == "Guardrails([secret, no secrets], window=32)"
    assert repr(BLOCK) == "Rule('no secrets', action='block', on='both')"


# End to end


@pytest.mark.anyio
@pytest.mark.parametrize("model", ["openai/gpt-4o", "anthropic/claude-sonnet-4-5"])
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_through_a_client(model: str, stream: bool) -> None:
    """Wired into a client, rules change what a provider receives and what the caller gets, of text and of calls."""
    say = ModelReply(
        text="Write to ann@example.com, not to bob@example.com.",
        tool_calls=(SimulatedCall("mail", '{"to": "ann@example.com", "n": 1}'),),
    )
    provider = Simulator(reply=say)
    email = Rule(r"\b[\w.]+@[\w.]+\.\w+\b", action="redact")
    messages = [{"role": "user", "content": "I am carl@example.com"}]
    async with serving(
        provider,
        api_key=None,
        api_keys={"openai": "sk-test", "anthropic": "sk-test"},
        middleware=[Guardrails([email]), Retry()],
    ) as client:
        tools = [{"type": "function", "function": {"name": "mail"}}]
        if stream:
            chunks = await client.chat_stream(model=model, messages=messages, tools=tools, max_tokens=100)
            async for each in chunks:
                assert "example" not in each.raw.decode()
            response = chunks.response()
        else:
            response = await client.chat(model=model, messages=messages, tools=tools, max_tokens=100)
            assert response.raw == b""
    message = response.choices[0].message
    assert message.content == "Write to [redacted], not to [redacted]."
    assert message.tool_calls is not None
    assert json.loads(message.tool_calls[0].function.arguments) == {"to": "[redacted]", "n": 1}
    assert response.usage is not None
    assert "carl" not in str(provider.requests[0].body)
    assert "[redacted]" in str(provider.requests[0].body)


@pytest.mark.anyio
async def test_a_block_through_a_client() -> None:
    """A blocked stream says what was handed out before, the provider's generation stops, and the client goes on."""
    provider = Simulator(reply="All is well. The secret is out, and so on, and so on, and so on.", event_latency=1.0)
    async with serving(provider, middleware=[Guardrails([BLOCK], window=8)]) as client:
        question = [{"role": "user", "content": "How are you?"}]
        stream = await client.chat_stream(model="gpt-4o", messages=question)
        with pytest.raises(ContentPolicyError) as caught:
            async for _ in stream:
                pass
        partial = caught.value.partial
        assert isinstance(partial, ChatCompletionResponse)
        assert "All is well. The ".startswith(partial.text)
        assert partial.text
        assert stream.closed
        assert not stream.finished
        with pytest.raises(ContentPolicyError):
            await client.chat(model="gpt-4o", messages=question)
        with pytest.raises(HookRejectedError):
            await client.chat(model="gpt-4o", messages=[{"role": "user", "content": "a secret"}])
        assert len(provider.requests) == 2

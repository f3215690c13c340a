"""Content: captured only where it was asked for, in the conventions' form, and redacted."""

import json
from collections.abc import Mapping

import msgspec
import pytest

from liter import AuthenticationError
from liter.middleware import Retry, Tracing
from liter.telemetry._content import input_content, output_content
from liter.testing import ModelReply, Refuse, ResetAfterEvents, Simulator
from liter.testing import ToolCall as SimulatedCall
from liter.types import AssistantMessage, ChatCompletionRequest, ChatCompletionResponse, Choice

from ._recorded import GPT, HI, Recorded, attributes, id_of, serving

CANARY = "canary-prompt-7731"
ASKED: list[Mapping[str, object]] = [
    {"role": "developer", "content": f"Be brief. {CANARY}"},
    {"role": "user", "content": [{"type": "text", "text": "Look:"},
                                 {"type": "image_url", "image_url": {"url": "https://x.invalid/a.png"}}]},
]  # fmt: skip
TOOLS = [{"type": "function", "function": {"name": "look_up", "description": "d", "parameters": {"type": "object"}}}]

# What each kind of part must have, and may have, by the conventions' schemas.
PARTS: dict[str, tuple[set[str], set[str]]] = {
    "text": ({"content"}, set()),
    "reasoning": ({"content"}, set()),
    "tool_call": ({"name"}, {"id", "arguments"}),
    "tool_call_response": ({"response"}, {"id"}),
    "blob": ({"modality", "content"}, {"mime_type"}),
    "file": ({"modality", "file_id"}, {"mime_type"}),
    "uri": ({"modality", "uri"}, {"mime_type"}),
}


def check_messages(messages: object, *, output: bool = False) -> None:
    """Hold messages against the conventions' schema; there are no nulls anywhere."""
    assert isinstance(messages, list | tuple)
    for message in messages:
        assert {"role", "parts"} <= set(message) <= {"role", "parts", "name", *(["finish_reason"] if output else [])}
        assert message["role"] in ("system", "user", "assistant", "tool")
        for part in message["parts"]:
            required, optional = PARTS.get(part["type"], (set(), set(part)))
            assert required <= set(part) - {"type"} <= required | optional
    assert "null" not in json.dumps(messages)


async def ask(recorded: Recorded, **options: object) -> None:
    reply = ModelReply("Well.", tool_calls=(SimulatedCall("look_up", '{"term": "rivers"}'),))
    async with serving(Simulator(reply=reply), recorded.tracing(**options)) as client:
        await client.chat(model=GPT, messages=ASKED, tools=TOOLS)
        async for _ in await client.chat_stream(model=GPT, messages=ASKED, tools=TOOLS):
            pass


@pytest.mark.anyio
async def test_nothing_is_captured_by_default(recorded: Recorded) -> None:
    """No prompt and no answer is in any span, event, metric or log, of calls that succeed, fail or break."""
    simulator = Simulator(
        reply=f"{CANARY} one two three",
        faults=[None, None, Refuse(429, message=CANARY), Refuse(400, message=CANARY), ResetAfterEvents(5)],
    )
    asked: list[Mapping[str, object]] = [{"role": "user", "content": CANARY}]
    async with serving(simulator, recorded.tracing(semconv="dual", details_event=True), Retry()) as client:
        await client.chat(model=GPT, messages=asked, user=CANARY, metadata={"a": CANARY}, tags={"user": CANARY})
        async for _ in await client.chat_stream(model=GPT, messages=asked):
            pass
        with pytest.raises(Exception, match=CANARY):
            await client.chat(model=GPT, messages=asked)
        with pytest.raises(Exception, match="reset"):
            async for _ in await client.chat_stream(model=GPT, messages=asked):
                pass
    assert len(recorded.calls) == len(recorded.logs) == 4
    assert CANARY not in recorded.everything()


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["none", "span", "event", "both"])
async def test_content_is_where_it_was_asked_for(recorded: Recorded, mode: str) -> None:
    """Each mode puts content on spans as JSON text, in events as structures, or nowhere."""
    await ask(recorded, capture_content=mode)
    spans, logs = recorded.calls, recorded.logs
    assert len(logs) == (2 if mode in ("event", "both") else 0)
    for span in spans:
        told = {name: value for name, value in attributes(span).items() if "messages" in name or "definitions" in name}
        assert bool(told) is (mode in ("span", "both"))
        for name, value in told.items():
            assert isinstance(value, str)
            if name.endswith("messages"):
                check_messages(json.loads(value), output=name == "gen_ai.output.messages")
    for log in logs:
        record = log.log_record
        assert record.event_name == "gen_ai.client.inference.operation.details"
        assert record.severity_number is not None
        assert record.severity_number.value == 5
        assert record.span_id in {id_of(span) for span in spans}
        content = dict(record.attributes or {})
        check_messages(content["gen_ai.input.messages"])
        check_messages(content["gen_ai.output.messages"], output=True)
        span = next(span for span in spans if id_of(span) == record.span_id)
        same = {name: value for name, value in attributes(span).items() if "messages" not in name}
        assert {name: content[name] for name in same if "definitions" not in name} == {
            name: value for name, value in same.items() if "definitions" not in name
        }


@pytest.mark.anyio
async def test_a_stream_has_the_content_of_its_reply(recorded: Recorded) -> None:
    """Whole and streamed replies are told alike: messages in order, calls with their arguments, tools by name."""
    await ask(recorded, capture_content=True)
    for span in recorded.calls:
        told = attributes(span)
        assert json.loads(str(told["gen_ai.input.messages"])) == [
            {"role": "system", "parts": [{"type": "text", "content": f"Be brief. {CANARY}"}]},
            {
                "role": "user",
                "parts": [
                    {"type": "text", "content": "Look:"},
                    {"type": "uri", "modality": "image", "uri": "https://x.invalid/a.png"},
                ],
            },
        ]
        (message,) = json.loads(str(told["gen_ai.output.messages"]))
        assert message["finish_reason"] == "tool_call"
        assert message["parts"][0] == {"type": "text", "content": "Well."}
        call = message["parts"][1]
        assert (call["type"], call["name"], call["arguments"]) == ("tool_call", "look_up", {"term": "rivers"})
        assert call["id"]
        assert told["gen_ai.tool.definitions"] == '[{"type":"function","name":"look_up"}]'


@pytest.mark.anyio
async def test_latest_has_no_finish_reason_in_messages(recorded: Recorded) -> None:
    """The field that the conventions deprecated is left out there."""
    await ask(recorded, capture_content=True, semconv="latest")
    (message,) = json.loads(str(attributes(recorded.calls[0])["gen_ai.output.messages"]))
    assert set(message) == {"role", "parts"}


@pytest.mark.anyio
async def test_content_is_redacted(recorded: Recorded) -> None:
    """What the function returns is recorded in place of the content, and nothing for ``None``."""

    def redact(name: str, value: list[dict[str, object]]) -> list[dict[str, object]] | None:
        if name != "gen_ai.input.messages":
            return None
        return [{"role": message["role"], "parts": []} for message in value]

    await ask(recorded, capture_content="both", redact=redact)
    assert CANARY not in recorded.everything()
    for span in recorded.calls:
        told = attributes(span)
        assert json.loads(str(told["gen_ai.input.messages"]))[0] == {"role": "system", "parts": []}
        assert "gen_ai.output.messages" not in told


@pytest.mark.anyio
async def test_nothing_is_serialised_for_nobody(recorded: Recorded, unsampled: Recorded) -> None:
    """Content is not even looked at where it is not captured, or for a span that is not sampled."""
    looked: list[str] = []
    await ask(recorded, capture_content=False, redact=lambda name, value: looked.append(name))
    await ask(unsampled, capture_content=True, redact=lambda name, value: looked.append(name))
    assert looked == []


@pytest.mark.anyio
async def test_an_exception_with_content_is_whole(recorded: Recorded) -> None:
    """Where content is captured, an exception has its own message and its traceback."""
    simulator = Simulator(faults=[Refuse(401, message=CANARY)])
    async with serving(simulator, recorded.tracing(capture_content=True)) as client:
        with pytest.raises(AuthenticationError):
            await client.chat(model=GPT, messages=HI)
    (event,) = recorded.call.events
    assert CANARY in str(attributes(event)["exception.message"])
    assert "AuthenticationError" in str(attributes(event)["exception.stacktrace"])
    assert CANARY not in (recorded.call.status.description or "")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("variable", "spans", "logs"), [("", 1, 0), ("logs", 0, 1), ("logs/dup", 1, 1), ("http, logs", 0, 1)]
)
async def test_exceptions_go_where_the_variable_says(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, variable: str, spans: int, logs: int
) -> None:
    """An exception is an event of the span, a log event, or both; once in each."""
    monkeypatch.setenv("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", variable)
    async with serving(Simulator(faults=[Refuse(401, message=CANARY)]), recorded.tracing()) as client:
        with pytest.raises(AuthenticationError):
            await client.chat(model=GPT, messages=HI)
    assert len(recorded.call.events) == spans
    assert len(recorded.logs) == logs
    for log in recorded.logs:
        record = log.log_record
        assert record.event_name == "gen_ai.client.operation.exception"
        assert record.severity_number is not None
        assert record.severity_number.value == 13
        assert dict(record.attributes or {})["exception.type"] == "liter.AuthenticationError"
        assert record.span_id == id_of(recorded.call)
    assert CANARY not in recorded.everything()


@pytest.mark.parametrize(
    ("content", "emit", "capture", "details"),
    [
        ("", "", "none", False),
        ("NO_CONTENT", "", "none", False),
        ("span_only", "", "span", False),
        ("true", "", "span", False),
        ("EVENT_ONLY", "", "event", True),
        ("SPAN_AND_EVENT", "false", "both", False),
        ("NO_CONTENT", "true", "none", True),
    ],
)
def test_the_standard_variables(
    monkeypatch: pytest.MonkeyPatch, content: str, emit: str, capture: str, details: bool
) -> None:
    """They say what is captured, and an argument wins over them."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", content)
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT", emit)
    settings = Tracing().settings
    assert (settings.capture, settings.details_event) == (capture, details)
    assert Tracing(capture_content=False, details_event=False).settings.capture == "none"


def test_a_variable_that_says_nothing_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sets it wants to know."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "yes")
    with pytest.raises(ValueError, match="CAPTURE_MESSAGE_CONTENT must be NO_CONTENT, SPAN_ONLY"):
        Tracing()


MESSAGES: list[tuple[Mapping[str, object], Mapping[str, object]]] = [
    ({"role": "user", "content": "hi", "name": "ann"},
     {"role": "user", "name": "ann", "parts": [{"type": "text", "content": "hi"}]}),
    ({"role": "tool", "tool_call_id": "c1", "content": "42"},
     {"role": "tool", "parts": [{"type": "tool_call_response", "response": "42", "id": "c1"}]}),
    ({"role": "assistant", "content": None, "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "not json"}}]},
     {"role": "assistant", "parts": [{"type": "tool_call", "name": "f", "arguments": "not json", "id": "c1"}]}),
    ({"role": "assistant", "content": "so", "reasoning_content": "hm"},
     {"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "so"}]}),
    ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]},
     {"role": "user", "parts": [{"type": "blob", "modality": "image", "content": "AA==", "mime_type": "image/png"}]}),
    ({"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]},
     {"role": "user", "parts": [{"type": "blob", "modality": "audio", "content": "AA==", "mime_type": "audio/wav"}]}),
    ({"role": "user", "content": [{"type": "file", "file": {"file_id": "f1"}}]},
     {"role": "user", "parts": [{"type": "file", "modality": "document", "file_id": "f1"}]}),
    ({"role": "user", "content": [{"type": "document", "data": "AA=="}]},
     {"role": "user", "parts": [
         {"type": "blob", "modality": "document", "content": "AA==", "mime_type": "application/pdf"}]}),
]  # fmt: skip


@pytest.mark.parametrize(("said", "told"), MESSAGES, ids=lambda row: str(row)[:50])
def test_messages_in_the_conventions_form(said: Mapping[str, object], told: Mapping[str, object]) -> None:
    """Each kind of message and of part has its form there."""
    content = input_content(ChatCompletionRequest(model="m", messages=[said]))
    assert content["gen_ai.input.messages"] == [told]
    check_messages(content["gen_ai.input.messages"])


def test_each_choice_is_a_message() -> None:
    """Output has one message for each choice, and a reason of ``error`` where none came."""
    choices = [
        Choice(index=0, message=AssistantMessage(content="a"), finish_reason="stop"),
        Choice(index=1, message=AssistantMessage(refusal="no")),
    ]
    (messages,) = output_content(ChatCompletionResponse(choices=choices), finish_reason=True).values()
    assert [message["finish_reason"] for message in messages] == ["stop", "error"]
    check_messages(messages, output=True)
    assert output_content(msgspec.UNSET, finish_reason=True) == {}

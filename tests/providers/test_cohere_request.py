"""What becomes of a request on Cohere's wire."""

import base64
import json

import pytest
from msgspec.structs import replace

from liter._errors import BadRequestError
from liter.providers import known_providers
from liter.providers._cohere_request import PARAMETERS
from liter.types import AssistantMessage, ChatCompletionRequest, ListModelsRequest, NativeContent

from . import _parameter_table as table

PROVIDER = known_providers()["cohere"]
USER = {"role": "user", "content": "Hi"}
PICTURE = {"type": "image_url", "image_url": {"url": "https://i", "detail": "low"}}
ONLY_A = [{"type": "function", "function": {"name": "a"}}]
MAPPED = {
    "stop": {"stop_sequences": ["END"]},
    "tools": {"tools": [table.WEATHER]},
    "tool_choice": {"tool_choice": "REQUIRED"},
    "response_format": {"response_format": {"type": "json_object", "json_schema": table.SCHEMA}},
    "reasoning_effort": {"thinking": {"type": "enabled", "token_budget": 16_384}},
    "stream_options": {},
    "extra_body": {"own": 1},
}


def messages(call_of, *given, **fields):
    """The messages that are sent."""
    return body(call_of, messages=[*given], **fields)["messages"]


def body(call_of, unsupported="raise", **fields):
    """The body that is sent."""
    request = ChatCompletionRequest(**{"model": "command", "messages": [USER], **fields})
    return json.loads(PROVIDER.encode(replace(call_of(request, provider="cohere"), unsupported=unsupported)).body)


def encoded(text):
    """Text in base64."""
    return base64.b64encode(text.encode()).decode()


def test_the_table_names_every_parameter():
    """None is forgotten."""
    table.check_table(PARAMETERS)


@pytest.mark.parametrize("name", table.PARAMETERS)
def test_every_parameter(name, call_of, caplog):
    """Each is sent, renamed, mapped, refused or dropped, as the table says."""
    table.check_parameter(PROVIDER, PARAMETERS, name, MAPPED, call_of, caplog)


def test_where_requests_go(call_of):
    """Chats to the second version with a bearer key, the list of models to the first."""
    request = ChatCompletionRequest(model="command", messages=[USER])
    sent = PROVIDER.encode(call_of(request, provider="cohere", base_url=PROVIDER.base_url, stream=True))
    assert (sent.method, sent.base_url, sent.path) == ("POST", "https://api.cohere.com/v2", "/chat")
    assert dict(sent.headers)[b"authorization"] == b"Bearer sk-test"
    assert dict(sent.headers)[b"accept"] == b"text/event-stream"
    assert json.loads(sent.body)["stream"] is True
    models = call_of(ListModelsRequest(), operation="list_models", provider="cohere", base_url=PROVIDER.base_url)
    sent = PROVIDER.encode(models)
    assert (sent.method, sent.base_url, sent.path) == ("GET", "https://api.cohere.com/v1", "/models?page_size=1000")


def test_messages_of_all_roles(call_of):
    """Instructions are the system's; calls, plans and thoughts go back; results name their call."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    calls = [call, {**call, "id": "c2"}]
    assert messages(
        call_of,
        {"role": "developer", "content": "Be kind."},
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": [{"type": "text", "text": "Look"}, PICTURE]},
        {"role": "assistant", "reasoning_content": "Hm.", "tool_plan": "Call f.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "2"}]},
        {"role": "assistant", "content": "So", "refusal": "No."},
        USER,
    ) == [
        {"role": "system", "content": "Be kind."},
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": [{"type": "text", "text": "Look"}, PICTURE]},
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "Hm."}],
            "tool_plan": "Call f.",
            "tool_calls": calls,
        },
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "2"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "So"}, {"type": "text", "text": "No."}]},
        USER,
    ]


def test_documents_stand_beside_the_messages(call_of):
    """Text with its title and context; a JSON object with its title as id; in a tool's result where it was."""
    text = {"type": "document", "media_type": "text/plain", "data": encoded("Green."), "title": "Sky", "context": "c"}
    thing = {"type": "document", "media_type": "application/json", "data": encoded('{"roll": 5}'), "title": "d1"}
    sent = body(
        call_of,
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "Colour?"}, text, thing]},
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": [thing]},
        ],
    )
    assert sent["documents"] == [
        {"data": {"title": "Sky", "context": "c", "text": "Green."}},
        {"id": "d1", "data": {"roll": 5}},
    ]
    assert sent["messages"][0]["content"] == [{"type": "text", "text": "Colour?"}]
    assert sent["messages"][2]["content"] == [{"type": "document", "document": {"id": "d1", "data": {"roll": 5}}}]


@pytest.mark.parametrize(("enabled", "mode"), [(True, "ENABLED"), (False, "OFF")])
def test_documents_are_cited_as_asked(call_of, enabled, mode):
    """All of them, or none."""
    document = {
        "type": "document",
        "media_type": "text/plain",
        "data": encoded("x"),
        "citations": {"enabled": enabled},
    }
    sent = body(call_of, messages=[{"role": "user", "content": [document]}])
    assert sent["citation_options"] == {"mode": mode}
    other = {**document, "citations": {"enabled": not enabled}}
    with pytest.raises(BadRequestError, match="all documents or none"):
        body(call_of, messages=[{"role": "user", "content": [document, other]}])


AUDIO = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
CUSTOM = {"id": "c", "type": "custom", "custom": {"name": "f", "input": ""}}


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (AUDIO, "input_audio"),
        ({"type": "file", "file": {"file_id": "f"}}, "'file' parts"),
        ({"type": "document", "data": ""}, "application/pdf"),
        ({"type": "document", "url": "https://d"}, "as data"),
        ({"type": "document", "media_type": "text/plain", "data": "/w=="}, "UTF-8"),
        ({"type": "document", "media_type": "application/json", "data": "MQ=="}, "JSON object"),
    ],
)
def test_parts_that_cannot_be_said_are_refused(call_of, part, told):
    """With where they stand."""
    with pytest.raises(BadRequestError, match=r"messages\[0\].content\[0\]") as caught:
        body(call_of, messages=[{"role": "user", "content": [part]}])
    assert told in caught.value.message


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"role": "tool", "tool_call_id": "c", "content": [PICTURE]}, "image_url"),
        ({"role": "function", "name": "f", "content": "x"}, "function messages"),
        ({"role": "assistant", "audio": {"id": "a"}}, "audio"),
        ({"role": "assistant", "function_call": {"name": "f", "arguments": ""}}, "function_call"),
        ({"role": "assistant", "content": "Go", "prefix": True}, "beginning"),
        ({"role": "assistant", "tool_calls": [CUSTOM]}, "custom"),
    ],
)
def test_what_messages_cannot_say_is_refused(call_of, message, told):
    """With where it stands."""
    with pytest.raises(BadRequestError, match=r"messages\[0\]") as caught:
        body(call_of, messages=[message, USER])
    assert told in caught.value.message
    assert (caught.value.provider, caught.value.model) == ("cohere", "command")


MARKED = {"type": "text", "text": "Hi", "prompt_cache_breakpoint": {"mode": "explicit"}}


@pytest.mark.parametrize(
    ("message", "told", "kept"),
    [
        ({**USER, "name": "Ann"}, "the name of messages[0]", USER),
        ({**USER, "cache_control": {"type": "ephemeral"}}, "the cache marker in messages[0]", USER),
        (
            {"role": "user", "content": [MARKED]},
            "the cache marker in messages[0]",
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        ),
    ],
)
def test_what_can_be_dropped_is_dropped_only_where_asked(call_of, caplog, message, told, kept):
    """Names and cache markers: an error, or a warning."""
    with pytest.raises(BadRequestError) as caught:
        messages(call_of, message)
    assert told in caught.value.message
    assert messages(call_of, message, unsupported="drop") == [kept]
    assert told in caplog.text


def test_a_trailing_reply_is_refused(call_of):
    """Cohere would answer it, and not go on from it."""
    with pytest.raises(BadRequestError, match="end with a user's message"):
        messages(call_of, USER, {"role": "assistant", "content": "So"})


def test_a_reply_goes_back_in_its_own_form(call_of):
    """Unless its text was changed, or it is another provider's."""
    block = {"content": [{"type": "text", "text": "Green."}], "citations": [{"start": 0}]}
    message = AssistantMessage(content="Green.", native_content=NativeContent(provider="cohere", blocks=[block]))
    assert messages(call_of, message, USER)[0] == {"role": "assistant", **block}
    plain = {"role": "assistant", "content": "Blue."}
    assert messages(call_of, replace(message, content="Blue."), USER)[0] == plain
    other = replace(message, native_content=NativeContent(provider="mistral", blocks=[block]))
    assert messages(call_of, other, USER)[0] == {"role": "assistant", "content": "Green."}


def tool(name, **fields):
    """A function to call."""
    return {"type": "function", "function": {"name": name, **fields}}


@pytest.mark.parametrize(
    ("choice", "names", "mode"),
    [
        ("auto", ["a", "b"], None),
        ("none", ["a", "b"], "NONE"),
        ("required", ["a", "b"], "REQUIRED"),
        ({"type": "function", "function": {"name": "b"}}, ["b"], "REQUIRED"),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": ONLY_A}}, ["a"], None),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": ONLY_A}}, ["a"], "REQUIRED"),
    ],
)
def test_tool_choices(call_of, choice, names, mode):
    """One that is named, or some that are allowed, are the only ones sent."""
    sent = body(call_of, tools=[tool("a"), tool("b")], tool_choice=choice)
    assert [one["function"]["name"] for one in sent["tools"]] == names
    assert sent.get("tool_choice") == mode


def test_a_choice_of_no_tool_is_refused(call_of):
    """It is told which."""
    with pytest.raises(BadRequestError, match="no tool 'c' is in tools"):
        body(call_of, tools=[tool("a")], tool_choice={"type": "function", "function": {"name": "c"}})


def test_tools(call_of):
    """Parameters that are missing are none; strictness is of all, or of none; custom tools there are none."""
    sent = body(call_of, tools=[tool("a", strict=True, description="d"), tool("b", strict=True)])
    assert sent["strict_tools"] is True
    nothing = {"type": "object", "properties": {}}
    assert [one["function"] for one in sent["tools"]] == [
        {"name": "a", "description": "d", "parameters": nothing},
        {"name": "b", "parameters": nothing},
    ]
    with pytest.raises(BadRequestError, match="strict with all tools or with none"):
        body(call_of, tools=[tool("a", strict=True), tool("b")])
    with pytest.raises(BadRequestError, match=r"tools\[0\]: Cohere has no custom tools"):
        body(call_of, tools=[{"type": "custom", "custom": {"name": "c"}}])


@pytest.mark.parametrize(
    ("effort", "thinking"),
    [
        ("none", {"type": "disabled"}),
        ("low", {"type": "enabled", "token_budget": 1_024}),
        ("max", {"type": "enabled"}),
    ],
)
def test_reasoning_effort(call_of, effort, thinking):
    """It becomes a budget; the most is to have none."""
    assert body(call_of, reasoning_effort=effort)["thinking"] == thinking


def test_an_unknown_effort_is_refused(call_of):
    """With those that there are."""
    with pytest.raises(BadRequestError, match="none, minimal, low, medium, high, xhigh or max"):
        body(call_of, reasoning_effort="huge")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"type": "text"}, {"type": "text"}),
        ({"type": "json_object"}, {"type": "json_object"}),
        ({"type": "json_schema", "json_schema": {"name": "n"}}, {"type": "json_object"}),
    ],
)
def test_response_formats(call_of, given, sent):
    """JSON without a schema is any."""
    assert body(call_of, response_format=given)["response_format"] == sent


def test_what_stands_in_two_places_or_is_gone_is_refused(call_of):
    """Documents in messages and extra_body; connectors."""
    document = {"type": "document", "media_type": "text/plain", "data": encoded("x")}
    with pytest.raises(BadRequestError, match="in one place"):
        body(call_of, messages=[{"role": "user", "content": [document]}], extra_body={"documents": ["y"]})
    with pytest.raises(BadRequestError, match="no connectors"):
        body(call_of, extra_body={"connectors": [{"id": "web-search"}]})

"""What Mistral's wire has of its own, where recordings show too little."""

import json

import pytest
from msgspec.structs import replace

from liter._errors import (
    AuthenticationError,
    BadRequestError,
    ContextWindowExceededError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    ServiceUnavailableError,
)
from liter._http import Headers, ServerSentEvent
from liter.providers import known_providers
from liter.providers._mistral_request import PARAMETERS
from liter.types import ChatCompletionRequest, accumulate

from . import _parameter_table as table

PROVIDER = known_providers()["mistral"]
USER = {"role": "user", "content": "Hi"}
MAPPED = {
    "tools": {"tools": [table.WEATHER]},
    "tool_choice": {"tool_choice": "required"},
    "response_format": {"response_format": table.VALUES["response_format"]},
    "service_tier": {"service_tier": "standard_only"},
    "stream_options": {},
    "extra_body": {"own": 1},
}
ONLY_A = [{"type": "function", "function": {"name": "a"}}]


def body(call_of, unsupported="raise", **fields):
    """The body that is sent."""
    request = ChatCompletionRequest(**{"model": "mistral-small", "messages": [USER], **fields})
    return json.loads(PROVIDER.encode(replace(call_of(request, provider="mistral"), unsupported=unsupported)).body)


def sent_message(call_of, message, **fields):
    """The first message that is sent."""
    return body(call_of, messages=[message], **fields)["messages"][0]


@pytest.fixture
def call(call_of):
    """A call of a chat."""
    return call_of(ChatCompletionRequest(model="mistral-small", messages=[USER]), provider="mistral")


def test_the_table_names_every_parameter():
    """None is forgotten."""
    table.check_table(PARAMETERS)


@pytest.mark.parametrize("name", table.PARAMETERS)
def test_every_parameter(name, call_of, caplog):
    """Each is sent, renamed, mapped, refused or dropped, as the table says."""
    table.check_parameter(PROVIDER, PARAMETERS, name, MAPPED, call_of, caplog, service_tier="default")


def test_a_tier_that_there_is_not(call_of, caplog):
    """It is refused, or dropped."""
    with pytest.raises(BadRequestError, match="service_tier='flex'"):
        body(call_of, service_tier="flex")
    assert "service_tier" not in body(call_of, unsupported="drop", service_tier="flex")
    assert "service_tier='flex'" in caplog.text


def test_parts_of_all_kinds(call_of):
    """Documents and files are addresses of documents, sound is its data."""
    parts = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "https://i", "detail": "high"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"file_id": "f1"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}},
        {"type": "document", "url": "https://d", "title": "D"},
        {"type": "document", "data": "AA=="},
        {"type": "document", "file_id": "f2"},
    ]
    assert sent_message(call_of, {"role": "user", "content": parts})["content"] == [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "https://i", "detail": "high"}},
        {"type": "input_audio", "input_audio": "AAAA"},
        {"type": "file", "file_id": "f1"},
        {"type": "document_url", "document_url": "data:application/pdf;base64,AA==", "document_name": "a.pdf"},
        {"type": "document_url", "document_url": "https://d", "document_name": "D"},
        {"type": "document_url", "document_url": "data:application/pdf;base64,AA=="},
        {"type": "file", "file_id": "f2"},
    ]


def test_messages_of_all_roles(call_of):
    """Developers speak as the system; thoughts and calls go back; a reply's beginning is gone on from."""
    function = {"name": "f", "arguments": "{}"}
    call = {"id": "abcdefghi", "type": "function", "function": function}
    given = [
        {"role": "developer", "content": "Be kind."},
        USER,
        {"role": "assistant", "content": "So", "reasoning_content": "Hm.", "refusal": "No.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "abcdefghi", "name": "f", "content": [{"type": "text", "text": "1"}]},
        {"role": "assistant", "content": "It is", "prefix": True, "tool_plan": "p", "annotations": []},
    ]
    assert body(call_of, messages=given)["messages"] == [
        {"role": "system", "content": "Be kind."},
        USER,
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
                {"type": "text", "text": "So"},
                {"type": "text", "text": "No."},
            ],
            "tool_calls": [call],
        },
        {"role": "tool", "tool_call_id": "abcdefghi", "name": "f", "content": [{"type": "text", "text": "1"}]},
        {"role": "assistant", "content": "It is", "prefix": True},
    ]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"role": "function", "name": "f", "content": "x"}, "function messages"),
        ({"role": "assistant", "audio": {"id": "a"}}, "audio"),
        ({"role": "assistant", "function_call": {"name": "f", "arguments": ""}}, "function_call"),
        (
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "f", "input": ""}}]},
            "custom",
        ),
        ({"role": "user", "content": [{"type": "file", "file": {}}]}, "file_id or file_data"),
    ],
)
def test_what_messages_cannot_say_is_refused(call_of, message, told):
    """With where it stands."""
    with pytest.raises(BadRequestError, match=r"messages\[0\]") as caught:
        sent_message(call_of, message)
    assert told in caught.value.message


@pytest.mark.parametrize(
    "message",
    [
        {**USER, "name": "Ann"},
        {**USER, "cache_control": {"type": "ephemeral"}},
        {"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]},
        {"role": "user", "content": [{"type": "document", "data": "AA==", "context": "c"}]},
    ],
)
def test_what_can_be_dropped_is_dropped_only_where_asked(call_of, caplog, message):
    """Names, cache markers and words about a document: an error, or a warning."""
    with pytest.raises(BadRequestError, match=r"messages\[0\]"):
        sent_message(call_of, message)
    sent = sent_message(call_of, message, unsupported="drop")
    assert not {"name", "cache_control", "context"} & {*sent, *(key for part in sent["content"] for key in part)}
    assert "messages[0]" in caplog.text


def test_tool_choices(call_of):
    """One by name as it is; some that are allowed are the only ones sent; none that is not there."""
    tools = [{"type": "function", "function": {"name": name}} for name in ("a", "b")]
    named = {"type": "function", "function": {"name": "b"}}
    sent = body(call_of, tools=tools, tool_choice=named)
    assert (sent["tool_choice"], len(sent["tools"])) == (named, 2)
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": ONLY_A}}
    sent = body(call_of, tools=tools, tool_choice=allowed)
    assert (sent["tool_choice"], [tool["function"]["name"] for tool in sent["tools"]]) == ("required", ["a"])
    assert body(call_of, tools=[{"type": "web_search"}])["tools"] == [{"type": "web_search"}]
    for wrong in (
        {"tools": tools[1:], "tool_choice": allowed},
        {"tools": [{"type": "custom", "custom": {"name": "c"}}]},
    ):
        with pytest.raises(BadRequestError):
            body(call_of, **wrong)


CITED = [
    {"type": "text", "text": "Green"},
    {"type": "reference", "reference_ids": [3, 5]},
    {"type": "text", "text": ", says P."},
    {"type": "tool_reference", "tool": "web_search", "url": "https://p", "title": "P"},
]
SIGNED = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}], "signature": "s"},
    {"type": "text", "text": "Green"},
]
LATE = [{"type": "text", "text": "So"}, {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]


def whole(content, **fields):
    """A reply with this content."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return json.dumps({"id": "i", "choices": [choice], **fields}).encode()


def streamed(call, *contents, **last):
    """The joined reply of a stream whose chunks have these contents."""
    decoder = PROVIDER.open_stream(call)
    chunks = []
    for content in contents:
        event = {"id": "i", "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": None}]}
        chunks += decoder.feed(ServerSentEvent(data=json.dumps(event).encode()))
    end = {"id": "i", "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}], **last}
    chunks += decoder.feed(ServerSentEvent(data=json.dumps(end).encode()))
    return accumulate([*chunks, *decoder.end()])


def test_references_are_annotations(call):
    """Of the text before them; the message goes back as it was."""
    pieces = streamed(call, "Gre", [{"type": "text", "text": "en"}], *([block] for block in CITED[1:]))
    for reply in (PROVIDER.decode(call, whole(CITED), Headers()), pieces):
        message = reply.choices[0].message
        assert message.content == "Green, says P."
        third, fifth, page = message.annotations
        assert [note.document_citation.id for note in (third, fifth)] == ["3", "5"]
        assert (third.document_citation.start_index, third.document_citation.end_index) == (0, 5)
        assert (page.url_citation.url, page.url_citation.title) == ("https://p", "P")
        assert (page.url_citation.start_index, page.url_citation.end_index) == (5, 14)
        assert message.native_content.blocks == CITED


@pytest.mark.parametrize("content", [CITED, SIGNED, LATE], ids=["cited", "signed", "late"])
def test_blocks_that_say_more_go_back_as_they_came(call, call_of, content):
    """Unless the text was changed since."""
    for reply in (PROVIDER.decode(call, whole(content), Headers()), streamed(call, *([block] for block in content))):
        message = reply.choices[0].message
        assert sent_message(call_of, message) == {"role": "assistant", "content": content}
        changed = sent_message(call_of, replace(message, content="Blue", reasoning_content=None))
        assert changed == {"role": "assistant", "content": "Blue"}


def test_plain_thoughts_need_no_blocks(call):
    """Their text is in the reply."""
    content = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}], "closed": True}]
    for reply in (
        PROVIDER.decode(call, whole([*content, {"type": "text", "text": "So"}]), Headers()),
        streamed(call, [{"type": "thinking", "thinking": [{"type": "text", "text": "H"}]}],
                 [{"type": "thinking", "thinking": "m."}], "So"),
    ):  # fmt: skip
        message = reply.choices[0].message
        assert (message.content, message.reasoning_content, message.native_content) == ("So", "Hm.", None)


@pytest.mark.parametrize("audio", [{}, None, 0, 7.5])
def test_usage_beside_the_counts(call, audio):
    """The tier that was used, and seconds of sound, in whatever form they come."""
    usage = {"prompt_tokens": 2, "completion_tokens": 1, "service_tier": "standard", "prompt_audio_seconds": audio}
    for reply in (PROVIDER.decode(call, whole("Hi", usage=usage), Headers()), streamed(call, "Hi", usage=usage)):
        assert (reply.service_tier, reply.usage.prompt_tokens) == ("standard", 2)
        assert reply.usage.audio_seconds == (audio if isinstance(audio, float | int) else None)


def test_reasons_to_end(call):
    """The model's own length is a length; an error is told in Mistral's word."""
    for reason, ours in (("model_length", "length"), ("error", "error")):
        told = json.loads(whole("Hi"))
        told["choices"][0]["finish_reason"] = reason
        reply = PROVIDER.decode(call, json.dumps(told).encode(), Headers())
        assert reply.choices[0].finish_reason == ours


def test_a_whole_reply_in_place_of_a_stream(call):
    """Is one chunk, blocks and all."""
    decoder = PROVIDER.open_stream(call)
    [chunk] = decoder.whole(whole(CITED))
    assert chunk.choices[0].delta.native_content.blocks == CITED
    assert decoder.done


@pytest.mark.parametrize(
    ("status", "told", "kind"),
    [
        (400, {"message": "Prompt contains 9 tokens, too large for model with 8 maximum context length",
               "type": "invalid_request_prompt", "code": "3051"}, ContextWindowExceededError),
        (400, {"message": "Logprobs are not enabled for this model", "code": "3051"}, BadRequestError),
        (400, {"message": "Invalid model: x", "type": "invalid_model", "code": "1500"}, NotFoundError),
        (401, {"detail": "Unauthorized"}, AuthenticationError),
        (422, {"detail": [{"loc": ["body", "messages"], "msg": "Field required", "type": "missing"}]}, BadRequestError),
        (422, {"object": "error", "message": {"detail": [{"loc": ["body"], "msg": "Extra inputs are not permitted"}]}},
         BadRequestError),
        (429, {"message": "Requests rate limit exceeded"}, RateLimitedError),
        (429, {"message": "Service tier capacity exceeded for this model."}, ServiceUnavailableError),
        (500, {"object": "error", "message": "Service unavailable.", "code": "1000"}, ServerError),
    ],
)  # fmt: skip
def test_errors(call, status, told, kind):
    """By the fact, whatever the shape; the message is the provider's."""
    error = PROVIDER.error(call, status, Headers(), json.dumps(told).encode())
    assert type(error) is kind
    message = json.dumps(told)
    assert all(word in message for word in error.message.split(": ")[-1].split()[:2])

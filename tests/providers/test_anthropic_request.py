"""Requests in OpenAI's form as Anthropic's."""

import json

import pytest
from msgspec.structs import replace

from liter._errors import BadRequestError
from liter._secret import Secret
from liter.providers import Anthropic
from liter.providers._anthropic_request import PARAMETERS
from liter.types import (
    AssistantMessage,
    CacheControl,
    ChatCompletionRequest,
    DocumentPart,
    ListModelsRequest,
    NativeContent,
    TextPart,
    ToolMessage,
    UserMessage,
)

from . import _parameter_table as table

HELLO = [{"role": "user", "content": "Hello"}]
SENT = {"model": "claude-sonnet-4-5", "messages": HELLO, "max_tokens": 16384}
TOOL = {"type": "function", "function": {"name": "f"}}
SENT_TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {}}}
USER = {"role": "user", "content": "Hi"}


@pytest.fixture
def body_of(call_of):
    """Encode a request's fields, and give the body as JSON."""

    def encode(model: str = "claude-sonnet-4-5", *, stream: bool = False, **fields: object) -> dict[str, object]:
        request = ChatCompletionRequest(**{"model": "ignored", "messages": HELLO, **fields})
        return json.loads(Anthropic().encode(call_of(request, model=model, stream=stream)).body)

    return encode


def test_a_chat_is_posted_with_version_and_key(call_of):
    """The key has a header of its own."""
    sent = Anthropic().encode(call_of(ChatCompletionRequest(model="m", messages=HELLO)))
    assert (sent.method, sent.path) == ("POST", "/messages")
    headers = dict(sent.headers)
    assert (headers[b"x-api-key"], headers[b"anthropic-version"]) == (b"sk-test", b"2023-06-01")


def test_a_login_token_goes_into_the_authorization_header(call_of):
    """As Anthropic's tokens of a login do."""
    request = ChatCompletionRequest(model="m", messages=HELLO)
    headers = dict(Anthropic().encode(call_of(request, api_key=Secret("sk-ant-oat01-x"))).headers)
    assert headers[b"authorization"] == b"Bearer sk-ant-oat01-x"
    assert b"x-api-key" not in headers


def test_all_models_are_got_at_once(call_of):
    """The list is asked for in its greatest length."""
    sent = Anthropic().encode(call_of(ListModelsRequest(), operation="list_models"))
    assert (sent.method, sent.path) == ("GET", "/models?limit=1000")


# What each parameter that is put into another form adds to the body, by Anthropic's reference.
MAPPED = {
    "max_tokens": {"max_tokens": 7},
    "stop": {"stop_sequences": ["END"]},
    "tools": {"tools": [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}]},
    "tool_choice": {"tool_choice": {"type": "any"}},
    "parallel_tool_calls": {},  # there is nothing to say it of without tools
    "response_format": {"output_config": {"format": {"type": "json_schema", "schema": table.SCHEMA}}},
    "reasoning_effort": {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
    "web_search_options": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    "service_tier": {"service_tier": "standard_only"},
    "safety_identifier": {"metadata": {"user_id": "s"}},
    "user": {"metadata": {"user_id": "u"}},
    "stream_options": {},
    "extra_body": {"own": 1},
}


def test_the_table_names_every_parameter():
    """None is forgotten."""
    table.check_table(PARAMETERS)


@pytest.mark.parametrize("name", table.PARAMETERS)
def test_every_parameter(name, call_of, caplog):
    """Each is sent, renamed, mapped, refused or dropped, as the table says."""
    values = {"service_tier": "default", "web_search_options": {}}
    table.check_parameter(Anthropic(), PARAMETERS, name, MAPPED, call_of, caplog, **values)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"service_tier": "flex"}, "service_tier='flex'"),
        ({"response_format": {"type": "json_object"}}, "json_object"),
        ({"web_search_options": {"search_context_size": "low"}}, "search_context_size='low'"),
    ],
)
def test_single_values_are_refused_or_dropped(call_of, caplog, fields, told):
    """The rest of the request is sent."""
    request = ChatCompletionRequest(model="m", messages=HELLO, **fields)
    with pytest.raises(BadRequestError, match=f"does not take .*{told}"):
        Anthropic().encode(call_of(request))
    body = json.loads(Anthropic().encode(replace(call_of(request), unsupported="drop")).body)
    assert told in caplog.text
    assert not {"service_tier", "output_config"} & body.keys()


def test_what_asks_for_the_usual_is_no_fault(body_of):
    """Values that mean what Anthropic does anyway are left out."""
    assert (
        body_of(
            n=1,
            presence_penalty=0,
            frequency_penalty=0.0,
            logit_bias={},
            logprobs=False,
            top_logprobs=0,
            modalities=["text"],
            store=False,
            metadata={},
            parallel_tool_calls=True,
            response_format={"type": "text"},
            stream_options={"include_usage": True},
        )
        == SENT
    )


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({}, {}),
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_completion_tokens": 6}, {"max_tokens": 6}),
        ({"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": 0.9}),
        ({"stop": "x"}, {"stop_sequences": ["x"]}),
        ({"stop": ["x", "y"]}, {"stop_sequences": ["x", "y"]}),
        ({"user": "u"}, {"metadata": {"user_id": "u"}}),
        ({"user": "u", "safety_identifier": "s"}, {"metadata": {"user_id": "s"}}),
        ({"service_tier": "auto"}, {"service_tier": "auto"}),
        ({"service_tier": "default"}, {"service_tier": "standard_only"}),
        ({"stream": True}, {"stream": True}),
        ({"extra_body": {"top_k": 5, "max_tokens": 7}}, {"top_k": 5, "max_tokens": 7}),
        ({"tools": [TOOL]}, {"tools": [SENT_TOOL]}),
        (
            {"tools": [{**TOOL, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
            {"tools": [{**SENT_TOOL, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "description": "d", "strict": True}}]},
            {"tools": [{**SENT_TOOL, "description": "d", "strict": True}]},
        ),
        (
            {"tools": [{"type": "bash_20250124", "name": "bash"}]},
            {"tools": [{"type": "bash_20250124", "name": "bash"}]},
        ),
        ({"tools": [TOOL], "tool_choice": "auto"}, {"tools": [SENT_TOOL], "tool_choice": {"type": "auto"}}),
        ({"tools": [TOOL], "tool_choice": "none"}, {"tools": [SENT_TOOL], "tool_choice": {"type": "none"}}),
        ({"tools": [TOOL], "tool_choice": "required"}, {"tools": [SENT_TOOL], "tool_choice": {"type": "any"}}),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"tools": [SENT_TOOL], "tool_choice": {"type": "tool", "name": "f"}},
        ),
        (
            {"tools": [TOOL], "tool_choice": {"type": "any"}},
            {"tools": [SENT_TOOL], "tool_choice": {"type": "any"}},
        ),
        (
            {
                "tools": [TOOL, {"type": "function", "function": {"name": "g"}}],
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]},
                },
            },
            {"tools": [SENT_TOOL], "tool_choice": {"type": "any"}},
        ),
        (
            {"tools": [TOOL], "parallel_tool_calls": False},
            {"tools": [SENT_TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        ),
        (
            {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False},
            {"tools": [SENT_TOOL], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        ),
        (
            {"tools": [TOOL], "tool_choice": "none", "parallel_tool_calls": False},
            {"tools": [SENT_TOOL], "tool_choice": {"type": "none"}},
        ),
        ({"parallel_tool_calls": False}, {}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}},
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        ),
        (
            {"web_search_options": {"user_location": {"type": "approximate", "approximate": {"country": "FR"}}}},
            {
                "tools": [
                    {
                        "type": "web_search_20250305",
                        "name": "web_search",
                        "user_location": {"type": "approximate", "country": "FR"},
                    }
                ]
            },
        ),
    ],
)
def test_parameters_are_said_in_anthropics_words(body_of, fields, sent):
    """One row for each parameter and value."""
    assert body_of(**fields) == {**SENT, **sent}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"service_tier": "flex"}, "service_tier='flex'"),
        ({"response_format": {"type": "json_object"}}, "json_object"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}}, "needs the schema"),
        ({"response_format": {"type": "json_schema"}}, "response_format: .*json_schema"),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, r"tools\[0\] of type 'custom'"),
        ({"tools": [TOOL], "tool_choice": "perhaps"}, "tool_choice='perhaps'"),
        ({"tools": [TOOL], "tool_choice": {"type": "custom", "custom": {"name": "c"}}}, "tool_choice="),
        ({"tools": [TOOL], "tool_choice": {"type": "function"}}, "tool_choice: .*function"),
        ({"web_search_options": {"search_context_size": "low"}}, "search_context_size='low'"),
        ({"messages": [{"role": "system", "content": "s"}]}, "a message of the user's"),
    ],
)
def test_values_that_cannot_be_said_are_refused(body_of, fields, told):
    """Also where the parameter as such can be said."""
    with pytest.raises(BadRequestError, match=told):
        body_of(**fields)


@pytest.mark.parametrize(
    ("model", "fields", "sent"),
    [
        ("claude-3-haiku-20240307", {}, {"max_tokens": 4096}),
        ("claude-3-5-sonnet-20241022", {}, {"max_tokens": 8192}),
        ("claude-opus-4-20250514", {}, {"max_tokens": 16384}),
        ("claude-unheard-of-9", {}, {"max_tokens": 16384}),
        ("claude-3-haiku-20240307", {"reasoning_effort": "none"}, {"max_tokens": 4096}),
        (
            "claude-sonnet-4-5",
            {"reasoning_effort": "low"},
            {"max_tokens": 18432, "thinking": {"type": "enabled", "budget_tokens": 2048}},
        ),
        (
            "claude-opus-4-1",
            {"reasoning_effort": "max"},
            {"max_tokens": 32000, "thinking": {"type": "enabled", "budget_tokens": 31999}},
        ),
        (
            "claude-sonnet-4-5",
            {"reasoning_effort": "high", "max_tokens": 4096},
            {"max_tokens": 4096, "thinking": {"type": "enabled", "budget_tokens": 4095}},
        ),
        ("claude-sonnet-4-5", {"reasoning_effort": "none"}, {"max_tokens": 16384}),
        (
            "claude-opus-4-6",
            {"reasoning_effort": "minimal"},
            {"max_tokens": 16384, "thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
        ),
        (
            "claude-opus-5",
            {"reasoning_effort": "xhigh", "max_tokens": 9},
            {"max_tokens": 9, "thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
        ),
        ("claude-opus-5", {"reasoning_effort": "none"}, {"max_tokens": 16384, "thinking": {"type": "disabled"}}),
    ],
)
def test_effort_and_limits_depend_on_the_model(body_of, model, fields, sent):
    """Budgets for the older, effort for the newer, and a limit that each can keep."""
    assert body_of(model, **fields) == {"model": model, "messages": HELLO, **sent}


def test_effort_and_a_schema_share_their_field(body_of):
    """Both are in output_config."""
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    config = body_of("claude-opus-5", reasoning_effort="low", response_format=schema)["output_config"]
    assert config == {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}}


@pytest.mark.parametrize(
    ("model", "fields", "told"),
    [
        ("claude-3-haiku-20240307", {"reasoning_effort": "low"}, "does not think"),
        ("claude-sonnet-4-5", {"reasoning_effort": "ultra"}, "reasoning_effort must be none, minimal, low"),
        ("claude-sonnet-4-5", {"reasoning_effort": "low", "max_tokens": 1024}, "max_tokens=1024 must be above"),
    ],
)
def test_effort_that_a_model_cannot_make_is_refused(body_of, model, fields, told):
    """The error says what would do."""
    with pytest.raises(BadRequestError, match=told):
        body_of(model, **fields)


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
USE = {"type": "tool_use", "id": "c", "name": "f", "input": {"x": 1}}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "s"}


@pytest.mark.parametrize(
    ("messages", "system", "sent"),
    [
        ([{"role": "system", "content": "S"}, USER], "S", [USER]),
        (
            [{"role": "system", "content": "S"}, {"role": "developer", "content": "D"}, USER],
            [{"type": "text", "text": "S"}, {"type": "text", "text": "D"}],
            [USER],
        ),
        (
            [{"role": "system", "content": "S", "cache_control": {"type": "ephemeral"}}, USER],
            [{"type": "text", "text": "S", "cache_control": {"type": "ephemeral"}}],
            [USER],
        ),
        ([{"role": "system", "content": ""}, USER], None, [USER]),
        # Later instructions are the user's, marked.
        (
            [USER, {"role": "system", "content": "S"}],
            None,
            [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "<system>\nS\n</system>"}],
                }
            ],
        ),
        # Neighbours are one turn.
        (
            [USER, {"role": "user", "content": "there"}],
            None,
            [{"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}]}],
        ),
        # Calls, and their results in one turn with what the user says next.
        (
            [
                USER,
                {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "d"}]},
                {"role": "tool", "tool_call_id": "c", "content": "1"},
                {"role": "tool", "tool_call_id": "d", "content": "", "is_error": True},
                {"role": "user", "content": "Go on"},
            ],
            None,
            [
                USER,
                {"role": "assistant", "content": [USE, {**USE, "id": "d"}]},
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "c", "content": "1"},
                        {"type": "tool_result", "tool_use_id": "d", "is_error": True},
                        {"type": "text", "text": "Go on"},
                    ],
                },
            ],
        ),
        # Thoughts come first and unchanged, refusals are text.
        (
            [
                USER,
                {
                    "role": "assistant",
                    "content": "A",
                    "refusal": "R",
                    "thinking_blocks": [THOUGHT],
                    "tool_calls": [CALL],
                },
            ],
            None,
            [
                USER,
                {
                    "role": "assistant",
                    "content": [THOUGHT, {"type": "text", "text": "A"}, {"type": "text", "text": "R"}, USE],
                },
            ],
        ),
        # No arguments are an empty object.
        (
            [USER, {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": ""}}]}],
            None,
            [USER, {"role": "assistant", "content": [{**USE, "input": {}}]}],
        ),
    ],
)
def test_messages_become_system_and_turns(body_of, messages, system, sent):
    """One row for each way in which the two forms differ."""
    body = body_of(messages=messages)
    assert body["messages"] == sent
    assert body.get("system") == system


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        ({"type": "text", "text": "x"}, {"type": "text", "text": "x"}),
        (
            {"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}},
            {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}},
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "auto"}},
            {"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}},
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/PNG;base64,eA=="}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "eA=="}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,eA==", "filename": "a.pdf"}},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "eA=="},
                "title": "a.pdf",
            },
        ),
        (
            {"type": "file", "file": {"file_data": "data:text/plain;charset=utf-8;base64,eA=="}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:image/png;base64,eA=="}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "eA=="}},
        ),
        ({"type": "file", "file": {"file_id": "f"}}, {"type": "document", "source": {"type": "file", "file_id": "f"}}),
        (
            {"type": "document", "data": "eA==", "title": "t", "context": "c", "citations": {"enabled": True}},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "eA=="},
                "title": "t",
                "context": "c",
                "citations": {"enabled": True},
            },
        ),
        (
            {"type": "document", "data": "w7w=", "media_type": "text/plain"},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "ü"}},
        ),
        (
            {"type": "document", "url": "https://x.example/a.pdf", "cache_control": {"type": "ephemeral"}},
            {
                "type": "document",
                "source": {"type": "url", "url": "https://x.example/a.pdf"},
                "cache_control": {"type": "ephemeral"},
            },
        ),
    ],
)
def test_parts_become_blocks(body_of, part, sent):
    """One row for each kind of part and source."""
    body = body_of(messages=[{"role": "user", "content": [{"type": "text", "text": "Look"}, part]}])
    assert body["messages"][0]["content"][1] == sent


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"role": "user", "content": "x", "name": "Eva"}, r"messages\[1\]: Anthropic has no name .* 'Eva'"),
        ({"role": "function", "name": "f", "content": "x"}, r"messages\[1\]: Anthropic has no function messages"),
        ({"role": "assistant", "function_call": {"name": "f"}}, r"nothing like function_call"),
        ({"role": "assistant", "audio": {"id": "a"}}, r"nothing like audio"),
        (
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{"}}]},
            r"messages\[1\]\.tool_calls\[0\]: .* JSON object",
        ),
        (
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "[]"}}]},
            r"tool_calls\[0\]: .* JSON object",
        ),
        ({"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {}}]}, "no custom tools"),
        (
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]},
            r"messages\[1\]\.content\[0\]: .* wav audio",
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u", "detail": "low"}}]},
            "no image detail 'low'",
        ),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]}, "a data URL must look"),
        ({"role": "user", "content": [{"type": "file", "file": {"file_data": "x"}}]}, "file_data must look like"),
        (
            {"role": "user", "content": [{"type": "document", "data": "?", "media_type": "text/plain"}]},
            "UTF-8 in base64",
        ),
    ],
)
def test_messages_that_cannot_be_said_are_refused(body_of, message, told):
    """The error says where, also after a system prompt that was taken off."""
    with pytest.raises(BadRequestError, match=told):
        body_of(messages=[{"role": "system", "content": "S"}, message])


NATIVE = [{"type": "server_tool_use", "id": "s"}, {"type": "text", "text": "A"}]


def test_native_content_goes_back_to_its_provider_as_it_is(body_of):
    """All blocks, in order, unchanged; and to no other."""
    message = AssistantMessage(content="A", native_content=NativeContent(provider="anthropic", blocks=NATIVE))
    assert body_of(messages=[*HELLO, message])["messages"][1]["content"] == NATIVE
    other = AssistantMessage(content="A", native_content=NativeContent(provider="other", blocks=NATIVE))
    assert body_of(messages=[*HELLO, other])["messages"][1]["content"] == "A"


def test_a_text_that_was_changed_since_wins_over_native_content(body_of):
    """What a guardrail took out does not come back."""
    message = AssistantMessage(content="***", native_content=NativeContent(provider="anthropic", blocks=NATIVE))
    assert body_of(messages=[*HELLO, message])["messages"][1]["content"] == "***"


def test_a_breakpoint_of_a_message_is_on_its_last_block(body_of):
    """It covers all before it."""
    parts = [TextPart(text="a"), TextPart(text="b"), DocumentPart(file_id="f")]
    sent = body_of(messages=[UserMessage(content=parts, cache_control=CacheControl(ttl="1h"))])["messages"][0][
        "content"
    ]
    assert ["cache_control" in block for block in sent] == [False, False, True]
    assert sent[2]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


def test_a_tool_may_answer_with_pictures(body_of):
    """Its result has blocks then."""
    image = {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}
    request = [*HELLO, ToolMessage(tool_call_id="c", content=[TextPart(text="t"), image])]
    [turn] = body_of(messages=request)["messages"]
    assert turn["content"][1] == {
        "type": "tool_result",
        "tool_use_id": "c",
        "content": [
            {"type": "text", "text": "t"},
            {"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}},
        ],
    }


def test_the_request_itself_is_not_changed(body_of):
    """Encoding leaves the blocks of a reply alone."""
    thought = dict(THOUGHT)
    message = AssistantMessage(thinking_blocks=[thought], cache_control=CacheControl())
    body_of(messages=[*HELLO, message])
    assert thought == THOUGHT


def test_content_in_anthropics_own_form_is_sent_as_it_is(call_of):
    """In every role, while it says the same text, and from no other provider's form."""
    found = {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "found"}]}
    text = {"type": "text", "text": "Hi", "citations": []}
    native = {"provider": "anthropic", "blocks": [text, found]}
    other = {"provider": "bedrock", "blocks": [{"text": "Hi"}]}
    messages = [
        {"role": "system", "content": "Hi", "native_content": {"provider": "anthropic", "blocks": [text]}},
        {"role": "user", "content": "Hi", "native_content": native},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "f"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "Hi", "native_content": native},
        {"role": "user", "content": "Hi there", "native_content": native},
        {"role": "user", "content": "Hi", "native_content": other},
    ]
    request = ChatCompletionRequest(model="claude", messages=messages)
    body = json.loads(Anthropic().encode(call_of(request, provider="anthropic")).body)
    assert body["system"] == [text]
    assert body["messages"][0]["content"] == [text, found]
    assert body["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "c", "content": [text, found]},
        {"type": "text", "text": "Hi there"},
        {"type": "text", "text": "Hi"},
    ]


def test_instructions_between_turns(call_of):
    """The newest models take them as turns of their own, and all do in Anthropic's own form; for others, see above."""

    def turn(model, **fields):
        messages = [*HELLO, {"role": "system", "content": "Now in French.", **fields}]
        request = ChatCompletionRequest(model=model, messages=messages)
        return json.loads(Anthropic().encode(call_of(request, provider="anthropic")).body)["messages"][-1]

    assert turn("claude-opus-4-8") == {"role": "system", "content": "Now in French."}
    assert turn("claude-opus-4-7")["role"] == "user"
    blocks = [{"type": "text", "text": "Now in French."}, {"type": "tool_addition", "tool": {"name": "f"}}]
    native = {"provider": "anthropic", "blocks": blocks}
    assert turn("claude-opus-4-7", native_content=native) == {"role": "system", "content": blocks}


def test_a_tool_in_anthropics_own_form(call_of):
    """A function with fields that OpenAI's form does not have."""
    tool = {"type": "custom", "name": "f", "input_schema": {"type": "object"}, "defer_loading": True}
    request = ChatCompletionRequest(model="claude", messages=HELLO, tools=[tool])
    assert json.loads(Anthropic().encode(call_of(request, provider="anthropic")).body)["tools"] == [tool]


def test_a_budget_beside_a_format(call_of):
    """What extra_body says of the output joins what else is said of it."""
    schema = {"type": "object"}
    request = ChatCompletionRequest(
        model="claude-opus-4-8",
        messages=HELLO,
        reasoning_effort="low",
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
        extra_body={"output_config": {"task_budget": {"type": "tokens", "total": 20000}}},
    )
    assert json.loads(Anthropic().encode(call_of(request, provider="anthropic")).body)["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": schema},
        "task_budget": {"type": "tokens", "total": 20000},
    }

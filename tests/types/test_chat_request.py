"""What a request refuses, what it makes of mappings, and what it sends."""

import inspect
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter.types import (
    AssistantMessage,
    ChatCompletionRequest,
    DeveloperMessage,
    DocumentPart,
    FunctionMessage,
    FunctionTool,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
)

HELLO = [{"role": "user", "content": "Hello"}]


def sent(request: ChatCompletionRequest) -> dict[str, object]:
    """The request as JSON says it."""
    return json.loads(msgspec.json.encode(request))


def test_none_is_not_sent():
    """Only what the caller gave is encoded."""
    assert sent(ChatCompletionRequest(model="m", messages=HELLO)) == {"model": "m", "messages": HELLO}


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"role": "system", "content": "s"}, SystemMessage),
        ({"role": "developer", "content": "d"}, DeveloperMessage),
        ({"role": "user", "content": [{"type": "text", "text": "u"}]}, UserMessage),
        ({"role": "assistant", "content": None}, AssistantMessage),
        ({"role": "tool", "content": "t", "tool_call_id": "c"}, ToolMessage),
        ({"role": "function", "content": "f", "name": "n"}, FunctionMessage),
    ],
)
def test_mappings_become_messages(message, kind):
    """A message given as a mapping becomes the struct of its role, and is sent as it was."""
    request = ChatCompletionRequest(model="m", messages=[message])
    assert type(request.messages[0]) is kind
    assert sent(request)["messages"] == [{name: value for name, value in message.items() if value is not None}]


def test_parts_given_as_mappings_inside_a_struct_become_structs():
    """Content parts may be mappings even where the message is a struct."""
    request = ChatCompletionRequest(model="m", messages=[UserMessage(content=[{"type": "text", "text": "Hi"}])])
    assert request.messages[0].content == [TextPart(text="Hi")]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"role": "usr", "content": ""}, r"messages\[1\]: role must be one of .*'usr'; did you mean 'user'\?"),
        ({"content": ""}, r"messages\[1\]: role must be one of .* not None"),
        ({"role": "user"}, r"messages\[1\] \(user\): lacks the field 'content'"),
        ({"role": "user", "contnt": "x"}, r"\[1\] \(user\) has no field 'contnt'; did you mean 'content'\?"),
        ({"role": "user", "content": 5}, r"\[1\] \(user\)\.content: expected `str \| array`, got `int`"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u", "detial": "low"}}]},
            r"\[1\] \(user\)\.content\[0\]\.image_url: has no field 'detial'; did you mean 'detail'\?",
        ),
        (
            {"role": "user", "content": [{"type": "txt", "text": "x"}]},
            r"\[1\] \(user\)\.content\[0\]\.type: no type 'txt' is possible here; did you mean 'text'\?",
        ),
        ({"role": "tool", "content": "x"}, r"\[1\] \(tool\): lacks the field 'tool_call_id'"),
        ("Hello", r"messages\[1\] must be a message or a mapping, not str"),
    ],
)
def test_a_wrong_message_is_told_with_its_index_and_what_would_be_right(message, told):
    """The error names message, field and the nearest right word."""
    with pytest.raises(ValueError, match=told):
        ChatCompletionRequest(model="m", messages=[*HELLO, message])


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"messages": []}, "messages must not be empty"),
        ({"messages": "Hello"}, "messages must be a list"),
        ({"model": ""}, "model must name one"),
        ({"n": 0}, "n must be 1 or more, not 0"),
        ({"n": 1.5}, "n must be an integer"),
        ({"n": True}, "n must be an integer"),
        ({"max_tokens": 0}, "max_tokens must be 1 or more"),
        ({"max_completion_tokens": -1}, "max_completion_tokens must be 1 or more"),
        ({"temperature": 2.1}, "temperature must be between 0 and 2, not 2.1"),
        ({"temperature": float("nan")}, "temperature must be between 0 and 2"),
        ({"temperature": "hot"}, "temperature must be a number, not 'hot'"),
        ({"top_p": -0.1}, "top_p must be between 0 and 1"),
        ({"presence_penalty": 3}, "presence_penalty must be between -2 and 2"),
        ({"frequency_penalty": -3}, "frequency_penalty must be between -2 and 2"),
        ({"top_logprobs": -1}, "top_logprobs must be 0 or more"),
        ({"tools": [{"function": {}}]}, r"tools\[0\] lacks 'type'"),
        ({"tools": [{"type": "function", "function": {}}]}, r"tools\[0\]\.function: lacks the field 'name'"),
        ({"tools": "t"}, "tools must be a list, not str"),
        ({"tools": [5]}, r"tools\[0\] must be a tool or a mapping, not int"),
        ({"response_format": list[int]}, "response_format must be a mapping"),
        ({"response_format": int}, "response_format must be a mapping, .* pydantic model, not int"),
    ],
)
def test_what_can_be_right_nowhere_is_refused(fields, told):
    """The error names the parameter and what would be right."""
    with pytest.raises(ValueError, match=told):
        ChatCompletionRequest(**{"model": "m", "messages": HELLO, **fields})


def test_what_a_provider_may_know_is_not_refused():
    """Unknown efforts, tiers and tool types go to the provider."""
    tool = {"type": "web_search_20250305", "name": "web_search"}
    request = ChatCompletionRequest(
        model="m", messages=HELLO, reasoning_effort="ultra", service_tier="turbo", tools=[tool], top_logprobs=50
    )
    assert sent(request)["tools"] == [tool]
    assert sent(request)["reasoning_effort"] == "ultra"


def test_a_function_tool_given_as_a_mapping_becomes_a_struct():
    """Tools of known types are structs in the request."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    request = ChatCompletionRequest(model="m", messages=HELLO, tools=[tool])
    assert isinstance(request.tools[0], FunctionTool)
    assert sent(request)["tools"] == [tool]


def test_a_document_has_exactly_one_source():
    """Neither none nor two of data, url and file_id."""
    with pytest.raises(ValueError, match="exactly one of data, url and file_id, not none"):
        DocumentPart(title="t")
    with pytest.raises(ValueError, match="not data and url"):
        DocumentPart(data="eA==", url="https://x.example")


def test_every_parameter_has_a_line_in_the_docstring():
    """The docstring of the request documents each of its fields."""
    text = inspect.getdoc(ChatCompletionRequest)
    assert [name for name in ChatCompletionRequest.__struct_fields__ if f":param {name}:" not in text] == []


def test_a_replys_message_goes_back_as_it_is():
    """An assistant message with all that replies have is a legal message of a request."""
    message = AssistantMessage(content="Hi", thinking_blocks=[{"type": "thinking"}], reasoning_content="Hm.")
    assert ChatCompletionRequest(model="m", messages=[message]).conversation == (message,)


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())))
def test_any_mapping_is_a_message_or_a_value_error(message):
    """Whatever is in the mapping, nothing but a ValueError is raised."""
    for role in ({}, {"role": "user"}, {"role": "assistant"}):
        try:
            request = ChatCompletionRequest(model="m", messages=[{**message, **role}])
        except ValueError:
            continue
        assert isinstance(request.messages[0], msgspec.Struct)


def test_what_others_write_in_short():
    """An image may be given by its address alone; what OpenAI's SDK has parsed is no part of a message."""
    image = {"type": "image_url", "image_url": "https://i"}
    [user, assistant] = ChatCompletionRequest(
        model="m",
        messages=[
            {"role": "user", "content": [image, {"type": "text", "text": "Look"}]},
            {"role": "assistant", "content": "1", "parsed": 1},
        ],
    ).conversation
    assert user.content[0].image_url.url == "https://i"
    assert assistant == AssistantMessage(content="1")

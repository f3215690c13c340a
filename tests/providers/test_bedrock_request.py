"""What becomes of a request on Bedrock's wire."""

import base64
import json
import logging

import pytest
from msgspec.structs import replace

from liter._errors import BadRequestError, EndpointNotSupportedError
from liter.providers import Bedrock
from liter.providers._bedrock_request import PARAMETERS
from liter.types import AssistantMessage, ChatCompletionRequest, ListModelsRequest, NativeContent

from . import _parameter_table as table

PROVIDER = Bedrock()
SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-2-lite-v1:0"
USER = {"role": "user", "content": "Hi"}
HI = [{"role": "user", "content": [{"text": "Hi"}]}]
PIXEL = base64.b64encode(b"\x89PNG").decode()
TOOL = {"type": "function", "function": {"name": "f", "description": "Does f.", "strict": True}}
SPEC = {
    "name": "f",
    "description": "Does f.",
    "strict": True,
    "inputSchema": {"json": {"type": "object", "properties": {}}},
}
CALLED = {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": '{"a": 1}'}}]}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "1"}
WEATHER_SPEC = {"name": "weather", "inputSchema": {"json": {"type": "object", "properties": {}}}}
MAPPED = {
    "max_completion_tokens": {"inferenceConfig": {"maxTokens": 7}},
    "max_tokens": {"inferenceConfig": {"maxTokens": 7}},
    "temperature": {"inferenceConfig": {"temperature": 0.5}},
    "top_p": {"inferenceConfig": {"topP": 0.9}},
    "stop": {"inferenceConfig": {"stopSequences": ["END"]}},
    "tools": {"toolConfig": {"tools": [{"toolSpec": WEATHER_SPEC}]}},
    "tool_choice": {},
    "parallel_tool_calls": {},
    "response_format": {
        "outputConfig": {
            "textFormat": {
                "type": "json_schema",
                "structure": {"jsonSchema": {"name": "n", "schema": json.dumps(table.SCHEMA, separators=(",", ":"))}},
            }
        }
    },
    "reasoning_effort": {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 16384}}},
    "web_search_options": {"toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}]}},
    "service_tier": {"serviceTier": {"type": "flex"}},
    "safety_identifier": {"requestMetadata": {"safety_identifier": "s"}},
    "user": {"requestMetadata": {"user": "u"}},
    "stream_options": {},
    "extra_body": {"own": 1},
}


def body(call_of, provider=PROVIDER, unsupported="raise", **fields):
    """The body that is sent."""
    request = ChatCompletionRequest(**{"model": SONNET, "messages": [USER], **fields})
    return json.loads(provider.encode(replace(call_of(request, provider="bedrock"), unsupported=unsupported)).body)


def turns(call_of, *messages, **fields):
    """The turns that are sent."""
    return body(call_of, messages=[*messages], **fields)["messages"]


def content(call_of, *parts):
    """The blocks that parts of a user's message become."""
    [turn] = turns(call_of, {"role": "user", "content": [*parts]})
    return turn["content"]


def test_the_table_names_every_parameter():
    """None is forgotten."""
    table.check_table(PARAMETERS)


@pytest.mark.parametrize("name", table.PARAMETERS)
def test_every_parameter(name, call_of, caplog):
    """Each is sent, renamed, mapped, refused or dropped, as the table says."""
    model = NOVA if name == "web_search_options" else SONNET

    def call_of_model(request, **route):
        return call_of(request, **{**route, "model": model})

    values = {"web_search_options": {}, "tool_choice": "auto"}
    table.check_parameter(PROVIDER, PARAMETERS, name, MAPPED, call_of_model, caplog, **values)


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (SONNET, "us.anthropic.claude-sonnet-4-5-20250929-v1%3A0"),
        (
            "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc",
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc",
        ),
        ("ö/../x?y#z", "%C3%B6%2F..%2Fx%3Fy%23z"),
    ],
)
def test_where_chats_go(call_of, model, path):
    """To the model in the path, encoded whole; streams to an action of their own."""
    request = ChatCompletionRequest(model=model, messages=[USER])
    call = call_of(request, provider="bedrock", base_url="https://bedrock-runtime.us-east-1.amazonaws.com")
    sent = PROVIDER.encode(call)
    assert (sent.method, sent.base_url) == ("POST", "https://bedrock-runtime.us-east-1.amazonaws.com")
    assert sent.path == f"/model/{path}/converse"
    assert dict(sent.headers)[b"authorization"] == b"Bearer sk-test"
    assert dict(sent.headers)[b"accept"] == b"application/json"
    sent = PROVIDER.encode(replace(call, stream=True))
    assert sent.path == f"/model/{path}/converse-stream"
    assert dict(sent.headers)[b"accept"] == b"application/vnd.amazon.eventstream"


@pytest.mark.parametrize("model", [".", ".."])
def test_a_model_that_no_path_can_hold(call_of, model):
    """It would lead somewhere else."""
    with pytest.raises(BadRequestError, match="model must be the id"):
        body(call_of, model=model)


@pytest.mark.parametrize(
    ("runtime", "control"),
    [
        (
            "https://bedrock-runtime.eu-west-3.amazonaws.com",
            "https://bedrock.eu-west-3.amazonaws.com",
        ),
        (
            "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com",
            "https://bedrock-fips.us-gov-west-1.amazonaws.com",
        ),
        ("https://bedrock-runtime.cn-north-1.amazonaws.com.cn", "https://bedrock.cn-north-1.amazonaws.com.cn"),
        ("https://bedrock-runtime.cn-north-1.amazonaws.com", "https://bedrock.cn-north-1.amazonaws.com.cn"),
        ("https://bedrock-runtime.eusc-de-east-1.amazonaws.com", "https://bedrock.eusc-de-east-1.amazonaws.eu"),
        ("http://localhost:8080/aws", "http://localhost:8080/aws"),
    ],
)
def test_where_the_list_of_models_is(call_of, runtime, control):
    """On the control plane's host in the same region; an address of the caller's own is for all."""
    call = call_of(ListModelsRequest(), provider="bedrock", base_url=runtime)
    sent = PROVIDER.encode(call)
    assert (sent.method, sent.base_url, sent.path) == ("GET", control, "/foundation-models")


def test_partitions_of_aws_have_addresses_of_their_own(call_of):
    """The registry's address is that of most regions."""
    request = ChatCompletionRequest(model=SONNET, messages=[USER])
    call = call_of(request, provider="bedrock", base_url="https://bedrock-runtime.cn-north-1.amazonaws.com")
    assert PROVIDER.encode(call).base_url == "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"


def test_an_operation_that_bedrock_does_not_have(call_of):
    """It says what there is."""
    call = call_of(ListModelsRequest(), provider="bedrock", operation="speech")
    with pytest.raises(EndpointNotSupportedError, match="bedrock does not offer speech"):
        PROVIDER.encode(call)


def test_messages_of_all_roles(call_of):
    """Instructions lead, roles take turns, results are the user's, and later instructions are marked."""
    sent = body(
        call_of,
        messages=[
            {"role": "developer", "content": "Be kind."},
            {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
            USER,
            {"role": "user", "content": "there"},
            {"role": "assistant", "content": "", "tool_calls": CALLED["tool_calls"]},
            {**RESULT, "is_error": True, "name": "f"},
            {"role": "tool", "tool_call_id": "d", "content": [{"type": "text", "text": "2"}], "is_error": False},
            {"role": "system", "content": "Now in French."},
            {"role": "assistant", "content": "Oui", "refusal": "Non."},
            USER,
        ],
        tools=[TOOL],
    )
    assert sent["system"] == [{"text": "Be kind."}, {"text": "Be brief."}]
    assert sent["messages"] == [
        {"role": "user", "content": [{"text": "Hi"}, {"text": "there"}]},
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "c", "name": "f", "input": {"a": 1}}}]},
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "c", "content": [{"text": "1"}], "status": "error"}},
                {"toolResult": {"toolUseId": "d", "content": [{"text": "2"}], "status": "success"}},
                {"text": "<system>\nNow in French.\n</system>"},
            ],
        },
        {"role": "assistant", "content": [{"text": "Oui"}, {"text": "Non."}]},
        {"role": "user", "content": [{"text": "Hi"}]},
    ]


def test_instructions_between_turns(call_of):
    """The newest models take them as turns of their own, and all do in Bedrock's own form."""
    later = {"role": "system", "content": "Now in French."}
    assert turns(call_of, USER, later, model="anthropic.claude-opus-4-8-v1:0")[1:] == [
        {"role": "system", "content": [{"text": "Now in French."}]}
    ]
    blocks = [{"text": "Now in French."}, {"toolAddition": {"tool": {"name": "f"}}}]
    native = {**later, "native_content": {"provider": "bedrock", "blocks": blocks}}
    assert turns(call_of, USER, native, model=NOVA)[1:] == [{"role": "system", "content": blocks}]


def test_only_instructions(call_of):
    """Bedrock needs something of the user's."""
    with pytest.raises(BadRequestError, match="messages: Bedrock needs a message of the user's"):
        body(call_of, messages=[{"role": "system", "content": "Be kind."}])


def test_thoughts_go_back(call_of):
    """Signed and hidden ones come first; what is hidden is base64 once more here."""
    message = {
        "role": "assistant",
        "content": "So.",
        "thinking_blocks": [
            {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "hidden"},
        ],
    }
    assert turns(call_of, USER, message)[1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": base64.b64encode(b"hidden").decode()}},
        {"text": "So."},
    ]
    with pytest.raises(BadRequestError, match="thinking_blocks of type 'odd'"):
        turns(call_of, USER, {**message, "thinking_blocks": [{"type": "odd"}]})


def test_native_content_goes_back_while_it_says_the_same(call_of):
    """To Bedrock alone, and not when its text was changed since."""
    blocks = [{"text": "a"}, {"citationsContent": {"content": [{"text": "b"}], "citations": []}}]
    native = NativeContent(provider="bedrock", blocks=blocks)
    assert turns(call_of, USER, AssistantMessage(content="ab", native_content=native))[1]["content"] == blocks
    assert turns(call_of, USER, AssistantMessage(content="a*", native_content=native))[1]["content"] == [{"text": "a*"}]
    other = replace(native, provider="anthropic")
    assert turns(call_of, USER, AssistantMessage(content="ab", native_content=other))[1]["content"] == [{"text": "ab"}]


def test_content_in_bedrocks_own_form(call_of):
    """Guarded text, and JSON as a tool's answer."""
    guarded = [{"guardContent": {"text": {"text": "Tokyo", "qualifiers": ["query"]}}}]
    answer = [{"json": {"a": [1, "ö"]}}]
    sent = turns(
        call_of,
        {"role": "user", "content": "Tokyo", "native_content": {"provider": "bedrock", "blocks": guarded}},
        CALLED,
        {**RESULT, "content": '{"a":[1,"ö"]}', "native_content": {"provider": "bedrock", "blocks": answer}},
        tools=[TOOL],
    )
    assert sent[0]["content"] == guarded
    assert sent[2]["content"] == [{"toolResult": {"toolUseId": "c", "content": answer}}]


def test_ids_of_other_providers(call_of):
    """One that Bedrock would not take is replaced, alike in the call and its result."""
    odd = "fc_1|" + "x" * 80
    call = {"id": odd, "function": {"name": "f"}}
    sent = turns(
        call_of, USER, {"role": "assistant", "tool_calls": [call]}, {**RESULT, "tool_call_id": odd}, tools=[TOOL]
    )
    made = sent[1]["content"][0]["toolUse"]["toolUseId"]
    assert made == sent[2]["content"][0]["toolResult"]["toolUseId"]
    assert len(made) <= 64
    assert "|" not in made


def test_pictures(call_of):
    """As bytes, or from S3."""
    data = {"type": "image_url", "image_url": {"url": f"data:image/JPEG;base64,{PIXEL}", "detail": "auto"}}
    stored = {"type": "image_url", "image_url": {"url": "s3://bucket/a.jpg"}}
    assert content(call_of, data, stored) == [
        {"image": {"format": "jpeg", "source": {"bytes": PIXEL}}},
        {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://bucket/a.jpg"}}}},
    ]


def test_documents(call_of):
    """With names that are legal and unlike each other; one in plain text that is cited goes as text."""
    text = base64.b64encode(b"Green.").decode()
    pdf = {"type": "document", "data": PIXEL, "title": "Q3 \u2013 report.pdf"}
    cited = {
        "type": "document",
        "media_type": "text/plain",
        "data": text,
        "title": "Sky",
        "context": "c",
        "citations": {"enabled": True},
    }
    assert content(
        call_of,
        pdf,
        pdf,
        cited,
        {"type": "document", "media_type": "text/plain", "data": text},
        {"type": "document", "url": "s3://b/x.docx"},
        {"type": "file", "file": {"file_data": f"data:text/csv;base64,{text}", "filename": "table.csv"}},
    ) == [
        {"document": {"format": "pdf", "name": "Q3 - report", "source": {"bytes": PIXEL}}},
        {"document": {"format": "pdf", "name": "Q3 - report-2", "source": {"bytes": PIXEL}}},
        {
            "document": {
                "format": "txt",
                "name": "Sky",
                "source": {"text": "Green."},
                "context": "c",
                "citations": {"enabled": True},
            }
        },
        {"document": {"format": "txt", "name": "document", "source": {"bytes": text}}},
        {"document": {"format": "docx", "name": "document-2", "source": {"s3Location": {"uri": "s3://b/x.docx"}}}},
        {"document": {"format": "csv", "name": "table", "source": {"bytes": text}}},
    ]


def test_sound_and_video(call_of):
    """A file is what its media type makes it."""
    assert content(
        call_of,
        {"type": "input_audio", "input_audio": {"data": PIXEL, "format": "wav"}},
        {"type": "file", "file": {"file_data": f"data:audio/mpeg;base64,{PIXEL}"}},
        {"type": "file", "file": {"file_data": f"data:video/webm;base64,{PIXEL}"}},
        {"type": "file", "file": {"file_id": "s3://b/a.mp4"}},
        {"type": "file", "file": {"file_data": f"data:image/png;base64,{PIXEL}"}},
    ) == [
        {"audio": {"format": "wav", "source": {"bytes": PIXEL}}},
        {"audio": {"format": "mp3", "source": {"bytes": PIXEL}}},
        {"video": {"format": "webm", "source": {"bytes": PIXEL}}},
        {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://b/a.mp4"}}}},
        {"image": {"format": "png", "source": {"bytes": PIXEL}}},
    ]


@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        (
            {"type": "image_url", "image_url": {"url": "https://i/a.png"}},
            "fetches no addresses but S3's: give the image",
        ),
        ({"type": "image_url", "image_url": {"url": "data:image/png,x"}}, "a data URL must look like"),
        ({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,x"}}, "takes no image/tiff"),
        ({"type": "image_url", "image_url": {"url": "s3://b/picture"}}, "must end with its format"),
        ({"type": "document", "url": "https://d/a.pdf"}, "give the document as a data: URL"),
        ({"type": "document", "file_id": "file-1"}, "fetches no addresses"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "Bedrock keeps no files"),
        ({"type": "document", "data": PIXEL, "media_type": "video/mp4", "context": "c"}, "only documents have context"),
        (
            {"type": "document", "data": "/w==", "media_type": "text/plain", "citations": {"enabled": True}},
            "must be UTF-8 in base64",
        ),
    ],
)
def test_content_that_bedrock_does_not_take(call_of, part, complaint):
    """It is refused with its place and what would be right."""
    with pytest.raises(BadRequestError, match=r"messages\[0\]\.content\[1\]") as caught:
        content(call_of, {"type": "text", "text": "?"}, part)
    assert complaint in caught.value.message


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ({"role": "function", "name": "f", "content": "1"}, "no function messages"),
        ({"role": "assistant", "function_call": {"name": "f"}}, "nothing like function_call"),
        ({"role": "assistant", "audio": {"id": "a"}}, "nothing like audio"),
        ({"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "f"}}]}, "custom tools"),
        (
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "[1]"}}]},
            "only as a JSON object",
        ),
    ],
)
def test_messages_that_bedrock_does_not_take(call_of, message, complaint):
    """They are refused with their place."""
    with pytest.raises(BadRequestError, match=complaint) as caught:
        turns(call_of, USER, message)
    assert "messages[1]" in caught.value.message
    assert caught.value.provider == "bedrock"


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ({**USER, "name": "Ann"}, "messages[0].name"),
        (
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Hi"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}},
                ],
            },
            "image detail 'low'",
        ),
    ],
)
def test_details_that_can_be_dropped(call_of, caplog, message, what):
    """They are refused, or dropped with a warning, as the call says."""
    with pytest.raises(BadRequestError) as caught:
        turns(call_of, message)
    assert what in caught.value.message
    with caplog.at_level(logging.WARNING, "liter"):
        assert turns(call_of, message, unsupported="drop")[0]["content"][0] == {"text": "Hi"}
    assert what in caplog.text


def test_breakpoints(call_of):
    """They follow what they cover, in the system prompt, in tools, in content, and after a tool's result."""
    mark = {"cache_control": {"type": "ephemeral"}}
    hour = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    sent = body(
        call_of,
        messages=[
            {"role": "system", "content": [{"type": "text", "text": "a", **hour}, {"type": "text", "text": "b"}]},
            {"role": "user", "content": [{"type": "text", "text": "c", **mark}, {"type": "text", "text": "d"}]},
            {**CALLED, **mark},
            {**RESULT, "content": [{"type": "text", "text": "1", **hour}]},
            {**USER, **mark},
        ],
        tools=[{**TOOL, **hour}],
    )
    point, long_point = {"cachePoint": {"type": "default"}}, {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert sent["system"] == [{"text": "a"}, long_point, {"text": "b"}]
    assert sent["toolConfig"]["tools"] == [{"toolSpec": SPEC}, long_point]
    assert [turn["content"][1:] for turn in sent["messages"]] == [
        [point, {"text": "d"}],
        [point],
        [long_point, {"text": "Hi"}, point],
    ]


ONE = {"type": "function", "function": {"name": "f"}}
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [ONE]}}
OTHER = {"type": "function", "function": {"name": "g"}}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        ({"type": "function", "function": {"name": "f"}}, {"tool": {"name": "f"}}),
        (ALLOWED, {"any": {}}),
        ({"any": {}}, {"any": {}}),
    ],
)
def test_choices_of_tools(call_of, choice, sent):
    """All have a counterpart; allowed tools are those that are sent."""
    config = body(call_of, tools=[TOOL, OTHER], tool_choice=choice)["toolConfig"]
    assert config["toolChoice"] == sent
    assert len(config["tools"]) == (1 if choice is ALLOWED else 2)


@pytest.mark.parametrize("choice", ["sometimes", {"type": "custom", "custom": {"name": "x"}}])
def test_a_choice_that_bedrock_does_not_have(call_of, choice):
    """It is refused."""
    with pytest.raises(BadRequestError, match="tool_choice"):
        body(call_of, tools=[TOOL], tool_choice=choice)


def test_a_choice_without_tools(call_of):
    """One that must be met cannot be; the others say nothing."""
    with pytest.raises(BadRequestError, match="no tools to choose from"):
        body(call_of, tool_choice="required")
    assert body(call_of, tool_choice="auto") == body(call_of, tool_choice="none") == {"messages": HI}
    assert body(call_of, parallel_tool_calls=False) == {"messages": HI}


def test_no_tool_may_be_called(call_of, caplog):
    """The tools are left out, unless the messages have calls: then only Anthropic's models can be told."""
    assert "toolConfig" not in body(call_of, tools=[TOOL], tool_choice="none")
    told = {"messages": [USER, CALLED, RESULT], "tools": [TOOL], "tool_choice": "none"}
    sent = body(call_of, **told)
    assert sent["toolConfig"] == {"tools": [{"toolSpec": SPEC}]}
    assert sent["additionalModelRequestFields"] == {"tool_choice": {"type": "none"}}
    with pytest.raises(BadRequestError, match="tool_choice='none' beside calls in the messages"):
        body(call_of, model=NOVA, **told)
    assert body(call_of, model=NOVA, unsupported="drop", **told)["toolConfig"] == {"tools": [{"toolSpec": SPEC}]}
    assert "tool_choice='none'" in caplog.text


@pytest.mark.parametrize("model", [SONNET, NOVA])
def test_calls_in_the_messages_want_their_tools(call_of, model):
    """Bedrock refuses calls without tools: those that were called are sent by name."""
    sent = body(call_of, model=model, messages=[USER, CALLED, RESULT])
    spec = {"name": "f", "inputSchema": {"json": {"type": "object", "properties": {}}}}
    assert sent["toolConfig"] == {"tools": [{"toolSpec": spec}]}
    fields = {"tool_choice": {"type": "none"}} if model == SONNET else None
    assert sent.get("additionalModelRequestFields") == fields


@pytest.mark.parametrize(
    ("choice", "config", "field"),
    [
        (None, None, {"type": "auto", "disable_parallel_tool_use": True}),
        ("auto", None, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", {"any": {}}, {"disable_parallel_tool_use": True}),
    ],
)
def test_one_call_at_a_time(call_of, choice, config, field):
    """Anthropic's own field says so, and never another choice than Converse's."""
    sent = body(call_of, tools=[TOOL], tool_choice=choice, parallel_tool_calls=False)
    assert sent["toolConfig"].get("toolChoice") == config
    assert sent["additionalModelRequestFields"] == {"tool_choice": field}
    with pytest.raises(BadRequestError, match="parallel_tool_calls=False"):
        body(call_of, model=NOVA, tools=[TOOL], parallel_tool_calls=False)


def test_tools_of_bedrocks_own(call_of):
    """A mapping of another type goes as that; custom tools are refused."""
    sent = body(call_of, tools=[{"type": "systemTool", "name": "nova_code_interpreter"}])
    assert sent["toolConfig"] == {"tools": [{"systemTool": {"name": "nova_code_interpreter"}}]}
    with pytest.raises(BadRequestError, match="no custom tools"):
        body(call_of, tools=[{"type": "custom", "custom": {"name": "x"}}])


def test_a_search_of_the_web(call_of):
    """Nova's models have one, without options."""
    with pytest.raises(BadRequestError, match="web_search_options for"):
        body(call_of, web_search_options={})
    with pytest.raises(BadRequestError, match=r"web_search_options\.search_context_size"):
        body(call_of, model=NOVA, web_search_options={"search_context_size": "low"})


ADAPTIVE = {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}


@pytest.mark.parametrize(
    ("model", "effort", "fields"),
    [
        (SONNET, "low", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        (SONNET, "none", None),
        ("global.anthropic.claude-opus-4-6-v1", "minimal", ADAPTIVE),
        ("anthropic.claude-opus-4-7", "none", {"thinking": {"type": "disabled"}}),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-opus-4-6-v1", "low", ADAPTIVE),
        ("arn:aws-cn:bedrock:cn-north-1::foundation-model/anthropic.claude-opus-4-6-v1", "low", ADAPTIVE),
        (NOVA, "xhigh", {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}),
        (NOVA, "none", {"reasoningConfig": {"type": "disabled"}}),
        ("openai.gpt-oss-120b-1:0", "medium", {"reasoning_effort": "medium"}),
        ("qwen.qwen3-32b-v1:0", "medium", {"reasoning_config": "high"}),
    ],
)
def test_how_long_to_think(call_of, model, effort, fields):
    """Each family has its own fields for it."""
    sent = body(call_of, model=model, reasoning_effort=effort)
    assert sent.get("additionalModelRequestFields") == fields


@pytest.mark.parametrize(
    ("model", "effort"),
    [
        ("us.deepseek.r1-v1:0", "low"),
        ("amazon.nova-lite-v1:0", "low"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "low"),
        ("anthropic.claude-v2:1", "low"),
        ("openai.gpt-oss-120b-1:0", "none"),
        ("qwen.qwen3-32b-v1:0", "none"),
        (SONNET, "odd"),
        (NOVA, "odd"),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc", "low"),
        ("arn:aws:sagemaker:us-east-1:1:endpoint/anthropic.x", "low"),
    ],
)
def test_an_effort_that_the_model_does_not_have(call_of, model, effort, caplog):
    """It is refused, or dropped with a warning."""
    with pytest.raises(BadRequestError, match="reasoning_effort="):
        body(call_of, model=model, reasoning_effort=effort)
    assert body(call_of, model=model, reasoning_effort=effort, unsupported="drop") == {"messages": HI}
    assert "reasoning_effort" in caplog.text


def test_a_budget_stays_below_the_limit(call_of):
    """Or there is no room to think at all."""
    sent = body(call_of, reasoning_effort="high", max_tokens=2000)
    assert sent["additionalModelRequestFields"]["thinking"]["budget_tokens"] == 1999
    with pytest.raises(BadRequestError, match="max_tokens=1000 must be above that"):
        body(call_of, reasoning_effort="high", max_tokens=1000)


def test_extra_fields_join_the_others(call_of):
    """Objects field by field, and the caller's win."""
    sent = body(
        call_of,
        temperature=0.5,
        reasoning_effort="low",
        extra_body={
            "additionalModelRequestFields": {"top_k": 5},
            "inferenceConfig": {"temperature": 0.1, "topP": 0.5},
            "guardrailConfig": {"guardrailIdentifier": "g"},
        },
    )
    assert sent["inferenceConfig"] == {"temperature": 0.1, "topP": 0.5}
    assert sent["additionalModelRequestFields"] == {
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "top_k": 5,
    }
    assert sent["guardrailConfig"] == {"guardrailIdentifier": "g"}


@pytest.mark.parametrize(("tier", "sent"), [("auto", None), ("priority", {"type": "priority"})])
def test_service_tiers(call_of, tier, sent):
    """OpenAI's words for them, as far as Bedrock has them."""
    assert body(call_of, service_tier=tier).get("serviceTier") == sent
    with pytest.raises(BadRequestError, match="service_tier='scale'"):
        body(call_of, service_tier="scale")


def test_json_of_a_schema_by_a_tool(call_of):
    """Where the codec is told so: the only tool has to be called, beside others any of them."""
    provider = Bedrock(structured_output="tool")
    schema = {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": table.SCHEMA}}
    asked = {"provider": provider, "response_format": schema}
    spec = {"toolSpec": {"name": "n", "description": "d", "inputSchema": {"json": table.SCHEMA}}}
    sent = body(call_of, **asked)
    assert sent["toolConfig"] == {"tools": [spec], "toolChoice": {"tool": {"name": "n"}}}
    assert "outputConfig" not in sent
    sent = body(call_of, tools=[TOOL], **asked)
    assert sent["toolConfig"] == {"tools": [{"toolSpec": SPEC}, spec], "toolChoice": {"any": {}}}


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"type": "json_object"}, "json_object"),
        ({"type": "json_schema", "json_schema": {"name": "n"}}, "needs the schema"),
        ({"type": "odd"}, "response_format"),
    ],
)
def test_formats_that_bedrock_does_not_have(call_of, asked, complaint):
    """They are refused."""
    with pytest.raises(BadRequestError, match=complaint):
        body(call_of, response_format=asked)
    assert body(call_of, response_format={"type": "text"}) == {"messages": HI}

"""Requests on Gemini's wire."""

import base64
import json
import logging

import msgspec
import pytest
from msgspec.structs import replace

from liter._errors import BadRequestError
from liter.providers import Gemini, Vertex
from liter.providers._gemini_request import PARAMETERS, VERTEX_PARAMETERS
from liter.providers._parameters import Unsupported
from liter.types import (
    AssistantMessage,
    ChatCompletionRequest,
    FunctionCall,
    NativeContent,
    ToolCall,
    ToolMessage,
    UserMessage,
)

USER = {"role": "user", "content": "Hi"}
VERTEX = "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4/publishers/google"
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
SENTINEL = base64.b64encode(b"skip_thought_signature_validator").decode()


@pytest.fixture
def body_of(call_of):
    """Make a request's body: ``body_of(temperature=1)``."""

    def make(*, model: str = "gemini-2.5-flash", vertex: bool = False, unsupported: str = "raise", **fields: object):
        request = ChatCompletionRequest(**{"model": model, "messages": [USER], **fields})
        name, provider = ("vertex", Vertex()) if vertex else ("gemini", Gemini())
        call = replace(call_of(request, provider=name, base_url=VERTEX), unsupported=unsupported)
        return json.loads(provider.encode(call).body)

    return make


# A value of each parameter, and what it becomes; ``None`` is refused.
SAID = {
    "model": ("gemini-2.5-flash", {}),
    "messages": ([USER], {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}),
    "max_completion_tokens": (9, {"generationConfig": {"maxOutputTokens": 9}}),
    "max_tokens": (9, {"generationConfig": {"maxOutputTokens": 9}}),
    "temperature": (0.5, {"generationConfig": {"temperature": 0.5}}),
    "top_p": (0.5, {"generationConfig": {"topP": 0.5}}),
    "n": (2, {"generationConfig": {"candidateCount": 2}}),
    "stop": ("a", {"generationConfig": {"stopSequences": ["a"]}}),
    "seed": (7, {"generationConfig": {"seed": 7}}),
    "presence_penalty": (1, {"generationConfig": {"presencePenalty": 1}}),
    "frequency_penalty": (1, {"generationConfig": {"frequencyPenalty": 1}}),
    "logit_bias": ({"1": 2}, None),
    "logprobs": (True, {"generationConfig": {"responseLogprobs": True}}),
    "top_logprobs": (3, {"generationConfig": {"logprobs": 3}}),
    "tools": (
        [TOOL, {"type": "google_search", "time_range": 1}],
        {
            "tools": [
                {"functionDeclarations": [{"name": "add", "parametersJsonSchema": TOOL["function"]["parameters"]}]},
                {"googleSearch": {"timeRange": 1}},
            ]
        },
    ),
    "tool_choice": ("required", {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}),
    "parallel_tool_calls": (False, None),
    "response_format": (
        {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
        {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}},
    ),
    "reasoning_effort": (
        "low",
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": True}}},
    ),
    "verbosity": ("low", None),
    "modalities": (["text", "audio"], {"generationConfig": {"responseModalities": ["TEXT", "AUDIO"]}}),
    "audio": (
        {"voice": "Kore", "format": "pcm16"},
        {"generationConfig": {"speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}}},
    ),
    "prediction": ({"type": "content", "content": "x"}, None),
    "web_search_options": ({}, {"tools": [{"googleSearch": {}}]}),
    "service_tier": ("flex", {"serviceTier": "flex"}),
    "store": (True, None),
    "metadata": ({"team": "a"}, None),
    "prompt_cache_key": ("k", None),
    "prompt_cache_retention": ("24h", None),
    "prompt_cache_options": ({"mode": "implicit"}, None),
    "moderation": ({"model": "m"}, None),
    "safety_identifier": ("u", None),
    "user": ("u", None),
    "stream_options": ({"include_usage": True}, {}),
    "functions": ([{"name": "f"}], None),
    "function_call": ("auto", None),
    "extra_body": ({"generation_config": {"top_k": 4}}, {"generationConfig": {"topK": 4}}),
}
VERTEX_SAID = {
    **SAID,
    "service_tier": ("flex", {}),
    "metadata": ({"team": "a"}, {"labels": {"team": "a"}}),
    "safety_identifier": ("u", {"labels": {"user": "u"}}),
    "user": ("u", {"labels": {"user": "u"}}),
}


@pytest.mark.parametrize("vertex", [False, True])
@pytest.mark.parametrize("name", ChatCompletionRequest.__struct_fields__)
def test_every_parameter_is_sent_or_refused(name, vertex, body_of, caplog):
    """The table says what becomes of a parameter, and that is what becomes of it; what is refused can be dropped."""
    value, expected = (VERTEX_SAID if vertex else SAID)[name]
    rules = VERTEX_PARAMETERS if vertex else PARAMETERS
    assert isinstance(rules[name], Unsupported) == (expected is None)
    plain = body_of(vertex=vertex)
    if expected is None:
        with pytest.raises(BadRequestError, match=name):
            body_of(vertex=vertex, **{name: value})
        with caplog.at_level(logging.WARNING, "liter"):
            assert body_of(vertex=vertex, unsupported="drop", **{name: value}) == plain
        assert name in caplog.text
        return
    assert body_of(vertex=vertex, **{name: value}) == {**plain, **expected}


def test_the_tables_name_every_parameter():
    """No parameter is without a rule."""
    assert PARAMETERS.keys() == VERTEX_PARAMETERS.keys() == set(ChatCompletionRequest.__struct_fields__) == SAID.keys()


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-flash", "minimal", {"thinkingBudget": 512, "includeThoughts": True}),
        ("gemini-2.5-flash-lite", "max", {"thinkingBudget": 24576, "includeThoughts": True}),
        ("gemini-2.5-pro", "max", {"thinkingBudget": 32768, "includeThoughts": True}),
        ("gemini-3-pro-preview", "minimal", {"thinkingLevel": "LOW", "includeThoughts": True}),
        ("gemini-3-pro-preview", "medium", {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("gemini-3.1-pro-preview", "medium", {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        ("gemini-3-flash-preview", "minimal", {"thinkingLevel": "MINIMAL", "includeThoughts": True}),
        ("gemini-flash-latest", "xhigh", {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("gemini-2.0-flash", "none", None),
    ],
)
def test_effort_is_a_budget_or_a_level_by_the_model(model, effort, expected, body_of):
    """Models up to 2.5 are told how many tokens to think with, later ones how hard."""
    assert body_of(model=model, reasoning_effort=effort).get("generationConfig", {}).get("thinkingConfig") == expected


@pytest.mark.parametrize(
    ("model", "effort", "told"),
    [
        ("gemini-2.5-pro", "none", "minimal"),
        ("gemini-3-pro-preview", "none", "'low'"),
        ("gemini-2.0-flash", "low", "does not think"),
        ("gemini-2.5-pro", "huge", "must be none"),
    ],
)
def test_effort_that_a_model_cannot_make_is_refused(model, effort, told, body_of):
    """A model that always thinks cannot be told not to, one that never does cannot be told to."""
    with pytest.raises(BadRequestError, match=told):
        body_of(model=model, reasoning_effort=effort)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ({"type": "function", "function": {"name": "add"}}, {"mode": "ANY", "allowedFunctionNames": ["add"]}),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "add"}}]},
            },
            {"mode": "ANY", "allowedFunctionNames": ["add"]},
        ),
        ({"mode": "VALIDATED", "allowed_function_names": ["b"]}, {"mode": "VALIDATED", "allowedFunctionNames": ["b"]}),
    ],
)
def test_choices_of_tools(choice, expected, body_of):
    """OpenAI's choices become modes; Gemini's own form goes as it is."""
    assert body_of(tools=[TOOL], tool_choice=choice)["toolConfig"] == {"functionCallingConfig": expected}


def test_a_choice_among_some_tools_leaves_the_others_out(body_of):
    """There is no way to allow some tools without asking for one of them."""
    other = {"type": "function", "function": {"name": "other"}}
    allowed = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "add"}}]}
    body = body_of(tools=[TOOL, other], tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert [one["name"] for one in body["tools"][0]["functionDeclarations"]] == ["add"]
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "AUTO"}}


def test_strict_tools_are_validated(body_of):
    """The mode that holds arguments to their schema is asked for where a tool is strict."""
    tool = {"type": "function", "function": {"name": "add", "strict": True}}
    assert body_of(tools=[tool])["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}


def test_schemas_in_googles_form_stay_in_it(body_of):
    """Types in upper case are no JSON Schema: they go where Google has them."""
    schema = {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}}
    body = body_of(
        tools=[{"type": "function", "function": {"name": "f", "parameters": schema}}],
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    )
    assert body["tools"] == [{"functionDeclarations": [{"name": "f", "parameters": schema}]}]
    assert body["generationConfig"]["responseSchema"] == schema


PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (PICTURE, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}),
        (
            {"type": "image_url", "image_url": {"url": "gs://b/a.png"}},
            {"fileData": {"fileUri": "gs://b/a.png", "mimeType": "image/png"}},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
            {"inlineData": {"mimeType": "audio/mp3", "data": "AAAA"}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
            {"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}},
        ),
        (
            {"type": "file", "file": {"file_id": "files/abc", "filename": "a.mp4"}},
            {
                "fileData": {
                    "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc",
                    "mimeType": "video/mp4",
                }
            },
        ),
        (
            {"type": "document", "url": "https://youtu.be/x", "media_type": "video/mp4"},
            {"fileData": {"fileUri": "https://youtu.be/x", "mimeType": "video/mp4"}},
        ),
    ],
)
def test_parts(part, expected, body_of):
    """Data goes in line, files by their address."""
    assert body_of(messages=[{"role": "user", "content": [part]}])["contents"][0]["parts"] == [expected]


def test_images_of_other_sites_are_refused(body_of):
    """Gemini does not fetch them, so the error says what to do; Vertex AI does."""
    part = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    messages = [{"role": "user", "content": [part]}]
    with pytest.raises(BadRequestError, match=r"messages\[0\].content\[0\].*data:image/png"):
        body_of(messages=messages)
    [sent] = body_of(messages=messages, vertex=True)["contents"][0]["parts"]
    assert sent == {"fileData": {"fileUri": "https://example.com/a.png", "mimeType": "image/png"}}
    with pytest.raises(BadRequestError, match="media_type"):
        body_of(
            messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://e.com/a"}}]}],
            vertex=True,
        )


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"role": "user", "content": "x", "name": "Bo"}, "name 'Bo'"),
        ({"role": "user", "content": "x", "cache_control": {"type": "ephemeral"}}, "cache breakpoint"),
        ({"role": "user", "content": [{**PICTURE, "image_url": {**PICTURE["image_url"], "detail": "low"}}]}, "detail"),
        ({"role": "user", "content": [{"type": "document", "data": "AAAA", "title": "t"}]}, "title"),
    ],
)
def test_what_has_no_place_is_refused_or_dropped(message, told, body_of, caplog):
    """Names, cache breakpoints and the like are never lost without a word."""
    with pytest.raises(BadRequestError, match=told):
        body_of(messages=[message])
    with caplog.at_level(logging.WARNING, "liter"):
        assert body_of(messages=[message], unsupported="drop")["contents"]
    assert told in caplog.text


def test_later_models_take_a_resolution_for_each_image(body_of):
    """``detail`` is a part's own resolution from Gemini 3 on."""
    part = {**PICTURE, "image_url": {**PICTURE["image_url"], "detail": "high"}}
    [sent] = body_of(model="gemini-3-flash", messages=[{"role": "user", "content": [part]}])["contents"][0]["parts"]
    assert sent["mediaResolution"] == {"level": "MEDIA_RESOLUTION_HIGH"}


def calling(*calls: ToolCall, **fields: object) -> AssistantMessage:
    """A message that calls tools."""
    return AssistantMessage(tool_calls=list(calls), **fields)


ONE = ToolCall(id="call_1", function=FunctionCall(name="add", arguments='{"a": 1.50}'))
TWO = ToolCall(id="gemini-x-1", function=FunctionCall(name="look", arguments=""))


def test_calls_and_their_results_are_turns_of_their_own(body_of):
    """Results go back together, under their tools' names, as objects; made-up ids do not go at all."""
    messages = [
        {"role": "system", "content": "Be brief."},
        USER,
        calling(ONE, TWO, content="Let me see."),
        ToolMessage(tool_call_id="call_1", content='{"sum": 3}'),
        ToolMessage(tool_call_id="gemini-x-1", content="broken", is_error=True),
        {"role": "system", "content": "Now."},
    ]
    body = body_of(messages=messages)
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert body["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"text": "Let me see."},
                {"functionCall": {"name": "add", "args": {"a": 1.5}, "id": "call_1"}},
                {"functionCall": {"name": "look", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "add", "response": {"sum": 3}, "id": "call_1"}},
                {"functionResponse": {"name": "look", "response": {"error": "broken"}}},
            ],
        },
        {"role": "user", "parts": [{"text": "<system>\nNow.\n</system>"}]},
    ]


def test_calls_of_other_models_get_what_stands_for_a_signature(body_of):
    """Gemini 3 refuses a call that it did not sign, unless it is told that it is another's."""
    parts = body_of(model="gemini-3-pro", messages=[USER, calling(ONE, TWO)])["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [SENTINEL, None]


def test_results_with_images(body_of):
    """Later models take them in the result, earlier ones beside it."""
    result = ToolMessage(tool_call_id="call_1", content=[{"type": "text", "text": "Here:"}, PICTURE])
    picture = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    told = {"name": "add", "response": {"output": "Here:"}, "id": "call_1"}
    messages = [USER, calling(ONE), result]
    assert body_of(messages=messages)["contents"][2]["parts"] == [{"functionResponse": told}, picture]
    [part] = body_of(model="gemini-3-pro", messages=messages)["contents"][2]["parts"]
    assert part == {"functionResponse": {**told, "parts": [picture]}}


def test_pictures_that_another_model_made(body_of):
    """Those that are here go in line, an address is refused."""
    message = AssistantMessage(content="Look.", images=[PICTURE])
    parts = body_of(messages=[USER, message, USER])["contents"][1]["parts"]
    assert parts == [{"text": "Look."}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]
    elsewhere = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    with pytest.raises(BadRequestError, match=r"images\[0\]"):
        body_of(messages=[USER, replace(message, images=[elsewhere]), USER])


def test_a_result_must_say_whose_it_is(body_of):
    """Without the call before it, a result must name its tool."""
    with pytest.raises(BadRequestError, match=r"'call_1'.*name"):
        body_of(messages=[USER, ToolMessage(tool_call_id="call_1", content="x")])
    body = body_of(messages=[USER, ToolMessage(tool_call_id="call_1", content="x", name="add")])
    assert body["contents"][1]["parts"] == [
        {"functionResponse": {"name": "add", "response": {"output": "x"}, "id": "call_1"}}
    ]


@pytest.mark.parametrize("arguments", ["[1]", "{", "nul"])
def test_arguments_must_be_an_object(arguments, body_of):
    """What the model wrote may be no JSON; Gemini cannot be told so."""
    call = ToolCall(id="c", function=FunctionCall(name="f", arguments=arguments))
    with pytest.raises(BadRequestError, match=r"messages\[1\].tool_calls\[0\].*JSON object"):
        body_of(messages=[USER, calling(call)])


BLOCKS = [
    {"text": "Hm.", "thought": True},
    {"text": "Hello"},
    {"functionCall": {"name": "add", "args": {"a": 1.5}}, "thoughtSignature": "c2ln"},
]


def test_native_content_goes_back_unless_it_was_changed(body_of):
    """Signed parts go back as they came, to Gemini alone, and only while the message still says the same."""
    native = NativeContent(provider="gemini", blocks=BLOCKS)
    call = ToolCall(id="gemini-r-0", function=ONE.function)
    message = calling(call, content="Hello", native_content=native)
    result = ToolMessage(tool_call_id="gemini-r-0", content="3")
    turns = body_of(messages=[USER, message, result])["contents"]
    assert turns[1]["parts"] == BLOCKS
    assert turns[2]["parts"] == [{"functionResponse": {"name": "add", "response": {"output": "3"}}}]
    plain = [{"functionCall": {"name": "add", "args": {"a": 1.5}}}]
    for changed, expected in (
        (replace(message, content="***"), [{"text": "***"}, *plain]),
        (replace(message, native_content=replace(native, provider="anthropic")), [{"text": "Hello"}, *plain]),
        (replace(message, tool_calls=None), [{"text": "Hello"}]),
    ):
        assert body_of(messages=[USER, changed])["contents"][1]["parts"] == expected


def test_a_users_message_in_gemini_form(body_of):
    """What OpenAI's parts cannot say (a slice of a video) goes as it is."""
    video = {"fileData": {"fileUri": "gs://b/v.mp4"}, "videoMetadata": {"fps": 2}}
    native = NativeContent(provider="gemini", blocks=[video, {"text": "What is this?"}])
    message = UserMessage(content="What is this?", native_content=native)
    assert body_of(messages=[message])["contents"][0]["parts"] == native.blocks
    changed = replace(message, content="***")
    assert body_of(messages=[changed])["contents"][0]["parts"] == [{"text": "***"}]


def test_extra_fields_are_merged_in_depth(body_of):
    """A setting of Gemini's own stands beside those that have a parameter, and wins over them."""
    body = body_of(
        temperature=1,
        seed=3,
        extra_body={
            "generationConfig": {"topK": 5, "seed": 4},
            "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
            "cachedContent": "cachedContents/x",
        },
    )
    assert body["generationConfig"] == {"temperature": 1, "seed": 4, "topK": 5}
    assert body["safetySettings"] == [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]
    assert body["cachedContent"] == "cachedContents/x"


def test_a_type_as_the_form_of_the_reply(body_of):
    """The schema of a struct is asked for."""

    class Point(msgspec.Struct):
        x: int

    config = body_of(response_format=Point)["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"]["properties"] == {"x": {"type": "integer"}}


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-2.5-flash", "/models/gemini-2.5-flash"),
        ("models/gemini-2.5-flash", "/models/gemini-2.5-flash"),
        ("tunedModels/mine", "/tunedModels/mine"),
        ("../keys?x=#", "/models/..%2Fkeys%3Fx%3D%23"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_the_path_names_the_model_and_the_key_is_in_a_header(model, path, stream, call_of):
    """No name leads elsewhere, and the key is never in the URL."""
    request = ChatCompletionRequest(model=model, messages=[USER])
    made = Gemini().encode(call_of(request, provider="gemini", stream=stream))
    assert made.path == path + (":streamGenerateContent?alt=sse" if stream else ":generateContent")
    assert dict(made.headers)[b"x-goog-api-key"] == b"sk-test"
    assert b"sk-test" not in made.target + made.body


def test_a_conversation_needs_more_than_instructions(body_of):
    """Gemini refuses a request without contents; the error comes before."""
    with pytest.raises(BadRequestError, match="message of the user's"):
        body_of(messages=[{"role": "system", "content": "x"}])

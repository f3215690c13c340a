"""Requests on OpenAI's wire, and whole replies of it and of its imitators."""

import json
from decimal import Decimal

import msgspec
import pytest

from liter._errors import (
    BadRequestError,
    ContentPolicyError,
    EndpointNotSupportedError,
    InvalidHeaderError,
    SerializationError,
)
from liter._http import Headers
from liter._secret import Secret
from liter.providers import OpenAI
from liter.types import (
    Annotation,
    AssistantMessage,
    Audio,
    ChatCompletionRequest,
    ChatCompletionResponse,
    DocumentPart,
    ListModelsRequest,
    NativeContent,
    StreamOptions,
    TextPart,
    ToolCall,
    UserMessage,
)

HELLO = [{"role": "user", "content": "Hello"}]


class City(msgspec.Struct):
    name: str


def body_of(call, provider=None) -> dict[str, object]:
    """The JSON body of a call."""
    return json.loads((provider or OpenAI()).encode(call).body)


def request(**fields: object) -> ChatCompletionRequest:
    """A request with one message."""
    return ChatCompletionRequest(**{"model": "ignored", "messages": HELLO, **fields})


def reply_of(fields: dict[str, object]) -> bytes:
    """A whole reply with one message."""
    message = {"role": "assistant", "content": "Hi"}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return json.dumps({"id": "c", "created": 1, "model": "m", "choices": choices, **fields}).encode()


def test_a_chat_is_posted_with_the_routes_model_and_key(call_of):
    """Model, key and base URL come from the route."""
    sent = OpenAI().encode(call_of(request(), model="gpt"))
    assert (sent.method, sent.base_url, sent.path) == ("POST", "https://provider.example/v1", "/chat/completions")
    assert dict(sent.headers) == {
        b"content-type": b"application/json",
        b"accept": b"application/json",
        b"authorization": b"Bearer sk-test",
    }
    assert json.loads(sent.body) == {"model": "gpt", "messages": HELLO}


def test_without_a_key_there_is_no_header(call_of):
    """Local servers need none."""
    names = [name for name, _ in OpenAI().encode(call_of(request(), api_key=None)).headers]
    assert b"authorization" not in names


@pytest.mark.parametrize("key", ["sk-x\n", "sk x", "schlüssel", "a\x00"])
def test_a_key_that_no_header_carries_is_told_without_showing_it(call_of, key):
    """The error does not hold the key."""
    with pytest.raises(InvalidHeaderError) as caught:
        OpenAI().encode(call_of(request(), api_key=Secret(key)))
    assert key not in str(caught.value)


def test_the_callers_headers_replace_the_codecs(call_of):
    """Headers given on the call come last and win over those of the same name."""
    headers = ((b"authorization", b"Other x"), (b"x-own", b"1"))
    sent = OpenAI().encode(call_of(request(), headers=headers)).headers
    assert sent[-2:] == headers
    assert [name for name, _ in sent].count(b"authorization") == 1


def test_a_stream_asks_for_its_usage(call_of):
    """``stream_options.include_usage`` is on unless the caller said something, or the provider does not know it."""
    assert body_of(call_of(request(), stream=True)) == {
        "stream": True,
        "model": "ignored",
        "messages": HELLO,
        "stream_options": {"include_usage": True},
    }
    own = request(stream_options=StreamOptions(include_obfuscation=False))
    assert body_of(call_of(own, stream=True))["stream_options"] == {"include_obfuscation": False}
    assert "stream_options" not in body_of(call_of(own))
    assert "stream_options" not in body_of(call_of(request(), stream=True), OpenAI(stream_options=False))
    assert dict(OpenAI().encode(call_of(request(), stream=True)).headers)[b"accept"] == b"text/event-stream"


def test_extra_body_wins(call_of):
    """It is merged last and is no field of its own."""
    body = body_of(call_of(request(temperature=1, extra_body={"top_k": 5, "temperature": 0})))
    assert body == {"model": "ignored", "messages": HELLO, "temperature": 0, "top_k": 5}


def test_parameters_are_renamed_where_the_provider_has_other_names(call_of):
    """Only those that were given."""
    mistral = OpenAI(renames={"seed": "random_seed", "max_completion_tokens": "max_tokens"})
    assert body_of(call_of(request(seed=3)), mistral) == {"model": "ignored", "messages": HELLO, "random_seed": 3}
    assert body_of(call_of(request(max_completion_tokens=9)), mistral)["max_tokens"] == 9


def test_a_type_is_sent_as_its_schema(call_of):
    """A response format given as a type is a json_schema on the wire."""
    sent = body_of(call_of(request(response_format=City)))["response_format"]
    assert (sent["type"], sent["json_schema"]["name"], sent["json_schema"]["strict"]) == ("json_schema", "City", True)


def test_what_only_replies_have_is_not_sent_back(call_of):
    """Of a reply's message, text, refusal, calls and the id of its speech go back."""
    message = AssistantMessage(
        content="Hi",
        tool_calls=[ToolCall(id="c")],
        audio=Audio(id="a", data="x", transcript="t", expires_at=1),
        annotations=[Annotation()],
        images=[{}],
        reasoning_content="Hm.",
        reasoning_details=[{}],
        thinking_blocks=[{}],
        tool_plan="Look it up.",
        native_content=NativeContent(provider="p", blocks=[]),
    )
    [sent] = body_of(call_of(request(messages=[message])))["messages"]
    assert sent == {
        "role": "assistant",
        "content": "Hi",
        "tool_calls": [{"id": "c", "type": "function"}],
        "audio": {"id": "a"},
    }


def test_reasoning_goes_back_where_a_provider_wants_it(call_of):
    """Under the name that it has there."""
    message = AssistantMessage(content="Hi", reasoning_content="Hm.", reasoning_details=[{"a": 1}])
    call = call_of(request(messages=[message]))
    [deepseek] = body_of(call, OpenAI(reasoning_field="reasoning_content"))["messages"]
    assert deepseek == {"role": "assistant", "content": "Hi", "reasoning_content": "Hm."}
    [openrouter] = body_of(call, OpenAI(reasoning_field="reasoning"))["messages"]
    assert openrouter == {"role": "assistant", "content": "Hi", "reasoning": "Hm.", "reasoning_details": [{"a": 1}]}


def test_documents_become_files(call_of):
    """Data becomes a data URL with a name, an id stays one, a URL cannot be said."""

    def sent(part: DocumentPart) -> object:
        message = UserMessage(content=[TextPart(text="Read"), part])
        return body_of(call_of(request(messages=[message])))["messages"][0]["content"][1]

    pdf = {"file_data": "data:application/pdf;base64,eA==", "filename": "document.pdf"}
    assert sent(DocumentPart(data="eA==")) == {"type": "file", "file": pdf}
    assert sent(DocumentPart(file_id="f")) == {"type": "file", "file": {"file_id": "f"}}
    with pytest.raises(BadRequestError, match="by url"):
        sent(DocumentPart(url="https://x.example"))


def test_content_in_another_providers_form_is_not_sent(call_of):
    """What only one provider understands stays away from the others, in every role."""
    native = {"provider": "bedrock", "blocks": [{"guardContent": {"text": {"text": "Hi"}}}]}
    messages = [
        {"role": "system", "content": "Hi", "native_content": native},
        {"role": "user", "content": "Hi", "native_content": native},
        {"role": "assistant", "content": "Hi", "native_content": native},
        {"role": "tool", "tool_call_id": "c", "content": "Hi", "native_content": native},
    ]
    request = ChatCompletionRequest(model="m", messages=messages)
    sent = json.loads(OpenAI().encode(call_of(request)).body)["messages"]
    assert [message["content"] for message in sent] == ["Hi"] * 4
    assert not any("native_content" in message for message in sent)


def test_is_error_of_a_tool_is_not_sent(call_of):
    """The wire has no such field."""
    message = {"role": "tool", "tool_call_id": "c", "content": "failed", "is_error": True}
    [sent] = body_of(call_of(request(messages=[message])))["messages"]
    assert sent == {"role": "tool", "tool_call_id": "c", "content": "failed"}


def test_models_are_got(call_of):
    """No body, no content type."""
    sent = OpenAI().encode(call_of(ListModelsRequest(), operation="list_models"))
    assert (sent.method, sent.path, sent.body) == ("GET", "/models", b"")
    assert b"content-type" not in dict(sent.headers)


def test_other_operations_are_refused_before_any_io(call_of):
    """The error tells what there is."""

    class Other(msgspec.Struct):
        pass

    with pytest.raises(EndpointNotSupportedError, match=r"does not offer dance; it offers .*chat, .*completions"):
        OpenAI().encode(call_of(Other(), operation="dance"))


def decode(call_of, body: bytes) -> ChatCompletionResponse:
    """Decode a whole chat reply."""
    return OpenAI().decode(call_of(request()), body)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"{}", b"[]", b'"x"', b"null", b'{"choices": 5}'])
def test_what_is_no_reply_is_told_as_such(call_of, body):
    """A body that cannot be read is an error with the body in it, never an empty reply."""
    with pytest.raises(SerializationError) as caught:
        decode(call_of, body)
    assert caught.value.body == body


def test_an_error_under_a_status_of_success_is_an_error(call_of):
    """Its class depends on what it tells, as ever."""
    with pytest.raises(ContentPolicyError, match="No"):
        decode(call_of, b'{"error": {"message": "No", "code": "content_filter"}}')


def test_nulls_and_odd_types_are_mended(call_of):
    """What imitators send in place of what OpenAI documents."""
    message = {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
            {"type": "text", "text": "Hi"},
        ],
        "tool_calls": [{"id": None, "function": {"name": "f", "arguments": {"x": 1}}}],
        "annotations": None,
    }
    reply = decode(
        call_of,
        reply_of(
            {
                "created": 1.5,
                "choices": [{"index": None, "message": message, "finish_reason": "stop", "logprobs": 0.5}],
                "usage": {
                    "prompt_tokens": "7",
                    "completion_tokens": None,
                    "prompt_tokens_details": {"cached_tokens": {}},
                },
                "system_fingerprint": 5,
            }
        ),
    )
    [choice] = reply.choices
    assert (reply.created, choice.index, choice.logprobs) == (1, 0, None)
    assert (choice.message.content, choice.message.reasoning_content) == ("Hi", "Hm.")
    assert choice.message.tool_calls[0].function.arguments == '{"x":1}'
    assert (choice.finish_reason, choice.native_finish_reason) == ("tool_calls", "stop")
    assert (reply.usage.prompt_tokens, reply.usage.total_tokens) == (7, 7)


def test_content_that_cannot_be_read_is_an_error_and_not_left_out(call_of):
    """Odd labels may go, odd content may not."""
    choices = [{"message": {"content": 5}}]
    with pytest.raises(SerializationError):
        decode(call_of, reply_of({"choices": choices}))


def test_null_choices_are_no_choices(call_of):
    """Some send null, with nothing to say."""
    reply = decode(call_of, b'{"id": "x", "choices": null}')
    assert (reply.choices, reply.text) == ([], "")


def test_reasoning_has_one_name(call_of):
    """``reasoning`` of some providers is ``reasoning_content`` here."""
    choices = [{"message": {"content": "Hi", "reasoning": "Hm."}, "finish_reason": "eos"}]
    [choice] = decode(call_of, reply_of({"choices": choices})).choices
    assert (choice.message.reasoning_content, choice.message.reasoning) == ("Hm.", None)
    assert (choice.finish_reason, choice.native_finish_reason) == ("stop", "eos")


@pytest.mark.parametrize("reason", ["insufficient_system_resource", "error", "something_new"])
def test_unknown_finish_reasons_are_kept(call_of, reason):
    """No word is put for one that OpenAI does not have."""
    choices = [{"message": {"content": "Hi"}, "finish_reason": reason}]
    [choice] = decode(call_of, reply_of({"choices": choices})).choices
    assert (choice.finish_reason, choice.native_finish_reason) == (reason, None)


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        # xAI leaves reasoning out of the completion.
        (
            {
                "prompt_tokens": 12,
                "completion_tokens": 1,
                "total_tokens": 303,
                "prompt_tokens_details": {"cached_tokens": 11},
                "completion_tokens_details": {"reasoning_tokens": 290},
                "cost_in_usd_ticks": 15_000_000,
            },
            (12, 291, 303, 11, 290, Decimal("0.0015")),
        ),
        # OpenAI counts it in.
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 8,
                "total_tokens": 18,
                "completion_tokens_details": {"reasoning_tokens": 5},
            },
            (10, 8, 18, None, 5, None),
        ),
        # DeepSeek, Moonshot, Mistral name the cache their own way.
        ({"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4}, (9, 1, 10, 4, None, None)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": 4}, (9, 1, 10, 4, None, None)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "num_cached_tokens": 4}, (9, 1, 10, 4, None, None)),
        # OpenRouter tells a price, Perplexity an itemised one.
        ({"prompt_tokens": 9, "completion_tokens": 1, "cost": 0.1}, (9, 1, 10, None, None, Decimal("0.1"))),
        ({"prompt_tokens": 9, "completion_tokens": 1, "cost": {"total_cost": 0.5}}, (9, 1, 10, None, None, 0.5)),
    ],
)
def test_usage_has_one_meaning(call_of, usage, told):
    """Prompt, completion, total, cached, reasoning and cost, whoever reports them."""
    made = decode(call_of, reply_of({"usage": usage})).usage
    prompt, completion = made.prompt_tokens_details, made.completion_tokens_details
    assert told == (
        made.prompt_tokens,
        made.completion_tokens,
        made.total_tokens,
        prompt and prompt.cached_tokens,
        completion and completion.reasoning_tokens,
        made.reported_cost,
    )


def test_no_usage_is_unknown_and_not_zero(call_of):
    """``None`` stays ``None``."""
    reply = decode(call_of, reply_of({"usage": None}))
    assert reply.usage is None
    assert OpenAI().usage(call_of(request()), reply) is None


def test_the_request_id_is_found(call_of):
    """Under the names that providers give it."""
    assert OpenAI().request_id(Headers([(b"X-Request-Id", b"r")])) == "r"
    assert OpenAI().request_id(Headers([(b"apim-request-id", b"a")])) == "a"
    assert OpenAI().request_id(Headers()) is None


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        # A binary float of it would be 0.1000000000000000055511151231257827, and a sum of them would show it.
        ('"cost": 0.1', "0.1"),
        ('"cost": 1.2345678901234567890123e-7', "1.2345678901234567890123E-7"),
        ('"cost": 0', "0"),
        ('"cost": {"input_tokens_cost": 0.1, "total_cost": 0.005}', "0.005"),
        ('"cost_in_usd_ticks": 1466250', "0.000146625"),
        ('"estimated_cost": 3e-05', "0.00003"),
        ('"cost": 0.01, "is_byok": true, "cost_details": {"upstream_inference_cost": 0.2}', "0.21"),
        ('"cost": 0.01, "is_byok": false, "cost_details": {"upstream_inference_cost": 0.2}', "0.01"),
        ('"cost": null, "cost_in_usd_ticks": 10', "1E-9"),
        ('"cost": -1', None),
        ('"cost": true', None),
        ('"cost": "free"', None),
    ],
)
def test_reported_costs_keep_their_digits(call_of, text, cost):
    """The provider's own price is read as it is written, without a binary float on the way."""
    usage = '{"prompt_tokens": 9, "completion_tokens": 1, ' + text + "}"
    body = reply_of({}).decode().removesuffix("}") + ', "usage": ' + usage + "}"
    made = decode(call_of, body.encode()).usage
    assert made.reported_cost == (None if cost is None else Decimal(cost))


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        ({"server_tool_use": {"web_search_requests": 2}}, {"web_search_requests": 2}),
        ({"server_tool_use_details": {"web_search_requests": 1}}, {"web_search_requests": 1}),
        ({"num_search_queries": 3}, {"web_search_requests": 3}),
        (
            {"server_side_tool_usage_details": {"web_search_calls": 1, "x_search_calls": 2, "mcp_calls": 0}},
            {"web_search_requests": 1, "x_search_requests": 2},
        ),
        ({}, None),
    ],
)
def test_uses_of_tools_have_one_name(call_of, usage, told):
    """Whoever counts the uses of its tools, they are billed under one name."""
    made = decode(call_of, reply_of({"usage": {"prompt_tokens": 9, "completion_tokens": 1, **usage}})).usage
    assert made.server_tool_use == told


def test_what_research_reads_is_billed_on_top(call_of):
    """Perplexity counts neither thoughts nor citations into the completion, nor into the total."""
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "citation_tokens": 7,
        "reasoning_tokens": 3,
    }
    made = decode(call_of, reply_of({"usage": {**usage, "search_context_size": "low"}})).usage
    details = made.completion_tokens_details
    assert (made.completion_tokens, made.total_tokens, made.search_context_size) == (15, 25, "low")
    assert (details.citation_tokens, details.reasoning_tokens) == (7, 3)


def test_what_is_not_told_is_unknown(call_of):
    """A prompt that is not counted is named; a zero that is told is zero."""
    missing = decode(call_of, reply_of({"usage": {"completion_tokens": 5}})).usage
    zero = decode(call_of, reply_of({"usage": {"prompt_tokens": 0, "completion_tokens": 0}})).usage
    assert missing.unreported == ("prompt_tokens",)
    assert (zero.unreported, zero.total_tokens) == ((), 0)


def test_what_sets_the_price_is_in_the_usage(call_of):
    """The tier beside the usage, seconds of sound, and the kinds of what was cached."""
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 1,
        "prompt_audio_seconds": 2.5,
        "prompt_tokens_details": {
            "cached_tokens": 50,
            "cached_tokens_details": {"audio_tokens": 30, "text_tokens": 20},
        },
    }
    made = decode(call_of, reply_of({"usage": usage, "service_tier": "flex"})).usage
    details = made.prompt_tokens_details
    assert (made.service_tier, made.audio_seconds) == ("flex", Decimal("2.5"))
    assert (details.cached_tokens, details.cached_audio_tokens) == (50, 30)

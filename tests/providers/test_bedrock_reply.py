"""Replies, streams and errors of Bedrock's as OpenAI's."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter._contract import Call, Route
from liter._errors import (
    AuthenticationError,
    BadRequestError,
    ContextWindowExceededError,
    LlmError,
    LlmTimeoutError,
    NotFoundError,
    RateLimitedError,
    SerializationError,
    ServerError,
    ServiceUnavailableError,
    StreamingError,
)
from liter._http import EventHeader, EventMessage, Headers
from liter.providers import Bedrock
from liter.transport import EventStreamDecoder
from liter.transport._eventstream import encode_message
from liter.types import ChatCompletionRequest, PromptTokensDetails, accumulate

SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
PROVIDER = Bedrock()


def call_for(**fields: object) -> Call[object]:
    """A call of Converse."""
    request = ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "Hi"}], **fields)
    route = Route(provider="bedrock", model="m", base_url="https://b.example")
    return Call(operation="chat", request=request, route=route)


CALL = call_for()


def event(name: str, **fields: object) -> EventMessage:
    """An event, padded as Bedrock pads them."""
    headers = (
        EventHeader(":event-type", "string", name),
        EventHeader(":content-type", "string", "application/json"),
        EventHeader(":message-type", "string", "event"),
    )
    return EventMessage(headers, json.dumps({**fields, "p": "abcdefgh"}).encode())


def exception(name: str, **fields: object) -> EventMessage:
    """An exception in the stream."""
    headers = (
        EventHeader(":exception-type", "string", name),
        EventHeader(":content-type", "string", "application/json"),
        EventHeader(":message-type", "string", "exception"),
    )
    return EventMessage(headers, json.dumps(fields).encode())


def start(index: int, **kind: object) -> EventMessage:
    """The start of a block."""
    return event("contentBlockStart", contentBlockIndex=index, start=kind)


def delta(index: int, **kind: object) -> EventMessage:
    """A piece of a block."""
    return event("contentBlockDelta", contentBlockIndex=index, delta=kind)


def close(index: int) -> EventMessage:
    """The end of a block."""
    return event("contentBlockStop", contentBlockIndex=index)


BEGIN = event("messageStart", role="assistant")
USAGE = {"inputTokens": 3, "outputTokens": 288, "totalTokens": 2365, "cacheReadInputTokens": 0}
METADATA = event(
    "metadata",
    usage={**USAGE, "cacheWriteInputTokens": 2074, "cacheDetails": [{"ttl": "1h", "inputTokens": 2000}]},
    metrics={"latencyMs": 5},
    serviceTier={"type": "default"},
)


def stop(reason: str, **fields: object) -> EventMessage:
    """Why the message ends."""
    return event("messageStop", stopReason=reason, **fields)


def joined(*messages: EventMessage, call: Call[object] = CALL, provider: Bedrock = PROVIDER):
    """Decode a stream, and join its chunks."""
    decoder = provider.open_stream(call)
    chunks = [chunk for message in messages for chunk in decoder.feed(message)]
    chunks += decoder.end()
    assert decoder.done
    return accumulate(chunks)


def whole(*blocks: object, reason: str = "end_turn", call: Call[object] = CALL, provider: Bedrock = PROVIDER, **more):
    """Decode a whole reply of these blocks."""
    reply = {"output": {"message": {"role": "assistant", "content": blocks}}, "stopReason": reason, "usage": USAGE}
    return provider.decode(call, json.dumps({**reply, **more}).encode())


THINK_AND_CALL = [
    BEGIN,
    delta(0, reasoningContent={"text": "Hm"}),
    delta(0, reasoningContent={"text": "."}),
    delta(0, reasoningContent={"signature": "c2ln"}),
    close(0),
    delta(1, text="I "),
    delta(1, text="add."),
    close(1),
    start(2, toolUse={"toolUseId": "t1", "name": "add"}),
    delta(2, toolUse={"input": '{"a": 1'}),
    delta(2, toolUse={"input": ', "b": 2}'}),
    close(2),
    start(3, toolUse={"toolUseId": "t2", "name": "now"}),
    close(3),
    stop("tool_use"),
    METADATA,
]


def test_a_stream_of_thoughts_and_calls():
    """Reasoning with its signature, text, calls by an index of their own, and usage in the normal form."""
    reply = joined(*THINK_AND_CALL)
    [choice] = reply.choices
    message = choice.message
    assert (message.reasoning_content, message.content) == ("Hm.", "I add.")
    assert message.thinking_blocks == [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}]
    assert [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls] == [
        ("t1", "add", '{"a": 1, "b": 2}'),
        ("t2", "now", "{}"),
    ]
    assert (choice.finish_reason, choice.native_finish_reason) == ("tool_calls", "tool_use")
    assert message.native_content is None
    usage = reply.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (2077, 288, 2365)
    assert usage.prompt_tokens_details == PromptTokensDetails(
        cached_tokens=0, cache_write_tokens=2074, cache_write_1h_tokens=2000
    )
    assert (reply.service_tier, reply.native) == ("default", {"metrics": {"latencyMs": 5}})
    assert reply.model == "m"


@given(st.lists(st.integers(0), max_size=30))
def test_a_stream_at_any_cuts(places):
    """Where the network cuts makes no difference."""
    data = b"".join(map(encode_message, THINK_AND_CALL))
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    framer = EventStreamDecoder()
    messages = [message for i in range(len(edges) - 1) for message in framer.feed(data[edges[i] : edges[i + 1]])]
    assert joined(*messages) == joined(*THINK_AND_CALL)


def test_hidden_thoughts():
    """They come as Anthropic has them, whole and streamed, wherever the pieces are cut."""
    hidden = base64.b64encode(b"secret").decode()
    block = {"type": "redacted_thinking", "data": "secret"}
    message = whole({"reasoningContent": {"redactedContent": hidden}}, {"text": "So."}).choices[0].message
    assert (message.thinking_blocks, message.native_content) == ([block], None)
    pieces = [base64.b64encode(piece).decode() for piece in (b"secr", b"et")]
    streamed = joined(
        BEGIN,
        *(delta(0, reasoningContent={"redactedContent": piece}) for piece in pieces),
        close(0),
        stop("end_turn"),
        METADATA,
    )
    assert streamed.choices[0].message.thinking_blocks == [block]


def test_a_thought_hidden_in_another_form():
    """One that is not in Anthropic's form is kept as it is."""
    block = {"reasoningContent": {"redactedContent": base64.b64encode(b"\xff\xfe").decode()}}
    message = whole(block, {"text": "So."}).choices[0].message
    assert message.thinking_blocks is None
    assert message.native_content.blocks == [block, {"text": "So."}]


def test_reasoning_that_is_not_signed():
    """It is told, but there is nothing to send back."""
    message = whole({"reasoningContent": {"reasoningText": {"text": "Hm."}}}, {"text": "So."}).choices[0].message
    assert (message.reasoning_content, message.thinking_blocks, message.native_content) == ("Hm.", None, None)


PAGE = {"location": {"web": {"url": "https://w.example", "domain": "w.example"}}, "title": "W"}
PLACE = {
    "title": "policy",
    "location": {"documentChar": {"documentIndex": 0, "start": 0, "end": 5}},
    "sourceContent": [{"text": "Green"}],
}


def test_citations():
    """Web pages and documents, with the text that leans on them; a block without text tells no place."""
    cited = {"citationsContent": {"content": [{"text": "Green."}], "citations": [PLACE]}}
    page = {"citationsContent": {"citations": [PAGE]}}
    message = whole({"text": "It is "}, cited, page).choices[0].message
    assert message.content == "It is Green."
    document, link = message.annotations
    assert (document.document_citation.title, document.document_citation.content["sourceContent"]) == (
        "policy",
        [{"text": "Green"}],
    )
    assert (document.document_citation.start_index, document.document_citation.end_index) == (6, 12)
    assert (link.url_citation.url, link.url_citation.title, link.url_citation.start_index) == (
        "https://w.example",
        "W",
        None,
    )
    assert message.native_content.blocks == [{"text": "It is "}, cited, page]
    streamed = joined(
        BEGIN,
        delta(0, text="It is "),
        close(0),
        delta(1, text="Green."),
        delta(1, citation=PLACE),
        close(1),
        delta(2, citation=PAGE),
        close(2),
        stop("end_turn"),
        METADATA,
    )
    assert streamed.choices[0].message == message


def test_tools_that_bedrock_runs():
    """Their calls are not the caller's to answer; calls and results are kept as they are."""
    use = {"toolUseId": "s", "name": "nova_grounding", "type": "server_tool_use"}
    result = {"toolUseId": "s", "type": "nova_grounding_result", "status": "success"}
    blocks = [
        {"toolUse": {**use, "input": {"q": "x"}}},
        {"toolResult": {**result, "content": [{"text": "a"}, {"json": {"b": 1}}]}},
        {"text": "So."},
    ]
    message = whole(*blocks).choices[0].message
    assert (message.tool_calls, message.native_content.blocks) == (None, blocks)
    streamed = joined(
        BEGIN,
        start(0, toolUse=use),
        delta(0, toolUse={"input": '{"q": "x"}'}),
        close(0),
        start(1, toolResult=result),
        delta(1, toolResult=[{"text": "a"}]),
        delta(1, toolResult=[{"json": {"b": 1}}]),
        close(1),
        delta(2, text="So."),
        close(2),
        stop("end_turn"),
        METADATA,
    )
    assert streamed.choices[0].message == message
    assert streamed.choices[0].finish_reason == "stop"


def test_pictures():
    """They come as image parts, whole and streamed."""
    data = base64.b64encode(b"pixels").decode()
    image = {"type": "image_url", "image_url": {"url": f"data:image/webp;base64,{data}"}}
    block = {"image": {"format": "webp", "source": {"bytes": data}}}
    message = whole(block).choices[0].message
    assert (message.images, message.native_content.blocks) == ([image], [block])
    pieces = [base64.b64encode(piece).decode() for piece in (b"pix", b"els")]
    streamed = joined(
        BEGIN,
        start(0, image={"format": "webp"}),
        *(delta(0, image={"source": {"bytes": piece}}) for piece in pieces),
        close(0),
        stop("end_turn"),
        METADATA,
    )
    assert streamed.choices[0].message == message


def test_blocks_of_an_unknown_kind():
    """They are kept as they are, put together as far as can be known."""
    block = {"hologram": {"id": "h", "data": "abcd", "points": [1, 2]}}
    message = whole({"text": "See"}, block).choices[0].message
    assert (message.content, message.native_content.blocks) == ("See", [{"text": "See"}, block])
    streamed = joined(
        BEGIN,
        delta(0, text="See"),
        close(0),
        start(1, hologram={"id": "h"}),
        delta(1, hologram={"data": "ab", "points": [1]}),
        delta(1, hologram={"data": "cd", "points": [2]}),
        close(1),
        event("somethingNew", a=1),
        stop("end_turn"),
        METADATA,
    )
    assert streamed.choices[0].message == message


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("malformed_tool_use", "malformed_tool_use"),
        ("brand_new", "brand_new"),
    ],
)
def test_why_a_reply_ended(reason, finish):
    """OpenAI's word for it, and Bedrock's own where there is none: never a stop that was none."""
    assert whole({"text": "x"}, reason=reason).choices[0].finish_reason == finish
    streamed = joined(BEGIN, delta(0, text="x"), close(0), stop(reason), METADATA)
    assert (streamed.choices[0].finish_reason, streamed.choices[0].native_finish_reason) == (finish, reason)


def test_calls_under_a_stop():
    """A reply with calls to answer says so, whatever its reason."""
    call = {"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}
    assert whole(call).choices[0].finish_reason == "tool_calls"


def test_the_stop_sequence_and_the_trace():
    """They are told where the request asked for them."""
    fields = {"additionalModelResponseFields": {"stop_sequence": "END"}, "trace": {"guardrail": {"actionReason": "x"}}}
    reply = whole({"text": "x"}, reason="stop_sequence", **fields)
    assert (reply.choices[0].stop_sequence, reply.native) == ("END", fields)
    streamed = joined(
        BEGIN,
        delta(0, text="x"),
        stop("stop_sequence", additionalModelResponseFields={"stop_sequence": "END"}),
        event("metadata", usage=USAGE, trace=fields["trace"]),
    )
    assert (streamed.choices[0].stop_sequence, streamed.native) == ("END", fields)


def test_the_id_of_the_request_is_that_of_the_reply():
    """Bedrock gives its replies no other."""
    headers = Headers([(b"x-amzn-requestid", b"r1")])
    body = json.dumps({"output": {"message": {"content": [{"text": "x"}]}}, "stopReason": "end_turn"}).encode()
    reply = PROVIDER.decode(CALL, body, headers)
    assert (reply.id, reply.usage) == ("r1", None)


def test_json_of_a_schema_by_a_tool():
    """The arguments of its call are the reply's text, whole and streamed; other calls stay calls."""
    provider, call = Bedrock(structured_output="tool"), call_for(response_format=SCHEMA)
    answer = {"toolUse": {"toolUseId": "t", "name": "answer", "input": {"a": 1}}}
    other = {"toolUse": {"toolUseId": "u", "name": "f", "input": {}}}
    reply = whole(answer, reason="tool_use", call=call, provider=provider)
    assert (reply.text, reply.choices[0].message.tool_calls, reply.choices[0].finish_reason) == (
        '{"a":1}',
        None,
        "stop",
    )
    reply = whole(other, reason="tool_use", call=call, provider=provider)
    assert (reply.text, reply.choices[0].finish_reason) == ("", "tool_calls")
    streamed = joined(
        BEGIN,
        start(0, toolUse={"toolUseId": "t", "name": "answer"}),
        delta(0, toolUse={"input": '{"a"'}),
        delta(0, toolUse={"input": ": 1}"}),
        close(0),
        stop("tool_use"),
        METADATA,
        call=call,
        provider=provider,
    )
    assert (streamed.text, streamed.choices[0].finish_reason) == ('{"a": 1}', "stop")
    assert streamed.choices[0].message.native_content is None


def test_a_stream_that_ends_too_early():
    """Without a stop reason it is an error; without metadata the usage is unknown."""
    decoder = PROVIDER.open_stream(CALL)
    for message in THINK_AND_CALL[:-2]:
        decoder.feed(message)
    with pytest.raises(StreamingError, match="messageStop never came"):
        decoder.end()
    reply = joined(BEGIN, delta(0, text="x"), stop("end_turn", additionalModelResponseFields={"a": 1}))
    assert (reply.text, reply.usage) == ("x", None)
    assert reply.native == {"additionalModelResponseFields": {"a": 1}}


def test_arguments_that_were_cut():
    """They are told as far as they came, and kept as nothing in Bedrock's own form."""
    reply = joined(
        BEGIN,
        start(0, toolUse={"toolUseId": "t", "name": "f"}),
        delta(0, toolUse={"input": '{"a": "b'}),
        stop("max_tokens"),
        METADATA,
    )
    assert reply.choices[0].message.tool_calls[0].function.arguments == '{"a": "b'
    assert reply.choices[0].finish_reason == "length"


def test_the_first_message_is_bookkeeping():
    """A refusal may still come after the role, and not after the first words."""
    decoder = PROVIDER.open_stream(CALL)
    [role] = decoder.feed(BEGIN)
    [words] = decoder.feed(delta(0, text="x"))
    assert (decoder.opening(role), decoder.opening(words)) == (True, False)


def test_a_whole_body_in_place_of_a_stream():
    """It is one chunk, or the error that it tells of."""
    decoder = PROVIDER.open_stream(CALL)
    body = {"output": {"message": {"content": [{"text": "Hi"}]}}, "stopReason": "end_turn", "usage": USAGE}
    chunks = decoder.whole(json.dumps(body).encode())
    assert accumulate(chunks).text == "Hi"
    assert decoder.done
    assert decoder.usage.completion_tokens == 288
    with pytest.raises(LlmError, match="no tokens"):
        PROVIDER.open_stream(CALL).whole(b'{"message": "no tokens"}')


@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b'{"output": ', b"\xff"])
def test_a_body_that_cannot_be_read(body):
    """It is told as such."""
    with pytest.raises(SerializationError, match="the reply is not a message"):
        PROVIDER.decode(CALL, body)
    with pytest.raises(StreamingError, match="cannot be read"):
        PROVIDER.open_stream(CALL).feed(EventMessage(event("x").headers, body))


@pytest.mark.parametrize(
    ("usage", "known"),
    [
        ({"inputTokens": 1}, False),
        ({"inputTokens": "one", "outputTokens": 2}, False),
        ({"inputTokens": "1", "outputTokens": 2.0}, True),
        ({"inputTokens": -1, "outputTokens": 2}, False),
        (None, False),
        ([], False),
        ({"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}, True),
    ],
)
def test_usage_without_its_counts_is_unknown(usage, known):
    """And never zero."""
    assert (whole({"text": "x"}, usage=usage).usage is not None) is known


@pytest.mark.parametrize(
    ("name", "fields", "kind"),
    [
        ("throttlingException", {"message": "Too many requests"}, RateLimitedError),
        ("serviceUnavailableException", {"message": "x"}, ServiceUnavailableError),
        ("internalServerException", {"message": "x"}, ServerError),
        ("validationException", {"message": "x"}, BadRequestError),
        ("validationException", {"message": "Input is too long for requested model."}, ContextWindowExceededError),
        ("modelTimeoutException", {"message": "x"}, LlmTimeoutError),
        ("modelStreamErrorException", {"message": "x"}, ServerError),
        ("modelStreamErrorException", {"message": "x", "originalStatusCode": 429}, RateLimitedError),
        ("modelStreamErrorException", {"message": "x", "originalStatusCode": 400}, BadRequestError),
        ("brandNewException", {"message": "x"}, ServerError),
    ],
)
def test_exceptions_in_a_stream(name, fields, kind):
    """Each is the error that the same failure is before a stream."""
    with pytest.raises(LlmError) as caught:
        joined(BEGIN, delta(0, text="x"), exception(name, **fields))
    error = caught.value
    assert type(error) is kind
    assert (error.code, error.message, error.status, error.provider) == (name, fields["message"], None, "bedrock")


def test_an_error_without_a_payload():
    """Its words are in a header."""
    headers = (
        EventHeader(":message-type", "string", "error"),
        EventHeader(":error-code", "string", "ThrottlingException"),
        EventHeader(":error-message", "string", "Slow down"),
    )
    with pytest.raises(RateLimitedError, match="Slow down") as caught:
        joined(EventMessage(headers))
    assert caught.value.code == "ThrottlingException"


@pytest.mark.parametrize(
    ("status", "name", "words", "kind"),
    [
        (400, "ValidationException", "x", BadRequestError),
        (400, "ValidationException", "The provided model identifier is invalid.", NotFoundError),
        (400, "ValidationException", "prompt is too long: 9 > 8", ContextWindowExceededError),
        (400, "ServiceQuotaExceededException", "x", RateLimitedError),
        (403, "AccessDeniedException", "x", AuthenticationError),
        (403, "ExpiredTokenException", "x", AuthenticationError),
        (403, "InvalidSignatureException", "Signature expired", AuthenticationError),
        (404, "ResourceNotFoundException", "x", NotFoundError),
        (408, "ModelTimeoutException", "x", LlmTimeoutError),
        (424, "ModelErrorException", "x", ServerError),
        (429, "ThrottlingException", "Too many tokens, please wait", RateLimitedError),
        (429, "ModelNotReadyException", "x", RateLimitedError),
        (500, "InternalServerException", "x", ServerError),
        (503, "ServiceUnavailableException", "x", ServiceUnavailableError),
    ],
)
@pytest.mark.parametrize("where", ["header", "body"])
def test_errors(status, name, words, kind, where):
    """AWS names them in a header, with an address behind, or in the body, with a namespace before."""
    headers = Headers(
        [(b"x-amzn-requestid", b"r1")]
        + ([(b"x-amzn-errortype", f"{name}:http://internal.amazon.com/".encode())] if where == "header" else [])
    )
    told = {"message": words} if where == "header" else {"__type": f"com.amazon.coral#{name}", "Message": words}
    error = PROVIDER.error(CALL, status, headers, json.dumps(told).encode())
    assert type(error) is kind
    assert (error.code, error.message, error.status, error.request_id) == (name, words, status, "r1")
    assert not (name == "ServiceQuotaExceededException" and error.retryable)


def test_an_error_of_the_model_behind():
    """Its own status decides."""
    body = json.dumps({"message": "x", "originalStatusCode": 429}).encode()
    error = PROVIDER.error(CALL, 424, Headers([(b"x-amzn-errortype", b"ModelErrorException")]), body)
    assert (type(error), error.status) == (RateLimitedError, 424)


NAMES = ["output", "message", "content", "text", "toolUse", "toolUseId", "name", "input", "type", "reasoningContent"]
NAMES += ["reasoningText", "signature", "citationsContent", "citations", "location", "web", "url", "usage", "source"]
NAMES += ["inputTokens", "outputTokens", "cacheDetails", "stopReason", "start", "delta", "contentBlockIndex", "role"]
NAMES += ["citation", "toolResult", "image", "bytes", "trace", "serviceTier"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(NAMES),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    ),
    st.sampled_from(
        ["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"]
    ),
)
def test_json_of_any_form(tree, name):
    """Whatever a reply or an event holds, it is read or an LlmError."""
    body = json.dumps(tree).encode()
    decoder = PROVIDER.open_stream(CALL)
    for attempt in (
        lambda: PROVIDER.decode(CALL, body),
        lambda: decoder.feed(EventMessage(event(name).headers, body)),
        lambda: decoder.feed(close(0)),
        lambda: decoder.feed(stop("end_turn")),
        lambda: PROVIDER.error(CALL, 400, Headers(), body),
    ):
        try:
            attempt()
        except LlmError:
            pass

"""Replies and streams on Gemini's wire."""

import json
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter._contract import Call, Route
from liter._errors import (
    AuthenticationError,
    ContextWindowExceededError,
    LlmError,
    NotFoundError,
    RateLimitedError,
    SerializationError,
    ServiceUnavailableError,
    StreamingError,
)
from liter._http import Headers, ServerSentEvent
from liter.providers import Gemini
from liter.transport import SSEDecoder
from liter.types import ChatCompletionRequest, accumulate

REQUEST = ChatCompletionRequest(model="gemini-3-pro", messages=[{"role": "user", "content": "Hi"}])
CALL = Call(
    operation="chat",
    request=REQUEST,
    route=Route(provider="gemini", model="gemini-3-pro", base_url="https://provider.example"),
    stream=True,
)
GEMINI = Gemini()


def reply(*parts: dict[str, object], finish: str | None = "STOP", **fields: object) -> dict[str, object]:
    """A reply with one candidate."""
    candidate = {"index": 0, "content": {"role": "model", "parts": list(parts)}, **fields.pop("candidate", {})}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "g", "responseId": "r1", **fields}


def streamed(*documents: object):
    """What a stream of documents amounts to."""
    decoder = GEMINI.open_stream(CALL)
    chunks = [
        chunk for document in documents for chunk in decoder.feed(ServerSentEvent(data=json.dumps(document).encode()))
    ]
    chunks += decoder.end()
    assert decoder.done
    return accumulate(chunks)


def whole(document: object):
    """What a document is decoded to."""
    return GEMINI.decode(CALL, json.dumps(document).encode())


VECTOR = (
    b'data: {"candidates":[{"content":{"role":"model","parts":[{"text":"Sum","thought":true}]},"index":0}],'
    b'"usageMetadata":{"promptTokenCount":8,"thoughtsTokenCount":20,"totalTokenCount":28},'
    b'"modelVersion":"g","responseId":"r1"}\r\n\r\n'
    b'data: {"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"add","args":{"a":1}},'
    b'"thoughtSignature":"c2ln"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":8,'
    b'"candidatesTokenCount":5,"thoughtsTokenCount":20,"totalTokenCount":33},"modelVersion":"g","responseId":"r1"}'
    b"\r\n\r\n"
)


def decoded(pieces: list[bytes]):
    """What a stream amounts to that comes in pieces."""
    framing, decoder = SSEDecoder(), GEMINI.open_stream(CALL)
    chunks = [chunk for piece in pieces for event in framing.feed(piece) for chunk in decoder.feed(event)]
    return accumulate([*chunks, *decoder.end()])


def test_a_stream_whole_and_byte_by_byte():
    """A thought, a signed call with a made-up id, and all classes of usage."""
    told = decoded([VECTOR])
    assert decoded([VECTOR[place : place + 1] for place in range(len(VECTOR))]) == told
    [choice] = told.choices
    [call] = choice.message.tool_calls
    assert (call.id, call.function.name, call.function.arguments) == ("gemini-r1-0", "add", '{"a":1}')
    assert choice.message.reasoning_content == "Sum"
    assert choice.finish_reason == "tool_calls"
    assert choice.native_finish_reason == "STOP"
    assert choice.message.native_content.blocks == [
        {"text": "Sum", "thought": True},
        {"functionCall": {"name": "add", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
    ]
    assert (told.usage.prompt_tokens, told.usage.completion_tokens) == (8, 25)
    assert told.usage.completion_tokens_details.reasoning_tokens == 20


@given(st.lists(st.integers(0, len(VECTOR)), max_size=12))
def test_a_stream_at_any_cuts(cuts):
    """Where the pieces end makes no difference."""
    places = [0, *sorted(cuts), len(VECTOR)]
    pieces = [VECTOR[start:end] for start, end in pairwise(places)]
    assert decoded(pieces) == decoded([VECTOR])


def test_text_that_goes_on_is_one_part():
    """Pieces of text are one part of the native form, until one is signed or of another kind."""
    told = streamed(
        reply({"text": "Hm", "thought": True}, finish=None),
        reply({"text": ".", "thought": True}, finish=None),
        reply({"text": "He"}, finish=None),
        reply({"text": "llo"}),
        reply({"text": "", "thoughtSignature": "c2ln"}),
    )
    message = told.choices[0].message
    assert message.native_content.blocks == [
        {"text": "Hm.", "thought": True},
        {"text": "Hello"},
        {"text": "", "thoughtSignature": "c2ln"},
    ]
    assert message.thinking_blocks == [{"text": "Hm.", "thought": True}]
    assert (message.content, message.reasoning_content) == ("Hello", "Hm.")


def test_what_openais_form_says_needs_no_other():
    """Thoughts, text and calls that nobody signed go back as they stand."""
    told = whole(reply({"text": "Hm", "thought": True}, {"text": "Hi"}, {"functionCall": {"name": "f"}}))
    message = told.choices[0].message
    assert message.native_content is None
    assert message.tool_calls[0].function.arguments == "{}"


@pytest.mark.parametrize(
    ("native", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("MODEL_ARMOR", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "MALFORMED_FUNCTION_CALL"),
        ("UNEXPECTED_TOOL_CALL", "UNEXPECTED_TOOL_CALL"),
        ("LANGUAGE", "LANGUAGE"),
        ("SOMETHING_NEW", "SOMETHING_NEW"),
        (1, "stop"),
        (2, "length"),
        (17, "17"),
    ],
)
def test_reasons_to_stop(native, finish):
    """What has no word in OpenAI's form keeps Gemini's: it is never told as a stop."""
    for told in (whole(reply({"text": "x"}, finish=native)), streamed(reply({"text": "x"}, finish=native))):
        assert told.choices[0].finish_reason == finish
        assert told.text == "x"


def test_a_filtered_reply_says_why():
    """The message of a filter is the reply's refusal."""
    told = whole({"candidates": [{"finishReason": "SAFETY", "finishMessage": "Not this."}]})
    assert told.choices[0].message.refusal == "Not this."


@pytest.mark.parametrize("read", [whole, streamed])
def test_a_blocked_prompt_is_a_refusal(read):
    """It has no candidates, and is billed all the same."""
    feedback = {"blockReason": "PROHIBITED_CONTENT", "safetyRatings": [{"category": "X"}]}
    told = read({"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 5}})
    [choice] = told.choices
    assert (choice.finish_reason, choice.native_finish_reason) == ("content_filter", "PROHIBITED_CONTENT")
    assert choice.message.refusal == "the prompt was blocked: PROHIBITED_CONTENT"
    assert told.native["promptFeedback"] == feedback
    assert (told.usage.prompt_tokens, told.usage.completion_tokens) == (5, 0)


def test_several_candidates():
    """Each is a choice of its own, with its own calls and its own reason."""
    first = {"candidates": [{"index": 1, "content": {"parts": [{"text": "B"}]}}]}
    second = {
        "candidates": [
            {"content": {"parts": [{"functionCall": {"name": "f"}}]}, "finishReason": "STOP"},
            {"finishReason": "MAX_TOKENS"},
        ]
    }
    told = streamed(first, second)
    assert [(choice.index, choice.message.content, choice.finish_reason) for choice in told.choices] == [
        (0, None, "tool_calls"),
        (1, "B", "length"),
    ]


@pytest.mark.parametrize("read", [whole, streamed])
def test_usage_in_all_its_classes(read):
    """Prompts of tools are input, thoughts are output, and kinds of content are told apart."""
    told = read(
        reply(
            {"text": "x"},
            usageMetadata={
                "promptTokenCount": 100,
                "cachedContentTokenCount": 40,
                "toolUsePromptTokenCount": 7,
                "candidatesTokenCount": 20,
                "thoughtsTokenCount": 30,
                "totalTokenCount": 157,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 60},
                    {"modality": "IMAGE", "tokenCount": 30},
                    {"modality": "DOCUMENT", "tokenCount": 10},
                ],
                "cacheTokensDetails": [{"modality": "IMAGE", "tokenCount": 25}],
                "toolUsePromptTokensDetails": [{"modality": "TEXT", "tokenCount": "7"}],
                "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 20}],
                "trafficType": "ON_DEMAND_FLEX",
            },
        )
    )
    usage = told.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (107, 50, 157)
    details = usage.prompt_tokens_details
    assert (details.cached_tokens, details.text_tokens, details.image_tokens) == (40, 67, 30)
    assert details.cached_image_tokens == 25
    assert usage.completion_tokens_details.audio_tokens == 20
    assert told.service_tier == usage.service_tier == "flex"
    assert told.native["usageMetadata"]["promptTokensDetails"][2]["modality"] == "DOCUMENT"


def test_a_count_that_is_missing():
    """One is what the total leaves; without a total it is not known, and says so."""
    told = whole(reply({"text": "x"}, usageMetadata={"thoughtsTokenCount": 5, "totalTokenCount": 12}))
    assert (told.usage.prompt_tokens, told.usage.completion_tokens, told.usage.unreported) == (7, 5, ())
    told = whole(reply({"text": "x"}, usageMetadata={"promptTokenCount": 5, "totalTokenCount": 12}))
    assert (told.usage.prompt_tokens, told.usage.completion_tokens) == (5, 7)
    told = whole(reply({"text": "x"}, usageMetadata={"candidatesTokenCount": 5}))
    assert (told.usage.completion_tokens, told.usage.unreported) == (5, ("prompt_tokens",))
    assert whole(reply({"text": "x"}, usageMetadata={"trafficType": "ON_DEMAND"})).usage is None


def test_searches_are_billed_by_reply_or_by_search():
    """Up to Gemini 2.5 a grounded reply costs once, later each search does."""
    grounding = {"candidate": {"groundingMetadata": {"webSearchQueries": ["a", "b"]}}}
    counts = {"usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}}
    for model, searches in (("gemini-2.5-flash", 1), ("gemini-3-pro", 2)):
        told = whole({**reply({"text": "x"}, **grounding), **counts, "modelVersion": model})
        assert told.usage.server_tool_use == {"web_search_requests": searches}


def test_places_of_sources_are_characters():
    """Gemini counts bytes; a document without an address is cited as one."""
    text = "Zürich ist schön."
    metadata = {
        "groundingChunks": [
            {"web": {"uri": "https://a.example", "title": "A"}},
            {"retrievedContext": {"title": "B", "text": "..."}},
            {"web": {"uri": "https://c.example"}},
        ],
        "groundingSupports": [
            {"segment": {"endIndex": 7, "text": "Zürich"}, "groundingChunkIndices": [0, 9]},
            {"segment": {"startIndex": 12, "endIndex": 18, "text": "schön"}, "groundingChunkIndices": [1]},
        ],
    }
    told = streamed(
        reply({"text": text[:3]}, finish=None), reply({"text": text[3:]}, candidate={"groundingMetadata": metadata})
    )
    page, document, unused = told.choices[0].message.annotations
    assert (page.url_citation.url, page.url_citation.title) == ("https://a.example", "A")
    assert text[page.url_citation.start_index : page.url_citation.end_index] == "Zürich"
    cited = document.document_citation
    assert (cited.title, text[cited.start_index : cited.end_index]) == ("B", "schön")
    assert (unused.url_citation.url, unused.url_citation.start_index) == ("https://c.example", None)
    assert told.native["candidates"] == [{"index": 0, "groundingMetadata": metadata}]


def test_sources_that_count_from_elsewhere():
    """The words of a segment find its place, where its numbers do not."""
    support = {"segment": {"startIndex": 50, "endIndex": 55, "text": "schön"}, "groundingChunkIndices": [0]}
    metadata = {"groundingChunks": [{"web": {"uri": "https://a.example"}}], "groundingSupports": [support] * 2000}
    text = "Zürich ist schön." * 10
    notes = whole(reply({"text": text}, candidate={"groundingMetadata": metadata})).choices[0].message.annotations
    assert (notes[0].url_citation.start_index, notes[0].url_citation.end_index) == (11, 16)
    assert len(notes) == 2000
    assert notes[-1].url_citation.start_index is None


def test_pictures_and_sound():
    """They are the message's images and audio, and go back in the native form."""
    told = whole(
        reply(
            {"inlineData": {"mimeType": "image/png", "data": "AAAA"}, "thoughtSignature": "c2ln"},
            {"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": "BBBB"}},
        )
    )
    message = told.choices[0].message
    assert message.images == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    assert message.audio.data == "BBBB"
    assert len(message.native_content.blocks) == 2


def test_arguments_that_come_value_by_value():
    """Texts grow, lists and objects are built, and the native form is that of a whole call."""

    def piece(path: str, **value: object) -> dict[str, object]:
        return {"partialArgs": [{"jsonPath": path, **value}], "willContinue": True}

    calls = [
        {"name": "f", "id": "i", "willContinue": True},
        piece("$.a.b[0]", stringValue="x", willContinue=True),
        piece("$.a.b[0]", stringValue="y"),
        piece("$.a.b[1]", numberValue=2),
        piece("$['odd name']", boolValue=True),
        piece('$["n"]', nullValue=None),
        piece("nowhere", stringValue="lost"),
        {},
        {"name": "g", "args": {"z": 1}},
    ]
    told = streamed(*[reply({"functionCall": call}, finish=None) for call in calls], reply())
    first, second = told.choices[0].message.tool_calls
    assert (first.id, second.id) == ("i", "gemini-r1-1")
    arguments = {"a": {"b": ["xy", 2]}, "odd name": True, "n": None}
    assert json.loads(first.function.arguments) == arguments
    assert json.loads(second.function.arguments) == {"z": 1}
    assert told.choices[0].finish_reason == "tool_calls"


def test_arguments_that_contradict_each_other_break_the_stream():
    """A value cannot hold others."""
    decoder = GEMINI.open_stream(CALL)
    pieces = [{"jsonPath": "$.a", "numberValue": 1}, {"jsonPath": "$.a.b", "numberValue": 2}]
    data = json.dumps(reply({"functionCall": {"name": "f", "partialArgs": pieces}})).encode()
    with pytest.raises(StreamingError, match="argument"):
        decoder.feed(ServerSentEvent(data=data))


def test_a_far_index_costs_nothing():
    """A list is as long as what came of it."""
    pieces = [{"jsonPath": "$.a[999999999]", "numberValue": 1}]
    told = whole(reply({"functionCall": {"name": "f", "partialArgs": pieces}}))
    assert json.loads(told.choices[0].message.tool_calls[0].function.arguments) == {"a": [1]}


def test_a_stream_without_a_reason_broke_off():
    """A stream that ends before a reason came is an error, with what had come."""
    decoder = GEMINI.open_stream(CALL)
    decoder.feed(ServerSentEvent(data=json.dumps(reply({"text": "x"}, finish=None)).encode()))
    assert not decoder.done
    with pytest.raises(StreamingError, match="no finish reason"):
        decoder.end()


def test_an_array_in_place_of_a_stream():
    """Without ``alt=sse`` the events are the items of one array."""
    decoder = GEMINI.open_stream(CALL)
    body = json.dumps([reply({"text": "He"}, finish=None), reply({"text": "llo"})]).encode()
    assert accumulate(decoder.whole(body)).text == "Hello"
    assert decoder.done
    assert list(decoder.end()) == []


def test_events_that_lost_the_line_between_them():
    """Some proxies drop empty lines: the documents are told apart all the same."""
    decoder = GEMINI.open_stream(CALL)
    data = b"\n".join(json.dumps(reply({"text": text})).encode() for text in "ab")
    assert accumulate([*decoder.feed(ServerSentEvent(data=data)), *decoder.end()]).text == "ab"


OVERLOAD = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}


def test_errors_under_a_status_of_success():
    """In a stream, in an array, or alone."""
    decoder = GEMINI.open_stream(CALL)
    with pytest.raises(ServiceUnavailableError, match="overloaded"):
        decoder.feed(ServerSentEvent(data=json.dumps(OVERLOAD).encode()))
    for body in (OVERLOAD, [OVERLOAD]):
        with pytest.raises(ServiceUnavailableError):
            whole(body)
        with pytest.raises(ServiceUnavailableError):
            GEMINI.open_stream(CALL).whole(json.dumps(body).encode())


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"[]", b"[" * 5000, b"<html>", b'{"candidates"', b'"x"'])
def test_what_is_no_reply_cannot_be_read(body):
    """It is an error that says so."""
    with pytest.raises(SerializationError, match="generateContent"):
        GEMINI.decode(CALL, body)


def failure(code: int, status: str, message: str = "m", *details: dict[str, object]) -> bytes:
    """An error as Google tells it."""
    return json.dumps(
        {"error": {"code": code, "message": message, "status": status, "details": list(details)}}
    ).encode()


def quota(name: str) -> dict[str, object]:
    """A limit that was passed."""
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": name}]}


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}
INVALID_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
EXCEEDED = "You exceeded your current quota, please check your plan and billing details."


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, failure(400, "INVALID_ARGUMENT", "API key not valid.", INVALID_KEY), AuthenticationError),
        (401, failure(401, "UNAUTHENTICATED"), AuthenticationError),
        (403, failure(403, "PERMISSION_DENIED"), AuthenticationError),
        (404, failure(404, "NOT_FOUND"), NotFoundError),
        (
            400,
            failure(
                400,
                "INVALID_ARGUMENT",
                "The input token count (9) exceeds the maximum number of tokens allowed (8).",
            ),
            ContextWindowExceededError,
        ),
        (503, failure(503, "UNAVAILABLE"), ServiceUnavailableError),
        (429, b"[" + failure(429, "RESOURCE_EXHAUSTED") + b"]", RateLimitedError),
    ],
)
def test_errors_by_their_status(status, body, kind):
    """The class of an error is that of the fact."""
    error = GEMINI.error(CALL, status, Headers(), body)
    assert type(error) is kind
    assert error.status == status


@pytest.mark.parametrize(
    ("limit", "daily"),
    [
        ("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", False),
        ("GenerateRequestsPerDayPerProjectPerModel-FreeTier", True),
    ],
)
def test_a_daily_quota_is_not_waited_for(limit, daily):
    """The delay that comes with it is told, and trying again today would not help."""
    error = GEMINI.error(CALL, 429, Headers(), failure(429, "RESOURCE_EXHAUSTED", EXCEEDED, quota(limit), RETRY))
    assert isinstance(error, RateLimitedError)
    assert error.retry_after == pytest.approx(34.07)
    assert (error.quota_exhausted, error.retryable) == (daily, not daily)


WORDS = """
    candidates content parts text thought thoughtSignature functionCall name args id partialArgs jsonPath
    stringValue willContinue inlineData mimeType data finishReason index groundingMetadata groundingChunks web uri
    groundingSupports segment startIndex endIndex groundingChunkIndices citationMetadata citations logprobsResult
    chosenCandidates topCandidates token logProbability usageMetadata promptTokenCount totalTokenCount
    promptTokensDetails modality tokenCount promptFeedback blockReason error details retryDelay violations
"""
NAMES = st.sampled_from(WORDS.split())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def survives(data: bytes, *, stream: bool) -> None:
    """Read a body as what it may be: nothing but an LlmError may come out."""
    assert isinstance(GEMINI.error(CALL, 400, Headers(), data), LlmError)
    try:
        decoded([data]) if stream else GEMINI.decode(CALL, data)
    except LlmError:
        pass


@given(JSON)
def test_any_json_is_a_reply_or_an_error(document):
    """Fields of any form, missing and unknown ones."""
    for candidate in (document, {"candidates": [document]}, {"candidates": [{"content": {"parts": [document]}}]}):
        data = json.dumps(candidate).encode()
        survives(data, stream=False)
        survives(b"data: " + data + b"\r\n\r\n", stream=True)


def test_mutated_recordings_are_replies_or_errors(recordings):
    """Bytes that changed, went or came twice on the way."""
    rng = random.Random(4)
    for number, record in enumerate(recordings("gemini", "generate_content")):
        body = record["response_body"].encode()
        if number % 3 or len(body) > 50_000:
            continue
        data = bytearray(body)
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(data))
            data[place : place + rng.choice((0, 1, 30))] = rng.choice(
                (b"", b"\xff", b'"', b"{", b"null", bytes(data[place // 2 : place // 2 + 20]))
            )
        survives(bytes(data), stream=body.startswith(b"data:"))

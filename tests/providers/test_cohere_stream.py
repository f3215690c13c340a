"""Cohere's streams and replies as ours, where recordings show too little."""

import json

import pytest

from liter._errors import (
    AuthenticationError,
    LlmError,
    RateLimitedError,
    SerializationError,
    ServerError,
    StreamingError,
)
from liter._http import Headers, ServerSentEvent
from liter.providers import known_providers
from liter.types import ChatCompletionRequest, accumulate

PROVIDER = known_providers()["cohere"]


@pytest.fixture
def call(call_of):
    """A call of a chat."""
    return call_of(
        ChatCompletionRequest(model="command", messages=[{"role": "user", "content": "x"}]), provider="cohere"
    )


def events(*told):
    """Events of a stream."""
    return [ServerSentEvent(data=json.dumps(one).encode(), event=one.get("type", "message")) for one in told]


def message(kind, index=None, **fields):
    """One event that adds to the message."""
    return {"type": kind, "index": index, "delta": {"message": fields}}


def decoded(call, *told):
    """The joined reply of a stream."""
    decoder = PROVIDER.open_stream(call)
    return accumulate([chunk for event in events(*told) for chunk in decoder.feed(event)] + list(decoder.end()))


START = {"type": "message-start", "id": "i", "delta": {"message": {"role": "assistant", "content": []}}}
USAGE = {"tokens": {"input_tokens": 2, "output_tokens": 1}}
END = {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": USAGE}}
SAID = (
    message("content-start", 0, content={"type": "text", "text": ""}),
    message("content-delta", 0, content={"text": "Hi"}),
)


def test_calls_keep_their_order_and_what_their_start_says(call):
    """Arguments of the first event count; the end brings the reason."""

    def begun(index, call_id, arguments):
        function = {"name": "f", "arguments": arguments}
        return message("tool-call-start", index, tool_calls={"id": call_id, "type": "function", "function": function})

    reply = decoded(
        call,
        START,
        begun(0, "a", '{"x":'),
        message("tool-call-delta", 0, tool_calls={"function": {"arguments": "1}"}}),
        {"type": "tool-call-end", "index": 0},
        begun(1, "b", "{}"),
        END,
    )
    [choice] = reply.choices
    assert [(one.id, one.function.arguments) for one in choice.message.tool_calls] == [("a", '{"x":1}'), ("b", "{}")]
    assert (choice.finish_reason, choice.native_finish_reason) == ("tool_calls", "COMPLETE")


def test_citations_count_from_the_whole_text(call):
    """Of the block they are in, and of those before it; pages have an address; the message goes back as it was."""
    citation = {"start": 0, "end": 2, "text": "yo", "content_index": 2, "type": "TEXT_CONTENT", "sources": [
        {"type": "tool", "id": "t:0", "tool_output": {"url": "https://p", "title": "P"}},
        {"type": "document", "id": "d", "document": {"id": "d", "text": "yo"}},
    ]}  # fmt: skip
    plan = {"start": 0, "end": 1, "text": "p", "type": "PLAN", "sources": [{"type": "tool", "id": "t:0"}]}
    blocks = [
        {"type": "thinking", "thinking": "Hm."},
        {"type": "text", "text": "Hi "},
        {"type": "text", "text": "yo"},
    ]
    whole = {"id": "i", "message": {"content": blocks, "citations": [citation, plan]}, "finish_reason": "COMPLETE"}
    streamed = decoded(
        call,
        START,
        *(message("content-start", index, content=block) for index, block in enumerate(blocks)),
        message("citation-start", 0, citations=citation),
        {"type": "citation-end", "index": 0},
        message("citation-start", 1, citations=plan),
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}},
    )
    for reply in (PROVIDER.decode(call, json.dumps(whole).encode(), Headers()), streamed):
        [page, document] = reply.choices[0].message.annotations
        assert (page.type, page.url_citation.url, page.url_citation.title) == ("url_citation", "https://p", "P")
        assert (page.url_citation.start_index, page.url_citation.end_index) == (3, 5)
        assert (document.type, document.document_citation.id) == ("document_citation", "d")
        assert document.document_citation.content == {"id": "d", "text": "yo"}
        assert reply.choices[0].message.native_content.blocks == [{"content": blocks, "citations": [citation, plan]}]
        assert reply.usage is None


def test_a_block_of_a_new_kind_goes_back(call):
    """What OpenAI's form cannot say is kept in Cohere's."""
    block = {"type": "image", "image": {"url": "https://i"}}
    whole = {"id": "i", "message": {"content": [block]}, "finish_reason": "COMPLETE"}
    streamed = decoded(call, START, message("content-start", 0, content=block), END)
    for reply in (PROVIDER.decode(call, json.dumps(whole).encode(), Headers()), streamed):
        assert reply.choices[0].message.native_content.blocks == [{"content": [block]}]


def test_an_event_of_a_new_kind_is_passed_on(call):
    """Its data is in the chunk."""
    [event] = events({"type": "debug", "prompt": "p"})
    decoder = PROVIDER.open_stream(call)
    [chunk] = decoder.feed(event)
    assert (chunk.choices, json.loads(chunk.raw)) == ([], {"type": "debug", "prompt": "p"})
    assert decoder.opening(chunk)


def test_what_comes_one_by_one_may_come_in_lists(call):
    """As in a reply that is not streamed."""
    function = {"name": "f", "arguments": "{}"}
    reply = decoded(
        call,
        START,
        message("content-delta", 0, content=[{"text": "Hi"}]),
        message("tool-call-start", 0, tool_calls=[{"id": "a", "function": function}]),
        END,
    )
    assert (reply.text, reply.choices[0].message.tool_calls[0].function.name) == ("Hi", "f")


@pytest.mark.parametrize("reason", ["ERROR", "TIMEOUT"])
def test_a_failure_is_no_proper_end(call, reason):
    """Without a word on what went wrong, the provider's own word stays; with one, it is an error."""
    end = {"type": "message-end", "delta": {"finish_reason": reason}}
    assert decoded(call, START, *SAID, end).choices[0].finish_reason == reason
    whole = {"id": "i", "message": {"content": []}, "finish_reason": reason}
    assert PROVIDER.decode(call, json.dumps(whole).encode(), Headers()).choices[0].finish_reason == reason
    end["delta"]["error"] = "the model is overloaded"
    with pytest.raises(LlmError, match="overloaded") as caught:
        decoded(call, START, *SAID, end)
    assert json.loads(caught.value.body) == end


def test_an_error_among_the_events(call):
    """Under its own name, or none."""
    for event in (
        ServerSentEvent(data=b'{"message": "internal server error"}', event="error"),
        ServerSentEvent(data=b"something broke", event="error"),
        ServerSentEvent(data=b'{"id": "i", "message": "internal server error"}', event="message"),
    ):
        with pytest.raises(ServerError):
            PROVIDER.open_stream(call).feed(event)


def test_a_stream_that_is_cut(call):
    """Is no reply."""
    decoder = PROVIDER.open_stream(call)
    for event in events(START, *SAID):
        decoder.feed(event)
    with pytest.raises(StreamingError, match="message-end never came"):
        decoder.end()


def test_a_whole_reply_in_place_of_a_stream(call):
    """Is one chunk, and the end."""
    decoder = PROVIDER.open_stream(call)
    body = {"id": "i", "message": {"content": [{"type": "text", "text": "Hi"}]}, "finish_reason": "MAX_TOKENS"}
    [chunk] = decoder.whole(json.dumps(body).encode())
    assert (chunk.text, chunk.choices[0].finish_reason, decoder.done) == ("Hi", "length", True)
    assert decoder.end() == ()


def test_warnings_stay_with_the_reply(call):
    """As the provider's own fields."""
    body = {"id": "i", "message": {"content": []}, "meta": {"warnings": ["model is deprecated"]}}
    assert PROVIDER.decode(call, json.dumps(body).encode(), Headers()).native == {"meta": body["meta"]}


@pytest.mark.parametrize(
    ("usage", "prompt", "completion", "billed"),
    [
        ({"billed_units": {"input_tokens": 2, "output_tokens": 1}}, 2, 1, {"input_tokens": 2, "output_tokens": 1}),
        ({"billed_units": {"input_tokens": None}, "tokens": {"input_tokens": 5.0, "output_tokens": 1.0}}, 5, 1, None),
    ],
)
def test_usage(call, usage, prompt, completion, billed):
    """Where what the model saw is not told, what is billed is the best there is."""
    body = {"id": "i", "message": {"content": []}, "usage": usage}
    told = PROVIDER.decode(call, json.dumps(body).encode(), Headers()).usage
    assert (told.prompt_tokens, told.completion_tokens, told.billed_units) == (prompt, completion, billed)


def test_what_is_no_reply(call):
    """No JSON of that form; an error under a status of success."""
    with pytest.raises(SerializationError):
        PROVIDER.decode(call, b"[]", Headers())
    with pytest.raises(ServerError, match="went wrong"):
        PROVIDER.decode(call, b'{"message": "something went wrong"}', Headers())


def test_a_trial_key(call):
    """Its monthly calls do not come back soon, those of a minute do."""
    words = "You are using a Trial key, which is limited to %s. You can continue to use the Trial key for free"
    for limit, exhausted in (("10 API calls / minute", False), ("1000 API calls / month", True)):
        error = PROVIDER.error(call, 429, Headers(), json.dumps({"message": words % limit}).encode())
        assert isinstance(error, RateLimitedError)
        assert error.quota_exhausted is exhausted


def test_a_token_that_is_invalid(call):
    """Has a status of Cohere's own."""
    assert isinstance(PROVIDER.error(call, 498, Headers(), b'{"message": "invalid token"}'), AuthenticationError)

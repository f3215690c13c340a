"""Streams on OpenAI's wire."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter._contract import Call, Route
from liter._errors import ContentPolicyError, LlmError, RateLimitedError, ServerError, StreamingError
from liter._http import ServerSentEvent
from liter.providers import OpenAI
from liter.types import ChatCompletionRequest, accumulate

DONE = ServerSentEvent(data=b"[DONE]")


def decoder_of():
    """A decoder of a fresh stream."""
    request = ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "Hi"}])
    route = Route(provider="openai", model="m", base_url="https://provider.example/v1")
    return OpenAI().open_stream(Call(operation="chat", request=request, route=route, stream=True))


def event(fields: dict[str, object], name: str = "message") -> ServerSentEvent:
    """An event of JSON."""
    return ServerSentEvent(data=json.dumps(fields).encode(), event=name)


def delta(finish_reason: str | None = None, index: int = 0, **fields: object) -> ServerSentEvent:
    """An event with one choice."""
    return event({"id": "c", "choices": [{"index": index, "delta": fields, "finish_reason": finish_reason}]})


def test_events_become_chunks_that_keep_their_bytes():
    """One chunk for each event, none for the end marker."""
    decoder = decoder_of()
    first = delta(content="Hel")
    [chunk] = decoder.feed(first)
    assert (chunk.text, chunk.raw) == ("Hel", first.data)
    assert not decoder.done
    assert decoder.feed(DONE) == ()
    assert decoder.done
    assert decoder.end() == ()


@pytest.mark.parametrize("marker", [b"[DONE]", b"[DONE] ", b" [DONE]"])
def test_blanks_around_the_end_marker_do_not_matter(marker):
    """Some gateways pad it."""
    decoder = decoder_of()
    assert decoder.feed(ServerSentEvent(data=marker)) == ()
    assert decoder.done


def test_a_finish_reason_and_the_end_of_the_body_are_an_end():
    """Imitators that never send [DONE]."""
    decoder = decoder_of()
    decoder.feed(delta(content="Hi"))
    decoder.feed(delta(finish_reason="stop"))
    assert decoder.end() == ()
    assert decoder.done


@pytest.mark.parametrize(
    "events",
    [
        [],
        [delta(content="Hi")],
        [delta(index=0), delta(index=1), delta(index=0, finish_reason="stop")],
    ],
)
def test_a_stream_without_an_end_is_truncated(events):
    """No marker, and a choice without finish reason."""
    decoder = decoder_of()
    for one in events:
        decoder.feed(one)
    with pytest.raises(StreamingError, match="before its end"):
        decoder.end()


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"error": {"message": "No", "code": "content_filter"}}, ContentPolicyError),
        ({"error": {"message": "Slow down", "code": 429}}, RateLimitedError),
        ({"error": {"message": "Oops", "type": "server_error"}}, ServerError),
        ({"error": "overloaded", "choices": []}, ServerError),
        (
            {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}], "error": {"code": 502}},
            ServerError,
        ),
        ({"message": "broken"}, ServerError),
    ],
)
def test_an_error_in_the_stream_is_classified(fields, kind):
    """By code, as outside of streams."""
    decoder = decoder_of()
    decoder.feed(delta(content="Hi"))
    with pytest.raises(LlmError) as caught:
        decoder.feed(event(fields))
    assert type(caught.value) is kind
    assert caught.value.body


def test_an_error_event_is_an_error_whatever_its_data():
    """LM Studio names the event and sends text."""
    with pytest.raises(ServerError, match="it broke"):
        decoder_of().feed(ServerSentEvent(data=b"it broke", event="error"))


@pytest.mark.parametrize("data", [b"", b"{", b"hello", b"[1]", b'{"choices": 3}', b"\xff"])
def test_what_is_no_chunk_breaks_the_stream(data):
    """The form of the stream is broken, and the error has the data."""
    with pytest.raises(StreamingError) as caught:
        decoder_of().feed(ServerSentEvent(data=data))
    assert caught.value.body == data


def test_usage_is_known_as_soon_as_it_is_told():
    """Also where it comes without choices, or with each chunk."""
    decoder = decoder_of()
    decoder.feed(
        event({"choices": [{"delta": {"content": "x"}}], "usage": {"prompt_tokens": 3, "completion_tokens": 1}})
    )
    assert decoder.usage.total_tokens == 4
    [chunk] = decoder.feed(event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "cost": 0.5}}))
    assert (decoder.usage.total_tokens, decoder.usage.reported_cost) == (5, 0.5)
    assert chunk.usage is decoder.usage


def test_roles_and_filter_results_are_opening():
    """Text, calls, reasoning, an end or usage are not."""
    decoder = decoder_of()
    opening = [
        delta(role="assistant"),
        delta(role="assistant", content=""),
        event({"choices": [], "prompt_filter_results": []}),
    ]
    meaningful = [
        delta(content="x"),
        delta(reasoning="x"),
        delta(tool_calls=[{"index": 0}]),
        delta(refusal="x"),
        delta(finish_reason="stop"),
        event({"choices": [], "usage": {"prompt_tokens": 1}}),
    ]
    assert [decoder.opening(chunk) for one in opening for chunk in decoder.feed(one)] == [True] * 3
    assert [decoder.opening(chunk) for one in meaningful for chunk in decoder.feed(one)] == [False] * 6


def test_stop_after_calls_is_tool_calls():
    """As in whole replies; the provider's own word is kept."""
    decoder = decoder_of()
    decoder.feed(delta(tool_calls=[{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]))
    [chunk] = decoder.feed(delta(finish_reason="stop"))
    assert (chunk.choices[0].finish_reason, chunk.choices[0].native_finish_reason) == ("tool_calls", "stop")


def test_a_whole_reply_in_place_of_a_stream_is_one_chunk():
    """With all that the reply says."""
    message = {
        "content": "Hi",
        "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}],
        "refusal": "N",
    }
    body = json.dumps(
        {
            "id": "c",
            "choices": [{"message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2},
        }
    ).encode()
    decoder = decoder_of()
    chunks = decoder.whole(body)
    assert decoder.done
    assert decoder.usage.total_tokens == 3
    assert decoder.end() == ()
    reply = accumulate(chunks)
    request = ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "Hi"}])
    route = Route(provider="openai", model="m", base_url="https://provider.example/v1")
    whole = OpenAI().decode(Call(operation="chat", request=request, route=route), body)
    assert (reply.choices, reply.usage, reply.id) == (whole.choices, whole.usage, whole.id)


def test_an_error_in_place_of_a_stream_is_classified():
    """A body of JSON under a status of success."""
    with pytest.raises(RateLimitedError):
        decoder_of().whole(b'{"error": {"message": "x", "code": "rate_limit_exceeded"}}')


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "content", "index"]), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(["id", "choices", "usage", "error", "created", "model", "message"])


@given(
    st.dictionaries(NAMES, JSON) | st.fixed_dictionaries({"choices": st.lists(st.fixed_dictionaries({"delta": JSON}))})
)
def test_any_json_is_chunks_or_an_llm_error(fields):
    """Nothing else is raised, whatever the event says."""
    try:
        chunks = decoder_of().feed(event(fields))
    except LlmError:
        return
    accumulate(chunks)


@given(st.binary())
def test_any_bytes_are_chunks_or_an_llm_error(data):
    """Nothing else is raised, for events and for whole bodies."""
    for read in (lambda: decoder_of().feed(ServerSentEvent(data=data)), lambda: decoder_of().whole(data)):
        try:
            read()
        except LlmError:
            continue

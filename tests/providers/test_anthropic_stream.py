"""Streams of Anthropic's as OpenAI's chunks."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter._contract import Call, Route
from liter._errors import LlmError, RateLimitedError, ServerError, ServiceUnavailableError, StreamingError
from liter._http import ServerSentEvent
from liter.providers import Anthropic
from liter.types import ChatCompletionChunk, ChatCompletionRequest, accumulate

ROUTE = Route(provider="anthropic", model="m", base_url="https://provider.example/v1")
CALL = Call(
    operation="chat",
    request=ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "Hi"}]),
    route=ROUTE,
    stream=True,
)


def event(kind: str, **fields: object) -> ServerSentEvent:
    """An event, padded as Anthropic pads some."""
    return ServerSentEvent(data=json.dumps({"type": kind, **fields}).encode() + b"   ", event=kind)


def start(**usage: object) -> ServerSentEvent:
    """The first event of a message."""
    told = {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 1, **usage}
    return event("message_start", message={"id": "msg", "model": "claude", "content": [], "usage": told})


def block(index: int, **fields: object) -> ServerSentEvent:
    """The start of a block."""
    return event("content_block_start", index=index, content_block=fields)


def delta(index: int, kind: str, **fields: object) -> ServerSentEvent:
    """A piece of a block."""
    return event("content_block_delta", index=index, delta={"type": kind, **fields})


def close(index: int) -> ServerSentEvent:
    """The end of a block."""
    return event("content_block_stop", index=index)


def finish(reason: str, **fields: object) -> ServerSentEvent:
    """Why the message ends, and the usage."""
    return event(
        "message_delta", delta={"stop_reason": reason, "stop_sequence": None, **fields}, usage={"output_tokens": 42}
    )


STOP = event("message_stop")
PING = event("ping")

THINK_AND_CALL = [
    start(),
    block(0, type="thinking", thinking="", signature=""),
    delta(0, "thinking_delta", thinking="Hm."),
    delta(0, "signature_delta", signature="c2ln"),
    close(0),
    block(1, type="tool_use", id="toolu_1", name="add", input={}),
    PING,
    delta(1, "input_json_delta", partial_json='{"a": 1'),
    delta(1, "input_json_delta", partial_json=', "b": 2}'),
    close(1),
    finish("tool_use"),
    STOP,
]


def chunks_of(events: list[ServerSentEvent]) -> list[ChatCompletionChunk]:
    """All chunks of a stream, to its end."""
    decoder = Anthropic().open_stream(CALL)
    return [*(chunk for one in events for chunk in decoder.feed(one)), *decoder.end()]


def test_thinking_and_a_call():
    """The documented example: reasoning with its signature, a call with index 0, usage in the normal form."""
    reply = accumulate(chunks_of(THINK_AND_CALL))
    [choice] = reply.choices
    [call] = choice.message.tool_calls
    assert (call.id, call.function.name, call.function.arguments) == ("toolu_1", "add", '{"a": 1, "b": 2}')
    assert (choice.finish_reason, choice.native_finish_reason) == ("tool_calls", "tool_use")
    assert choice.message.reasoning_content == "Hm."
    assert choice.message.thinking_blocks == [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}]
    assert choice.message.native_content is None
    usage = reply.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (100, 42, 142)
    assert usage.prompt_tokens_details.cached_tokens == 90
    assert (reply.id, reply.model) == ("msg", "claude")


def test_a_stream_without_its_start_tells_what_it_does_not_know():
    """llama.cpp leaves message_start out at times: the output is known, and the prompt is unknown, not empty."""
    decoder = Anthropic().open_stream(CALL)
    for one in THINK_AND_CALL[1:]:
        decoder.feed(one)
    assert decoder.usage.completion_tokens == 42
    assert decoder.usage.unreported == ("prompt_tokens",)


def test_the_shape_of_the_chunks_is_openais():
    """The role once and first; then a chunk with the reason; then one with usage and no choices."""
    chunks = chunks_of(THINK_AND_CALL)
    assert [chunk.choices[0].delta.role for chunk in chunks[:-1]] == ["assistant"] + [None] * (len(chunks) - 2)
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 2) + ["tool_calls"]
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], 142)
    assert all(json.loads(chunk.raw)["type"] for chunk in chunks)


def test_usage_is_known_from_the_first_event_on():
    """A stream that is cut has its prompt's tokens."""
    decoder = Anthropic().open_stream(CALL)
    assert decoder.usage is None
    decoder.feed(start())
    assert (decoder.usage.prompt_tokens, decoder.usage.completion_tokens) == (100, 1)
    decoder.feed(
        event("message_delta", delta={"stop_reason": "end_turn"}, usage={"input_tokens": 20, "output_tokens": 5})
    )
    assert (decoder.usage.prompt_tokens, decoder.usage.completion_tokens) == (110, 5)


def test_calls_are_counted_apart_from_blocks_and_always_have_arguments():
    """The second call is number 1, and an input that nothing was told of is an empty object."""
    reply = accumulate(
        chunks_of(
            [
                start(),
                block(0, type="text", text="Well, "),
                delta(0, "text_delta", text="so:"),
                close(0),
                block(1, type="tool_use", id="a", name="f", input={}),
                close(1),
                block(2, type="tool_use", id="b", name="g", input={"x": 1}),
                delta(2, "input_json_delta", partial_json=""),
                close(2),
                finish("tool_use"),
                STOP,
            ]
        )
    )
    message = reply.choices[0].message
    assert message.content == "Well, so:"
    assert [(call.id, call.function.arguments) for call in message.tool_calls] == [("a", "{}"), ("b", '{"x":1}')]


def test_citations_become_annotations_and_are_kept():
    """Offsets count from the text's start; the blocks are kept as they are."""
    page = {"type": "web_search_result_location", "url": "https://x.example", "title": "X", "cited_text": "c"}
    where = {"type": "char_location", "document_index": 0}
    message = (
        accumulate(
            chunks_of(
                [
                    start(),
                    block(0, type="text", text=""),
                    delta(0, "text_delta", text="See "),
                    close(0),
                    block(1, type="text", text="", citations=[]),
                    delta(1, "citations_delta", citation=page),
                    delta(1, "citations_delta", citation=where),
                    delta(1, "text_delta", text="this"),
                    close(1),
                    finish("end_turn"),
                    STOP,
                ]
            )
        )
        .choices[0]
        .message
    )
    note, document = message.annotations
    assert document.document_citation.content == where
    assert (document.document_citation.start_index, document.document_citation.end_index) == (4, 8)
    cited = note.url_citation
    assert (cited.url, cited.title, cited.start_index, cited.end_index) == ("https://x.example", "X", 4, 8)
    assert message.native_content.blocks == [
        {"type": "text", "text": "See "},
        {"type": "text", "text": "this", "citations": [page, where]},
    ]


def test_blocks_of_the_providers_own_tools_are_kept():
    """With their input, and in order."""
    message = accumulate(
        chunks_of(
            [
                start(),
                block(0, type="server_tool_use", id="s", name="web_search", input={}),
                delta(0, "input_json_delta", partial_json='{"query": "x"}'),
                close(0),
                block(1, type="web_search_tool_result", tool_use_id="s", content=[]),
                close(1),
                finish("pause_turn", container={"id": "c"}),
                STOP,
            ]
        )
    )
    assert message.choices[0].message.native_content.blocks == [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
    ]
    assert (message.choices[0].finish_reason, message.choices[0].message.tool_calls) == ("pause_turn", None)
    assert message.native == {"container": {"id": "c"}}


def test_a_refusal_has_its_explanation():
    """And is what OpenAI calls a content filter."""
    details = {"type": "refusal", "explanation": "No."}
    [choice] = accumulate(chunks_of([start(), finish("refusal", stop_details=details), STOP])).choices
    assert (choice.finish_reason, choice.message.refusal) == ("content_filter", "No.")


def test_a_stop_sequence_is_told():
    """Which of them ended the text."""
    [choice] = accumulate(chunks_of([start(), finish("stop_sequence", stop_sequence="END"), STOP])).choices
    assert (choice.finish_reason, choice.stop_sequence) == ("stop", "END")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("overloaded_error", ServiceUnavailableError),
        ("rate_limit_error", RateLimitedError),
        ("api_error", ServerError),
        ("something_new", ServerError),
    ],
)
def test_an_error_in_the_stream_is_classified(kind, error):
    """By its type."""
    decoder = Anthropic().open_stream(CALL)
    decoder.feed(start())
    with pytest.raises(LlmError, match="Oh") as caught:
        decoder.feed(event("error", error={"type": kind, "message": "Oh"}))
    assert type(caught.value) is error


@pytest.mark.parametrize("count", range(len(THINK_AND_CALL) - 2))
def test_a_stream_that_is_cut_is_truncated(count):
    """After each event but those that end it; what came before is kept."""
    decoder = Anthropic().open_stream(CALL)
    chunks = [chunk for one in THINK_AND_CALL[:count] for chunk in decoder.feed(one)]
    with pytest.raises(StreamingError, match="before its end"):
        decoder.end()
    assert not decoder.done
    assert accumulate(chunks).usage is None


def test_a_stream_that_told_its_reason_has_ended():
    """Where only message_stop is missing, the usage still comes."""
    chunks = chunks_of(THINK_AND_CALL[:-1])
    assert chunks[-1].usage.total_tokens == 142


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'"x"', b'{"type": "content_block_delta", "index": [1], "delta": 5']
)
def test_what_is_no_event_breaks_the_stream(data):
    """The error has the data."""
    with pytest.raises(StreamingError) as caught:
        Anthropic().open_stream(CALL).feed(ServerSentEvent(data=data))
    assert caught.value.body == data


def test_unknown_events_and_deltas_do_no_harm():
    """New ones may come at any time."""
    extra = [
        event("something_new", index=0),
        delta(0, "new_delta", words="x"),
        delta(9, "input_json_delta", partial_json="x"),
    ]
    assert accumulate(chunks_of([*THINK_AND_CALL[:2], *extra, *THINK_AND_CALL[2:]])) == accumulate(
        chunks_of(THINK_AND_CALL)
    )


def test_the_first_event_is_opening():
    """An overload told after it is still a refusal; a thought is not bookkeeping."""
    decoder = Anthropic().open_stream(CALL)
    opening = [decoder.opening(chunk) for one in THINK_AND_CALL[:3] for chunk in decoder.feed(one)]
    assert opening == [True, False]


WHOLE = {
    "id": "msg",
    "type": "message",
    "model": "claude",
    "content": [{"type": "text", "text": "Hi"}, {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}],
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 1, "output_tokens": 2},
}


def test_a_whole_message_in_place_of_a_stream_is_one_chunk():
    """With all that the message says."""
    body = json.dumps(WHOLE).encode()
    decoder = Anthropic().open_stream(CALL)
    reply = accumulate(decoder.whole(body))
    assert decoder.done
    assert decoder.usage.total_tokens == 3
    assert reply == Anthropic().decode(CALL, body)


def test_an_error_in_place_of_a_message_is_classified():
    """Whole bodies, too."""
    with pytest.raises(ServiceUnavailableError):
        Anthropic().open_stream(CALL).whole(b'{"type": "error", "error": {"type": "overloaded_error", "message": "x"}}')


@given(st.data(), st.text(min_size=1), st.text(min_size=1), st.dictionaries(st.text(), st.integers()))
def test_how_deltas_are_split_does_not_matter(data, text, thought, arguments):
    """The accumulated reply depends on what was said, not on its pieces."""

    def pieces(whole: str, split: bool) -> list[str]:
        if not split:
            return [whole]
        places = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=4)))
        return [whole[start:end] for start, end in zip([0, *places], [*places, len(whole)], strict=True)]

    def stream(split: bool) -> list[ServerSentEvent]:
        return [
            start(),
            block(0, type="thinking", thinking=""),
            *(delta(0, "thinking_delta", thinking=piece) for piece in pieces(thought, split)),
            *(delta(0, "signature_delta", signature=piece) for piece in pieces("signature", split)),
            close(0),
            block(1, type="text", text=""),
            *(delta(1, "text_delta", text=piece) for piece in pieces(text, split)),
            close(1),
            block(2, type="tool_use", id="a", name="f", input={}),
            *(delta(2, "input_json_delta", partial_json=piece) for piece in pieces(json.dumps(arguments), split)),
            close(2),
            finish("tool_use"),
            STOP,
        ]

    reply = accumulate(chunks_of(stream(split=True)))
    assert reply == accumulate(chunks_of(stream(split=False)))
    message = reply.choices[0].message
    assert (message.content, message.reasoning_content) == (text, thought)
    assert json.loads(message.tool_calls[0].function.arguments) == arguments


@given(st.binary())
def test_any_bytes_are_chunks_or_an_llm_error(data):
    """Nothing else is raised, for events and for whole bodies."""
    for read in (
        lambda: Anthropic().open_stream(CALL).feed(ServerSentEvent(data=data)),
        lambda: Anthropic().open_stream(CALL).whole(data),
    ):
        try:
            read()
        except LlmError:
            continue

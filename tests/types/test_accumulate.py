"""A stream's chunks joined are the reply that the call would have had without a stream."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from liter.types import (
    Annotation,
    Audio,
    ChatCompletionChunk,
    ChunkChoice,
    CustomCallDelta,
    Delta,
    FunctionCall,
    FunctionCallDelta,
    Logprobs,
    TokenLogprob,
    ToolCallDelta,
    UrlCitation,
    Usage,
    accumulate,
)


def chunk(delta: Delta, index: int = 0, finish_reason: str | None = None, **fields: object) -> ChatCompletionChunk:
    """A chunk with one choice."""
    return ChatCompletionChunk(choices=[ChunkChoice(index=index, delta=delta, finish_reason=finish_reason)], **fields)


def call(index: int | None, call_id: str | None = None, name: str | None = None, arguments: str | None = None) -> Delta:
    """A piece of a tool call."""
    function = FunctionCallDelta(name=name, arguments=arguments)
    return Delta(tool_calls=[ToolCallDelta(index=index, id=call_id, function=function)])


def calls(*deltas: Delta) -> list[tuple[str, str, str]]:
    """The calls of a stream, as id, name and arguments."""
    [choice] = accumulate([chunk(delta) for delta in deltas]).choices
    return [(one.id, one.function.name, one.function.arguments) for one in choice.message.tool_calls]


def test_nothing_makes_an_empty_reply():
    """No chunks: no choices, no usage."""
    reply = accumulate([])
    assert reply.choices == []
    assert reply.usage is None


def test_facts_and_text_are_joined():
    """Id and model are the first, tier and usage the last, text is joined."""
    first, last = Usage(prompt_tokens=1), Usage(prompt_tokens=2)
    reply = accumulate(
        [
            chunk(Delta(role="assistant", content=""), id="a", model="m", created=5, usage=first),
            chunk(Delta(content="Hel"), id="b", service_tier="flex"),
            chunk(Delta(content="lo", refusal="N"), finish_reason="stop", service_tier="default"),
            chunk(Delta(refusal="o", reasoning_content="Hm.")),
            ChatCompletionChunk(usage=last, system_fingerprint="fp"),
        ]
    )
    [choice] = reply.choices
    assert (reply.id, reply.model, reply.created, reply.service_tier) == ("a", "m", 5, "default")
    assert (reply.usage, reply.system_fingerprint) == (last, "fp")
    assert (choice.message.content, choice.message.refusal, choice.finish_reason) == ("Hello", "No", "stop")
    assert choice.message.reasoning_content == "Hm."


def test_choices_interleave():
    """With n > 1 each choice gets its own text, in the order of their indices."""
    reply = accumulate([chunk(Delta(content="b1"), 1), chunk(Delta(content="a1")), chunk(Delta(content="b2"), 1)])
    assert [(choice.index, choice.message.content) for choice in reply.choices] == [(0, "a1"), (1, "b1b2")]


def test_an_absent_text_stays_absent():
    """A reply of tool calls alone has no content, one with an empty text has an empty one."""
    assert accumulate([chunk(call(0, "c", "f", "{}"))]).choices[0].message.content is None
    assert accumulate([chunk(Delta(content=""))]).choices[0].message.content == ""


def test_fragments_of_calls_are_joined_by_index():
    """Two calls whose fragments interleave."""
    assert calls(
        call(0, "a", "f", ""),
        call(1, "b", "g", "["),
        call(0, arguments='{"x"'),
        call(1, arguments="]"),
        call(0, arguments=":1}"),
    ) == [("a", "f", '{"x":1}'), ("b", "g", "[]")]


def test_calls_without_an_index_begin_with_an_id():
    """Where no index is told, an id begins a call and what has none goes on with the last."""
    assert calls(call(None, "a", "f", "1"), call(None, None, None, "2"), call(None, "b", "g", "3")) == [
        ("a", "f", "12"),
        ("b", "g", "3"),
    ]


def test_whole_calls_that_all_have_index_0_stay_apart():
    """An index used again with another id and a name is another call."""
    assert calls(call(0, "a", "f", "{}"), call(0, "b", "f", "{}")) == [("a", "f", "{}"), ("b", "f", "{}")]


def test_repeated_ids_and_names_count_once():
    """Some providers repeat id and name in every fragment, or send an empty id."""
    assert calls(call(0, "a", "f", "{"), call(0, "a", "f", "}"), call(0, "", None, " ")) == [("a", "f", "{} ")]


def test_calls_of_custom_tools_and_the_old_form_are_joined():
    """Custom tools have text, function_call has no id."""
    custom = [
        Delta(tool_calls=[ToolCallDelta(index=0, id="c", type="custom", custom=CustomCallDelta(name="t", input="a"))])
    ]
    custom.append(Delta(tool_calls=[ToolCallDelta(index=0, custom=CustomCallDelta(input="b"))]))
    [choice] = accumulate([chunk(delta) for delta in custom]).choices
    [made] = choice.message.tool_calls
    assert (made.type, made.custom.name, made.custom.input) == ("custom", "t", "ab")
    old = [
        Delta(function_call=FunctionCallDelta(name="f", arguments="{")),
        Delta(function_call=FunctionCallDelta(arguments="}")),
    ]
    [choice] = accumulate([chunk(delta) for delta in old]).choices
    assert choice.message.function_call == FunctionCall("f", "{}")


def test_log_probabilities_annotations_and_blocks_are_collected():
    """Lists grow in the order of the events."""
    note = Annotation(url_citation=UrlCitation(url="https://x.example"))
    tokens = [TokenLogprob(token=str(number)) for number in range(3)]
    reply = accumulate(
        [
            ChatCompletionChunk(
                choices=[ChunkChoice(logprobs=Logprobs(content=tokens[:2]), delta=Delta(annotations=[note]))]
            ),
            ChatCompletionChunk(
                choices=[ChunkChoice(logprobs=Logprobs(content=tokens[2:]), delta=Delta(images=[{"a": 1}]))]
            ),
            chunk(Delta(thinking_blocks=[{"type": "thinking"}], tool_plan="Look ")),
            chunk(Delta(tool_plan="it up.")),
        ]
    )
    [choice] = reply.choices
    assert choice.logprobs == Logprobs(content=tokens)
    assert (choice.message.annotations, choice.message.images) == ([note], [{"a": 1}])
    assert choice.message.thinking_blocks == [{"type": "thinking"}]
    assert choice.message.tool_plan == "Look it up."


def test_reasoning_details_of_one_block_are_joined():
    """OpenRouter's pieces with one type and index are one block; signatures and the like stay."""
    pieces = [
        {"type": "reasoning.text", "index": 0, "text": "Hm"},
        {"type": "reasoning.text", "index": 0, "text": ".", "signature": None},
        {"type": "reasoning.text", "index": 0, "text": None, "signature": "s"},
        {"type": "reasoning.encrypted", "index": 1, "data": "e"},
    ]
    reply = accumulate([chunk(Delta(reasoning_details=[piece])) for piece in pieces])
    assert reply.choices[0].message.reasoning_details == [
        {"type": "reasoning.text", "index": 0, "text": "Hm.", "signature": "s"},
        {"type": "reasoning.encrypted", "index": 1, "data": "e"},
    ]


@given(st.lists(st.binary(max_size=9)))
def test_pieces_of_sound_are_joined_as_bytes(pieces):
    """Each piece is base64 of its own, padding included; the joined sound decodes to all of them."""
    parts = [Audio(id="a", data=base64.b64encode(piece).decode(), transcript="x") for piece in pieces]
    reply = accumulate([chunk(Delta(content="")), *(chunk(Delta(audio=part)) for part in parts)])
    audio = reply.choices[0].message.audio
    if not pieces:
        assert audio is None
    else:
        assert (audio.id, audio.transcript) == ("a", "x" * len(pieces))
        assert base64.b64decode(audio.data or "") == b"".join(pieces)


@st.composite
def cuts(draw: st.DrawFn, text: str) -> list[str]:
    """A text cut anywhere."""
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=5)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


@given(st.data(), st.text(), st.text(), st.lists(st.text(), min_size=1, max_size=3))
def test_how_a_stream_is_cut_does_not_matter(data, content, reasoning, arguments):
    """However text and arguments are split over events, the reply is the same."""

    def stream(split: object) -> list[ChatCompletionChunk]:
        deltas = [Delta(role="assistant")]
        deltas += [Delta(content=piece) for piece in split(content)]
        deltas += [Delta(reasoning_content=piece) for piece in split(reasoning)]
        for index, text in enumerate(arguments):
            deltas.append(call(index, f"call{index}", "f", ""))
            deltas += [call(index, arguments=piece) for piece in split(text)]
        return [chunk(delta) for delta in deltas]

    whole = accumulate(stream(lambda text: [text]))
    assert accumulate(stream(lambda text: data.draw(cuts(text)))) == whole
    assert whole.choices[0].message.content == content
    assert [one.function.arguments for one in whole.choices[0].message.tool_calls] == arguments

"""``Cache``: what is kept of an answer comes back as it was."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter._reply import Reply
from liter.middleware._cache_record import Record, Recording, decode_record
from liter.types import (
    Annotation,
    AssistantMessage,
    ChatCompletionChunk,
    ChatCompletionResponse,
    Choice,
    ChunkChoice,
    Delta,
    FunctionCall,
    FunctionCallDelta,
    Logprobs,
    Model,
    ModelsListResponse,
    NativeContent,
    PromptTokensDetails,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
)

USAGE = Usage(
    prompt_tokens=5,
    completion_tokens=4,
    total_tokens=9,
    prompt_tokens_details=PromptTokensDetails(cached_tokens=3),
    reported_cost=0.25,
    server_tool_use={"web_search_requests": 2},
)

WHOLE: list[object] = [
    ChatCompletionResponse(
        id="1",
        created=1767225600,
        model="m",
        choices=[
            Choice(
                message=AssistantMessage(
                    content="naïve 🏞",
                    tool_calls=[ToolCall(id="c", function=FunctionCall(name="f", arguments='{"a":1}'))],
                    annotations=[Annotation(file={"id": "f", "sizes": [1, 2.5, None]})],
                    native_content=NativeContent(
                        provider="anthropic", blocks=[{"type": "text", "deep": {"a": [True]}}]
                    ),
                    thinking_blocks=[{"type": "thinking", "signature": "x"}],
                ),
                finish_reason="tool_calls",
                logprobs=Logprobs(content=[TokenLogprob(token="n", logprob=-0.5, bytes=[110])]),
            )
        ],
        usage=USAGE,
        native={"stop": None},
    ),
    ChatCompletionResponse(),
    ModelsListResponse(data=[Model(id="a", created=1), Model(id="b")], has_more=False),
    "text",
    b"\x00sound",
]

STREAMS: list[list[object]] = [
    [
        ChatCompletionChunk(id="1", choices=[ChunkChoice(delta=Delta(role="assistant", content=""))]),
        ChatCompletionChunk(
            id="1",
            choices=[
                ChunkChoice(delta=Delta(tool_calls=[ToolCallDelta(index=0, function=FunctionCallDelta(arguments="{"))]))
            ],
        ),
        ChatCompletionChunk(id="1", choices=[ChunkChoice(finish_reason="stop")]),
        ChatCompletionChunk(id="1", usage=USAGE),
    ],
    ["one", "", "three"],
    [b"1", b""],
]


def record_of(parts: list[object], max_bytes: float = 1e6) -> bytes | None:
    recording = Recording(max_bytes)
    for part in parts:
        recording.add(part)
    return recording.encode(Reply(value="whole", status=201, request_id="req_1", usage=USAGE))


@pytest.mark.parametrize("parts", [*([whole] for whole in WHOLE), *STREAMS], ids=lambda parts: type(parts[0]).__name__)
def test_comes_back_as_it_was(parts: list[object]) -> None:
    """A value or a stream of every type comes back equal and of the same type, with the facts of its reply."""
    data = record_of(parts)
    assert data is not None
    record = decode_record(data)
    assert record is not None
    decoded = record.decode_parts()
    assert decoded == parts
    assert [type(part) for part in decoded] == [type(part) for part in parts]
    assert (record.status, record.request_id, record.usage) == (201, "req_1", USAGE)


def test_each_reading_is_its_own() -> None:
    """Two readings of one record share nothing that could be changed."""
    data = record_of(WHOLE[:1])
    assert data is not None
    record = decode_record(data)
    assert record is not None
    (one,), (other,) = record.decode_parts() or [], record.decode_parts() or []
    assert isinstance(one, ChatCompletionResponse)
    assert isinstance(other, ChatCompletionResponse)
    one.choices.clear()
    assert other.choices != []


def test_what_comes_later_is_not_changed_by_its_consumer() -> None:
    """A part is taken down when it passes: what is done to it afterwards is not kept."""
    chunk = ChatCompletionChunk(choices=[ChunkChoice(delta=Delta(content="x"))])
    recording = Recording(1e6)
    recording.add(chunk)
    chunk.choices.clear()
    record = decode_record(recording.encode(Reply(value="whole")) or b"")
    assert record is not None
    assert record.decode_parts() == [ChatCompletionChunk(choices=[ChunkChoice(delta=Delta(content="x"))])]


class Foreign(msgspec.Struct):
    """Of nobody's that liter knows."""


class Usage2(Usage, frozen=True):
    """Not the type that its name says."""


Usage2.__name__ = "Usage"


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [Foreign()],
        [Usage2()],
        [1.5],
        [["list"]],
        ["one", b"two"],
        ["one", Foreign()],
        [Model(id="x", created=2**80)],
    ],
    ids=str,
)
def test_what_could_not_be_read_is_not_recorded(parts: list[object]) -> None:
    """Types that are not liter's own, mixed ones, and values that do not encode make no record."""
    assert record_of(parts) is None


def test_a_large_one_is_given_up() -> None:
    """Once the parts take more than ``max_bytes`` nothing is held, whatever comes then."""
    recording = Recording(10)
    for _ in range(3):
        recording.add("x" * 4)
    recording.add("y")
    assert recording.count == 0
    assert recording.encode(Reply(value="whole")) is None
    assert record_of(["x" * 4] * 2, max_bytes=10) is not None


def test_a_record_names_types_of_liter_alone() -> None:
    """What a store gives cannot name a class outside of ``liter.types``."""
    for kind in ("object", "accumulate", "_chat_chunk", "__name__", "int", "Foreign", ""):
        assert Record(kind, b"\x90", [], 200, None, None).decode_parts() is None


def test_nesting_without_end_is_not_recorded() -> None:
    """A value that contains itself makes no record, and a record that nests too deep is none."""
    inside: dict[str, object] = {}
    inside["again"] = inside
    assert record_of([ChatCompletionResponse(native=inside)]) is None
    deep = Record(
        "ChatCompletionResponse", b"\x91\x81\xa6native" + b"\x81\xa1a" * 100_000 + b"\xc0", [], 200, None, None
    )
    assert deep.decode_parts() is None


@given(st.binary())
def test_any_bytes_are_a_record_or_none(data: bytes) -> None:
    """Nothing that a store can give raises."""
    record = decode_record(data)
    if record is not None:
        record.decode_parts()


@given(parts=st.lists(st.text(), min_size=1), cut=st.integers(0, 1_000_000), byte=st.integers(0, 255))
def test_a_damaged_record_never_raises(parts: list[object], cut: int, byte: int) -> None:
    """A record with one byte changed, or its end missing, reads as something or nothing."""
    data = record_of(parts)
    assert data is not None
    place = cut % len(data)
    for damaged in (data[:place], data[:place] + bytes([byte]) + data[place + 1 :]):
        record = decode_record(damaged)
        if record is not None:
            record.decode_parts()

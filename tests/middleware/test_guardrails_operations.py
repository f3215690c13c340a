"""``Guardrails`` on what is no chat: prompts, responses and their events, completions, transcriptions."""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter import ContentPolicyError
from liter._contract import Call
from liter.middleware import Guardrails, Hooks, Rule, RuleMatched
from liter.middleware._guarded_events import GuardedCompletions, GuardedDeltas
from liter.middleware._rule_set import RuleSet
from liter.testing import ModelReply, ScriptedHandler, Simulator
from liter.testing import ToolCall as SimulatedCall
from liter.types import (
    CompletionChoice,
    CompletionLogprobs,
    CompletionRequest,
    CompletionResponse,
    CreateResponseRequest,
    EmbeddingRequest,
    Image,
    ImageEditRequest,
    ImageGenerationRequest,
    ImagesResponse,
    ModerationRequest,
    OcrPage,
    OcrResponse,
    RerankRequest,
    RerankResponse,
    RerankResult,
    ResponseEvent,
    ResponseObject,
    SearchRequest,
    SearchResponse,
    SearchResult,
    SpeechRequest,
    TranscribedWord,
    TranscriptionEvent,
    TranscriptionRequest,
    TranscriptionResponse,
    Usage,
)

from .._serving import serving

MakeCall = Callable[..., Call[object]]

REDACT = Rule("secret", action="redact")
BLOCK = Rule("secret", action="block", name="no secrets")
# Of this nobody can say what a match begins with, so all of the window is held.
HOLD = Rule("(secret)", action="redact")


def cut(whole: str, cuts: Iterable[int]) -> list[str]:
    at = sorted({0, len(whole), *(position % (len(whole) + 1) for position in cuts)})
    return [whole[begin:end] for begin, end in pairwise(at)]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "request_",
    [
        CompletionRequest(model="m", prompt="a secret", suffix="secret", logprobs=2),
        CompletionRequest(model="m", prompt=["a secret", "two"]),
        CreateResponseRequest(model="m", input="a secret", instructions="Keep the secret."),
        CreateResponseRequest(
            model="m", input=[{"role": "user", "content": [{"type": "input_text", "text": "secret"}]}]
        ),
        CreateResponseRequest(model="m", prompt={"id": "p", "variables": {"who": "secret"}}),
        EmbeddingRequest(model="m", input=["a secret", "two"]),
        ImageGenerationRequest(model="m", prompt="a secret"),
        ImageEditRequest(model="m", prompt="a secret", image=b"image"),
        ModerationRequest(input="a secret"),
        RerankRequest(model="m", query="a secret", documents=["secret", "two"]),
        RerankRequest(model="m", query="what", documents=[{"Title": "secret", "id": "2"}]),
        SearchRequest(model="m", query="a secret"),
        SpeechRequest(model="m", input="a secret", voice="v", instructions="secret"),
        TranscriptionRequest(model="m", file=b"sound", prompt="a secret"),
    ],
    ids=lambda request: type(request).__name__,
)
async def test_looks_at_the_text_of_every_request(make_call: MakeCall, request_: msgspec.Struct) -> None:
    """Whatever it is called there; and nothing else of the request is touched."""
    handler = ScriptedHandler("whole")
    async with Guardrails([REDACT])(make_call(request=request_), handler):
        pass
    sent = handler.calls[0].request
    assert "secret" not in str(sent)
    assert str(request_).replace("secret", "[redacted]") == str(sent)


# Items of a response, as they come in a reply, and go back in the next request.
ITEMS: Sequence[dict[str, object]] = (
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a":"secret"}'},
    {"type": "function_call_output", "call_id": "c", "output": "a secret"},
    {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "secret"}]},
    {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "secret"},
    {
        "type": "code_interpreter_call",
        "id": "c",
        "code": "print('secret')",
        "outputs": [{"type": "logs", "logs": "secret"}],
    },
    {"type": "mcp_call", "id": "c", "arguments": '{"a":"secret"}', "output": "secret"},
    {"type": "shell_call", "call_id": "c", "action": {"commands": ["echo secret"]}},
    {"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "secret", "stderr": "secret"}]},
    {"type": "local_shell_call", "call_id": "c", "action": {"type": "exec", "command": ["echo", "secret"]}},
    {"type": "apply_patch_call", "call_id": "c", "operation": {"type": "update_file", "path": "p", "diff": "secret"}},
    {"type": "web_search_call", "id": "c", "action": {"type": "search", "query": "secret", "queries": ["secret"]}},
    {"type": "file_search_call", "id": "c", "queries": ["secret"], "results": [{"text": "secret", "file_id": "f"}]},
)


@pytest.mark.anyio
@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item["type"])
async def test_looks_at_what_tools_are_told_and_tell(make_call: MakeCall, item: dict[str, object]) -> None:
    """Each item of a response: in a request, in a reply, and in the event that ends it; and nothing else of it."""
    guardrails = Guardrails([REDACT])
    handler = ScriptedHandler(ResponseObject(output=[item]))
    request = CreateResponseRequest(model="m", input=[item])
    async with guardrails(make_call(request=request), handler) as reply:
        assert str(handler.calls[0].request) == str(request).replace("secret", "[redacted]")
        assert str(reply.value) == str(ResponseObject(output=[item])).replace("secret", "[redacted]")
    event = ResponseEvent(type="response.output_item.done", item=item)
    assert str(guarded(GuardedDeltas, REDACT, [event])) == str([event]).replace("secret", "[redacted]")


@pytest.mark.anyio
async def test_the_id_of_a_document_is_none_of_its_texts(make_call: MakeCall) -> None:
    """All others in it are, whatever they are called."""
    handler = ScriptedHandler("whole")
    request = RerankRequest(
        model="m", query="?", documents=[{"id": "12", "Title": "34", "more": {"id": "5", "n": "6"}}]
    )
    async with Guardrails([Rule(r"\d", action="redact", on="input")])(make_call(request=request), handler):
        pass
    x = "[redacted]"
    documents = [{"id": "12", "Title": x + x, "more": {"id": "5", "n": x}}]
    assert handler.calls[0].request == msgspec.structs.replace(request, documents=documents)


def test_code_is_held_back() -> None:
    """That of an interpreter, in pieces and as it is told again; the code of an error is none."""
    kind = "response.code_interpreter_call_code"
    events = [
        ResponseEvent(type=f"{kind}.delta", item_id="c", delta="print('sec"),
        ResponseEvent(type=f"{kind}.delta", item_id="c", delta="ret')"),
        ResponseEvent(type=f"{kind}.done", item_id="c", code="print('secret')"),
        ResponseEvent(type="error", code="secret", message="no"),
    ]
    *deltas, done, error = guarded(GuardedDeltas, REDACT, events)
    assert "".join(event.delta for event in deltas) == done.code == "print('[redacted]')"
    assert error == events[-1]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "reply",
    [
        SearchResponse(
            results=[SearchResult(title="secret", snippet="a secret", native={"extra": ["secret"], "n": 1})],
            answer="secret",
            native={"infobox": {"text": "secret"}},
        ),
        OcrResponse(
            pages=[
                OcrPage(
                    markdown="a secret",
                    header="secret",
                    footer="secret",
                    images=[{"id": "i", "image_annotation": '{"a":"secret"}'}],
                    tables=[{"id": "t", "content": "secret"}],
                )
            ],
            document_annotation='{"a":"secret"}',
        ),
        RerankResponse(results=[RerankResult(index=0, document={"Title": "secret"})]),
        ImagesResponse(data=[Image(revised_prompt="a secret")]),
    ],
    ids=lambda reply: type(reply).__name__,
)
async def test_looks_at_the_text_of_every_reply(make_call: MakeCall, reply: msgspec.Struct) -> None:
    """What was searched, read, ranked and drawn; and nothing else of the reply is touched."""
    async with Guardrails([REDACT])(make_call(), ScriptedHandler(reply)) as given_:
        assert str(given_.value) == str(reply).replace("secret", "[redacted]")


@pytest.mark.anyio
@pytest.mark.parametrize("rule", [REDACT, HOLD])
async def test_a_response(rule: Rule) -> None:
    """Whole and streamed, its text has nothing of a match, however it is told: deltas, items, the response, ``raw``."""
    told: list[object] = []

    def listen(call: Call[object]) -> Call[object]:
        return msgspec.structs.replace(call, listeners=(*call.listeners, told.append))

    reply = ModelReply(text="My secret is a secret.", thinking="Shall I tell the secret?")
    async with serving(Simulator(reply=reply), middleware=[Hooks(on_request=listen), Guardrails([rule])]) as client:
        ask = {"model": "gpt-5", "input": "Tell me.", "reasoning": {"effort": "low"}}
        whole = await client.create_response(**ask)
        assert whole.text == "My [redacted] is a [redacted]."
        assert whole.raw == b""
        told.clear()
        events = [event async for event in await client.response_stream(**ask)]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == whole.text
    assert events[-1].response is not None
    assert events[-1].response.text == whole.text
    assert events[-1].response.usage is not None
    for event in events:
        assert "secret" not in str(event)
        assert b"secret" not in event.raw
    # Three matches, and not once more for each event that tells of them again.
    assert [type(event) for event in told] == [RuleMatched] * 3


@pytest.mark.anyio
async def test_the_arguments_of_a_response() -> None:
    """Strings in them are texts, and what is left is JSON."""
    call = SimulatedCall(name="look_up", arguments='{"what":"the s\\u0065cret","n":1}')
    async with serving(Simulator(reply=ModelReply(tool_calls=[call])), middleware=[Guardrails([REDACT])]) as client:
        stream = await client.response_stream(model="gpt-5", input="Tell me.")
        events = [event async for event in stream]
    deltas = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    done = next(event for event in events if event.type == "response.function_call_arguments.done")
    assert msgspec.json.decode("".join(map(str, deltas))) == {"what": "the [redacted]", "n": 1}
    assert msgspec.json.decode(done.arguments or "") == {"what": "the [redacted]", "n": 1}


@pytest.mark.anyio
async def test_a_blocked_response() -> None:
    """A whole one is an error on entering; a stream ends in its middle, and nothing of the match was handed out."""
    async with serving(Simulator(reply="My secret."), middleware=[Guardrails([BLOCK])]) as client:
        with pytest.raises(ContentPolicyError, match="guardrail 'no secrets' blocks the reply"):
            await client.create_response(model="gpt-5", input="Tell me.")
        seen: list[ResponseEvent] = []
        with pytest.raises(ContentPolicyError) as caught:
            async for event in await client.response_stream(model="gpt-5", input="Tell me."):
                seen.append(event)
    assert caught.value.code == "no secrets"
    assert "secret" not in str(seen)


@pytest.mark.anyio
@pytest.mark.parametrize("rule", [REDACT, HOLD])
async def test_a_text_completion(rule: Rule) -> None:
    """Its pieces are held back as those of a chat."""
    async with serving(Simulator(reply="My secret is a secret."), middleware=[Guardrails([rule])]) as client:
        whole = await client.completions(model="m", prompt="Tell me.")
        pieces = [piece async for piece in await client.completions_stream(model="m", prompt="Tell me.")]
    assert whole.text == "My [redacted] is a [redacted]."
    assert "".join(piece.text for piece in pieces) == whole.text
    assert [piece.choices[0].finish_reason for piece in pieces if piece.choices][-1] == "stop"


PLACE = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
TEXT = st.text(alphabet="secrt ", min_size=1, max_size=40)
CUTS = st.lists(st.integers(0, 40), max_size=12)


def guarded(kind: type[GuardedDeltas | GuardedCompletions], rule: Rule, events: Sequence[object]) -> list[object]:
    """What comes of these events."""
    guard = kind(RuleSet([rule]), 8, [])
    return [*(given for event in events for given in guard.add(event)), *guard.end()]


@given(whole=TEXT, cuts=CUTS, rule=st.sampled_from([REDACT, HOLD]), ends=st.booleans())
def test_wherever_a_response_is_cut(whole: str, cuts: list[int], rule: Rule, ends: bool) -> None:
    """The deltas say what the whole text would, and are all there before the event that ends them."""
    events = [ResponseEvent(type="response.output_text.delta", delta=piece, **PLACE) for piece in cut(whole, cuts)]
    done = [ResponseEvent(type="response.output_text.done", text=whole, **PLACE)] if ends else []
    given_ = guarded(GuardedDeltas, rule, [*events, *done])
    if ends:
        assert isinstance(given_[-1], ResponseEvent)
        assert given_.pop().text == whole.replace("secret", "[redacted]")
    assert "".join(event.delta for event in given_) == whole.replace("secret", "[redacted]")


@given(whole=TEXT, cuts=CUTS, rule=st.sampled_from([REDACT, HOLD]), ends=st.booleans())
def test_wherever_a_completion_is_cut(whole: str, cuts: list[int], rule: Rule, ends: bool) -> None:
    """Of each choice the pieces say what the whole text would."""
    pieces = [
        CompletionResponse(choices=[CompletionChoice(index=index, text=piece)])
        for piece in cut(whole, cuts)
        for index in (0, 1)
    ]
    if ends:
        pieces.append(CompletionResponse(choices=[CompletionChoice(index=0, finish_reason="stop")]))
    texts = {0: "", 1: ""}
    for piece in guarded(GuardedCompletions, rule, pieces):
        for choice in piece.choices:
            texts[choice.index] += choice.text
    assert set(texts.values()) == {whole.replace("secret", "[redacted]")}


def test_a_transcription_is_held_back() -> None:
    """Deltas, segments, and the whole text at the end, without what tells it token by token."""
    events = [
        TranscriptionEvent(type="transcript.text.delta", delta="a sec", logprobs=[{"token": "a"}]),
        TranscriptionEvent(type="transcript.text.delta", delta="ret", logprobs=[{"token": "ret"}]),
        TranscriptionEvent(type="transcript.text.segment", text="a secret"),
        TranscriptionEvent(type="transcript.text.done", text="a secret", logprobs=[{"token": "secret"}]),
    ]
    given_ = guarded(GuardedDeltas, REDACT, events)
    assert "secret" not in str(given_)
    assert [event.delta or event.text for event in given_] == ["a ", "a [redacted]", "[redacted]", "a [redacted]"]
    assert [event.logprobs for event in given_] == [None] * 4


def test_sound_is_not_looked_at_and_its_transcript_is() -> None:
    """In the stream of a response, both come in deltas."""
    events = [
        ResponseEvent(type="response.audio.delta", delta="secret"),
        ResponseEvent(type="response.audio.transcript.delta", delta="a sec"),
        ResponseEvent(type="response.audio.transcript.delta", delta="ret"),
        ResponseEvent(type="response.audio.transcript.done"),
    ]
    sound, *deltas, _ = guarded(GuardedDeltas, REDACT, events)
    assert sound is events[0]
    assert "".join(event.delta for event in deltas) == "a [redacted]"


def test_usage_is_told_once() -> None:
    """What is held of a completion that no piece ended comes last, and without it."""
    piece = CompletionResponse(choices=[CompletionChoice(text="a sec")], usage=Usage(total_tokens=1))
    given_ = guarded(GuardedCompletions, REDACT, [piece])
    assert [(piece.text, piece.usage) for piece in given_] == [("a ", Usage(total_tokens=1)), ("sec", None)]


@pytest.mark.anyio
async def test_what_says_a_text_token_by_token_goes_with_it(make_call: MakeCall) -> None:
    """Words with their times, log probabilities: in such pieces no rule would find anything."""
    replies = (
        TranscriptionResponse(text="a secret", words=[TranscribedWord(word="sec"), TranscribedWord(word="ret")]),
        CompletionResponse(
            choices=[CompletionChoice(text="secret", logprobs=CompletionLogprobs(tokens=["sec", "ret"]))]
        ),
        ResponseObject(
            output=[{"content": [{"type": "output_text", "text": "secret", "logprobs": [{"token": "sec"}]}]}]
        ),
        ImagesResponse(data=[]),
    )
    for reply in replies:
        async with Guardrails([REDACT])(make_call(), ScriptedHandler(reply)) as given_:
            assert "sec" not in str(given_.value)

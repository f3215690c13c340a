"""``Cache(semantic=...)``: which questions share an answer, which do not, and what an embedding's failure does."""

import math
import struct
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter._contract import Call, Route, Timeouts
from liter._errors import LlmTimeoutError
from liter._secret import Secret
from liter.middleware import Cache, CacheEmbedFailed, CacheHit, CacheStoreFailed, Semantic
from liter.middleware._cache_key import KeyMaker
from liter.middleware._cache_semantic import Question
from liter.stores import MemoryStore, StoreError
from liter.testing import Outcome, ScriptedHandler, Simulator, check_layer
from liter.types import ChatCompletionRequest, CreateResponseRequest, ListModelsRequest, Usage

from .._serving import serving
from ._cache_events import but_misses

MakeCall = Callable[..., Call[object]]

USAGE = Usage(prompt_tokens=5, completion_tokens=4, total_tokens=9)
ROUTE = Route(provider="scripted", model="scripted", base_url="https://scripted.invalid")
FIRST = {"role": "system", "content": "Be brief."}
PICTURE = {"type": "image_url", "image_url": {"url": "https://pictures.example/1.png"}}


class Embedding:
    """Turns the degrees that a text ends with into a direction. ``texts`` is what it was asked for."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.texts: list[str] = []
        self.seconds = seconds

    async def __call__(self, text: str) -> Sequence[float]:
        self.texts.append(text)
        await anyio.sleep(self.seconds)
        angle = math.radians(float(text.rpartition(" ")[2]))
        return [3 * math.cos(angle), 3 * math.sin(angle)]


def asks(text: object, *before: object, **fields: object) -> ChatCompletionRequest:
    messages = [FIRST, *before, {"role": "user", "content": text}]
    return ChatCompletionRequest(model="scripted", messages=messages, **fields)


async def read(layer: Cache, call: Call[object], handler: ScriptedHandler) -> tuple[object, str]:
    async with layer(call, handler) as reply:
        seen: object = [event async for event in reply] if call.stream else reply.value
        return seen, reply.origin


@pytest.mark.parametrize("mode", ["use", "refresh", "off"])
@pytest.mark.parametrize("fails", [False, True], ids=["embeds", "fails"])
def test_keeps_the_contract(mode: str, fails: bool) -> None:
    """A semantic cache keeps the layer contract, whether its embedding works or not."""
    call: Call[object] = Call(operation="chat", request=asks("x" if fails else "0"), route=ROUTE, cache=mode)
    check_layer(lambda: Cache(semantic=Semantic(Embedding(), 0.9)), call=call, may_answer=True)


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
async def test_answers_a_question_that_means_the_same(make_call: MakeCall, streamed: bool) -> None:
    """A question alike enough gets the other's answer, marked, and listeners are told how alike it is."""
    layer = Cache(semantic=Semantic(Embedding()))
    outcome = Outcome(events=["one"], usage=USAGE) if streamed else Outcome(value="whole", usage=USAGE)
    handler = ScriptedHandler(outcome)
    told: list[object] = []
    seen, _ = await read(layer, make_call(request=asks("turn 0"), stream=streamed), handler)
    call = make_call(request=asks("please turn 10"), stream=streamed, listeners=(but_misses(told),))
    assert await read(layer, call, handler) == (seen, "cache")
    assert told == [CacheHit(call=call, saved=USAGE, shared=False, similarity=round(math.cos(math.radians(10)), 6))]
    assert len(handler.calls) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(("threshold", "origin"), [(0.95, "provider"), (0.9, "cache")])
async def test_the_threshold_decides(make_call: MakeCall, threshold: float, origin: str) -> None:
    """20 degrees are a cosine of 0.94: too far at 0.95, near enough at 0.9."""
    layer = Cache(semantic=Semantic(Embedding(), threshold))
    handler = ScriptedHandler("whole")
    await read(layer, make_call(request=asks("0")), handler)
    assert (await read(layer, make_call(request=asks("20")), handler))[1] == origin


@pytest.mark.anyio
async def test_a_threshold_of_one_takes_the_same_direction(make_call: MakeCall) -> None:
    """What is kept in single precision is still quite like itself, at any angle."""
    layer = Cache(semantic=Semantic(Embedding(), 1))
    handler = ScriptedHandler("whole")
    for degrees in range(1, 360, 17):
        assert (await read(layer, make_call(request=asks(f"{degrees}")), handler))[1] == "provider"
        assert (await read(layer, make_call(request=asks(f"or {degrees}")), handler))[1] == "cache"


@pytest.mark.anyio
async def test_an_exact_hit_embeds_nothing(make_call: MakeCall) -> None:
    """The exact look-up comes first, and its hit has no similarity."""
    embed = Embedding()
    layer = Cache(semantic=Semantic(embed))
    handler = ScriptedHandler("whole")
    told: list[object] = []
    for _ in range(2):
        await read(layer, make_call(request=asks("turn 0"), listeners=(but_misses(told),)), handler)
    assert embed.texts == ["turn 0"]
    assert [hit.similarity for hit in told if isinstance(hit, CacheHit)] == [None]


@pytest.mark.anyio
async def test_the_nearest_one_answers(make_call: MakeCall) -> None:
    """Of several that are alike enough it is the most similar one's answer."""
    layer = Cache(semantic=Semantic(Embedding(), 0.9))
    handler = ScriptedHandler("at 0", "at 40", "at 80")
    for degrees in "0", "40", "80":
        await read(layer, make_call(request=asks(degrees)), handler)
    assert await read(layer, make_call(request=asks("22")), handler) == ("at 40", "cache")
    assert await read(layer, make_call(request=asks("18")), handler) == ("at 0", "cache")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "other",
    [
        {"tags": {"tenant": "b"}},
        {"route": msgspec.structs.replace(ROUTE, api_key=Secret("sk-other"))},
        {"route": msgspec.structs.replace(ROUTE, model="other")},
        {"route": msgspec.structs.replace(ROUTE, base_url="https://other.invalid")},
        {"headers": ((b"anthropic-beta", b"a"),)},
        {"stream": True},
        {"request": asks("1", temperature=0.5)},
        {"request": asks("1", extra_body={"a": 1})},
        {"request": asks("1", {"role": "user", "content": "before"})},
        {"request": asks([{"type": "text", "text": "1"}, PICTURE])},
        {"request": ChatCompletionRequest(model="scripted", messages=[{"role": "user", "content": "1"}])},
    ],
    ids=str,
)
async def test_all_but_the_text_must_be_the_same(make_call: MakeCall, other: dict[str, object]) -> None:
    """Tenant, account, route, headers, parameters, earlier messages and pictures keep questions apart."""
    layer = Cache(semantic=Semantic(Embedding(), 0.5))
    handler = ScriptedHandler(["one"] if "stream" in other else "whole")
    await read(layer, make_call(request=asks("0"), tags={"tenant": "a"}), ScriptedHandler("whole"))
    fields = {"request": asks("1"), "tags": {"tenant": "a"}}
    assert (await read(layer, make_call(**{**fields, **other}), handler))[1] == "provider"
    assert (await read(layer, make_call(**fields), handler))[1] == "cache"


@pytest.mark.anyio
async def test_the_last_text_of_the_user_is_compared(make_call: MakeCall) -> None:
    """It is the last user message's, in all its text parts; what comes after it must be the same."""
    embed = Embedding()
    layer = Cache(semantic=Semantic(embed))
    handler = ScriptedHandler("whole")

    def parts(degrees: str, tail: str) -> ChatCompletionRequest:
        content = [{"type": "text", "text": "turn"}, PICTURE, {"type": "text", "text": f"by {degrees}"}]
        messages = [{"role": "user", "content": content}, {"role": "assistant", "content": tail}]
        return ChatCompletionRequest(model="scripted", messages=messages)

    assert (await read(layer, make_call(request=parts("0", "So")), handler))[1] == "provider"
    assert (await read(layer, make_call(request=parts("1", "Well")), handler))[1] == "provider"
    assert (await read(layer, make_call(request=parts("2", "So")), handler))[1] == "cache"
    assert embed.texts == ["turn\nby 0", "turn\nby 1", "turn\nby 2"]


@pytest.mark.anyio
async def test_few_of_those_alike_are_looked_up(make_call: MakeCall) -> None:
    """However many there are: their answers may have gone, and each look-up is a step of the store."""
    keys = KeyMaker(tags=(), ignore=frozenset(), ignore_headers=frozenset(), share_keys=False)
    question = Question.of(Semantic(Embedding()), keys, make_call(request=asks("0")), "own")
    assert question is not None
    assert await question.embed()
    index = msgspec.msgpack.encode([(str(number), struct.pack("<2f", 1.0, 0.0)) for number in range(5)])
    assert question.nearest(index) == [(1.0, "4"), (1.0, "3"), (1.0, "2")]


def text(degrees: int) -> str:
    return f"turn {degrees}"


def items(degrees: int) -> list[dict[str, object]]:
    said = {"role": "assistant", "content": [{"type": "output_text", "text": "Whereto?"}]}
    return [{"role": "user", "content": "Hello, 1"}, said, {"role": "user", "content": text(degrees)}]


def parts(degrees: int) -> list[dict[str, object]]:
    told = [{"type": "input_text", "text": text(degrees)}, {"type": "input_image", "image_url": "https://a.example"}]
    return [{"type": "message", "role": "user", "content": told}]


@pytest.mark.anyio
@pytest.mark.parametrize("asked", [text, items, parts])
async def test_responses_are_compared_too(
    make_call: MakeCall, asked: Callable[[int], str | list[dict[str, object]]]
) -> None:
    """By the input's text, or that of the user's last message in it; all else must be the same."""
    embed = Embedding()
    layer = Cache(semantic=Semantic(embed))
    handler = ScriptedHandler("whole")

    async def origin(degrees: int, **fields: object) -> str:
        request = CreateResponseRequest(model="scripted", input=asked(degrees), **fields)
        return (await read(layer, make_call(operation="create_response", request=request), handler))[1]

    assert [await origin(degrees) for degrees in (0, 1, 90)] == ["provider", "cache", "provider"]
    assert await origin(2, instructions="Be brief.") == "provider"
    assert embed.texts == ["turn 0", "turn 1", "turn 90", "turn 2"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "request_",
    [
        ListModelsRequest(),
        asks(""),
        asks([PICTURE]),
        ChatCompletionRequest(model="scripted", messages=[FIRST]),
        CreateResponseRequest(
            model="scripted", input=[{"type": "function_call_output", "call_id": "c", "output": "1"}]
        ),
        CreateResponseRequest(model="scripted", prompt={"id": "p"}),
        CreateResponseRequest(model="scripted", input=[{"role": "user", "content": [{"type": "input_image"}]}]),
    ],
    ids=["no chat", "no text", "a picture", "no user", "an output", "a kept prompt", "a response's picture"],
)
async def test_what_asks_nothing_is_not_embedded(make_call: MakeCall, request_: object) -> None:
    """Other operations, and chats without a user's text, are cached as ever."""
    embed = Embedding()
    layer = Cache(semantic=Semantic(embed))
    handler = ScriptedHandler("whole")
    origins = [(await read(layer, make_call(request=request_), handler))[1] for _ in range(2)]
    assert (origins, embed.texts) == (["provider", "cache"], [])


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["refresh", "off"])
async def test_no_mode_but_use_embeds(make_call: MakeCall, mode: str) -> None:
    """A call that may not be answered from the cache is not compared with others."""
    embed = Embedding()
    layer = Cache(semantic=Semantic(embed))
    handler = ScriptedHandler("whole")
    await read(layer, make_call(request=asks("0")), handler)
    assert (await read(layer, make_call(request=asks("1"), cache=mode), handler))[1] == "provider"
    assert embed.texts == ["0"]


@pytest.mark.anyio
@pytest.mark.parametrize(("entries", "origin"), [(2, "provider"), (3, "cache")])
async def test_the_newest_are_compared_with(make_call: MakeCall, entries: int, origin: str) -> None:
    """No more than ``entries`` questions are kept in a scope: the oldest goes."""
    layer = Cache(semantic=Semantic(Embedding(), entries=entries))
    handler = ScriptedHandler("whole")
    for degrees in "0", "90", "180":
        await read(layer, make_call(request=asks(degrees)), handler)
    assert (await read(layer, make_call(request=asks("181")), handler))[1] == "cache"
    assert (await read(layer, make_call(request=asks("1")), handler))[1] == origin


@pytest.mark.anyio
async def test_an_index_is_bounded_in_bytes(make_call: MakeCall) -> None:
    """After many questions the store holds an index of ``entries`` vectors and keys, and no more."""
    store = MemoryStore()
    layer = Cache(store=store, semantic=Semantic(Embedding(), 1, entries=4))
    keys = KeyMaker(tags=("tenant",), ignore=frozenset(), ignore_headers=frozenset(), share_keys=False)
    handler = ScriptedHandler("whole")
    for degrees in range(50):
        await read(layer, make_call(request=asks(f"{degrees}")), handler)
    question = Question.of(Semantic(Embedding()), keys, make_call(request=asks("0")), "key")
    assert question is not None
    index = await store.get(question.scope)
    assert index is not None
    assert 4 * (8 + 64) < len(index) < 4 * (8 + 64 + 30)


@pytest.mark.anyio
async def test_spaces_are_kept_apart(make_call: MakeCall) -> None:
    """Vectors of another embedding model, named by ``space``, are not compared with."""
    store = MemoryStore()
    handler = ScriptedHandler("whole")
    await read(Cache(store=store, semantic=Semantic(Embedding())), make_call(request=asks("0")), handler)
    for space, origin in (("large", "provider"), ("", "cache")):
        layer = Cache(store=store, semantic=Semantic(Embedding(), space=space))
        assert (await read(layer, make_call(request=asks(f"{space} 1")), handler))[1] == origin


@pytest.mark.anyio
async def test_vectors_of_another_length_are_passed_over(make_call: MakeCall) -> None:
    """An index that has vectors of two lengths serves both."""

    async def longer(text: str) -> Sequence[float]:
        return [1.0, 0.0, 0.0]

    store = MemoryStore()
    handler = ScriptedHandler("two", "three")
    two, three = (Cache(store=store, semantic=Semantic(embed)) for embed in (Embedding(), longer))
    assert await read(two, make_call(request=asks("0")), handler) == ("two", "provider")
    assert await read(three, make_call(request=asks("a 0")), handler) == ("three", "provider")
    assert await read(two, make_call(request=asks("b 0")), handler) == ("two", "cache")
    assert await read(three, make_call(request=asks("c 0")), handler) == ("three", "cache")


@pytest.mark.anyio
async def test_an_answer_that_is_gone_makes_room_for_the_next(make_call: MakeCall) -> None:
    """The nearest one's answer has expired: the next nearest answers, and what is gone leaves the index."""
    layer = Cache(ttl=10, semantic=Semantic(Embedding(), 0.9))
    handler = ScriptedHandler("at 0", "at 30", "new")
    await read(layer, make_call(request=asks("0")), handler)
    await anyio.sleep(6)
    await read(layer, make_call(request=asks("30")), handler)
    assert await read(layer, make_call(request=asks("12")), handler) == ("at 0", "cache")
    await anyio.sleep(6)
    assert await read(layer, make_call(request=asks("12")), handler) == ("at 30", "cache")
    await anyio.sleep(6)
    assert await read(layer, make_call(request=asks("12")), handler) == ("new", "provider")


async def refused(text: str) -> Sequence[float]:
    raise KeyError(text)


async def returns_nothing(text: str) -> Sequence[float]:
    return []


async def returns_zeros(text: str) -> Sequence[float]:
    return [0.0, 0.0]


async def returns_nan(text: str) -> Sequence[float]:
    return [1.0, math.nan]


async def returns_none(text: str) -> Sequence[float]:
    return None  # that is the point


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize(
    ("embed", "kind"),
    [
        (refused, KeyError),
        (returns_nothing, ValueError),
        (returns_zeros, ValueError),
        (returns_nan, ValueError),
        (returns_none, TypeError),
    ],
)
async def test_an_embedding_that_fails_fails_no_call(
    make_call: MakeCall, embed: Callable[[str], Awaitable[Sequence[float]]], kind: type[Exception], streamed: bool
) -> None:
    """The call goes on, the listeners are told, and the answer is kept for identical calls."""
    layer = Cache(semantic=Semantic(embed))
    handler = ScriptedHandler(["one"] if streamed else "whole")
    told: list[object] = []
    call = make_call(request=asks("0"), stream=streamed, listeners=(but_misses(told),))
    assert (await read(layer, call, handler))[1] == "provider"
    (failed,) = told
    assert isinstance(failed, CacheEmbedFailed)
    assert failed.call == call
    assert isinstance(failed.error, kind)
    assert (await read(layer, make_call(request=asks("0"), stream=streamed), handler))[1] == "cache"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("semantic", "timeouts", "seconds"),
    [
        (Semantic(Embedding(math.inf)), Timeouts(), 2.0),
        (Semantic(Embedding(math.inf), timeout=0.5), Timeouts(), 0.5),
        (Semantic(Embedding(math.inf)), Timeouts(first_event=0.25), 0.25),
    ],
    ids=["default", "option", "the call's"],
)
async def test_an_embedding_that_hangs_is_left(
    make_call: MakeCall, semantic: Semantic, timeouts: Timeouts, seconds: float
) -> None:
    """It takes ``timeout`` seconds at most, and none that the call does not have, which then ends as it does."""
    layer = Cache(semantic=semantic)
    told: list[object] = []
    call = make_call(request=asks("0"), timeouts=timeouts, listeners=(but_misses(told),))
    with pytest.raises(LlmTimeoutError) if timeouts.first_event else nullcontext():
        assert (await read(layer, call, ScriptedHandler("whole")))[1] == "provider"
    assert anyio.current_time() - call.started == seconds
    (failed,) = told
    assert isinstance(failed, CacheEmbedFailed)
    assert isinstance(failed.error, TimeoutError)
    assert str(failed.error) == f"no embedding within {seconds:g} s"


@pytest.mark.anyio
async def test_identical_calls_embed_once(make_call: MakeCall) -> None:
    """Those who wait for an identical call are given the similar answer that it found, and told so."""
    embed = Embedding(1.0)
    layer = Cache(semantic=Semantic(embed))
    handler = ScriptedHandler("whole")
    await read(layer, make_call(request=asks("0")), handler)
    told: list[object] = []
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(read, layer, make_call(request=asks("1"), listeners=(but_misses(told),)), handler)
    hits = [hit for hit in told if isinstance(hit, CacheHit)]
    assert [(hit.shared, hit.similarity) for hit in hits] == [(False, 0.999848), (True, 0.999848), (True, 0.999848)]
    assert (embed.texts, len(handler.calls), layer.under_way) == (["0", "1"], 1, 0)


@pytest.mark.anyio
async def test_a_call_cancelled_while_it_embeds_leaves_nothing(make_call: MakeCall) -> None:
    """Cancellation goes through an embedding, is not taken for its failure, and the next one leads."""
    layer = Cache(semantic=Semantic(Embedding(1.0)))
    handler = ScriptedHandler("whole")
    told: list[object] = []
    with anyio.move_on_after(0.5) as scope:
        await read(layer, make_call(request=asks("0"), listeners=(but_misses(told),)), handler)
    assert scope.cancelled_caught
    assert (told, handler.calls, layer.under_way) == ([], [], 0)
    assert (await read(layer, make_call(request=asks("0")), handler))[1] == "provider"


class BusyStore(MemoryStore):
    """Another call is faster at the first ``lost`` swaps; with ``fails``, it is unreachable then."""

    def __init__(self, lost: int = 0, *, fails: bool = False) -> None:
        super().__init__()
        self.lost = lost
        self.fails = fails
        self.swaps = 0
        self.gets = 0

    async def get(self, key: str) -> bytes | None:
        self.gets += 1
        return await super().get(key)

    async def swap(self, key: str, expected: bytes | None, value: bytes | None, *, ttl: float) -> bool:
        self.swaps += 1
        if self.fails:
            raise StoreError("unreachable")
        return self.swaps > self.lost and await super().swap(key, expected, value, ttl=ttl)


@pytest.mark.anyio
@pytest.mark.parametrize(("lost", "swaps", "origin"), [(0, 1, "cache"), (3, 4, "cache"), (100, 4, "provider")])
async def test_an_index_is_written_again_when_another_was_faster(
    make_call: MakeCall, lost: int, swaps: int, origin: str
) -> None:
    """It is tried four times; after that the answer is kept for identical calls alone."""
    store = BusyStore(lost)
    layer = Cache(store=store, semantic=Semantic(Embedding()))
    handler = ScriptedHandler("whole")
    await read(layer, make_call(request=asks("0")), handler)
    assert store.swaps == swaps
    assert (await read(layer, make_call(request=asks("0")), handler))[1] == "cache"
    assert (await read(layer, make_call(request=asks("1")), handler))[1] == origin


@pytest.mark.anyio
async def test_what_has_expired_is_looked_up_once(make_call: MakeCall) -> None:
    """A miss takes the answers that it found gone off the index, and its own is not looked up a second time."""
    store = BusyStore()
    strict, loose = (Cache(store=store, ttl=10, semantic=Semantic(Embedding(), share)) for share in (1, 0.99))
    handler = ScriptedHandler("whole")
    gets: list[int] = []

    async def ask(layer: Cache, degrees: str) -> None:
        before = store.gets
        await read(layer, make_call(request=asks(degrees)), handler)
        gets.append(store.gets - before)

    await ask(strict, "0")
    await ask(strict, "1")
    await anyio.sleep(6)
    await ask(strict, "180")
    await anyio.sleep(6)
    assert gets == [3, 3, 3]  # the answer, the index, and the index again when it is written
    await ask(loose, "0")
    await ask(loose, "1.1")
    assert gets[3:] == [4, 3]  # beside those: first the one at 1, which is gone; then the one at 0, a hit


@pytest.mark.anyio
async def test_an_index_that_cannot_be_written_fails_no_call(make_call: MakeCall) -> None:
    """A store that fails at the index is told of like one that fails at the answer."""
    layer = Cache(store=BusyStore(fails=True), semantic=Semantic(Embedding()), on_store_error="closed")
    told: list[object] = []
    call = make_call(request=asks("0"), listeners=(but_misses(told),))
    assert await read(layer, call, ScriptedHandler("whole")) == ("whole", "provider")
    (failed,) = told
    assert isinstance(failed, CacheStoreFailed)
    assert (failed.doing, failed.goes_on) == ("put", True)


@pytest.mark.anyio
async def test_no_answer_that_was_not_kept_is_in_the_index(make_call: MakeCall) -> None:
    """An answer that is too large, or a stream left early, is not in the index either."""
    store = BusyStore()
    semantic = Semantic(Embedding())
    await read(Cache(store=store, max_bytes=1, semantic=semantic), make_call(request=asks("0")), ScriptedHandler("x"))
    stream = make_call(request=asks("0"), stream=True)
    async with Cache(store=store, semantic=semantic)(stream, ScriptedHandler(["one", "two"])) as reply:
        assert await reply.__anext__() == "one"
    assert store.swaps == 0


@pytest.mark.anyio
async def test_through_the_client() -> None:
    """With a client: another wording, from the cache; another conversation, from the provider."""
    provider = Simulator(reply="In the hills, mostly.")
    async with serving(provider, middleware=[Cache(semantic=Semantic(Embedding()))]) as client:
        first = await client.chat(model="gpt-4o", messages=[{"role": "user", "content": "Where do rivers begin? 0"}])
        second = await client.chat(
            model="gpt-4o", messages=[{"role": "user", "content": "Where does a river begin? 5"}]
        )
        third = await client.chat(
            model="gpt-4o", messages=[FIRST, {"role": "user", "content": "Where does a river begin? 5"}]
        )
    assert [reply.origin for reply in (first, second, third)] == ["provider", "cache", "provider"]
    assert second == first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0}, "threshold must be above 0 and at most 1, not 0"),
        ({"threshold": 1.01}, "threshold must be above 0 and at most 1"),
        ({"threshold": math.nan}, "threshold must be above 0 and at most 1"),
        ({"entries": 0}, "entries must be 1 or more, not 0"),
        ({"timeout": 0}, "timeout must be a positive number of seconds, not 0"),
        ({"timeout": math.inf}, "timeout must be a positive"),
        ({"embed": "text-embedding-3-small"}, "embed must be an async function from a text to its vector"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(options: dict[str, object], message: str) -> None:
    """What makes no sense is told when it is made, with the field and what would be right."""
    with pytest.raises(ValueError, match=message):
        Semantic(**{"embed": Embedding(), **options})  # that is the point


_vectors = st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=3, max_size=3).filter(
    lambda vector: math.hypot(*vector) > 1e-3
)
_KEYS = KeyMaker(tags=(), ignore=frozenset(), ignore_headers=frozenset(), share_keys=False)


def question(vector: list[float], key: str) -> Question:
    async def embed(text: str) -> Sequence[float]:
        return vector

    call: Call[object] = Call(operation="chat", request=asks("?"), route=ROUTE)
    made = Question.of(Semantic(embed, 1e-9), _KEYS, call, key)
    assert made is not None
    return made


@given(one=_vectors, other=_vectors)
def test_similarity_is_the_cosine(one: list[float], other: list[float]) -> None:
    """For any two vectors it is their product over their lengths, in six digits, and never above 1."""

    async def compare() -> list[tuple[float, str]]:
        store = MemoryStore()
        first, second = question(one, "first"), question(other, "second")
        assert await first.embed()
        assert await second.embed()
        await first.enlist(store, 60.0)
        return second.nearest(await store.get(second.scope))

    expected = math.fsum(a * b for a, b in zip(one, other, strict=True)) / math.hypot(*one) / math.hypot(*other)
    found = anyio.run(compare)
    if found:
        ((similarity, key),) = found
        assert key == "first"
        assert similarity == pytest.approx(expected, abs=2e-6)
        assert similarity <= 1
    else:
        assert expected < 1e-6


@given(st.binary())
def test_any_bytes_are_an_index_or_none(data: bytes) -> None:
    """Nothing that a store can give raises."""

    async def look() -> list[tuple[float, str]]:
        asked = question([1.0, 0.0], "key")
        await asked.embed()
        return asked.nearest(data)

    assert isinstance(anyio.run(look), list)


def test_what_is_gone_leaves_the_index() -> None:
    """A key that has no answer is left out when the index is next written, and the others stay."""

    async def look() -> list[tuple[float, str]]:
        store = MemoryStore()
        for key in "first", "second", "third", "fourth":
            asked = question([1.0, 0.0], key)
            await asked.embed()
            if key == "fourth":
                asked.forget("second")
            await asked.enlist(store, 60.0)
        reader = question([1.0, 0.0], "reader")
        await reader.embed()
        return reader.nearest(await store.get(reader.scope))

    assert sorted(key for _, key in anyio.run(look)) == ["first", "fourth", "third"]

"""``Cache``: what is answered from it, what is kept, and what its store's failures do."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Literal, TypeVar, cast

import anyio
import msgspec
import pytest

from liter._contract import Call, Route, Stack, Timeouts
from liter._errors import LlmError, RateLimitedError, ServerError, StreamingError
from liter._reply import Reply
from liter._secret import Secret
from liter.middleware import (
    Cache,
    CacheHit,
    CacheMiss,
    CacheStoreFailed,
    Concurrency,
    CostTracking,
    Hedge,
    Hooks,
    Retry,
    Semantic,
)
from liter.middleware._cache_record import Record
from liter.money import Cost, Price, PriceBook
from liter.stores import Bucket, MemoryStore, StoreError, Taken
from liter.testing import (
    Outcome,
    Refuse,
    ResetAfterEvents,
    ScriptedHandler,
    Simulator,
    check_layer,
)
from liter.types import ChatCompletionRequest, ChatCompletionResponse, Usage, UserMessage

from .._serving import serving
from ._cache_events import but_misses

R = TypeVar("R")
MakeCall = Callable[..., Call[object]]

QUESTION = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Where do rivers begin?"}]}
USAGE = Usage(prompt_tokens=5, completion_tokens=4, total_tokens=9)
KIT_CALL: Call[object] = Call(
    operation="chat",
    request=msgspec.defstruct("Question", [("text", str, "?")], frozen=True)(),
    route=Route(provider="scripted", model="scripted", base_url="https://scripted.invalid"),
)


class FailingStore(MemoryStore):
    """Fails, or never answers, in the methods named."""

    def __init__(self, *failing: str, hangs: bool = False) -> None:
        super().__init__()
        self.failing = failing
        self.hangs = hangs
        self.cancelled = 0

    async def _fail(self, method: str) -> None:
        if method not in self.failing:
            return
        if not self.hangs:
            raise StoreError("unreachable")
        try:
            await anyio.sleep_forever()
        finally:
            self.cancelled += 1

    async def get(self, key: str) -> bytes | None:
        await self._fail("get")
        return await super().get(key)

    async def put(self, key: str, value: bytes, *, ttl: float) -> None:
        await self._fail("put")
        await super().put(key, value, ttl=ttl)


class RecordingStore:
    """A store of the tests' own, of nothing but the protocol: what it was told, in order.

    A cache has no use for the methods that raise.
    """

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.told: list[tuple[str, str, float | None]] = []

    async def take(self, buckets: Sequence[Bucket]) -> Taken:
        raise NotImplementedError

    async def adjust(self, buckets: Sequence[Bucket]) -> None:
        raise NotImplementedError

    async def get(self, key: str) -> bytes | None:
        self.told.append(("get", key, None))
        return self.values.get(key)

    async def put(self, key: str, value: bytes, *, ttl: float) -> None:
        self.told.append(("put", key, ttl))
        self.values[key] = value

    async def swap(self, key: str, expected: bytes | None, value: bytes | None, *, ttl: float) -> bool:
        raise NotImplementedError

    async def delete(self, key: str) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        self.values.clear()


async def read(layer: Cache, call: Call[object], handler: ScriptedHandler) -> tuple[object, str]:
    """Make a call and read all of it. Returns what came, and from where."""
    async with layer(call, handler) as reply:
        seen: object = [event async for event in reply] if call.stream else reply.value
        return seen, reply.origin


@pytest.mark.parametrize(
    "make_layer",
    [
        Cache,
        lambda: Cache(replay="timed"),
        lambda: Cache(max_bytes=1),
        lambda: Cache(ttl=1e-9),
        lambda: Cache(store=FailingStore("get", "put")),
        lambda: Cache(store=FailingStore("get", "put", hangs=True)),
        lambda: Cache(store=FailingStore("put"), on_store_error="closed"),
    ],
    ids=["default", "timed", "nothing is kept", "nothing lasts", "fails", "hangs", "put fails"],
)
@pytest.mark.parametrize("mode", ["use", "refresh", "off"])
def test_keeps_the_contract(make_layer: Callable[[], Cache], mode: str) -> None:
    """A cache keeps the layer contract, whether it answers, records or does nothing."""
    call = msgspec.structs.replace(KIT_CALL, cache=mode)
    check_layer(make_layer, call=call, may_answer=True)


@pytest.mark.parametrize("kind", ["unary", "stream"])
def test_keeps_the_contract_where_it_does_not_answer(kind: str) -> None:
    """What cannot be kept is passed through to the letter: the kit allows no answer of the layer's own."""
    part = cast("object", 1.5) if kind == "unary" else [1.5]
    check_layer(Cache, value=part, events=[1.5, 2.5, 3.5])


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
async def test_answers_an_identical_call(make_call: MakeCall, streamed: bool) -> None:
    """The second of two identical calls gets the same without a request, marked, with status and usage."""
    layer = Cache()
    events: object = ["one", "two"]
    outcome = Outcome(events=["one", "two"], usage=USAGE) if streamed else Outcome(value="whole", usage=USAGE)
    handler = ScriptedHandler(msgspec.structs.replace(outcome, status=203))
    expected = events if streamed else "whole"
    assert await read(layer, make_call(stream=streamed), handler) == (expected, "provider")
    call = make_call(stream=streamed)
    async with layer(call, handler) as reply:
        assert reply.origin == "cache"
        assert (reply.status, reply.usage) == (203, USAGE)
        assert ([event async for event in reply] if streamed else reply.value) == expected
        assert reply.finished
    assert len(handler.calls) == 1
    assert call.attempts == []


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
async def test_tells_what_a_hit_saved(make_call: MakeCall, streamed: bool) -> None:
    """The listeners are told of a hit, with the tokens that it saved, and of nothing else."""
    layer = Cache()
    told: list[object] = []
    call = make_call(stream=streamed, listeners=(but_misses(told),))
    outcome = Outcome(events=["one"], usage=USAGE) if streamed else Outcome(value="whole", usage=USAGE)
    handler = ScriptedHandler(outcome)
    await read(layer, call, handler)
    assert told == []
    await read(layer, call, handler)
    assert told == [CacheHit(call=call, saved=USAGE, shared=False)]


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
async def test_the_next_handler_is_not_called_for_a_hit(make_call: MakeCall, streamed: bool) -> None:
    """What is further in is not even called, not only not entered, before the look-up has failed."""
    layer = Cache()
    handler = ScriptedHandler(["one"] if streamed else "whole")
    called = 0

    def counting(call: Call[object]) -> object:
        nonlocal called
        called += 1
        return handler(call)

    for _ in range(3):
        await read(layer, make_call(stream=streamed), cast("ScriptedHandler", counting))
    assert called == 1


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("mode", ["use", "refresh"])
async def test_the_ttl_holds_for_all_that_is_kept(make_call: MakeCall, streamed: bool, mode: str) -> None:
    """An answer lives for ``ttl`` seconds from when it was kept, whichever way it came to be."""
    layer = Cache(ttl=10)
    handler = ScriptedHandler(["one"] if streamed else "whole")
    await read(layer, make_call(stream=streamed, cache=mode), handler)
    await anyio.sleep(9.99)
    assert (await read(layer, make_call(stream=streamed), handler))[1] == "cache"
    await anyio.sleep(0.02)
    assert (await read(layer, make_call(stream=streamed), handler))[1] == "provider"
    assert (await read(layer, make_call(stream=streamed), handler))[1] == "cache"


@pytest.mark.anyio
async def test_streams_and_whole_replies_are_kept_apart(make_call: MakeCall) -> None:
    """A stream is not answered from a whole reply, nor the reverse."""
    layer = Cache()
    handler = ScriptedHandler("whole", ["one"])
    assert await read(layer, make_call(), handler) == ("whole", "provider")
    assert await read(layer, make_call(stream=True), handler) == (["one"], "provider")


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
async def test_tags_tell_callers_apart(make_call: MakeCall, streamed: bool) -> None:
    """No tenant gets what another one was answered, and those without the tag get neither's."""
    layer = Cache()
    handler = ScriptedHandler(["one"] if streamed else "whole")
    for tags in ({"tenant": "a"}, {"tenant": "b"}, {"tenant": ""}, {}):
        assert (await read(layer, make_call(stream=streamed, tags=tags), handler))[1] == "provider"
        assert (await read(layer, make_call(stream=streamed, tags={**tags, "user": "x"}), handler))[1] == "cache"


ASKED = ChatCompletionRequest(model="gpt-4o", messages=[UserMessage(content="Hi")])
ROUTE = KIT_CALL.route


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "other"),
    [
        ({"ignore": ["user"]}, {"request": msgspec.structs.replace(ASKED, user="ann")}),
        ({"ignore_headers": ["Traceparent"]}, {"headers": ((b"traceparent", b"1"),)}),
        ({"share_keys": True}, {"route": msgspec.structs.replace(ROUTE, api_key=Secret("sk-other"))}),
        ({"tags": ()}, {"tags": {"tenant": "a"}}),
        ({"tags": ["region"]}, {"tags": {"tenant": "a"}}),
    ],
    ids=str,
)
async def test_what_matters_is_the_callers_choice(
    make_call: MakeCall, options: dict[str, object], other: dict[str, object]
) -> None:
    """Calls that differ in what was named only share an answer; without the option they do not."""
    handler = ScriptedHandler("whole")
    for layer, origin in ((Cache(**options), "cache"), (Cache(), "provider")):
        await read(layer, make_call(request=ASKED), handler)
        assert (await read(layer, make_call(**{"request": ASKED, **other}), handler))[1] == origin


@pytest.mark.anyio
async def test_tags_named_are_in_the_key(make_call: MakeCall) -> None:
    """Other tags than the tenant's tell callers apart when they are named."""
    layer = Cache(tags=["region"])
    handler = ScriptedHandler("whole")
    for region in "eu", "us":
        assert (await read(layer, make_call(tags={"region": region}), handler))[1] == "provider"


@pytest.mark.anyio
async def test_a_refresh_makes_the_request_and_keeps_the_answer(make_call: MakeCall) -> None:
    """``"refresh"`` passes by what is kept, and replaces it."""
    layer = Cache()
    handler = ScriptedHandler("old", "new")
    await read(layer, make_call(), handler)
    assert await read(layer, make_call(cache="refresh"), handler) == ("new", "provider")
    assert await read(layer, make_call(), handler) == ("new", "cache")


@pytest.mark.anyio
async def test_a_refreshed_stream_replaces_what_is_kept(make_call: MakeCall) -> None:
    """``"refresh"`` does the same for a stream, once it was read to its end."""
    layer = Cache()
    handler = ScriptedHandler(["old"], ["new"])
    await read(layer, make_call(stream=True), handler)
    assert await read(layer, make_call(stream=True, cache="refresh"), handler) == (["new"], "provider")
    assert await read(layer, make_call(stream=True), handler) == (["new"], "cache")


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
async def test_off_neither_looks_up_nor_keeps(make_call: MakeCall, streamed: bool) -> None:
    """``"off"`` leaves the store alone."""
    store = RecordingStore()
    layer = Cache(store=store)
    handler = ScriptedHandler(["one"] if streamed else "whole")
    for _ in range(2):
        assert (await read(layer, make_call(stream=streamed, cache="off"), handler))[1] == "provider"
    assert store.told == []


@pytest.mark.anyio
async def test_the_option_of_a_call() -> None:
    """Each method takes ``cache``; a misspelt one is an error that names what there is, before any I/O."""
    provider = Simulator(reply="In the hills.")
    async with serving(provider, middleware=[Cache()]) as client:
        origins = [
            (await client.embed(model="text-embedding-3-small", input="rivers", cache=mode)).origin
            for mode in ("off", "use", "use", "refresh", "use")
        ]
        with pytest.raises(ValueError, match="cache must be 'use', 'refresh' or 'off', not 'no-store'"):
            await client.chat(**QUESTION, cache="no-store")  # misspelt
    assert origins == ["provider", "provider", "cache", "provider", "cache"]
    assert len(provider.requests) == 3


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
async def test_errors_are_not_kept(make_call: MakeCall, streamed: bool) -> None:
    """A refusal comes out as it is, each time anew, and a later call goes through."""
    layer = Cache()
    first, second = RateLimitedError("slow down", status=429), ServerError("broken", status=500)
    handler = ScriptedHandler(first, second, ["one"] if streamed else "whole")
    for error in (first, second):
        with pytest.raises(LlmError) as caught:
            await read(layer, make_call(stream=streamed), handler)
        assert caught.value is error
    assert (await read(layer, make_call(stream=streamed), handler))[1] == "provider"


@pytest.mark.anyio
@pytest.mark.parametrize("end", ["left", "cancelled", "failed", "raised"])
async def test_a_stream_that_did_not_end_well_is_not_kept(make_call: MakeCall, end: str) -> None:
    """A stream that broke, or was left or cancelled before its end, is made again."""
    layer = Cache()
    broken = Outcome(events=["one", "two"], error=StreamingError("broke off"))
    handler = ScriptedHandler(broken if end == "failed" else ["one", "two"])
    with pytest.raises((StreamingError, KeyError)) if end in ("failed", "raised") else anyio.CancelScope():
        async with layer(make_call(stream=True), handler) as reply:
            assert await reply.__anext__() == "one"
            if end == "raised":
                raise KeyError
            if end == "cancelled":
                reply.cancel()
            if end != "left":
                assert [event async for event in reply] in (["two"], [])
    async with layer(make_call(stream=True), ScriptedHandler(["new"])) as reply:
        assert reply.origin == "provider"


@pytest.mark.anyio
async def test_a_whole_reply_is_kept_though_its_consumer_fails(make_call: MakeCall) -> None:
    """What the consumer does to the reply says nothing about the answer: it is kept when it is entered."""
    layer = Cache()
    handler = ScriptedHandler("whole")
    with pytest.raises(KeyError):
        async with layer(make_call(), handler):
            raise KeyError
    assert await read(layer, make_call(), handler) == ("whole", "cache")


@pytest.mark.anyio
async def test_a_replay_can_be_left(make_call: MakeCall) -> None:
    """A replayed stream may be left or cancelled at any event, and is whole for the next one."""
    layer = Cache()
    handler = ScriptedHandler(["one", "two", "three"])
    await read(layer, make_call(stream=True), handler)
    async with layer(make_call(stream=True), handler) as reply:
        assert await reply.__anext__() == "one"
    async with layer(make_call(stream=True), handler) as reply:
        assert await reply.__anext__() == "one"
        reply.cancel()
        assert [event async for event in reply] == []
        assert not reply.finished
    assert await read(layer, make_call(stream=True), handler) == (["one", "two", "three"], "cache")


async def arrivals(reply: Reply[object], began: float) -> list[tuple[object, float]]:
    return [(event, round(anyio.current_time() - began, 6)) async for event in reply]


@pytest.mark.anyio
@pytest.mark.parametrize("replay", ["at_once", "timed"])
async def test_replays_a_stream_at_once_or_as_it_came(make_call: MakeCall, replay: str) -> None:
    """``"timed"`` keeps the time to the first event and all gaps, ``"at_once"`` none."""
    layer = Cache(replay=replay)
    outcome = Outcome(events=["one", "two", "three"], delay=2, interval=0.5)
    handler = ScriptedHandler(outcome)
    call = make_call(stream=True)
    async with layer(call, handler) as reply:
        came = await arrivals(reply, call.started)
    assert came == [("one", 2.0), ("two", 2.5), ("three", 3.0)]
    again = make_call(stream=True)
    async with layer(again, handler) as reply:
        entered = anyio.current_time() - again.started
        replayed = await arrivals(reply, again.started)
    assert reply.origin == "cache"
    if replay == "timed":
        assert entered == 2.0
        assert replayed == came
    else:
        assert replayed == [("one", 0.0), ("two", 0.0), ("three", 0.0)]


@pytest.mark.anyio
async def test_a_slow_consumer_does_not_slow_the_first_event_down(make_call: MakeCall) -> None:
    """The first event's time is when the stream was entered, not when its consumer came to take it."""
    layer = Cache(replay="timed")
    handler = ScriptedHandler(Outcome(events=["one", "two"], delay=1))
    async with layer(make_call(stream=True), handler) as reply:
        await anyio.sleep(5)
        assert len([event async for event in reply]) == 2
    call = make_call(stream=True)
    async with layer(call, handler) as reply:
        assert await arrivals(reply, call.started) == [("one", 1.0), ("two", 6.0)]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("timeouts", "expected"),
    [
        (Timeouts(first_event=0.5), [0.5, 4.0, 6.0]),
        (Timeouts(between_events=0.5), [2.0, 2.5, 3.0]),
        (Timeouts(total=4.5), [2.0, 4.0, 4.5]),
    ],
    ids=["first event", "between events", "total"],
)
async def test_a_timed_replay_keeps_to_the_limits_of_its_call(
    make_call: MakeCall, timeouts: Timeouts, expected: list[float]
) -> None:
    """What came later than a call has time for comes at its limit: it is here, so it is never too late."""
    layer = Cache(replay="timed")
    handler = ScriptedHandler(Outcome(events=["one", "two", "three"], delay=2, interval=2))
    await read(layer, make_call(stream=True), handler)
    call = make_call(stream=True, timeouts=timeouts)
    async with layer(call, handler) as reply:
        assert [time for _, time in await arrivals(reply, call.started)] == expected


@pytest.mark.anyio
async def test_cancelling_a_timed_replay_ends_its_wait(make_call: MakeCall) -> None:
    """``cancel`` from another task ends a pending wait at once, and with it the stream."""
    layer = Cache(replay="timed")
    handler = ScriptedHandler(Outcome(events=["one", "two"], interval=100))
    await read(layer, make_call(stream=True), handler)
    began = anyio.current_time()
    async with layer(make_call(stream=True), handler) as reply, anyio.create_task_group() as tasks:

        async def cancel() -> None:
            await anyio.sleep(1)
            reply.cancel()

        tasks.start_soon(cancel)
        assert [event async for event in reply] == ["one"]
    assert not reply.finished
    assert anyio.current_time() - began == 1.0


@pytest.mark.anyio
async def test_a_store_with_times_serves_both_kinds_of_replay(make_call: MakeCall) -> None:
    """Caches of both kinds share a store: without times a stream comes at once, with them as each is set."""
    store = MemoryStore()
    timed, at_once = Cache(store=store, replay="timed"), Cache(store=store)
    handler = ScriptedHandler(Outcome(events=["one", "two"], delay=1, interval=1))
    for recorder, reader, seconds in ((timed, at_once, 0.0), (at_once, timed, 0.0), (timed, timed, 2.0)):
        await read(recorder, make_call(stream=True, cache="refresh"), handler)
        began = anyio.current_time()
        assert await read(reader, make_call(stream=True), handler) == (["one", "two"], "cache")
        assert anyio.current_time() - began == seconds


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
async def test_a_large_answer_is_not_kept(make_call: MakeCall, streamed: bool) -> None:
    """An answer beyond ``max_bytes`` reaches its consumer whole, and the store not at all."""
    handler = ScriptedHandler(["x" * 60] * 20 if streamed else "x" * 1200)
    for max_bytes, kept in ((1000, 0), (2000, 1)):
        store = RecordingStore()
        layer = Cache(store=store, max_bytes=max_bytes)
        seen, _ = await read(layer, make_call(stream=streamed), handler)
        assert seen == (["x" * 60] * 20 if streamed else "x" * 1200)
        assert len(store.values) == kept
        assert all(len(value) <= max_bytes for value in store.values.values())


@pytest.mark.anyio
async def test_a_consumer_cannot_change_what_is_kept() -> None:
    """What a consumer does to its reply, or to one from the cache, is not seen by the next one."""
    provider = Simulator(reply="In the hills, mostly.")
    async with serving(provider, middleware=[Cache()]) as client:
        for _ in range(3):
            response = await client.chat(**QUESTION)
            assert response.choices[0].message.content == "In the hills, mostly."
            response.choices.clear()
        for _ in range(3):
            async for chunk in (stream := await client.chat_stream(**QUESTION)):
                chunk.choices.clear()
            assert stream.finished
        texts = [chunk.text async for chunk in await client.chat_stream(**QUESTION)]
    assert "".join(texts) == "In the hills, mostly."
    assert len(provider.requests) == 2


@pytest.mark.anyio
async def test_through_the_client() -> None:
    """With a client, whole replies and streams come out of the cache as they went in, and marked."""
    provider = Simulator(reply="In the hills, mostly.", latency=2.0)
    async with serving(provider, middleware=[Cache(), Retry()]) as client:
        first = await client.chat(**QUESTION)
        second = await client.chat(**QUESTION)
        assert first == second
        assert (first.origin, second.origin) == ("provider", "cache")
        assert second.request_id == first.request_id
        assert (len(first.attempts), len(second.attempts)) == (1, 0)
        streams = [await client.chat_stream(**QUESTION) for _ in range(2)]
        chunks = [[chunk async for chunk in stream] for stream in streams]
        third = await client.chat_stream(**QUESTION)
        assert [chunk async for chunk in third] == chunks[1]  # the last one that was kept
        assert third.response() == streams[1].response()
        assert third.response().origin == "cache"
        assert third.usage is not None
        assert third.usage == streams[1].usage
        assert await client.list_models() == await client.list_models()
    assert len(provider.requests) == 4  # two streams were open at one time: they do not wait for each other


@pytest.mark.anyio
async def test_a_failed_call_is_made_again_through_the_client() -> None:
    """Neither a refusal nor a broken stream is kept; the error of each call is its own."""
    provider = Simulator(reply="In the hills, mostly.", faults=[Refuse(429), Refuse(503), None, ResetAfterEvents(2)])
    async with serving(provider, middleware=[Cache()]) as client:
        statuses: list[int | None] = []
        for _ in range(2):
            with pytest.raises(LlmError) as caught:
                await client.chat(**QUESTION)
            statuses.append(caught.value.status)
        assert statuses == [429, 503]
        assert (await client.chat(**QUESTION)).origin == "provider"
        with pytest.raises(LlmError):
            async for _ in await client.chat_stream(**QUESTION):
                pass
        async for _ in (stream := await client.chat_stream(**QUESTION)):
            pass
        assert stream.response().origin == "provider"


@pytest.mark.anyio
async def test_a_hit_takes_no_permit(make_call: MakeCall) -> None:
    """Outside a limit, a hit costs nothing of it."""
    permits = Concurrency(1)
    stack = Stack([Cache(), permits], handler := ScriptedHandler("whole", ["one"]))
    async with stack(make_call()):
        pass
    async with stack(make_call(stream=True)) as open_stream:
        assert permits.in_use == 1
        async with stack(make_call()) as reply:
            assert reply.origin == "cache"
        assert [event async for event in open_stream] == ["one"]
    assert len(handler.calls) == 2


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("hangs", [False, True], ids=["fails", "hangs"])
async def test_a_failed_look_up_is_gone_around(make_call: MakeCall, streamed: bool, hangs: bool) -> None:
    """With ``on_store_error="open"`` the request is made, after two seconds at most, and listeners are told."""
    store = FailingStore("get", hangs=hangs)
    layer = Cache(store=store)
    told: list[object] = []
    call = make_call(stream=streamed, listeners=(but_misses(told),))
    assert (await read(layer, call, ScriptedHandler(["one"] if streamed else "whole")))[1] == "provider"
    assert anyio.current_time() - call.started == (2.0 if hangs else 0.0)
    assert store.cancelled == hangs
    # Nor is the answer kept: it would only wait once more.
    for failed, doing in zip(told, ("get", "put"), strict=True):
        assert isinstance(failed, CacheStoreFailed)
        assert (failed.doing, failed.goes_on, failed.call) == (doing, True, call)
        assert str(failed.error) == ("no answer within 2 s" if hangs else "unreachable")


@pytest.mark.anyio
@pytest.mark.parametrize("on_store_error", ["open", "closed"])
async def test_a_store_that_fails_is_left_alone_for_a_second(
    make_call: MakeCall, caplog: pytest.LogCaptureFixture, on_store_error: Literal["open", "closed"]
) -> None:
    """Of many calls one tries its patience, and the log is told once; after a second it is asked again."""
    store = FailingStore("get", hangs=True)
    layer = Cache(store=store, on_store_error=on_store_error)
    handler = ScriptedHandler("whole")
    began = anyio.current_time()

    async def one() -> str:
        try:
            return (await read(layer, make_call(), handler))[1]
        except StoreError as error:
            return str(error)

    gone_around = {"open": "provider", "closed": "no answer within 2 s"}[on_store_error]
    assert [await one() for _ in range(5)] == [gone_around] * 5
    assert (anyio.current_time() - began, store.cancelled) == (2.0, 1)
    store.failing = ()
    await anyio.sleep(1.0)
    assert [await one() for _ in range(2)] == ["provider", "cache"]
    assert [record.levelname for record in caplog.records if record.name == "liter.cache"] == ["WARNING"] * 2


@pytest.mark.anyio
async def test_a_call_without_time_says_nothing_of_its_store(make_call: MakeCall) -> None:
    """Where the look-up ended with the call's own time, the next call looks up as ever."""
    store = FailingStore("get", hangs=True)
    layer = Cache(store=store, on_store_error="closed")
    with pytest.raises(StoreError):
        await read(layer, make_call(timeouts=Timeouts(first_event=0.5)), ScriptedHandler("whole"))
    store.failing = ()
    for origin in ("provider", "cache"):
        assert (await read(layer, make_call(), ScriptedHandler("whole")))[1] == origin


@pytest.mark.anyio
async def test_a_store_that_keeps_nothing_is_asked_all_the_same(make_call: MakeCall) -> None:
    """An answer that could not be kept refuses no later call, and the next ones wait no more for theirs."""
    store = FailingStore("put", hangs=True)
    layer = Cache(store=store, on_store_error="closed")
    began = anyio.current_time()
    for _ in range(3):
        assert (await read(layer, make_call(), ScriptedHandler("whole")))[1] == "provider"
    assert anyio.current_time() - began == 2.0


@pytest.mark.anyio
async def test_a_look_up_keeps_to_the_calls_time(make_call: MakeCall) -> None:
    """A store is not waited for beyond the time that the call has."""
    layer = Cache(store=FailingStore("get", hangs=True), on_store_error="closed")
    call = make_call(timeouts=Timeouts(first_event=0.5))
    with pytest.raises(StoreError, match=r"no answer within 0\.5 s"):
        await read(layer, call, ScriptedHandler("whole"))
    assert anyio.current_time() - call.started == 0.5


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
async def test_a_closed_cache_raises_what_its_store_did(make_call: MakeCall, streamed: bool) -> None:
    """With ``on_store_error="closed"`` a failed look-up fails the call, and no request is made."""
    layer = Cache(store=FailingStore("get"), on_store_error="closed")
    told: list[object] = []
    handler = ScriptedHandler(["one"] if streamed else "whole")
    for _ in range(2):
        with pytest.raises(StoreError, match="unreachable"):
            await read(layer, make_call(stream=streamed, listeners=(but_misses(told),)), handler)
    assert handler.calls == []
    assert [cast("CacheStoreFailed", failed).goes_on for failed in told] == [False, False]
    assert layer.under_way == 0


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("hangs", [False, True], ids=["fails", "hangs"])
async def test_an_answer_that_cannot_be_kept_is_handed_out(make_call: MakeCall, streamed: bool, hangs: bool) -> None:
    """A store that fails to keep an answer fails no call, open or closed; the listeners are told."""
    store = FailingStore("put", hangs=hangs)
    layer = Cache(store=store, on_store_error="closed")
    told: list[object] = []
    handler = ScriptedHandler(["one"] if streamed else "whole")
    call = make_call(stream=streamed, listeners=(but_misses(told),))
    assert (await read(layer, call, handler))[0] == (["one"] if streamed else "whole")
    (failed,) = told
    assert isinstance(failed, CacheStoreFailed)
    assert (failed.doing, failed.goes_on) == ("put", True)
    assert anyio.current_time() - call.started == (2.0 if hangs else 0.0)
    assert handler.open == 0


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
async def test_what_a_store_gives_that_is_no_answer_is_a_miss(make_call: MakeCall, streamed: bool) -> None:
    """Bytes that are not a record, or one of an unknown kind, are passed over and replaced."""
    store = RecordingStore()
    layer = Cache(store=store)
    handler = ScriptedHandler(["one"] if streamed else "whole")
    await read(layer, make_call(stream=streamed), handler)
    ((key, good),) = store.values.items()
    for bad in (b"", b"\xc1", good[:-1], good + b"x", good.replace(b"str", b"Xtr"), good.replace(b"str", b"int")):
        assert bad != good
        store.values[key] = bad
        assert (await read(layer, make_call(stream=streamed), handler))[1] == "provider"
        assert store.values[key] == good
    assert (await read(layer, make_call(stream=streamed), handler))[1] == "cache"


@pytest.mark.anyio
async def test_a_listener_that_raises_leaves_nothing_open(make_call: MakeCall) -> None:
    """What a listener raises fails that one call as it is, and the request that was made is closed."""

    def fail(event: object) -> None:
        if type(event) is told:
            raise KeyError(type(event).__name__)

    layer = Cache(store=FailingStore("put"))
    handler = ScriptedHandler("whole")
    for told, entered in ((CacheMiss, 0), (CacheStoreFailed, 1)):
        with pytest.raises(KeyError, match=told.__name__):
            await read(layer, make_call(listeners=(fail,)), handler)
        assert (handler.entered, handler.open, layer.under_way) == (entered, 0, 0)


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
async def test_tells_a_miss(make_call: MakeCall, streamed: bool) -> None:
    """The listeners are told once that there is no answer, and not of what is asked anew by the tag."""
    layer, told = Cache(), list[object]()
    call = make_call(stream=streamed, listeners=(told.append,))
    await read(layer, call, ScriptedHandler(["one"] if streamed else "whole"))
    assert told == [CacheMiss(call=call)]
    refresh = msgspec.structs.replace(call, cache="refresh")
    await read(layer, refresh, ScriptedHandler(["one"] if streamed else "whole"))
    assert told == [CacheMiss(call=call)]


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
async def test_a_hit_tells_what_it_saved(streamed: bool) -> None:
    """A hit costs 0, and has what its answer cost when it was made: by the price book, and exactly."""
    told: list[object] = []
    prices = PriceBook().with_({"openai/gpt-4o": Price(input=1, output=10)}, version="test")

    async def listen(call: Call[object]) -> Call[object]:
        return msgspec.structs.replace(call, listeners=(told.append,))

    async with serving(
        Simulator(reply="In the hills."), middleware=[Hooks(on_request=listen), Cache(prices=prices)]
    ) as client:
        for _ in range(2):
            if streamed:
                stream = await client.chat_stream(model="gpt-4o", messages=[{"role": "user", "content": "Where?"}])
                async for _ in stream:
                    pass
                response = stream.response()
                assert stream.saved == response.saved
            else:
                response = await client.chat(model="gpt-4o", messages=[{"role": "user", "content": "Where?"}])
    usage = response.usage
    assert usage is not None
    assert response.cost == Cost.unbilled()
    assert response.saved is not None
    assert response.saved.total == (usage.prompt_tokens + 10 * usage.completion_tokens) / Decimal(1_000_000)
    hit = told[-1]
    assert isinstance(hit, CacheHit)
    assert (hit.saved, hit.saved_cost) == (usage, response.saved)


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
async def test_a_hit_saved_what_the_winner_of_a_race_cost(make_call: MakeCall, streamed: bool) -> None:
    """The attempt on record last is not always the one that answered: the loser made nothing of the answer."""
    prices = PriceBook().with_({"scripted/scripted": Price(input=1), "scripted/dear": Price(input=100)}, version="test")
    usage = Usage(prompt_tokens=1_000_000, total_tokens=1_000_000)
    answer = {"events": ["a"]} if streamed else {"value": "a"}
    script = ScriptedHandler(Outcome(delay=2.0, usage=usage, **answer), Outcome(value="late", delay=20.0))

    def second_elsewhere(call: Call[R]) -> AbstractAsyncContextManager[Reply[R]]:
        return script(call.to("dear") if call.attempts else call)

    handler = Stack([Cache(prices=prices), Hedge(1.0)], second_elsewhere)
    call = make_call(stream=streamed)
    async with handler(call) as reply:
        if streamed:
            assert [event async for event in reply] == ["a"]
    assert [attempt.model for attempt in call.attempts] == ["scripted", "dear"]
    async with handler(make_call(stream=streamed)) as reply:
        assert reply.saved is not None
        assert reply.saved.total == 1


@pytest.mark.anyio
async def test_what_a_hit_saved_is_what_its_answer_cost() -> None:
    """By the client's prices where the cache has none, and all that a call is billed by: images, characters, terms."""
    prices = PriceBook().with_(
        {
            "openai/dall-e-3": [Price(images=1), Price(images=100, when={"quality": "high"})],
            "openai/tts-1": Price(characters=15),
            "openai/gpt-4o": Price(input=1, output=10),
        },
        version="test",
    )
    async with serving(Simulator(reply="In the hills."), middleware=[CostTracking(), Cache()], prices=prices) as client:
        ask = {"model": "dall-e-3", "prompt": "a river"}
        for make in (
            lambda: client.chat(**QUESTION),
            lambda: client.image_generate(**ask, quality="low"),
            lambda: client.image_generate(**ask, quality="high"),
            lambda: client.speech(model="tts-1", input="In the hills.", voice="alloy"),
            client.list_models,
        ):
            first, second = await make(), await make()
            assert (second.origin, second.cost) == ("cache", Cost.unbilled())
            assert first.cost is not None
            assert second.saved is not None
            assert second.saved.total == first.cost.total


@pytest.mark.parametrize(
    ("told", "address", "usage", "saved"),
    [
        ("", "https://api.openai.com/v1", Usage(prompt_tokens=1_000_000), 1),
        ("gpt-4o-new", "https://api.openai.com/v1", Usage(prompt_tokens=1_000_000), 3),
        ("of another price book", "https://api.openai.com/v1", Usage(prompt_tokens=1_000_000), 1),
        ("", "https://eu.api.openai.com/v1", Usage(prompt_tokens=1_000_000), 2),
        ("", "https://api.openai.com/v1", Usage(completion_tokens=1_000_000), None),
    ],
    ids=["", "the model that answered", "an unknown one", "where it is", "no price for it"],
)
def test_by_what_a_hit_is_priced(told: str, address: str, usage: Usage, saved: int | None) -> None:
    """As the attempt that made it: by the model that answered, and where; what is not known is not 0."""
    here = Price(input=2, when={"geography": "eu"})
    prices = PriceBook().with_(
        {"openai/gpt-4o": [Price(input=1), here], "openai/gpt-4o-new": Price(input=3)}, version="test"
    )
    call = msgspec.structs.replace(KIT_CALL, route=Route(provider="openai", model="gpt-4o", base_url=address))
    record = Record("ChatCompletionResponse", b"", [], 200, None, usage, "openai", "gpt-4o")
    cost = Cache(prices=prices).price(record, call, ChatCompletionResponse(model=told))
    assert (None if cost is None else cost.total) == saved


@pytest.mark.anyio
async def test_what_a_hit_saved_may_be_unknown(make_call: MakeCall) -> None:
    """Without a price, what was saved is unknown, and not 0; and what was no hit has saved nothing."""
    layer = Cache(prices=PriceBook())
    handler = ScriptedHandler(Outcome(value="whole", usage=Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)))
    async with layer(make_call(), handler) as reply:
        assert (reply.cost, reply.saved) == (None, None)
    async with layer(make_call(), handler) as reply:
        assert (reply.cost, reply.saved) == (Cost.unbilled(), None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ttl": 0}, "ttl must be a positive number of seconds, not 0"),
        ({"ttl": -1.0}, "ttl must be a positive"),
        ({"ttl": float("inf")}, "ttl must be a positive"),
        ({"ttl": float("nan")}, "ttl must be a positive"),
        ({"max_bytes": 0}, "max_bytes must be 1 or more"),
        ({"replay": "slow"}, "replay must be 'at_once' or 'timed', not 'slow'"),
        ({"on_store_error": "ignore"}, "on_store_error must be 'open' or 'closed', not 'ignore'"),
        ({"tags": "tenant"}, r"tags must be a list of names, such as \('tenant',\), not str"),
        ({"tags": [""]}, "tags must be a list of names, and '' is none"),
        ({"tags": None}, "tags must be a list of names"),
        ({"ignore": ["usr"]}, "ignore: no request has a field 'usr'"),
        ({"ignore": ["messages"]}, "ignore: no request has a field 'messages' that could be left out"),
        ({"ignore": "user"}, "ignore must be a list"),
        ({"ignore_headers": "traceparent"}, "ignore_headers must be a list"),
        ({"ignore_headers": [b"traceparent"]}, "ignore_headers must be a list of names, and b'traceparent' is none"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(options: dict[str, object], message: str) -> None:
    """What makes no sense is told when the cache is made, with the field and what would be right."""
    with pytest.raises(ValueError, match=message):
        Cache(**options)  # that is the point


async def _embed(text: str) -> Sequence[float]:
    return [1.0]


def test_tells_its_state() -> None:
    """Its repr shows what it is set to, and its store's state."""
    loud = Cache(ignore=["user"], share_keys=True, replay="timed", semantic=Semantic(_embed), on_store_error="closed")
    assert repr(loud) == (
        "Cache(store=MemoryStore(), ttl=300, tags=('tenant',), ignore=['user'], share_keys=True, replay='timed', "
        "semantic=0.95, on_store_error='closed', under_way=0)"
    )
    told = repr(Cache(ttl=60, tags=["tenant", "user"]))
    assert told.startswith("Cache(store=MemoryStore(")
    assert told.endswith("ttl=60, tags=('tenant', 'user'), under_way=0)")

"""Streams whose events are taken without awaiting, where they are here already: layers do the same to them."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar, cast

import anyio.lowlevel
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liter import Call, ChatCompletionRequest, ContentPolicyError, Handler, Reply, Route
from liter._contract import Stack
from liter.middleware import Cache, Fallback, Guardrails, Hooks, Rule, Target
from liter.middleware._cache_replay import Replay
from liter.types import ChatCompletionChunk, ChunkChoice, Delta

pytestmark = pytest.mark.anyio

R = TypeVar("R")

CALL = Call(
    operation="chat",
    request=ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "Hi"}]),
    route=Route(provider="p", model="m", base_url="https://a.example"),
    stream=True,
)


class Source:
    """Gives texts as chunks; ``here`` tells of each whether it is there before it is asked for."""

    def __init__(self, texts: Sequence[str], here: Sequence[bool]) -> None:
        self.chunks = [ChatCompletionChunk(choices=[ChunkChoice(delta=Delta(content=text))]) for text in texts]
        self.here = here
        self.taken = 0
        self.without = 0

    def next_nowait(self) -> ChatCompletionChunk | None:
        if self.taken == len(self.chunks) or not self.here[self.taken]:
            return None
        self.taken += 1
        self.without += 1
        return self.chunks[self.taken - 1]

    async def __anext__(self) -> ChatCompletionChunk:
        await anyio.lowlevel.checkpoint()
        if self.taken == len(self.chunks):
            raise StopAsyncIteration
        self.taken += 1
        return self.chunks[self.taken - 1]

    async def aclose(self) -> None:
        pass


def handler(source: Source) -> Callable[[Call[R]], AbstractAsyncContextManager[Reply[R]]]:
    @asynccontextmanager
    async def handle(_: Call[R]) -> AsyncIterator[Reply[R]]:
        yield cast("Reply[R]", Reply(events=source))

    return handle


async def texts_of(layers: Sequence[object], source: Source, *, nowait: bool) -> tuple[list[str], str | None]:
    """Read a stream to its end. Returns its texts, and the name of the error that broke it."""
    texts: list[str] = []
    async with Stack(layers, handler(source))(CALL) as reply:
        while True:
            try:
                event = reply.next_nowait() if nowait else None
                if event is None:
                    event = await reply.__anext__()
            except StopAsyncIteration:
                return texts, None
            except ContentPolicyError as error:
                return texts, type(error).__name__
            texts.append(cast("ChatCompletionChunk", event).text)


def upper(_: object, event: object) -> object:
    chunk = cast("ChatCompletionChunk", event)
    return ChatCompletionChunk(choices=[ChunkChoice(delta=Delta(content=chunk.text.upper()))])


def upper_later(call: object, event: object) -> object:
    """Sync for some, awaitable for others, and nothing to say to the rest."""
    if "a" in cast("ChatCompletionChunk", event).text:
        return None

    async def later() -> object:
        await anyio.lowlevel.checkpoint()
        return upper(call, event)

    return later() if "s" in cast("ChatCompletionChunk", event).text else upper(call, event)


@asynccontextmanager
async def blocking(call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
    """Break a stream as a tap does: at an event that may be here already."""

    def watch(event: object) -> None:
        if "kk" in cast("ChatCompletionChunk", event).text:
            raise ContentPolicyError("no")

    async with call_next(call) as reply:
        reply.tap(watch)
        yield reply


MAKERS: dict[str, Callable[[], list[object]]] = {
    "hooks": lambda: [Hooks(on_chunk=upper)],
    "awaitable hooks": lambda: [Hooks(on_chunk=upper_later)],
    "guardrails": lambda: [Guardrails([Rule("sk-a+", action="redact")])],
    "guardrails that hold back": lambda: [Guardrails([Rule("[ak]{2}", action="redact")], window=3)],
    "guardrails that block": lambda: [Guardrails([Rule("kk", action="block")])],
    "a restart": lambda: [Fallback(["p/other"], when=ContentPolicyError, mid_stream="restart"), blocking],
    "a continuation": lambda: [
        Fallback([Target("p/other", prefix="continued", when=ContentPolicyError)], mid_stream="continue"),
        blocking,
    ],
    "all": lambda: [Hooks(on_chunk=upper_later), Guardrails([Rule("sk-a+", action="redact")]), Cache()],
}


@pytest.mark.parametrize("name", MAKERS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.tuples(st.text("sk-a ", min_size=1, max_size=6), st.booleans()), max_size=12))
async def test_what_is_here_already_is_handed_out_the_same(name: str, pieces: list[tuple[str, bool]]) -> None:
    """Whichever events are here before they are asked for, the stream is the one that is awaited event by event."""
    texts, here = [text for text, _ in pieces], [ready for _, ready in pieces]
    awaited = await texts_of(MAKERS[name](), Source(texts, here), nowait=False)
    assert await texts_of(MAKERS[name](), Source(texts, here), nowait=True) == awaited


async def test_layers_let_it_through() -> None:
    """Most events of a stream are taken without awaiting, through all layers that look at them."""
    layers = [
        Hooks(on_chunk=upper),
        Guardrails([Rule("sk-a+", action="redact")]),
        Cache(),
        Fallback(["p/other"], mid_stream="restart"),
    ]
    source = Source(["word "] * 50, [True] * 50)
    texts, error = await texts_of(layers, source, nowait=True)
    assert (texts, error) == (["WORD "] * 50, None)
    assert source.without >= 49


async def test_a_tap_that_raises_breaks_the_stream() -> None:
    """What a tap raises at an event that is here already is the stream's error."""
    reply = Reply(events=Source(["x"], [True]))
    fault = ValueError("no")

    def watch(_: object) -> None:
        raise fault

    reply.tap(watch)
    with pytest.raises(ValueError, match="no"):
        reply.next_nowait()
    assert reply.error is fault


async def test_nothing_is_here_after_the_end() -> None:
    """A reply that was cancelled, that has ended, or whose source cannot tell gives nothing at once."""
    cancelled = Reply(events=Source(["x"], [True]))
    cancelled.cancel()
    assert cancelled.next_nowait() is None
    ended = Reply(events=Source([], []))
    with pytest.raises(StopAsyncIteration):
        await ended.__anext__()
    assert ended.next_nowait() is None
    assert Reply(value="whole").next_nowait() is None
    timed = Reply(events=Replay(["one", "two"], [0.0, 1.0], 0.0, cast("Call[str]", CALL)))
    assert timed.next_nowait() is None
    assert Reply(events=Replay(["one"], [], 0.0, cast("Call[str]", CALL))).next_nowait() == "one"

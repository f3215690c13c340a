"""Attempts are watched: each one begins, is entered and ends, whoever makes it and however it ends."""

import math
from contextlib import asynccontextmanager

import anyio
import pytest
from msgspec.structs import replace

from liter import Attempt, BudgetExceededError, LlmClient, LlmError, LlmTimeoutError
from liter.middleware import Retry
from liter.testing import CloseAfterEvents, CloseBeforeHead, Refuse, Simulator, StallBeforeHead

from ._serving import serving

pytestmark = pytest.mark.anyio

HI = [{"role": "user", "content": "hi"}]
USAGE = (True, True)


class Recorder:
    """Writes down what it is told, and adds a header to each request."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, object]] = []
        self.attempts: list[Attempt] = []
        self.events = 0

    def begin(self, call, attempt, request):
        """Told before it is sent."""
        self.told.append(("begin", attempt.number, request.path))
        self.attempts.append(attempt)
        return ((b"x-attempt", str(attempt.number).encode()),)

    def entered(self, attempt, reply):
        """Told when the reply is in."""
        self.told.append(("entered", attempt.number, reply.streamed))
        if reply.streamed:
            reply.tap(self.count)

    def count(self, event) -> None:
        """Count an event of the attempt's own."""
        self.events += 1

    def ended(self, attempt, error):
        """Told at the end."""
        self.told.append(("ended", attempt.number, attempt.outcome if error is None else type(error).__name__))

    @property
    def layer(self):
        """The layer that adds it."""

        @asynccontextmanager
        async def watched(call, call_next):
            async with call_next(replace(call, watchers=(*call.watchers, self))) as reply:
                yield reply

        return watched


@asynccontextmanager
async def watching(simulator: Simulator, recorder: Recorder):
    """A client whose attempts are recorded, with one retry inside."""
    layers = [recorder.layer, Retry(max_retries=1, initial=0.1)]
    async with serving(simulator, middleware=layers) as client:
        yield client


async def test_each_attempt_is_seen_from_outside_retry() -> None:
    """The refused one and the one that serves, with the headers that the watcher added to each."""
    recorder, simulator = Recorder(), Simulator(faults=[Refuse(503)])
    async with watching(simulator, recorder) as client:
        response = await client.chat(model="gpt", messages=HI)
    assert recorder.told == [
        ("begin", 1, "/chat/completions"),
        ("ended", 1, "ServiceUnavailableError"),
        ("begin", 2, "/chat/completions"),
        ("entered", 2, False),
        ("ended", 2, "ok"),
    ]
    assert [dict(request.headers)["x-attempt"] for request in simulator.requests] == ["1", "2"]
    first, second = response.attempts
    assert (first.usage, second.usage) == (None, response.usage)
    assert {attempt.operation for attempt in response.attempts} == {"chat"}
    assert {attempt.base_url for attempt in response.attempts} == {"https://api.openai.com/v1"}


@pytest.mark.parametrize("leave", ["finish", "close", "error"])
async def test_a_stream_ends_once_and_keeps_its_usage(leave: str) -> None:
    """At its end, when the consumer leaves, and when it breaks; a tap sees this attempt's events."""
    faults = [CloseAfterEvents(3)] if leave == "error" else []
    recorder = Recorder()
    async with watching(Simulator(reply="one two three four five six", faults=faults), recorder) as client:
        stream = await client.chat_stream(model="gpt", messages=HI)
        seen = 0
        try:
            async for _ in stream:
                seen += 1
                if leave == "close" and seen == 2:
                    await stream.aclose()
                    break
        except LlmError:
            assert leave == "error"
    outcome = {"finish": "ok", "close": "abandoned", "error": "StreamingError"}[leave]
    assert recorder.told == [("begin", 1, "/chat/completions"), ("entered", 1, True), ("ended", 1, outcome)]
    assert recorder.events == seen > 0
    assert (recorder.attempts[0].usage is not None) is (leave == "finish")


async def test_a_cancelled_attempt_ends_too() -> None:
    """The watcher is told, and the record says so."""
    recorder = Recorder()
    async with watching(Simulator(faults=[StallBeforeHead()]), recorder) as client:
        with anyio.move_on_after(1):
            await client.chat(model="gpt", messages=HI)
    assert [told[:2] for told in recorder.told] == [("begin", 1), ("ended", 1)]
    assert recorder.attempts[0].outcome == "cancelled"


class Gate:
    """Waits, then lets so many attempts through."""

    def __init__(self, seconds: float = 0.0, attempts: float = math.inf) -> None:
        self.seconds = seconds
        self.attempts = attempts
        self.asked: list[tuple[str, int, int]] = []

    async def admit(self, call, attempt, request):
        """Asked before it is sent."""
        self.asked.append((attempt.model, attempt.number, len(request.body)))
        await anyio.sleep(self.seconds)
        if len(self.asked) > self.attempts:
            raise BudgetExceededError("enough")

    @asynccontextmanager
    async def layer(self, call, call_next):
        """The layer that adds it."""
        async with call_next(replace(call, gates=(*call.gates, self))) as reply:
            yield reply


@asynccontextmanager
async def gated(simulator: Simulator, gate: Gate, recorder: Recorder, **options):
    """A client whose attempts are asked for, and recorded, with one retry inside."""
    layers = [gate.layer, recorder.layer, Retry(max_retries=1, initial=0.1)]
    async with (
        simulator.serve_memory() as network,
        LlmClient(api_key="sk-any", network_backend=network, middleware=layers, **options) as client,
    ):
        yield client


async def test_each_attempt_is_asked_for_before_it_is_on_the_record() -> None:
    """The wait belongs to no attempt, and the gate sees the model and the body that would go out."""
    gate, recorder = Gate(seconds=5.0), Recorder()
    async with gated(Simulator(faults=[Refuse(503)]), gate, recorder) as client:
        response = await client.chat(model="gpt", messages=HI)
    assert [asked[:2] for asked in gate.asked] == [("gpt", 0), ("gpt", 0)]
    assert all(size > len("hi") for _, _, size in gate.asked)
    assert [attempt.number for attempt in response.attempts] == [1, 2]
    assert all(attempt.seconds < 1 for attempt in response.attempts)
    assert response.attempts[1].started - response.attempts[0].started >= 5


async def test_an_attempt_that_is_not_let_through_was_none() -> None:
    """Nothing is sent, nobody is told, and the error says what was tried before."""
    gate, recorder, simulator = Gate(attempts=1), Recorder(), Simulator(faults=[Refuse(503)])
    async with gated(simulator, gate, recorder) as client:
        with pytest.raises(BudgetExceededError, match="enough") as caught:
            await client.chat(model="gpt", messages=HI)
    assert len(simulator.requests) == 1
    assert [attempt.outcome for attempt in caught.value.attempts] == ["ServiceUnavailableError"]
    assert recorder.told == [("begin", 1, "/chat/completions"), ("ended", 1, "ServiceUnavailableError")]


async def test_the_wait_at_a_gate_is_the_calls_own_time() -> None:
    """The call's limit ends it, and says which one it was."""
    simulator = Simulator()
    async with gated(simulator, Gate(seconds=60), Recorder(), timeout=10) as client:
        with pytest.raises(LlmTimeoutError, match="within 10 s"):
            await client.chat(model="gpt", messages=HI)
        with anyio.move_on_after(1) as scope:
            await client.chat(model="gpt", messages=HI)
    assert scope.cancelled_caught
    assert simulator.requests == []


async def test_a_request_that_is_sent_again_is_asked_for_again() -> None:
    """A retired connection ends one attempt, and the next is not let through: each watcher hears of one end."""
    gate, recorder = Gate(attempts=2), Recorder()
    async with gated(Simulator(faults=[None, CloseBeforeHead()]), gate, recorder) as client:
        await client.chat(model="gpt", messages=HI)
        with pytest.raises(BudgetExceededError) as caught:
            await client.chat(model="gpt", messages=HI)
    assert [attempt.outcome for attempt in caught.value.attempts] == ["ConnectionRetired"]
    assert [told[0] for told in recorder.told] == ["begin", "entered", "ended", "begin", "ended"]

"""Calls of which there must not be two: on what a provider keeps, and with an open file."""

import io
from collections.abc import Awaitable, Callable

import pytest

from liter import (
    BadRequestError,
    LlmClient,
    LlmError,
    LlmTimeoutError,
    NetworkError,
    RateLimitedError,
    SerializationError,
    ServerError,
    ServiceUnavailableError,
    StreamingError,
)
from liter._kept import ON_WHAT_IS_KEPT, may_be_done
from liter.middleware import Budget, Cache, CostTracking, Hedge, SpendLimit
from liter.providers import Catalog
from liter.testing import Simulator

from ._serving import serving

# Asked twice, they give an answer of the same worth: they may be cached, and raced.
REPEATABLE = {
    "chat", "completions", "count_tokens", "create_response", "embed", "image_edit", "image_generate",
    "image_variation", "list_models", "moderate", "ocr", "rerank", "search", "speech", "transcribe", "translate",
}  # fmt: skip

Ask = Callable[[LlmClient], Awaitable[object]]


def test_each_operation_is_one_or_the_other() -> None:
    """A new operation has to say whether what it asks for is kept."""
    known = {operation for provider in Catalog().values() for operation in provider.operations}
    assert known - REPEATABLE <= ON_WHAT_IS_KEPT
    assert not known & REPEATABLE & ON_WHAT_IS_KEPT


KEPT: dict[str, Ask] = {
    "list_files": lambda client: client.list_files(),
    "create_file": lambda client: client.create_file(file=b"{}", filename="a.jsonl", purpose="batch"),
    "background": lambda client: client.create_response(model="gpt-4o", input="Hi", background=True),
    "conversation": lambda client: client.create_response(model="gpt-4o", input="Hi", conversation="conv_1"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("ask", KEPT.values(), ids=KEPT)
async def test_what_is_kept_goes_past_a_cache(ask: Ask) -> None:
    """It is another at each moment: a file that was there, a response that was in the queue."""
    simulator = Simulator()
    async with serving(simulator, middleware=[Cache()]) as client:
        await ask(client)
        await ask(client)
    assert len(simulator.requests) == 2


@pytest.mark.anyio
@pytest.mark.parametrize("ask", KEPT.values(), ids=KEPT)
async def test_what_is_kept_is_not_raced(ask: Ask) -> None:
    """Or there would be two of it."""
    simulator = Simulator(latency=5.0)
    async with serving(simulator, middleware=[Hedge(1.0)]) as client:
        await ask(client)
    assert len(simulator.requests) == 1


SOUND = b"sound" * 100


@pytest.mark.anyio
@pytest.mark.parametrize(("content", "requests"), [(io.BytesIO, 1), (bytes, 2)], ids=["open", "bytes"])
async def test_an_open_file_is_read_by_one_attempt(
    content: Callable[[bytes], bytes | io.BytesIO], requests: int
) -> None:
    """Two at a time would read it in turns. What each attempt opens for itself is raced."""
    simulator = Simulator(latency=5.0)
    async with serving(simulator, middleware=[Hedge(1.0)]) as client:
        await client.transcribe(model="whisper-1", file=("talk.wav", content(SOUND)))
    assert len(simulator.requests) == requests
    assert all(SOUND in request.body for request in simulator.requests)


@pytest.mark.anyio
async def test_what_is_kept_costs_nothing() -> None:
    """No budget has to know a price of it."""
    budget = Budget(SpendLimit(1))
    async with serving(Simulator(), middleware=[budget, CostTracking()]) as client:
        made = await client.create_file(file=b"{}", filename="a.jsonl", purpose="batch")
        listed = await client.list_files()
    assert (made.cost.total, made.cost.estimated, listed.cost.total) == (0, False, 0)


@pytest.mark.parametrize(
    ("error", "perhaps"),
    [
        (NetworkError("broke"), True),
        (NetworkError("refused", connected=False), False),
        (LlmTimeoutError("late", limit="total"), True),
        (LlmTimeoutError("no connection", limit="connect"), False),
        (StreamingError("cut"), True),
        (SerializationError("no JSON", status=200), True),
        (BadRequestError("not sent"), False),
        (BadRequestError("refused", status=400), False),
        (RateLimitedError("later", status=429), False),
        (ServerError("a fault", status=500), True),
        (ServerError("a gateway's", status=502), True),
        (ServiceUnavailableError("overloaded", status=503), False),
        (LlmTimeoutError("the gateway's", status=504), True),
    ],
)
def test_what_may_be_done_though_it_failed(error: LlmError, perhaps: bool) -> None:
    """A refusal is an answer; silence is none."""
    assert may_be_done(error) is perhaps

"""The public API as users type it: checked by mypy and pyright, never run.

An error that is ignored is wanted: it tells users of a mistake. Both say so should it ever be gone.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import TypedDict, TypeVar, assert_type

import anyio
import msgspec

import liter
from liter import (
    BatchResult,
    BatchResults,
    Call,
    ChatCompletionChunk,
    ChatCompletionResponse,
    ChatStream,
    Handler,
    Layer,
    LlmClient,
    Reply,
)
from liter.middleware import (
    Budget,
    BudgetStatus,
    BudgetThreshold,
    CostTracking,
    Ledger,
    Retry,
    SpendLimit,
    Tracing,
)
from liter.money import Cost, Price, PriceBook
from liter.stores import LedgerRow, LedgerStore, SqliteLedger
from liter.telemetry import configure
from liter.types import ApiResponse, BatchesPage, BatchObject, CreateBatchRequest

R = TypeVar("R")


@asynccontextmanager
async def function_layer(call: Call[R], call_next: Handler) -> AsyncGenerator[Reply[R], None]:
    async with call_next(call) as reply:
        yield reply


class Slots(msgspec.Struct, frozen=True):
    slots: anyio.Semaphore

    @asynccontextmanager
    async def __call__(self, call: Call[R], call_next: Handler, /) -> AsyncGenerator[Reply[R], None]:
        async with self.slots, call_next(call) as reply:
            yield reply


class PassThrough:
    def __call__(self, call: Call[R], call_next: Handler, /) -> AbstractAsyncContextManager[Reply[R]]:
        return call_next(call)


layers: Sequence[Layer] = [function_layer, Slots(anyio.Semaphore(3)), PassThrough()]


class Weather(msgspec.Struct):
    city: str
    celsius: float


class WeatherDict(TypedDict):
    city: str


async def chat(client: LlmClient) -> None:
    response = await client.chat(model="openai/gpt-4o", messages=[{"role": "user", "content": "hi"}], temperature=0.3)
    assert_type(response, ChatCompletionResponse)
    assert_type(response.choices[0].finish_reason, str | None)
    assert_type(response.request_id, str | None)
    assert_type(response.raw, bytes)
    assert_type(response.cost, Cost | None)
    if response.cost is not None:
        assert_type(response.cost + response.cost, Cost)
        assert_type(float(response.cost), float)
        assert_type(response.cost.total, Decimal)
    prices = [Price(input=2.5, output="10"), Price(input=1, when={"speed": "fast"})]
    book = PriceBook.default().with_({"openai/gpt-4o": prices, "acme/x": Price(input=0)})
    assert_type(book, PriceBook)
    assert_type(client.price(model="openai/gpt-4o", usage=liter.Usage(prompt_tokens=1)), Cost | None)
    assert_type(liter.completion_cost(response, prices=book), Cost | None)
    LlmClient(prices=book, middleware=[CostTracking(), Retry()])

    request = liter.ChatCompletionRequest(model="gpt-4o", messages=[liter.UserMessage(content="hi")], max_tokens=5)
    again = await client.chat(request, timeout=5, tags={"tenant": "a"}, extra_headers={"x-a": "1"}, cache="refresh")
    assert_type(again, ChatCompletionResponse)

    typed = await client.chat(
        model="gpt-4o", messages=[liter.UserMessage(content="hi")], response_format=Weather, api_key=liter.Secret("sk")
    )
    assert_type(typed.parsed_as(Weather), Weather)
    await client.chat(model="gpt-4o", messages=[], response_format=WeatherDict, timeout=liter.Timeouts(total=3))


async def stream(client: LlmClient) -> None:
    chunks = await client.chat_stream(model="gpt-4o", messages=[{"role": "user", "content": "hi"}], seed=1)
    assert_type(chunks, ChatStream)
    async with chunks:
        async for chunk in chunks:
            assert_type(chunk, ChatCompletionChunk)
    assert_type(chunks.response(), ChatCompletionResponse)


async def models(client: LlmClient) -> None:
    for model in (await client.list_models(timeout=3)).data:
        assert_type(model.id, str)


async def batches(client: LlmClient, path: AsyncIterable[dict[str, object]]) -> None:
    batch = await client.create_batch(requests=path, metadata={"run": "7"}, timeout=600)
    assert_type(batch, BatchObject)
    await client.create_batch(input_file_id="file-1", endpoint="/v1/embeddings", provider="azure")
    await client.create_batch(CreateBatchRequest(requests=[{"model": "m", "messages": []}]), tags={"tenant": "a"})
    assert_type(await client.retrieve_batch(batch_id=batch.id), BatchObject)
    assert_type(await client.cancel_batch(batch_id=batch.id, provider="groq"), BatchObject)
    assert_type(await client.list_batches(limit=3), BatchesPage)
    async for listed in client.list_batches():
        assert_type(listed, BatchObject)
        assert_type(listed.request_counts.total, int)
    seen: list[BatchObject] = []
    done = await client.wait_for_batch(batch, timeout=3600, poll=5, max_poll=60, progress=seen.append)
    assert_type(done, BatchObject)
    async with client.batch_results(done.id, provider="openai", tags={"tenant": "a"}) as results:
        assert_type(results, BatchResults)
        async for result in results:
            assert_type(result, BatchResult)
            assert_type(result.custom_id, str)
            assert_type(result.value, ApiResponse)
            assert_type(result.error, liter.LlmError | None)
            if isinstance(result.response, ChatCompletionResponse):
                assert_type(result.response.text, str)
        assert_type(results.missing, frozenset[str])
    await client.create_batch(requests=[], windows="24h")  # type: ignore[call-overload] # pyright: ignore[reportCallIssue]


def plan(group: Mapping[str, str | None]) -> Decimal | None:
    return None if group["tag:tenant"] == "ours" else Decimal(5)


def warn(event: BudgetThreshold) -> None:
    assert_type(event.status, BudgetStatus)


async def money(client: LlmClient) -> None:
    store: LedgerStore = SqliteLedger("spend.db")
    budget = Budget(SpendLimit(100, "month"), SpendLimit(plan, by=("tag:tenant",)), on_threshold=warn)
    layers: list[Layer] = [Ledger(store), budget]
    LlmClient(api_key="sk", middleware=layers)
    for status in await budget.status(tags={"tenant": "acme"}):
        assert_type(status.left, Decimal)
        assert_type(status.resets_at, datetime | None)
    try:
        await client.chat(model="gpt-4o", messages=[])
    except liter.BudgetExceededError as error:
        assert_type(error.asked, Decimal | None)
    for row in SqliteLedger("spend.db").read(since=0.0):
        assert_type(row, LedgerRow)


async def misuse(client: LlmClient) -> None:
    await client.chat(model="gpt-4o", messages=[], temprature=1)  # type: ignore[call-overload] # pyright: ignore[reportCallIssue]
    await client.chat(model="gpt-4o")  # type: ignore[call-overload] # pyright: ignore[reportCallIssue]
    await client.chat(model="gpt-4o", messages=[], timeout="soon")  # type: ignore[call-overload] # pyright: ignore[reportArgumentType]


def build() -> LlmClient:
    return LlmClient(api_key="sk", base_url="http://localhost/v1", middleware=layers, api_keys={"anthropic": "sk"})


def explain(error: liter.LlmError) -> str:
    assert_type(error.status, int | None)
    assert_type(error.retry_after, float | None)
    assert_type(error.attempts, tuple[liter.Attempt, ...])
    return str(error)


async def telemetry(names: list[str]) -> None:
    def redact(name: str, value: list[dict[str, object]]) -> list[dict[str, object]] | None:
        return None if name in names else value

    async with configure(service_name="s", resource={"service.version": "1"}) as set_up:
        assert_type(await set_up.flush(), bool)
        Tracing(semconv="dual", capture_content=True, redact=redact, tags=["tenant"], propagate="global")
        Tracing(route=True, tracer_provider=set_up.tracer_provider, meter_provider=set_up.meter_provider)
    Tracing(semconv="newest")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]

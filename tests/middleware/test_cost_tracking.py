"""``CostTracking``: every attempt is on the bill, and what is unknown or estimated says so."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import anyio
import msgspec
import pytest

import liter
from liter import LlmClient
from liter._contract import Attempt, Call, Stack
from liter._errors import LlmError, LlmTimeoutError, NetworkError, RateLimitedError, SerializationError, StreamingError
from liter._http import HttpRequest
from liter._reply import Reply
from liter.middleware import (
    Budget,
    Cache,
    CostTracking,
    Deployment,
    Fallback,
    Hedge,
    Mock,
    Retry,
    Router,
    SpendLimit,
)
from liter.money import Cost, Price, PriceBook
from liter.testing import (
    CloseBeforeHead,
    Refuse,
    ResetAfterEvents,
    Simulator,
    StallAfterEvents,
    StallBeforeHead,
    Truncate,
    check_layer,
)
from liter.types import (
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatCompletionResponse,
    ChunkChoice,
    CompletionChoice,
    CompletionRequest,
    CompletionResponse,
    CompletionTokensDetails,
    CreateResponseRequest,
    Delta,
    EmbeddingRequest,
    EmbeddingResponse,
    ImageGenerationRequest,
    ImagesResponse,
    OcrPage,
    OcrRequest,
    OcrResponse,
    RerankRequest,
    RerankResponse,
    ResponseEvent,
    ResponseObject,
    SearchRequest,
    SearchResponse,
    SpeechRequest,
    TranscriptionRequest,
    TranscriptionResponse,
    Usage,
)

from .. import _serving

GPT, CLAUDE = "openai/gpt-simulated", "anthropic/claude-simulated"
PRICES = PriceBook().with_({GPT: Price(input=1, output=10), CLAUDE: Price(input=1, output=10)}, version="test")
ON_BOTH = pytest.mark.parametrize("model", [GPT, CLAUDE])
HI = [{"role": "user", "content": "Where do quails live, and what do they eat?"}]
SAYS = "In the hills, mostly, and they eat seeds, leaves, and whatever insects there are."


# A client of the simulator, by the tests' prices.
serving = partial(_serving.serving, api_key="sk-1", api_keys={"anthropic": "sk-2"}, prices=PRICES, middleware=None)


def micro(usage: Usage | None) -> Decimal:
    """What a usage of text comes to by the tests' prices."""
    assert usage is not None
    return (usage.prompt_tokens + 10 * usage.completion_tokens) / Decimal(1_000_000)


def test_keeps_the_contract() -> None:
    """The layer keeps the contract."""
    check_layer(lambda: CostTracking(prices=PRICES))


@pytest.mark.anyio
@ON_BOTH
async def test_a_reply_has_its_cost(model: str) -> None:
    """A whole reply and a stream at its end cost what their usage comes to, by default, and exactly."""
    async with serving(Simulator(reply=SAYS)) as client:
        response = await client.chat(model=model, messages=HI)
        stream = await client.chat_stream(model=model, messages=HI)
        assert stream.cost is None
        async for _ in stream:
            pass
    for usage, cost, attempts in (
        (response.usage, response.cost, response.attempts),
        (stream.usage, stream.cost, stream.response().attempts),
    ):
        assert cost is not None
        assert (cost.total, cost.source, cost.exact) == (micro(usage), "computed", True)
        assert (cost.price_version, cost.match) == ("test", "exact")
        assert [attempt.cost for attempt in attempts] == [cost]
    assert stream.response().cost == stream.cost


@pytest.mark.anyio
@ON_BOTH
async def test_what_was_refused_is_unbilled(model: str) -> None:
    """Attempts that ended in an HTTP error cost nothing, and say so; the one that succeeded is the bill."""
    async with serving(Simulator(faults=[Refuse(429), Refuse(503)])) as client:
        response = await client.chat(model=model, messages=HI)
    first, second, third = response.attempts
    assert first.cost == second.cost == Cost.unbilled()
    assert response.cost == third.cost
    assert response.cost is not None
    assert response.cost.total == micro(response.usage) > 0


@pytest.mark.anyio
async def test_an_errors_attempts_have_their_costs() -> None:
    """What failed in the end tells what it has cost, attempt by attempt."""
    faults = [CloseBeforeHead(), Refuse(503), Refuse(400)]
    async with serving(Simulator(faults=faults)) as client:
        with pytest.raises(LlmError) as raised:
            await client.chat(model=GPT, messages=HI)
    lost, *refused = [attempt.cost for attempt in raised.value.attempts]
    assert refused == [Cost.unbilled()] * 2
    assert lost is not None
    assert (lost.estimated, lost.unpriced) == (True, ("completion_tokens",))
    # 43 letters are 11 tokens, and 4 frame the message.
    assert lost.total == Decimal("0.000015")


@pytest.mark.anyio
@ON_BOTH
@pytest.mark.parametrize("fault", [ResetAfterEvents(6), Truncate(6)], ids=["reset", "truncated"])
async def test_a_stream_that_broke_is_billed_for_what_came(model: str, fault: object) -> None:
    """The output is estimated from the text that arrived, and the input too where it was not reported."""
    async with serving(Simulator(reply=SAYS, faults=[fault])) as client:
        stream = await client.chat_stream(model=model, messages=HI)
        with pytest.raises(StreamingError) as raised:
            async for _ in stream:
                pass
    (attempt,) = raised.value.attempts
    text = stream.response().text
    assert text
    assert stream.cost == attempt.cost
    assert stream.cost is not None
    assert (stream.cost.estimated, stream.cost.complete) == (True, True)
    prompt = attempt.usage.prompt_tokens if attempt.usage else 15
    assert stream.cost.classes["text_input"] == Decimal(prompt) / 1_000_000
    assert stream.cost.classes["text_output"] == Decimal(-(-len(text) // 4)) / 100_000


@pytest.mark.anyio
@ON_BOTH
@pytest.mark.parametrize("leave", ["break", "cancel()", "cancelled"])
async def test_a_stream_that_was_left_is_billed_for_what_came(model: str, leave: str) -> None:
    """Breaking off, cancelling the stream, and a cancelled task: each is on the bill, marked as an estimate."""
    faults = [StallAfterEvents(6)] if leave == "cancelled" else []
    async with serving(Simulator(reply=SAYS, faults=faults)) as client:
        stream = await client.chat_stream(model=model, messages=HI)
        with anyio.move_on_after(5):
            async with stream:
                async for chunk in stream:
                    if leave != "cancelled" and chunk.choices and chunk.choices[0].delta.content:
                        if leave == "cancel()":
                            stream.cancel()
                        break
    await stream.aclose()
    assert stream.cost is not None
    assert stream.cost.estimated
    assert stream.cost.classes["text_output"] > 0
    (attempt,) = stream.response().attempts
    assert attempt.cost == stream.cost


@pytest.mark.anyio
async def test_a_stream_left_after_its_message_is_exact() -> None:
    """When the reason for the end and the usage are in, nothing is left to estimate."""
    async with serving(Simulator(reply=SAYS)) as client:
        stream = await client.chat_stream(model=CLAUDE, messages=HI)
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].finish_reason:
                break
        await stream.aclose()
    assert not stream.finished
    assert stream.cost is not None
    assert (stream.cost.total, stream.cost.exact) == (micro(stream.usage), True)


@pytest.mark.anyio
async def test_losers_of_a_race_are_on_the_bill() -> None:
    """A hedge's other attempt may have been billed: its input is estimated, its output is named as unknown."""
    layers = [CostTracking(), Hedge(1.0)]
    async with serving(Simulator(faults=[StallBeforeHead()]), middleware=layers) as client:
        response = await client.chat(model=GPT, messages=HI)
    lost, won = response.attempts
    assert lost.cost is not None
    assert won.cost is not None
    assert (lost.outcome, lost.cost.estimated, lost.cost.unpriced) == ("cancelled", True, ("completion_tokens",))
    assert won.cost.total == micro(response.usage)
    assert response.cost == lost.cost + won.cost
    assert not response.cost.complete


@pytest.mark.anyio
async def test_fallbacks_are_on_one_bill() -> None:
    """The bill is of both models, each at its own price; what is unknown of one makes the whole unknown."""
    layers = [CostTracking(), Fallback([GPT, CLAUDE])]
    for faults, complete in (([Refuse(503)], True), ([CloseBeforeHead()], False)):
        async with serving(Simulator(faults=faults), middleware=layers) as client:
            response = await client.chat(model=GPT, messages=HI)
        first, second = response.attempts
        assert (first.provider, second.provider) == ("openai", "anthropic")
        assert response.cost == Cost.sum([first.cost, second.cost])
        assert response.cost is not None
        assert response.cost.complete is complete
    nothing = PriceBook().with_({CLAUDE: Price(input=1)})
    async with serving(Simulator(faults=[CloseBeforeHead()]), middleware=layers, prices=nothing) as client:
        response = await client.chat(model=GPT, messages=HI)
    assert [attempt.cost is None for attempt in response.attempts] == [True, False]
    assert response.cost is None


@pytest.mark.anyio
async def test_what_no_provider_answered_costs_nothing() -> None:
    """A cache hit and a mock are unbilled, though they have a usage."""
    layers = [CostTracking(), Cache()]
    async with serving(Simulator(), middleware=layers) as client:
        paid = await client.chat(model=GPT, messages=HI)
        hit = await client.chat(model=GPT, messages=HI)
        for _ in range(2):
            stream = await client.chat_stream(model=GPT, messages=HI)
            async for _ in stream:
                pass
    assert paid.cost is not None
    assert paid.cost.total > 0
    assert hit.usage == paid.usage
    assert hit.cost == stream.cost == Cost.unbilled()
    async with LlmClient(api_key="sk", middleware=[CostTracking(), Mock("hi")]) as client:
        assert (await client.chat(model=GPT, messages=HI)).cost == Cost.unbilled()


@pytest.mark.anyio
async def test_an_unknown_model_has_no_cost_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    """Unknown is ``None`` and never zero; the warning comes once for each model."""
    with caplog.at_level(logging.WARNING, logger="liter"):
        async with serving(Simulator(), prices=PriceBook(version="empty")) as client:
            for model in (GPT, GPT, CLAUDE):
                assert (await client.chat(model=model, messages=HI)).cost is None
            assert client.price(model=GPT, usage=Usage()) is None
    assert [record.getMessage() for record in caplog.records] == [
        f"the cost of {model} is unknown: the price book empty has no price for it" for model in (GPT, CLAUDE)
    ]


@pytest.mark.anyio
async def test_no_connection_no_bill() -> None:
    """A request that never went out costs nothing."""
    network = liter.testing.MemoryNetwork()
    async with LlmClient(api_key="sk", network_backend=network, max_retries=0, prices=PRICES) as client:
        with pytest.raises(NetworkError) as raised:
            await client.chat(model=GPT, messages=HI)
    assert not raised.value.connected
    assert [attempt.cost for attempt in raised.value.attempts] == [Cost.unbilled()]


@pytest.mark.anyio
async def test_files_are_free(caplog: pytest.LogCaptureFixture) -> None:
    """Keeping one costs nothing, nor does a try that fails; nobody is warned that its price is unknown."""
    simulator = Simulator(faults=[CloseBeforeHead()])
    async with simulator.serve_memory() as network, LlmClient(api_key="sk", network_backend=network) as client:
        made = await client.create_file(file=b"{}", purpose="batch")
        assert len(made.attempts) == 2
        for done in (made, await client.retrieve_file(file_id=made.id), await client.delete_file(file_id=made.id)):
            assert done.cost == Cost.unbilled()
    assert caplog.records == []


@pytest.mark.anyio
async def test_lists_of_models_are_free() -> None:
    """What no provider charges for costs nothing, with or without a price book."""
    async with serving(Simulator(), prices=PriceBook()) as client:
        assert (await client.list_models()).cost == Cost.unbilled()


Ending = tuple[str, int | None, BaseException | None]


class Wire:
    """An innermost handler that keeps its record as the exchange does, of attempts that end as told."""

    def __init__(
        self, usage: Usage | None, ending: Ending, value: object = None, events: Sequence[object] = ()
    ) -> None:
        self.usage, self.ending, self.value, self.events = usage, ending, value, events

    @asynccontextmanager
    async def __call__(self, call: Call[object]) -> AsyncIterator[Reply[object]]:
        outcome, status, error = self.ending
        attempt = Attempt(
            number=len(call.attempts) + 1,
            provider=call.route.provider,
            model=call.route.model,
            started=0.0,
            operation=call.operation,
            base_url=call.route.base_url,
        )
        call.attempts.append(attempt)
        for watcher in call.watchers:
            watcher.begin(call, attempt, HttpRequest(method="POST", base_url="https://h.example", path="/"))
        attempt.status = status
        try:
            if error is not None:
                raise error
            events = _Events(self.events) if self.events else None
            reply: Reply[object] = Reply(value=self.value, events=events, usage=self.usage)
            for watcher in call.watchers:
                watcher.entered(attempt, reply)
            yield reply
        finally:
            attempt.outcome = outcome
            attempt.usage = self.usage
            for watcher in call.watchers:
                watcher.ended(attempt, error)


class _Events:
    def __init__(self, events: Sequence[object]) -> None:
        self._left = list(events)

    async def __anext__(self) -> object:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop(0)

    async def aclose(self) -> None:
        self._left.clear()


MakeCall = Callable[..., Call[object]]


async def bill(call: Call[object], wire: Wire, **options: object) -> Cost | None:
    """Run a call through the layer and a wire; give the cost of its only attempt."""
    layer = CostTracking(**{"prices": PRICES, **options})
    handler: Callable[[Call[object]], AbstractAsyncContextManager[Reply[object]]] = Stack([layer], wire)
    try:
        async with handler(call) as reply:
            if reply.streamed:
                async for _ in reply:
                    pass
    except LlmError:
        pass
    else:
        assert reply.cost == call.attempts[0].cost
    return call.attempts[0].cost


@pytest.fixture
def ask(make_call: MakeCall) -> MakeCall:
    """Makes a call of a chat, priced by the tests' book."""

    def make(request: msgspec.Struct | None = None, **fields: object) -> Call[object]:
        provider, _, model = GPT.partition("/")
        route = liter.Route(provider=provider, model=model, base_url="https://api.openai.com/v1")
        request = ChatCompletionRequest(model=GPT, messages=HI) if request is None else request
        return make_call(**{"request": request, "route": route, **fields})

    return make


REPORTED = Usage(prompt_tokens=100, completion_tokens=7)
UNANSWERED = ("0.000015", True, ("completion_tokens",))
NOTHING = ("0", False, ())


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("ending", "told"),
    [
        (("RateLimitedError", 429, RateLimitedError("no", status=429)), NOTHING),
        (("ServerError", 500, StreamingError("cut off", status=500)), NOTHING),
        (("BadRequestError", 200, RateLimitedError("an error under 200")), NOTHING),
        (("ConnectionRetired", None, NetworkError("gone")), NOTHING),
        (("LlmTimeoutError", None, LlmTimeoutError("no connection", limit="connect")), NOTHING),
        (("NetworkError", None, NetworkError("could not connect", connected=False)), NOTHING),
        (("NetworkError", None, NetworkError("broken")), UNANSWERED),
        (("LlmTimeoutError", None, LlmTimeoutError("late", limit="total")), UNANSWERED),
        (("SerializationError", 200, SerializationError("not JSON")), UNANSWERED),
        (("StreamingError", 200, StreamingError("nothing came")), UNANSWERED),
    ],
)
async def test_attempts_without_a_reply(ask: MakeCall, ending: Ending, told: tuple[object, ...]) -> None:
    """Nothing is billed for what was refused or never sent; of what was never answered, the input is estimated."""
    cost = await bill(ask(), Wire(None, ending))
    assert cost is not None
    assert (str(cost.total), cost.estimated, cost.unpriced) == told


OK: Ending = ("ok", 200, None)
LEFT: Ending = ("abandoned", 200, None)
WHOLE = ChatCompletionResponse(choices=[liter.types.Choice(message=liter.AssistantMessage(content="x" * 40))])
CHUNKS = [ChatCompletionChunk(choices=[ChunkChoice(delta=Delta(content="x" * 40))])] * 2
OCR = OcrRequest(model="m/o", document={"type": "document_url", "document_url": "https://h.example"})
RERANK = RerankRequest(model="c/r", query="q", documents=["a", "b"])
RECORDING = TranscriptionRequest(model="o/w", file=b"sound")
CONTINUED = CreateResponseRequest(model=GPT, input="And then?", previous_response_id="resp_1")
PICTURE = ChatCompletionRequest(
    model=GPT,
    messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://h.example"}}]}],
)
END = ChatCompletionChunk(choices=[ChunkChoice(finish_reason="stop")])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("wire", "total", "estimated"),
    [
        (Wire(REPORTED, OK, WHOLE), 170, False),
        (Wire(None, OK, WHOLE), 15 + 100, True),
        (Wire(Usage(completion_tokens=7, unreported=("prompt_tokens",)), OK, WHOLE), 15 + 70, True),
        (Wire(Usage(), OK, WHOLE), 0, False),
        (Wire(REPORTED, OK, events=CHUNKS), 170, False),
        # A count in the middle of a stream is not the last one, unless it is more than the text.
        (Wire(REPORTED, LEFT, events=CHUNKS), 100 + 200, True),
        (Wire(Usage(prompt_tokens=100, completion_tokens=21), LEFT, events=CHUNKS), 100 + 210, True),
        (Wire(REPORTED, LEFT, events=[*CHUNKS, END]), 170, False),
        (Wire(None, LEFT, events=[*CHUNKS, END]), 15 + 200, True),
    ],
)
async def test_attempts_with_a_reply(ask: MakeCall, wire: Wire, total: int, estimated: bool) -> None:
    """What was reported at the end is exact, zero too; all else is estimated and marked."""
    cost = await bill(ask(stream=bool(wire.events)), wire)
    assert cost is not None
    assert (cost.total, cost.estimated, cost.complete) == (Decimal(total) / 1_000_000, estimated, True)


@pytest.mark.anyio
async def test_the_model_that_answered_is_priced(ask: MakeCall) -> None:
    """An alias is priced as what it stood for, where that has a price; otherwise as what was asked for."""
    book = PRICES.with_({"openai/gpt-dated": Price(input=2, output=20)})
    for named, factor in (("gpt-dated", 2), ("deployment-of-mine", 1)):
        cost = await bill(ask(), Wire(REPORTED, OK, ChatCompletionResponse(model=named)), prices=book)
        assert cost is not None
        assert cost.total == Decimal(170 * factor) / 1_000_000


@pytest.mark.anyio
async def test_the_providers_own_price_wins(ask: MakeCall) -> None:
    """What the provider reports is the bill, and the computed price stands beside it."""
    usage = Usage(prompt_tokens=100, completion_tokens=7, reported_cost=Decimal("0.5"))
    cost = await bill(ask(), Wire(usage, OK, WHOLE))
    assert cost is not None
    assert (cost.total, cost.source, cost.computed) == (Decimal("0.5"), "provider", Decimal("0.00017"))


@pytest.mark.anyio
async def test_a_contradiction_is_unknown(ask: MakeCall, caplog: pytest.LogCaptureFixture) -> None:
    """A usage whose parts exceed the whole has no cost; the reply comes all the same, and a warning says why."""
    usage = Usage(completion_tokens=1, completion_tokens_details=CompletionTokensDetails(reasoning_tokens=2))
    book = PriceBook().with_({GPT: Price(output=1, reasoning=2)})
    assert await bill(ask(), Wire(usage, OK, WHOLE), prices=book) is None
    assert "contradicts itself" in caplog.text


@pytest.mark.anyio
async def test_prices_go_by_the_time_of_the_request(ask: MakeCall) -> None:
    """The clock is read when the request is made."""
    book = PriceBook().with_({GPT: [Price(input=1, output=1), Price(input=3, output=3, hours=("01:00", "02:00"))]})
    times = iter([datetime(2026, 1, 1, 1, 59, tzinfo=UTC), datetime(2026, 1, 1, 2, tzinfo=UTC)])
    for rate in (3, 1):
        cost = await bill(ask(), Wire(REPORTED, OK, WHOLE), prices=book, clock=lambda: next(times))
        assert cost is not None
        assert cost.total == Decimal(107 * rate) / 1_000_000


@pytest.mark.anyio
async def test_a_regional_address_has_its_surcharge(ask: MakeCall) -> None:
    """The region is in the address, and its factor in the price book."""
    route = liter.Route(provider="openai", model="gpt-5.4", base_url="https://eu.api.openai.com/v1")
    cost = await bill(ask(route=route), Wire(REPORTED, OK, WHOLE), prices=PriceBook.default())
    plain = PriceBook.default().price("openai", "gpt-5.4", REPORTED)
    assert cost is not None
    assert plain is not None
    assert cost.total == plain.total * Decimal("1.1")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("operation", "request_", "value", "price", "total"),
    [
        ("speech", SpeechRequest(model="tts", input="12345", voice="a"), b"sound", {"characters": 1}, "0.000005"),
        (
            "image_generate",
            ImageGenerationRequest(prompt="a cat", size="big"),
            ImagesResponse(data=[liter.types.Image(), liter.types.Image()]),
            {"images": 1},
            "2",
        ),
        ("embed", EmbeddingRequest(model="e", input=["four", "five!"]), EmbeddingResponse(), {"input": 1}, "0.000003"),
        ("embed", EmbeddingRequest(model="e", input=[[1, 2], [3]]), EmbeddingResponse(), {"input": 1}, "0.000003"),
        ("ocr", OCR, OcrResponse(usage_info={"pages_processed": 3}), {"pages": 1}, "3"),
        ("ocr", OCR, OcrResponse(pages=[OcrPage(), OcrPage()]), {"pages": 1}, "2"),
        ("search", SearchRequest(model="s/s", query="q"), SearchResponse(), {"searches": 1}, "1"),
        ("rerank", RERANK, RerankResponse(meta={"billed_units": {"search_units": 2}}), {"search_units": 1}, "2"),
        ("transcribe", RECORDING, TranscriptionResponse(duration=1800.0), {"audio": 1}, "0.5"),
    ],
)
async def test_what_is_not_counted_by_tokens(
    ask: MakeCall, operation: str, request_: msgspec.Struct, value: object, price: Mapping[str, int], total: str
) -> None:
    """Characters, images and the like are counted from the outside; tokens of other requests are estimated."""
    book = PriceBook().with_({GPT: Price(**price)})
    cost = await bill(ask(request_, operation=operation), Wire(None, OK, value), prices=book)
    assert cost is not None
    assert (cost.total, cost.complete, cost.estimated) == (Decimal(total), True, operation == "embed")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("operation", "request_", "wire", "total", "unpriced"),
    [
        # 22 bytes of input, and 8 that arrived of the output.
        (
            "create_response",
            CreateResponseRequest(
                model=GPT,
                instructions="Be brief.",
                input=[{"role": "user", "content": [{"type": "input_text", "text": "What now?"}]}, {"output": "4711"}],
            ),
            Wire(
                None, LEFT, events=[ResponseEvent(delta="12345"), ResponseEvent(delta={}), ResponseEvent(delta="678")]
            ),
            6 + 20,
            (),
        ),
        ("create_response", CONTINUED, Wire(None, LEFT, events=[ResponseEvent(delta="1234")]), 10, ("prompt_tokens",)),
        (
            "create_response",
            CONTINUED,
            Wire(REPORTED, LEFT, events=[ResponseEvent(response=ResponseObject(usage=REPORTED))]),
            170,
            (),
        ),
        (
            "completions",
            CompletionRequest(model=GPT, prompt=["12345678", "1234"]),
            Wire(None, LEFT, events=[CompletionResponse(choices=[CompletionChoice(text="1234")])] * 2),
            3 + 20,
            (),
        ),
        ("chat", PICTURE, Wire(None, OK, WHOLE), 100, ("prompt_tokens",)),
    ],
)
async def test_other_texts_are_estimated(
    ask: MakeCall, operation: str, request_: msgspec.Struct, wire: Wire, total: int, unpriced: tuple[str, ...]
) -> None:
    """Responses and completions are estimated as chats are; what is no text, or kept elsewhere, is named as unknown."""
    cost = await bill(ask(request_, operation=operation, stream=bool(wire.events)), wire)
    assert cost is not None
    assert (cost.total, cost.unpriced) == (Decimal(total) / 1_000_000, unpriced)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("operation", "request_", "value"),
    [
        # One that goes on without the caller, and a recording whose length nobody tells.
        ("create_response", CONTINUED, ResponseObject()),
        ("transcribe", RECORDING, TranscriptionResponse()),
    ],
)
async def test_nothing_known_is_not_nothing(
    ask: MakeCall, caplog: pytest.LogCaptureFixture, operation: str, request_: msgspec.Struct, value: object
) -> None:
    """Where nothing tells what was used the cost is unknown, and not 0; the log says so."""
    prices = PRICES.with_({}, version=f"asked for {operation}")
    with caplog.at_level(logging.WARNING, logger="liter"):
        assert await bill(ask(request_, operation=operation), Wire(None, OK, value), prices=prices) is None
    assert "not told, or without a price: prompt_tokens, completion_tokens" in caplog.text


@pytest.mark.parametrize(
    "outside", [Retry(), Fallback([GPT, CLAUDE]), Hedge(1.0), Cache()], ids=lambda layer: type(layer).__name__
)
def test_it_belongs_outside(outside: object) -> None:
    """Inside of what repeats, or of a cache, it would not see the whole bill."""
    with pytest.raises(ValueError, match=r"Right is \[CostTracking, \.\.\., "):
        LlmClient(api_key="sk", middleware=[outside, CostTracking()])


def test_a_clients_prices_are_a_price_book() -> None:
    """Its own, or liter's; and nothing else."""
    mine = PriceBook(version="mine")
    assert (LlmClient(api_key="sk", prices=mine).prices, LlmClient(api_key="sk").prices) == (mine, PriceBook.default())
    with pytest.raises(ValueError, match="prices must be a PriceBook"):
        LlmClient(api_key="sk", prices={"openai/gpt-4o": 1})


MINE = PriceBook(version="mine").with_({"openai/in-house": Price(input=1000, output=1000)})
POOL = {"pool": [Deployment("openai/in-house"), Deployment("openai/other", price=Price(input=5000, output=5000))]}


@pytest.mark.anyio
async def test_a_client_has_one_price_book() -> None:
    """Every layer that has none of its own goes by the client's: the bill, the budget, the cache, the router."""
    budget = Budget(SpendLimit(100), output_tokens=10)
    layers = [budget, CostTracking(), Cache(), Router(POOL, strategy="cheapest")]
    async with serving(Simulator(), middleware=layers, prices=MINE) as client:
        made = await client.chat(model="openai/pool", messages=HI)
        again = await client.chat(model="openai/pool", messages=HI)
    assert made.usage is not None
    total = Decimal(made.usage.total_tokens) / 1000
    assert (made.cost.total, again.cost.total, again.saved.total) == (total, 0, total)
    assert (await budget.status())[0].spent == total
    assert [attempt.model for attempt in made.attempts] == ["in-house"]


@pytest.mark.anyio
async def test_a_layers_own_price_book_wins() -> None:
    """Over the client's, in each of them."""
    other = MINE.with_({"openai/in-house": Price(input=1, output=1)})
    budget = Budget(SpendLimit(100), output_tokens=10, prices=other)
    layers = [budget, CostTracking(prices=other), Cache(prices=other)]
    async with serving(Simulator(), middleware=layers, prices=MINE) as client:
        made = await client.chat(model="openai/in-house", messages=HI)
        again = await client.chat(model="openai/in-house", messages=HI)
    assert made.usage is not None
    total = Decimal(made.usage.total_tokens) / 1_000_000
    assert (made.cost.total, again.saved.total, (await budget.status())[0].spent) == (total, total, total)


def test_prices_that_are_compared_are_looked_for_when_the_client_is_made() -> None:
    """A pool's model without a price is a mistake, and no call has to find it."""
    pool = {"fast": [Deployment("openai/gpt-4o-mini"), Deployment("openai/in-house")]}
    router = Router(pool, strategy="cheapest")
    prices = PriceBook.default().with_({"openai/in-house": Price(input=1, output=1)})
    LlmClient(api_key="sk", middleware=[router], prices=prices)
    with pytest.raises(ValueError, match=r"pools\['fast'\]: 'openai/in-house' has no price in the price book"):
        LlmClient(api_key="sk", middleware=[router])
    with pytest.raises(ValueError, match=r"pools\['fast'\]: 'openai/in-house' has no price in the price book"):
        Router(pool, strategy="cheapest", prices=PriceBook.default())

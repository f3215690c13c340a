"""The client over the simulator: methods, options, errors, limits."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import msgspec
import pytest

import liter
from liter import LlmClient, Timeouts
from liter.middleware import Retry
from liter.testing import (
    CloseAfterEvents,
    CloseBeforeHead,
    ErrorEvent,
    HtmlPage,
    MalformedJson,
    Oversize,
    Refuse,
    ResetAfterEvents,
    ResetBeforeHead,
    ResetInHead,
    Simulator,
    SlowBytes,
    StallAfterEvents,
    StallBeforeHead,
    Truncate,
)

from . import _serving

pytestmark = pytest.mark.anyio

HI = [{"role": "user", "content": "hi"}]
GPT = "openai/gpt-simulated"
CLAUDE = "anthropic/claude-simulated"
MODELS = pytest.mark.parametrize("model", [GPT, CLAUDE])


# A client of the simulator, with a key for each of two providers.
serving = partial(
    _serving.serving, api_key="sk-canary-home", api_keys={"anthropic": "sk-canary-other"}, middleware=None
)


@MODELS
async def test_a_chat_comes_back_typed(model: str) -> None:
    """Text, finish reason, usage, request id, headers and raw bytes are all there, on both wires."""
    simulator = Simulator(reply="Hello there.")
    async with serving(simulator) as client:
        response = await client.chat(model=model, messages=HI, max_tokens=50)
    assert response.choices[0].message.content == response.text == "Hello there."
    assert response.choices[0].finish_reason == "stop"
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.prompt_tokens + response.usage.completion_tokens > 0
    assert response.request_id
    assert response.headers["content-type"] == "application/json"
    assert b"Hello there." in response.raw
    (attempt,) = response.attempts
    assert (attempt.outcome, attempt.status, attempt.number) == ("ok", 200, 1)
    assert simulator.requests[0].outcome == "completed"


@MODELS
async def test_a_stream_comes_chunk_by_chunk(model: str) -> None:
    """Chunks join to the reply, usage comes at the end, and the connection goes back to the pool."""
    simulator = Simulator(reply="One two three four five six.")
    async with serving(simulator) as client:
        stream = await client.chat_stream(model=model, messages=HI)
        texts = [chunk.choices[0].delta.content or "" for chunk in [c async for c in stream] if chunk.choices]
        assert "".join(texts) == "One two three four five six."
        assert sum(map(bool, texts)) > 2
        response = stream.response()
        assert response.text == "One two three four five six."
        assert response.choices[0].finish_reason == "stop"
        assert response.usage == stream.usage
        assert stream.usage is not None
        assert stream.usage.completion_tokens > 0
        assert (stream.finished, stream.closed) == (True, True)
        await client.chat(model=model, messages=HI)
    assert simulator.connections.total == 1


async def test_a_ready_request_and_typed_messages() -> None:
    """A request struct works in place of keywords, typed messages in place of dicts, and a reply can be sent back."""
    simulator = Simulator(reply="ok")
    async with serving(simulator) as client:
        request = liter.ChatCompletionRequest(
            model=GPT, messages=[liter.SystemMessage(content="be brief"), liter.UserMessage(content="hi")], seed=3
        )
        response = await client.chat(request)
        await client.chat(model=GPT, messages=[*request.conversation, response.choices[0].message, *HI])
    first, second = (received.json for received in simulator.requests)
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert first["model"] == "gpt-simulated"
    assert first["seed"] == 3
    assert [message["role"] for message in second["messages"]] == ["system", "user", "assistant", "user"]


async def test_bad_arguments_fail_before_any_io() -> None:
    """What cannot be right is a ValueError that names it, and nothing is sent."""
    simulator = Simulator()
    async with serving(simulator) as client:
        for match, keywords in {
            "did you mean 'temperature'": {"tempature": 1},
            "extra_body": {"no_such_parameter": 1},
            "temperature": {"temperature": 3},
            "timeout": {"timeout": 0},
            "timeout.total": {"timeout": Timeouts(total=-1)},
            "base_url": {"base_url": "localhost"},
            "api_key": {"api_key": "a b"},
            "extra_body must be a mapping of fields, not str": {"extra_body": "x"},
            "response_format must be a mapping.* not 'json'": {"response_format": "json"},
            "stop must be a text, or a list of texts, not 3": {"stop": 3},
            "tags must be texts by their names": {"tags": ["search"]},
            "tags must be texts: 'tenant' is 7": {"tags": {"tenant": 7}},
        }.items():
            with pytest.raises(ValueError, match=match):
                await client.chat(model=GPT, messages=HI, **keywords)
            with pytest.raises(ValueError, match=match):
                await client.chat_stream(model=GPT, messages=HI, **keywords)
        with pytest.raises(ValueError, match="'messages' is missing"):
            await client.chat(model=GPT)
        with pytest.raises(ValueError, match="ready ChatCompletionRequest"):
            await client.chat(liter.ChatCompletionRequest(model=GPT, messages=HI), temperature=1)
        for given in (({"model": GPT},), ("gpt-4o", HI)):
            with pytest.raises(
                ValueError, match=r"chat takes keywords, as chat\(model=..., messages=...\), or one Chat"
            ):
                await client.chat(*given)
        with pytest.raises(
            ValueError, match=r"list_models takes keywords, as list_models\(provider=...\), or one List"
        ):
            client.list_models("openai")
        for headers in ({"x-a": "1\r\nx-b: 2"}, ["x-a: 1"]):
            with pytest.raises(liter.InvalidHeaderError):
                await client.chat(model=GPT, messages=HI, extra_headers=headers)
        with pytest.raises(liter.BadRequestError, match="cannot be written down: Encoding objects of type object"):
            await client.chat(model=GPT, messages=HI, extra_body={"x": object()})
    assert simulator.requests == []


async def test_an_unknown_parameter_is_answered_with_what_there_is() -> None:
    """A stream is asked for by a method of its own; a method of few parameters names them all."""
    async with serving(Simulator()) as client:
        for method, keywords, told in (
            (client.chat, {"stream": True}, "unknown parameter 'stream': for a stream there is chat_stream"),
            (
                client.create_response,
                {"stream": True},
                "unknown parameter 'stream': for a stream there is response_stream",
            ),
            (
                client.chat_stream,
                {"stream": True},
                "unknown parameter 'stream': leave it out, chat_stream always streams",
            ),
            (client.retrieve_file, {"id": "f"}, "unknown parameter 'id': retrieve_file takes file_id, provider"),
            (
                client.embed,
                {"texts": ["a"]},
                "unknown parameter 'texts': embed takes model, input, encoding_format, dimensions, user, input_type. W",
            ),
            (client.moderate, {"stream": True}, "unknown parameter 'stream': moderate takes input, model. What "),
        ):
            with pytest.raises(ValueError, match=re.escape(told)):
                await method(**keywords)


async def test_a_method_goes_by_its_own_name() -> None:
    """Who forgets to await it, or writes it as OpenAI's SDK has it, is told its name."""
    async with serving(Simulator()) as client:
        with pytest.warns(RuntimeWarning, match="coroutine 'LlmClient.chat_stream' was never awaited"):
            client.chat_stream(model=GPT, messages=HI)
        with pytest.raises(
            AttributeError, match=r"client.chat is the method itself: client.chat\(...\), no .completions"
        ):
            _ = client.chat.completions
        assert repr(client.chat).startswith("<method chat of <LlmClient")


@pytest.mark.parametrize(
    ("match", "options"),
    [
        ("max_retries", {"max_retries": -1}),
        ("max_retries is for the default stack", {"max_retries": 5, "middleware": []}),
        ("middleware: Retry is a class", {"middleware": [Retry]}),
        ("middleware: 3 is not a layer", {"middleware": [3]}),
        ("timeout", {"timeout": -1}),
        ("timeout", {"timeout": True}),
        ("timeout.connect", {"timeout": Timeouts(connect=0)}),
        ("timeout.total must be a positive number", {"timeout": Timeouts(total="5")}),
        ("http2 must be True or False, not 'no'", {"http2": "no"}),
        ("trust_environment must be True or False, not 0", {"trust_environment": 0}),
        ("max_connections must be a whole number", {"max_connections": "5"}),
        ("keepalive_expiry must be 0 or more seconds, not '5'", {"keepalive_expiry": "5"}),
        ("base_url must be a text, not 3", {"base_url": 3}),
        ("proxy must be a text, not 5", {"proxy": 5}),
        ("ssl_context must be an ssl.SSLContext, not True", {"ssl_context": True}),
        ("network_backend must be one of httpcore's", {"network_backend": "memory"}),
        ("api_keys must be keys by the names of their providers, not str", {"api_keys": "sk-canary"}),
        ("api_key must be a key, .* not dict", {"api_key": {"openai": "sk-canary"}}),
        ("api_key must be a key, .* not bytes", {"api_key": b"sk-canary"}),
        ("provider_settings must be settings by", {"provider_settings": "eu"}),
        (r"provider_settings\['azure'\] must be values by", {"provider_settings": {"azure": "eu"}}),
        ("providers must be a list", {"providers": "acme"}),
        ("max_connections", {"max_connections": 0}),
        ("keepalive_expiry", {"keepalive_expiry": -1}),
        ("max_response_bytes", {"max_response_bytes": 0}),
        ("max_event_bytes", {"max_event_bytes": 0}),
        ("base_url", {"base_url": "api.openai.com"}),
        ("proxy", {"proxy": "gopher://x"}),
        ("model_hint", {"model_hint": "nobody/x"}),
    ],
)
def test_bad_construction(match: str, options: dict[str, object]) -> None:
    """Arguments of the client are checked when it is made. What may be a key is not shown."""
    with pytest.raises(ValueError, match=match) as caught:
        LlmClient(**options)
    assert "canary" not in str(caught.value)


def test_repr_prints_the_stack_and_no_key() -> None:
    """A client shows where it goes and its layers, outermost first."""
    client = LlmClient(api_key="sk-canary", middleware=[Retry(max_retries=1)], base_url="http://h/v1")
    assert repr(client) == f"<LlmClient openai at http://h/v1: {Retry(max_retries=1)!r} > Exchange()>"
    assert "sk-canary" not in repr(vars(client))


async def test_options_of_a_call() -> None:
    """Headers, key and address of a single call reach the wire, tags and limits the layers."""
    seen: list[liter.Call[object]] = []

    def watch(call: liter.Call[object], call_next: liter.Handler) -> object:
        seen.append(call)
        return call_next(call)

    simulator = Simulator()
    async with serving(simulator, middleware=[watch]) as client:
        await client.chat(
            model=GPT,
            messages=HI,
            extra_headers={"X-Team": "a", "Accept": "text/plain"},
            api_key="sk-call",
            base_url="http://elsewhere/v9",
            tags={"tenant": "t"},
            timeout=Timeouts(total=7),
        )
    received = simulator.requests[0]
    assert received.path == "/v9/chat/completions"
    assert received.headers["authorization"] == "Bearer sk-call"
    assert received.headers["x-team"] == "a"
    assert received.headers["accept"] == "text/plain"
    assert received.headers["host"] == "elsewhere"
    assert seen[0].tags == {"tenant": "t"}
    assert seen[0].timeouts == Timeouts(total=7)


async def test_one_number_of_seconds_means_limits_by_kind() -> None:
    """A number bounds a unary call as a whole, and a stream's first event and gaps."""
    seen: list[Timeouts] = []

    def watch(call: liter.Call[object], call_next: liter.Handler) -> object:
        seen.append(call.timeouts)
        return call_next(call)

    async with serving(Simulator(), middleware=[watch], timeout=20) as client:
        await client.chat(model=GPT, messages=HI)
        await (await client.chat_stream(model=GPT, messages=HI)).aclose()
        await client.chat(model=GPT, messages=HI, timeout=3)
    assert seen == [
        Timeouts(connect=10, total=20),
        Timeouts(connect=10, first_event=20, between_events=20),
        Timeouts(connect=3, total=3),
    ]


async def test_keys_go_to_their_own_providers_only() -> None:
    """Each wire gets its own key in its own header."""
    simulator = Simulator()
    async with serving(simulator) as client:
        await client.chat(model=GPT, messages=HI)
        await client.chat(model=CLAUDE, messages=HI)
    openai, anthropic = simulator.requests
    assert openai.headers["authorization"] == "Bearer sk-canary-home"
    assert anthropic.headers["x-api-key"] == "sk-canary-other"
    assert "authorization" not in anthropic.headers


async def test_list_models() -> None:
    """Models of the own provider, or of another one by name."""
    async with serving(Simulator(models=("a", "b"))) as client:
        assert [model.id for model in (await client.list_models()).data] == ["a", "b"]
        assert [model.id for model in (await client.list_models(provider="anthropic")).data] == ["a", "b"]


class Answer(msgspec.Struct):
    """A structured reply."""

    city: str
    celsius: float


@MODELS
async def test_structured_output_comes_back_parsed(model: str) -> None:
    """A type as response_format gives a schema on the wire and an instance in the reply, streamed or not."""
    simulator = Simulator(reply='{"city": "Oslo", "celsius": -3.5}')
    async with serving(simulator) as client:
        response = await client.chat(model=model, messages=HI, response_format=Answer)
        assert response.parsed == Answer("Oslo", -3.5)
        async with await client.chat_stream(model=model, messages=HI, response_format=Answer) as stream:
            async for _ in stream:
                pass
        assert stream.response().parsed == Answer("Oslo", -3.5)
    assert b"celsius" in simulator.requests[0].body


@pytest.mark.parametrize("model", [GPT, CLAUDE])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Refuse(401), liter.AuthenticationError),
        (Refuse(400), liter.BadRequestError),
        (Refuse(404), liter.NotFoundError),
        (Refuse(429, retry_after=7), liter.RateLimitedError),
        (Refuse(500), liter.ServerError),
        (Refuse(503), liter.ServiceUnavailableError),
        (Refuse(529), liter.ServiceUnavailableError),
        (HtmlPage(502), liter.ServerError),
        (HtmlPage(200), liter.SerializationError),
        (ResetBeforeHead(), liter.NetworkError),
        (CloseBeforeHead(), liter.NetworkError),
        (ResetInHead(), liter.NetworkError),
        (Truncate(), liter.SerializationError),
        (CloseAfterEvents(), liter.NetworkError),
        (MalformedJson(), liter.SerializationError),
        (Oversize(200_000), liter.SerializationError),
        (StallBeforeHead(), liter.LlmTimeoutError),
        (SlowBytes(1, 1.0), liter.LlmTimeoutError),
    ],
)
async def test_faults_become_errors_by_fact(model: str, fault: object, error: type[liter.LlmError]) -> None:
    """The same fault is the same class on every wire, with fields filled, no key in it, and nothing left open."""
    simulator = Simulator(faults=[fault])
    async with serving(simulator, middleware=[], max_response_bytes=100_000, timeout=30) as client:
        with pytest.raises(error) as caught:
            await client.chat(model=model, messages=HI)
        raised = caught.value
        assert type(raised) is error
        assert (raised.provider, raised.model) == tuple(model.split("/"))
        assert [attempt.outcome for attempt in raised.attempts] == [error.__name__]
        assert "sk-canary" not in f"{raised} {raised!r} {vars(raised)}"
        if isinstance(fault, Refuse):
            assert raised.status == fault.status
            assert raised.request_id
            assert raised.retry_after == fault.retry_after
            assert raised.body
        pool = client._transport.pool()
        assert pool.open_connections == pool.idle_connections
        await client.chat(model=model, messages=HI)
    assert simulator.in_flight == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_carries_the_headers_of_its_answer(stream: bool) -> None:
    """An error has what the provider said in headers, without cookies and without a key that it echoes."""
    headers = (
        ("set-cookie", "session=canary"),
        ("x-seen", "Bearer sk-canary-home"),
    )
    simulator = Simulator(faults=[Refuse(429, headers=headers)])
    async with serving(simulator, api_key="sk-canary-home", middleware=[]) as client:
        with pytest.raises(liter.RateLimitedError) as raised:
            await (client.chat_stream if stream else client.chat)(
                model="gpt-4o", messages=[{"role": "user", "content": "Hi"}]
            )
    told = raised.value.headers
    assert told["X-RateLimit-Limit-Requests"] == "10000"
    assert told["x-seen"] == "Bearer ***"
    assert "canary" not in repr(told)


@pytest.mark.parametrize("model", [GPT, CLAUDE])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (ResetAfterEvents(4), liter.StreamingError),
        (CloseAfterEvents(4), liter.StreamingError),
        (Truncate(4), liter.StreamingError),
        (MalformedJson(4), liter.StreamingError),
        (Oversize(200_000, 4), liter.StreamingError),
        (StallAfterEvents(4), liter.LlmTimeoutError),
        (ErrorEvent(events=4, kind="overloaded_error"), liter.ServiceUnavailableError),
    ],
)
async def test_a_stream_that_breaks_tells_what_had_come(model: str, fault: object, error: type[liter.LlmError]) -> None:
    """After the first event a fault is raised in its place, once, with the text so far, and never tried again."""
    simulator = Simulator(reply="one two three four five six seven", faults=[fault])
    async with serving(simulator, max_event_bytes=100_000, timeout=30) as client:
        stream = await client.chat_stream(model=model, messages=HI)
        texts: list[str] = []
        with pytest.raises(error) as caught:
            async for chunk in stream:
                texts += [choice.delta.content or "" for choice in chunk.choices]
        assert "".join(texts)
        assert "one two three four five six seven".startswith("".join(texts))
        partial = caught.value.partial
        assert isinstance(partial, liter.ChatCompletionResponse)
        assert partial.text == "".join(texts)
        assert [attempt.outcome for attempt in caught.value.attempts] == [error.__name__]
        assert (caught.value.provider, caught.value.model) == tuple(model.split("/"))
        assert caught.value.status == 200
        assert caught.value.request_id == stream.request_id
        assert (stream.closed, stream.finished) == (True, False)
        assert client._transport.pool().open_connections == client._transport.pool().idle_connections
    assert len(simulator.requests) == 1


@MODELS
@pytest.mark.parametrize("stream", [False, True])
async def test_the_default_stack_survives_refusals(model: str, stream: bool) -> None:
    """Refusals are tried again, obeying Retry-After, with one idempotency key."""
    simulator = Simulator(reply="fine", faults=[Refuse(503), Refuse(429, retry_after=2.5), HtmlPage(502), None])
    async with serving(simulator) as client:
        began = anyio.current_time()
        if stream:
            chunks = await client.chat_stream(model=model, messages=HI)
            async for _ in chunks:
                pass
            response = chunks.response()
        else:
            response = await client.chat(model=model, messages=HI)
        assert anyio.current_time() - began >= 2.5
    assert response.text == "fine"
    assert [attempt.outcome for attempt in response.attempts] == [
        "ServiceUnavailableError", "RateLimitedError", "ServerError", "ok",
    ]  # fmt: skip
    assert response.attempts[2].waited >= 2.5
    assert [attempt.number for attempt in response.attempts] == [1, 2, 3, 4]
    assert len({received.headers["idempotency-key"] for received in simulator.requests}) == 1


async def test_what_a_layer_raises_at_a_streams_end_wins() -> None:
    """Over what broke the stream, which is its context."""

    @asynccontextmanager
    async def replacing(call: liter.Call[object], call_next: liter.Handler) -> AsyncIterator[liter.Reply[object]]:
        async with call_next(call) as reply:
            try:
                yield reply
            finally:
                if reply.error is not None:
                    raise liter.HookRejectedError("not like this")

    async with serving(Simulator(faults=[ResetAfterEvents(3)]), middleware=[replacing]) as client:
        stream = await client.chat_stream(model=GPT, messages=HI)
        with pytest.raises(liter.HookRejectedError, match="not like this") as caught:
            async for _ in stream:
                pass
    assert isinstance(caught.value.__context__, liter.StreamingError)
    assert stream.closed


async def test_a_refusal_after_a_streams_opening_is_still_a_refusal() -> None:
    """An overload that Anthropic reports right after message_start is tried again."""
    simulator = Simulator(reply="fine", faults=[ErrorEvent(events=1)])
    async with serving(simulator) as client:
        async with await client.chat_stream(model=CLAUDE, messages=HI) as stream:
            async for _ in stream:
                pass
        assert stream.response().text == "fine"
    assert len(simulator.requests) == 2


@pytest.mark.parametrize(
    ("timeouts", "fault", "stream", "limit"),
    [
        (Timeouts(total=5), StallBeforeHead(), False, "total"),
        (Timeouts(first_event=5, total=9), StallBeforeHead(), True, "first event"),
        (Timeouts(first_event=9, total=5), StallBeforeHead(), True, "total"),
        (Timeouts(first_event=9, between_events=5), StallAfterEvents(4), True, "between events"),
        (Timeouts(between_events=9, total=5), StallAfterEvents(4), True, "total"),
        (Timeouts(first_event=5), SlowBytes(1, 1.0), True, "first event"),
    ],
)
async def test_each_limit_says_its_name(timeouts: Timeouts, fault: object, stream: bool, limit: str) -> None:
    """The limit that ends first raises, names itself and its length, at its time and not later."""
    simulator = Simulator(faults=[fault])
    async with serving(simulator) as client:
        began = anyio.current_time()
        with pytest.raises(liter.LlmTimeoutError, match="5 s") as caught:
            if stream:
                async for _ in await client.chat_stream(model=GPT, messages=HI, timeout=timeouts):
                    pass
            else:
                await client.chat(model=GPT, messages=HI, timeout=timeouts)
        assert (caught.value.limit, caught.value.seconds) == (limit, 5)
        assert anyio.current_time() - began == pytest.approx(5, abs=0.1)
    assert len(simulator.requests) == 1


async def test_a_timeout_says_what_was_seen_until_then() -> None:
    """Nothing, the beginning of an answer, or no free connection: these are different faults."""
    for fault, told in (
        (StallBeforeHead(), "no answer within 5 s"),
        (StallAfterEvents(1), "the answer was not complete within 5 s"),
    ):
        async with serving(Simulator(faults=[fault])) as client:
            with pytest.raises(liter.LlmTimeoutError, match=told):
                await client.chat(model=GPT, messages=HI, timeout=5)
    async with (
        serving(Simulator(event_latency=60), max_connections=1) as client,
        await client.chat_stream(model=GPT, messages=HI, timeout=600),
    ):
        with pytest.raises(liter.LlmTimeoutError, match=r"no answer, and <Pool 1 of 1 connections, 0 idle, .* 5 s"):
            await client.chat(model=GPT, messages=HI, timeout=5)


async def test_a_slow_consumer_is_no_silence() -> None:
    """The gap between events is the provider's: time that the consumer takes for itself does not count."""
    async with serving(Simulator(reply="one two three"), timeout=5) as client:
        stream = await client.chat_stream(model=GPT, messages=HI)
        async for _ in stream:
            await anyio.sleep(60)
        assert stream.finished


@pytest.mark.parametrize("stream", [False, True])
async def test_a_dead_idle_connection_is_not_noticed_by_the_caller(stream: bool) -> None:
    """A connection that the server closed while it was idle is passed over, or its request sent again."""
    simulator = Simulator(faults=[None, CloseBeforeHead()])
    async with serving(simulator, middleware=[]) as client:
        await client.chat(model=GPT, messages=HI)
        if stream:
            async for _ in await client.chat_stream(model=GPT, messages=HI):
                pass
        else:
            response = await client.chat(model=GPT, messages=HI)
            assert [attempt.outcome for attempt in response.attempts] == ["ConnectionRetired", "ok"]
    assert simulator.connections.total == 2


async def test_a_closed_client_says_so() -> None:
    """After aclose, calls are refused, and closing again is nothing."""
    async with serving(Simulator()) as client:
        await client.chat(model=GPT, messages=HI)
        await client.aclose()
        await client.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await client.chat(model=GPT, messages=HI)

"""Batches over the simulator: written down, sent, waited for, read; by every provider's wire that has them."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from io import BytesIO
from itertools import pairwise
from random import Random

import anyio
import msgspec
import pytest

from liter import (
    BadRequestError,
    BatchResult,
    EndpointNotSupportedError,
    LlmClient,
    LlmError,
    LlmTimeoutError,
    NotFoundError,
    ServiceUnavailableError,
)
from liter._batches._caller import Caller
from liter._batches._write import BatchWriter
from liter._options import CallOptions
from liter.middleware import CostTracking, Retry
from liter.testing import CloseAfterEvents, Fault, HtmlPage, Refuse, Simulator, StallBeforeHead
from liter.testing._simulator_form import ReceivedForm
from liter.types import (
    BatchObject,
    ChatCompletionRequest,
    ChatCompletionResponse,
    CreateBatchRequest,
    EmbeddingRequest,
    EmbeddingResponse,
    UserMessage,
)

pytestmark = pytest.mark.anyio

MODELS = {
    "openai": "openai/gpt-4o-mini",
    "groq": "groq/llama-3.3-70b-versatile",
    "azure": "azure/deployed",
    "anthropic": "anthropic/claude-haiku-4-5",
    "mistral": "mistral/mistral-small-latest",
    "gemini": "gemini/gemini-2.5-flash",
    "xai": "xai/grok-4.3",
}


@asynccontextmanager
async def serving(simulator: Simulator, **options: object) -> AsyncIterator[LlmClient]:
    """A client of the simulator, in memory."""
    options = {"middleware": [CostTracking(), Retry(initial=0.1)], **options}
    options.setdefault("provider_settings", {"azure": {"resource": "ours"}})
    async with (
        simulator.serve_memory() as network,
        LlmClient(
            api_keys=dict.fromkeys([*MODELS, "cohere"], "key-of-some-length"),
            network_backend=network,
            **options,
        ) as client,
    ):
        yield client


def chats(model: str, count: int) -> list[dict[str, object]]:
    """So many requests, each of its own text."""
    return [
        {"custom_id": f"item-{number}", "body": {
            "model": model, "max_tokens": 50, "messages": [{"role": "user", "content": f"question {number}"}],
        }}
        for number in range(count)
    ]  # fmt: skip


class Place(msgspec.Struct):
    city: str


def paths(simulator: Simulator) -> list[str]:
    return [f"{request.method} {request.path.partition('?')[0]}" for request in simulator.requests]


async def gathered(results: AsyncIterator[BatchResult]) -> dict[str, BatchResult]:
    return {result.custom_id: result async for result in results}


@pytest.mark.parametrize("provider", MODELS)
async def test_a_batch_is_made_waited_for_and_read(provider: str) -> None:
    """Every result is what a single call returns: decoded, and matched to its request."""
    model, seen = MODELS[provider], list[BatchObject]()
    simulator = Simulator(batch_seconds=20)
    async with serving(simulator) as client:
        requests = chats(model, 4)
        batch = await client.create_batch(requests=requests)
        assert batch.provider == provider
        assert batch.status == "validating" or (provider == "anthropic" and batch.status == "in_progress")
        assert not batch.finished
        assert batch.endpoint.endswith("/chat/completions" if provider != "anthropic" else "/messages")
        batch = await client.wait_for_batch(batch, progress=seen.append)
        assert [one.status for one in seen if one.status not in ("validating", "in_progress")] == ["completed"]
        counts = batch.request_counts
        assert (batch.status, counts.total, counts.completed, counts.failed) == ("completed", 4, 4, 0)
        if provider != "xai":  # which does not tell
            assert batch.completed_at is not None
            assert 19 <= batch.completed_at - batch.created_at <= 21
        async with client.batch_results(batch, requests=requests) as results:
            found = await gathered(results)
            assert results.missing == frozenset()
        assert sorted(found) == [f"item-{number}" for number in range(4)]
        for number in range(4):
            result = found[f"item-{number}"]
            assert result.index == number
            assert isinstance(result.request, ChatCompletionRequest)
            assert list(result.request.messages) == [UserMessage(content=f"question {number}")]
            reply = result.value
            assert isinstance(reply, ChatCompletionResponse)
            single = await client.chat(result.request)
            assert reply.text == single.text
            assert reply.choices[0].finish_reason == single.choices[0].finish_reason
            assert reply.usage is not None
            assert single.usage is not None
            assert reply.usage.total_tokens == single.usage.total_tokens
        # By its id alone, in another session.
        again = await gathered(client.batch_results(batch.id, provider=provider))
        assert {name: one.value for name, one in again.items()} == {name: one.value for name, one in found.items()}
        assert again["item-0"].request is None


@pytest.mark.parametrize("provider", ["openai", "anthropic", "mistral", "gemini"])
async def test_costs_are_those_of_batches(provider: str) -> None:
    """By the price list as of the day on which the batch was made: half of a single call's."""
    simulator = Simulator(batch_seconds=5)
    async with serving(simulator) as client:
        batch = await client.wait_for_batch(await client.create_batch(requests=chats(MODELS[provider], 1)))
        # The simulator has no calendar, and lists begin to tell of batches at some day.
        batch = msgspec.structs.replace(batch, created_at=int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()))
        [result] = [result async for result in client.batch_results(batch)]
        assert isinstance(result.value, ChatCompletionResponse)
        usage, cost = result.value.usage, result.value.cost
        assert usage is not None
        assert cost is not None
        usage = msgspec.structs.replace(usage, service_tier=None)
        whole = client.price(model=MODELS[provider], usage=usage, when=datetime(2026, 11, 1, tzinfo=UTC))
        assert whole is not None
        assert cost.total * 2 == whole.total
        early = msgspec.structs.replace(batch, created_at=int(datetime(2023, 1, 1, tzinfo=UTC).timestamp()))
        [result] = [result async for result in client.batch_results(early)]
        was = client.price(
            model=MODELS[provider], usage=usage, when=datetime(2023, 1, 1, tzinfo=UTC), terms={"processing": "batch"}
        )
        assert (result.value.cost and result.value.cost.total) == (was and was.total)


async def test_the_file_has_the_bodies_that_single_calls_would_send() -> None:
    """Each line has the provider's own form, and no credential."""
    simulator = Simulator()
    async with serving(simulator) as client:
        request = ChatCompletionRequest(
            model="openai/gpt-4o-mini", messages=[UserMessage(content="hi")], temperature=0.5, extra_body={"x": 1}
        )
        told: list[tuple[int, int]] = []
        await client.create_batch(requests=[request], progress=lambda sent, total: told.append((sent, total)))
        await client.chat(request)
    upload, _, single = simulator.requests
    form = ReceivedForm(upload.headers["content-type"], upload.body)
    assert form.field("purpose") == "batch"
    line = msgspec.json.decode(form.file("file").content)
    assert line == {"custom_id": "request-0", "method": "POST", "url": "/v1/chat/completions", "body": single.json}
    assert told[-1][0] == told[-1][1] == len(upload.body)
    assert b"key-of" not in upload.body


@pytest.mark.realtime
async def test_requests_are_read_once_and_need_not_be_a_list() -> None:
    """An async iterator of a few thousand goes through a file, as lines in their order."""

    async def source() -> AsyncIterator[object]:
        for number in range(3000):
            yield {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": f"{number} " + "x" * 4000}]}

    simulator = Simulator(reply="ok")
    async with serving(simulator) as client:
        batch = await client.create_batch(requests=source())
    form = ReceivedForm(simulator.requests[0].headers["content-type"], simulator.requests[0].body)
    lines = form.file("file").content.splitlines()
    assert len(form.file("file").content) > 12_000_000
    assert [msgspec.json.decode(line)["custom_id"] for line in lines] == [f"request-{n}" for n in range(3000)]
    assert batch.id


@pytest.mark.realtime
async def test_many_requests_go_to_the_disk() -> None:
    """Few are kept in memory."""
    text = "x" * 100_000
    async with LlmClient(api_key="sk") as client:
        for count, on_disk in ((10, False), (100, True)):
            writer = BatchWriter(Caller(client._routes, client._unsent, None), None, CallOptions())
            given = ({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]} for _ in range(count))
            written = await writer.write(given)
            assert isinstance(written.file.content, BytesIO) is not on_disk
            with written.file.open() as file:
                assert len(file.read()) == written.bytes > count * len(text)
            assert written.count == count
            writer.close()


async def test_every_option_of_a_batch_is_sent() -> None:
    """To OpenAI as fields; to Mistral in its words."""
    simulator = Simulator()
    async with serving(simulator) as client:
        await client.create_batch(
            requests=chats("openai/gpt-4o-mini", 1), metadata={"who": "us"}, extra_body={"more": 1},
            output_expires_after={"anchor": "created_at", "seconds": 7200},
        )  # fmt: skip
        sent = simulator.requests[-1].json
        assert isinstance(sent, dict)
        file_id = sent.pop("input_file_id")
        assert sent == {
            "endpoint": "/v1/chat/completions", "completion_window": "24h", "metadata": {"who": "us"}, "more": 1,
            "output_expires_after": {"anchor": "created_at", "seconds": 7200},
        }  # fmt: skip
        # The file is there already, of another operation.
        with pytest.raises(BadRequestError, match="completion_window"):
            await client.create_batch(input_file_id=file_id, endpoint="/v1/embeddings", completion_window="9h")
        assert simulator.requests[-1].json == {
            "input_file_id": file_id, "endpoint": "/v1/embeddings", "completion_window": "9h"
        }  # fmt: skip
        batch = await client.create_batch(input_file_id=file_id)
        assert (batch.input_file_id, batch.endpoint) == (file_id, "/v1/chat/completions")
        await client.create_batch(
            requests=chats("mistral/mistral-small-latest", 1), metadata={"who": "us"}, completion_window="72h"
        )
        sent = simulator.requests[-1].json
        assert isinstance(sent, dict)
        del sent["input_files"]
        assert sent == {
            "endpoint": "/v1/chat/completions", "model": "mistral-small-latest", "metadata": {"who": "us"},
            "timeout_hours": 72,
        }  # fmt: skip
        with pytest.raises(NotFoundError):
            await client.create_batch(
                input_file_id="file-none", model="mistral/m", provider="mistral", endpoint="/v1/ocr"
            )
        assert simulator.requests[-1].json == {
            "input_files": ["file-none"], "endpoint": "/v1/ocr", "model": "m", "timeout_hours": 24
        }  # fmt: skip


async def test_a_provider_by_name_and_bare_models() -> None:
    """``provider`` decides whom bare models belong to, and refuses those of another."""
    simulator = Simulator()
    async with serving(simulator) as client:
        batch = await client.create_batch(requests=chats("llama-3.3-70b", 2), provider="groq")
        assert batch.provider == "groq"
        assert simulator.requests[0].headers["host"] == "api.groq.com"
        count = len(simulator.requests)
        with pytest.raises(ValueError, match=r"requests\[0\] is for openai, and the batch for groq"):
            await client.create_batch(requests=chats("openai/gpt-4o", 1), provider="groq")
        assert len(simulator.requests) == count


async def test_embeddings_in_a_batch() -> None:
    """The endpoint follows from the requests, and results are of the operation's type."""
    simulator = Simulator(batch_seconds=5)
    async with serving(simulator) as client:
        requests = [EmbeddingRequest(model="openai/text-embedding-3-small", input=f"text {n}") for n in range(3)]
        batch = await client.wait_for_batch(await client.create_batch(requests=requests))
        assert batch.endpoint == "/v1/embeddings"
        found = await gathered(client.batch_results(batch, requests=requests))
        single = await client.embed(requests[1])
    value = found["request-1"].value
    assert isinstance(value, EmbeddingResponse)
    assert value.data == single.data
    assert found["request-1"].request == requests[1]


@pytest.mark.parametrize("provider", ["openai", "anthropic", "mistral", "gemini", "xai"])
async def test_a_request_that_fails_has_the_error_of_a_single_call(provider: str) -> None:
    """Its class, status and provider are those of a call of its own; the others have their replies."""
    model = MODELS[provider]
    requests = chats(model, 3)
    bad = requests[1]["body"]
    assert isinstance(bad, dict)
    # Anything that this simulated provider refuses.
    bad["extra_body"] = {"max_tokens": 0} if provider != "gemini" else {"contents": []}
    simulator = Simulator(batch_seconds=5)
    async with serving(simulator) as client:
        batch = await client.wait_for_batch(await client.create_batch(requests=requests))
        assert (batch.request_counts.completed, batch.request_counts.failed) == (2, 1)
        found = await gathered(client.batch_results(batch, requests=requests))
        assert sorted(found) == ["item-0", "item-1", "item-2"]
        request = found["item-1"].request
        assert isinstance(request, ChatCompletionRequest)
        with pytest.raises(BadRequestError) as single:
            await client.chat(request)
    error = found["item-1"].error
    assert error is not None
    assert found["item-1"].response is None
    assert type(error) is type(single.value)
    assert (error.status, error.provider, error.message) == (400, provider, single.value.message)
    with pytest.raises(BadRequestError):
        _ = found["item-1"].value
    assert isinstance(found["item-2"].value, ChatCompletionResponse)


@pytest.mark.parametrize("provider", ["openai", "anthropic", "mistral", "gemini", "xai"])
async def test_a_batch_is_cancelled(provider: str) -> None:
    """What was done until then has results, and the rest says that its turn never came."""
    simulator = Simulator(batch_seconds=101)
    async with serving(simulator) as client:
        requests = chats(MODELS[provider], 10)
        batch = await client.create_batch(requests=requests)
        await anyio.sleep(51)
        stopping = await client.cancel_batch(batch_id=batch.id, provider=provider)
        assert stopping.status == "cancelling"
        batch = await client.wait_for_batch(batch, poll=1)
        assert batch.status == "cancelled"
        assert (batch.cancelling_at if provider == "xai" else batch.cancelled_at) is not None
        results = client.batch_results(batch, requests=requests)
        found = await gathered(results)
    good = [result for result in found.values() if result.error is None]
    assert len(good) == 5
    unserved = [result.error for result in found.values() if result.error is not None]
    if provider in ("openai", "anthropic", "mistral"):
        assert [error.code for error in unserved] == ["batch_cancelled"] * 5
        assert all(error.retryable and error.provider == provider for error in unserved)
    else:
        # It says nothing of those.
        assert sorted(results.missing) == [f"item-{number}" for number in range(5, 10)]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_a_batch_that_runs_out_of_time(provider: str) -> None:
    """It has expired, and so have the requests that were not done."""
    simulator = Simulator(batch_seconds=48 * 3600)
    async with serving(simulator) as client:
        batch = await client.create_batch(requests=chats(MODELS[provider], 4))
        batch = await client.wait_for_batch(batch, max_poll=3600)
        assert batch.status == "expired"
        assert batch.expired_at is not None
        found = await gathered(client.batch_results(batch))
    errors = [result.error for result in found.values() if result.error is not None]
    assert len(errors) in (2, 3)
    assert all(isinstance(error, LlmTimeoutError) and error.code == "batch_expired" for error in errors)


async def test_results_in_pages() -> None:
    """All of them, in their order; each page is asked for when it is needed."""
    simulator = Simulator(batch_seconds=5)
    async with serving(simulator) as client:
        batch = await client.wait_for_batch(await client.create_batch(requests=chats("xai/grok-4.3", 250)))
        before = len(simulator.requests)
        results = client.batch_results(batch)
        seen = []
        async for result in results:
            seen.append(result.custom_id)
            assert len(simulator.requests) == before + (len(seen) + 99) // 100
    assert seen == [f"item-{number}" for number in range(250)]
    assert [request.path.partition("?")[2] for request in simulator.requests[before:]] == [
        "limit=100", "limit=100&pagination_token=100", "limit=100&pagination_token=200",
    ]  # fmt: skip


async def test_batches_are_listed_page_by_page() -> None:
    """Newest first, by all wires."""
    simulator = Simulator()
    async with serving(simulator) as client:
        for provider in ("openai", "anthropic", "mistral", "gemini", "xai"):
            made = [(await client.create_batch(requests=chats(MODELS[provider], 1))).id for _ in range(5)]
            page = await client.list_batches(provider=provider, limit=2)
            assert ([one.id for one in page.data], page.has_more) == (made[:2:-1], True)
            walked = [batch.id async for batch in client.list_batches(provider=provider, limit=2)]
            assert walked == made[::-1]
            assert (await client.retrieve_batch(batch_id=made[0], provider=provider)).id == made[0]
            with pytest.raises(NotFoundError):
                await client.retrieve_batch(batch_id="none", provider=provider)


@pytest.mark.parametrize(
    ("requests", "told"),
    [
        ([], "must not be empty"),
        ([{"messages": []}], r"requests\[0\]: 'model' is missing"),
        (chats("openai/gpt-4o", 1) * 2, r"requests\[1\]: the custom_id 'item-0' is that of another"),
        ([*chats("openai/gpt-4o", 1), *chats("anthropic/claude-haiku-4-5", 1)], r"requests\[1\] is for anthropic"),
        (
            [*chats("openai/gpt-4o", 1), EmbeddingRequest(model="openai/text-embedding-3-small", input="x")],
            r"requests\[1\] is for embed, and those before it for chat",
        ),
        (
            [*chats("mistral/mistral-small-latest", 1), *chats("mistral/mistral-large-latest", 1)],
            r"a batch of mistral is for one",
        ),
        ([{**chats("anthropic/claude-haiku-4-5", 1)[0], "custom_id": "no blanks"}], r"\[A-Za-z0-9_-\]\{1,64\}"),
    ],
)  # fmt: skip
async def test_requests_that_make_no_batch_are_refused_before_any_io(requests: Sequence[object], told: str) -> None:
    """The error says which, and why."""
    simulator = Simulator()
    async with serving(simulator) as client:
        with pytest.raises(ValueError, match=told):
            await client.create_batch(requests=requests)
    assert simulator.requests == []


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "give requests, or the input_file_id"),
        ({"requests": [1], "input_file_id": "f"}, "one of the two"),
        ({"requests": "abc"}, "requests must be a list"),
        ({"requests": [1], "model": "m"}, "model is told by the requests"),
        ({"requests": [1], "endpoint": "/v1/x"}, "endpoint is told by the requests"),
        ({"input_file_id": "f", "progress": print}, "input_file_id is there already"),
        ({"input_file_id": "f", "completion_window": ""}, "completion_window"),
    ],
)
def test_fields_that_make_no_sense(fields: dict[str, object], told: str) -> None:
    """Each names itself, and what would be right."""
    with pytest.raises(ValueError, match=told):
        CreateBatchRequest(**fields)


async def test_who_has_no_batches_is_told_before_any_io() -> None:
    """With those that have them; and likewise for an operation that batches do not take."""
    simulator = Simulator()
    async with serving(simulator) as client:
        with pytest.raises(EndpointNotSupportedError, match=r"these do: anthropic, azure, gemini, groq"):
            await client.create_batch(requests=chats("cohere/command-r", 1))
        with pytest.raises(EndpointNotSupportedError, match=r"these do: anthropic"):
            await client.retrieve_batch(batch_id="b", provider="cohere")
        with pytest.raises(EndpointNotSupportedError, match=r"these do: anthropic"):
            # It has batches of a form of its own.
            await client.create_batch(requests=chats("together/model", 1))
        with pytest.raises(EndpointNotSupportedError, match=r"gemini does not take embed in batches; it takes chat"):
            await client.create_batch(requests=[EmbeddingRequest(model="gemini/gemini-embedding-001", input="x")])
        for provider in ("anthropic", "gemini", "xai"):
            given: dict[str, object] = {"provider": provider, "input_file_id": "f", "model": MODELS[provider]}
            if provider != "xai":
                given = {"requests": chats(MODELS[provider], 1)}
            with pytest.raises(BadRequestError, match="does not take 'metadata' of a batch"):
                await client.create_batch(**given, metadata={"a": "b"})
            with pytest.raises(BadRequestError, match="the completion_window '9h'"):
                await client.create_batch(**given, completion_window="9h")
        with pytest.raises(BadRequestError, match="Anthropic takes the requests themselves"):
            await client.create_batch(input_file_id="f", provider="anthropic")
        with pytest.raises(BadRequestError, match="a batch is for one model here"):
            await client.create_batch(input_file_id="f", provider="gemini")
        with pytest.raises(BadRequestError, match="does not take the completion_window 'soon'"):
            await client.create_batch(input_file_id="f", model="mistral/m", completion_window="soon")
        with pytest.raises(BadRequestError, match="does not take 'output_expires_after'"):
            await client.create_batch(requests=chats("mistral/m", 1), output_expires_after={"seconds": 1})
        with pytest.raises(BadRequestError, match="logprobs") as refused:
            await client.create_batch(
                requests=[
                    ChatCompletionRequest(
                        model="anthropic/claude-haiku-4-5", messages=[UserMessage(content="hi")], logprobs=True
                    )
                ]
            )
        assert refused.value.__notes__ == ["it is requests[0]"]
    assert simulator.requests == []


async def test_a_batch_that_is_refused_leaves_no_file() -> None:
    """The file that was uploaded for it is deleted again."""
    simulator = Simulator(faults=[None, Refuse(403)])
    async with serving(simulator) as client:
        with pytest.raises(LlmError) as refused:
            await client.create_batch(requests=chats("openai/gpt-4o", 1))
        assert refused.value.status == 403
        assert [file async for file in client.list_files()] == []
    assert paths(simulator)[2].startswith("DELETE /v1/files/file-")


async def test_a_file_that_cannot_be_deleted_is_told() -> None:
    """A note on the error names what is left, and where."""
    simulator = Simulator(faults=[None, Refuse(403), Refuse(403)])
    async with serving(simulator) as client:
        with pytest.raises(LlmError) as refused:
            await client.create_batch(requests=chats("openai/gpt-4o", 1))
    file_id = paths(simulator)[2].removeprefix("DELETE /v1/files/")
    assert refused.value.__notes__ == [
        f"the file {file_id}, uploaded for it, could not be deleted and is left at openai"
    ]


async def test_without_an_answer_the_file_stays() -> None:
    """There may be a batch of it: the error says so, and how to find out."""
    simulator = Simulator(faults=[None, StallBeforeHead()])
    async with serving(simulator) as client:
        with pytest.raises(LlmTimeoutError) as failed:
            await client.create_batch(requests=chats("openai/gpt-4o", 1), timeout=5)
        [file] = [file async for file in client.list_files()]
    assert failed.value.__notes__ == [
        f"the file {file.id} is left at openai, and there may be a batch of it: list_batches tells"
    ]


@pytest.mark.parametrize(
    ("fault", "attempts"), [(Refuse(500), 1), (Refuse(504), 1), (Refuse(503), 2), (Refuse(429), 2), (HtmlPage(502), 1)]
)
@pytest.mark.parametrize("model", ["openai/gpt-4o", "anthropic/claude-haiku-4-5"])
async def test_a_batch_is_not_made_twice(fault: Fault, attempts: int, model: str) -> None:
    """Where there may be one, it is not tried again, and the error says how to find out; a refusal is tried again."""
    script = [None, fault] if model.startswith("openai") else [fault]
    simulator = Simulator(faults=script)
    async with serving(simulator) as client:
        if attempts == 1:
            with pytest.raises(LlmError) as failed:
                await client.create_batch(requests=chats(model, 1))
            assert not failed.value.retryable
            assert failed.value.__notes__[-1].endswith("list_batches tells")
        else:
            await client.create_batch(requests=chats(model, 1))
    made = [path for path in paths(simulator) if path.endswith("/batches")]
    assert len(made) == attempts


async def test_an_upload_without_an_answer_is_told() -> None:
    """The provider may have the file."""
    simulator = Simulator(faults=[StallBeforeHead()])
    async with serving(simulator) as client:
        with pytest.raises(LlmTimeoutError) as failed:
            await client.create_batch(requests=chats("openai/gpt-4o", 1), timeout=5)
    assert failed.value.__notes__ == ["a file of the requests may be left at openai: list_files tells"]


async def test_a_cancelled_creation_tells_the_log_what_is_left(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody sees the notes of a cancellation."""
    simulator = Simulator(latency=10)
    with caplog.at_level(logging.WARNING, "liter"):
        async with serving(simulator) as client:
            with anyio.move_on_after(15) as scope:
                await client.create_batch(requests=chats("openai/gpt-4o", 1))
            assert scope.cancelled_caught
            [file] = [file async for file in client.list_files()]
    assert f"create_batch was cancelled: the file {file.id} is left at openai" in caplog.text


async def test_an_upload_that_fails_leaves_nothing() -> None:
    """It is tried again, as the file is ours; when that fails, no batch is asked for."""
    simulator = Simulator(faults=[Refuse(503), None, None, Refuse(403)])
    async with serving(simulator) as client:
        await client.create_batch(requests=chats("openai/gpt-4o", 1))
        assert paths(simulator) == ["POST /v1/files", "POST /v1/files", "POST /v1/batches"]
        first, second = (ReceivedForm(one.headers["content-type"], one.body) for one in simulator.requests[:2])
        assert first.file("file").content == second.file("file").content
        with pytest.raises(LlmError):
            await client.create_batch(requests=chats("openai/gpt-4o", 1))
        assert paths(simulator)[3:] == ["POST /v1/files"]


async def test_an_inline_batch_is_sent_again_whole() -> None:
    """The list in the body can be rewound."""
    simulator = Simulator(faults=[Refuse(529)])
    async with serving(simulator) as client:
        await client.create_batch(requests=chats("anthropic/claude-haiku-4-5", 3))
    first, second = simulator.requests
    assert first.body == second.body
    assert isinstance(second.json, dict)
    assert [one["custom_id"] for one in second.json["requests"]] == ["item-0", "item-1", "item-2"]


async def test_waiting_backs_off_under_its_deadline() -> None:
    """Each wait is half of its bound at least, and never more; the error has the last state."""
    simulator = Simulator(batch_seconds=1000)
    async with serving(simulator) as client:
        batch = await client.create_batch(requests=chats("openai/gpt-4o", 10))
        began = anyio.current_time()
        with pytest.raises(LlmTimeoutError, match=r"is in_progress after 300 s, \d of 10 requests done") as late:
            await client.wait_for_batch(batch.id, timeout=300, poll=4, max_poll=40, random=Random(1))
        assert anyio.current_time() - began == pytest.approx(300, abs=0.1)
        last = late.value.partial
        assert isinstance(last, BatchObject)
        assert (last.status, late.value.limit, late.value.seconds) == ("in_progress", "total", 300)
        assert "it goes on" in str(late.value)
        times = [request.started for request in simulator.requests[2:]]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        bounds = [min(40, 4 * 1.5**number) for number in range(len(gaps))]
        assert len(gaps) > 8
        assert all(bound / 2 <= gap <= bound + 0.1 for gap, bound in zip(gaps, bounds, strict=True))
        # The same waits again, by the same seed; others by another.
        before = len(simulator.requests)
        for seed in (1, 2):
            with pytest.raises(LlmTimeoutError):
                await client.wait_for_batch(batch.id, timeout=300, poll=4, max_poll=40, random=Random(seed))
        again = [request.started for request in simulator.requests[before:]]
        same = [later - earlier for earlier, later in pairwise(again)]
        assert same[: len(gaps)] == pytest.approx(gaps, abs=0.01)
        assert same[len(gaps) + 1 :][: len(gaps)] != pytest.approx(gaps, abs=0.01)


async def test_waiting_heeds_when_the_provider_wants_to_be_asked() -> None:
    """As told on a batch that is under way (Anthropic), and by a refusal."""
    for model, faults, waits in (
        ("anthropic/claude-haiku-4-5", [], [10, 10, 10, 10]),
        ("openai/gpt-4o", [None, None, Refuse(503, retry_after=57)], [57]),
    ):
        simulator = Simulator(batch_seconds=60, faults=faults)
        async with serving(simulator, middleware=[]) as client:
            batch = await client.create_batch(requests=chats(model, 2))
            done = await client.wait_for_batch(batch.id, provider=batch.provider, poll=1, max_poll=1)
            assert done.finished
        times = [request.started for request in simulator.requests if request.method == "GET"]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert gaps[: len(waits)] == pytest.approx(waits, abs=0.1)


async def test_inline_batches_tell_their_progress_and_take_more_fields() -> None:
    """Of Anthropic's body, of Gemini's, and of xAI's."""
    simulator = Simulator()
    async with serving(simulator) as client:
        for model in ("anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash"):
            told: list[tuple[int, int]] = []
            await client.create_batch(
                requests=chats(model, 1), progress=lambda sent, total, told=told: told.append((sent, total))
            )
            assert told[-1] == (len(simulator.requests[-1].body),) * 2
        await client.create_batch(requests=chats("gemini/gemini-2.5-flash", 1), extra_body={"displayName": "ours"})
        sent = simulator.requests[-1].json
        assert isinstance(sent, dict)
        assert sent["batch"]["displayName"] == "ours"
        await client.create_batch(requests=chats("xai/grok-4.3", 1), extra_body={"name": "ours"})
        sent = simulator.requests[-1].json
        assert isinstance(sent, dict)
        assert sent["name"] == "ours"
        with pytest.raises(BadRequestError):  # the simulator takes no field that Anthropic has not
            await client.create_batch(requests=chats("anthropic/claude-haiku-4-5", 1), extra_body={"more": 1})
        sent = simulator.requests[-1].json
        assert isinstance(sent, dict)
        assert sent["more"] == 1
        with pytest.raises(BadRequestError):
            await client.create_batch(input_file_id="input", model="gemini/gemini-2.5-flash")
        assert simulator.requests[-1].json == {
            "batch": {"displayName": "liter", "inputConfig": {"fileName": "files/input"}}
        }


async def test_typed_replies_in_a_batch() -> None:
    """What the request asked for is parsed, where the results are given the requests."""
    simulator = Simulator(batch_seconds=2)
    async with serving(simulator) as client:
        requests = [
            ChatCompletionRequest(
                model="openai/gpt-4o-mini", messages=[UserMessage(content="where?")], response_format=Place
            )
        ]
        batch = await client.wait_for_batch(await client.create_batch(requests=requests))
        [result] = [result async for result in client.batch_results(batch, requests=requests)]
    assert isinstance(result.value, ChatCompletionResponse)
    assert isinstance(result.value.parsed_as(Place), Place)


async def test_azures_versions_are_in_every_path() -> None:
    """Where an address needs one, batches and their files have it, outside of deployments."""
    simulator = Simulator(batch_seconds=2)
    settings = {"azure": {"resource": "ours", "api_version": "2024-10-21"}}
    async with serving(simulator, provider_settings=settings) as client:
        batch = await client.wait_for_batch(await client.create_batch(requests=chats("azure/deployed", 1)))
        assert len(await gathered(client.batch_results(batch))) == 1
        await client.list_batches(provider="azure", limit=3)
    assert [(request.method, request.path) for request in simulator.requests if request.method == "POST"] == [
        ("POST", "/openai/files?api-version=2024-10-21"), ("POST", "/openai/batches?api-version=2024-10-21"),
    ]  # fmt: skip
    assert [request.path for request in simulator.requests][-2:] == [
        f"/openai/files/{batch.output_file_id}/content?api-version=2024-10-21",
        "/openai/batches?limit=3&api-version=2024-10-21",
    ]
    line = ReceivedForm(simulator.requests[0].headers["content-type"], simulator.requests[0].body).file("file").content
    assert msgspec.json.decode(line)["url"] == "/chat/completions"


async def test_a_waiter_that_is_cancelled_leaves_the_batch_running() -> None:
    """Nothing is sent on the way out."""
    simulator = Simulator(batch_seconds=60)
    async with serving(simulator) as client:
        batch = await client.create_batch(requests=chats("openai/gpt-4o", 2))
        with anyio.move_on_after(10):
            await client.wait_for_batch(batch)
        assert not [path for path in paths(simulator) if "cancel" in path]
        assert (await client.wait_for_batch(batch)).status == "completed"


async def test_waiting_bears_failures_that_may_pass() -> None:
    """Up to five in a row; what will not pass is raised at once."""
    simulator = Simulator(batch_seconds=60, faults=[None, None, *[Refuse(503)] * 5, None, *[Refuse(503)] * 6])
    async with serving(simulator, middleware=[]) as client:
        batch = await client.create_batch(requests=chats("openai/gpt-4o", 2))
        with pytest.raises(ServiceUnavailableError):
            await client.wait_for_batch(batch, poll=0.1, max_poll=0.1)
        assert len(simulator.requests) == 2 + 5 + 1 + 6
        with pytest.raises(NotFoundError):
            await client.wait_for_batch("batch_none")
        assert len(simulator.requests) == 2 + 5 + 1 + 6 + 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"timeout": 0}, "timeout must be"),
        ({"timeout": "60"}, "timeout must be"),
        ({"poll": "2"}, "poll must be"),
        ({"poll": 0}, "poll must be"),
        ({"poll": 5, "max_poll": 1}, "max_poll must be"),
    ],
)
async def test_waits_that_make_no_sense(options: dict[str, float], told: str) -> None:
    """Each names itself."""
    simulator = Simulator()
    async with serving(simulator) as client:
        with pytest.raises(ValueError, match=told):
            await client.wait_for_batch("batch_1", **options)
        with pytest.raises(ValueError, match="give a batch, or its id"):
            await client.wait_for_batch("")
        with pytest.raises(ValueError, match="unknown option 'temperature'"):
            client.batch_results("batch_1", temperature=1)
    assert simulator.requests == []


async def test_results_before_the_end_and_of_failed_batches() -> None:
    """Both are told for what they are, and the batch is asked for as it is now."""
    simulator = Simulator(batch_seconds=10)
    async with serving(simulator) as client:
        batch = await client.create_batch(requests=chats("openai/gpt-4o", 1))
        with pytest.raises(BadRequestError, match=r"is validating, and has no results yet: wait_for_batch first"):
            await anext(client.batch_results(batch))
        await anyio.sleep(11)
        assert len(await gathered(client.batch_results(batch))) == 1
        file = await client.create_file(file=b'{"custom_id": "a"}\nno json\n', filename="bad.jsonl", purpose="batch")
        failed = await client.wait_for_batch(await client.create_batch(input_file_id=file.id))
        assert failed.status == "failed"
        assert [error.line for error in failed.errors] == [1, 2]
        with pytest.raises(BadRequestError, match=r"failed, and has no results: .*body.* \(line 1\)"):
            await anext(client.batch_results(failed))
        with pytest.raises(ValueError, match="not known without the requests"):
            _ = client.batch_results(failed).missing


@pytest.mark.realtime
async def test_results_that_break_off_go_on() -> None:
    """Each is handed out once, though the transfer broke off twice; one that brings nothing more fails."""
    faults = [None, None, None, CloseAfterEvents(1), CloseAfterEvents(2)]
    simulator = Simulator(batch_seconds=0.001, faults=faults, reply="x" * 3000)
    async with serving(simulator, middleware=[]) as client:
        batch = await client.create_batch(requests=chats("openai/gpt-4o", 60))
        await anyio.sleep(1.01)
        batch = await client.wait_for_batch(batch)
        seen = [result.custom_id async for result in client.batch_results(batch)]
    assert seen == [f"item-{number}" for number in range(60)]
    assert paths(simulator).count(f"GET /v1/files/{batch.output_file_id}/content") == 3


async def test_leaving_results_early_closes_the_connection() -> None:
    """By ``async with`` or ``aclose``; nothing is read to its end."""
    simulator = Simulator(batch_seconds=2, reply="x" * 3000)
    async with serving(simulator) as client:
        batch = await client.wait_for_batch(
            await client.create_batch(requests=chats("anthropic/claude-haiku-4-5", 200))
        )
        async with client.batch_results(batch) as results:
            async for result in results:
                assert result.value
                break
            assert "1 so far" in repr(results)
        before = simulator.bytes_generated
        await anyio.sleep(1)
        assert simulator.bytes_generated == before


async def test_a_reader_that_is_cancelled_lets_go() -> None:
    """The connection is closed, and no more of the results is made."""
    simulator = Simulator(batch_seconds=2, reply="x" * 3000, event_latency=5)
    async with serving(simulator) as client:
        batch = await client.wait_for_batch(await client.create_batch(requests=chats("openai/gpt-4o", 200)))
        seen = 0
        results = client.batch_results(batch)
        with anyio.move_on_after(12) as scope:
            async for _ in results:
                seen += 1
        assert scope.cancelled_caught
        assert 0 < seen < 200
        await anyio.sleep(20)
        assert simulator.in_flight == 0
        assert simulator.requests[-1].outcome == "client left"


async def test_options_of_results_reach_the_calls() -> None:
    """Headers, for one, and the key."""
    simulator = Simulator(batch_seconds=2)
    async with serving(simulator) as client:
        batch = await client.wait_for_batch(await client.create_batch(requests=chats("openai/gpt-4o", 1)))
        await gathered(client.batch_results(batch, extra_headers={"x-who": "us"}, api_key="another-key-of-ours"))
    last = simulator.requests[-1].headers
    assert (last["x-who"], last["authorization"]) == ("us", "Bearer another-key-of-ours")

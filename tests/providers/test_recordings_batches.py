"""Recorded batches of real providers: objects, pages, files of results; cut anywhere, and damaged."""

import json
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec
import pytest

from liter import BadRequestError, LlmError, NotFoundError
from liter._http import Headers
from liter.providers import known_providers
from liter.types import (
    BatchCounts,
    BatchesPage,
    BatchObject,
    BatchResultsRequest,
    CancelBatchRequest,
    ChatCompletionResponse,
    EmbeddingResponse,
    ListBatchesRequest,
    RetrieveBatchRequest,
)

from ._replay import events_at_random_cuts

Record = Mapping[str, object]


def body_of(record: Record) -> bytes:
    body = record["response_body"]
    assert isinstance(body, str)
    return body.encode()


def operation_of(record: Record) -> str:
    path, method = str(record["path"]), record["method"]
    if path.endswith("/results"):
        return "batch_results"
    if path.endswith("/cancel"):
        return "cancel_batch"
    if method == "POST":
        return "create_batch"
    return "list_batches" if path.endswith(("/batches", "/jobs")) else "retrieve_batch"


def call_for(call_of: Callable, record: Record, *, batch: BatchObject | None = None) -> object:
    """A call that the recorded answer may be the answer to."""
    operation = operation_of(record)
    request: msgspec.Struct = {
        "list_batches": ListBatchesRequest(),
        "cancel_batch": CancelBatchRequest(batch_id="b"),
        "batch_results": BatchResultsRequest(batch=batch or BatchObject(id="b", provider=str(record["provider"]))),
    }.get(operation, RetrieveBatchRequest(batch_id="b"))
    return call_of(request, operation=operation, provider=record["provider"], model="")


def seconds(text: object) -> int | None:
    return None if text is None else int(datetime.fromisoformat(str(text)).timestamp())


def test_openai(recordings, call_of) -> None:
    """Every field of every batch, and the pages of a list."""
    provider, count = known_providers()["openai"], 0
    for record in recordings("openai", "batches"):
        call = call_for(call_of, record)
        value = provider.decode(call, body_of(record), Headers())
        raw = json.loads(body_of(record))
        if isinstance(value, BatchesPage):
            assert value.has_more == raw["has_more"]
            assert value.next_after == (raw["last_id"] if raw["has_more"] else None)
            pairs = list(zip(value.data, raw["data"], strict=True))
        else:
            pairs = [(value, raw)]
        for batch, told in pairs:
            count += 1
            counts = told.pop("request_counts")
            assert batch.request_counts == BatchCounts(**counts)
            usage = told.pop("usage", None)
            assert (batch.usage is None) == (usage is None or not usage["total_tokens"])
            if batch.usage is not None:
                assert batch.usage.total_tokens == usage["total_tokens"]
            errors = told.pop("errors")
            assert [error.message for error in batch.errors] == [
                one["message"] for one in (errors or {"data": []})["data"]
            ]
            for name, expected in told.items():
                assert getattr(batch, name) == expected, name
            assert batch.provider == "openai"
    assert count >= 11


def test_openai_results(recordings, call_of) -> None:
    """Lines of files of results, each as its operation's reply; at random cuts."""
    provider, count = known_providers()["openai"], 0
    for record in recordings("openai", "files"):
        text = record["response_body"]
        if not str(record["path"]).endswith("/content") or not isinstance(text, str) or '"custom_id"' not in text:
            continue
        raws = [json.loads(line) for line in text.splitlines() if line.strip()]
        embeds = "embedding" in text.partition('"body"')[2][:100]
        endpoint = (
            "/v1/embeddings"
            if embeds
            else "/v1/responses"
            if '"object": "response"' in text
            else "/v1/chat/completions"
        )
        batch = BatchObject(id="b", endpoint=endpoint, provider="openai", output_file_id="f")
        call = call_of(BatchResultsRequest(batch=batch), operation="batch_results", stream=True, model="")
        for seed in range(20):
            lines = events_at_random_cuts(provider.open_stream(call), text.encode(), random.Random(seed))
            assert [line.custom_id for line in lines] == [raw["custom_id"] for raw in raws]
        for line, raw in zip(lines, raws, strict=True):
            count += 1
            assert line.error is None
            assert line.request_id == raw["response"]["request_id"]
            body = raw["response"]["body"]
            if isinstance(line.value, ChatCompletionResponse):
                assert line.value.text == body["choices"][0]["message"]["content"]
                assert line.usage is not None
                assert line.usage.total_tokens == body["usage"]["total_tokens"]
            else:
                assert isinstance(line.value, EmbeddingResponse) or line.value.id == body["id"]
    assert count


def test_anthropic(recordings, call_of) -> None:
    """States in OpenAI's words, counts, Unix times; results; and errors by their classes."""
    provider, count = known_providers()["anthropic"], 0
    for record in recordings("anthropic", "batches"):
        call = call_for(call_of, record)
        count += 1
        if record["status"] != 200:
            error = provider.error(call, record["status"], Headers(), body_of(record))
            assert isinstance(error, NotFoundError) or error.status == 401
            continue
        if operation_of(record) == "batch_results":
            raws = [json.loads(line) for line in body_of(record).splitlines()]
            for seed in range(20):
                lines = events_at_random_cuts(provider.open_stream(call), body_of(record), random.Random(seed))
            for line, raw in zip(lines, raws, strict=True):
                message = raw["result"]["message"]
                assert (line.custom_id, line.value.id, line.value.text) == (
                    raw["custom_id"], message["id"], message["content"][0]["text"],
                )  # fmt: skip
                assert line.usage.completion_tokens == message["usage"]["output_tokens"]
            continue
        raw, batch = json.loads(body_of(record)), provider.decode(call, body_of(record), Headers())
        told = raw["request_counts"]
        failed = told["errored"] + told["canceled"] + told["expired"]
        assert batch.request_counts == BatchCounts(total=sum(told.values()), completed=told["succeeded"], failed=failed)
        assert (
            batch.status
            == {"in_progress": "in_progress", "canceling": "cancelling", "ended": "completed"}[raw["processing_status"]]
        )
        assert (batch.created_at, batch.expires_at, batch.cancelling_at) == (
            seconds(raw["created_at"]), seconds(raw["expires_at"]), seconds(raw["cancel_initiated_at"]),
        )  # fmt: skip
        assert batch.native is not None
        assert batch.native["processing_status"] == raw["processing_status"]
    assert count == 12


def test_mistral_and_gemini(recordings, call_of) -> None:
    """One of each, both under way."""
    [record] = recordings("mistral", "batches")
    batch = known_providers()["mistral"].decode(call_for(call_of, record), body_of(record), Headers())
    raw = json.loads(body_of(record))
    assert (batch.id, batch.status, batch.model) == (raw["id"], "in_progress", raw["model"])
    assert (batch.input_file_id, batch.in_progress_at) == (raw["input_files"][0], raw["started_at"])
    assert (batch.request_counts.total, batch.native) == (raw["total_requests"], {"status": "RUNNING"})

    [record] = recordings("gemini", "batches")
    batch = known_providers()["gemini"].decode(call_for(call_of, record), body_of(record), Headers())
    raw = json.loads(body_of(record))
    assert (batch.id, batch.status, batch.model) == (raw["name"], "in_progress", "gemini-2.5-flash")
    assert (batch.request_counts.total, batch.created_at) == (2, seconds(raw["metadata"]["createTime"]))


def test_xai(recordings, call_of) -> None:
    """Just made, under way by its counts, and a page of results."""
    provider = known_providers()["xai"]
    made, added, under_way, page = recordings("xai", "batches")
    assert added["path"].endswith("/requests")  # another way to give it its requests, which liter does not go
    batch = provider.decode(call_for(call_of, made), body_of(made), Headers())
    raw = json.loads(body_of(made))
    assert (batch.id, batch.status, batch.request_counts.total) == (raw["batch_id"], "validating", 0)
    assert batch.created_at == int(datetime(2026, 8, 10, tzinfo=UTC).timestamp())
    batch = provider.decode(call_for(call_of, under_way), body_of(under_way), Headers())
    assert (batch.status, batch.request_counts) == ("in_progress", BatchCounts(total=2))
    call = call_for(call_of, page, batch=batch)
    raws = json.loads(body_of(page))["results"]
    lines = events_at_random_cuts(provider.open_stream(call), body_of(page), random.Random(1))
    for line, raw in zip(lines, raws, strict=True):
        told = raw["batch_result"]["response"]["chat_get_completion"]
        assert (line.custom_id, line.value.text, line.value.id) == (
            raw["batch_request_id"], told["choices"][0]["message"]["content"], told["id"],
        )  # fmt: skip
        assert line.usage.reported_cost is not None


@pytest.mark.parametrize("name", ["openai", "anthropic", "mistral", "gemini", "xai"])
def test_damaged_answers_raise_nothing_else(recordings, call_of, name: str) -> None:
    """A cut or changed body is read, or is an LlmError."""
    provider, chance = known_providers()[name], random.Random(name)
    for record in recordings(name, "batches"):
        if record["status"] != 200 or str(record["path"]).endswith("/requests"):
            continue
        body, call = body_of(record), call_for(call_of, record)
        for _ in range(200):
            at = chance.randrange(len(body))
            damaged = chance.choice(
                [body[:at], body[:at] + chance.randbytes(3) + body[at + 3 :], body[:at] + body[at + 9 :]]
            )
            try:
                if operation_of(record) == "batch_results":
                    events_at_random_cuts(provider.open_stream(call), damaged, chance)
                else:
                    provider.decode(call, damaged, Headers())
            except LlmError:
                pass


# Forms of results that no recording has: a line, and what it is.
GEMINI_BATCH = BatchObject(id="batches/b", model="gemini-2.5-flash", provider="gemini", endpoint="/v1/chat/completions")


def test_gemini_results_in_a_file(call_of) -> None:
    """Lines with a key, a reply or an error; from the address that downloads have."""
    batch = msgspec.structs.replace(GEMINI_BATCH, output_file_id="files/batch-out")
    call = call_of(
        BatchResultsRequest(batch=batch), operation="batch_results", stream=True, provider="gemini", model="",
        base_url="https://generativelanguage.googleapis.com/v1beta",
    )  # fmt: skip
    provider = known_providers()["gemini"]
    asked = provider.encode(call)
    assert asked.base_url + asked.path == (
        "https://generativelanguage.googleapis.com/download/v1beta/files/batch-out:download?alt=media"
    )
    reply = {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1, "totalTokenCount": 4},
    }
    lines = [
        {"key": "a", "response": reply},
        {"key": "b", "error": {"code": 3, "message": "Request contains an invalid argument."}},
        {"key": "c", "error": {"code": 8, "message": "Quota exceeded."}},
        {"key": "d", "error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}},
    ]
    body = b"\n".join(json.dumps(line).encode() for line in lines)
    a, b, c, d = events_at_random_cuts(provider.open_stream(call), body, random.Random(1))
    assert (a.custom_id, a.value.text, a.usage.total_tokens) == ("a", "hi", 4)
    assert [(line.custom_id, line.error.status) for line in (b, c, d)] == [("b", 400), ("c", 429), ("d", 400)]
    assert isinstance(b.error, BadRequestError)
    assert c.error.retryable


def test_errors_of_openais_lines(call_of) -> None:
    """A line without a response is told by its code; a response that is no success, by its status."""
    batch = BatchObject(id="b", endpoint="/v1/chat/completions", provider="openai", error_file_id="f")
    request = BatchResultsRequest(batch=batch, part="errors")
    call = call_of(request, operation="batch_results", stream=True, model="")
    provider = known_providers()["openai"]
    assert provider.encode(call).path == "/files/f/content"
    lines = [
        {"custom_id": "a", "response": None, "error": {"code": "batch_expired", "message": "Too late."}},
        {"custom_id": "b", "response": None, "error": {"code": "server_error", "message": "Oops."}},
        {"custom_id": "c", "response": {"status_code": 429, "request_id": "r", "body": {
            "error": {"message": "no more", "code": "insufficient_quota", "type": "insufficient_quota"}}}},
        {"custom_id": "d", "response": {"status_code": 200, "request_id": "r", "body": {"choices": 5}}},
    ]  # fmt: skip
    body = b"\n".join(json.dumps(line).encode() for line in lines)
    a, b, c, d = events_at_random_cuts(provider.open_stream(call), body, random.Random(1))
    assert [type(line.error).__name__ for line in (a, b, c, d)] == [
        "LlmTimeoutError", "ServerError", "RateLimitedError", "SerializationError",
    ]  # fmt: skip
    assert (a.error.message, b.error.status, c.error.request_id) == ("Too late.", None, "r")
    with pytest.raises(LlmError, match="a line is no result of a batch"):
        events_at_random_cuts(provider.open_stream(call), b'{"id": 1}\n', random.Random(1))


def test_ocr_in_mistrals_batches(call_of) -> None:
    """Its decoder looks at what was asked, which nobody knows any more."""
    batch = BatchObject(id="b", endpoint="/v1/ocr", model="mistral-ocr-latest", provider="mistral", output_file_id="f")
    call = call_of(
        BatchResultsRequest(batch=batch), operation="batch_results", stream=True, provider="mistral", model=""
    )
    page = {"index": 0, "markdown": "# A", "images": [], "dimensions": None}
    reply = {"pages": [page], "model": "mistral-ocr-2512", "usage_info": {"pages_processed": 1}}
    line = json.dumps({"custom_id": "a", "response": {"status_code": 200, "body": reply}}).encode()
    [result] = events_at_random_cuts(known_providers()["mistral"].open_stream(call), line, random.Random(1))
    assert result.error is None
    assert result.value.pages[0].markdown == "# A"
    assert result.usage.pages == 1

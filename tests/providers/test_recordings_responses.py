"""Every recorded exchange of OpenAI's Responses API decodes without loss, and its requests encode as they were."""

import json
import random
from collections.abc import Callable, Iterator, Mapping

import pytest

from liter._errors import LlmError
from liter._http import Headers, ServerSentEvent
from liter.providers import OpenAI
from liter.transport import framer
from liter.types import CreateResponseRequest

PROVIDERS = ("azure", "bedrock", "deepseek", "gateway", "local", "mistralrs", "openai", "openrouter", "xai")


def text_of(output: list[dict[str, object]]) -> str:
    """All text of a raw output."""
    return "".join(
        part.get("text") or ""
        for item in output
        if item["type"] == "message"
        for part in item.get("content") or ()
        if part["type"] == "output_text"
    )


def said(response: Mapping[str, object]) -> dict[str, object]:
    """What a raw response says."""
    output = response.get("output") or []
    usage = response.get("usage") or None
    details = (usage or {}).get("output_tokens_details") or {}
    return {
        "id": response.get("id", ""),
        "status": response.get("status"),
        "text": text_of(output),
        "calls": [(item["name"], item["arguments"]) for item in output if item["type"] == "function_call"],
        "reasoning": [
            part["text"]
            for item in output
            if item["type"] == "reasoning"
            for part in item.get("content") or item.get("summary") or ()
        ],
        "kinds": [item["type"] for item in output],
        "incomplete": response.get("incomplete_details"),
        "usage": None
        if usage is None
        else (
            usage.get("input_tokens", usage.get("prompt_tokens", 0)),
            usage.get("output_tokens", usage.get("completion_tokens", 0)),
            (usage.get("input_tokens_details") or {}).get("cached_tokens") or 0,
            details.get("reasoning_tokens") or 0,
        ),
        "tier": response.get("service_tier"),
    }


def heard(response: object) -> dict[str, object]:
    """What our reply says."""
    usage = response.usage
    return {
        "id": response.id,
        "status": response.status,
        "text": response.output_text,
        "calls": [(call.name, call.arguments) for call in response.function_calls],
        "reasoning": [
            part.text for item in response.items if item.type == "reasoning" for part in item.content or item.summary
        ],
        "kinds": [item.type for item in response.items],
        "incomplete": response.incomplete_details,
        "usage": None
        if usage is None
        else (
            usage.prompt_tokens,
            usage.completion_tokens,
            (usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens) or 0,
            (usage.completion_tokens_details and usage.completion_tokens_details.reasoning_tokens) or 0,
        ),
        "tier": response.service_tier,
    }


def cut(body: bytes, seed: int) -> Iterator[ServerSentEvent]:
    """Frame a body that comes in pieces of random size."""
    rng, framing, position = random.Random(seed), framer("sse", 1 << 24), 0
    while position < len(body):
        size = rng.choice((1, 7, 100, 5000))
        yield from framing.feed(body[position : position + size])
        position += size
    yield from framing.end()


@pytest.fixture
def call(call_of) -> Callable:
    """Makes a call of a recorded exchange."""

    def make(record: Mapping[str, object], *, stream: bool = False) -> object:
        request = CreateResponseRequest(model="m", input="?")
        return call_of(request, operation="create_response", provider=record["provider"], model="m", stream=stream)

    return make


@pytest.mark.parametrize("name", PROVIDERS)
def test_replies(recordings, call, name: str) -> None:
    """Whole replies say what the raw body says, and nothing of it is lost; refusals are classified."""
    count = 0
    for record in recordings(name, "responses"):
        path = record["path"].rstrip("/")
        if record["streaming"] or path.endswith("/compact") or record["method"] == "DELETE":
            continue
        count += 1
        provider, body = OpenAI(name=name), (record["response_body"] or "").encode()
        made = call(record)
        if record["status"] != 200:
            assert isinstance(provider.error(made, record["status"], Headers(), body), LlmError)
            continue
        raw = json.loads(body)
        try:
            reply = provider.decode(made, body, Headers())
        except LlmError as error:
            assert raw.get("error"), record["id"]
            assert raw["error"]["message"] in str(error)  # noqa: PT017 # an error or a reply, as recorded
            continue
        assert heard(reply) == said(raw), record["id"]
        assert reply.output == raw["output"]
        kept = {**reply.native, **{name: getattr(reply, name) for name in reply.__struct_fields__}}
        assert all(kept[name] == value for name, value in raw.items() if value is not None and name != "usage")
    assert count


@pytest.mark.parametrize("name", ["azure", "deepseek", "local", "openai", "openrouter", "xai"])
def test_streams(recordings, call, name: str) -> None:
    """At random cuts: every event is passed on, and the last one has what the deltas said."""
    count = 0
    for record in recordings(name, "responses"):
        if not record["streaming"] or record["status"] != 200 or "chat.completion.chunk" in record["response_body"]:
            continue  # five of the answers are of the chat API
        count += 1
        body = record["response_body"].encode()
        raw = [
            json.loads(line.partition("data:")[2])
            for line in record["response_body"].splitlines()
            if line.startswith("data:") and line.strip() != "data: [DONE]"
        ]
        decoder = OpenAI(name=name).open_stream(call(record, stream=True))
        events = []
        try:
            for event in cut(body, count):
                events += decoder.feed(event)
            events += decoder.end()
        except LlmError as error:
            if not any(one.get("type") in ("error", "response.failed") or one.get("error") for one in raw):
                raise AssertionError(record["id"]) from error
            continue
        assert [event.type for event in events] == [one["type"] for one in raw], record["id"]
        deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        last = events[-1].response
        assert heard(last) == said(raw[-1]["response"]), record["id"]
        assert deltas == "".join(one["delta"] for one in raw if one["type"] == "response.output_text.delta")
        assert decoder.usage == last.usage
    assert count


@pytest.mark.parametrize("name", PROVIDERS)
def test_requests(recordings, call_of, name: str) -> None:
    """A recorded request, read into ours, is encoded as it was recorded."""
    known = frozenset(CreateResponseRequest.__struct_fields__)
    for record in recordings(name, "responses"):
        body = record["request_body"]
        if record["method"] != "POST" or record["request_body_encoding"] != "json" or record["status"] != 200:
            continue
        if record["path"].rstrip("/").endswith("/compact"):
            continue
        fields = {field: value for field, value in body.items() if field in known and value is not None}
        extra = {field: value for field, value in body.items() if field not in known and field != "stream"}
        # What is null on the wire is left out, unless the caller insists.
        extra |= {field: value for field, value in body.items() if value is None and field != "stream"}
        request = CreateResponseRequest(**fields, extra_body=extra or None)
        stream = bool(body.get("stream"))
        made = call_of(request, operation="create_response", stream=stream, model=body.get("model", ""))
        sent = json.loads(OpenAI().encode(made).body)
        assert sent == {field: value for field, value in body.items() if field != "stream" or value}, record["id"]

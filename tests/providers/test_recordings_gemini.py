"""Every recorded exchange with Gemini decodes without loss, and its request can be said in liter's own words."""

import json
import random
import re

import pytest

from liter._errors import AuthenticationError, BadRequestError, LlmError, NotFoundError
from liter._http import Headers
from liter.providers import Gemini, Vertex
from liter.transport import SSEDecoder
from liter.types import ChatCompletionRequest, accumulate

from ._claude_requests import claude_canonical, claude_request_of
from ._gemini_replies import documents_of, read, said
from ._gemini_requests import canonical, request_of

USER = [{"role": "user", "content": "x"}]
PROVIDERS = {"gemini": Gemini(), "vertex": Vertex()}
FEWEST = {"gemini": 890, "vertex": 130}

CLASSES = {
    "INVALID_ARGUMENT": BadRequestError,
    "API_KEY_INVALID": AuthenticationError,
    "NOT_FOUND": NotFoundError,
    "UNAUTHENTICATED": AuthenticationError,
}


def model_of(record):
    """The model that a record's path names."""
    return re.search(r"models/([^:/]+)", record["path"]).group(1)


def is_claude(record):
    """Whether a record is of Anthropic's protocol."""
    return "/publishers/anthropic/" in record["path"]


def decoded(provider, call, body, seed):
    """A body as liter decodes it, a stream in pieces of any size."""
    if not body.lstrip().startswith(("data:", "event:")):
        return provider.decode(call, body.encode())
    rng, framing, decoder = random.Random(seed), SSEDecoder(), provider.open_stream(call)
    # The framing of some recordings was made anew, without the empty line at the end.
    data, chunks = (body.rstrip() + "\n\n").encode(), []
    while data:
        size = rng.choice((1, 3, 20, 500, 5000))
        chunks += [chunk for event in framing.feed(data[:size]) for chunk in decoder.feed(event)]
        data = data[size:]
    framing.end()
    chunks += decoder.end()
    roles = [choice.index for chunk in chunks for choice in chunk.choices if choice.delta.role]
    assert len(set(roles)) == len(roles)
    reply = accumulate(chunks)
    assert reply.usage == decoder.usage
    return reply


@pytest.mark.parametrize("name", ["gemini", "vertex"])
def test_every_recorded_reply_decodes_without_loss(name, recordings, call_of):
    """Text, calls, reasoning, signatures, sources, reasons, usage and errors are what a plain reading finds."""
    provider, wrong, count = PROVIDERS[name], {}, 0
    for record in recordings(name, "generate_content"):
        if is_claude(record):
            continue
        count += 1
        call = call_of(ChatCompletionRequest(model=model_of(record), messages=USER), provider=name)
        if record["status"] >= 400:
            [told] = documents_of(record["response_body"])
            error = provider.error(call, record["status"], Headers(), record["response_body"].encode())
            reasons = [detail["reason"] for detail in told["error"].get("details", ()) if "reason" in detail]
            kind = next((CLASSES[reason] for reason in reasons if reason in CLASSES), CLASSES[told["error"]["status"]])
            assert type(error) is kind, record["id"]
            assert (error.message, error.code) == (told["error"]["message"].strip(), told["error"]["status"])
            continue
        raw = said(documents_of(record["response_body"]))
        typed = read(decoded(provider, call, record["response_body"], record["id"]))
        if raw != typed:
            wrong[record["id"]] = {field: (raw[field], typed[field]) for field in raw if raw[field] != typed[field]}
    assert not wrong
    assert count > FEWEST[name]


@pytest.mark.parametrize("name", ["gemini", "vertex"])
def test_every_recorded_request_can_be_made(name, recordings, call_of):
    """A request that was recorded, read into ours, is made into one that means the same, to the same address."""
    provider, wrong, count = PROVIDERS[name], {}, 0
    for record in recordings(name, "generate_content"):
        if is_claude(record) or not isinstance(record["request_body"], dict):
            continue
        count += 1
        before, _, after = record["path"].partition("/publishers/" if name == "vertex" else "/models/")
        base_url = f"https://{record['host']}{before}" + (
            f"/publishers/{after.partition('/')[0]}" if name == "vertex" else ""
        )
        stream = ":streamGenerateContent" in record["path"]
        call = call_of(
            request_of(record, name), stream=stream, provider=name, model=model_of(record), base_url=base_url
        )
        try:
            made = provider.encode(call)
        except LlmError as error:
            wrong[record["id"]] = str(error)
            continue
        assert made.target.decode().partition("?")[0] == record["path"].replace("bad%20model", "bad%2520model")
        assert made.target.endswith(b"?alt=sse") == stream
        want, got = canonical(record["request_body"]), canonical(json.loads(made.body))
        if want != got:
            wrong[record["id"]] = {
                field: (want.get(field), got.get(field)) for field in want | got if want.get(field) != got.get(field)
            }
    assert not wrong
    assert count > FEWEST[name] - 20


@pytest.mark.parametrize("name", ["gemini", "vertex"])
def test_every_recorded_reply_goes_back_as_it_came(name, recordings, call_of):
    """Signed thoughts and calls, code that was run and its results are sent back unchanged and in order."""
    provider = PROVIDERS[name]
    for record in recordings(name, "generate_content"):
        if is_claude(record) or record["status"] != 200:
            continue
        call = call_of(ChatCompletionRequest(model=model_of(record), messages=USER), provider=name)
        message = decoded(provider, call, record["response_body"], record["id"]).choices[0].message
        again = ChatCompletionRequest(model=model_of(record), messages=[*USER, message, *USER])
        base_url = "https://aiplatform.googleapis.com/v1/publishers/google"
        turns = json.loads(provider.encode(call_of(again, provider=name, base_url=base_url)).body)["contents"]
        sent = turns[1]["parts"] if len(turns) == 3 else []
        documents = documents_of(record["response_body"])
        told = [
            part
            for document in documents
            for candidate in document.get("candidates", ())
            for part in (candidate.get("content") or {}).get("parts") or ()
        ]
        if message.refusal or any("willContinue" in part.get("functionCall", {}) for part in told):
            continue
        kept = [part for part in told if part.keys() - {"text", "thought"}]
        assert canonical(
            {"contents": [{"role": "model", "parts": [p for p in sent if p.keys() - {"text", "thought"}]}]}
        ) == (canonical({"contents": [{"role": "model", "parts": kept}]})), record["id"]
        assert "".join(part.get("text", "") for part in sent) == "".join(part.get("text", "") for part in told)


def test_claude_on_vertex_speaks_anthropics_protocol(recordings, call_of):
    """Requests to Claude have their version in the body and their model in the path, and replies are Anthropic's."""
    provider, count = Vertex(), 0
    for record in recordings("vertex", "generate_content"):
        if not is_claude(record):
            continue
        count += 1
        model, (before, _, _) = model_of(record), record["path"].partition("/publishers/")
        call = call_of(
            claude_request_of(record["request_body"], model),
            stream=":streamRawPredict" in record["path"],
            provider="vertex",
            model=model,
            base_url=f"https://{record['host']}{before}/publishers/google",
        )
        made = provider.encode(call)
        assert made.target.decode() == record["path"]
        assert claude_canonical(json.loads(made.body)) == claude_canonical(record["request_body"]), record["id"]
        body = record["response_body"]
        reply = decoded(provider, call, body, record["id"])
        told = "".join(re.findall(r'"text_delta","text":("(?:[^"\\]|\\.)*")', body))
        text = "".join(json.loads(piece) for piece in re.findall(r'"(?:[^"\\]|\\.)*"', told))
        if not text and not body.startswith("event:"):
            text = "".join(block.get("text", "") for block in json.loads(body)["content"])
        assert reply.text == text
        assert reply.usage is not None
        assert reply.choices[0].finish_reason in ("stop", "tool_calls", "length")
    assert count > 20


def test_recorded_errors_of_other_operations_are_errors(recordings, call_of):
    """Whatever Google answers to a request that fails becomes an error of liter's."""
    for name, provider in PROVIDERS.items():
        for record in recordings(name, "embeddings", "count_tokens", "caches", "models", "images"):
            if record["status"] >= 400:
                call = call_of(ChatCompletionRequest(model="m", messages=USER), provider=name)
                error = provider.error(call, record["status"], Headers(), record["response_body"].encode())
                assert isinstance(error, LlmError)
                assert error.message

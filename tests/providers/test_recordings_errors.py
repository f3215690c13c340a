"""Every recorded refusal is told by its fact: the class is what a reader of the answer would say.

What is expected is worked out here from the status and the words alone, without liter's tables.
"""

import gzip
import json
import re
from collections.abc import Iterator

import pytest

from liter._errors import (
    AuthenticationError,
    BadRequestError,
    ContentPolicyError,
    ContextWindowExceededError,
    LlmError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    ServiceUnavailableError,
)
from liter._http import Headers
from liter.providers import OpenAI, Provider, known_providers
from liter.types import ChatCompletionRequest

from .conftest import RECORDINGS, Record

# Recordings have names of their own for some.
NAMES = {"alibaba": "dashscope", "bfl": "black-forest-labs", "local": "vllm"}

# What a reader would say otherwise, and why liter does not.
EXCEPTIONS = {
    ("ollama", 500): "a model that is not there is told as a fault of the server's",
    ("cloudflare", 403): "a mode that is not supported is told with the status of a lack of permission, and no code",
}

LENGTH = re.compile(
    r"maximum context length|total length of all messages is too long|prompt is too long|exceeds the available context"
    r"|reduce the length of the messages|input tokens exceed|context_length_exceeded|too many tokens"
    r"|tokens\) is too large to process|prompt too long; exceeded max context length"
)
POLICY = re.compile(r"content violates|content management policy|safety system|flagged|requires moderation")
KEY = re.compile(r"(?:incorrect|invalid|wrong|not valid).{0,12}api[ -]?key|api key not valid|invalid x-api-key")
MODEL = re.compile(
    r"""model\W.{0,120}(?:does not exist|not found|not supported with the responses|decommissioned|deprecated)"""
    r"""|(?:not a valid|invalid) model(?: id|:| ')|model identifier is invalid"""
    r"""|supported (?:api )?model(?: name)?s are"""
    r"""|requested model '""",
    re.DOTALL,
)


def expected(status: int, body: str) -> type[LlmError]:
    """What a reader of the answer would say."""
    text = body.lower()
    if status in (400, 413, 422, 500) and LENGTH.search(text):
        return ContextWindowExceededError
    if status in (400, 403) and POLICY.search(text):
        return ContentPolicyError
    if status in (401, 403) or (status == 400 and KEY.search(text)):
        return AuthenticationError
    if status in (404, 410) or (status == 400 and MODEL.search(text)):
        return NotFoundError
    if status in (402, 429):
        return RateLimitedError
    if status == 503:
        return ServiceUnavailableError
    return ServerError if status >= 500 else BadRequestError


def codec_of(name: str) -> Provider:
    """The codec of a provider, as the recordings name it."""
    known = known_providers()
    name = NAMES.get(name, name)
    return known[name] if name in known else OpenAI(name=name)


def refusals() -> Iterator[Record]:
    """All recorded answers that are no success."""
    for path in sorted(RECORDINGS.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                # Most are successes, and large: they are not even parsed.
                if re.search(r'"status": ?[45]\d\d', line):
                    record = json.loads(line)
                    if record["status"] >= 400:
                        yield record


@pytest.fixture(scope="module")
def recorded() -> list[Record]:
    if not RECORDINGS.is_dir():
        pytest.skip(f"no recorded traffic at {RECORDINGS}")
    return list(refusals())


def error_of(record: Record, call_of) -> LlmError:
    provider = codec_of(record["provider"])
    call = call_of(ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "Hi"}]), provider="p")
    headers = Headers((name.encode(), str(value).encode()) for name, value in record["response_headers"].items())
    return provider.error(call, record["status"], headers, (record["response_body"] or "").encode())


def test_every_refusal_has_the_class_of_its_fact(recorded, call_of):
    """Whoever said it, in whatever form."""
    assert len(recorded) > 250
    wrong = []
    for record in recorded:
        error = error_of(record, call_of)
        told = expected(record["status"], record["response_body"] or "")
        if type(error) is not told and (record["provider"], record["status"]) not in EXCEPTIONS:
            wrong.append((record["id"], record["provider"], record["status"], type(error).__name__, told.__name__))
    assert not wrong


def test_every_refusal_tells_what_was_said(recorded, call_of):
    """A message for people out of every form, the status, and the id of the request where one was sent."""
    for record in recorded:
        error = error_of(record, call_of)
        assert error.status == record["status"]
        body = record["response_body"] or ""
        assert error.message
        assert not error.message.startswith(("{", "["))
        if not body.lstrip().startswith(("<", "{", "[", '"')) or len(body) < 20:
            continue
        # Words of the message are words of the body.
        words = re.findall(r"[A-Za-z]{4,}", error.message.partition(" (parameter ")[0])[:3]
        bare = error.message.startswith("HTTP status")
        assert bare or all(word in body for word in words), (record["provider"], error.message, body[:300])
        if "x-request-id" in record["response_headers"]:
            assert error.request_id


def test_waits_are_those_that_were_asked_for(recorded, call_of):
    """``retry-after`` in seconds is what it says."""
    for record in recorded:
        told = record["response_headers"].get("retry-after", "")
        if re.fullmatch(r"\d+", told):
            assert error_of(record, call_of).retry_after == float(told)

"""Damaged traffic: every decoder answers it with events or an ``LlmError``, and with nothing else."""

import base64
import random
from collections.abc import Iterator
from itertools import islice

import pytest

from liter._errors import LlmError
from liter._http import Headers
from liter.providers import Anthropic, Bedrock, Cohere, Gemini, Mistral, OpenAI, Provider
from liter.transport import framer
from liter.types import ChatCompletionRequest

FILES = (
    (
        OpenAI(),
        "chat",
        ("openai", "openrouter", "groq", "deepseek", "xai", "perplexity", "zai", "llamacpp", "huggingface"),
    ),
    (Mistral(), "chat", ("mistral",)),
    (Cohere(), "chat", ("cohere",)),
    (Anthropic(), "messages", ("anthropic",)),
    (Gemini(), "generate_content", ("gemini", "vertex")),
    (Bedrock(), "converse", ("bedrock",)),
)
CASES = [(provider, operation, name) for provider, operation, names in FILES for name in names]
# Other values in the place of those there are.
OLD = (b'":"', b"null", b"true", b"[]", b"{}", b"0", b'"content"', b'"type"', b'"parts"', b'"text"', b'"delta"')
NEW = (b'":0,"x":"', b"[null]", b'{"a":[1]}', b"-1e999", b'"\\ud800"', b"[[[]]]", b"null", b"9" * 400)
RECORDS = 40
DAMAGES = 12


def body_of(record) -> bytes:
    body = record["response_body"] or ""
    return base64.b64decode(body) if record["response_body_encoding"] == "base64" else body.encode()


def damaged(body: bytes, chance: random.Random) -> Iterator[bytes]:
    """Cut off, with bytes changed, with a part doubled or left out, with a value of another kind."""
    for _ in range(DAMAGES):
        at = chance.randrange(len(body) + 1)
        to = min(len(body), at + chance.randrange(1, 40))
        match chance.randrange(6):
            case 0:
                yield body[:at]
            case 1:
                yield body[:at] + chance.randbytes(to - at) + body[to:]
            case 2:
                yield body[:to] + body[at:]
            case 3:
                yield body[:at] + body[to:]
            case 4:
                yield body.replace(chance.choice(OLD), chance.choice(NEW), chance.randrange(1, 4))
            case _:
                yield body[:at] + b"[" * 5000 + body[at:]


def read(provider: Provider, call, body: bytes) -> None:
    """As the exchange does, a whole reply or a stream."""
    if not call.stream:
        provider.decode(call, body, Headers())
        return
    decoder = provider.open_stream(call)
    frames = framer(decoder.framing, 1 << 20)
    given = frames.feed(body)
    for frame in given:
        if decoder.done:
            return
        for event in decoder.feed(frame):
            decoder.opening(event)
    if not decoder.done:
        for frame in frames.end():
            decoder.feed(frame)
        decoder.end()


@pytest.mark.parametrize(("provider", "operation", "name"), CASES, ids=[case[2] for case in CASES])
def test_damaged_traffic_is_an_error_and_no_exception(provider, operation, name, recordings, call_of):
    """Whatever byte is wrong, of a whole reply or of a stream."""
    chance = random.Random(name)
    records = [record for record in recordings(name, operation) if record["status"] == 200 and record["response_body"]]
    chance.shuffle(records)
    request = ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "Hi"}])
    tried = refused = 0
    for record in islice(records, RECORDS):
        call = call_of(request, stream=record["streaming"], provider=provider.name)
        for body in damaged(body_of(record), chance):
            tried += 1
            try:
                read(provider, call, body)
            except LlmError:
                refused += 1
            except Exception as error:  # noqa: BLE001 # whatever it is, is what is looked for
                pytest.fail(f"{error!r} for {record['id']}: {body[:3000]!r}")
    assert tried >= 100
    assert 0 < refused < tried

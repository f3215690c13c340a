"""Every recorded exchange with Bedrock decodes without loss, and its request is made again."""

import base64
import json
import random
from collections import Counter
from urllib.parse import unquote

import pytest

from liter._errors import AuthenticationError, BadRequestError, LlmError, NotFoundError, StreamingError
from liter._http import EventMessage, Headers
from liter.providers import Bedrock
from liter.transport import EventStreamDecoder
from liter.transport._eventstream import encode_message
from liter.types import ChatCompletionRequest, ListModelsRequest, accumulate

from . import _messages
from ._converse import messages_of, plain, read, request_of, said, whole_of
from ._replay import decode_stream, mutated, survive

ASKED = ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "x"}])

CLASSES = {
    "ValidationException": BadRequestError,
    "ResourceNotFoundException": NotFoundError,
    "ExpiredTokenException": AuthenticationError,
    "UnrecognizedClientException": AuthenticationError,
    "InvalidSignatureException": AuthenticationError,
}


@pytest.fixture
def call(call_of):
    """A call of Converse."""
    return call_of(ASKED, provider="bedrock")


def streamed(call, body: bytes, cuts: random.Random):
    """Decode one stream, cut anywhere."""
    framer, decoder = EventStreamDecoder(), Bedrock().open_stream(call)
    chunks = []
    while body:
        size = cuts.randint(1, 700)
        chunks += [chunk for message in framer.feed(body[:size]) for chunk in decoder.feed(message)]
        body = body[size:]
    framer.end()
    chunks += decoder.end()
    reply = accumulate(chunks)
    assert decoder.done
    assert decoder.usage == reply.usage
    assert [chunk.choices[0].delta.role for chunk in chunks if chunk.choices].count("assistant") == 1
    return reply


def test_every_recorded_reply_decodes_without_loss(recordings, call):
    """Text, calls, signed thoughts, citations, native blocks, usage and facts are what a plain reading finds."""
    wrong, count, cuts = {}, 0, random.Random(5)
    for record in recordings("bedrock", "converse"):
        if record["status"] != 200:
            continue
        count += 1
        if record["streaming"]:
            body = base64.b64decode(record["response_body"])
            if any(kind != "event" for kind, _, _ in messages_of(body)):
                with pytest.raises(LlmError):
                    streamed(call, body, cuts)
                continue
            raw, reply = said(whole_of(body)), streamed(call, body, cuts)
        else:
            body = record["response_body"].encode()
            headers = Headers([(b"x-amzn-requestid", b"the-id")])
            raw, reply = said(json.loads(body)), Bedrock().decode(call, body, headers)
            assert reply.id == "the-id"
        assert reply.model == "m"
        typed = read(reply)
        if raw != typed:
            wrong[record["id"]] = {name: (raw[name], typed[name]) for name in raw if raw[name] != typed[name]}
    assert not wrong
    assert count > 200


def test_every_recorded_error_is_classified(recordings, call):
    """By the name in a header where there is one, and by its words where there is none."""
    found = Counter()
    for record in recordings("bedrock", "converse", "invoke", "count_tokens", "embeddings"):
        if record["status"] == 200:
            continue
        headers = Headers([(name.encode(), value.encode()) for name, value in record["response_headers"].items()])
        body = record["response_body"].encode()
        error = Bedrock().error(call, record["status"], headers, body)
        name = headers.get("x-amzn-errortype", "").partition(":")[0]
        found[type(error).__name__] += 1
        told = json.loads(body)
        assert error.message == (told.get("message") or told.get("Message"))[:1000].strip(), record["id"]
        assert error.status == record["status"]
        assert error.request_id == headers.get("x-amzn-requestid")
        if name:
            assert error.code == name
        if "model identifier is invalid" in error.message:
            assert type(error) is NotFoundError
        elif name in CLASSES:
            assert type(error) is CLASSES[name], record["id"]
    assert found.total() > 10


def test_every_recorded_request_is_made_again(recordings, call_of):
    """Read back into liter's form, a request is encoded to a body that says the same, for the same path.

    Those that cannot be right anywhere are refused before they are sent.
    """
    provider, wrong, refused, count = Bedrock(), {}, [], 0
    for record in recordings("bedrock", "converse"):
        body = record["request_body"]
        if record["request_body_encoding"] != "json":
            # Not kept whole by its recorder.
            continue
        count += 1
        try:
            request = ChatCompletionRequest(**request_of(record["path"], body))
            stream = record["path"].endswith("-stream")
            made = provider.encode(call_of(request, provider="bedrock", stream=stream, base_url="https://b.example"))
        except (ValueError, BadRequestError) as error:
            refused.append((record["id"], str(error)))
            continue
        if plain(json.loads(made.body)) != plain(body):
            wrong[record["id"]] = (plain(json.loads(made.body)), plain(body))
        assert made.path == record["path"].replace(":", "%3A")
    assert len(wrong) + len(refused) <= count * 0.01, (wrong, refused)
    assert count > 200


def test_every_recorded_reply_goes_back(recordings, call, call_of):
    """Signed thoughts, calls, and all blocks of tools that Bedrock runs are sent back unchanged and in order."""
    user = {"role": "user", "content": "x"}
    count = 0
    for record in recordings("bedrock", "converse"):
        if record["status"] != 200 or record["streaming"]:
            continue
        told = json.loads(record["response_body"])["output"]["message"]["content"]
        message = Bedrock().decode(call, record["response_body"].encode()).choices[0].message
        for block in told:
            # Who ran a tool is the default.
            if message.native_content is None and "toolUse" in block:
                block["toolUse"].pop("type", None)
        # Reasoning that is not signed is not taken back by those who write it.
        told = [
            block
            for block in told
            if ("reasoningContent" not in block or message.native_content or message.thinking_blocks)
            and block not in ({"reasoningContent": {}}, {"text": ""})
        ]
        if not told:
            continue
        again = ChatCompletionRequest(model="m", messages=[user, message, user])
        sent = json.loads(Bedrock().encode(call_of(again, provider="bedrock")).body)["messages"][1]["content"]
        count += 1
        if message.native_content is None:
            words = "".join(block.get("text", "") for block in told)
            assert words == "".join(block.get("text", "") for block in sent)
            told, sent = ([block for block in blocks if "text" not in block] for blocks in (told, sent))
        assert sent == told, record["id"]
    assert count > 100


def claude(recordings):
    """What was said to Claude in Anthropic's own form."""
    for record in recordings("bedrock", "invoke"):
        if "messages" in (record["request_body"] or {}) and "anthropic." in record["path"]:
            yield record


def invoked(call_of, record, request):
    """A call of InvokeModel."""
    model = unquote(record["path"].split("/")[2])
    return call_of(
        request,
        provider="bedrock",
        stream=record["path"].endswith("-stream"),
        model=f"invoke/{model}",
        base_url="https://b.example",
    ), model


def test_every_recorded_reply_of_claude_decodes_without_loss(recordings, call_of):
    """InvokeModel's replies, whole and streamed at random cuts, are Anthropic's, under Bedrock's name of the model."""
    wrong, count, cuts = {}, 0, random.Random(5)
    for record in claude(recordings):
        if record["status"] != 200:
            continue
        count += 1
        call, model = invoked(call_of, record, ASKED)
        if record["streaming"]:
            body = base64.b64decode(record["response_body"])
            payloads = [payload["bytes"] for _, _, payload in messages_of(body)]
            raw = _messages.said(_messages.raw_blocks([json.loads(base64.b64decode(one)) for one in payloads]))
            reply = streamed(call, body, cuts)
        else:
            raw = _messages.said(json.loads(record["response_body"]))
            reply = Bedrock().decode(call, record["response_body"].encode())
        raw["model"] = model
        typed = _messages.read(reply)
        if raw != typed:
            wrong[record["id"]] = {name: (raw[name], typed[name]) for name in raw if raw[name] != typed[name]}
    assert not wrong
    assert count > 40


def test_every_recorded_request_to_claude_is_made_again(recordings, call_of):
    """In Anthropic's own form, without model and stream."""
    count = 0
    for record in claude(recordings):
        count += 1
        request = ChatCompletionRequest(**_messages.request_of(record["request_body"], "bedrock/invoke"))
        call, _ = invoked(call_of, record, request)
        made = Bedrock().encode(call)
        assert _messages.plain(json.loads(made.body)) == _messages.plain(record["request_body"])
        assert made.path == record["path"].replace(":", "%3A")
    assert count > 40


def test_the_recorded_list_of_models_decodes(recordings, call_of):
    """Ids, owners and names of all models are read."""
    for record in recordings("bedrock", "models"):
        call = call_of(ListModelsRequest(), operation="list_models", provider="bedrock")
        models = Bedrock().decode(call, record["response_body"].encode()).data
        told = json.loads(record["response_body"])["modelSummaries"]
        assert [model.id for model in models] == [one["modelId"] for one in told]
        assert all(model.owned_by and model.display_name for model in models)


def test_damaged_recordings_raise_only_errors_of_ours(recordings, call, call_of):
    """Whatever becomes of a reply, of a stream's bytes, or of what its messages say, only an LlmError comes out."""
    chance = random.Random(18)
    for record in [*recordings("bedrock", "converse"), *claude(recordings)]:
        if record["operation"] == "invoke":
            call, _ = invoked(call_of, record, ASKED)
        if not record["streaming"]:
            survive(Bedrock(), call, record, chance)
            continue
        body = base64.b64decode(record["response_body"])
        damaged = bytearray(body)
        damaged[chance.randrange(len(body))] ^= chance.randrange(1, 256)
        with pytest.raises(StreamingError):
            streamed(call, bytes(damaged), chance)
        messages = EventStreamDecoder().feed(body)
        for index in chance.sample(range(len(messages)), min(len(messages), 3)):
            payload = json.dumps(mutated(json.loads(messages[index].payload), chance)).encode("utf-8", "replace")
            messages[index] = EventMessage(messages[index].headers, payload)
        try:
            decode_stream(Bedrock().open_stream(call), b"".join(map(encode_message, messages)), chance)
        except LlmError:
            pass

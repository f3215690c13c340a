"""Every recorded exchange of Anthropic's Messages API decodes without loss."""

import json
import random
from collections.abc import Iterable

import pytest

from liter._errors import AuthenticationError, BadRequestError, LlmError, NotFoundError, StreamingError
from liter._http import Headers, ServerSentEvent
from liter.providers import Anthropic, StreamDecoder
from liter.types import (
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatCompletionResponse,
    CountTokensRequest,
    ListModelsRequest,
    accumulate,
)

from ._messages import one_by_one, plain, raw_blocks, read, request_of, said
from ._replay import survive

ASKED = ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "x"}])

# Two replies in one stream, the first of them cut: made by hand for a test of its repository.
SPLICED = "e0747f4b4077bef35bdc"

CLASSES = {
    "invalid_request_error": BadRequestError,
    "authentication_error": AuthenticationError,
    "not_found_error": NotFoundError,
}


def decode_stream(
    decoder: StreamDecoder[ChatCompletionChunk], events: Iterable[ServerSentEvent]
) -> ChatCompletionResponse:
    """Decode one stream whole."""
    chunks = [chunk for event in events for chunk in decoder.feed(event)]
    chunks += decoder.end()
    reply = accumulate(chunks)
    assert decoder.usage == reply.usage
    assert [chunk.choices[0].delta.role for chunk in chunks if chunk.choices].count("assistant") == 1
    return reply


def test_every_recorded_message_decodes_without_loss(recordings, events_of, call_of):
    """Text, calls, signed thoughts, citations, native blocks, usage and errors are what a plain reading finds."""
    provider = Anthropic()
    wrong, count = {}, 0
    for record in recordings("anthropic", "messages"):
        count += 1
        body = (record["response_body"] or "").encode()
        call = call_of(ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "x"}]))
        if record["status"] >= 400:
            told = json.loads(body)
            error = provider.error(call, record["status"], Headers(), body)
            assert type(error) is CLASSES.get(told["error"]["type"], type(error)), record["id"]
            assert (error.message, error.code) == (told["error"]["message"][:1000].strip(), told["error"]["type"])
            assert error.request_id == told.get("request_id")
            continue
        if record["streaming"]:
            if record["id"] == SPLICED:
                with pytest.raises(StreamingError, match="began anew"):
                    decode_stream(provider.open_stream(call), events_of(body.decode()))
                continue
            pairs = [
                (
                    said(raw_blocks([json.loads(event.data) for event in events])),
                    decode_stream(provider.open_stream(call), events),
                )
                for events in one_by_one(events_of(body.decode()))
            ]
        else:
            pairs = [(said(json.loads(body)), provider.decode(call, body))]
        for raw, reply in pairs:
            typed = read(reply)
            if raw != typed:
                wrong[record["id"]] = {name: (raw[name], typed[name]) for name in raw if raw[name] != typed[name]}
    assert not wrong
    assert count > 1000


def test_every_recorded_reply_goes_back_as_it_came(recordings, call_of):
    """Thoughts, calls and all blocks of the provider's own tools are sent back unchanged and in order."""
    provider = Anthropic()
    user = {"role": "user", "content": "x"}
    for record in recordings("anthropic", "messages"):
        if record["status"] != 200 or record["streaming"]:
            continue
        told = json.loads(record["response_body"])["content"]
        reply = provider.decode(
            call_of(ChatCompletionRequest(model="m", messages=[user])), record["response_body"].encode()
        )
        message = reply.choices[0].message
        if not told:
            continue
        again = ChatCompletionRequest(model="m", messages=[user, message, user])
        sent = json.loads(provider.encode(call_of(again)).body)["messages"][1]["content"]
        blocks = [{"type": "text", "text": sent}] if isinstance(sent, str) else sent
        if message.native_content is not None:
            assert blocks == told, record["id"]
            continue
        # Text is joined, and who called a tool is the default.
        for block in told:
            block.pop("caller", None)
        assert [block for block in blocks if block["type"] != "text"] == [
            block for block in told if block["type"] != "text"
        ]
        assert "".join(block.get("text", "") for block in blocks) == "".join(block.get("text", "") for block in told)


def test_every_recorded_list_of_models_decodes(recordings, call_of):
    """Ids, names and limits of all models are read."""
    for record in recordings("anthropic", "models"):
        call = call_of(ListModelsRequest(), operation="list_models")
        body = record["response_body"].encode()
        if record["status"] != 200:
            assert isinstance(Anthropic().error(call, record["status"], Headers(), body), LlmError)
        elif record["path"] == "/v1/models":
            models = Anthropic().decode(call, body).data
            told = json.loads(body)["data"]
            assert [model.id for model in models] == [one["id"] for one in told]
            assert [model.context_window for model in models] == [one.get("max_input_tokens") for one in told]
            assert all(model.created and model.display_name for model in models)


def test_every_recorded_request_is_made_again(recordings, call_of):
    """Read back into liter's form, a request is encoded to a body that says the same.

    Those that cannot be right anywhere (a temperature below zero, no prompt) are refused before they are sent.
    """
    wrong, refused, count = {}, [], 0
    for record in recordings("anthropic", "messages"):
        body = record["request_body"]
        if record["request_body_encoding"] != "json":
            continue
        count += 1
        try:
            request = ChatCompletionRequest(**request_of(body))
            call = call_of(request, provider="anthropic", stream=body.get("stream") or False)
            made = json.loads(Anthropic().encode(call).body)
        except (ValueError, BadRequestError) as error:
            refused.append((record["id"], str(error)))
            continue
        if plain(made) != plain(body):
            wrong[record["id"]] = (plain(made), plain(body))
    assert len(wrong) + len(refused) <= count * 0.01, (wrong, refused)
    assert count > 900


def test_every_recorded_count_of_tokens(recordings, call_of):
    """The number is read, and the request says the same when it is made again."""
    count = 0
    for record in recordings("anthropic", "count_tokens"):
        told, body = record["response_body"].encode(), record["request_body"]
        read = request_of(body)
        system = {"system": body["system"]} if "system" in body else {}
        messages = [message for message in read["messages"] if message["role"] != "system" or not system]
        kept = {name: body[name] for name in ("thinking", "tool_choice") if name in body}
        request = CountTokensRequest(
            model=read["model"], messages=messages, tools=read.get("tools"), extra_body={**kept, **system}
        )
        call = call_of(request, provider="anthropic", operation="count_tokens", base_url=Anthropic().base_url)
        made = Anthropic().encode(call)
        assert made.path == "/messages/count_tokens"
        assert plain(json.loads(made.body)) == plain(body), record["id"]
        if record["status"] == 200:
            count += 1
            assert Anthropic().decode(call, told).input_tokens == json.loads(told)["input_tokens"]
        else:
            assert isinstance(Anthropic().error(call, record["status"], Headers(), told), NotFoundError)
    assert count > 5


def test_damaged_recordings_raise_only_errors_of_ours(recordings, call_of):
    """Whatever becomes of a reply's bytes, or of what they say, only an LlmError comes out."""
    chance = random.Random(11)
    for record in recordings("anthropic", "messages"):
        survive(Anthropic(), call_of(ASKED, provider="anthropic"), record, chance)

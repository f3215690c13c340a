"""Every recorded exchange of Azure's decodes without loss, and its requests can be made of ours."""

import json
import random
from collections.abc import Mapping
from urllib.parse import parse_qs

import pytest

from liter._errors import ContentPolicyError, LlmError
from liter._http import Headers
from liter.providers import Azure, known_providers
from liter.types import ChatCompletionRequest

from ._replay import decode_stream, differences, replay, survive
from .test_recordings_openai import difference, raw_reply, raw_stream, typed_reply, typed_usage, usage_of

# By id, with the reason.
REQUEST_EXCEPTIONS: Mapping[str, str] = {}


def provider_of(record):
    """The codec of a recorded exchange."""
    return known_providers()["azure-ai" if record["path"].startswith("/models") else "azure"]


def call_for(record, request, call_of, stream=False):
    """A call that goes where the recorded one went, as its address and the settings say."""
    path = record["path"].replace("//", "/").removesuffix("/chat/completions")
    version = parse_qs(record["query"] or "").get("api-version")
    return call_of(
        request,
        provider=provider_of(record).name,
        base_url=f"https://{record['host']}{path}",
        settings={} if version is None else {"api_version": version[0]},
        stream=stream,
    )


def filters_of(bodies):
    """What raw bodies tell of filters: the categories of each choice, and the prompt's results."""
    prompt, categories = None, {}
    for body in bodies:
        prompt = body.get("prompt_filter_results") or prompt
        for choice in body.get("choices") or ():
            for field in ("content_filter_results", "content_filter_result"):
                for category, result in (choice.get(field) or {}).items():
                    known = categories.setdefault(str(choice["index"]), {})
                    known[category] = max(known.get(category, False), bool(result.get("filtered")))
    return {"prompt": prompt, "categories": categories}


def typed_filters(native):
    """What a typed reply tells of filters."""
    told = (native or {}).get("content_filter_results") or {}
    return {
        "prompt": (native or {}).get("prompt_filter_results"),
        "categories": {
            index: {category: bool(result.get("filtered")) for category, result in results.items()}
            for index, results in told.items()
        },
    }


def test_every_recorded_chat_decodes_without_loss(recordings, events_of, call_of):
    """Text, calls, thoughts, finish reasons, usage, errors and the results of filters."""
    rng = random.Random(1)

    def check(record):
        provider, body = provider_of(record), record["response_body"] or ""
        request = ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "x"}])
        call = call_for(record, request, call_of)
        if record["status"] >= 400:
            error = provider.error(call, record["status"], Headers(), body.encode())
            return None if json.loads(body)["error"]["message"] == error.message else repr(error)
        if record["streaming"]:
            raws = [json.loads(event.data) for event in events_of(body) if event.data.strip() != b"[DONE]"]
            reply, _ = decode_stream(provider.open_stream(call), body.encode(), rng)
            raw, usages = raw_stream(raws), [usage for one in raws if (usage := usage_of(one))]
        else:
            raws = [json.loads(body)]
            if "error" in raws[0]:
                # The prompt was filtered, under a status of success.
                with pytest.raises(ContentPolicyError, match=r"(?i)content management policy"):
                    provider.decode(call, body.encode(), Headers())
                return None
            reply = provider.decode(call, body.encode(), Headers())
            raw, usages = raw_reply(raws[0]), [usage_of(raws[0])]
        if wrong := difference(raw, typed_reply(reply)):
            return wrong
        if typed_usage(reply) != (usages[-1] if usages else None):
            return f"usage: {usages} != {typed_usage(reply)}"
        return differences(filters_of(raws), typed_filters(reply.native))

    count, wrong = replay(recordings("azure", "chat"), check, {})
    assert not wrong
    assert count > 150


def meaning(body: Mapping[str, object], *, in_path: bool) -> dict[str, object]:
    """A body without what makes no difference: the model, where the path has it."""
    left_out = ("model",) if in_path else ()
    meant = {name: value for name, value in body.items() if name not in left_out and value not in (None, False)}
    meant["messages"] = [
        {
            name: value
            for name, value in message.items()
            if value is not None and (message["role"] != "assistant" or name not in ("annotations", "refusal"))
        }
        for message in body["messages"]
    ]
    if not body.get("stream_options"):
        meant.pop("stream_options", None)
    return meant


def test_every_recorded_request_can_be_made(recordings, call_of):
    """It goes to the same address, with a body that means the same."""

    def check(record):
        told = record["request_body"]
        fields = {name: value for name, value in told.items() if name != "stream"}
        deployment = record["path"].partition("/deployments/")[2].partition("/")[0]
        request = ChatCompletionRequest(**{**fields, "model": deployment or told.get("model", "m")})
        call = call_for(record, request, call_of, stream=bool(told.get("stream")))
        sent = provider_of(record).encode(call)
        body = json.loads(sent.body)
        if "stream_options" not in told:
            body.pop("stream_options", None)
        query = f"?{record['query']}" if record["query"] else ""
        wrong = differences(meaning(told, in_path=bool(deployment)), meaning(body, in_path=bool(deployment)))
        # Some recorders have dropped the version.
        if query and sent.target.decode() != record["path"].replace("//", "/") + query:
            wrong["target"] = sent.target
        return wrong

    requests = (record for record in recordings("azure", "chat") if isinstance(record["request_body"], dict))
    requests = (record for record in requests if record["path"] != "/chat/completions")
    count, wrong = replay(requests, check, REQUEST_EXCEPTIONS)
    assert not wrong
    assert count > 150


def test_anthropics_messages_on_foundry(recordings, call_of):
    """Are Anthropic's, text and tokens and all."""
    provider, rng, count = known_providers()["azure-anthropic"], random.Random(1), 0
    request = ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "x"}])
    call = call_of(request, provider=provider.name, base_url="https://r.services.ai.azure.com/anthropic/v1")
    sent = provider.encode(call)
    for record in recordings("azure", "messages"):
        assert sent.target.decode() == record["path"]
        body = record["response_body"]
        if record["streaming"]:
            reply, _ = decode_stream(provider.open_stream(call), body.encode(), rng)
            assert reply.choices[0].finish_reason == "stop"
        else:
            told = json.loads(body)
            reply = provider.decode(call, body.encode(), Headers())
            texts = [block["text"] for block in told["content"] if block["type"] == "text"]
            assert reply.text == "".join(texts)
            assert reply.usage.completion_tokens == told["usage"]["output_tokens"]
        count += 1
    assert count == 20


def test_damaged_exchanges_end_in_errors_of_ours(recordings, call_of):
    """Whatever is changed in a recorded answer, it decodes or fails with an LlmError."""
    rng = random.Random(2)
    request = ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "x"}])
    for record in recordings("azure", "chat"):
        survive(provider_of(record), call_for(record, request, call_of), record, rng)


def test_every_error_is_of_ours(call_of):
    """Bytes that are no JSON at all, too."""
    request = ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "x"}])
    call = call_of(request, provider="azure", base_url="https://r.openai.azure.com")
    assert isinstance(Azure().error(call, 502, Headers(), b"\xff\xfe"), LlmError)

"""Every recorded exchange of Cohere's second version decodes without loss, and its requests can be made of ours."""

import base64
import json
import random
from collections.abc import Iterable, Mapping

import pytest

from liter._errors import LlmError
from liter._http import Headers
from liter.providers import known_providers
from liter.types import ChatCompletionRequest, ChatCompletionResponse, ListModelsRequest

from ._replay import decode_stream, differences, replay, survive

PROVIDER = known_providers()["cohere"]
# By id, with the reason.
EXCEPTIONS: Mapping[str, str] = {
    "07f0776f1f6ba13b63a3": "its thoughts stand in its text, and its citation counts from behind them",
}
FINISH = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls"}


def chats(recordings):
    """Recorded chats of the second version; the first is no longer offered to new models, and has another form."""
    return (record for record in recordings("cohere", "chat") if record["path"] == "/v2/chat")


def plain_call(call_of, model="m"):
    """A call whose reply is decoded."""
    request = ChatCompletionRequest(model=model, messages=[{"role": "user", "content": "x"}])
    return call_of(request, provider="cohere")


def joined(events: Iterable[Mapping[str, object]]) -> dict[str, object]:
    """Put a raw stream together into the reply that it streams."""
    reply: dict[str, object] = {"message": {"content": [], "tool_calls": [], "citations": [], "tool_plan": ""}}
    message = reply["message"]
    for event in events:
        told = (event.get("delta") or {}).get("message") or {}
        match event["type"]:
            case "message-start":
                reply["id"] = event["id"]
            case "content-start":
                message["content"].append(told["content"])
            case "content-delta":
                for name, text in told["content"].items():
                    message["content"][-1][name] += text
            case "tool-plan-delta":
                message["tool_plan"] += told["tool_plan"]
            case "tool-call-start":
                message["tool_calls"].append(told["tool_calls"])
            case "tool-call-delta":
                message["tool_calls"][-1]["function"]["arguments"] += told["tool_calls"]["function"]["arguments"]
            case "citation-start":
                message["citations"].append(told["citations"])
            case "message-end":
                reply.update(event["delta"])
        if event.get("logprobs"):
            reply["logprobs"] = [*reply.get("logprobs", ()), event["logprobs"]]
    return reply


def said(reply: Mapping[str, object]) -> dict[str, object]:
    """What a raw reply says."""
    message = reply["message"]
    content = message.get("content") or []
    usage = reply.get("usage") or {}
    tokens, billed = usage.get("tokens"), usage.get("billed_units")
    return {
        "id": reply["id"],
        "text": "".join(block["text"] for block in content if block["type"] == "text"),
        "reasoning": "".join(block["thinking"] for block in content if block["type"] == "thinking"),
        "plan": message.get("tool_plan") or "",
        "calls": [
            (call["id"], call["function"]["name"], call["function"]["arguments"])
            for call in message.get("tool_calls") or ()
        ],
        "sources": [
            (citation["text"], source["id"])
            for citation in message.get("citations") or ()
            for source in citation["sources"]
        ],
        "finish": (FINISH[reply["finish_reason"]], reply["finish_reason"]),
        "prompt": tokens and tokens["input_tokens"] + tokens.get("image_tokens", 0),
        "completion": tokens and tokens["output_tokens"],
        "thinking": tokens and tokens.get("reasoning_tokens"),
        "cached": usage.get("cached_tokens"),
        "billed": billed or None,
        "logprobs": [one["text"] for one in reply.get("logprobs") or ()],
    }


def read(reply: ChatCompletionResponse) -> dict[str, object]:
    """What a typed reply says."""
    [choice] = reply.choices
    message, usage = choice.message, reply.usage
    prompt = usage and usage.prompt_tokens_details
    return {
        "id": reply.id,
        "text": message.text,
        "reasoning": message.reasoning_content or "",
        "plan": message.tool_plan or "",
        "calls": [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()],
        "sources": [
            (
                message.text[note.document_citation.start_index : note.document_citation.end_index],
                note.document_citation.id,
            )
            for note in message.annotations or ()
        ],
        "finish": (choice.finish_reason, choice.native_finish_reason),
        "prompt": usage and usage.prompt_tokens,
        "completion": usage and usage.completion_tokens,
        "thinking": usage and usage.completion_tokens_details and usage.completion_tokens_details.reasoning_tokens,
        "cached": prompt and prompt.cached_tokens,
        "billed": usage and usage.billed_units,
        "logprobs": [one.token for one in (choice.logprobs and choice.logprobs.content) or ()],
    }


def test_every_recorded_chat_decodes_without_loss(recordings, events_of, call_of):
    """Text, thoughts, plans, calls, citations, finish reasons, usage and errors are what a plain reading finds."""
    rng = random.Random(1)

    def check(record):
        body = record["response_body"]
        call = plain_call(call_of)
        if record["status"] >= 400:
            error = PROVIDER.error(call, record["status"], Headers(), body.encode())
            return None if error.message == json.loads(body)["message"] else repr(error)
        if not record["streaming"]:
            return differences(said(json.loads(body)), read(PROVIDER.decode(call, body.encode(), Headers())))
        raw = joined(json.loads(event.data) for event in events_of(body) if event.data != b"[DONE]")
        if raw.get("error"):
            with pytest.raises(LlmError) as caught:
                decode_stream(PROVIDER.open_stream(call), body.encode(), rng)
            return None if caught.value.message == raw["error"] else repr(caught.value)
        decoder = PROVIDER.open_stream(call)
        reply, chunks = decode_stream(decoder, body.encode(), rng)
        assert decoder.usage == reply.usage
        assert [chunk.choices[0].delta.role for chunk in chunks if chunk.choices].count("assistant") == 1
        return differences(said(raw), read(reply))

    count, wrong = replay(chats(recordings), check, EXCEPTIONS)
    assert not wrong
    assert count > 100


def read_back(body: Mapping[str, object]) -> tuple[ChatCompletionRequest, bool]:
    """Make our request of a recorded body."""
    fields = {name: value for name, value in body.items() if name not in ("messages", "stream")}
    given: dict[str, object] = {"messages": [message_of(message) for message in body["messages"]]}
    for theirs, ours in {"p": "top_p", "stop_sequences": "stop"}.items():
        if theirs in fields:
            given[ours] = fields.pop(theirs)
    if "tool_choice" in fields:
        given["tool_choice"] = fields.pop("tool_choice").lower()
    if "tools" in fields:
        strict = {"strict": True} if fields.pop("strict_tools", False) else {}
        given["tools"] = [
            {"type": "function", "function": {**tool["function"], **strict}} for tool in fields.pop("tools")
        ]
    if fields.get("thinking") == {"type": "enabled"}:
        del fields["thinking"]
        given["reasoning_effort"] = "max"
    if "response_format" in fields:
        told = fields.pop("response_format")
        given["response_format"] = (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": told["json_schema"]}}
            if "json_schema" in told
            else told
        )
    ours = set(ChatCompletionRequest.__struct_fields__)
    given.update({name: value for name, value in fields.items() if name in ours})
    extra = {name: value for name, value in fields.items() if name not in ours}
    return ChatCompletionRequest(**given, extra_body=extra or None), bool(body.get("stream"))


def message_of(message: Mapping[str, object]) -> dict[str, object]:
    """Make our message of a recorded one."""
    made = {name: value for name, value in message.items() if name != "citations" and value not in (None, [])}
    content = message.get("content")
    if isinstance(content, list):
        thoughts = [part["thinking"] for part in content if part["type"] == "thinking"]
        if thoughts:
            made["reasoning_content"] = "".join(thoughts)
        made["content"] = [part_of(part) for part in content if part["type"] != "thinking"]
    if message["role"] == "assistant" and not made.get("content"):
        made["content"] = None
    return made


def part_of(part: Mapping[str, object]) -> dict[str, object]:
    """Make our part of a recorded one."""
    if part["type"] != "document":
        return dict(part)
    data = base64.b64encode(json.dumps(part["document"]["data"]).encode()).decode()
    named = {"title": part["document"]["id"]} if "id" in part["document"] else {}
    return {"type": "document", "media_type": "application/json", "data": data, **named}


def meaning(body: Mapping[str, object]) -> dict[str, object]:
    """A body without what makes no difference."""
    meant = {name: value for name, value in body.items() if value not in (None, [], False)}
    meant["messages"] = [
        {
            name: [{"type": "text", "text": value}] if name == "content" and isinstance(value, str) else value
            for name, value in message.items()
            if value not in (None, [])
        }
        for message in body["messages"]
    ]
    if "tool_choice" in meant:
        meant["tool_choice"] = meant["tool_choice"].upper()
    if "json_schema" in meant.get("response_format", {}):
        meant["response_format"] = {**meant["response_format"], "type": "json_object"}
    return meant


def test_every_recorded_request_can_be_made(recordings, call_of):
    """Read back into our request, it encodes to a body that means the same."""

    def check(record):
        request, stream = read_back(record["request_body"])
        sent = PROVIDER.encode(call_of(request, stream=stream, provider="cohere"))
        assert sent.path == "/chat"
        return differences(meaning(record["request_body"]), meaning(json.loads(sent.body)))

    requests = (record for record in chats(recordings) if isinstance(record["request_body"], dict))
    count, wrong = replay(requests, check, {})
    assert not wrong
    assert count > 100


def test_every_recorded_reply_goes_back_as_it_came(recordings, call_of):
    """Thoughts, plan, calls and citations are sent back, unchanged."""
    user = {"role": "user", "content": "x"}
    for record in chats(recordings):
        if record["status"] != 200 or record["streaming"]:
            continue
        reply = PROVIDER.decode(plain_call(call_of), record["response_body"].encode(), Headers())
        request = ChatCompletionRequest(model="m", messages=[user, reply.choices[0].message, user])
        sent = json.loads(PROVIDER.encode(call_of(request, provider="cohere")).body)
        told = {"messages": [json.loads(record["response_body"])["message"]]}
        assert meaning({"messages": [sent["messages"][1]]}) == meaning(told)


def test_damaged_exchanges_end_in_errors_of_ours(recordings, call_of):
    """Whatever is changed in a recorded answer, it decodes or fails with an LlmError."""
    rng = random.Random(2)
    call = plain_call(call_of)
    records = list(chats(recordings))
    for _ in range(3):
        for record in records:
            survive(PROVIDER, call, record, rng)


def test_every_recorded_list_of_models_decodes(recordings, call_of):
    """Names and context lengths of all models are read."""
    for record in recordings("cohere", "models"):
        told = json.loads(record["response_body"])
        if "models" in told:
            call = call_of(ListModelsRequest(), operation="list_models", provider="cohere")
            models = PROVIDER.decode(call, record["response_body"].encode(), Headers()).data
            assert [model.id for model in models] == [one["name"] for one in told["models"]]
            assert [model.context_window or 0 for model in models] == [one["context_length"] for one in told["models"]]

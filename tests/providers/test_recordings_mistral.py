"""Every recorded exchange of Mistral's chats decodes without loss, and its requests can be made of ours."""

import json
import random
from collections.abc import Iterable, Mapping

from liter._errors import LlmError
from liter._http import Headers
from liter.providers import known_providers
from liter.types import ChatCompletionRequest, ChatCompletionResponse

from ._replay import decode_stream, differences, replay, survive

PROVIDER = known_providers()["mistral"]
# By id, with the reason.
EXCEPTIONS: Mapping[str, str] = {}
REQUEST_EXCEPTIONS: Mapping[str, str] = {}


def plain_call(call_of):
    """A call whose reply is decoded."""
    request = ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "x"}])
    return call_of(request, provider="mistral")


def blocks(content: object) -> list[Mapping[str, object]]:
    """The blocks of a raw content."""
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []


def joined(events: Iterable[Mapping[str, object]]) -> dict[str, object]:
    """Put a raw stream together into the reply that it streams."""
    reply: dict[str, object] = {}
    choices: dict[int, dict[str, object]] = {}
    for event in events:
        reply.update({name: value for name, value in event.items() if name != "choices" and value is not None})
        for choice in event["choices"]:
            one = choices.setdefault(choice["index"], {"message": {"content": [], "tool_calls": []}})
            one["finish_reason"] = choice["finish_reason"]
            one["message"]["content"] += blocks(choice["delta"].get("content"))
            for call in choice["delta"].get("tool_calls") or ():
                # A whole call in each event; only its arguments may go on in further ones.
                if call.get("id") in (None, "null"):
                    one["message"]["tool_calls"][-1]["function"]["arguments"] += call["function"]["arguments"]
                else:
                    one["message"]["tool_calls"].append(call)
    return {**reply, "choices": [choices[index] for index in sorted(choices)]}


def said(reply: Mapping[str, object]) -> dict[str, object]:
    """What a raw reply says."""
    told: dict[str, object] = {"id": reply["id"], "model": reply["model"], "created": reply["created"]}
    for index, choice in enumerate(reply["choices"]):
        content = blocks(choice["message"].get("content"))
        thoughts = [piece["text"] for block in content if block["type"] == "thinking" for piece in block["thinking"]]
        calls = [
            (call["id"], call["function"]["name"], call["function"]["arguments"])
            for call in choice["message"].get("tool_calls") or ()
        ]
        told[f"text {index}"] = "".join(block["text"] for block in content if block["type"] == "text")
        told[f"reasoning {index}"] = "".join(thoughts)
        told[f"calls {index}"] = calls
        told[f"finish {index}"] = (
            "tool_calls" if calls and choice["finish_reason"] == "stop" else choice["finish_reason"]
        )
    usage = reply["usage"]
    details = usage.get("prompt_tokens_details") or {}
    return {
        **told,
        "prompt": usage["prompt_tokens"],
        "completion": usage["completion_tokens"],
        "cached": details.get("cached_tokens", usage.get("num_cached_tokens")),
        "tier": usage.get("service_tier"),
    }


def read(reply: ChatCompletionResponse) -> dict[str, object]:
    """What a typed reply says."""
    told: dict[str, object] = {"id": reply.id, "model": reply.model, "created": reply.created}
    for index, choice in enumerate(reply.choices):
        message = choice.message
        told[f"text {index}"] = message.text
        told[f"reasoning {index}"] = message.reasoning_content or ""
        told[f"calls {index}"] = [
            (call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()
        ]
        told[f"finish {index}"] = choice.finish_reason
        assert message.native_content is None
    usage = reply.usage
    return {
        **told,
        "prompt": usage.prompt_tokens,
        "completion": usage.completion_tokens,
        "cached": usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens,
        "tier": reply.service_tier,
    }


def told_error(body: str) -> str:
    """A piece of what a raw error tells."""
    told = json.loads(body)
    detail = told.get("detail")
    return detail[0]["msg"] if isinstance(detail, list) else detail or told["message"]


def test_every_recorded_chat_decodes_without_loss(recordings, events_of, call_of):
    """Text, thoughts, calls, finish reasons, usage, tiers and errors are what a plain reading finds."""
    rng = random.Random(1)

    def check(record):
        body = record["response_body"] or ""
        call = plain_call(call_of)
        if record["status"] >= 400:
            error = PROVIDER.error(call, record["status"], Headers(), body.encode())
            assert isinstance(error, LlmError)
            return None if not body or told_error(body) in error.message else repr(error)
        if not record["streaming"]:
            return differences(said(json.loads(body)), read(PROVIDER.decode(call, body.encode(), Headers())))
        raw = joined(json.loads(event.data) for event in events_of(body) if event.data != b"[DONE]")
        decoder = PROVIDER.open_stream(call)
        reply, _ = decode_stream(decoder, body.encode(), rng)
        assert decoder.usage == reply.usage
        return differences(said(raw), read(reply))

    count, wrong = replay(recordings("mistral", "chat"), check, EXCEPTIONS)
    assert not wrong
    assert count > 300


def read_back(body: Mapping[str, object]) -> tuple[ChatCompletionRequest, bool]:
    """Make our request of a recorded body."""
    fields = {name: value for name, value in body.items() if name not in ("messages", "stream") and value is not None}
    given: dict[str, object] = {"messages": [message_of(message) for message in body["messages"]]}
    if "tools" in fields:
        given["tools"] = [{"type": "function", **tool} for tool in fields.pop("tools")]
    if "random_seed" in fields:
        given["seed"] = fields.pop("random_seed")
    ours = set(ChatCompletionRequest.__struct_fields__)
    given.update({name: value for name, value in fields.items() if name in ours})
    extra = {name: value for name, value in fields.items() if name not in ours}
    return ChatCompletionRequest(**given, extra_body=extra or None), bool(body.get("stream"))


def message_of(message: Mapping[str, object]) -> dict[str, object]:
    """Make our message of a recorded one."""
    made = dict(message)
    content = message.get("content")
    if isinstance(content, list):
        thoughts = [piece["text"] for part in content if part["type"] == "thinking" for piece in part["thinking"]]
        if thoughts:
            made["reasoning_content"] = "".join(thoughts)
        made["content"] = [part_of(part) for part in content if part["type"] != "thinking"]
    if "tool_calls" in made:
        made["tool_calls"] = [
            {name: value for name, value in call.items() if name != "index"} for call in made["tool_calls"]
        ]
    return made


def part_of(part: Mapping[str, object]) -> dict[str, object]:
    """Make our part of a recorded one."""
    match part["type"]:
        case "image_url" if isinstance(part["image_url"], str):
            return {"type": "image_url", "image_url": {"url": part["image_url"]}}
        case "input_audio" if isinstance(part["input_audio"], str):
            return {"type": "input_audio", "input_audio": {"data": part["input_audio"], "format": "mp3"}}
        case "document_url":
            named = {"title": part["document_name"]} if "document_name" in part else {}
            return {"type": "document", "url": part["document_url"], **named}
        case _:
            return dict(part)


def meaning(body: Mapping[str, object]) -> dict[str, object]:
    """A body without what makes no difference."""
    meant = {name: value for name, value in body.items() if value not in (None, [], False)}
    meant["messages"] = [meant_message(message) for message in body["messages"]]
    if "tools" in meant:
        meant["tools"] = [meant_tool(tool) for tool in meant["tools"]]
    if meant.get("tool_choice") == "any":
        meant["tool_choice"] = "required"
    return meant


def meant_message(message: Mapping[str, object]) -> dict[str, object]:
    """A message without what makes no difference."""
    meant = {name: value for name, value in message.items() if value not in (None, "", [], False)}
    if isinstance(meant.get("content"), str):
        meant["content"] = [{"type": "text", "text": meant["content"]}]
    meant["content"] = [meant_part(part) for part in meant.get("content", ())]
    thoughts = [piece["text"] for part in meant["content"] if part["type"] == "thinking" for piece in part["thinking"]]
    meant["content"] = [part for part in meant["content"] if part["type"] != "thinking"]
    meant["thoughts"] = "".join(thoughts)
    if "tool_calls" in meant:
        meant["tool_calls"] = [(call["id"], call["function"]) for call in meant["tool_calls"]]
    return meant


def meant_part(part: Mapping[str, object]) -> dict[str, object]:
    """A part without what makes no difference."""
    if part["type"] == "image_url" and isinstance(part["image_url"], str):
        return {"type": "image_url", "image_url": {"url": part["image_url"]}}
    return dict(part)


def meant_tool(tool: Mapping[str, object]) -> dict[str, object]:
    """A tool without what makes no difference."""
    if "function" not in tool:
        return dict(tool)
    function = {name: value for name, value in tool["function"].items() if value not in (None, "", False)}
    return {"type": "function", "function": function}


def test_every_recorded_request_can_be_made(recordings, call_of):
    """Read back into our request, it encodes to a body that means the same."""

    def check(record):
        request, stream = read_back(record["request_body"])
        sent = PROVIDER.encode(call_of(request, stream=stream, provider="mistral"))
        assert sent.path == "/chat/completions"
        return differences(meaning(record["request_body"]), meaning(json.loads(sent.body)))

    requests = (record for record in recordings("mistral", "chat") if isinstance(record["request_body"], dict))
    count, wrong = replay(requests, check, REQUEST_EXCEPTIONS)
    assert not wrong
    assert count > 300


def test_every_recorded_reply_goes_back_as_it_came(recordings, call_of):
    """Text, thoughts and calls are sent back."""
    user = {"role": "user", "content": "x"}
    for record in recordings("mistral", "chat"):
        if record["status"] != 200 or record["streaming"]:
            continue
        reply = PROVIDER.decode(plain_call(call_of), record["response_body"].encode(), Headers())
        request = ChatCompletionRequest(model="m", messages=[user, reply.choices[0].message, user])
        sent = json.loads(PROVIDER.encode(call_of(request, provider="mistral")).body)["messages"][1]
        assert meant_message(sent) == meant_message(json.loads(record["response_body"])["choices"][0]["message"])


def test_damaged_exchanges_end_in_errors_of_ours(recordings, call_of):
    """Whatever is changed in a recorded answer, it decodes or fails with an LlmError."""
    rng = random.Random(2)
    call = plain_call(call_of)
    for record in recordings("mistral", "chat"):
        survive(PROVIDER, call, record, rng)

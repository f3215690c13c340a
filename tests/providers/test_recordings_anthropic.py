"""Every recorded exchange of Anthropic's Messages API decodes without loss."""

import json
import re
from collections.abc import Iterable, Mapping

import pytest

from liter._errors import AuthenticationError, BadRequestError, LlmError, NotFoundError, StreamingError
from liter._http import Headers, ServerSentEvent
from liter.providers import Anthropic, StreamDecoder
from liter.types import (
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatCompletionResponse,
    ListModelsRequest,
    accumulate,
)

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
# Two replies in one stream, the first of them cut: made by hand for a test of its repository.
SPLICED = "e0747f4b4077bef35bdc"

CLASSES = {
    "invalid_request_error": BadRequestError,
    "authentication_error": AuthenticationError,
    "not_found_error": NotFoundError,
}


def raw_blocks(bodies: Iterable[Mapping[str, object]]) -> dict[str, object]:
    """Put a raw stream's blocks together into the message that it streams."""
    message: dict[str, object] = {}
    blocks: dict[int, dict[str, object]] = {}
    texts: dict[int, str] = {}
    for body in bodies:
        if body["type"] == "message_start":
            message = body["message"]
        elif body["type"] == "content_block_start":
            blocks[body["index"]] = body["content_block"]
        elif body["type"] == "content_block_delta":
            block, delta = blocks[body["index"]], body["delta"]
            if "text" in delta:
                block["text"] += delta["text"]
            elif "thinking" in delta:
                block["thinking"] += delta["thinking"]
            elif "signature" in delta:
                block["signature"] = block.get("signature", "") + delta["signature"]
            elif "citation" in delta:
                block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
            elif "partial_json" in delta:
                texts[body["index"]] = texts.get(body["index"], "") + delta["partial_json"]
            else:
                raise AssertionError(delta)
        elif body["type"] == "message_delta":
            message.update(body["delta"])
            message["usage"].update({name: value for name, value in body["usage"].items() if value is not None})
    for index, text in texts.items():
        if text:
            blocks[index]["input"] = json.loads(text)
    message["content"] = [blocks[index] for index in sorted(blocks)]
    return message


def said(message: Mapping[str, object]) -> dict[str, object]:
    """What a raw message says."""
    blocks = message["content"]
    usage = message["usage"]
    compaction = [run for run in usage.get("iterations") or () if run["type"] == "compaction"]
    cached = [run.get("cache_read_input_tokens") or 0 for run in [usage, *compaction]]
    written = [run.get("cache_creation_input_tokens") or 0 for run in [usage, *compaction]]
    plain = re.fullmatch(
        "((redacted_)?thinking )*(text )*(tool_use )*",
        "".join(f"{'cited ' if block.get('citations') else ''}{block['type']} " for block in blocks),
    )
    return {
        "id": message["id"],
        "model": message["model"],
        "text": "".join(block["text"] for block in blocks if block["type"] == "text"),
        "calls": [(block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"],
        "reasoning": "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        "signed": [block for block in blocks if block["type"] in ("thinking", "redacted_thinking")],
        "pages": [
            citation["url"]
            for block in blocks
            if block["type"] == "text"
            for citation in block.get("citations") or ()
            if citation.get("url")
        ],
        "native": None if plain else blocks,
        "finish": FINISH[message["stop_reason"]],
        "stop_sequence": message.get("stop_sequence"),
        "prompt": sum(run["input_tokens"] for run in [usage, *compaction]) + sum(cached) + sum(written),
        "completion": sum(run["output_tokens"] for run in [usage, *compaction]),
        "cached": sum(cached),
        "written": sum(written),
        "thinking": (usage.get("output_tokens_details") or {}).get("thinking_tokens"),
        "tier": usage.get("service_tier"),
        "container": (message.get("container") or {}).get("id"),
    }


def read(reply: ChatCompletionResponse) -> dict[str, object]:
    """What a typed reply says."""
    [choice] = reply.choices
    message, usage = choice.message, reply.usage
    prompt = usage.prompt_tokens_details
    completion = usage.completion_tokens_details
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    return {
        "id": reply.id,
        "model": reply.model,
        "text": message.text,
        "calls": [
            (call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()
        ],
        "reasoning": message.reasoning_content or "",
        "signed": message.thinking_blocks or [],
        "pages": [note.url_citation.url for note in message.annotations or ()],
        "native": message.native_content and message.native_content.blocks,
        "finish": choice.finish_reason,
        "stop_sequence": choice.stop_sequence,
        "prompt": usage.prompt_tokens,
        "completion": usage.completion_tokens,
        "cached": (prompt and prompt.cached_tokens) or 0,
        "written": (prompt and prompt.cache_write_tokens) or 0,
        "thinking": completion and completion.reasoning_tokens,
        "tier": reply.service_tier,
        "container": ((reply.native or {}).get("container") or {}).get("id"),
    }


def one_by_one(events: Iterable[ServerSentEvent]) -> Iterable[list[ServerSentEvent]]:
    """Split what some recorders put together: the streams of several messages, one after the other."""
    stream: list[ServerSentEvent] = []
    for event in events:
        stream.append(event)
        if event.event == "message_stop":
            yield stream
            stream = []
    assert not stream


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
            assert type(error) is CLASSES[told["error"]["type"]], record["id"]
            assert (error.message, error.code) == (told["error"]["message"], told["error"]["type"])
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

"""What is in Converse's bodies, read the plain way: this is not the codec that liter uses."""

import base64
import json
import struct
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any
from urllib.parse import unquote

from liter.types import ChatCompletionResponse

Json = dict[str, Any]

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}

MEDIA_TYPES = {
    "pdf": "application/pdf",
    "txt": "text/plain",
    "csv": "text/csv",
    "md": "text/markdown",
    "html": "text/html",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "mkv": "video/x-matroska",
    "webm": "video/webm",
    "three_gp": "video/3gpp",
}


class InexpressibleError(Exception):
    """Content says what OpenAI's form has no place for."""


def messages_of(stream: bytes) -> Iterator[tuple[str, str, Json]]:
    """Cut an event stream into messages, trusting its lengths: their type, event type and payload."""
    while stream:
        size, headers_size = struct.unpack(">II", stream[:8])
        rest, headers = stream[12 : 12 + headers_size], {}
        while rest:
            name, rest = rest[1 : 1 + rest[0]].decode(), rest[1 + rest[0] :]
            assert rest[0] == 7, "all headers are text"
            length = int.from_bytes(rest[1:3], "big")
            headers[name], rest = rest[3 : 3 + length].decode(), rest[3 + length :]
        payload = json.loads(stream[12 + headers_size : size - 4])
        kind = headers[":message-type"]
        yield kind, headers.get(f":{kind}-type", ""), payload
        stream = stream[size:]


def whole_of(stream: bytes) -> Json:
    """Put a raw stream's events together into the reply that it streams."""

    def events() -> Iterator[tuple[str, Json]]:
        for kind, name, event in messages_of(stream):
            assert kind == "event", event
            yield name, event

    return whole_of_events(events())


def whole_of_events(events: Iterable[tuple[str, Json]]) -> Json:
    """Put events together into the reply that they stream."""
    reply: Json = {}
    blocks: dict[int, Json] = {}
    inputs: dict[int, str] = {}
    pictures: dict[int, bytes] = {}
    for name, event in events:
        event.pop("p", None)
        index = event.get("contentBlockIndex")
        if name == "contentBlockStart":
            blocks[index] = event["start"]
        elif name == "contentBlockDelta":
            [(what, value)] = event["delta"].items()
            block = blocks.setdefault(index, {})
            if what == "text":
                block["text"] = block.get("text", "") + value
            elif what == "toolUse":
                inputs[index] = inputs.get(index, "") + value["input"]
            elif what == "reasoningContent":
                inner = block.setdefault("reasoningContent", {})
                if "redactedContent" in value:
                    inner["redactedContent"] = value["redactedContent"]
                else:
                    [(part, words)] = value.items()
                    thought = inner.setdefault("reasoningText", {"text": ""})
                    thought[part] = thought.get(part, "") + words
            elif what == "citation":
                block.setdefault("citations", []).append(value)
            elif what == "toolResult":
                block["toolResult"].setdefault("content", []).extend(value)
            elif what == "image":
                pictures[index] = pictures.get(index, b"") + base64.b64decode(value["source"]["bytes"])
            else:
                raise AssertionError(what)
        elif name in ("messageStop", "metadata"):
            reply.update(event)
    for index, picture in pictures.items():
        blocks[index]["image"]["source"] = {"bytes": base64.b64encode(picture).decode()}
    for index, block in blocks.items():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(inputs.get(index) or "{}")
        if "citations" in block:
            cited = {"citations": block["citations"]}
            blocks[index] = {
                "citationsContent": {"content": [{"text": block["text"]}], **cited} if "text" in block else cited
            }
    reply["output"] = {"message": {"role": "assistant", "content": [blocks[index] for index in sorted(blocks)]}}
    return reply


def words_of(block: Json) -> str:
    """The text of a block of a reply."""
    return block.get("text", "") + "".join(
        part["text"] for part in block.get("citationsContent", {}).get("content", ())
    )


def said(reply: Json) -> Json:
    """What a raw reply says."""
    blocks = reply["output"]["message"]["content"]
    usage = reply.get("usage")
    calls = [use for block in blocks if (use := block.get("toolUse")) and use.get("type", "tool_use") == "tool_use"]
    thoughts = [block["reasoningContent"] for block in blocks if block.get("reasoningContent")]
    citations = [one for block in blocks for one in block.get("citationsContent", {}).get("citations", ())]
    kept = [block for block in blocks if block not in ({"reasoningContent": {}}, {"text": ""})]
    plain = [
        ["reasoningContent", "text", "toolUse"].index(kind)
        if (kind := next(iter(block))) in ("reasoningContent", "text", "toolUse")
        and block.get("toolUse", {}).get("type", "tool_use") == "tool_use"
        else 9
        for block in kept
    ]
    told: Json = {
        "text": "".join(map(words_of, blocks)),
        "calls": [(use["toolUseId"], use["name"], use["input"]) for use in calls],
        "reasoning": "".join(thought["reasoningText"]["text"] for thought in thoughts if "reasoningText" in thought),
        "signatures": [
            thought["reasoningText"]["signature"]
            for thought in thoughts
            if thought.get("reasoningText", {}).get("signature")
        ],
        "hidden": [base64.b64decode(hidden) for thought in thoughts if (hidden := thought.get("redactedContent"))],
        "pages": [one["location"]["web"]["url"] for one in citations if "web" in one.get("location", {})],
        "documents": [
            (one.get("title"), one.get("location")) for one in citations if "web" not in one.get("location", {})
        ],
        "native": None if plain == sorted(plain) and 9 not in plain else kept,
        "stop": reply["stopReason"],
        "finish": FINISH.get(reply["stopReason"], reply["stopReason"]),
        "tier": (reply.get("serviceTier") or {}).get("type"),
        "trace": reply.get("trace"),
        "fields": reply.get("additionalModelResponseFields"),
        "latency": reply.get("metrics", {}).get("latencyMs"),
    }
    if calls and told["finish"] == "stop":
        told["finish"] = "tool_calls"
    if usage is not None:
        # Nova has other names by InvokeModel.
        cached = usage.get("cacheReadInputTokens", usage.get("cacheReadInputTokenCount", 0))
        written = usage.get("cacheWriteInputTokens", usage.get("cacheWriteInputTokenCount", 0))
        told["prompt"] = usage["inputTokens"] + cached + written
        told["completion"] = usage["outputTokens"]
        told["cached"], told["written"] = cached, written
        told["hour"] = sum(one["inputTokens"] for one in usage.get("cacheDetails") or () if one["ttl"] == "1h")
    return told


def read(reply: ChatCompletionResponse) -> Json:
    """What a typed reply says."""
    [choice] = reply.choices
    message, usage, native = choice.message, reply.usage, reply.native or {}
    notes = message.annotations or ()
    told: Json = {
        "text": message.text,
        "calls": [
            (call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()
        ],
        "reasoning": message.reasoning_content or "",
        "signatures": [block["signature"] for block in message.thinking_blocks or () if "signature" in block],
        "hidden": [block["data"].encode() for block in message.thinking_blocks or () if "data" in block],
        "pages": [note.url_citation.url for note in notes if note.url_citation],
        "documents": [
            (note.document_citation.title, (note.document_citation.content or {}).get("location"))
            for note in notes
            if note.document_citation
        ],
        "native": message.native_content and message.native_content.blocks,
        "stop": choice.native_finish_reason,
        "finish": choice.finish_reason,
        "tier": reply.service_tier,
        "trace": native.get("trace"),
        "fields": native.get("additionalModelResponseFields"),
        "latency": native.get("metrics", {}).get("latencyMs"),
    }
    if usage is not None:
        details = usage.prompt_tokens_details
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
        told["prompt"], told["completion"] = usage.prompt_tokens, usage.completion_tokens
        told["cached"] = (details and details.cached_tokens) or 0
        told["written"] = (details and details.cache_write_tokens) or 0
        told["hour"] = (details and details.cache_write_1h_tokens) or 0
    return told


def request_of(path: str, body: Json) -> Json:
    """Read a recorded request back into the arguments of liter's."""
    body = json.loads(json.dumps(body))
    told: Json = {"model": unquote(path.split("/")[2])}
    messages = list(_system(body.pop("system", None) or []))
    for message in body.pop("messages"):
        messages += _assistant(message) if message["role"] == "assistant" else _user(message)
    told["messages"] = messages
    config = body.pop("inferenceConfig", None) or {}
    for theirs, ours in (
        ("maxTokens", "max_tokens"),
        ("temperature", "temperature"),
        ("topP", "top_p"),
        ("stopSequences", "stop"),
    ):
        if theirs in config:
            told[ours] = config.pop(theirs)
    tools = body.pop("toolConfig", None) or {}
    if tools:
        told["tools"] = list(_tools(tools.pop("tools")))
        choice = tools.pop("toolChoice", None)
        if choice is not None:
            [(kind, value)] = choice.items()
            named = {"type": "function", "function": {"name": value.get("name")}}
            told["tool_choice"] = {"auto": "auto", "any": "required", "tool": named}.get(kind, choice)
    schema = body.get("outputConfig", {}).get("textFormat", {}).get("structure", {}).get("jsonSchema")
    if schema is not None and "name" in schema:
        del body["outputConfig"]["textFormat"]
        told["response_format"] = {
            "type": "json_schema",
            "json_schema": {**schema, "schema": json.loads(schema["schema"])},
        }
    if "requestMetadata" in body:
        told["metadata"] = body.pop("requestMetadata")
    if "serviceTier" in body:
        told["service_tier"] = body.pop("serviceTier")["type"]
    # Fields of the model's own, guardrails and the like have no other name.
    extra = {**body, "inferenceConfig": config, "toolConfig": tools}
    told["extra_body"] = {name: value for name, value in extra.items() if value}
    return told


def _system(blocks: list[Json]) -> Iterator[Json]:
    try:
        parts = list(_parts(blocks))
    except InexpressibleError:
        yield {"role": "system", **_native(blocks)}
        return
    for part in parts:
        yield {"role": "system", "content": [part]}


def _native(blocks: list[Json]) -> Json:
    """Content that OpenAI's form has no place for, with its text."""
    return {
        "content": "".join(map(_text, blocks)),
        "native_content": {"provider": "bedrock", "blocks": blocks},
    }


def _tools(tools: list[Json]) -> Iterator[Json]:
    made: list[Json] = []
    for tool in tools:
        [(kind, value)] = tool.items()
        if kind == "cachePoint":
            made[-1]["cache_control"] = _control(value)
        elif kind == "toolSpec":
            spec = dict(value)
            function = {"parameters": spec.pop("inputSchema")["json"], **spec}
            made.append({"type": "function", "function": function})
        else:
            made.append({"type": kind, **value})
    return iter(made)


def _control(point: Json) -> Json:
    return {"type": "ephemeral", **({"ttl": point["ttl"]} if "ttl" in point else {})}


def _user(message: Json) -> Iterator[Json]:
    """A turn of the user's as messages: results, and what is said between them."""
    for is_result, group in groupby(message["content"], key=lambda block: "toolResult" in block):
        blocks = list(group)
        if not is_result:
            yield {"role": "user", **_content(blocks)}
            continue
        for block in blocks:
            result = block["toolResult"]
            told: Json = {"role": "tool", "tool_call_id": result["toolUseId"], **_content(result["content"])}
            if "status" in result:
                told["is_error"] = result["status"] == "error"
            yield told


def _content(blocks: list[Json]) -> Json:
    try:
        return {"content": list(_parts(blocks))}
    except InexpressibleError:
        return _native(blocks)


def _text(block: Json) -> str:
    if "json" in block:
        return json.dumps(block["json"], separators=(",", ":"), ensure_ascii=False)
    return block.get("text") or block.get("guardContent", {}).get("text", {}).get("text", "")


def _assistant(message: Json) -> Iterator[Json]:
    blocks = message["content"]
    told: Json = {"role": "assistant"}
    thoughts = [_thought(block["reasoningContent"]) for block in blocks if "reasoningContent" in block]
    calls = [
        {
            "id": block["toolUse"]["toolUseId"],
            "type": "function",
            "function": {"name": block["toolUse"]["name"], "arguments": json.dumps(block["toolUse"]["input"])},
        }
        for block in blocks
        if "toolUse" in block
    ]
    texts = [words_of(block) for block in blocks if words_of(block)]
    told["content"] = [{"type": "text", "text": words} for words in texts] or None
    told["thinking_blocks"], told["tool_calls"] = thoughts or None, calls or None
    kinds = [next(iter(block)) for block in blocks]
    order = {"reasoningContent": 0, "text": 1, "toolUse": 2}
    if not set(kinds) <= set(order) or kinds != sorted(kinds, key=lambda kind: order[kind]):
        told["native_content"] = {"provider": "bedrock", "blocks": blocks}
    yield told


def _thought(content: Json) -> Json:
    if "redactedContent" in content:
        return {"type": "redacted_thinking", "data": base64.b64decode(content["redactedContent"]).decode()}
    thought = dict(content["reasoningText"])
    return {"type": "thinking", "thinking": thought.pop("text"), **thought}


def _parts(blocks: list[Json]) -> Iterator[Json]:
    made: list[Json] = []
    for block in blocks:
        [(kind, value)] = block.items()
        if kind == "cachePoint":
            if not made:
                raise InexpressibleError("a breakpoint before all content")
            made[-1]["cache_control"] = _control(value)
        elif kind == "text":
            made.append({"type": "text", "text": value})
        elif kind == "audio" and "bytes" in value["source"]:
            audio = {"data": value["source"]["bytes"], "format": value["format"]}
            made.append({"type": "input_audio", "input_audio": audio})
        elif kind in ("image", "document", "video"):
            made.append(_media(kind, value))
        else:
            raise InexpressibleError(kind)
    return iter(made)


def _media(kind: str, value: Json) -> Json:
    source, media_type = value["source"], MEDIA_TYPES.get(value["format"], f"{kind}/{value['format']}")
    uri = source.get("s3Location", {}).get("uri")
    if source.get("s3Location", {}).keys() - {"uri"}:
        raise InexpressibleError("the owner of a bucket")
    url = uri or f"data:{media_type};base64,{source.get('bytes')}"
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": url}}
    if kind == "video":
        return {"type": "file", "file": {"file_id": uri} if uri else {"file_data": url}}
    told: Json = {"type": "document", "media_type": media_type, "title": value["name"]}
    if uri:
        told["url"] = uri
    elif "text" in source:
        told["data"] = base64.b64encode(source["text"].encode()).decode()
    elif "bytes" in source:
        told["data"] = source["bytes"]
    else:
        raise InexpressibleError("a document in pieces of text")
    return {**told, **{name: value[name] for name in ("context", "citations") if name in value}}


def plain(body: Json) -> Json:
    """A request without what says nothing: empty objects and texts, forms of schemas, neighbours of one role."""
    body = json.loads(json.dumps(body))
    messages: list[Json] = []
    for message in body["messages"]:
        content = [block for block in message["content"] if block != {"text": ""}]
        for block in content:
            if "toolResult" in block:
                inner = block["toolResult"]["content"]
                block["toolResult"]["content"] = [part for part in inner if part != {"text": ""}]
        if messages and messages[-1]["role"] == message["role"]:
            messages[-1]["content"] += content
        elif content:
            messages.append({**message, "content": content})
    body["messages"] = messages
    for name in ("inferenceConfig", "system", "additionalModelRequestFields", "toolConfig"):
        if not body.get(name, True):
            del body[name]
    if not body.get("inferenceConfig", {}).get("stopSequences", True):
        del body["inferenceConfig"]["stopSequences"]
        if not body["inferenceConfig"]:
            del body["inferenceConfig"]
    schema = body.get("outputConfig", {}).get("textFormat", {}).get("structure", {}).get("jsonSchema")
    if schema is not None:
        schema["schema"] = json.loads(schema["schema"])
    return body

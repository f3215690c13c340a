"""What is in the bodies of Anthropic's Messages API, read the plain way: this is not the codec that liter uses."""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from liter._http import ServerSentEvent
from liter.types import ChatCompletionResponse

Json = dict[str, Any]

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
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
        "documents": [
            (citation.get("document_title") or citation.get("title"), citation)
            for block in blocks
            if block["type"] == "text"
            for citation in block.get("citations") or ()
            if not citation.get("url")
        ],
        "native": None if plain else blocks,
        "finish": FINISH.get(message["stop_reason"], message["stop_reason"]),
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
        "pages": [note.url_citation.url for note in message.annotations or () if note.url_citation],
        "documents": [
            (note.document_citation.title, note.document_citation.content)
            for note in message.annotations or ()
            if note.document_citation
        ],
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


def request_of(body: Json, provider: str = "anthropic") -> Json:
    """Read a recorded request back into the arguments of liter's.

    :param provider: whose form the content is in that OpenAI's has no place for
    """
    body = without_nulls(json.loads(json.dumps(body)))
    told: Json = {"model": body.pop("model", "claude"), "messages": list(_system(body.pop("system", None)))}
    for message in body.pop("messages"):
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if message["role"] == "system":
            told["messages"].append(
                {"role": "system", "content": _text(blocks), "native_content": _native(blocks, provider)}
            )
        else:
            read = _assistant if message["role"] == "assistant" else _user
            told["messages"] += read(blocks, provider)
    for theirs, ours in (
        ("max_tokens",) * 2,
        ("temperature",) * 2,
        ("top_p",) * 2,
        ("stop_sequences", "stop"),
        ("service_tier",) * 2,
    ):
        if theirs in body:
            told[ours] = body.pop(theirs)
    if "tools" in body:
        told["tools"] = [_tool(tool) for tool in body.pop("tools")]
    choice = body.pop("tool_choice", None)
    if choice is not None:
        if "disable_parallel_tool_use" in choice:
            told["parallel_tool_calls"] = not choice["disable_parallel_tool_use"]
        named = {"type": "function", "function": {"name": choice.get("name")}}
        told["tool_choice"] = {"auto": "auto", "any": "required", "none": "none", "tool": named}[choice["type"]]
    form = body.get("output_config", {}).pop("format", None)
    if form is not None:
        told["response_format"] = {"type": "json_schema", "json_schema": {"name": "n", "schema": form["schema"]}}
    body.pop("stream", None)
    # Fields of Anthropic's own have no other name.
    told["extra_body"] = {name: value for name, value in body.items() if value not in ({}, [], None)}
    return told


def _native(blocks: list[Json], provider: str) -> Json:
    return {"provider": provider, "blocks": blocks}


def _text(blocks: list[Json]) -> str:
    return "".join(block["text"] for block in blocks if block["type"] == "text")


def _marked(part: Json, block: Json) -> Json:
    return {**part, "cache_control": block["cache_control"]} if "cache_control" in block else part


def _system(system: object) -> Iterator[Json]:
    blocks = [{"type": "text", "text": system}] if isinstance(system, str) else system or []
    for block in blocks:
        yield {"role": "system", "content": [_marked({"type": "text", "text": block["text"]}, block)]}


def _tool(tool: Json) -> Json:
    known = {"name", "description", "input_schema", "strict", "cache_control", "type"}
    if tool.get("type", "custom") != "custom" or not tool.keys() <= known:
        return {"type": "custom", **tool}
    function = {"name": tool["name"], "parameters": tool["input_schema"]}
    for name in ("description", "strict"):
        if name in tool:
            function[name] = tool[name]
    return _marked({"type": "function", "function": function}, tool)


def _assistant(blocks: list[Json], provider: str) -> Iterator[Json]:
    told: Json = {"role": "assistant", "content": _text(blocks) or None}
    told["thinking_blocks"] = [block for block in blocks if block["type"].endswith("thinking")] or None
    told["tool_calls"] = [
        {
            "id": block["id"],
            "type": "function",
            "function": {"name": block["name"], "arguments": json.dumps(block["input"])},
        }
        for block in blocks
        if block["type"] == "tool_use"
    ] or None
    plain = re.fullmatch(
        "((redacted_)?thinking )*(text )?(tool_use )*",
        "".join(f"{'odd ' if block.keys() & {'citations', 'caller'} else ''}{block['type']} " for block in blocks),
    )
    marks = [index for index, block in enumerate(blocks) if "cache_control" in block]
    if plain and marks in ([], [len(blocks) - 1]):
        yield _marked(told, blocks[-1])
    else:
        yield {**told, "native_content": _native(blocks, provider)}


def _user(blocks: list[Json], provider: str) -> Iterator[Json]:
    """A turn of the user's as messages: results, and what is said between them."""
    for is_result, group in groupby(blocks, key=lambda block: block["type"] == "tool_result"):
        together = list(group)
        if not is_result:
            parts = list(map(_part, together))
            native = {"content": _text(together), "native_content": _native(together, provider)}
            yield {"role": "user", **(native if None in parts else {"content": parts})}
            continue
        for block in together:
            told: Json = {"role": "tool", "tool_call_id": block["tool_use_id"]}
            if "is_error" in block:
                told["is_error"] = block["is_error"]
            content = block.get("content") or ""
            parts = None if isinstance(content, str) else list(map(_part, content))
            if parts is None:
                told["content"] = content
            elif None in parts:
                told["content"], told["native_content"] = _text(content), _native(content, provider)
            else:
                told["content"] = parts
            yield _marked(told, block)


def _part(block: Json) -> Json | None:
    """A block as a part of liter's; ``None``: there is none like it."""
    source = block.get("source", {})
    if block["type"] == "text" and "citations" not in block:
        return _marked({"type": "text", "text": block["text"]}, block)
    if block["type"] == "image" and source["type"] in ("base64", "url"):
        url = source.get("url") or f"data:{source['media_type']};base64,{source['data']}"
        return _marked({"type": "image_url", "image_url": {"url": url}}, block)
    if block["type"] != "document":
        return None
    told: Json = {
        "type": "document",
        **{name: block[name] for name in ("title", "context", "citations") if name in block},
    }
    if source["type"] == "text":
        told |= {"media_type": source["media_type"], "data": base64.b64encode(source["data"].encode()).decode()}
    elif source["type"] == "base64":
        told |= {"media_type": source["media_type"], "data": source["data"]}
    elif source["type"] in ("url", "file"):
        told |= {name: source[name] for name in ("url", "file_id") if name in source}
    else:
        return None
    return _marked(told, block)


def plain(body: Json) -> Json:
    """A request without what says nothing: defaults, empty texts and lists, short forms, neighbours of one role."""
    body = without_nulls(json.loads(json.dumps(body)))
    if "system" in body:
        body["system"] = _blocks(body["system"])
    body = {name: value for name, value in body.items() if value not in (False, [], {})}
    messages: list[Json] = []
    for message in body["messages"]:
        content = [_result(block) for block in _blocks(message["content"])]
        if messages and messages[-1]["role"] == message["role"]:
            messages[-1]["content"] += content
        elif content:
            messages.append({**message, "content": content})
    body["messages"] = messages
    for tool in body.get("tools", ()):
        if tool.get("type") == "custom":
            del tool["type"]
        if "input_schema" in tool:
            tool["input_schema"] = {"type": "object", "properties": {}, **tool["input_schema"]}
    if body.get("tool_choice", {}).get("disable_parallel_tool_use") is False:
        del body["tool_choice"]["disable_parallel_tool_use"]
    return body


def without_nulls(tree: Any) -> Any:
    """What is null is not there."""
    if isinstance(tree, dict):
        return {name: without_nulls(value) for name, value in tree.items() if value is not None}
    return [without_nulls(value) for value in tree] if isinstance(tree, list) else tree


def _blocks(content: object) -> list[Json]:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [block for block in blocks if block != {"type": "text", "text": ""}]


def _result(block: Json) -> Json:
    if block["type"] != "tool_result":
        return block
    content = _blocks(block.get("content") or [])
    return {
        **{name: value for name, value in block.items() if name != "content"},
        **({"content": content} if content else {}),
    }

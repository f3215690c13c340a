"""Reads recorded replies of Google's the plain way: none of it uses the codec that it judges."""

import json
import re
from collections.abc import Iterable
from itertools import pairwise

from liter.types import ChatCompletionResponse

Object = dict[str, object]

FILTERED = {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "IMAGE_SAFETY"}


def documents_of(body: str) -> list[Object]:
    """The JSON objects of a body: of an event stream, an array of them, or one."""
    if body.lstrip().startswith("data:"):
        return [json.loads(line[5:]) for line in body.splitlines() if line.startswith("data:")]
    told = json.loads(body)
    return told if isinstance(told, list) else [told]


def said(documents: Iterable[Object]) -> Object:
    """What raw replies say, put together."""
    parts: list[Object] = []
    facts: Object = {}
    usage: Object = {}
    reply: Object = {"id": "", "model": ""}
    native = None
    grounding: Object = {}
    logprobs: list[object] = []
    for document in documents:
        reply["id"] = reply["id"] or document.get("responseId", "")
        reply["model"] = document.get("modelVersion") or reply["model"]
        usage.update(document.get("usageMetadata") or {})
        [candidate] = document.get("candidates") or [{}]
        parts += (candidate.get("content") or {}).get("parts") or []
        native = candidate.get("finishReason", native)
        grounding.update({name: held for name, held in (candidate.get("groundingMetadata") or {}).items() if held})
        facts.update({name: held for name, held in candidate.items() if name not in ("content", "groundingMetadata")})
        result = candidate.get("logprobsResult") or {}
        logprobs += [one["token"] for one in result.get("chosenCandidates") or ()]
    calls = calls_of(parts)
    native = {1: "STOP", 2: "MAX_TOKENS"}.get(native, native)
    finish = {"STOP": "stop", "MAX_TOKENS": "length"}.get(native, "content_filter" if native in FILTERED else native)
    counts = {name: usage.get(name, 0) for name in ("candidatesTokenCount", "thoughtsTokenCount")}
    prompt = usage.get("promptTokenCount")
    if prompt is None:
        prompt = max(0, usage.get("totalTokenCount", 0) - sum(counts.values()))
    elif "candidatesTokenCount" not in usage and usage.get("totalTokenCount") is not None:
        counts["candidatesTokenCount"] = (
            usage["totalTokenCount"] - prompt - usage.get("toolUsePromptTokenCount", 0) - counts["thoughtsTokenCount"]
        )
    urls = [
        chunk[kind]["uri"] for chunk in grounding.get("groundingChunks") or () for kind in chunk if "uri" in chunk[kind]
    ]
    cited = (facts.get("citationMetadata") or {}).get("citations") or ()
    return {
        **reply,
        "text": "".join(part.get("text", "") for part in parts if not part.get("thought")),
        "reasoning": "".join(part.get("text", "") for part in parts if part.get("thought")),
        "calls": calls,
        "signatures": [part["thoughtSignature"] for part in parts if part.get("thoughtSignature")],
        "code": [part[kind] for part in parts for kind in ("executableCode", "codeExecutionResult") if kind in part],
        "images": [part["inlineData"]["data"] for part in parts if "inlineData" in part],
        "finish": "tool_calls" if finish == "stop" and calls else finish,
        "native finish": native,
        "prompt": prompt + usage.get("toolUsePromptTokenCount", 0),
        "completion": sum(counts.values()),
        "cached": usage.get("cachedContentTokenCount"),
        "thinking": usage.get("thoughtsTokenCount"),
        "tier": usage.get("serviceTier")
        or {"ON_DEMAND": "standard", "ON_DEMAND_FLEX": "flex"}.get(usage.get("trafficType")),
        "pages": set(urls) | {one["uri"] for one in cited if one.get("uri")},
        "segments": [
            support["segment"]["text"]
            for support in grounding.get("groundingSupports") or ()
            for _ in support["groundingChunkIndices"]
        ],
        "grounding": grounding,
        "message": facts.get("finishMessage"),
        "logprobs": logprobs,
    }  # fmt: skip


def read(reply: ChatCompletionResponse) -> Object:
    """What a typed reply says, in the same words."""
    [choice] = reply.choices
    message, usage = choice.message, reply.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    blocks = message.native_content.blocks if message.native_content else []
    calls = [
        (
            call.id if not call.id.startswith("gemini-") else None,
            call.function.name,
            json.loads(call.function.arguments),
        )
        for call in message.tool_calls or ()
    ]
    ids = [call.id for call in message.tool_calls or ()]
    assert len(set(ids)) == len(ids)
    assert all(0 < len(name) <= 64 for name in ids)
    [facts] = (reply.native or {}).get("candidates") or [{}]
    notes = message.annotations or []
    return {
        "id": reply.id,
        "model": reply.model,
        "text": message.text,
        "reasoning": message.reasoning_content or "",
        "calls": calls,
        "signatures": [block["thoughtSignature"] for block in blocks if block.get("thoughtSignature")],
        "code": [
            block[kind] for block in blocks for kind in ("executableCode", "codeExecutionResult") if kind in block
        ],
        "images": [image["image_url"]["url"].partition(",")[2] for image in message.images or ()],
        "finish": choice.finish_reason,
        "native finish": choice.native_finish_reason,
        "prompt": usage.prompt_tokens,
        "completion": usage.completion_tokens,
        "cached": prompt and prompt.cached_tokens,
        "thinking": completion and completion.reasoning_tokens,
        "tier": reply.service_tier,
        "pages": {note.url_citation.url for note in notes if note.url_citation},
        "segments": [
            message.text[place.start_index : place.end_index]
            for note in notes
            if (place := note.url_citation or note.document_citation).start_index is not None
        ],
        "grounding": {name: held for name, held in facts.get("groundingMetadata", {}).items() if held},
        "message": facts.get("finishMessage"),
        "logprobs": [one.token for one in (choice.logprobs and choice.logprobs.content) or ()],
    }


def calls_of(parts: Iterable[Object]) -> list[tuple[str | None, str, Object]]:
    """The calls among parts; arguments that come value by value are put together."""
    calls: list[tuple[str | None, str, Object]] = []
    values: dict[str, str] | None = None
    for part in parts:
        call = part.get("functionCall")
        if call is None:
            continue
        if call.get("name"):
            calls.append((call.get("id"), call["name"], call.get("args") or {}))
            values = {} if call.get("willContinue") else None
        elif values is None:
            calls.append((call.get("id"), "", call.get("args") or {}))
        for piece in call.get("partialArgs") or ():
            values[piece["jsonPath"]] = values.get(piece["jsonPath"], "") + piece["stringValue"]
        if values and not call.get("willContinue"):
            for path, text in values.items():
                _put(calls[-1][2], [int(step) if step.isdigit() else step for step in re.findall(r"\w+", path)], text)
            values = None
    return calls


def _put(node: object, steps: list[str | int], value: str) -> None:
    for step, following in pairwise(steps):
        empty: object = [] if isinstance(following, int) else {}
        if isinstance(node, list) and step == len(node):
            node.append(empty)
        elif isinstance(node, dict):
            node.setdefault(step, empty)
        node = node[step]
    if isinstance(node, list):
        assert steps[-1] == len(node)
        node.append(value)
    else:
        node[steps[-1]] = value

"""Traffic as others may send it: recordings, changed in ways that change nothing of what is said."""

import copy
import json
import random
from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from liter.types import accumulate

from ._accounting import FORMS, Assigned, assigned, body_of, call_for, documents_of
from ._replay import events_at_random_cuts
from .conftest import Record

# Where recordings of each form are, as providers and operation.
SOURCES = {
    "openai": (("openai", "openrouter", "groq", "mistral", "zai", "deepseek", "llamacpp", "azure"), "chat"),
    "anthropic": (("anthropic",), "messages"),
    "gemini": (("gemini", "vertex"), "generate_content"),
    "converse": (("bedrock",), "converse"),
    "cohere": (("cohere",), "chat"),
    "ollama": (("ollama",), "chat"),
    "responses": (("openai", "xai"), "responses"),
}
# Fields whose content is the provider's or the caller's own, and is handed on as it is.
OWN = frozenset({"arguments", "input", "args", "tools", "metadata", "partial_json", "top_logprobs"})
# What objects with a field may have beside it.
ABSENT = {
    "choices": ("usage", "service_tier", "system_fingerprint", "provider", "citations", "error"),
    "finish_reason": ("logprobs", "stop_reason", "native_finish_reason"),
    "tool_calls": ("content", "refusal", "reasoning_content", "function_call", "audio", "annotations"),
    "role": ("refusal", "reasoning_content", "reasoning", "annotations"),
    "prompt_tokens": ("prompt_tokens_details", "completion_tokens_details", "cost"),
    "input_tokens": ("cache_read_input_tokens", "cache_creation_input_tokens", "server_tool_use", "service_tier"),
    "stop_reason": ("stop_sequence", "stop_details", "container"),
    "promptTokenCount": ("thoughtsTokenCount", "cachedContentTokenCount", "toolUsePromptTokenCount"),
    "finishReason": ("finishMessage", "safetyRatings", "groundingMetadata", "citationMetadata"),
    "inputTokens": ("cacheReadInputTokens", "cacheWriteInputTokens", "cacheDetails"),
    "stopReason": ("additionalModelResponseFields", "trace", "performanceConfig"),
    "done": ("done_reason", "logprobs"),
}
NOVEL = {"kind": "novel", "values": [1, None, {"deep": True}]}
EACH = 10
# What replies are compared by: what is kept in the provider's own form has the novel fields, too.
SAID = {
    "openai": ("usage", "wrong"),
    "anthropic": ("text", "calls", "reasoning", "finish", "prompt", "completion", "cached", "written"),
    "gemini": ("text", "calls", "reasoning", "finish", "prompt", "completion", "cached", "thinking"),
    "converse": ("text", "calls", "reasoning", "finish", "prompt", "completion"),
    "cohere": ("text", "calls", "reasoning", "plan", "finish", "prompt", "completion", "cached"),
    "ollama": ("text", "calls", "reasoning", "finish", "prompt", "completion"),
    "responses": ("text", "calls", "reasoning", "status", "usage"),
}
STYLES = ("plain", "CRLF", "CR", "comments", "ids", "tight", "without [DONE]", "BOM")


def nodes(tree: object) -> Iterator[dict[str, object]]:
    """All objects in a document but those that are the caller's own."""
    if isinstance(tree, dict):
        yield tree
        for name, value in list(tree.items()):
            if name not in OWN:
                yield from nodes(value)
    elif isinstance(tree, list):
        for one in tree:
            yield from nodes(one)


def with_novel_fields(documents: list[object], form: str) -> None:
    """Every object has a field that nobody knows."""
    for node in [node for one in documents for node in nodes(one)]:
        node["x_novel"] = NOVEL


def with_nulls(documents: list[object], form: str) -> None:
    """Fields that are absent are there, with nothing in them."""
    for node in [node for one in documents for node in nodes(one)]:
        for telling, names in ABSENT.items():
            if telling in node:
                for name in names:
                    node.setdefault(name, None)


def with_counts_as(kind: Callable[[int], object]) -> Callable[[list[object], str], None]:
    """Counts are of another kind."""

    def change(documents: list[object], form: str) -> None:
        for node in [node for one in documents for node in nodes(one)]:
            for name, value in node.items():
                if type(value) is int and name.lower().endswith(("tokens", "tokencount", "eval_count")):
                    node[name] = kind(value)

    return change


def without_times(documents: list[object], form: str) -> None:
    """Replies do not tell what they are, nor when they were made."""
    for one in documents:
        if isinstance(one, dict):
            for name in ("created", "created_at", "system_fingerprint", "object"):
                if form != "responses" or name != "object":
                    one.pop(name, None)


VARIATIONS = {
    "novel fields": with_novel_fields,
    "nulls": with_nulls,
    "counts as text": with_counts_as(str),
    "counts as floats": with_counts_as(float),
    "without times": without_times,
}


def body_from(documents: list[object], form: str, framing: str, style: str) -> bytes:
    """Write documents as the body that they were read from."""
    if not framing:
        return json.dumps(documents[0]).encode()
    texts = [json.dumps(one) for one in documents]
    if framing == "lines":
        return ("\n".join(texts) + "\n").encode()
    end, before = "\n", ""
    if style == "CRLF":
        end = "\r\n"
    elif style == "CR":
        end = "\r"
    elif style == "comments":
        before = f": keep-alive{end}{end}:{end}"
    elif style == "ids":
        before = f"id: 7{end}retry: 10{end}"
    blocks = []
    for one, text in zip(documents, texts, strict=True):
        name = f"event: {one['type']}{end}" if form in ("anthropic", "responses", "cohere") else ""
        blocks.append(f"{before}{name}data:{'' if style == 'tight' else ' '}{text}{end}{end}")
    if form == "openai" and style != "without [DONE]":
        blocks.append(f"{before}data: [DONE]{end}{end}")
    return (("\ufeff" if style == "BOM" else "") + "".join(blocks)).encode()


def whole(documents: list[object], form: str, record: Record) -> bool:
    """Whether documents are one good reply, which can be written anew."""
    kinds = [one.get("type") for one in documents if isinstance(one, dict)]
    if form == "anthropic" and record["streaming"]:
        return kinds.count("message_stop") == 1
    if form == "responses":
        return not record["streaming"] or kinds.count("response.completed") == 1
    if form == "converse":
        return not record["streaming"]
    return not any(one.get("error") for one in documents)


def samples(form: str, recordings, events_of, rng: random.Random) -> Iterator[tuple[Assigned, Record, list[object]]]:
    """Some recorded replies of a form, and their documents."""
    names, operation = SOURCES[form]
    for name in names:
        records = [record for record in recordings(name, operation) if record["status"] == 200]
        rng.shuffle(records)
        good = (
            (whose, record, documents)
            for record in records
            if (whose := assigned(record)) is not None and whose.form == form
            for documents in [list(documents_of(record, body_of(record), events_of))]
            if whole(documents, form, record)
        )
        yield from islice(good, EACH)


@pytest.mark.parametrize("form", SOURCES)
def test_what_is_said_is_the_same(form, recordings, events_of):
    """With fields that nobody knows, with nulls, with counts of another kind, in any style of an event stream."""
    rng = random.Random(form)
    count, wrong = 0, []
    for whose, record, documents in samples(form, recordings, events_of, rng):
        call, streamed = call_for(record, whose), bool(record["streaming"])
        framing = whose.provider.open_stream(call).framing if streamed else ""
        styles = [(style, None, style) for style in STYLES] if framing == "sse" else []
        for name, change, style in [*((name, change, "") for name, change in VARIATIONS.items()), *styles]:
            changed = copy.deepcopy(documents)
            if change is not None:
                change(changed, form)
            body = body_from(changed, form, framing, style)
            if streamed:
                events = events_at_random_cuts(whose.provider.open_stream(call), body, rng)
                reply = events if form == "responses" else accumulate(events)
            else:
                reply = whose.provider.decode(call, body)
            raw, typed = FORMS[form](copy.deepcopy(documents), reply, streamed)
            if form == "responses" and streamed:
                raw, typed = raw["whole"], typed["whole"]
            count += 1
            wrong += [(record["id"], name, one, raw[one], typed[one]) for one in SAID[form] if raw[one] != typed[one]]
    assert not wrong
    assert count >= 50

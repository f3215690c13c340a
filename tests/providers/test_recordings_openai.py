"""Every recorded exchange of OpenAI's chat wire decodes without loss."""

import json
from collections.abc import Iterable, Mapping

import pytest

from liter._errors import LlmError
from liter._http import Headers
from liter.providers import OpenAI
from liter.types import ChatCompletionRequest, ChatCompletionResponse, ListModelsRequest, accumulate

# The native form of Ollama (/api/chat) is not among them.
OPENAI_PATHS = ("/chat/completions", "/v1/chat", "/openai")

# Recordings that cannot be what they say, by id, with the reason.
EXCEPTIONS: Mapping[str, str] = {
    "df5eef632793644399f8": "the recorder left a quotation mark after the last event",
}

IMITATORS = (
    "ai21", "alibaba", "azure", "baseten", "cerebras", "cloudflare", "databricks", "deepseek", "doubleword",
    "fireworks", "gemini", "gpustack", "groq", "heroku", "huggingface", "hyperbolic", "llamacpp", "local", "mistral",
    "mistralrs", "moonshot", "nebius", "novita", "ollama", "openrouter", "perplexity", "pollinations", "portkey",
    "sambanova", "snowflake", "together", "venice", "vercel", "writer", "xai", "xiaomi", "zai",
)  # fmt: skip


def text_of(content: object) -> str:
    """The text of a raw message's content."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content)
    return content or ""


def reasoning_of(message: Mapping[str, object]) -> str:
    """The reasoning of a raw message."""
    told = message.get("reasoning_content") or message.get("reasoning") or ""
    content = message.get("content")
    if not told and isinstance(content, list):
        told = "".join(piece.get("text", "") for part in content for piece in part.get("thinking") or ())
    return told


def usage_of(body: Mapping[str, object]) -> tuple[int, int, int] | None:
    """Prompt, completion and cached tokens of a raw body."""
    usage = body.get("usage")
    if not usage:
        return None
    completion = usage.get("completion_tokens") or 0
    prompt = usage.get("prompt_tokens") or 0
    reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    if reasoning and usage.get("total_tokens") == prompt + completion + reasoning:
        completion += reasoning
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    return (
        prompt,
        completion,
        cached
        or next(
            (
                usage[name]
                for name in ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens")
                if usage.get(name)
            ),
            0,
        ),
    )


def raw_reply(body: Mapping[str, object]) -> dict[int, dict[str, object]]:
    """What a raw body says, by choice."""
    return {
        choice.get("index", 0): {
            "text": text_of(choice["message"].get("content")),
            "refusal": choice["message"].get("refusal") or "",
            "reasoning": reasoning_of(choice["message"]),
            "calls": [
                (call["function"]["name"], call["function"]["arguments"])
                if call.get("function")
                else (call["custom"]["name"], call["custom"]["input"])
                for call in choice["message"].get("tool_calls") or ()
            ],
            "finish": choice.get("finish_reason"),
            "annotations": len(choice["message"].get("annotations") or ()),
            "logprobs": len((choice.get("logprobs") or {}).get("content") or ())
            if isinstance(choice.get("logprobs"), dict | None)
            else 0,
        }
        for choice in body["choices"]
    }


def raw_stream(bodies: Iterable[Mapping[str, object]]) -> dict[int, dict[str, object]]:
    """What a raw stream says, by choice."""
    said: dict[int, dict[str, object]] = {}
    for body in bodies:
        for choice in body.get("choices") or ():
            empty = {
                "text": "",
                "refusal": "",
                "reasoning": "",
                "calls": {},
                "finish": None,
                "annotations": 0,
                "logprobs": 0,
            }
            one = said.setdefault(choice.get("index", 0), empty)
            delta = choice.get("delta") or {}
            one["text"] += text_of(delta.get("content"))
            one["refusal"] += delta.get("refusal") or ""
            one["reasoning"] += reasoning_of(delta)
            for call in delta.get("tool_calls") or ():
                part = call.get("function") or call.get("custom")
                key = (call.get("index"), None)
                if (
                    call.get("id")
                    and part.get("name")
                    and key in one["calls"]
                    and one["calls"][key]["id"] != call["id"]
                ):
                    key = (call.get("index"), call["id"])
                entry = one["calls"].setdefault(key, {"id": call.get("id"), "name": "", "arguments": ""})
                entry["name"] = entry["name"] or part.get("name") or ""
                entry["arguments"] += part.get("arguments") or part.get("input") or ""
            one["finish"] = choice.get("finish_reason") or one["finish"]
            one["annotations"] += len(delta.get("annotations") or ())
            one["logprobs"] += len((choice.get("logprobs") or {}).get("content") or ())
    for one in said.values():
        one["calls"] = [(entry["name"], entry["arguments"]) for entry in one["calls"].values()]
    return said


def typed_reply(reply: ChatCompletionResponse) -> dict[int, dict[str, object]]:
    """What a typed reply says, by choice."""
    return {
        choice.index: {
            "text": choice.message.text,
            "refusal": choice.message.refusal or "",
            "reasoning": choice.message.reasoning_content or "",
            "calls": [
                (call.custom.name, call.custom.input) if call.custom else (call.function.name, call.function.arguments)
                for call in choice.message.tool_calls or ()
            ],
            "finish": choice.finish_reason,
            "annotations": len(choice.message.annotations or ()),
            "logprobs": len((choice.logprobs and choice.logprobs.content) or ()),
        }
        for choice in reply.choices
    }


def difference(said: dict[int, dict[str, object]], read: dict[int, dict[str, object]]) -> str:
    """Where the typed reply differs from what the raw one says."""
    for one in said.values():
        if one["finish"] == "stop" and one["calls"]:
            one["finish"] = "tool_calls"
        one["finish"] = {"eos": "stop", "eos_token": "stop", "model_length": "length", "tool_call": "tool_calls"}.get(
            one["finish"], one["finish"]
        )
    return " ".join(
        f"{index}.{name}: {said.get(index, {}).get(name)!r} != {read.get(index, {}).get(name)!r}"
        for index in said.keys() | read.keys()
        for name in ("text", "refusal", "reasoning", "calls", "finish", "annotations", "logprobs")
        if said.get(index, {}).get(name) != read.get(index, {}).get(name)
    )


def typed_usage(reply: ChatCompletionResponse) -> tuple[int, int, int] | None:
    """Prompt, completion and cached tokens of a typed reply."""
    if reply.usage is None:
        return None
    details = reply.usage.prompt_tokens_details
    return reply.usage.prompt_tokens, reply.usage.completion_tokens, (details and details.cached_tokens) or 0


def check(record, events_of, call_of) -> str | None:
    """Decode one recorded exchange; what is wrong with the outcome, or None."""
    provider = OpenAI(name=record["provider"])
    body = (record["response_body"] or "").encode()
    model = (record["request_body"] or {}).get("model") if isinstance(record["request_body"], dict) else None
    call = call_of(ChatCompletionRequest(model=model or "m", messages=[{"role": "user", "content": "x"}]))
    if record["status"] >= 400:
        error = provider.error(call, record["status"], Headers(), body)
        told = json.loads(body)["error"] if body.startswith(b'{"error":{') else {}
        if not isinstance(error, LlmError) or (
            told.get("message") and told["message"].strip()[:900] not in error.message
        ):
            return f"error: {error!r}"
        return None
    if not record["streaming"]:
        raw = json.loads(body)
        try:
            reply = provider.decode(call, body)
        except LlmError as error:
            return None if raw.get("error") else f"raised: {error!r}"
        if wrong := difference(raw_reply(raw), typed_reply(reply)):
            return wrong
        return None if usage_of(raw) == typed_usage(reply) else f"usage: {usage_of(raw)} != {typed_usage(reply)}"
    decoder = provider.open_stream(call)
    chunks, raws = [], []
    try:
        for event in events_of(body.decode()):
            if event.data.strip() != b"[DONE]":
                raws.append(json.loads(event.data))
            chunks += decoder.feed(event)
        chunks += decoder.end()
    except LlmError as error:
        return None if raws and raws[-1].get("error") else f"raised: {error!r}"
    reply = accumulate(chunks)
    if wrong := difference(raw_stream(raws), typed_reply(reply)):
        return wrong
    usages = [usage for raw in raws if (usage := usage_of(raw))]
    told = usages[-1] if usages else None
    return (
        None
        if told == typed_usage(reply) == typed_usage(accumulate(chunks))
        else f"usage: {told} != {typed_usage(reply)}"
    )


@pytest.mark.parametrize("provider", ["openai", *IMITATORS])
def test_every_recorded_chat_decodes_without_loss(provider, recordings, events_of, call_of):
    """Text, calls, reasoning, finish reasons, usage and errors are what a plain reading of the body finds."""
    wrong, count = {}, 0
    for record in recordings(provider, "chat"):
        if not record["path"].endswith(OPENAI_PATHS) or record["id"] in EXCEPTIONS:
            continue
        count += 1
        told = check(record, events_of, call_of)
        if told is not None:
            wrong[record["id"]] = told[:600]
    assert not wrong
    assert count


def test_every_recorded_list_of_models_decodes(recordings, call_of):
    """Ids of all models are read, with or without an object around the list."""
    provider = OpenAI()
    for name in ("openai", "cerebras", "deepseek", "groq", "llamacpp", "mistral", "ollama", "openrouter", "together"):
        for record in recordings(name, "models"):
            call = call_of(ListModelsRequest(), operation="list_models")
            body = record["response_body"].encode()
            if record["status"] != 200:
                assert isinstance(provider.error(call, record["status"], Headers(), body), LlmError)
            elif record["path"].endswith("/models"):
                told = json.loads(body)
                ids = [model["id"] for model in (told if isinstance(told, list) else told["data"])]
                assert [model.id for model in provider.decode(call, body).data] == ids

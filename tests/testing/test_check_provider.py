"""The kit for codecs: liter's own pass, and whoever breaks a rule is told which."""

import json
import socket
from collections.abc import Sequence

import pytest

from liter import InternalError
from liter._http import Headers, HttpRequest
from liter.providers import Anthropic, Bedrock, Cohere, Gemini, Mistral, OpenAI, Vertex, known_providers
from liter.providers._openai_stream import ChatStreamDecoder
from liter.testing import ProviderConformanceError, WireSample, check_provider
from liter.transport._eventstream import EventHeader, EventMessage, encode_message

NONE = Headers()
TEXT = "In the hills, mostly; für Flüsse gilt: 川."
PARTS = ["In the hills", ", mostly; für Flüs", "se gilt: 川."]


def sse(*events: object, named: bool = False) -> bytes:
    """Events as they come over the wire."""
    return "".join(
        (f"event: {event['type']}\n" if named and isinstance(event, dict) else "")
        + f"data: {event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)}\n\n"
        for event in events
    ).encode()


def openai_chunk(delta: object, finish: str | None = None) -> dict[str, object]:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


USAGE = {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12}
OPENAI = WireSample(
    reply=json.dumps(
        {
            "id": "c",
            "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
            "usage": USAGE,
        }
    ).encode(),
    stream=sse(
        openai_chunk({"role": "assistant"}),
        *(openai_chunk({"content": part}) for part in PARTS),
        openai_chunk({}, "stop"),
        {"id": "c", "choices": [], "usage": USAGE},
        "[DONE]",
    ),
    text=TEXT,
)
ANTHROPIC_USAGE = {"input_tokens": 3, "output_tokens": 9}
ANTHROPIC_MESSAGE = {"id": "m", "type": "message", "role": "assistant", "model": "m", "usage": ANTHROPIC_USAGE}
ANTHROPIC = WireSample(
    reply=json.dumps(
        {**ANTHROPIC_MESSAGE, "content": [{"type": "text", "text": TEXT}], "stop_reason": "end_turn"}
    ).encode(),
    stream=sse(
        {"type": "message_start", "message": {**ANTHROPIC_MESSAGE, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": part}} for part in PARTS),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
        named=True,
    ),
    text=TEXT,
)


def gemini_part(text: str, **candidate: object) -> dict[str, object]:
    content = {"role": "model", "parts": [{"text": text}]}
    return {
        "candidates": [{"index": 0, "content": content, **candidate}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 9, "totalTokenCount": 12},
        "modelVersion": "m",
        "responseId": "r",
    }


GEMINI = WireSample(
    reply=json.dumps(gemini_part(TEXT, finishReason="STOP")).encode(),
    stream=sse(*map(gemini_part, PARTS[:2]), gemini_part(PARTS[2], finishReason="STOP")),
    text=TEXT,
)
COHERE_USAGE = {
    "billed_units": {"input_tokens": 3, "output_tokens": 9},
    "tokens": {"input_tokens": 3, "output_tokens": 9},
}
COHERE = WireSample(
    reply=json.dumps(
        {
            "id": "c",
            "finish_reason": "COMPLETE",
            "message": {"role": "assistant", "content": [{"type": "text", "text": TEXT}]},
            "usage": COHERE_USAGE,
        }
    ).encode(),
    stream=sse(
        {"type": "message-start", "id": "c", "delta": {"message": {"role": "assistant", "content": []}}},
        {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
        *({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": part}}}} for part in PARTS),
        {"type": "content-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": COHERE_USAGE}},
        named=True,
    ),
    text=TEXT,
)


OLLAMA_COUNTS = {"done_reason": "stop", "prompt_eval_count": 3, "eval_count": 9}


def ollama(text: str, *, done: bool = False) -> bytes:
    """A line of Ollama's own stream."""
    told = {"model": "m", "message": {"role": "assistant", "content": text}, "done": done}
    return json.dumps({**told, **(OLLAMA_COUNTS if done else {})}, ensure_ascii=False).encode() + b"\n"


OLLAMA = WireSample(
    reply=ollama(TEXT, done=True),
    stream=b"".join([*map(ollama, PARTS), ollama("", done=True)]),
    text=TEXT,
    error=b'{"error": "No such model."}',
)


def converse(*events: tuple[str, object]) -> bytes:
    """Events of ConverseStream, in their framing."""
    return b"".join(
        encode_message(
            EventMessage(
                headers=tuple(
                    EventHeader(name=name, type="string", value=value)
                    for name, value in (
                        (":event-type", kind),
                        (":content-type", "application/json"),
                        (":message-type", "event"),
                    )
                ),
                payload=json.dumps(payload).encode(),
            )
        )
        for kind, payload in events
    )


BEDROCK_USAGE = {"inputTokens": 3, "outputTokens": 9, "totalTokens": 12}
BEDROCK = WireSample(
    reply=json.dumps(
        {
            "output": {"message": {"role": "assistant", "content": [{"text": TEXT}]}},
            "stopReason": "end_turn",
            "usage": BEDROCK_USAGE,
        }
    ).encode(),
    stream=converse(
        ("messageStart", {"role": "assistant"}),
        *(("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": part}}) for part in PARTS),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": BEDROCK_USAGE, "metrics": {"latencyMs": 1}}),
    ),
    text=TEXT,
    error=b'{"message": "No such model."}',
)


@pytest.mark.parametrize(
    ("provider", "sample"),
    [
        (OpenAI(), OPENAI),
        (Anthropic(), ANTHROPIC),
        (Mistral(), OPENAI),
        (Gemini(), GEMINI),
        (Vertex(), GEMINI),
        (Cohere(), COHERE),
        (Bedrock(), BEDROCK),
        (known_providers()["groq"], OPENAI),
        (known_providers()["deepseek"], OPENAI),
        (known_providers()["publicai"], OPENAI),
        (known_providers()["assemblyai"], OPENAI),
        (known_providers()["azure"], OPENAI),
        (known_providers()["azure-ai"], OPENAI),
        (known_providers()["azure-anthropic"], ANTHROPIC),
        (known_providers()["github-copilot"], OPENAI),
        (known_providers()["ollama-native"], OLLAMA),
        (known_providers()["perplexity"], OPENAI),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_liters_own_codecs_pass(provider, sample: WireSample) -> None:
    """Each protocol, and imitators with habits of their own."""
    for seed in range(2):
        check_provider(provider, sample, seed=seed)


class KeyInPath(OpenAI, frozen=True, kw_only=True):
    def encode(self, call):
        made = super().encode(call)
        key = call.route.api_key
        return HttpRequest(
            method="POST",
            base_url=made.base_url,
            path=f"/chat?key={key.reveal() if key else ''}",
            headers=made.headers,
            body=made.body,
        )


class OtherAddress(OpenAI, frozen=True, kw_only=True):
    def encode(self, call):
        made = super().encode(call)
        return HttpRequest(
            method="POST", base_url="https://elsewhere.example", path="/", headers=made.headers, body=made.body
        )


class OwnHeaders(OpenAI, frozen=True, kw_only=True):
    def encode(self, call):
        made = super().encode(call)
        return HttpRequest(
            method="POST",
            base_url=made.base_url,
            path=made.path,
            headers=tuple(pair for pair in made.headers if pair[0] != b"x-mine"),
            body=made.body,
        )


class Talkative(OpenAI, frozen=True, kw_only=True):
    def encode(self, call):
        socket.getaddrinfo("localhost", 1)
        return super().encode(call)


class Shortened(OpenAI, frozen=True, kw_only=True):
    def decode(self, call, body, headers=NONE):
        return super().decode(call, body.replace(TEXT[:5].encode(), b""), headers)


class Fragile(OpenAI, frozen=True, kw_only=True):
    def decode(self, call, body, headers=NONE):
        json.loads(body)
        return super().decode(call, body, headers)


class Forgetful(ChatStreamDecoder):
    def end(self) -> Sequence[object]:
        self.done = True
        return ()


class NeverCut(OpenAI, frozen=True, kw_only=True):
    def open_stream(self, call):
        return Forgetful(self.name, call.route.model)


class OneError(OpenAI, frozen=True, kw_only=True):
    def error(self, call, status, headers, body):
        return InternalError("something", provider=self.name)


class NoWait(OpenAI, frozen=True, kw_only=True):
    def error(self, call, status, headers, body):
        return super().error(call, status, Headers(), body)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (KeyInPath, "the key belongs into a header only"),
        (OtherAddress, "must go to the call's base_url"),
        (OwnHeaders, "the caller's headers must be sent"),
        (Talkative, "a codec does no I/O, but there was socket.getaddrinfo"),
        (Shortened, "must read all of the text"),
        (Fragile, "damaged bytes must raise LlmError and nothing else"),
        (NeverCut, "end must raise StreamingError"),
        (OneError, "status 401 is AuthenticationError, not InternalError"),
        (NoWait, "must tell the wait of retry-after"),
    ],
)
def test_a_broken_rule_is_told(broken: type[OpenAI], told: str) -> None:
    """Each of these codecs breaks one rule."""
    with pytest.raises(ProviderConformanceError, match=told):
        check_provider(broken(), OPENAI)


def test_nothing_is_watched_afterwards() -> None:
    """The look for I/O ends with the check."""
    with pytest.raises(ProviderConformanceError):
        check_provider(Talkative(), OPENAI)
    assert socket.getaddrinfo("127.0.0.1", 1)

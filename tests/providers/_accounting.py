"""Which codec an exchange belongs to, and what is in its body: one accounting over all recorded traffic."""

import base64
import json
import random
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from urllib.parse import unquote, urlsplit

import msgspec

from liter._body import is_json
from liter._contract import Call, Route
from liter._errors import LlmError
from liter._http import Headers, ServerSentEvent
from liter._secret import Secret
from liter.providers import Cohere, Gemini, OpenAI, Provider, known_providers
from liter.types import (
    ChatCompletionRequest,
    CompletionRequest,
    CreateResponseRequest,
    DeleteResponseRequest,
    EmbeddingRequest,
    RetrieveResponseRequest,
    accumulate,
)

from . import _converse, _gemini_replies, _messages, test_ollama
from . import test_recordings_cohere as _cohere
from . import test_recordings_openai as _openai
from . import test_recordings_responses as _responses
from ._replay import events_at_random_cuts

Record = Mapping[str, object]

# Operations, as recordings name them, that make text or vectors.
OPERATIONS = frozenset(
    {"chat", "responses", "messages", "generate_content", "converse", "invoke", "embeddings", "completion"}
)

# The end of a path, and which of liter's operations is asked for there, in which form.
_PATHS: tuple[tuple[str, str, str], ...] = (
    (r"/v2/chat", "chat", "cohere"),
    (r"/api/chat", "chat", "ollama"),
    (r"/chat/completions|api\.writer\.com/v1/chat|text\.pollinations\.ai/openai", "chat", "openai"),
    (r"/fim/completions", "completions", "fim"),
    (r"/messages|/publishers/anthropic/models/[^/]*:(?:streamR|r)awPredict", "chat", "anthropic"),
    (r":(?:g|streamG)enerateContent", "chat", "gemini"),
    (r"/model/[^/]+/converse(?:-stream)?", "chat", "converse"),
    (r"/model/[^/]*anthropic\.[^/]+/invoke(?:-with-response-stream)?", "chat", "anthropic"),
    (r"/model/[^/]*nova-(?:lite|micro|pro|premier)[^/]*/invoke(?:-with-response-stream)?", "chat", "converse"),
    (r"/responses", "create_response", "responses"),
    (r"/embeddings|/embed|:(?:batchE|e)mbedContents?|:predict", "embed", "vectors"),
    (r"/model/[^/]*embed[^/]*/invoke|/models/[^/]+/[^/]*embed[^/]*", "embed", "vectors"),
    (r"/completions", "completions", "completions"),
)
_REQUESTS = {
    "chat": ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "x"}]),
    "create_response": CreateResponseRequest(model="m", input="x"),
    "embed": EmbeddingRequest(model="m", input=["x"]),
    "completions": CompletionRequest(model="m", prompt="x"),
    "delete_response": DeleteResponseRequest(response_id="r"),
    "retrieve_response": RetrieveResponseRequest(response_id="r"),
}


class Assigned(msgspec.Struct, frozen=True):
    """The codec of an exchange, liter's operation, and the form of what is said."""

    provider: Provider
    operation: str
    form: str


@cache
def _addresses() -> list[tuple[re.Pattern[str], str]]:
    """Where each provider of the registry lives, the longest address first: local servers are told by their path."""
    places = []
    for name, provider in known_providers().items():
        url = urlsplit(provider.base_url)
        if re.search(r"\w\.\w", re.sub(r"\{\w+\}", "", url.netloc)):
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(url.netloc + url.path))
            places.append((len(provider.base_url), re.compile(pattern + "(?:/|$)"), name))
    return [(pattern, name) for _, pattern, name in sorted(places, key=lambda place: -place[0])]


def provider_of(record: Record, form: str) -> Provider:
    """The codec of the registry for an exchange's host and path."""
    place = f"{record['host']}{record['path']}".replace("//", "/")
    known = known_providers()
    if "openai.azure.com" in place or ("/openai/" in place and ".azure.com" in place):
        return known["azure"]
    if ".services.ai.azure.com" in place:
        return known["azure-anthropic" if "/anthropic/" in place else "azure-ai"]
    if "aiplatform.googleapis.com" in place:
        return known["vertex-anthropic" if "/anthropic/" in place else "vertex"]
    if "bedrock-runtime" in place:
        return known["bedrock"]
    if form == "ollama":
        return known["ollama-native"]
    if place.startswith("api.cohere.") and "/compatibility/" not in place:
        return known["cohere"]
    if place.startswith("api-inference.huggingface.co/"):
        return known["huggingface"]
    found = next((known[name] for pattern, name in _addresses() if pattern.match(place)), None)
    # Their interfaces that are compatible with OpenAI's.
    compatible = form in ("openai", "completions", "responses") and isinstance(found, Gemini | Cohere)
    return OpenAI(name=str(record["provider"])) if found is None or compatible else found


def assigned(record: Record) -> Assigned | None:
    """The codec of an exchange; ``None``: liter has no operation for what was asked there."""
    place = f"{record['host']}{record['path']}".replace("//", "/").rstrip("/")
    if re.search(r"/responses/resp_\w+$", place):
        operation = "delete_response" if record["method"] == "DELETE" else "retrieve_response"
        return Assigned(
            provider_of(record, "responses"), operation, "deletion" if record["method"] == "DELETE" else "responses"
        )
    for ending, operation, form in _PATHS:
        if re.search(f"(?:{ending})$", place):
            return Assigned(provider_of(record, form), operation, form)
    return None


def call_for(record: Record, whose: Assigned) -> Call[object]:
    """A call whose reply is decoded."""
    asked = record["request_body"] if isinstance(record["request_body"], dict) else {}
    model = str(asked.get("model") or "m")
    if in_path := re.search(r"/models?/([^/:]+(?::\d+)?)", unquote(str(record["path"]))):
        model = in_path.group(1)
    if "/invoke" in str(record["path"]) and whose.operation == "chat":
        model = f"invoke/{model}"
    route = Route(
        provider=whose.provider.name, model=model, base_url=f"https://{record['host']}", api_key=Secret("sk-test")
    )
    return Call(
        operation=whose.operation, request=_REQUESTS[whose.operation], route=route, stream=bool(record["streaming"])
    )


def body_of(record: Record) -> bytes:
    """The raw body."""
    body = str(record["response_body"] or "")
    return base64.b64decode(body) if record["response_body_encoding"] == "base64" else body.encode()


def refused(record: Record, provider: Provider) -> str:
    """Classify an answer that is no success: what is wrong with that."""
    whose = Assigned(provider, "chat", "")
    headers = Headers((name.encode(), str(value).encode()) for name, value in record["response_headers"].items())
    error = provider.error(call_for(record, whose), record["status"], headers, body_of(record))
    return "" if isinstance(error, LlmError) and error.status == record["status"] and error.message else repr(error)


def lost(record: Record, whose: Assigned, events_of: Callable[[str], list[ServerSentEvent]], rng: random.Random) -> str:
    """Decode an exchange, a stream at random cuts: what of it is lost; empty when nothing is."""
    call, body = call_for(record, whose), body_of(record)
    headers = Headers((name.encode(), str(value).encode()) for name, value in record["response_headers"].items())
    try:
        if record["streaming"]:
            decoder = whose.provider.open_stream(call)
            plain = decoder.framing == "sse" and is_json(body)
            events = decoder.whole(body) if plain else events_at_random_cuts(decoder, body, rng)
            reply = accumulate(events) if whose.operation == "chat" else events
        else:
            reply = whose.provider.decode(call, body, headers)
    except LlmError as error:
        try:
            *_, told = documents_of(record, body, events_of)
        except json.JSONDecodeError:
            told = {}
        places = (told, told.get("response") or {}, told.get("delta") or {})
        failed = any(place.get("error") or place.get("type") == "error" for place in places)
        return "" if failed else f"raised {error!r}"
    documents = list(documents_of(record, body, events_of))
    raw, typed = FORMS[whose.form](documents, reply, bool(record["streaming"]))
    return "" if raw == typed else _where(raw, typed)


def _where(raw: object, typed: object) -> str:
    if isinstance(raw, dict) and isinstance(typed, dict):
        return "; ".join(
            f"{name}: {raw.get(name)!r:.200} != {typed.get(name)!r:.200}"
            for name in raw.keys() | typed.keys()
            if raw.get(name) != typed.get(name)
        )
    return f"{raw!r:.300} != {typed!r:.300}"


def documents_of(record: Record, body: bytes, events_of: Callable[[str], list[ServerSentEvent]]) -> Iterator[object]:
    """The JSON documents of a body: of each event, of each line, of each message, or one."""
    if b":event-type" in body[:200] or b":exception-type" in body[:200]:
        for _, name, payload in _converse.messages_of(body):
            yield json.loads(base64.b64decode(payload["bytes"])) if name == "chunk" else {**payload, "_type": name}
    elif not record["streaming"]:
        yield json.loads(body)
    elif body.lstrip()[:1] == b"{":
        yield from map(json.loads, body.splitlines())
    elif body.lstrip()[:1] == b"[":
        yield from json.loads(body)
    elif re.search(rb"[gG]enerateContent$", str(record["path"]).encode()):
        yield from _gemini_replies.documents_of(body.decode())
    else:
        for event in events_of(body.decode()):
            if event.data.strip() not in (b"[DONE]", b""):
                yield json.loads(event.data)


Compared = tuple[object, object]


def _of_openai(documents: list[Record], reply: object, streamed: bool) -> Compared:
    raw = _openai.raw_stream(documents) if streamed else _openai.raw_reply(documents[0])
    usages = [usage for one in documents if (usage := _openai.usage_of(one))]
    wrong = _openai.difference(raw, _openai.typed_reply(reply))
    return {"usage": usages[-1] if usages else None, "wrong": ""}, {"usage": _openai.typed_usage(reply), "wrong": wrong}


def _of_anthropic(documents: list[Record], reply: object, streamed: bool) -> Compared:
    # Some recorders put the streams of several messages one after the other: the first is decoded.
    ends = [index for index, one in enumerate(documents) if one["type"] == "message_stop"] if streamed else []
    whole = _messages.raw_blocks(documents[: ends[0] + 1] if ends else documents) if streamed else documents[0]
    raw, typed = _messages.said(whole), _messages.read(reply)
    if typed["model"] != raw["model"]:
        del raw["model"], typed["model"]  # Bedrock's names of models are told in the path
    return raw, typed


def _of_gemini(documents: list[Record], reply: object, streamed: bool) -> Compared:
    return _gemini_replies.said(documents), _gemini_replies.read(reply)


def _of_converse(documents: list[Record], reply: object, streamed: bool) -> Compared:
    # By InvokeModel, the name of an event is its only field.
    events = ((one.pop("_type"), one) if "_type" in one else next(iter(one.items())) for one in documents)
    raw = _converse.whole_of_events(events) if streamed else documents[0]
    return _converse.said(raw), _converse.read(reply)


def _of_cohere(documents: list[Record], reply: object, streamed: bool) -> Compared:
    return _cohere.said(_cohere.joined(documents) if streamed else documents[0]), _cohere.read(reply)


def _of_ollama(documents: list[Record], reply: object, streamed: bool) -> Compared:
    raw = test_ollama.said(test_ollama.joined(documents) if streamed else documents[0])
    return raw, test_ollama.read(reply)


def _of_responses(documents: list[Record], reply: object, streamed: bool) -> Compared:
    if not streamed:
        return _responses.said(documents[0]), _responses.heard(reply)
    ends = [index for index, one in enumerate(documents) if one.get("type") == "response.completed"]
    documents = documents[: ends[0] + 1] if ends else documents
    kinds = [one.get("type") for one in documents], [event.type for event in reply]
    deltas = (
        "".join(one["delta"] for one in documents if one.get("type") == "response.output_text.delta"),
        "".join(event.delta for event in reply if event.type == "response.output_text.delta"),
    )
    whole = _responses.said(documents[-1]["response"]), _responses.heard(reply[-1].response)
    return (
        {"whole": whole[0], "kinds": kinds[0], "deltas": deltas[0]},
        {"whole": whole[1], "kinds": kinds[1], "deltas": deltas[1]},
    )


def _numbers(told: object) -> list[float]:
    if isinstance(told, str):
        raw = base64.b64decode(told)
        return list(struct.unpack(f"<{len(raw) // 4}f", raw))
    return told


def _vectors(told: object) -> Iterable[list[float]]:
    """All vectors in a document, wherever they stand: the longest runs of numbers."""
    if isinstance(told, list) and len(told) > 1 and all(type(number) in (int, float) for number in told):
        yield told
    elif isinstance(told, list):
        for one in told:
            yield from _vectors(one)
    elif isinstance(told, dict):
        if isinstance(told.get("embedding"), str):
            yield _numbers(told["embedding"])
        elif isinstance(told.get("embeddings"), dict):
            kinds = told["embeddings"]
            yield from _vectors(kinds.get("values") or kinds.get("float") or next(iter(kinds.values())))
        else:
            for name in ("embedding", "embeddings", "data", "predictions", "values", "float"):
                if name in told:
                    yield from _vectors(told[name])


def _of_vectors(documents: list[Record], reply: object, streamed: bool) -> Compared:
    return list(_vectors(documents[0])), [list(one.embedding) for one in reply.data]


def _of_fim(documents: list[Record], reply: object, streamed: bool) -> Compared:
    """Mistral's fill-in-the-middle answers in the form of a chat."""
    choices = [choice for one in documents for choice in one["choices"]]
    texts = [(choice.get("message") or choice.get("delta"))["content"] or "" for choice in choices]
    pieces = reply if streamed else [reply]
    usages = [one["usage"]["total_tokens"] for one in documents if one.get("usage")]
    return ("".join(texts), usages[-1:]), (
        "".join(choice.text for piece in pieces for choice in piece.choices),
        [piece.usage.total_tokens for piece in pieces if piece.usage][-1:],
    )


def _of_completions(documents: list[Record], reply: object, streamed: bool) -> Compared:
    choices = [choice for one in documents for choice in one.get("choices") or ()]
    pieces = reply if streamed else [reply]
    read = [choice for piece in pieces for choice in piece.choices]
    usages = [one["usage"]["total_tokens"] for one in documents if one.get("usage")]
    told = [piece.usage.total_tokens for piece in pieces if piece.usage]
    return (
        {
            "text": [(choice.get("text") or "", choice.get("finish_reason")) for choice in choices],
            "usage": usages[-1:],
        },
        {"text": [(choice.text, choice.finish_reason) for choice in read], "usage": told[-1:]},
    )


FORMS: Mapping[str, Callable[[list[Record], object, bool], Compared]] = {
    "openai": _of_openai,
    "anthropic": _of_anthropic,
    "gemini": _of_gemini,
    "converse": _of_converse,
    "cohere": _of_cohere,
    "ollama": _of_ollama,
    "responses": _of_responses,
    "vectors": _of_vectors,
    "completions": _of_completions,
    "fim": _of_fim,
    "deletion": lambda documents, reply, streamed: (documents[0]["id"], reply.id),
}

"""Whatever a stream says in every protocol, in whatever pieces and order, is said by what is decoded of it."""

import json
from collections.abc import Callable, Mapping
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter._contract import Call, Route
from liter._http import EventHeader, EventMessage
from liter._secret import Secret
from liter.providers import known_providers
from liter.transport._eventstream import encode_message
from liter.types import ChatCompletionRequest, CreateResponseRequest, accumulate

from ._replay import events_at_random_cuts

Event = dict[str, object]
Said = tuple[str, str, list[tuple[str, str, str]]]

CHAT = ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "x"}])


def call_of(provider: str, operation: str = "chat") -> Call[object]:
    """A streamed call."""
    request = CHAT if operation == "chat" else CreateResponseRequest(model="m", input="x")
    route = Route(provider=provider, model="m", base_url="https://h.example", api_key=Secret("sk"))
    return Call(operation=operation, request=request, route=route, stream=True)


def pieces(text: str, rng: Random) -> list[str]:
    """A text in pieces, some of them empty."""
    cuts = sorted(rng.randint(0, len(text)) for _ in range(rng.randint(0, 4)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def woven(streams: list[list[Event]], rng: Random) -> list[Event]:
    """Streams in one, each in its own order."""
    rest, told = [list(stream) for stream in streams if stream], []
    while rest:
        stream = rng.choice(rest)
        told.append(stream.pop(0))
        rest = [one for one in rest if one]
    return told


def openai(said: Said, rng: Random) -> list[Event]:
    text, reasoning, calls = said

    def chunk(delta: object, **more: object) -> Event:
        return {"id": "i", "choices": [{"index": 0, "delta": delta, "finish_reason": None, **more}]}

    told = [{"choices": [], "prompt_filter_results": []}, chunk({"role": "assistant", "content": None})]
    told += [chunk({"reasoning_content": piece}) for piece in pieces(reasoning, rng)]
    told += [chunk({"content": piece}) for piece in pieces(text, rng)]
    opened = []
    for index, (name, call_id, arguments) in enumerate(calls):
        begun = {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
        opened.append(
            [
                chunk({"tool_calls": [begun]}),
                *(
                    chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
                    for piece in pieces(arguments, rng)
                ),
            ]
        )
    return [*told, *woven(opened, rng), chunk({}, finish_reason="stop"), {"choices": [], "usage": None}]


def anthropic(said: Said, rng: Random) -> list[Event]:
    text, reasoning, calls = said
    usage = {"input_tokens": 1, "output_tokens": 1}
    told: list[Event] = [{"type": "message_start", "message": {"id": "i", "content": [], "usage": usage}}]

    def block(index: int, begun: Event, deltas: list[Event]) -> list[Event]:
        return [
            {"type": "content_block_start", "index": index, "content_block": begun},
            *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": index},
        ]

    thoughts = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(reasoning, rng)]
    told += block(0, {"type": "thinking", "thinking": ""}, [*thoughts, {"type": "signature_delta", "signature": ""}])
    told += block(
        1, {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces(text, rng)]
    )
    told += woven(
        [
            block(
                index,
                {"type": "tool_use", "id": call_id, "name": name, "input": {}},
                [{"type": "input_json_delta", "partial_json": piece} for piece in pieces(arguments, rng)],
            )
            for index, (name, call_id, arguments) in enumerate(calls, 2)
        ],
        rng,
    )
    return [*told, {"type": "message_delta", "delta": {"stop_reason": "tool_use"}}, {"type": "message_stop"}]


def gemini(said: Said, rng: Random) -> list[Event]:
    text, reasoning, calls = said
    parts: list[Event] = [{"text": piece, "thought": True} for piece in pieces(reasoning, rng)]
    parts += [{"text": piece} for piece in pieces(text, rng)]
    parts += [
        {"functionCall": {"id": call_id, "name": name, "args": json.loads(arguments)}}
        for name, call_id, arguments in calls
    ]
    told: list[Event] = [{"candidates": [{"content": {"role": "model", "parts": [part]}}]} for part in parts]
    return [*told, {"candidates": [{"finishReason": "STOP"}]}, {"usageMetadata": {"promptTokenCount": 1}}]


def converse(said: Said, rng: Random) -> list[Event]:
    text, reasoning, calls = said

    def delta(index: int, what: Event) -> Event:
        return {"type": "contentBlockDelta", "contentBlockIndex": index, "delta": what}

    def stop(index: int) -> Event:
        return {"type": "contentBlockStop", "contentBlockIndex": index}

    told: list[Event] = [{"type": "messageStart", "role": "assistant"}]
    told += [delta(0, {"reasoningContent": {"text": piece}}) for piece in pieces(reasoning, rng)]
    told += [stop(0), *(delta(1, {"text": piece}) for piece in pieces(text, rng)), stop(1)]
    opened = []
    for index, (name, call_id, arguments) in enumerate(calls, 2):
        start = {"toolUse": {"toolUseId": call_id, "name": name}}
        opened.append(
            [
                {"type": "contentBlockStart", "contentBlockIndex": index, "start": start},
                *(delta(index, {"toolUse": {"input": piece}}) for piece in pieces(arguments, rng)),
                stop(index),
            ]
        )
    return [*told, *woven(opened, rng), {"type": "messageStop", "stopReason": "tool_use"}, {"type": "metadata"}]


def cohere(said: Said, rng: Random) -> list[Event]:
    text, reasoning, calls = said

    def event(kind: str, index: int, message: Event) -> Event:
        return {"type": kind, "index": index, "delta": {"message": message}}

    told: list[Event] = [{"type": "message-start", "id": "i", "delta": {"message": {"role": "assistant"}}}]
    for index, (field, whole) in enumerate((("thinking", reasoning), ("text", text))):
        told.append(event("content-start", index, {"content": {"type": field, field: ""}}))
        told += [event("content-delta", index, {"content": {field: piece}}) for piece in pieces(whole, rng)]
        told.append({"type": "content-end", "index": index})
    opened = []
    for index, (name, call_id, arguments) in enumerate(calls):
        begun = {"id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
        opened.append(
            [
                event("tool-call-start", index, {"tool_calls": begun}),
                *(
                    event("tool-call-delta", index, {"tool_calls": {"function": {"arguments": piece}}})
                    for piece in pieces(arguments, rng)
                ),
            ]
        )
    return [*told, *woven(opened, rng), {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}]


def ollama(said: Said, rng: Random) -> list[Event]:
    text, reasoning, calls = said
    messages: list[Event] = [{"content": "", "thinking": piece} for piece in pieces(reasoning, rng)]
    messages += [{"content": piece} for piece in pieces(text, rng)]
    messages += [
        {"content": "", "tool_calls": [{"id": call_id, "function": {"name": name, "arguments": json.loads(arguments)}}]}
        for name, call_id, arguments in calls
    ]
    told: list[Event] = [{"model": "m", "message": message, "done": False} for message in messages]
    return [*told, {"model": "m", "message": {"content": ""}, "done": True, "done_reason": "stop"}]


BUILDERS: Mapping[str, tuple[str, Callable[[Said, Random], list[Event]]]] = {
    "openai": ("openai", openai),
    "groq": ("groq", openai),
    "azure": ("azure", openai),
    "mistral": ("mistral", openai),
    "anthropic": ("anthropic", anthropic),
    "kimi-coding": ("kimi-coding", anthropic),
    "gemini": ("gemini", gemini),
    "bedrock": ("bedrock", converse),
    "cohere": ("cohere", cohere),
    "ollama-native": ("ollama-native", ollama),
}

# Events and lines that nobody has heard of.
NOVEL: Event = {"type": "novel", "novel": [1, {"a": None}], "index": 7}


def written(events: list[Event], framing: str, rng: Random) -> bytes:
    """Events as bytes, with what is of no meaning between them."""
    if framing == "lines":
        return b"".join(json.dumps(event).encode() + rng.choice((b"\n", b"\r\n", b"\n\n")) for event in events)
    if framing == "eventstream":
        messages = []
        for event in events:
            told = dict(event)
            kinds = (":message-type", "event"), (":event-type", str(told.pop("type")))
            headers = tuple(EventHeader(name, "string", value) for name, value in kinds)
            messages.append(encode_message(EventMessage(headers, json.dumps(told).encode())))
        return b"".join(messages)
    end = rng.choice(("\n", "\r\n", "\r"))
    body = rng.choice(("", "\ufeff"))
    for event in events:
        body += rng.choice(("", "", f": keep-alive{end}{end}", f"id: 1{end}"))
        body += f"event: {event['type']}{end}" if "type" in event else ""
        body += f"data:{rng.choice(('', ' '))}{json.dumps(event, ensure_ascii=rng.random() < 0.5)}{end}{end}"
    return body.encode()


def sprinkled(events: list[Event], rng: Random) -> list[Event]:
    """Novel events anywhere but at the end."""
    told = list(events)
    for _ in range(rng.randint(0, 3)):
        told.insert(rng.randrange(len(told)), NOVEL)
    return told


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ARGUMENTS = st.dictionaries(TEXT.filter(bool), TEXT | st.integers(-9, 9) | st.none(), max_size=3)
CALLS = st.lists(st.tuples(st.sampled_from(["f", "g"]), ARGUMENTS), max_size=3)


@pytest.mark.parametrize("name", BUILDERS)
@given(text=TEXT, reasoning=TEXT, made=CALLS, seed=st.integers(0, 1 << 32))
def test_all_that_is_said_comes_out(name: str, text: str, reasoning: str, made, seed: int) -> None:
    """Text, thoughts, and the arguments of calls that are told in turns, at any cuts."""
    rng = Random(seed)
    provider_name, build = BUILDERS[name]
    provider, call = known_providers()[provider_name], call_of(provider_name)
    calls = [(function, f"call_{index}", json.dumps(told)) for index, (function, told) in enumerate(made)]
    decoder = provider.open_stream(call)
    events = build((text, reasoning, calls), rng)
    if decoder.framing != "lines":
        events = sprinkled(events, rng)
    reply = accumulate(events_at_random_cuts(decoder, written(events, decoder.framing, rng), rng))
    message = reply.choices[0].message
    assert message.text == text
    assert (message.reasoning_content or "") == reasoning
    heard = [(one.function.name, one.id, json.loads(one.function.arguments)) for one in message.tool_calls or ()]
    assert sorted(heard, key=lambda one: one[1]) == [
        (function, call_id, json.loads(told)) for function, call_id, told in calls
    ]


@given(text=TEXT, seed=st.integers(0, 1 << 32))
def test_all_events_of_a_response_come_out(text: str, seed: int) -> None:
    """In order, novel ones too, with the same text in deltas and in the whole."""
    rng = Random(seed)
    part = {"type": "output_text", "text": text, "annotations": []}
    response = {
        "id": "r",
        "object": "response",
        "status": "completed",
        "output": [{"type": "message", "content": [part]}],
    }
    events: list[Event] = [{"type": "response.created", "response": {**response, "output": []}}]
    events += [{"type": "response.output_text.delta", "delta": piece} for piece in pieces(text, rng)]
    events = sprinkled([*events, {"type": "response.completed", "response": response}], rng)
    decoder = known_providers()["openai"].open_stream(call_of("openai", "create_response"))
    told = events_at_random_cuts(decoder, written(events, "sse", rng), rng)
    assert [event.type for event in told] == [event["type"] for event in events]
    assert "".join(event.delta or "" for event in told if event.type.endswith("text.delta")) == text
    assert told[-1].response.output_text == text

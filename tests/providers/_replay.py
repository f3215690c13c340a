"""Replays recorded exchanges: streams at random cuts, and bodies that were damaged."""

import copy
import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from liter._contract import Call
from liter._errors import LlmError
from liter._http import Headers
from liter.providers import Provider, StreamDecoder
from liter.transport import framer
from liter.types import ChatCompletionChunk, ChatCompletionResponse, accumulate

T = TypeVar("T")

JUNK = (None, True, 0, -1, 1.5, 10**30, "", "x", "\ud83d\ude00", [], [None], [[]], {}, {"type": "x"}, {"text": 5})


def cut(body: bytes, rng: random.Random) -> Iterator[bytes]:
    """Cut a body at random places."""
    places = sorted(rng.sample(range(len(body) + 1), min(len(body), rng.randint(0, 40))))
    for start, end in zip([0, *places], [*places, len(body)], strict=True):
        yield body[start:end]


def events_at_random_cuts(decoder: StreamDecoder[T], body: bytes, rng: random.Random) -> list[T]:
    """Decode a stream that comes in pieces, as the exchange does; all its events."""
    frames = framer(decoder.framing, 1 << 24)
    events: list[T] = []
    for piece in cut(body, rng):
        for frame in frames.feed(piece):
            if not decoder.done:
                events += decoder.feed(frame)
    for frame in frames.end():
        if not decoder.done:
            events += decoder.feed(frame)
    events += decoder.end()
    return events


def decode_stream(
    decoder: StreamDecoder[ChatCompletionChunk], body: bytes, rng: random.Random
) -> tuple[ChatCompletionResponse, list[ChatCompletionChunk]]:
    """Decode a streamed chat that comes in pieces; the joined reply and its chunks."""
    chunks = events_at_random_cuts(decoder, body, rng)
    return accumulate(chunks), chunks


def damaged(body: str, rng: random.Random) -> bytes:
    """Damage a body: some bytes of it, its length, or values in its JSON."""
    match rng.randrange(4):
        case 0:
            data = bytearray(body.encode())
            for _ in range(rng.randint(1, 8)):
                if data:
                    data[rng.randrange(len(data))] = rng.randrange(256)
            return bytes(data)
        case 1:
            data = body.encode()
            return data[: rng.randrange(len(data) + 1)]
        case _:
            lines = body.split("\n")
            holders = [
                index for index, line in enumerate(lines) if line.removeprefix("data:").strip()[:1] in ("{", "[")
            ]
            for index in rng.sample(holders, min(len(holders), rng.randint(1, 3))):
                prefix = "data: " if lines[index].startswith("data:") else ""
                try:
                    tree = json.loads(lines[index].removeprefix("data:"))
                except json.JSONDecodeError:
                    continue
                lines[index] = prefix + json.dumps(mutated(tree, rng))
            return "\n".join(lines).encode("utf-8", "replace")


def mutated(tree: object, rng: random.Random) -> object:
    """Put junk in place of one node of a JSON tree."""
    tree = copy.deepcopy(tree)
    places: list[tuple[object, object]] = []
    rest = [tree]
    while rest:
        node = rest.pop()
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in items:
            places.append((node, key))
            rest.append(value)
    if not places:
        return rng.choice(JUNK)
    node, key = rng.choice(places)
    if isinstance(node, dict) and rng.random() < 0.3:
        del node[key]
    else:
        node[key] = rng.choice(JUNK)
    return tree


def survive(provider: Provider, call: Call[object], record: Mapping[str, object], rng: random.Random) -> None:
    """Decode a damaged exchange: only an LlmError may come out."""
    body = damaged(record["response_body"] or "", rng)
    try:
        if record["status"] >= 400:
            assert isinstance(provider.error(call, record["status"], Headers(), body), LlmError)
        elif not record["streaming"]:
            provider.decode(call, body, Headers())
        elif rng.random() < 0.1:
            provider.open_stream(call).whole(body)
        else:
            decode_stream(provider.open_stream(call), body, rng)
    except LlmError:
        pass


def differences(raw: Mapping[str, object], typed: Mapping[str, object]) -> dict[str, object]:
    """What two readings of one thing disagree on."""
    return {
        name: (raw.get(name), typed.get(name)) for name in raw.keys() | typed.keys() if raw.get(name) != typed.get(name)
    }


def replay(
    records: Iterator[Mapping[str, object]],
    check: Callable[[Mapping[str, object]], object],
    exceptions: Mapping[str, str],
) -> tuple[int, dict[str, object]]:
    """Check each exchange; how many there were, and what was wrong with which."""
    wrong: dict[str, object] = {}
    count = 0
    for record in records:
        if record["id"] in exceptions:
            continue
        count += 1
        if told := check(record):
            wrong[str(record["id"])] = told
    return count, wrong

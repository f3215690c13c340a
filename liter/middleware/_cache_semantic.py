"""Find the answer to a question that means the same: by its embedding, among those asked in the same scope."""

import hashlib
import math
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from operator import mul
from typing import cast

import anyio
import msgspec

from .._contract import Call
from ..stores import Store
from ..types import ChatCompletionRequest, ContentPart, CreateResponseRequest, TextPart, UserMessage
from ._cache_key import KeyMaker

# Raise it when what an index holds changes its form: older ones are then not found.
_FORM = "liter:cache:near:1:"

# How many of the nearest are looked up: some may have gone from the store before the index.
_CANDIDATES = 3

# How often an index is written anew when another call was faster. After that this one is not in it.
_TRIES = 4

# Single precision has seven digits: in more of them a question would not be quite like itself.
_DIGITS = 6

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[tuple[str, bytes]])


class Semantic(msgspec.Struct, frozen=True):
    """When two questions are alike enough to share an answer.

    The measure is the cosine of the angle between their embeddings. What is a good ``threshold`` depends on the
    embedding model: measure it on questions of your own.

    :param embed: turns a text into its vector, of any length above zero; called once for each call that has no
        exact answer
    :param threshold: least similarity, above 0, at most 1, where 1 is the same direction
    :param entries: how many questions, the newest, are compared with in each scope. All are multiplied out in Python:
        256 of 1536 numbers take about 15 ms, in which the event loop does nothing else
    :param timeout: the most seconds that ``embed`` may take; the call goes on without it. Never beyond the time that
        the call itself has
    :param space: names what ``embed`` does: change it with the embedding model, where a store outlives the change
    :raises ValueError: an argument out of range
    """

    embed: Callable[[str], Awaitable[Sequence[float]]]
    threshold: float = 0.95
    entries: int = 256
    timeout: float = 2.0
    space: str = ""

    def __post_init__(self) -> None:
        if not callable(self.embed):
            raise ValueError(f"embed must be an async function from a text to its vector, not {self.embed!r}")
        if not isinstance(self.threshold, int | float) or not 0 < self.threshold <= 1:
            raise ValueError(f"threshold must be above 0 and at most 1, not {self.threshold!r}")
        if not isinstance(self.entries, int) or self.entries < 1:
            raise ValueError(f"entries must be 1 or more, not {self.entries!r}")
        if not isinstance(self.timeout, int | float) or not 0 < self.timeout < math.inf:
            raise ValueError(f"timeout must be a positive number of seconds, not {self.timeout!r}")


class CacheEmbedFailed(msgspec.Struct, frozen=True, kw_only=True):
    """A question could not be compared with others, and its call goes on without.

    :param call: the call
    :param error: what ``embed`` raised, or what is wrong with what it returned; ``TimeoutError`` if it took too long
    """

    call: Call[object]
    error: Exception


class Question:
    """What one call asks, on its way past the index of its scope.

    :param key: what the exact answer to it is kept under
    :param scope: what the index is kept under: a hash of all of the call but the question's text
    """

    __slots__ = ("_call", "_gone", "_key", "_semantic", "_text", "_vector", "scope")

    def __init__(self, semantic: Semantic, call: Call[object], key: str, scope: str, text: str) -> None:
        self._semantic = semantic
        self._call = call
        self._key = key
        self._text = text
        self._vector: list[float] | None = None
        self._gone = {key}
        self.scope: str = scope

    @classmethod
    def of(cls, semantic: Semantic, keys: KeyMaker, call: Call[object], key: str) -> "Question | None":
        """Take it out of a call; ``None`` when that is no chat and no response, or has no text of a user."""
        request = call.request
        if isinstance(request, ChatCompletionRequest):
            parted = _part_chat(request)
        elif isinstance(request, CreateResponseRequest):
            parted = _part_response(request)
        else:
            return None
        if parted is None or not parted[0]:
            return None
        text, rest = parted
        scope = keys.key(msgspec.structs.replace(call, request=rest))
        if scope is None:
            return None
        digest = hashlib.sha256(f"{scope} {semantic.space}".encode()).hexdigest()
        return cls(semantic, call, key, _FORM + digest, text)

    async def embed(self) -> bool:
        """Find its vector. Returns whether that was possible; the listeners are told if not."""
        began = anyio.current_time()
        try:
            with anyio.CancelScope(deadline=min(began + self._semantic.timeout, self._call.enter_by)):
                self._vector = _unit(await self._semantic.embed(self._text))
                return True
            raise TimeoutError(f"no embedding within {anyio.current_time() - began:.3g} s")
        except Exception as error:  # noqa: BLE001 # whatever a function of the application's raises
            await self._call.notify(CacheEmbedFailed(call=self._call, error=error))
            return False

    def nearest(self, index: bytes | None) -> list[tuple[float, str]]:
        """Find the few that are alike enough, the most similar first: the similarity, and the key of the answer."""
        vector = self._vector
        if vector is None:
            return []
        form = f"<{len(vector)}f"
        size = struct.calcsize(form)
        similar = [
            (round(sum(map(mul, vector, struct.unpack(form, packed)), 0.0), _DIGITS), key)
            for key, packed in _decode(index)
            if len(packed) == size and key not in self._gone
        ]
        return sorted((pair for pair in similar if pair[0] >= self._semantic.threshold), reverse=True)[:_CANDIDATES]

    def forget(self, key: str) -> None:
        """Leave a key that has no answer (any more) out of the index, when it is next written."""
        self._gone.add(key)

    async def enlist(self, store: Store, ttl: float) -> None:
        """Put it into the index of its scope, now that it has an answer.

        :raises StoreError: the store failed
        """
        vector = self._vector
        if vector is None:
            return
        packed = struct.pack(f"<{len(vector)}f", *vector)
        for _ in range(_TRIES):
            before = await store.get(self.scope)
            entries = [entry for entry in _decode(before) if entry[0] not in self._gone]
            entries.append((self._key, packed))
            if await store.swap(self.scope, before, _ENCODER.encode(entries[-self._semantic.entries :]), ttl=ttl):
                return


# The text that is compared, and the request without it.
_Parted = tuple[str, msgspec.Struct]


def _part_chat(request: ChatCompletionRequest) -> _Parted | None:
    messages = list(request.messages)
    for index in reversed(range(len(messages))):
        message = messages[index]
        if isinstance(message, UserMessage):
            content = message.content
            text, rest = (content, "") if isinstance(content, str) else _part_parts(content)
            messages[index] = msgspec.structs.replace(message, content=rest)
            return text, msgspec.structs.replace(request, messages=messages)
    return None


def _part_parts(content: Sequence[ContentPart]) -> tuple[str, Sequence[ContentPart]]:
    """Part the text from all else, pictures included."""
    texts = [part.text for part in content if isinstance(part, TextPart)]
    rest = [msgspec.structs.replace(part, text="") if isinstance(part, TextPart) else part for part in content]
    return "\n".join(texts), rest


def _part_response(request: CreateResponseRequest) -> _Parted | None:
    given = request.input
    if given is None or isinstance(given, str):
        return given or "", msgspec.structs.replace(request, input="")
    items = list(given)
    for index in reversed(range(len(items))):
        item = items[index]
        if item.get("role") == "user":
            content = item.get("content")
            text, rest = (content, "") if isinstance(content, str) else _part_items(content)
            items[index] = {**item, "content": rest}
            return text, msgspec.structs.replace(request, input=items)
    return None


def _part_items(content: object) -> tuple[str, object]:
    """As :func:`_part_parts`, of parts as mappings."""
    if not isinstance(content, list | tuple):
        return "", content
    texts: list[str] = []
    rest: list[object] = []
    for part in cast("Sequence[object]", content):
        fields = _fields(part)
        text = fields.get("text")
        if fields.get("type") == "input_text" and isinstance(text, str):
            texts.append(text)
            fields = {**fields, "text": ""}
        rest.append(fields or part)
    return "\n".join(texts), rest


def _fields(part: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", part) if isinstance(part, Mapping) else {}


def _unit(vector: Sequence[float]) -> list[float]:
    numbers = [float(number) for number in vector]
    length = math.hypot(*numbers)
    if not 0 < length < math.inf:
        raise ValueError(f"embed must return a vector of finite numbers, not all zero; its length is {length}")
    return [number / length for number in numbers]


def _decode(index: bytes | None) -> list[tuple[str, bytes]]:
    """Read an index; what is none has no entries."""
    try:
        return [] if index is None else _DECODER.decode(index)
    except (msgspec.MsgspecError, ValueError):
        return []

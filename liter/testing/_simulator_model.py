"""The model that a simulator pretends to have: what it answers depends on the seed and the request alone."""

import random
from collections.abc import Callable, Mapping, Sequence

import msgspec

from ._simulator_exchange import ReceivedRequest
from ._simulator_json import fitting_json
from ._simulator_text import count_tokens, sentences, tokenize


class ToolCall(msgspec.Struct, frozen=True):
    """A call of a tool. ``arguments`` is JSON text; OpenAI's wire also carries what only looks like it."""

    name: str
    arguments: str


class ModelReply(msgspec.Struct, frozen=True):
    """What the pretended model says: text, what it thought before (if thinking was asked for), calls of tools."""

    text: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


class Generation(msgspec.Struct, frozen=True):
    """One choice as it is sent: a reply within the limits of the request, and why it ended.

    :param stop: ``"stop"``, ``"length"`` or ``"tools"``; ``stop_sequence`` is the one that was met
    """

    reply: ModelReply
    stop: str = "stop"
    stop_sequence: str | None = None

    @property
    def thinking_tokens(self) -> int:
        return count_tokens(self.reply.thinking)

    @property
    def tokens(self) -> int:
        """All tokens of it, thinking included."""
        calls = sum(count_tokens(call.arguments) + 1 for call in self.reply.tool_calls)
        return self.thinking_tokens + count_tokens(self.reply.text) + calls


def limit(reply: ModelReply, max_tokens: int | None, stop_sequences: Sequence[str]) -> Generation:
    """Cut a reply where its request says: at a stop sequence, and after so many tokens of thinking and text.

    Calls of tools are never cut.
    """
    if reply.tool_calls:
        return Generation(reply, "tools")
    text = reply.text
    met = min(((text.find(stop), stop) for stop in stop_sequences if stop and stop in text), default=None)
    if met is not None:
        text = text[: met[0]]
    thinking, tokens = tokenize(reply.thinking), tokenize(text)
    if max_tokens is not None and len(thinking) + len(tokens) > max_tokens:
        thinking = thinking[:max_tokens]
        tokens = tokens[: max_tokens - len(thinking)]
        return Generation(ModelReply("".join(tokens), "".join(thinking)), "length")
    return Generation(ModelReply(text, reply.thinking), "stop", None if met is None else met[1])


class Ask(msgspec.Struct, frozen=True):
    """What a request asks of the model, whichever wire it came by.

    :param prompt: the messages and whatever else the answer should depend on, as text
    :param tool: name of a tool that has to be called
    :param tool_schema: of its arguments
    :param schema: of the text, which then is JSON
    """

    prompt: str
    max_tokens: int | None = None
    stop_sequences: Sequence[str] = ()
    thinking: bool = False
    tool: str | None = None
    tool_schema: Mapping[str, object] = {}
    schema: Mapping[str, object] | None = None


Replier = Callable[[ReceivedRequest], str | ModelReply]


class Model:
    """The pretended model.

    :param reply: what it says, instead of text made up: a string, or a function of the request
    """

    def __init__(self, seed: int, reply: str | ModelReply | Replier | None) -> None:
        self._seed = seed
        self._reply = reply
        self._prefixes: set[str] = set()

    def generate(self, request: ReceivedRequest, ask: Ask, choice: int = 0) -> Generation:
        """Answer a request; ``choice`` tells apart several answers to one."""
        rng = self.random(f"{choice} {ask.prompt}")
        reply = self._reply(request) if callable(self._reply) else self._reply
        if reply is None and ask.tool is not None:
            reply = ModelReply(tool_calls=(ToolCall(ask.tool, fitting_json(rng, ask.tool_schema)),))
        if reply is None:
            reply = sentences(rng, rng.randint(1, 3)) if ask.schema is None else fitting_json(rng, ask.schema)
        if isinstance(reply, str):
            reply = ModelReply(reply)
        if ask.thinking and not reply.thinking:
            reply = msgspec.structs.replace(reply, thinking=sentences(rng, 1))
        if not ask.thinking:
            reply = msgspec.structs.replace(reply, thinking="")
        return limit(reply, ask.max_tokens, ask.stop_sequences)

    def random(self, purpose: str) -> random.Random:
        """Make a source of randomness that depends on the seed and the purpose alone."""
        return random.Random(f"{self._seed} {purpose}")

    def remember(self, prefix: str) -> bool:
        """Keep the beginning of a prompt in the pretended cache. Returns whether it was there."""
        known = prefix in self._prefixes
        self._prefixes.add(prefix)
        return known

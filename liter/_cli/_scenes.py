"""Scenes of unary calls: layers, retries, a limit, another provider's wire, a layer of one's own."""

import inspect
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio

from .._contract import Call, Handler
from .._events import Retrying
from .._reply import Reply
from ..middleware import Concurrency, Hooks
from ..testing import ModelReply, ReceivedRequest, Refuse, ToolCall
from ..types import Message, ToolMessage, UserMessage
from ._stage import MODEL, Stage, sent_header, tokens
from ._terminal import Column, Line, Span
from ._timeline import attempt_columns, attempt_rows, level_line

R = TypeVar("R")

QUESTION = UserMessage(content="What is structured concurrency, in one sentence?")
ANSWER = "Every task has a scope that waits for it, so when the block ends, nothing that it started is still running."


async def layers_seen(stage: Stage) -> None:
    """A unary call, and what its layers saw."""
    seen: list[tuple[float, str, str]] = []

    def note(layer: str, what: str) -> None:
        seen.append((anyio.current_time(), layer, what))

    outside = Hooks(
        on_request=lambda call: note("hooks, outside", f"the call: {call.operation} with {call.route.model}"),
        on_response=lambda call, reply: note("hooks, outside", f"the reply: {tokens(reply)}"),
        on_end=lambda call, reply: note("hooks, outside", "the end: the connection is back in the pool"),
    )
    inside = Hooks(
        on_request=lambda call: note("hooks, inside", f"attempt {call.attempt} goes out"),
        on_response=lambda call, reply: note("hooks, inside", f"status {reply.status}, {len(reply.raw)} bytes"),
    )
    stage.terminal.say("A request passes through layers, outermost first. Outside of Retry a layer sees calls; inside, attempts.")
    async with stage.open(reply=ANSWER, layers=[outside, stage.retry(), inside]) as scene:
        response = await scene.client.chat(model=MODEL, messages=[QUESTION])
        stage.terminal.table(
            [Column("at", right=True), Column("layer"), Column("what it saw")],
            [[f"{1000 * (at - seen[0][0]):.1f} ms", layer, what] for at, layer, what in seen],
        )
        stage.terminal.say([Span(response.text, "accent")])
        stage.check("one request on the wire, one reply, and its tokens are known",
            len(scene.simulator.requests) == len(response.attempts) == 1 and response.usage is not None,
        )


async def refused_twice(stage: Stage) -> None:
    """Refused twice, then served."""
    asked = stage.pace(0.3)
    stage.terminal.say(f"The provider answers 503, then 429 with Retry-After: {asked:g}, and only then the question. Retry waits:")

    def tell(retrying: Retrying) -> None:
        error = retrying.error
        status, name, wait = error.status, type(error).__name__, retrying.wait
        stage.terminal.say([Span(f"{status} {name}", "bad"), Span(f" on attempt {retrying.attempt}: next one in {wait:.2f} s")])

    layers = [Hooks(on_retry=tell), stage.retry()]
    async with stage.open(
        reply=ANSWER, faults=[Refuse(503), Refuse(429, retry_after=asked)], latency=0.06, layers=layers
    ) as scene:
        attempts = (await scene.client.chat(model=MODEL, messages=[QUESTION])).attempts
        stage.terminal.say("response.attempts has the whole story:")
        stage.terminal.table(attempt_columns(attempts), attempt_rows(attempts, stage.terminal.width - 66, unicode=stage.terminal.unicode))
        stage.check(f"three attempts, and the last wait was not shorter than the {asked:g} s asked for",
            [attempt.status for attempt in attempts] == [503, 429, 200] and attempts[2].waited >= asked,
        )
        keys = {sent_header(request, "idempotency-key") for request in scene.simulator.requests}
        stage.check("all three carried the same idempotency key", len(keys) == 1 and "" not in keys)

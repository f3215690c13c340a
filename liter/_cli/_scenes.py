"""Scenes of unary calls: layers, retries, a limit, another provider's wire, a layer of one's own."""

import inspect
import textwrap
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio

from .._contract import Call, Handler, Layer
from .._events import Retrying
from .._reply import Reply
from ..middleware import Concurrency, Hooks
from ..testing import ModelReply, ReceivedRequest, Refuse, ToolCall
from ..types import Message, ToolMessage, UserMessage
from ._stage import MODEL, Stage
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
        on_response=lambda call, reply: note("hooks, outside", f"the reply: {_tokens(reply)}"),
        on_end=lambda call, reply: note("hooks, outside", "the end: the connection is back in the pool"),
    )
    inside = Hooks(
        on_request=lambda call: note("hooks, inside", f"attempt {call.attempt} goes out"),
        on_response=lambda call, reply: note("hooks, inside", f"status {reply.status}, {len(reply.raw)} bytes"),
    )
    stage.terminal.say(
        "The stack is Hooks > Retry > Hooks > Exchange. Outside of Retry a layer sees the call; inside, each attempt."
    )
    async with stage.open(reply=ANSWER, layers=[outside, stage.retry(), inside]) as scene:
        response = await scene.client.chat(model=MODEL, messages=[QUESTION])
        stage.terminal.table(
            [Column("at", right=True), Column("layer"), Column("what it saw")],
            [[f"{1000 * (at - seen[0][0]):.1f} ms", layer, what] for at, layer, what in seen],
        )
        stage.terminal.say([Span(response.text, "accent")])
        stage.check(
            "one request on the wire, one reply, and its tokens are known",
            len(scene.simulator.requests) == len(response.attempts) == 1 and response.usage is not None,
        )


def _tokens(reply: Reply[object]) -> str:
    usage = reply.usage
    return "tokens unknown" if usage is None else f"{usage.prompt_tokens} tokens in, {usage.completion_tokens} out"


async def refused_twice(stage: Stage) -> None:
    """Refused twice, then served."""
    asked = round(stage.pace(0.3), 3)
    stage.terminal.say(
        f"The provider answers 503, then 429 with Retry-After: {asked:g}, and serves the third attempt. Retry waits:"
    )

    def tell(retrying: Retrying) -> None:
        error = retrying.error
        status, name, wait = error.status, type(error).__name__, retrying.wait
        stage.terminal.say(
            [Span(f"{status} {name}", "bad"), Span(f" on attempt {retrying.attempt}: next one in {wait:.2f} s")]
        )

    layers: list[Layer] = [Hooks(on_retry=tell), stage.retry()]
    async with stage.open(
        reply=ANSWER, faults=[Refuse(503), Refuse(429, retry_after=asked)], latency=0.06, layers=layers
    ) as scene:
        attempts = (await scene.client.chat(model=MODEL, messages=[QUESTION])).attempts
        stage.terminal.say("response.attempts has the whole story:")
        stage.terminal.table(
            attempt_columns(attempts), attempt_rows(attempts, stage.terminal.width - 66, unicode=stage.terminal.unicode)
        )
        stage.check(
            f"three attempts, and the last wait was not shorter than the {asked:g} s asked for",
            [attempt.status for attempt in attempts] == [503, 429, 200] and attempts[2].waited >= asked,
        )
        keys = {request.headers.get("idempotency-key", "") for request in scene.simulator.requests}
        stage.check("all three carried the same idempotency key", len(keys) == 1 and "" not in keys)


async def limited(stage: Stage) -> None:
    """Fifty calls at once, eight at a time."""
    calls, limit = 50, 8
    stage.terminal.say(
        f"{calls} tasks call at once through Retry > Concurrency({limit}), and every tenth request is refused. "
        "A permit is held by an attempt on the wire, and by none that waits for its turn to try again."
    )
    faults = [Refuse(503) if number % 10 == 0 else None for number in range(1, calls + 1)]
    answers: list[str] = []
    levels: list[int] = []

    async with stage.open(
        reply=ANSWER, faults=faults, latency=0.1, layers=[stage.retry(), Concurrency(limit)]
    ) as scene:
        simulator = scene.simulator

        async def ask() -> None:
            answers.append((await scene.client.chat(model=MODEL, messages=[QUESTION])).text)

        async def watch() -> None:
            while True:
                levels.append(simulator.in_flight)
                await anyio.sleep(stage.pace(0.025))

        async with anyio.create_task_group() as watching:
            watching.start_soon(watch)
            async with anyio.create_task_group() as asking:
                for _ in range(calls):
                    asking.start_soon(ask)
            watching.cancel_scope.cancel()

        line = level_line(levels[: stage.terminal.width - 40], unicode=stage.terminal.unicode)
        stage.terminal.say([Span("in flight at the provider  "), Span(line, "accent")])
        stage.terminal.table(
            [
                Column(title, right=True)
                for title in ("calls", "answers", "requests", "refused", "most in flight", "connections")
            ],
            [
                [
                    str(calls),
                    str(len(answers)),
                    str(len(simulator.requests)),
                    str(sum(request.fault is not None for request in simulator.requests)),
                    str(simulator.max_in_flight),
                    str(simulator.connections.total),
                ]
            ],
        )
        stage.check(f"all {calls} were answered", answers == [ANSWER] * calls)
        stage.check(
            f"the provider never saw more than {limit} at once, on no more than {limit} connections",
            simulator.max_in_flight == limit and simulator.connections.total <= limit,
        )


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city, now",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def _forecast(request: ReceivedRequest) -> ModelReply:
    if b'"tool_result"' in request.body:
        return ModelReply("It is 21 degrees in Zürich, and sunny.")
    return ModelReply(tool_calls=(ToolCall("get_weather", '{"city": "Zürich"}'),))


async def other_wire(stage: Stage) -> None:
    """The same code on Anthropic's wire, with a tool."""
    stage.terminal.say(
        "The model's name says whose wire it is. Messages, tools and replies keep OpenAI's form on our side of it."
    )
    model = "anthropic/claude-simulated"
    messages: list[Message] = [UserMessage(content="What is the weather in Zürich?")]
    async with stage.open(reply=_forecast) as scene:
        first = await scene.client.chat(model=model, messages=messages, tools=[TOOL], base_url=scene.base_url)
        message = first.choices[0].message
        rows: list[list[Line]] = [["user", "What is the weather in Zürich?"]]
        messages.append(message)
        for call in message.tool_calls or ():
            rows.append(["assistant", [Span(f"{call.function.name}({call.function.arguments})", "accent")]])
            messages.append(ToolMessage(tool_call_id=call.id, content="21 degrees, sunny"))
            rows.append(["tool", "21 degrees, sunny"])
        second = await scene.client.chat(model=model, messages=messages, tools=[TOOL], base_url=scene.base_url)
        rows.append(["assistant", [Span(second.text, "accent")]])
        stage.terminal.table([Column("role"), Column("what was said")], rows)
        requests = scene.simulator.requests
        stage.check(
            f"{len(requests)} requests went to {requests[0].path}, in Anthropic's form",
            all(request.path == "/v1/messages" and "anthropic-version" in request.headers for request in requests),
        )
        stage.check("the tool was called, and its result was understood", second.text == _forecast(requests[1]).text)


async def own_layer(stage: Stage) -> None:
    """A layer of your own."""
    terminal = stage.terminal
    terminal.say("A layer is an async context manager around one reply. This one serves unary calls and streams alike:")
    shown: list[str] = []

    def show(line: str) -> None:
        shown.append(line)
        terminal.say([Span(line, "bold")])

    @asynccontextmanager
    async def log(call: Call[R], call_next: Handler) -> AsyncGenerator[Reply[R]]:
        began = anyio.current_time()
        async with call_next(call) as reply:
            show(f"entered after {anyio.current_time() - began:.2f} s")
            yield reply
        show(f"closed  after {anyio.current_time() - began:.2f} s")

    terminal.code(textwrap.dedent(inspect.getsource(log)).rstrip())
    async with stage.open(reply=ANSWER, layers=[stage.retry(), log]) as scene:
        terminal.say("chat():")
        await scene.client.chat(model=MODEL, messages=[QUESTION])
        terminal.say("chat_stream():")
        async for chunk in await scene.client.chat_stream(model=MODEL, messages=[QUESTION]):
            terminal.flow(chunk.text)
    stage.check("it was entered and closed twice", len(shown) == 4)

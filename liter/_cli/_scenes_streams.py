"""Scenes of streams: read to the end, cut by the provider, left by the consumer."""

import anyio

from .._errors import StreamingError
from ..testing import CloseAfterEvents
from ..types import ChatCompletionResponse, UserMessage
from ._stage import MODEL, Stage, UnexpectedError
from ._terminal import Column, Span

QUESTION = UserMessage(content="What does a stream owe its reader?")
ANSWER = (
    "Each word as soon as it is there; the truth about how it ended, whether all of it came or not; "
    "and when the reader leaves, a closed connection, so that nobody pays for words that nobody reads."
)


async def streamed(stage: Stage) -> None:
    """A stream, as it arrives."""
    terminal = stage.terminal
    async with stage.open(reply=ANSWER, event_latency=0.025) as scene:
        began = anyio.current_time()
        stream = await scene.client.chat_stream(model=MODEL, messages=[QUESTION])
        entered = anyio.current_time()
        text = ""
        async for chunk in stream:
            text += chunk.text
            terminal.flow(chunk.text)
        ended = anyio.current_time()
        terminal.end_flow()
        response, usage = stream.response(), stream.usage
        terminal.table(
            [
                Column(title, right=True)
                for title in ("first event", "the rest", "tokens in", "tokens out", "finish reason")
            ],
            [
                [
                    f"{entered - began:.2f} s",
                    f"{ended - entered:.2f} s",
                    "unknown" if usage is None else str(usage.prompt_tokens),
                    "unknown" if usage is None else str(usage.completion_tokens),
                    response.choices[0].finish_reason or "unknown",
                ]
            ],
        )
        stage.check("the chunks, joined, are the whole answer", text == response.text == ANSWER)
        await scene.client.chat(model=MODEL, messages=[QUESTION])
        stage.check("the next call went out on the same connection", scene.simulator.connections.total == 1)


async def cut(stage: Stage) -> None:
    """A stream that the provider cuts."""
    terminal = stage.terminal
    terminal.say("The connection closes in the middle. A cut stream never looks like a short answer:")
    async with stage.open(reply=ANSWER, faults=[CloseAfterEvents(12)]) as scene:
        shown = ""
        error: StreamingError | None = None
        try:
            async for chunk in await scene.client.chat_stream(model=MODEL, messages=[QUESTION]):
                shown += chunk.text
                terminal.flow(chunk.text)
        except StreamingError as raised:
            error = raised
        if error is None:
            raise UnexpectedError("demo: the stream was cut, and no StreamingError was raised")
        terminal.say([Span(f"StreamingError: {error.message}", "bad")])
        stage.check(
            "error.partial holds what had come, to the last word",
            isinstance(error.partial, ChatCompletionResponse) and error.partial.text == shown != "",
        )
        stage.check("it was not tried again: no word is shown twice", len(scene.simulator.requests) == 1)


async def left_early(stage: Stage) -> None:
    """A stream that the reader leaves."""
    terminal = stage.terminal
    terminal.say("Leaving the block closes the connection, and the provider stops generating:")
    async with stage.open(reply=ANSWER) as scene:
        words = 0
        async with await scene.client.chat_stream(model=MODEL, messages=[QUESTION]) as stream:
            async for chunk in stream:
                terminal.flow(chunk.text)
                words += bool(chunk.text)
                if words == 9:
                    break
        terminal.end_flow()
        simulator = scene.simulator
        request = simulator.requests[0]
        with anyio.move_on_after(5):
            while simulator.connections.open:  # noqa: ASYNC110 # counters are no events
                await anyio.sleep(0.001)
        generated = request.generated
        # Time for several more words, if any were to come.
        await anyio.sleep(stage.pace(0.2))
        terminal.table(
            [Column("the provider's side"), Column("", right=True)],
            [
                ["outcome", [Span(request.outcome, "accent")]],
                ["bytes generated", str(request.generated)],
                [
                    "bytes generated after the reader left",
                    str(simulator.bytes_after_disconnect + request.generated - generated),
                ],
                ["connections open", str(simulator.connections.open)],
            ],
        )
        stage.check(
            "nothing was generated for nobody", simulator.bytes_after_disconnect == 0 and request.generated == generated
        )
        stage.check("the connection is closed", simulator.connections.open == 0 and request.outcome == "client left")

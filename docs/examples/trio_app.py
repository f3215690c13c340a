"""Ask several models the same question, listen to the one that speaks first, and hang up on the others.

Takes the key in OPENAI_API_KEY, or else brings its own provider: ``python docs/examples/trio_app.py "a question"``
"""

import os
import sys

import trio

from liter import LlmClient, LlmError
from liter.testing import Simulator

MODELS = ["gpt-4o", "gpt-4o-mini", "gpt-4.1-mini"]
KEY = os.environ.get("OPENAI_API_KEY")


async def speak(client: LlmClient, model: str, question: str, contest: list[trio.CancelScope]) -> None:
    with trio.CancelScope() as mine:
        contest.append(mine)
        try:
            # Entered means that the first words are in, so whoever comes here first has won.
            async with await client.chat_stream(
                model=model, messages=[{"role": "user", "content": question}]
            ) as stream:
                if mine.cancel_called:
                    return
                for other in contest:
                    if other is not mine:
                        other.cancel()
                async for chunk in stream:
                    print(*(choice.delta.content or "" for choice in chunk.choices), sep="", end="", flush=True)
            print(f"\n[{model}, {stream.usage.completion_tokens if stream.usage else 'an unknown number of'} tokens]")
        except LlmError as error:
            print(f"[{error}]")


async def main(question: str) -> None:
    async with (
        Simulator(latency=0.2, event_latency=0.05).serve_memory() as network,
        LlmClient(api_key=KEY or "sk-any", network_backend=None if KEY else network) as client,
    ):
        with trio.move_on_after(20) as limit:
            contest: list[trio.CancelScope] = []
            async with trio.open_nursery() as nursery:
                for model in MODELS:
                    nursery.start_soon(speak, client, model, question, contest)
        if limit.cancelled_caught:
            print("\n[not done within 20 seconds]")


if __name__ == "__main__":
    trio.run(main, " ".join(sys.argv[1:]) or "Where do rivers begin?")

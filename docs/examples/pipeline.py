"""A pipeline of your own: a conversation that is too long is summed up by a cheap model before a good one answers it.

Takes the key in OPENAI_API_KEY, or else brings its own provider, which is overloaded now and then:
``python docs/examples/pipeline.py``
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
import msgspec

from liter import Call, ChatCompletionRequest, Handler, Layer, LlmClient, Reply, SystemMessage
from liter.middleware import Cache, Concurrency, CostTracking, Hooks, Retry
from liter.testing import Refuse, Simulator

KEY = os.environ.get("OPENAI_API_KEY")
R = TypeVar("R")


class SummedUp(msgspec.Struct, frozen=True):
    """Told to the call's listeners: so many messages became one, for so many tokens."""

    call: Call[object]
    messages: int
    tokens: int


class SumUp(msgspec.Struct, frozen=True):
    """Replace all but the last ``keep`` messages by a summary that another client's model writes.

    The other client has layers of its own, so that a summary is cached, and its retries are not this call's.
    """

    client: LlmClient
    model: str
    keep: int = 4

    @asynccontextmanager
    async def __call__(self, call: Call[R], call_next: Handler) -> AsyncIterator[Reply[R]]:
        request = call.request
        if isinstance(request, ChatCompletionRequest) and len(request.messages) > self.keep + 1:
            old, recent = request.conversation[: -self.keep], request.conversation[-self.keep :]
            instruction = SystemMessage(content="Sum up this conversation in three sentences.")
            summary = await self.client.chat(model=self.model, messages=[*old, instruction])
            so_far = SystemMessage(content=f"The conversation so far, summed up: {summary.text}")
            call = msgspec.structs.replace(call, request=msgspec.structs.replace(request, messages=[so_far, *recent]))
            used = summary.usage.total_tokens if summary.usage else 0
            await call.notify(SummedUp(call=call, messages=len(old), tokens=used))
        async with call_next(call) as reply:
            yield reply


def tell(event: object) -> None:
    if isinstance(event, SummedUp):
        print(f"[{event.messages} messages summed up, {event.tokens} tokens]")


async def main() -> None:
    provider = Simulator(fault_rate=0.2, fault_kinds=[Refuse(503)], seed=3)
    async with (
        provider.serve_memory() as network,
        LlmClient(
            api_key=KEY or "sk-any",
            network_backend=None if KEY else network,
            middleware=[CostTracking(), Cache(ttl=3600), Retry(), Concurrency(4)],
        ) as cheap,
    ):
        listen = Hooks(on_request=lambda call: msgspec.structs.replace(call, listeners=(*call.listeners, tell)))
        pipeline: list[Layer] = [listen, CostTracking(), SumUp(cheap, "gpt-4o-mini"), Retry()]
        async with LlmClient(
            api_key=KEY or "sk-any", network_backend=None if KEY else network, middleware=pipeline
        ) as good:
            print(good.explain())
            messages: list[dict[str, object]] = []
            for turn in range(1, 6):
                messages.append({"role": "user", "content": f"Question {turn}: and the river after that one?"})
                reply = await good.chat(model="gpt-4.1", messages=messages)
                messages.append({"role": "assistant", "content": reply.text})
                used = reply.usage.total_tokens if reply.usage else None
                print(f"turn {turn}: {used} tokens, {'?' if reply.cost is None else f'{float(reply.cost):.6f}'} USD")


if __name__ == "__main__":
    anyio.run(main)

"""Put many questions at once, at most four of them on the wire at a time, all within a minute.

Takes the key in OPENAI_API_KEY, or else brings its own provider, which is overloaded now and then:
``python docs/examples/asyncio_app.py``
"""

import asyncio
import os

from liter import Layer, LlmClient, LlmError
from liter.middleware import Concurrency, Hooks, Retry, Retrying
from liter.testing import Refuse, Simulator

RIVERS = ["Rhine", "Nile", "Danube", "Amazon", "Ganges", "Volga", "Yukon", "Congo", "Tagus", "Indus"]
KEY = os.environ.get("OPENAI_API_KEY")


def tell(retrying: Retrying) -> None:
    print(f"[attempt {retrying.attempt} was refused, the next one in {retrying.wait:.1f} s]")


async def source_of(client: LlmClient, river: str) -> int:
    question = f"Where does the {river} begin? One sentence."
    try:
        reply = await client.chat(model="gpt-4o-mini", messages=[{"role": "user", "content": question}])
    except LlmError as error:
        print(f"{river}: {error}")
        return 0
    print(f"{river}: {reply.choices[0].message.content}")
    return reply.usage.total_tokens if reply.usage else 0


async def main() -> None:
    layers: list[Layer] = [Hooks(on_retry=tell), Retry(), Concurrency(4)]
    provider = Simulator(latency=0.1, fault_rate=0.2, fault_kinds=[Refuse(503)])
    async with (
        provider.serve_memory() as network,
        LlmClient(api_key=KEY or "sk-any", network_backend=None if KEY else network, middleware=layers) as client,
        asyncio.timeout(60),
        asyncio.TaskGroup() as tasks,
    ):
        asked = [tasks.create_task(source_of(client, river)) for river in RIVERS]
    print(f"{sum(task.result() for task in asked)} tokens")


if __name__ == "__main__":
    asyncio.run(main())

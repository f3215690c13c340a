"""A client of a simulator."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from liter import LlmClient
from liter.middleware import Retry
from liter.testing import Simulator


@asynccontextmanager
async def serving(simulator: Simulator, **options: object) -> AsyncIterator[LlmClient]:
    """A client of the simulator, in memory. It tries again soon, unless the options of the client say otherwise."""
    given = {"api_key": "sk-any", "middleware": [Retry(initial=0.1)], **options}
    async with (
        simulator.serve_memory() as network,
        LlmClient(network_backend=network, **given) as client,
    ):
        yield client

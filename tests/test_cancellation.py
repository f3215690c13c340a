"""Cancellation at every checkpoint leaves no connection, task or permit: unary and stream, HTTP/1.1 and HTTP/2."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

from liter import LlmClient
from liter.middleware import Concurrency, Hooks, Retry
from liter.testing import Refuse, Simulator

from ._cancel_at import CancelAt

pytestmark = pytest.mark.anyio

HI = [{"role": "user", "content": "hi"}]


async def whole(client: LlmClient) -> None:
    await client.chat(model="gpt-simulated", messages=HI)


async def streamed(client: LlmClient) -> None:
    async for _ in await client.chat_stream(model="gpt-simulated", messages=HI):
        pass


async def left_early(client: LlmClient) -> None:
    async with await client.chat_stream(model="gpt-simulated", messages=HI) as stream:
        async for _ in stream:
            break


async def bare_break(client: LlmClient) -> None:
    stream = await client.chat_stream(model="gpt-simulated", messages=HI)
    try:
        async for _ in stream:
            break
    finally:
        await stream.aclose()


@pytest.mark.parametrize("http2", [False, True], ids=["http11", "http2"])
@pytest.mark.parametrize("call", [whole, streamed, left_early, bare_break])
async def test_cancel_at_every_checkpoint(call: Callable[[LlmClient], Awaitable[None]], http2: bool) -> None:
    """For every k: cancel at the k-th checkpoint; then nothing is open, and the next call goes through."""
    ended: list[bool] = []
    concurrency = Concurrency(1)
    simulator = Simulator(reply="one two three four five six seven eight", event_latency=0.01, latency=0.01)
    base = "https://simulator/v1" if http2 else "http://simulator/v1"
    layers = [concurrency, Hooks(on_end=lambda call, reply: ended.append(reply.finished)), Retry(max_retries=1)]
    async with simulator.serve_memory(http2=http2) as network:
        k = 0
        while True:
            k += 1
            async with LlmClient(
                network_backend=network, base_url=base, api_key="sk", http2=http2, middleware=layers, max_connections=1
            ) as client:
                tried = CancelAt(call(client), k)
                await tried
                pool = client._transport.pool()
                assert pool.open_connections == pool.idle_connections or http2, f"cancelled at {k}"
                with anyio.fail_after(5):
                    await whole(client)
                    await streamed(client)
                await anyio.wait_all_tasks_blocked()
                assert simulator.in_flight == 0, f"cancelled at {k}"
            if tried.waited < k:
                break
        assert k > 4
        await anyio.wait_all_tasks_blocked()
    assert simulator.connections.open == 0
    assert simulator.requests[0].http_version == ("2" if http2 else "1.1")


@pytest.mark.parametrize("http2", [False, True], ids=["http11", "http2"])
async def test_cancelled_calls_do_not_disturb_others(http2: bool) -> None:
    """While one call is cancelled at every point, another on the same client streams to its end."""
    simulator = Simulator(reply="one two three four five six", event_latency=0.05)
    base = "https://simulator/v1" if http2 else "http://simulator/v1"
    async with (
        simulator.serve_memory(http2=http2) as network,
        LlmClient(network_backend=network, base_url=base, api_key="sk", http2=http2) as client,
    ):
        for k in range(1, 25):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(streamed, client)
                await CancelAt(streamed(client), k)


async def test_retry_waits_can_be_cancelled() -> None:
    """A call that sleeps between two attempts leaves at once."""
    simulator = Simulator(faults=[Refuse(503, retry_after=50)])
    async with (
        simulator.serve_memory() as network,
        LlmClient(network_backend=network, api_key="sk", timeout=100) as client,
    ):
        began = anyio.current_time()
        with anyio.move_on_after(3):
            await whole(client)
        assert anyio.current_time() - began == pytest.approx(3, abs=0.01)
        assert client._transport.pool().open_connections == client._transport.pool().idle_connections

"""``RateLimit`` with a provider on the other side of a wire, which enforces a limit of its own."""

import anyio
import pytest

from liter import LlmClient, RateLimitedError
from liter.middleware import RateLimit, Retry
from liter.testing import RequestLimit, Simulator, VirtualTimeLoop

from .._serving import serving

QUESTION = {"model": "gpt-4o", "messages": [{"role": "user", "content": "?"}]}
CALLERS, HOUR, PER_MINUTE = 2000, 3600.0, 200


# One loop: with the other one as well this would be the slowest test of all. What it shows of loops, shorter ones show.
@pytest.mark.anyio
@pytest.mark.timeout(300)  # ten seconds of computing, on a machine that may have other things to do
@pytest.mark.parametrize("anyio_backend", [("asyncio", {"loop_factory": VirtualTimeLoop})], ids=["asyncio"])
async def test_two_thousand_callers_for_an_hour() -> None:
    """Paced by headers, 2,000 callers get 97 % of what the simulator allows, evenly, and no refusal."""
    limit = RequestLimit(PER_MINUTE)
    counts = [0] * CALLERS
    async with serving(
        Simulator(reply="Yes.", limit=limit, latency=1.0),
        timeout=2 * HOUR,
        max_connections=CALLERS,
        middleware=[RateLimit(adaptive=True)],
    ) as client:

        async def caller(number: int) -> None:
            while True:
                await client.chat(**QUESTION)
                counts[number] += 1

        with anyio.move_on_after(HOUR):
            async with anyio.create_task_group() as tasks:
                for number in range(CALLERS):
                    tasks.start_soon(caller, number)
    assert limit.refused == 0
    assert sum(counts) >= 0.97 * PER_MINUTE * 60
    # Jain's index of fairness: 1 is even.
    assert sum(counts) ** 2 / (CALLERS * sum(count**2 for count in counts)) > 0.99


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_a_refusal_on_the_wire_teaches_the_limit(stream: bool) -> None:
    """A provider whose limit was used up by others refuses one request, says so in headers, and no second one."""
    limit = RequestLimit(30)
    async with (
        Simulator(reply="Yes.", limit=limit).serve_memory() as network,
        LlmClient(api_key="sk-test", network_backend=network, middleware=[]) as others,
        LlmClient(
            api_key="sk-test", network_backend=network, timeout=600, middleware=[Retry(), RateLimit(adaptive=True)]
        ) as paced,
    ):
        for _ in range(30):
            await others.chat(**QUESTION)
        for _ in range(5):
            if stream:
                async for _ in await paced.chat_stream(**QUESTION):
                    pass
            else:
                await paced.chat(**QUESTION)
    assert (limit.served, limit.refused) == (35, 1)


@pytest.mark.anyio
async def test_the_simulator_keeps_its_limit() -> None:
    """Without pacing the simulator refuses what is too much, with the exact wait."""
    limit = RequestLimit(60)
    async with serving(Simulator(reply="Yes.", limit=limit), middleware=[]) as client:
        for _ in range(60):
            await client.chat(**QUESTION)
        with pytest.raises(RateLimitedError) as raised:
            await client.chat(**QUESTION)
        assert raised.value.retry_after == pytest.approx(1.0)
        assert raised.value.headers["x-ratelimit-remaining-requests"] == "0"
        await anyio.sleep(raised.value.retry_after)
        await client.chat(**QUESTION)
    assert (limit.served, limit.refused) == (61, 1)


def test_bad_input() -> None:
    """A limit that lets nothing through is refused."""
    with pytest.raises(ValueError, match="per_minute must be 1 or more requests"):
        RequestLimit(0)

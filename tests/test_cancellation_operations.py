"""Cancellation at every checkpoint of uploads, downloads, lists and maps: nothing is left, and nothing is lost."""

from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from liter import LlmClient
from liter._download import part_of
from liter.middleware import Concurrency, Retry
from liter.testing import MemoryNetwork, Simulator

from ._cancel_at import CancelAt

pytestmark = pytest.mark.anyio

BIG = bytes(range(256)) * 1024  # more than a connection's buffers hold, and four pieces of an answer
CHATS = [{"model": "m", "messages": [{"role": "user", "content": f"{number}"}]} for number in range(6)]

Call = Callable[[LlmClient], Awaitable[None]]


async def upload(client: LlmClient) -> None:
    """A file from memory."""
    await client.create_file(file=BIG, filename="big.bin")


async def content(client: LlmClient) -> None:
    """A file's content, piece by piece."""
    stream = await client.file_content_stream(file_id=await the_file(client))
    assert b"".join([piece async for piece in stream]) == BIG


async def content_left_early(client: LlmClient) -> None:
    """Its first piece."""
    async with await client.file_content_stream(file_id=await the_file(client)) as stream:
        await anext(stream)


async def walk(client: LlmClient) -> None:
    """A list, page by page."""
    assert len([file async for file in client.list_files(limit=2, order="asc")]) >= 5


async def map_in_a_block(client: LlmClient) -> None:
    """As many calls at once as connections are too few for."""
    async with client.map(CHATS, concurrency=3) as results:
        assert len([result async for result in results]) == len(CHATS)


async def map_in_order(client: LlmClient) -> None:
    """The same by a bare loop, in the order of the requests."""
    indices = [result.index async for result in client.map(CHATS, concurrency=3, ordered=True)]
    assert indices == list(range(len(CHATS)))


async def race(client: LlmClient) -> None:
    """The first of two."""
    await client.race(["a", "b"], messages=CHATS[0]["messages"])


async def the_file(client: LlmClient) -> str:
    """The id of the first file that was kept."""
    return (await client.list_files(limit=1, order="asc")).data[0].id


async def cancel_at_each(
    call: Call, network: MemoryNetwork, simulator: Simulator, then: Call | None = None, *, http2: bool = False
) -> None:
    """For every k: cancel the call at its k-th checkpoint; see that nothing is open, and that the client still works.

    :param then: is called with the client after each
    """
    base = "https://simulator/v1" if http2 else "http://simulator/v1"
    k = 0
    while True:
        k += 1
        layers = [Concurrency(3), Retry(max_retries=1)]
        async with LlmClient(
            network_backend=network, base_url=base, api_key="sk", http2=http2, middleware=layers, max_connections=2
        ) as client:
            tried = CancelAt(call(client), k)
            await tried
            pool = client._transport.pool()
            assert pool.open_connections == pool.idle_connections or http2, f"cancelled at {k}"
            with anyio.fail_after(20):
                if then is not None:
                    await then(client)
                await client.chat(**CHATS[0])
                while simulator.in_flight:
                    await checkpoint()
        if tried.waited < k:
            break
    assert k > 1
    with anyio.fail_after(20):
        while simulator.connections.open:
            await checkpoint()


@pytest.mark.parametrize("http2", [False, True], ids=["http11", "http2"])
@pytest.mark.parametrize(
    "call",
    [upload, content, content_left_early, walk, map_in_a_block, map_in_order, race],
    ids=lambda call: call.__name__,
)
async def test_nothing_is_left(call: Call, http2: bool) -> None:
    """For every k: cancelled at the k-th checkpoint, no connection, call or task is left, and the next call works."""
    simulator = Simulator(latency=0.01)
    async with simulator.serve_memory(http2=http2, buffer_size=16 * 1024) as network:
        async with LlmClient(network_backend=network, api_key="sk", base_url="http://simulator/v1") as client:
            await upload(client)
            for number in range(4):
                await client.create_file(file=b"{}", filename=f"{number}.txt")
        await cancel_at_each(call, network, simulator, http2=http2)


@pytest.mark.realtime
async def test_an_upload_from_the_disk_closes_its_file(tmp_path: Path) -> None:
    """For every k: pytest would complain of a file that was left open."""
    path = tmp_path / "big.bin"
    path.write_bytes(BIG)

    async def from_disk(client: LlmClient) -> None:
        await client.create_file(file=path)

    simulator = Simulator()
    async with simulator.serve_memory(buffer_size=16 * 1024) as network:
        await cancel_at_each(from_disk, network, simulator, from_disk)


@pytest.mark.realtime
async def test_a_download_goes_on_from_where_it_was_cancelled(tmp_path: Path) -> None:
    """For every k: the next try has the whole of it, and asks for what is not there yet."""
    simulator = Simulator()
    async with simulator.serve_memory(buffer_size=16 * 1024) as network:
        async with LlmClient(network_backend=network, api_key="sk", base_url="http://simulator/v1") as client:
            await upload(client)
            file_id = await the_file(client)
        target = tmp_path / "out.bin"
        part = part_of(target, file_id, "openai")

        async def to_disk(client: LlmClient) -> None:
            await client.download_file(file_id, target)

        async def go_on(client: LlmClient) -> None:
            if not target.exists():
                size = part.stat().st_size if part.exists() else 0
                assert not size or part.read_bytes() == BIG[:size]
                await client.download_file(file_id, target)
                if 0 < size < len(BIG):
                    assert simulator.requests[-1].headers["range"] == f"bytes={size}-"
                    resumed.append(size)
            assert target.read_bytes() == BIG
            target.unlink()
            part.unlink(missing_ok=True)

        resumed: list[int] = []
        await cancel_at_each(to_disk, network, simulator, go_on)
        assert resumed


@pytest.mark.realtime
@pytest.mark.parametrize("ordered", [False, True], ids=["as they come", "ordered"])
async def test_a_map_goes_on_from_where_it_was_cancelled(tmp_path: Path, ordered: bool) -> None:
    """For every k: what was handed out comes from the checkpoint, the rest is asked once more, and each has one."""
    path = tmp_path / "run.jsonl"
    simulator = Simulator()
    handed: set[int] = set()

    async def with_checkpoint(client: LlmClient) -> None:
        handed.clear()
        async with client.map(CHATS, concurrency=3, checkpoint=path, ordered=ordered) as results:
            async for result in results:
                handed.add(result.index)

    async def go_on(client: LlmClient) -> None:
        before = len(simulator.requests)
        async with client.map(CHATS, checkpoint=path, progress=False) as results:
            again = [result async for result in results]
        assert Counter(result.index for result in again) == Counter(range(len(CHATS)))
        restored = {result.index for result in again if result.restored}
        assert handed <= restored
        assert len(simulator.requests) - before == len(CHATS) - len(restored)
        path.unlink()

    async with simulator.serve_memory() as network:
        await cancel_at_each(with_checkpoint, network, simulator, go_on)

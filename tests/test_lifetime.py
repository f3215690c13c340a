"""Clients and streams that are shared, dropped, or outlive their loop: no warning, no socket, no task behind."""

import asyncio
import gc
import threading
import warnings

import anyio
import pytest

from liter import ChatStream, LlmClient
from liter.middleware import Concurrency
from liter.testing import Simulator, StallAfterEvents

from ._serving import serving

HI = [{"role": "user", "content": "hi"}]
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


async def ask(client: LlmClient) -> None:
    await client.chat(model="gpt-simulated", messages=HI)


async def open_stream(client: LlmClient) -> ChatStream:
    stream = await client.chat_stream(model="gpt-simulated", messages=HI)
    await stream.__anext__()
    return stream


@BACKENDS
def test_a_client_without_aclose_leaves_nothing_behind(backend: str) -> None:
    """A client whose event loop ends closes its sockets, though nobody closed it, and serves the next loop."""
    client = LlmClient(api_key="sk")

    async def main() -> None:
        async with Simulator().serve() as server:
            for _ in range(3):
                await client.chat(model="gpt-simulated", messages=HI, base_url=server.base_url)
            assert client._transport.pool().idle_connections == 1

    for _ in range(2):
        anyio.run(main, backend=backend)
        gc.collect()
        assert len(client._transport._pools) == 0


@BACKENDS
def test_a_dropped_client_closes_its_connections(backend: str) -> None:
    """A client that is collected while the loop runs closes its sockets there and then."""

    async def main() -> None:
        simulator = Simulator()
        async with simulator.serve() as server:
            client = LlmClient(api_key="sk", base_url=server.base_url)
            await ask(client)
            assert simulator.connections.open == 1
            del client
            gc.collect()
            with anyio.fail_after(5):
                while simulator.connections.open:
                    await anyio.sleep(0.001)

    anyio.run(main, backend=backend)


@BACKENDS
def test_one_client_under_many_loops_at_once(backend: str) -> None:
    """Threads with loops of their own share a client; each loop has its own connections."""
    client = LlmClient(api_key="sk")
    failures: list[BaseException] = []
    barrier = threading.Barrier(3)

    async def main() -> None:
        simulator = Simulator()
        async with simulator.serve() as server:
            barrier.wait()
            for _ in range(5):
                await client.chat(model="gpt-simulated", messages=HI, base_url=server.base_url)
            assert simulator.connections.total == 1

    def run() -> None:
        try:
            anyio.run(main, backend=backend)
        except BaseException as error:  # noqa: BLE001 # reported by the main thread
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.anyio
async def test_a_dropped_stream_warns_and_closes() -> None:
    """A stream that is dropped open says so, closes its connection, and gives back what layers held for it."""
    simulator = Simulator(reply="one two three four", event_latency=0.1)
    async with serving(simulator, middleware=[Concurrency(1)]) as client:
        stream = await open_stream(client)
        with pytest.warns(ResourceWarning, match=r"<ChatStream openai/gpt-simulated open, 1 events> was dropped"):
            del stream
            gc.collect()
        with anyio.fail_after(5):
            await ask(client)
        assert client._transport.pool().open_connections == client._transport.pool().idle_connections == 1
        assert simulator.bytes_after_disconnect == 0


@BACKENDS
def test_a_stream_that_outlives_its_loop(backend: str) -> None:
    """A stream kept beyond the end of its loop holds no socket, and warns when it is dropped, no more."""
    kept: list[ChatStream] = []

    async def main() -> None:
        simulator = Simulator(faults=[StallAfterEvents(3)])
        async with simulator.serve() as server:
            kept.append(await open_stream(LlmClient(api_key="sk", base_url=server.base_url)))

    anyio.run(main, backend=backend)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        kept.clear()
        gc.collect()


@pytest.mark.anyio
@pytest.mark.parametrize("reading", [False, True])
async def test_cancel_stops_a_stream_from_another_task(reading: bool) -> None:
    """cancel() ends a pending read and the loop over the stream, or closes a stream that nobody reads."""
    simulator = Simulator(faults=[StallAfterEvents(3)])
    async with serving(simulator, middleware=[Concurrency(1)]) as client:
        stream = await open_stream(client)
        ended: list[str] = []

        async def read() -> None:
            async for _ in stream:
                pass
            ended.append("quietly")

        async with anyio.create_task_group() as tasks:
            if reading:
                tasks.start_soon(read)
                await anyio.sleep(1)
            stream.cancel()
        await anyio.sleep(0.01)
        assert (stream.closed, stream.finished) == (True, False)
        assert ended == (["quietly"] if reading else [])
        assert [chunk async for chunk in stream] == []
        await ask(client)


@pytest.mark.anyio
async def test_a_stream_that_was_left_gives_nothing_more() -> None:
    """Not what had come already, either: its layers are done, and its bill is made. At its end it is empty, quietly."""
    async with (
        Simulator(reply="one two three").serve_memory() as network,
        LlmClient(network_backend=network, api_key="sk") as client,
    ):
        async with await open_stream(client) as stream:
            pass
        before = stream.response()
        with pytest.raises(RuntimeError, match="this stream is closed: iterate over it inside its block"):
            await stream.__anext__()
        assert stream.response() == before
        stream = await open_stream(client)
        assert [chunk async for chunk in stream]
        assert [chunk async for chunk in stream] == []


@pytest.mark.anyio
async def test_a_second_reader_is_refused_and_the_first_goes_on() -> None:
    """A stream has one reader at a time; who comes second is told, and takes nothing away."""
    simulator = Simulator(reply="one two three", event_latency=1.0)
    async with simulator.serve_memory() as network, LlmClient(network_backend=network, api_key="sk") as client:
        stream = await open_stream(client)

        async def read() -> None:
            async for _ in stream:
                pass

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.sleep(0.5)
            with pytest.raises(RuntimeError, match="another task is waiting for this stream's next event"):
                await stream.__anext__()
        assert stream.finished
        assert stream.response().text == "one two three"


@pytest.mark.anyio
async def test_leaving_early_stops_generation() -> None:
    """Breaking out of a stream closes the connection: the provider generates nothing for nobody."""
    simulator = Simulator(reply="word " * 500, event_latency=0.1)
    async with (
        simulator.serve_memory(buffer_size=256) as network,
        LlmClient(network_backend=network, api_key="sk") as client,
    ):
        async with await client.chat_stream(model="gpt-simulated", messages=HI) as stream:
            async for _ in stream:
                break
        await anyio.sleep(5)
        assert simulator.in_flight == 0
        assert simulator.bytes_after_disconnect == 0
        assert simulator.requests[0].outcome == "client left"
        assert simulator.bytes_generated < 5_000
        assert client._transport.pool().open_connections == 0


@pytest.mark.anyio
async def test_a_stream_may_be_opened_in_one_task_and_closed_in_another() -> None:
    """A stream belongs to no task, and to no cancel scope of the caller's."""
    simulator = Simulator(reply="one two three")
    async with simulator.serve_memory() as network, LlmClient(network_backend=network, api_key="sk") as client:
        streams: list[ChatStream] = []

        async def opener() -> None:
            with anyio.move_on_after(10):
                streams.append(await open_stream(client))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(opener)
        await anyio.sleep(20)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(streams[0].aclose)
        assert streams[0].closed


def test_importing_liter_is_light() -> None:
    """import liter brings in no event loop but asyncio's, no transport, no command line, no extra."""
    import subprocess
    import sys

    heavy = (
        "trio",
        "httpcore",
        "h11",
        "h2",
        "rich",
        "socksio",
        "sqlite3",
        "coredis",
        "pydantic",
        "opentelemetry",
        "numpy",
        "argparse",
    )
    code = f"import liter, sys; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_asyncio_run_twice_with_one_client() -> None:
    """The commonest script of all: one global client, asyncio.run more than once."""
    client = LlmClient(api_key="sk")

    async def main() -> str:
        async with Simulator(reply="ok").serve() as server:
            return (await client.chat(model="gpt-simulated", messages=HI, base_url=server.base_url)).text

    assert [asyncio.run(main()) for _ in range(3)] == ["ok"] * 3

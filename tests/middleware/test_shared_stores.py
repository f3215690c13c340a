"""Layers on the stores that processes share: together they keep what one alone would, and they outlive an outage."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from liter._contract import Call
from liter._errors import LlmError, RateLimitedError, ServerError
from liter.middleware import (
    Cache,
    CacheHit,
    CacheStoreFailed,
    CircuitBreaker,
    CircuitPolicy,
    CircuitStoreFailed,
    Limit,
    RateLimit,
    RateLimitStoreFailed,
)
from liter.stores import RedisStore, SqliteStore, Store, StoreError
from liter.testing import ScriptedHandler

from .._free_port import free_port

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

MakeCall = Callable[..., Call[object]]


class RedisServer:
    """A Redis server of its own, without anything on disk."""

    def __init__(self, program: str) -> None:
        self.port = free_port()
        self._command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.url = f"redis://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        for _ in range(500):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.01)
        raise RuntimeError("redis-server does not answer within 5 s")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A server that the test may stop."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    server = RedisServer(program)
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "redis"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the processes of a test share what they know."""
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    server: RedisServer = request.getfixturevalue("redis_server")
    return server.url


def open_store(url: str, timeout: float = 5.0) -> Store:
    return RedisStore(url, timeout=timeout) if url.startswith("redis://") else SqliteStore(url)


async def enter(layer: RateLimit | CircuitBreaker | Cache, call: Call[object], *outcomes: object) -> Exception | None:
    """Make a call. Returns what it raised."""
    try:
        async with layer(call, ScriptedHandler(*(outcomes or ("whole",)))):
            return None
    except (LlmError, StoreError) as error:
        return error


# One of the processes: some tasks that send as fast as they may, until the time is over. It prints when it sent.
WORKER = """
import json, sys, time
import anyio
from liter import Call, Route
from liter.middleware import Limit, RateLimit
from liter.stores import RedisStore, SqliteStore
from liter.testing import ScriptedHandler
from liter.types import ListModelsRequest

url, per_second, burst, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
route = Route(provider="p", model="m", base_url="https://p.invalid")

async def main():
    store = RedisStore(url) if url.startswith("redis://") else SqliteStore(url)
    layer = RateLimit(Limit(per_second, "requests", per="second", burst=burst), store=store, on_store_error="closed")
    sent = []

    async def send():
        while True:
            began = anyio.current_time()
            call = Call(operation="o", request=ListModelsRequest(), route=route, started=began, attempts=[])
            async with layer(call, ScriptedHandler("whole")):
                sent.append(time.time())

    # What it imports and connects to now takes none of the time that is measured.
    await store.get("nothing")
    print("ready", flush=True)
    sys.stdin.readline()
    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(send)
    with anyio.CancelScope(shield=True):
        await store.aclose()
    print(json.dumps(sent))

anyio.run(main)
"""


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_two_processes_keep_one_limit(store_url: str) -> None:
    """Two processes on one store together never pass a limit that one alone would keep, and make use of it."""
    per_second, burst, seconds = 40.0, 5.0, 1.5
    command = [sys.executable, "-c", WORKER, store_url, str(per_second), str(burst), str(seconds)]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220 # started, not waited for
        for _ in range(2)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    began = time.time()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    sent = [json.loads(worker.communicate(timeout=20)[0]) for worker in workers]
    times = sorted(sent[0] + sent[1])
    assert len(times) <= burst + per_second * (times[-1] - began)
    assert len(times) >= 0.7 * per_second * seconds
    assert min(map(len, sent)) > 0


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_layers_on_one_store(make_call: MakeCall, store_url: str) -> None:
    """Two of each layer on one store are as one: a limit, a cache, a circuit."""
    one, other = open_store(store_url), open_store(store_url)
    first, second = (
        RateLimit(
            Limit(2, "requests"), Limit(100, "tokens"), on_limit="refuse", estimate=lambda call: (10, 10), store=store
        )
        for store in (one, other)
    )
    assert [await enter(layer, make_call()) for layer in (first, second)] == [None, None]
    refused = await enter(first, make_call())
    assert isinstance(refused, RateLimitedError)
    assert refused.retry_after == pytest.approx(30.0, abs=2.0)

    heard: list[object] = []
    caches = [Cache(store=store) for store in (one, other)]
    for cache in caches:
        assert await enter(cache, make_call(listeners=(heard.append,))) is None
    assert isinstance(heard[-1], CacheHit)

    policy = CircuitPolicy(min_calls=1, open_seconds=30.0)
    breakers = [CircuitBreaker(policy, store=store) for store in (one, other)]
    await enter(breakers[0], make_call(), ServerError("no"))
    shut = await enter(breakers[1], make_call())
    assert isinstance(shut, LlmError)
    assert (shut.code, shut.retry_after) == ("circuit_open", pytest.approx(30.0, abs=2.0))
    for store in (one, other):
        await store.aclose()


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize("on_store_error", ["open", "closed"])
async def test_a_server_that_is_gone_and_back(
    make_call: MakeCall, redis_server: RedisServer, on_store_error: str
) -> None:
    """While the server is unreachable each layer does as it was told and says so; when it is back, it is used again."""
    store = RedisStore(redis_server.url, timeout=1.0)
    layers = [
        RateLimit(Limit(1000, "requests"), store=store, on_store_error=on_store_error),
        Cache(store=store, on_store_error=on_store_error),
        CircuitBreaker(store=store, on_store_error=on_store_error),
    ]
    kinds = [RateLimitStoreFailed, CacheStoreFailed, CircuitStoreFailed]
    for layer in layers:
        assert await enter(layer, make_call()) is None
    redis_server.stop()
    await anyio.sleep(1.1)  # a circuit looks again after a second
    for layer, kind in zip(layers, kinds, strict=True):
        heard: list[object] = []
        error = await enter(layer, make_call(cache="use", listeners=(heard.append,)))
        failed = [event for event in heard if isinstance(event, kind)]
        assert failed
        assert failed[0].goes_on is (on_store_error == "open")
        assert isinstance(error, StoreError if on_store_error == "closed" else type(None))
    redis_server.start()
    await anyio.sleep(1.1)  # a rate limit leaves a store that failed alone for a second
    for layer in layers:
        heard = []
        assert await enter(layer, make_call(listeners=(heard.append,))) is None
        assert not [event for event in heard if type(event) in kinds]
    await store.aclose()

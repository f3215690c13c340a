"""The store of many machines, on a real server of its own: outages, clocks, and what is left on it."""

import asyncio
import math
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio
import pytest

from liter.stores import Account, Balance, Bucket, RedisStore, StoreError
from liter.testing import check_store

from ._redis_server import Server

pytestmark = pytest.mark.realtime

# What an account is on the server.
KINDS = ("account", "leases")


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of this file that do not stop it."""
    yield from _serve(tmp_path_factory.mktemp("redis"))


@pytest.fixture
def server(shared_server: Server) -> Server:
    """The server, emptied."""
    shared_server.ask("FLUSHALL")
    return shared_server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server that the test may stop."""
    yield from _serve(tmp_path)


def _serve(directory: Path) -> Iterator[Server]:
    server = Server(directory)
    yield server
    server.kill()


def bucket(key: str = "a", amount: float = 1, *, refill: float = 1e-3) -> Bucket:
    return Bucket(key=key, capacity=10, refill=refill, amount=amount)


def test_it_keeps_the_store_protocol(server: Server) -> None:
    """The conformance kit finds nothing wrong, with two processes at once and one killed in the middle, too."""
    check_store(partial(RedisStore, server.url), realtime=True, processes=True)


@pytest.mark.anyio
async def test_every_key_has_the_prefix_and_expires(server: Server) -> None:
    """Nothing stays on the server for good, and nothing is where others may look for their own."""
    store = RedisStore(server.url, prefix="mine:")
    await store.take([bucket(amount=10), bucket("b", 5, refill=10)])
    await store.adjust([bucket("c", -1e6, refill=1e-9)])
    await store.put("a", b"x", ttl=60)
    await store.swap("b", None, b"x", ttl=1e300)
    await store.aclose()
    assert server.ask("SELECT 1", "DBSIZE") == b":5"
    for key, seconds in (("bucket:a", 10_000), ("bucket:b", 0.5), ("value:a", 60)):
        assert 0 < int(server.ask("SELECT 1", f"PTTL mine:{key}")[1:]) <= seconds * 1000
    for key in ("bucket:c", "value:b"):
        assert int(server.ask("SELECT 1", f"TTL mine:{key}")[1:]) > 1e9


@pytest.mark.anyio
async def test_a_bucket_that_is_full_is_no_key(server: Server) -> None:
    """What is given back leaves nothing behind."""
    store = RedisStore(server.url)
    await store.take([bucket(amount=10)])
    await store.adjust([bucket(amount=10)])
    await store.aclose()
    assert server.ask("SELECT 1", "DBSIZE") == b":0"


@pytest.mark.anyio
async def test_prefix_and_database_keep_stores_apart(server: Server) -> None:
    """Stores share what they keep if prefix and database are the same, and only then."""
    urls = [(server.url, "liter:"), (server.url, "other:"), (server.url[:-1] + "2", "liter:")]
    stores = [RedisStore(url, prefix=prefix) for url, prefix in urls]
    stores.append(RedisStore(f"unix://{server.socket}?db=1"))
    await stores[0].put("a", b"x", ttl=60)
    assert [await store.get("a") for store in stores] == [b"x", None, None, b"x"]
    for store in stores:
        await store.aclose()


def test_clocks_of_clients_do_not_matter(server: Server) -> None:
    """Clients whose clocks are an hour apart see the same wait: time is the server's."""

    class FastLoop(asyncio.SelectorEventLoop):
        def time(self) -> float:
            return super().time() + 3600

    async def take(amount: float) -> float:
        store = RedisStore(server.url)
        taken = await store.take([bucket(amount=amount)])
        await store.aclose()
        return taken.wait

    assert asyncio.run(take(10)) == 0
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        assert runner.run(take(1)) == pytest.approx(1000, abs=10)


@pytest.mark.anyio
async def test_a_server_that_forgot_the_scripts_is_told_again(server: Server) -> None:
    """Scripts are loaded when the server asks for them, at any time."""
    store = RedisStore(server.url)
    assert (await store.take([bucket(amount=10)])).granted
    server.ask("SCRIPT FLUSH")
    assert not (await store.take([bucket()])).granted
    await store.aclose()


@pytest.mark.anyio
async def test_a_restarted_server_is_connected_to_anew(own_server: Server) -> None:
    """While it is away steps are store errors, after it is back they work, and go on from what it kept."""
    store = RedisStore(own_server.url)
    assert (await store.take([bucket(amount=10)])).granted
    own_server.kill()
    for _ in range(3):
        with anyio.fail_after(1), pytest.raises(StoreError):
            await store.take([bucket()])
    own_server.start()
    assert (await store.take([bucket()])).wait == pytest.approx(1000, abs=30)
    await store.aclose()


@pytest.mark.anyio
async def test_a_server_that_dies_fails_the_steps_under_way(own_server: Server) -> None:
    """Whoever waits for an answer that will not come is told at once."""
    store = RedisStore(own_server.url, timeout=30)
    await store.put("a", b"x", ttl=60)
    own_server.process.send_signal(signal.SIGSTOP)
    failed: list[StoreError] = []

    async def take() -> None:
        try:
            await store.take([bucket()])
        except StoreError as error:
            failed.append(error)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(take)
            await anyio.sleep(0.1)
            own_server.kill()
    assert len(failed) == 5
    await store.aclose()


@pytest.mark.anyio
async def test_a_server_that_hangs_is_a_store_error_in_time(own_server: Server) -> None:
    """A step takes no longer than its timeout, connecting included; when the server goes on, so does the store."""
    store = RedisStore(own_server.url, timeout=0.2)
    await store.put("a", b"x", ttl=60)
    own_server.process.send_signal(signal.SIGSTOP)
    for _ in range(3):
        with anyio.fail_after(1), pytest.raises(StoreError, match=r"no answer within 0\.2 s|cannot connect"):
            await store.get("a")
    own_server.process.send_signal(signal.SIGCONT)
    await anyio.sleep(0.1)
    before = own_server.connections
    assert await store.get("a") == b"x"
    # What hangs may be the connection, and not the server: it was left. (One is to knock, one to ask this.)
    assert own_server.connections == before + 3
    await store.aclose()


@pytest.mark.anyio
async def test_nobody_there_is_a_store_error() -> None:
    """A port that nobody listens at refuses, and the error says where."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = RedisStore(f"redis://:secret@127.0.0.1:{port}")
    with anyio.fail_after(1), pytest.raises(StoreError, match=f"127.0.0.1:{port}") as caught:
        await store.get("a")
    assert "secret" not in f"{caught.value!r} {store!r}"
    await store.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize("user", ["", "default"])
async def test_a_password_is_percent_encoded(own_server: Server, user: str) -> None:
    """The server gets the name and the password that the URL has, decoded."""
    own_server.ask("CONFIG SET requirepass p@ss/1")
    store = RedisStore(f"redis://{user}:p%40ss%2F1@127.0.0.1:{own_server.port}")
    await store.put("a", b"x", ttl=60)
    assert await store.get("a") == b"x"
    assert "p@ss" not in repr(store)
    await store.aclose()


@pytest.mark.anyio
async def test_a_wrong_password_is_a_store_error(server: Server) -> None:
    """The server's own answer is told, and the password is not."""
    store = RedisStore(f"redis://nobody:s%65cret@127.0.0.1:{server.port}")
    with pytest.raises(StoreError, match=r"(?i)password|auth") as caught:
        await store.get("a")
    assert "secret" not in str(caught.value)
    await store.aclose()


@pytest.mark.anyio
async def test_a_server_that_is_full_is_a_store_error(own_server: Server) -> None:
    """What the server refuses is told, and the connection stays good for what it does not."""
    store = RedisStore(own_server.url)
    await store.put("a", b"x", ttl=60)
    own_server.ask("CONFIG SET maxmemory 1")
    with pytest.raises(StoreError, match="maxmemory"):
        await store.put("b", b"x", ttl=60)
    assert await store.get("a") == b"x"
    await store.aclose()


def test_a_store_that_is_not_closed_ends_with_its_event_loop(server: Server) -> None:
    """The loop's end closes the connection, nothing of it is kept, and the store serves the next loop."""
    store = RedisStore(server.url)
    for _ in range(3):
        asyncio.run(store.put("a", b"x", ttl=60))
        assert not store._sessions
    assert int(server.ask("CLIENT LIST").count(b"id=")) <= 1
    assert asyncio.run(store.get("a")) == b"x"


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("", "must begin with redis://"),
        ("localhost:6379", "must begin with redis://"),
        ("http://localhost", "must begin with redis://"),
        ("redis://", "must name a host"),
        ("redis:///0", "must name a host"),
        ("unix://", "must name a socket"),
        ("redis://host:port/0", "port that is a number: redis://host:6379/0"),
        ("redis://host:99999", "port that is a number: redis://host:6379/0"),
        ("redis://host:0", "port above 0: redis://host:6379/0"),
        ("redis://host/zero", "one database, and that a number: redis://host:6379/0"),
        ("redis://host/-1", "one database, and that a number: redis://host:6379/0"),
        ("redis://:secret@host/x", "one database, and that a number: redis://host:6379/0"),
        ("redis://host/1?db=2", "one database, and that a number"),
        ("redis:/host", "must name a host"),
        (b"redis://:secret@host", "url must be a text, as redis://host:6379/0, not of type bytes"),
        ("redis://host?timeout=5", "not known: timeout"),
    ],
)
def test_a_wrong_url_is_refused_at_once(url: str, remedy: str) -> None:
    """The error says what a URL should have, and shows nothing of it that may be secret."""
    with pytest.raises(ValueError, match=remedy) as caught:
        RedisStore(url)
    assert "secret" not in str(caught.value)


def test_wrong_options_are_refused_at_once() -> None:
    """Each names the field and what would be right."""
    with pytest.raises(ValueError, match="prefix must be a text that keeps"):
        RedisStore("redis://host", prefix="")
    with pytest.raises(ValueError, match="timeout must be above 0"):
        RedisStore("redis://host", timeout=0)


def test_without_the_extra_the_error_names_it() -> None:
    """Where coredis is not installed, making the store says what to install, and the others need none."""
    program = (
        "import sys; sys.modules['coredis'] = None\n"
        "from liter.stores import MemoryStore, RedisStore, SqliteStore\n"
        "MemoryStore()\n"
        "RedisStore('redis://host')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "ImportError: RedisStore needs coredis: pip install 'liter-sdk[redis]'" in done.stderr


@pytest.mark.anyio
async def test_accounts_expire_unless_they_are_for_good(server: Server) -> None:
    """An account stays until its window ends, and a day longer than the lease of what is reserved on it."""
    store = RedisStore(server.url)
    accounts = [Account(key=key, limit=10, amount=1, ttl=ttl) for key, ttl in (("a", 1e6), ("b", 60), ("c", math.inf))]
    await store.reserve("one", accounts, lease=100)
    expiry = [int(server.ask("SELECT 1", f"TTL liter:{kind}:{key}")[1:]) for key in "abc" for kind in KINDS]
    assert expiry == pytest.approx([1e6, 1e6, 86500, 86500, -1, -1], abs=5)
    await store.renew("one", ["b", "c"], lease=500)
    assert int(server.ask("SELECT 1", "TTL liter:account:b")[1:]) == pytest.approx(86900, abs=5)
    assert server.ask("SELECT 1", "TTL liter:account:c") == b":-1"
    await store.settle("one", ["a", "b", "c"], 1)
    assert server.ask("SELECT 1", "HLEN liter:account:a") == b":2"
    assert server.ask("SELECT 1", "EXISTS liter:leases:a") == b":0"
    await store.aclose()


@pytest.mark.anyio
async def test_a_settled_step_of_no_answer_may_be_repeated(own_server: Server) -> None:
    """What was spent is counted once, though the connection broke and nobody knows whether the step was done."""
    store = RedisStore(own_server.url, timeout=0.2)
    await store.reserve("one", [Account(key="a", limit=10, amount=5, ttl=60)], lease=60)
    own_server.process.send_signal(signal.SIGSTOP)
    with pytest.raises(StoreError):
        await store.settle("one", ["a"], 3)
    own_server.process.send_signal(signal.SIGCONT)
    await anyio.sleep(0.1)
    await store.settle("one", ["a"], 3)
    assert await store.balances(["a"]) == [Balance(spent=3)]
    await store.aclose()

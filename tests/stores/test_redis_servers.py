"""Redis servers that are not the plain one at a port: behind TLS, nodes of a cluster, replicas."""

import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from liter.stores import Account, Bucket, RedisStore, StoreError

from .._free_port import free_port
from ._redis_server import Server

pytestmark = [pytest.mark.realtime, pytest.mark.anyio]

BOTH = [Bucket(key=key, capacity=1, refill=1e-3, amount=1) for key in "ab"]


class TlsServer(Server):
    """Speaks TLS at ``tls_port``, as "localhost"."""

    def __init__(self, directory: Path) -> None:
        authority = trustme.CA()
        self.trusting = ssl.create_default_context()
        authority.configure_trust(self.trusting)
        certificate = authority.issue_cert("localhost")
        chain, key = directory / "chain.pem", directory / "key.pem"
        for blob in certificate.cert_chain_pems:
            blob.write_to_path(chain, append=True)
        certificate.private_key_pem.write_to_path(key)
        self.tls_port = free_port()
        super().__init__(
            directory,
            *("--tls-port", str(self.tls_port), "--tls-auth-clients", "no"),
            *("--tls-cert-file", str(chain), "--tls-key-file", str(key), "--tls-ca-cert-file", str(chain)),
        )


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    """A server behind TLS."""
    server = TlsServer(tmp_path_factory.mktemp("tls"))
    yield server
    server.kill()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """A cluster: all keys are at the first node, and the second one knows that."""
    nodes = [Server(tmp_path_factory.mktemp("node"), "--cluster-enabled", "yes") for _ in range(2)]
    nodes[0].ask("CLUSTER ADDSLOTSRANGE 0 16383")
    nodes[1].ask(f"CLUSTER MEET 127.0.0.1 {nodes[0].port}")
    for _ in range(500):
        if all(b"MOVED" in node.ask("GET a") or node.ask("GET a") == b"$-1" for node in nodes):
            break
        time.sleep(0.02)
    yield nodes[0], nodes[1]
    for node in nodes:
        node.kill()


async def test_tls(tls_server: TlsServer) -> None:
    """Every step goes over TLS, with a certificate that is checked."""
    store = RedisStore(f"rediss://localhost:{tls_server.tls_port}", ssl_context=tls_server.trusting)
    await store.put("a", bytes(100_000), ttl=60)
    assert await store.get("a") == bytes(100_000)
    assert (await store.reserve("r", [Account(key="k", limit=2, amount=1, ttl=60)], lease=9)).granted
    await store.aclose()
    tls_server.ask("FLUSHALL")


@pytest.mark.parametrize(
    ("host", "trusts", "reason"),
    [("localhost", False, "certificate verify failed"), ("127.0.0.1", True, "not valid for '127.0.0.1'")],
)
async def test_a_certificate_that_is_not_trusted(tls_server: TlsServer, host: str, trusts: bool, reason: str) -> None:
    """A certificate of nobody known, or of another host, is refused, and the error says why."""
    context = tls_server.trusting if trusts else None
    store = RedisStore(f"rediss://{host}:{tls_server.tls_port}", ssl_context=context)
    with pytest.raises(StoreError, match=reason):
        await store.get("a")
    await store.aclose()


async def test_a_cluster(cluster: tuple[Server, Server]) -> None:
    """With a prefix in braces all keys are at one node, which any other one knows."""
    for node in reversed(cluster):
        store = RedisStore(f"redis://127.0.0.1:{node.port}", prefix="{liter}:")
        assert (await store.take(BOTH)).granted is (node is cluster[1])
        await store.put("a", b"1", ttl=60)
        assert await store.get("a") == b"1"
        accounts = [Account(key=key, limit=2, amount=1, ttl=60) for key in "kl"]
        assert (await store.reserve(f"r{node.port}", accounts, lease=60)).granted
        await store.aclose()
    cluster[0].ask("FLUSHALL")


async def test_a_cluster_without_a_prefix_for_it(cluster: tuple[Server, Server]) -> None:
    """Keys that are spread over nodes cannot be taken in one step: the error says what to give."""
    for node in cluster:
        store = RedisStore(f"redis://127.0.0.1:{node.port}")
        with pytest.raises(StoreError, match=r"give a prefix in braces, as prefix='\{liter\}:'"):
            await store.take(BOTH)
        await store.aclose()


async def test_a_primary_that_has_become_a_replica_is_left(tmp_path: Path) -> None:
    """After a failover the next step connects anew, as the name may lead to another server by now."""
    server = Server(tmp_path)
    try:
        store = RedisStore(server.url)
        await store.put("a", b"1", ttl=60)
        server.ask(f"REPLICAOF 127.0.0.1 {free_port()}")
        before = server.connections
        for _ in range(2):
            with pytest.raises(StoreError, match="the server is a replica by now"):
                await store.put("a", b"2", ttl=60)
        assert server.connections > before + 1
        server.ask("REPLICAOF NO ONE")
        await store.put("a", b"3", ttl=60)
        await store.aclose()
    finally:
        server.kill()

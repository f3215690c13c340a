"""TLS, HTTP/2, proxies and pool settings, given to the client and obeyed on real sockets."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import httpcore
import pytest
import trustme

from liter import ChatStream, LlmClient, LlmTimeoutError, NetworkError, Timeouts
from liter.testing import Simulator

pytestmark = pytest.mark.anyio

HI = [{"role": "user", "content": "hi"}]
AUTHORITY = trustme.CA()


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def client_context(*protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


@asynccontextmanager
async def proxy(log: list[bytes]) -> AsyncIterator[str]:
    """A proxy that knows CONNECT, and forwards anything else to the host in the request line."""

    async def pump(source: anyio.abc.ByteStream, sink: anyio.abc.ByteStream) -> None:
        try:
            async for data in source:
                await sink.send(data)
            await sink.send_eof()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass

    async def serve(client: anyio.abc.ByteStream) -> None:
        async with client:
            head = await client.receive()
            log.append(head)
            method, target, _ = head.split(b" ", 2)
            address = target if method == b"CONNECT" else target.split(b"/")[2]
            host, _, port = address.decode().rpartition(":")
            async with await anyio.connect_tcp(host, int(port)) as server:
                if method == b"CONNECT":
                    await client.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    await server.send(head)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(pump, client, server)
                    tasks.start_soon(pump, server, client)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield f"http://user:secret@127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
        tasks.cancel_scope.cancel()


@pytest.mark.realtime
@pytest.mark.parametrize(("http2", "version"), [(False, "1.1"), (True, "2")])
async def test_tls_and_http2(http2: bool, version: str) -> None:
    """Over TLS, HTTP/2 is used where it is switched on and offered."""
    simulator = Simulator(reply="one two three")
    protocols = ("h2", "http/1.1") if http2 else ("http/1.1",)
    async with (
        simulator.serve(ssl_context=server_context()) as server,
        LlmClient(
            base_url=server.base_url, api_key="sk", http2=http2, ssl_context=client_context(*protocols)
        ) as client,
    ):
        assert (await client.chat(model="gpt-simulated", messages=HI)).text == "one two three"
        async with await client.chat_stream(model="gpt-simulated", messages=HI) as stream:
            assert [chunk async for chunk in stream]
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(lambda: client.chat(model="gpt-simulated", messages=HI))
    assert {request.http_version for request in simulator.requests} == {version}
    assert (simulator.connections.total == 1) is http2


@pytest.mark.realtime
async def test_an_unknown_certificate_is_refused_and_not_tried_again() -> None:
    """A certificate that nobody vouches for is no network trouble that passes."""
    simulator = Simulator()
    async with (
        simulator.serve(ssl_context=server_context()) as server,
        LlmClient(base_url=server.base_url, api_key="sk", ssl_context=ssl.create_default_context()) as client,
    ):
        with pytest.raises(NetworkError, match="certificate") as caught:
            await client.chat(model="gpt-simulated", messages=HI)
    assert not caught.value.retryable
    assert len(caught.value.attempts) == 1
    assert simulator.requests == []


@pytest.mark.realtime
@pytest.mark.parametrize("tls", [False, True])
async def test_a_given_proxy_is_used(tls: bool) -> None:
    """Plain http goes through it in absolute form, https through a tunnel; both with the proxy's credentials."""
    log: list[bytes] = []
    simulator = Simulator()
    async with (
        simulator.serve(ssl_context=server_context() if tls else None) as server,
        proxy(log) as url,
        LlmClient(base_url=server.base_url, api_key="sk", proxy=url, ssl_context=client_context()) as client,
    ):
        await client.chat(model="gpt-simulated", messages=HI)
        assert url.split("@")[0] not in repr(vars(client._transport._dialler))
    (head,) = log
    assert head.startswith(b"CONNECT 127.0.0.1:" if tls else b"POST http://127.0.0.1:")
    assert b": Basic dXNlcjpzZWNyZXQ=\r\n" in head
    assert (b"Bearer sk" in head) is not tls
    assert ("proxy-authorization" in simulator.requests[0].headers) is not tls


@pytest.mark.realtime
async def test_nobody_at_the_other_end() -> None:
    """A refused connection is a NetworkError that may be tried again."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with LlmClient(base_url=f"http://127.0.0.1:{port}/v1", api_key="sk", middleware=[]) as client:
        with pytest.raises(NetworkError, match="could not connect") as caught:
            await client.chat(model="gpt-simulated", messages=HI)
    assert caught.value.retryable


async def test_max_connections_holds_calls_back() -> None:
    """At the limit a call waits for a connection, and a wait that is too long says why."""
    simulator = Simulator(reply="one two three", event_latency=1)
    async with (
        simulator.serve_memory() as network,
        LlmClient(network_backend=network, api_key="sk", max_connections=1, max_retries=0) as client,
    ):
        stream: ChatStream = await client.chat_stream(model="gpt-simulated", messages=HI)
        with pytest.raises(LlmTimeoutError, match="1 of 1 connections, 0 idle, 0 waiting"):
            await client.chat(model="gpt-simulated", messages=HI, timeout=0.5)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: client.chat(model="gpt-simulated", messages=HI))
            async for _ in stream:
                pass
    assert (simulator.connections.total, simulator.max_in_flight) == (1, 1)


async def test_keepalive_expiry() -> None:
    """A connection that was idle for longer is not used again."""
    simulator = Simulator()
    async with (
        simulator.serve_memory() as network,
        LlmClient(network_backend=network, api_key="sk", keepalive_expiry=5) as client,
    ):
        for pause in (4, 6, 0):
            await client.chat(model="gpt-simulated", messages=HI)
            await anyio.sleep(pause)
        await client.chat(model="gpt-simulated", messages=HI)
    assert simulator.connections.total == 2


class SilentNetwork(httpcore.AsyncNetworkBackend):
    """Nobody ever answers a connection."""

    async def connect_tcp(self, host: str, port: int, **options: object) -> httpcore.AsyncNetworkStream:
        return await anyio.sleep_forever()


async def test_the_connect_limit() -> None:
    """A connection that takes too long is given up after the connect limit, which leaves time to try again."""
    async with LlmClient(network_backend=SilentNetwork(), api_key="sk", middleware=[]) as client:
        began = anyio.current_time()
        with pytest.raises(LlmTimeoutError, match="could not connect within 2 s") as caught:
            await client.chat(model="gpt-simulated", messages=HI, timeout=Timeouts(connect=2, total=50))
        assert anyio.current_time() - began == pytest.approx(2)
        assert (caught.value.limit, caught.value.seconds, caught.value.retryable) == ("connect", 2, True)

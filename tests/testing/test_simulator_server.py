"""How a simulator serves: connections, disconnects, HTTP/2, TLS, and the end of it."""

import json
import ssl

import anyio
import httpcore
import pytest
import trustme

from liter.testing import (
    ResetAfterEvents,
    ResetBeforeHead,
    ResetInHead,
    Simulator,
    StallAfterEvents,
    StallBeforeHead,
)

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
HEADERS = {"authorization": "Bearer k"}


class OurError(Exception):
    pass


async def test_a_connection_serves_many_requests(raw_client, chat: dict) -> None:
    """Requests of one connection are answered one after the other, whole or streamed, over the same connection."""
    simulator = Simulator()
    async with simulator.serve_memory() as network:
        async with await raw_client.opened(network) as client:
            for streamed in (False, True, False):
                assert (await client.ask(CHAT, {**chat, "stream": streamed})).complete
            assert simulator.connections.open == 1
        async with await raw_client.opened(network) as client:
            await client.ask(CHAT, chat)
        await anyio.wait_all_tasks_blocked()
        assert (simulator.connections.open, simulator.connections.total) == (0, 2)
    assert [request.connection for request in simulator.requests] == [1, 1, 1, 2]
    assert {request.outcome for request in simulator.requests} == {"completed"}


async def test_pipelined_requests(raw_client, chat: dict) -> None:
    """A request that comes while another is answered waits for its turn."""
    simulator = Simulator(event_latency=1)
    async with simulator.serve_memory() as network, await raw_client.opened(network) as client:
        await client.send(CHAT, {**chat, "stream": True})
        await client.read(until=lambda answer: bool(answer.body))
        # h11's client would refuse: the bytes of a second request are written past it.
        body = json.dumps(chat).encode()
        head = f"POST {CHAT} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer k\r\ncontent-length: {len(body)}\r\n\r\n"
        await client.stream.write(head.encode() + body)
        raw = b""
        while b'"object":"chat.completion",' not in raw:
            raw += await client.stream.read(65536)
        assert raw.index(b"[DONE]") < raw.index(b"HTTP/1.1 200")
    assert [request.outcome for request in simulator.requests] == ["completed", "completed"]


async def test_a_request_byte_by_byte(raw_client, chat: dict) -> None:
    """A request may come in pieces of any size."""
    simulator = Simulator()
    async with simulator.serve_memory() as network, await raw_client.opened(network) as client:
        body = json.dumps(chat).encode()
        head = f"POST {CHAT} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer k\r\ncontent-length: {len(body)}\r\n\r\n"
        for byte in head.encode() + body:
            await client.stream.write(bytes([byte]))
        assert b"200" in await client.stream.read(65536)
    (request,) = simulator.requests
    assert request.body == body
    assert request.json == chat
    assert request.headers["authorization"] == "Bearer k"
    assert (request.method, request.path, request.http_version) == ("POST", CHAT, "1.1")


async def test_what_is_no_request_is_refused(raw_client) -> None:
    """Bytes that are no HTTP get a 400 and the end of the connection."""
    async with Simulator().serve_memory() as network, await raw_client.opened(network) as client:
        await client.stream.write(b"hello there\r\n\r\n")
        raw = b""
        while data := await client.stream.read(65536):
            raw += data
    assert raw.startswith(b"HTTP/1.1 400 ")
    assert b"not a request" in raw


async def test_expect_100_continue(raw_client, chat: dict) -> None:
    """A client that asks whether it may send its body is told to go on."""
    async with Simulator().serve_memory() as network, await raw_client.opened(network) as client:
        body = json.dumps(chat).encode()
        head = f"POST {CHAT} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer k\r\ncontent-length: {len(body)}\r\n"
        await client.stream.write(head.encode() + b"expect: 100-continue\r\n\r\n")
        assert (await client.stream.read(65536)).startswith(b"HTTP/1.1 100 ")
        await client.stream.write(body)
        assert (await client.stream.read(65536)).startswith(b"HTTP/1.1 200 ")


async def test_latency(raw_client, chat: dict) -> None:
    """``latency`` passes before the head, ``event_latency`` before each event of a stream."""
    simulator = Simulator(latency=3, event_latency=0.5)
    async with simulator.serve_memory() as network, await raw_client.opened(network) as client:
        assert (await client.ask(CHAT, chat)).seconds == pytest.approx(3)
        answer = await client.ask(CHAT, {**chat, "stream": True})
        assert answer.seconds == pytest.approx(3 + 0.5 * len(answer.data))


async def test_a_client_that_leaves_stops_the_answer(raw_client, chat: dict) -> None:
    """When the client closes, generating stops at once: nothing is generated after it."""
    simulator = Simulator(event_latency=1)
    async with simulator.serve_memory() as network:
        async with await raw_client.opened(network) as client:
            await client.send(CHAT, {**chat, "stream": True})
            await client.read(until=lambda answer: len(answer.data) == 3)
            assert simulator.in_flight == 1
        await anyio.wait_all_tasks_blocked()
        generated = simulator.bytes_generated
        await anyio.sleep(1000)
        assert simulator.bytes_generated == generated == simulator.requests[0].generated
        assert simulator.bytes_after_disconnect == 0
        assert (simulator.in_flight, simulator.connections.open) == (0, 0)
        assert simulator.requests[0].outcome == "client left"


async def test_a_client_that_does_not_close_is_generated_for(raw_client, chat: dict) -> None:
    """A client that stops reading but does not close costs: generating goes on until its buffers are full."""
    simulator = Simulator(reply="word " * 1000)
    async with simulator.serve_memory(buffer_size=1000) as network, await raw_client.opened(network) as client:
        await client.send(CHAT, {**chat, "stream": True})
        await client.read(until=lambda answer: bool(answer.data))
        await anyio.sleep(1000)
        assert simulator.in_flight == 1
        # One event more than fits, and the rest waits.
        assert 1000 < simulator.bytes_generated < 2000
        await client.stream.aclose()
        await anyio.wait_all_tasks_blocked()
        # What was generated and could not be handed over.
        assert 0 < simulator.bytes_after_disconnect < 1000


async def test_requests_in_flight(raw_client, chat: dict) -> None:
    """The simulator counts the requests that are answered at one time, and the most there ever were."""
    simulator = Simulator(latency=10)
    async with simulator.serve_memory() as network:

        async def call(delay: float) -> None:
            await anyio.sleep(delay)
            async with await raw_client.opened(network) as client:
                await client.ask(CHAT, chat)

        async with anyio.create_task_group() as tasks:
            for delay in (0, 5, 9, 11):
                tasks.start_soon(call, delay)
            await anyio.sleep(9.5)
            assert simulator.in_flight == 3
        assert (simulator.in_flight, simulator.max_in_flight) == (0, 3)
        assert repr(simulator).startswith("<Simulator 4 requests, 0 in flight, ")


@pytest.mark.parametrize("fault", [StallBeforeHead(), StallAfterEvents()])
async def test_leaving_the_block_ends_everything(raw_client, chat: dict, fault) -> None:
    """Leaving ends connections at once, stalled and idle ones too; clients see an end of stream."""
    simulator = Simulator(faults=[None, fault])
    async with simulator.serve_memory() as network:
        idle, busy = await raw_client.opened(network), await raw_client.opened(network)
        await idle.ask(CHAT, chat)
        await busy.send(CHAT, {**chat, "stream": True})
        await anyio.wait_all_tasks_blocked()
        assert simulator.connections.open == 2
        left = anyio.current_time()
    assert anyio.current_time() == left
    assert (simulator.connections.open, simulator.in_flight) == (0, 0)
    assert [request.outcome for request in simulator.requests] == ["completed", "stopped"]
    assert await idle.stream.read(1) == b""
    while await busy.stream.read(65536):
        pass
    with pytest.raises(httpcore.ConnectError):
        await raw_client.opened(network)
    await idle.stream.aclose()
    await busy.stream.aclose()


async def test_an_error_of_the_block_comes_out_as_it_is() -> None:
    """What the block raises is not wrapped in a group."""
    with pytest.raises(OurError):
        async with Simulator().serve_memory():
            raise OurError


async def test_an_error_of_the_simulators_own_comes_out(raw_client, chat: dict) -> None:
    """What a callback of the simulator raises ends the block with it: it is not an answer, and it is not lost."""

    def reply(request: object) -> str:
        raise OurError

    with pytest.raises(ExceptionGroup) as caught:
        async with Simulator(reply=reply).serve_memory() as network, await raw_client.opened(network) as client:
            await client.ask(CHAT, chat)
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, OurError)


async def test_cancelling_the_block(raw_client, chat: dict) -> None:
    """A cancellation from outside passes through the block and ends the connections."""
    simulator = Simulator(latency=1000)
    with anyio.move_on_after(5) as scope:
        async with simulator.serve_memory() as network, await raw_client.opened(network) as client:
            await client.ask(CHAT, chat)
    assert scope.cancelled_caught
    assert simulator.connections.open == 0


async def test_two_servers_of_one_simulator(raw_client, chat: dict) -> None:
    """A simulator may serve in several places at once, and keeps one account of all."""
    simulator = Simulator()
    async with simulator.serve_memory() as one, simulator.serve_memory() as two:
        for network in (one, two):
            async with await raw_client.opened(network) as client:
                await client.ask(CHAT, chat)
    assert len(simulator.requests) == simulator.connections.total == 2
    assert (one.total_connections, two.total_connections) == (1, 1)


# Real sockets.


@pytest.mark.realtime
async def test_a_real_socket(raw_client, chat: dict) -> None:
    """The same over a loopback socket."""
    simulator = Simulator()
    async with simulator.serve() as server:
        assert server.base_url == f"http://127.0.0.1:{server.port}/v1"
        async with await raw_client.opened(server) as client:
            assert (await client.ask(CHAT, chat)).status == 200
            answer = await client.ask(CHAT, {**chat, "stream": True})
            assert answer.data[-1] == "[DONE]"
    assert [request.outcome for request in simulator.requests] == ["completed", "completed"]


@pytest.mark.realtime
@pytest.mark.parametrize("fault", [ResetBeforeHead(), ResetInHead(), ResetAfterEvents()])
async def test_a_real_reset(raw_client, chat: dict, fault) -> None:
    """A reset is a reset on a socket too, and no mere end of stream."""
    async with Simulator(faults=[fault]).serve() as server, await raw_client.opened(server) as client:
        answer = await client.ask(CHAT, {**chat, "stream": True})
        assert isinstance(answer.error, httpcore.ReadError)


@pytest.mark.realtime
async def test_a_real_client_leaves(raw_client, chat: dict) -> None:
    """Over a socket, too, the simulator notices that the client has left, in the middle of a stall."""
    simulator = Simulator(faults=[StallAfterEvents()])
    async with simulator.serve() as server:
        async with await raw_client.opened(server) as client:
            await client.send(CHAT, {**chat, "stream": True})
            await client.read(until=lambda answer: len(answer.data) == 3)
        with anyio.fail_after(5):
            while simulator.connections.open:
                await anyio.sleep(0.001)
    assert simulator.requests[0].outcome == "client left"


@pytest.mark.realtime
async def test_leaving_a_real_server(raw_client, chat: dict) -> None:
    """Leaving ends real connections at once, one whose client reads nothing of a large answer too."""
    simulator = Simulator(reply="x" * 20_000_000)
    with anyio.fail_after(10):
        async with simulator.serve() as server:
            client = await raw_client.opened(server)
            await client.send(CHAT, chat)
            while not simulator.in_flight:
                await anyio.sleep(0.001)
    assert simulator.connections.open == 0
    await client.stream.aclose()
    with pytest.raises(httpcore.ConnectError):
        await raw_client.opened(server)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs the server's certificate."""
    return trustme.CA()


@pytest.mark.realtime
@pytest.mark.parametrize("http2", [False, True])
async def test_tls(authority: trustme.CA, chat: dict, http2: bool) -> None:
    """Over TLS the protocol is what ALPN chooses."""
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_context.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert("127.0.0.1").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    simulator = Simulator()
    async with simulator.serve(ssl_context=server_context) as server:
        assert server.base_url.startswith("https://")
        async with httpcore.AsyncConnectionPool(ssl_context=client_context, http2=http2) as pool:
            body = json.dumps(chat).encode()
            url = f"{server.base_url}/chat/completions"
            for _ in range(2):
                response = await pool.request("POST", url, headers=HEADERS, content=body)
                assert response.status == 200
    assert [request.http_version for request in simulator.requests] == ["2" if http2 else "1.1"] * 2
    assert simulator.connections.total == 1

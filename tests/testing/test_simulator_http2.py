"""A simulator over HTTP/2: the same answers and faults, many on one connection."""

import json

import anyio
import h2.config
import h2.connection
import h2.errors
import h2.events
import httpcore
import pytest

from liter.testing import (
    CloseAfterEvents,
    Refuse,
    ResetAfterEvents,
    ResetBeforeHead,
    ResetInHead,
    Simulator,
    StallAfterEvents,
    StallBeforeHead,
    Truncate,
)

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
HEADERS = {"authorization": "Bearer k"}


class RawHttp2Client:
    """One HTTP/2 connection, driven by hand."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self.stream = stream
        self.protocol = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.protocol.initiate_connection()
        self.bodies: dict[int, bytes] = {}
        self.statuses: dict[int, str] = {}
        self.ended: dict[int, str | int | None] = {}

    async def send(self, body: object) -> int:
        stream_id = self.protocol.get_next_available_stream_id()
        pseudo = [(":method", "POST"), (":path", CHAT), (":authority", "a"), (":scheme", "https")]
        self.protocol.send_headers(stream_id, [*pseudo, *HEADERS.items()])
        self.protocol.send_data(stream_id, json.dumps(body).encode(), end_stream=True)
        await self.flush()
        return stream_id

    async def flush(self) -> None:
        await self.stream.write(self.protocol.data_to_send())

    async def read(self, *, acknowledge: bool = True) -> None:
        """Take in what comes next."""
        for event in self.protocol.receive_data(await self.stream.read(65536)):
            match event:
                case h2.events.ResponseReceived():
                    self.statuses[event.stream_id] = dict(event.headers)[":status"]
                    self.bodies[event.stream_id] = b""
                case h2.events.DataReceived():
                    self.bodies[event.stream_id] += event.data
                    if acknowledge:
                        self.protocol.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case h2.events.StreamEnded():
                    self.ended[event.stream_id] = None
                case h2.events.StreamReset():
                    self.ended[event.stream_id] = event.error_code
        await self.flush()


@pytest.mark.parametrize("streamed", [False, True])
async def test_http2_says_the_same(raw_client, chat: dict, streamed: bool) -> None:
    """Over HTTP/2 the same body comes as over HTTP/1.1."""
    request = {**chat, "stream": streamed}
    async with Simulator().serve_memory() as network, await raw_client.opened(network) as client:
        expected = await client.ask(CHAT, request)
    simulator = Simulator()
    async with simulator.serve_memory(http2=True) as network:
        client = RawHttp2Client(await network.connect_tcp("a", 443))
        stream_id = await client.send(request)
        while stream_id not in client.ended:
            await client.read()
        assert (client.statuses[stream_id], client.ended[stream_id]) == ("200", None)
        assert client.bodies[stream_id] == expected.body
        await client.stream.aclose()
    assert [(request.http_version, request.outcome) for request in simulator.requests] == [("2", "completed")]
    assert simulator.requests[0].headers["authorization"] == "Bearer k"
    assert simulator.requests[0].headers["host"] == "a"


async def test_http2_answers_many_at_once(chat: dict) -> None:
    """Requests of one HTTP/2 connection are answered side by side."""
    simulator = Simulator(latency=10)
    async with simulator.serve_memory(http2=True) as network:
        client = RawHttp2Client(await network.connect_tcp("a", 443))
        started = anyio.current_time()
        ids = [await client.send(chat) for _ in range(5)]
        while len(client.ended) < 5:
            await client.read()
        assert anyio.current_time() - started == pytest.approx(10)
        assert set(client.ended) == set(ids)
        await client.stream.aclose()
    assert simulator.max_in_flight == 5
    assert simulator.connections.total == 1


async def test_http2_flow_control(chat: dict) -> None:
    """An answer larger than the client's window waits until the client takes it in."""
    simulator = Simulator(reply="x" * 600_000)
    async with simulator.serve_memory(http2=True) as network:
        client = RawHttp2Client(await network.connect_tcp("a", 443))
        stream_id = await client.send(chat)
        with anyio.move_on_after(100):
            while True:
                await client.read(acknowledge=False)
        assert len(client.bodies[stream_id]) == 65_535
        client.protocol.acknowledge_received_data(65_535, stream_id)
        await client.flush()
        while stream_id not in client.ended:
            await client.read()
        assert len(client.bodies[stream_id]) > 500_000
        await client.stream.aclose()


@pytest.mark.parametrize("leave", ["reset", "close", "say goodbye"])
async def test_an_http2_client_leaves(chat: dict, leave: str) -> None:
    """A client that resets its stream, or closes the connection, stops the answer; after a reset, others go on."""
    simulator = Simulator(faults=[StallAfterEvents()])
    async with simulator.serve_memory(http2=True) as network:
        client = RawHttp2Client(await network.connect_tcp("a", 443))
        stream_id = await client.send({**chat, "stream": True})
        while client.bodies.get(stream_id, b"").count(b"data: ") < 3:
            await client.read()
        if leave == "reset":
            client.protocol.reset_stream(stream_id, h2.errors.ErrorCodes.CANCEL)
            other = await client.send(chat)
            while other not in client.ended:
                await client.read()
            assert client.statuses[other] == "200"
        elif leave == "close":
            await client.stream.aclose()
        else:
            client.protocol.close_connection()
            await client.flush()
        await anyio.wait_all_tasks_blocked()
        assert simulator.requests[0].outcome == "client left"
        assert simulator.in_flight == 0
        assert simulator.connections.open == (0 if leave == "close" else 1)
        await client.stream.aclose()


@pytest.mark.parametrize(
    ("fault", "status", "end"),
    [
        (Refuse(429), "429", None),
        (ResetBeforeHead(), None, h2.errors.ErrorCodes.INTERNAL_ERROR),
        (ResetInHead(), None, h2.errors.ErrorCodes.INTERNAL_ERROR),
        (ResetAfterEvents(), "200", h2.errors.ErrorCodes.INTERNAL_ERROR),
        (CloseAfterEvents(), "200", h2.errors.ErrorCodes.INTERNAL_ERROR),
        (Truncate(), "200", None),
    ],
)
async def test_faults_over_http2(chat: dict, fault, status: str | None, end: int | None) -> None:
    """Faults end the request's stream, and leave the connection to others."""
    simulator = Simulator(faults=[fault])
    async with simulator.serve_memory(http2=True) as network:
        client = RawHttp2Client(await network.connect_tcp("a", 443))
        first = await client.send({**chat, "stream": True})
        while first not in client.ended:
            await client.read()
        assert (client.statuses.get(first), client.ended[first]) == (status, end)
        second = await client.send(chat)
        while second not in client.ended:
            await client.read()
        assert client.statuses[second] == "200"
        await client.stream.aclose()
    assert [request.outcome for request in simulator.requests] == [type(fault).__name__, "completed"]


async def test_leaving_the_block_ends_http2(chat: dict) -> None:
    """Leaving ends an HTTP/2 connection with all that runs on it."""
    simulator = Simulator(faults=[StallBeforeHead(), StallAfterEvents()])
    async with simulator.serve_memory(http2=True) as network:
        client = RawHttp2Client(await network.connect_tcp("a", 443))
        for _ in range(2):
            await client.send({**chat, "stream": True})
        await anyio.wait_all_tasks_blocked()
        assert simulator.in_flight == 2
    assert (simulator.in_flight, simulator.connections.open) == (0, 0)
    assert [request.outcome for request in simulator.requests] == ["stopped", "stopped"]
    await client.stream.aclose()


async def test_what_is_no_http2_ends_the_connection(chat: dict) -> None:
    """A broken HTTP/2 connection is told so and ended."""
    simulator = Simulator()
    async with simulator.serve_memory(http2=True) as network:
        stream = await network.connect_tcp("a", 443)
        preface, settings = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\0\4\0\0\0\0\0"
        data_on_stream_0 = b"\0\0\1\0\0\0\0\0\0x"
        await stream.write(preface + settings + data_on_stream_0)
        raw = b""
        while data := await stream.read(65536):
            raw += data
        # GOAWAY: type 7.
        assert b"\7\0\0\0\0\0" in raw
        await anyio.wait_all_tasks_blocked()
        assert simulator.connections.open == 0
        await stream.aclose()

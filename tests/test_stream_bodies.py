"""What comes where a stream was asked for is told by its first byte, whatever its header says."""

import traceback

import anyio
import httpcore
import pytest

from liter import AuthenticationError, LlmClient, LlmError, StreamingError
from liter.testing import MemoryNetwork, MemoryStream

pytestmark = pytest.mark.anyio

HI = [{"role": "user", "content": "hi"}]
EVENTS = (
    b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"}}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)
WHOLE = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}'
ERROR = b'{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}'
EVENT_STREAM, JSON = b"text/event-stream", b"application/json; charset=utf-8"


def client_of(kind: bytes, pieces: list[bytes]) -> LlmClient:
    """A client of a server that answers once, with these pieces of a body."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: " + kind + b"\r\n\r\n"
    return LlmClient(
        api_key="sk-test", base_url="http://h.example/v1", network_backend=httpcore.AsyncMockBackend([head, *pieces])
    )


@pytest.mark.parametrize("kind", [EVENT_STREAM, JSON, b"text/plain"])
@pytest.mark.parametrize("before", [[], [b"\n"], [b"\xef\xbb\xbf"], [b": hold on\n\n"], [b"\r\n", b"\r\n"]])
@pytest.mark.parametrize("size", [1, 7, 4096])
async def test_a_stream_is_a_stream(kind: bytes, before: list[bytes], size: int) -> None:
    """Though a proxy calls it JSON, and after blank lines, comments and a byte order mark."""
    pieces = [*before, *(EVENTS[at : at + size] for at in range(0, len(EVENTS), size))]
    async with client_of(kind, pieces) as client:
        stream = await client.chat_stream(model="m", messages=HI)
        assert "".join([chunk.text async for chunk in stream]) == "Hello"


@pytest.mark.parametrize("kind", [EVENT_STREAM, JSON, b"text/plain"])
@pytest.mark.parametrize("before", [[], [b"\n\n"], [b"\xef\xbb\xbf "]])
async def test_a_whole_reply_is_a_whole_reply(kind: bytes, before: list[bytes]) -> None:
    """Though a server calls it a stream: its text comes in one event."""
    async with client_of(kind, [*before, WHOLE[:20], WHOLE[20:]]) as client:
        stream = await client.chat_stream(model="m", messages=HI)
        assert [chunk.text async for chunk in stream] == ["Hello"]


@pytest.mark.parametrize("kind", [EVENT_STREAM, JSON])
async def test_an_error_under_a_status_of_success_is_an_error(kind: bytes) -> None:
    """Of its own class, before anything is shown."""
    async with client_of(kind, [ERROR]) as client:
        with pytest.raises(AuthenticationError, match="Incorrect API key"):
            await client.chat_stream(model="m", messages=HI)


@pytest.mark.parametrize(
    ("stream", "status", "before"),
    [
        (False, b"401 Unauthorized", b""),
        (False, b"200 OK", b""),
        (True, b"401 Unauthorized", b""),
        (True, b"200 OK", b""),
        (True, b"200 OK", EVENTS.partition(b"\n\n")[0] + b"\n\n"),
    ],
)
async def test_a_key_that_a_provider_echoes_is_in_no_error(stream: bool, status: bytes, before: bytes) -> None:
    """Neither in its text nor in what it holds, however the error comes, and after whatever came before it."""
    told = b'{"error":{"message":"Incorrect API key provided: sk-canary-1","code":"sk-canary-1"}}'
    body = before + b"data: " + told + b"\n\n" if before else told
    head = b"HTTP/1.1 " + status + b"\r\nx-key: sk-canary-1\r\ncontent-length: %d\r\n\r\n" % len(body)
    network = httpcore.AsyncMockBackend([head, body])
    async with LlmClient(
        api_key="sk-canary-1", base_url="http://h.example/v1", network_backend=network, middleware=[]
    ) as client:
        with pytest.raises(LlmError, match=r"Incorrect API key provided: \*\*\*") as caught:
            if stream:
                async for _ in await client.chat_stream(model="m", messages=HI):
                    pass
            else:
                await client.chat(model="m", messages=HI)
    held = [caught.value, *vars(caught.value).values(), *caught.value.args, dict(caught.value.headers)]
    assert "canary" not in " ".join(f"{one!r} {one}" for one in held)
    assert "canary" not in "".join(traceback.format_exception(caught.value))


async def test_a_body_that_is_held_open_after_the_last_event_is_left() -> None:
    """It is waited for a quarter of a second, for the connection's sake; then the reader has its end."""
    network = MemoryNetwork()

    async def serve(connection: MemoryStream) -> None:
        async with connection:
            await connection.receive()
            await connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + EVENTS)
            await anyio.sleep(3600)

    async with network.listen() as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        async with LlmClient(api_key="sk-test", base_url="http://h.example/v1", network_backend=network) as client:
            began = anyio.current_time()
            stream = await client.chat_stream(model="m", messages=HI)
            assert "".join([chunk.text async for chunk in stream]) == "Hello"
            assert anyio.current_time() - began == pytest.approx(0.25)
            assert (stream.finished, network.open_connections) == (True, 0)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("pieces", [[], [b"\n\n"], [b": only a comment\n\n"]])
async def test_nothing_is_no_stream(pieces: list[bytes]) -> None:
    """A body without an event is a stream that ended before its end."""
    async with client_of(JSON, pieces) as client:
        with pytest.raises(StreamingError, match="ended before its end"):
            await client.chat_stream(model="m", messages=HI)

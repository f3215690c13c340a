"""What comes where a stream was asked for is told by its first byte, whatever its header says."""

import httpcore
import pytest

from liter import AuthenticationError, LlmClient, StreamingError

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


@pytest.mark.parametrize("pieces", [[], [b"\n\n"], [b": only a comment\n\n"]])
async def test_nothing_is_no_stream(pieces: list[bytes]) -> None:
    """A body without an event is a stream that ended before its end."""
    async with client_of(JSON, pieces) as client:
        with pytest.raises(StreamingError, match="ended before its end"):
            await client.chat_stream(model="m", messages=HI)

"""One function for each client under test: it opens the client and gives its two kinds of call.

A call returns how many characters of text it received, so that every client is seen to deliver the same
answer, and does what any user would: take the text out of the reply, or out of every chunk. Each client is used
as its documentation says and with its defaults, one client for all calls.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

import anyio
from _canned import MESSAGES, MODEL, UNARY_TEXT, request_body, unary_body, words

_KEY = "sk-benchmark"


class Calls(NamedTuple):
    """What an adapter gives: a call with a whole reply, and one with a streamed reply."""

    unary: Callable[[], Awaitable[int]]
    stream: Callable[[], Awaitable[int]]


@asynccontextmanager
async def open_raw(base_url: str, events: int) -> AsyncIterator[Calls]:
    """Write a prepared request and read until the last byte of the answer: nothing is parsed."""
    url = urlsplit(base_url)
    assert url.hostname
    assert url.port
    host, port = url.hostname, url.port
    idle: list[anyio.abc.SocketStream] = []
    unary_request = _http_request(base_url, stream=False)
    stream_request = _http_request(base_url, stream=True)
    unary_end = unary_body()[-16:]
    stream_length = sum(map(len, words(events)))

    async def exchange(request: bytes, last: bytes) -> None:
        connection = idle.pop() if idle else await anyio.connect_tcp(host, port)
        await connection.send(request)
        tail = b""
        while not tail.endswith(last):
            tail = (tail + await connection.receive())[-len(last) :]
        idle.append(connection)

    async def unary() -> int:
        await exchange(unary_request, unary_end)
        return len(UNARY_TEXT)

    async def stream() -> int:
        await exchange(stream_request, b"\r\n0\r\n\r\n")
        return stream_length

    try:
        yield Calls(unary, stream)
    finally:
        for connection in idle:
            await connection.aclose()


def _http_request(base_url: str, *, stream: bool) -> bytes:
    url = urlsplit(base_url)
    body = request_body(stream=stream)
    head = (
        f"POST {url.path}/chat/completions HTTP/1.1\r\nhost: {url.netloc}\r\nauthorization: Bearer {_KEY}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@asynccontextmanager
async def open_httpcore(base_url: str, events: int) -> AsyncIterator[Calls]:
    """The least that can be written over httpcore's pool: ``json.loads``, and lines for a stream.

    As many connections as openai allows itself; by default, all but ten would be closed after each call.
    """
    import httpcore

    url = f"{base_url}/chat/completions"
    headers = {"authorization": f"Bearer {_KEY}", "content-type": "application/json"}

    async with httpcore.AsyncConnectionPool(max_connections=1000, max_keepalive_connections=1000) as pool:

        async def unary() -> int:
            answer = await pool.request("POST", url, headers=headers, content=request_body(stream=False))
            return len(json.loads(answer.content)["choices"][0]["message"]["content"])

        async def stream() -> int:
            received, rest = 0, b""
            async with pool.stream("POST", url, headers=headers, content=request_body(stream=True)) as answer:
                async for data in answer.aiter_stream():
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        if line.startswith(b"data: ") and line != b"data: [DONE]":
                            received += len(json.loads(line[6:])["choices"][0]["delta"].get("content", ""))
            return received

        yield Calls(unary, stream)


@asynccontextmanager
async def open_liter(base_url: str, events: int) -> AsyncIterator[Calls]:
    """This library."""
    from liter import LlmClient

    async with LlmClient(api_key=_KEY, base_url=base_url) as client:

        async def unary() -> int:
            reply = await client.chat(model=MODEL, messages=MESSAGES)
            return len(reply.choices[0].message.content)

        async def stream() -> int:
            received = 0
            async for chunk in await client.chat_stream(model=MODEL, messages=MESSAGES):
                if chunk.choices:
                    received += len(chunk.choices[0].delta.content or "")
            return received

        yield Calls(unary, stream)


@asynccontextmanager
async def open_openai(base_url: str, events: int) -> AsyncIterator[Calls]:
    """OpenAI's own library."""
    from openai import AsyncOpenAI

    async with AsyncOpenAI(api_key=_KEY, base_url=base_url) as client:

        async def unary() -> int:
            reply = await client.chat.completions.create(model=MODEL, messages=MESSAGES)
            return len(reply.choices[0].message.content)

        async def stream() -> int:
            received = 0
            async for chunk in await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True):
                if chunk.choices:
                    received += len(chunk.choices[0].delta.content or "")
            return received

        yield Calls(unary, stream)


@asynccontextmanager
async def open_litellm(base_url: str, events: int) -> AsyncIterator[Calls]:
    """LiteLLM."""
    import litellm

    settings = {"model": f"openai/{MODEL}", "messages": MESSAGES, "api_key": _KEY, "api_base": base_url}

    async def unary() -> int:
        reply = await litellm.acompletion(**settings)
        return len(reply.choices[0].message.content)

    async def stream() -> int:
        received = 0
        async for chunk in await litellm.acompletion(**settings, stream=True):
            if chunk.choices:
                received += len(chunk.choices[0].delta.content or "")
        return received

    yield Calls(unary, stream)


@asynccontextmanager
async def open_any_llm(base_url: str, events: int) -> AsyncIterator[Calls]:
    """Mozilla's any-llm."""
    from any_llm import AnyLLM

    client = AnyLLM.create("openai", api_key=_KEY, api_base=base_url)

    async def unary() -> int:
        reply = await client.acompletion(model=MODEL, messages=MESSAGES)
        return len(reply.choices[0].message.content)

    async def stream() -> int:
        received = 0
        async for chunk in await client.acompletion(model=MODEL, messages=MESSAGES, stream=True):
            if chunk.choices:
                received += len(chunk.choices[0].delta.content or "")
        return received

    yield Calls(unary, stream)


@asynccontextmanager
async def open_liter_llm(base_url: str, events: int) -> AsyncIterator[Calls]:
    """liter-llm, through its native client: the shortest way that its bindings offer."""
    from liter_llm import Message, create_client
    from liter_llm._internal_bindings import ChatCompletionRequest

    client = create_client(_KEY, base_url=base_url)

    def request() -> ChatCompletionRequest:
        return ChatCompletionRequest(model=MODEL, messages=[Message(message) for message in MESSAGES])

    async def unary() -> int:
        reply = await client.chat(request())
        return len(reply.choices[0].message.content.text)

    async def stream() -> int:
        received = 0
        async for chunk in client.chat_stream(request()):
            if chunk.choices:
                received += len(chunk.choices[0].delta.content or "")
        return received

    yield Calls(unary, stream)


# aiohttp, and tokio's bridge to asyncio, know no other event loop.
NOT_ON_TRIO = frozenset({"litellm", "liter-llm"})

OPENERS: dict[str, Callable[[str, int], AbstractAsyncContextManager[Calls]]] = {
    "raw": open_raw,
    "httpcore": open_httpcore,
    "liter": open_liter,
    "openai": open_openai,
    "litellm": open_litellm,
    "any-llm": open_any_llm,
    "liter-llm": open_liter_llm,
}

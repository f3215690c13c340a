"""A raw HTTP/1.1 client, to see what a simulator really sends."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import anyio
import h11
import httpcore
import pytest

from liter.testing import MemoryNetwork, SimulatorServer


@dataclass
class Answer:
    """What came: the raw bytes, what h11 made of them, and how it ended."""

    raw: bytes = b""
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False
    error: Exception | None = None
    seconds: float = 0.0

    @property
    def json(self) -> dict:
        return json.loads(self.body)

    @property
    def data(self) -> list[str]:
        """The data of each event, for streams in the plainest form."""
        blocks = self.body.decode().split("\n\n")
        return [line[6:] for block in blocks for line in block.split("\n") if line.startswith("data: ")]

    @property
    def events(self) -> list[dict]:
        """Each event but OpenAI's last, decoded."""
        return [json.loads(data) for data in self.data if data != "[DONE]"]


class RawClient:
    """One connection. ``opened`` makes it, ``send`` and ``read`` are the two halves of ``ask``."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self.stream = stream
        self.protocol = h11.Connection(h11.CLIENT)

    @classmethod
    async def opened(cls, where: MemoryNetwork | SimulatorServer) -> "RawClient":
        if isinstance(where, MemoryNetwork):
            return cls(await where.connect_tcp("simulator", 80))
        return cls(await httpcore.AnyIOBackend().connect_tcp(where.host, where.port))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):
            await self.stream.aclose()

    async def send(
        self, path: str, body: object = None, *, headers: dict[str, str] | None = None, method: str | None = None
    ) -> None:
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        if headers is None:
            anthropic = path.endswith("/messages")
            headers = (
                {"x-api-key": "k", "anthropic-version": "2023-06-01"} if anthropic else {"authorization": "Bearer k"}
            )
        request = h11.Request(
            method=method or ("GET" if body is None else "POST"),
            target=path,
            headers=[("host", "simulator"), ("content-length", str(len(content))), *headers.items()],
        )
        events = (request, h11.Data(data=content), h11.EndOfMessage())
        await self.stream.write(b"".join(self.protocol.send(event) or b"" for event in events))

    async def read(self, *, until: Callable[[Answer], bool] = lambda answer: False) -> Answer:
        """Read an answer, to its end or until it is as wanted."""
        answer = Answer()
        started = anyio.current_time()
        try:
            while not answer.complete and not until(answer):
                event = self.protocol.next_event()
                if event is h11.NEED_DATA:
                    data = await self.stream.read(65536)
                    answer.raw += data
                    self.protocol.receive_data(data)
                elif isinstance(event, h11.Response):
                    answer.status = event.status_code
                    answer.headers = {name.decode(): value.decode() for name, value in event.headers}
                elif isinstance(event, h11.Data):
                    answer.body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    answer.complete = True
                else:
                    raise h11.RemoteProtocolError(f"{event} instead of an answer")
        except (httpcore.ReadError, h11.RemoteProtocolError) as error:
            answer.error = error
        answer.seconds = anyio.current_time() - started
        if answer.complete and self.protocol.their_state is h11.DONE:
            self.protocol.start_next_cycle()
        return answer

    async def ask(self, path: str, body: object = None, **options: object) -> Answer:
        await self.send(path, body, **options)
        return await self.read()


@pytest.fixture
def raw_client() -> type[RawClient]:
    """The raw client's class."""
    return RawClient


@pytest.fixture
def chat() -> dict:
    """A request for a chat completion."""
    return {"model": "gpt-simulated", "messages": [{"role": "user", "content": "Say something."}]}


@pytest.fixture
def message() -> dict:
    """A request for a message."""
    return {
        "model": "claude-simulated",
        "max_tokens": 1000,
        "messages": [{"role": "user", "content": "Say something."}],
    }

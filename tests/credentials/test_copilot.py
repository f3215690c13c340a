"""Copilot's tokens are exchanged for a GitHub token, kept while they last, and say where to go."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from anyio.abc import ByteStream

from liter import AuthenticationError, LlmError, NetworkError, RateLimitedError, Secret, ServerError
from liter._http import HttpRequest
from liter.credentials import CopilotCredentials
from liter.credentials._copilot import CopilotSigner
from liter.testing import MemoryNetwork
from liter.transport import Transport

pytestmark = pytest.mark.anyio

START = datetime(2030, 1, 1, tzinfo=UTC)


class GitHub:
    """Answers one exchange after the other."""

    def __init__(self) -> None:
        self.now = START
        self.requests: list[str] = []
        self.status = 200
        self.told: object = None

    def __call__(self) -> datetime:
        return self.now

    def body(self) -> bytes:
        told = self.told
        if told is None:
            told = {
                "token": f"tid={len(self.requests)};exp=1",
                "expires_at": int((self.now + timedelta(minutes=30)).timestamp()),
                "endpoints": {"api": "https://api.business.githubcopilot.com/"},
            }
        return told if isinstance(told, bytes) else json.dumps(told).encode()

    async def serve(self, stream: ByteStream) -> None:
        async with stream:
            received = b""
            while b"\r\n\r\n" not in received:
                received += await stream.receive()
            self.requests.append(received.decode())
            body = self.body()
            head = f"HTTP/1.1 {self.status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            await stream.send(head.encode() + body)


@pytest.fixture
async def github() -> AsyncIterator[tuple[GitHub, Callable[..., CopilotCredentials]]]:
    """GitHub, and credentials that reach it."""
    server, network = GitHub(), MemoryNetwork()
    transport = Transport(network_backend=network, trust_environment=False)

    def make(token: str | Secret, **options: object) -> CopilotCredentials:
        return CopilotCredentials(token, transport=transport, now=server, **options)

    async with network.listen() as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, server.serve)
        yield server, make
        await transport.aclose()
        tasks.cancel_scope.cancel()


def request(**fields: object) -> HttpRequest:
    """A chat's request, as the codec makes it."""
    made = {"method": "POST", "base_url": "https://api.githubcopilot.com", "path": "/chat/completions", **fields}
    return HttpRequest(**made)


async def test_a_token_is_exchanged_and_kept(github) -> None:
    """With the headers that GitHub wants; again, shortly before its end."""
    server, make = github
    source = make(Secret("gho_secret"), editor="tests/2")
    first = await source.get()
    assert isinstance(first, CopilotSigner)
    [sent] = server.requests
    assert sent.startswith("GET /copilot_internal/v2/token HTTP/1.1\r\nhost: api.github.com\r\n")
    assert "authorization: token gho_secret\r\n" in sent
    assert "editor-version: tests/2\r\n" in sent
    server.now = START + timedelta(minutes=24)
    assert await source.get() == first
    server.now = START + timedelta(minutes=26)
    assert (await source.get()).token == Secret("tid=2;exp=1")
    assert len(server.requests) == 2


async def test_a_signed_request_goes_where_the_token_says(github) -> None:
    """With the token and what Copilot wants to know of the client; what was given stays."""
    _, make = github
    signer = await make("gho_x").get()
    given = ((b"content-type", b"application/json"), (b"copilot-integration-id", b"mine"), (b"authorization", b"x"))
    signed = signer.sign(request(headers=given, body=b'{"image_url": 1}'), START)
    assert signed.base_url == "https://api.business.githubcopilot.com"
    assert dict(signed.headers) == {
        b"content-type": b"application/json",
        b"copilot-integration-id": b"mine",
        b"editor-version": b"liter/0.1.0",
        b"editor-plugin-version": b"liter/0.1.0",
        b"copilot-vision-request": b"true",
        b"authorization": b"Bearer tid=1;exp=1",
    }
    assert len(signed.headers) == 6
    assert b"copilot-vision-request" not in dict(signer.sign(request(), START).headers)


async def test_an_address_of_the_callers_own_is_kept(github) -> None:
    """A gateway before Copilot, say."""
    _, make = github
    signer = await make("gho_x").get()
    assert signer.sign(request(base_url="https://gateway.example"), START).base_url == "https://gateway.example"


async def test_what_is_not_told_has_a_default(github) -> None:
    """The address, and for how long."""
    server, make = github
    server.told = {"token": "t", "refresh_in": 600}
    source = make("gho_x")
    assert (await source.get()).address == "https://api.githubcopilot.com"
    server.now = START + timedelta(seconds=601)
    await source.get()
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("status", "told", "kind", "words"),
    [
        (401, {"message": "Bad credentials"}, AuthenticationError, "Bad credentials"),
        (403, {"message": "no subscription"}, AuthenticationError, "no subscription"),
        (404, {"message": "Not Found"}, AuthenticationError, "no Copilot token for this user"),
        (429, {"message": "slow down"}, RateLimitedError, "slow down"),
        (502, b"<html><title>Bad gateway</title>", ServerError, "Bad gateway"),
        (200, b'{"token": 5, "secret": "tid=1"}', AuthenticationError, "no Copilot token: ValidationError"),
        (200, {"token": "t", "endpoints": {"api": "ftp://x"}}, AuthenticationError, "no Copilot token: ValueError"),
    ],
)
async def test_a_failed_exchange(github, status, told, kind, words) -> None:
    """Is told by its class, and never by a token."""
    server, make = github
    server.status, server.told = status, told
    with pytest.raises(LlmError, match=words) as caught:
        await make("gho_secret").get()
    assert type(caught.value) is kind
    assert caught.value.provider == "github-copilot"
    assert "gho_secret" not in repr(caught.value)
    assert "tid=1" not in repr(caught.value)


async def test_no_connection_to_github() -> None:
    """Is no fault of the token."""
    transport = Transport(network_backend=MemoryNetwork(), trust_environment=False)
    with pytest.raises(NetworkError):
        await CopilotCredentials("gho_x", transport=transport).get()
    await transport.aclose()


@pytest.mark.parametrize(
    ("options", "name"),
    [({"github_token": ""}, "github_token"), ({"github_token": "a b"}, "github_token"),
     ({"github_token": "x", "editor": "a\nb"}, "editor"), ({"github_token": "x", "integration": ""}, "integration")],
)  # fmt: skip
async def test_what_cannot_be_right(options, name) -> None:
    """Is told at once."""
    with pytest.raises(ValueError, match=name):
        CopilotCredentials(**options)

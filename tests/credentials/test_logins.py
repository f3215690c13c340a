"""A key, or none, becomes the login that a provider needs, all the way to the wire."""

import json
from collections.abc import AsyncIterator

import anyio
import pytest
from anyio.abc import ByteStream

from liter import AuthenticationError, BadRequestError, LlmClient, Secret
from liter.credentials import AzureCredentials, CopilotCredentials, login_of
from liter.testing import MemoryNetwork, Simulator
from liter.transport import Transport

pytestmark = pytest.mark.anyio

USER = {"role": "user", "content": "Hi"}
TOKEN = "eyJhbGciOiJub25lIn0.e30.x"


class Tokens:
    """One of azure-identity's credentials."""

    def get_token(self, *scopes: str) -> "Tokens":
        return self

    token = TOKEN
    expires_on = 4_000_000_000


async def serve_github(stream: ByteStream) -> None:
    """Give one token."""
    async with stream:
        received = b""
        while b"\r\n\r\n" not in received:
            received += await stream.receive()
        told = {"token": "tid=1", "expires_at": 4_000_000_000, "endpoints": {"api": "https://api.copilot.example"}}
        body = json.dumps(told).encode()
        await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))


@pytest.fixture
async def github() -> AsyncIterator[Transport]:
    """A transport to GitHub."""
    network = MemoryNetwork()
    transport = Transport(network_backend=network, trust_environment=False)
    async with network.listen() as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve_github)
        yield transport
        await transport.aclose()
        tasks.cancel_scope.cancel()


async def test_copilot(github: Transport) -> None:
    """The exchanged token goes to the address that came with it."""
    simulator = Simulator()
    source = CopilotCredentials("gho_x", transport=github)
    async with (
        simulator.serve_memory() as network,
        LlmClient(network_backend=network, api_keys={"github-copilot": source}) as client,
    ):
        reply = await client.chat(model="github-copilot/gpt-5-mini", messages=[USER])
        stream = await client.chat_stream(model="github-copilot/gpt-5-mini", messages=[USER])
        assert "".join([chunk.text async for chunk in stream]) == reply.text
    for request in simulator.requests:
        assert request.headers["host"] == "api.copilot.example"
        assert request.headers["authorization"] == "Bearer tid=1"
        assert request.headers["copilot-integration-id"] == "vscode-chat"
        assert request.path == "/chat/completions"


@pytest.mark.realtime  # azure-identity is called in a thread, which no virtual clock waits for
@pytest.mark.parametrize("model", ["azure/gpt", "azure-ai/phi", "azure-anthropic/claude-sonnet-4-5"])
async def test_entra_id(model: str) -> None:
    """Its token is a bearer's, whatever is spoken."""
    simulator = Simulator()
    name = model.partition("/")[0]
    async with (
        simulator.serve_memory() as network,
        LlmClient(
            network_backend=network,
            api_keys={name: AzureCredentials(Tokens())},
            provider_settings={name: {"resource": "res"}},
        ) as client,
    ):
        assert (await client.chat(model=model, messages=[USER])).text
    [request] = simulator.requests
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert not {"api-key", "x-api-key"} & request.headers.keys()


def test_a_key_needs_no_login() -> None:
    """Azure's key is all there is; without one, Entra ID is asked; GitHub's token is exchanged."""

    assert login_of("azure", Secret("key"), {}) is None
    assert isinstance(login_of("azure", None, {}), AzureCredentials)
    assert isinstance(login_of("copilot", Secret("gho_x"), {}), CopilotCredentials)
    assert login_of("copilot", None, {}) is None


async def test_no_token_of_github() -> None:
    """The variables that were looked for are named."""
    async with Simulator().serve_memory() as network, LlmClient(network_backend=network) as client:
        with pytest.raises(AuthenticationError, match="GITHUB_TOKEN"):
            await client.chat(model="github-copilot/gpt-5-mini", messages=[USER])


async def test_nobody_is_asked_for_credentials_that_nothing_would_be_sent_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that lacks a part is told before a login, which takes its time and goes out on the network."""
    for variable in ("AZURE_OPENAI_ENDPOINT", "AZURE_API_BASE", "AZURE_RESOURCE_NAME", "AZURE_OPENAI_RESOURCE"):
        monkeypatch.delenv(variable, raising=False)

    class Never:
        async def get(self) -> Secret:
            raise AssertionError("asked")

    async with LlmClient(api_keys={"azure": Never()}) as client:
        with pytest.raises(BadRequestError, match="the resource of azure is not known"):
            await client.chat(model="azure/gpt-4o", messages=[USER])

"""Entra ID's tokens come from azure-identity, in a thread, and are kept until shortly before their end."""

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

import pytest

from liter import AuthenticationError, Secret
from liter.credentials import AzureCredentials

START = datetime(2030, 1, 1, tzinfo=UTC)


class Token(NamedTuple):
    token: str
    expires_on: int


class Tokens:
    """Gives token-1, token-2, ... for an hour each; ``error`` is raised instead."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.threads: list[int] = []
        self.now = START
        self.error: Exception | None = None

    def get_token(self, *scopes: str) -> Token:
        self.asked.append(scopes)
        self.threads.append(threading.get_ident())
        if self.error is not None:
            raise self.error
        return Token(f"token-{len(self.asked)}", int((self.now + timedelta(hours=1)).timestamp()))


@pytest.mark.anyio
async def test_a_token_is_fetched_once_and_again_before_its_end() -> None:
    """Off the event loop's thread, for the scope that was given."""
    tokens = Tokens()
    source = AzureCredentials(tokens, scope="https://ai.azure.com/.default", now=lambda: tokens.now)
    assert await source.get() == Secret("token-1")
    tokens.now = START + timedelta(minutes=50)
    assert await source.get() == Secret("token-1")
    tokens.now = START + timedelta(minutes=56)
    assert await source.get() == Secret("token-2")
    assert tokens.asked == [("https://ai.azure.com/.default",)] * 2
    assert threading.get_ident() not in tokens.threads


@pytest.mark.anyio
async def test_no_token_is_an_authentication_error() -> None:
    """Whatever azure-identity raises."""
    tokens = Tokens()
    tokens.error = RuntimeError("no managed identity here")
    with pytest.raises(AuthenticationError, match="RuntimeError: no managed identity here"):
        await AzureCredentials(tokens).get()


@pytest.mark.anyio
async def test_azure_identitys_own_credential() -> None:
    """A token as the real package reads it from Entra ID's answer."""
    identity = pytest.importorskip("azure.identity")
    transport = pytest.importorskip("azure.core.pipeline.transport")

    class Answer(transport.HttpResponse):
        def __init__(self, request: object) -> None:
            super().__init__(request, None)
            self.status_code = 200
            self.headers = {"content-type": "application/json"}
            self.content_type = "application/json"
            self.reason = "OK"

        def body(self) -> bytes:
            if self.request.url.endswith("/openid-configuration"):
                host = self.request.url.partition("/v2.0/")[0]
                ends = {name: f"{host}/{name}" for name in ("authorization_endpoint", "token_endpoint")}
                return json.dumps({**ends, "issuer": f"{host}/v2.0"}).encode()
            return json.dumps({"access_token": "from entra", "expires_in": 3600, "token_type": "Bearer"}).encode()

    class Wire(transport.HttpTransport):
        def send(self, request: object, **_: object) -> Answer:
            return Answer(request)

        def open(self) -> None: ...
        def close(self) -> None: ...
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None: ...

    credential = identity.ClientSecretCredential(
        "00000000-0000-0000-0000-000000000000",
        "client",
        "secret",
        transport=Wire(),
        disable_instance_discovery=True,
    )
    assert await AzureCredentials(credential).get() == Secret("from entra")


def test_a_scope_is_needed() -> None:
    """An empty one would fail at Entra ID, with a riddle."""
    with pytest.raises(ValueError, match="scope"):
        AzureCredentials(Tokens(), scope="")

"""Google's access tokens come from google-auth, in a thread, and are kept until shortly before their end."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from liter import AuthenticationError, NetworkError, Secret
from liter.credentials import GoogleCredentials

pytestmark = pytest.mark.anyio

START = datetime(2030, 1, 1, tzinfo=UTC)


class Answer:
    """Google's answer, as google-auth's transports give it."""

    def __init__(self, body: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.headers = headers or {"content-type": "application/json"}
        self.data = json.dumps(body).encode()


class Google:
    """Google's token endpoints: gives token-1, token-2, ... for an hour each, or the error that is set."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.bodies: list[str] = []
        self.threads: set[int] = set()
        self.error: Exception | None = None
        self.refusal: dict[str, str] | None = None

    def __call__(self, url: str, method: str = "GET", body: bytes | None = None, **_: object) -> Answer:
        self.urls.append(url)
        self.bodies.append((body or b"").decode())
        self.threads.add(threading.get_ident())
        if self.error is not None:
            raise self.error
        if self.refusal is not None:
            return Answer(self.refusal, status=400)
        return Answer({"access_token": f"token-{len(self.urls)}", "expires_in": 3600, "token_type": "Bearer"})


USER = {
    "type": "authorized_user",
    "client_id": "c",
    "client_secret": "s",
    "refresh_token": "r",
}


@pytest.fixture
def google() -> Google:
    pytest.importorskip("google.auth")
    return Google()


def service_account() -> dict[str, object]:
    """A service account with a key of its own."""
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "k",
        "private_key": pem,
        "client_email": "a@p.example",
        "token_uri": "https://oauth2.example/token",
    }


async def test_a_users_file_gives_tokens(google, tmp_path):
    """The refresh token is exchanged off the event loop's thread, once for all who ask."""
    path = tmp_path / "login.json"
    path.write_text(json.dumps(USER))
    source = GoogleCredentials(path, request=google)
    assert await source.get() == Secret("token-1")
    assert await source.get() == Secret("token-1")
    assert google.urls == ["https://oauth2.googleapis.com/token"]
    assert "refresh_token=r" in google.bodies[0]
    assert threading.get_ident() not in google.threads


async def test_a_service_account_signs_for_its_tokens(google):
    """An assertion for the scope of the whole platform is signed with its key."""
    source = GoogleCredentials(service_account(), request=google)
    assert await source.get() == Secret("token-1")
    assert "grant_type=urn" in google.bodies[0]
    assert "assertion=" in google.bodies[0]


async def test_a_file_that_the_environment_names(google, tmp_path, monkeypatch):
    """That is where Google's own libraries look first."""
    path = tmp_path / "account.json"
    path.write_text(json.dumps(service_account()))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    assert await GoogleCredentials(request=google).get() == Secret("token-1")


class Token:
    """A credential of google-auth's that was made elsewhere."""

    def __init__(self, text: object = "t", *, expiry: datetime | None = None) -> None:
        self.token = text
        self.expiry = expiry
        self.refreshed = 0

    def refresh(self, request: object) -> None:
        self.refreshed += 1


async def test_a_token_is_fetched_again_before_its_end():
    """google-auth tells its end in UTC, without a time zone."""
    now = [START]
    token = Token(expiry=(START + timedelta(hours=1)).replace(tzinfo=None))
    source = GoogleCredentials(token, request=Google(), now=lambda: now[0])
    assert await source.get() == Secret("t")
    now[0] = START + timedelta(minutes=54)
    await source.get()
    assert token.refreshed == 1
    now[0] = START + timedelta(minutes=56)
    await source.get()
    assert token.refreshed == 2


@pytest.mark.parametrize("token", [None, "", 5])
async def test_no_token_is_an_authentication_error(token):
    """Whatever the credential gives in its place."""
    with pytest.raises(AuthenticationError, match="no access token"):
        await GoogleCredentials(Token(token), request=Google()).get()


async def test_refused_credentials_are_an_authentication_error(google):
    """A login that has ended says so."""
    google.refusal = {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
    with pytest.raises(AuthenticationError, match="invalid_grant"):
        await GoogleCredentials(USER, request=google).get()


async def test_google_out_of_reach_is_a_network_error(google):
    """Another try may reach it."""
    exceptions = pytest.importorskip("google.auth.exceptions")
    google.error = exceptions.TransportError("no route to host")
    with pytest.raises(NetworkError, match="no route to host"):
        await GoogleCredentials(USER, request=google).get()


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "cannot be read"), ("{", "no JSON"), ("{}", "type 'None'"), ('{"type": "external_account"}', "GOOGLE_APP")],
)
async def test_a_file_that_holds_no_credentials(content, told, google, tmp_path):
    """The error says what is wrong with it."""
    path = tmp_path / "key.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(AuthenticationError, match=told):
        await GoogleCredentials(str(path), request=google).get()


async def test_none_anywhere_names_where_it_was_looked(google, tmp_path, monkeypatch):
    """The file of the environment, gcloud's login, the metadata server."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "APPENGINE_RUNTIME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(AuthenticationError, match=r"GOOGLE_APPLICATION_CREDENTIALS.*gcloud.*metadata"):
        await GoogleCredentials(request=google).get()


async def test_a_scope_must_be_named():
    """Google gives no token for nothing."""
    with pytest.raises(ValueError, match="scope"):
        GoogleCredentials(Token(), request=Google(), scope="")

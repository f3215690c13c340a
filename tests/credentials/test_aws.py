"""AWS's credentials: given, of the environment, or of botocore's chain, which is asked in a thread."""

import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from liter import LlmClient
from liter._errors import AuthenticationError, BadRequestError
from liter._http import HttpRequest
from liter._secret import Secret
from liter.credentials import AwsCredentials, AwsKeys, SigV4Signer, login_of
from liter.credentials._sigv4 import region_of
from liter.providers import known_providers
from liter.testing import MemoryNetwork

pytestmark = pytest.mark.anyio

START = datetime(2030, 1, 1, tzinfo=UTC)
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": "secret"}


class Frozen:
    """Keys of one moment."""

    def __init__(self, number: int) -> None:
        self.access_key = f"AKID{number}"
        self.secret_key = "secret"
        self.token = f"token-{number}"


class Found:
    """Credentials of files: what was read stays."""

    def __init__(self, chain: "Chain") -> None:
        self._chain = chain

    def get_frozen_credentials(self) -> Frozen:
        self._chain.threads.append(threading.get_ident())
        self._chain.asked += 1
        return Frozen(self._chain.asked)


class RefreshableFound(Found):
    """Credentials that botocore fetches again by itself."""

    def refresh_needed(self) -> bool:
        return False


class Chain:
    """A session that finds AKID1, AKID2, ... one after the other."""

    def __init__(self, found: type[Found] | None = Found, region: object = "eu-west-3") -> None:
        self.found = found
        self.region = region
        self.asked = 0
        self.threads: list[int] = []
        self.now = START

    def get_credentials(self) -> Found | None:
        return None if self.found is None else self.found(self)

    def get_config_variable(self, name: str, /) -> object:
        assert name == "region"
        return self.region


def signer(key_id: str, *, token: str | None = None, region: str | None = None) -> SigV4Signer:
    keys = AwsKeys(
        access_key_id=key_id, secret_access_key=Secret("secret"), session_token=Secret(token) if token else None
    )
    return SigV4Signer(keys=keys, region=region)


async def test_keys_that_are_given():
    """They sign, whatever the environment says, and for the region that it tells."""
    environ = {**KEYS, "AWS_BEARER_TOKEN_BEDROCK": "b", "AWS_DEFAULT_REGION": "us-west-2"}
    source = AwsCredentials(
        access_key_id="AKID", secret_access_key="secret", session_token=Secret("t"), environ=environ
    )
    assert await source.get() == signer("AKID", token="t", region="us-west-2")
    assert not source.refused(await source.get())


@pytest.mark.parametrize(
    ("environ", "credential"),
    [
        ({**KEYS, "AWS_BEARER_TOKEN_BEDROCK": "b"}, Secret("b")),
        (KEYS, signer("AKIDENV")),
        (
            {**KEYS, "AWS_SESSION_TOKEN": "t", "AWS_REGION": "us-east-2"},
            signer("AKIDENV", token="t", region="us-east-2"),
        ),
        (
            {**KEYS, "AWS_REGION": "us-east-2", "AWS_DEFAULT_REGION": "us-west-2"},
            signer("AKIDENV", region="us-east-2"),
        ),
    ],
)
async def test_credentials_of_the_environment(environ: Mapping[str, str], credential: object):
    """A key of Bedrock's own comes first, then keys that sign."""
    assert await AwsCredentials(environ=environ).get() == credential


async def test_the_environment_is_read_for_each_request():
    """What was refused is given again only if it was not changed meanwhile."""
    environ = dict(KEYS)
    source = AwsCredentials(environ=environ, region="eu-west-1")
    first = await source.get()
    assert first == signer("AKIDENV", region="eu-west-1")
    assert not source.refused(first)
    environ["AWS_ACCESS_KEY_ID"] = "AKIDNEW"
    assert source.refused(first)
    assert await source.get() == signer("AKIDNEW", region="eu-west-1")


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({"AWS_ACCESS_KEY_ID": "a"}, "AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not"),
        ({"AWS_SECRET_ACCESS_KEY": "a"}, "AWS_SECRET_ACCESS_KEY is set, and AWS_ACCESS_KEY_ID is not"),
        ({**KEYS, "AWS_ACCESS_KEY_ID": "a\n"}, "of the environment: access_key_id has a blank"),
    ],
)
async def test_credentials_of_the_environment_that_cannot_be_right(environ: Mapping[str, str], complaint: str):
    """They are an error, and nothing else is tried in their place."""
    with pytest.raises(AuthenticationError, match=complaint):
        await AwsCredentials(environ=environ).get()


@pytest.mark.parametrize("found", [Found, RefreshableFound])
async def test_the_chain_is_asked_in_a_thread(found: type[Found]):
    """Once for a while, and again before what it gave may end; the profile tells the region."""
    chain = Chain(found)
    source = AwsCredentials(session=chain, environ=KEYS, now=lambda: chain.now)
    assert await source.get() == signer("AKID1", token="token-1", region="eu-west-3")
    chain.now = START + timedelta(minutes=3)
    assert await source.get() == signer("AKID1", token="token-1", region="eu-west-3")
    chain.now = START + timedelta(minutes=4, seconds=1)
    assert await source.get() == signer("AKID2", token="token-2", region="eu-west-3")
    assert threading.get_ident() not in chain.threads
    assert source.refused(await source.get())
    assert await source.get() == signer("AKID3", token="token-3", region="eu-west-3")


async def test_the_chain_finds_nothing():
    """The error says where it was looked."""
    with pytest.raises(AuthenticationError, match="looked in the session, and botocore's chain found none"):
        await AwsCredentials(session=Chain(None), environ={}).get()


async def test_a_profile_that_tells_no_region():
    """It stays open, for the address will tell."""
    assert await AwsCredentials(session=Chain(region=None), environ={}).get() == signer("AKID1", token="token-1")


async def test_botocore_reads_the_shared_files(tmp_path, monkeypatch):
    """A profile by its name, before the environment's own keys; one that is not there is told by name."""
    pytest.importorskip("botocore")
    credentials = tmp_path / "credentials"
    credentials.write_text("[work]\naws_access_key_id = AKIDFILE\naws_secret_access_key = secret\n")
    config = tmp_path / "config"
    config.write_text("[profile work]\nregion = ap-south-1\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    source = AwsCredentials(profile="work", environ=KEYS)
    assert await source.get() == signer("AKIDFILE", region="ap-south-1")
    assert repr(source) == "AwsCredentials(profile='work')"
    with pytest.raises(AuthenticationError, match="play"):
        await AwsCredentials(profile="play", environ=KEYS).get()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(AuthenticationError, match="looked for AWS_BEARER_TOKEN_BEDROCK, and for AWS_ACCESS_KEY_ID"):
        await AwsCredentials(environ={}).get()


def test_without_botocore():
    """The error says what it is for, and the package is not imported before it is needed."""
    program = """
import sys
sys.modules["botocore"] = None
import anyio
from liter.credentials import AwsCredentials
try:
    anyio.run(AwsCredentials(environ={}).get)
except Exception as error:
    print(type(error).__name__, error)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.startswith("AuthenticationError no AWS credentials: looked for AWS_BEARER_TOKEN_BEDROCK")
    assert "pip install 'liter-sdk[bedrock]'" in told


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"access_key_id": "a"}, "belong together"),
        ({"secret_access_key": "a"}, "belong together"),
        ({"access_key_id": "a", "secret_access_key": "b", "profile": "p"}, "give one of keys"),
        ({"profile": "p", "session": Chain()}, "give one of keys"),
        ({"access_key_id": "a\n", "secret_access_key": "b"}, "access_key_id has a blank"),
    ],
)
def test_arguments_that_cannot_be_right(fields: Mapping[str, object], complaint: str):
    """They are refused before anything is looked for."""
    with pytest.raises(ValueError, match=complaint):
        AwsCredentials(**fields)


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("bedrock-runtime.us-east-1.amazonaws.com", "us-east-1"),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("bedrock.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("bedrock-mantle.eu-west-3.api.aws", "eu-west-3"),
        ("bedrock-runtime.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
        ("vpce-1a2b-3c.bedrock-runtime.ap-southeast-2.vpce.amazonaws.com", "ap-southeast-2"),
        ("localhost:8080", None),
        ("us-east-1.example.com", None),
        ("bedrock-runtime.us-east-1.amazonaws.com.example.com", None),
    ],
)
def test_the_region_of_a_host(host: str, region: str | None):
    """AWS's own hosts tell it."""
    assert region_of(host) == region


def test_a_region_that_nobody_tells():
    """It is an error before anything is sent, and never a request without a signature."""
    request = HttpRequest(method="POST", base_url="http://localhost:8080", path="/model/m/converse")
    with pytest.raises(AuthenticationError, match="localhost:8080 does not tell the AWS region"):
        signer("AKID").sign(request, START)
    assert b"us-east-1" in dict(signer("AKID", region="us-east-1").sign(request, START).headers)[b"authorization"]


async def test_what_logs_in_at_bedrock_when_nothing_is_given(monkeypatch):
    """A key of Bedrock's own needs no more; else the environment and the chain, for the region of the settings."""
    assert login_of("sigv4", Secret("b"), {}) is None
    for name, value in {**KEYS, "AWS_PROFILE": "work"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_BEARER_TOKEN_BEDROCK", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    source = login_of("sigv4", None, {"region": "eu-west-1", "profile": "work"})
    assert source is not None
    assert await source.get() == signer("AKIDENV", region="eu-west-1")
    assert repr(login_of("sigv4", None, {"profile": "play"})) == "AwsCredentials(profile='play')"


async def test_a_region_that_is_not_known(monkeypatch):
    """It is an error before any request, and says what would tell it."""
    for name in ("AWS_BEARER_TOKEN_BEDROCK", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"):
        monkeypatch.delenv(name, raising=False)
    source = AwsCredentials(environ=KEYS)
    async with LlmClient(model_hint="bedrock", api_key=source, network_backend=MemoryNetwork()) as client:
        with pytest.raises(BadRequestError, match="the region of bedrock is not known: set AWS_REGION"):
            await client.chat(model="bedrock/m", messages=[{"role": "user", "content": "Hi"}])


@pytest.mark.parametrize("name", ["bedrock", "bedrock-mantle"])
def test_both_protocols_of_bedrock_log_in_with_aws_credentials(name: str):
    """A key is sent as it is, and without one requests are signed."""
    provider = known_providers()[name]
    assert login_of(provider.auth.kind, Secret("b"), {}) is None
    assert isinstance(login_of(provider.auth.kind, None, {"region": "us-east-1"}), AwsCredentials)
    assert dict(provider.auth.headers(Secret("b"))) == {b"authorization": b"Bearer b"}

"""Providers of the user's own."""

import threading
from collections.abc import Iterator

import pytest

from liter import (
    AuthenticationError,
    CustomProviderConfig,
    LlmClient,
    NotFoundError,
    register_custom_provider,
    unregister_custom_provider,
)
from liter.providers import Anthropic, Catalog, OpenAI
from liter.testing import Simulator

HI = [{"role": "user", "content": "Hi"}]
ACME = CustomProviderConfig(name="acme", base_url="https://acme.example/v1", model_prefixes=["acme-", "internal/"])


@pytest.fixture(autouse=True)
def _leave_nothing() -> Iterator[None]:
    """Take away what a test registers."""
    yield
    for name in ("acme", "openai", "bird"):
        unregister_custom_provider(name)


@pytest.mark.anyio
async def test_clients_see_changes():
    """A client that exists already reaches what is registered later, and not what is unregistered."""
    simulator = Simulator()
    async with (
        simulator.serve_memory() as network,
        LlmClient(network_backend=network, trust_environment=False) as client,
    ):
        register_custom_provider(ACME)
        reply = await client.chat(model="internal/m", messages=HI, api_key="k")
        assert reply.attempts[0].base_url == "https://acme.example/v1"
        assert reply.origin is not None
        assert "acme" in client.providers
        assert unregister_custom_provider("acme")
        assert not unregister_custom_provider("acme")
        with pytest.raises(AuthenticationError, match="no key for openai"):
            await client.chat(model="acme-1", messages=HI)
        assert "acme" not in client.providers


@pytest.mark.anyio
async def test_one_clients_own():
    """A provider that is given to a client is its alone, and comes before one that is registered."""
    register_custom_provider(CustomProviderConfig(name="acme", base_url="https://other.example/v1"))
    simulator = Simulator()
    async with (
        simulator.serve_memory() as network,
        LlmClient(network_backend=network, trust_environment=False, providers=[ACME], api_keys={"acme": "k"}) as mine,
        LlmClient(network_backend=network, trust_environment=False, api_keys={"acme": "k"}) as plain,
    ):
        assert (await mine.chat(model="acme-1", messages=HI)).attempts[0].base_url == "https://acme.example/v1"
        assert (await plain.chat(model="acme/1", messages=HI)).attempts[0].base_url == "https://other.example/v1"


@pytest.mark.anyio
async def test_a_route_whose_provider_is_gone():
    """A call on its way to a provider that is unregistered meanwhile fails with an error of liter's."""
    register_custom_provider(ACME)

    def gone(call, call_next):
        unregister_custom_provider("acme")
        return call_next(call)

    async with LlmClient(trust_environment=False, middleware=[gone]) as client:
        with pytest.raises(NotFoundError, match="not registered any more"):
            await client.chat(model="acme/m", messages=HI)


@pytest.mark.parametrize(
    ("header", "sent"),
    [
        ("Authorization", (b"authorization", b"Bearer sk-test")),
        ("X-Api-Key", (b"x-api-key", b"sk-test")),
        (None, (b"authorization", b"Bearer sk-test")),
    ],
)
def test_the_header_of_the_key(call_of, header: str | None, sent: tuple[bytes, bytes]):
    """A bearer token, or the bare key in a header of another name; a key that is given is sent in any case."""
    from liter.types import ChatCompletionRequest

    provider = CustomProviderConfig(name="acme", base_url="https://acme.example/v1", auth_header=header).codec()
    made = provider.encode(call_of(ChatCompletionRequest(model="m", messages=HI), provider="acme"))
    assert sent in made.headers


def test_a_key_is_needed_where_a_variable_is_named():
    """Only a config with variables of its own says that there must be a key."""
    config = CustomProviderConfig(name="acme", base_url="https://acme.example/v1", key_variables=("ACME_KEY",))
    assert not config.codec().key_optional
    assert ACME.codec().key_optional


def test_other_protocols():
    """A config may name any protocol that liter has."""
    config = CustomProviderConfig(name="acme", base_url="https://acme.example/v1", protocol="anthropic")
    assert isinstance(config.codec(), Anthropic)


def test_a_codec_of_ones_own_is_registered():
    """Instances of codecs go wherever a config does."""
    register_custom_provider(
        OpenAI(name="bird", base_url="https://b.example", renames={"seed": "egg"}), model_prefixes=["tit-"]
    )
    catalog = Catalog()
    assert catalog.find("bird") == catalog.custom_of_model("tit-1") == "bird"
    assert catalog["bird"].renames == {"seed": "egg"}
    assert len(catalog) == len(list(catalog))
    assert "custom: bird" in repr(catalog)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": ""}, "name must be a word"),
        ({"name": "a/b"}, "name must be a word"),
        ({"base_url": "acme.example"}, "base_url must look like"),
        ({"auth_header": "X Key"}, "not a name"),
        ({"model_prefixes": "acme-"}, "must be a list"),
        ({"model_prefixes": ["/"]}, "no beginning"),
        ({"protocol": "morse"}, "protocol must be one of anthropic"),
    ],
)
def test_what_makes_no_sense(fields: dict[str, object], told: str):
    """A config says what is wrong when it is made."""
    with pytest.raises(Exception, match=told):
        CustomProviderConfig(**{"name": "acme", "base_url": "https://acme.example/v1", **fields})


def test_what_is_no_provider():
    """Neither a config nor a codec; a class in place of an instance; two of one name."""
    with pytest.raises(ValueError, match="is a class; give an instance"):
        register_custom_provider(OpenAI)  # the mistake under test
    with pytest.raises(ValueError, match="neither a CustomProviderConfig nor a codec"):
        LlmClient(providers=["acme"])  # the mistake under test
    with pytest.raises(ValueError, match="two have the same name"):
        LlmClient(providers=[ACME, ACME])


@pytest.mark.realtime
def test_threads_may_register_at_once():
    """No registration is lost."""
    names = [f"acme-{number}" for number in range(50)]

    def register(name: str) -> None:
        register_custom_provider(CustomProviderConfig(name=name, base_url="https://acme.example"))

    threads = [threading.Thread(target=register, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(name in Catalog() for name in names)
    assert all(unregister_custom_provider(name) for name in names)

"""Providers and credentials as users type them: checked by pyright, never run."""

from typing import assert_type

import liter
from liter import LlmClient
from liter.credentials import Fetched, FromFile, Refreshing, Rotation
from liter.providers import OpenAI, Provider


class VaultKey(Refreshing):
    def fetch_blocking(self) -> Fetched:
        return Fetched(credential=liter.Secret("sk"))


async def login() -> str:
    return "sk"


def providers() -> None:
    own = liter.CustomProviderConfig(name="own", base_url="https://own.example/v1", model_prefixes=["own-"])
    client = LlmClient(
        api_key=["sk-1", liter.Secret("sk-2"), login, VaultKey()],
        api_keys={"groq": lambda: "sk", "mistral": FromFile("/run/key"), "own": Rotation(["a", "b"])},
        provider_settings={"databricks": {"workspace_host": "x"}},
        providers=[own, OpenAI(name="other", base_url="https://other.example/v1", renames={"seed": "random_seed"})],
        fetch_urls="public",
    )
    can = client.capabilities("groq/llama")
    assert_type(can, liter.Capabilities)
    assert_type(can.operations, frozenset[str])
    assert_type(can.takes("seed"), bool)
    assert_type(client.providers["groq"], Provider)
    liter.register_custom_provider(own)
    assert_type(liter.unregister_custom_provider("own"), bool)

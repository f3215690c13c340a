"""The providers that liter knows by name: the registry's records, made into codecs when they are asked for."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from msgspec.structs import replace

from ._anthropic import Anthropic
from ._azure import Azure, AzureAI
from ._bedrock import Bedrock
from ._codec import Provider
from ._cohere import Cohere
from ._copilot import Copilot
from ._entry import Entry, entry, names
from ._gemini import Gemini
from ._mistral import Mistral
from ._ollama import Ollama
from ._openai import OpenAI
from ._perplexity import Perplexity
from ._specialist import SPECIALISTS, Specialist
from ._vertex import Vertex
from ._wire import OperationWire, WireProvider, family_of, fields_of

# Which codec speaks a protocol. A provider of any other is listed, and its calls are refused.
PROTOCOLS: Mapping[str, type[WireProvider]] = {
    **dict.fromkeys(SPECIALISTS, Specialist),
    "anthropic": Anthropic,
    "azure": Azure,
    "azure-ai": AzureAI,
    "bedrock": Bedrock,
    "cohere": Cohere,
    "copilot": Copilot,
    "gemini": Gemini,
    "mistral": Mistral,
    "ollama-native": Ollama,
    "openai": OpenAI,
    "perplexity": Perplexity,
    "vertex": Vertex,
}


class Unspoken(WireProvider, frozen=True, kw_only=True):
    """A provider whose protocol has no codec yet: it offers nothing."""

    protocol: str

    @classmethod
    def of(cls, record: Entry) -> "Unspoken":
        """Make one of its record in the registry."""
        return cls(**fields_of(record), protocol=record.protocol)  # type: ignore[arg-type] # as the record says

    @property
    def wires(self) -> Mapping[str, OperationWire[Any, Any]]:
        """None."""
        return {}


def provider_of(record: Entry) -> WireProvider:
    """Make the codec of a record: it offers what its protocol has, of the families that the record names."""
    provider = PROTOCOLS.get(record.protocol, Unspoken).of(record)
    offers = frozenset(operation for operation in provider.wires if family_of(operation) in record.operations)
    return replace(provider, offers=offers)


class KnownProviders(Mapping[str, Provider]):
    """All providers of the registry by name, each made at the first look-up."""

    def __init__(self) -> None:
        self._made: dict[str, Provider] = {}

    def __getitem__(self, name: str) -> Provider:
        provider = self._made.get(name)
        if provider is None:
            provider = self._made[name] = provider_of(entry(name))
        return provider

    def __contains__(self, name: object) -> bool:
        return name in names()

    def __iter__(self) -> Iterator[str]:
        return iter(names())

    def __len__(self) -> int:
        return len(names())

    def __repr__(self) -> str:
        return f"<{len(self)} known providers>"


@cache
def known_providers() -> Mapping[str, Provider]:
    """All providers, by the name that routes to them."""
    return KnownProviders()

"""The providers that liter knows by name: the registry's records, made into codecs when they are asked for."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from msgspec.structs import replace

from ._codec import Provider
from ._entry import Entry, entry, names
from ._wire import OperationWire, WireProvider, family_of, fields_of

# Protocols of a few operations, which one codec speaks by its tables.
_SPECIALISTS = (
    "azure-document-intelligence", "bfl", "brave", "dataforseo", "deepgram", "duckduckgo", "elevenlabs", "exa",
    "fal", "firecrawl", "google-pse", "linkup", "parallel", "replicate", "searchapi", "searxng", "serper",
    "stability", "tavily", "you",
)  # fmt: skip

# Which codec speaks a protocol: its module and class, loaded for the first provider that needs it. A provider of any
# other protocol is listed, and its calls are refused.
PROTOCOLS: Mapping[str, str] = {
    **dict.fromkeys(_SPECIALISTS, "_specialist:Specialist"),
    "anthropic": "_anthropic:Anthropic",
    "assemblyai": "_assemblyai:AssemblyAI",
    "azure": "_azure:Azure",
    "azure-ai": "_azure:AzureAI",
    "bedrock": "_bedrock:Bedrock",
    "cohere": "_cohere:Cohere",
    "copilot": "_copilot:Copilot",
    "gemini": "_gemini:Gemini",
    "jina": "_embedding_specialists:Jina",
    "mistral": "_mistral:Mistral",
    "ollama-native": "_ollama:Ollama",
    "openai": "_openai:OpenAI",
    "perplexity": "_perplexity:Perplexity",
    "vertex": "_vertex:Vertex",
    "voyage": "_embedding_specialists:Voyage",
}


@cache
def codec_of(protocol: str) -> type[WireProvider]:
    """The codec class of a protocol. :raises KeyError: there is none"""
    module, _, name = PROTOCOLS[protocol].partition(":")
    codec: type[WireProvider] = getattr(import_module(f".{module}", __package__), name)
    return codec


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
    codec = codec_of(record.protocol) if record.protocol in PROTOCOLS else Unspoken
    provider = codec.of(record)
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
